"""Regions with loops against whole vectors."""

import numpy as np
import pytest

from qdt_emu.engines import network_region
from qdt_emu.engines.network_bp import propagate
from qdt_emu.engines.network_evolve import evolve
from qdt_emu.engines.network_region import fitting, narrowed, ratio
from qdt_emu.engines.network_state import Graph, product_state
from tests.engines.network_oracle import PAULIS, RING, mean, random_gates, vector

GRID = Graph(
    9,
    tuple(
        sorted(
            [(3 * r + c, 3 * r + c + 1) for r in range(3) for c in range(2)]
            + [(3 * r + c, 3 * r + c + 3) for r in range(2) for c in range(3)]
        )
    ),
)


def grown(graph, seed, *, layers=1, strength=2.0, max_bond=8):
    start = product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))
    gates = random_gates(np.random.default_rng(seed), graph, layers, strength=strength)
    return evolve(start, gates, max_bond=max_bond)


def whole(graph):
    return frozenset(range(graph.n)), frozenset(range(len(graph.edges)))


@pytest.mark.parametrize("line", [np.inf, 0.0])
@pytest.mark.parametrize(("graph", "layers"), [(RING, 3), (GRID, 2)])
def test_a_whole_graph_is_exact_in_either_order(monkeypatch, graph, layers, line):
    monkeypatch.setattr(network_region, "LINE", line)
    state = grown(graph, 1, layers=layers, max_bond=4)
    messages, psi = propagate(state), vector(state)
    for support in ((0,), (2, 7), (1, 5, 6, 8)):
        operators = {q: PAULIS[1 + k % 3] + 0.2 * np.eye(2) for k, q in enumerate(support)}
        found = ratio(state, messages, whole(graph), operators)
        assert found == pytest.approx(mean(psi, operators), abs=1e-11)


def test_messages_around_a_region_are_exact_where_they_come_from_trees():
    # A ring with three branches of two sites.
    edges = {(min(k, (k + 1) % 6), max(k, (k + 1) % 6)) for k in range(6)}
    edges |= {(0, 6), (6, 7), (2, 8), (8, 9), (4, 10), (10, 11)}
    graph = Graph(12, tuple(sorted(edges)))
    state = grown(graph, 3, layers=2)
    messages, psi = propagate(state), vector(state)
    ring = frozenset(range(6)), frozenset(k for k, (a, b) in enumerate(graph.edges) if b < 6)
    operators = {1: PAULIS[1], 4: PAULIS[3]}
    # Belief propagation sees the ring as a tree; what branches send into it does not depend on it.
    assert ratio(state, messages, ring, operators) == pytest.approx(mean(psi, operators), abs=1e-9)


def test_bonds_are_cut_to_the_largest_weights():
    state = grown(GRID, 4, layers=2)
    cut, messages = narrowed(state, propagate(state), {0: 2, 5: 3})
    assert cut.tensors[0].shape[0] == len(cut.weights[0]) == 2
    assert len(cut.weights[5]) == len(messages.to[5][0]) == 3
    operators = {0: PAULIS[3], 6: PAULIS[1]}
    found = ratio(cut, messages, whole(GRID), operators)
    assert found == pytest.approx(mean(vector(cut), operators), abs=1e-11)


def test_a_region_is_cut_until_it_fits():
    state = grown(GRID, 5, layers=3)
    region, support = whole(GRID), (0, 8)
    sizes = {k: len(w) for k, w in enumerate(state.weights)}
    assert fitting(state, region, support, np.inf) == {}
    for limit in (1e7, 1e6, 1e5):
        cut = fitting(state, region, support, limit)
        assert cut
        assert all(bond < sizes[k] for k, bond in cut.items())
        tight, _ = narrowed(state, propagate(state), cut)
        assert fitting(tight, region, support, limit) == {}
    some = fitting(state, region, support, 1e6, edges=(0, 1))
    assert some is None or set(some) <= {0, 1}
    assert fitting(state, region, support, 1.0) is None


def test_what_operators_do_not_touch_is_done_once():
    state = grown(RING, 6, layers=2)
    sizes = {k: len(w) for k, w in enumerate(state.weights)}
    bonds = {q: RING.legs[q] for q in range(12)}
    one, all_of_it = (
        network_region._order(RING, bonds, sizes, frozenset(sites)).work  # noqa: SLF001
        for sites in ({4}, set(range(12)))
    )
    assert one < 0.7 * all_of_it
