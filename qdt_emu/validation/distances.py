"""Distances between distributions, and how large they are from shot noise alone.

Every distance takes counts, dictionaries (bitstring -> probability or count), or aligned arrays
whose last axis runs over outcomes; arrays may have leading axes (bootstrap draws). Mass that an
aligned array lacks to 1 sits on outcomes that the other distribution does not have.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln

from qdt_emu.errors import InputError
from qdt_emu.result import Counts, bitstrings

Array = NDArray[np.float64]
Distribution = Counts | Mapping[str, float]
Either = Distribution | Array


def probabilities(distribution: Distribution) -> tuple[dict[str, float], int]:
    """Return probabilities and the number of shots behind them, 0 if they are exact.

    A dictionary of whole numbers is read as counts; spaces between registers are dropped.

    Raises:
        InputError: Values are negative, or fractions that do not add up to 1.
    """
    if isinstance(distribution, Counts):
        return distribution.probabilities(), distribution.shots
    joined = {key.replace(" ", ""): value for key, value in distribution.items()}
    bitstrings.check_keys(joined)
    total = math.fsum(joined.values())
    if (least := min(joined.values())) < 0 or not total > 0:
        raise InputError(
            f"Probabilities and counts must be >= 0 and not all 0, but the least is {least} and "
            f"the sum {total}. Quasi-probabilities must be projected first."
        )
    if all(isinstance(value, int | np.integer) for value in joined.values()):
        return {key: value / total for key, value in joined.items()}, round(total)
    if abs(total - 1) > 1e-6:
        raise InputError(
            f"Probabilities must add up to 1, but they add up to {total:.6g}. "
            f"Counts must be whole numbers."
        )
    return {key: value / total for key, value in joined.items()}, 0


def align(*distributions: Distribution) -> tuple[list[str], Array, tuple[int, ...]]:
    """Return the outcomes any of them has, probabilities of shape (m, k), and their shots."""
    read = [probabilities(d) for d in distributions]
    keys = sorted({key for p, _ in read for key in p})
    bitstrings.check_keys(keys)
    table = np.array([[p.get(key, 0.0) for key in keys] for p, _ in read])
    return keys, table, tuple(shots for _, shots in read)


def _pair(first: Either, second: Either) -> tuple[Array, Array]:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first, second
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        raise InputError("A distance must be between two arrays or two dictionaries, not one each.")
    _, (p, q), _ = align(first, second)
    return p, q


def total_variation(first: Either, second: Either) -> Array:
    r"""Return $\frac12 \sum_x |p_x - q_x|$, 0 for equal, 1 for disjoint distributions."""
    p, q = _pair(first, second)
    lost = np.abs(1 - p.sum(-1)) + np.abs(1 - q.sum(-1))
    return np.asarray(0.5 * (np.abs(p - q).sum(-1) + lost))


def hellinger_distance(first: Either, second: Either) -> Array:
    r"""Return $H = \sqrt{1 - \sum_x \sqrt{p_x q_x}}$."""
    p, q = _pair(first, second)
    return np.asarray(np.sqrt(np.maximum(0.0, 1 - np.sqrt(p * q).sum(-1))))


def classical_fidelity(first: Either, second: Either) -> Array:
    r"""Return $(\sum_x \sqrt{p_x q_x})^2 = (1 - H^2)^2$, which Qiskit calls Hellinger fidelity."""
    p, q = _pair(first, second)
    return np.asarray(np.sqrt(p * q).sum(-1) ** 2)


def linear_correlation(first: Either, second: Either, *, n_bits: int) -> Array:
    r"""Return Pearson's correlation of the probabilities over all $D = 2^n$ outcomes.

    $$ r = \frac{\sum p q - 1/D}{\sqrt{(\sum p^2 - 1/D)(\sum q^2 - 1/D)}}; $$
    NaN when one of them is uniform.

    Error:
        Shot noise enlarges $\sum p^2$ by $(1 - \sum p^2) / N$, so r of samples is too small.
    """
    p, q = _pair(first, second)
    least = 0.5**n_bits
    norm = ((p * p).sum(-1) - least) * ((q * q).sum(-1) - least)
    top = (p * q).sum(-1) - least
    safe = np.where(norm > 1e-30, norm, np.nan)
    return np.asarray(top / np.sqrt(safe))


def log_score(predicted: Mapping[str, float], measured: Distribution) -> float:
    r"""Return the mean log-likelihood per shot, $\sum_x \hat q_x \ln p_x$; larger is better.

    It is minus infinity if an outcome was measured that the prediction excludes. Only exact
    predictions have a log score: sampled ones exclude whatever they did not happen to sample.
    """
    _, (p, q), (shots, _) = align(predicted, measured)
    if shots:
        raise InputError(
            f"A log score must be of exact probabilities, but the prediction is {shots} shots. "
            f"Use `total_variation` or an exact engine."
        )
    seen = q > 0
    with np.errstate(divide="ignore"):
        return float((q[seen] * np.log(p[seen])).sum())


def normal_floor(p: Array, shots: int, other_shots: int = 0) -> float:
    r"""Return E[TVD] of a sample from `p` (or of two samples) in the normal limit.

    $$ \sum_x \sqrt{p_x (1 - p_x)} \sqrt{(1/N_1 + 1/N_2) / 2 \pi}, $$ with 1/N_2 = 0 for none.

    Error:
        Below 3 % where every N p >= 4; too large where outcomes are rarer: use `exact_floor` (one
        sample) or `null_distances`.
    """
    inverse = 1 / shots + (1 / other_shots if other_shots else 0.0)
    return float(np.sqrt(p * (1 - p)).sum() * math.sqrt(inverse / (2 * math.pi)))


def exact_floor(p: Array, shots: int) -> float:
    r"""Return E[TVD] of `shots` samples from `p` to `p` itself, for any N p.

    The mean absolute deviation of a binomial is $2 m \binom{N}{m} p^m (1-p)^{N-m+1}$ with
    $m = \lfloor N p \rfloor + 1$, and TVD is half the sum over outcomes, divided by N.

    Error:
        Rounding only, below 1e-6 relative up to 1e9 shots.

    Source:
        De Moivre (1730); Diaconis and Zabell, Statistical Science 6, 284 (1991), eq. (1.1).
    """
    p = p[(p > 0) & (p < 1)]
    m = np.minimum(np.floor(shots * p) + 1, shots)
    choose = gammaln(shots + 1) - gammaln(m + 1) - gammaln(shots - m + 1)
    terms = np.exp(np.log(m) + choose + m * np.log(p) + (shots - m + 1) * np.log1p(-p))
    return float(terms.sum() / shots)


def hellinger_floor(outcomes: int, shots: int, other_shots: int = 0) -> float:
    r"""Return E[$H^2$] = (K - 1) / 8 (1/N_1 + 1/N_2) of two samples of one distribution.

    Error:
        1 to 5 % too small at N / K = 64, about 30 % at N / K = 4; meaningless below.
    """
    inverse = 1 / shots + (1 / other_shots if other_shots else 0.0)
    return (outcomes - 1) / 8 * inverse


@dataclass(frozen=True, slots=True)
class GTest:
    """Result of a G test.

    Attributes:
        g: The statistic with Williams' correction; its mean is `df` if the two agree.
        df: Degrees of freedom, cells - 1.
        p_value: P(a larger g by chance).
        cells: Cells after pooling.
    """

    g: float
    df: int
    p_value: float
    cells: int


def g_test(predicted: Distribution, measured: Distribution, *, least: float = 5.0) -> GTest:
    r"""Return the likelihood-ratio test of the hypothesis that both are one distribution.

    $G = 2 \sum_i n_i \ln (n_i / e_i)$ over cells with expected counts of at least `least`; rarer
    outcomes are pooled, chosen by their expectation only, so that pooling does not look at the
    answer. A sampled prediction makes it the two-sample test.

    Raises:
        InputError: `measured` has no shots, or fewer than two cells are left.

    Error:
        With Williams' correction mean and df differ by below 2 % at least = 5.

    Source:
        Williams, Biometrika 63, 33 (1976); Sokal and Rohlf, Biometry, section 17.2.
    """
    _, (p, q), (n1, n2) = align(predicted, measured)
    if not n2:
        raise InputError("A G test must have measured counts, but they are probabilities.")
    pooled = (n1 * p + n2 * q) / (n1 + n2) if n1 else p
    scale = min(n1, n2) if n1 else n2
    cells = pools(pooled * scale, least)
    excluded = bool(((pooled == 0) & (q > 0)).any())
    if (k := int(cells.max()) + 1) < 2:
        raise InputError(
            f"A G test must have two cells with {least:g} expected counts, but {n2} shots leave "
            f"{k}. Take more shots, or test marginals."
        )
    expected = np.bincount(cells, pooled)
    rows = [(np.bincount(cells, q * n2), n2)] + ([(np.bincount(cells, p * n1), n1)] if n1 else [])
    if excluded:  # pooling must not hide an outcome that the prediction rules out
        return GTest(math.inf, k - 1, 0.0, k)
    g = 0.0
    for row, n in rows:
        seen = row > 0
        g += 2 * float((row[seen] * np.log(row[seen] / (n * expected[seen]))).sum())
    # Williams: divide by 1 + (sum 1/p - 1) / (6 N df), for two rows by the product over both.
    spread = (1 / expected[expected > 0]).sum() - 1
    weight = (n1 + n2) * (1 / n1 + 1 / n2) - 1 if n1 else 1.0
    g /= 1 + spread * weight / (6 * (n1 + n2) * (k - 1))
    return GTest(float(g), k - 1, float(chdtrc(k - 1, g)), k)


def pools(expected: Array, least: float) -> NDArray[np.int64]:
    """Return the cell of each outcome; outcomes below `least` are joined, rarest first."""
    order = np.argsort(expected, kind="stable")
    cells = np.empty(len(expected), np.int64)
    cell, mass = 0, 0.0
    for i in order:
        cells[i] = cell
        mass += expected[i]
        if mass >= least:
            cell, mass = cell + 1, 0.0
    if mass > 0 and cell > 0:  # what is left over joins the last full cell
        cells[cells == cell] = cell - 1
    return cells


def z_scores(predicted: Distribution, measured: Distribution) -> Array:
    r"""Return how many sigmas apart $\langle Z_i Z_j \rangle$ are, shape (n, n).

    The diagonal holds $\langle Z_i \rangle$. The variance is that of the pooled value, which is
    the right one if the two agree; a difference without any variance is infinite.

    Error:
        Scores are standard normal for $N (1 - |z|) \gg 1$.
    """
    keys, (p, q), (n1, n2) = align(predicted, measured)
    if not n1 + n2:
        raise InputError("z scores must have shots on one side, but both are exact.")
    signs = 1.0 - 2.0 * bitstrings.bits(keys)
    first, second = ((signs * w[:, None]).T @ signs for w in (p, q))
    for matrix, w in ((first, p), (second, q)):
        np.fill_diagonal(matrix, w @ signs)
    if n1 and n2:
        null, inverse = (n1 * first + n2 * second) / (n1 + n2), 1 / n1 + 1 / n2
    else:
        null, inverse = (second, 1 / n1) if n1 else (first, 1 / n2)
    sigma = np.sqrt(np.maximum(0.0, 1 - null**2) * inverse)
    gap = second - first
    far: Array = np.where(np.abs(gap) < 1e-12, 0.0, np.copysign(np.inf, gap))
    scores: Array = np.divide(gap, sigma, out=far, where=sigma > 1e-9)
    return scores
