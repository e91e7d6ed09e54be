r"""Thermal relaxation: what T1, T2 and a temperature do to a qubit in a given time.

With e1 = exp(-t/T1), e2 = exp(-t/T2) and the equilibrium population p of |1>, the channel is

    ⟨X⟩ -> e2 ⟨X⟩,   ⟨Y⟩ -> e2 ⟨Y⟩,   ⟨Z⟩ -> e1 ⟨Z⟩ + (1 - 2 p)(1 - e1)

All functions assume checked input: times not negative, `t2 <= 2 * t1`, 0 <= p <= 1. An infinite
time constant means that this decay is absent. The loss amplitudes
x = p (1 - e1) (up), y = (1 - p)(1 - e1) (down), z = 1 - e2 appear below in place of e1 and e2,
because their differences keep their digits when the duration is short.
"""

from qdt_emu.noise.arrays import (
    Array,
    diagonal,
    matrix,
    namespace,
    safe_divide,
    safe_sqrt,
    together,
)

PLANCK_OVER_BOLTZMANN = 6.62607015e-34 / 1.380649e-23  # K s; exact since the 2019 SI


def decay_factors(duration: Array, t1: Array, t2: Array) -> Array:
    """The factors exp(-t/T1) of the population and exp(-t/T2) of the coherence.

    Args:
        duration: Time in s, shape (...).
        t1: Energy relaxation time in s, shape (...); infinity means no relaxation.
        t2: Total (not pure) dephasing time in s, shape (...), at most `2 * t1`.

    Returns:
        Array of shape (..., 2).

    Error:
        Exact for a Markovian bath; rounding only.

    Examples:
        >>> decay_factors(0.0, 1e-4, float("inf")).tolist()
        [1.0, 1.0]
    """
    xp, time, t1, t2 = together(duration, t1, t2)
    return xp.stack([xp.exp(-time / t1), xp.exp(-time / t2)], axis=-1)


def thermal_relaxation(
    duration: Array, t1: Array, t2: Array, excited_population: Array = 0.0
) -> Array:
    """The Pauli transfer matrix of thermal relaxation for a time.

    Args:
        duration: Time in s, shape (...).
        t1: Energy relaxation time in s, shape (...).
        t2: Total (not pure) dephasing time in s, shape (...), at most `2 * t1`.
        excited_population: Population of |1> in equilibrium, shape (...).

    Returns:
        Real matrices of shape (..., 4, 4), after broadcasting the arguments.

    Error:
        Exact for a Markovian bath; rounding is relative to each entry, also for short times.
        Slow noise is not exponential in time: see `noise.dephasing`.

    Source:
        Nielsen and Chuang (2010), chapter 8, in the basis of Greenbaum, arXiv:1509.02921.

    Examples:
        >>> import numpy as np
        >>> bool((thermal_relaxation(0.0, 100e-6, 80e-6) == np.eye(4)).all())
        True
    """
    xp = namespace(duration, t1, t2, excited_population)
    time = xp.asarray(duration)
    # expm1, because 1 - decay is off by 2e-4 in single precision at time = t1 / 1e4.
    lost = -xp.expm1(-time / t1)
    return _ptm(xp.exp(-time / t1), xp.exp(-time / t2), (1 - 2 * excited_population) * lost)


def relaxation_ptm(decay: Array, coherence: Array, excited_population: Array = 0.0) -> Array:
    """The Pauli transfer matrix of `thermal_relaxation`, from its two decay factors.

    Args:
        decay: exp(-t/T1), shape (...).
        coherence: exp(-t/T2), shape (...).
        excited_population: Population of |1> in equilibrium, shape (...).

    Returns:
        Real matrices of shape (..., 4, 4).

    Error:
        The entry [3, 0] carries the rounding of 1 - decay: absolute, not relative.
    """
    return _ptm(decay, coherence, (1 - 2 * excited_population) * (1 - decay))


def _ptm(decay: Array, coherence: Array, pull: Array) -> Array:
    return matrix(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, coherence, 0.0, 0.0],
            [0.0, 0.0, coherence, 0.0],
            [pull, 0.0, 0.0, decay],
        ]
    )


