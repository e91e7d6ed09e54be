"""Sites with the loops among them, contracted exactly; messages stand for all that is around."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, prod

import numpy as np

from qdt_emu.engines.contraction_path import Path, contract, search
from qdt_emu.engines.network_bp import Messages, dressed, environment, outgoing, value
from qdt_emu.engines.network_state import Array, Graph, GraphState

Region = tuple[frozenset[int], frozenset[int]]
"""Sites, and the edges between them that are contracted."""
Bonds = tuple[tuple[int, tuple[int, ...]], ...]
"""Sites and their bonds to each other."""

LINE = 1e8  # multiply-adds up to which site after site is good enough: no search for a better order
HOPELESS = 300.0  # times what it may take: a search finds no order so much better
ENTRIES = 1 << 22  # of the largest tensor; 64 MB
CAPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2)  # of the bonds of regions that take too much


@dataclass(frozen=True)
class Order:
    """How a region is contracted.

    Attributes:
        sites: Site after site in this order, where there is no path.
        path: An order of pairs of tensors, kets and bras by themselves.
        work: Multiply-adds of numerator and denominator.
        entries: Of the largest tensor.
    """

    sites: tuple[int, ...]
    path: Path | None = None
    work: float = 0.0
    entries: float = 0.0


@dataclass(frozen=True, eq=False)
class _Rest:
    """Sites of a region after its leaves were contracted into them.

    Attributes:
        bonds: Bonds of each site to others of the rest.
        inside: Environments on all bonds of each site.
        changed: Sites that operators act on, or on leaves that were contracted into them.
    """

    bonds: dict[int, tuple[int, ...]]
    inside: dict[int, list[Array]]
    changed: frozenset[int]


def ratio(
    state: GraphState, messages: Messages, region: Region, operators: Mapping[int, Array]
) -> float:
    """Return a region with operators over the same region without.

    Error:
        None but for the messages around it.

    Cost:
        Trees: O(D**(z + 1)) for each site of degree z. Loops: see `fitting`; one of degree-three
        sites takes O(D**6) for each.
    """
    top = _peeled(state, messages, region, operators)
    below = _peeled(state, messages, region, {})
    if len(top.bonds) == 1:
        ((q, inside),) = top.inside.items()
        above = value(state.tensors[q], inside, operators.get(q))
        return (above / value(state.tensors[q], below.inside[q])).real
    sizes = {k: len(w) for k, w in enumerate(state.weights)}
    order = _order(state.graph, top.bonds, sizes, top.changed)
    if order.path is not None:
        found = [
            complex(contract(order.path, _pairs(state, rest, acting)))
            for rest, acting in ((top, operators), (below, {}))
        ]
    else:
        found = _site_by_site(state, top, below, operators, order.sites)
    return (found[0] / found[1]).real


def fitting(
    state: GraphState,
    region: Region,
    support: Collection[int],
    work: float,
    edges: Collection[int] | None = None,
) -> dict[int, int] | None:
    """Return to what bonds must be cut for a region to take no more multiply-adds than `work`.

    Args:
        state: The state.
        region: The region.
        support: Sites with operators.
        work: Multiply-adds that it may take.
        edges: Those that may be cut; None is all of the region.

    Returns:
        Bond dimensions by edge, none where nothing need be cut; None where that is not enough.

    Cost:
        1 ms; beyond `LINE` up to 0.4 s for a search, remembered.
    """
    graph = state.graph
    bonds, gone = _bonds(graph, region)
    changed = set(support)
    for q, k in gone:
        if q in changed:
            changed.add(graph.neighbour(q, k))
    sizes = {k: len(w) for k, w in enumerate(state.weights)}
    edges = region[1] if edges is None else edges
    largest = max((sizes[k] for k in edges), default=1)
    for cap in (largest, *CAPS):
        if len(bonds) == 1 or cap > largest:
            continue
        cut = {k: cap for k in edges if sizes[k] > cap}
        order = _order(graph, bonds, sizes | cut, frozenset(changed & bonds.keys()), work)
        if order.work <= work and order.entries <= ENTRIES:
            return cut
    return {} if len(bonds) == 1 else None


def narrowed(
    state: GraphState, messages: Messages, bonds: Mapping[int, int]
) -> tuple[GraphState, Messages]:
    """Return the state with some bonds cut to so many of their largest weights."""
    tensors, weights, to = list(state.tensors), list(state.weights), list(messages.to)
    for k, bond in bonds.items():
        if len(weights[k]) <= bond:
            continue
        weights[k] = weights[k][:bond]
        left, right = to[k]
        to[k] = (left[:bond, :bond], right[:bond, :bond])
        for site in state.graph.edges[k]:
            axis = state.graph.legs[site].index(k)
            tensors[site] = tensors[site][(slice(None),) * axis + (slice(bond),)]
    return (
        replace(state, tensors=tuple(tensors), weights=tuple(weights)),
        replace(messages, to=tuple(to)),
    )


def _bonds(
    graph: Graph, region: Region
) -> tuple[dict[int, tuple[int, ...]], list[tuple[int, int]]]:
    """Return the bonds of each site that is left without leaves, and (leaf, bond) as they go."""
    sites, edges = region
    bonds = {q: [k for k in graph.legs[q] if k in edges] for q in sites}
    leaves = sorted(q for q in sites if len(bonds[q]) == 1)
    gone: list[tuple[int, int]] = []
    while leaves and len(bonds) > 1:
        q = leaves.pop()
        (k,) = bonds.pop(q)
        gone.append((q, k))
        there = graph.neighbour(q, k)
        bonds[there].remove(k)
        if len(bonds[there]) == 1:
            leaves.append(there)
    return {q: tuple(own) for q, own in bonds.items()}, gone


def _peeled(
    state: GraphState, messages: Messages, region: Region, operators: Mapping[int, Array]
) -> _Rest:
    """Contract leaves one after the other until one site or loops are left."""
    graph = state.graph
    bonds, gone = _bonds(graph, region)
    inside = {
        q: [
            environment(state, messages.to[k][0 if graph.edges[k][0] == q else 1], k)
            for k in graph.legs[q]
        ]
        for q in region[0]
    }
    changed = set(operators)
    for q, k in gone:
        axis = graph.legs[q].index(k)
        message = outgoing(state.tensors[q], inside.pop(q), axis, operators.get(q))
        there = graph.neighbour(q, k)
        inside[there][graph.legs[there].index(k)] = environment(state, message, k)
        if q in changed:
            changed.add(there)
    return _Rest(bonds, inside, frozenset(changed & bonds.keys()))


def _order(
    graph: Graph,
    bonds: Mapping[int, tuple[int, ...]],
    sizes: Mapping[int, int],
    changed: frozenset[int],
    work: float = inf,
) -> Order:
    """Return how to contract sites without leaves; what is beyond hope of `work` is not searched.

    Args:
        graph: The graph.
        bonds: Bonds of each site to other sites.
        sizes: Dimension of each edge.
        changed: Sites that differ between numerator and denominator.
        work: Multiply-adds that it may take.
    """
    names = tuple((q, bonds[q]) for q in sorted(bonds))
    own = tuple(sorted((k, sizes[k]) for k in {k for q in bonds for k in graph.legs[q]}))
    line = _line(graph, names, own, changed)
    if (line.work <= LINE and line.entries <= ENTRIES) or line.work > HOPELESS * work:
        return line
    if work <= LINE:
        return line
    inputs, dims = _double(graph, names, own)
    path = search(inputs, (), dims, 8 * ENTRIES)
    if path.flops >= line.work and line.entries <= ENTRIES:
        return line
    return Order((), path, path.flops, path.bytes / 8)


def _double(
    graph: Graph, bonds: Bonds, sizes: tuple[tuple[int, int], ...]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, int], ...]]:
    """Return legs of kets and bras, in turns, and sizes of all legs.

    2 k and 2 k + 1 stand for ket and bra of edge k, the next for what joins ket and bra of a site.
    """
    dims, inputs, found = dict(sizes), [], {}
    for q, legs in bonds:
        between = 2 * len(graph.edges) + q
        found[between] = 2 * prod(dims[k] for k in graph.legs[q] if k not in legs)
        for side in (0, 1):
            names = tuple(2 * k + side for k in legs)
            inputs.append((*names, between))
            found |= {name: dims[k] for name, k in zip(names, legs, strict=True)}
    return tuple(inputs), tuple(sorted(found.items()))


@lru_cache(maxsize=4096)
def _line(
    graph: Graph, bonds: Bonds, sizes: tuple[tuple[int, int], ...], changed: frozenset[int]
) -> Order:
    """Return the cheapest order of sites that a greedy choice finds from any first site.

    What comes before the first of the changed sites is done once.
    """
    legs, dims = dict(bonds), dict(sizes)
    tries = [_greedy(graph, legs, dims, changed, start) for start in legs]
    return min(tries, key=lambda found: (found.entries > ENTRIES, found.work, found.sites))


def _greedy(
    graph: Graph,
    legs: Mapping[int, tuple[int, ...]],
    dims: Mapping[int, int],
    changed: frozenset[int],
    start: int,
) -> Order:
    """Return the order in which each site leaves as small a tensor as it can."""
    front = set[int]()
    left, sites, runs = set(legs), list[int](), 1
    work = entries = 0.0
    size, here = 1.0, start
    while True:
        runs = 2 if here in changed else runs
        inner = prod(dims[k] for k in legs[here] if k in front)
        outer = prod(dims[k] for k in legs[here] if k not in front)
        between = 2 * prod(dims[k] for k in graph.legs[here] if k not in legs[here])
        fused, split = _ways(inner, outer, between, size)
        half = (inner * outer) ** 2 if fused <= split else size / inner * outer * between
        size *= (outer / inner) ** 2
        work, entries = work + runs * min(fused, split), max(entries, size, half)
        front ^= set(legs[here])
        left.discard(here)
        sites.append(here)
        if not left:
            return Order(tuple(sites), None, work, entries)
        near = {q for k in front for q in graph.edges[k]} & left
        here = min(near, key=lambda q: (_grown(legs[q], dims, front), q in changed, q))


def _grown(legs: Iterable[int], dims: Mapping[int, int], front: set[int]) -> float:
    """Return the factor by which a site changes the size of the tensor before."""
    return prod(1 / dims[k] ** 2 if k in front else dims[k] ** 2 for k in legs)


def _ways(inner: float, outer: float, between: float, size: float) -> tuple[float, float]:
    """Return multiply-adds with ket and bra multiplied to each other first, or one by one."""
    fused = (inner * outer) ** 2 * between + size * outer**2
    return fused, size * outer * between * (1 + outer / inner)


def _pair(
    state: GraphState, rest: _Rest, site: int, operator: Array | None, weighted: Collection[int]
) -> tuple[Array, Array]:
    """Return ket and bra of a site, (bonds ..., what joins them).

    Args:
        state: The state.
        rest: Which bonds, and what is on the others.
        site: The site.
        operator: On it.
        weighted: Edges whose weights are multiplied in, if they are bonds.
    """
    legs, bonds, bra = state.graph.legs[site], rest.bonds[site], state.tensors[site]
    for axis, k in enumerate(legs):
        if k in bonds and k in weighted:
            bra = bra * state.weights[k].reshape((-1,) + (1,) * (bra.ndim - axis - 1))
    inside = zip(legs, rest.inside[site], strict=True)
    ket = dressed(bra, [None if k in bonds else env for k, env in inside])
    if operator is not None:
        ket = ket @ operator.T
    axes = [legs.index(k) for k in bonds]
    order = (*axes, *(axis for axis in range(ket.ndim) if axis not in axes))
    shape = (*(ket.shape[axis] for axis in axes), -1)
    return ket.transpose(order).reshape(shape), bra.transpose(order).reshape(shape).conj()


def _pairs(state: GraphState, rest: _Rest, operators: Mapping[int, Array]) -> list[Array]:
    """Return kets and bras of all sites in turns; each bond's weights stand at its first site."""
    out: list[Array] = []
    for q in sorted(rest.bonds):
        own = [k for k in rest.bonds[q] if state.graph.edges[k][0] == q]
        out += _pair(state, rest, q, operators.get(q), own)
    return out


