"""The swept part of a graph tensor network: a matrix product over the bonds to the rest.

One tensor (shots, left, bond, right) stands for each bond that joins swept and unswept sites. The
matrix product has a centre: tensors left of it are isometries from the left, those right of it
from the right, so that the squared norm of the centre is that of the whole. All shots are worked on
at once.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from qdt_emu.engines.network_state import Array
from qdt_emu.engines.network_sweep import Step

NARROW = 16  # columns of the first sketch of a matrix; doubled until it is enough
UNSEEN = 0.3  # part of the share that may be left out which a sketch may not see
SPARE = 8  # vectors of a sketch beyond the rank that is looked for
SMALLEST = 1e-150  # its square is still a number
TINY = 1e-28  # share of a squared norm that is rounding of rounding


@dataclass(frozen=True)
class Cut:
    """How much of a boundary is kept.

    Attributes:
        rank: Largest bond.
        cutoff: Share of the squared norm that one cut may leave out.
    """

    rank: int
    cutoff: float


class Boundary:
    """The boundary of all shots, changed in place by the sweep.

    Attributes:
        line: Its tensors.
        centre: Which of them is the centre.
        lost: Sum of the shares of the squared norm that cuts left out, shape (shots,).
    """

    def __init__(self, shots: int, cut: Cut, dtype: Any) -> None:
        self.cut, self.shots, self.dtype = cut, shots, dtype
        self.line: list[Array] = []
        self.centre = 0
        self.lost = np.zeros(shots)

    def open(self, step: Step) -> Array:
        """Return the tensors on a step's inner bonds as one, (shots, left, bonds, right)."""
        for place in step.swaps:
            self._swap(place)
        count = len(step.inner)
        if not count:
            return np.ones((self.shots, 1, 1, 1), self.dtype)
        self._move(step.first, step.first + count - 1)
        return self._joined(step.first, count)

    def close(self, step: Step, theta: Array, parts: list[Array]) -> None:
        """Put a step's outer bonds in the place of its inner ones.

        Args:
            step: The step.
            theta: The site's tensor, (shots, left, bonds, right).
            parts: The same as one tensor per outer bond.
        """
        first = step.first
        self.line[first : first + len(step.inner)] = parts
        self.centre = max(0, first + len(parts) - 1)
        if parts or not self.line:
            return
        matrix = theta[:, :, 0]
        if first < len(self.line):
            self.centre = first
            self.line[first] = _times(matrix, self.line[first])
        else:
            self.line[first - 1] = _after(self.line[first - 1], matrix)

    def _move(self, low: int, high: int) -> None:
        """Bring the centre into low .. high."""
        while self.centre < low:
            x = self.line[self.centre]
            q, r, share = factor(x.reshape(self.shots, -1, x.shape[-1]), self.cut)
            self.line[self.centre] = q.reshape(*x.shape[:3], -1)
            self.centre += 1
            self.line[self.centre] = _times(r, self.line[self.centre])
            self.lost = self.lost + share
        while self.centre > high:
            x = self.line[self.centre]
            back = x.reshape(self.shots, x.shape[1], -1).swapaxes(1, 2)
            q, r, share = factor(back, self.cut)
            self.line[self.centre] = q.swapaxes(1, 2).reshape(self.shots, -1, *x.shape[2:])
            self.centre -= 1
            self.line[self.centre] = _after(self.line[self.centre], r.swapaxes(1, 2))
            self.lost = self.lost + share

    def _joined(self, first: int, count: int) -> Array:
        out = self.line[first]
        for other in self.line[first + 1 : first + count]:
            both = _after(out.reshape(self.shots, 1, -1, out.shape[-1]), _flat(other))
            out = both.reshape(self.shots, out.shape[1], -1, other.shape[-1])
        return out

    def _swap(self, place: int) -> None:
        """Exchange the bonds at a place and the next."""
        self._move(place, place + 1)
        x, y = self.line[place], self.line[place + 1]
        both = self._joined(place, 2).reshape(*x.shape[:3], y.shape[2], y.shape[3])
        turned = both.swapaxes(2, 3).reshape(self.shots, x.shape[1], -1, y.shape[3])
        self.line[place : place + 2], lost = split(turned, (y.shape[2], x.shape[2]), self.cut)
        self.lost = self.lost + lost
        self.centre = place + 1


def split(theta: Array, dims: tuple[int, ...], cut: Cut) -> tuple[list[Array], Array]:
    """Return (shots, left, bonds, right) as one tensor per bond, and the shares left out.

    The last tensor is the centre. Without bonds there is no tensor.
    """
    found = []
    lost = np.zeros(len(theta))
    for dim in dims[:-1]:
        shots, left, _, right = theta.shape
        q, r, share = factor(theta.reshape(shots, left * dim, -1), cut)
        found.append(q.reshape(shots, left, dim, -1))
        theta = r.reshape(shots, q.shape[-1], -1, right)
        lost = lost + share
    return ([*found, theta] if dims else []), lost


