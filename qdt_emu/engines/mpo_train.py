"""Operators as trains of real tensors in the Pauli basis, truncated without touching a marginal.

A bond is cut in the Hilbert-Schmidt norm, but not blindly: with the functional l x r that the
answer needs (the trace of a state; for an observable the mean-field state it will meet), a block
theta is written as theta r l theta / (l theta r) plus a connected rest, and only the rest is cut.
So the trace, and everything that lives on one side of the bond, survives every truncation exactly.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float64]

OVERSAMPLE = 8  # directions beyond those kept, in the range finder
LARGEST_PART = 1.5  # norm of the disconnected part over that of the block; beyond, project instead
ROUNDING = 1e-15


@dataclass(eq=False)
class Train:
    """A train of tensors in mixed canonical form, with the functional that is kept exact.

    Attributes:
        tensors: Shape (left bond, 4, right bond) each; all but the centre are isometries.
        probe: Functional on each site, shape (n, 4).
        cap: Largest bond after a truncation.
        cutoff: Relative Hilbert-Schmidt norm that may be dropped at each truncation.
        centre: Where the norm is.
        cuts: Squared relative norm that each truncation cut.
        widest: Largest bond so far.
    """

    tensors: list[Floats]
    probe: Floats
    cap: int
    cutoff: float
    centre: int = 0
    cuts: list[float] = field(default_factory=list)
    widest: int = 1
    _left: list[Floats] = field(default_factory=list)
    _right: list[Floats] = field(default_factory=list)

    @classmethod
    def product(cls, vectors: Floats, probe: Floats, cap: int, cutoff: float) -> "Train":
        """Return a product of one vector per site, shape (n, 4)."""
        n = len(vectors)
        train = cls([v.reshape(1, 4, 1).copy() for v in vectors], probe.copy(), cap, cutoff)
        train._left = [np.ones(1)] * n
        train._right = [np.ones(1)] * n
        for k in range(n - 1, 0, -1):
            train._right[k - 1] = train._closed(k) @ train._right[k]
        return train

    def apply_one(self, site: int, matrix: Floats) -> None:
        """Act with a map on one site."""
        self._go(site, site)
        self.tensors[site] = np.einsum("xy,lyr->lxr", matrix, self.tensors[site])

    def apply_two(self, site: int, matrix: Floats, *, rightwards: bool) -> None:
        """Act with a map on two neighbours and cut their bond; the centre follows the direction."""
        self._go(site, site + 1)
        a, b = self.tensors[site], self.tensors[site + 1]
        left, right = a.shape[0], b.shape[2]
        pair = a.reshape(-1, a.shape[2]) @ b.reshape(b.shape[0], -1)
        pair = (matrix @ pair.reshape(left, 16, right)).reshape(4 * left, 4 * right)
        low = np.multiply.outer(self._left[site], self.probe[site]).ravel()
        high = np.multiply.outer(self.probe[site + 1], self._right[site + 1]).ravel()
        if rightwards:
            kept, rest, cut = split(pair, low, high, self.cap, self.cutoff)
        else:
            rest, kept, cut = split(pair.T, high, low, self.cap, self.cutoff)
            kept, rest = kept.T, rest.T
        self.tensors[site] = kept.reshape(left, 4, -1)
        self.tensors[site + 1] = rest.reshape(-1, 4, right)
        self.cuts.append(cut)
        self.widest = max(self.widest, kept.shape[1])
        if rightwards:
            self._left[site + 1] = self._left[site] @ self._closed(site)
        else:
            self._right[site] = self._closed(site + 1) @ self._right[site + 1]
        self.centre = site + rightwards

    def _closed(self, site: int) -> Floats:
        """Return the tensor with the functional on its physical leg."""
        closed: Floats = np.einsum("lpr,p->lr", self.tensors[site], self.probe[site])
        return closed

    def _go(self, first: int, last: int) -> None:
        """Move the centre by QR until first <= centre <= last."""
        while self.centre < first:
            c = self.centre
            a = self.tensors[c]
            if a.shape[2] > 1 or a.shape[0] > 1:
                q, r = np.linalg.qr(a.reshape(-1, a.shape[2]))
                after = self.tensors[c + 1]
                self.tensors[c] = q.reshape(a.shape[0], 4, -1)
                self.tensors[c + 1] = (r @ after.reshape(len(after), -1)).reshape(
                    -1, 4, after.shape[2]
                )
            self._left[c + 1] = self._left[c] @ self._closed(c)
            self.centre += 1
        while self.centre > last:
            c = self.centre
            a = self.tensors[c]
            if a.shape[2] > 1 or a.shape[0] > 1:
                q, r = np.linalg.qr(a.reshape(a.shape[0], -1).T)
                self.tensors[c] = q.T.reshape(-1, 4, a.shape[2])
                self.tensors[c - 1] = self.tensors[c - 1] @ r.T
            self._right[c - 1] = self._closed(c) @ self._right[c]
            self.centre -= 1


def split(
    theta: Floats, low: Floats, high: Floats, cap: int, cutoff: float
) -> tuple[Floats, Floats, float]:
    """Return an isometry, what it carries, and the squared relative norm that was cut.

    The product agrees with `theta` on `low` from the left and on `high` from the right; the rest
    is the best of its rank in the Hilbert-Schmidt norm, up to a few per cent of what is cut.

    Args:
        theta: Block, shape (a, b).
        low: Functional on the rows, shape (a,).
        high: Functional on the columns, shape (b,).
        cap: Largest rank.
        cutoff: Relative norm that may be cut anyway.

    Cost:
        Four products with cap + 8 vectors; a full SVD where the rank needs no cap.

    Source:
        White, Zaletel, Mong and Refael, PRB 97, 035127 (2018), section III, with one operator kept;
        range finder: Halko, Martinsson and Tropp, SIAM Rev. 53, 217 (2011), algorithm 4.4.
    """
    norm = float(np.linalg.norm(theta))
    if norm == 0.0:
        return np.eye(len(theta), 1), np.zeros((1, theta.shape[1])), 0.0
    a, b = theta @ high, low @ theta
    total = float(low @ a)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    if size < LARGEST_PART * norm * abs(total):
        basis, main = a[:, None], None
        rest = theta - np.multiply.outer(a / total, b)
    elif min(theta.shape) <= cap:
        basis, main, rest = np.zeros((len(theta), 0)), None, theta
    else:
        low, high = _unit(low), _unit(high)
        b, a = low @ theta, theta @ high
        main = np.multiply.outer(low, b) + np.multiply.outer(a - low * (low @ a), high)
        basis, rest = np.stack([low, a], 1), theta - main
    room = min(cap, *theta.shape) - basis.shape[1]
    u, carried, cut = _leading(rest, room, max(cutoff, ROUNDING) * norm)
    if basis.shape[1] == 0:
        return u, carried, cut / norm**2
    kept, _ = np.linalg.qr(np.concatenate([basis, u], 1))
    found = (kept.T @ u) @ carried
    if main is None:
        found += np.multiply.outer(kept.T @ (a / total), b)
    else:
        found += kept.T @ main
    return kept, found, cut / norm**2


def _unit(vector: Floats) -> Floats:
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector


def _leading(matrix: Floats, rank: int, tail: float) -> tuple[Floats, Floats, float]:
    """Return left singular vectors u, u^T matrix, and the squared norm that they miss.

    At most `rank` vectors; fewer as long as the missed norm stays below `tail`.
    """
    if min(matrix.shape) <= rank + OVERSAMPLE:
        u, s, v = _svd(matrix)
        k = min(rank, int(np.count_nonzero(_tails(s**2) > tail**2)))
        return u[:, :k], s[:k, None] * v[:k], float((s[k:] ** 2).sum())
    found = matrix @ _directions(matrix.shape[1], rank + OVERSAMPLE)
    basis, _ = np.linalg.qr(found)
    basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    carried = basis.T @ matrix
    # Not by the Gram matrix, which cannot tell singular values below 1e-8 of the largest from 0.
    turn, s, _ = _svd(np.linalg.qr(carried.T)[1].T)
    whole = float(np.vdot(matrix, matrix))
    missed = whole - float((s**2).sum())
    missed = missed if missed > 1e-14 * whole else 0.0
    k = min(rank, int(np.count_nonzero(_tails(s**2) + missed > tail**2)))
    return basis @ turn[:, :k], turn[:, :k].T @ carried, missed + float((s[k:] ** 2).sum())


def _svd(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the thin decomposition, by QR steps where divide and conquer does not converge."""
    try:
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        u, s, v = linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u, s, v


def _tails(weights: Floats) -> Floats:
    """Return the sum of each entry and all behind it."""
    return np.cumsum(weights[::-1])[::-1]


@lru_cache(maxsize=64)
def _directions(rows: int, columns: int) -> Floats:
    """Return the same Gaussian directions for every call, so that a run can be repeated."""
    out = np.random.Generator(np.random.Philox(rows)).normal(size=(rows, columns))
    out.setflags(write=False)
    return out
