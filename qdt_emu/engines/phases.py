"""Idle phases: what they commute with, and an order of operations that makes fewer blocks of them.

The ZZ of a coupler is diagonal, so that the phases of neighbouring couplers commute. In the order
of a schedule they cut a circuit into many small blocks: each qubit's phases with its left and with
its right neighbour stand in turns. Another order of the same phases joins most of what belongs to
one coupler.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qdt_emu.circuit import Kind, Operation, Structure, Values

Pair = tuple[int, int]
Gain = tuple[int, int]


def is_phase(op: Operation) -> bool:
    """Return whether an operation is the idle ZZ of a coupler, by what the circuit says of it."""
    unconditional = op.kind is Kind.UNITARY and not op.conditions
    return unconditional and op.mechanism == "zz" and len(op.qubits) == 2


def are_diagonal(structure: Structure, values: Values) -> bool:
    """Return whether all idle phases of a circuit are diagonal, as is relied on here."""
    slots = sorted({op.slot for op in structure.operations if is_phase(op)})
    matrices = np.asarray(values.unitaries2)[slots]
    return not matrices[:, ~np.eye(4, dtype=bool)].any()


def pair_of(op: Operation) -> Pair:
    """Return the two qubits of an operation, the lower first."""
    a, b = op.qubits
    return (a, b) if a < b else (b, a)


def joined(operations: Sequence[Operation]) -> list[Operation]:
    """Return the same operations in an order in which runs on one pair of qubits are long.

    Phases next to each other are exchanged and nothing else, so that the circuit is the same. Of
    the pairs that may come next, the one is taken whose block would hold most operations on both
    qubits, and then most on one.

    Cost:
        About 30 us per operation, in Python.
    """
    if not any(map(is_phase, operations)):
        return list(operations)
    return _Joiner(operations).run()


def predecessors(operations: Sequence[Operation]) -> list[set[int]]:
    """Return the operations that must come right before each one, those they need left out."""
    lanes: dict[int, _Lane] = {}
    out = []
    for k, op in enumerate(operations):
        bits = {c for condition in op.conditions for c in condition.clbits}
        bits |= {op.clbit} if op.clbit >= 0 else set()
        before: set[int] = set()
        for lane in (*op.qubits, *(-1 - c for c in sorted(bits))):
            before |= lanes.setdefault(lane, _Lane()).add(k, phase=is_phase(op) and lane >= 0)
        out.append(before)
    return out


@dataclass
class _Lane:
    """What has happened to one qubit or classical bit: the last phases or the last operation."""

    phases: bool = False
    last: set[int] = field(default_factory=set)
    before: set[int] = field(default_factory=set)

    def add(self, k: int, *, phase: bool) -> set[int]:
        """Return what must come before operation k, and enter it."""
        if not (phase and self.phases):
            self.before, self.last = self.last, set()
        self.phases = phase
        self.last.add(k)
        return self.before


class _Joiner:
    """Takes operations one by one, each after its predecessors, those of the open blocks first."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        before = predecessors(operations)
        self.waiting = [len(b) for b in before]
        self.after: list[list[int]] = [[] for _ in before]
        for k, earlier in enumerate(before):
            for j in earlier:
                self.after[j].append(k)
        self.open: dict[int, int] = {}  # number of the open block of each qubit
        self.possible: list[int] = []  # fit into an open block: a heap
        self.closed: dict[Pair, list[int]] = {}  # could start a block
        self.gains: dict[Pair, Gain] = {}
        self.out: list[Operation] = []
        for k, count in enumerate(self.waiting):
            if count == 0:
                self._admit(k)

    def run(self) -> list[Operation]:
        blocks = 0
        while self.possible or self.closed:
            while self.possible:
                self._take(heapq.heappop(self.possible))
            if self.closed:
                pair = max(self.closed, key=lambda p: (self._gain(p), -self.closed[p][0]))
                blocks += 1
                self.open.update(dict.fromkeys(pair, blocks))
                for k in self.closed.pop(pair):
                    heapq.heappush(self.possible, k)
        return self.out

    def _admit(self, k: int) -> None:
        op = self.operations[k]
        if len(op.qubits) == 1:
            heapq.heappush(self.possible, k)
            return
        a, b = op.qubits
        if a in self.open and self.open[a] == self.open.get(b):
            heapq.heappush(self.possible, k)
        else:
            self.closed.setdefault(pair_of(op), []).append(k)

    def _take(self, k: int) -> None:
        self.out.append(self.operations[k])
        touched = set(self.operations[k].qubits)
        for later in self.after[k]:
            touched.update(self.operations[later].qubits)
            self.waiting[later] -= 1
            if self.waiting[later] == 0:
                self._admit(later)
        for pair in [p for p in self.gains if not touched.isdisjoint(p)]:
            del self.gains[pair]

    def _gain(self, pair: Pair) -> Gain:
        """Return how many operations on two qubits and on one a block would hold, begun now."""
        if pair not in self.gains:
            self.gains[pair] = self._run_of(pair)
        return self.gains[pair]

    def _run_of(self, pair: Pair) -> Gain:
        left: dict[int, int] = {}
        ready = list(self.closed[pair])
        counts = [0, 0]
        while ready:
            k = ready.pop()
            counts[2 - len(self.operations[k].qubits)] += 1
            for later in self.after[k]:
                if set(self.operations[later].qubits) <= set(pair):
                    left[later] = left.get(later, self.waiting[later]) - 1
                    if left[later] == 0:
                        ready.append(later)
        return counts[0], counts[1]
