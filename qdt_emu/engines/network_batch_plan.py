"""Which tensors of many copies of a graph a layer of disjoint edges reads and writes, and when.

Copies of a graph are one graph of many parts, so a layer may hold any edges of any copies. Sites of
equal degree have tensors of equal shape and stand in one stack; the sites of a layer whose bond is
the same leg of the same stack are one group. Groups are filled up to few sizes, so that few shapes
are ever compiled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.network_state import Array, Graph
from qdt_emu.errors import InputError

Index = NDArray[np.int32]
NOWHERE = np.int32(2**31 - 1)
"""A row that no stack has: reading it gives zeros, writing it does nothing."""
SMALLEST = 8  # pairs; smaller layers would gain less than compiling for them costs


@dataclass(frozen=True)
class Layout:
    """Where each site of a graph stands in stacks of equal degree."""

    graph: Graph

    @cached_property
    def degrees(self) -> tuple[int, ...]:
        """Degree of each stack, ascending."""
        return tuple(sorted({len(legs) for legs in self.graph.legs}))

    @cached_property
    def stack(self) -> Index:
        """Stack of each site."""
        of = [self.degrees.index(len(legs)) for legs in self.graph.legs]
        return np.array(of, np.int32)

    @cached_property
    def place(self) -> Index:
        """Row of each site in its stack, within a copy."""
        seen = [0] * len(self.degrees)
        out = np.zeros(self.graph.n, np.int32)
        for q, k in enumerate(self.stack.tolist()):
            out[q], seen[k] = seen[k], seen[k] + 1
        return out

    @cached_property
    def sizes(self) -> Index:
        """Sites of each stack, within a copy."""
        return np.bincount(self.stack, minlength=len(self.degrees)).astype(np.int32)

    @cached_property
    def bonds(self) -> Index:
        """Edges of each site as in `graph.legs`, filled with -1, shape (n, largest degree)."""
        out = np.full((self.graph.n, max(self.degrees, default=0)), -1, np.int32)
        for q, legs in enumerate(self.graph.legs):
            out[q, : len(legs)] = legs
        return out

    @cached_property
    def ends(self) -> Index:
        """Both sites of each edge, shape (edges, 2)."""
        return np.array(self.graph.edges, np.int32).reshape(-1, 2)

    def rows(self, copies: Index, sites: Index) -> Index:
        """Return the rows of sites in their stacks."""
        rows: Index = copies * self.sizes[self.stack[sites]] + self.place[sites]
        return rows


@lru_cache(maxsize=64)
def layout(graph: Graph) -> Layout:
    """Return the layout of a graph."""
    return Layout(graph)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Layer:
    """Disjoint edges, as rows of stacks; a pytree with static `groups`.

    A pair has two sides; the sides of m pairs are counted first sites first, 0 .. 2 m - 1.

    Attributes:
        edges: Row of each pair in the weights, shape (m,); `NOWHERE` fills up.
        copies: Copy of each pair, shape (m,).
        where: Position of each side among the sides of all groups, shape (2 m,).
        rows: For each group, rows of its stack.
        outer: For each group, rows of the weights of the other legs, shape (size, degree - 1).
        sides: For each group, the side that each row is.
        groups: (stack, leg) of each group.
    """

    edges: Array
    copies: Array
    where: Array
    rows: tuple[Array, ...]
    outer: tuple[Array, ...]
    sides: tuple[Array, ...]
    groups: tuple[tuple[int, int], ...] = field(metadata={"static": True})


@dataclass(frozen=True)
class Room:
    """Sizes that layers are filled up to, and those sizes halved again and again.

    Attributes:
        pairs: Most pairs of a layer.
        groups: ((stack, leg), most sides) of each group.
        ratio: Each size is the last one divided by this.
    """

    pairs: int
    groups: tuple[tuple[tuple[int, int], int], ...]
    ratio: int = 2

    def fitting(self, pairs: int, counts: dict[tuple[int, int], int]) -> "Room":
        """Return the smallest size that holds a layer."""
        own = dict(self.groups)
        room = self
        while True:
            less = Room(
                -(-room.pairs // self.ratio),
                tuple((g, -(-c // self.ratio)) for g, c in room.groups),
                self.ratio,
            )
            smaller = dict(less.groups)
            if less.pairs < SMALLEST or pairs > less.pairs:
                return room
            if any(counts[g] > smaller[g] for g in counts if g in own):
                return room
            room = less


Pairs = tuple[Index, Index, Index]
"""Copies, edges, and 1 where the second site of the edge is the first of the pair."""


def _groups(plan: Layout, pairs: Pairs) -> tuple[Index, Index, Index, dict[tuple[int, int], int]]:
    """Return copies, sites and legs of all sides, and how many sides each group has."""
    copies, edges, turned = pairs
    ends = plan.ends[edges]
    first, second = np.where(turned, ends[:, 1], ends[:, 0]), np.where(turned, *ends.T)
    sites = np.concatenate([first, second]).astype(np.int32)
    legs = np.argmax(plan.bonds[sites] == np.tile(edges, 2)[:, None], axis=1).astype(np.int32)
    keys, count = np.unique(
        np.stack([plan.stack[sites], legs], 1), axis=0, return_counts=True
    )  # fmt: skip
    counts = {(k[0], k[1]): c for k, c in zip(keys.tolist(), count.tolist(), strict=True)}
    return np.tile(copies, 2), sites, legs, counts


def room(plan: Layout, layers: Iterable[Pairs], ratio: int = 2) -> Room:
    """Return the sizes that hold every one of some layers."""
    most: dict[tuple[int, int], int] = {}
    pairs = 1
    for layer in layers:
        pairs = max(pairs, len(layer[0]))
        for group, count in _groups(plan, layer)[3].items():
            most[group] = max(most.get(group, 1), count)
    return Room(pairs, tuple(sorted(most.items())), ratio)


def full_room(plan: Layout, copies: int) -> Room:
    """Return the sizes that hold any layer, in steps of 4."""
    groups = [
        ((k, leg), copies * int(plan.sizes[k]))
        for k, degree in enumerate(plan.degrees)
        for leg in range(degree)
    ]
    return Room(max(1, copies * (plan.graph.n // 2)), tuple(groups), 4)


def layer(plan: Layout, pairs: Pairs, within: Room) -> Layer:
    """Return the rows of a layer of disjoint edges, filled up to one of the sizes of a room."""
    copies, sites, legs, counts = _groups(plan, pairs)
    n = len(pairs[0])
    size = within.fitting(n, counts)
    m, n_edges = size.pairs, len(plan.graph.edges)
    side = np.concatenate([np.arange(n), m + np.arange(n)]).astype(np.int32)
    where = np.zeros(2 * m, np.int32)
    rows, outer, sides, start = [], [], [], 0
    for (k, leg), room_of in size.groups:
        mine = np.flatnonzero((plan.stack[sites] == k) & (legs == leg))
        others = np.delete(plan.bonds[sites[mine], : plan.degrees[k]], leg, axis=1)
        rows.append(filled(plan.rows(copies[mine], sites[mine]), room_of))
        outer.append(filled(copies[mine, None] * n_edges + others, room_of))
        sides.append(filled(side[mine], room_of, 0))
        where[side[mine]] = start + np.arange(len(mine))
        start += room_of
    return Layer(
        filled(pairs[0] * n_edges + pairs[1], m),
        filled(pairs[0], m),
        where,
        tuple(rows),
        tuple(outer),
        tuple(sides),
        tuple(g for g, _ in size.groups),
    )


def filled(rows: Any, size: int, value: int = int(NOWHERE)) -> Index:
    """Return rows filled up to a size."""
    out = np.full((size, *rows.shape[1:]), value, np.int32)
    out[: len(rows)] = rows
    return out


class Event(NamedTuple):
    """Operators on a site of a copy, one of which happens; `number` counts the copy's events."""

    copy: int
    site: int
    kraus: Array
    uniform: float
    number: int


