"""Linear least squares in latent variables of unit prior width, and the Gaussian they end in.

Variables that share no data are solved apart. Within such a block the smaller of its two sides is
factorised, and variables that meet each other nowhere (the amplitudes) are eliminated first.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse import csgraph

from qdt_emu.learning.pauli_design import Floats, Sparse

NEGLIGIBLE = 1e-12  # Fisher information that is rounding

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Block:
    """The posterior of latent variables that share data.

    Attributes:
        index: The variables, shape (k,).
        root: Shape (k, r), see `few`.
        own: Shape (k,): variance of a variable besides what `root` says.
        few: Whether there are fewer values than variables. The covariance is then diag(own) - R R^T
            with orthogonal columns, otherwise diag(own) + R R^T.
    """

    index: Ints
    root: Floats
    own: Floats
    few: bool

    def covariance(self, loading: Sparse) -> Floats:
        """Return what the data change in the covariance of linear functions, shape (p, p)."""
        part = loading[:, self.index]
        seen = part @ self.root
        change = (part @ sparse.diags_array(self.own - 1.0) @ part.T).toarray()
        return np.asarray(change - seen @ seen.T if self.few else change + seen @ seen.T)

    def variance(self, loading: Sparse) -> Floats:
        """Return the diagonal of `covariance`, shape (p,)."""
        part = loading[:, self.index]
        seen = ((part @ self.root) ** 2).sum(1)
        change = part.multiply(part) @ (self.own - 1.0)
        return np.asarray(change - seen if self.few else change + seen)

    def spread(self, noise: Floats) -> Floats:
        """Return standard normals (..., k) as deviations of the posterior."""
        if not self.few:
            joint = noise[..., self.own == 0] @ self.root.T
            return np.asarray(joint + np.sqrt(self.own) * noise)
        share = (self.root**2).sum(0)  # of the prior variance that the data removed
        shrink = (1.0 - np.sqrt(1.0 - share)) / share
        return np.asarray(noise - (noise @ self.root * shrink) @ self.root.T)


def components(jacobian: Sparse) -> tuple[tuple[Ints, Ints], ...]:
    """Return rows and columns of the parts of a matrix that share nothing."""
    pattern = jacobian != 0
    m = pattern.shape[0]
    graph = sparse.block_array([[None, pattern], [pattern.T, None]])
    count, label = csgraph.connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])
    split = ((part[part < m], part[part >= m] - m) for part in parts)
    return tuple((rows, index) for rows, index in split if rows.size and index.size)


def newton(
    jacobian: Sparse, residuals: Floats, blocks: tuple[tuple[Ints, Ints], ...], apart: Flags
) -> Floats:
    """Return the z that minimises |J z + r|^2 + |z|^2.

    Args:
        jacobian: J, shape (m, k), sparse.
        residuals: r, shape (m,).
        blocks: From `components`.
        apart: Variables of which no two may share a row, shape (k,).
    """
    out = np.zeros(jacobian.shape[1])
    for rows, index in blocks:
        part, r = jacobian[rows][:, index], residuals[rows]
        if rows.size > index.size:
            out[index] = _Tall(part, apart[index]).solve(-(part.T @ r))
            continue
        gram = (part @ part.T).toarray()
        gram.flat[:: len(gram) + 1] += 1.0
        factor = linalg.cho_factor(gram, overwrite_a=True, check_finite=False)
        out[index] = -part.T @ linalg.cho_solve(factor, r)
    return out


def block(jacobian: Sparse, rows: Ints, index: Ints, apart: Flags) -> Block:
    """Return the posterior of some latent variables, see `newton`."""
    part = jacobian[rows][:, index]
    if rows.size > index.size:
        return _Tall(part, apart[index]).block(index)
    information, vectors = linalg.eigh((part @ part.T).toarray(), overwrite_a=True)
    seen = information > NEGLIGIBLE * max(information[-1], 1.0)
    information, vectors = information[seen], vectors[:, seen]
    root = (part.T @ vectors) / np.sqrt(1.0 + information)
    return Block(index, root, np.ones(index.size), few=True)


class _Tall:
    """The factorised 1 + J^T J; variables `s` that meet nowhere are eliminated, `r` remain."""

    def __init__(self, part: Sparse, apart: Flags) -> None:
        gram = sparse.csr_array(part.T @ part)
        if gram[apart][:, apart].nnz > apart.sum():
            apart = np.zeros_like(apart)
        self.r, self.s = np.flatnonzero(~apart), np.flatnonzero(apart)
        self.diagonal = 1.0 + gram.diagonal()[self.s]
        cross = gram[self.s][:, self.r]
        self.share = sparse.csr_array(sparse.diags_array(1.0 / self.diagonal) @ cross)
        matrix = (gram[self.r][:, self.r] - cross.T @ self.share).toarray()
        matrix.flat[:: len(matrix) + 1] += 1.0
        self.lower = linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, right: Floats) -> Floats:
        out = np.empty_like(right)
        reduced = right[self.r] - self.share.T @ right[self.s]
        out[self.r] = linalg.cho_solve((self.lower, True), reduced, check_finite=False)
        out[self.s] = right[self.s] / self.diagonal - self.share @ out[self.r]
        return out

    def block(self, index: Ints) -> Block:
        root, own = np.empty((index.size, self.r.size)), np.zeros(index.size)
        root[self.r] = linalg.lapack.dtrtri(self.lower, lower=1)[0].T
        root[self.s] = -(self.share @ root[self.r])
        own[self.s] = 1.0 / self.diagonal
        return Block(index, root, own, few=False)
