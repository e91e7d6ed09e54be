"""Matrix product states: matrices on one site or two, truncation, samples, expectation values.

A state is one flat buffer with a view per site. Sites left of the centre are left-canonical, sites
right of it right-canonical, so the centre's norm is the state's and a cut at the centre discards
Schmidt coefficients.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index, uniform

Ints = NDArray[np.int64]
Matrix = NDArray[np.complex128]


class Chain(NamedTuple):
    """A matrix product state.

    Attributes:
        data: All tensors, one after the other, in complex128 or complex64.
        offset: Where the room of each site begins, shape (n + 1,).
        bond: Dimension left of each site and right of the last, shape (n + 1,).
        limit: The most each may become, shape (n + 1,).
        free: Up to here each may double without a look at its Schmidt coefficients, shape (n + 1,).
        seen: What each was at the last look at its Schmidt coefficients, shape (n + 1,).
        centre: Site of the orthogonality centre, shape (1,).
        account: Sum of log(1 - discarded weight), of its root, of its angle arcsin(root), and
            number of cuts that discarded something, shape (4,).
    """

    data: Any
    offset: Ints
    bond: Ints
    limit: Ints
    free: Ints
    seen: Ints
    centre: Ints
    account: NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def site(chain: Chain, k: Index) -> Any:
    """Return the tensor of a site as a view of shape (left, 2 * right), index (bit, right)."""
    left, right = chain.bond[k], chain.bond[k + 1]
    first = chain.offset[k]
    return chain.data[first : first + 2 * left * right].reshape((left, 2 * right))


@njit(cache=True, nogil=True, error_model="numpy")
def adjoint(matrix: Any) -> Any:
    """Return the conjugate transpose, in rows."""
    rows, columns = matrix.shape
    out = np.empty((columns, rows), matrix.dtype)
    for i in range(rows):
        for j in range(columns):
            out[j, i] = np.conj(matrix[i, j])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def put(chain: Chain, k: Index, tensor: Any) -> None:
    """Write the tensor of a site; its bonds must already be those of the chain."""
    source, first = tensor.reshape(-1), chain.offset[k]
    for i in range(len(source)):
        chain.data[first + i] = source[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _step_right(chain: Chain) -> None:
    """Move the centre one site to the right by a QR decomposition."""
    k = chain.centre[0]
    left, right = chain.bond[k], chain.bond[k + 1]
    q, r = np.linalg.qr(site(chain, k).reshape((2 * left, right)))
    after = np.dot(r, site(chain, k + 1))
    chain.bond[k + 1] = q.shape[1]
    put(chain, k, np.ascontiguousarray(q))
    put(chain, k + 1, after)
    chain.centre[0] = k + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _step_left(chain: Chain) -> None:
    """Move the centre one site to the left."""
    k = chain.centre[0]
    far, left = chain.bond[k - 1], chain.bond[k]
    q, r = np.linalg.qr(adjoint(site(chain, k)))
    before = np.dot(site(chain, k - 1).reshape((2 * far, left)), adjoint(r))
    chain.bond[k] = q.shape[1]
    put(chain, k, adjoint(q))
    put(chain, k - 1, before)
    chain.centre[0] = k - 1


@njit(cache=True, nogil=True, error_model="numpy")
def move(chain: Chain, to: Index) -> None:
    """Move the centre to a site."""
    while chain.centre[0] < to:
        _step_right(chain)
    while chain.centre[0] > to:
        _step_left(chain)


@njit(cache=True, nogil=True, error_model="numpy")
def apply_one(chain: Chain, k: Index, t: Matrix) -> None:
    """Apply the first qubit's part of t = m x I, shape (4, 4), to a site."""
    right = chain.bond[k + 1]
    tensor = site(chain, k)
    a, b, c, d = t[0, 0], t[0, 2], t[2, 0], t[2, 2]
    for i in range(chain.bond[k]):
        for j in range(right):
            x, y = tensor[i, j], tensor[i, right + j]
            tensor[i, j] = a * x + b * y
            tensor[i, right + j] = c * x + d * y


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_one(chain: Chain, k: Index, rho: Matrix) -> None:
    """Fill `rho`, shape (4, 4), with the density matrix of a site beside a qubit in |0>."""
    move(chain, k)
    right = chain.bond[k + 1]
    tensor = site(chain, k)
    for i in range(4):
        for j in range(4):
            rho[i, j] = 0.0
    for i in range(chain.bond[k]):
        for j in range(right):
            x, y = tensor[i, j], tensor[i, right + j]
            rho[0, 0] += x * np.conj(x)
            rho[0, 2] += x * np.conj(y)
            rho[2, 2] += y * np.conj(y)
    rho[2, 0] = np.conj(rho[0, 2])


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_two(chain: Chain, k: Index, swapped: bool, rho: Matrix) -> Any:
    """Fill `rho`, shape (4, 4), with the density matrix of sites k and k + 1.

    `swapped` means that the pair's first qubit is on the right. Returns the product of the sites.
    """
    if chain.centre[0] != k + 1:
        move(chain, k)
    left, right = chain.bond[k], chain.bond[k + 2]
    product = merged(chain, k)
    theta = product.reshape((left, 4, right))
    rows = np.empty((4, left * right), theta.dtype)
    for s in range(4):
        row = ((s & 1) << 1 | s >> 1) if swapped else s
        for i in range(left):
            for j in range(right):
                rows[row, i * right + j] = theta[i, s, j]
    gram = np.dot(rows, adjoint(rows))
    for i in range(4):
        for j in range(4):
            rho[i, j] = gram[i, j]
    return product


