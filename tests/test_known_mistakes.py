"""Eighteen mistakes seen in other tools, each as the law that it breaks."""

import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu import Options, Policy, Twin
from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.device import build, what_if
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import InputError
from qdt_emu.noise.coherent import phased_fsim
from qdt_emu.noise.infidelity import (
    average_infidelity,
    cycle_infidelity,
    gate_infidelity_of_cycle,
)
from tests.circuit.exact import (
    CZ,
    RO,
    SX,
    compiled,
    distribution,
    expectation,
    physical,
    quiet,
    toy,
)


def prepared(value: int, qubit: int, qubits: int) -> QuantumCircuit:
    """A perfect preparation: the pulses carry no noise (`allow_noiseless`)."""
    circuit = physical(qubits, 1)
    for _ in range(2 - value):
        circuit.x(qubit)
    circuit.measure(qubit, 0)
    return circuit


PERFECT = {"allow_noiseless": frozenset({"x"})}


def test_r1_each_prepared_state_is_misread_with_its_own_probability():
    device = toy(1, assignment=(0.002, 0.409))
    assert distribution(prepared(0, 0, 1), device, **PERFECT)[1] == pytest.approx(0.002, abs=1e-12)
    assert distribution(prepared(1, 0, 1), device, **PERFECT)[0] == pytest.approx(0.409, abs=1e-12)
    calibration = read_calibration("boston")
    device, published = build(calibration), calibration.values("readout/assignment")
    q = int(np.nanargmax(np.abs(published[:, 0] - published[:, 1])))
    assert abs(published[q, 0] - published[q, 1]) > 0.02
    for value in (0, 1):
        wrong = distribution(prepared(value, q, device.n_qubits), device, **PERFECT)[1 - value]
        assert wrong == pytest.approx(published[q, value], abs=1e-12)


@pytest.mark.parametrize("excited", [0.0, 0.003])
@pytest.mark.parametrize("duration", [0.0, 4e-6])
def test_r2_readout_errors_are_not_counted_twice(excited, duration):
    device = toy(
        1,
        t1=2e-5,
        t2=2e-5,
        infidelity_1q=5e-3,
        assignment=(0.01, 0.03),
        readout_duration=duration,
        policy=Policy(excited_population=excited),
    )
    for value, published in ((0, 0.01), (1, 0.03)):
        p = distribution(prepared(value, 0, 1), device, **PERFECT)
        assert p[1 - value] == pytest.approx(published, abs=1e-12)


def test_r3_idle_qubits_decay_without_being_asked_to():
    device = quiet(2, t1=1e-4, t2=1e-4, infidelity_1q=0.01, assignment=(0.01, 0.02))
    circuit = physical(2, 1)
    circuit.x(0)
    circuit.barrier()
    for _ in range(1000):
        circuit.x(1)
    circuit.barrier()
    circuit.measure(0, 0)
    row = device.require("x", (0,))
    p, s = device.parameters.depolarizing[row], device.parameters.relaxation_scale[row]
    up = (np.exp(-SX * s / 1e-4) * (1 - p) + p / 2) * np.exp(-1000 * SX / 1e-4)
    assert distribution(circuit, device)[1] == pytest.approx(0.01 + 0.97 * up, abs=1e-12)
    assert up < 0.68


def test_r4_t2_above_twice_t1_is_repaired_and_flagged_instead_of_crashing():
    device = toy(1, t1=5e-5, t2=2e-4)
    circuit = physical(1)
    circuit.sx(0)
    circuit.delay(1e-5, 0, unit="s")
    assert 0 < -expectation(circuit, device, "Y") < np.exp(-1e-5 / 1e-4)
    assert [n.case for n in device.notes if n.where == "t2 of qubit 0"] == ["C5"]


def test_r5_an_infidelity_of_one_means_not_calibrated():
    device = toy(2, infidelity_2q=1.0)
    circuit = physical(2, 1)
    circuit.cz(0, 1)
    with pytest.raises(InputError, match=r"`cz` on 0, 1 .* it is not calibrated"):
        compiled(circuit, device)


def test_r6_a_cycle_infidelity_contains_each_one_qubit_gate_once():
    single, cycle = 1e-3, 7e-3  # process infidelities, as such files quote them
    gate = float(gate_infidelity_of_cycle(cycle, single, single))
    average = (average_infidelity(single, 2), average_infidelity(gate, 4))
    device = build(
        Calibration.uniform(
            "xeb", qubits=2, t1=1e9, t2=1e9, infidelity_1q=average[0], infidelity_2q=average[1]
        )
    )
    circuit = physical(2)
    circuit.x([0, 1])
    circuit.cz(0, 1)
    assert 1 - process_fidelity(circuit, device) == pytest.approx(cycle, rel=2e-3)
    assert float(cycle_infidelity(gate, single, single)) == pytest.approx(cycle, rel=1e-12)


