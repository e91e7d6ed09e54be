"""Gates as tables: the same state as one by one, whatever the gates and wherever it stops."""

import numpy as np
import pytest

from qdt_emu.engines import network_gates
from qdt_emu.engines.network_evolve import Work, evolve
from qdt_emu.engines.network_gates import apply, tabled
from qdt_emu.engines.network_run import Cut, evolved, forked
from qdt_emu.engines.network_state import Graph, product_state
from qdt_emu.engines.unravel import Event, Gate
from qdt_emu.kernels import network_run as kernels
from qdt_emu.kernels.network_run import ANY, ONE, PHASES
from tests.engines.network_oracle import RING, TREE, random_gates, random_unitary, run, vector

CZ = np.diag([1, 1, 1, -1]).astype(complex)


def zeros(graph):
    return product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))


def mixed(rng, graph, layers):
    """Turns, diagonal gates, products, gates of rank 2 to 4 in either direction."""
    gates = []
    for _ in range(layers):
        gates += [((q,), random_unitary(rng, 2)) for q in range(graph.n)]
        for k, edge in enumerate(graph.edges):
            pair = edge if k % 2 else edge[::-1]
            phases = np.diag(np.exp(1j * rng.normal(size=4)))
            local = np.kron(random_unitary(rng, 2), random_unitary(rng, 2))
            same = np.kron(np.diag([1, 1j]), np.diag([1, -1])).astype(complex)
            gates.append((pair, (phases, CZ @ local, random_unitary(rng, 4), local, same)[k % 5]))
    return gates


def played(graph, gates, **settings):
    work = Work(zeros(graph))
    row = tabled(graph, [Gate(sites, matrix) for sites, matrix in gates])
    assert apply(work, row, **settings) == len(gates)
    return work.state()


@pytest.mark.parametrize("steep", [None, np.inf])
@pytest.mark.parametrize("max_bond", [3, 64])
def test_tables_give_the_state_of_one_gate_after_the_other(monkeypatch, max_bond, steep):
    if steep is not None:  # QR and SVD instead of Gram matrices
        monkeypatch.setattr(network_gates, "steep", lambda _: steep)
    gates = mixed(np.random.default_rng(max_bond), TREE, 2)
    one = evolve(zeros(TREE), gates, max_bond=max_bond, cutoff=1e-12)
    two = played(TREE, gates, max_bond=max_bond, cutoff=1e-12)
    assert np.abs(vector(one) - vector(two)).max() < 1e-9
    assert one.log_fidelity == pytest.approx(two.log_fidelity, abs=1e-10)
    assert one.log_norm == pytest.approx(two.log_norm, abs=1e-10)
    if max_bond == 64:
        assert np.abs(vector(two) - run(TREE.n, gates)).max() < 1e-9


def test_kinds_of_gates_are_recognised():
    gates = [
        Gate((1,), np.eye(2) + 0j),
        Gate((1, 0), CZ),
        Gate((1, 3), np.eye(4)[[0, 2, 1, 3]] + 0j),
    ]
    row = tabled(TREE, gates)
    assert row.gates.kind.tolist() == [ONE, PHASES, ANY]
    assert row.gates.rank.tolist() == [4]
    assert row.sites == (0, 1, 3)
    assert [row.edges[k] for k in row.gates.edge[1:]] == [TREE.edge[0, 1], TREE.edge[1, 3]]


def test_factors_of_diagonal_gates_multiply_back():
    phases = np.exp(1j * np.random.default_rng(1).normal(size=4))
    ((left, right),) = tabled(TREE, [Gate((0, 1), np.diag(phases))]).gates.phases
    assert np.allclose(np.einsum("rp,rq->pq", left, right).reshape(4), phases)


def test_it_stops_before_a_bond_grows_too_large_and_goes_on_from_there():
    gates = random_gates(np.random.default_rng(2), TREE, 3)
    row = tabled(TREE, [Gate(sites, matrix) for sites, matrix in gates])
    work, whole = Work(zeros(TREE)), Work(zeros(TREE))
    settings = {"max_bond": 16, "cutoff": 1e-12}
    first = apply(work, row, **settings, stop=4)
    assert 0 < first < len(gates)
    assert max(len(w) for w in work.weights) <= 4
    assert apply(work.copy(), row, **settings, first=first, stop=4) == first
    assert apply(work, row, **settings, first=first) == len(gates)
    apply(whole, row, **settings)
    assert np.abs(vector(work.state()) - vector(whole.state())).max() < 1e-10


def test_half_the_bond_branches_off_where_it_first_matters():
    rng = np.random.default_rng(3)
    gates = [Gate(sites, matrix) for sites, matrix in random_gates(rng, RING, 3)]
    damp = np.array([[[1, 0], [0, 0.8]], [[0, 0.6], [0, 0]]], complex)
    steps = [*gates[:40], Event(3, damp, 0.2), *gates[40:]]
    both = forked(RING, steps, Cut(8, 1e-12), 4)
    fine, coarse = (evolved(RING, steps, Cut(bond, 1e-12)) for bond in (8, 4))
    assert np.array_equal(both.state.weights[0], fine.weights[0])
    assert np.abs(vector(both.state) - vector(fine)).max() < 1e-12
    assert np.abs(vector(both.coarse()) - vector(coarse)).max() < 1e-12
    assert both.coarse().log_fidelity == pytest.approx(coarse.log_fidelity, abs=1e-12)
    assert coarse.log_fidelity < fine.log_fidelity


@pytest.mark.parametrize("compiled", [True, False])
def test_kernels_by_level_against_whole_matrices(compiled):
    rng = np.random.default_rng(5)

    def kernel(function):
        return function if compiled else function.py_func

    b, bond, a = 2, 3, 2
    x = rng.normal(size=(b, bond, a, 2)) + 1j * rng.normal(size=(b, bond, a, 2))
    turn, before, after = random_unitary(rng, 2), rng.random(b), rng.random(a)
    plain, gram = kernel(kernels.opened_by_level)(x.reshape(-1), turn, before, after)
    turned = np.einsum("pq,biaq->pbai", turn, x).reshape(2, b * a, bond)
    assert np.allclose(plain, turned)
    weight = np.outer(before, after).reshape(-1) ** 2
    assert np.allclose(gram, np.einsum("pri,r,prj->pij", turned.conj(), weight, turned))
    factors = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    grown = kernel(kernels.attached_by_level)(gram, factors)
    want = np.einsum("rp,sp,pij->risj", factors.conj(), factors, gram).reshape(2 * bond, -1)
    assert np.allclose(grown, want)
    projector = rng.normal(size=(2 * bond, 4)) + 0j
    found = kernel(kernels.closed_by_level)(plain, projector, factors, b, a)
    want = np.einsum(
        "pbai,rp,rin->bnap",
        turned.reshape(2, b, a, bond),
        factors,
        projector.reshape(2, bond, 4),
    )
    assert np.allclose(found.reshape(b, 4, a, 2), want)


def test_an_empty_row_changes_nothing():
    graph = Graph(3, ((0, 1),))
    work = Work(zeros(graph))
    assert apply(work, tabled(graph, [Gate((2,), CZ[:2, :2])]), max_bond=4, cutoff=0.0) == 1
    assert np.array_equal(vector(work.state()), vector(zeros(graph)))
