"""Bits drawn from a tensor network, site by site, with the drawn part kept as a boundary.

The boundary is a matrix product over the bonds that join the drawn sites to the rest, one tensor
(left, bond, right) for each, with a centre: tensors left of it are isometries from the left, those
right of it from the right. A site is absorbed by contracting it with the neighbouring tensors that
hold its bonds, after which its bit is drawn and its own bonds to the rest take their place.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index

Ints = NDArray[np.int64]
Complex = NDArray[np.complex128]
Floats = NDArray[np.float64]
Array = NDArray[Any]

SPARE = 8  # vectors found beyond the largest rank, so that the best of them can be kept
EMPTY = 1e-28  # share of a matrix's squared norm that is rounding of rounding


class Sites(NamedTuple):
    """A network in the order of drawing.

    Attributes:
        site: Which site each step draws, shape (n,).
        swaps: Positions p of the boundary at which p and p + 1 are exchanged before a step.
        swaps_at: Where those of each step begin, shape (n + 1,).
        first: Position of the first bond to the drawn part, shape (n,).
        inner: Number of bonds to the drawn part, shape (n,).
        outer: Number of bonds to the rest, shape (n,).
        dims: Their dimensions in the order of the boundary, shape (n, most).
        values: All tensors, each (2, outer bonds, inner bonds), one after the other.
        values_at: Where each begins, shape (n + 1,).
    """

    site: Ints
    swaps: Ints
    swaps_at: Ints
    first: Ints
    inner: Ints
    outer: Ints
    dims: Ints
    values: Complex
    values_at: Ints


class Rest(NamedTuple):
    """The sites not yet drawn, as a matrix product of operators on the boundary after each step.

    An operator on a bond is a full matrix on its first `levels` states and a multiple of the
    identity on the others.

    Attributes:
        at: Which tensor each position holds after each step, shape (n, width); (0, 0) is no rest.
        shape: (left, right, levels) of each tensor.
        ahead: Values of the matrices, each ((right, bra), (left, ket)), one after the other.
        behind: The same as ((left, bra), (right, ket)).
        values_at: Where each begins in both.
        others: Multiples, each (left, right), one after the other.
        others_at: Where each begins.
    """

    at: Ints
    shape: Ints
    ahead: Complex
    behind: Complex
    values_at: Ints
    others: Floats
    others_at: Ints


@njit(cache=True, nogil=True, error_model="numpy")
def factor(matrix: Array, cutoff: float, most: Index) -> tuple[Array, Array, float]:
    """Return q (a, r) with orthonormal columns and r (r, b) with q r close to the matrix.

    Columns are taken by largest remainder until the rest is small. Where more than `most` are
    needed, the best `most` combinations of a few more are kept.

    Args:
        matrix: Shape (a, b), contiguous.
        cutoff: Share of the squared norm that may be left out.
        most: Largest rank.

    Returns:
        Both factors and the share of the squared norm that was left out.

    Cost:
        8 a b r flops and twice as many small operations as LAPACK's QR, but r is the rank.
    """
    a, b = matrix.shape
    left = np.zeros(b)
    for i in range(a):
        for j in range(b):
            left[j] += matrix[i, j].real ** 2 + matrix[i, j].imag ** 2
    total = left.sum()
    limit = min(a, b, most + SPARE)
    q = np.empty((limit, a), matrix.dtype)
    r = np.empty((limit, b), matrix.dtype)
    rank = 0
    while rank < limit:
        p = np.argmax(left)
        if rank > 0 and (left.sum() <= cutoff * total or left[p] <= EMPTY * total):
            break
        v = matrix[:, p].copy()
        for _ in range(2):  # once more, because rounding of the first pass is not orthogonal
            for k in range(rank):
                overlap = np.vdot(q[k], v)
                for i in range(a):
                    v[i] -= overlap * q[k, i]
        size = np.sqrt(np.vdot(v, v).real)
        if size * size <= EMPTY * total:
            if rank > 0:
                break
            v[0], size = 1.0, 1.0
        q[rank] = v / size
        r[rank] = np.dot(np.conj(q[rank]), matrix)
        for j in range(b):
            left[j] = max(0.0, left[j] - r[rank, j].real ** 2 - r[rank, j].imag ** 2)
        left[p] = 0.0
        rank += 1
    lost = left.sum()
    q, r = q[:rank], r[:rank]
    if rank > most:
        gram = np.dot(r, np.conj(r.T))
        kept, vectors = np.linalg.eigh(gram)
        lost += kept[: rank - most].sum()
        best = np.ascontiguousarray(vectors[:, rank - most :])
        q = np.dot(np.ascontiguousarray(best.T), q)
        r = np.dot(np.ascontiguousarray(np.conj(best.T)), r)
    return np.ascontiguousarray(q.T), r, lost / max(total, 1e-300)


@njit(cache=True, nogil=True, error_model="numpy")
def flipped(tensor: Complex) -> Complex:
    """Return a boundary tensor as seen from the other side."""
    return np.ascontiguousarray(tensor.transpose(2, 1, 0))


@njit(cache=True, nogil=True, error_model="numpy")
def move(
    line: list[Complex], centre: Index, low: Index, high: Index, cutoff: float, most: Index
) -> tuple[int, float]:
    """Move the centre into low .. high; return its place and the share left out."""
    lost = 0.0
    while centre < low:
        x, y = line[centre], line[centre + 1]
        q, r, share = factor(x.reshape(-1, x.shape[2]), cutoff, most)
        line[centre] = q.reshape(x.shape[0], x.shape[1], -1)
        line[centre + 1] = np.dot(r, y.reshape(y.shape[0], -1)).reshape(-1, y.shape[1], y.shape[2])
        lost += share
        centre += 1
    while centre > high:
        x, y = line[centre], line[centre - 1]
        back = flipped(x)
        q, r, share = factor(back.reshape(-1, back.shape[2]), cutoff, most)
        line[centre] = flipped(q.reshape(back.shape[0], back.shape[1], -1))
        turned = np.ascontiguousarray(r.T)
        line[centre - 1] = np.dot(y.reshape(-1, y.shape[2]), turned).reshape(
            y.shape[0], y.shape[1], -1
        )
        lost += share
        centre -= 1
    return centre, lost


@njit(cache=True, nogil=True, error_model="numpy")
def joined(line: list[Complex], first: Index, count: Index) -> Complex:
    """Return neighbouring boundary tensors as one, (left, bonds, right)."""
    out = line[first]
    for k in range(first + 1, first + count):
        y = line[k]
        both = np.dot(out.reshape(-1, out.shape[2]), y.reshape(y.shape[0], -1))
        out = both.reshape(out.shape[0], -1, y.shape[2])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def split(
    theta: Complex, dims: Ints, cutoff: float, most: Index
) -> tuple[list[Complex], float]:
    """Return (left, bonds, right) as one boundary tensor per bond; the last is the centre."""
    parts = [theta]
    parts.pop()
    lost, right, current = 0.0, theta.shape[2], theta
    for k in range(len(dims) - 1):
        here = current.shape[0]
        q, r, share = factor(current.reshape(here * dims[k], -1), cutoff, most)
        parts.append(q.reshape(here, dims[k], -1))
        current = r.reshape(len(r), -1, right)
        lost += share
    parts.append(current)
    return parts, lost


@njit(cache=True, nogil=True, error_model="numpy")
def replace(
    line: list[Complex], first: Index, count: Index, parts: list[Complex], bond: Complex
) -> int:
    """Put parts in the place of `count` tensors and return the new centre.

    Where there are no parts, the matrix `bond`, shape (left, 1, right), goes into a neighbour.
    """
    for _ in range(count):
        line.pop(first)
    for k in range(len(parts)):
        line.insert(first + k, parts[k])
    if len(parts) > 0:
        return first + len(parts) - 1
    matrix = np.ascontiguousarray(bond[:, 0, :])
    if first < len(line):
        y = line[first]
        line[first] = np.dot(matrix, y.reshape(y.shape[0], -1)).reshape(-1, y.shape[1], y.shape[2])
        return first
    if first > 0:
        y = line[first - 1]
        line[first - 1] = np.dot(y.reshape(-1, y.shape[2]), matrix).reshape(
            y.shape[0], y.shape[1], -1
        )
        return first - 1
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def swap(
    line: list[Complex], centre: Index, place: Index, cutoff: float, most: Index
) -> tuple[int, float]:
    """Exchange the bonds at `place` and the next; return the centre and the share left out."""
    centre, lost = move(line, centre, place, place + 1, cutoff, most)
    x, y = line[place], line[place + 1]
    both = joined(line, place, 2).reshape(x.shape[0], x.shape[1], y.shape[1], y.shape[2])
    turned = np.ascontiguousarray(both.transpose(0, 2, 1, 3)).reshape(x.shape[0], -1, y.shape[2])
    parts, share = split(turned, np.array([y.shape[1], x.shape[1]]), cutoff, most)
    return replace(line, place, 2, parts, turned), lost + share


@njit(cache=True, nogil=True, error_model="numpy")
def approach(
    sites: Sites, step: Index, line: list[Complex], centre: Index, cutoff: float, most: Index
) -> tuple[int, Complex, float]:
    """Bring the centre to a step's bonds; return it, their tensor and the share left out."""
    lost = 0.0
    for s in range(sites.swaps_at[step], sites.swaps_at[step + 1]):
        centre, share = swap(line, centre, sites.swaps[s], cutoff, most)
        lost += share
    first, count = sites.first[step], sites.inner[step]
    if count == 0:
        return centre, np.ones((1, 1, 1), np.complex128), lost
    centre, share = move(line, centre, first, first + count - 1, cutoff, most)
    return centre, joined(line, first, count), lost + share


