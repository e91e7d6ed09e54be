"""How outcomes are wrong together: what past residuals say beyond the scatter of each on its own.

A processor whose misreading drifts, or that forgets a little faster than the model, shifts half of
all outcomes up and half down. Each outcome alone hides that in its shot noise; a sum over many of
them, like <Z> of a qubit, does not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 1e-12  # of a probability, so that its logarithm is finite
LEAST_SHARE = 0.25  # of the residuals that a fit is taken to leave
FEW = 2.0  # gradients' worth of the belief that circuits scatter as stated


@dataclass(frozen=True)
class Tilt:
    r"""How far the logarithms of a circuit's probabilities lean, as variances.

    $$ \ln p'(x) = \ln p(x) + \sum_b g_b (-1)^{x_b} + g_0 \ln p(x) + \text{const}; $$

    g_b moves the marginal of a bit, g_0 makes the whole distribution sharper or flatter.

    Attributes:
        bits: Variance of each g_b.
        contrast: Variance of g_0.
    """

    bits: float = 0.0
    contrast: float = 0.0

    def directions(self, p: Floats) -> Floats:
        """Return how p changes in each way of leaning, per standard deviation, shape (n + 1, 2**n).

        Args:
            p: Probabilities, shape (2**n,).
        """
        p = np.maximum(p, 0.0)
        h = np.vstack(
            [np.sqrt(self.bits) * _signs(len(p)), np.sqrt(self.contrast) * np.log(p + LEAST)]
        )
        return np.asarray(p * (h - (h @ p)[:, None]))

    def lean(self, p: Floats, rng: np.random.Generator) -> Floats:
        """Return distributions that lean at random, each row on its own, shape (count, 2**n)."""
        if not self.bits and not self.contrast:
            return p
        count, outcomes = p.shape
        signs = _signs(outcomes)
        turn = np.sqrt(self.bits) * rng.standard_normal((count, len(signs))) @ signs
        turn += np.sqrt(self.contrast) * rng.standard_normal((count, 1)) * np.log(p + LEAST)
        # The largest exponent is 0, so that nothing overflows.
        leaning = p * np.exp(turn - turn.max(axis=1, keepdims=True))
        return np.asarray(leaning / leaning.sum(axis=1, keepdims=True))


NO_TILT = Tilt()


def past_tilt(
    past: Iterable[tuple[Floats, Floats]], *, scatter: float, learned: float = 0.0
) -> Tilt:
    r"""Return the leanings that past residuals show.

    The figures sum_x h(x) f(x) of N shots, for h = (-1)^{x_b} and h = ln p, miss by r with
    $$ E[r^2] = (1 / N + s) V(h, h) + t_b \sum_b V(h, z_b)^2 + t_0 V(h, \ln p)^2: $$
    shots, the scatter s of single outcomes, and the two leanings; V is the predicted covariance.
    They follow by non-negative least squares over all figures of all circuits.

    Args:
        past: Predicted probabilities and counts of each circuit, both of shape (2**n,).
        scatter: Variance of 2 sqrt(p) of single outcomes.
        learned: Number of parameters that were fitted to these very counts. They act on just such
            figures, so that the residuals are taken to be smaller by their share of all figures.

    Error:
        First order in the leaning; relative sqrt(2 / figures) from chance, doubled where the fit
        took half of the figures.
    """
    missed: list[Floats] = []
    causes: list[Floats] = []
    for predicted, counts in past:
        p, shots = np.maximum(predicted, 0.0), counts.sum()
        p = p / p.sum()
        h = np.vstack([_signs(len(p)), np.log(p + LEAST)])
        h = h - (h @ p)[:, None]
        covariance = (h * p) @ h.T
        variance = np.maximum(np.diag(covariance), LEAST)
        squares = covariance**2
        own = (1 / shots + scatter) * variance
        rows = np.stack([own, squares[:, :-1].sum(axis=1), squares[:, -1]], axis=1)
        # Squares scatter by their own size, about that of the variance.
        causes.append(rows / variance[:, None])
        missed.append((h @ counts / shots) ** 2 / variance)
    if not missed:
        return NO_TILT
    table, squared = np.concatenate(causes), np.concatenate(missed)
    share = max(LEAST_SHARE, 1 - learned / len(squared))
    (bits, contrast), _ = nnls(table[:, 1:], squared / share - table[:, 0])
    return Tilt(float(bits), float(contrast))


@dataclass(frozen=True, eq=False)
class Score:
    """How one circuit pulls at the unknowns it depends on.

    Attributes:
        at: These unknowns, shape (k,).
        gradient: Derivative of its misfit, shape (k,).
        information: Of its outcomes one by one, shape (k, k).
        variance: Of its gradient, outcomes that lean together included, shape (k, k).
    """

    at: Ints
    gradient: Floats
    information: Floats
    variance: Floats


def beyond(scores: Sequence[Score], fisher: Floats, precision: Floats) -> Floats:
    r"""Return how much more the gradient varies than the information of the data says.

    That is $\phi V - F$ with the summed variance V of the circuits, and the factor
    $\phi \geq 1$ by which their gradients, in the metric of the posterior, scatter more than V:
    circuits repeat each other's errors where the model is wrong in the same way. The fit has made
    every gradient smaller by its own part, which the expectation takes into account; where it
    leaves hardly any, the factor stays near 1.

    Args:
        scores: Of all circuits.
        fisher: Their summed information, shape (size, size).
        precision: What was known before them, shape (size, size).

    Returns:
        Shape (size, size).

    Error:
        phi by chance sqrt(2 / learned combinations).

    Source:
        Quasi-likelihood: McCullagh and Nelder, Generalized Linear Models, section 9.2; leverage:
        Bell and McCaffrey, Survey Methodology 28, 169 (2002).
    """
    total = np.zeros_like(fisher)
    for s in scores:
        total[np.ix_(s.at, s.at)] += s.variance
    inverse = np.linalg.inv(fisher + precision)
    spread = inverse @ total @ inverse
    found = expected = 0.0
    for s in scores:
        own, shared = (m[np.ix_(s.at, s.at)] for m in (inverse, spread))
        part = own @ s.information
        found += float(s.gradient @ own @ s.gradient)
        expected += float(np.trace(own @ s.variance) - 2 * np.trace(part @ own @ s.variance))
        expected += float(np.trace(part @ shared @ s.information))
    factor = max(1.0, (found + FEW) / (expected + FEW))
    return np.asarray(factor * total - fisher)


def _signs(outcomes: int) -> Floats:
    """Return (-1)^bit of each bit and outcome, shape (n, 2**n)."""
    bits = np.arange(outcomes) >> np.arange(outcomes.bit_length() - 1)[:, None]
    return np.asarray(1.0 - 2.0 * (bits & 1), np.float64)
