"""Flips next to a gate are rotations about an axis whose phase is any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.noise import flip_probabilities, pauli_ptm, unitary_ptm

X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
LETTERS = (np.eye(2), X, Y, Z)


def turn(angle: float, phase: float, near: np.ndarray) -> np.ndarray:
    """A rotation of the second qubit about an axis in the plane, times a Pauli of the first."""
    axis = np.kron(near, np.cos(phase) * X + np.sin(phase) * Y)
    return np.cos(angle / 2) * np.eye(4) - 1j * np.sin(angle / 2) * axis


@pytest.mark.parametrize("letter", [0, 1, 2, 3])
@given(angle=st.floats(-1.5, 1.5))
def test_they_are_the_mean_over_the_phase_of_a_rotation(letter, angle):
    flip = np.array([np.sin(angle / 2) ** 2])
    none = np.zeros(1)
    alone, joint = (flip, none) if letter == 0 else (none, flip)
    found = pauli_ptm(flip_probabilities(alone, joint, np.array([max(letter, 1)]))[0])
    phases = 2 * np.pi * np.arange(4) / 4  # exact: the mean has no higher harmonics
    mean = np.mean([unitary_ptm(turn(angle, f, LETTERS[letter])) for f in phases], axis=0)
    np.testing.assert_allclose(found, mean, atol=1e-12)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 3))
def test_they_are_probabilities(alone, joint, letter):
    found = flip_probabilities(np.array([alone]), np.array([joint]), np.array([letter]))
    assert found.shape == (1, 16)
    assert (found >= -1e-15).all()
    assert found.sum() == pytest.approx(1)