@njit(cache=True, nogil=True, error_model="numpy")
def project(sites: Sites, step: Index, bit: Index, theta: Complex) -> tuple[Complex, float]:
    """Return (left, outer bonds, right) with the site's bit known, and its squared norm."""
    low, high = sites.values_at[step], sites.values_at[step + 1]
    tensor = sites.values[low:high].reshape(2, -1, theta.shape[1])
    out = np.empty((theta.shape[0], tensor.shape[1], theta.shape[2]), np.complex128)
    norm = 0.0
    for k in range(theta.shape[0]):
        np.dot(tensor[bit], theta[k], out[k])
    flat = out.reshape(-1)
    for k in range(len(flat)):
        norm += flat[k].real ** 2 + flat[k].imag ** 2
    return out, norm


@njit(cache=True, nogil=True, error_model="numpy")
def amplitudes(
    sites: Sites, bits: NDArray[np.uint8], cutoff: float, most: Index, log_p: Floats, lost: Floats
) -> None:
    """Write log |<bits|state>|**2 and the sum of shares left out, each of shape (shots,).

    Args:
        sites: The network.
        bits: Shape (shots, n).
        cutoff: Share of the boundary's squared norm that a cut may leave out.
        most: Largest bond of the boundary.
        log_p: Output.
        lost: Output.
    """
    for s in range(len(bits)):
        line = [np.empty((1, 1, 1), np.complex128)]
        line.pop()
        centre, log_p[s], lost[s] = 0, 0.0, 0.0
        for step in range(len(sites.site)):
            centre, theta, share = approach(sites, step, line, centre, cutoff, most)
            lost[s] += share
            theta, norm = project(sites, step, bits[s, sites.site[step]], theta)
            if norm == 0.0:
                log_p[s] = -np.inf
                break
            log_p[s] += np.log(norm)
            theta /= np.sqrt(norm)
            centre, share = settle(sites, step, line, theta, cutoff, most)
            lost[s] += share


