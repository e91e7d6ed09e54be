"""One formula, two array libraries: NumPy by default, JAX when an argument is a JAX array.

On NumPy a channel costs microseconds and is double precision; under JAX the same lines are
jitted, batched and differentiated. Every function of this stage opens with `namespace`.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A number, a NumPy array or a JAX array; results are JAX arrays if any argument is one."""

Namespace: TypeAlias = Any
"""The module `numpy` or `jax.numpy`."""


def namespace(*arrays: Array) -> Namespace:
    """`jax.numpy` if any argument is a JAX array or tracer, otherwise `numpy`.

    JAX is not imported here: an argument cannot be a JAX array before somebody imported it.

    Examples:
        >>> namespace(1.0, [2.0]).__name__
        'numpy'
    """
    jax = sys.modules.get("jax")
    # A half-imported jax (a circular import, another thread) has no Array yet.
    kind = getattr(jax, "Array", None)
    if kind is not None and any(isinstance(array, kind) for array in arrays):
        return sys.modules["jax"].numpy
    return np


def together(*arrays: Array) -> tuple[Array, ...]:
    """The namespace of the arguments, then the arguments as arrays of one common shape.

    Examples:
        >>> xp, a, b = together(1.0, [2.0, 3.0])
        >>> a.tolist(), b.tolist()
        ([1.0, 1.0], [2.0, 3.0])
    """
    xp = namespace(*arrays)
    return xp, *xp.broadcast_arrays(*(xp.asarray(array) for array in arrays))


def matrix(rows: Sequence[Sequence[Array]]) -> Array:
    """The matrix with these entries, each of shape (...), as one array of shape (..., n, m).

    Examples:
        >>> matrix([[1.0, 0.0], [np.zeros(5), 1.0]]).shape
        (5, 2, 2)
    """
    xp, *entries = together(*(entry for row in rows for entry in row))
    flat = xp.stack(entries, axis=-1)
    return flat.reshape(*flat.shape[:-1], len(rows), len(rows[0]))


def diagonal(entries: Sequence[Array]) -> Array:
    """The diagonal matrix with these entries, each of shape (...), shape (..., n, n).

    Examples:
        >>> diagonal([1.0, 2.0]).tolist()
        [[1.0, 0.0], [0.0, 2.0]]
    """
    xp, *entries = together(*entries)
    return xp.stack(entries, axis=-1)[..., None] * xp.eye(len(entries))


def kron(left: Array, right: Array) -> Array:
    """The Kronecker product of the last two axes, with broadcasting over the leading ones.

    Args:
        left: Matrices of shape (..., a, b); they become the most significant index.
        right: Matrices of shape (..., c, d).

    Returns:
        Matrices of shape (..., a c, b d).

    Examples:
        >>> kron(np.ones((7, 2, 2)), np.eye(3)).shape
        (7, 6, 6)
    """
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    a, c, b, d = product.shape[-4:]
    return product.reshape(*product.shape[:-4], a * c, b * d)


def safe_sqrt(x: Array) -> Array:
    """The square root of max(x, 0), with gradient 0 instead of infinity at 0.

    Rounding turns a probability 0 into -1e-17, and an infinite slope into nan gradients.

    Examples:
        >>> safe_sqrt(np.array([4.0, -1e-17])).tolist()
        [2.0, 0.0]
    """
    xp = namespace(x)
    positive = xp.asarray(x) > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, x, 1.0)), 0.0)


def safe_divide(numerator: Array, denominator: Array, otherwise: Array = 0.0) -> Array:
    """`numerator / denominator`, and `otherwise` (with gradient 0) where the denominator is 0.

    Examples:
        >>> safe_divide(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
        [0.5, 0.0]
    """
    xp = namespace(numerator, denominator, otherwise)
    nonzero = xp.asarray(denominator) != 0
    return xp.where(nonzero, numerator / xp.where(nonzero, denominator, 1.0), otherwise)


def stop_gradient(x: Array) -> Array:
    """`x` as a constant to `jax.grad`; on NumPy, `x`."""
    return x if namespace(x) is np else sys.modules["jax"].lax.stop_gradient(x)


def iterate(step: Callable[[Array], Array], start: Array, count: int) -> Array:
    """`step` applied `count` times to `start`; one compiled loop under JAX.

    Examples:
        >>> iterate(lambda x: x / 2, 1.0, 3)
        0.125
    """
    if namespace(start) is not np:
        return sys.modules["jax"].lax.fori_loop(0, count, lambda _, x: step(x), start)
    x = start
    for _ in range(count):
        x = step(x)
    return x


def scan(step: Callable[[Array, Array], Array], start: Array, inputs: Array) -> Array:
    """The states after each step of the recurrence state = step(state, input).

    Args:
        step: Function of a state and one input.
        start: First state, shape (...); it is not in the result.
        inputs: Inputs with the step as last axis, shape (..., n).

    Returns:
        States of shape (..., n); one compiled loop under JAX.

    Examples:
        >>> scan(lambda total, x: total + x, 0.0, np.ones(3)).tolist()
        [1.0, 2.0, 3.0]
    """
    xp = namespace(start, inputs)
    ahead = xp.moveaxis(xp.asarray(inputs), -1, 0)
    if xp is not np:
        lax = sys.modules["jax"].lax
        states = lax.scan(lambda state, x: (step(state, x),) * 2, start, ahead)[1]
        return xp.moveaxis(states, 0, -1)
    found = []
    state = start
    for x in ahead:
        state = step(state, x)
        found.append(state)
    return xp.stack(found, axis=-1)
