"""Coherent errors: unitaries, which repeat in amplitude and not in probability.

n repeats of an over-rotation delta give the error sin^2(n delta / 2), not n sin^2(delta / 2).
Rates in Hz, angles in rad, exp(-i angle P / 2) for every Pauli rotation.
"""

from functools import reduce
from typing import Literal

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.noise.arrays import Array, diagonal, matrix, namespace, safe_sqrt
from qdt_emu.noise.channels import LETTERS, PAULIS
from qdt_emu.noise.infidelity import average_infidelity, process_infidelity

Frame = Literal["neighbour_ground", "dressed"]


def pauli_rotation(pauli: str, angle: Array) -> Array:
    """The over-rotation exp(-i angle P / 2): RX, RY, RZ, RZZ, RZX and so on.

    Args:
        pauli: Pauli string, one letter per qubit, first qubit first.
        angle: Angle in rad, shape (...).

    Returns:
        Complex unitaries of shape (..., d, d).

    Examples:
        >>> pauli_rotation("ZZ", np.pi / 2).shape
        (4, 4)
    """
    xp = namespace(angle)
    generator = reduce(np.kron, [PAULIS[LETTERS.index(letter)] for letter in pauli])
    half = xp.asarray(angle)[..., None, None] / 2
    return xp.cos(half) * np.eye(len(generator)) - 1j * xp.sin(half) * generator


def over_rotation_infidelity(angle: Array, dim: int) -> Array:
    """The average infidelity d/(d+1) sin^2(angle/2) of exp(-i angle P / 2), shape (...)."""
    return average_infidelity(namespace(angle).sin(angle / 2) ** 2, dim)


def over_rotation_angle(infidelity: Array, dim: int) -> Array:
    """The positive angle whose over-rotation has this average infidelity.

    Args:
        infidelity: Average infidelity in [0, d/(d+1)], shape (...).
        dim: Dimension d of the gate.

    Returns:
        Angle in rad, shape (...). Its sign is not visible in randomized benchmarking.

    Examples:
        >>> round(float(over_rotation_angle(over_rotation_infidelity(0.03, 4), 4)), 12)
        0.03
    """
    xp = namespace(infidelity)
    return 2 * xp.arcsin(safe_sqrt(process_infidelity(xp.asarray(infidelity), dim)))


def coherent_angle(infidelity: Array, coherent_fraction: Array, dim: int) -> Array:
    """The over-rotation that makes up the fraction f of a gate's infidelity: r_coh = f r.

    Args:
        infidelity: Average infidelity r of the gate, shape (...).
        coherent_fraction: Fraction f in [0, 1], shape (...).
        dim: Dimension d of the gate.

    Returns:
        Positive angle in rad, shape (...); the caller draws or fits the sign.

    Error:
        r = r_coh + r_stoch to first order. `residual_depolarizing` with the fidelity of this
        rotation makes the total exact.
    """
    return over_rotation_angle(infidelity * coherent_fraction, dim)


def stochastic_infidelity(unitarity: Array, dim: int) -> Array:
    """The infidelity (d-1)/d (1 - sqrt u) that noise of unitarity u has if it is stochastic.

    With the unitarity from purity benchmarking, 1 - this / r is the coherent fraction.

    Args:
        unitarity: u in [0, 1], shape (...).
        dim: Dimension d of the gate.

    Returns:
        Average infidelity, shape (...).

    Error:
        Exact for depolarising noise; a lower bound of r for any channel of this unitarity.

    Source:
        Wallman et al., arXiv:1503.07865.

    Examples:
        >>> float(stochastic_infidelity(1.0, 2))
        0.0
    """
    return (dim - 1) / dim * (1 - safe_sqrt(unitarity))


