"""Flips of a qubit next to a two-qubit gate."""

import numpy as np

from qdt_emu.noise.arrays import Array, namespace


def flip_probabilities(alone: Array, joint: Array, letter: np.ndarray) -> Array:
    """The Pauli probabilities of a gate's qubit and of the qubit next to it.

    A cross-resonance drive on a qubit acts on all its neighbours; on one whose frequency is near
    that of the target it leaves rotations about an axis in the plane, some of them conditional on
    the driven qubit. The phase of that axis differs from gate to gate, so that they are flips: half
    of them X, half Y, alone or with the Pauli of the driven qubit that commutes with the gate.

    Args:
        alone: Probability of a flip by itself, shape (k,).
        joint: Of a flip together with that Pauli, shape (k,); at most 1 with `alone`.
        letter: That Pauli, 1 to 3 for X, Y, Z, shape (k,).

    Returns:
        Shape (k, 16), index 4 * (gate's qubit) + (qubit next to it).

    Error:
        Exact for circuits in the computational basis as long as the rotations are small. In others
        interference between gates is left out.

    Source:
        Frequency collisions of cross-resonance gates: Magesan and Gambetta, PRA 101, 052308 (2020);
        Hertzberg et al., npj Quantum Information 7, 129 (2021).
    """
    xp = namespace(alone, joint)
    places = np.arange(16)
    by_itself = np.isin(places, (1, 2)) / 2
    together = ((places >> 2 == letter[:, None]) & np.isin(places & 3, (1, 2))) / 2
    rest = xp.asarray(1 - alone - joint)[:, None] * (places == 0)
    return rest + alone[:, None] * by_itself + joint[:, None] * together
