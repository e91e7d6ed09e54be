"""Numbers for the `pauli` engine: each map as short lists of Pauli codes with weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines.density_bind import products
from qdt_emu.engines.pauli_program import PAIR, SWAPPED, Index, Link, Program

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

ROUNDING = 1e-14  # matrix elements below are products of rounding


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps on observables, ready for `kernels.pauli.propagate`.

    Attributes:
        where: (first qubit or -1, second qubit, row), shape (k, 3), in the order of action.
        forks: Whether a map makes several strings of one, or one of several, shape (k,).
        tables: Matrices and what follows from them, see `kernels.pauli.Tables`.
    """

    where: Index
    forks: NDArray[np.bool_]
    tables: tuple[Floats, Bytes, Bytes, Floats]


def bind(prog: Program, values: Values, readout: Floats) -> Maps:
    """Return the maps of a program, with the readout of each qubit as the first map on it.

    Maps on one qubit become part of a map on two that branches anyway, next to them; beside a
    Clifford gate they stay alone, for then it only renames.

    Args:
        prog: Which factors make each map.
        values: The numbers.
        readout: Measured operator of each qubit, shape (n_qubits, 2), see `Engine.estimate`.

    Error:
        Rounding; matrix elements below 1e-14 are 0.
    """
    matrices = _matrices(prog, values)
    misread = np.flatnonzero(np.any(readout != [1.0, 0.0], axis=1))
    first = np.zeros((len(misread), 16, 16))
    first[:, range(4), range(4)] = readout[misread, :1]
    first[:, 1:4, 0] = readout[misread, 1:]
    first[:, 0, 0] = 1.0
    rows = len(matrices) + np.arange(len(misread))
    reading = np.stack([np.full(len(misread), -1), misread, rows, np.zeros(len(misread))], 1)
    maps = np.concatenate([reading.astype(np.int64), prog.maps])
    matrices = np.concatenate([matrices, first])
    matrices[np.abs(matrices) < ROUNDING] = 0.0
    forks = _forks(matrices)
    maps = maps[np.lexsort((forks[maps[:, 2]], maps[:, 3]))]
    maps, matrices = _absorbed(maps, matrices, forks)
    forks = _forks(matrices)
    target = np.abs(matrices).argmax(2)
    weight = np.take_along_axis(matrices, target[:, :, None], axis=2)[:, :, 0]
    return Maps(
        maps[:, :3].copy(),
        forks[maps[:, 2]],
        (matrices, moving(matrices), target.astype(np.uint8), weight.copy()),
    )


def _absorbed(maps: Index, matrices: Floats, forks: NDArray[np.bool_]) -> tuple[Index, Floats]:
    """Return maps and matrices after single-qubit maps went into pairs that branch.

    A single goes into the next such pair on its qubit, or else into the one before it, if no other
    map on its qubit lies between.
    """
    singles = np.flatnonzero(maps[:, 0] < 0).tolist()
    if not singles:
        return maps, matrices
    before, behind = _neighbours(maps)
    mixing = forks[maps[:, 2]] & (maps[:, 0] >= 0)
    # Row 0 of `parts` is none; sides: first before, first behind, second before, second behind.
    sides = np.full((len(maps), 4), -1, np.int64)
    gone = np.zeros(len(maps), bool)
    for m in singles:
        q, row = maps[m, 1], maps[m, 2]
        for k, late in ((behind[m], 0), (before[m], 1)):
            if k >= 0 and mixing[k] and sides[k, side := 2 * (maps[k, 1] == q) + late] < 0:
                sides[k, side] = row
                gone[m] = True
                break
    kept = np.flatnonzero(~gone)
    what = np.column_stack([maps[kept, 2], sides[kept]])
    rows, which = np.unique(what, axis=0, return_inverse=True)
    out = matrices[rows[:, 0]]
    single = np.concatenate([matrices[:, :4, :4], np.eye(4)[None]])
    for late in (0, 1):
        some = np.flatnonzero(np.any(rows[:, [1 + late, 3 + late]] >= 0, axis=1))
        a, b = single[rows[some, 1 + late]], single[rows[some, 3 + late]]
        both = np.einsum("kij,kab->kiajb", a, b).reshape(-1, 16, 16)
        out[some] = out[some] @ both if late else both @ out[some]
    out[np.abs(out) < ROUNDING] = 0.0
    new = maps[kept].copy()
    new[:, 2] = which.ravel()
    return new, out


def _neighbours(maps: Index) -> tuple[list[int], list[int]]:
    """Return the map before and behind each single-qubit map on its qubit, or -1."""
    before, behind = [-1] * len(maps), [-1] * len(maps)
    last: dict[int, int] = {}
    for m, (a, b) in enumerate(maps[:, :2].tolist()):
        for q in (a, b):
            if q < 0:
                continue
            k = last.get(q, -1)
            if a < 0:
                before[m] = k
            if k >= 0 and maps[k, 0] < 0:
                behind[k] = m
            last[q] = m
    return before, behind


def _matrices(prog: Program, values: Values) -> Floats:
    """Return R[i, j] of <P_i> after = sum_j R[i, j] <P_j> before, shape (rows, 16, 16).

    A single-qubit map fills the upper left 4 x 4 of its matrix.
    """
    table, first = tables.one_qubit(np, values, np.zeros(0))
    runs = _product(np.asarray(table), first, prog.runs)
    two, _ = tables.two_qubit(np, values)
    turned = two[:, tables.SWAP][:, :, tables.SWAP]
    a, b = runs[prog.pairs[:, 0]], runs[prog.pairs[:, 1]]
    pairs = np.einsum("kij,kab->kiajb", a, b).reshape(-1, 16, 16)
    k, n = len(values.unitaries2), len(two)
    starts = [0, 1, 1 + k, 1 + n, 1 + n + k, 1 + 2 * n]
    chains = _product(np.concatenate([np.eye(16)[None], two, turned, pairs]), starts, prog.chains)
    out = np.zeros((len(runs) + len(chains), 16, 16))
    out[: len(runs), :4, :4] = runs
    out[len(runs) :] = chains
    return out


def _product(table: Floats, starts: Sequence[int], rows: tuple[tuple[Link, ...], ...]) -> Floats:
    """Return the product of each row's factors, the first factor rightmost."""
    out = np.empty((len(rows), *table.shape[1:]))
    by_length: dict[int, list[int]] = {}
    for k, links in enumerate(rows):
        by_length.setdefault(1 << max(len(links) - 1, 0).bit_length(), []).append(k)
    for length, members in by_length.items():
        index = np.zeros((len(members), length), np.int64)  # row 0 is the identity
        for i, k in enumerate(members):
            for j, (block, slot, swapped) in enumerate(rows[k]):
                shift = SWAPPED * swapped if block != PAIR else 0
                index[i, j] = starts[block + shift] + slot
        out[members] = products(table, [index.astype(np.int32)])
    return out


def _forks(matrices: Floats) -> NDArray[np.bool_]:
    """Return which maps do more than rename: two elements in a row or in a column."""
    there = matrices != 0
    forks: NDArray[np.bool_] = (there.sum(1).max(1) > 1) | (there.sum(2).max(1) > 1)
    return forks


def moving(matrices: Floats) -> Bytes:
    """Return which codes become something else, or something else them, shape (rows, 16).

    What a map adds to I is left out: such strings are too many to look at each.
    """
    change: NDArray[np.bool_] = np.abs(matrices - np.eye(16)) > ROUNDING
    out = np.zeros(matrices.shape[:2], np.uint8)
    out[:, 1:] = change[:, 1:].any(2) | change[:, 1:, 1:].any(1)
    return out
