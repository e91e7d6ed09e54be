"""Circuits as blocks: everything that happens in a row to one pair of qubits is one block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from qdt_emu.circuit import Condition, Kind, Operation, Structure

PREPARE = 7
"""Item that is not an operation: the first excitation of a qubit."""


class On(IntEnum):
    """Which qubits of its block an item acts on, in which order."""

    FIRST = 0
    SECOND = 1
    PAIR = 2
    SWAPPED = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One operation inside a block, or a qubit's preparation (`kind` 7)."""

    kind: int
    qubits: tuple[int, ...]
    slot: int
    clbit: int = -1
    conditions: tuple[Condition, ...] = ()

    @property
    def closes(self) -> bool:
        """Whether the qubit is in a known basis state afterwards, in every trajectory."""
        return self.kind in (Kind.MEASURE, Kind.RESET) and not self.conditions


@dataclass(eq=False)
class Block:
    """Items on one or two qubits, in time order, and the blocks that must come first.

    Attributes:
        qubits: Which qubits.
        items: What happens to them.
        before: The blocks that must come first.
        followed: Whether another block needs this one.
        apart: Whether it holds nothing but unitaries on both qubits, which may stand apart.
    """

    qubits: tuple[int, ...]
    items: list[Item] = field(default_factory=list)
    before: set[int] = field(default_factory=set)
    followed: bool = False
    apart: bool = False

    def closes(self, qubit: int) -> bool:
        """Return whether the last item on this qubit leaves it in a known basis state."""
        last = next((i for i in reversed(self.items) if qubit in i.qubits), None)
        return last is not None and last.closes


def observed(structure: Structure, kept: frozenset[int]) -> list[Operation]:
    """Return the operations that can change the record or the final state of the `kept` qubits.

    All operations preserve the trace, so whatever lies outside of the backward light cone of the
    measurements and the kept qubits can be left out exactly.
    """
    needed, out = set(kept), []
    for op in reversed(structure.operations):
        if op.kind is Kind.MEASURE:
            needed.update(op.qubits)
        elif needed.isdisjoint(op.qubits):
            continue
        elif op.kind is Kind.RESET and not op.conditions:
            needed.difference_update(op.qubits)
        else:
            needed.update(op.qubits)
        out.append(op)
    return out[::-1]


def last_measurements(operations: list[Operation]) -> list[Operation]:
    """Return the measurements after which nothing looks at the qubit or overwrites the bit."""
    touched: set[int] = set()
    used: set[int] = set()
    out = []
    for op in reversed(operations):
        final = op.kind is Kind.MEASURE and not op.conditions
        if final and op.qubits[0] not in touched and op.clbit not in used:
            out.append(op)
        touched.update(op.qubits)
        used.update(c for condition in op.conditions for c in condition.clbits)
        if op.clbit >= 0:
            used.add(op.clbit)
    return out[::-1]


class _Gatherer:
    """Appends operations to the newest block of their qubits wherever order permits."""

    def __init__(self, n_qubits: int) -> None:
        self.blocks: list[Block] = []
        self.newest: list[int] = [-1] * n_qubits
        self.writer: dict[int, int] = {}
        self.readers: dict[int, set[int]] = {}
        self.fresh = [True] * n_qubits

    def add(self, item: Item, *, apart: bool = False) -> None:
        """Put an item into a block, its own or an open one; see `Block` for `apart`."""
        if apart:
            for q in item.qubits:
                if self.fresh[q]:
                    self.bring_in(q)
                    self.fresh[q] = False
        first, *rest = (self.newest[q] for q in item.qubits)
        needs = self._needs(item)
        home = first
        same = first >= 0 and all(k == first for k in rest) and needs <= {first}
        suits = same and (apart or not self.blocks[home].apart)
        if not suits or any(self._closed(home, q) for q in item.qubits):
            home = self._open(item.qubits, needs, apart=apart)
        block = self.blocks[home]
        for q in item.qubits:
            if self.fresh[q]:
                block.items.append(Item(PREPARE, (q,), q))
                self.fresh[q] = False
        block.items.append(item)
        for condition in item.conditions:
            for c in condition.clbits:
                self.readers.setdefault(c, set()).add(home)
        if item.clbit >= 0:
            self.writer[item.clbit] = home
            self.readers[item.clbit] = set()

    def bring_in(self, qubit: int) -> None:
        """Add a block without operations to a qubit that would not be in the state at the end."""
        if self.fresh[qubit] or self._closed(self.newest[qubit], qubit):
            block = self.blocks[self._open((qubit,), set())]
            if self.fresh[qubit]:
                block.items.append(Item(PREPARE, (qubit,), qubit))

    def _closed(self, block: int, qubit: int) -> bool:
        return block >= 0 and self.blocks[block].closes(qubit)

    def _needs(self, item: Item) -> set[int]:
        """Return the blocks that must come first because of classical bits."""
        bits = [c for condition in item.conditions for c in condition.clbits]
        needs = {self.writer[c] for c in bits if c in self.writer}
        if item.clbit >= 0:
            needs |= self.readers.get(item.clbit, set())
            needs |= {self.writer[item.clbit]} if item.clbit in self.writer else set()
        return needs

    def _open(self, qubits: tuple[int, ...], needs: set[int], *, apart: bool = False) -> int:
        """Start a block; a block on one qubit that nothing follows yet moves into it."""
        new = len(self.blocks)
        block = Block(qubits, before=set(needs), apart=apart)
        self.blocks.append(block)
        for q in qubits:
            old = self.newest[q]
            if old >= 0 and len(qubits) == 2 and not apart and self._may_move(old, needs):
                source = self.blocks[old]
                block.items += source.items
                block.before |= source.before
                for readers in self.readers.values():
                    if old in readers:
                        readers.discard(old)
                        readers.add(new)
                source.items, source.before, source.qubits = [], set(), ()
            elif old >= 0:
                block.before.add(old)
            self.newest[q] = new
        for k in block.before:
            self.blocks[k].followed = True
        return new

    def _may_move(self, block: int, needs: set[int]) -> bool:
        source = self.blocks[block]
        writes = any(i.clbit >= 0 for i in source.items)
        closed = source.closes(source.qubits[0]) if source.qubits else True
        free = not source.followed and not writes and not closed and block not in needs
        return free and len(source.qubits) == 1


def gather(
    structure: Structure,
    operations: Sequence[Operation],
    kept: frozenset[int],
    *,
    apart: Callable[[Operation], bool] = lambda _: False,
) -> list[Block]:
    """Return the blocks of a circuit; `before` holds indices into the returned list.

    Args:
        structure: The circuit.
        operations: Those of its operations that are to happen.
        kept: Qubits that must be in the state at the end, even if nothing happens to them.
        apart: Whether a unitary on two qubits may act on them from afar; what happens to one
            qubit alone is then kept out of its block.
    """
    gatherer = _Gatherer(structure.n_qubits)
    paired = {c for pair in structure.paired_readout for c in pair}
    for op in operations:
        slot = -1 if op.kind is Kind.MEASURE and op.clbit in paired else op.slot
        item = Item(int(op.kind), op.qubits, slot, op.clbit, op.conditions)
        gatherer.add(item, apart=apart(op))
    for q in sorted(kept):
        gatherer.bring_in(q)
    alive = [k for k, block in enumerate(gatherer.blocks) if block.qubits]
    index = {k: new for new, k in enumerate(alive)}
    out = [gatherer.blocks[k] for k in alive]
    for block in out:
        block.before = {index[k] for k in block.before}
    return out
