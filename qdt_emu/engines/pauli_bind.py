"""Numbers for the `pauli` engine: each map as short lists of Pauli codes with weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines.density_bind import products
from qdt_emu.engines.pauli_program import PAIR, SWAPPED, Index, Link, Program
from qdt_emu.errors import UnsupportedError

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

ROUNDING = 1e-14  # matrix elements below are products of rounding


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps on observables, ready for `kernels.pauli.propagate`.

    Attributes:
        where: (first qubit or -1, second qubit, row), shape (k, 3), in the order of action.
        forks: Whether a map makes several strings of one, or one of several, shape (k,).
        tables: Matrices, orbits and what stays, see `kernels.pauli.Tables`.
        renames: Target and weight of each code, see `kernels.pauli.propagate`.
    """

    where: Index
    forks: NDArray[np.bool_]
    tables: tuple[Floats, Bytes, Bytes, Bytes]
    renames: tuple[Bytes, Floats]


def bind(prog: Program, values: Values, readout: Floats) -> Maps:
    """Return the maps of a program, with the readout of each qubit as the first map on it.

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
    order = np.lexsort((forks[maps[:, 2]], maps[:, 3]))
    maps = maps[order]
    target = np.abs(matrices).argmax(2)
    weight = np.take_along_axis(matrices, target[:, :, None], axis=2)[:, :, 0]
    return Maps(
        maps[:, :3].copy(),
        forks[maps[:, 2]],
        (matrices, *_orbits(matrices), _still(matrices)),
        (target.astype(np.uint8), weight.copy()),
    )


def refuse_draws(prog: Program, values: Values) -> None:
    """Refuse what changes from shot to shot, and third levels.

    Raises:
        UnsupportedError: Detuning during a dwell, or leakage.
    """
    slot, qubit = prog.dwells.T
    drifts = np.any(np.asarray(values.detuning)[qubit] != 0, axis=1)
    drifts &= np.asarray(values.dwell)[slot] != 0
    if drifts.any():
        raise UnsupportedError(
            f"`detuning` must be 0 in the engine 'pauli', but qubit {qubit[drifts][0]} drifts from "
            f"shot to shot. Use engine='statevector'."
        )
    if np.any(np.asarray(values.leakage)[prog.leaks]):
        raise UnsupportedError(
            "`leakage` must be 0 in the engine 'pauli', which has no third level, but a rate is "
            "not. Use engine='statevector'."
        )


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


def _still(matrices: Floats) -> Bytes:
    """Return which codes become themselves and nothing else, shape (rows, 16)."""
    still: Bytes = (np.abs(matrices - np.eye(16)).max(2) < ROUNDING).astype(np.uint8)
    return still


def _orbits(matrices: Floats) -> tuple[Bytes, Bytes]:
    """Return sizes (rows, 16) and members (rows, 16, 16) of the orbit of each code."""
    linked = (matrices != 0) | (matrices != 0).transpose(0, 2, 1) | np.eye(16, dtype=bool)
    for _ in range(4):  # paths of up to 16 steps
        linked = linked @ linked
    members = np.argsort(~linked, axis=2, kind="stable")
    return linked.sum(2).astype(np.uint8), members.astype(np.uint8)
