"""Gates on graph tensor networks: exact on trees, honest about what is cut."""

import numpy as np
import pytest

from qdt_emu.engines import network_evolve
from qdt_emu.engines.network_bp import propagate
from qdt_emu.engines.network_evolve import (
    SETTLED,
    Work,
    apply_one,
    apply_two,
    evolve,
    factor,
)
from qdt_emu.engines.network_state import Graph, product_state
from qdt_emu.errors import InputError
from tests.engines.network_oracle import (
    PAULIS,
    RING,
    TREE,
    apply,
    mean,
    random_gates,
    random_unitary,
    run,
    vector,
)


def zeros(graph, dtype=complex):
    return product_state(graph, np.tile(np.array([1, 0], dtype), (graph.n, 1)))


@pytest.mark.parametrize(
    ("rank", "matrix"), [(2, np.diag([1, 1, 1, -1])), (1, np.eye(4)), (4, None)]
)
def test_factors_multiply_back_to_the_operator(rank, matrix):
    if matrix is None:
        matrix = np.eye(4)[[0, 2, 1, 3]]
    found = factor(matrix.astype(complex))
    assert len(found.left) == rank
    back = sum(np.kron(a, b) for a, b in zip(found.left, found.right, strict=True))
    assert np.abs(back - matrix).max() < 1e-14


@pytest.mark.parametrize("layers", [1, 3])
def test_evolution_of_a_tree_is_exact(layers):
    gates = random_gates(np.random.default_rng(layers), TREE, layers)
    state = evolve(zeros(TREE), gates, max_bond=64)
    assert np.abs(vector(state) - run(TREE.n, gates)).max() < 1e-12
    assert abs(state.log_fidelity) < 1e-12
    assert abs(state.log_norm) < 1e-12


def test_saturated_bonds_of_a_tree_stay_exact():
    # More layers than bonds can grow: the fast route meets singular Gram matrices.
    gates = random_gates(np.random.default_rng(5), TREE, 7)
    state = evolve(zeros(TREE), gates, max_bond=64)
    assert np.abs(vector(state) - run(TREE.n, gates)).max() < 1e-11
    assert max(len(w) for w in state.weights) == 32  # five qubits on either side


def test_messages_of_an_evolved_tree_are_identities():
    gates = random_gates(np.random.default_rng(1), TREE, 3)
    state = evolve(zeros(TREE), gates, max_bond=64)
    for pair in propagate(state).to:
        for message in pair:
            assert np.abs(message - np.eye(len(message))).max() < 1e-9


def test_both_routes_agree_when_the_bond_is_cut(monkeypatch):
    gates = random_gates(np.random.default_rng(2), RING, 5)
    fast = evolve(zeros(RING), gates, max_bond=8)
    monkeypatch.setattr(network_evolve, "steep", lambda _: np.inf)
    slow = evolve(zeros(RING), gates, max_bond=8)
    assert abs(fast.log_fidelity - slow.log_fidelity) < 1e-9
    assert np.abs(vector(fast) - vector(slow)).max() < 1e-8


def test_the_discarded_weight_is_the_loss_of_fidelity_on_a_tree():
    gates = random_gates(np.random.default_rng(3), TREE, 1)
    *before, last = random_gates(np.random.default_rng(4), TREE, 1)
    full = evolve(zeros(TREE), gates + before, max_bond=64)
    cut = apply_two(full, last[0], last[1], max_bond=1)
    whole = apply(vector(full), *last)
    overlap = abs(np.vdot(whole, vector(cut))) ** 2 / np.vdot(vector(cut), vector(cut)).real
    assert cut.log_fidelity < -1e-3
    assert np.log(overlap) == pytest.approx(cut.log_fidelity, abs=1e-10)
    assert 2 * cut.log_norm == pytest.approx(cut.log_fidelity, abs=1e-10)


def test_long_loops_change_little():
    gates = random_gates(np.random.default_rng(6), RING, 3, strength=0.5)
    exact = run(RING.n, gates)
    state = evolve(zeros(RING), gates, max_bond=64)
    # The cutoff drops directions that the loop could still see: below 1e-8 of the norm here.
    assert abs(np.vdot(exact, vector(state))) > 1 - 1e-8


