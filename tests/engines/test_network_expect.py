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
    found = expectation(tree, operators, loops=True)
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


def test_a_ring_is_contracted_as_a_ring():
    gates = random_gates(np.random.default_rng(4), RING, 2, strength=3.0)
    state = evolve(zeros(RING), gates, max_bond=16)
    psi, messages = vector(state), propagate(state)
    ring = plaquettes(RING, frozenset(range(12)))
    before = after = inside = 0.0
    for q in range(12):
        operators = {q: PAULIS[3], (q + 4) % 12: PAULIS[1]}
        exact = mean(psi, operators)
        plain = expectation(state, operators, messages)
        found = expectation(state, operators, messages, loops=True)
        whole = expectation(state, operators, messages, loops=True, around=ring)
        before = max(before, abs(plain.value - exact))
        after = max(after, abs(found.value + found.loops - exact))
        inside = max(inside, abs(whole.value - exact))
        assert abs(found.value + found.loops - exact) <= 3 * found.doubt + 1e-9
        assert whole.loops == whole.doubt == 0
    assert before > 1e-4
    assert after < before
    assert inside < 1e-9


TWO_RINGS = Graph(
    14,
    tuple(
        sorted(
            {(min(k, (k + 1) % 12), max(k, (k + 1) % 12)) for k in range(12)}
            | {(0, 12), (12, 13), (6, 13)}
        )
    ),
)


def test_two_rings_are_corrected_to_first_order():
    graph = TWO_RINGS
    assert sorted(len(loop) for loop in plaquettes(graph, frozenset(range(15)))) == [9, 9]
    gates = random_gates(np.random.default_rng(6), graph, 1, strength=1.5)
    state = evolve(zeros(graph), gates, max_bond=16)
    psi, messages = vector(state), propagate(state)
    for q in (0, 3, 13):
        found = expectation(state, {q: PAULIS[3]}, messages, loops=True)
        exact = mean(psi, {q: PAULIS[3]})
        assert abs(found.value + found.loops - exact) <= abs(found.value - exact) + 1e-9


@pytest.mark.parametrize(
    ("sites", "rings"), [((1, 3, 5, 13), 1), ((0, 2, 4, 6, 8, 10, 12), 2), (tuple(range(14)), 2)]
)
def test_loops_that_change_much_become_part_of_the_region(sites, rings):
    # Products of stabilizers of a graph state, all qubits turned a little: closed around rings,
    # so that a tree knows nothing of them.
    graph, angle = TWO_RINGS, 0.1
    hadamard = np.array([[1, 1], [1, -1]], complex) / np.sqrt(2)
    gates = [((q,), hadamard) for q in range(14)]
    gates += [(edge, np.diag([1, 1, 1, -1]).astype(complex)) for edge in graph.edges]
    gates += [((q,), np.diag([1, np.exp(1j * angle)])) for q in range(14)]
    state = evolve(zeros(graph), gates, max_bond=16)
    messages, psi = propagate(state), vector(state)
    operators = {}
    for q in sites:
        for other, pauli in ((q, 1), *((graph.neighbour(q, k), 3) for k in graph.legs[q])):
            operators[other] = operators.get(other, np.eye(2)) @ PAULIS[pauli]
    hermitian = {q: o if np.allclose(o, o.conj().T) else 1j * o for q, o in operators.items()}
    operators = {q: o for q, o in hermitian.items() if abs(o - o[0, 0] * np.eye(2)).max() > 0.1}
    exact = mean(psi, operators)
    assert abs(exact) > 0.9
    assert abs(expectation(state, operators, messages).value) < 1e-12
    found = expectation(state, operators, messages, loops=True)
    assert len(found.around) == rings
    assert found.value + found.loops == pytest.approx(exact, abs=1e-12)
    assert found.doubt < 1e-12


def test_messages_of_a_product_state_are_trivial():
    state = zeros(RING)
    assert propagate(state).sweeps == 1
    assert gauge_messages(state).to[0][0].shape == (1, 1)
    assert expectation(state, {3: PAULIS[3], 7: PAULIS[3]}).value == 1.0
