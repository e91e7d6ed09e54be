"""Representations of a channel, and what can be read off each.

A channel on k qubits, d = 2^k, is stored as its real Pauli transfer matrix (PTM)

    R[i, j] = Tr(P_i E(P_j)) / d,    Paulis ordered I, X, Y, Z, first qubit most significant

so channels compose by matrix product and act on tensor products by Kronecker product. Kraus
operators have shape (..., r, d, d), superoperators act on row-major vectors of the density matrix,
Choi matrices are sum_ij |i><j| (x) E(|i><j|) in the basis |input, output>, chi matrices are in
the Pauli basis. All functions broadcast over leading axes.
"""

import math
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray

from qdt_emu.errors import InputError
from qdt_emu.noise.arrays import Array, kron, namespace, safe_sqrt

LETTERS = "IXYZ"
PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
SIGNS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])  # commutation


@cache
def pauli_matrices(qubits: int) -> NDArray[np.complex128]:
    """All 4^k Pauli matrices in order, shape (4^k, d, d), read-only.

    Examples:
        >>> pauli_matrices(2).shape
        (16, 4, 4)
    """
    product = reduce(_every_kron, [PAULIS] * qubits)
    product.setflags(write=False)
    return product


@cache
def commutation_signs(qubits: int) -> NDArray[np.int64]:
    """+1 where two Paulis commute and -1 where they do not, shape (4^k, 4^k), read-only.

    This is the Walsh-Hadamard matrix of the Pauli group; its square is 4^k.

    Examples:
        >>> commutation_signs(1)[1].tolist()
        [1, 1, -1, -1]
    """
    signs = reduce(np.kron, [SIGNS] * qubits)
    signs.setflags(write=False)
    return signs


def unitary_ptm(unitary: Array) -> Array:
    """The PTM of a unitary: a rotation matrix.

    Args:
        unitary: Matrices of shape (..., d, d).

    Returns:
        Real matrices of shape (..., d^2, d^2).

    Examples:
        >>> unitary_ptm(PAULIS[1]).diagonal().tolist()
        [1.0, 1.0, -1.0, -1.0]
    """
    return kraus_ptm(unitary[..., None, :, :])


def kraus_ptm(kraus: Array) -> Array:
    """The PTM of a set of Kraus operators.

    Args:
        kraus: Operators of shape (..., r, d, d).

    Returns:
        Real matrices of shape (..., d^2, d^2).
    """
    return superoperator_ptm(kron(kraus, namespace(kraus).conj(kraus)).sum(-3))


def ptm_superoperator(ptm: Array) -> Array:
    """The superoperator S, with vec(E(rho)) = S vec(rho) for row-major vec; shape kept."""
    basis, dim = _vectors(ptm)
    return basis @ ptm @ basis.conj().T / dim


def superoperator_ptm(superoperator: Array) -> Array:
    """The PTM of a superoperator that acts on row-major vectors; shape kept.

    Examples:
        >>> bool((superoperator_ptm(np.eye(4)) == np.eye(4)).all())
        True
    """
    basis, dim = _vectors(superoperator)
    return (basis.conj().T @ superoperator @ basis).real / dim


def ptm_choi(ptm: Array) -> Array:
    """The Choi matrix of a PTM in the basis |input, output>, trace d; shape kept."""
    return _reshuffle(ptm_superoperator(ptm), (2, 0, 3, 1))


def choi_ptm(choi: Array) -> Array:
    """The PTM of a Choi matrix in the basis |input, output>; shape kept."""
    return superoperator_ptm(_reshuffle(choi, (1, 3, 0, 2)))


def choi_kraus(choi: Array) -> Array:
    """The canonical (orthogonal) Kraus operators of a Choi matrix, largest last.

    Args:
        choi: Hermitian matrices of shape (..., d^2, d^2), basis |input, output>.

    Returns:
        Operators of shape (..., d^2, d, d); those of eigenvalues below 0 are zero.

    Error:
        Rounding, 1e-15; an eigenvalue -w leaves out a part of weight w.
    """
    xp = namespace(choi)
    weights, vectors = xp.linalg.eigh(choi)
    dim = _dim(choi)
    columns = (vectors * safe_sqrt(weights)[..., None, :]).swapaxes(-1, -2)
    return columns.reshape(*choi.shape[:-2], dim**2, dim, dim).swapaxes(-1, -2)


def ptm_kraus(ptm: Array) -> Array:
    """The canonical Kraus operators of a PTM, shape (..., d^2, d, d), largest last."""
    return choi_kraus(ptm_choi(ptm))


