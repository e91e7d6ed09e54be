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

Region = tuple[frozenset[int], frozenset[int]]
"""Sites, and the edges between them that are contracted."""
LONGEST = 64  # sites of a loop that is corrected for; heavy-hex plaquettes have 12


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
    loops: int = 0,
) -> Estimate:
    """Return the expectation value of a product of Hermitian one-site operators.

    The operators are connected by a tree of bonds, which is contracted exactly with messages on
    all bonds around it: numerator over denominator. Operators without a bond of dimension above
    one between them are independent factors.

    Args:
        state: Any normalisation; in Vidal gauge where `messages` is None.
        operators: Shape (d, d) for each site of the support.
        messages: A fixed point of belief propagation.
        loops: Bond dimension in the contraction of loops through the tree; 0 leaves them out.

    Error:
        Exact on trees. A loop that the tree passes changes the value by about the product of the
        largest but one Schmidt ratios along it; `loops` holds the sum over loops of one each.

    Cost:
        O(D**(z + 1)) for each site of degree z on the tree; O(D**6) for each site of a
        loop, where D is `loops` at most.

    Source:
        arXiv:2409.03108, to first order in loops.
    """
    messages = gauge_messages(state) if messages is None else messages
    open_edges = frozenset(k for k, w in enumerate(state.weights) if len(w) > 1)
    total, relative = 1.0, 0.0
    for support in _islands(state.graph, open_edges, frozenset(operators)):
        own = {q: operators[q] for q in support}
        tree: Region = connect(state.graph, open_edges, support, start=(min(support),))
        part = _ratio(state, messages, tree, own)
        change = 0.0
        if loops:
            change = sum(
                _loop_change(*_narrowed(state, messages, loop, loops), open_edges, loop, tree, own)
                for loop in _touching(state.graph, open_edges, tree[0])
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
) -> Region:
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
    graph: Graph, open_edges: frozenset[int], sites: frozenset[int]
) -> list[tuple[int, ...]]:
    """Return the loops that share a site with others."""
    loops = plaquettes(graph, open_edges)
    return [loop for loop in loops if any(sites & {*graph.edges[k]} for k in loop)]


def _loop_change(
    state: GraphState,
    messages: Messages,
    open_edges: frozenset[int],
    loop: tuple[int, ...],
    tree: Region,
    operators: Mapping[int, Array],
) -> float:
    """Return what excitations that run all around a loop change.

    On the bonds of the loop that are not in the tree, 1 is |m><m| + (1 - |m><m|), m the messages.
    """
    graph = state.graph
    around = tuple(sorted({q for k in loop for q in graph.edges[k]}))
    region = connect(
        graph, open_edges, tuple(sorted(operators)), start=around, edges=frozenset(loop)
    )
    apart = frozenset(loop) - tree[1]
    top = _peeled(state, messages, region, operators)
    below = _peeled(state, messages, region, {})
    cut = _around(state, messages, top, operators, apart, excited=False)
    unit = _around(state, messages, below, {}, apart, excited=False)
    more = _around(state, messages, top, operators, apart, excited=True)
    norm = _around(state, messages, below, {}, apart, excited=True)
    return ((cut + more) / (unit + norm) - cut / unit).real


def _narrowed(
    state: GraphState, messages: Messages, loop: tuple[int, ...], bond: int
) -> tuple[GraphState, Messages]:
    """Return the state with the loop's bonds cut to their largest weights."""
    tensors, weights, to = list(state.tensors), list(state.weights), list(messages.to)
    for k in loop:
        if len(weights[k]) <= bond:
            continue
        weights[k] = weights[k][:bond]
        left, right = to[k]
        to[k] = (left[:bond, :bond], right[:bond, :bond])
        for site in state.graph.edges[k]:
            axis = state.graph.legs[site].index(k)
            tensors[site] = np.take(tensors[site], np.arange(bond), axis=axis)
    return (
        replace(state, tensors=tuple(tensors), weights=tuple(weights)),
        replace(messages, to=tuple(to)),
    )


def _ratio(
    state: GraphState, messages: Messages, tree: Region, operators: Mapping[int, Array]
) -> float:
    """Return numerator over denominator of a tree."""
    return (_total(state, messages, tree, operators) / _total(state, messages, tree, {})).real


