"""Standard errors of readout probabilities, inferred from the grid they lie on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations.measured import Measured

_POWERS: list[int] = [2**k for k in range(9, 18)]
_ROUND = [1000 * k for k in (1, 2, 4, 5, 8, 10, 20, 40, 50, 100)]
GRIDS = tuple(sorted(_POWERS + _ROUND))
"""Numbers of shots that vendors use for a whole device."""
SINGLE = tuple(sorted({*range(100, 10001, 100), *GRIDS}))
"""Numbers of shots tried for a qubit that was measured apart from the others."""
TOLERANCE = 1e-6
MOST = 0.8


def shots_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of shots behind each probability, NaN where unknown.

    A frequency of N shots is a multiple of 1/N. The smallest N of `GRIDS` that fits all
    values strictly between 0 and 1 is taken (fewer than four such values decide
    nothing), else the smallest that fits four fifths of more than twenty. A row it does
    not fit gets the smallest number of `SINGLE` that fits the row.

    Args:
        probabilities: Shape (qubits, ...).

    Returns:
        Number of shots, same shape.

    Error:
        True shots N are taken for N/2 with probability 2^-(number of values), which
        gives a standard error too large by sqrt(2); for single rows this is common.
        Where some rows come from fewer shots than the rest and fit its grid, their
        standard error is too small by the square root of the ratio.
    """
    rows = probabilities.reshape(len(probabilities), -1)
    inner = (rows > 0) & (rows < 1)
    shots = np.full(rows.shape, np.nan)
    common = _common(rows[inner])
    for row, values, own in zip(shots, rows, inner, strict=True):
        if common and _fits(values[own], common).all():
            row[:] = common
        elif own.any() and common:
            row[:] = next((n for n in SINGLE if _fits(values[own], n).all()), np.nan)
    shots[np.isnan(rows)] = np.nan
    return shots.reshape(probabilities.shape)


def _common(values: NDArray[np.float64]) -> int | None:
    """Return the shots of most values of a device, None if there is no such number."""
    if len(values) < 4:
        return None
    shares = [(n, float(_fits(values, n).mean())) for n in GRIDS]
    enough = MOST if len(values) > 20 and all(s < 1 for _, s in shares) else 1.0
    return next((n for n, share in shares if share >= enough), None)


def _fits(values: NDArray[np.float64], shots: int) -> NDArray[np.bool_]:
    counts = values * shots
    return np.asarray(np.abs(counts - np.round(counts)) < TOLERANCE)


def binomial_stderr(
    probabilities: NDArray[np.float64], shots: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the standard error of frequencies measured with `shots` shots.

    sqrt(p (1 - p) / N), with p moved to (N p + 1) / (N + 2) at 0 and 1, where the plain
    law would claim certainty.

    Source:
        Laplace's rule of succession at the ends, the binomial law inside.
    """
    edge = (probabilities == 0) | (probabilities == 1)
    p = np.where(edge, (probabilities * shots + 1) / (shots + 2), probabilities)
    return np.asarray(np.sqrt(p * (1 - p) / shots))


def infer_readout_stderr(measured: Mapping[str, Measured]) -> None:
    """Write standard errors into the readout numbers where their shots can be inferred.

    A readout error that is the mean of two frequencies has half the root of the sum of
    their variances. One that stands alone lies on the grid of all its shots.
    """
    parts = measured.get("readout/assignment")
    if parts is not None:
        parts.stderr[...] = binomial_stderr(parts.value, shots_of(parts.value))
    if (error := measured.get("readout/readout_error")) is not None:
        alone = binomial_stderr(error.value, shots_of(error.value))
        both = alone if parts is None else np.sqrt(np.sum(parts.stderr**2, axis=1)) / 2
        error.stderr[...] = np.where(np.isnan(both), alone, both)
        error.stderr[np.isnan(error.value)] = np.nan
    if (middle := measured.get("readout/readout_error_mid")) is not None:
        middle.stderr[...] = binomial_stderr(middle.value, shots_of(middle.value))