def kraus_choi(kraus: Array) -> Array:
    """The Choi matrix of Kraus operators of shape (..., r, d, d), basis |input, output>."""
    xp = namespace(kraus)
    columns = kraus.swapaxes(-1, -2).reshape(*kraus.shape[:-2], -1)
    return xp.einsum("...ka,...kb->...ab", columns, xp.conj(columns))


def ptm_chi(ptm: Array) -> Array:
    """The chi matrix, E(rho) = sum_mn chi[m, n] P_m rho P_n, trace 1; shape kept.

    Its diagonal are the Pauli probabilities of the twirled channel.

    Examples:
        >>> ptm_chi(np.eye(4))[0, 0].real.item()
        1.0
    """
    basis, dim = _vectors(ptm)
    # Complex conjugation is transposition for Paulis: it turns |out, in> into |input, output>.
    return basis.T @ ptm_choi(ptm) @ basis.conj() / dim**2


def chi_ptm(chi: Array) -> Array:
    """The PTM of a chi matrix; shape kept."""
    basis, _ = _vectors(chi)
    return choi_ptm(basis.conj() @ chi @ basis.T)


def compose(*channels: Array) -> Array:
    """The channel that applies these in the order of time, the first argument first.

    Works on PTMs, superoperators and unitaries, shape (..., n, n).

    Examples:
        >>> compose(PAULIS[1], PAULIS[2]).tolist() == (PAULIS[2] @ PAULIS[1]).tolist()
        True
    """
    return reduce(lambda done, new: new @ done, channels)


def tensor(*channels: Array) -> Array:
    """The channel that applies these side by side; the first is most significant.

    Works on PTMs and unitaries (not on superoperators or Choi matrices), shape (..., n, n).
    """
    return reduce(kron, channels)


def swap_qubits(matrix: Array) -> Array:
    """A two-qubit unitary (4x4) or PTM (16x16) with its qubits exchanged; shape kept.

    Examples:
        >>> swap_qubits(np.diag([0, 1, 2, 3])).diagonal().tolist()
        [0, 2, 1, 3]
    """
    size = _dim(matrix)
    order = np.arange(size**2).reshape(size, size).T.ravel()
    return matrix[..., order[:, None], order]


def pauli_fidelities(probabilities: Array) -> Array:
    """The diagonal of the PTM of a Pauli channel: f_Q = sum_P (-1)^<P,Q> p_P.

    Args:
        probabilities: Pauli probabilities of shape (..., 4^k).

    Returns:
        Fidelities of shape (..., 4^k); the first is 1.
    """
    return probabilities @ commutation_signs(_qubits(probabilities.shape[-1]))


def pauli_probabilities(fidelities: Array) -> Array:
    """The Pauli probabilities p_P = 4^-k sum_Q (-1)^<P,Q> f_Q of a diagonal PTM.

    Args:
        fidelities: Diagonal of the PTM, shape (..., 4^k).

    Returns:
        Probabilities of shape (..., 4^k); negative where this is no channel.

    Examples:
        >>> pauli_probabilities(np.array([1.0, 0.0, 0.0, 1.0])).tolist()
        [0.5, 0.0, 0.0, 0.5]
    """
    count = fidelities.shape[-1]
    return fidelities @ commutation_signs(_qubits(count)) / count


def pauli_ptm(probabilities: Array) -> Array:
    """The PTM of the Pauli channel with these probabilities (..., 4^k): a diagonal matrix."""
    fidelities = pauli_fidelities(probabilities)
    return fidelities[..., None] * np.eye(fidelities.shape[-1])


def pauli_twirl(ptm: Array) -> Array:
    """The Pauli probabilities (..., 4^k) of the channel averaged over Pauli frames.

    Error:
        The twirl keeps the process fidelity and forgets the rest: thermal relaxation loses its
        pull to |0>. Use it for circuits that are twirled, not as an approximation.

    Examples:
        >>> pauli_twirl(np.eye(4)).tolist()
        [1.0, 0.0, 0.0, 0.0]
    """
    return pauli_probabilities(namespace(ptm).diagonal(ptm, axis1=-2, axis2=-1))


