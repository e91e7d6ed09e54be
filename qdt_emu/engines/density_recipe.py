"""The recipe of a program: which rows of which table make the matrix of which step."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure
from qdt_emu.engines.density_fuse import Factor, Fused, Read, Step

# 32 bits, because JAX in single precision cannot index with more.
Index = NDArray[np.int32]

_BLOCK = {Kind.UNITARY: 1, Kind.RELAXATION: 2, Kind.PAULI: 3, Kind.RESET: 4, Kind.DWELL: 5}
RESET = _BLOCK[Kind.RESET]


@dataclass(frozen=True, eq=False)
class Group:
    """Units of the same shape: one unit for each control value of each step.

    Attributes:
        steps: (step, number of units) in order.
        qubits: Number of qubit wires.
        core: Product of each unit, rows of the runs (one wire) or of the chains (two).
        starts: For each wire, rows of the start table, or None.
        reads: For each wire, rows of the reading table, or None.
        ends: For each wire, the kept Pauli codes; () goes on.
        homes: For each wire, its qubit in each unit.
    """

    steps: list[tuple[int, int]]
    qubits: int
    core: Index
    starts: tuple[Index | None, ...]
    reads: tuple[Index | None, ...]
    ends: tuple[tuple[int, ...], ...]
    homes: Index


@dataclass(frozen=True, eq=False)
class Recipe:
    """Which rows of which table are multiplied in which order.

    Attributes:
        ones: (kind's block, slot, operation) of each single-qubit factor, shape (k, 3).
        dwells: (slot, qubit, operation) of each dwell, shape (k, 3).
        twos: (kind's block, slot, operation, swapped) of each two-qubit factor, shape (k, 4).
        runs: Rows of the factors (0 is the identity), one array (runs, length) per length.
        pairs: Run on the first and on the second wire, shape (k, 2).
        chains: Rows of [identity, two-qubit factors, pairs], one array per length.
        starts: (reset slot or qubit, operation or -1 for a qubit), shape (k, 2).
        reads: (confusion slot or -1 when perfect, operation), shape (k, 2).
        groups: Units by shape.
        misreads: (step, row of `pair_confusion`).
        noisy: Whether each operation is noise, shape (operations,).
    """

    ones: Index
    dwells: Index
    twos: Index
    runs: list[Index]
    pairs: Index
    chains: list[Index]
    starts: Index
    reads: Index
    groups: list[Group]
    misreads: list[tuple[int, int]]
    noisy: NDArray[np.bool_]


class _Rows(dict[Any, int]):
    """Numbers keys in order of first use."""

    def row(self, key: Any) -> int:
        return self.setdefault(key, len(self))


def _buckets(keys: list[tuple[int, ...]]) -> tuple[list[Index], Index]:
    """Return keys as padded arrays by power-of-two length, and the new row of each key."""
    sizes = [1 << (max(len(k), 1) - 1).bit_length() for k in keys]
    out, rows, first = [], np.zeros(len(keys), np.int32), 0
    for size in sorted(set(sizes)):
        here = [i for i, s in enumerate(sizes) if s == size]
        block = np.zeros((len(here), size), np.int32)
        for j, i in enumerate(here):
            block[j, : len(keys[i])] = keys[i]
            rows[i] = first + j
        out.append(block)
        first += len(here)
    return out, rows


class _Cook:
    """Writes the recipe while going through the steps once."""

    def __init__(self, structure: Structure, fused: Fused) -> None:
        self.structure, self.fused = structure, fused
        self.ones, self.twos, self.runs, self.pairs, self.chains = (_Rows() for _ in range(5))
        self.dwells, self.starts, self.reads = _Rows(), _Rows(), _Rows()
        self.paired = {c for pair in structure.paired_readout for c in pair}

    def one(self, factor: Factor) -> int:
        """Return the row of a single-qubit factor."""
        op = self.structure.operations[factor.operation]
        if factor.dephase:
            return 1
        if op.kind is Kind.DWELL:
            slot = self.dwells.row((op.slot, op.qubits[0], factor.operation))
            return 2 + self.ones.row((_BLOCK[op.kind], slot, factor.operation))
        return 2 + self.ones.row((_BLOCK[op.kind], op.slot, factor.operation))

    def core(self, step: Step, bits: dict[int, int]) -> int:
        """Return the run (one wire) or chain (two wires) of a step, given its control bits."""
        acting = [f for f in step.factors if all(t.holds(bits) for t in f.tests)]
        if len(step.wires) == 1:
            return self.runs.row(tuple(self.one(f) for f in acting))
        chain: list[tuple[str, int]] = []
        open_runs: tuple[list[int], list[int]] = ([], [])
        for f in acting:
            if len(f.wires) == 1:
                open_runs[step.wires.index(f.wires[0])].append(self.one(f))
                continue
            self._close(chain, open_runs)
            op = self.structure.operations[f.operation]
            swapped = int(f.wires != step.wires)
            block = 0 if op.kind is Kind.UNITARY else 1
            chain.append(("two", self.twos.row((block, op.slot, f.operation, swapped))))
        self._close(chain, open_runs)
        return self.chains.row(tuple(chain))

    def _close(self, chain: list[tuple[str, int]], runs: tuple[list[int], list[int]]) -> None:
        if runs[0] or runs[1]:
            both = (self.runs.row(tuple(runs[0])), self.runs.row(tuple(runs[1])))
            chain.append(("pair", self.pairs.row(both)))
            runs[0].clear()
            runs[1].clear()

    def start(self, start: int) -> int:
        """Return the row of a wire's first state."""
        n = self.structure.n_qubits
        if start < n:
            return self.starts.row((start, -1))
        return self.starts.row((self.structure.operations[start - n].slot, start - n))

    def read(self, read: Read, bits: dict[int, int]) -> int:
        """Return the row of a measurement; rows 0 and 1 leave the bit as it was."""
        if not all(t.holds(bits) for t in read.tests):
            return bits.get(read.old, 0)
        op = self.structure.operations[read.operation]
        perfect = op.clbit in self.paired and read.record in self.fused.final
        return 2 + self.reads.row((-1 if perfect else op.slot, read.operation))

    def groups(self) -> list[Group]:
        """Return the units of all steps, those of one shape together."""
        shapes: dict[Any, list[tuple[int, dict[int, int]]]] = {}
        for k, step in enumerate(self.fused.steps):
            if step.pair >= 0 or step.total:
                continue
            shape = (
                tuple(s >= 0 for s in step.starts),
                tuple(r is not None for r in step.reads),
                tuple(step.ends),
            )
            for v in product((0, 1), repeat=len(step.controls)):
                bits = dict(zip(step.controls, v, strict=True))
                shapes.setdefault(shape, []).append((k, bits))
        return [self._group(shape, units) for shape, units in shapes.items()]

    def _group(self, shape: Any, units: list[tuple[int, dict[int, int]]]) -> Group:
        begins, measured, ends = shape
        steps = [self.fused.steps[k] for k, _ in units]
        starts = [
            [self.start(s.starts[w]) for s in steps] if b else None for w, b in enumerate(begins)
        ]
        reads = [
            [
                self.read(read, bits)
                for s, (_, bits) in zip(steps, units, strict=True)
                if (read := s.reads[w]) is not None
            ]
            if yes
            else None
            for w, yes in enumerate(measured)
        ]
        return Group(
            _runs_of(units),
            len(begins),
            np.array([self.core(self.fused.steps[k], bits) for k, bits in units], np.int32),
            tuple(None if x is None else np.array(x, np.int32) for x in starts),
            tuple(None if x is None else np.array(x, np.int32) for x in reads),
            ends,
            np.array([[self.fused.home[w] for w in s.wires] for s in steps], np.int32).T,
        )


def _runs_of(units: list[tuple[int, dict[int, int]]]) -> list[tuple[int, int]]:
    """Return (step, number of its units)."""
    count: dict[int, int] = {}
    for k, _ in units:
        count[k] = count.get(k, 0) + 1
    return list(count.items())


def recipe(structure: Structure, fused: Fused) -> Recipe:
    """Return the order of the products for every step."""
    cook = _Cook(structure, fused)
    groups = cook.groups()
    first = {"two": 1, "pair": 1 + len(cook.twos)}
    chains, chain_row = _buckets([tuple(first[w] + r for w, r in c) for c in cook.chains])
    runs, run_row = _buckets(list(cook.runs))
    rows = {1: run_row, 2: chain_row}
    groups = [replace(g, core=rows[g.qubits][g.core]) for g in groups]

    def table(rows: Iterable[Any], width: int) -> Index:
        return np.array(list(rows), np.int32).reshape(-1, width)

    return Recipe(
        ones=table(cook.ones, 3),
        dwells=table(cook.dwells, 3),
        twos=table(cook.twos, 4),
        runs=runs,
        pairs=run_row[table(cook.pairs, 2)],
        chains=chains,
        starts=table(cook.starts, 2),
        reads=table(cook.reads, 2),
        groups=groups,
        misreads=[(k, s.pair) for k, s in enumerate(fused.steps) if s.pair >= 0],
        noisy=np.array([op.mechanism != "ideal" for op in structure.operations], bool),
    )