@njit(cache=True, nogil=True, error_model="numpy")
def settle(
    sites: Sites, step: Index, line: list[Complex], theta: Complex, cutoff: float, most: Index
) -> tuple[int, float]:
    """Put a step's outer bonds on the boundary; return the centre and the share left out."""
    parts, lost = split(theta, sites.dims[step, : sites.outer[step]], cutoff, most)
    if sites.outer[step] == 0:
        parts.pop()
    return replace(line, sites.first[step], sites.inner[step], parts, theta), lost


@njit(cache=True, nogil=True, error_model="numpy")
def extend(rest: Rest, tensor: Index, view: Complex, part: Complex, back: bool) -> Complex:
    """Return what lies on one side of a boundary bond, with one more tensor.

    Args:
        rest: Operators of the sites not yet drawn.
        tensor: Which of them acts on this bond.
        view: What lies before it: (operator, bra, ket).
        part: The boundary tensor (before, bond, behind).
        back: Whether one looks from the right to the left.
    """
    here, there, levels = rest.shape[tensor]
    if back:
        here, there = there, here
    bra, bond, ket = view.shape[1], part.shape[1], part.shape[2]
    wide = np.dot(view.reshape(here * bra, -1), part.reshape(len(part), -1))
    turned = np.ascontiguousarray(wide.reshape(here, bra, bond, ket).transpose(0, 2, 1, 3))
    own = np.ascontiguousarray(np.conj(part.transpose(2, 1, 0)))
    low = rest.values_at[tensor]
    size = here * there * levels * levels
    values = rest.behind[low : low + size] if back else rest.ahead[low : low + size]
    matrix = values.reshape(there * levels, here * levels)
    first = np.ascontiguousarray(turned[:, :levels]).reshape(here * levels, bra * ket)
    acted = np.dot(matrix, first).reshape(there, levels * bra, ket)
    out = np.empty((there, ket, ket), np.complex128)
    close = np.ascontiguousarray(own[:, :levels]).reshape(ket, levels * bra)
    for k in range(there):
        np.dot(close, acted[k], out[k])
    if bond > levels:
        low = rest.others_at[tensor]
        close = np.ascontiguousarray(own[:, levels:]).reshape(ket, -1)
        for j in range(here):
            last = np.ascontiguousarray(turned[j, levels:]).reshape(-1, ket)
            through = np.dot(close, last)
            for k in range(there):
                place = low + (k * here + j if back else j * there + k)
                out[k] += rest.others[place] * through
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def trivial() -> list[Complex]:
    """Return what lies before the first bond."""
    return [np.ones((1, 1, 1), np.complex128)]


