"""Expectation values of products of one-site operators in a graph tensor network."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from qdt_emu.engines.network_bp import (
    Messages,
    dressed,
    environment,
    gauge_messages,
    outgoing,
    value,
)
from qdt_emu.engines.network_state import Array, Graph, GraphState

LONGEST = 16  # sites of a loop that is corrected for; heavy-hex plaquettes have 12
LOOP_BOND = 16  # bonds of a loop are cut down to this for its correction


@dataclass(frozen=True)
class Estimate:
    """An expectation value and what loops change in it.

    Attributes:
        value: Contraction of a tree that connects the operators, messages around it.
        loops: Sum of the changes when one loop at a time is contracted as a loop.
    """

    value: float
    loops: float = 0.0


def expectation(
    state: GraphState,
    operators: Mapping[int, Array],
    messages: Messages | None = None,
    *,
    loops: bool = False,
) -> Estimate:
    """Return the expectation value of a product of Hermitian one-site operators.

    The operators are connected by a tree of bonds, which is contracted exactly with messages on
    all bonds around it: numerator over denominator. Operators without a bond of dimension above
    one between them are independent factors.

    Args:
        state: Any normalisation; in Vidal gauge where `messages` is None.
        operators: Shape (d, d) for each site of the support.
        messages: A fixed point of belief propagation.
        loops: Whether to contract the loops through the tree as well.

    Error:
        Exact on trees. A loop that the tree passes changes the value by about the product of the
        largest but one Schmidt ratios along it; `loops` holds the sum over loops of one each.

    Cost:
        O(D**(z + 1)) for each site of degree z on the tree; with loops O(D**6) for each site of a
        loop, D at most 16 there.

    Source:
        arXiv:2409.03108, expanded to first order in loops and written as differences of clusters.
    """
    messages = gauge_messages(state) if messages is None else messages
    open_edges = frozenset(k for k, w in enumerate(state.weights) if len(w) > 1)
    total, relative = 1.0, 0.0
    for support in _islands(state.graph, open_edges, frozenset(operators)):
        own = {q: operators[q] for q in support}
        tree = connect(state.graph, open_edges, support, start=(min(support),))
        part = _ratio(state, messages, tree, own)
        change = 0.0
        if loops:
            change = sum(
                _loop_change(state, messages, open_edges, loop, own)
                for loop in _touching(state.graph, open_edges, tree, support)
            )
        relative = relative * part + total * change  # to first order in loops
        total *= part
    return Estimate(total, relative)


def _islands(
    graph: Graph, open_edges: frozenset[int], support: frozenset[int]
) -> list[tuple[int, ...]]:
    """Return the support, split where only bonds of dimension one join it."""
    out, left = [], set(support)
    while left:
        reached = _distances(graph, open_edges, (min(left),))
        out.append(tuple(sorted(left & reached.keys())))
        left -= reached.keys()
    return out


def _distances(
    graph: Graph, open_edges: Collection[int], start: Collection[int]
) -> dict[int, tuple[int, int]]:
    """Return (distance, edge towards `start`) of every site within reach; -1 at the start."""
    found = dict.fromkeys(start, (0, -1))
    front = deque(sorted(start))
    while front:
        here = front.popleft()
        for k in graph.legs[here]:
            there = graph.neighbour(here, k)
            if k in open_edges and there not in found:
                found[there] = (found[here][0] + 1, k)
                front.append(there)
    return found


@lru_cache(maxsize=4096)
def connect(
    graph: Graph,
    open_edges: frozenset[int],
    support: tuple[int, ...],
    *,
    start: tuple[int, ...],
    edges: frozenset[int] = frozenset(),
) -> tuple[frozenset[int], frozenset[int]]:
    """Return (sites, edges) that connect a support, grown from connected sites by shortest paths.

    At most twice as long as the shortest tree. Adds no loop to those of `edges`.

    Source:
        Takahashi and Matsuyama, Math. Japonica 24, 573 (1980).
    """
    sites, edges_now = set(start), set(edges)
    left = set(support) - sites
    while left:
        found = _distances(graph, open_edges, sites)
        here = min(left, key=lambda q: (found[q][0], q))
        while here not in sites:
            sites.add(here)
            k = found[here][1]
            edges_now.add(k)
            here = graph.neighbour(here, k)
        left -= sites
    return frozenset(sites), frozenset(edges_now)


@lru_cache(maxsize=64)
def plaquettes(graph: Graph, open_edges: frozenset[int]) -> tuple[tuple[int, ...], ...]:
    """Return the shortest loop through each edge, as sorted edges, each loop once."""
    out: dict[tuple[int, ...], None] = {}
    for edge in sorted(open_edges):
        a, b = graph.edges[edge]
        found = _distances(graph, open_edges - {edge}, (a,))
        if b not in found or found[b][0] >= LONGEST:
            continue
        loop, here = [edge], b
        while here != a:
            loop.append(found[here][1])
            here = graph.neighbour(here, found[here][1])
        out[tuple(sorted(loop))] = None
    return tuple(out)


def _touching(
    graph: Graph,
    open_edges: frozenset[int],
    tree: tuple[frozenset[int], frozenset[int]],
    support: Collection[int],  # noqa: ARG001
) -> list[tuple[int, ...]]:
    """Return the loops that share a site with a tree."""
    loops = plaquettes(graph, open_edges)
    return [loop for loop in loops if any(tree[0] & {*graph.edges[k]} for k in loop)]


def _loop_change(
    state: GraphState,
    messages: Messages,
    open_edges: frozenset[int],
    loop: tuple[int, ...],
    operators: Mapping[int, Array],
) -> float:
    """Return what contracting one loop changes: with the loop closed, minus with it cut."""
    graph = state.graph
    small, near = _narrowed(state, messages, loop)
    around = tuple(sorted({q for k in loop for q in graph.edges[k]}))
    sites, edges = connect(
        graph, open_edges, tuple(sorted(operators)), start=around, edges=frozenset(loop)
    )
    distance = _distances(graph, edges, tuple(operators))
    far = max(loop, key=lambda k: sum(distance[q][0] for q in graph.edges[k]))
    closed = _ratio(small, near, (sites, edges), operators)
    return closed - _ratio(small, near, (sites, edges - {far}), operators)


def _narrowed(
    state: GraphState, messages: Messages, loop: tuple[int, ...]
) -> tuple[GraphState, Messages]:
    """Return the state with the loop's bonds cut to their largest weights."""
    tensors, weights, to = list(state.tensors), list(state.weights), list(messages.to)
    for k in loop:
        if len(weights[k]) <= LOOP_BOND:
            continue
        weights[k] = weights[k][:LOOP_BOND]
        left, right = to[k]
        to[k] = (left[:LOOP_BOND, :LOOP_BOND], right[:LOOP_BOND, :LOOP_BOND])
        for site in state.graph.edges[k]:
            axis = state.graph.legs[site].index(k)
            tensors[site] = np.take(tensors[site], np.arange(LOOP_BOND), axis=axis)
    return (
        replace(state, tensors=tuple(tensors), weights=tuple(weights)),
        replace(messages, to=tuple(to)),
    )


