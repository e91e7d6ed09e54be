"""Derivatives of a linear functional of the final arrays with respect to every step's matrix."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.density_order import Move, volume
from qdt_emu.engines.density_run import Program, apply, matrix_of, merged, padded, spread
from qdt_emu.kernels.density import overlap

Floats = NDArray[np.float64]

CHUNKS = 8  # partial sums of a derivative: fixed, so that threads do not change its rounding


def pull_back(
    prog: Program, matrices: dict[int, Floats], weights: Floats, threads: int
) -> tuple[float, dict[int, Floats]]:
    """Return the functional and its derivative with respect to the matrix of each step.

    The functional is the inner product of `weights` with the outer product of the final arrays, in
    the order of `prog.arrays`. One forward sweep keeps the arrays at about sqrt(steps) places; the
    backward (Heisenberg) sweep recomputes what lies between.

    Args:
        prog: What to run.
        matrices: From `bind`.
        weights: Shape (product of the sizes of the final arrays,).
        threads: Threads of the kernels.

    Returns:
        Value, and for each step an array of the shape of its matrix.

    Cost:
        Two forward sweeps, one backward, one overlap per step: about 4.5 forward sweeps.
    """
    moves = prog.moves
    stride = max(1, round(len(moves) ** 0.5))
    cuts = [*range(0, len(moves), stride), len(moves)]
    with ThreadPoolExecutor(threads) as pool:
        held: dict[int, Floats] = {}
        saved: list[dict[int, Floats]] = []
        for first, last in pairwise(cuts):
            saved.append({k: a.copy() for k, a in held.items()})
            _forward(prog, moves[first:last], matrices, held, pool, threads)
        value, back = _ends(prog, held, weights)
        slopes: dict[int, Floats] = {}
        for first, held in zip(cuts[-2::-1], saved[::-1], strict=True):
            part = moves[first : first + stride]
            tape = _forward(prog, part, matrices, held, pool, threads, keep=True)
            for move, (x, sources) in zip(part[::-1], tape[::-1], strict=True):
                m = matrix_of(prog.fused.steps[move.step], matrices, move.step)
                y = back.pop(move.target)
                slopes[move.step] = _slope(move, m, x, y, pool)
                if not move.sources:
                    continue
                z = _transposed(move, m, y, pool, threads)
                for source, d in zip(move.sources, _unmerged(sources, z), strict=True):
                    back[source] = d
    return value, slopes


Tape = list[tuple[Floats, list[Floats]]]


def _forward(
    prog: Program,
    moves: tuple[Move, ...],
    matrices: dict[int, Floats],
    held: dict[int, Floats],
    pool: ThreadPoolExecutor,
    threads: int,
    *,
    keep: bool = False,
) -> Tape:
    """Advance `held` by some steps; keep the input of each when asked."""
    tape: Tape = []
    for move in moves:
        sources = [held.pop(a) for a in move.sources]
        x = merged(sources)
        if keep:
            tape.append((x.copy() if move.in_place else x, sources if len(sources) > 1 else []))
        m = matrix_of(prog.fused.steps[move.step], matrices, move.step)
        held[move.target] = apply(move, m, x, pool, threads)
    return tape


def _ends(
    prog: Program, arrays: dict[int, Floats], weights: Floats
) -> tuple[float, dict[int, Floats]]:
    """Return the functional and its derivative with respect to each final array."""
    finals = [arrays[k] for k in prog.arrays]
    parts = _unmerged(finals, weights)
    value = float(parts[0] @ finals[0]) if finals else float(weights[0])
    return value, dict(zip(prog.arrays, parts, strict=True))


def _unmerged(sources: list[Floats], back: Floats) -> list[Floats]:
    """Return the derivative with respect to each factor of an outer product."""
    if len(sources) < 2:
        return [back]
    out = []
    for k in range(len(sources)):
        before, after = merged(sources[:k]), merged(sources[k + 1 :])
        view = back.reshape(before.size, sources[k].size, after.size)
        out.append(np.einsum("a,abc,c->b", before, view, after, optimize=True))
    return out


def _transposed(
    move: Move, matrix: Floats, y: Floats, pool: ThreadPoolExecutor, threads: int
) -> Floats:
    """Return the derivative with respect to the input: the step's matrix transposed."""
    x = np.empty(volume(move.axes_in))
    wide = padded(np.swapaxes(matrix, -1, -2))
    at = move.positions
    outer, lanes = at.outer[::-1].copy(), at.lanes[::-1].copy()
    for v in range(len(matrix)):
        spread(y, x, wide[v], outer, at.cols[v], at.rows[v], lanes, pool, threads)
    return x


def _slope(move: Move, matrix: Floats, x: Floats, y: Floats, pool: ThreadPoolExecutor) -> Floats:
    """Return the derivative with respect to the step's matrix."""
    out = np.zeros_like(matrix)
    at = move.positions
    blocks = at.outer.shape[1]
    cuts = np.linspace(0, blocks, min(CHUNKS, blocks) + 1).astype(int).tolist()
    for v in range(len(matrix)):
        args = (x, y, at.outer, at.rows[v], at.cols[v], at.lanes)
        jobs = [pool.submit(overlap, *args, a, b) for a, b in pairwise(cuts)]
        for job in jobs:
            out[v] += job.result()[: out.shape[1], : out.shape[2]]
    return out
