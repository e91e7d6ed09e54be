"""Resets as processors do them: measure, and flip if the outcome was 1."""

from dataclasses import replace

import numpy as np

from qdt_emu.device.device import Device, Note


def conditional_resets(device: Device) -> Device:
    r"""Return the device with resets that fail as often as its readout does.

    A reset measures the qubit and flips it if it read 1, so that it leaves |1> behind where it
    read wrong. From |0> that has the chance P(1|0). From |1> the published P(0|1) counts decays
    in the first half of the readout, which end well, while a decay in the second half is read as
    1 and flipped up; for a constant rate the two are equally likely, so that P(0|1) is the chance
    after all, but not less than that of the second half, $1 - e^{-t/2T_1}$. A qubit that is reset
    is taken to be in either state equally often.

    Only qubits that can be reset and have no reset error of their own are changed; a note says to
    what.

    Error:
        First order in the readout error and in the readout time over T1. That the chance depends
        on the state before is left out.

    Source:
        The protocol: Riste et al., Phys. Rev. Lett. 109, 050507 (2012).
    """
    p = device.parameters
    wrong = np.array(p.assignment, float)
    decay = -np.expm1(-np.nan_to_num(device.readout_duration) / (2 * np.asarray(p.t1)))
    left = (wrong[:, 0] + np.maximum(wrong[:, 1], decay)) / 2
    old = np.asarray(p.reset_excitation, float)
    unknown = (old == 0) & np.isfinite(left) & np.isfinite(device.reset_duration)
    if not unknown.any():
        return device
    note = Note(
        "RS",
        f"reset error of {unknown.sum()} of {unknown.size} qubits",
        0.0,
        float(np.median(left[unknown])),
        "not published: that of a flip conditioned on the readout (median)",
        gate="reset",
    )
    return device.with_parameters(replace(p, reset_excitation=np.where(unknown, left, old)), note)
