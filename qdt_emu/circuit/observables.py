"""Pauli strings on a compiled circuit, and what the device's readout makes of them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from qdt_emu.circuit.compile import Compiled
from qdt_emu.device import Device
from qdt_emu.errors import InputError

Array = NDArray[Any]


def pauli_labels(paulis: Any) -> list[str]:
    """Return the strings of a list, one string or a `SparsePauliOp`.

    Raises:
        InputError: Anything else, or none.
    """
    if isinstance(paulis, SparsePauliOp):
        return list(paulis.paulis.to_labels())
    labels = [paulis] if isinstance(paulis, str) or not isinstance(paulis, Iterable) else [*paulis]
    if not labels or any(not isinstance(x, str) for x in labels):
        raise InputError(f"`paulis` must be one or more Pauli strings, but is {paulis!r}.")
    return labels


def pauli_codes(
    paulis: list[str], compiled: Compiled, n_qubits: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return Pauli strings (leftmost = highest qubit) as codes 0..3 for I, X, Y, Z.

    Returns:
        The codes on the active qubits, shape (m, n_active), and on all physical qubits,
        shape (m, n_device).

    Raises:
        InputError: A wrong length or letter.
    """
    full = np.zeros((len(paulis), compiled.device.n_qubits), np.uint8)
    for k, text in enumerate(paulis):
        if len(text) != n_qubits or set(text) - set("IXYZ"):
            raise InputError(
                f"A Pauli string must have {n_qubits} letters of I, X, Y, Z (leftmost = highest "
                f"qubit), but is {text!r}."
            )
        for q, letter in enumerate(reversed(text)):
            full[k, compiled.places[q]] = "IXYZ".index(letter)
    return full[:, list(compiled.structure.qubits)], full


def readout_map(device: Device, read: Array) -> Array:
    """Return (1 - p01 - p10, p10 - p01) of each qubit: what misreading makes of Z.

    Args:
        device: The device.
        read: Whether each qubit is read at all, shape (n,).

    Raises:
        InputError: A qubit that is read has no published readout error.
    """
    p01, p10 = np.asarray(device.parameters.assignment, float).T
    gain = np.stack([1 - p01 - p10, p10 - p01], axis=1)
    unknown = np.isnan(gain).any(axis=1)
    for q in np.flatnonzero(unknown & read):
        raise InputError(
            f"Qubit {q} of '{device.name}' cannot be read: its calibration has no readout error. "
            f"Choose another layout, or pass `readout=False`."
        )
    return np.where(unknown[:, None], [1.0, 0.0], gain)


def resting_factor(full: Array, compiled: Compiled, gain: Array, device: Device) -> Array:
    """Return the factor of the qubits no gate has touched: they rest in equilibrium."""
    rest = np.setdiff1d(np.arange(device.n_qubits), compiled.structure.qubits)
    polarisation = 1 - 2 * np.asarray(device.parameters.excited, float)[rest]
    z, offset = gain[rest, 0] * polarisation + gain[rest, 1], gain[rest, 1]
    codes = full[:, rest]
    factors: Array = np.where(codes == 3, z, np.where(codes == 0, 1.0, offset))
    return np.asarray(factors.prod(axis=1))
