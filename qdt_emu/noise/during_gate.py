"""Noise that acts while a gate acts, as a channel after the ideal gate.

    N = expm(t (L_ideal + L_extra + L_relaxation)) U^-1

is one real 16x16 matrix per two-qubit gate. It is the reference for where noise may be placed:
all of it after the gate is first order in t/T, half before and half after (Strang) is second
order. A gate turns noise into other noise: dephasing of a CX target becomes two-qubit Paulis.

This is the one module here that imports SciPy; import it by its own name.
"""

import importlib

import numpy as np
import scipy.linalg

from qdt_emu.noise.arrays import Array, kron, matrix, namespace, together
from qdt_emu.noise.channels import pauli_matrices


def hamiltonian_generator(hamiltonian: Array) -> Array:
    """The generator L with dR/dt = L R of a Hamiltonian: L[i, j] = Tr(P_i (-i)[H, P_j]) / d.

    Args:
        hamiltonian: Hermitian matrices H / hbar in rad/s, shape (..., d, d).

    Returns:
        Real antisymmetric matrices of shape (..., d^2, d^2), in 1/s.

    Examples:
        >>> hamiltonian_generator(np.diag([0.5, -0.5]))[1:3, 1:3].tolist()
        [[0.0, -1.0], [1.0, 0.0]]
    """
    xp = namespace(hamiltonian)
    dim = hamiltonian.shape[-1]
    basis = pauli_matrices(dim.bit_length() - 1)
    products = xp.einsum("iba,...ac,jcb->...ij", basis, hamiltonian, basis)  # Tr(P_i H P_j)
    # Tr(P_i P_j H), the other half of the commutator, is its complex conjugate.
    return 2 * products.imag / dim


def relaxation_generator(t1: Array, t2: Array, excited_population: Array = 0.0) -> Array:
    """The generator of `thermal_relaxation`: expm(t L) is its PTM.

    Args:
        t1: Energy relaxation time in s, shape (...).
        t2: Total dephasing time in s, shape (...).
        excited_population: Population of |1> in equilibrium, shape (...).

    Returns:
        Real matrices of shape (..., 4, 4), in 1/s.
    """
    _, t1, t2, excited = together(t1, t2, excited_population)
    zero = 0.0 * excited
    empty = [zero, zero, zero, zero]
    return matrix(
        [
            empty,
            [zero, -1 / t2, zero, zero],
            [zero, zero, -1 / t2, zero],
            [(1 - 2 * excited) / t1, zero, zero, -1 / t1],
        ]
    )


def several_qubits(generators: Array) -> Array:
    """The generator of independent processes: sum of L_q on qubit q and identity elsewhere.

    Args:
        generators: One 4x4 generator per qubit, shape (..., k, 4, 4), first qubit first.

    Returns:
        Real matrices of shape (..., 4^k, 4^k).
    """
    count = generators.shape[-3]
    parts = [
        kron(kron(np.eye(4**q), generators[..., q, :, :]), np.eye(4 ** (count - q - 1)))
        for q in range(count)
    ]
    return sum(parts[1:], start=parts[0])


def noise_during_gate(
    ideal: Array, duration: Array, dissipator: Array, extra: Array | None = None
) -> Array:
    """The channel N after the ideal gate that stands for all noise during it.

    Args:
        ideal: Hamiltonian H / hbar of the gate in rad/s, shape (..., d, d); U = exp(-i t H).
        duration: Time t in s, shape (...).
        dissipator: Generator of relaxation, shape (..., d^2, d^2), from `relaxation_generator`
            and `several_qubits`.
        extra: Hamiltonian of ZZ, detuning and so on that acts at the same time, in rad/s, shape
            (..., d, d).

    Returns:
        PTM of shape (..., d^2, d^2); the noisy gate is N @ unitary_ptm(U).

    Error:
        Exact for a constant Hamiltonian; the pulse shape matters at second order in t/T.

    Source:
        The Lindblad equation; for its Magnus and Dyson expansions see arXiv:2502.03462.
    """
    xp = namespace(ideal, duration, dissipator, extra)
    time = xp.asarray(duration)[..., None, None]
    gate = time * hamiltonian_generator(ideal)
    noise = dissipator if extra is None else dissipator + hamiltonian_generator(extra)
    return _expm(gate + time * noise) @ _expm(gate).swapaxes(-1, -2)


def strang_noise(gate: Array, half: Array) -> Array:
    """The channel after the ideal gate that stands for `half` before and `half` after it.

    Args:
        gate: PTM of the ideal gate, a rotation, shape (..., n, n).
        half: PTM of the noise of half the duration, shape (..., n, n).

    Returns:
        PTM of shape (..., n, n): half @ gate @ half @ gate^-1.

    Error:
        Second order in t/T: the local error falls with the third power of the duration.

    Source:
        Strang (1968), SIAM J. Numer. Anal. 5, 506.
    """
    return half @ gate @ half @ gate.swapaxes(-1, -2)


def _expm(generator: Array) -> Array:
    if namespace(generator) is np:
        return scipy.linalg.expm(generator)
    return importlib.import_module("jax.scipy.linalg").expm(generator)
