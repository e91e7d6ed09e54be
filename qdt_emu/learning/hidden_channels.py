"""Gates and decay of a hidden device as matrices on qutrits, and how good its gates are."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from qdt_emu.learning.hidden_physics import Physics

Floats = NDArray[np.float64]
Matrix = NDArray[np.complex128]

_LEVELS = np.arange(3)
QUBIT_PAIR = np.array([0, 1, 3, 4])  # |00>, |01>, |10>, |11> among the nine states of a pair


def frame(angle: float) -> Matrix:
    """Return rz(angle) on a qutrit: level k turns by k * angle."""
    return np.diag(np.exp(1j * angle * (_LEVELS - 0.5)))


def pulse(angle: float, *, tilt: float = 0.0, phase: float = 0.0, leakage: float = 0.0) -> Matrix:
    """Return a rotation by `angle` about x, and what goes wrong with it, shape (3, 3).

    Args:
        angle: In rad, its error included.
        tilt: Angle of the axis towards z in rad.
        phase: Z error after the pulse in rad.
        leakage: Probability |1> -> |2> of the pulse's outer transition, driven after the inner.
    """
    axis = np.array([[np.sin(tilt), np.cos(tilt)], [np.cos(tilt), -np.sin(tilt)]])
    inner = np.eye(3, dtype=complex)
    inner[:2, :2] = np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * axis
    outer = np.eye(3, dtype=complex)
    s = np.sqrt(leakage)
    outer[1:, 1:] = [[np.sqrt(1 - leakage), -1j * s], [-1j * s, np.sqrt(1 - leakage)]]
    return np.asarray(frame(phase) @ outer @ inner)


def cz(physics: Physics, coupler: int) -> Matrix:
    """Return the controlled-Z of a coupler with its coherent errors, shape (9, 9).

    It conserves the number of excitations: an exchange |01> <-> |10>, the passage |11> <-> |20>
    that did not close, and then phases. A leaked neighbour turns a qubit as far as |1> would, once
    per excitation.
    """
    swap, leak = physics.cz_swap[coupler], physics.cz_leakage[coupler]
    u = np.eye(9, dtype=complex)
    c, s = np.cos(swap / 2), -1j * np.sin(swap / 2)
    u[np.ix_([1, 3], [1, 3])] = [[c, s], [s, c]]
    turn = np.exp(1j * physics.cz_leakage_phase[coupler]) * np.sqrt(leak)
    stay = np.sqrt(1 - leak)
    u[np.ix_([4, 6], [4, 6])] = [[stay, -np.conj(turn)], [turn, stay]]
    first, second = np.repeat(_LEVELS, 3), np.tile(_LEVELS, 3)
    z_a, z_b = 1 - 2 * first, 1 - 2 * second
    phase_a, phase_b = physics.cz_phase[coupler]
    angle = np.pi * first * second
    angle = angle - (physics.cz_angle[coupler] * z_a * z_b + phase_a * z_a + phase_b * z_b) / 2
    return np.asarray(np.exp(1j * angle)[:, None] * u)


def decay(times: Floats, t1: float, ladder: float, t_phi: float, excited: float) -> Matrix:
    """Return Kraus operators of waiting: first those diagonal in the levels, then the jumps.

    Down-rates are (1 - p) / T1 for |1> -> |0> and `ladder` times that for |2> -> |1>, up-rates
    p / (1 - p) times these, so that p is (nearly) the population at rest. Different transitions
    have different frequencies, so that they hand on no coherence; white frequency noise dephases
    levels i and j at (i - j)^2 / Tphi.

    Args:
        times: In s, shape (k,).
        t1: In s.
        ladder: See `Physics`.
        t_phi: In s.
        excited: Population p.

    Returns:
        Shape (k, 9, 3, 3); the first one is what happens without an event.

    Error:
        Exact. The population of |2> at rest, p^2 or so, comes on top of p.
    """
    down = np.array([1.0, ladder]) * (1 - excited) / t1
    up = down * excited / (1 - excited)
    rates = np.array(
        [[-up[0], down[0], 0], [up[0], -down[0] - up[1], down[1]], [0, up[1], -down[1]]]
    )
    moved = expm(rates * times[:, None, None])  # [to, from]
    out = np.zeros((len(times), 9, 3, 3), complex)
    # A qutrit that jumps and comes back has lost its coherence: survival is not moved's diagonal.
    lost = -np.diag(rates)
    dephasing = (_LEVELS[:, None] - _LEVELS) ** 2 / t_phi
    kept = (lost[:, None] + lost) / 2 + dephasing
    coherence = np.exp(-kept * times[:, None, None])
    diagonal = np.einsum("kii->ki", moved)
    coherence[:, _LEVELS, _LEVELS] = diagonal
    weight, vectors = np.linalg.eigh(coherence)
    for j in range(3):  # eigenvalues ascend; the largest one is the quiet branch
        v = vectors[:, :, 2 - j] * np.sqrt(np.maximum(weight[:, 2 - j], 0.0))[:, None]
        if j == 0:
            v = v * np.sign(v[:, :1])
        out[:, j, _LEVELS, _LEVELS] = v
    jumps = [(a, b) for a in range(3) for b in range(3) if a != b]
    for j, (a, b) in enumerate(jumps):
        out[:, 3 + j, a, b] = np.sqrt(np.maximum(moved[:, a, b], 0.0))
    return out


def average_infidelity(ideal: Matrix, kraus: Matrix) -> float:
    """Return 1 - F of a channel on a subspace with the ideal unitary, leakage counted as loss.

    F = (sum_k |Tr(U^dag K_k)|^2 + sum_k Tr(K_k^dag K_k)) / (d (d + 1)).

    Args:
        ideal: Shape (d, d).
        kraus: Kraus operators cut to the subspace, shape (k, d, d).

    Source:
        Pedersen, Moller and Molmer, Phys. Lett. A 367, 47 (2007), eq. (4).
    """
    d = len(ideal)
    overlap = np.einsum("ij,kij->k", ideal.conj(), kraus)
    stays = np.einsum("kij,kij->", kraus.conj(), kraus).real
    return float(1 - ((np.abs(overlap) ** 2).sum() + stays) / (d * (d + 1)))


def error_generator(actual: Matrix, ideal: Matrix) -> Floats:
    """Return the Pauli angles of the small unitary error after a gate.

    actual = exp(-i sum_P angle_P P / 2) ideal, the identity left out of use.

    Returns:
        Angles in rad in the order I, X, Y, Z or II, IX, ..., ZZ.

    Error:
        First order in the angles and in the leakage: relative 1e-3 at 0.05 rad.
    """
    error = actual @ ideal.conj().T
    error = error / (np.trace(error) / abs(np.trace(error)))
    hermitian = 1j * (error - error.conj().T) / 2  # sin of the generator
    paulis = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    if len(ideal) == 4:
        paulis = np.array([np.kron(a, b) for a in paulis for b in paulis])
    return np.asarray(2 * np.einsum("kij,ji->k", paulis, hermitian).real / len(ideal))
