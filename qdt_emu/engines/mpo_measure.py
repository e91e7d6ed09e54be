"""What is read from a train of Pauli tensors: strings, marginals and samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Tensors = Sequence[Floats]

ROOT = float(np.sqrt(2.0))
CHUNK = 1 << 22  # numbers held for samples at a time


def strings(tensors: Tensors, codes: NDArray[np.uint8], readout: Floats) -> Floats:
    """Return the expectation value of each string as it is read, shape (m,).

    Args:
        tensors: A density operator in the basis P / sqrt(2).
        codes: Shape (m, n), 0..3 on each site.
        readout: (scale, shift) of each site, see `Engine.estimate`, shape (n, 2).

    Cost:
        2 m n chi^2.
    """
    vectors = np.ones((len(codes), 1))
    for site, tensor in enumerate(tensors):
        found = np.empty((len(codes), tensor.shape[2]))
        for code in range(4):
            mine = codes[:, site] == code
            if mine.any():
                found[mine] = vectors[mine] @ _measured(tensor, code, readout[site])
        vectors = found
    return vectors[:, 0]


def _measured(tensor: Floats, code: int, readout: Floats) -> Floats:
    scale, shift = readout if code else (1.0, 0.0)
    measured: Floats = ROOT * (scale * tensor[:, code] + shift * tensor[:, 0])
    return measured


def overlap(tensors: Tensors, vectors: Floats) -> float:
    """Return the train contracted with one vector per site, shape (n, 4)."""
    found = np.ones(1)
    for tensor, vector in zip(tensors, vectors, strict=True):
        found = found @ np.einsum("lpr,p->lr", tensor, vector)
    return float(found[0])


def marginal(tensors: Tensors, sites: Sequence[int]) -> Floats:
    """Return Tr(P rho) of all Pauli strings on some sites, shape (4,) * k, in the given order.

    Cost:
        4^k chi^2 and 2 n chi^3 at most: for about ten sites.
    """
    found = np.ones((1, 1))
    for site, tensor in enumerate(tensors):
        if site in sites:
            found = np.tensordot(found, ROOT * tensor, axes=1).reshape(-1, tensor.shape[2])
        else:
            found = found @ (ROOT * tensor[:, 0])
    order = np.argsort(np.argsort(sites))
    return found.reshape((4,) * len(sites)).transpose(tuple(order.tolist()))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples of the sites asked for.

    Attributes:
        bits: Shape (shots, k), in the order of the sites.
        chance: Probability with which each sample was drawn, shape (shots,).
        weight: What the train says its probability is, shape (shots,); it differs from `chance`
            where negative conditional probabilities were set to 0.
        clamped: How many conditional probabilities were negative.
        deepest: The lowest of them.
    """

    bits: NDArray[np.uint8]
    chance: Floats
    weight: Floats
    clamped: int
    deepest: float


def sample(tensors: Tensors, sites: Sequence[int], uniforms: Floats) -> Drawn:
    """Return outcomes of measuring some sites in Z, drawn site by site.

    Args:
        tensors: A density operator with trace 1.
        sites: Ascending; the others are traced out.
        uniforms: In [0, 1), shape (shots, len(sites)).

    Error:
        Conditional probabilities below 0, which only truncation can make, are taken as 0.

    Cost:
        4 n chi^2 per shot where shots differ; equal beginnings are computed once.
    """
    right = closings(tensors)
    chunk = max(1, CHUNK // max(t.shape[2] for t in tensors))
    parts = [
        _chunk(tensors, right, list(sites), uniforms[first : first + chunk])
        for first in range(0, len(uniforms), chunk)
    ]
    return Drawn(
        np.concatenate([p.bits for p in parts]),
        np.concatenate([p.chance for p in parts]),
        np.concatenate([p.weight for p in parts]),
        sum(p.clamped for p in parts),
        min(p.deepest for p in parts),
    )


def closings(tensors: Tensors) -> list[Floats]:
    """Return the trace over all sites behind each bond; entry k is left of site k."""
    right = [np.ones(1)]
    for tensor in tensors[::-1]:
        right.append(ROOT * tensor[:, 0] @ right[-1])
    return right[::-1]


def _chunk(tensors: Tensors, right: list[Floats], sites: list[int], uniforms: Floats) -> Drawn:
    """Sample some shots; rows of `vectors` are the distinct beginnings, scaled to chance 1."""
    shots = len(uniforms)
    bits = np.zeros((shots, len(sites)), np.uint8)
    chance, weight = np.ones(shots), np.full(shots, right[0][0])
    vectors, row = np.ones((1, 1)) / right[0][0], np.zeros(shots, np.int64)
    clamped, deepest = 0, 0.0
    for site, tensor in enumerate(tensors):
        if site not in sites:
            vectors = vectors @ (ROOT * tensor[:, 0])
            continue
        k = sites.index(site)
        zero, one = (vectors @ ((tensor[:, 0] + s * tensor[:, 3]) / ROOT) for s in (1.0, -1.0))
        raw = np.stack([zero @ right[site + 1], one @ right[site + 1]], 1)
        p = np.maximum(raw, 0.0)
        p /= p.sum(1, keepdims=True)
        bit = (uniforms[:, k] >= p[row, 0]).astype(np.int64)
        lowest = raw.min(axis=1)
        clamped += int(np.count_nonzero(lowest[row] < 0))
        deepest = min(deepest, float(lowest.min()))
        bits[:, k] = bit
        chance *= p[row, bit]
        weight *= raw[row, bit]
        used, row = np.unique(2 * row + bit, return_inverse=True)
        old, new = used >> 1, used & 1
        vectors = np.where(new[:, None] == 1, one[old], zero[old])
        vectors /= raw[old, new][:, None]
    return Drawn(bits, chance, weight, clamped, deepest)


def probability(tensors: Tensors, sites: Sequence[int], bits: NDArray[np.uint8]) -> Floats:
    """Return what a train says about the probability of outcomes, shape (shots,)."""
    vectors = np.ones((len(bits), 1))
    scale = np.ones(len(bits))
    for site, tensor in enumerate(tensors):
        if site not in sites:
            vectors = vectors @ (ROOT * tensor[:, 0])
        else:
            bit = bits[:, list(sites).index(site), None]
            zero, one = (vectors @ ((tensor[:, 0] + s * tensor[:, 3]) / ROOT) for s in (1.0, -1.0))
            vectors = np.where(bit == 1, one, zero)
        size = np.maximum(np.abs(vectors).max(1), 1e-300)  # 0.5^n would underflow
        vectors /= size[:, None]
        scale *= size
    return scale * vectors[:, 0]
