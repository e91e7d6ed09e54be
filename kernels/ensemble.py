"""Whole trajectories, eight at a time, from random events to final states.

Shots with the same events share one trajectory (a group). Until its first event a group follows
the trajectory without events, which every thread runs only once (the trunk).
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index
from qdt_emu.kernels.statevector import LANES, reduced, transform
from qdt_emu.kernels.trajectory import (
    LEAK,
    MEASURE,
    RELAXATION,
    RESET,
    Blocks,
    Ints,
    Numbers,
    Shot,
    act,
    compose,
    embed,
    write_lane,
)


class Groups(NamedTuple):
    """Which shots run together, and the events they share.

    Attributes:
        members: Shots ordered by group, shape (shots,).
        start: First entry of each group in `members`, shape (groups + 1,).
        begin: Block with the first event of each group, ascending, shape (groups,).
        codes: Random codes of each shot, shape (shots, columns).
        keys: Key of each shot's random numbers.
        detuning: In Hz, shape (shots, n_qubits), or (1, n_qubits) if all shots share it.
    """

    members: Ints
    start: Ints
    begin: Ints
    codes: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    detuning: NDArray[np.float64]


class Lanes(NamedTuple):
    """Classical side of eight trajectories.

    Attributes:
        shot: Representative shot of each lane, shape (8,).
        known: Shape (8, n_qubits), see `Shot`.
        leaked: Shape (8, n_qubits).
        record: Shape (8, n_clbits).
    """

    shot: Ints
    known: NDArray[np.uint8]
    leaked: NDArray[np.uint8]
    record: NDArray[np.uint8]


class Room(NamedTuple):
    """Scratch space of one thread: state of the trunk and of eight trajectories.

    Attributes:
        trunk: States, shape (k, 2, rows, 8): [which, real or imaginary]; two of them if a qubit
            leaves the state before the end, otherwise one will do.
        state: States, shape (k, 2, rows, 8).
        matrix: Shape (32, 8).
        part: Shape (16, 8).
    """

    trunk: Any
    state: Any
    matrix: Any
    part: Any


@njit(cache=True, nogil=True, error_model="numpy")
def quiet_matrices(blocks: Blocks, numbers: Numbers, n_qubits: Index, lanes: Any) -> None:
    """Fill `numbers.prefix` and the matrices without events, shape (blocks, 32, 8).

    The latter mean nothing for a block with a varying item.
    """
    none = np.zeros(n_qubits, np.uint8)
    record = np.zeros(1, np.uint8)
    codes = np.zeros(blocks.column[-1], np.uint8)
    shot = Shot(codes, np.uint64(0), np.zeros(n_qubits), none, none, record)
    rho = np.zeros((4, 4), np.complex128)
    zeros = np.zeros(4, np.int64)
    for block in range(len(blocks.groups)):
        t = numbers.prefix[block]
        t[:] = 0.0
        for k in range(4):
            t[k, k] = 1.0
        act(blocks, numbers, shot, block, blocks.item[block], blocks.varying[block], rho, t)
        for lane in range(LANES):
            write_lane(lanes[block], lane, t, blocks.bits[block], zeros)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_quiet(blocks: Blocks, groups: Groups, lanes: Lanes, block: Index) -> bool:
    """Return whether nothing sets one of the lanes apart in this block."""
    if blocks.varying[block] < blocks.item[block + 1]:
        return False
    for k in range(2):
        q = blocks.qubits[block, k]
        if q >= 0:
            for lane in range(LANES):
                if lanes.leaked[lane, q] or (blocks.bits[block, k] < 0 and lanes.known[lane, q]):
                    return False
    for lane in range(LANES):
        for c in range(blocks.column[block], blocks.column[block + 1]):
            if groups.codes[lanes.shot[lane], c]:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _needs_state(blocks: Blocks, block: Index) -> bool:
    """Return whether an outcome in this block may depend on the state."""
    for item in range(blocks.item[block], blocks.item[block + 1]):
        kind = blocks.kind[item]
        if kind in (RELAXATION, MEASURE, RESET, LEAK):
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _compose_lanes(
    blocks: Blocks,
    numbers: Numbers,
    groups: Groups,
    lanes: Lanes,
    room: Room,
    at: Index,
    block: Index,
) -> None:
    """Fill `room.matrix` with each lane's own matrix of a block."""
    bits = blocks.bits[block]
    a, b = blocks.qubits[block, 0], blocks.qubits[block, 1]
    rho, t = np.zeros((4, 4), np.complex128), np.zeros((4, 4), np.complex128)
    known = np.zeros(4, np.int64)
    sums = np.zeros((16, LANES))
    needed = _needs_state(blocks, block)
    if needed:
        state = room.state[at]
        reduced(sums, room.part, state[0], state[1], blocks.groups[block], bits[0], bits[1])
    for lane in range(LANES):
        s = lanes.shot[lane]
        known[0] = lanes.known[lane, a]
        known[1] = lanes.known[lane, b] if b >= 0 else 0
        if needed:
            embed(rho, sums, lane, bits, known[0], known[1])
        row = min(s, len(groups.detuning) - 1)
        shot = Shot(
            groups.codes[s],
            groups.keys[s],
            groups.detuning[row],
            lanes.known[lane],
            lanes.leaked[lane],
            lanes.record[lane],
        )
        compose(blocks, numbers, shot, block, rho, t)
        known[2] = lanes.known[lane, a]
        known[3] = lanes.known[lane, b] if b >= 0 else 0
        write_lane(room.matrix, lane, t, bits, known)


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(blocks: Blocks, state: Any, at: Index, block: Index, matrix: Any) -> Index:
    """Apply a block's matrix and return which of the two states now holds the result."""
    bits = blocks.bits[block]
    if bits[0] < 0 and bits[1] < 0 and bits[2] < 0 and bits[3] < 0:
        return at  # the qubits stay classical: only a phase is left
    # Nobody leaves or moves: newcomers only add rows above, so the state may be overwritten.
    stay = (bits[0] < 0 or bits[0] == bits[2]) and (bits[1] < 0 or bits[1] == bits[3])
    to = at if stay else 1 - at
    old, new = state[at], state[to]
    transform(new[0], new[1], old[0], old[1], matrix, blocks.groups[block], bits)
    return to


