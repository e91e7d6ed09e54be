"""What a twin must beat before it may claim anything.

A baseline is a list of probabilities at given outcomes; what is missing to 1 lies elsewhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qdt_emu.errors import InputError
from qdt_emu.result import bitstrings
from qdt_emu.validation.distances import Distribution, probabilities

Array = NDArray[np.float64]
# Largest number of (ideal outcome, wanted outcome, bit) triples: about 10 s.
LARGEST = 4e9
DENSE_BITS = 18


def uniform(keys: Sequence[str]) -> Array:
    """Return 2^-n for each outcome."""
    return np.full(len(keys), 0.5 ** bitstrings.check_keys(keys))


def ideal(distribution: Distribution, keys: Sequence[str]) -> Array:
    """Return the probabilities of the circuit without noise."""
    known, _ = probabilities(distribution)
    return np.array([known.get(key, 0.0) for key in keys])


def ideal_readout(distribution: Distribution, confusion: Array, keys: Sequence[str]) -> Array:
    r"""Return the probabilities of the ideal circuit, misread bit by bit.

    $$ p(x) = \sum_y p_\mathrm{ideal}(y) \prod_b P_b(x_b | y_b). $$

    Args:
        distribution: Of the circuit without noise.
        confusion: (P(read 1 | 0), P(read 0 | 1)) of each classical bit, shape (n, 2).
        keys: The outcomes wanted.

    Raises:
        InputError: `confusion` has another shape or holds no probabilities, or the sum has more
            than 4e9 terms.

    Cost:
        The smaller of 2^n n (up to 18 bits) and len(keys) * outcomes * n.
    """
    known, _ = probabilities(distribution)
    n = bitstrings.check_keys([*known, *keys])
    flips = np.asarray(confusion, dtype=float)
    if flips.shape != (n, 2) or not ((flips >= 0) & (flips <= 1)).all():
        raise InputError(
            f"`confusion` must hold (P(1|0), P(0|1)) of {n} classical bits, shape ({n}, 2), but "
            f"it has shape {flips.shape} and values up to {flips.max(initial=0):.3g}."
        )
    if n <= DENSE_BITS:
        return _dense(known, flips, keys, n)
    if len(known) * len(keys) * n > LARGEST:
        raise InputError(
            f"The readout of an ideal distribution must be cheap to apply, but {len(known)} ideal "
            f"and {len(keys)} measured outcomes of {n} bits are too many. Compare marginals."
        )
    read, total = bitstrings.bits(list(keys)), np.zeros(len(keys))
    for bits, weight in zip(bitstrings.bits(list(known)), known.values(), strict=True):
        flip = flips[np.arange(n), bits]
        total += weight * np.where(read == bits, 1 - flip, flip).prod(axis=1)
    return total


def _dense(known: dict[str, float], flips: Array, keys: Sequence[str], n: int) -> Array:
    tensor = np.zeros(2**n)
    tensor[[int(key or "0", 2) for key in known]] = list(known.values())
    for b, (up, down) in enumerate(flips):  # bit b has stride 2^b
        pairs = tensor.reshape(-1, 2, 2**b)
        tensor = np.einsum("rt,atb->arb", [[1 - up, down], [up, 1 - down]], pairs).ravel()
    return tensor[[int(key or "0", 2) for key in keys]]


def ideal_depolarized(
    distribution: Distribution, measured: Distribution, keys: Sequence[str]
) -> tuple[Array, float]:
    r"""Return $f p_\mathrm{ideal} + (1 - f) / 2^n$ with $f$ fitted to what was measured, and $f$.

    Least squares over all outcomes: $f = (\sum p q - 1/D) / (\sum p^2 - 1/D)$, cut to 0..1. The
    fit sees the data that it is judged by, which favours the baseline, not the twin.

    Error:
        $f$ is unbiased by shot noise; its standard error is about $1 / \sqrt{N}$ or less.

    Source:
        The linear cross-entropy estimate of Arute et al., Nature 574, 505 (2019), for a general
        ideal distribution.
    """
    p, _ = probabilities(distribution)
    q, _ = probabilities(measured)
    least = 0.5 ** bitstrings.check_keys([*p, *keys])
    overlap = sum(weight * q.get(key, 0.0) for key, weight in p.items()) - least
    norm = sum(weight**2 for weight in p.values()) - least
    fraction = float(np.clip(overlap / norm, 0.0, 1.0)) if norm > 1e-15 else 0.0
    return fraction * ideal(p, keys) + (1 - fraction) * least, fraction
