"""Circuits compiled for the statevector kernels: flat arrays, independent of all values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines.statevector_blocks import (
    PREPARE,
    Block,
    Item,
    On,
    gather,
    last_measurements,
    observed,
)
from qdt_emu.engines.statevector_order import Layout, arrange
from qdt_emu.kernels.trajectory import Blocks, Numbers

Ints = NDArray[np.int64]
_CODED = (Kind.RELAXATION, Kind.PAULI, Kind.RESET, Kind.LEAK, PREPARE)


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled circuit.

    Attributes:
        blocks: Static arrays of the kernels; `varying` without detuning.
        layout: Where the qubits stand.
        leaf: Measurements sampled at the end: (qubit, position, clbit, slot), shape (k, 4).
        columns: (kind, qubits, slot) of each column of random codes, shape (columns, 3).
        numbers: Item of each column, shape (columns,).
        owner: Block of each column, and the number of blocks at the end, shape (columns + 1,).
        dwells: (block, qubit, item) of each dwell, shape (k, 3).
        qubits: Number of qubits of the circuit.
        clbits: Number of its classical bits.
    """

    blocks: Blocks
    layout: Layout
    leaf: Ints
    columns: Ints
    numbers: Ints
    owner: Ints
    dwells: Ints
    qubits: int
    clbits: int


def compile_program(
    structure: Structure,
    *,
    early: bool,
    kept: frozenset[int] = frozenset(),
    pinned: int = 0,
) -> Program:
    """Return the program of a circuit.

    Args:
        structure: The circuit.
        early: Measure every qubit as soon as it is finished and drop it from the state; otherwise
            the last measurements are sampled together from the final state.
        kept: Qubits that must be in the state at the end.
        pinned: Number of qubits that stay in the state from start to end, at the lowest bits; with
            any, no qubit ever leaves.
    """
    operations = observed(structure, kept)
    final = [] if early or kept else last_measurements(operations)
    skipped = {id(op) for op in final}
    kept = kept | {op.qubits[0] for op in final}
    blocks = gather(structure, [op for op in operations if id(op) not in skipped], kept)
    first = tuple(dict.fromkeys(q for b in blocks for q in b.qubits))[:pinned]
    layout = arrange(blocks, structure.n_qubits, pinned=first, leave=not pinned)
    paired = {c for pair in structure.paired_readout for c in pair}
    leaf = [
        (q, layout.final[q], op.clbit, -1 if op.clbit in paired else op.slot)
        for op in final
        for q in op.qubits
    ]
    ordered = [blocks[k] for k in layout.order]
    return flatten(structure, ordered, layout, np.array(leaf, np.int64).reshape(-1, 4))


def flatten(structure: Structure, blocks: list[Block], layout: Layout, leaf: Ints) -> Program:
    """Return the arrays of blocks that are already in order."""
    items = [(k, i) for k, block in enumerate(blocks) for i in block.items]
    coded = [j for j, (_, i) in enumerate(items) if i.kind in _CODED]
    code = np.full(len(items), -1, np.int64)
    code[coded] = np.arange(len(coded))
    owner = np.array([items[j][0] for j in coded] + [len(blocks)], np.int64)
    conditions = [c for _, i in items for c in i.conditions]
    columns = [(items[j][1].kind, len(items[j][1].qubits), items[j][1].slot) for j in coded]
    dwells = [(k, i.qubits[0], j) for j, (k, i) in enumerate(items) if i.kind == Kind.DWELL]
    item = _offsets([len(b.items) for b in blocks])
    varying = item[1:].copy()
    for j, (k, i) in enumerate(items):
        if _varies(i):
            varying[k] = min(varying[k], j)
    arrays = Blocks(
        qubits=np.array([(*b.qubits, -1)[:2] for b in blocks], np.int64).reshape(-1, 2),
        bits=np.array(layout.bits, np.int64).reshape(-1, 4),
        groups=np.array(
            [_groups(b, w) for b, w in zip(layout.bits, layout.widths, strict=False)], np.int64
        ),
        item=item,
        column=np.searchsorted(owner, np.arange(len(blocks) + 1)).astype(np.int64),
        varying=varying,
        kind=np.array([i.kind for _, i in items], np.int64),
        on=np.array([_on(blocks[k], i) for k, i in items], np.int64),
        slot=np.array([i.slot for _, i in items], np.int64),
        code=code,
        clbit=np.array([i.clbit for _, i in items], np.int64),
        condition=_offsets([len(i.conditions) for _, i in items]),
        value=np.array([c.value for c in conditions], np.int64),
        equal=np.array([c.equal for c in conditions], np.int64),
        clbits=_offsets([len(c.clbits) for c in conditions]),
        conditioned=np.array([b for c in conditions for b in c.clbits], np.int64),
    )
    return Program(
        arrays,
        layout,
        leaf,
        np.array(columns, np.int64).reshape(-1, 3),
        np.array(coded, np.int64),
        owner,
        np.array(dwells, np.int64).reshape(-1, 3),
        structure.n_qubits,
        structure.n_clbits,
    )


