"""What a hidden device is made of: every number of its physics, and values as transmons have them.

| mechanism | drawn as | source of the magnitude |
|---|---|---|
| T1, T2 (echo) | 80 to 200 us, 60 to 150 us | published snapshots of 27 to 156 qubits |
| |2> to |1> | 1.6 to 2 times the rate of |1> to |0> | Peterer et al., arXiv:1409.6031 |
| defects in T1 | + 30 to 100 % of 1/T1, hours | Burnett et al., arXiv:1901.04417 |
| 1/f detuning | 2 to 10 kHz rms, 10 uHz to 10 Hz | Krantz et al., arXiv:1904.06560, III.B |
| ZZ | +-20 to 80 kHz, 0.4 to 1.6 times that beside a two-qubit gate | published snapshots |
| pulses | 32 to 40 ns; angle and axis off by about 0.02 rad | - |
| cz | 60 to 300 ns; phases off by 0.03 to 0.08 rad | Foxen et al., arXiv:2001.08343 |
| leakage | 2e-5 to 1e-4 per pulse, 2e-4 to 1e-3 per cz | Chen et al., arXiv:1509.05470 |
| residual population | 0.5 to 2 % | Jin et al., arXiv:1412.2772 |
| readout | 1 to 3 %, errors of a chip together, of neighbours dependent | published snapshots |
| drift | ln T1 by 0.12, phases by 15 %, readout by 12 %, hours to days | arXiv:2105.15201 |

Ranges without a source are choices within what calibration files of fixed-frequency and
tunable-coupler transmons show; the published infidelities follow from them (0.02 to 0.05 % per
pulse, 0.5 to 1.5 % per cz).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qdt_emu.errors import InputError

Floats = NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]
FLUCTUATOR_RATES = 10.0 ** np.arange(-5.0, 1.1, 0.5)  # 1/s: two per decade make 1/f noise


@dataclass(frozen=True, eq=False)
class Physics:
    """The true numbers of a processor with `n` qubits (qutrits) and `E` couplers, in SI units.

    Attributes:
        couplers: Neighbours (a < b).
        t1: Relaxation time of |1> without defects in s, shape (n,); inf means none.
        ladder: Rate of |2> to |1> in units of that of |1> to |0>, shape (n,).
        t_phi: Time of pure (white) dephasing between |0> and |1> in s, shape (n,).
        excited: Population of |1> at rest, shape (n,).
        defect_rate: What a defect in resonance adds to 1/T1, in 1/s, shape (n,).
        defect_occupied: Share of time it is in resonance, shape (n,).
        defect_switching: Sum of its two jump rates in 1/s, shape (n,).
        detuning: Standard deviation of the 1/f detuning in Hz, shape (n,).
        angle: Error of the angle of sx and of x in rad, shape (n, 2).
        tilt: Angle of the axis of a pulse out of the equator in rad, shape (n,).
        pulse_phase: Z error after sx and after x in rad, shape (n, 2).
        pulse_leakage: Probability |1> -> |2> per pulse, shape (n,).
        pulse_pauli: Probability of a random Pauli operator per pulse, shape (n,).
        zz: (E11 - E10 - E01 + E00) / h in Hz, shape (E,).
        zz_beside: Factor on it while one of the two is in a gate with a third, shape (E,).
        cz_angle: ZZ error of the gate in rad, as in exp(-i angle ZZ / 2), shape (E,).
        cz_phase: Z error on each of its qubits in rad, shape (E, 2).
        cz_swap: Angle of an unwanted exchange |01> <-> |10> in rad, shape (E,).
        cz_leakage: Probability |11> -> |20>, shape (E,).
        cz_leakage_phase: Phase of that amplitude in rad, shape (E,).
        cz_pauli: Probability of a random two-qubit Pauli operator, shape (E,).
        crowding: Factor on it while a neighbouring coupler is driven, shape ().
        assignment: (P(read 1 | 0), P(read 0 | 1)) with neighbours half excited, shape (n, 2).
        leaked_as_one: P(read 1 | 2), shape (n,).
        readout_crosstalk: Share by which the misreading of either qubit of a coupler grows with
            the other one in |1> and falls with it in |0>, shape (E,).
        readout_common: Standard deviation of the logarithm of all misreading probabilities from
            shot to shot, shape ().
        pulse_duration: In s.
        cz_duration: In s, shape (E,).
        readout_duration: In s.
        drift: Standard deviations over days of ln T1, ln Tphi, of gate angles and phases relative
            to themselves, and of ln of readout errors and of the population at rest.
    """

    couplers: Pairs
    t1: Floats
    ladder: Floats
    t_phi: Floats
    excited: Floats
    defect_rate: Floats
    defect_occupied: Floats
    defect_switching: Floats
    detuning: Floats
    angle: Floats
    tilt: Floats
    pulse_phase: Floats
    pulse_leakage: Floats
    pulse_pauli: Floats
    zz: Floats
    zz_beside: Floats
    cz_angle: Floats
    cz_phase: Floats
    cz_swap: Floats
    cz_leakage: Floats
    cz_leakage_phase: Floats
    cz_pauli: Floats
    crowding: float
    assignment: Floats
    leaked_as_one: Floats
    readout_crosstalk: Floats
    readout_common: float
    pulse_duration: float
    cz_duration: Floats
    readout_duration: float
    drift: tuple[float, float, float, float]

    @property
    def n_qubits(self) -> int:
        """Number of qubits."""
        return len(self.t1)

    @classmethod
    def perfect(cls, n_qubits: int, couplers: Sequence[tuple[int, int]]) -> Self:
        """Return a processor without any imperfection; replace what a test is about."""
        pairs = checked_couplers(n_qubits, couplers)
        n, e = n_qubits, len(pairs)
        return cls(
            couplers=pairs,
            t1=np.full(n, np.inf),
            ladder=np.full(n, 2.0),
            t_phi=np.full(n, np.inf),
            excited=np.zeros(n),
            defect_rate=np.zeros(n),
            defect_occupied=np.zeros(n),
            defect_switching=np.full(n, 1e-4),
            detuning=np.zeros(n),
            angle=np.zeros((n, 2)),
            tilt=np.zeros(n),
            pulse_phase=np.zeros((n, 2)),
            pulse_leakage=np.zeros(n),
            pulse_pauli=np.zeros(n),
            zz=np.zeros(e),
            zz_beside=np.ones(e),
            cz_angle=np.zeros(e),
            cz_phase=np.zeros((e, 2)),
            cz_swap=np.zeros(e),
            cz_leakage=np.zeros(e),
            cz_leakage_phase=np.zeros(e),
            cz_pauli=np.zeros(e),
            crowding=1.0,
            assignment=np.zeros((n, 2)),
            leaked_as_one=np.ones(n),
            readout_crosstalk=np.zeros(e),
            readout_common=0.0,
            pulse_duration=32e-9,
            cz_duration=np.full(e, 100e-9),
            readout_duration=1e-6,
            drift=(0.0, 0.0, 0.0, 0.0),
        )

    @classmethod
    def typical(
        cls, n_qubits: int, couplers: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> Self:
        """Return a processor with numbers drawn as the table of this module says."""
        pairs = checked_couplers(n_qubits, couplers)
        n, e = n_qubits, len(pairs)
        t1 = rng.uniform(80e-6, 200e-6, n)
        t2 = np.minimum(rng.uniform(60e-6, 150e-6, n), 1.6 * t1)
        length = _log_uniform(rng, 60e-9, 300e-9) * rng.uniform(0.9, 1.1, e)
        sx_angle = rng.normal(0.0, 0.015, n)
        p01, p10 = _log_uniform(rng, 0.006, 0.015, n), _log_uniform(rng, 0.012, 0.03, n)
        return cls(
            couplers=pairs,
            t1=t1,
            ladder=rng.uniform(1.6, 2.0, n),
            t_phi=1 / (1 / t2 - 0.5 / t1),
            excited=_log_uniform(rng, 0.005, 0.02, n),
            defect_rate=rng.uniform(0.3, 1.0, n) / t1,
            defect_occupied=rng.uniform(0.1, 0.3, n),
            defect_switching=1 / _log_uniform(rng, 3600.0, 6 * 3600.0, n),
            detuning=_log_uniform(rng, 2e3, 10e3, n),
            # Two sx make an x, so that most of the angle's error is common to both.
            angle=np.stack([sx_angle, 2 * sx_angle + rng.normal(0.0, 0.005, n)], axis=1),
            tilt=rng.normal(0.0, 0.01, n),
            pulse_phase=rng.normal(0.0, 0.01, (n, 2)),
            pulse_leakage=_log_uniform(rng, 2e-5, 1e-4, n),
            pulse_pauli=_log_uniform(rng, 2e-5, 1e-4, n),
            zz=_sign(rng, e) * rng.uniform(20e3, 80e3, e),
            zz_beside=rng.uniform(0.4, 1.6, e),
            cz_angle=_sign(rng, e) * rng.uniform(0.03, 0.08, e),
            cz_phase=_sign(rng, (e, 2)) * rng.uniform(0.03, 0.08, (e, 2)),
            cz_swap=rng.normal(0.0, 0.03, e),
            cz_leakage=_log_uniform(rng, 2e-4, 1e-3, e),
            cz_leakage_phase=rng.uniform(0.0, 2 * np.pi, e),
            cz_pauli=_log_uniform(rng, 2e-3, 8e-3, e),
            crowding=rng.uniform(1.2, 1.8),
            assignment=np.stack([p01, p10], axis=1),
            leaked_as_one=rng.uniform(0.85, 0.98, n),
            readout_crosstalk=rng.normal(0.0, 0.15, e),
            readout_common=0.4,
            pulse_duration=float(rng.choice([32e-9, 36e-9, 40e-9])),
            cz_duration=4e-9 * np.round(length / 4e-9),
            readout_duration=1e-6,
            drift=(0.12, 0.12, 0.15, 0.12),
        )


def checked_couplers(n_qubits: int, couplers: Sequence[tuple[int, int]]) -> Pairs:
    """Return the couplers as sorted pairs (a < b).

    Raises:
        InputError: A pair that is no pair of two of the qubits.
    """
    for pair in couplers:
        if len(pair) != 2 or len({*pair}) != 2 or not {*pair} <= {*range(n_qubits)}:
            raise InputError(
                f"A coupler must join two of the {n_qubits} qubits, but one is {tuple(pair)}."
            )
    return tuple(sorted({(min(a, b), max(a, b)) for a, b in couplers}))


def chain(n_qubits: int) -> Pairs:
    """Return the couplers of a line."""
    return tuple((q, q + 1) for q in range(n_qubits - 1))


def ring(n_qubits: int) -> Pairs:
    """Return the couplers of a closed line."""
    return (*chain(n_qubits), (0, n_qubits - 1)) if n_qubits > 2 else chain(n_qubits)


def _log_uniform(
    rng: np.random.Generator, low: float, high: float, shape: int | None = None
) -> Floats:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), shape)))


def _sign(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Floats:
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0)
