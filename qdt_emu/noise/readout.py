"""Readout: the record is confused, the state is projected, and preparation is divided out.

p01 = P(read 1 | prepared 0) and p10 = P(read 0 | prepared 1), never averaged and never exchanged.
A published p10 contains the decay during the readout, and both contain the thermal population at
the start, so a twin adds neither a second time.
"""

from qdt_emu.noise.arrays import (
    Array,
    diagonal,
    kron,
    matrix,
    namespace,
    safe_divide,
    safe_sqrt,
    together,
)


def confusion_matrix(p01: Array, p10: Array) -> Array:
    """The matrix A[read, prepared] = [[1 - p01, p10], [p01, 1 - p10]].

    Args:
        p01: P(read 1 | prepared 0), shape (...).
        p10: P(read 0 | prepared 1), shape (...).

    Returns:
        Column-stochastic matrices of shape (..., 2, 2).

    Examples:
        >>> confusion_matrix(0.25, 0.5).tolist()
        [[0.75, 0.5], [0.25, 0.5]]
    """
    xp = namespace(p01, p10)
    up, down = xp.asarray(p01), xp.asarray(p10)
    return matrix([[1 - up, down], [up, 1 - down]])


def heisenberg_z(p01: Array, p10: Array) -> tuple[Array, Array]:
    """Scale and offset of a measured Z: Z -> (1 - p01 - p10) Z + (p10 - p01) I, shapes (...).

    Examples:
        >>> heisenberg_z(0.25, 0.5)
        (0.25, 0.25)
    """
    return 1 - p01 - p10, p10 - p01


def divide_out_preparation(
    p01: Array, p10: Array, excited_population: Array
) -> tuple[Array, Array, Array, Array]:
    """Readout errors of perfectly prepared states, from published ones: A' = A S^-1.

    A device prepares |1> with probability p_e when asked for |0>, and |0> when asked for |1>; the
    published errors contain that. Where p_e is too large to leave positive errors, it disagrees
    with the file and is lowered to the largest value that does not.

    Args:
        p01: Published P(read 1 | asked for 0), shape (...).
        p10: Published P(read 0 | asked for 1), shape (...), p01 + p10 < 1.
        excited_population: p_e at the start of a circuit, shape (...), below 1/2.

    Returns:
        p01' and p10' of the readout alone, the p_e that was used, and whether it was lowered, each
        of shape (...). A circuit that starts with that p_e reproduces the published errors.

    Error:
        Exact; rounding 1e-16 / (1 - 2 p_e).

    Examples:
        >>> p01, p10, used, lowered = divide_out_preparation(0.01, 0.05, 0.02)
        >>> round(float(used), 6), bool(lowered), float(p01)
        (0.010417, True, 0.0)
    """
    xp = namespace(p01, p10, excited_population)
    up, down, excited = xp.asarray(p01), xp.asarray(p10), xp.asarray(excited_population)
    limit = xp.minimum(safe_divide(up, 1 + up - down), safe_divide(down, 1 + down - up))
    lowered = excited > limit
    used = xp.where(lowered, limit, excited)
    room = 1 - 2 * used
    new_up = safe_divide((1 - used) * up - used * (1 - down), room)
    new_down = safe_divide((1 - used) * down - used * (1 - up), room)
    # The limit makes the smaller error 0 up to rounding, which may leave -1e-18.
    return xp.maximum(new_up, 0.0), xp.maximum(new_down, 0.0), used, lowered


def with_preparation(p01: Array, p10: Array, excited_population: Array) -> tuple[Array, Array]:
    """The errors that an experiment with thermal preparation measures: A S, shapes (...).

    The inverse of `divide_out_preparation`.
    """
    kept = 1 - excited_population
    return (
        kept * p01 + excited_population * (1 - p10),
        kept * p10 + excited_population * (1 - p01),
    )


