"""Parities that are certain without noise: found, measured, predicted without sampling."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu.circuit.acquire import acquired_together
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Policy
from qdt_emu.engines.run import sample
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.result.bitstrings import tally
from qdt_emu.twin import Twin
from qdt_emu.validation import public_data
from qdt_emu.validation.parities import (
    Parities,
    deterministic_parities,
    measured_agreement,
    predicted_agreement,
)
from tests.circuit.exact import compiled, physical, toy

DATA = public_data.data_folder()
needs_data = pytest.mark.skipif(DATA is None, reason="no measured data; set QDT_DATA")


def syndromes(rounds: int = 3) -> QuantumCircuit:
    """ZZ of qubits 0 and 2 in |+>, by qubit 1, `rounds` times; then all are read."""
    circuit = physical(3, rounds + 2)
    for q in (0, 2):
        circuit.rz(np.pi / 2, q)
        circuit.sx(q)
        circuit.rz(np.pi / 2, q)
    for r in range(rounds):
        for q in (0, 2):
            circuit.rz(np.pi / 2, 1)
            circuit.sx(1)
            circuit.rz(np.pi / 2, 1)
            circuit.cz(q, 1)
            circuit.rz(np.pi / 2, 1)
            circuit.sx(1)
            circuit.rz(np.pi / 2, 1)
        circuit.measure(1, r)
        circuit.reset(1)
    circuit.measure(0, rounds)
    circuit.measure(2, rounds + 1)
    return circuit


def drawn(noisy, shots, seed):
    bits, _ = sample(noisy, shots=shots, seed=seed, engine="statevector")
    return tally(bits)


def test_repeated_checks_are_the_parities():
    found = deterministic_parities(compiled(syndromes(), toy(3)).bind())
    assert sorted(found.weights.tolist()) == [2, 2, 3]
    assert not found.values.any()
    pairs = found.bits[found.weights == 2]
    assert not pairs[:, 3:].any()
    assert all(b[2] + b[1] + b[0] == 2 for b in pairs.astype(int))


def test_a_certain_one_is_known_as_a_one():
    circuit = physical(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    found = deterministic_parities(compiled(circuit, toy(2)).bind())
    assert {(tuple(b), v) for b, v in zip(found.bits.tolist(), found.values, strict=True)} == {
        ((True, False), True), ((False, True), False)
    }  # fmt: skip


def test_prediction_is_what_trajectories_give():
    # 3 parities, 5 sigma each: false alarm below 2e-6; the seed is fixed.
    device = toy(3, t1=2e-5, t2=1.5e-5, zz=2e5, assignment=(0.02, 0.09))
    noisy = compiled(syndromes(), device).bind()
    found = deterministic_parities(noisy)
    exact = predicted_agreement(noisy, found, threshold=0.0)
    seen = measured_agreement(found, drawn(noisy, 20_000, 5))
    assert np.all(exact.shares < 0.97)
    assert np.all(np.abs(exact.shares - seen.shares) < 5 * seen.stderr)
    assert abs(exact.mean - seen.mean) < 5 * seen.mean_stderr


def test_coarser_thresholds_stay_within_their_bounds():
    noisy = compiled(syndromes(5), toy(3, t1=2e-5, t2=1.5e-5, zz=2e5)).bind()
    found = deterministic_parities(noisy)
    exact = predicted_agreement(noisy, found, threshold=0.0).shares
    for threshold in (1e-2, 1e-3, 1e-4):
        coarse = predicted_agreement(noisy, found, threshold=threshold)
        assert np.all(np.abs(coarse.shares - exact) <= coarse.bounds + 1e-12)


def test_a_qubit_at_rest_stays_at_rest():
    """A Pauli twirl of relaxation would flip a qubit that waits in |0>."""
    circuit = physical(2, 2)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.barrier()
    circuit.delay(1e-4, 1, "s")
    circuit.measure([0, 1], [0, 1])
    circuit.x(1)
    perfect = Policy(resets="perfect")
    device = toy(2, policy=perfect, t1=2e-5, t2=2e-5, assignment=(0.0, 0.0))
    noisy = compiled(circuit, device).bind()
    certain = Parities(np.eye(2, dtype=bool), np.zeros(2, bool))
    assert predicted_agreement(noisy, certain).shares == pytest.approx([1, 1], abs=1e-12)


def test_the_error_of_the_mean_counts_correlations():
    """Three copies of one parity are worth one: the mean is as uncertain as each."""
    one = np.array([[True]])
    copies = Parities(np.repeat(one, 3, 0), np.zeros(3, bool))
    found = measured_agreement(copies, {"0": 80, "1": 20})
    assert found.mean_stderr == pytest.approx(found.stderr[0])


def test_what_is_not_clifford_is_refused():
    circuit = physical(1, 1)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    with pytest.raises(UnsupportedError, match="Clifford"):
        deterministic_parities(compiled(circuit, toy(1)).bind())


def test_counts_of_another_length_are_refused():
    with pytest.raises(InputError, match="2 bits"):
        measured_agreement(Parities(np.eye(2, dtype=bool), np.zeros(2, bool)), {"0": 3})


@needs_data
@pytest.mark.parametrize("device", ["ibmq_montreal", "ibmq_sydney", "ibmq_toronto"])
def test_whole_chips_with_resets_on_the_way(device):
    """27-qubit code circuits: noiseless parities hold, and noise of the calibration lowers them."""
    session = next(s for s in public_data.sessions("ibm_matching_code_2021") if s.device == device)
    twin = Twin.load(session.calibration, policy=Policy(uncalibrated="impute"))
    circuit = acquired_together(read_circuit(session.runs[0].circuit))
    noisy = twin.compile(circuit).bind()
    found = deterministic_parities(noisy)
    assert len(found.values) == 40
    assert np.bincount(found.weights)[:3].tolist() == [0, 5, 25]
    measured = measured_agreement(found, session.runs[0].counts)
    predicted = predicted_agreement(noisy, found)
    assert predicted.bounds.mean() < 0.005
    # The twin must explain most of what is lost, 1 without noise.
    assert abs(predicted.mean - measured.mean) < 0.4 * (1 - measured.mean)
    assert np.corrcoef(predicted.shares, measured.shares)[0, 1] > 0.8
