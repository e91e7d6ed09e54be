"""Cross-entropy benchmarking: which fraction of the ideal distribution is left in a measurement."""

import math

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.result import bitstrings
from qdt_emu.validation.distances import Array, Distribution, align, probabilities
from qdt_emu.validation.value import Value

DENSE_BITS = 24


def linear_xeb(ideal: Distribution, measured: Distribution) -> Value:
    r"""Return the linear cross-entropy fidelity, normalised for any ideal distribution.

    $$ F = \frac{\sum_x q_x p_x - 1/D}{\sum_x p_x^2 - 1/D}, $$
    which is $D \langle p \rangle - 1$ for Porter-Thomas distributions, and exactly $F$ for
    $q = F p + (1 - F)/D$, whatever $p$ is.

    Args:
        ideal: Exact probabilities of the circuit without noise.
        measured: Counts, or probabilities.

    Raises:
        InputError: `ideal` is sampled or uniform.

    Error:
        Unbiased; the standard error is that of a mean over shots.

    Source:
        Arute et al., Nature 574, 505 (2019), supplement section IV; the denominator: Rinott,
        Shoham and Kalai, Statistical Science 37, 322 (2022).

    Examples:
        >>> print(linear_xeb({"00": 0.5, "11": 0.5}, {"00": 40, "01": 10, "10": 10, "11": 40}))
        0.6000 ± 0.0804
    """
    _, (p, q), (sampled, shots) = align(ideal, measured)
    _check_exact(sampled)
    least = 0.5 ** _bits(ideal, measured)
    norm = float((p * p).sum()) - least
    if norm < 1e-15:
        raise InputError("The ideal distribution must not be uniform: it has no fidelity to lose.")
    value, spread = _mean(p, q, shots)
    return Value((value - least) / norm, spread / norm)


def log_xeb(ideal: Distribution, measured: Distribution) -> Value:
    r"""Return the logarithmic cross-entropy fidelity, normalised for any ideal distribution.

    $$ F = \frac{\langle \ln p \rangle_q - \langle \ln p \rangle_{1/D}}
                {\langle \ln p \rangle_p - \langle \ln p \rangle_{1/D}}. $$
    It weighs rare outcomes more than the linear form, and has no value where an outcome is
    impossible.

    Args:
        ideal: Exact probabilities of the circuit without noise, all of them above 0.
        measured: Counts, or probabilities.

    Raises:
        InputError: `ideal` is sampled, uniform, has impossible outcomes or more than 24 bits.

    Error:
        Unbiased; the standard error is that of a mean over shots.

    Source:
        Boixo et al., Nature Physics 14, 595 (2018), equation (7).
    """
    keys, (p, q), (sampled, shots) = align(ideal, measured)
    _check_exact(sampled)
    n = _bits(ideal, measured)
    if n > DENSE_BITS or len(keys) < 2**n or not (p > 0).all():
        present = int((p > 0).sum())
        raise InputError(
            f"The logarithmic form must have an ideal distribution without zeros, but it has "
            f"{present} of 2^{n} outcomes. Use `linear_xeb`."
        )
    log = np.log(p)
    base = float(log.mean())
    norm = float((p * log).sum()) - base
    if norm < 1e-15:
        raise InputError("The ideal distribution must not be uniform: it has no fidelity to lose.")
    value, spread = _mean(log, q, shots)
    return Value((value - base) / norm, spread / norm)


def _mean(of: Array, q: Array, shots: int) -> tuple[float, float]:
    """Return the mean of a function of the outcome over `q`, and its standard error."""
    value = float((q * of).sum())
    if shots < 2:
        return value, 0.0
    variance = max(0.0, float((q * of * of).sum()) - value**2)
    return value, math.sqrt(variance / (shots - 1))


def _check_exact(shots: int) -> None:
    if shots:
        raise InputError(
            f"The ideal distribution must be exact probabilities, but is {shots} shots. Run the "
            f"circuit without noise on an exact engine."
        )


def _bits(ideal: Distribution, measured: Distribution) -> int:
    return bitstrings.check_keys([*probabilities(ideal)[0], *probabilities(measured)[0]])