def pair_confusion(first: Array, second: Array, correlation: Array = 0.0) -> Array:
    """The confusion matrix of two qubits whose misreadings are correlated.

    Every prepared pair has the single-qubit error probabilities of both qubits as marginals and
    the given correlation coefficient of the two misreadings.

    Args:
        first: (p01, p10) of the first (most significant) qubit, shape (..., 2).
        second: The same of the second qubit.
        correlation: Pearson coefficient, shape (...), within `correlation_limits`.

    Returns:
        Column-stochastic matrices A[read, prepared] of shape (..., 4, 4).

    Error:
        Exact. Beyond the limits an entry is negative: no such pair exists.

    Examples:
        >>> import numpy as np
        >>> pair_confusion(np.array([0.0, 0.5]), np.array([0.0, 0.5]), 1.0)[:, 3].tolist()
        [0.5, 0.0, 0.0, 0.5]
    """
    xp = namespace(first, second, correlation)
    independent = kron(
        confusion_matrix(first[..., 0], first[..., 1]),
        confusion_matrix(second[..., 0], second[..., 1]),
    )
    covariance = xp.asarray(correlation)[..., None] * _pair_spread(first, second)
    # Rows 00, 01, 10, 11: the parity of read and prepared says whether both, or one, misread.
    signs = [[1, -1, -1, 1], [-1, 1, 1, -1], [-1, 1, 1, -1], [1, -1, -1, 1]]
    return independent + xp.asarray(signs) * covariance[..., None, :]


def correlation_limits(first: Array, second: Array) -> tuple[Array, Array]:
    """The smallest and largest correlation that `pair_confusion` can have, shapes (...).

    Source:
        The Frechet-Hoeffding bounds max(0, a + b - 1) <= P(both) <= min(a, b).
    """
    xp = namespace(first, second)
    a = xp.repeat(xp.asarray(first), 2, axis=-1)
    b = xp.concatenate([xp.asarray(second)] * 2, axis=-1)
    spread = _pair_spread(first, second)
    low = safe_divide(xp.maximum(0.0, a + b - 1) - a * b, spread)
    high = safe_divide(xp.minimum(a, b) - a * b, spread)
    return low.max(-1), high.min(-1)


def _pair_spread(first: Array, second: Array) -> Array:
    """Product of the two standard deviations for the prepared pairs 00, 01, 10, 11."""
    xp = namespace(first, second)
    widths = [safe_sqrt(xp.asarray(p) * (1 - xp.asarray(p))) for p in (first, second)]
    return xp.repeat(widths[0], 2, axis=-1) * xp.concatenate([widths[1]] * 2, axis=-1)


def split_decay(p10: Array, duration: Array, t1: Array) -> tuple[Array, Array]:
    """Published p10 as assignment error plus decay in the first half of the readout.

    A qubit that decays before the middle of the readout reads 0 and ends in |0>.

    Args:
        p10: P(read 0 | prepared 1), shape (...).
        duration: Of the readout in s, shape (...).
        t1: Energy relaxation time in s, shape (...).

    Returns:
        (assignment, decay), shapes (...), with sum p10: decay = 1 - exp(-t / (2 T1)), at most p10.

    Error:
        The middle is a convention: the weight of early signal depends on the resonator.
    """
    xp = namespace(p10, duration, t1)
    total = xp.asarray(p10)
    decay = xp.minimum(-xp.expm1(-xp.asarray(duration) / (2 * xp.asarray(t1))), total)
    return total - decay, decay


def before_projection(
    p01: Array, p10: Array, duration: Array, t1: Array, excited_population: Array = 0.0
) -> tuple[Array, Array, Array]:
    """A readout as relaxation, then an instant projection: A = A' R(time).

    What is read follows the qubit in the middle of the readout: a decay before it reads 0 and ends
    in |0>, one after it reads 1 and ends in |0>. The published errors contain the first half, so
    that what is left for the instant is A' = A R^-1. Where the errors are too small to contain all
    of it, the time is shorter.

    Args:
        p01: Published P(read 1 | 0), shape (...).
        p10: Published P(read 0 | 1), shape (...).
        duration: Of the readout in s, shape (...); a faster relaxation counts as a longer time.
        t1: Energy relaxation time in s, shape (...).
        excited_population: In equilibrium, shape (...).

    Returns:
        (time in s, p01', p10'), each of shape (...).

    Error:
        Exact for the published errors; the middle is a convention, see `split_decay`.

    Examples:
        >>> time, up, down = before_projection(0.0, 0.02, 1e-6, 50e-6)
        >>> round(float(time), 12), round(float(down), 4)
        (5e-07, 0.0102)
    """
    xp, up, down, duration, t1, rest = together(p01, p10, duration, t1, excited_population)
    lost = -xp.expm1(-duration / (2 * t1))
    kept_1 = safe_divide(down, (1 - up) * (1 - rest) + down * rest)
    kept_0 = safe_divide(up, up * (1 - rest) + rest * (1 - down))
    limit = xp.minimum(kept_1, xp.where(rest > 0, kept_0, 1.0))
    part = xp.minimum(lost, limit)
    time = xp.where(lost <= limit, duration / 2, -xp.where(part > 0, t1, 0.0) * xp.log1p(-part))
    rise, fall = rest * part, (1 - rest) * part
    new_up = (up * (1 - fall) - rise * (1 - down)) / (1 - part)
    new_down = (down * (1 - rise) - fall * (1 - up)) / (1 - part)
    return time, xp.maximum(new_up, 0.0), xp.maximum(new_down, 0.0)


