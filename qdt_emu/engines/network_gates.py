"""Gates of a trajectory as tables that a kernel reads: no Python between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import types
from numba.typed import List
from numpy.typing import NDArray

from qdt_emu.engines.network_evolve import Work, factor, steep
from qdt_emu.engines.network_state import Graph
from qdt_emu.engines.unravel import Gate
from qdt_emu.kernels.network_run import ANY, ONE, PHASES, Gates, run

Matrices = NDArray[np.complex128]

MOST = 4  # factors of a gate on two qubits
SIGNS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 4
"""Of the four phases: what is common, Z on the first qubit, on the second, on both."""
OFF = ~np.eye(4, dtype=bool)


@dataclass(frozen=True, eq=False)
class Row:
    """Gates on some sites of a graph.

    Attributes:
        gates: In time order; sites and edges are numbered as below.
        sites: Of the graph, all that gates act on.
        edges: All edges of these.
        legs: Edges of each site in the order of its axes, -1 beyond, shape (sites, degree).
    """

    gates: Gates
    sites: tuple[int, ...]
    edges: tuple[int, ...]
    legs: NDArray[np.int64]


def tabled(graph: Graph, steps: Sequence[Gate]) -> Row:
    """Return gates as tables.

    A diagonal gate is exp(i (c + a Z1 + b Z2 + g Z1 Z2)), and so the sum of cos g and i sin g Z1 Z2
    times phases: its operator-Schmidt factors. Those of other gates come from `factor`.

    Cost:
        2 us per gate.
    """
    sites = tuple(sorted({q for step in steps for q in step.qubits}))
    edges = tuple(sorted({k for q in sites for k in graph.legs[q]}))
    place = {q: j for j, q in enumerate(sites)}
    number = {k: j for j, k in enumerate(edges)}
    legs = np.full((len(sites), max((len(graph.legs[q]) for q in sites), default=0)), -1)
    for j, q in enumerate(sites):
        legs[j, : len(graph.legs[q])] = [number[k] for k in graph.legs[q]]
    double = np.array([len(step.qubits) == 2 for step in steps], bool)
    own, pair, row = (np.full(shape, -1) for shape in ((len(steps), 2), len(steps), len(steps)))
    for k, step in enumerate(steps):
        own[k, 0] = place[step.qubits[0]]
        if double[k]:
            a, b = step.qubits
            own[k, 1] = place[b]
            pair[k] = number[graph.edge[min(a, b), max(a, b)]]
    ones = _stacked([s.matrix for s in steps if len(s.qubits) == 1], 2)
    pairs = _stacked([s.matrix for s in steps if len(s.qubits) == 2], 4)
    diagonal = ~pairs[:, OFF].any(axis=1)
    kind = np.full(len(steps), ONE)
    kind[double] = np.where(diagonal, PHASES, ANY)
    for one in (ONE, PHASES, ANY):
        row[kind == one] = np.arange(np.count_nonzero(kind == one))
    phases = _phases(np.einsum("kii->ki", pairs[diagonal]))
    gates = Gates(kind, own, pair, row, ones, phases, *_factors(pairs[~diagonal]))
    return Row(gates, sites, edges, legs)


def _stacked(matrices: Sequence[Matrices], size: int) -> Matrices:
    return np.array(matrices, complex).reshape(-1, size, size)


def _phases(diagonals: Matrices) -> Matrices:
    """Return the factors [first or second qubit, r, p] of diagonal gates, (k, 2, 2, 2)."""
    common, one, two, both = SIGNS @ np.angle(diagonals).T
    z = np.array([1.0, -1.0])
    left = np.exp(1j * (common[:, None] + one[:, None] * z))
    right = np.exp(1j * two[:, None] * z)
    roots = np.sqrt(np.stack([np.cos(both), 1j * np.sin(both)], 1))[:, :, None]
    turns = np.stack([np.ones(2), z])
    return np.stack([roots * left[:, None] * turns, roots * right[:, None] * turns], 1)


def _factors(pairs: Matrices) -> tuple[NDArray[np.int64], Matrices, Matrices, Matrices, Matrices]:
    """Return ranks, factors on both qubits, and what the kernel needs of these."""
    k = len(pairs)
    rank = np.zeros(k, int)
    left, right = (np.zeros((k, MOST, 2, 2), complex) for _ in range(2))
    left_gram, right_gram = (np.zeros((k, MOST * MOST, 4), complex) for _ in range(2))
    for j, matrix in enumerate(pairs):
        found = factor(matrix)
        rank[j] = r = len(found.left)
        left[j, :r], right[j, :r] = found.left, found.right
        left_gram[j, : r * r], right_gram[j, : r * r] = found.left_gram, found.right_gram
    return rank, left, right, left_gram, right_gram


def apply(
    work: Work, row: Row, *, max_bond: int, cutoff: float, first: int = 0, stop: int | None = None
) -> int:
    """Apply gates to a state from the first on, and return how many of all were reached.

    Args:
        work: The state.
        row: The gates.
        max_bond: Largest bond kept.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        first: Where to begin.
        stop: Gates that could make a bond larger than this are left, and all after them; None for
            no such gate.

    Error:
        As `network_evolve.evolve`.

    Cost:
        As there, without 15 us per gate; 2 us per site and per bond.
    """
    tensors = List.empty_list(types.complex128[::1])
    weights = List.empty_list(types.float64[::1])
    for q in row.sites:
        tensors.append(np.ascontiguousarray(work.tensors[q], complex).reshape(-1))
    for k in row.edges:
        weights.append(work.weights[k])
    logs = np.zeros(2)
    most = np.iinfo(np.int64).max if stop is None else stop
    smallest = steep(np.dtype(float))
    reached = run(
        row.gates, first, tensors, weights, row.legs, max_bond, most, cutoff, smallest, logs
    )
    for k, weight in zip(row.edges, weights, strict=True):
        work.weights[k] = weight
    for q, tensor in zip(row.sites, tensors, strict=True):
        shape = [len(work.weights[k]) for k in work.graph.legs[q]]
        work.tensors[q] = tensor.reshape(*shape, -1)
    work.log_norm += float(logs[0])
    work.log_fidelity += float(logs[1])
    return int(reached)
