"""The noiseless device."""

import numpy as np

from qdt_emu.device.device import Device
from qdt_emu.device.parameters import Parameters
from qdt_emu.errors import InputError


def ideal(n_qubits: int, edges: list[tuple[int, int]] | None = None) -> Device:
    """Return a noiseless device that takes any one- or two-qubit gate in no time.

    Args:
        n_qubits: Number of qubits, at least 1.
        edges: Neighbour pairs; None couples every pair.
    """
    if n_qubits < 1:
        raise InputError(f"`n_qubits` must be at least 1, but is {n_qubits}.")
    pairs = sorted({(min(e), max(e)) for e in edges or []})
    for a, b in pairs:
        if a == b or not (a >= 0 and b < n_qubits):
            raise InputError(f"`edges` must join two of the {n_qubits} qubits, but has ({a}, {b}).")
    zero, never = np.zeros(n_qubits), np.full(n_qubits, np.inf)
    parameters = Parameters(
        t1=never,
        t2=never.copy(),
        excited=zero,
        depolarizing=np.zeros(0),
        relaxation_scale=np.zeros(0),
        assignment=np.zeros((n_qubits, 2)),
        reset_excitation=zero.copy(),
        zz=np.zeros(len(pairs)),
    )
    return Device(
        name=f"ideal_{n_qubits}",
        calibration_id="ideal",
        n_qubits=n_qubits,
        instructions=(),
        readout_duration=zero.copy(),
        reset_duration=zero.copy(),
        couplers=tuple(pairs),
        parameters=parameters,
        feedforward_latency=0.0,
        open_set=True,
    )
