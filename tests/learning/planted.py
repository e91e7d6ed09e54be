"""Small devices with planted errors, and counts of them."""

import numpy as np
from qiskit import QuantumCircuit

from qdt_emu.calibrations import Calibration
from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device, build, what_if
from qdt_emu.twin import Twin


def line(qubits: int = 3, **changes: object) -> Device:
    numbers = {"t1": 1e-4, "t2": 8e-5, "infidelity_1q": 5e-4, "infidelity_2q": 8e-3} | changes
    return build(Calibration.uniform("line", qubits=qubits, **numbers))


def planted(qubits: int = 3) -> Device:
    """What the processor really does."""
    return what_if(
        line(qubits),
        t1={0: 7e-5, 1: 1.4e-4},
        assignment={0: (0.03, 0.05), 1: (0.008, 0.03)},
        phase={("cz", (0, 1)): (0.07, -0.05)},
        over_rotation={("cz", (0, 1)): 0.05, ("cz", (1, 2)): -0.06},
        infidelity={("cz", (0, 1)): 0.014},
    )


def random_circuit(seed: int, qubits: int = 3, depth: int = 6) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    out = QuantumCircuit(qubits, qubits, metadata={PHYSICAL: True})
    for layer in range(depth):
        for q in range(qubits):
            out.rz(rng.uniform(-np.pi, np.pi), q)
            out.sx(q)
        for a in range(layer % 2, qubits - 1, 2):
            out.cz(a, a + 1)
    out.barrier()
    out.measure(range(qubits), range(qubits))
    return out


def measured(device: Device, seeds: range, *, shots: int = 20_000) -> list[tuple]:
    twin = Twin.load(device)
    return [
        (c := random_circuit(seed, device.n_qubits), twin.run(c, shots=shots, seed=seed).counts)
        for seed in seeds
    ]
