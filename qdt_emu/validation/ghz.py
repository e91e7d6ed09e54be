"""Figures of GHZ states: populations, parities, coherence, fidelity."""

import math
from collections.abc import Sequence

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.result import bitstrings
from qdt_emu.validation.distances import Array, Distribution, probabilities
from qdt_emu.validation.value import Value


def population(counts: Distribution, patterns: Sequence[str] | None = None) -> Value:
    """Return the probability of the two outcomes that a GHZ state has.

    Args:
        counts: Measured in the Z basis.
        patterns: The outcomes; None is all 0 and all 1.

    Raises:
        InputError: A pattern has another length than the outcomes.

    Examples:
        >>> print(population({"000": 450, "111": 430, "001": 120}))
        0.8800 ± 0.0103
    """
    p, shots = probabilities(counts)
    n = bitstrings.check_keys(p)
    wanted = {"0" * n, "1" * n} if patterns is None else set(patterns)
    if any(len(w) != n for w in wanted):
        raise InputError(f"A pattern must have {n} bits, but one is {min(wanted)!r}.")
    value = math.fsum(p.get(w, 0.0) for w in wanted)
    return Value(value, math.sqrt(max(0.0, value * (1 - value)) / shots) if shots else 0.0)


def parity(counts: Distribution, bits: Sequence[int] | None = None) -> Value:
    """Return the mean of the product of (-1)^bit over classical bits.

    Args:
        counts: Outcomes; bit 0 is the rightmost character.
        bits: Which; None is all of them.

    Raises:
        InputError: A bit that the outcomes do not have.
    """
    p, shots = probabilities(counts)
    n = bitstrings.check_keys(p)
    chosen = list(range(n)) if bits is None else list(bits)
    if wrong := [b for b in chosen if not 0 <= b < n]:
        raise InputError(f"Bits must be 0 to {n - 1}, but one is {wrong[0]}.")
    signs = 1.0 - 2.0 * (bitstrings.bits(list(p))[:, chosen].sum(1) % 2)
    value = float(signs @ np.array(list(p.values())))
    return Value(value, math.sqrt(max(0.0, 1 - value**2) / shots) if shots else 0.0)


def coherence(angles: Array, counts: Sequence[Distribution]) -> Value:
    r"""Return the amplitude of parity oscillations, the off-diagonal element of a GHZ state.

    Every qubit is turned by pi/2 about an axis at `angles` in the equator; then
    $\Pi(\phi) = C \cos(n \phi + \phi_0)$, which is fitted by weighted least squares.

    Args:
        angles: Of the axis in rad, shape (m,); at least 3 that tell cosine and sine of n phi apart.
        counts: One measurement per angle.

    Raises:
        InputError: Numbers of angles and measurements differ, or the angles do not determine C.

    Error:
        An amplitude is never negative: where C is 0 it is about one standard error.

    Source:
        Sackett et al., Nature 404, 256 (2000).
    """
    phi = np.asarray(angles, float)
    if len(phi) != len(counts) or len(phi) < 3:
        raise InputError(
            f"Parity oscillations must have at least 3 angles with a measurement each, but have "
            f"{len(phi)} angles and {len(counts)} measurements."
        )
    n = bitstrings.check_keys(probabilities(counts[0])[0])
    found = [parity(c) for c in counts]
    shots = np.array([probabilities(c)[1] or 10**12 for c in counts])
    values = np.array([v.value for v in found])
    # A parity of exactly 1 in N shots is not known exactly: one more shot could have been odd.
    sigma = np.sqrt((1 - values**2 + 1 / shots) / shots)
    design = np.stack([np.cos(n * phi), np.sin(n * phi)], axis=1) / sigma[:, None]
    normal = design.T @ design
    if np.linalg.cond(normal) > 1e8:
        raise InputError(
            f"The angles must tell cos({n} phi) and sin({n} phi) apart, but they do not. Spread "
            f"them over at least one period, 2 pi / {n}."
        )
    covariance = np.linalg.inv(normal)
    a, b = covariance @ (design.T @ (values / sigma))
    size = math.hypot(a, b)
    along = np.array([a, b]) / size if size > 0 else np.array([1.0, 0.0])
    return Value(size, float(np.sqrt(along @ covariance @ along)))


def fidelity(populations: Value, coherences: Value) -> Value:
    """Return the fidelity with the nearest GHZ state: half of population plus coherence."""
    spread = math.hypot(populations.stderr, coherences.stderr) / 2
    return Value((populations.value + coherences.value) / 2, spread)
