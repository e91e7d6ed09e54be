"""Many gates in a row on a tensor network in Vidal gauge."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.network_update import by_qr, projected, update
from qdt_emu.kernels.randomness import Index

ONE, PHASES, ANY = 0, 1, 2
"""Kinds of gates: on one site; diagonal on two sites; any on two sites."""

PRODUCT = 1e-13
"""Ratio of the operator-Schmidt coefficients of a diagonal gate below which it is a product."""

Array = Any
Ints = NDArray[np.int64]


class Gates(NamedTuple):
    """Gates in time order.

    Attributes:
        kind: Shape (k,).
        sites: Shape (k, 2); the second is -1 where there is one.
        edge: Index of the pair, shape (k,).
        row: Where in the tables of its kind, shape (k,).
        ones: On one site, shape (rows, d, d).
        phases: Factors of diagonal gates: entry [x, r, p] of the first site, then of the second,
            shape (rows, 2, 2, 2); d is 2.
        rank: Factors of any other gate, shape (rows,).
        left: Those of its first site, shape (rows, most, d, d).
        right: Those of the second.
        left_gram: See `network_update.attached`, shape (rows, most, most, d * d).
        right_gram: The same for the second.
    """

    kind: Ints
    sites: Ints
    edge: Ints
    row: Ints
    ones: Array
    phases: Array
    rank: Ints
    left: Array
    right: Array
    left_gram: Array
    right_gram: Array


@njit(cache=True, nogil=True, error_model="numpy")
def _turned(tensor: Array, matrix: Array) -> Array:
    """Return a flat tensor after a matrix on its last axis."""
    d = len(matrix)
    out = np.empty_like(tensor)
    for x in range(len(tensor) // d):
        for p in range(d):
            entry = matrix[p, 0] * tensor[x * d]
            for q in range(1, d):
                entry += matrix[p, q] * tensor[x * d + q]
            out[x * d + p] = entry
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _others(weights: Any, legs: Ints, site: Index, edge: Index) -> tuple[Array, Array]:
    """Return the products of the weights of the bonds before and after one of a site."""
    before = np.ones(1, weights[edge].dtype)
    after = np.ones(1, weights[edge].dtype)
    found = False
    for k in legs[site]:
        if k < 0:
            break
        if k == edge:
            found = True
            continue
        old = after if found else before
        w = weights[k]
        new = np.empty(len(old) * len(w), w.dtype)
        for x in range(len(old)):
            for y in range(len(w)):
                new[x * len(w) + y] = old[x] * w[y]
        if found:
            after = new
        else:
            before = new
    return before, after


@njit(cache=True, nogil=True, error_model="numpy")
def opened_by_level(tensor: Array, turn: Array, before: Array, after: Array) -> tuple[Array, Array]:
    """Return a site of two levels, turned, as a matrix for each, and their Gram matrices.

    Args:
        tensor: (others before the bond, bond, others after it, 2), flat.
        turn: On the site, shape (2, 2).
        before: Weights of the others before.
        after: Weights of the others after.

    Returns:
        Shape (2, b * a, bond), without weights, and shape (2, bond, bond).
    """
    b, a = len(before), len(after)
    bond = len(tensor) // (2 * a * b)
    plain = np.empty((2, b * a, bond), tensor.dtype)
    scaled = np.empty((2, b * a, bond), tensor.dtype)
    gram = np.empty((2, bond, bond), tensor.dtype)
    for x in range(b):
        for y in range(a):
            w = before[x] * after[y]
            w *= w
            for i in range(bond):
                k = 2 * ((x * bond + i) * a + y)
                zero, one = tensor[k], tensor[k + 1]
                low = turn[0, 0] * zero + turn[0, 1] * one
                high = turn[1, 0] * zero + turn[1, 1] * one
                plain[0, x * a + y, i], plain[1, x * a + y, i] = low, high
                scaled[0, x * a + y, i] = np.conj(low) * w
                scaled[1, x * a + y, i] = np.conj(high) * w
    for p in range(2):
        gram[p] = np.dot(scaled[p].T, plain[p])
    return plain, gram


@njit(cache=True, nogil=True, error_model="numpy")
def attached_by_level(gram: Array, factors: Array) -> Array:
    """Return the Gram matrix of a bond that diagonal factors [r, p] were put on."""
    bond = gram.shape[1]
    out = np.empty((2 * bond, 2 * bond), gram.dtype)
    for r in range(2):
        for s in range(2):
            zero = np.conj(factors[r, 0]) * factors[s, 0]
            one = np.conj(factors[r, 1]) * factors[s, 1]
            for i in range(bond):
                for j in range(bond):
                    out[r * bond + i, s * bond + j] = zero * gram[0, i, j] + one * gram[1, i, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def closed_by_level(plain: Array, projector: Array, factors: Array, b: Index, a: Index) -> Array:
    """Return a site after its diagonal factors and projector, (b, new bond, a, 2), flat."""
    bond, new = plain.shape[2], projector.shape[1]
    out = np.empty(b * new * a * 2, plain.dtype)
    both = np.empty((bond, new), plain.dtype)
    for p in range(2):
        for i in range(bond):
            for j in range(new):
                both[i, j] = (
                    factors[0, p] * projector[i, j] + factors[1, p] * projector[bond + i, j]
                )
        flat = np.dot(plain[p], both)
        for x in range(b):
            for y in range(a):
                for j in range(new):
                    out[2 * ((x * new + j) * a + y) + p] = flat[x * a + y, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _phased(
    tensors: tuple[Array, Array],
    turns: tuple[Array, Array],
    others: tuple[Array, Array, Array, Array],
    weight: Array,
    factors: Array,
    max_bond: Index,
    cutoff: float,
    steep: float,
) -> tuple[bool, Array, Array, Array, float]:
    """Return whether it worked, two new sites, coefficients kept and squared norm of all."""
    plain_left, gram_left = opened_by_level(tensors[0], turns[0], others[0], others[1])
    plain_right, gram_right = opened_by_level(tensors[1], turns[1], others[2], others[3])
    first = attached_by_level(gram_left, factors[0])
    second = attached_by_level(gram_right, factors[1])
    ok, p, q, kept, total = projected(first, second, weight, max_bond, cutoff, steep)
    if not ok:
        return False, tensors[0], tensors[1], weight, 0.0
    left = closed_by_level(plain_left, p, factors[0], len(others[0]), len(others[1]))
    right = closed_by_level(plain_right, q, factors[1], len(others[2]), len(others[3]))
    return True, left, right, kept, total


@njit(cache=True, nogil=True, error_model="numpy")
def _alone(factors: Array) -> int:
    """Return the only factor of a diagonal gate that is a product; -1 where there are two."""
    sizes = np.abs(factors[0, :, 0]) * np.abs(factors[1, :, 0])
    if sizes[1] <= PRODUCT * sizes[0]:
        return 0
    return 1 if sizes[0] <= PRODUCT * sizes[1] else -1


@njit(cache=True, nogil=True, error_model="numpy")
def _factors(diagonal: Array, turn: Array) -> Array:
    """Return diagonal factors [r, p] after a turn, as matrices."""
    out = np.empty((2, 2, 2), diagonal.dtype)
    for r in range(2):
        for p in range(2):
            for q in range(2):
                out[r, p, q] = diagonal[r, p] * turn[p, q]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _shaped(tensor: Array, before: Array, after: Array, d: Index) -> tuple[Array, Array, Array]:
    """Return the arguments of `network_update.opened`."""
    b, a = len(before), len(after)
    return tensor.reshape((b, len(tensor) // (b * a * d), a, d)), before, after


@njit(cache=True, nogil=True, error_model="numpy")
def run(
    gates: Gates,
    first: Index,
    tensors: Any,
    weights: Any,
    legs: Ints,
    max_bond: Index,
    stop: Index,
    cutoff: float,
    steep: float,
    logs: NDArray[np.float64],
) -> int:
    """Apply gates from the first on, in place, and return the gate it stopped at.

    Args:
        gates: The gates.
        first: Where to begin.
        tensors: List of the sites' tensors, flat.
        weights: List of the bonds' weights.
        legs: Bonds of each site in the order of its axes, -1 beyond.
        max_bond: Largest bond kept.
        stop: A gate that could make a bond larger is not applied any more.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        steep: See `network_update.update`.
        logs: Log of the norm that was taken out, and of what was kept of the squared norm; both
            are added to.
    """
    d, reached, n = gates.ones.shape[1], len(gates.kind), len(tensors)
    turns, turned = np.zeros((n, d, d), gates.ones.dtype), np.zeros(n, np.bool_)
    for q in range(n):
        turns[q] = np.eye(d)
    for k in range(first, len(gates.kind)):
        a, b = gates.sites[k]
        row = gates.row[k]
        if gates.kind[k] == ONE:
            turns[a] = np.dot(gates.ones[row], turns[a])
            turned[a] = True
            continue
        if gates.kind[k] == PHASES:
            alone = _alone(gates.phases[row])
            if alone >= 0:
                turns[a] = np.dot(np.diag(gates.phases[row, 0, alone]), turns[a])
                turns[b] = np.dot(np.diag(gates.phases[row, 1, alone]), turns[b])
                turned[a] = turned[b] = True
                continue
        elif gates.rank[row] == 1:
            turns[a] = np.dot(gates.left[row, 0], turns[a])
            turns[b] = np.dot(gates.right[row, 0], turns[b])
            turned[a] = turned[b] = True
            continue
        edge = gates.edge[k]
        weight = weights[edge]
        rank = 2 if gates.kind[k] == PHASES else gates.rank[row]
        if rank * len(weight) > stop:
            reached = k
            break
        left_before, left_after = _others(weights, legs, a, edge)
        right_before, right_after = _others(weights, legs, b, edge)
        if gates.kind[k] == PHASES:
            factors = gates.phases[row]
            ok, left, right, kept, total = _phased(
                (tensors[a], tensors[b]),
                (turns[a], turns[b]),
                (left_before, left_after, right_before, right_after),
                weight,
                factors,
                max_bond,
                cutoff,
                steep,
            )
            if not ok:
                by = _factors(factors[0], turns[a]), _factors(factors[1], turns[b])
                one, two, kept, total = by_qr(
                    _shaped(tensors[a], left_before, left_after, d),
                    _shaped(tensors[b], right_before, right_after, d),
                    weight,
                    by,
                    max_bond,
                    cutoff,
                )
                left, right = one.reshape(one.size), two.reshape(two.size)
            for q in (a, b):
                turned[q] = False
                turns[q] = np.eye(d)
        else:
            for q in (a, b):
                settled(tensors, turns, turned, q)
            by_all = (
                gates.left[row, :rank],
                gates.right[row, :rank],
                gates.left_gram[row, : rank * rank],
                gates.right_gram[row, : rank * rank],
            )
            one, two, kept, total = update(
                _shaped(tensors[a], left_before, left_after, d),
                _shaped(tensors[b], right_before, right_after, d),
                weight,
                by_all,
                max_bond,
                cutoff,
                steep,
            )
            left, right = one.reshape(one.size), two.reshape(two.size)
        norm = 0.0
        for s in kept:
            norm += s * s
        tensors[a], tensors[b] = left, right
        weights[edge] = kept / np.sqrt(norm)
        logs[0] += 0.5 * np.log(norm)
        logs[1] += np.log(max(min(norm / total, 1.0), 1e-300))
    for q in range(len(turned)):
        settled(tensors, turns, turned, q)
    return reached


@njit(cache=True, nogil=True, error_model="numpy")
def settled(tensors: Any, turns: Array, turned: NDArray[np.bool_], site: Index) -> None:
    """Multiply the turn of a site into its tensor."""
    if turned[site]:
        tensors[site] = _turned(tensors[site], turns[site])
        turns[site] = np.eye(len(turns[site]))
        turned[site] = False
