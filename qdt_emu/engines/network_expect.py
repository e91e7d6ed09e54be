"""Expectation values of products of one-site operators in a graph tensor network."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from qdt_emu.engines.network_bp import Messages, gauge_messages, propagate
from qdt_emu.engines.network_region import CAPS, Region, fitting, narrowed, ratio
from qdt_emu.engines.network_state import Array, Graph, GraphState

Loop = tuple[int, ...]
"""Edges of a loop, sorted."""

LONGEST = 64  # sites of a loop that is corrected for; heavy-hex plaquettes have 12
SKETCH, FINE, WORK = 2e7, 1e8, 3e9  # multiply-adds of a region: 10 ms, 50 ms, 1 s on one Zen core
MORE = 4.0  # times `WORK` for one more loop around a region with loops, whose bonds stay
LOOKS = 16  # regions of up to `WORK` for one string
FADED = 3e-3  # share of a bond's weight that a first look at loops leaves out
TOLERANCE = 1e-3  # sum of changes from which loops become part of the region, if that can be exact
SURE = 0.1  # of it: below, a first look is enough
UNSEEN = 2e-5  # what a first look may miss of a loop
SETTLED, SWEEPS = 1e-5, 50  # of messages in a region with bonds cut
LARGEST = 2.0  # change of the expectation value of operators of norm 1


@dataclass(frozen=True)
class Estimate:
    """An expectation value and what loops change in it.

    Attributes:
        value: Contraction of a region that holds the operators, messages around it.
        loops: Sum of the changes when one more loop at a time is contracted.
        doubt: Sum of their absolute values, and of what is not seen of them.
        around: Loops in the region.
        rough: Whether loops that change much had only a first look.
    """

    value: float
    loops: float = 0.0
    doubt: float = 0.0
    around: tuple[Loop, ...] = ()
    rough: bool = False


@dataclass(frozen=True)
class _Look:
    """What a larger region changes.

    Attributes:
        change: Of the value.
        size: How large that may be.
        cut: Whether bonds were cut for it.
    """

    change: float
    size: float
    cut: bool


def expectation(
    state: GraphState,
    operators: Mapping[int, Array],
    messages: Messages | None = None,
    *,
    loops: bool = False,
    around: Collection[Loop] = (),
    tolerance: float = TOLERANCE,
    looks: int = LOOKS,
) -> Estimate:
    """Return the expectation value of a product of Hermitian one-site operators.

    The operators are connected by a tree of bonds, which is contracted exactly with messages on
    all bonds around it: numerator over denominator. Loops that change much are added to the tree
    as long as that can be contracted, the others give a correction each. Operators without a bond
    of dimension above one between them are independent factors.

    Args:
        state: Any normalisation; in Vidal gauge where `messages` is None.
        operators: Shape (d, d) for each site of the support.
        messages: A fixed point of belief propagation.
        loops: Whether to look for loops.
        around: Loops that are part of the region from the start, as far as their bonds are open.
        tolerance: What loops outside of the region may change, as far as work allows.
        looks: Regions that may take up to `WORK`; 0 is a first look at loops and no more.

    Error:
        Exact on trees, and on loops in the region. A loop that it touches changes the value by
        about the product of the largest but one Schmidt ratios along it, more where the operators
        lie around it; `loops` is the sum over loops of one each, with their bonds cut to what the
        work allows.

    Cost:
        O(D**(z + 1)) for each site of degree z on the tree; up to `SKETCH` for each loop. Where
        that is not enough, up to `FINE` for each, and `LOOKS` times `WORK`.

    Source:
        arXiv:2409.03108 and arXiv:2510.05647, to first order in loops around the region.
    """
    messages = gauge_messages(state) if messages is None else messages
    graph, edges = state.graph, _open_edges(state)
    total, relative, doubt, rough, inside = 1.0, 0.0, 0.0, False, dict[Loop, None]()
    for support in _islands(graph, edges, frozenset(operators)):
        own = {q: operators[q] for q in support}
        base, held = _enclosed(graph, edges, connect(graph, edges, support), around)
        part = Estimate(_value(state, messages, base, own), around=held)
        if loops:
            part = _grown(state, messages, base, own, part, tolerance, looks)
        relative = relative * part.value + total * part.loops  # to first order in loops
        doubt = doubt * abs(part.value) + abs(total) * part.doubt
        total *= part.value
        inside |= dict.fromkeys(part.around)
        rough = rough or part.rough
    return Estimate(total, relative, doubt, tuple(inside), rough)


def _open_edges(state: GraphState) -> frozenset[int]:
    return frozenset(k for k, w in enumerate(state.weights) if len(w) > 1)


def _value(
    state: GraphState, messages: Messages, region: Region, operators: Mapping[int, Array]
) -> float:
    """Return a region; what was chosen in another trajectory may have to be cut in this one."""
    state, messages = _fitted(state, messages, region, operators, WORK)
    return ratio(state, messages, region, operators)


def _fitted(
    state: GraphState,
    messages: Messages,
    region: Region,
    operators: Collection[int],
    work: float,
    edges: Collection[int] | None = None,
) -> tuple[GraphState, Messages]:
    """Return a state with bonds of a region cut until it takes `work`, at most a few times that.

    Where only some edges may be cut, they are worth more work; then all are cut, to the least.
    """
    tries = [(work, edges), (MORE * work, edges)] if edges is not None else []
    for limit, some in (*tries, (work, region[1])):
        cut = fitting(state, region, operators, limit, some)
        if cut is not None:
            return narrowed(state, messages, cut)
    cut = dict.fromkeys(region[1], CAPS[-1])
    return narrowed(state, messages, cut)


def _grown(
    state: GraphState,
    messages: Messages,
    base: Region,
    operators: Mapping[int, Array],
    found: Estimate,
    tolerance: float,
    looks: int,
) -> Estimate:
    """Return the value with loops, those that change much as part of the region."""
    graph, edges = state.graph, _open_edges(state)

    def look(more: Region, work: float) -> _Look:
        return _change(state, messages, base, more, operators, work)

    left = looks
    while True:
        every = _around(graph, edges, base)
        near = [r for r in every if not any(r[0] < other[0] for other in every)]
        seen = {r: look(r, SKETCH) for r in near}
        missed = UNSEEN * sum(s.cut for s in seen.values())
        rough = _doubt(seen) > SURE * tolerance
        if left and rough and not _looped(base):
            missed = 0.0
            seen = {r: look(r, FINE) for r in near}
        if left and _doubt(seen) > tolerance:
            deep = sorted(near, key=lambda r: -seen[r].size)[:left]
            left, missed = left - len(deep), 0.0
            seen |= {r: look(r, WORK) for r in deep}
        if _doubt(seen) > tolerance and left:
            largest = max(near, key=lambda r: abs(seen[r].change))
            half = abs(seen[largest].change) / 2
            inside = sorted((r for r in every if r[0] < largest[0]), key=lambda r: len(r[0]))
            chosen = next((r for r in inside if abs(look(r, WORK).change) >= half), largest)
            if fitting(state, chosen, operators, WORK) == {}:
                left -= 1
                base = chosen
                held = tuple(o for o in plaquettes(graph, edges) if base[1].issuperset(o))
                found = Estimate(ratio(state, messages, base, operators), around=held)
                continue
        change = sum(s.change for s in seen.values())
        rough = rough and not looks
        return Estimate(found.value, change, _doubt(seen) + missed, found.around, rough)


def _doubt(seen: Mapping[Region, _Look]) -> float:
    return sum(s.size for s in seen.values())


def _change(
    state: GraphState,
    messages: Messages,
    base: Region,
    more: Region,
    operators: Mapping[int, Array],
    work: float,
) -> _Look:
    """Return what a larger region changes.

    Args:
        state: The state.
        messages: Its messages.
        base: The region.
        more: The larger one.
        operators: On it.
        work: Multiply-adds that this may take: bonds are cut until it does not take more.

    Error:
        Bonds between operators carry the whole expectation value, so that cut bonds of the region
        make it smaller by about the share of their weight that is left. The size takes that into
        account.
    """
    whole = state.weights
    if work <= SKETCH:
        touched = {k for q in more[0] for k in state.graph.legs[q]}
        visible = {k: _visible(state.weights[k]) for k in touched}
        state, messages = narrowed(state, messages, visible)
    edges = more[1] - base[1] if _looped(base) and work > FINE else None
    state, messages = _fitted(state, messages, more, operators, work, edges)
    cut = any(len(whole[k]) > len(state.weights[k]) for k in more[1])
    if cut:
        # Else what is cut on the way around would look like a loop.
        messages = propagate(
            state, tolerance=SETTLED, max_sweeps=SWEEPS, start=messages, sites=more[0]
        )
    before = ratio(state, messages, base, operators)
    change = ratio(state, messages, more, operators) - before
    kept = {k: len(state.weights[k]) for k in base[1]}
    share = prod(float(whole[k][:bond] @ whole[k][:bond]) for k, bond in kept.items())
    largest = max(abs(change), LARGEST)
    return _Look(change, min(abs(change) / max(share, 1e-300), largest), cut)


def _looped(region: Region) -> bool:
    return len(region[1]) >= len(region[0])


def _visible(weight: Array) -> int:
    """Return how many Schmidt coefficients hold all but a small share of the weight."""
    rest = (weight[::-1] ** 2).cumsum()[::-1]
    return max(1, int((rest > FADED * rest[0]).sum()))


def _enclosed(
    graph: Graph, open_edges: frozenset[int], tree: Region, loops: Collection[Loop]
) -> tuple[Region, tuple[Loop, ...]]:
    """Return a tree with those of some loops that are open and hang on it."""
    held = [loop for loop in loops if open_edges.issuperset(loop)]
    sites, taken = set(tree[0]), list[Loop]()
    while True:
        more = [o for o in held if o not in taken and sites & _sites(graph, o)]
        if not more:
            break
        taken += more
        sites.update(*(_sites(graph, loop) for loop in more))
    return (_induced(graph, open_edges, sites) if taken else tree), tuple(taken)


def _sites(graph: Graph, edges: Iterable[int]) -> set[int]:
    return {q for k in edges for q in graph.edges[k]}


def _induced(graph: Graph, open_edges: frozenset[int], sites: Collection[int]) -> Region:
    """Return sites and all open edges between them."""
    own = frozenset(sites)
    edges = {k for q in own for k in graph.legs[q] if k in open_edges}
    return own, frozenset(k for k in edges if own.issuperset(graph.edges[k]))


@lru_cache(maxsize=4096)
def _around(graph: Graph, open_edges: frozenset[int], base: Region) -> tuple[Region, ...]:
    """Return a region with one more of the loops that it touches, each region once."""
    found: dict[Region, None] = {}
    for loop in plaquettes(graph, open_edges):
        sites = _sites(graph, loop)
        if sites & base[0] and not base[1].issuperset(loop):
            found[_induced(graph, open_edges, sites | base[0])] = None
    return tuple(found)


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
) -> Region:
    """Return (sites, edges) that connect a support, grown by shortest paths.

    A tree, at most twice as long as the shortest.

    Source:
        Takahashi and Matsuyama, Math. Japonica 24, 573 (1980).
    """
    sites, edges = {min(support)}, set[int]()
    left = set(support) - sites
    while left:
        found = _distances(graph, open_edges, sites)
        here = min(left, key=lambda q: (found[q][0], q))
        while here not in sites:
            sites.add(here)
            k = found[here][1]
            edges.add(k)
            here = graph.neighbour(here, k)
        left -= sites
    return frozenset(sites), frozenset(edges)


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
