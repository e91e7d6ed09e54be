"""Proper scores: what a forecast of a number, a vector or a record is worth; smaller is better."""

import math

import numpy as np
from scipy.special import ndtr

from qdt_emu.errors import InputError
from qdt_emu.result import bitstrings
from qdt_emu.validation.distances import Array, Distribution, align


def crps_of_draws(draws: Array, measured: Array) -> Array:
    r"""Return the continuous ranked probability score of each measurement, shape (n,).

    $$ \mathrm{CRPS} = \langle |X - y| \rangle - \tfrac12 \langle |X - X'| \rangle, $$
    in the unit of the measurement; for a single draw it is the absolute error.

    Args:
        draws: From the predictive distribution, shape (s, n).
        measured: Shape (n,).

    Error:
        Unbiased for any number of draws: the second mean runs over different draws ("fair" form).

    Source:
        Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359 (2007), equation (21); fair form: Ferro,
        Q. J. R. Meteorol. Soc. 140, 1917 (2014).
    """
    table, values = _checked(draws, measured)
    s = len(table)
    far = np.abs(table - values).mean(0)
    if s == 1:
        return np.asarray(far)
    # sum over pairs |x_i - x_j| = sum_k (2 k - s + 1) x_(k) for sorted x
    weights = 2 * np.arange(s) - s + 1.0
    pairs = weights @ np.sort(table, axis=0)
    return np.asarray(far - pairs / (s * (s - 1)))


def crps_of_normal(mean: Array, stderr: Array, measured: Array) -> Array:
    r"""Return the score of normal predictions, shape (n,).

    $\sigma [ z (2 \Phi(z) - 1) + 2 \varphi(z) - 1/\sqrt\pi ]$ with $z = (y - \mu)/\sigma$.

    Source:
        Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359 (2007), section 4.2.

    Examples:
        >>> round(float(crps_of_normal(np.zeros(1), np.ones(1), np.zeros(1))[0]), 4)
        0.2337
    """
    sigma = np.asarray(stderr, float)
    if not (sigma > 0).all():
        raise InputError(f"Standard errors must be > 0, but one is {sigma.min():.3g}.")
    z = (np.asarray(measured, float) - mean) / sigma
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return np.asarray(sigma * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi)))


def energy_score(draws: Array, measured: Array) -> float:
    r"""Return $\langle |X - y| \rangle - \frac12 \langle |X - X'| \rangle$ of whole vectors.

    It sees wrong correlations between components, which a sum of CRPS does not.

    Args:
        draws: From the predictive distribution, shape (s, n).
        measured: Shape (n,).

    Error:
        Unbiased for any number of draws.

    Cost:
        s^2 n.

    Source:
        Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359 (2007), equation (22).
    """
    table, values = _checked(draws, measured)
    s = len(table)
    far = float(np.linalg.norm(table - values, axis=1).mean())
    if s == 1:
        return far
    pairs = sum(float(np.linalg.norm(table[k + 1 :] - table[k], axis=1).sum()) for k in range(s))
    return far - pairs / (s * (s - 1))


def brier(predicted: Distribution, measured: Distribution) -> float:
    r"""Return the mean of $(P(1) - x_b)^2$ over bits and shots.

    Error:
        Exact; a perfect prediction keeps $\langle q_b (1 - q_b) \rangle$, so compare predictions.
    """
    keys, (p, q), _ = align(predicted, measured)
    ones = bitstrings.bits(keys).astype(float)
    first, second = p @ ones, q @ ones
    return float(((first - second) ** 2 + second * (1 - second)).mean())


def _checked(draws: Array, measured: Array) -> tuple[Array, Array]:
    table, values = np.asarray(draws, float), np.asarray(measured, float)
    if table.ndim != 2 or not len(table) or values.shape != table.shape[1:]:
        raise InputError(
            f"Draws must have shape (draws, n) for n measurements, but are {table.shape} for "
            f"{values.shape}."
        )
    return table, values
