"""Leakage as a classical flag per qubit: in the computational space, or leaked.

Not a qutrit by default: a third level multiplies the cost of every engine (1.5^n amplitudes,
2.25^n density-matrix entries), and what calibration files contain about leakage, if anything, is
a probability: no phase, so nothing a coherent third level could be set from. While a qubit is
leaked, gates act as identity on it, its partner in a two-qubit gate gets a random Z, and it reads 1
(or 2 where the device says so). A device with known coherent leakage needs a qutrit engine.
"""

from qdt_emu.noise.arrays import Array, matrix, namespace, safe_divide, scan


def leaked_fraction(leak: Array, seep: Array, gates: Array) -> Array:
    """The probability to be leaked after some gates, L1/(L1+L2) (1 - (1-L1-L2)^m).

    Args:
        leak: Leakage probability L1 per gate, shape (...).
        seep: Seepage (return) probability L2 per gate, shape (...), L1 + L2 < 1.
        gates: Number m of gates, shape (...).

    Returns:
        Probability of shape (...), starting from 0.

    Error:
        Exact for the flag model.

    Source:
        Wood and Gambetta, arXiv:1704.03081.

    Examples:
        >>> round(float(leaked_fraction(1e-3, 0.0, 1)), 12)
        0.001
    """
    xp = namespace(leak, seep, gates)
    total = xp.asarray(leak) + seep
    return safe_divide(leak * -xp.expm1(gates * xp.log1p(-total)), total)


def leakage_transition(leak: Array, seep: Array) -> Array:
    """Transition probabilities of the flag at one gate, columns = from, computational first.

    Returns:
        Stochastic matrices of shape (..., 2, 2).

    Examples:
        >>> leakage_transition(0.25, 0.5).tolist()
        [[0.75, 0.5], [0.25, 0.5]]
    """
    xp = namespace(leak, seep)
    up, down = xp.asarray(leak), xp.asarray(seep)
    return matrix([[1 - up, down], [up, 1 - down]])


def leaked_path(uniform: Array, leak: Array, seep: Array, start: Array = False) -> Array:
    """Flags of a qubit after each of its gates, drawn from given uniform numbers.

    With L1 = L2 = 0 no flag is ever set, whatever the numbers, so results do not change by a bit.

    Args:
        uniform: Numbers in [0, 1), the gate as last axis, shape (..., m).
        leak: Leakage probability per gate, shape (...).
        seep: Seepage probability per gate, shape (...).
        start: Flag before the first gate, shape (...).

    Returns:
        Booleans of shape (..., m).

    Examples:
        >>> import numpy as np
        >>> leaked_path(np.array([0.5, 0.05, 0.5, 0.1]), 0.1, 0.2).tolist()
        [False, True, True, False]
    """
    xp = namespace(uniform, leak, seep, start)
    shape = xp.broadcast_shapes(
        *(xp.shape(value) for value in (uniform[..., 0], leak, seep, start))
    )
    first = xp.broadcast_to(xp.asarray(start, dtype=bool), shape)
    return scan(lambda flag, u: xp.where(flag, u >= seep, u < leak), first, uniform)
