"""Exact answers of compiled circuits, for the laws of this stage."""

from functools import cache

import numpy as np
from qiskit import QuantumCircuit

from qdt_emu.calibrations import Calibration
from qdt_emu.circuit.compile import Compiled, Options, compile_circuit
from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device, Policy, build
from qdt_emu.device.target import to_target
from qdt_emu.engines.density import Density, probabilities

SX, CZ, RO = 40e-9, 300e-9, 1e-6  # durations in `toy`, s


@cache
def toy(qubits: int = 2, *, policy: Policy | None = None, **changes: object) -> Device:
    """A line of equal qubits."""
    numbers = {"t1": 1e-4, "t2": 8e-5, "infidelity_1q": 5e-4} | changes
    return build(Calibration.uniform("toy", qubits=qubits, **numbers), policy)


@cache
def quiet(qubits: int = 2, *, policy: Policy | None = None, **changes: object) -> Device:
    """A line of equal qubits without noise of its own but with durations."""
    perfect = {"t1": 1e9, "t2": 1e9, "infidelity_1q": 1e-15, "infidelity_2q": 1e-15}
    return toy(qubits, policy=policy, **perfect | {"assignment": (0.0, 0.0)} | changes)


def physical(qubits: int, clbits: int = 0) -> QuantumCircuit:
    return QuantumCircuit(qubits, clbits, metadata={PHYSICAL: True})


def compiled(
    circuit: QuantumCircuit, device: Device, *, measured: bool = True, **options: object
) -> Compiled:
    return compile_circuit(
        circuit, device, to_target(device), Options(**options), measured=measured
    )


def distribution(circuit: QuantumCircuit, device: Device, **options: object) -> np.ndarray:
    """P(record), shape (2**n_clbits,); bit c of the index is clbit c."""
    noisy = compiled(circuit, device, **options).bind()
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def expectation(circuit: QuantumCircuit, device: Device, pauli: str, **options: object) -> float:
    """<P> of the final state without readout errors; leftmost letter is the highest qubit."""
    found = compiled(circuit, device, measured=False, **options)
    noisy = found.bind()
    codes = ["IXYZ".index(pauli[::-1][q]) for q in noisy.structure.qubits]
    gain = np.tile([1.0, 0.0], (len(codes), 1))
    engine = Density()
    state = engine.prepare(noisy.structure)
    strings = np.array([codes], np.uint8)
    out = engine.estimate(state, noisy.values, strings, gain, shots=1, seed=0)
    return float(out.values[0])
