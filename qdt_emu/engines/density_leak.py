"""Exact records of circuits whose qubits may leak: five numbers per qubit instead of four.

The state is a real array with one axis per qubit: the Pauli components Tr(P rho) of what is in the
computational space, and the probability to be outside. It is small and plain, for learning; runs
with leakage take trajectories.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.circuit.noisy import Condition, Operation
from qdt_emu.engines import density_tables as tables
from qdt_emu.errors import UnsupportedError

Floats = NDArray[np.float64]

LARGEST = 2**22  # numbers in the state at once: 32 MB
TRACE = np.array([1.0, 0, 0, 0, 1])
OUTSIDE = 4


def leaks(structure: Structure, values: Values) -> bool:
    """Return whether a qubit may leave its computational space."""
    slots = [op.slot for op in structure.operations if op.kind is Kind.LEAK]
    return bool(np.any(np.asarray(values.leakage)[slots])) if slots else False


def leaky_probabilities(structure: Structure, values: Values) -> Floats:
    """Return the exact distribution of the records, shape (2**n_clbits,); bit c is clbit c.

    A leaked qubit reads 1; gates do nothing to it, and its partner in a two-qubit gate gets a
    random Z. A qubit that comes back is in |0> or |1> with equal chances.

    Error:
        Rounding, about 1e-14.

    Cost:
        About 25 us per operation at five qubits, memory 8 * 5**n * 2**clbits bytes.

    Raises:
        UnsupportedError: More than 2**22 numbers, detuning from shot to shot, or pairs of qubits
            with correlated readout.
    """
    _refuse(structure, values)
    work = _Work(values)
    for op in structure.operations:
        work.do(op)
    return work.records(structure.n_clbits)


def _refuse(structure: Structure, values: Values) -> None:
    written = {op.clbit for op in structure.operations if op.kind is Kind.MEASURE}
    size = 5**structure.n_qubits * 2 ** len(written)
    if size > LARGEST:
        raise UnsupportedError(
            f"A circuit with leakage must need at most {LARGEST} numbers to be exact, but "
            f"{structure.n_qubits} qubits and {len(written)} bits need {size}. Use "
            f"engine='statevector'."
        )
    detuned = [op.qubits[0] for op in structure.operations if op.kind is Kind.DWELL]
    if structure.paired_readout or np.any(np.asarray(values.detuning)[detuned]):
        raise UnsupportedError(
            "A circuit with leakage must have neither detuning from shot to shot nor correlated "
            "readout to be exact, but has. Use engine='statevector'."
        )


class _Work:
    """The state: axes of the qubits, then one axis per bit that has been written."""

    def __init__(self, values: Values) -> None:
        self.values, self.bits = values, list[int]()
        self.leakage = np.asarray(values.leakage)
        self.unitary = [tables.unitary(np, u) for u in (values.unitaries1, values.unitaries2)]
        self.pauli = [tables.pauli(np, np.asarray(p)) for p in (values.pauli1, values.pauli2)]
        self.relaxation = tables.relaxation(np, np.asarray(values.relaxation))
        self.reset = tables.reset(np, np.asarray(values.reset_excitation))
        self.reading = tables.reading(np, np.asarray(values.confusion))
        state = np.ones(())
        for row in tables.state(np, np.asarray(values.excited)):
            state = np.multiply.outer(state, np.append(row, 0.0))
        self.state: Floats = state

    def do(self, op: Operation) -> None:
        """Apply an operation where its conditions hold."""
        if op.kind is Kind.DWELL or (op.kind is Kind.LEAK and not self.leakage[op.slot].any()):
            return
        if op.kind is Kind.MEASURE:
            self.measure(op)
            return
        if len(op.qubits) == 2:
            new = self.on_two(op.qubits, self.two(op))
        else:
            new = self.on_one(op.qubits[0], self.one(op))
        self.state = np.where(self.holds(op.conditions), new, self.state)

    def one(self, op: Operation) -> Floats:
        """Return an operation on one qubit, shape (5, 5)."""
        out = np.zeros((5, 5))
        out[OUTSIDE, OUTSIDE] = 1.0
        match op.kind:
            case Kind.UNITARY:
                out[:4, :4] = self.unitary[0][op.slot]
            case Kind.PAULI:
                out[:4, :4] = self.pauli[0][op.slot]
            case Kind.RELAXATION:
                out[:4, :4] = self.relaxation[op.slot]
            case Kind.RESET:
                out[:4, :4] = self.reset[op.slot]
                out[:4, OUTSIDE] = self.reset[op.slot][:, 0]
                out[OUTSIDE, OUTSIDE] = 0.0
            case Kind.LEAK:
                leak, seep = self.leakage[op.slot]
                out[:4, :4] = (1 - leak) * np.eye(4)
                out[OUTSIDE, 0], out[0, OUTSIDE] = leak, seep
                out[OUTSIDE, OUTSIDE] = 1 - seep
        return out

    def two(self, op: Operation) -> Floats:
        """Return an operation on two qubits, shape (5, 5, 5, 5): both out, both in."""
        out = np.zeros((5, 5, 5, 5))
        out[OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE] = 1.0
        if op.kind is Kind.UNITARY:
            both, alone = self.unitary[1][op.slot], (tables.DEPHASE, tables.DEPHASE)
        else:
            both = self.pauli[1][op.slot]
            chances = np.asarray(self.values.pauli2)[op.slot].reshape(4, 4)
            first, second = (tables.pauli(np, chances.sum(a)[None])[0] for a in (1, 0))
            alone = (first, second)
        out[:4, :4, :4, :4] = both.reshape(4, 4, 4, 4)
        out[:4, OUTSIDE, :4, OUTSIDE] = alone[0]
        out[OUTSIDE, :4, OUTSIDE, :4] = alone[1]
        return out

    def on_one(self, q: int, matrix: Floats) -> Floats:
        return np.moveaxis(np.tensordot(matrix, self.state, (1, q)), 0, q)

    def on_two(self, qubits: Sequence[int], tensor: Floats) -> Floats:
        return np.moveaxis(np.tensordot(tensor, self.state, ((2, 3), qubits)), (0, 1), qubits)

    def measure(self, op: Operation) -> None:
        """Write a bit: what was there before is forgotten where the measurement happens."""
        kept = self.state
        read = np.zeros((2, 5, 5))
        read[:, :4, :4] = self.reading[op.slot].transpose(1, 0, 2)
        read[1, OUTSIDE, OUTSIDE] = 1.0
        q, n = op.qubits[0], len(self.values.excited)
        holds = self.holds(op.conditions)
        if op.clbit in self.bits:
            axis = n + self.bits.index(op.clbit)
            old = [np.take(np.where(holds, 0.0, kept), b, axis) for b in (0, 1)]
            self.state = np.where(holds, kept, 0.0).sum(axis)
            self.bits.remove(op.clbit)
        else:
            old = [np.where(holds, 0.0, kept), np.zeros_like(kept)]
            self.state = np.where(holds, kept, 0.0)
        here = [self.on_one(q, matrix) for matrix in read]
        self.state = np.stack([a + b for a, b in zip(here, old, strict=True)], -1)
        self.bits.append(op.clbit)

    def holds(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        """Return where conditions hold, broadcastable to the state."""
        out = np.ones((1,) * self.state.ndim, bool)
        for condition in conditions:
            number = np.zeros((1,) * self.state.ndim, np.int64)
            for k, clbit in enumerate(condition.clbits):
                if clbit in self.bits:
                    shape = [1] * self.state.ndim
                    shape[self.state.ndim - len(self.bits) + self.bits.index(clbit)] = 2
                    number = number + (np.arange(2) << k).reshape(shape)
            out = out & ((number == condition.value) == condition.equal)
        return out

    def records(self, n_clbits: int) -> Floats:
        """Return the distribution of the bits; one that was never written is 0."""
        p = self.state
        for _ in range(len(self.values.excited)):
            p = np.tensordot(TRACE, p, (0, 0))
        order = sorted(range(len(self.bits)), key=lambda a: -self.bits[a])
        out = np.zeros((2,) * n_clbits)
        out[tuple(slice(None) if c in self.bits else 0 for c in reversed(range(n_clbits)))] = (
            p.transpose(order)
        )
        return np.maximum(out.ravel(), 0.0)