def _ratio(
    state: GraphState,
    messages: Messages,
    region: tuple[frozenset[int], frozenset[int]],
    operators: Mapping[int, Array],
) -> float:
    """Return numerator over denominator of a region with at most one loop."""
    return (_total(state, messages, region, operators) / _total(state, messages, region, {})).real


def _total(
    state: GraphState,
    messages: Messages,
    region: tuple[frozenset[int], frozenset[int]],
    operators: Mapping[int, Array],
) -> complex:
    """Contract a region: leaves first, then its one loop where there is one."""
    graph, (sites, edges) = state.graph, region
    inside: dict[int, list[Array]] = {}
    for q in sites:
        ends = [0 if graph.edges[k][0] == q else 1 for k in graph.legs[q]]
        inside[q] = [
            environment(state, messages.to[k][end], k)
            for k, end in zip(graph.legs[q], ends, strict=True)
        ]
    pending = {q: [k for k in graph.legs[q] if k in edges] for q in sites}
    leaves = sorted(q for q in sites if len(pending[q]) == 1)
    left = len(sites)
    while leaves and left > 1:
        q = leaves.pop()
        if len(pending[q]) != 1:
            continue
        k = pending.pop(q)[0]
        left -= 1
        axis = graph.legs[q].index(k)
        message = outgoing(state.tensors[q], inside[q], axis, operators.get(q))
        there = graph.neighbour(q, k)
        inside[there][graph.legs[there].index(k)] = environment(state, message, k)
        pending[there].remove(k)
        if len(pending[there]) == 1:
            leaves.append(there)
    if left == 1:
        (q,) = pending
        return value(state.tensors[q], inside[q], operators.get(q))
    return _loop(state, pending, inside, operators)


def _loop(
    state: GraphState,
    pending: Mapping[int, list[int]],
    inside: Mapping[int, list[Array]],
    operators: Mapping[int, Array],
) -> complex:
    """Contract a loop: each site is a transfer matrix from one bond to the next."""
    graph = state.graph
    steps: list[tuple[int, int, int]] = []  # site, bond that leads in, bond that leads out
    first = min(pending, key=lambda q: len(state.weights[pending[q][0]]))
    here, k = first, pending[first][0]
    while not steps or here != first:
        out = next(e for e in pending[here] if e != k)
        steps.append((here, k, out))
        here, k = graph.neighbour(here, out), out
    running: Array | None = None
    for q, into, out in steps:
        legs = graph.legs[q]
        i, j = legs.index(into), legs.index(out)
        tensor = state.tensors[q]
        others: list[Array | None] = [
            None if axis in (i, j) else env for axis, env in enumerate(inside[q])
        ]
        ket = dressed(tensor, others)
        if operators.get(q) is not None:
            ket = ket @ operators[q].T
        w = state.weights[into]
        m, n = tensor.shape[i], tensor.shape[j]
        bra = np.moveaxis(tensor, (i, j), (0, 1)).reshape(m * n, -1).conj()
        ket = np.moveaxis(ket, (i, j), (0, 1)).reshape(m * n, -1)
        both = (bra @ ket.T).reshape(m, n, m, n).transpose(0, 2, 1, 3)
        both = (both * w[:, None, None, None] * w[:, None, None]).reshape(m * m, n * n)
        running = both if running is None else running @ both
    return complex(np.trace(running)) if running is not None else 1.0
