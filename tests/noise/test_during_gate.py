"""Noise during a gate: exact limits, and the order of convergence of cheaper placements."""

import numpy as np
import pytest
import scipy.linalg

from qdt_emu.noise import (
    assert_cptp,
    average_gate_fidelity,
    channel_process_fidelity,
    depolarizing_probabilities,
    pauli_ptm,
    residual_depolarizing,
    tensor,
    thermal_relaxation,
    unitary_ptm,
    zz_unitary,
)
from qdt_emu.noise.channels import pauli_matrices
from qdt_emu.noise.during_gate import (
    hamiltonian_generator,
    noise_during_gate,
    relaxation_generator,
    several_qubits,
    strang_noise,
)

T1, T2 = np.array([1.0, 1.2]), np.array([0.8, 0.5])
ZX = pauli_matrices(2)[13]
CNOT_GENERATOR = np.kron(np.diag([0, 1]), np.array([[1, -1], [-1, 1]])) * np.pi / 2


def relaxed(time):
    return tensor(*thermal_relaxation(time, T1, T2))


def synthesized(time, extra=None):
    dissipator = several_qubits(relaxation_generator(T1, T2))
    return noise_during_gate(CNOT_GENERATOR / time, time, dissipator, extra)


def gate():
    return unitary_ptm(scipy.linalg.expm(-1j * CNOT_GENERATOR))


def test_the_cnot_is_one():
    target = np.eye(4)[[0, 1, 3, 2]]
    assert abs(channel_process_fidelity(gate(), target) - 1) < 1e-14


def test_the_generator_of_a_hamiltonian_gives_its_unitary():
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(5, 4, 4)) + 1j * rng.normal(size=(5, 4, 4))
    hermitian = matrices + matrices.conj().swapaxes(-1, -2)
    found = scipy.linalg.expm(hamiltonian_generator(hermitian))
    np.testing.assert_allclose(found, unitary_ptm(scipy.linalg.expm(-1j * hermitian)), atol=1e-12)


def test_the_generator_of_relaxation_gives_its_channel():
    found = scipy.linalg.expm(0.3 * relaxation_generator(1.0, 1.4, 0.05))
    np.testing.assert_allclose(found, thermal_relaxation(0.3, 1.0, 1.4, 0.05), atol=1e-14)


def test_without_a_gate_the_noise_is_the_product_of_relaxations():
    dissipator = several_qubits(relaxation_generator(T1, T2))
    found = noise_during_gate(np.zeros((4, 4)), 0.2, dissipator)
    np.testing.assert_allclose(found, relaxed(0.2), atol=1e-14)


def test_without_relaxation_the_noise_of_a_commuting_gate_is_zz():
    zz, time = 50e3, 300e-9
    zz_matrix = pauli_matrices(2)[15]
    found = noise_during_gate(
        0.3 / time * zz_matrix, time, np.zeros((16, 16)), 2 * np.pi * zz / 4 * zz_matrix
    )
    np.testing.assert_allclose(found, unitary_ptm(zz_unitary(zz, time, "dressed")), atol=1e-13)


def test_placement_changes_the_fidelity_as_known():
    time = 0.05
    found = [
        average_gate_fidelity(channel_process_fidelity(noise), 4)
        for noise in (relaxed(time), strang_noise(gate(), relaxed(time / 2)), synthesized(time))
    ]
    np.testing.assert_allclose(found, [0.92175, 0.92145, 0.92153], atol=5e-6)


def test_a_gate_turns_dephasing_of_its_target_into_two_qubit_paulis():
    time = 1e-3
    twirled = np.diagonal(synthesized(time))
    product = np.diagonal(relaxed(time))
    assert np.abs(twirled - product).max() > 1e-4


def test_splitting_inside_the_gate_converges_with_second_order():
    # The gate in n slices, each with noise around (Strang) or after it, against the exact channel.
    time = 0.2
    exact = synthesized(time) @ gate()

    def sliced(n, *, around):
        part = unitary_ptm(scipy.linalg.expm(-1j * CNOT_GENERATOR / n))
        half = relaxed(time / n / 2)
        one = half @ part @ half if around else half @ half @ part
        return np.linalg.matrix_power(one, n)

    for around, order in ((True, 2), (False, 1)):
        errors = [np.abs(sliced(n, around=around) - exact).max() for n in (8, 16)]
        assert abs(np.log2(errors[0] / errors[1]) - order) < 0.15


@pytest.mark.parametrize("time", [0.05, 0.1])
def test_strang_is_closer_than_noise_after_the_gate(time):
    exact = synthesized(time)
    after = np.abs(relaxed(time) - exact).max()
    around = np.abs(strang_noise(gate(), relaxed(time / 2)) - exact).max()
    assert around < after


def test_synthesis_and_residual_reproduce_the_infidelity():
    known = synthesized(0.02, extra=0.5 * pauli_matrices(2)[15])
    assert_cptp(known)
    f_b = average_gate_fidelity(channel_process_fidelity(known), 4)
    r = 1.3 * (1 - f_b)
    rest = pauli_ptm(depolarizing_probabilities(residual_depolarizing(r, f_b, 4), 2))
    total = rest @ known @ gate()
    target = scipy.linalg.expm(-1j * CNOT_GENERATOR)
    found = average_gate_fidelity(channel_process_fidelity(total, target), 4)
    assert abs(1 - found - r) < 1e-12
