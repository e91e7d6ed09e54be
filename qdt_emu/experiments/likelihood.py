"""Maximum-likelihood fits of curves to counted events, many curves at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Model = Callable[[Floats], tuple[Floats, Floats]]
"""Parameters (b, p) -> probabilities (b, m) and their derivatives (b, m, p)."""

ROUNDS = 200
REWEIGHTED = 4
SETTLED = 1e-8  # of chi-square


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted curves.

    Attributes:
        values: Parameters, shape (b, p).
        covariance: Shape (b, p, p); infinite where the data say nothing.
        chi2: Pearson's chi-square, shape (b,).
        freedom: Cells less parameters, shape (b,).
    """

    values: Floats
    covariance: Floats
    chi2: Floats
    freedom: NDArray[np.int64]

    @property
    def stderr(self) -> Floats:
        """Standard error of each parameter, shape (b, p)."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)))


def fit(
    model: Model, start: Floats, hits: Floats, shots: Floats, *, overdispersed: bool = False
) -> Fit:
    r"""Return the parameters of largest binomial likelihood.

    Iteratively reweighted least squares, which is Fisher scoring with damping: the information of
    a cell is $N J J^T / (p (1 - p))$, and the inverse of its sum is the covariance.

    Args:
        model: The curves.
        start: First guess, shape (b, p).
        hits: Events, shape (b, m).
        shots: Trials, shape (b, m); 0 leaves a cell out.
        overdispersed: Cells vary by more than shot noise (random sequences): errors are widened by
            chi-square per degree of freedom or by White's sandwich, whichever is more.

    Error:
        Estimates are biased by O(1/N), standard errors hold for many shots in all.

    Source:
        McCullagh and Nelder, Generalized Linear Models (1989), section 2.5; White, Econometrica
        48, 817 (1980).
    """
    shots = np.asarray(shots, float)
    seen = np.divide(hits, shots, out=np.zeros(shots.shape), where=shots > 0)
    values = np.array(start, float)
    # Weights from the data first, which no bad start can spoil, then from the curves themselves.
    weight = _weight((hits + 0.5) / (shots + 1), shots)
    for _ in range(REWEIGHTED):
        values = _least_squares(model, values, seen, weight)
        weight = _weight(model(values)[0], shots)
    return _finished(model, values, seen, shots, overdispersed=overdispersed)


def _least_squares(model: Model, start: Floats, seen: Floats, weight: Floats) -> Floats:
    """Return the parameters of least weighted squares, by Levenberg and Marquardt."""
    values, damping = start, np.full(len(start), 1e-3)
    chance, slopes = model(values)
    best = (weight * (seen - chance) ** 2).sum(1)
    for _ in range(ROUNDS):
        gradient = np.einsum("bm,bmi->bi", weight * (seen - chance), slopes)
        normal = _normal(slopes, weight)
        step = np.linalg.solve(_damped(normal, damping), gradient[..., None])[..., 0]
        with np.errstate(over="ignore", invalid="ignore"):
            trial, trial_slopes = model(values + step)
            left = (weight * (seen - trial) ** 2).sum(1)
        better = left <= best
        settled = np.abs(best - left) <= SETTLED * (1 + best)
        values = np.where(better[:, None], values + step, values)
        chance = np.where(better[:, None], trial, chance)
        slopes = np.where(better[:, None, None], trial_slopes, slopes)
        best = np.where(better, left, best)
        damping = np.clip(np.where(better, damping / 10, damping * 10), 1e-12, 1e12)
        if (settled | (~better & (damping >= 1e6))).all():
            break
    return values


def _finished(
    model: Model, values: Floats, seen: Floats, shots: Floats, *, overdispersed: bool
) -> Fit:
    chance, slopes = model(values)
    weight = _weight(chance, shots)
    information = _normal(slopes, weight)
    width = values.shape[1]
    covariance = np.full_like(information, np.inf)
    scale = np.sqrt(np.maximum(np.diagonal(information, axis1=1, axis2=2), 1e-300))
    norm = information / (scale[:, :, None] * scale[:, None, :])
    sound = np.linalg.cond(norm) < 1e12
    inverse = np.linalg.inv(norm[sound])
    covariance[sound] = inverse / (scale[sound][:, :, None] * scale[sound][:, None, :])
    used = shots > 0
    count = used.sum(1)
    chi2 = (weight * (seen - chance) ** 2).sum(1)
    if overdispersed:
        covariance[sound] = _widened(
            *(x[sound] for x in (covariance, slopes, weight * (seen - chance), chi2, count))
        )
    return Fit(values, covariance, chi2, count - width)


def _widened(plain: Floats, slopes: Floats, pulls: Floats, chi2: Floats, count: Floats) -> Floats:
    """Return covariances for cells that vary by more than shot noise."""
    scores = pulls[..., None] * slopes
    meat = np.einsum("bmi,bmj->bij", scores, scores)
    free = np.maximum(count - plain.shape[1], 1)
    white = plain @ meat @ plain * (count / free)[:, None, None]
    # White's estimate is unsteady for few cells: it may only widen that of a common spread.
    own, common = (np.diagonal(m, axis1=1, axis2=2) for m in (white, plain))
    wider = np.sqrt(np.maximum(own / common, np.maximum(1.0, chi2 / free)[:, None]))
    return np.asarray(plain * wider[:, :, None] * wider[:, None, :])


def _weight(chance: Floats, shots: Floats) -> Floats:
    """Inverse variances; curves that leave [0, 1] count as half an event."""
    near = np.clip(chance, 0.5 / (shots + 1), 1 - 0.5 / (shots + 1))
    return np.asarray(shots / (near * (1 - near)))


def _normal(slopes: Floats, weight: Floats) -> Floats:
    return np.asarray((slopes * weight[..., None]).swapaxes(1, 2) @ slopes)


def _damped(information: Floats, damping: Floats) -> Floats:
    diagonal = np.diagonal(information, axis1=1, axis2=2)
    floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    extra = damping[:, None] * diagonal + floor
    return np.asarray(information + extra[..., None] * np.eye(information.shape[-1]))
