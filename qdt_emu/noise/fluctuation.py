"""T1 changes from hour to hour: two-level defects, their telegraph jumps, rare bursts.

A slow fluctuation is one draw per job, a fast one is one draw per shot; one draw for all
trajectories of an ensemble that should vary is always wrong.

Scales: Burnett et al. (arXiv:1901.04417) and Carroll et al. (arXiv:2105.15201) watched single
qubits for days to months. The twin's default, a choice and not a measurement, is a spread of
ln T1 of 0.2 to 0.4 with a correlation time of 1 to 10 hours.
"""

from qdt_emu.noise.arrays import Array, matrix, namespace, safe_divide, safe_sqrt


def drawn_t1(normal: Array, t1: Array, spread: Array) -> Array:
    """A log-normal T1 with median `t1`: T1 exp(sigma n).

    Args:
        normal: Standard normal numbers, one per qubit and job (or shot), shape (...).
        t1: Median T1 in s, shape (...).
        spread: Standard deviation sigma of ln T1, shape (...).

    Returns:
        T1 in s, shape (...).

    Error:
        The median is kept, so the mean rate grows by exp(sigma^2 / 2): 2 % at sigma = 0.2.

    Examples:
        >>> drawn_t1(0.0, 1e-4, 0.3).item()
        0.0001
    """
    xp = namespace(normal, t1, spread)
    return t1 * xp.exp(xp.asarray(spread) * normal)


def shifted_t2(t2: Array, t1: Array, new_t1: Array) -> Array:
    """T2 after T1 has changed, with the pure dephasing rate kept; at most `2 * new_t1`.

    Args:
        t2: Old T2 in s, shape (...), at most `2 * t1`.
        t1: Old T1 in s, shape (...).
        new_t1: New T1 in s, shape (...).

    Returns:
        T2 in s, shape (...).

    Examples:
        >>> round(shifted_t2(100e-6, 50e-6, 25e-6) * 1e6, 9).item()
        50.0
    """
    xp = namespace(t2, t1, new_t1)
    rate = 1 / xp.asarray(t2) - 0.5 / xp.asarray(t1) + 0.5 / xp.asarray(new_t1)
    return safe_divide(1.0, rate, xp.inf)


def next_log_t1(
    log_t1: Array, normal: Array, ratio: Array, *, median: Array, spread: Array
) -> Array:
    """The logarithm of T1 some time later: x' = mu + (x - mu) e + sigma sqrt(1 - e^2) n.

    An Ornstein-Uhlenbeck process, so T1 stays log-normal.

    Args:
        log_t1: x = ln T1 now, shape (...).
        normal: Standard normal numbers n, shape (...).
        ratio: Elapsed time over correlation time, D / tau, shape (...); e = exp(-D / tau).
        median: Long-time median of T1 in s, exp(mu), shape (...).
        spread: Stationary standard deviation sigma of ln T1, shape (...).

    Returns:
        ln T1 later, shape (...); exact for any D.
    """
    xp = namespace(log_t1, normal, ratio, median, spread)
    elapsed, centre = xp.asarray(ratio), xp.log(median)
    kick = spread * safe_sqrt(-xp.expm1(-2 * elapsed))
    return centre + (log_t1 - centre) * xp.exp(-elapsed) + kick * normal


def telegraph_transition(rate_up: Array, rate_down: Array, elapsed: Array) -> Array:
    """Transition probabilities of a two-state process in a time, columns = from.

    Args:
        rate_up: Rate low -> high in 1/s, shape (...).
        rate_down: Rate high -> low in 1/s, shape (...).
        elapsed: Time in s, shape (...).

    Returns:
        Stochastic matrices of shape (..., 2, 2); [to, from], low before high.

    Examples:
        >>> telegraph_transition(1.0, 3.0, 1e3).round(12).tolist()
        [[0.75, 0.75], [0.25, 0.25]]
    """
    xp = namespace(rate_up, rate_down, elapsed)
    total = xp.asarray(rate_up) + rate_down
    mixed = -xp.expm1(-total * elapsed)
    up, down = safe_divide(rate_up * mixed, total), safe_divide(rate_down * mixed, total)
    return matrix([[1 - up, down], [up, 1 - down]])