@njit(cache=True, nogil=True, error_model="numpy")
def look(
    rest: Rest,
    now: Ints,
    line: list[Complex],
    hole: tuple[int, int],
    views: tuple[list[Complex], list[Complex]],
    used: Ints,
) -> None:
    """Complete the views from both ends of the boundary up to a hole in it.

    Args:
        rest: Operators of the sites not yet drawn.
        now: Which tensor acts on each position, counted from the left of the hole and, with
            negative indices, from the right end.
        line: The boundary.
        hole: First position and length.
        views: From the left, after 0, 1, ... tensors, and from the right. What is there already
            must belong to tensors that have not changed; it is dropped where `now` has.
        used: Which tensors were used in each, shape (2, width).
    """
    first, count = hole
    ahead, behind = views
    while len(ahead) > first + 1:
        ahead.pop()
    for k in range(len(ahead) - 1):
        if used[0, k] != now[k]:
            while len(ahead) > k + 1:
                ahead.pop()
            break
    for k in range(len(ahead) - 1, first):
        ahead.append(extend(rest, now[k], ahead[k], line[k], False))
        used[0, k] = now[k]
    after = len(line) - first - count
    while len(behind) > after + 1:
        behind.pop()
    for k in range(len(behind) - 1):
        if used[1, k] != now[len(now) - 1 - k]:
            while len(behind) > k + 1:
                behind.pop()
            break
    for k in range(len(behind) - 1, after):
        part = flipped(line[len(line) - 1 - k])
        behind.append(extend(rest, now[len(now) - 1 - k], behind[k], part, True))
        used[1, k] = now[len(now) - 1 - k]


@njit(cache=True, nogil=True, error_model="numpy")
def forget(views: tuple[list[Complex], list[Complex]], ahead: Index, behind: Index) -> None:
    """Keep only the views over the outermost `ahead` and `behind` tensors."""
    while len(views[0]) > max(ahead, 0) + 1:
        views[0].pop()
    while len(views[1]) > max(behind, 0) + 1:
        views[1].pop()


