"""Slow dephasing: detunings that last longer than a gate, drawn per shot and never per gate.

The coherence of a detuning that is constant within a shot is not a product over gates: n
intervals tau with a Gaussian spread s give exp(-(n s tau)^2 / 2), and composing one channel per
gate gives exp(-n (s tau)^2 / 2): .972 in place of .321 at s/2pi = 2 kHz, tau = 3 us, n = 40. So a
simulation draws the detuning (or its path) and applies it as a phase; echoes and dynamical
decoupling then work without more code. The closed forms here are what it must reproduce.
Detunings and spreads are angular, in rad/s; charge-parity splittings are in Hz.
"""

import numpy as np

from qdt_emu.noise.arrays import Array, namespace, safe_divide, safe_sqrt, scan

RAMSEY_CONSTANT = 1.5 - np.euler_gamma  # 0.9228, of 1/f noise with a sharp infrared cut-off


def pure_dephasing_rate(t1: Array, t2: Array) -> Array:
    """The pure dephasing rate 1/Tphi = 1/T2 - 1/(2 T1) in 1/s, shape (...); 0 at T2 = 2 T1.

    Examples:
        >>> pure_dephasing_rate(50e-6, 100e-6).item()
        0.0
    """
    xp = namespace(t1, t2)
    return 1 / xp.asarray(t2) - 0.5 / xp.asarray(t1)


def quasi_static_spread(t2_star: Array, t2_echo: Array) -> Array:
    """The spread s of the shot-constant detuning that explains both published times.

    The echo time fixes the Markovian part, and the Ramsey signal falls to 1/e at T2*:
    s = sqrt(2 (1 - T2*/T2_echo)) / T2*.

    Args:
        t2_star: Ramsey 1/e time in s, shape (...).
        t2_echo: Hahn-echo time in s, shape (...).

    Returns:
        Standard deviation in rad/s, shape (...); 0 where T2* is not below T2_echo.

    Error:
        Exact for noise that is constant within a shot. 1/f noise has a part that the echo does
        not refocus either.

    Examples:
        >>> quasi_static_spread(50e-6, 50e-6).item()
        0.0
    """
    xp = namespace(t2_star, t2_echo)
    return safe_sqrt(2 * (1 - xp.asarray(t2_star) / t2_echo)) / t2_star


def ramsey_coherence(duration: Array, t1: Array, t2_echo: Array, spread: Array) -> Array:
    """The Ramsey coherence exp(-t/T2_echo - (s t)^2 / 2), relaxation included, shape (...).

    Args:
        duration: Time in s, shape (...).
        t1: Energy relaxation time in s, shape (...); only limits `t2_echo`.
        t2_echo: Time of the Markovian coherence decay, 1/(2 T1) + 1/Tphi, in s, shape (...).
        spread: Standard deviation s of the detuning in rad/s, shape (...).

    Examples:
        >>> s = quasi_static_spread(40e-6, 90e-6)
        >>> round(float(np.log(ramsey_coherence(40e-6, 60e-6, 90e-6, s))), 12)
        -1.0
    """
    xp = namespace(duration, t1, t2_echo, spread)
    time = xp.asarray(duration)
    rate = xp.maximum(1 / xp.asarray(t2_echo), 0.5 / xp.asarray(t1))
    return xp.exp(-time * rate) * quasi_static_coherence(time, spread)


def quasi_static_coherence(duration: Array, spread: Array) -> Array:
    """The average exp(-(s t)^2 / 2) of exp(i delta t) over delta ~ N(0, s^2), shape (...).

    Examples:
        >>> quasi_static_coherence(0.0, 1e4).item()
        1.0
    """
    xp = namespace(duration, spread)
    return xp.exp(-((xp.asarray(spread) * duration) ** 2) / 2)


