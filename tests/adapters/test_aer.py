import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile

from qdt_emu import Twin
from qdt_emu.adapters.aer import (
    missing_in_aer,
    readout_for_aer,
    scheduled_for_aer,
    to_noise_model,
)
from qdt_emu.circuit import Kind
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.errors import UnsupportedError
from tests.bench.peers import misread_vector

aer = pytest.importorskip("qiskit_aer")


@pytest.fixture(scope="module")
def twin():
    return Twin.load("ibmq_lima")


def program(*, excited=False):
    """Waits, cross terms, and a qubit that starts late."""
    circuit = QuantumCircuit(5, 3)
    circuit.sx(1)
    circuit.cx(1, 0)
    circuit.rz(0.3, 0)
    circuit.delay(2, 1, unit="us")
    circuit.sx(0)
    circuit.cx(1, 3)
    circuit.x(3)
    if excited:
        circuit.reset(0)
    circuit.measure([0, 1, 3], [2, 0, 1])
    return circuit


def exact(noisy):
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def by_aer(circuit, qubits, noise_model=None):
    circuit = circuit.copy()
    circuit.remove_final_measurements()
    circuit.save_probabilities(qubits)
    simulator = aer.AerSimulator(method="density_matrix", noise_model=noise_model)
    return simulator.run(circuit, shots=1).result().data()["probabilities"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"excited": 0.03},
        {"zz": 50e3},
        {"over_rotation": 0.02, "phase": (0.01, -0.03)},
        {"t1": {0: 5e-6, 1: np.inf}, "t2": {0: 10e-6, 1: 3e-6}},
    ],
)
def test_the_scheduled_circuit_gives_the_same_probabilities(twin, changes):
    noisy = twin.what_if(**changes).compile(program(excited=True)).bind()
    p = by_aer(scheduled_for_aer(noisy), measured_qubits(noisy.structure).tolist())
    assert np.allclose(misread_vector(p, noisy), exact(noisy), rtol=0, atol=1e-12)


@pytest.mark.parametrize("changes", [{}, {"over_rotation": 0.02, "phase": (0.01, -0.03)}])
def test_the_noise_model_gives_the_same_probabilities_for_explicit_delays(twin, changes):
    twin = twin.what_if(zz=0.0, **changes)
    scheduled = transpile(
        program(), target=twin.target, scheduling_method="alap", optimization_level=0,
        initial_layout=range(5),
    )  # fmt: skip
    noisy = twin.compile(scheduled).bind()
    p = by_aer(scheduled, [1, 3, 0], to_noise_model(twin.device))
    assert np.allclose(misread_vector(p, noisy), exact(noisy), rtol=0, atol=1e-6)


def test_misread_bits_are_sampled_by_aer(twin):
    # TVD of 20 000 shots to the truth; the mean is 0.008 and 0.03 is beyond 1e-9.
    noisy = twin.what_if(assignment=(0.1, 0.2)).compile(program()).bind()
    simulator = aer.AerSimulator(method="density_matrix", noise_model=readout_for_aer(noisy))
    counts = simulator.run(scheduled_for_aer(noisy), shots=20_000, seed_simulator=1).result()
    frequency = np.zeros(8)
    for word, number in counts.get_counts().items():
        frequency[int(word, 2)] = number / 20_000
    assert np.abs(frequency - exact(noisy)).sum() / 2 < 0.03


def test_reset_and_readout_errors_are_in_the_noise_model(twin):
    device = twin.what_if(reset_excitation=0.25, assignment=(0.0, 0.0)).device
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    circuit.measure(0, 0)
    simulator = aer.AerSimulator(noise_model=to_noise_model(device, allow_missing=True))
    counts = simulator.run(circuit, shots=4000, seed_simulator=2).result().get_counts()
    assert abs(counts["1"] / 4000 - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 4000) + 0.01


def test_what_aer_lacks_is_named(twin):
    drifting = twin.what_if(zz=1e4, detuning=1e3)
    assert [name.split(" (")[0] for name in missing_in_aer(drifting.device)] == ["zz", "detuning"]
    with pytest.raises(UnsupportedError, match=r"zz.*detuning.*allow_missing"):
        to_noise_model(drifting.device)
    to_noise_model(drifting.device, allow_missing=True)
    with pytest.raises(UnsupportedError, match="detuning"):
        scheduled_for_aer(drifting.compile(program()).bind())
    branching = QuantumCircuit(5, 2)
    branching.measure(0, 0)
    with branching.if_test((0, 1)):
        branching.x(1)
    branching.measure(1, 1)
    with pytest.raises(UnsupportedError, match="if_else"):
        scheduled_for_aer(twin.compile(branching).bind())


def test_the_ideal_twin_is_ideal_in_aer():
    noisy = Twin.ideal(5).compile(program()).bind()
    assert {op.kind for op in noisy.structure.operations} <= {Kind.UNITARY, Kind.MEASURE}
    p = by_aer(scheduled_for_aer(noisy), measured_qubits(noisy.structure).tolist())
    assert np.allclose(p, exact(noisy), atol=1e-12)
    assert to_noise_model(Twin.ideal(5).device).is_ideal()