@njit(cache=True, nogil=True, error_model="numpy")
def weight(
    rest: Rest, now: Ints, theta: Complex, parts: list[Complex], view: Complex, back: Complex
) -> float:
    """Return the squared norm of the boundary in the metric of the rest.

    Args:
        rest: Operators of the sites not yet drawn.
        now: Those on the outer bonds of the site being drawn.
        theta: Its tensor, (left, outer bonds, right).
        parts: The same as boundary tensors.
        view: What lies left of it.
        back: What lies right of it.
    """
    if len(now) == 0:
        matrix = np.ascontiguousarray(theta[:, 0, :])
        close = np.ascontiguousarray(np.conj(matrix.T))
        total = 0.0
        for k in range(len(view)):
            both = np.dot(close, np.dot(view[k], matrix))
            total += (both * back[k]).sum().real
        return total
    for k in range(len(parts)):
        view = extend(rest, now[k], view, parts[k], False)
    return float((view * back).sum().real)


@njit(cache=True, nogil=True, error_model="numpy")
def draw(
    sites: Sites,
    rest: Rest,
    uniforms: Floats,
    cutoff: float,
    most: Index,
    bits: NDArray[np.uint8],
    log_q: Floats,
) -> None:
    """Draw bits and write the logarithm of the probability they were drawn with.

    Args:
        sites: The network, in the gauge where the product of identities stands for the rest.
        rest: What stands for the rest instead; without any, the identities do.
        uniforms: Shape (shots, n); a bit is 1 where its number is below the chance of 1.
        cutoff: Share of the boundary's squared norm that a cut may leave out.
        most: Largest bond of the boundary.
        bits: Output, shape (shots, n).
        log_q: Output, shape (shots,).
    """
    used = np.zeros((2, max(1, rest.at.shape[1])), np.int64)
    chances = np.empty(2)
    for s in range(len(uniforms)):
        line = trivial()
        line.pop()
        views = (trivial(), trivial())
        centre, log_q[s] = 0, 0.0
        for step in range(len(sites.site)):
            centre, theta, _ = approach(sites, step, line, centre, cutoff, most)
            zero, norm0 = project(sites, step, 0, theta)
            one, norm1 = project(sites, step, 1, theta)
            chances[0], chances[1] = norm0, norm1
            if rest.at.shape[1] > 0:
                swapped = sites.swaps_at[step] < sites.swaps_at[step + 1]
                forget(views, 0 if swapped else centre, 0 if swapped else len(line) - 1 - centre)
                _judge(sites, rest, step, line, (zero, one), views, used, cutoff, most, chances)
            chance = chances[1] / (chances[0] + chances[1])
            bit = uniforms[s, sites.site[step]] < chance
            bits[s, sites.site[step]] = bit
            log_q[s] += np.log(chance if bit else 1.0 - chance)
            if bit:
                zero, norm0 = one, norm1
            zero /= np.sqrt(norm0)
            centre, _ = settle(sites, step, line, zero, cutoff, most)
            forget(views, centre, len(line) - 1 - centre)


@njit(cache=True, nogil=True, error_model="numpy")
def _judge(
    sites: Sites,
    rest: Rest,
    step: Index,
    line: list[Complex],
    branches: tuple[Complex, Complex],
    views: tuple[list[Complex], list[Complex]],
    used: Ints,
    cutoff: float,
    most: Index,
    chances: Floats,
) -> None:
    """Replace the squared norms of both branches by those in the metric of the rest."""
    first, inner, outer = sites.first[step], sites.inner[step], sites.outer[step]
    now = rest.at[step, : len(line) - inner + outer]
    look(rest, now, line, (first, inner), views, used)
    back = views[1][len(views[1]) - 1]
    own = now[first : first + outer]
    dims = sites.dims[step, :outer]
    found = np.zeros(2)
    parts, _ = split(branches[0], dims, cutoff, most)
    found[0] = weight(rest, own, branches[0], parts, views[0][first], back)
    parts, _ = split(branches[1], dims, cutoff, most)
    found[1] = weight(rest, own, branches[1], parts, views[0][first], back)
    for bit in range(2):  # cuts of the rest can make a small weight negative
        found[bit] = max(found[bit], 0.0) if chances[bit] > 0.0 else 0.0
    if found.sum() > 0.0:
        chances[:] = found