def charge_parity_coherence(duration: Array, splitting: Array) -> Array:
    """The average cos(pi f t) of a qubit whose charge parity is random from shot to shot.

    Args:
        duration: Time in s, shape (...).
        splitting: Distance f of the two parity bands in Hz, shape (...).

    Returns:
        Signed coherence of shape (...): 0 at 1/(2 f), -1 at 1/f. An echo restores 1.

    Source:
        Shirizly et al., arXiv:2308.01860.
    """
    xp = namespace(duration, splitting)
    return xp.cos(np.pi * xp.asarray(splitting) * duration)


def draw_detuning(normal: Array, uniform: Array, spread: Array, splitting: Array = 0.0) -> Array:
    """The detuning of each qubit in each shot: Gaussian plus the sign of the charge parity.

    Args:
        normal: Standard normal numbers, one per shot and qubit, shape (...).
        uniform: Numbers in [0, 1), one per shot and qubit, shape (...).
        spread: Standard deviation in rad/s, shape (...).
        splitting: Distance of the parity bands in Hz, shape (...).

    Returns:
        Detuning in rad/s, shape (...); the qubit picks up RZ(detuning * t) in a time t.

    Examples:
        >>> draw_detuning(np.zeros(2), np.array([0.2, 0.7]), 1e4, 1 / np.pi).tolist()
        [1.0, -1.0]
    """
    xp = namespace(normal, uniform, spread, splitting)
    parity = xp.where(xp.asarray(uniform) < 0.5, 1.0, -1.0)
    return spread * normal + np.pi * splitting * parity


def one_over_f_ramsey(duration: Array, amplitude: Array, cutoff: Array) -> Array:
    """The Ramsey coherence exp(-A^2 t^2 (ln(1/(w t)) + 3/2 - gamma)) under 1/f detuning noise.

    Args:
        duration: Time in s, shape (...).
        amplitude: A in rad/s, of the two-sided spectrum S(w) = 2 pi A^2 / |w|, shape (...).
        cutoff: Infrared cut-off w in rad/s, about 1 / (length of the experiment), shape (...).

    Returns:
        Coherence of shape (...).

    Error:
        Leading order in w t, relative (w t)^2 in the exponent; only for w t < 1.

    Source:
        Ithier et al., arXiv:cond-mat/0508588.
    """
    xp = namespace(duration, amplitude, cutoff)
    phase = xp.asarray(cutoff) * duration
    logarithm = -xp.log(xp.where(phase > 0, phase, 1.0)) + RAMSEY_CONSTANT
    return xp.exp(-((xp.asarray(amplitude) * duration) ** 2) * logarithm)


def one_over_f_echo(duration: Array, amplitude: Array) -> Array:
    """The Hahn-echo coherence exp(-A^2 t^2 ln 2) under 1/f noise; t is the whole duration.

    Arguments as in `one_over_f_ramsey`; no cut-off is needed.

    Source:
        Ithier et al., arXiv:cond-mat/0508588.
    """
    xp = namespace(duration, amplitude)
    return xp.exp(-((xp.asarray(amplitude) * duration) ** 2) * np.log(2))


def ornstein_uhlenbeck_coherence(duration: Array, spread: Array, correlation_time: Array) -> Array:
    """The Ramsey coherence exp(-s^2 tc^2 (t/tc - 1 + e^(-t/tc))) under OU detuning noise.

    Its limits are exp(-s^2 tc t) for short and exp(-s^2 t^2 / 2) for long correlation times.

    Args:
        duration: Time t in s, shape (...).
        spread: Stationary standard deviation s in rad/s, shape (...).
        correlation_time: tc in s, shape (...), above 0.

    Returns:
        Coherence of shape (...).

    Source:
        Kubo (1954), J. Phys. Soc. Jpn. 9, 935.
    """
    xp = namespace(duration, spread, correlation_time)
    x = xp.asarray(duration) / correlation_time
    small = x < 1e-2
    y = xp.where(small, x, 0.0)
    # x + expm1(-x) loses all digits of x^2/2 below 1e-8; the series is exact to 2e-13 below 1e-2.
    series = y**2 / 2 * (1 - y / 3 * (1 - y / 4 * (1 - y / 5 * (1 - y / 6))))
    growth = xp.where(small, series, x + xp.expm1(-x))
    return xp.exp(-((xp.asarray(spread) * correlation_time) ** 2) * growth)


