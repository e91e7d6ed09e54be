"""Independent parts of a noisy circuit: qubits that never meet need not share a state."""

from dataclasses import dataclass, replace

import numpy as np

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.circuit.noisy import Condition

WHOLE_UP_TO = 6  # qubits; below, one small state is cheaper than several runs


@dataclass(frozen=True, eq=False)
class Component:
    """One independent part.

    Attributes:
        structure: The part, on its own qubits and bits.
        qubits: Local qubits of the whole circuit, in the part's order.
        clbits: Bits of the whole circuit, in the part's order.
    """

    structure: Structure
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]

    def values(self, values: Values) -> Values:
        """Return the part's values; tables are shared, rows of qubits are picked."""
        chosen = np.array(self.qubits, np.int64)
        pairs = values.pair_confusion
        return replace(
            values,
            excited=values.excited[chosen],
            detuning=values.detuning[chosen],
            pair_confusion=pairs[np.array(self._pairs, np.int64)] if len(pairs) else pairs,
        )

    _pairs: tuple[int, ...] = ()


def components(structure: Structure) -> tuple[Component, ...]:
    """Return the parts of a circuit that no gate, condition or paired readout connects.

    A circuit of up to `WHOLE_UP_TO` qubits, or one that is connected, is one part.
    """
    if structure.n_qubits <= WHOLE_UP_TO:
        return (whole(structure),)
    roots = _roots(structure)
    groups: dict[int, list[int]] = {}
    for q in range(structure.n_qubits):
        groups.setdefault(roots[q], []).append(q)
    if len(groups) == 1:
        return (whole(structure),)
    return tuple(_part(structure, qubits, roots) for qubits in groups.values())


def whole(structure: Structure) -> Component:
    """Return a circuit as its only part."""
    return Component(
        structure,
        tuple(range(structure.n_qubits)),
        tuple(range(structure.n_clbits)),
        tuple(range(len(structure.paired_readout))),
    )


def _roots(structure: Structure) -> list[int]:
    """Return a representative of each qubit's part; bits are nodes n, n + 1, ..."""
    parent = list(range(structure.n_qubits + structure.n_clbits))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    n = structure.n_qubits
    links = [(n + a, n + b) for a, b in structure.paired_readout]
    for op in structure.operations:
        nodes = [*op.qubits, *(n + c for x in op.conditions for c in x.clbits)]
        if op.kind is Kind.MEASURE:
            nodes.append(n + op.clbit)
        links += [(nodes[0], other) for other in nodes[1:]]
    for a, b in links:
        parent[find(a)] = find(b)
    return [find(node) for node in range(len(parent))]


def _part(structure: Structure, qubits: list[int], roots: list[int]) -> Component:
    root, n = roots[qubits[0]], structure.n_qubits
    clbits = [c for c in range(structure.n_clbits) if roots[n + c] == root]
    inside = set(qubits)
    return extract(
        structure, qubits, clbits, [op for op in structure.operations if op.qubits[0] in inside]
    )


def extract(
    structure: Structure, qubits: list[int], clbits: list[int], operations: list[Operation]
) -> Component:
    """Return the circuit of some operations, on these qubits and bits alone.

    Args:
        structure: The whole circuit.
        qubits: Every qubit that the operations act on, in the order they get.
        clbits: Every bit that the operations write or read, in the order they get.
        operations: Of the whole circuit, in time order.
    """
    qubit_at = {q: k for k, q in enumerate(qubits)}
    clbit_at = {c: k for k, c in enumerate(clbits)}
    moved = tuple(
        Operation(
            op.kind,
            tuple(qubit_at[q] for q in op.qubits),
            op.slot,
            clbit_at[op.clbit] if op.clbit >= 0 else -1,
            tuple(
                Condition(tuple(clbit_at[c] for c in x.clbits), x.value, x.equal)
                for x in op.conditions
            ),
            op.mechanism,
            op.start,
        )
        for op in operations
    )
    written = {op.clbit for op in operations}
    kept = [k for k, pair in enumerate(structure.paired_readout) if written.issuperset(pair)]
    part = Structure(
        moved,
        len(qubits),
        len(clbits),
        tuple(structure.qubits[q] for q in qubits),
        tuple(tuple(clbit_at[c] for c in structure.paired_readout[k]) for k in kept),  # type: ignore[misc]
        structure.duration,
    )
    return Component(part, tuple(qubits), tuple(clbits), tuple(kept))
