"""A state with the shape of the chip: one tensor per qubit, one bond per coupler."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any


@dataclass(frozen=True)
class Graph:
    """Which sites are bonded: static and hashable.

    Attributes:
        n: Number of sites.
        edges: Pairs (a, b) with a < b, sorted, each once.
    """

    n: int
    edges: tuple[tuple[int, int], ...]

    @cached_property
    def legs(self) -> tuple[tuple[int, ...], ...]:
        """Edges of each site, in ascending order: the order of its tensor's bond axes."""
        found: list[list[int]] = [[] for _ in range(self.n)]
        for k, (a, b) in enumerate(self.edges):
            found[a].append(k)
            found[b].append(k)
        return tuple(tuple(legs) for legs in found)

    @cached_property
    def edge(self) -> dict[tuple[int, int], int]:
        """Index of each edge by its sites."""
        return {pair: k for k, pair in enumerate(self.edges)}

    def neighbour(self, site: int, edge: int) -> int:
        """Return the site at the other end of an edge."""
        a, b = self.edges[edge]
        return b if site == a else a


@dataclass(frozen=True, eq=False)
class GraphState:
    """A tensor network in Vidal form.

    The amplitudes are the contraction of `tensors` with the diagonal matrices `weights` on the
    bonds, times exp(log_norm). On a tree in canonical form, a tensor with the weights of all bonds
    but one multiplied in is an isometry, and the squared weights are the Schmidt spectrum; on a
    graph with loops this is the fixed point of belief propagation.

    Attributes:
        graph: Sites and bonds.
        tensors: One of shape (bond, ..., bond, physical) per site, bonds in the order of
            `graph.legs`; physical dimension 2 for amplitudes, 4 for the weights of normalised
            Paulis in a density operator.
        weights: One positive vector per edge, descending, squares summing to 1.
        log_norm: Logarithm of what normalising has taken out.
        log_fidelity: Sum of log(1 - discarded weight) over all truncations so far.
    """

    graph: Graph
    tensors: tuple[Array, ...]
    weights: tuple[Array, ...]
    log_norm: float = 0.0
    log_fidelity: float = 0.0


def product_state(graph: Graph, vectors: NDArray[Any]) -> GraphState:
    """Return the product of one vector per site, shape (n, physical), with bonds of dimension 1."""
    tensors = tuple(
        np.array(vectors[q]).reshape((1,) * len(graph.legs[q]) + (-1,)) for q in range(graph.n)
    )
    one = np.ones(1, np.array(vectors).real.dtype)
    return GraphState(graph, tensors, tuple(one for _ in graph.edges))
