"""One operator on a bond of a tensor network in Vidal gauge, through Gram matrices."""

from typing import Any

import numpy as np
from numba import njit

from qdt_emu.kernels.randomness import Index

Array = Any


@njit(cache=True, nogil=True, error_model="numpy")
def opened(tensor: Array, before: Array, after: Array) -> tuple[Array, Array]:
    """Return a site as a matrix, and the Gram matrix of its side of the bond.

    Args:
        tensor: Shape (others before the bond, bond, others after it, d).
        before: Weights of the others before, shape (b,).
        after: Weights of the others after, shape (a,).

    Returns:
        Shape (b * a, bond * d), without weights, and shape (bond * d, bond * d).
    """
    b, bond, a, d = tensor.shape
    plain = np.empty((b * a, bond * d), tensor.dtype)
    scaled = np.empty((bond * d, b * a), tensor.dtype)
    for x in range(b):
        for y in range(a):
            row = x * a + y
            w = before[x] * after[y]
            w *= w
            for i in range(bond):
                for p in range(d):
                    entry = tensor[x, i, y, p]
                    plain[row, i * d + p] = entry
                    scaled[i * d + p, row] = np.conj(entry) * w
    return plain, np.dot(scaled, plain)


@njit(cache=True, nogil=True, error_model="numpy")
def attached(gram: Array, factors: Array, bond: Index) -> Array:
    """Return the Gram matrix of a bond that an operator's factors were put on.

    Args:
        gram: Shape (bond * d, bond * d).
        factors: left[r]^dag left[s] at [r * rank + s, p * d + q].
        bond: Its dimension before.
    """
    rank, d = round(np.sqrt(len(factors))), len(gram) // bond
    out = np.zeros((rank * bond, rank * bond), gram.dtype)
    for r in range(rank):
        for s in range(rank):
            for p in range(d):
                for q in range(d):
                    by = factors[r * rank + s, p * d + q]
                    if by == 0:
                        continue
                    for i in range(bond):
                        for j in range(bond):
                            out[r * bond + i, s * bond + j] += by * gram[i * d + p, j * d + q]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def lower(gram: Array, tiny: float) -> bool:
    """Overwrite a Hermitian matrix with its Cholesky factor; False where a pivot is too small."""
    n = len(gram)
    top = 0.0
    for i in range(n):
        top = max(top, gram[i, i].real)
    for j in range(n):
        pivot = gram[j, j].real
        for k in range(j):
            pivot -= gram[j, k].real ** 2 + gram[j, k].imag ** 2
        if not pivot > tiny * top:
            return False
        root = np.sqrt(pivot)
        gram[j, j] = root
        for i in range(j + 1, n):
            entry = gram[i, j]
            for k in range(j):
                entry -= gram[i, k] * np.conj(gram[j, k])
            gram[i, j] = entry / root
            gram[j, i] = 0
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def projectors(
    low: Array, second: Array, spread: Array, max_bond: Index, cutoff: float, steep: float
) -> tuple[bool, Array, Array, Array, float]:
    """Return whether it worked, both projectors, coefficients kept, squared norm of all.

    With first = L L^dag and Y = S second^* S, S the weights, the eigenvectors U and eigenvalues s^2
    of L^dag Y L give the projectors Y L U / s^2 and S (L U)^* / s.

    Args:
        low: L.
        second: Gram matrix of the other side.
        spread: Weights of the bond, once for each factor.
        max_bond: Most coefficients kept.
        cutoff: Ratio to the largest below which they are dropped.
        steep: Ratio below which a kept one is not accurate enough: then it did not work.
    """
    n = len(low)
    middle = np.empty_like(second)
    for i in range(n):
        for j in range(n):
            middle[i, j] = spread[i] * spread[j] * np.conj(second[i, j])
    middle_low = np.dot(middle, low)
    squares, u = np.linalg.eigh(np.dot(np.conj(low.T).copy(), middle_low))
    top = squares[n - 1]
    room = 0
    while room < min(n, max_bond) and squares[n - 1 - room] > cutoff * cutoff * top:
        room += 1
    kept = np.empty(max(room, 1), squares.dtype)
    chosen = np.empty((n, max(room, 1)), u.dtype)
    if room == 0 or not squares[n - room] > steep * steep * top:
        return False, chosen, chosen, kept, 0.0
    for k in range(room):
        kept[k] = np.sqrt(squares[n - 1 - k])
        for i in range(n):
            chosen[i, k] = u[i, n - 1 - k] / kept[k]
    p = np.dot(middle_low, chosen)
    q = np.dot(low, chosen)
    for i in range(n):
        for k in range(room):
            p[i, k] /= kept[k]
            q[i, k] = spread[i] * np.conj(q[i, k])
    return True, p, q, kept, squares.sum()