def _site_by_site(
    state: GraphState,
    top: _Rest,
    below: _Rest,
    operators: Mapping[int, Array],
    sites: tuple[int, ...],
) -> list[complex]:
    """Return numerator and denominator; what comes before the first changed site is done once."""
    found = []
    shared: tuple[tuple[int, ...], Array] = ((), np.ones(()))
    first = next((j for j, q in enumerate(sites) if q in top.changed), len(sites))
    for q in sites[:first]:
        shared = _absorbed(state, shared, below, q, None)
    for rest, acting in ((top, operators), (below, {})):
        running = shared
        for q in sites[first:]:
            running = _absorbed(state, running, rest, q, acting.get(q))
        found.append(complex(running[1]))
    return found


def _absorbed(
    state: GraphState,
    running: tuple[tuple[int, ...], Array],
    rest: _Rest,
    site: int,
    operator: Array | None,
) -> tuple[tuple[int, ...], Array]:
    """Return (bonds, tensor) with one more site; the tensor has all ket legs, then all bra legs.

    A bond's weights stand at the site that comes first.
    """
    front, tensor = running
    bonds, n = rest.bonds[site], len(front)
    outer = [k for k in bonds if k not in front]
    ket, bra = _pair(state, rest, site, operator, outer)
    goes = [front.index(k) for k in bonds if k in front]
    stays = [j for j in range(n) if j not in goes]
    order = [j for j, k in enumerate(bonds) if k in front]
    order += [j for j, k in enumerate(bonds) if k not in front]
    new = tuple(ket.shape[j] for j in order[len(goes) :])
    old = tuple(tensor.shape[j] for j in stays)
    dims = prod(tensor.shape[j] for j in goes), prod(new), ket.shape[-1]
    ket, bra = (x.transpose(*order, -1).reshape(dims) for x in (ket, bra))
    turned = (*goes, *(n + j for j in goes), *stays, *(n + j for j in stays))
    flat = tensor.transpose(turned).reshape(dims[0] ** 2, -1)
    fused, split = _ways(*dims, float(tensor.size))
    if fused <= split:
        both = ket.reshape(-1, dims[2]) @ bra.reshape(-1, dims[2]).T
        both = both.reshape(dims[0], dims[1], dims[0], dims[1]).transpose(1, 3, 0, 2)
        found = both.reshape(dims[1] ** 2, -1) @ flat
    else:
        half = ket.transpose(1, 2, 0).reshape(-1, dims[0]) @ flat.reshape(dims[0], -1)
        half = half.reshape(dims[1], dims[2] * dims[0], -1)
        found = bra.transpose(1, 2, 0).reshape(dims[1], -1) @ half
    found = found.reshape((*new, *new, *old, *old))
    m, s = len(new), len(old)
    order = [
        *range(m),
        *range(2 * m, 2 * m + s),
        *range(m, 2 * m),
        *range(2 * m + s, 2 * m + 2 * s),
    ]
    return (*outer, *(front[j] for j in stays)), found.transpose(order)