@njit(cache=True, nogil=True, error_model="numpy")
def start(state: Any) -> None:
    """Put the first state into the vacuum of no active qubits."""
    state[0, :, 0, :] = 0.0
    state[0, 0, 0, :] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _load_trunk(room: Room, which: Index, width: Index) -> None:
    """Copy the trunk into the first state of the lanes."""
    for part in range(2):
        for row in range(1 << width):
            for lane in range(LANES):
                room.state[0, part, row, lane] = room.trunk[which, part, row, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def run_batch(
    blocks: Blocks,
    numbers: Numbers,
    quiet: Any,
    groups: Groups,
    lanes: Lanes,
    room: Room,
    first: Index,
    trunk: Ints,
) -> Index:
    """Run eight groups from `first` on and return which of `room.state` holds their end.

    Args:
        blocks: The static part.
        numbers: The tables.
        quiet: Matrices without events, shape (blocks, 32, 8).
        groups: Who runs together.
        lanes: Filled for the eight groups; the last group repeats if there are fewer.
        room: Scratch space of this thread.
        first: First group.
        trunk: (block reached, which of `room.trunk`, active qubits), kept from batch to batch;
            zeros and `start(room.trunk)` in the beginning.
    """
    begin = groups.begin[first]
    while trunk[0] < begin:
        block = trunk[0]
        trunk[1] = _advance(blocks, room.trunk, trunk[1], block, quiet[block])
        for k in range(2):
            trunk[2] += (blocks.bits[block, k + 2] >= 0) - (blocks.bits[block, k] >= 0)
        trunk[0] += 1
    _load_trunk(room, trunk[1], trunk[2])
    last = len(groups.begin) - 1
    for lane in range(LANES):
        lanes.shot[lane] = groups.members[groups.start[min(first + lane, last)]]
        lanes.known[lane] = 0
        lanes.leaked[lane] = 0
        lanes.record[lane] = 0
    at: Index = np.int64(0)
    for block in range(begin, len(blocks.groups)):
        if _is_quiet(blocks, groups, lanes, block):
            at = _advance(blocks, room.state, at, block, quiet[block])
        else:
            _compose_lanes(blocks, numbers, groups, lanes, room, at, block)
            at = _advance(blocks, room.state, at, block, room.matrix)
    return at