Step = tuple[tuple[int, ...], Array] | tuple[tuple[int, ...], Array, float]
"""(sites, matrix), or (site, Kraus operators, uniform) of an event."""


class Turn(NamedTuple):
    """A gate on one or two sites of a copy."""

    copy: int
    sites: tuple[int, ...]
    matrix: Array


@dataclass(frozen=True, eq=False)
class Round:
    """What happens at one depth: a layer of gates, then what only some copies have.

    Attributes:
        pairs: The layer.
        matrices: Matrix of each pair, shape (m, d**2, d**2).
        after: Events and gates, of each copy one after the other.
    """

    pairs: Pairs
    matrices: Array
    after: tuple[Event | Turn, ...] = ()


def rounds(graph: Graph, circuits: Sequence[Iterable[Step]]) -> tuple[list[Round], list[Turn]]:
    """Return what happens at each depth, as early as possible, and what is left on single sites.

    Operators on one site become part of the next gate or event on it.

    Raises:
        InputError: Two sites that share no bond.
    """
    made: list[tuple[list[tuple[int, int, int]], list[Array], list[Event]]] = [([], [], [])]
    rest: list[Turn] = []
    for copy, circuit in enumerate(circuits):
        depth = [0] * graph.n
        waiting: dict[int, Array] = {}
        count = 0
        for sites, matrix, *uniform in circuit:
            if len(sites) == 2:
                a, b = sites
                depth[a] = depth[b] = at = 1 + max(depth[a], depth[b])
                if at == len(made):
                    made.append(([], [], []))
                made[at][0].append((copy, edge_of(graph, a, b), int(a > b)))
                made[at][1].append(_behind(matrix, waiting.pop(a, None), waiting.pop(b, None)))
            elif uniform:
                before = waiting.pop(sites[0], None)
                kraus = matrix if before is None else matrix @ before
                made[depth[sites[0]]][2].append(Event(copy, sites[0], kraus, uniform[0], count))
                count += 1
            else:
                before = waiting.get(sites[0])
                waiting[sites[0]] = matrix if before is None else matrix @ before
        rest += [Turn(copy, (site,), matrix) for site, matrix in waiting.items()]
    done = [Round(pair_arrays(p), np.array(m), tuple(events)) for p, m, events in made]
    return done, rest


def edge_of(graph: Graph, a: int, b: int) -> int:
    """Return the edge between two sites.

    Raises:
        InputError: There is none.
    """
    edge = graph.edge.get((min(a, b), max(a, b)))
    if edge is None:
        raise InputError(
            f"A two-site operator must act on a bond of the graph, but sites {a} and {b} share "
            f"none. Add the edge to the graph or route with swaps."
        )
    return edge


def pair_arrays(pairs: Sequence[tuple[int, int, int]]) -> Pairs:
    """Return (copy, edge, turned) of each pair as arrays."""
    copies, edges, turned = np.array(pairs, np.int32).reshape(-1, 3).T
    return copies, edges, turned


def _behind(matrix: Array, first: Array | None, second: Array | None) -> Array:
    """Return a two-site operator after operators on its sites."""
    if first is None and second is None:
        return matrix
    d = round(len(matrix) ** 0.5)
    cube = matrix.reshape(-1, d, d)
    if first is not None:
        cube = np.einsum("xab,ac->xcb", cube, first)
    if second is not None:
        cube = cube @ second
    return cube.reshape(d * d, d * d)
