"""What engines refuse for the same reason, said once."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.errors import InputError, UnsupportedError

Array = Any


@dataclass(frozen=True, eq=False)
class Draws:
    """Where numbers may ask for something random in every shot that is no channel on two levels.

    Attributes:
        dwells: (slot, qubit) of each dwell, shape (k, 2).
        leaks: Slots of leakage, shape (k,).
    """

    dwells: NDArray[np.int64]
    leaks: NDArray[np.int64]


def draws(structure: Structure) -> Draws:
    """Return the dwells and leaks of a structure."""
    ops = structure.operations
    dwells = [(op.slot, op.qubits[0]) for op in ops if op.kind is Kind.DWELL]
    leaks = [op.slot for op in ops if op.kind is Kind.LEAK]
    return Draws(np.array(dwells, np.int64).reshape(-1, 2), np.array(leaks, np.int64))


def drawn(where: Draws, values: Values, xp: ModuleType = np) -> Array:
    """Return whether the numbers ask for a draw: leakage, or a qubit that dwells and is detuned.

    Args:
        where: The dwells and leaks of the circuit.
        values: The numbers; may be traced.
        xp: `numpy` or `jax.numpy`.
    """
    slots, qubits = where.dwells.T.astype(np.int32)
    turned = xp.abs(values.detuning[qubits]).sum(-1) * xp.abs(values.dwell[slots])
    leaks = values.leakage[where.leaks.astype(np.int32)]
    return xp.any(leaks != 0) | xp.any(turned != 0)


def refuse_draws(where: Draws, values: Values, engine: str) -> None:
    """Refuse what changes from shot to shot, and third levels.

    Raises:
        UnsupportedError: Detuning during a dwell, or leakage.
    """
    slot, qubit = where.dwells.T
    drifts = np.any(np.asarray(values.detuning)[qubit] != 0, axis=1)
    drifts &= np.asarray(values.dwell)[slot] != 0
    if drifts.any():
        raise UnsupportedError(
            f"`detuning` must be 0 in the engine '{engine}', but qubit {qubit[drifts][0]} drifts "
            f"from shot to shot. Use engine='mps' or 'statevector'."
        )
    if np.any(np.asarray(values.leakage)[where.leaks]):
        raise UnsupportedError(
            f"`leakage` must be 0 in the engine '{engine}', which has no third level, but a rate "
            f"is not. Use engine='statevector'."
        )


def too_wide(structure: Structure) -> str:
    """Return which operation acts on more qubits than trajectory engines model, or nothing."""
    for op in structure.operations:
        most = 2 if op.kind in (Kind.UNITARY, Kind.PAULI) else 1
        if len(op.qubits) > most:
            return (
                f"An operation of kind {op.kind.name} must act on at most {most} qubit(s), but one "
                f"acts on {op.qubits}. Decompose it."
            )
    return ""


def checked_codes(paulis: NDArray[np.uint8], n_qubits: int) -> NDArray[np.uint8]:
    """Return Pauli strings as codes of one byte.

    Raises:
        InputError: They are not of shape (m, n_qubits) with codes 0..3.
    """
    codes = np.asarray(paulis)
    if codes.ndim != 2 or codes.shape[1] != n_qubits or np.any(codes > 3):
        raise InputError(
            f"`paulis` must have shape (m, {n_qubits}) and codes 0..3, but it has shape "
            f"{codes.shape}. Give one code per qubit."
        )
    return codes.astype(np.uint8, copy=False)