def measurement_joint(
    p01: Array, p10: Array, survival: Array, *, excited_population: Array = 0.0, decay: Array = 0.0
) -> Array:
    """P(record m, final state s' | state s) of a measurement, for the two basis states.

    Its marginals are the published confusion of the record and thermal relaxation of the state.
    `decay` correlates them: that part of p10 reads 0 because the qubit has gone to |0>.

    Args:
        p01: P(read 1 | state 0), shape (...).
        p10: P(read 0 | state 1), shape (...).
        survival: exp(-t/T1) of the readout duration, shape (...); 1 for an ideal projection.
        excited_population: Equilibrium population of |1>, shape (...).
        decay: Part of p10 that is decay, from `split_decay`, shape (...).

    Returns:
        Array of shape (..., 2, 2, 2): [record, final state, state].

    Examples:
        >>> measurement_joint(0.0, 0.5, 1.0)[:, :, 1].tolist()
        [[0.0, 0.5], [0.0, 0.5]]
    """
    xp = namespace(p01, p10, survival, excited_population, decay)
    lost = 1 - xp.asarray(survival)
    up, down = excited_population * lost, (1 - excited_population) * lost
    early = xp.minimum(decay, xp.minimum(down, p10))
    read_0 = safe_divide(p10 - early, 1 - early)  # of what has not decayed early
    late = down - early
    keep = 1 - down
    record_0 = matrix(
        [[(1 - p01) * (1 - up), early + read_0 * late], [(1 - p01) * up, read_0 * keep]]
    )
    record_1 = matrix([[p01 * (1 - up), (1 - read_0) * late], [p01 * up, (1 - read_0) * keep]])
    return xp.stack(xp.broadcast_arrays(record_0, record_1), axis=-3)


def measurement_instrument(joint: Array) -> Array:
    """The PTMs of a measurement with records 0 and 1: the state after it follows the projection.

    E_m(rho) = sum_j A[m, j] R(Pi_j rho Pi_j): a misread qubit is where the projection put it, not
    where the record says. The two PTMs add to a channel; alone they lower the trace to P(m).

    Args:
        joint: P(record, final state | state) of `measurement_joint`, shape (..., 2, 2, 2).

    Returns:
        PTMs of shape (..., 2, 4, 4), the record as the third axis from the end.

    Examples:
        >>> ideal = measurement_instrument(measurement_joint(0.0, 0.0, 1.0))
        >>> ideal[1, 0].tolist()
        [0.5, 0.0, 0.0, -0.5]
    """
    xp = namespace(joint)
    to_pauli = xp.asarray([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, -1.0]])
    return to_pauli @ joint @ to_pauli.T / 2


def reset_ptm(excited_population: Array = 0.0) -> Array:
    """The PTM of an unconditional reset that leaves |1> with this probability, shape (..., 4, 4).

    Examples:
        >>> reset_ptm()[3].tolist()
        [1.0, 0.0, 0.0, 0.0]
    """
    bias = 1 - 2 * namespace(excited_population).asarray(excited_population)
    zero = 0.0 * bias
    empty = [zero, zero, zero, zero]
    return matrix([[1 + zero, zero, zero, zero], empty, empty, [bias, zero, zero, zero]])


def measured_reset(instrument: Array, flip: Array | None = None) -> Array:
    """The PTM of a reset by measurement: X where the record says 1, right or wrong.

    Args:
        instrument: PTMs of `measurement_instrument`, shape (..., 2, 4, 4).
        flip: PTM of the noisy X gate, shape (..., 4, 4); ideal if not given.

    Returns:
        PTM of shape (..., 4, 4).
    """
    ideal = diagonal([1.0, 1.0, -1.0, -1.0])
    return instrument[..., 0, :, :] + (ideal if flip is None else flip) @ instrument[..., 1, :, :]
