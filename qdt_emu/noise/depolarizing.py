"""The depolarising rest of a gate error, once everything else about the gate is known.

A calibration gives one number r for a gate. Relaxation, coherent errors and ZZ explain part of
it; the rest becomes the depolarising channel rho -> (1 - p) rho + p I/d, or, when relaxation
alone exceeds r, relaxation during a shorter effective time.
"""

from qdt_emu.noise.arrays import Array, iterate, namespace, stop_gradient
from qdt_emu.noise.infidelity import process_infidelity

NEWTON_STEPS = 24  # measured: 1e-14 for all t <= 20 T and r down to 1e-9; most need 5


def residual_depolarizing(infidelity: Array, known_fidelity: Array, dim: int) -> Array:
    """The depolarising parameter p that, with everything known, makes up the infidelity r.

        p = d (F_B - (1 - r)) / (d F_B - 1)

    holds for any known channel B and either order, because the fully depolarised branch has
    average fidelity 1/d. The value is raw: negative when B alone is worse than r, above
    d^2/(d^2 - 1) when no depolarising channel suffices. The caller decides, and records it.

    Args:
        infidelity: Average gate infidelity r of the whole gate, shape (...).
        known_fidelity: Average gate fidelity F_B of the known part, shape (...).
        dim: Dimension d = 2^k of the gate.

    Returns:
        p of shape (...); nan where d F_B = 1, where depolarising does not change the fidelity.

    Error:
        Exact; rounding 1e-16 / (d F_B - 1) absolute.

    Examples:
        >>> round(float(residual_depolarizing(0.003, 1.0, 4)), 12)
        0.004
    """
    xp = namespace(infidelity, known_fidelity)
    room = dim * xp.asarray(known_fidelity) - 1
    excess = infidelity - (1 - known_fidelity)
    return dim * excess / xp.where(room == 0, xp.nan, room)


def depolarizing_probabilities(parameter: Array, qubits: int) -> Array:
    """Pauli probabilities of rho -> (1 - p) rho + p I/d on one or more qubits.

    Args:
        parameter: Depolarising parameter p, shape (...).
        qubits: Number k of qubits.

    Returns:
        Array of shape (..., 4^k), identity first; p/d^2 for every other Pauli.

    Examples:
        >>> depolarizing_probabilities(0.4, 1).tolist()
        [0.7, 0.1, 0.1, 0.1]
    """
    xp = namespace(parameter)
    count = 4**qubits
    each = xp.asarray(parameter) / count
    return xp.stack([1 - (count - 1) * each, *[each] * (count - 1)], axis=-1)


def anchor_scale(infidelity: Array, duration: Array, t1: Array, t2: Array) -> Array:
    """The fraction s of a gate's duration whose relaxation alone has the published infidelity r.

    Used when relaxation for the full duration is worse than r. ln F_p(s) is convex and falls
    with s, so Newton's steps from s = 0 approach the unique root from the left, never past it.

    Args:
        infidelity: Average gate infidelity r of the gate, shape (...), not negative.
        duration: Gate duration in s, shape (...).
        t1: Relaxation times in s of the gate's qubits, shape (..., k).
        t2: Total dephasing times in s, shape (..., k).

    Returns:
        s in [0, 1], shape (...); 1 where relaxation does not reach r. Differentiable (implicit
        function theorem: the last Newton step carries the gradient).

    Error:
        Average infidelity of the result within 1e-14 of r for durations up to 20 T1.

    Examples:
        >>> import numpy as np
        >>> s = anchor_scale(1e-3, 1e-6, np.array([1e-4]), np.array([1e-4]))
        >>> round(float(s), 6)
        0.2002
    """
    xp = namespace(infidelity, duration, t1, t2)
    time = xp.asarray(duration)[..., None]
    slow, fast = xp.broadcast_arrays(time / xp.asarray(t1), time / xp.asarray(t2))
    qubits = slow.shape[-1]
    wanted = process_infidelity(xp.asarray(infidelity), 2**qubits)
    # Relaxation ends at the process infidelity 1 - 4^-k; beyond it the logarithm is not needed.
    target = xp.log1p(-xp.minimum(wanted, 1 - 0.25 ** (qubits + 1)))

    def newton(scale: Array, slow: Array, fast: Array, target: Array) -> Array:
        value, slope = _log_process_fidelity(scale, slow, fast)
        # Without any relaxation the slope is 0; the result is replaced by 1 below.
        return scale - (value - target) / xp.where(slope < 0, slope, -1.0)

    start = 0.0 * (slow.sum(-1) + target)  # zeros of the common shape
    whole = _log_process_fidelity(1.0 + start, slow, fast)[0]
    reaches = whole < target
    target = xp.where(reaches, target, whole)  # the other roots are far away: keep steps finite
    fixed = [stop_gradient(array) for array in (slow, fast, target)]
    root = iterate(lambda scale: newton(scale, *fixed), stop_gradient(start), NEWTON_STEPS)
    root = newton(root, slow, fast, target)
    return xp.where(reaches, root, 1.0)


def _log_process_fidelity(scale: Array, slow: Array, fast: Array) -> tuple[Array, Array]:
    """The log of F_p of relaxation for `scale` times the duration, and its slope; shapes (...).

    Args:
        scale: Fraction of the duration, shape (...).
        slow: duration / T1, shape (..., k).
        fast: duration / T2, shape (..., k).
    """
    xp = namespace(scale, slow, fast)
    s = scale[..., None]
    loss = (2 * xp.expm1(-s * fast) + xp.expm1(-s * slow)) / 4
    slope = -(2 * fast * xp.exp(-s * fast) + slow * xp.exp(-s * slow)) / 4
    return xp.log1p(loss).sum(-1), (slope / (1 + loss)).sum(-1)
