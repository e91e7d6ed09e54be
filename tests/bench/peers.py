"""Qiskit Aer and qsim, given the twin's own scheduled circuit and the settings that suit them best.

Both get every unitary and every channel in its place. Misread bits cost the peers nothing: Aer
does it while sampling, for qsim and for exact vectors it is applied here outside the clock.
"""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile

from qdt_emu import Twin
from qdt_emu.adapters.aer import readout_for_aer, scheduled_for_aer, to_noise_model
from qdt_emu.circuit import Kind, NoisyCircuit
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.errors import UnsupportedError
from qdt_emu.noise import identity_weight, relaxation_remainder_kraus

Draw = Callable[[int, int], NDArray[np.uint8]]
"""(shots, seed) -> bits, shape (shots, n_clbits)."""

THREADS = 2
MODULES = {"qiskit-aer": "qiskit_aer", "qsimcirq": "qsimcirq"}
MISSING = "not installed; pip install qdt-emu[bench]"

# Found by trying. Density matrix: Aer's own fusion (2 qubits) beats 1, 3 and none, double precision
# beats single. Trajectories: no fusion beats fusion, because every shot has other noise; a thread
# for each shot beats two for one vector. qsim: 2 fused qubits beat 3 and 4, two threads beat one.
AER_EXACT = {"method": "density_matrix", "max_parallel_threads": THREADS}
AER_SHOTS = {
    "method": "statevector",
    "precision": "single",
    "max_parallel_threads": THREADS,
    "max_parallel_shots": THREADS,
    "fusion_enable": False,
}
QSIM = {"max_fused_gate_size": 2, "cpu_threads": THREADS}


def installed(package: str) -> bool:
    """Return whether a peer is there."""
    return find_spec(MODULES[package]) is not None


def label(package: str) -> str:
    """Return a peer's name and version."""
    return f"{package} {version(package)}" if installed(package) else package


def settings(options: dict[str, Any]) -> str:
    """Return options in words."""
    return ", ".join(f"{k}={v}" for k, v in options.items())


def aer_probabilities(noisy: NoisyCircuit, **options: Any) -> Callable[[], NDArray[np.float64]]:
    """Return a function that computes the distribution of the true bits by Aer's density matrix."""
    from qiskit_aer import AerSimulator  # noqa: PLC0415 - a peer may be missing

    circuit = scheduled_for_aer(noisy)
    circuit.remove_final_measurements()
    circuit.save_probabilities(measured_qubits(noisy.structure).tolist())
    simulator = AerSimulator(**(AER_EXACT | options))
    return lambda: _checked(simulator.run(circuit, shots=1).result()).data()["probabilities"]


def aer_by_instruction(twin: Twin, circuit: QuantumCircuit) -> Callable[[], NDArray[np.float64]]:
    """Return a function that computes the same with an Aer noise model and explicit delays.

    What Aer's users do; the twin must be one without ZZ. Qiskit schedules the circuit.
    """
    from qiskit_aer import AerSimulator  # noqa: PLC0415

    scheduled = transpile(
        circuit, target=twin.target, scheduling_method="alap", optimization_level=0,
        initial_layout=range(twin.n_qubits),
    )  # fmt: skip
    place = {bit: q for q, bit in enumerate(scheduled.qubits)}
    read = {i.clbits[0]: place[i.qubits[0]] for i in scheduled.get_instructions("measure")}
    measured = [read[bit] for bit in scheduled.clbits]
    scheduled.remove_final_measurements()
    scheduled.save_probabilities(measured)
    simulator = AerSimulator(**AER_EXACT, noise_model=to_noise_model(twin.device))
    return lambda: _checked(simulator.run(scheduled, shots=1).result()).data()["probabilities"]


def aer_shots(noisy: NoisyCircuit, **options: Any) -> Draw:
    """Return a function that draws bits with Aer's statevector."""
    from qiskit_aer import AerSimulator  # noqa: PLC0415

    circuit = scheduled_for_aer(noisy)
    simulator = AerSimulator(**(AER_SHOTS | options), noise_model=readout_for_aer(noisy))

    def draw(shots: int, seed: int) -> NDArray[np.uint8]:
        run = simulator.run(circuit, shots=shots, seed_simulator=seed, memory=True)
        words = _checked(run.result()).get_memory()
        return np.array([[int(b) for b in reversed(word)] for word in words], np.uint8)

    return draw