def _flat(tensor: Array) -> Array:
    return tensor.reshape(tensor.shape[0], tensor.shape[1], -1)


def _times(matrix: Array, tensor: Array) -> Array:
    """Return a boundary tensor with a matrix on its left."""
    return (matrix @ _flat(tensor)).reshape(len(tensor), -1, *tensor.shape[2:])


def _after(tensor: Array, matrix: Array) -> Array:
    """Return a boundary tensor with a matrix on its right."""
    rows = tensor.reshape(len(tensor), -1, tensor.shape[-1]) @ matrix
    return rows.reshape(*tensor.shape[:3], -1)


def factor(matrix: Array, cut: Cut) -> tuple[Array, Array, Array]:
    """Return q (shots, a, r) with orthonormal columns, r (shots, r, b) and the shares left out.

    q r is the matrix cut to its largest singular values; columns of q that a shot does not need are
    0. The rank is the largest that a shot needs.

    Args:
        matrix: Shape (shots, a, b).
        cut: Largest rank and cutoff.

    Error:
        Where a and b are well above the rank, the singular vectors are looked for in the range of
        a sketch after one power iteration, which adds at most `UNSEEN` of the cutoff or, at the
        largest rank, a few per cent of what is left out. Relative singular values s have a relative
        error of 1e-16 / s**2, because Gram matrices are diagonalised.

    Source:
        Halko, Martinsson and Tropp, SIAM Rev. 53, 217 (2011), algorithm 4.4.
    """
    adjoint = matrix.conj().swapaxes(1, 2)
    total = np.maximum(_squares(matrix), 1e-300)
    a, b = matrix.shape[1:]
    base = None
    wide = NARROW
    while min(a, b) > 2 * wide:
        sketch = matrix @ np.asarray(_sketch(b, wide), matrix.dtype)
        base, _ = np.linalg.qr(matrix @ (adjoint @ sketch))
        inside = base.conj().swapaxes(1, 2) @ matrix
        if (
            wide >= cut.rank + SPARE
            or (total - _squares(inside) <= UNSEEN * cut.cutoff * total).all()
        ):
            matrix, a = inside, wide
            adjoint = matrix.conj().swapaxes(1, 2)
            break
        base, wide = None, 2 * wide
    if a <= b:
        values, left = np.linalg.eigh(matrix @ adjoint)
        keep = _kept(values, total, cut)
        left = left[:, :, -keep.shape[1] :] * keep[:, None, :]
        right = left.conj().swapaxes(1, 2) @ matrix
    else:
        values, back = np.linalg.eigh(adjoint @ matrix)
        keep = _kept(values, total, cut)
        # A shot of vanishing amplitude has only zeros; the root must not underflow with it.
        sizes = np.sqrt(np.maximum(values[:, -keep.shape[1] :], TINY * total[:, None]))
        sizes = np.maximum(sizes, SMALLEST)
        back = back[:, :, -keep.shape[1] :]
        left = matrix @ (back * (keep / sizes)[:, None, :])
        right = (keep * sizes)[:, :, None] * back.conj().swapaxes(1, 2)
    lost = np.maximum(1 - _squares(right) / total, 0.0)
    return left if base is None else base @ left, right, lost


def _squares(x: Array) -> Array:
    """Return the squared norm of each shot's part."""
    flat = x.reshape(len(x), -1)
    return (flat.real**2 + flat.imag**2).sum(axis=1)


def _kept(values: Array, total: Array, cut: Cut) -> Array:
    """Return 1 for each squared singular value kept, else 0, for the largest of all shots.

    Args:
        values: Ascending, shape (shots, m).
        total: Squared norms including what is not among the values, shape (shots,).
        cut: Largest rank and cutoff.
    """
    values = np.maximum(values, 0.0)
    before = np.cumsum(values, axis=1) + np.maximum(total - values.sum(axis=1), 0.0)[:, None]
    keep = (before > cut.cutoff * total[:, None]) & (values > TINY * total[:, None])
    rank = min(cut.rank, values.shape[1])
    rank = max(1, min(rank, int(keep.sum(axis=1).max())))
    return keep[:, -rank:].astype(values.dtype)


@lru_cache(maxsize=128)
def _sketch(rows: int, columns: int) -> Array:
    """Return a fixed matrix in general position."""
    return np.random.default_rng(rows).normal(size=(rows, columns))
