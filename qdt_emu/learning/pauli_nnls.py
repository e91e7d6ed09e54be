"""Pauli-Lindblad rates without a prior: non-negative least squares, and what it cannot tell.

Only products of Pauli fidelities along the orbits of the measured Paulis can be learned. Terms that
the data see only together are reported as such: their sum, and no numbers of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse import csgraph

from qdt_emu.errors import InputError
from qdt_emu.learning.pauli_design import Design, Floats, Sparse, Term
from qdt_emu.noise.pauli_lindblad import PauliLindblad

ROUNDS = 4  # of linearising exp(); the change falls by the relative noise in each
START = 3.0  # standard errors above 0 from which a value has a useful logarithm
NULL = 1e-12  # eigenvalue of the normalised normal matrix, for each column, that counts as 0
LOOSE = 1e-6  # share of a column in what changes nothing that counts as 0
RIDGE = 1e-10  # on the normalised normal matrix: splits what cannot be told apart evenly

Ints: TypeAlias = NDArray[np.int64]
Part: TypeAlias = tuple[Ints, Floats, Floats]
"""Columns that hang together, H with covariance H H^T, and an orthonormal null space."""


@dataclass(frozen=True)
class Combination:
    """A sum of rates that the data determine although they do not determine its parts.

    Attributes:
        weights: Weight of each (layer, term).
        rate: The weighted sum.
        rate_error: Its standard error.
    """

    weights: Mapping[tuple[int, Term], float]
    rate: float
    rate_error: float

    def __str__(self) -> str:
        parts = [
            f"{'' if np.isclose(w, 1) else f'{w:.3g} '}{pauli}{list(qubits)}@{layer}"
            for (layer, (pauli, qubits)), w in self.weights.items()
        ]
        return f"{' + '.join(parts)} = {self.rate:.3g} +- {self.rate_error:.2g}"


@dataclass(frozen=True, eq=False)
class LearnedRates:
    """What non-negative least squares makes of Clifford data.

    Attributes:
        models: Noise of each layer. A term that is not identified has a share of its sum and no
            standard error (NaN): predictions of such circuits do not depend on the split.
        identified: Whether the data determine the rate, shape (layers, terms).
        combinations: The sums that are determined where single rates are not.
        unseen: Terms that no measured Pauli feels.
        spam: ln(amplitude) of each pair of Paulis, shape (pairs,).
        misfit: Sum of squared residuals in standard errors.
    """

    models: tuple[PauliLindblad, ...]
    identified: NDArray[np.bool_]
    combinations: tuple[Combination, ...]
    unseen: tuple[tuple[int, Term], ...]
    spam: Floats
    misfit: float

    @property
    def rates(self) -> Floats:
        """Rates, shape (layers, terms)."""
        return np.stack([np.asarray(model.rates) for model in self.models])


def nonnegative_rates(design: Design, *, spam: bool = True) -> LearnedRates:
    """Return the rates >= 0 that fit measured Paulis best, with a SPAM amplitude for each pair.

    Rates at the boundary are exactly 0.

    Args:
        design: What was measured, and how it depends on the rates.
        spam: False where preparation and measurement are known to be perfect.

    Raises:
        InputError: No value is clearly above 0.

    Error:
        Standard errors are those of unbounded least squares, too large at the boundary. Values are
        linearised around the fit, exact for Gaussian errors that are small against the values.

    Cost:
        Seconds for 127 qubits and three layers of 1677 terms.

    Source:
        van den Berg et al., arXiv:2201.09866; what can be learned: Chen et al., arXiv:2206.06362.
    """
    groups = _groups(design, spam)
    columns = sparse.csr_array(-design.meetings @ groups.spread)
    use = design.values > START * design.errors
    if not use.any():
        raise InputError(f"Some values must be {START:g} standard errors above 0, but none is.")
    fitted = np.where(use, design.values, 1.0)
    sums, amplitudes = np.zeros(groups.count), np.zeros(design.spam.shape[1])
    for k in range(ROUNDS):
        weight = np.where(use | (k > 0), fitted / design.errors, 0.0) ** 2
        target = np.log(fitted) + (design.values - fitted) / fitted
        gram, right, mean = _normal(columns, target, weight, design.spam if spam else None)
        parts = _components(gram)
        for part in parts:
            sums[part] = _scaled(gram, right, part, sums[part] > 0)
        if spam:
            amplitudes = mean(target - columns @ sums)
        fitted = np.exp(columns @ sums + design.spam @ amplitudes)
    return _report(design, groups, sums, amplitudes, [_certainty(gram, p) for p in parts], fitted)


@dataclass(frozen=True, eq=False)
class _Groups:
    """Terms by what the data see of them: nothing, the same as others, or something of their own.

    Attributes:
        count: Number of different columns of the design.
        owner: Column of each rate, -1 for a rate that is not seen.
        scale: Multiple of the column that the rate has.
        spread: Equal rates in a group from the group's sum, shape (rates, count).
    """

    count: int
    owner: Ints
    scale: Floats
    spread: Sparse

    def rates_of(self, columns: Ints, row: Floats) -> dict[int, float]:
        """Return the weight of each rate in a sum of columns."""
        out = {}
        for column, weight in zip(columns.tolist(), row.tolist(), strict=True):
            for k in np.flatnonzero(self.owner == column).tolist():
                out[k] = weight * float(self.scale[k])
        return out


def _groups(design: Design, spam: bool) -> _Groups:
    """Return the groups of equal columns; equal are those with equal products with random rows."""
    a, probe = design.meetings, np.random.default_rng(0).standard_normal((len(design.values), 3))
    squares, products = np.asarray(a.multiply(a).sum(0), float), a.T @ probe
    if spam:  # what a column shares with an amplitude says nothing about the rate
        count = np.asarray(design.spam.sum(0), float).ravel()
        total = sparse.csr_array(design.spam.T @ a)
        mean = sparse.diags_array(1.0 / count) @ total
        squares = squares - np.asarray(mean.multiply(total).sum(0), float)
        products = products - mean.T @ (design.spam.T @ probe)
    norm = np.sqrt(np.maximum(squares, 0.0))
    seen = np.flatnonzero(norm > LOOSE * norm.max(initial=0.0))
    marks = np.round(products[seen] / norm[seen, None], 8)
    _, first, inverse = np.unique(marks, axis=0, return_index=True, return_inverse=True)
    group = inverse.ravel()
    owner, scale = np.full(norm.size, -1), np.zeros(norm.size)
    owner[seen], scale[seen] = group, norm[seen] / norm[seen[first]][group]
    even = 1.0 / np.bincount(group, scale[seen], len(first))[group]
    spread = sparse.csr_array((even, (seen, group)), shape=(norm.size, len(first)))
    return _Groups(len(first), owner, scale, spread)


def _normal(
    columns: Sparse, target: Floats, weight: Floats, spam: Sparse | None
) -> tuple[Sparse, Floats, Callable[[Floats], Floats]]:
    """Return normal matrix and right side without the amplitudes, and a weighted mean for each."""
    heavy = sparse.diags_array(weight) @ columns
    gram, right = columns.T @ heavy, heavy.T @ target
    if spam is None:
        return sparse.csr_array(gram), right, lambda x: x
    total = np.maximum(spam.T @ weight, 1e-300)
    sums = spam.T @ heavy

    def mean(x: Floats) -> Floats:
        out: Floats = (spam.T @ (weight * x)) / total
        return out

    gram = gram - sums.T @ (sparse.diags_array(1.0 / total) @ sums)
    return sparse.csr_array(gram), right - sums.T @ mean(target), mean


def _components(gram: Sparse) -> list[Ints]:
    count, label = csgraph.connected_components(gram, directed=False)
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])
    return [part for part in parts if part.size]


def _scaled(gram: Sparse, right: Floats, part: Ints, guess: NDArray[np.bool_]) -> Floats:
    """Return the non-negative solution of one independent part."""
    matrix, size = _normalised(gram, part)
    return pivoted_nnls(matrix, right[part] / size, guess) / size


def _certainty(gram: Sparse, part: Ints) -> Part:
    matrix, size = _normalised(gram, part)
    lower = linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if lower[1] == 0 and np.diag(lower[0]).min() ** 2 > NULL * len(size):
        half = linalg.lapack.dtrtri(lower[0], lower=1)[0].T / size[:, None]
        return part, half, np.zeros((len(size), 0))
    values, vectors = linalg.eigh(matrix)
    null = values < NULL * len(values)
    half = vectors[:, ~null] / np.sqrt(values[~null]) / size[:, None]
    return part, half, vectors[:, null] / size[:, None] * size.min()


def _normalised(gram: Sparse, part: Ints) -> tuple[Floats, Floats]:
    matrix = gram[part][:, part].toarray()
    size: Floats = np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
    return matrix / np.outer(size, size), size


def pivoted_nnls(
    matrix: Floats, right: Floats, guess: NDArray[np.bool_] | None = None, *, rounds: int = 500
) -> Floats:
    """Return the x >= 0 that minimises x^T A x / 2 - b^T x.

    Block principal pivoting: all variables on the wrong side change sides at once; after three
    rounds without progress only the last of them does, which cannot cycle.

    Args:
        matrix: Positive semidefinite with a diagonal of 1, shape (k, k).
        right: Shape (k,).
        guess: Where the solution may be above 0, shape (k,).
        rounds: Most exchanges.

    Raises:
        InputError: More exchanges are needed.

    Source:
        Kim and Park, SIAM J. Sci. Comput. 33, 3261 (2011).

    Examples:
        >>> a, b = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])
        >>> pivoted_nnls(a, b).round(6).tolist()
        [1.0, 0.0]
    """
    inside = right > 0 if guess is None or not guess.any() else guess
    fewest, patience = len(right) + 1, 3
    for _ in range(rounds):
        index = np.flatnonzero(inside)
        some = matrix[np.ix_(index, index)]
        some.flat[:: len(index) + 1] += RIDGE
        factor = linalg.cho_factor(some, overwrite_a=True, check_finite=False)
        x = np.zeros(len(right))
        x[index] = linalg.cho_solve(factor, right[index], check_finite=False)
        slope = matrix @ x - right
        wrong = np.where(inside, x < 0, slope < -1e-9 * np.abs(right).max())
        if not wrong.any():
            return x
        if wrong.sum() < fewest:
            fewest, patience = int(wrong.sum()), 3
        else:
            patience -= 1
        if patience < 0:
            wrong = np.arange(len(wrong)) == np.flatnonzero(wrong)[-1]
        inside = inside ^ wrong
    raise InputError(f"The rates must settle within {rounds} exchanges. Check the standard errors.")


def _report(
    design: Design,
    groups: _Groups,
    sums: Floats,
    amplitudes: Floats,
    parts: list[Part],
    fitted: Floats,
) -> LearnedRates:
    terms = len(design.support)
    names = [(k // terms, design.support[k % terms]) for k in range(groups.owner.size)]
    errors, known = np.zeros(len(sums)), np.ones(len(sums), bool)
    combinations: list[Combination] = []
    for part, half, null in parts:
        errors[part] = np.sqrt((half**2).sum(1))
        known[part] = np.abs(null).max(1, initial=0.0) < LOOSE
        for places, row in _determined(null, known[part]):
            weights = groups.rates_of(part[places], row)
            if len(weights) > 1:
                error = float(np.sqrt(((row @ half[places]) ** 2).sum()))
                named = MappingProxyType({names[k]: w for k, w in weights.items()})
                combinations.append(Combination(named, float(row @ sums[part[places]]), error))
    alone = np.bincount(groups.owner[groups.owner >= 0], minlength=groups.count) == 1
    clear = np.append(alone & known, False)[groups.owner]
    shape = (design.layers, terms)
    each = np.where(clear, np.append(errors, np.nan)[groups.owner], np.nan).reshape(shape)
    rates = (groups.spread @ sums).reshape(shape)
    return LearnedRates(
        tuple(map(PauliLindblad, repeat(design.support), rates, each)),
        clear.reshape(shape),
        tuple(combinations),
        tuple(names[k] for k in np.flatnonzero(groups.owner < 0).tolist()),
        amplitudes,
        float((((fitted - design.values) / design.errors) ** 2).sum()),
    )


def _determined(null: Floats, known: NDArray[np.bool_]) -> Iterator[tuple[Ints, Floats]]:
    """Yield places and weights of the sums of columns that the data determine.

    First the known columns alone. A sum of loose columns is determined if it is orthogonal to all
    that changes nothing; the rows of the projector onto such sums span them, independent ones are
    enough.
    """
    for place in np.flatnonzero(known):
        yield np.array([place]), np.ones(1)
    loose = np.flatnonzero(~known)
    if not loose.size:
        return
    basis, size, _ = linalg.svd(null[loose], full_matrices=False)
    basis = basis[:, size > LOOSE * size.max()]
    projector = np.eye(len(loose)) - basis @ basis.T
    r, order = linalg.qr(projector, mode="r", pivoting=True)
    for row in projector[order[np.abs(np.diag(r)) > LOOSE]]:
        heavy = np.abs(row) > LOOSE
        yield loose[heavy], row[heavy] / row[np.abs(row).argmax()]
