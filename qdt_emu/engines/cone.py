"""Light cones: what a qubit's final state depends on, and the circuit that is left of it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.components import Component, extract, whole


@lru_cache(maxsize=256)
def influence(structure: Structure) -> tuple[int, ...]:
    """Return, for each qubit, the qubits its final state depends on, as bits of a number.

    The depth of a circuit in one number: where even the smallest of these sets is large, no order
    of the operations lets a qubit leave before that many are in the state.

    Cost:
        One pass over the operations, about 1 us each.
    """
    of = [1 << q for q in range(structure.n_qubits)]
    records = [0] * structure.n_clbits
    for op in structure.operations:
        if op.kind is Kind.RESET and not op.conditions:
            of[op.qubits[0]] = 1 << op.qubits[0]
            continue
        joint = 0
        for q in op.qubits:
            joint |= of[q]
        for condition in op.conditions:
            for c in condition.clbits:
                joint |= records[c]
        for q in op.qubits:
            of[q] = joint
        if op.clbit >= 0:
            records[op.clbit] = joint
    return tuple(of)


def narrowest(structure: Structure) -> int:
    """Return a lower bound on the qubits that any order must hold at a time.

    When the first qubit leaves, everything it depends on is there; but the last two to join may do
    so in the very step in which it leaves.
    """
    if any(op.kind is Kind.RESET for op in structure.operations):
        return 1  # a qubit lives several times
    smallest = min((mask.bit_count() for mask in influence(structure)), default=0)
    return max(1, smallest - 2)


def cone(structure: Structure, paulis: NDArray[np.uint8]) -> Component:
    """Return the part of a circuit that expectation values of these strings depend on.

    Exact: channels preserve the trace, so what happens outside of the backward light cone, or
    after the last time it reaches it, changes nothing.

    Args:
        structure: The circuit.
        paulis: Codes, shape (m, n_qubits); at least one is not I.
    """
    return _cone(structure, tuple(np.flatnonzero(np.any(paulis > 0, axis=0)).tolist()))


@lru_cache(maxsize=256)
def _cone(structure: Structure, measured: tuple[int, ...]) -> Component:
    needed, read = set(measured), set[int]()
    qubits, kept = set(measured), list[Operation]()
    for op in reversed(structure.operations):
        if op.clbit in read and op.clbit >= 0:
            needed.update(op.qubits)
            read -= set() if op.conditions else {op.clbit}
        elif needed.isdisjoint(op.qubits):
            continue
        if op.kind is Kind.RESET and not op.conditions:
            needed.difference_update(op.qubits)
        else:
            needed.update(op.qubits)
        read.update(c for condition in op.conditions for c in condition.clbits)
        qubits.update(op.qubits)
        kept.append(op)
    if len(kept) == len(structure.operations) and len(qubits) == structure.n_qubits:
        return whole(structure)
    clbits = sorted({c for op in kept for c in _bits(op)})
    return extract(structure, sorted(qubits), clbits, kept[::-1])


def _bits(op: Operation) -> set[int]:
    """Return the classical bits an operation writes or reads."""
    found = {c for condition in op.conditions for c in condition.clbits}
    return found | ({op.clbit} if op.clbit >= 0 else set())