def test_a_rank_one_operator_is_two_one_site_operators():
    rng = np.random.default_rng(7)
    a, b = random_unitary(rng, 2), random_unitary(rng, 2)
    state = apply_two(zeros(TREE), (3, 1), np.kron(a, b), max_bond=4)
    other = apply_one(apply_one(zeros(TREE), 3, a), 1, b)
    assert all(len(w) == 1 for w in state.weights)
    assert np.abs(vector(state) - vector(other)).max() < 1e-14


def test_sites_without_a_bond_are_refused():
    with pytest.raises(InputError, match="sites 0 and 9 share none"):
        apply_two(zeros(TREE), (0, 9), np.diag([1.0, 1, 1, -1]), max_bond=4)


def regauge(state, site):
    work = Work(state)
    work.settle(site, 1e-12, SETTLED)
    return work.state()


@pytest.mark.parametrize("site", [0, 3, 9])
def test_a_kraus_operator_normalises_and_keeps_the_gauge(site):
    rng = np.random.default_rng(site)
    state = evolve(zeros(TREE), random_gates(rng, TREE, 3), max_bond=64)
    kraus = np.array([[1, 0], [0, 0.3]], complex) @ random_unitary(rng, 2)
    exact = apply(vector(state), (site,), kraus)
    after = regauge(apply_one(state, site, kraus), site)
    assert np.abs(vector(after) - exact).max() < 1e-12
    assert np.exp(after.log_norm) == pytest.approx(np.linalg.norm(exact), abs=1e-11)
    for pair in propagate(after).to:
        for message in pair:
            assert np.abs(message - np.eye(len(message))).max() < 1e-8
    rho = Work(after).reduced(4)
    assert (rho[0, 0] - rho[1, 1]).real == pytest.approx(mean(exact, {4: PAULIS[3]}), abs=1e-11)


def test_a_projection_shrinks_the_bonds():
    state = evolve(zeros(TREE), random_gates(np.random.default_rng(0), TREE, 3), max_bond=64)
    after = regauge(apply_one(state, 0, np.diag([1.0 + 0j, 0])), 0)
    assert len(after.weights[0]) == 1


def test_real_tensors_of_dimension_four_stay_real():
    # Weights of normalised Paulis: the transfer matrix of a unitary is orthogonal.
    graph = Graph(3, ((0, 1), (1, 2)))
    rng = np.random.default_rng(9)
    basis = PAULIS / np.sqrt(2)
    pairs = np.einsum("aij,bkl->abikjl", basis, basis).reshape(16, 4, 4)
    maps = []
    for sites in ((0, 1), (2, 1), (1, 0)):
        u = random_unitary(rng, 4)
        ptm = np.einsum("aij,jk,bkl,il->ab", pairs, u, pairs, u.conj()).real
        maps.append((sites, u, ptm))
    start = product_state(graph, np.tile(np.array([1.0, 0, 0, 1]) / np.sqrt(2), (3, 1)))
    state = evolve(start, [(s, m) for s, _, m in maps], max_bond=64)
    psi = run(3, [(s, u) for s, u, _ in maps])
    rho = vector(state)
    assert rho.dtype == np.float64
    for string in np.ndindex(4, 4, 4):
        exact = mean(psi, {q: PAULIS[c] for q, c in enumerate(string)}) / np.sqrt(8)
        assert rho[string] == pytest.approx(exact, abs=1e-12)


def test_single_precision_stays_single():
    gates = [
        (s, m.astype(np.complex64)) for s, m in random_gates(np.random.default_rng(1), TREE, 2)
    ]
    state = evolve(zeros(TREE, np.complex64), gates, max_bond=16)
    assert state.tensors[3].dtype == np.complex64
    exact = run(TREE.n, random_gates(np.random.default_rng(1), TREE, 2))
    assert abs(np.vdot(exact, vector(state))) > 1 - 1e-4


def test_the_order_of_edges_of_a_commuting_layer_does_not_matter_on_a_tree():
    rng = np.random.default_rng(8)
    first = [((q,), random_unitary(rng, 2)) for q in range(TREE.n)]
    layer = [(e, np.diag(np.exp(1j * np.array([1, -1, -1, 1])))) for e in TREE.edges]
    one = evolve(zeros(TREE), first + layer, max_bond=8)
    two = evolve(zeros(TREE), first + layer[::-1], max_bond=8)
    assert all(np.allclose(a, b) for a, b in zip(one.weights, two.weights, strict=True))
