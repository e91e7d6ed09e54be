"""ZZ phases between sites of a matrix product state that stand apart.

exp(-i theta Z Z) = cos theta - i sin theta Z Z is a matrix product operator of bond 2: between the
two sites the state is two copies of itself, one turned by both Z. One sweep from site to site adds
them up and cuts each bond on its way with the exact environment. Swaps there and back would cut
every bond twice, each time after a gate of rank 4 that carries all the entanglement of a qubit.
"""

from typing import Any

import numpy as np
from numba import njit

from qdt_emu.kernels.mps import Chain, Matrix, adjoint, move, norm, put, site
from qdt_emu.kernels.mps_cut import ROUNDING, beside, beyond, dominant, plus
from qdt_emu.kernels.mps_pair import WEAKER, grown, note
from qdt_emu.kernels.randomness import Index


@njit(cache=True, nogil=True, error_model="numpy")
def apply_far(chain: Chain, a: Index, b: Index, t: Matrix, cutoff: float) -> None:
    """Apply a diagonal unitary to sites a and b, and truncate the bonds between them.

    The centre ends on one of the two.

    Args:
        chain: The state.
        a: Site of the first qubit.
        b: Site of the second qubit.
        t: Diagonal and unitary, shape (4, 4).
        cutoff: Weight that each truncation may discard to save dimensions.

    Error:
        The discarded weight is that of the state returned. Where a bond is full and theta small, at
        most a few percent above the optimum.

    Cost:
        About 16 * bond**3 complex multiply-adds per site from a to b.
    """
    theta = _local(chain, a, b, t)
    if np.sin(theta) ** 2 <= ROUNDING:
        return
    here = chain.centre[0]
    start, end = (a, b) if abs(here - a) <= abs(here - b) else (b, a)
    move(chain, start)
    rightwards = bool(end > start)
    step, count = (1, end - start) if rightwards else (-1, start - end)
    offset = np.zeros(count + 1, np.int64)
    environments = _environments(chain, start, end, offset)
    tensor = facing(chain, start, rightwards)
    still = _diagonal(tensor, np.cos(theta), np.cos(theta))
    turned = _diagonal(tensor, -1j * np.sin(theta), 1j * np.sin(theta))
    total = norm(tensor)
    strong = np.sin(2.0 * theta) ** 2 > 2.0 * WEAKER
    for p in range(count):
        k = start + step * p
        near, far = still.shape[0], still.shape[1] // 2
        environment = environments[offset[p] : offset[p + 1]].reshape((far, far))
        still, turned = still.reshape((2 * near, far)), turned.reshape((2 * near, far))
        bond = k + 1 if rightwards else k
        most, look = min(chain.limit[bond], 2 * near), strong or grown(chain, bond)
        isometry = _isometry(still, turned, environment, most, look, cutoff)
        if look:
            chain.seen[bond] = isometry.shape[1]
        following = facing(chain, k + step, rightwards)  # read before the bond between changes
        _put_facing(chain, k, isometry.reshape((near, 2 * isometry.shape[1])), rightwards)
        back = adjoint(isometry)
        still = np.dot(np.dot(back, still), following)
        turned = np.dot(np.dot(back, turned), following)
    tensor = plus(still, _diagonal(turned, 1.0, -1.0), 1.0)
    kept = norm(tensor)
    scale = 1.0 / np.sqrt(kept)
    _put_facing(chain, end, _diagonal(tensor, scale, scale), rightwards)
    chain.centre[0] = end
    note(chain, max(0.0, 1.0 - kept / total))


@njit(cache=True, nogil=True, error_model="numpy")
def _local(chain: Chain, a: Index, b: Index, t: Matrix) -> float:
    """Write T = (u x v) exp(-i theta Z Z), apply u and v, and return theta in [-pi/4, pi/4]."""
    theta = -0.25 * np.angle(t[0, 0] * np.conj(t[1, 1]) * np.conj(t[2, 2]) * t[3, 3])
    turn = np.exp(1j * theta)
    u = (t[0, 0] * turn, t[2, 2] * np.conj(turn))
    v = (np.complex128(1.0), t[1, 1] * np.conj(turn) / u[0])
    for k, both in ((a, u), (b, v)):
        right, tensor = chain.bond[k + 1], site(chain, k)
        zero, one = tensor.dtype.type(both[0]), tensor.dtype.type(both[1])
        for i in range(chain.bond[k]):
            for j in range(right):
                tensor[i, j] *= zero
                tensor[i, right + j] *= one
    return float(theta)


