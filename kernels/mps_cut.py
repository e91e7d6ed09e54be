"""Truncation: the few columns that hold a matrix, found by elimination or from those known before.

Gram matrices do it: M = Q Q^dag M for the columns Q of G = M M^dag. A Cholesky decomposition of G
with pivots stops where little is left; its columns are a few percent more than the eigenvectors
that count, at a fifth of the time. Where a limit cuts what counts, eigenvectors are needed.
"""

from typing import Any

import numpy as np
from numba import njit

from qdt_emu.kernels.mps import adjoint, norm
from qdt_emu.kernels.randomness import Index

ROUNDING = 1e-15
"""Schmidt weights below this share of the whole are rounding of the Gram matrix."""


@njit(cache=True, nogil=True, error_model="numpy")
def eliminated(gram: Any, most: Index, enough: float) -> tuple[Any, float]:
    """Return rows L with G = L^T L^* up to a remainder, and the trace of that.

    Args:
        gram: G, Hermitian and positive, shape (n, n).
        most: Most rows to return.
        enough: Trace that may remain.

    Error:
        The number of rows is not the least possible, but hardly ever twice that.

    Cost:
        n * rows**2 multiply-adds.

    Source:
        Cholesky decomposition with pivots; Harbrecht, Peters and Schneider, Appl. Numer. Math. 62,
        428 (2012).
    """
    n = len(gram)
    weights, found = np.empty(n), np.empty((most, n), gram.dtype)
    for i in range(n):
        weights[i] = max(0.0, np.float64(gram[i, i].real))
    count, left = 0, weights.sum()
    while count < most and left > enough:
        pivot = np.argmax(weights)
        row = found[count]
        for i in range(n):
            row[i] = np.conj(gram[pivot, i])
        for k in range(count):
            factor, other = np.conj(found[k, pivot]), found[k]
            for i in range(n):
                row[i] -= factor * other[i]
        scale = gram.dtype.type(1.0 / np.sqrt(weights[pivot]))
        left = 0.0
        for i in range(n):
            row[i] *= scale
            weight = np.float64(row[i].real) ** 2 + np.float64(row[i].imag) ** 2
            weights[i] = max(0.0, weights[i] - weight) if i != pivot else 0.0
            left += weights[i]
        count += 1
    return found[:count], left


@njit(cache=True, nogil=True, error_model="numpy")
def dominant(gram: Any, most: Index, cutoff: float) -> tuple[Any, float]:
    """Return orthonormal columns that hold a matrix, and the share of its norm they leave out.

    As few as elimination finds, if these leave out no more than the cutoff; else eigenvectors of
    the largest eigenvalues, at most `most`.

    Args:
        gram: G = M M^dag, Hermitian and positive.
        most: At most so many.
        cutoff: Share of the norm, the trace of G, that may be left out to have fewer.

    Error:
        Within the cutoff the number of columns is a few percent above the least. Beyond it the
        share left out is the least for `most` columns, to 1e-15.
    """
    n = len(gram)
    total = 0.0
    for i in range(n):
        total += np.float64(gram[i, i].real)
    enough = max(cutoff, ROUNDING) * total
    rows, lost = eliminated(gram, min(most, n), enough)
    if lost <= enough:
        q, _ = np.linalg.qr(np.ascontiguousarray(rows.T))
        return np.ascontiguousarray(q), lost / total
    weights, vectors = np.linalg.eigh(gram)
    first, left_out = 0, 0.0
    while first < n - 1:
        more = left_out + max(np.float64(weights[first]), 0.0)
        if n - first <= most and more > enough:
            break
        left_out, first = more, first + 1
    return np.ascontiguousarray(vectors[:, first:]), left_out / total


@njit(cache=True, nogil=True, error_model="numpy")
def factors(theta: Any, most: Index, rightwards: bool, cutoff: float) -> tuple[Any, Any, float]:
    """Return the truncated factors of a matrix, and the share of its norm that is discarded.

    Args:
        theta: Shape (rows, columns).
        most: Largest inner dimension.
        rightwards: Whether the left factor is the isometry, or the right one.
        cutoff: Share of the norm that may be discarded to save dimensions.

    Returns:
        Shapes (rows, bond) and (bond, columns), scaled to norm 1, and the discarded weight.

    Error:
        See `dominant`.

    Cost:
        A pivoted Cholesky decomposition of the smaller Gram matrix, or where the limit cuts an
        eigendecomposition: a third of the singular value decomposition.
    """
    rows, columns = theta.shape
    left_side = rows < columns or (rows == columns and rightwards)
    other = adjoint(theta)
    small = theta if left_side else other  # the side with fewer rows
    gram = np.dot(small, other if left_side else theta)
    vectors, discarded = dominant(gram, most, cutoff)
    rest = np.dot(adjoint(vectors), small)
    scale = 1.0 / np.sqrt(norm(rest))
    for i in range(rest.shape[0]):
        for j in range(rest.shape[1]):
            rest[i, j] *= scale
    # theta or its adjoint is vectors @ rest; the norm is with `rest` unless moved over by QR.
    if left_side != rightwards:
        q, r = np.linalg.qr(adjoint(rest))
        vectors, rest = np.dot(vectors, adjoint(r)), adjoint(q)
    if left_side:
        return vectors, rest, discarded
    return adjoint(rest), adjoint(vectors), discarded


