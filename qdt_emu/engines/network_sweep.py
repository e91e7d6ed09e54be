"""The order in which a graph is swept: few bonds cut at any time, and these in a line."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from qdt_emu.engines.network_state import Graph

Line = tuple[int, ...]

BEAM = 24  # arrangements of the boundary followed at a time
ORDERS = 4  # best orders of sites for which arrangements are looked for
FREE = 4  # outer bonds of one site that are tried in all orders


@dataclass(frozen=True)
class Step:
    """One site joins the swept part, whose bonds to the rest form a line.

    Attributes:
        site: The site.
        swaps: Positions p at which the bonds p and p + 1 of the line are exchanged first.
        first: Position of its first bond to the swept part; where there is none, of the others.
        inner: Its bonds to the swept part, as they lie in the line, next to each other.
        outer: Its other bonds, as they then take the place of these.
    """

    site: int
    swaps: tuple[int, ...]
    first: int
    inner: Line
    outer: Line


@lru_cache(maxsize=64)
def sweep(graph: Graph) -> tuple[Step, ...]:
    """Return an order of all sites in which every site but the first touches earlier ones.

    Heavy-hexagon lattices of 127 to 156 qubits cut at most 5 bonds, square grids one more than
    their width, chains one; swaps are needed only where the graph is not planar.

    Cost:
        0.2 s for 127 sites; remembered.
    """
    tries = sorted(_greedy(graph, s, young=y) for s in range(graph.n) for y in (False, True))
    found: list[tuple[int, tuple[Step, ...]]] = []
    for _, order in tries[:ORDERS]:
        found.append(_arranged(graph, order))
        if found[-1][0] == 0:
            break
    return min(found, key=lambda pair: pair[0])[1] if found else ()


def _greedy(graph: Graph, start: int, *, young: bool) -> tuple[float, tuple[int, ...]]:
    """Return the cost and an order in which each site cuts as few more bonds as it can.

    Args:
        graph: The graph.
        start: First site.
        young: Whether among equals the latest found goes first, else the earliest.
    """
    ahead = [len(legs) for legs in graph.legs]  # neighbours not yet swept
    swept = [False] * graph.n
    born = {start: 0}
    order: list[int] = []
    cut, cost = 0, 0.0
    for k in range(graph.n):
        if not born:  # another component
            born[min((len(graph.legs[q]), q) for q in range(graph.n) if not swept[q])[1]] = k
        site = min(
            born,
            key=lambda q: (
                2 * ahead[q] - len(graph.legs[q]),
                -born[q] if young else born[q],
                q,
            ),
        )
        del born[site]
        swept[site] = True
        order.append(site)
        cut += 2 * ahead[site] - len(graph.legs[site])
        cost += 4.0**cut
        for edge in graph.legs[site]:
            other = graph.neighbour(site, edge)
            ahead[other] -= 1
            if not swept[other]:
                born.setdefault(other, k)
    return cost, tuple(order)


def _arranged(graph: Graph, order: tuple[int, ...]) -> tuple[int, tuple[Step, ...]]:
    """Return the number of swaps and the steps of an order, by beam search over the lines."""
    when = {q: k for k, q in enumerate(order)}
    beam: list[tuple[int, int, Line, tuple[Step, ...]]] = [(0, 0, (), ())]
    for k, site in enumerate(order):
        sooner = [when[graph.neighbour(site, e)] < k for e in graph.legs[site]]
        inner = [e for e, early in zip(graph.legs[site], sooner, strict=True) if early]
        outer = tuple(e for e, early in zip(graph.legs[site], sooner, strict=True) if not early)
        choices = list(permutations(outer)) if len(outer) <= FREE else [outer]
        new: dict[Line, tuple[int, int, Line, tuple[Step, ...]]] = {}
        for swapped, _, line, steps in beam:
            turned, swaps, first = _gathered(line, inner)
            own = turned[first : first + len(inner)]
            for choice in choices:
                after = turned[:first] + choice + turned[first + len(inner) :]
                step = Step(site, swaps, first, own, choice)
                item = (swapped + len(swaps), _spread(graph, when, after), after, (*steps, step))
                if after not in new or item[:2] < new[after][:2]:
                    new[after] = item
        beam = sorted(new.values(), key=lambda b: (b[0] + b[1], b[0], b[2]))[:BEAM]
    best = min(beam, key=lambda b: b[0])
    return best[0], best[3]


def _gathered(line: Line, inner: list[int]) -> tuple[Line, tuple[int, ...], int]:
    """Return the line with some bonds brought together, the swaps, and where they begin."""
    places = sorted(line.index(e) for e in inner)
    if not places:
        return line, (), len(line)
    now, mid = list(line), len(places) // 2
    swaps: list[int] = []
    for j in range(mid - 1, -1, -1):
        swaps += range(places[j], places[mid] - (mid - j))
    for j in range(mid + 1, len(places)):
        swaps += range(places[j] - 1, places[mid] + (j - mid) - 1, -1)
    for i in swaps:
        now[i], now[i + 1] = now[i + 1], now[i]
    return tuple(now), tuple(swaps), places[mid] - mid


def _spread(graph: Graph, when: dict[int, int], line: Line) -> int:
    """Return how many bonds lie between bonds that lead to the same site, summed over sites."""
    ends: dict[int, list[int]] = {}
    for place, edge in enumerate(line):
        ends.setdefault(max(graph.edges[edge], key=when.__getitem__), []).append(place)
    return sum(places[-1] - places[0] + 1 - len(places) for places in ends.values())
