"""One run of a compiled circuit: random events, groups of equal shots, threads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Values
from qdt_emu.engines.statevector_program import Program, cumulative_codes, tables
from qdt_emu.kernels.ensemble import Groups, Room, quiet_matrices
from qdt_emu.kernels.randomness import draw_codes, draw_detuning
from qdt_emu.kernels.statevector import LANES
from qdt_emu.kernels.trajectory import Blocks, Numbers

DETUNING_ITEM = 1 << 40
"""Items of random numbers that belong to no operation; circuits are shorter."""
CODES = 1 << 26
"""Bytes of random codes held at a time; longer runs are cut into pieces of shots."""
BLOCK_FLOPS = 5e3
"""What the bookkeeping of a block costs per trajectory, in flops of the passes: 0.1 us."""
DRAWN_FLOPS = 3e4
"""The same for a block whose matrix is composed for every shot: 0.6 us."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A program with its numbers.

    Attributes:
        program: The compiled circuit.
        blocks: Its arrays, with the blocks marked that differ from shot to shot.
        numbers: Tables of the kernels.
        quiet: Matrices without events, shape (blocks, 32, 8), in the state's precision.
        cumulative: See `cumulative_codes`.
        varies: Whether each block differs from shot to shot even without an event.
        detuning: (sigma, splitting) of each qubit; no rows if no shot is detuned.
    """

    program: Program
    blocks: Blocks
    numbers: Numbers
    quiet: Any
    cumulative: NDArray[np.float64]
    varies: NDArray[np.bool_]
    detuning: NDArray[np.float64]


def bind(program: Program, values: Values, real: type[np.floating[Any]]) -> Bound:
    """Return the program with numbers; `real` is the state's precision."""
    detuning = np.ascontiguousarray(values.detuning, np.float64)
    drawn = program.dwells[(detuning[program.dwells[:, 1]] != 0).any(axis=1)]
    varying = program.blocks.varying.copy()
    np.minimum.at(varying, drawn[:, 0], drawn[:, 2])
    blocks = program.blocks._replace(varying=varying)
    count = len(blocks.groups)
    numbers = tables(values, count)
    quiet = np.zeros((count, 32, LANES), real)
    quiet_matrices(blocks, numbers, len(detuning), quiet)
    cumulative = cumulative_codes(program, values)
    varies = varying < blocks.item[1:]
    detuning = detuning[: None if len(drawn) else 0]
    return Bound(program, blocks, numbers, quiet, cumulative, varies, detuning)


def some_event(bound: Bound) -> float:
    """Return the probability that a trajectory is not the one without events."""
    if bound.varies.any():
        return 1.0
    return -float(np.expm1(np.log1p(-np.minimum(bound.cumulative[:, 15], 1 - 1e-12)).sum()))


def expected_flops(bound: Bound, shots: int) -> float:
    """Return what `shots` trajectories cost, sharing included, in flops of the passes.

    Shots without events and without outcomes inside of the circuit are one trajectory; others
    follow it up to their first event.

    Error:
        An estimate: events are taken as spread evenly over the work, equal patterns as rare.
    """
    drawn = int(bound.varies.sum())
    layout = bound.program.layout
    blocks = len(bound.blocks.groups)
    work = layout.work + BLOCK_FLOPS * blocks + DRAWN_FLOPS * drawn
    end = 30.0 * 2.0 ** layout.widths[-1] if len(bound.program.leaf) else 0.0
    if drawn:
        return shots * (work + end)
    events = -float(np.log1p(-np.minimum(bound.cumulative[:, 15], 1 - 1e-12)).sum())
    if events < 1e-9:
        return work + end
    some = -float(np.expm1(-events))
    behind = 1 / some - 1 / events
    return (shots * some * behind + 1) * work + (shots * some + 1) * end


def group(bound: Bound, keys: NDArray[np.uint64]) -> Groups:
    """Draw the random events of all shots and put shots with equal events together."""
    program, shots = bound.program, len(keys)
    codes = np.zeros((shots, len(bound.cumulative)), np.uint8)
    digests, firsts = np.zeros(shots, np.uint64), np.zeros(shots, np.int64)
    private = np.isin(program.columns[:, 0], (Kind.RELAXATION, Kind.LEAK)).astype(np.uint8)
    live = np.flatnonzero(bound.cumulative[:, 15] > 0)
    draw_codes(keys, live, program.numbers, bound.cumulative, private, codes, digests, firsts)
    begin = program.owner[firsts]
    if bound.varies.any():
        begin, digests = np.minimum(begin, int(np.argmax(bound.varies))), keys
    order = np.lexsort((digests, begin))
    edges = np.flatnonzero(np.diff(digests[order])) + 1
    start = np.concatenate([[0], edges, [shots]]).astype(np.int64)
    detuning = np.zeros((1, program.qubits))
    if len(bound.detuning):
        detuning = draw_detuning(keys, bound.detuning, DETUNING_ITEM)
    return Groups(order, start, begin[order[start[:-1]]], codes, keys, detuning)


def piece(bound: Bound) -> int:
    """Return how many shots are drawn at a time."""
    return max(1024, CODES // max(1, len(bound.cumulative)))


def rooms(
    program: Program, groups: Groups, real: type[np.floating[Any]], count: int, *, spare: bool
) -> list[Room]:
    """Return scratch space for `count` threads, no larger than these groups need.

    Args:
        program: The compiled circuit.
        groups: All groups of the run.
        real: Precision.
        count: Number of threads.
        spare: Whether the caller needs a second state beside the final one.
    """
    layout = program.layout
    copies = 2 if spare or layout.shrinks else 1
    trunk = max(layout.widths[: int(groups.begin[-1]) + 1])
    return [
        Room(
            np.empty((copies, 2, 1 << trunk, LANES), real),
            np.empty((copies, 2, 1 << layout.peak, LANES), real),
            np.zeros((32, LANES), real),
            np.zeros((16, LANES), real),
        )
        for _ in range(count)
    ]


def room_bytes(program: Program, real: type[np.floating[Any]], *, spare: bool) -> int:
    """Return an upper bound on the bytes of one thread's scratch space; see `rooms`."""
    layout, blocks = program.layout, program.blocks
    varies = np.append(blocks.varying < blocks.item[1:], True)
    trunk = max(layout.widths[: int(np.argmax(varies)) + 1])
    copies = 2 if spare or layout.shrinks else 1
    size = copies * 2 * LANES * np.dtype(real).itemsize
    return int(size * ((1 << trunk) + (1 << layout.peak)))