def _total(
    state: GraphState, messages: Messages, tree: Region, operators: Mapping[int, Array]
) -> complex:
    """Contract a tree."""
    inside = _peeled(state, messages, tree, operators).inside
    ((q, last),) = inside.items()
    return value(state.tensors[q], last, operators.get(q))


@dataclass(frozen=True)
class _Rest:
    """Sites of a region after its leaves were contracted into them.

    Attributes:
        bonds: Bonds of each site to others of the rest.
        inside: Environments on all bonds of each site.
    """

    bonds: dict[int, list[int]]
    inside: dict[int, list[Array]]


def _peeled(
    state: GraphState, messages: Messages, region: Region, operators: Mapping[int, Array]
) -> _Rest:
    """Contract leaves one after the other until one site or one loop is left."""
    graph, (sites, edges) = state.graph, region
    inside: dict[int, list[Array]] = {}
    for q in sites:
        ends = [0 if graph.edges[k][0] == q else 1 for k in graph.legs[q]]
        inside[q] = [
            environment(state, messages.to[k][end], k)
            for k, end in zip(graph.legs[q], ends, strict=True)
        ]
    bonds = {q: [k for k in graph.legs[q] if k in edges] for q in sites}
    leaves = sorted(q for q in sites if len(bonds[q]) == 1)
    while leaves and len(bonds) > 1:
        q = leaves.pop()
        (k,) = bonds.pop(q)
        axis = graph.legs[q].index(k)
        message = outgoing(state.tensors[q], inside.pop(q), axis, operators.get(q))
        there = graph.neighbour(q, k)
        inside[there][graph.legs[there].index(k)] = environment(state, message, k)
        bonds[there].remove(k)
        if len(bonds[there]) == 1:
            leaves.append(there)
    return _Rest(bonds, inside)


def _around(
    state: GraphState,
    messages: Messages,
    rest: _Rest,
    operators: Mapping[int, Array],
    apart: frozenset[int],
    *,
    excited: bool,
) -> complex:
    """Contract a loop: each site is a transfer matrix from one bond to the next.

    Args:
        state: The state.
        messages: Its messages.
        rest: The loop.
        operators: On its sites.
        apart: Bonds of the loop on which |m><m| is inserted, or 1 - |m><m|.
        excited: Which of both.
    """
    graph = state.graph
    first = min(rest.bonds)
    here, k = first, rest.bonds[first][0]
    running: Array | None = None
    while running is None or here != first:
        out = next(e for e in rest.bonds[here] if e != k)
        step = _transfer(state, here, (k, out), rest.inside[here], operators.get(here))
        w = np.outer(state.weights[k], state.weights[k]).reshape(-1, 1)
        bonded = w * step
        if k in apart:
            end = 0 if graph.edges[k][0] == here else 1
            near, far = (
                environment(state, messages.to[k][e], k).reshape(-1) for e in (end, 1 - end)
            )
            norm = np.sum(messages.to[k][end].reshape(-1) * far)
            mean = np.outer(far / norm, near @ step)
            bonded = bonded - mean if excited else mean
        step = bonded
        running = step if running is None else running @ step
        here, k = graph.neighbour(here, out), out
    return complex(np.trace(running))


def _transfer(
    state: GraphState,
    site: int,
    bonds: tuple[int, int],
    inside: list[Array],
    operator: Array | None,
) -> Array:
    """Return a site as a matrix from pairs (bra, ket) of one bond to those of another."""
    legs, tensor = state.graph.legs[site], state.tensors[site]
    i, j = (legs.index(k) for k in bonds)
    ket = dressed(tensor, [None if axis in (i, j) else env for axis, env in enumerate(inside)])
    if operator is not None:
        ket = ket @ operator.T
    m, n = tensor.shape[i], tensor.shape[j]
    bra = np.moveaxis(tensor, (i, j), (0, 1)).reshape(m * n, -1).conj()
    ket = np.moveaxis(ket, (i, j), (0, 1)).reshape(m * n, -1)
    return (bra @ ket.T).reshape(m, n, m, n).transpose(0, 2, 1, 3).reshape(m * m, n * n)
