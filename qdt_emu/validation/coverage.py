"""Are stated bands as wide as they say? How often they hold, and where in them the truth falls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri

from qdt_emu.errors import InputError

Array = NDArray[np.float64]
LEVELS = (0.5, 0.68, 0.9, 0.95)
BINS = 10


def wilson(hits: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    r"""Return the interval of a probability of which `hits` of `trials` were seen.

    $$ \frac{k + z^2/2 \pm z \sqrt{k (n-k)/n + z^2/4}}{n + z^2}. $$

    Raises:
        InputError: There are no trials, or more hits than trials.

    Error:
        It holds the true probability with `level` on average over probabilities; for a given one
        the chance varies by some percent where n p < 5.

    Source:
        Wilson, J. Am. Stat. Assoc. 22, 209 (1927); Brown, Cai and DasGupta, Statistical Science
        16, 101 (2001), section 3.1.1.

    Examples:
        >>> [round(edge, 4) for edge in wilson(9, 10)]
        [0.5958, 0.9821]
    """
    if not (trials >= 1 and 0 <= hits <= trials):
        raise InputError(
            f"A fraction must be of at least 1 trial with 0 to all of them hits, but has {hits} "
            f"hits of {trials} trials."
        )
    z = float(ndtri((1 + level) / 2))
    middle = hits + z * z / 2
    half = z * math.sqrt(hits * (trials - hits) / trials + z * z / 4)
    low, high = (middle - half) / (trials + z * z), (middle + half) / (trials + z * z)
    return (0.0 if hits == 0 else low), (1.0 if hits == trials else high)


@dataclass(frozen=True, slots=True)
class Level:
    """How often the bands of one level held what was measured.

    Attributes:
        level: What the bands promise.
        inside: Fraction of measurements inside.
        low: Lower end of the 95 % Wilson interval of that fraction.
        high: Upper end.
    """

    level: float
    inside: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """True if the promise lies in the Wilson interval."""
        return self.low <= self.level <= self.high


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether predicted bands mean what they say.

    Attributes:
        levels: One entry per level of bands.
        pit: Probability integral transform of each measurement: the predicted probability of
            less than what was measured. Uniform in 0..1 for honest bands, U-shaped for bands that
            are too narrow, hump-shaped for too wide.
        p_value: P(a PIT histogram as uneven by chance), chi-squared over 10 bins.
    """

    levels: tuple[Level, ...]
    pit: tuple[float, ...]
    p_value: float

    @property
    def trials(self) -> int:
        """Number of measurements."""
        return len(self.pit)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        parts = [
            f"{x.level:.0%} bands hold {x.inside:.1%} [{x.low:.1%}, {x.high:.1%}]"
            for x in self.levels
        ]
        wrong = [x for x in self.levels if not x.holds]
        if not wrong:
            lead = "Honest bands"
        elif all(x.inside < x.level for x in wrong):
            lead = "Bands too narrow"
        elif all(x.inside > x.level for x in wrong):
            lead = "Bands too wide"
        else:
            lead = "Bands of the wrong shape"
        return f"{lead} ({self.trials} measurements): {', '.join(parts)}."

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (level, fraction inside, Wilson interval), for tables."""
        return [
            (f"{x.level:.0%}", f"{x.inside:.1%}", f"[{x.low:.1%}, {x.high:.1%}]")
            for x in self.levels
        ]


def coverage_of_draws(
    draws: Array, measured: Array, *, seed: int, levels: Sequence[float] = LEVELS
) -> Coverage:
    """Return the coverage of bands that are given as draws from the predictive distribution.

    Draws must contain everything that makes a measurement scatter, its shot noise included. Ties
    between a draw and the measurement, which counts have, are broken by chance.

    Args:
        draws: Shape (n_draws, n): predictions of each measurement.
        measured: Shape (n,).
        seed: Of the broken ties.
        levels: Of central bands.

    Raises:
        InputError: The shapes do not belong together, or values are not finite.

    Error:
        With n_draws draws a PIT is one of n_draws + 1 ranks, spread evenly within a rank, so that
        honest bands hold exactly what they say for any number of draws.
    """
    values, table = np.asarray(measured, float), np.asarray(draws, float)
    if table.ndim != 2 or values.shape != table.shape[1:] or not len(table):
        raise InputError(
            f"Draws must have shape (draws, n) for n measurements, but are {table.shape} for "
            f"{values.shape}."
        )
    _check_finite(table, values)
    rng = np.random.default_rng(seed)
    below, equal = (table < values).sum(0), (table == values).sum(0)
    rank = below + rng.integers(0, equal + 1)
    return _coverage((rank + rng.random(len(values))) / (len(table) + 1), levels)


def coverage_of_normal(
    mean: Array, stderr: Array, measured: Array, *, levels: Sequence[float] = LEVELS
) -> Coverage:
    """Return the coverage of bands mean ± z stderr, each of shape (n,).

    Raises:
        InputError: Shapes differ, values are not finite or a standard error is not positive.
    """
    centre, width, values = (np.asarray(x, float) for x in (mean, stderr, measured))
    if not centre.shape == width.shape == values.shape or values.ndim != 1:
        raise InputError(
            f"Mean, standard error and measurement must have one shape (n,), but have "
            f"{centre.shape}, {width.shape} and {values.shape}."
        )
    _check_finite(centre, width, values)
    if not (width > 0).all():
        raise InputError(f"Standard errors must be > 0, but one is {width.min():.3g}.")
    return _coverage(np.asarray(ndtr((values - centre) / width)), levels)


def uniformity(pit: Array, *, bins: int = BINS) -> float:
    """Return P(a histogram as uneven by chance) of values in 0..1 (Pearson's chi-squared).

    Error:
        The asymptotic law holds for 5 values per bin; below, fewer bins are taken, at least 2.
    """
    bins = int(np.clip(len(pit) // 5, 2, bins))
    seen = np.histogram(pit, bins, (0.0, 1.0))[0]
    expected = len(pit) / bins
    return float(chdtrc(bins - 1, ((seen - expected) ** 2).sum() / expected))


def _coverage(pit: Array, levels: Sequence[float]) -> Coverage:
    out = []
    for level in levels:
        if not 0 < level < 1:
            raise InputError(f"A level must lie between 0 and 1, but is {level}.")
        hits = int((np.abs(pit - 0.5) <= level / 2).sum())
        low, high = wilson(hits, len(pit))
        out.append(Level(level, hits / len(pit), low, high))
    return Coverage(tuple(out), tuple(float(x) for x in pit), uniformity(pit))


def _check_finite(*arrays: Array) -> None:
    if not arrays[-1].size:
        raise InputError("Coverage must be of at least 1 measurement, but there are 0.")
    if bad := sum(int((~np.isfinite(x)).sum()) for x in arrays):
        raise InputError(f"Predictions and measurements must be finite, but {bad} values are not.")