def process_fidelity(circuit: QuantumCircuit, device) -> float:
    """Of Pauli noise: the mean eigenvalue, from the noisy circuit's own numbers."""
    noisy = compiled(circuit, device, measured=False).bind()
    total = 0.0
    for one, two in itertools.product(range(4), repeat=2):
        eigenvalue = 1.0
        for op in noisy.structure.operations:
            if op.mechanism != "gate":
                continue
            table = (noisy.values.pauli1, noisy.values.pauli2)[len(op.qubits) - 1]
            letters = [(one, two)[q] for q in op.qubits]
            error = 4 ** len(op.qubits) / (4 ** len(op.qubits) - 1) * (1 - table[op.slot][0])
            eigenvalue *= 1 - error if any(letters) else 1.0
        total += eigenvalue / 16
    return total


def test_r7_a_misread_bit_does_not_change_the_state():
    circuit = physical(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    p = distribution(circuit, quiet(1, assignment=(0.0, 0.02))).reshape(2, 2)  # [second, first]
    assert p[0, 0] / p[:, 0].sum() == pytest.approx(0.02, abs=1e-9)


def test_r8_one_qubit_gates_are_noisy():
    device = quiet(1, infidelity_1q=1e-3)
    circuit = physical(1, 1)
    for _ in range(201):
        circuit.x(0)
    circuit.measure(0, 0)
    p = device.parameters.depolarizing[device.require("x", (0,))]
    assert distribution(circuit, device)[1] == pytest.approx(0.5 + 0.5 * (1 - p) ** 201, abs=1e-9)
    assert distribution(circuit, device)[1] < 0.85


def test_r9_exchanging_the_qubits_flips_antisymmetric_phases():
    swap = np.eye(4)[[0, 2, 1, 3]]
    theta, zeta, chi, gamma, phi = 0.3, 0.2, 0.7, -0.4, 1.1
    one = phased_fsim(theta, zeta, chi, gamma, phi)
    other = phased_fsim(theta, -zeta, -chi, gamma, phi)
    np.testing.assert_allclose(swap @ one @ swap, other, atol=1e-15)
    device = what_if(quiet(2), phase={("cz", (0, 1)): (0.2, -0.1)})
    for a, b in ((0, 1), (1, 0)):  # one physical gate, written in both orders
        circuit = physical(2)
        circuit.sx([0, 1])
        circuit.cz(a, b)
        assert expectation(circuit, device, "ZX") == pytest.approx(
            expectation(swapped(circuit), device, "ZX"), abs=1e-9
        )


def swapped(circuit: QuantumCircuit) -> QuantumCircuit:
    out = physical(2)
    for item in circuit.data:
        qubits = [circuit.find_bit(q).index for q in item.qubits]
        out.append(item.operation, qubits[::-1] if len(qubits) == 2 else qubits)
    return out


def test_r10_relaxation_above_the_published_infidelity_is_noted():
    device = build(read_calibration("sherbrooke"))
    found = [n for n in device.notes if n.case == "C1" and n.gate == "ecr"]
    assert len(found) == 26
    assert all("exceeds the published infidelity" in n.reason and n.new < 1 for n in found)


def test_r11_relaxation_and_residual_together_have_the_published_infidelity():
    device = toy(2, infidelity_2q=8e-3)
    infidelity = gate_infidelity(device)
    for row, i in enumerate(device.instructions):
        assert infidelity[row] == pytest.approx(i.infidelity, abs=1e-14)
    p = device.parameters.depolarizing[device.require("cz", (0, 1))]
    assert p < 4 / 3 * 8e-3 - 1e-3  # less than if it had to explain everything


def test_r12_p01_and_p10_keep_their_places():
    device = toy(1, assignment=(0.3, 0.05))
    assert distribution(prepared(0, 0, 1), device, **PERFECT)[1] == pytest.approx(0.3)
    assert distribution(prepared(1, 0, 1), device, **PERFECT)[0] == pytest.approx(0.05)
    z = Twin(device).estimate(physical(1), ["Z"], seed=0).values[0]
    assert z == pytest.approx(1 - 2 * 0.3)


def test_r13_frame_changes_are_free():
    device = toy(1)
    circuit = physical(1, 1)
    circuit.sx(0)
    for _ in range(1000):
        circuit.rz(2 * np.pi * 7 / 1000, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    short = physical(1, 1)
    short.sx(0)
    short.sx(0)
    short.measure(0, 0)
    np.testing.assert_allclose(
        distribution(circuit, device), distribution(short, device), atol=1e-12
    )


def test_r14_each_qubit_waits_for_its_own_gap():
    device = quiet(3, t1=1e-4, t2=1e-4, infidelity_1q=0.01)
    circuit = physical(3, 1)
    circuit.x(0)
    circuit.cz(1, 2)
    circuit.measure(0, 0)
    row = device.require("x", (0,))
    p, s = device.parameters.depolarizing[row], device.parameters.relaxation_scale[row]
    up = np.exp(-SX * s / 1e-4) * (1 - p) + p / 2
    # Beside a gate of 300 ns, qubit 0 waits in |0> and then decays for nothing but its own pulse.
    assert CZ > SX
    assert distribution(circuit, device)[1] == pytest.approx(up, abs=1e-9)


def test_r15_a_gate_without_a_noise_model_is_refused_or_named():
    twin = Twin(toy(2))
    circuit = physical(2, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with pytest.raises(InputError, match=r"`h` on 0 is not native"):
        twin.run(circuit)
    counts = twin.run(circuit, seed=0, options=Options(allow_noiseless={"h"}))
    assert "without noise, as allowed: h" in counts.report.notes
    dropped = build(Calibration.uniform("toy", qubits=2, t1=1e-4, t2=1e-4))
    assert any(n.case == "ZZ" for n in dropped.notes)  # a mechanism nobody has measured


def test_r16_every_shot_draws_its_own_detuning():
    sigma, time, shots = 50e3, 3e-6, 20_000
    device = what_if(quiet(1), detuning=sigma)
    circuit = physical(1, 1)
    circuit.sx(0)
    circuit.delay(time, 0, unit="s")
    circuit.sx(0)
    circuit.measure(0, 0)
    counts = Twin(device).run(circuit, seed=3, shots=shots, engine="statevector").counts
    coherence = np.exp(-((2 * np.pi * sigma * (time + SX)) ** 2) / 2)
    expected = 0.5 + 0.5 * coherence
    # One draw for all shots would give cos(phase), almost never this. 5.3 sigma: 1e-7.
    sd = np.sqrt(expected * (1 - expected) / shots)
    assert abs(counts.get("1", 0) / shots - expected) < 5.3 * sd
    drifting = what_if(toy(1), t1_spread=0.3)
    jobs = [drifting.draw_job(np.random.default_rng(s)) for s in range(2000)]
    spread = np.std(np.log([d.parameters.t1[0] for d in jobs]))
    assert spread == pytest.approx(0.3, rel=5.3 / np.sqrt(4000))


def test_r17_noise_does_not_depend_on_the_order_of_the_operands():
    device = toy(2, infidelity_2q=0.05, edges=((0, 1),))
    answers = []
    for a, b in ((0, 1), (1, 0)):
        circuit = physical(2, 2)
        circuit.x([0, 1])
        for _ in range(5):
            circuit.cz(a, b)
        circuit.measure([0, 1], [0, 1])
        answers.append(distribution(circuit, device))
    np.testing.assert_allclose(*answers, atol=1e-14)
    assert answers[0][3] < 0.85
    directed = toy(2, gate_2q="ecr", edges=((0, 1),))
    circuit = physical(2, 1)
    circuit.ecr(1, 0)
    with pytest.raises(InputError, match=r"no `ecr` on 1, 0; with qubit 1 it has \[\(0, 1\)\]"):
        compiled(circuit, directed)


def test_r18_every_field_of_a_vendors_file_has_a_fate():
    calibration = read_calibration("sherbrooke")
    counts = calibration.ledger.counts
    assert counts["used"] > 1000
    assert sum(counts.values()) == sum(entry.leaves for entry in calibration.ledger)
    assert all(entry.reason for entry in calibration.ledger.entries("ignored"))
    device = build(calibration)
    for path, leaf in (
        ("qubits/t1", device.parameters.t1),
        ("readout/assignment", device.parameters.assignment),
        ("readout/duration", device.readout_duration),
    ):
        np.testing.assert_array_equal(calibration.values(path), leaf)
    assert (device.parameters.zz != 0).sum() > 100
    assert device.snapshot_time.startswith("2025-02-26")


def test_readout_time_is_idle_time_of_the_others():
    device = quiet(2, t1=1e-5, t2=1e-5, infidelity_1q=0.01)
    circuit = physical(2, 2)
    circuit.x(0)
    circuit.barrier()
    circuit.measure(1, 1)
    circuit.barrier()
    circuit.measure(0, 0)
    row = device.require("x", (0,))
    p, s = device.parameters.depolarizing[row], device.parameters.relaxation_scale[row]
    up = (np.exp(-SX * s / 1e-5) * (1 - p) + p / 2) * np.exp(-RO / 1e-5)
    assert distribution(circuit, device)[1] == pytest.approx(up, abs=1e-9)
