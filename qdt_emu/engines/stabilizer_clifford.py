"""Unitaries as Clifford gates of Stim, recognised by their action on Paulis."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import stim
from numpy.typing import NDArray

from qdt_emu.noise import pauli_twirl, unitary_ptm
from qdt_emu.noise.channels import commutation_signs

EXACT = 1e-9  # largest difference of a PTM entry between a gate and the Clifford it is taken for
CLEAR = 0.72  # above sqrt(1/2) one entry per row is the largest beyond doubt

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clifford:
    """A unitary as a Clifford gate followed by a Pauli channel.

    Attributes:
        gates: Names of Stim with their targets, 0 or 1 for the first or second qubit.
        pauli: Index 4 * first + second of the Pauli that the Clifford is, -1 if it is none.
        errors: Pauli probabilities of what is left, twirled, shape (4^k,).
        exact: True if nothing is left.
    """

    gates: tuple[tuple[str, tuple[int, ...]], ...]
    pauli: int
    errors: Floats
    exact: bool


def clifford(unitary: NDArray[Any]) -> Clifford | None:
    """Return the Clifford next to a unitary, or None where none is near.

    Near means that the image of every Pauli has an entry above 0.72 on one Pauli, which holds up
    to a rotation by 0.76 rad about any Pauli axis.

    Args:
        unitary: Shape (2, 2) or (4, 4), first qubit most significant; its phase is free.

    Error:
        What differs by less than 1e-9 in the PTM counts as exact.

    Examples:
        >>> found = clifford(np.diag([1, 1j]))
        >>> found.gates, found.pauli, found.exact
        ((('S', (0,)),), -1, True)
        >>> clifford(np.diag([1, np.exp(0.25j * np.pi)])) is None
        True
    """
    ptm = unitary_ptm(np.asarray(unitary, complex))
    rounded = np.where(np.abs(ptm) > CLEAR, np.sign(ptm), 0.0)
    if not (np.abs(rounded).sum(0) == 1).all() or not (np.abs(rounded).sum(1) == 1).all():
        return None
    images = np.abs(rounded).argmax(0)
    signs = rounded.sum(0).astype(int)
    gates = _gates(tuple((images * signs).tolist()))
    if gates is None:
        return None
    qubits = 1 if len(ptm) == 4 else 2
    same = (commutation_signs(qubits) == rounded.diagonal()).all(1)
    errors = pauli_twirl(ptm @ rounded.T)
    exact = bool(np.abs(ptm - rounded).max() < EXACT)
    return Clifford(gates, int(same.argmax()) if same.any() else -1, errors, exact)


@lru_cache(maxsize=4096)
def _gates(images: tuple[int, ...]) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
    """Return Stim gates that take Pauli j to `images[j]`, whose sign is that of the image."""
    qubits = 1 if len(images) == 4 else 2

    def image(code: int) -> stim.PauliString:
        k = abs(images[code])
        return stim.PauliString([k] if qubits == 1 else [k >> 2, k & 3]) * int(
            np.sign(images[code])
        )

    steps = [1] if qubits == 1 else [4, 1]
    try:
        tableau = stim.Tableau.from_conjugated_generators(
            xs=[image(step) for step in steps], zs=[image(3 * step) for step in steps]
        )
    except ValueError:  # near to nothing that keeps the commutation relations
        return None
    for name, data in stim.gate_data().items():
        fits = data.is_single_qubit_gate if qubits == 1 else data.is_two_qubit_gate
        if data.is_unitary and fits and data.tableau == tableau:
            return () if name in ("I", "II") else ((name, tuple(range(qubits))),)
    return tuple(
        (step.name, tuple(t.value for t in group))
        for step in tableau.to_circuit()
        for group in step.target_groups()
    )
