"""The classical record as qubits, so that engines for observables can answer questions about it.

A measurement in the middle of a circuit copies the qubit's Z onto a fresh qubit that nothing else
touches; products of recorded bits are then products of Z of such qubits at the end (the principle
of deferred measurement). What the measured qubit does afterwards is not changed by it: a copy that
is never looked at dephases the qubit, which is what its projection does on average.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.noisy import Kind, NoisyCircuit, Operation, Structure
from qdt_emu.errors import UnsupportedError

COPY = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], complex)


@dataclass(frozen=True, eq=False)
class Deferred:
    """A circuit without measurements, and where its record is.

    Attributes:
        circuit: The same circuit; its own qubits first, then one for each measurement.
        place: Qubit that holds each clbit at the end, -1 for a bit never written, shape
            (n_clbits,).
        readout: Measured operator of each qubit, shape (n_qubits, 2), see `Engine.estimate`: what
            misreading makes of the Z of a copy.
    """

    circuit: NoisyCircuit
    place: NDArray[np.int64]
    readout: NDArray[np.float64]


def deferred(circuit: NoisyCircuit) -> Deferred:
    """Return the circuit with its record in qubits.

    Raises:
        UnsupportedError: A bit decides about an operation, or bits are misread in pairs.

    Error:
        None: means of products of bits are those of the original circuit.

    Source:
        Nielsen and Chuang (2010), section 4.4.
    """
    old, values = circuit.structure, circuit.values
    if old.paired_readout:
        raise UnsupportedError(
            "Bits that are misread in pairs have no model as qubits. Remove `pair_correlation`."
        )
    n, slot = old.n_qubits, len(values.unitaries2)
    place = np.full(old.n_clbits, -1, np.int64)
    operations: list[Operation] = []
    gains: list[tuple[float, float]] = []
    for op in old.operations:
        if op.conditions:
            raise UnsupportedError(
                f"An operation on qubit {op.qubits[0]} depends on clbit "
                f"{op.conditions[0].clbits[0]}, which has no model with the record as qubits. "
                f"Sample the circuit instead."
            )
        if op.kind is not Kind.MEASURE:
            operations.append(op)
            continue
        place[op.clbit] = n + len(gains)
        pair = (op.qubits[0], n + len(gains))
        operations.append(replace(op, kind=Kind.UNITARY, qubits=pair, slot=slot, clbit=-1))
        p01, p10 = (float(p) for p in np.asarray(values.confusion)[op.slot])
        gains.append((1 - p01 - p10, p10 - p01))
    added = len(gains)
    first = max(old.qubits, default=-1) + 1
    labels = (*old.qubits, *range(first, first + added))
    structure = Structure(tuple(operations), n + added, 0, labels, (), old.duration)
    readout = np.tile([1.0, 0.0], (n + added, 1))
    readout[n:] = np.reshape(gains, (-1, 2))
    new = replace(
        values,
        excited=np.concatenate([np.asarray(values.excited), np.zeros(added)]),
        unitaries2=np.concatenate([np.asarray(values.unitaries2).reshape(-1, 4, 4), COPY[None]]),
        detuning=np.concatenate([np.asarray(values.detuning).reshape(-1, 2), np.zeros((added, 2))]),
    )
    return Deferred(NoisyCircuit(structure, new), place, readout)