def _checked(result: Any) -> Any:
    if not result.success:
        raise RuntimeError(f"Aer failed: {result.status}")
    return result


def to_qsim(noisy: NoisyCircuit) -> Any:
    """Return the scheduled circuit for qsim: unitaries, mixtures and Kraus channels.

    Relaxation is split into the identity with its largest weight, which qsim skips, and the rest.
    """
    import cirq  # noqa: PLC0415

    s, v = noisy.structure, noisy.values
    qubits = cirq.LineQubit.range(s.n_qubits)
    if np.any(v.excited):
        raise UnsupportedError("An excited population at the start is not handed to qsim.")
    built: dict[Any, Any] = {}

    def gate(kind: Kind, n: int, slot: int) -> Any:
        if kind is Kind.UNITARY:
            return cirq.MatrixGate((v.unitaries1 if n == 1 else v.unitaries2)[slot])
        if kind is Kind.PAULI:
            table = (v.pauli1 if n == 1 else v.pauli2)[slot]
            names = "IXYZ" if n == 1 else [a + b for a in "IXYZ" for b in "IXYZ"]
            weights = dict(zip(names, table.tolist(), strict=True))
            return cirq.asymmetric_depolarize(error_probabilities=weights)
        if kind is Kind.RELAXATION:
            return cirq.KrausChannel(_relaxation(*v.relaxation[slot]))
        raise UnsupportedError(f"{kind.name} is not handed to qsim.")

    circuit = cirq.Circuit()
    for op in s.operations:
        if op.kind is Kind.MEASURE:
            continue
        key = (op.kind, len(op.qubits), op.slot)
        if key not in built:
            built[key] = gate(*key)
        circuit.append(built[key].on(*(qubits[q] for q in op.qubits)))
    measured = [qubits[q] for q in measured_qubits(s)]
    circuit.append(cirq.measure(*measured, key="bits"))
    return circuit


def _relaxation(e1: float, e2: float, excited: float) -> list[NDArray[np.float64]]:
    stay = float(identity_weight(e1, e2, excited))
    rest = np.sqrt(1 - stay) * relaxation_remainder_kraus(e1, e2, excited)
    return [k for k in (np.sqrt(stay) * np.eye(2), *rest) if np.abs(k).max() > 1e-12]


def qsim_shots(noisy: NoisyCircuit, **options: Any) -> Draw:
    """Return a function that draws bits with qsim's quantum trajectories."""
    import qsimcirq  # noqa: PLC0415

    circuit = to_qsim(noisy)
    settings = qsimcirq.QSimOptions(**(QSIM | options))

    def draw(shots: int, seed: int) -> NDArray[np.uint8]:
        simulator = qsimcirq.QSimSimulator(settings, seed=seed)
        bits = simulator.run(circuit, repetitions=shots).measurements["bits"].astype(np.uint8)
        return misread(bits, noisy, seed)

    return draw


def confusion(noisy: NoisyCircuit) -> NDArray[np.float64]:
    """Return (P(read 1 | 0), P(read 0 | 1)) of each classical bit, shape (n_clbits, 2)."""
    table = np.zeros((noisy.structure.n_clbits, 2))
    for op in noisy.structure.operations:
        if op.kind is Kind.MEASURE:
            table[op.clbit] = noisy.values.confusion[op.slot]
    return table


def misread(bits: NDArray[np.uint8], noisy: NoisyCircuit, seed: int) -> NDArray[np.uint8]:
    """Return true bits as the processor would report them."""
    chance = np.take_along_axis(confusion(noisy).T, bits.astype(np.int64), axis=0)
    return bits ^ (np.random.default_rng([seed, 1]).random(bits.shape) < chance)


def misread_vector(p: NDArray[np.float64], noisy: NoisyCircuit) -> NDArray[np.float64]:
    """Return the distribution of the reported bits from that of the true ones."""
    n = noisy.structure.n_clbits
    p = p.reshape((2,) * n)
    for bit, (p01, p10) in enumerate(confusion(noisy)):
        matrix = np.array([[1 - p01, p10], [p01, 1 - p10]])
        axis = n - 1 - bit
        p = np.moveaxis(np.tensordot(matrix, p, (1, axis)), 0, axis)
    return p.ravel()
