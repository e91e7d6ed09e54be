"""Coherent errors: angles, ZZ in both frames, reversal, and how they repeat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.noise import (
    average_gate_fidelity,
    channel_process_fidelity,
    coherent_angle,
    depolarizing_probabilities,
    pauli_ptm,
    pauli_rotation,
    pauli_twirl,
    phased_fsim,
    residual_depolarizing,
    spectator_angle,
    swap_qubits,
    unitarity,
    unitary_ptm,
    zz_process_fidelity,
    zz_unitary,
)
from qdt_emu.noise.coherent import (
    over_rotation_angle,
    over_rotation_infidelity,
    stochastic_infidelity,
)

ANGLES = st.floats(-3, 3)
FRAMES = pytest.mark.parametrize("frame", ["neighbour_ground", "dressed"])
X = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize("axis", ["X", "Y", "Z", "ZZ", "ZX", "XX"])
@given(ANGLES)
def test_the_fidelity_of_an_over_rotation(axis, angle):
    unitary = pauli_rotation(axis, angle)
    np.testing.assert_allclose(unitary @ unitary.conj().T, np.eye(len(unitary)), atol=1e-15)
    f_p = channel_process_fidelity(unitary_ptm(unitary))
    assert abs(f_p - np.cos(angle / 2) ** 2) < 1e-14
    dim = len(unitary)
    assert abs(over_rotation_infidelity(angle, dim) - (1 - average_gate_fidelity(f_p, dim))) < 1e-14


def test_small_angles_keep_their_digits():
    angles = np.array([1e-7, 1e-3, 0.5])
    found = over_rotation_angle(over_rotation_infidelity(angles, 4), 4)
    np.testing.assert_allclose(found, angles, rtol=1e-12)


@pytest.mark.parametrize(("fraction", "growth"), [(1.0, 64.0), (0.0, 8.0)])
def test_errors_repeat_in_amplitude_if_coherent_and_in_probability_if_not(fraction, growth):
    r = 1e-6
    turn = unitary_ptm(pauli_rotation("X", coherent_angle(r, fraction, 2)))
    known = average_gate_fidelity(channel_process_fidelity(turn), 2)
    rest = pauli_ptm(depolarizing_probabilities(residual_depolarizing(r, known, 2), 1))
    once = rest @ turn
    eight = np.linalg.matrix_power(once, 8)
    assert abs((1 - channel_process_fidelity(once)) / (1.5 * r) - 1) < 1e-8
    ratio = (1 - channel_process_fidelity(eight)) / (1 - channel_process_fidelity(once))
    assert abs(ratio / growth - 1) < 1e-3


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_the_unitarity_gives_the_coherent_fraction_back(fraction):
    r = 1e-3
    turn = unitary_ptm(pauli_rotation("ZZ", coherent_angle(r, fraction, 4)))
    known = average_gate_fidelity(channel_process_fidelity(turn), 4)
    rest = pauli_ptm(depolarizing_probabilities(residual_depolarizing(r, known, 4), 2))
    stochastic = stochastic_infidelity(unitarity(rest @ turn), 4)
    assert abs(1 - stochastic / r - fraction) < 2 * r


@FRAMES
@given(st.floats(-2e5, 2e5), st.floats(0, 1e-5))
def test_the_fidelity_of_zz(frame, zz, time):
    unitary = zz_unitary(zz, time, frame)
    f_p = channel_process_fidelity(unitary_ptm(unitary))
    assert abs(zz_process_fidelity(zz, time, frame) - f_p) < 1e-14
    phase = np.pi * zz * time
    expected = {
        "dressed": np.cos(phase / 2) ** 2,
        "neighbour_ground": (5 + 3 * np.cos(2 * phase)) / 8,
    }
    assert abs(f_p - expected[frame]) < 1e-14
    np.testing.assert_array_equal(swap_qubits(unitary), unitary)


def test_zz_of_the_known_example():
    assert abs((1 - zz_process_fidelity(50e3, 300e-9, "dressed")) * 0.8 - 4.44e-4) < 1e-7
    twirled = pauli_twirl(unitary_ptm(zz_unitary(50e3, 300e-9, "dressed")))
    assert abs(twirled[15] - np.sin(np.pi * 50e3 * 300e-9 / 2) ** 2) < 1e-15


@FRAMES
def test_two_ramsey_experiments_differ_by_zeta(frame):
    zz, time = 40e3, 2e-6
    diagonal = np.diagonal(zz_unitary(zz, time, frame))
    phases = np.angle(diagonal[[2, 3]] / diagonal[[0, 1]])  # first qubit, neighbour 0 and 1
    shift = -(phases[1] - phases[0]) / (2 * np.pi * time)
    assert abs(shift - zz) < 1e-6
    for state in (0, 1):
        assert abs(spectator_angle(zz, time, state, frame) - phases[state]) < 1e-14


def test_an_x_on_one_qubit_at_half_time_removes_zz():
    half = zz_unitary(70e3, 1e-6, "dressed")
    flip = np.kron(X, np.eye(2))
    np.testing.assert_allclose(flip @ half @ flip @ half, np.eye(4), atol=1e-15)
    half = zz_unitary(70e3, 1e-6)  # leaves only a rotation of the other qubit
    echoed = flip @ half @ flip @ half
    remaining = np.kron(np.eye(2), np.diag(np.diagonal(half)[2:]))
    np.testing.assert_allclose(echoed, remaining, atol=1e-15)


@given(ANGLES, ANGLES, ANGLES, ANGLES, ANGLES)
def test_reversal_flips_zeta_and_chi_only(theta, zeta, chi, gamma, phi):
    gate = phased_fsim(theta, zeta, chi, gamma, phi)
    np.testing.assert_allclose(gate @ gate.conj().T, np.eye(4), atol=1e-15)
    reverse = phased_fsim(theta, -zeta, -chi, gamma, phi)
    np.testing.assert_array_equal(swap_qubits(gate), reverse)


def test_an_unknown_frame_is_named():
    with pytest.raises(InputError, match="'neighbour_ground' or 'dressed', but it is 'rotating'"):
        zz_unitary(1e4, 1e-6, "rotating")
