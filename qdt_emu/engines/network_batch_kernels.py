"""Jitted steps of a batch of graph tensor networks; see `network_batch`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from qdt_emu.engines.network_batch_plan import NOWHERE, Layer
from qdt_emu.engines.network_state import Array

RANK = 1e-14  # squared ratio of an operator's factors; below is rounding


@jax.jit
def factors(matrices: Array) -> tuple[Array, Array, Array]:
    """Return operator-Schmidt factors, largest first, and the largest rank of all.

    Args:
        matrices: Shape (m, d**2, d**2).

    Returns:
        Left and right factors, shape (m, d**2, d, d), whose products sum up to the matrices.
    """
    m, dd = matrices.shape[:2]
    d = round(dd**0.5)
    pairs = matrices.reshape(m, d, d, d, d).transpose(0, 1, 3, 2, 4).reshape(m, dd, dd)
    squares, v = jnp.linalg.eigh(_dagger(pairs) @ pairs)
    squares, v = squares[:, ::-1], v[:, :, ::-1]
    left = (pairs @ v).swapaxes(1, 2).reshape(m, dd, d, d)
    right = _dagger(v).reshape(m, dd, d, d)
    rank = jnp.max(jnp.sum(squares > RANK * squares[:, :1], axis=1), initial=0)
    return left, right, rank


@partial(jax.jit, static_argnames=("checked",), donate_argnums=(0, 1))
def update(
    stacks: tuple[Array, ...],
    weights: Array,
    layer: Layer,
    sides: Array,
    limits: tuple[Array, Array, Array],
    *,
    checked: bool,
) -> tuple[tuple[Array, ...], Array, Array, Array, Array]:
    """Apply operators to disjoint edges and cut their bonds.

    Args:
        stacks: See `Batch`.
        weights: See `Batch`.
        layer: Which edges.
        sides: Factors of the operators on each side, shape (2 m, rank, d, d).
        limits: Largest bond dimension kept, at most the padded one; squared ratio of Schmidt
            coefficients to the largest below which they are dropped; with `checked`, change of a
            bond's density matrix, largest entry, that is left alone.
        checked: Whether to leave settled edges alone.

    Returns:
        Stacks, weights, norm taken out of each pair, share of its squared norm that was kept, and
        whether it was changed; shapes (m,).
    """
    d, bond, m = sides.shape[-1], weights.shape[-1], len(layer.edges)
    own = _read(weights, layer.edges)
    opened = [
        _open(stacks[k], weights, leg, rows, outer)
        for (k, leg), rows, outer in zip(layer.groups, layer.rows, layer.outer, strict=True)
    ]
    plain = jnp.concatenate([_gram(x, w) for x, w in opened])[layer.where]
    grams = _attach(plain.reshape(2 * m, bond, d, bond, d), sides)
    moved = jnp.ones(m, bool)
    if checked:
        unit = jnp.eye(bond, dtype=own.dtype) * (own > 0)[:, None]
        change = own[:, :, None] * (grams[:m] - unit) * own[:, None, :]
        moved = jnp.abs(change).max((1, 2)) > limits[2]
    both, values, kept, total = _cut(grams[:m], grams[m:], own, sides.shape[1], limits)
    spread = jnp.einsum(
        "srxp,srij->sipjx", sides, both.reshape(2 * m, sides.shape[1], bond, bond)
    ).reshape(2 * m, bond * d, bond * d)
    out = list(stacks)
    for (k, leg), rows, side, (x, _) in zip(
        layer.groups, layer.rows, layer.sides, opened, strict=True
    ):
        to = jnp.where(moved[side % m], rows, NOWHERE)
        out[k] = _close(out[k], leg, to, x @ spread[side])
    real = kept > 0
    norm = jnp.sqrt(jnp.where(real, kept, 1.0))
    fresh = values / norm[:, None]
    edges = jnp.where(moved & real, layer.edges, NOWHERE)
    weights = weights.at[edges].set(fresh, mode="drop", unique_indices=False)
    moved &= real
    share = jnp.where(moved, kept / jnp.where(real, total, 1.0), 1.0)
    return tuple(out), weights, jnp.where(moved, norm, 1.0), jnp.minimum(share, 1.0), moved


@jax.jit
def reduced(stack: Array, weights: Array, legs: Array) -> Array:
    """Return the density matrices of the gauge, shape (m, d, d), trace 1.

    Args:
        stack: Tensors, shape (m, bond, ..., d).
        weights: See `Batch`.
        legs: Rows of the weights of each tensor's legs, shape (m, degree).
    """
    x = stack.reshape(len(stack), -1, stack.shape[-1])
    x = x * _outer(weights, legs, stack.shape[0])[:, :, None]
    rho = jnp.einsum("moi,moj->mij", x, x.conj())
    return rho / jnp.trace(rho, axis1=1, axis2=2)[:, None, None]


@partial(jax.jit, donate_argnums=(0,))
def fire(
    stack: Array, weights: Array, rows: Array, legs: Array, kraus: Array, uniform: Array
) -> tuple[Array, Array]:
    """Apply to each of some tensors one operator of several, by their probabilities.

    Args:
        stack: See `Batch`.
        weights: See `Batch`.
        rows: Which tensors, shape (m,).
        legs: Rows of the weights of their legs, shape (m, degree).
        kraus: Operators, shape (m, k, d, d).
        uniform: Numbers in [0, 1), shape (m,).

    Returns:
        The stack with normalised tensors, and which operator was chosen, shape (m,).
    """
    tensor = _read(stack, rows)
    x = tensor.reshape(len(rows), -1, tensor.shape[-1])
    x = x * _outer(weights, legs, len(rows))[:, :, None]
    rho = jnp.einsum("moi,moj->mij", x, x.conj())
    p = jnp.einsum("mkxi,mij,mkxj->mk", kraus, rho, kraus.conj()).real
    below = jnp.cumsum(jnp.maximum(p, 0), axis=1)
    chosen = jnp.sum(uniform[:, None] * below[:, -1:] >= below[:, :-1], axis=1)
    at = jnp.arange(len(rows))
    weight = p[at, chosen]
    one = kraus[at, chosen] / jnp.sqrt(jnp.where(weight > 0, weight, 1.0))[:, None, None]
    new = jnp.einsum("m...p,mxp->m...x", tensor, one.astype(stack.dtype))
    return stack.at[rows].set(new, mode="drop"), chosen


@partial(jax.jit, donate_argnums=(0,))
def rotate(stack: Array, rows: Array, matrices: Array) -> Array:
    """Apply an operator to each of some tensors, shapes (m,) and (m, d, d)."""
    new = jnp.einsum("m...p,mxp->m...x", _read(stack, rows), matrices)
    return stack.at[rows].set(new, mode="drop")


def _read(table: Array, rows: Array) -> Array:
    return table.at[rows].get(mode="fill", fill_value=0)


def _dagger(x: Array) -> Array:
    return x.conj().swapaxes(-1, -2)


def _outer(weights: Array, legs: Array, n: int) -> Array:
    """Return the product of the weights of some legs, shape (n, bond ** legs)."""
    out = jnp.ones((n, 1), weights.dtype)
    for k in range(legs.shape[1]):
        out = (out[:, :, None] * _read(weights, legs[:, k])[:, None, :]).reshape(n, -1)
    return out


def _open(stack: Array, weights: Array, leg: int, rows: Array, outer: Array) -> tuple[Array, Array]:
    """Return tensors as (size, other bonds, bond * d) and the others' weights."""
    x = jnp.moveaxis(_read(stack, rows), 1 + leg, -2)
    w = _outer(weights, outer, len(rows))
    return x.reshape(len(rows), w.shape[1], -1), w


