"""Belief propagation and expectation values against whole vectors."""

from dataclasses import replace

import numpy as np
import pytest

from qdt_emu.engines.network_bp import environment, gauge_messages, propagate, value
from qdt_emu.engines.network_evolve import evolve
from qdt_emu.engines.network_expect import expectation, plaquettes
from qdt_emu.engines.network_state import Graph, product_state
from tests.engines.network_oracle import (
    PAULIS,
    RING,
    TREE,
    mean,
    random_gates,
    random_unitary,
    run,
    vector,
)


def zeros(graph):
    return product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))


def scrambled(state, rng):
    """The same state in a random gauge on every bond."""
    tensors = list(state.tensors)
    for k, (a, b) in enumerate(state.graph.edges):
        d = len(state.weights[k])
        gauge = np.eye(d) + 0.3 * (rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)))
        w = np.diag(state.weights[k])
        both = [(a, gauge), (b, (np.linalg.inv(w) @ np.linalg.inv(gauge) @ w).T)]
        for site, matrix in both:
            axis = state.graph.legs[site].index(k)
            moved = np.moveaxis(tensors[site], axis, -1) @ matrix
            tensors[site] = np.moveaxis(moved, -1, axis)
    return replace(state, tensors=tuple(tensors))


@pytest.fixture(scope="module")
def tree():
    return evolve(zeros(TREE), random_gates(np.random.default_rng(0), TREE, 2), max_bond=64)


def bethe_log_norm(state, messages):
    """Log of the norm from messages: half of (sum over sites - sum over bonds), exact on trees."""
    graph, total = state.graph, 0.0
    for site, tensor in enumerate(state.tensors):
        inside = [
            environment(state, messages.to[k][graph.edges[k].index(site)], k)
            for k in graph.legs[site]
        ]
        total += np.log(abs(value(tensor, inside)))
    for (left, right), w in zip(messages.to, state.weights, strict=True):
        total -= np.log(abs(np.sum(right * (w[:, None] * left * w))))
    return 0.5 * total + state.log_norm


def test_two_sweeps_settle_a_tree_and_give_its_norm(tree):
    state = replace(scrambled(tree, np.random.default_rng(1)), log_norm=0.25)
    messages = propagate(state)
    assert messages.sweeps <= 3
    exact = np.log(np.linalg.norm(vector(state)))
    assert bethe_log_norm(state, messages) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("support", [(0,), (4,), (1, 3), (0, 9), (2, 4, 7, 9), tuple(range(10))])
def test_products_of_operators_on_a_tree_are_exact(tree, support):
    rng = np.random.default_rng(len(support))
    operators = {}
    for q in support:
        u = random_unitary(rng, 2)
        operators[q] = u @ np.diag([1.0, -0.7]) @ u.conj().T
    psi = vector(tree)
    found = expectation(tree, operators, loops=16)
    assert found.value == pytest.approx(mean(psi, operators), abs=1e-11)
    assert found.loops == 0
    other = scrambled(tree, rng)
    assert expectation(other, operators, propagate(other)).value == pytest.approx(
        mean(psi, operators), abs=1e-9
    )


def test_parts_without_entanglement_are_factors():
    gates = random_gates(np.random.default_rng(3), Graph(10, ((0, 1), (6, 7))), 2)
    state = evolve(zeros(TREE), gates, max_bond=8)
    operators = {0: PAULIS[1], 1: PAULIS[2], 7: PAULIS[3], 9: PAULIS[3]}
    exact = mean(run(10, gates), operators)
    assert expectation(state, operators).value == pytest.approx(exact, abs=1e-12)


def test_the_loop_correction_makes_a_ring_exact():
    gates = random_gates(np.random.default_rng(4), RING, 2, strength=3.0)
    state = evolve(zeros(RING), gates, max_bond=16)
    psi = vector(state)
    messages = propagate(state)
    before = after = 0.0
    for q in range(12):
        operators = {q: PAULIS[3], (q + 4) % 12: PAULIS[1]}
        found = expectation(state, operators, messages, loops=16)
        exact = mean(psi, operators)
        before = max(before, abs(found.value - exact))
        after = max(after, abs(found.value + found.loops - exact))
    assert before > 1e-5
    assert after < 1e-9


def test_two_rings_are_corrected_to_first_order():
    edges = {(min(k, (k + 1) % 12), max(k, (k + 1) % 12)) for k in range(12)}
    graph = Graph(14, tuple(sorted(edges | {(0, 12), (12, 13), (6, 13)})))
    assert sorted(len(loop) for loop in plaquettes(graph, frozenset(range(15)))) == [9, 9]
    gates = random_gates(np.random.default_rng(6), graph, 1, strength=1.5)
    state = evolve(zeros(graph), gates, max_bond=16)
    psi, messages = vector(state), propagate(state)
    for q in (0, 3, 13):
        found = expectation(state, {q: PAULIS[3]}, messages, loops=16)
        exact = mean(psi, {q: PAULIS[3]})
        assert abs(found.value + found.loops - exact) <= abs(found.value - exact) + 1e-9


def test_messages_of_a_product_state_are_trivial():
    state = zeros(RING)
    assert propagate(state).sweeps == 1
    assert gauge_messages(state).to[0][0].shape == (1, 1)
    assert expectation(state, {3: PAULIS[3], 7: PAULIS[3]}).value == 1.0