@njit(cache=True, nogil=True, error_model="numpy")
def closed(plain: Array, projector: Array, factors: Array, b: Index, a: Index) -> Array:
    """Return a site after its factors and projector, shape (b, new bond, a, d).

    Args:
        plain: Shape (b * a, bond * d).
        projector: Shape (rank * bond, new bond).
        factors: Shape (rank, d, d).
        b: Others before the bond.
        a: Others after it.
    """
    rank, d, _ = factors.shape
    bond, new = plain.shape[1] // d, projector.shape[1]
    both = np.zeros((bond * d, new * d), plain.dtype)
    for r in range(rank):
        for p in range(d):
            for q in range(d):
                by = factors[r, q, p]
                if by == 0:
                    continue
                for i in range(bond):
                    for j in range(new):
                        both[i * d + p, j * d + q] += by * projector[r * bond + i, j]
    flat = np.dot(plain, both)
    out = np.empty((b, new, a, d), plain.dtype)
    for x in range(b):
        for y in range(a):
            for j in range(new):
                for p in range(d):
                    out[x, j, y, p] = flat[x * a + y, j * d + p]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def grown(side: tuple[Array, Array, Array], factors: Array) -> Array:
    """Return a site with weights and an operator's factors on its bond: (others * d, rank * bond).

    Args:
        side: Arguments of `opened`.
        factors: Shape (rank, d, d).
    """
    tensor, before, after = side
    b, bond, a, d = tensor.shape
    rank = len(factors)
    out = np.zeros((b * a * d, rank * bond), tensor.dtype)
    for x in range(b):
        for y in range(a):
            w = before[x] * after[y]
            for r in range(rank):
                for p in range(d):
                    row = (x * a + y) * d + p
                    for q in range(d):
                        by = factors[r, p, q] * w
                        if by == 0:
                            continue
                        for i in range(bond):
                            out[row, r * bond + i] += by * tensor[x, i, y, q]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def by_qr(
    left: tuple[Array, Array, Array],
    right: tuple[Array, Array, Array],
    weight: Array,
    factors: tuple[Array, Array],
    max_bond: Index,
    cutoff: float,
) -> tuple[Array, Array, Array, float]:
    """Return both new sites, coefficients kept and squared norm of all, to all digits.

    Args:
        left: Arguments of `opened` of the first site.
        right: The same of the second.
        weight: Of the bond.
        factors: Of the operator on the first and second site, each of shape (rank, d, d).
        max_bond: Most coefficients kept.
        cutoff: Ratio to the largest below which they are dropped.
    """
    bond, rank = len(weight), len(factors[0])
    spread = np.empty(rank * bond, weight.dtype)
    for k in range(rank * bond):
        spread[k] = weight[k % bond]
    r = np.linalg.qr(grown(left, factors[0]))[1]
    t = np.linalg.qr(grown(right, factors[1]))[1]
    u, s, v = np.linalg.svd(np.dot(r * spread, t.T.copy()), False)
    room = 0
    while room < min(len(s), max_bond) and (room == 0 or s[room] > cutoff * s[0]):
        room += 1
    kept = s[:room].copy()
    p = np.dot(t.T.copy(), np.conj(v[:room]).T / kept)
    q = np.dot(r.T.copy(), np.conj(u[:, :room]) / kept)
    for i in range(rank * bond):
        for k in range(room):
            p[i, k] *= spread[i]
            q[i, k] *= spread[i]
    new_left = closed(opened(*left)[0], p, factors[0], len(left[1]), len(left[2]))
    new_right = closed(opened(*right)[0], q, factors[1], len(right[1]), len(right[2]))
    return new_left, new_right, kept, (s * s).sum()


@njit(cache=True, nogil=True, error_model="numpy")
def projected(
    first: Array, second: Array, weight: Array, max_bond: Index, cutoff: float, steep: float
) -> tuple[bool, Array, Array, Array, float]:
    """Return what `projectors` does, from the Gram matrices of both sides of a bond.

    Args:
        first: Of the first site with the operator's factors, see `attached`.
        second: Of the second.
        weight: Of the bond, before the operator.
        max_bond: See `projectors`.
        cutoff: See `projectors`.
        steep: See `projectors`.
    """
    spread = np.empty(len(first), weight.dtype)
    for k in range(len(first)):
        spread[k] = weight[k % len(weight)]
    low, tiny = first.copy(), steep**3 * 10
    if lower(low, tiny):
        return projectors(low, second, spread, max_bond, cutoff, steep)
    # One side may have fewer states than its bond; the other then has a Cholesky factor.
    low = second.copy()
    if not lower(low, tiny):
        return False, first, second, weight, 0.0
    ok, q, p, kept, total = projectors(low, first, spread, max_bond, cutoff, steep)
    return ok, p, q, kept, total


@njit(cache=True, nogil=True, error_model="numpy")
def update(
    left: tuple[Array, Array, Array],
    right: tuple[Array, Array, Array],
    weight: Array,
    factors: tuple[Array, Array, Array, Array],
    max_bond: Index,
    cutoff: float,
    steep: float,
) -> tuple[Array, Array, Array, float]:
    """Return both new sites, coefficients kept, squared norm of all.

    Args:
        left: Arguments of `opened` of the first site.
        right: The same of the second.
        weight: Of the bond.
        factors: Of the operator on the first and second site, then what `attached` needs of both.
        max_bond: See `projectors`.
        cutoff: See `projectors`.
        steep: Ratio of coefficients kept below which Gram matrices are not accurate enough: then
            QR and SVD take over.
    """
    bond = len(weight)
    plain_left, gram_left = opened(*left)
    plain_right, gram_right = opened(*right)
    first = attached(gram_left, factors[2], bond)
    second = attached(gram_right, factors[3], bond)
    ok, p, q, kept, total = projected(first, second, weight, max_bond, cutoff, steep)
    if not ok:
        return by_qr(left, right, weight, (factors[0], factors[1]), max_bond, cutoff)
    new_left = closed(plain_left, p, factors[0], len(left[1]), len(left[2]))
    new_right = closed(plain_right, q, factors[1], len(right[1]), len(right[2]))
    return new_left, new_right, kept, total
