"""What chance does: distances under the hypothesis of agreement, and redrawn measurements."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qdt_emu.validation.distances import total_variation

Array = NDArray[np.float64]
# Redrawn tables are made in blocks of at most this many numbers: 32 MB each.
BLOCK = 4_000_000


def null_distances(
    p: Array, q: Array, shots: int, measured_shots: int, *, draws: int, seed: int
) -> Array:
    """Return total variation distances that chance alone makes if both are one distribution.

    An exact prediction (`shots` = 0) is sampled: a parametric bootstrap, right for any N p. Two
    samples are pooled and dealt out again: a permutation test, exact for any N p, where sampling
    from an estimated distribution would not be.

    Args:
        p: Predicted probabilities, shape (k,).
        q: Measured frequencies, shape (k,).
        shots: Behind `p`; 0 if exact.
        measured_shots: Behind `q`.
        draws: Number of distances.
        seed: Of the random numbers.

    Returns:
        Shape (draws,).
    """
    rng = np.random.default_rng(seed)
    if not shots:
        return np.concatenate(
            [total_variation(p, sample) for sample in _samples(rng, p, measured_shots, draws)]
        )
    pooled = np.rint(p * shots).astype(np.int64) + np.rint(q * measured_shots).astype(np.int64)
    out = np.empty(draws)
    done = 0
    for size in _blocks(draws, len(pooled)):
        first = rng.multivariate_hypergeometric(pooled, shots, size=size, method="marginals")
        dealt = first / shots, (pooled - first) / measured_shots
        out[done : done + size] = total_variation(*dealt)
        done += size
    return out


def redrawn(
    p: Array, q: Array, shots: int, measured_shots: int, *, draws: int, seed: int
) -> Iterator[tuple[Array, Array]]:
    """Yield blocks of (prediction, measurement) as repeated experiments would have given them.

    An exact prediction stays as it is, shape (1, k); what has shots is drawn again from its own
    frequencies (bootstrap), shape (block, k).

    Error:
        Distances of redrawn tables are larger than those of the originals, because noise is added
        twice; use their spread, not their mean.
    """
    rng = np.random.default_rng(seed)
    for size in _blocks(draws, len(q)):
        second = sample(rng, q, measured_shots, size)
        yield sample(rng, p, shots, size) if shots else p[None], second


def mean_band(
    values: Array, stderr: Array, *, seed: int, draws: int = 10_000
) -> tuple[float, float]:
    """Return the 95 % band of a mean over circuits.

    A bootstrap over circuits holds both their shot noise and how much they differ, but is too
    narrow for a few of them; the shot noise alone is a lower limit of the width.

    Args:
        values: One per circuit, shape (n,).
        stderr: Their standard errors from shots, shape (n,), taken as independent.
        seed: Of the bootstrap.
        draws: Bootstrap samples.

    Error:
        Holds 95 % for 10 circuits or more; for fewer the limit makes it as wide as shot noise asks,
        which leaves out how much other circuits would differ.
    """
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    middle, shot = float(values.mean()), float(np.sqrt((stderr**2).sum())) / len(values)
    return min(float(low), middle - 1.96 * shot), max(float(high), middle + 1.96 * shot)


def _samples(rng: np.random.Generator, p: Array, shots: int, draws: int) -> Iterator[Array]:
    for size in _blocks(draws, len(p)):
        yield sample(rng, p, shots, size)


def sample(rng: np.random.Generator, p: Array, shots: int, draws: int) -> Array:
    """Return frequencies of `shots` samples from `p`, shape (draws, k); the rest lies elsewhere."""
    return np.asarray(rng.multinomial(shots, _closed(p), draws)[:, :-1] / shots)


def _closed(p: Array) -> Array:
    """Append what is missing to 1, which NumPy's multinomial wants to be the last entry."""
    rest = max(0.0, 1.0 - float(p.sum()))
    full = np.append(p, rest if rest > 1e-12 else 0.0)
    return np.asarray(full / full.sum())


def _blocks(draws: int, k: int) -> Iterator[int]:
    size = max(1, BLOCK // max(1, k))
    for start in range(0, draws, size):
        yield min(size, draws - start)