def relaxation_process_fidelity(duration: Array, t1: Array, t2: Array) -> Array:
    """The process fidelity (1 + 2 exp(-t/T2) + exp(-t/T1)) / 4 of relaxation on one qubit.

    It does not depend on the equilibrium population. Fidelities of several qubits multiply.

    Examples:
        >>> relaxation_process_fidelity(0.0, 1e-4, 1e-4)
        np.float64(1.0)
    """
    xp = namespace(duration, t1, t2)
    time = xp.asarray(duration)
    return 1 + (2 * xp.expm1(-time / t2) + xp.expm1(-time / t1)) / 4


def thermal_population(frequency: Array, temperature: Array) -> Array:
    """The population of |1> at equilibrium, 1 / (1 + exp(h f / (k T))).

    Args:
        frequency: Transition frequency in Hz, shape (...), not negative.
        temperature: Temperature in K, shape (...); 0 gives 0.

    Returns:
        Population in [0, 1/2], shape (...).

    Error:
        Two levels only: a third level takes about the square of this population.

    Examples:
        >>> round(float(thermal_population(5e9, 50e-3)), 5)
        0.00817
    """
    xp = namespace(frequency, temperature)
    ratio = safe_divide(PLANCK_OVER_BOLTZMANN * xp.asarray(frequency), temperature, xp.inf)
    weight = xp.exp(-ratio)  # of the excited state; exp(+ratio) would overflow when cold
    return weight / (1 + weight)


def identity_weight(decay: Array, coherence: Array, excited_population: Array = 0.0) -> Array:
    """The largest q for which relaxation is q identity + (1 - q) channel, for every state.

    With A = 1 - x and B = 1 - y, the Choi matrix C - q |Omega><Omega| stays positive up to

        q = (A B - e2^2) / (A + B - 2 e2)

    so a trajectory skips the qubit with probability q, before anything is known of its state.

    Args:
        decay: exp(-t/T1), shape (...).
        coherence: exp(-t/T2), shape (...).
        excited_population: Population of |1> in equilibrium, shape (...).

    Returns:
        Probability q, shape (...). It is 0 at T2 = 2 T1 and p = 0 (pure amplitude damping).

    Error:
        Where q is ill-conditioned (T2 close to 2 T1, short times) any value is as good: the
        mixture with `relaxation_remainder_kraus` is the channel within 1e-12 regardless.

    Examples:
        >>> round(float(identity_weight(0.99, 0.985)), 5)
        0.98875
    """
    return 1 - _remainder(decay, coherence, excited_population)[0]


def relaxation_remainder_kraus(
    decay: Array, coherence: Array, excited_population: Array = 0.0
) -> Array:
    """Kraus operators of the channel that happens when the identity of `identity_weight` does not.

    They are one no-jump operator diag(a, +-b), one decay and one excitation.

    Args:
        decay: exp(-t/T1), shape (...).
        coherence: exp(-t/T2), shape (...).
        excited_population: Population of |1> in equilibrium, shape (...).

    Returns:
        Real operators of shape (..., 3, 2, 2) in the order no jump, |1> -> |0>, |0> -> |1>.
        At duration 0, where the weight of this channel is 0, the no-jump operator is the identity.

    Error:
        Trace preserving to rounding; coherence of the mixture exact within 1e-12.

    Examples:
        >>> import numpy as np
        >>> kraus = relaxation_remainder_kraus(0.99, 0.985)
        >>> bool(np.allclose(np.einsum("kij,kil->jl", kraus, kraus), np.eye(2)))
        True
    """
    xp, decay, coherence, excited_population = together(decay, coherence, excited_population)
    up, down = _losses(decay, excited_population)
    weight, stays, flips = _remainder(decay, coherence, excited_population)
    jumps = _jumps(safe_divide(up, weight), safe_divide(down, weight))
    return xp.stack([diagonal([stays, flips]), *jumps], axis=-3)