@njit(cache=True, nogil=True, error_model="numpy")
def facing(chain: Chain, k: Index, rightwards: bool) -> Any:
    """Return a copy of a site seen in a direction, shape (near bond, 2 * far bond)."""
    left, right = chain.bond[k], chain.bond[k + 1]
    tensor = site(chain, k)
    if rightwards:
        return tensor.copy()
    out = np.empty((right, 2 * left), tensor.dtype)
    for i in range(left):
        for s in range(2):
            for j in range(right):
                out[j, s * left + i] = tensor[i, s * right + j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _put_facing(chain: Chain, k: Index, tensor: Any, rightwards: bool) -> None:
    """Write a site given as by `facing`, and its bonds."""
    near, far = tensor.shape[0], tensor.shape[1] // 2
    left, right = (near, far) if rightwards else (far, near)
    chain.bond[k], chain.bond[k + 1] = left, right
    if rightwards:
        put(chain, k, tensor)
        return
    out = np.empty((left, 2 * right), tensor.dtype)
    for i in range(left):
        for s in range(2):
            for j in range(right):
                out[i, s * right + j] = tensor[j, s * left + i]
    put(chain, k, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _diagonal(tensor: Any, zero: complex, one: complex) -> Any:
    """Return diag(zero, one) applied to a site, shape (near, 2 * far)."""
    out, far = np.empty(tensor.shape, tensor.dtype), tensor.shape[1] // 2
    a, b = tensor.dtype.type(zero), tensor.dtype.type(one)
    for i in range(tensor.shape[0]):
        for j in range(far):
            out[i, j] = a * tensor[i, j]
            out[i, far + j] = b * tensor[i, far + j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def carried(tensor: Any, behind: Any) -> Any:
    """Return sum_s B_s E B_s^dag of a site, shape (near, near), from E behind it."""
    near, far = tensor.shape[0], tensor.shape[1] // 2
    half = np.dot(tensor.reshape((2 * near, far)), behind).reshape((near, 2 * far))
    return np.dot(half, adjoint(tensor))


@njit(cache=True, nogil=True, error_model="numpy")
def _environments(chain: Chain, start: Index, end: Index, offset: Any) -> Any:
    """Return <right half| Z at the end |right half> at each bond, one after the other, flat."""
    rightwards = bool(end > start)
    step, count = (1, end - start) if rightwards else (-1, start - end)
    for p in range(count):
        size = chain.bond[start + p + 1] if rightwards else chain.bond[start - p]
        offset[p + 1] = offset[p] + size * size
    out = np.empty(offset[count], chain.data.dtype)
    last = facing(chain, end, rightwards)
    matrix = np.dot(_diagonal(last, 1.0, -1.0), adjoint(last))
    for p in range(count - 1, -1, -1):
        if p < count - 1:
            matrix = carried(facing(chain, start + step * (p + 1), rightwards), matrix)
        out[offset[p] : offset[p + 1]] = matrix.reshape(-1)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _isometry(
    still: Any, turned: Any, environment: Any, most: Index, look: bool, cutoff: float
) -> Any:
    """Return the columns that hold the sum of two copies, shape (rows, bond).

    Args:
        still: One copy up to here, shape (rows, far).
        turned: The other, to be followed by Z.
        environment: Overlap of the two copies of what follows, shape (far, far).
        most: Largest bond.
        look: Whether to find the best columns; else those that were good for the first copy alone
            are kept and others are added.
        cutoff: Share of the norm that may be discarded.
    """
    reached = np.dot(turned, environment)
    if look:
        gram = plus(np.dot(still, adjoint(still)), np.dot(turned, adjoint(turned)), 1.0)
        cross = np.dot(reached, adjoint(still))
        gram = plus(plus(gram, cross, 1.0), adjoint(cross), 1.0)
        return dominant(gram, most, cutoff)[0]
    # Where the old half would go, were it to stay the same behind here.
    isometry = np.ascontiguousarray(np.linalg.qr(plus(still, reached, 1.0))[0])
    if isometry.shape[1] < most:
        held = np.dot(isometry, np.dot(adjoint(isometry), turned))
        missing = plus(turned, held, -1.0)
        reached = np.dot(missing, environment)
        gram = np.dot(missing, adjoint(missing))
        gram = plus(gram, np.dot(reached, adjoint(reached)), -1.0)
        enough = max(cutoff, ROUNDING) * (norm(still) + norm(turned))
        return beside(isometry, beyond(gram, isometry, most - isometry.shape[1], enough))
    return isometry
