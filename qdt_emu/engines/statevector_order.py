"""The order of the blocks: qubits come into the state late and leave it early.

Operations on different qubits commute, so every order that keeps the dependencies gives the same
law of records. A qubit that was measured for the last time leaves the state, which halves it; a
qubit that nothing has touched is not in it yet. In a brick circuit of depth d on a line this sweeps
a front of d + 2 qubits over the line, however long it is.

Source:
    The greedy choice of the smallest causal cone is that of qubit reuse, DeCross et al.,
    arXiv:2210.08039.
"""

from dataclasses import dataclass

from qdt_emu.engines.statevector_blocks import Block


@dataclass(frozen=True)
class Layout:
    """Where the qubits of each block stand.

    Attributes:
        order: Indices of the blocks in the order of execution.
        bits: (first in, second in, first out, second out) of each executed block, -1 outside.
        widths: Active qubits before each block, and at the end.
        final: Bit position of every qubit at the end, -1 outside.
    """

    order: tuple[int, ...]
    bits: tuple[tuple[int, int, int, int], ...]
    widths: tuple[int, ...]
    final: tuple[int, ...]

    @property
    def work(self) -> float:
        """Return the flops of all blocks on one trajectory."""
        total = 0.0
        for (a, b, c, d), width in zip(self.bits, self.widths, strict=False):
            inside, outside = (a >= 0) + (b >= 0), (c >= 0) + (d >= 0)
            total += 8.0 * 2.0 ** (width + outside)
            total += 8.0 * 2.0**width * (inside > outside)
        return total

    @property
    def shrinks(self) -> bool:
        """Return whether a qubit leaves the state, so that a second one is needed beside it."""
        return any((a not in (-1, c)) or (b not in (-1, d)) for a, b, c, d in self.bits)

    @property
    def peak(self) -> int:
        """Return the largest number of active qubits."""
        return max(self.widths)


class _Sweep:
    """Executes blocks symbolically, always the ready one that widens the state least."""

    def __init__(
        self, blocks: list[Block], n_qubits: int, pinned: tuple[int, ...], *, leave: bool
    ) -> None:
        self.blocks = blocks
        self.closing = [{q for q in b.qubits if leave and b.closes(q)} for b in blocks]
        self.positions: list[int] = list(pinned)
        self.order: list[int] = []
        self.bits: list[tuple[int, int, int, int]] = []
        self.widths: list[int] = [len(pinned)]
        self.n_qubits = n_qubits
        self.waiting = [len(b.before) for b in blocks]
        self.after: list[list[int]] = [[] for _ in blocks]
        self.cones: list[int] = []
        for k, block in enumerate(blocks):
            cone = 1 << k
            for earlier in block.before:
                self.after[earlier].append(k)
                cone |= self.cones[earlier]
            self.cones.append(cone)
        self.ready = {k for k, count in enumerate(self.waiting) if count == 0}
        self.done = 0
        self.targets = self._targets()

    def _targets(self) -> list[int]:
        """Return the last block of every qubit and all blocks that release one."""
        last = {q: k for k, block in enumerate(self.blocks) for q in block.qubits}
        closing = {k for k, released in enumerate(self.closing) if released}
        return sorted(set(last.values()) | closing)

    def gain(self, k: int) -> int:
        """Return how many qubits more are active after (or inside of) a block."""
        qubits = self.blocks[k].qubits
        released = self.closing[k] if len(qubits) == 1 else ()
        return sum(q not in self.positions and q not in released for q in qubits)

    def execute(self, k: int) -> None:
        """Place a block next and move its qubits in and out."""
        block = self.blocks[k]
        before = [self._position(q) for q in block.qubits]
        leaving = self.closing[k]
        self.positions += [
            q for q, p in zip(block.qubits, before, strict=True) if p < 0 and q not in leaving
        ]
        for q in leaving:
            if q in self.positions:
                self.positions.remove(q)
        after = [self._position(q) for q in block.qubits]
        pad = [-1] * (2 - len(before))
        a, b, c, d = before + pad + after + pad
        self.bits.append((a, b, c, d))
        self.widths.append(len(self.positions))
        self.order.append(k)
        self.done |= 1 << k
        self.ready.discard(k)
        for later in self.after[k]:
            self.waiting[later] -= 1
            if self.waiting[later] == 0:
                self.ready.add(later)

    def _position(self, qubit: int) -> int:
        return self.positions.index(qubit) if qubit in self.positions else -1

    def run(self) -> Layout:
        """Execute everything and return where it happened."""
        while self.ready:
            free = [k for k in self.ready if self.gain(k) <= 0]
            if free:
                for k in sorted(free):
                    self.execute(k)
                continue
            cone = self._smallest_cone()
            self.execute(min((k for k in self.ready if cone >> k & 1), key=self._widening))
        final = tuple(self._position(q) for q in range(self.n_qubits))
        return Layout(tuple(self.order), tuple(self.bits), tuple(self.widths), final)

    def _widening(self, k: int) -> tuple[int, int]:
        return self.gain(k), k

    def _smallest_cone(self) -> int:
        """Return the undone part of the cone of the target that needs the fewest new qubits."""
        best = (self.n_qubits + 1, 0, 0)
        active = set(self.positions)
        self.targets = [k for k in self.targets if not self.done >> k & 1]
        for k in self.targets:
            cone = rest = self.cones[k] & ~self.done
            new: set[int] = set()
            while rest and len(new) <= best[0]:
                low = rest & -rest
                rest ^= low
                new.update(q for q in self.blocks[low.bit_length() - 1].qubits if q not in active)
            if not rest:
                best = min(best, (len(new), cone.bit_count(), cone))
        return best[2]


def arrange(
    blocks: list[Block], n_qubits: int, *, pinned: tuple[int, ...] = (), leave: bool = True
) -> Layout:
    """Return an order of the blocks that keeps the state narrow.

    Args:
        blocks: In an order that keeps the dependencies.
        n_qubits: Number of qubits.
        pinned: Qubits that are active from the start, at the bits 0, 1, ...
        leave: Whether measured qubits leave the state.

    Cost:
        About blocks * qubits**2 / 4 steps in Python.
    """
    return _Sweep(blocks, n_qubits, pinned, leave=leave).run()