@njit(cache=True, nogil=True, error_model="numpy")
def merged(chain: Chain, k: Index) -> Any:
    """Return the product of two sites, shape (2 * left, 2 * right)."""
    left, middle = chain.bond[k], chain.bond[k + 1]
    return np.dot(site(chain, k).reshape((2 * left, middle)), site(chain, k + 1))


@njit(cache=True, nogil=True, error_model="numpy")
def norm(matrix: Any) -> float:
    """Return the sum of squared absolute values."""
    total = 0.0
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = matrix[i, j]
            total += np.float64(x.real) ** 2 + np.float64(x.imag) ** 2
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def draw(chain: Chain, keys: NDArray[np.uint64], item: Index, out: NDArray[np.uint8]) -> None:
    """Draw one basis state per key.

    Args:
        chain: The state; its centre goes to site 0.
        keys: Shape (shots,).
        item: Item of the random numbers.
        out: Output bits of the sites, shape (shots, n).

    Cost:
        4 * bond**2 complex multiply-adds per site and shot.

    Source:
        Ferris and Vidal, PRB 85, 165146 (2012).
    """
    move(chain, np.int64(0))
    shots, n = len(keys), len(chain.bond) - 1
    row = np.ones((shots, 1), chain.data.dtype)
    for k in range(n):
        both = np.dot(row, site(chain, k))
        right = chain.bond[k + 1]
        row = np.empty((shots, right), chain.data.dtype)
        for s in range(shots):
            p0, p1 = 0.0, 0.0
            for j in range(right):
                x, y = both[s, j], both[s, right + j]
                p0 += np.float64(x.real) ** 2 + np.float64(x.imag) ** 2
                p1 += np.float64(y.real) ** 2 + np.float64(y.imag) ** 2
            bit = 1 if uniform(keys[s], item + k, 0) * (p0 + p1) < p1 else 0
            scale = chain.data.dtype.type(1.0 / np.sqrt(p1 if bit else p0))
            out[s, k] = bit
            for j in range(right):
                row[s, j] = both[s, bit * right + j] * scale


@njit(cache=True, nogil=True, error_model="numpy")
def expectations(chain: Chain, strings: NDArray[np.uint8], maps: Any, out: Any) -> None:
    """Fill `out`, shape (m,), with expectation values of products of one-site operators.

    Args:
        chain: The state; its centre goes to site 0.
        strings: Codes 0..3 of each site, shape (m, n).
        maps: Shape (n, 2): where the code P is not 0 the operator is maps[k, 0] P + maps[k, 1] I.
        out: Output.

    Cost:
        4 * bond**3 complex multiply-adds per site from a string's first to its last operator,
        and as much per site of the chain once.
    """
    move(chain, np.int64(0))
    n = len(chain.bond) - 1
    first, last = np.full(len(strings), n), np.full(len(strings), -1)
    for m in range(len(strings)):
        for k in range(n):
            if strings[m, k]:
                first[m] = min(first[m], k)
                last[m] = k
    base, nothing = np.ones((1, 1), chain.data.dtype), np.uint8(0)
    weight = norm(site(chain, 0))
    for k in range(n):
        for m in range(len(strings)):
            if first[m] == k:
                env = base
                for j in range(k, last[m] + 1):
                    env = _carry(chain, j, env, strings[m, j], maps[j, 0], maps[j, 1])
                total = 0.0
                for j in range(len(env)):
                    total += np.float64(env[j, j].real)
                out[m] = total / weight
        if first.max() > k:
            base = _carry(chain, k, base, nothing, 1.0, 0.0)
    for m in range(len(strings)):
        if last[m] < 0:
            out[m] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _carry(chain: Chain, k: Index, env: Any, code: Any, scale: float, shift: float) -> Any:
    """Return the environment behind a site, [ket, bra], from the one before it."""
    left, right = chain.bond[k], chain.bond[k + 1]
    tensor = site(chain, k)
    half = np.dot(env, np.conj(tensor)).reshape((2 * left, right))
    ket = np.empty((2 * left, right), tensor.dtype)
    near = tensor.dtype.type(scale)
    far = tensor.dtype.type(shift)
    for i in range(left):
        for j in range(right):
            x, y = tensor[i, j], tensor[i, right + j]
            if code == 1:
                u, v = y, x
            elif code == 2:
                u, v = -1j * y, 1j * x
            elif code == 3:
                u, v = x, -y
            else:
                u, v = x, y
            ket[2 * i, j] = near * u + far * x if code else x
            ket[2 * i + 1, j] = near * v + far * y if code else y
    turned = np.empty((right, 2 * left), tensor.dtype)
    for i in range(2 * left):
        for j in range(right):
            turned[j, i] = ket[i, j]
    return np.dot(turned, half)
