"""Kraus operators chosen for low entanglement: the same channels, told as weak measurements.

K'_i = sum_j V_ij K_j with an isometry V is the same channel. Drawn errors keep all entanglement of
a trajectory; operators that are nearly the identity, but not quite unitary, measure the qubit a
little and so disentangle it. For bitstrings, one shot per trajectory, that is free. Expectation
values pay for it with a larger variance between trajectories.
"""

import numpy as np
from numpy.typing import NDArray

from qdt_emu.noise import relaxation_kraus

Matrix = NDArray[np.complex128]

_SIGNS = np.array([[1, 1], [1, -1]])
HADAMARD4 = np.kron(_SIGNS, _SIGNS)
HADAMARD16 = np.kron(HADAMARD4, HADAMARD4)
PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
PAIRS = np.einsum("aij,bkl->abikjl", PAULIS, PAULIS).reshape(16, 4, 4)
_FLIP = np.array([[0, 0, 0, -1], [0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0]])  # Y x Y
ZERO = 1e-12


def least_entangled(kraus: Matrix) -> Matrix:
    """Return four operators of the same channel with the least average concurrence.

    For a qubit that is maximally entangled with a reference. With the four preconcurrences
    L1 >= L2 >= L3 >= L4 of the channel's Choi state the average is
    max(0, L1 - L2 - L3 - L4).

    Args:
        kraus: Shape (k, 2, 2) with k <= 4.

    Returns:
        Shape (4, 2, 2).

    Error:
        The channel is the same to 1e-14.

    Source:
        Wootters, PRL 80, 2245 (1998), the optimal decomposition of a mixed state of two qubits,
        applied to channels as in arXiv:2508.05745.
    """
    vectors = np.zeros((4, 4), np.complex128)
    vectors[: len(kraus)] = np.asarray(kraus, np.complex128).reshape(-1, 4) / np.sqrt(2)
    overlap = vectors.conj() @ _FLIP @ vectors.conj().T
    lengths, w = takagi((overlap + overlap.T) / 2)
    turns = _turns(lengths)
    members = HADAMARD4 @ (np.exp(-0.5j * turns)[:, None] * (w.T @ vectors)) / 2
    return np.ascontiguousarray(members.reshape(4, 2, 2) * np.sqrt(2))


def takagi(symmetric: Matrix) -> tuple[NDArray[np.float64], Matrix]:
    """Return L >= 0, descending, and unitary W with symmetric = W diag(L) W^T.

    Source:
        The eigenvectors (a, b) of the real form [[Re, Im], [Im, -Re]] with eigenvalue L > 0 are
        w = a + i b with symmetric w^* = L w; Horn and Johnson, Matrix Analysis, 4.4.
    """
    n = len(symmetric)
    re, im = symmetric.real, symmetric.imag
    lengths, vectors = np.linalg.eigh(np.block([[re, im], [im, -re]]))
    lengths, vectors = (
        lengths[: -n - 1 : -1],
        vectors[:, : -n - 1 : -1],
    )  # the n largest, descending
    w = vectors[:n] + 1j * vectors[n:]
    some = int((lengths > ZERO).sum())
    if some < n:  # any basis of what is left
        w[:, some:] = (
            np.linalg.svd(w[:, :some], full_matrices=True)[0][:, some:] if some else np.eye(n)
        )
    return np.where(np.arange(n) < some, lengths, 0.0), w


def _turns(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles t that make |sum of L_j exp(i t_j)| as small as it can be, shape (4,)."""
    a, b, c, d = lengths
    if a >= b + c + d:
        return np.array([0.0, np.pi, np.pi, np.pi])
    low, high = max(a - b, c - d), min(a + b, c + d)
    side = (low + high) / 2  # the diagonal of a quadrilateral with these sides
    return np.array([*_triangle(a, b, side), *(np.pi + t for t in _triangle(c, d, side))])


def _triangle(a: float, b: float, side: float) -> tuple[float, float]:
    """Return the angles of two arrows of lengths a and b that add up to `side` at angle 0."""
    if min(a, side) < ZERO:
        return 0.0, 0.0 if a < ZERO else np.pi
    first = np.arccos(np.clip((a * a + side * side - b * b) / (2 * a * side), -1, 1))
    end = side - a * np.exp(1j * first)
    return float(first), float(np.angle(end))


def relaxation_members(numbers: NDArray[np.float64]) -> Matrix:
    """Return operators of relaxation with (decay, coherence, excited), shape (4, 2, 2)."""
    e1, e2, p = (float(x) for x in numbers)
    return least_entangled(np.asarray(relaxation_kraus(e1, e2, p), np.complex128))


def pauli_members(probabilities: NDArray[np.float64]) -> Matrix:
    """Return operators of a Pauli channel: 4 of one qubit or 16 of two, mixed by a Hadamard matrix.

    On one qubit with P(I) >= 1/2 the average concurrence is the least, 2 P(I) - 1; depolarising
    gives the four corners of a tetrahedron.
    """
    p = np.asarray(probabilities, float)
    strings, signs = (PAULIS, HADAMARD4) if len(p) == 4 else (PAIRS, HADAMARD16)
    return np.asarray(np.einsum("ij,jab->iab", signs * np.sqrt(p), strings) / np.sqrt(len(p)))