def relaxation_kraus(decay: Array, coherence: Array, excited_population: Array = 0.0) -> Array:
    """Kraus operators of thermal relaxation, from its two decay factors.

    The diagonal Choi block [[A, e2], [e2, B]] is factored by Cholesky, not by eigenvectors: no
    degenerate case, finite gradients.

    Args:
        decay: exp(-t/T1), shape (...).
        coherence: exp(-t/T2), shape (...).
        excited_population: Population of |1> in equilibrium, shape (...), below 1.

    Returns:
        Real operators of shape (..., 4, 2, 2) in the order no jump, dephasing, |1> -> |0>,
        |0> -> |1>.

    Error:
        Rounding, 1e-15.

    Examples:
        >>> import numpy as np
        >>> kraus = relaxation_kraus(0.9, 0.9, 0.1)
        >>> bool(np.allclose(np.einsum("kij,kil->jl", kraus, kraus), np.eye(2)))
        True
    """
    xp, decay, coherence, excited_population = together(decay, coherence, excited_population)
    up, down = _losses(decay, excited_population)
    zero, one = _survivals(decay, excited_population)
    silent = diagonal([xp.sqrt(zero), coherence / xp.sqrt(zero)])
    dephasing = diagonal([xp.zeros_like(zero), safe_sqrt(one - coherence**2 / zero)])
    return xp.stack([silent, dephasing, *_jumps(up, down)], axis=-3)


def relaxation_events(duration: Array, t1: Array, t2: Array) -> Array:
    """Probabilities of the events reset, phase flip and nothing, for T2 <= T1.

    A reset puts the qubit to |1> with the equilibrium population and to |0> otherwise. The
    probabilities do not depend on the state, so events can be drawn before the simulation.

    Args:
        duration: Time in s, shape (...).
        t1: Energy relaxation time in s, shape (...).
        t2: Total dephasing time in s, shape (...).

    Returns:
        Array of shape (..., 3): reset, phase flip, nothing. The phase flip is negative when
        T2 > T1; such qubits need `identity_weight`.

    Error:
        Exact; relative rounding also for short times.

    Examples:
        >>> relaxation_events(1e-6, 1e-4, 1e-4)[1].item()
        0.0
    """
    xp, time, t1, t2 = together(duration, t1, t2)
    reset = -xp.expm1(-time / t1)
    flip = (1 - reset) * -xp.expm1(-time * (1 / t2 - 1 / t1)) / 2
    return xp.stack([reset, flip, 1 - reset - flip], axis=-1)


def _losses(decay: Array, excited_population: Array) -> tuple[Array, Array]:
    """The losses x = 1 - A (up) and y = 1 - B (down): exact when the duration is short."""
    lost = 1 - decay
    return excited_population * lost, (1 - excited_population) * lost


def _survivals(decay: Array, excited_population: Array) -> tuple[Array, Array]:
    """The survivals A and B, as sums: exact when the duration is long."""
    up, down = _losses(decay, excited_population)
    return decay + down, decay + up


def _remainder(
    decay: Array, coherence: Array, excited_population: Array
) -> tuple[Array, Array, Array]:
    """Weight w = 1 - q of the remainder and the two entries of its no-jump operator.

    With g = A - e2 and h = B - e2, of which one may be negative, maximal q means
    w = (z (g + h) - g h) / (g + h), and the Choi block left over has rank 1: the no-jump
    operator is diag(g, -h) / sqrt(w (g + h)). No step subtracts nearly equal numbers.
    """
    xp, decay, coherence, excited_population = together(decay, coherence, excited_population)
    up, down = _losses(decay, excited_population)
    zero, one = _survivals(decay, excited_population)
    dephased = 1 - coherence
    short = xp.asarray(coherence) > 0.5
    g = xp.where(short, dephased - up, zero - coherence)
    h = xp.where(short, dephased - down, one - coherence)
    total, product = g + h, dephased * (g + h) - g * h
    # w > 1 or total < 0 is T2 = 2 T1 up to rounding, where w = 1 and e2 = sqrt(A B).
    mixed = (product > 0) & (product < total)
    weight = xp.where(mixed, safe_divide(product, xp.where(mixed, total, 0.0)), 1.0)
    # Neither is true at total = 0 = product: x = y = z, and only jumps (or nothing) remain.
    idle = (product <= 0) & (total >= 0)
    weight = xp.where(idle, xp.maximum(up, down), weight)
    norm = safe_sqrt(xp.where(mixed, product, 0.0))
    stays = safe_divide(g, norm, safe_sqrt(1 - safe_divide(up, weight)))
    flips = safe_divide(-h, norm, safe_sqrt(1 - safe_divide(down, weight)))
    return weight, stays, flips


def _jumps(up: Array, down: Array) -> tuple[Array, Array]:
    """The operators sqrt(y) |0><1| and sqrt(x) |1><0|."""
    return (
        matrix([[0.0, safe_sqrt(down)], [0.0, 0.0]]),
        matrix([[0.0, 0.0], [safe_sqrt(up), 0.0]]),
    )
