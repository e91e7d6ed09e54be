"""A hidden device as time goes by: drift, defects that come and go, 1/f noise.

Everything slow is a function of (device seed, time), so that asking twice, or in another order,
gives the same answer: smooth drift is a sum of waves with periods from two hours to four days and
random phases; defects and 1/f noise are two-state fluctuators (`kernels.qutrit.telegraph`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qdt_emu.kernels.qutrit import telegraph
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.learning.hidden_physics import FLUCTUATOR_RATES, Physics

Floats = NDArray[np.float64]
PERIODS = np.geomspace(2 * 3600.0, 4 * 86400.0, 8)
GRAIN = 0.05  # of the correlation time of a fluctuator
_DRIFT, _DEFECT, _DETUNING = range(3)


def at(physics: Physics, seed: int, time: float) -> Physics:
    """Return the physics as it is at a time, with `t1` as the defects leave it.

    Args:
        physics: On average.
        seed: Of the device.
        time: In s.
    """
    n, e = physics.n_qubits, len(physics.couplers)
    waves = drift(seed, time, 6 * n + 4 * e)
    per_qubit, per_coupler = waves[: 6 * n].reshape(6, n), waves[6 * n :].reshape(4, e)
    s_t1, s_phi, s_gate, s_read = physics.drift
    keys = _keys(seed, _DEFECT, n)
    here = telegraph(
        keys, np.array([time]), physics.defect_switching, physics.defect_occupied, GRAIN
    )[:, 0]
    rate = np.exp(-s_t1 * per_qubit[0]) / physics.t1 + here * physics.defect_rate
    with np.errstate(divide="ignore"):
        t1 = 1 / rate
    pulses, gates = 1 + s_gate * per_qubit[2], 1 + s_gate * per_coupler
    misread = np.exp(s_read * per_qubit[3:5].T - s_read**2 / 2)
    return replace(
        physics,
        t1=t1,
        t_phi=physics.t_phi * np.exp(s_phi * per_qubit[1]),
        angle=physics.angle * pulses[:, None],
        pulse_phase=physics.pulse_phase * pulses[:, None],
        cz_angle=physics.cz_angle * gates[0],
        cz_phase=physics.cz_phase * gates[1:3].T,
        cz_swap=physics.cz_swap * gates[3],
        assignment=np.minimum(physics.assignment * misread, 1.0),
        excited=np.minimum(physics.excited * np.exp(s_read * per_qubit[5]), 0.5),
        defect_rate=np.zeros(n),
    )


def drift(seed: int, time: float, count: int) -> Floats:
    """Return `count` independent slow waves at a time, of mean 0 and variance 1 over all time."""
    rng = np.random.default_rng([seed, _DRIFT])
    phases = rng.uniform(0, 2 * np.pi, (count, len(PERIODS)))
    waves = np.cos(2 * np.pi * time / PERIODS + phases)
    return np.asarray(waves.sum(axis=1) * np.sqrt(2 / len(PERIODS)))


def detuning(physics: Physics, seed: int, times: Floats) -> Floats:
    """Return the detuning of each qubit in Hz, shape (times, n): 1/f noise from fluctuators.

    Each of 13 fluctuators per qubit, two per decade of rate, jumps between +v and -v.

    Error:
        1/f between the slowest and the fastest rate, within 1 dB; nothing outside.
    """
    n, m = physics.n_qubits, len(FLUCTUATOR_RATES)
    keys = _keys(seed, _DETUNING, n * m)
    rates, half = np.tile(FLUCTUATOR_RATES, n), np.full(n * m, 0.5)
    states = telegraph(keys, times, rates, half, GRAIN).reshape(n, m, len(times))
    signs = 2.0 * states - 1.0
    return np.asarray(signs.sum(axis=1).T * physics.detuning / np.sqrt(m))


def _keys(seed: int, purpose: int, count: int) -> NDArray[np.uint64]:
    (own,) = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)
    return np.asarray(shot_keys(own, np.int64(0), np.int64(count)))
