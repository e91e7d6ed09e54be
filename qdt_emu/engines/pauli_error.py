"""Stated errors of Pauli propagation: runs at several thresholds, and what dropped strings do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.pauli_bind import Maps
from qdt_emu.engines.pauli_run import SAMPLES, Cone, Propagated, light_cone, run

Floats = NDArray[np.float64]

COARSER = 3.0  # from one threshold to the next
RUNGS = 4  # thresholds that one answer is made of
ENOUGH = 0.01  # threshold over tolerance
NEAR = 1.5  # times the tolerance: a smaller step will do
CAREFUL = 2.0
COARSEST = 0.02  # threshold from which a budget is spent upwards
SCOUT = 0.02  # threshold of the run that finds out how fast strings shrink
STEEPEST = 0.5  # decay per qubit that is made use of
FALL = 1.5  # of the error from one threshold to the next, at least
STAGES = 32  # of the circuit, each with its own demands


@dataclass(frozen=True, eq=False)
class Ladder:
    """Propagates strings of one circuit at any threshold.

    Noise shrinks a string on k qubits by exp(-d k) on its way to the start of the circuit, d being
    proportional to the way that is left. So a string is dropped where its coefficient is below
    threshold * exp(d k), but never if it is above the root of the threshold. The decay d comes from
    single strings that are carried back at random (`kernels.pauli_walk`); without noise it is 0.

    Attributes:
        maps: Of the circuit.
        polarization: <Z> of each qubit at the start.
        max_weight: Heavier strings are dropped; None keeps them.
        max_terms: Strings held at a time.
    """

    maps: Maps
    polarization: Floats
    max_weight: int | None
    max_terms: int

    def cone(self, codes: NDArray[np.uint8]) -> Cone | None:
        """Return a string's light cone; None for the identity."""
        return light_cone(self.maps, codes) if codes.any() else None

    def scout(self, part: Cone | None) -> float:
        """Return how much the logarithm of a string's coefficient falls per qubit on its way."""
        if part is None:
            return 0.0
        room = min(self.max_terms, 1 << 14)
        n = len(part.qubits)
        _, followed = run(
            self.maps, part, self.polarization, SCOUT, least=np.ones((1, n + 1)), room=room
        )
        return min(followed.decay, STEEPEST)

    def climb(
        self, part: Cone | None, threshold: float, decay: float, *, follow: bool = True
    ) -> Propagated:
        """Return what becomes of a string at a threshold.

        Args:
            part: The string's light cone.
            threshold: Strings with smaller coefficients are dropped.
            decay: What `scout` found.
            follow: Whether dropped strings are followed, for `Propagated.spread`.
        """
        if part is None:
            return Propagated(1.0)
        left = 1 - np.arange(STAGES) / STAGES
        weights = np.arange(len(part.qubits) + 1)
        least = np.exp(np.minimum(decay * left[:, None] * weights, 60.0))
        if threshold > 0:
            least = np.minimum(least, max(threshold, 1e-12) ** -0.5)
        if self.max_weight is not None:
            least[:, self.max_weight + 1 :] = np.inf
        samples = SAMPLES if follow else 0
        found, _ = run(
            *(self.maps, part, self.polarization, threshold),
            least=least,
            room=self.max_terms,
            samples=samples,
        )
        return found


def rungs(threshold: float) -> list[float]:
    """Return the thresholds of one answer, finest first."""
    return [threshold * COARSER**k for k in range(RUNGS if threshold else 1)]


def refined(
    ladder: Ladder,
    part: Cone | None,
    tolerance: float,
    threshold: float,
    most: int | None = None,
    known: Sequence[Propagated] = (),
) -> list[Propagated]:
    """Return runs, finest first, down to where the stated error is within a tolerance.

    The first threshold that may satisfy is a hundredth of the tolerance: at coarser ones all runs
    may miss the same strings and agree.

    Args:
        ladder: Of the circuit.
        part: The string's light cone.
        tolerance: Of the stated error.
        threshold: Not to go below.
        most: Changes of strings after which no finer threshold is begun; None for any.
        known: What the same call has returned with a smaller `most`; it is not run again.
    """
    decay = ladder.scout(part)
    enough = max(threshold, ENOUGH * tolerance)
    done: list[Propagated] = []

    def climb(t: float, *, follow: bool = True) -> Propagated:
        again = len(done) < len(known)
        return known[-1 - len(done)] if again else ladder.climb(part, t, decay, follow=follow)

    for t in _coarse(enough, most):
        if _spent(done, most):
            return done
        done.insert(0, climb(t, follow=most is not None))
    t = enough
    while not _spent(done, most):
        done.insert(0, climb(t))
        full = done[0].threshold > t
        if full or t <= threshold or stated(done) <= tolerance:
            return done
        near = stated(done) <= NEAR * tolerance
        t = max(t / (CAREFUL if near else COARSER), threshold)
    return done


def _coarse(enough: float, most: int | None) -> list[float]:
    """Return thresholds above one that may satisfy; many where a budget must not be overdrawn."""
    first = 1 if most is None else math.ceil(math.log(COARSEST / enough, COARSER)) - RUNGS + 2
    return [enough * COARSER**k for k in range(RUNGS - 2 + max(first, 1), 0, -1)]


def _spent(done: Sequence[Propagated], most: int | None) -> bool:
    """Return whether one more threshold would go beyond a budget, as far as one can tell."""
    if most is None or not done:
        return False
    last = done[0].updates
    growth = last / max(done[1].updates, 1) if len(done) > 1 else COARSER
    return sum(r.updates for r in done) + last * min(max(growth, 1.0), COARSER**2) > most


def stated(runs: Sequence[Propagated]) -> float:
    """Return an estimate of the error of the first run, the finest.

    It adds what coarser thresholds changed, less for coarser ones; what dropped strings of random
    signs add up to; and the size of the typical dropped coefficient (sum of squares over sum), for
    there may be few that matter, or signs may agree. The factors were fitted to four kinds of noisy
    random circuits and to kicked Ising circuits on two calibrated processors.

    Error:
        Covers the true error in 95 to 100 % of each kind of circuit; half of the estimates are
        more than 10 times too large. Never more than the sum of what was dropped, which is
        rigorous.
    """
    fine = runs[0]
    if fine.dropped == 0:
        return 0.0
    gaps = [abs(fine.value - r.value) / _fall(fine, r) for r in runs[1:RUNGS]]
    typical = fine.dropped_squares / fine.dropped
    return min(fine.dropped, max(gaps, default=0.0) + fine.spread + typical)


def _fall(fine: Propagated, coarse: Propagated) -> float:
    """Return how much smaller the error is, over what one rung makes, at the finer threshold."""
    ratio = max(coarse.threshold, fine.threshold) / fine.threshold
    return float(FALL ** (np.log(ratio) / np.log(COARSER) - 1))
