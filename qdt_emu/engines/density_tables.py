"""Tables of `Values` as real matrices in the Pauli basis, on NumPy or on JAX arrays."""

from types import ModuleType
from typing import Any

import numpy as np

from qdt_emu.circuit import Values

Array = Any

_PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_ONE = _PAULI.reshape(4, 4)
_TWO = np.einsum("iab,jcd->ijacbd", _PAULI, _PAULI).reshape(16, 16)
_SIGN = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], float)
_SIGN2 = np.kron(_SIGN, _SIGN)

DEPHASE = np.diag([1.0, 0, 0, 1])
SWAP = np.arange(16, dtype=np.int32).reshape(4, 4).T.ravel()


def unitary(xp: ModuleType, u: Array) -> Array:
    """Return R[i, j] = Tr(P_i U P_j U^dag) / d, shape (k, d^2, d^2), of unitaries (k, d, d)."""
    d = u.shape[-1]
    basis = _ONE if d == 2 else _TWO
    both = xp.einsum("uab,ucd->uacbd", u, u.conj()).reshape(-1, d * d, d * d)
    return (basis.conj() @ both @ basis.T).real / d


def relaxation(xp: ModuleType, rows: Array) -> Array:
    """Return relaxation, shape (k, 4, 4), of (exp(-t/T1), exp(-t/T2), excited population)."""
    decay, coherence, excited = rows[:, 0], rows[:, 1], rows[:, 2]
    zero, one = xp.zeros_like(decay), xp.ones_like(decay)
    pull = (1 - 2 * excited) * (1 - decay)
    flat = [one, zero, zero, zero, zero, coherence, zero, zero]
    flat += [zero, zero, coherence, zero, pull, zero, zero, decay]
    return xp.stack(flat, -1).reshape(-1, 4, 4)


def pauli(xp: ModuleType, p: Array) -> Array:
    """Return the diagonal matrices, shape (k, d^2, d^2), of Pauli probabilities (k, d^2)."""
    sign = _SIGN if p.shape[-1] == 4 else _SIGN2
    return (p @ sign)[:, :, None] * xp.eye(p.shape[-1])


def state(xp: ModuleType, excited: Array) -> Array:
    """Return (1, 0, 0, 1 - 2 p), shape (k, 4), of populations of |1>, shape (k,)."""
    zero = xp.zeros_like(excited)
    return xp.stack([zero + 1, zero, zero, 1 - 2 * excited], -1)


def reset(xp: ModuleType, excited: Array) -> Array:
    """Return the maps to a fixed state, shape (k, 4, 4)."""
    return state(xp, excited)[:, :, None] * np.array([1.0, 0, 0, 0])


def rotation(xp: ModuleType, angle: Array) -> Array:
    """Return exp(-i angle Z / 2) as matrices, shape (k, 4, 4)."""
    c, s = xp.cos(angle), xp.sin(angle)
    zero, one = xp.zeros_like(c), xp.ones_like(c)
    flat = [one, zero, zero, zero, zero, c, -s, zero, zero, s, c, zero, zero, zero, zero, one]
    return xp.stack(flat, -1).reshape(-1, 4, 4)


def reading(xp: ModuleType, confusion: Array) -> Array:
    """Return measurements with a misread record, shape (k, 4, 2, 4), [Pauli out, bit, Pauli in]."""
    p01, p10 = confusion[:, 0], confusion[:, 1]
    assign = xp.stack([xp.stack([1 - p01, p10], -1), xp.stack([p01, 1 - p10], -1)], -2)
    sign = np.array([1.0, -1])
    project = np.zeros((2, 4, 4))
    project[:, 0, 0] = project[:, 3, 3] = 0.5
    project[:, 0, 3] = project[:, 3, 0] = 0.5 * sign
    return xp.einsum("krj,jab->karb", assign, project)


def one_qubit(xp: ModuleType, values: Values, angles: Array) -> tuple[Array, list[int]]:
    """Return all single-qubit matrices, and where each kind begins.

    The blocks are: identity, dephasing, unitaries, relaxation, Pauli channels, resets, and one
    rotation for each dwell by `angles`.
    """
    blocks = [
        xp.asarray(np.stack([np.eye(4), DEPHASE])),
        unitary(xp, values.unitaries1),
        relaxation(xp, values.relaxation),
        pauli(xp, values.pauli1),
        reset(xp, values.reset_excitation),
        rotation(xp, angles),
    ]
    starts = np.cumsum([0] + [b.shape[0] for b in blocks])[:-1]
    return xp.concatenate(blocks), [int(s) for s in starts]


def two_qubit(xp: ModuleType, values: Values) -> tuple[Array, list[int]]:
    """Return all two-qubit matrices (unitaries, Pauli channels), and where each kind begins."""
    blocks = [unitary(xp, values.unitaries2), pauli(xp, values.pauli2)]
    return xp.concatenate(blocks), [0, blocks[0].shape[0]]
