"""The facade: counts, estimates, identities and costs."""

import itertools
import time

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector

from qdt_emu import Options, Policy, Twin
from qdt_emu.calibrations import Calibration, read_calibration
from tests.circuit.exact import physical, quiet, toy


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.fixture(scope="module")
def lima() -> Twin:
    return Twin.load("lima")


def strings(n: int, rng: np.random.Generator, count: int = 12) -> list[str]:
    return ["".join(rng.choice(list("IXYZ"), n)) for _ in range(count)]


def exact(circuit: QuantumCircuit, labels: list[str]) -> list[float]:
    state = Statevector(circuit)
    return [state.expectation_value(Pauli(label)).real for label in labels]


@pytest.mark.parametrize("engine", ["density", "statevector"])
def test_the_same_seed_gives_the_same_counts(lima, engine):
    one, two, other = (lima.run(bell(), seed=s, engine=engine) for s in (5, 5, 6))
    assert one.counts == two.counts != other.counts
    assert sum(one.counts.values()) == 1024


def test_a_seed_that_was_drawn_is_recorded_and_repeats_the_run(lima):
    one = lima.run(bell())
    assert lima.run(bell(), seed=one.provenance.seed).counts == one.counts
    assert lima.run(bell()).provenance.seed != one.provenance.seed