def _close(stack: Array, leg: int, rows: Array, new: Array) -> Array:
    """Put (size, other bonds, bond * d) back in place."""
    degree = stack.ndim - 2
    shape = (len(rows), *stack.shape[1:degree], *stack.shape[-2:])
    return stack.at[rows].set(jnp.moveaxis(new.reshape(shape), -2, 1 + leg), mode="drop")


def _gram(x: Array, w: Array) -> Array:
    y = x * w[:, :, None]
    return _dagger(y) @ y


def _attach(plain: Array, sides: Array) -> Array:
    """Return Gram matrices with the operators' factors on the bond, shape (2 m, r D, r D)."""
    n, rank = sides.shape[:2]
    both = jnp.einsum("srxp,stxq->srtpq", sides.conj(), sides)
    grams = jnp.einsum("srtpq,sipjq->sritj", both, plain)
    return grams.reshape(n, rank * plain.shape[1], -1)


def _root(gram: Array) -> Array:
    """Return L with L L^dag = gram; zero rows may become others, which nothing reads."""
    size = jnp.diagonal(gram, axis1=1, axis2=2).real
    empty = size <= np.finfo(size.dtype).tiny
    unit = jnp.eye(gram.shape[-1], dtype=gram.dtype)
    low = jnp.linalg.cholesky(gram + unit * empty[:, None])

    def by_eigenvectors() -> Array:
        w, v = jnp.linalg.eigh(gram)
        return v * jnp.sqrt(jnp.maximum(w, 0))[:, None]

    return jax.lax.cond(jnp.all(jnp.isfinite(low)), lambda: low, by_eigenvectors)


def _cut(
    first: Array, second: Array, own: Array, rank: int, limits: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Return projectors (2 m, r D, D), Schmidt coefficients (m, D), squared norms kept and all.

    See `network_evolve`: first = L L^dag, Y = S second^* S; eigenvectors U and eigenvalues s^2 of
    L^dag Y L give the projectors Y L U / s^2 and S (L U)^* / s.
    """
    bond = own.shape[1]
    spread = jnp.tile(own, (1, rank))
    low = _root(first)
    middle_low = (spread[:, :, None] * spread[:, None, :] * second.conj()) @ low
    squares, u = jnp.linalg.eigh(_dagger(low) @ middle_low)
    squares, u = squares[:, ::-1], u[:, :, ::-1]
    total = jnp.maximum(squares, 0).sum(1)
    squares, u = squares[:, :bond], u[:, :, :bond]
    keep = (squares > limits[1] * squares[:, :1]) & (squares > 0) & (jnp.arange(bond) < limits[0])
    squares = jnp.where(keep, squares, 0)
    inverse = jnp.where(keep, 1 / jnp.where(keep, squares, 1), 0)
    p = middle_low @ (u * inverse[:, None])
    q = spread[:, :, None] * (low @ (u * jnp.sqrt(inverse)[:, None])).conj()
    return jnp.concatenate([p, q]), jnp.sqrt(squares), squares.sum(1), total
