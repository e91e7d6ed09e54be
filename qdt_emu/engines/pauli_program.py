"""The program of the `pauli` engine: maps on one or two qubits, latest first."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.refusals import Draws, draws
from qdt_emu.errors import UnsupportedError

Index = NDArray[np.int64]
Link = tuple[int, int, int]
"""A factor of a map: (block of tables, slot, swapped), or (PAIR, row of `pairs`, 0)."""

# Blocks of `density_tables.one_qubit` and `two_qubit`, whose first row is put before them.
ONE = {Kind.MEASURE: 0, Kind.UNITARY: 1, Kind.RELAXATION: 2, Kind.PAULI: 3, Kind.RESET: 4}
TWO = {Kind.UNITARY: 1, Kind.PAULI: 2}
SWAPPED, PAIR = 2, 5
"""Blocks of two-qubit tables are: identity, unitaries, Pauli channels, both swapped, pairs."""
DEPHASE = (0, 1, 0)


@dataclass(frozen=True, eq=False)
class Program:
    """Which factors make each map, and where and when the maps act.

    A map is a product of operations on one qubit, or of those on one pair as long as no third qubit
    takes part. Maps with the same factors share a row.

    Attributes:
        n_qubits: Number of qubits.
        runs: Factors of each single-qubit product as (block, slot, 0), earliest first.
        pairs: Runs on the first and on the second qubit of a pair, shape (k, 2).
        chains: Factors of each two-qubit product, earliest first.
        maps: (first qubit or -1, second qubit, row, level), shape (k, 4), latest first. Rows count
            runs, then chains. Maps of a level share no qubit; observables meet level 1 first.
        draws: Where numbers may ask for a draw per shot.
    """

    n_qubits: int
    runs: tuple[tuple[Link, ...], ...]
    pairs: Index
    chains: tuple[tuple[Link, ...], ...]
    maps: Index
    draws: Draws


def refusal(structure: Structure) -> str:
    """Return why the engine cannot run a circuit, or nothing."""
    for op in structure.operations:
        if op.conditions:
            return (
                f"Operations must not depend on measured bits, but one on qubit {op.qubits[0]} "
                f"depends on clbit {op.conditions[0].clbits[0]}. Use engine='statevector'."
            )
    return ""


def program(structure: Structure) -> Program:
    """Return the program of a structure.

    Raises:
        UnsupportedError: An operation depends on measured bits.
    """
    if why := refusal(structure):
        raise UnsupportedError(f"Engine 'pauli' refuses the circuit: {why}")
    build = _Builder(structure.n_qubits)
    for op in structure.operations:
        build.add(op)
    for q in range(structure.n_qubits):
        build.close(q)
    runs: dict[tuple[Link, ...], int] = {}
    pairs: dict[tuple[int, int], int] = {}
    chains: dict[tuple[Link, ...], int] = {}
    kept: list[tuple[tuple[int, ...], int]] = []
    for qubits, factors in build.maps:
        if len(qubits) == 1:
            row = runs.setdefault(tuple(factors[0]), len(runs))
        else:
            links: list[Link] = []
            for k in range(0, len(factors), 3):
                alone = [runs.setdefault(tuple(f), len(runs)) for f in factors[k : k + 2]]
                if factors[k] or factors[k + 1]:
                    pair = pairs.setdefault((alone[0], alone[1]), len(pairs))
                    links.append((PAIR, pair, 0))
                links += factors[k + 2]
            row = chains.setdefault(tuple(links), len(chains))
        kept.append((qubits, row))
    return Program(
        structure.n_qubits,
        tuple(runs),
        _rows(pairs, 2),
        tuple(chains),
        _levelled(structure.n_qubits, kept, len(runs)),
        draws(structure),
    )


class _Builder:
    """Collects operations into maps.

    The factors of a two-qubit map are triples: those on the first qubit alone, those on the second
    alone, and what follows on both.
    """

    def __init__(self, n_qubits: int) -> None:
        self.maps: list[tuple[tuple[int, ...], list[list[Link]]]] = []
        self.waiting: list[list[Link]] = [[] for _ in range(n_qubits)]
        self.last = [-1] * n_qubits

    def add(self, op: Operation) -> None:
        """Take the next operation in time."""
        if op.kind in (Kind.DWELL, Kind.LEAK):
            return  # the engine refuses those that do anything
        if len(op.qubits) == 1:
            link = DEPHASE if op.kind is Kind.MEASURE else (ONE[op.kind], op.slot, 0)
            self.waiting[op.qubits[0]].append(link)
            return
        a, b = op.qubits
        k = self.last[a]
        if k >= 0 and k == self.last[b]:
            first, second = self.maps[k][0]
            factors = self.maps[k][1]
            if self.waiting[first] or self.waiting[second]:
                factors += [self.waiting[first], self.waiting[second], []]
                self.waiting[first], self.waiting[second] = [], []
        else:
            self.close(a)
            self.close(b)
            first, factors = a, [[], [], []]
            self.last[a] = self.last[b] = len(self.maps)
            self.maps.append(((a, b), factors))
        swapped = int(first != a)
        factors[-1].append((TWO[op.kind], op.slot, swapped))

    def close(self, q: int) -> None:
        """Make a map of what waits on a qubit."""
        if self.waiting[q]:
            self.maps.append(((q,), [self.waiting[q]]))
            self.waiting[q] = []


def _rows(items: Iterable[tuple[int, ...]], width: int) -> Index:
    return np.array(list(items), np.int64).reshape(-1, width)


def _levelled(n_qubits: int, maps: list[tuple[tuple[int, ...], int]], runs: int) -> Index:
    """Return maps, latest first, with the level at which they act on an observable."""
    depth = [0] * n_qubits
    out = []
    for qubits, row in reversed(maps):
        level = 1 + max(depth[q] for q in qubits)
        for q in qubits:
            depth[q] = level
        if len(qubits) == 1:
            out.append((-1, qubits[0], row, level))
        else:
            out.append((qubits[0], qubits[1], runs + row, level))
    return _rows(out, 4)
