"""The noisy circuit: what every engine runs, with structure and values kept apart."""

import hashlib
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

# A leaf of `Values`: a NumPy array on the CPU path, a JAX array or tracer under `jit` and `grad`.
Leaf = Any


class Kind(IntEnum):
    """What an operation does; each kind reads its numbers from one table of `Values`."""

    UNITARY = 0
    """`unitaries1[slot]` (2, 2) or `unitaries2[slot]` (4, 4), first qubit most significant."""
    RELAXATION = 1
    """`relaxation[slot]` = (exp(-t/T1), exp(-t/T2), excited population at rest); one qubit."""
    PAULI = 2
    """`pauli1[slot]` (4,) or `pauli2[slot]` (16,) probabilities, index 4 * first + second."""
    MEASURE = 3
    """Project in Z, keep the state; write the bit, misread by `confusion[slot]`, to `clbit`."""
    RESET = 4
    """Put the qubit into |0>, or into |1> with probability `reset_excitation[slot]`."""
    DWELL = 5
    """Rotate by the shot's own detuning during `dwell[slot]` seconds (see `Values.detuning`)."""
    LEAK = 6
    """Leave the computational space with `leakage[slot, 0]`, come back with `leakage[slot, 1]`."""


@dataclass(frozen=True)
class Condition:
    """True when the bits, read as a number with `clbits[0]` lowest, equal `value` (or not)."""

    clbits: tuple[int, ...]
    value: int
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a noisy circuit; its numbers stand in `Values` at `slot`.

    Attributes:
        kind: Which table `slot` points into.
        qubits: One or two local qubits, each `0 <= q < n_qubits`.
        slot: Row of the kind's table.
        clbit: Where a `MEASURE` writes; -1 otherwise.
        conditions: The operation happens only when all of them hold.
        mechanism: Why it is here: 'ideal' for what the user asked for, otherwise the noise
            mechanism ('relaxation', 'gate', 'coherent', 'context', 'zz', 'offset', 'stark',
            'spectator flip', 'readout', 'reset', 'detuning', 'leakage', 'preparation').
        start: When it begins, in s after the start of the circuit.
    """

    kind: Kind
    qubits: tuple[int, ...]
    slot: int
    clbit: int = -1
    conditions: tuple[Condition, ...] = ()
    mechanism: str = "ideal"
    start: float = 0.0


@dataclass(frozen=True, eq=False)
class Structure:
    """The static part of a noisy circuit: hashable, so that compiled work can be cached by it.

    Attributes:
        operations: In time order; operations on the same qubit act in this order.
        n_qubits: Number of active qubits; local qubit `q` is the processor's `qubits[q]`.
        n_clbits: Number of classical bits of the record.
        qubits: Physical index of each local qubit.
        paired_readout: Pairs of clbits whose misreading is correlated (terminal measurements);
            pair `k` uses `Values.pair_confusion[k]`.
        duration: Length of the schedule in s.
    """

    operations: tuple[Operation, ...]
    n_qubits: int
    n_clbits: int
    qubits: tuple[int, ...]
    paired_readout: tuple[tuple[int, int], ...] = ()
    duration: float = 0.0

    @cached_property
    def id(self) -> str:
        """SHA-256 over everything static, in hexadecimal."""
        head = (self.n_qubits, self.n_clbits, self.qubits, self.paired_readout, self.duration)
        rows = [
            (
                *(op.kind.value, op.qubits, op.slot, op.clbit, op.mechanism, op.start),
                *((c.clbits, c.value, c.equal) for c in op.conditions),
            )
            for op in self.operations
        ]
        return hashlib.sha256(repr((head, rows)).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self.id == other.id


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Values:
    """The numbers of a noisy circuit: a pytree, so that they can be bound, batched, differentiated.

    Attributes:
        excited: Population of |1> at the start, shape (n_qubits,).
        unitaries1: Shape (k, 2, 2), complex.
        unitaries2: Shape (k, 4, 4), complex; the first qubit is the most significant index.
        relaxation: Shape (k, 3): population decay, coherence decay, excited population at rest.
        pauli1: Probabilities of I, X, Y, Z, shape (k, 4).
        pauli2: Probabilities of II, IX, ..., ZZ, shape (k, 16).
        confusion: (P(read 1 | 0), P(read 0 | 1)), shape (k, 2).
        pair_confusion: P(read | true) of a pair, shape (k, 4, 4), [read, true], index
            2 * first + second; it replaces the two single-qubit rows of its pair.
        reset_excitation: P(1) after a reset, shape (k,).
        dwell: Time in s, shape (k,).
        leakage: (leakage, seepage) probabilities, shape (k, 2).
        detuning: (sigma, charge parity splitting) in Hz, shape (n_qubits, 2). In each shot qubit
            q is off by f = sigma * N(0, 1) +- splitting / 2, constant over the shot; a dwell of
            length t is exp(-i pi f t Z).
    """

    excited: Leaf
    unitaries1: Leaf
    unitaries2: Leaf
    relaxation: Leaf
    pauli1: Leaf
    pauli2: Leaf
    confusion: Leaf
    pair_confusion: Leaf
    reset_excitation: Leaf
    dwell: Leaf
    leakage: Leaf
    detuning: Leaf

    @classmethod
    def empty(cls, n_qubits: int) -> "Values":
        """Return values of a circuit without operations."""
        shapes: dict[str, tuple[int, ...]] = {
            "excited": (n_qubits,),
            "unitaries1": (0, 2, 2),
            "unitaries2": (0, 4, 4),
            "relaxation": (0, 3),
            "pauli1": (0, 4),
            "pauli2": (0, 16),
            "confusion": (0, 2),
            "pair_confusion": (0, 4, 4),
            "reset_excitation": (0,),
            "dwell": (0,),
            "leakage": (0, 2),
            "detuning": (n_qubits, 2),
        }
        return cls(
            **{
                name: np.zeros(shape, complex if name.startswith("unitaries") else float)
                for name, shape in shapes.items()
            }
        )

    @cached_property
    def id(self) -> str:
        """SHA-256 over every number, in hexadecimal."""
        digest = hashlib.sha256()
        for f in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, f.name)).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class NoisyCircuit:
    """A scheduled circuit with its noise, ready for an engine.

    Attributes:
        structure: What happens, to which qubits, in which order.
        values: The numbers that go with it.
    """

    structure: Structure
    values: Values

    @property
    def id(self) -> str:
        """Identity of structure and values together."""
        return hashlib.sha256((self.structure.id + self.values.id).encode()).hexdigest()

    def __repr__(self) -> str:
        s = self.structure
        return (
            f"NoisyCircuit(qubits={s.n_qubits}, clbits={s.n_clbits}, "
            f"operations={len(s.operations)}, duration={s.duration * 1e6:.2f} us)"
        )


def measured_qubits(structure: Structure) -> NDArray[np.int64]:
    """Return the local qubit last measured into each clbit, -1 for a bit never written."""
    out = np.full(structure.n_clbits, -1, np.int64)
    for op in structure.operations:
        if op.kind is Kind.MEASURE:
            out[op.clbit] = op.qubits[0]
    return out