def _varies(item: Item) -> bool:
    """Return whether an item differs from shot to shot even without an event."""
    return item.kind in (Kind.MEASURE, Kind.RESET) or bool(item.conditions)


def _on(block: Block, item: Item) -> int:
    """Return which qubits of the block the item acts on."""
    if len(item.qubits) == 2:
        return On.PAIR if item.qubits == block.qubits else On.SWAPPED
    return On(block.qubits.index(item.qubits[0]))


def _groups(bits: tuple[int, int, int, int], width: int) -> int:
    """Return 2 ** (active qubits that are not in the block), at most 2**62."""
    return 1 << min(62, width - (bits[0] >= 0) - (bits[1] >= 0))


def _offsets(counts: list[int]) -> Ints:
    """Return where each run of `counts` starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.array(counts, np.int64))]).astype(np.int64)


def tables(values: Values, blocks: int) -> Numbers:
    """Return the tables that the kernels read, in double precision; `prefix` is still empty."""
    return Numbers(
        np.ascontiguousarray(values.unitaries1, np.complex128),
        np.ascontiguousarray(values.unitaries2, np.complex128),
        np.ascontiguousarray(values.relaxation, np.float64),
        np.ascontiguousarray(values.confusion, np.float64),
        np.ascontiguousarray(values.dwell, np.float64),
        np.zeros((blocks, 4, 4), np.complex128),
    )


def cumulative_codes(program: Program, values: Values) -> NDArray[np.float64]:
    """Return the cumulative probabilities of the codes of each column, shape (columns, 16).

    Error:
        Relaxation fires with 1 - q, see `relaxation_event`; q loses about 1e-16 absolute.
    """
    kind, size, slot = program.columns.T
    out = np.zeros((len(kind), 16))
    for width, table in ((1, values.pauli1), (2, values.pauli2)):
        rows = np.flatnonzero((kind == Kind.PAULI) & (size == width))
        sums = np.cumsum(np.asarray(table, float)[slot[rows], 1:], axis=1)
        out[rows, : sums.shape[1]] = sums
        out[rows, sums.shape[1] :] = sums[:, -1:]
    rows = np.flatnonzero(kind == Kind.RELAXATION)
    decay, coherence, excited = np.asarray(values.relaxation, float)[slot[rows]].T
    up, down = excited * (1 - decay), (1 - excited) * (1 - decay)
    d0, d1 = 1 - up - coherence, 1 - down - coherence
    total = d0 + d1
    fires = up + d0**2 / np.where(total > 0, total, 1.0)
    out[rows] = np.clip(np.where(total > 0, fires, 0.0), 0.0, 1.0)[:, None]
    for which, single in ((Kind.RESET, values.reset_excitation), (PREPARE, values.excited)):
        rows = np.flatnonzero(kind == which)
        out[rows] = np.asarray(single, float)[slot[rows], None]
    rows = np.flatnonzero(kind == Kind.LEAK)
    leak, back = np.asarray(values.leakage, float)[slot[rows]].T
    out[rows, 0] = np.minimum(leak, back)
    out[rows, 1] = np.where(leak > back, leak, out[rows, 0])
    out[rows, 2:] = np.maximum(leak, back)[:, None]
    return out
