"""Matrices on two neighbours of a matrix product state, and the truncation of their bond.

A gate multiplies the bond by its operator-Schmidt rank, 2 for CX, CZ and ECR. While bonds grow,
most truncations would discard nothing: a QR decomposition then does, at a fifth of the time. So a
bond is looked at only when it has outgrown what was last found to be full. A gate near a product
adds little to the subspace that is there already, and is given only what is missing.
"""

from typing import Any

import numpy as np
from numba import njit

from qdt_emu.kernels.mps import Chain, Matrix, adjoint, merged, move, norm, put, site
from qdt_emu.kernels.mps_cut import ROUNDING, factors, near
from qdt_emu.kernels.randomness import Index

LOG_FIDELITY, ROOTS, ANGLE, CUTS = range(4)
RANK = 1e-13
"""Operator-Schmidt coefficients below this ratio to the largest are rounding."""
WEAK, WEAKER = 0.1, 0.003
"""Share of a gate that is not a product, up to which the old subspace starts one iteration, none.

For RZZ of .3 and .1 rad: the discarded weight is then at most 0.5 % and 3 % above the optimum.
"""
UNITARY = 0.5
"""Least determinant, that of a unitary being 1, of a factor that does not narrow a subspace."""
TRUST = 4
"""A bond that was found full may grow by this factor before it is looked at again."""


