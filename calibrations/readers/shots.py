"""Standard errors of readout probabilities, inferred from the grid they lie on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations.measured import Measured

_POWERS = [2**k for k in range(9, 18)]
_ROUND = [1000 * k for k in (1, 2, 4, 5, 8, 10, 20, 40, 50, 100)]
GRIDS = tuple(sorted(_POWERS + _ROUND))
"""Numbers of shots that vendors use."""


def shots_of(probabilities: NDArray[np.float64]) -> int | None:
    """Return the number of shots behind `probabilities`, or None.

    A frequency of N shots is a multiple of 1/N. The smallest N of `GRIDS` that fits all
    finite values strictly between 0 and 1 is taken; fewer than four such values decide
    nothing.

    Error:
        If only some values come from fewer shots, their standard error is too small by
        the square root of the ratio. True shots N are missed for a divisor N/2 with
        probability 2^-(number of values).
    """
    inner = probabilities[(probabilities > 0) & (probabilities < 1)]
    if len(inner) < 4:
        return None
    for shots in GRIDS:
        counts = inner * shots
        if np.all(np.abs(counts - np.round(counts)) < 1e-6):
            return shots
    return None


def binomial_stderr(probabilities: NDArray[np.float64], shots: int) -> NDArray[np.float64]:
    """Return the standard error of frequencies measured with `shots` shots.

    sqrt(p (1 - p) / N), with p moved to (N p + 1) / (N + 2) at 0 and 1, where the plain
    law would claim certainty.

    Source:
        Laplace's rule of succession at the ends, the binomial law inside.
    """
    edge = (probabilities == 0) | (probabilities == 1)
    p = np.where(edge, (probabilities * shots + 1) / (shots + 2), probabilities)
    return np.sqrt(p * (1 - p) / shots)


def infer_readout_stderr(measured: Mapping[str, Measured]) -> None:
    """Write standard errors into the readout numbers where their shots can be inferred.

    A readout error that is the mean of two frequencies of N shots has half the root of
    the sum of their variances.
    """
    parts = measured.get("readout/assignment")
    error = measured.get("readout/readout_error")
    if parts is not None and (shots := shots_of(parts.value)):
        parts.stderr[...] = binomial_stderr(parts.value, shots)
        if error is not None:
            both = np.sqrt(np.sum(parts.stderr**2, axis=1)) / 2
            error.stderr[...] = np.where(np.isnan(error.value), np.nan, both)
    alone = [measured.get("readout/readout_error_mid")]
    if parts is None or np.isnan(parts.stderr).all():
        alone.append(error)
    for part in alone:
        if part is not None and (shots := shots_of(part.value)):
            # The value is a mean over both preparations, so its grid is that of 2 N.
            part.stderr[...] = binomial_stderr(part.value, shots)