def phased_fsim(
    theta: Array, zeta: Array = 0.0, chi: Array = 0.0, gamma: Array = 0.0, phi: Array = 0.0
) -> Array:
    """The excitation-conserving gate of fermionic simulation, with all five angles.

    Exchanging its qubits flips the sign of zeta and chi and nothing else.

    Args:
        theta: Swap angle in rad, shape (...).
        zeta: Difference of the single-qubit phases in rad, shape (...).
        chi: Phase of the swap in rad, shape (...).
        gamma: Common single-qubit phase in rad, shape (...).
        phi: Conditional phase in rad, shape (...).

    Returns:
        Unitaries of shape (..., 4, 4).

    Source:
        Arute et al., arXiv:2010.07965, eq. 18 (the convention of Cirq's PhasedFSimGate).

    Examples:
        >>> phased_fsim(0.0, phi=np.pi)[3, 3].real.item()
        -1.0
    """
    xp = namespace(theta, zeta, chi, gamma, phi)

    def phase(angle: Array) -> Array:
        return xp.exp(-1j * xp.asarray(angle))

    cosine, sine = xp.cos(theta), -1j * xp.sin(theta)
    return matrix(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, phase(gamma + zeta) * cosine, phase(gamma - chi) * sine, 0.0],
            [0.0, phase(gamma + chi) * sine, phase(gamma - zeta) * cosine, 0.0],
            [0.0, 0.0, 0.0, phase(2 * gamma + phi)],
        ]
    )


def zz_unitary(zz: Array, duration: Array, frame: Frame = "neighbour_ground") -> Array:
    """What an always-on ZZ coupling does to two qubits in a time.

    zz = (E11 - E10 - E01 + E00) / h. In the frame "dressed" the Hamiltonian is h zz/4 Z Z; in
    "neighbour_ground", where each qubit was calibrated with its neighbour in |0>, it is
    h zz |11><11|. The frames differ by rotations about Z.

    Args:
        zz: Coupling in Hz, shape (...); its sign matters.
        duration: Time in s, shape (...).
        frame: Where the single-qubit frequencies were calibrated.

    Returns:
        Diagonal unitaries of shape (..., 4, 4): RZZ(pi zz t) or diag(1, 1, 1, e^(-2 pi i zz t)).

    Error:
        Exact for a static coupling. Drives and echoes refocus a part of it: scale `zz`.

    Raises:
        InputError: The frame is neither of the two.

    Examples:
        >>> zz_unitary(50e3, 10e-6).diagonal().round(12).real.tolist()
        [1.0, 1.0, 1.0, -1.0]
    """
    xp = namespace(zz, duration)
    half = 0.5j * np.pi * xp.asarray(zz) * duration
    even, odd, one = xp.exp(-half), xp.exp(half), xp.ones_like(half)
    return diagonal(_of_frame(frame, [even, odd, odd, even], [one, one, one, even**4]))


def zz_process_fidelity(zz: Array, duration: Array, frame: Frame = "neighbour_ground") -> Array:
    """The process fidelity of `zz_unitary` with the identity, shape (...).

    cos^2(pi zz t / 2) in the dressed frame, (5 + 3 cos 2 pi zz t) / 8 with the neighbour in |0>.

    Examples:
        >>> round((1 - float(zz_process_fidelity(50e3, 300e-9, "dressed"))) * 0.8, 6)
        0.000444
    """
    xp = namespace(zz, duration)
    angle = np.pi * xp.asarray(zz) * duration
    # sin^2, because 1 - cos of a small angle has no digits.
    return _of_frame(frame, 1 - xp.sin(angle / 2) ** 2, 1 - 0.75 * xp.sin(angle) ** 2)


def spectator_angle(
    zz: Array, duration: Array, spectator: int, frame: Frame = "neighbour_ground"
) -> Array:
    """The RZ angle that a qubit picks up from a spectator that stays in |0> or |1>.

    Args:
        zz: Coupling in Hz, shape (...).
        duration: Time in s, shape (...).
        spectator: Basis state 0 or 1 of the spectator.
        frame: As in `zz_unitary`.

    Returns:
        Angle of RZ in rad, shape (...). Both frames agree on the difference between the spectator
        states, -2 pi zz t: the frequency difference seen by two Ramsey experiments is zz.
    """
    angle = np.pi * namespace(zz, duration).asarray(zz) * duration
    return _of_frame(frame, (1 - 2 * spectator) * angle, -2 * spectator * angle)


def _of_frame(frame: Frame, dressed: Array, ground: Array) -> Array:
    """The value that belongs to the frame.

    Raises:
        InputError: There is no such frame.
    """
    values = {"dressed": dressed, "neighbour_ground": ground}
    if frame not in values:
        raise InputError(
            f"`frame` must be 'neighbour_ground' or 'dressed', but it is {frame!r}. It says with "
            f"which neighbour state the single-qubit frequencies were calibrated."
        )
    return values[frame]