def drawn_telegraph_rate(
    uniform: Array, low: Array, high: Array, *, rate_up: Array, rate_down: Array
) -> Array:
    """A relaxation rate drawn from the stationary two-state process: bimodal 1/T1.

    Args:
        uniform: Numbers in [0, 1), shape (...).
        low: Rate without the defect in 1/s, shape (...).
        high: Rate with the defect in resonance in 1/s, shape (...).
        rate_up: Rate low -> high in 1/s, shape (...).
        rate_down: Rate high -> low in 1/s, shape (...).

    Returns:
        Relaxation rate in 1/s, shape (...): high with probability up / (up + down).
    """
    xp = namespace(uniform, low, high, rate_up, rate_down)
    occupied = safe_divide(rate_up, xp.asarray(rate_up) + rate_down)
    return xp.where(uniform < occupied, high, low)


def telegraph_autocovariance(
    lag: Array, low: Array, high: Array, *, rate_up: Array, rate_down: Array
) -> Array:
    """(high - low)^2 p (1 - p) exp(-k |lag|), with k the sum of the rates, p = up / k."""
    xp = namespace(lag, low, high, rate_up, rate_down)
    total = xp.asarray(rate_up) + rate_down
    variance = (xp.asarray(high) - low) ** 2 * rate_up * rate_down / total**2
    return variance * xp.exp(-total * xp.abs(lag))


def telegraph_spectrum(
    angular_frequency: Array, low: Array, high: Array, *, rate_up: Array, rate_down: Array
) -> Array:
    """One-sided spectrum per Hz of the two-state process, 4 dG^2 p (1 - p) k / (k^2 + w^2).

    Its integral over the frequencies f = w / 2 pi > 0 is the variance.
    """
    xp = namespace(angular_frequency, low, high, rate_up, rate_down)
    total = xp.asarray(rate_up) + rate_down
    variance = telegraph_autocovariance(0.0, low, high, rate_up=rate_up, rate_down=rate_down)
    return 4 * variance * total / (total**2 + xp.asarray(angular_frequency) ** 2)


def defect_rate(coupling: Array, dephasing: Array, detuning: Array) -> Array:
    """The relaxation rate 2 g^2 G / (G^2 + D^2) that a two-level defect adds to a qubit.

    Sum over the defects of a qubit and add the background rate.

    Args:
        coupling: g in rad/s, shape (...).
        dephasing: Total dephasing rate G of the pair in 1/s (half the decay of the defect plus
            its pure dephasing), shape (...).
        detuning: Qubit minus defect, D in rad/s, shape (...).

    Returns:
        Rate in 1/s, shape (...).

    Error:
        Leading order in g / G: relative (2 g / G)^2, so 0.04 % at g = G / 100.

    Source:
        Carroll et al., arXiv:2105.15201.

    Examples:
        >>> defect_rate(1e4, 1e6, 0.0).item()
        200.0
    """
    xp = namespace(coupling, dephasing, detuning)
    width = xp.asarray(dephasing)
    return 2 * xp.asarray(coupling) ** 2 * width / (width**2 + xp.asarray(detuning) ** 2)


def burst_rate(
    extra_rate: Array, distance: Array, elapsed: Array, *, radius: Array, recovery: Array
) -> Array:
    """The relaxation rate that a particle impact adds: a disc of qubits, exponential recovery.

    Args:
        extra_rate: Added rate inside the disc right after the impact in 1/s, shape (...).
        distance: Of the qubit from the impact, shape (...), in the unit of `radius`.
        elapsed: Time since the impact in s, shape (...); negative is before it.
        radius: Of the disc, shape (...).
        recovery: Time constant in s, shape (...).

    Returns:
        Added rate in 1/s, shape (...).

    Error:
        A sharp disc is a caricature of the spreading of quasiparticles.

    Source:
        McEwen et al., arXiv:2104.05219.
    """
    xp = namespace(extra_rate, distance, elapsed, radius, recovery)
    hit = (xp.asarray(distance) <= radius) & (xp.asarray(elapsed) >= 0)
    return xp.where(hit, extra_rate * xp.exp(-xp.maximum(elapsed, 0.0) / recovery), 0.0)