def channel_process_fidelity(ptm: Array, unitary: Array | None = None) -> Array:
    """The process fidelity Tr(U^T R) / d^2 of a PTM with a unitary, by default the identity.

    Args:
        ptm: PTM of shape (..., d^2, d^2).
        unitary: Unitary of shape (..., d, d).

    Returns:
        Process fidelity of shape (...).

    Examples:
        >>> float(channel_process_fidelity(np.diag([1, 0, 0, 1])))
        0.5
    """
    xp = namespace(ptm, unitary)
    target = np.eye(ptm.shape[-1]) if unitary is None else unitary_ptm(unitary)
    return xp.sum(target * ptm, axis=(-2, -1)) / ptm.shape[-1]


def unitarity(ptm: Array) -> Array:
    """The unitarity Tr(T^T T) / (d^2 - 1), T the traceless block of the PTM, shape (...).

    It is 1 for unitaries and (1 - p)^2 for depolarising noise.

    Source:
        Wallman et al., arXiv:1503.07865.

    Examples:
        >>> float(unitarity(np.diag([1.0, 0.5, 0.5, 0.5])))
        0.25
    """
    block = ptm[..., 1:, 1:]
    return namespace(ptm).sum(block**2, axis=(-2, -1)) / block.shape[-1]


def cptp_defects(ptm: Array) -> tuple[Array, Array]:
    """How far a PTM is from a channel: its smallest Choi eigenvalue and its trace defect.

    Args:
        ptm: PTM of shape (..., d^2, d^2).

    Returns:
        Smallest eigenvalue of the Choi matrix (trace d), shape (...), at least 0 for a completely
        positive map; largest deviation of the first row from (1, 0, ..., 0), shape (...).
    """
    xp = namespace(ptm)
    first = np.eye(ptm.shape[-1])[0]
    return xp.linalg.eigvalsh(ptm_choi(ptm))[..., 0], xp.abs(ptm[..., 0, :] - first).max(-1)


def is_cptp(ptm: Array, tolerance: float = 1e-12) -> Array:
    """Whether a PTM is completely positive and trace preserving within `tolerance`, shape (...).

    Examples:
        >>> bool(is_cptp(np.diag([1.0, 1.0, 1.0, -1.0])))
        False
    """
    eigenvalue, defect = cptp_defects(ptm)
    return (eigenvalue >= -tolerance) & (defect <= tolerance)


def assert_cptp(ptm: Array, tolerance: float = 1e-12) -> tuple[float, float]:
    """Worst Choi eigenvalue and trace defect of all the PTMs, which are channels.

    Raises:
        InputError: One of them is not, within `tolerance`. (Not under `jit`: it reads values.)

    Examples:
        >>> assert_cptp(np.eye(4))[1]
        0.0
    """
    eigenvalue, defect = (np.asarray(value) for value in cptp_defects(ptm))
    worst, largest = float(eigenvalue.min()), float(defect.max())
    if not worst >= -tolerance or not largest <= tolerance:
        bad = int(np.sum(~((eigenvalue >= -tolerance) & (defect <= tolerance))))
        raise InputError(
            f"A channel must have no Choi eigenvalue below 0 and the first PTM row (1, 0, ..., 0), "
            f"but {bad} of {eigenvalue.size} have eigenvalue {worst:.3g} or trace defect "
            f"{largest:.3g}, beyond {tolerance:g}. Check T2 <= 2 T1 and the sum of probabilities."
        )
    return worst, largest


def _dim(square: Array) -> int:
    """The root of a matrix size: d of a d^2 x d^2 matrix, 4 of a two-qubit PTM."""
    return math.isqrt(square.shape[-1])


def _qubits(size: int) -> int:
    """The k of size = 4^k.

    Raises:
        InputError: There is none.
    """
    qubits = (size.bit_length() - 1) // 2
    if 4**qubits != size:
        raise InputError(
            f"A channel on k qubits must have 4^k Paulis (and 2^k x 2^k unitaries), but its size "
            f"is {size}. Check the shape: matrices last, batch axes first."
        )
    return qubits


def _vectors(square: Array) -> tuple[NDArray[np.complex128], int]:
    """The Paulis as columns in row-major order, and d, for a d^2 x d^2 matrix."""
    dim = _dim(square)
    return pauli_matrices(_qubits(square.shape[-1])).reshape(dim**2, -1).T, dim


def _reshuffle(square: Array, order: tuple[int, int, int, int]) -> Array:
    dim = _dim(square)
    lead = square.ndim - 2
    split = square.reshape(*square.shape[:-2], dim, dim, dim, dim)
    axes = (*range(lead), *(lead + axis for axis in order))
    return split.transpose(axes).reshape(square.shape)


def _every_kron(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> Array:
    product = kron(left[:, None], right[None])
    return product.reshape(-1, *product.shape[2:])
