"""The program of a structure, and its execution on NumPy arrays."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure
from qdt_emu.engines.density_fuse import Fused, Step, fuse
from qdt_emu.engines.density_order import MAX_ENTRIES, Axes, Move, layout, order, volume
from qdt_emu.engines.density_recipe import Recipe, recipe
from qdt_emu.errors import UnsupportedError
from qdt_emu.kernels.density import contract

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Kept = tuple[tuple[int, ...], ...] | None

LARGE = 1 << 18
SHARED = 1 << 15  # below this many entries a second thread costs more than it saves


@dataclass(frozen=True, eq=False)
class Program:
    """Everything about a run that does not depend on values.

    Attributes:
        fused: Steps and final wires.
        moves: The steps in order, with their memory layout.
        recipe: How values become the matrices of the steps.
        arrays: Axes of every array that is left at the end, by its number.
        bytes: Peak memory of the arrays in double precision; at least 128 GiB where no order was
            found, and then the moves end early.
        flops: Multiplications and additions; infinite where no order was found.
    """

    fused: Fused
    moves: tuple[Move, ...]
    recipe: Recipe
    arrays: dict[int, Axes]
    bytes: int
    flops: float


@lru_cache(maxsize=64)
def program(structure: Structure, kept: Kept = None) -> Program:
    """Return the program that leads to the final records, or to the `kept` Pauli components."""
    fused = fuse(structure, kept)
    sequence = order(fused)
    moves = tuple(layout(fused.steps, sequence))
    arrays: dict[int, Axes] = {}
    peak, flops = 0, 0.0
    for move in moves:
        held = sum(volume(a) for a in arrays.values())
        for source in move.sources:
            del arrays[source]
        size_in, size_out = volume(move.axes_in), volume(move.axes_out)
        new = (size_in if len(move.sources) != 1 else 0) + (0 if move.in_place else size_out)
        peak = max(peak, held + new)
        flops += move.flops
        arrays[move.target] = move.axes_out
    if len(sequence) < len(fused.steps):
        peak, flops = MAX_ENTRIES, np.inf
    return Program(fused, moves, recipe(structure, fused), arrays, 8 * peak, flops)


def padded(matrix: Floats) -> Floats:
    """Return the matrices (count, rows, cols) with both sizes rounded up to multiples of 4."""
    count, rows, cols = matrix.shape
    wide = np.zeros((count, rows + -rows % 4, cols + -cols % 4))  # np.pad takes 40 us
    wide[:, :rows, :cols] = matrix
    return wide


def matrix_of(step: Step, matrices: dict[int, Floats], index: int) -> Floats:
    """Return the matrices of a step; forgetting a record is a row of ones."""
    return np.ones((1, 1, 2)) if step.total else matrices[index]


def run(prog: Program, matrices: dict[int, Floats], threads: int) -> dict[int, Floats]:
    """Return the arrays left at the end, flat, by number; independent of `threads`.

    Raises:
        UnsupportedError: No order keeps the arrays below 2^34 numbers.
    """
    if prog.flops == np.inf:
        raise UnsupportedError(
            f"The density operator must fit into {MAX_ENTRIES} numbers, but this circuit needs "
            f"more. Use engine='statevector'."
        )
    pool = ThreadPoolExecutor(threads) if threads > 1 and prog.bytes > 8 * SHARED else None
    try:
        arrays: dict[int, Floats] = {}
        for move in prog.moves:
            x = merged([arrays.pop(a) for a in move.sources])
            m = matrix_of(prog.fused.steps[move.step], matrices, move.step)
            arrays[move.target] = apply(move, m, x, pool, threads)
        return arrays
    finally:
        if pool:
            pool.shutdown()


def merged(arrays: list[Floats]) -> Floats:
    """Return the outer product of the arrays, flat."""
    x = np.ones(1) if not arrays else arrays[0]
    for other in arrays[1:]:
        x = np.multiply.outer(x, other).ravel()
    return x


def apply(
    move: Move, matrix: Floats, x: Floats, pool: ThreadPoolExecutor | None, threads: int
) -> Floats:
    """Return the array after one step; `x` is overwritten when the step works in place."""
    y = x if move.in_place else np.empty(volume(move.axes_out))
    wide, at = padded(matrix), move.positions
    for v in range(len(matrix)):
        spread(x, y, wide[v], at.outer, at.rows[v], at.cols[v], at.lanes, pool, threads)
    return y


def spread(
    x: Floats,
    y: Floats,
    matrix: Floats,
    outer: Indices,
    rows: Indices,
    cols: Indices,
    lanes: Indices,
    pool: ThreadPoolExecutor | None,
    threads: int,
) -> None:
    """Call `contract` on all blocks, in the pool when there is enough to do."""
    blocks = outer.shape[1]
    if pool is None or max(x.size, y.size) < SHARED or blocks < 2 * threads:
        contract(x, y, matrix, outer, rows, cols, lanes, 0, blocks)
        return
    # Large arrays in more parts than threads, so that a busy core does not hold up the other.
    parts = threads * (4 if x.size >= LARGE and blocks >= 8 * threads else 1)
    cuts = np.linspace(0, blocks, parts + 1).astype(int).tolist()
    jobs = [
        pool.submit(contract, x, y, matrix, outer, rows, cols, lanes, a, b)
        for a, b in pairwise(cuts)
    ]
    for job in jobs:
        job.result()