@njit(cache=True, nogil=True, error_model="numpy")
def near(
    theta: Any, start: Any, rightwards: bool, iterations: Index, most: Index, cutoff: float
) -> tuple[Any, Any, float]:
    """Return factors as `factors` does, with a subspace that is near one already known.

    The old subspace is carried over; what then is missing adds dimensions, if there is room.

    Args:
        theta: Shape (rows, columns).
        start: If `rightwards`, rows of shape (bond, columns) that span the old subspace; otherwise
            columns of shape (rows, bond).
        rightwards: Whether the left factor is the isometry, or the right one.
        iterations: Of subspace iteration.
        most: Largest inner dimension.
        cutoff: Share of the norm that may be discarded.

    Error:
        The discarded weight is that of the factors returned, and hardly above the optimum; where
        dimensions are added, those are up to twice as many as the best would be.

    Cost:
        A fifth of `factors`.

    Source:
        Unfried, Hauschild and Pollmann, arXiv:2212.09782, for gates near the identity.
    """
    one = theta if rightwards else adjoint(theta)
    span = np.dot(one, adjoint(start) if rightwards else start)
    if iterations:
        two = adjoint(theta) if rightwards else theta
        for _ in range(iterations):
            span = np.dot(one, np.dot(two, span))
    isometry = np.ascontiguousarray(np.linalg.qr(span)[0])
    rest = np.dot(adjoint(isometry), one)
    total, kept = norm(theta), norm(rest)
    enough = max(cutoff, ROUNDING) * total
    if total - kept > enough and isometry.shape[1] < most:
        missing = plus(one, np.dot(isometry, rest), -1.0)
        gram = np.dot(missing, adjoint(missing))
        more = beyond(gram, isometry, most - isometry.shape[1], enough)
        added = np.dot(adjoint(more), one)
        isometry, rest = beside(isometry, more), below(rest, added)
        kept += norm(added)
    scale = 1.0 / np.sqrt(kept)
    for i in range(rest.shape[0]):
        for j in range(rest.shape[1]):
            rest[i, j] *= scale
    discarded = max(0.0, 1.0 - kept / total)
    if rightwards:
        return isometry, rest, discarded
    return adjoint(rest), adjoint(isometry), discarded


@njit(cache=True, nogil=True, error_model="numpy")
def beyond(gram: Any, isometry: Any, most: Index, enough: float) -> Any:
    """Return orthonormal columns for what an isometry leaves out, until little remains.

    Args:
        gram: M M^dag of the part M that is left out, shape (rows, rows).
        isometry: Shape (rows, bond), orthogonal to M.
        most: Most columns to return.
        enough: Squared norm of M that may remain; see `eliminated`.
    """
    found, _ = eliminated(gram, min(most, len(gram) - isometry.shape[1]), enough)
    for k in range(len(found)):  # they may be tiny
        scale = gram.dtype.type(1.0 / np.sqrt(norm(found[k : k + 1])))
        for i in range(found.shape[1]):
            found[k, i] *= scale
    span = np.ascontiguousarray(found.T)
    if len(found) == 0:
        return span
    # M is small, so that its rounding is not: orthogonal once more.
    span = plus(span, np.dot(isometry, np.dot(adjoint(isometry), span)), -1.0)
    return np.ascontiguousarray(np.linalg.qr(span)[0])


@njit(cache=True, nogil=True, error_model="numpy")
def beside(a: Any, b: Any) -> Any:
    """Return the columns of two matrices."""
    out = np.empty((a.shape[0], a.shape[1] + b.shape[1]), a.dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j]
        for j in range(b.shape[1]):
            out[i, a.shape[1] + j] = b[i, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def below(a: Any, b: Any) -> Any:
    """Return the rows of two matrices."""
    out = np.empty((a.shape[0] + b.shape[0], a.shape[1]), a.dtype)
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            out[i, j] = a[i, j]
        for i in range(b.shape[0]):
            out[a.shape[0] + i, j] = b[i, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def plus(a: Any, b: Any, factor: complex) -> Any:
    """Return a + factor * b; array expressions take Numba a second each to compile."""
    out, scale = np.empty(a.shape, a.dtype), a.dtype.type(factor)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] + scale * b[i, j]
    return out
