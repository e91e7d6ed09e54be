"""Binding: numbers enter the fused steps as one matrix each, by few batched products."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from types import ModuleType
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines.density_fuse import Factor, Fused, Read, Step

Array = Any
Index = NDArray[np.int64]

_BLOCK = {Kind.UNITARY: 2, Kind.RELAXATION: 3, Kind.PAULI: 4, Kind.RESET: 5, Kind.DWELL: 6}


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

    def row(self, key: Any) -> int:  # noqa: ANN401 - any hashable
        return self.setdefault(key, len(self))


def _buckets(keys: list[tuple[int, ...]]) -> tuple[list[Index], Index]:
    """Return keys as padded arrays by power-of-two length, and the new row of each key."""
    sizes = [1 << (max(len(k), 1) - 1).bit_length() for k in keys]
    out, rows, first = [], np.zeros(len(keys), np.int64), 0
    for size in sorted(set(sizes)):
        here = [i for i, s in enumerate(sizes) if s == size]
        block = np.zeros((len(here), size), np.int64)
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

    def _group(self, shape: Any, units: list[tuple[int, dict[int, int]]]) -> Group:  # noqa: ANN401
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
            np.array([self.core(s, bits) for s, (_, bits) in zip(steps, units, strict=True)]),
            tuple(None if x is None else np.array(x) for x in starts),
            tuple(None if x is None else np.array(x) for x in reads),
            ends,
            np.array([[self.fused.home[w] for w in s.wires] for s in steps]).T,
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
        return np.array(list(rows), np.int64).reshape(-1, width)

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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Amounts:
    """How much of each noise acts: 1 is all of it, 0 the ideal circuit (see `attribution`).

    A noise operation N becomes I + s (N - I); misreading, preparation and resets likewise.

    Attributes:
        operations: Shape (operations,).
        preparation: Shape (n_qubits,).
        pairs: Shape (paired readouts,).
        readout: Shape (n_qubits,), of the map that `estimate` is given.
    """

    operations: Array
    preparation: Array
    pairs: Array
    readout: Array


def bind(
    xp: ModuleType,
    rec: Recipe,
    values: Values,
    *,
    readout: Array | None = None,
    offsets: Array | None = None,
    amounts: Amounts | None = None,
) -> dict[int, Array]:
    """Return the matrix of each step, shape (control values, rows, columns).

    Args:
        xp: `numpy` or `jax.numpy`.
        rec: What to multiply.
        values: The numbers.
        readout: Measured operator of each qubit, shape (n_qubits, 2); `None` is (1, 0).
        offsets: Detuning of each qubit in Hz, shape (n_qubits,); `None` is no detuning.
        amounts: How much of each noise acts; `None` is all of it.
    """
    ones, twos = factors(xp, rec, values, offsets, amounts)
    if readout is not None and amounts is not None:
        readout = np.array([1.0, 0]) + amounts.readout[:, None] * (readout - np.array([1.0, 0]))
    runs = products(ones, rec.runs, xp)
    pairs = both(xp, [runs[rec.pairs[:, 0]], runs[rec.pairs[:, 1]]])
    chains = products(xp.concatenate([xp.eye(16)[None], twos, pairs]), rec.chains, xp)
    starts, reads, misreads = edges(xp, rec, values, amounts)
    out: dict[int, Array] = {}
    for g in rec.groups:
        units = _assemble(
            xp, g, (runs if g.qubits == 1 else chains)[g.core], starts, reads, readout
        )
        at = 0
        for k, n in g.steps:
            out[k] = units[at : at + n]
            at += n
    for k, row in rec.misreads:
        out[k] = misreads[row][None]
    return out


def factors(
    xp: ModuleType, rec: Recipe, values: Values, offsets: Array | None, amounts: Amounts | None
) -> tuple[Array, Array]:
    """Return the matrices of [identity, dephasing, single-qubit factors], and of the others."""
    offsets = xp.zeros(values.excited.shape[0]) if offsets is None else xp.asarray(offsets)
    angles = 2 * np.pi * offsets[rec.dwells[:, 1]] * values.dwell[rec.dwells[:, 0]]
    table, first = tables.one_qubit(xp, values, angles)
    block, slot, op = rec.ones.T
    ones = table[np.array(first)[block - 1] + slot]
    pairs, first = tables.two_qubit(xp, values)
    block2, slot2, op2, swapped = rec.twos.T
    twos = pairs[np.array(first)[block2] + slot2]
    if amounts is not None:
        ideal = xp.where((block == 5)[:, None, None], tables.reset(xp, xp.zeros(1)), np.eye(4))
        ones = _mix(xp, ideal, ones, amounts.operations[op], rec.noisy[op] | (block == 5))
        twos = _mix(xp, np.eye(16), twos, amounts.operations[op2], rec.noisy[op2])
    turned = twos[:, tables.SWAP][:, :, tables.SWAP]
    twos = xp.where((swapped == 1)[:, None, None], turned, twos)
    return xp.concatenate([table[:2], ones]), twos


def edges(
    xp: ModuleType, rec: Recipe, values: Values, amounts: Amounts | None
) -> tuple[Array, Array, Array]:
    """Return first states (k, 4), readings (k, 4, 2, 4) and pair confusion (k, 4, 4)."""
    slot, op = rec.starts.T
    both = xp.concatenate([values.excited, values.reset_excitation])
    excited = both[np.where(op < 0, slot, slot + values.excited.shape[0])]
    read_slot, read_op = rec.reads.T
    confusion = xp.concatenate([values.confusion, xp.zeros((1, 2))])[read_slot]
    misreads = values.pair_confusion
    if amounts is not None:
        share = xp.concatenate([amounts.operations, amounts.preparation])
        excited = excited * share[np.where(op < 0, slot + len(rec.noisy), op)]
        confusion = confusion * amounts.operations[read_op][:, None]
        misreads = misreads[: amounts.pairs.shape[0]] - np.eye(4)
        misreads = np.eye(4) + amounts.pairs[:, None, None] * misreads
    keep = np.zeros((2, 4, 2, 4))
    keep[0, :, 0], keep[1, :, 1] = np.eye(4), np.eye(4)
    reads = xp.concatenate([xp.asarray(keep), tables.reading(xp, confusion)])
    return tables.state(xp, excited), reads, misreads


def _mix(xp: ModuleType, ideal: Array, noisy: Array, share: Array, noise: Array) -> Array:
    """Return ideal + share * (noisy - ideal) where the operation is noise."""
    mixed = ideal + share[:, None, None] * (noisy - ideal)
    return xp.where(noise[:, None, None], mixed, noisy)


def products(table: Array, buckets: list[Index], xp: ModuleType = np) -> Array:
    """Return the products of the rows of each key, first row rightmost, by a tree."""
    done = [table[:0]]
    for rows in buckets:
        part = table[rows]
        while part.shape[1] > 1:
            part = part[:, 1::2] @ part[:, 0::2]
        done.append(part[:, 0])
    return xp.concatenate(done)


def _assemble(
    xp: ModuleType, g: Group, core: Array, starts: Array, reads: Array, readout: Array | None
) -> Array:
    """Return the core with first states, kept components and measurements attached."""
    lefts = [ending(xp, g, w, reads, readout) for w in range(g.qubits)]
    rights = [None if rows is None else starts[rows][:, :, None] for rows in g.starts]
    if any(m is not None for m in lefts):
        core = both(xp, lefts) @ core
    if any(m is not None for m in rights):
        core = core @ both(xp, rights)
    return core


def both(xp: ModuleType, parts: list[Array | None]) -> Array:
    """Return the Kronecker product of one matrix per wire; None is the identity."""
    full = [xp.eye(4)[None] if m is None else m for m in parts]
    if len(full) == 1:
        return full[0]
    a, b = full
    units = max(a.shape[0], b.shape[0])
    size = (units, a.shape[1] * b.shape[1], a.shape[2] * b.shape[2])
    return (a[:, :, None, :, None] * b[:, None, :, None, :]).reshape(size)


def ending(xp: ModuleType, g: Group, w: int, reads: Array, readout: Array | None) -> Array | None:
    """Return what ends a wire, shape (units, rows, 4), or None where it just goes on."""
    rows = g.reads[w]
    keep = kept(xp, g, w, readout) if g.ends[w] else None
    if rows is None:
        return keep
    left = reads[rows]
    if keep is not None:
        left = xp.einsum("ukq,uqri->ukri", keep, left)
    return left.reshape(len(g.core), -1, 4)


def kept(xp: ModuleType, g: Group, w: int, readout: Array | None) -> Array:
    """Return the kept components of a wire as measured, shape (units, components, 4)."""
    codes = np.array(g.ends[w])
    rows = xp.zeros((len(g.core), len(codes), 4)) + np.eye(4)[codes]
    if readout is None:
        return rows
    scale = xp.asarray(readout)[g.homes[w]]
    measured = scale[:, :1, None] * rows + scale[:, 1:, None] * np.eye(4)[0]
    return xp.where((codes > 0)[None, :, None], measured, rows)