def ornstein_uhlenbeck_path(
    normal: Array, spread: Array, correlation_time: Array, step: Array
) -> Array:
    """A stationary OU detuning at n equidistant times, exact at any step.

    Args:
        normal: Standard normal numbers, the time as last axis, shape (..., n).
        spread: Stationary standard deviation in rad/s, shape (...).
        correlation_time: In s, shape (...).
        step: Time between neighbours in s, shape (...).

    Returns:
        Detuning in rad/s, shape (..., n).

    Source:
        Gillespie (1996), Phys. Rev. E 54, 2084.
    """
    xp = namespace(normal, spread, correlation_time, step)
    ratio = xp.asarray(step) / correlation_time
    memory, kick = xp.exp(-ratio), xp.sqrt(-xp.expm1(-2 * ratio))
    start = normal[..., 0] + 0.0 * memory
    later = scan(lambda x, fresh: memory * x + kick * fresh, start, normal[..., 1:])
    return xp.asarray(spread)[..., None] * xp.concatenate([start[..., None], later], axis=-1)


def telegraph_coherence(duration: Array, amplitude: Array, rate: Array) -> Array:
    """The Ramsey coherence under a detuning that jumps between +v and -v.

    exp(-g t) (cosh(m t) + g/m sinh(m t)) with m^2 = g^2 - v^2: overdamped decay for v < g, beats
    for v > g.

    Args:
        duration: Time t in s, shape (...).
        amplitude: v in rad/s, shape (...).
        rate: Switching rate g in 1/s, the same in both directions, shape (...).

    Returns:
        Signed coherence of shape (...).

    Error:
        Rounding, 1e-14, also at g = v and for g t >> 1.

    Source:
        Paladino et al., arXiv:1304.7925.

    Examples:
        >>> round(float(telegraph_coherence(1e-6, 0.0, 1e5)), 12)
        1.0
    """
    xp = namespace(duration, amplitude, rate)
    t, v, g = (xp.asarray(value) for value in (duration, amplitude, rate))
    m = safe_sqrt(g**2 - v**2)
    w = safe_sqrt(v**2 - g**2)
    growth = safe_divide(-xp.expm1(-2 * m * t), m, 2 * t)  # 2 e^(-mt) sinh(mt) / m
    # g - m = v^2 / (g + m): the left side cancels when the bath is fast.
    damped = xp.exp(-t * safe_divide(v**2, g + m)) * (1 + xp.exp(-2 * m * t) + g * growth) / 2
    beats = xp.exp(-g * t) * (xp.cos(w * t) + g * safe_divide(xp.sin(w * t), w, t))
    return xp.where(g >= v, damped, beats)


def telegraph_path(uniform: Array, amplitude: Array, rate: Array, step: Array) -> Array:
    """A stationary telegraph detuning +-v at n equidistant times, exact at any step.

    Args:
        uniform: Numbers in [0, 1), the time as last axis, shape (..., n).
        amplitude: v in rad/s, shape (...).
        rate: Switching rate in 1/s, the same in both directions, shape (...).
        step: Time between neighbours in s, shape (...).

    Returns:
        Detuning in rad/s, shape (..., n).
    """
    xp = namespace(uniform, amplitude, rate, step)
    flip = -xp.expm1(-2 * xp.asarray(rate) * step) / 2  # an odd number of jumps in one step
    start = xp.where(uniform[..., 0] < 0.5, 1.0, -1.0) + 0.0 * flip
    later = scan(lambda sign, u: xp.where(u < flip, -sign, sign), start, uniform[..., 1:])
    return xp.asarray(amplitude)[..., None] * xp.concatenate([start[..., None], later], axis=-1)
