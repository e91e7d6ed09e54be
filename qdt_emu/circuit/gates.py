"""Ideal gates as matrices, first qubit most significant."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping

from qdt_emu.noise.arrays import Array, matrix, namespace
from qdt_emu.noise.coherent import pauli_rotation

Builder = Callable[[Array], Array]

# Generators of the coherent over-rotation exp(-i delta P / 2) of each native gate.
GENERATOR = {
    "sx": "X", "sxdg": "X", "x": "X", "rx": "X", "id": "Z", "rz": "Z", "h": "Y", "y": "Y",
    "ry": "Y", "u": "X", "u2": "X", "u3": "X", "prx": "X", "r": "X",
    "cz": "ZZ", "rzz": "ZZ", "cp": "ZZ", "cx": "ZX", "ecr": "ZX", "rzx": "ZX",
    "swap": "ZZ", "iswap": "XX",
}  # fmt: skip


def _phase(angles: Array) -> Array:
    xp = namespace(angles)
    turn = xp.exp(1j * angles[..., 0])
    one, zero = xp.ones_like(turn), xp.zeros_like(turn)
    return matrix([[one, zero], [zero, turn]])


def _u(angles: Array) -> Array:
    xp = namespace(angles)
    theta, phi, lam = angles[..., 0], angles[..., 1], angles[..., 2]
    c, s = xp.cos(theta / 2), xp.sin(theta / 2)
    return matrix(
        [
            [c + 0j, -xp.exp(1j * lam) * s],
            [xp.exp(1j * phi) * s, xp.exp(1j * (phi + lam)) * c],
        ]
    )


def _u2(angles: Array) -> Array:
    xp = namespace(angles)
    theta = xp.full_like(angles[..., :1], np.pi / 2)
    return _u(xp.concatenate([theta, angles], axis=-1))


def _controlled_phase(angles: Array) -> Array:
    xp = namespace(angles)
    turn = xp.exp(1j * angles[..., 0])
    ones = xp.ones_like(turn)
    return xp.stack([ones, ones, ones, turn], axis=-1)[..., None] * np.eye(4)


def _rotation(label: str) -> Builder:
    return lambda angles: pauli_rotation(label, angles[..., 0])


def _axis(angles: Array) -> Array:
    """Return the rotation by angles[0] about the equatorial axis at angles[1]."""
    xp = namespace(angles)
    theta, phi = angles[..., 0], angles[..., 1]
    c, s = xp.cos(theta / 2) + 0j, xp.sin(theta / 2)
    return matrix([[c, -1j * xp.exp(-1j * phi) * s], [-1j * xp.exp(1j * phi) * s, c]])


PARAMETRIC: dict[str, tuple[int, int, Builder]] = {
    "rx": (1, 1, _rotation("X")),
    "ry": (1, 1, _rotation("Y")),
    "rz": (1, 1, _rotation("Z")),
    "p": (1, 1, _phase),
    "u1": (1, 1, _phase),
    "u2": (1, 2, _u2),
    "u": (1, 3, _u),
    "u3": (1, 3, _u),
    "r": (1, 2, _axis),
    "rzz": (2, 1, _rotation("ZZ")),
    "rxx": (2, 1, _rotation("XX")),
    "ryy": (2, 1, _rotation("YY")),
    "rzx": (2, 1, _rotation("ZX")),
    "cp": (2, 1, _controlled_phase),
}
"""Gates whose matrix is built from angles: (qubits, angles, builder). Differentiable."""


@cache
def constant(name: str) -> NDArray[np.complex128] | None:
    """Return the matrix of a standard gate without angles, or None if there is no such gate."""
    gate = get_standard_gate_name_mapping().get(name)
    if not isinstance(gate, Gate) or gate.params or gate.num_qubits > 2:
        return None
    return first_most_significant(gate)


def first_most_significant(gate: Gate) -> NDArray[np.complex128]:
    """Return a Qiskit gate's matrix with its first qubit as the most significant index.

    Qiskit's own matrices have the first qubit least significant.
    """
    u = np.asarray(gate.to_matrix(), complex)
    if gate.num_qubits == 1:
        return u
    return u.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
