"""How well a processor repeats itself: what no twin can be expected to beat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import chdtrc

from qdt_emu.errors import InputError
from qdt_emu.validation.distances import Array, Distribution, align, pools, total_variation

LEAST = 5.0


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """How much more repeated measurements scatter than shots alone.

    Attributes:
        phi: chi-squared / df, 1 for shot noise; variances are that many times larger.
        df: Degrees of freedom.
        p_value: P(a larger chi-squared by shot noise alone).
        circuits: Circuits that were repeated.
    """

    phi: float
    df: int
    p_value: float
    circuits: int

    @property
    def widening(self) -> float:
        """Factor on bands: sqrt(phi), never below 1, because chance makes small phi."""
        return math.sqrt(max(1.0, self.phi))


def overdispersion(groups: Sequence[Sequence[Distribution]]) -> Overdispersion:
    r"""Return the overdispersion of repeated circuits.

    $$ \phi = \frac{1}{\mathrm{df}} \sum_{c} \sum_{r,x} \frac{(n_{rx} - N_r p_x)^2}{N_r p_x}, $$
    with $p_x$ pooled over the repeats of circuit c and $(R_c - 1)(K_c - 1)$ degrees of freedom
    each. Rare outcomes are pooled until every repeat expects 5.

    Args:
        groups: For each circuit, the counts of its repeats (two or more).

    Raises:
        InputError: Probabilities instead of counts, or no circuit with two repeats and two cells.

    Error:
        Relative standard error sqrt(2 / df). Where probabilities drift by a relative sigma, phi
        grows with the number of shots: it belongs to measurements of this length.

    Source:
        McCullagh and Nelder, Generalized Linear Models (1989), section 4.5.2.
    """
    total, df, circuits = 0.0, 0, 0
    for group in groups:
        if len(group) < 2:
            continue
        chi2, freedom = _homogeneity(group)
        total, df, circuits = total + chi2, df + freedom, circuits + (freedom > 0)
    if df == 0:
        raise InputError(
            f"Overdispersion needs a circuit that was repeated with at least two outcomes expected "
            f"{LEAST:g} times, but none of {len(groups)} is."
        )
    return Overdispersion(total / df, df, float(chdtrc(df, total)), circuits)


def repeat_distance(repeats: Sequence[Distribution], measured: Distribution | None = None) -> float:
    """Return the mean total variation distance of repeats to `measured`, or to each other.

    It holds the shot noise of both sides, as does a prediction that is sampled as often.

    Raises:
        InputError: There is nothing to compare.
    """
    if measured is not None and repeats:
        return float(np.mean([total_variation(r, measured) for r in repeats]))
    if len(repeats) < 2:
        raise InputError(f"Repeatability needs at least 2 measurements, but has {len(repeats)}.")
    return float(np.mean([total_variation(a, b) for a, b in combinations(repeats, 2)]))


def _homogeneity(group: Sequence[Distribution]) -> tuple[float, int]:
    """Return Pearson's chi-squared of equal distributions, and its degrees of freedom."""
    _, table, shots = align(*group)
    if not all(shots):
        raise InputError("Repeats must be counts, but one of them is probabilities.")
    n = np.array(shots, float)
    pooled = n @ table / n.sum()
    cells = pools(pooled * n.min(), LEAST)
    size = int(cells.max()) + 1
    expected = np.outer(n, np.bincount(cells, pooled, size))
    seen: Array = np.stack(
        [np.bincount(cells, row * k, size) for row, k in zip(table, n, strict=True)]
    )
    return float(((seen - expected) ** 2 / expected).sum()), (len(n) - 1) * (size - 1)