@pytest.mark.parametrize("seed", range(6))
def test_the_ideal_twin_agrees_with_qiskit_on_random_circuits(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    circuit = random_circuit(n, 8, max_operands=min(n, 4), seed=seed)
    labels = strings(n, rng)
    found = Twin.ideal(n).estimate(circuit, labels, seed=0)
    np.testing.assert_allclose(found.values, exact(circuit, labels), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_counts_of_the_ideal_twin_follow_qiskits_probabilities(seed):
    circuit = random_circuit(3, 6, max_operands=2, seed=seed)
    p = Statevector(circuit).probabilities_dict()
    circuit.measure_all()
    shots = 20_000
    counts = Twin.ideal(3).run(circuit, shots=shots, seed=seed).counts
    assert all(p.get(key, 0) > 1e-12 for key in counts)
    for key, probability in p.items():
        # 5.5 sigma and Poisson's tail: false alarm below 1e-6 for all together.
        sd = np.sqrt(shots * probability * (1 - probability)) + 1
        assert abs(counts.get(key, 0) - shots * probability) < 5.5 * sd


@pytest.mark.parametrize("seed", range(4))
def test_pauli_letters_follow_the_users_qubits_through_layout_and_routing(seed):
    rng = np.random.default_rng(100 + seed)
    circuit = random_circuit(4, 5, max_operands=2, seed=seed)
    labels = strings(4, rng)
    twin = Twin(quiet(6))
    for options in (Options(), Options(layout=(5, 2, 0, 3)), Options(optimization_level=3)):
        found = twin.estimate(circuit, labels, seed=0, readout=False, options=options)
        np.testing.assert_allclose(found.values, exact(circuit, labels), atol=1e-7)


def test_a_transpiled_circuit_takes_strings_on_the_processors_qubits():
    twin = Twin(quiet(5))
    circuit = random_circuit(3, 4, max_operands=2, seed=3)
    mapped = transpile(circuit, target=twin.target, initial_layout=[4, 1, 2], seed_transpiler=1)
    observable = SparsePauliOp(["ZXY", "XIZ", "YYI"])
    there = observable.apply_layout(mapped.layout)
    found = twin.estimate(mapped, there, seed=0, readout=False)
    labels = observable.paulis.to_labels()
    np.testing.assert_allclose(found.values, exact(circuit, labels), atol=1e-7)


def test_the_leftmost_letter_is_the_highest_qubit(lima):
    circuit = QuantumCircuit(3)
    circuit.x(0)
    found = Twin.ideal(3).estimate(circuit, ["IIZ", "ZII", "ZIZ"], seed=0)
    assert found.values.tolist() == [-1, 1, -1]
    assert lima.estimate(circuit, "IIZ", seed=0).values[0] < -0.8  # one string needs no list


def test_estimates_contain_misread_bits_unless_told_otherwise():
    twin = Twin(quiet(2, assignment=(0.1, 0.3)))
    circuit = physical(2)
    circuit.x(0)
    labels = ["IZ", "ZI", "ZZ", "IX", "XX"]
    clean = twin.estimate(circuit, labels, seed=0, readout=False)
    np.testing.assert_allclose(clean.values, [-1, 1, -1, 0, 0], atol=1e-9)
    read = twin.estimate(circuit, labels, seed=0)
    # <Z> -> 0.6 <Z> + 0.2; qubit 1 is not even touched.
    np.testing.assert_allclose(read.values, [-0.4, 0.8, -0.32, 0.2, 0.04], atol=1e-9)


def test_untouched_qubits_rest_in_equilibrium():
    device = toy(3, policy=Policy(excited_population=0.005))
    twin = Twin(device)
    circuit = physical(3)
    circuit.rz(0.1, 1)
    found = twin.estimate(circuit, ["ZII", "ZIZ", "XII"], seed=0, readout=False)
    np.testing.assert_allclose(found.values, [0.99, 0.99**2, 0], atol=1e-12)


def test_estimate_equals_counts_within_their_error(lima):
    circuit = random_circuit(3, 3, max_operands=2, seed=1)
    found = lima.estimate(circuit, ["ZIZ", "IZZ"], seed=0)
    circuit.measure_all()
    counts = lima.run(circuit, shots=40_000, seed=1).counts
    for label, value in zip(("ZIZ", "IZZ"), found.values, strict=True):
        bits = [k for k, letter in enumerate(label) if letter == "Z"]
        mean = sum(n * (-1) ** sum(key[b] == "1" for b in bits) for key, n in counts.items())
        # 5.3 sigma: false alarm 1e-7.
        assert abs(mean / 40_000 - value) < 5.3 / np.sqrt(40_000)


def test_both_engines_estimate_the_same(lima):
    circuit = random_circuit(4, 4, max_operands=2, seed=2)
    labels = ["ZZII", "IXXI", "YIIZ"]
    one = lima.estimate(circuit, labels, seed=3, engine="density")
    two = lima.estimate(circuit, labels, seed=3, engine="statevector", shots=2000)
    assert not one.stderr.any()
    assert (np.abs(two.values - one.values) < 5.3 * two.stderr + 1e-5).all()


def test_registers_keep_their_names_and_order():
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(QuantumRegister(3, "q"), low, high)
    circuit.x(2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    counts = Twin.ideal(3).run(circuit, shots=10, seed=0)
    assert counts.counts == {"100": 10}
    assert counts.registers == (("low", 1), ("high", 2))
    assert dict(counts.to_qiskit()) == {"10 0": 10}


def test_single_shots_have_one_column_per_bit():
    circuit = QuantumCircuit(2, 3)
    circuit.x(1)
    circuit.measure([0, 1], [0, 2])
    bits = Twin.ideal(2).records(circuit, shots=7, seed=0)
    assert bits.tolist() == [[0, 0, 1]] * 7


def test_results_say_where_they_come_from(lima):
    counts = lima.run(bell(), seed=9, shots=100)
    origin = counts.provenance
    assert (origin.device, origin.seed, origin.circuit_name) == ("ibmq_lima", 9, "bell")
    assert origin.calibration_id == lima.calibration.id
    assert counts.report.engine == "density"
    assert any(note.startswith("transpiled: qubits [") for note in counts.report.notes)
    assert counts.truncation == 0
    again = lima.run(bell(), seed=10, shots=100)
    assert sum((counts + again).counts.values()) == 200
    found = lima.estimate(bell(), ["ZZ"], seed=9)
    assert found.provenance.calibration_id == lima.calibration.id


def test_notes_name_repairs_of_what_was_used_only(lima):
    circuit = physical(5, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    notes = lima.run(circuit, seed=0).report.notes
    repaired = [n for n in lima.device.notes if n.gate]
    for n in repaired:
        used = (n.gate, n.qubits) == ("x", (0,))
        assert any(note.startswith(n.where + ":") for note in notes) == used


def test_gates_let_through_without_noise_are_named(lima):
    circuit = physical(5, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    options = Options(allow_noiseless={"h"})
    notes = lima.run(circuit, seed=0, options=options).report.notes
    assert "without noise, as allowed: h" in notes
    branch = physical(5, 1)
    branch.measure(0, 0)
    with branch.if_test((branch.clbits[0], 1)):
        branch.y(0)
    options = Options(allow_noiseless={"y"})
    notes = lima.run(branch, seed=0, options=options).report.notes
    assert "without noise, as allowed: y" in notes


def test_an_ideal_twin_with_t1_decays_in_delays():
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.delay(10, 0, unit="us")
    twin = Twin.ideal(1).what_if(t1=2e-5)
    z = twin.estimate(circuit, ["Z"], seed=0).values[0]
    assert z == pytest.approx(1 - 2 * np.exp(-0.5), abs=1e-12)


def test_what_if_gives_another_twin_and_leaves_the_first(lima):
    worse = lima.what_if(t1=5e-6)
    circuit = bell()
    before = lima.estimate(circuit, ["ZZ"], seed=0).values[0]
    assert worse.estimate(circuit, ["ZZ"], seed=0).values[0] < before - 0.05
    assert lima.estimate(circuit, ["ZZ"], seed=0).values[0] == before
    assert any("t1: replaced by 5e-06" in n for n in worse.run(circuit, seed=0).report.notes)


def test_every_job_draws_its_own_t1_from_its_seed(lima):
    drifting = lima.what_if(t1_spread=0.5)
    values = [drifting.estimate(bell(), ["ZZ"], seed=s).values[0] for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_free_parameters_are_bound_per_run():
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.ry(theta, 0)
    twin = Twin.ideal(1)
    for angle in (0.3, 2.0):
        found = twin.estimate(circuit, ["Z"], seed=0, binding={"theta": angle})
        assert found.values[0] == pytest.approx(np.cos(angle), abs=1e-12)


def test_compiled_circuits_are_kept_by_content(tmp_path):
    twin, circuit = Twin.ideal(2), bell()
    first = twin.compile(circuit)
    assert twin.compile(bell()) is first
    circuit.x(0)
    assert twin.compile(circuit) is not first
    assert twin.compile(bell(), measured=False) is not first
    assert twin.compile(bell(), options=Options(layout=(1, 0))) is not first
    path = tmp_path / "c.qasm"
    head = "OPENQASM 2.0; include 'qelib1.inc'; qreg q[1]; creg c[1];".replace("'", '"')
    path.write_text(head + "measure q -> c;")
    assert twin.run(str(path), shots=5, seed=0).counts == {"0": 5}
    path.write_text(head + "x q[0]; measure q -> c;")
    assert twin.run(str(path), shots=5, seed=0).counts == {"1": 5}


def test_a_twin_is_made_from_name_calibration_device_and_file(lima, tmp_path):
    calibration = read_calibration("lima")
    path = tmp_path / "lima.nc"
    calibration.to_netcdf(path)
    for source in (calibration, path, str(path), "ibmq_lima"):
        assert Twin.load(source).device.id == lima.device.id
    assert Twin.load(lima.device).calibration is None
    assert repr(lima).startswith("Twin('ibmq_lima', qubits=5, calibrated 2021-03-15T")


def test_policies_reach_the_device():
    twin = Twin.load("lima", policy=Policy(negative_residual="keep"))
    assert (twin.device.parameters.relaxation_scale == 1).all()


def test_the_check_of_a_twin_passes_and_needs_a_calibration(lima):
    assert lima.check().passed
    with pytest.raises(ValueError, match=r"'ideal_2' has no calibration to check against"):
        Twin.ideal(2).check()


def test_ghz_states_of_two_halves_far_apart_on_a_large_processor():
    twin = Twin.load("fez")
    circuit = QuantumCircuit(4)
    for q in (0, 2):
        circuit.h(q)
        circuit.cx(q, q + 1)
    circuit.measure_all()
    options = Options(layout=(0, 1, 140, 141))
    counts = twin.run(circuit, seed=1, shots=2000, options=options)
    good = sum(n for key, n in counts.counts.items() if key[0] == key[1] and key[2] == key[3])
    assert good > 1700


def fastest(function, repeats: int) -> float:
    """Processor time, so that a busy machine does not decide."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times)


def test_a_warm_run_on_156_qubits_costs_milliseconds():
    twin, circuit, seeds = Twin.load("fez"), bell(), itertools.count()
    twin.run(circuit, seed=0)
    # The goal is 10 ms; the bar allows for a busy machine.
    assert fastest(lambda: twin.run(circuit, seed=next(seeds)), 20) < 0.03
    assert fastest(lambda: twin.estimate(circuit, ["ZZ"], seed=next(seeds)), 20) < 0.03


def test_building_a_twin_of_156_qubits_costs_less_than_a_second():
    Twin.load("fez")
    assert fastest(lambda: Twin.load("fez"), 3) < 1.0  # the goal is 0.5 s


def test_uniform_calibrations_make_twins_too():
    twin = Twin.load(Calibration.uniform("lab", qubits=2, t1=5e-5, t2=5e-5))
    assert set(twin.run(bell(), seed=0).counts) <= {"00", "01", "10", "11"}