@njit(cache=True, nogil=True, error_model="numpy")
def transformed(theta: Any, t: Matrix, swapped: bool, left: Index, right: Index) -> Any:
    """Return T applied to a product of two sites, shape (2 * left, 2 * right)."""
    out = np.zeros(theta.shape, theta.dtype)
    source, target = theta.reshape((left, 4, right)), out.reshape((left, 4, right))
    for o in range(4):
        row = ((o & 1) << 1 | o >> 1) if swapped else o
        for s in range(4):
            column = ((s & 1) << 1 | s >> 1) if swapped else s
            factor = out.dtype.type(t[row, column])
            if factor != 0:
                for i in range(left):
                    for j in range(right):
                        target[i, o, j] += factor * source[i, s, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def note(chain: Chain, discarded: float) -> None:
    """Enter a discarded weight into the account; rounding is not counted."""
    if discarded > 10 * ROUNDING:
        root = np.sqrt(min(discarded, 1.0))
        chain.account[LOG_FIDELITY] += np.log1p(-min(discarded, 1.0 - 1e-16))
        chain.account[ROOTS] += root
        chain.account[ANGLE] += np.arcsin(root)
        chain.account[CUTS] += 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def schmidt(t: Matrix, swapped: bool, x: Any, y: Any) -> tuple[int, float]:
    """Write T = sum_a x[a] (left) times y[a] (right), both of shape (4, 2, 2).

    By elimination with pivots: exact in rank.

    Returns:
        The rank, and how much of T is not in the first term: 1/2 at most for CX, CZ, ECR.
    """
    m, used = np.empty((4, 4), np.complex128), np.zeros(4, np.int64)
    for i in range(4):
        for j in range(4):
            row, column = 2 * (i >> 1) + (j >> 1), 2 * (i & 1) + (j & 1)
            if swapped:
                row, column = 2 * (j >> 1) + (i >> 1), 2 * (j & 1) + (i & 1)
            m[i, j] = t[row, column]  # i: (out, in) of the left site, j: of the right one
    largest, rank, total, rest = 0.0, 0, 0.0, 0.0
    for i in range(4):
        for j in range(4):
            total += m[i, j].real ** 2 + m[i, j].imag ** 2
    for _ in range(4):
        best, pivot = 0.0, 0
        for i in range(4):
            size = 0.0
            for j in range(4):
                size += m[i, j].real ** 2 + m[i, j].imag ** 2
            if not used[i] and size > best:
                best, pivot = size, i
        largest = max(largest, best)
        if best <= RANK * RANK * largest:
            break
        used[pivot] = 1
        for j in range(4):
            y[rank, j >> 1, j & 1] = m[pivot, j] / np.sqrt(best)
        for i in range(4):
            inner = 0.0j
            for j in range(4):
                inner += m[i, j] * np.conj(y[rank, j >> 1, j & 1])
            if used[i] and i != pivot:
                inner = 0.0j
            x[rank, i >> 1, i & 1] = inner
            for j in range(4):
                m[i, j] -= inner * y[rank, j >> 1, j & 1]
        rank += 1
        if rank == 1:
            for i in range(4):
                for j in range(4):
                    rest += m[i, j].real ** 2 + m[i, j].imag ** 2
    return rank, rest / total


@njit(cache=True, nogil=True, error_model="numpy")
def spread_left(chain: Chain, k: Index, x: Any, rank: Index) -> Any:
    """Return x applied to a site, shape (2 * left, rank * right), column (a, right)."""
    left, right = chain.bond[k], chain.bond[k + 1]
    tensor = site(chain, k)
    out = np.empty((2 * left, rank * right), tensor.dtype)
    for i in range(left):
        for s in range(2):
            for a in range(rank):
                zero, one = tensor.dtype.type(x[a, s, 0]), tensor.dtype.type(x[a, s, 1])
                for j in range(right):
                    out[2 * i + s, a * right + j] = zero * tensor[i, j] + one * tensor[i, right + j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def spread_right(chain: Chain, k: Index, y: Any, rank: Index) -> Any:
    """Return y applied to a site, shape (rank * left, 2 * right), row (a, left)."""
    left, right = chain.bond[k], chain.bond[k + 1]
    tensor = site(chain, k)
    out = np.empty((rank * left, 2 * right), tensor.dtype)
    for a in range(rank):
        for i in range(left):
            for s in range(2):
                zero, one = tensor.dtype.type(y[a, s, 0]), tensor.dtype.type(y[a, s, 1])
                for j in range(right):
                    out[a * left + i, s * right + j] = (
                        zero * tensor[i, j] + one * tensor[i, right + j]
                    )
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def turns(m: Any) -> bool:
    """Return whether a matrix, shape (2, 2), is nearly a multiple of a unitary."""
    return bool(2.0 * abs(m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) > UNITARY * norm(m))


@njit(cache=True, nogil=True, error_model="numpy")
def turned(chain: Chain, k: Index, m: Any) -> Any:
    """Return a matrix, shape (2, 2), applied to a site, shape (left, 2 * right)."""
    right = chain.bond[k + 1]
    tensor = site(chain, k)
    out = np.empty(tensor.shape, tensor.dtype)
    kind = tensor.dtype.type
    a, b, c, d = kind(m[0, 0]), kind(m[0, 1]), kind(m[1, 0]), kind(m[1, 1])
    for i in range(chain.bond[k]):
        for j in range(right):
            x, y = tensor[i, j], tensor[i, right + j]
            out[i, j] = a * x + b * y
            out[i, right + j] = c * x + d * y
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def apply_two(
    chain: Chain,
    k: Index,
    theta: Any,
    t: Matrix,
    swapped: bool,
    rightwards: bool,
    cutoff: float,
) -> None:
    """Apply T, shape (4, 4), to sites k and k + 1, and truncate the bond if it may be too large.

    The centre ends on site k + 1 if `rightwards`, else on k; see `factors` for `cutoff`. `theta` is
    the product of the two sites as by `reduced_two`, or empty where it is not known.
    """
    if chain.centre[0] != k + 1:
        move(chain, k)
    left, right = chain.bond[k], chain.bond[k + 2]
    x, y = np.empty((4, 2, 2), np.complex128), np.empty((4, 2, 2), np.complex128)
    rank, entangling = schmidt(t, swapped, x, y)
    inner, middle = rank * chain.bond[k + 1], chain.bond[k + 1]
    most = min(chain.limit[k + 1], 2 * min(left, right))
    weak = entangling < (WEAK if middle == most else WEAKER) and rank > 1
    weak = weak and turns(x[0]) and turns(y[0]) and not grown(chain, k + 1)
    if len(theta) == 0 and (weak or inner >= 2 * min(left, right)):
        theta = merged(chain, k)
    if weak:
        theta = transformed(theta, t, swapped, left, right)
        if rightwards:
            start = turned(chain, k + 1, y[0])
        else:
            start = turned(chain, k, x[0]).reshape((2 * left, middle))
        iterations = 0 if entangling < WEAKER else 1
        a, b, discarded = near(theta, start, rightwards, iterations, most, cutoff)
        note(chain, discarded)
    elif inner < 2 * min(left, right):
        a, b = spread_left(chain, k, x, rank), spread_right(chain, k + 1, y, rank)
        if inner <= min(chain.free[k + 1], chain.limit[k + 1]):
            if rightwards:
                q, r = np.linalg.qr(a)
                a, b = np.ascontiguousarray(q), np.dot(r, b)
            else:
                q, r = np.linalg.qr(adjoint(b))
                a, b = np.dot(a, adjoint(r)), adjoint(q)
            chain.seen[k + 1] = inner
        else:
            q, r = np.linalg.qr(a)
            o, s = np.linalg.qr(adjoint(b))
            u, v, discarded = factors(np.dot(r, adjoint(s)), chain.limit[k + 1], rightwards, cutoff)
            a, b = np.dot(np.ascontiguousarray(q), u), np.dot(v, adjoint(o))
            _settle(chain, k, u.shape[1], inner, discarded)
    else:
        theta = transformed(theta, t, swapped, left, right)
        a, b, discarded = factors(theta, chain.limit[k + 1], rightwards, cutoff)
        _settle(chain, k, a.shape[1], 2 * min(left, right), discarded)
    chain.bond[k + 1] = a.shape[1]
    put(chain, k, a)
    put(chain, k + 1, b)
    chain.centre[0] = k + 1 if rightwards else k


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(chain: Chain, k: Index, bond: Index, full: Index, discarded: float) -> None:
    """Enter what was discarded, and whether the bond may grow unseen."""
    note(chain, discarded)
    chain.free[k + 1] = TRUST * bond if bond == full else 0
    chain.seen[k + 1] = bond


@njit(cache=True, nogil=True, error_model="numpy")
def grown(chain: Chain, k: Index) -> bool:
    """Return whether a bond has grown by half since its Schmidt coefficients were looked at.

    Weak gates add dimensions and take none away.
    """
    return bool(chain.bond[k] > chain.seen[k] + chain.seen[k] // 2 + 2)
