"""Batches of graph tensor networks: the same as one at a time, on a device chosen by argument."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from qdt_emu.circuit import Kind
from qdt_emu.engines import network_batch_kernels as kernels
from qdt_emu.engines.network_batch import evolve
from qdt_emu.engines.network_batch_plan import full_room, layer, layout, rounds
from qdt_emu.engines.network_batch_run import trajectories
from qdt_emu.engines.network_batch_state import pack, reduced, unpack
from qdt_emu.engines.network_evolve import Work
from qdt_emu.engines.network_evolve import evolve as one_by_one
from qdt_emu.engines.network_state import Graph, product_state
from qdt_emu.engines.unravel import bind, program
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.kernels.randomness import shot_keys
from tests.engines.network_oracle import RING, TREE, apply, random_gates, run, vector
from tests.engines.statevector_oracle import random_circuit
from tests.engines.test_unravel import play

DAMPING = np.array([[[1, 0], [0, 0.6]], [[0, 0.8], [0, 0]]], complex)


def zeros(graph):
    return product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))


def circuits(graph, layers, copies):
    return [random_gates(np.random.default_rng(k), graph, layers) for k in range(copies)]


def overlap(x, y):
    return abs(np.vdot(x, y)) / np.linalg.norm(x) / np.linalg.norm(y)


@pytest.mark.parametrize(("precision", "digits"), [("double", 1e-12), ("single", 1e-6)])
def test_copies_of_a_tree_are_exact(precision, digits):
    gates = circuits(TREE, 3, 2)
    batch, _ = evolve(pack([zeros(TREE)] * 2, precision=precision), gates, max_bond=16)
    assert batch.bond == 16
    for state, own in zip(unpack(batch), gates, strict=True):
        psi = vector(state)
        assert 1 - overlap(psi, run(TREE.n, own)) < digits
        assert abs(np.linalg.norm(psi) - 1) < 1e2 * digits


@pytest.mark.parametrize("graph", [TREE, RING], ids=["tree", "ring"])
def test_cut_states_equal_those_cut_one_at_a_time(graph):
    gates = circuits(graph, 5, 2)
    batch, _ = evolve(pack([zeros(graph)] * 2), gates, max_bond=4)
    assert batch.bond == 4
    found = reduced(batch)
    for c, (state, own) in enumerate(zip(unpack(batch), gates, strict=True)):
        want = one_by_one(zeros(graph), own, max_bond=4)
        assert want.log_fidelity < -0.005
        assert np.isclose(state.log_fidelity, want.log_fidelity, rtol=0, atol=1e-8)
        assert np.isclose(state.log_norm, want.log_norm, rtol=0, atol=1e-8)
        for v, w in zip(state.weights, want.weights, strict=True):
            assert np.allclose(v, w, rtol=0, atol=1e-8)
        assert np.abs(vector(state) - vector(want)).max() < 1e-8
        for q in range(graph.n):
            assert np.abs(found[c, q] - Work(want).reduced(q)).max() < 1e-8


def test_bonds_that_are_not_a_power_of_two():
    gates = circuits(TREE, 4, 2)
    state, _ = unpack(evolve(pack([zeros(TREE)] * 2), gates, max_bond=3)[0])
    want = one_by_one(zeros(TREE), gates[0], max_bond=3)
    assert max(len(w) for w in state.weights) == 3
    assert np.abs(vector(state) - vector(want)).max() < 1e-8


@pytest.mark.slow
def test_real_tensors_of_any_physical_dimension_stay_real():
    rng = np.random.default_rng(0)
    maps = [(e, np.eye(16) + 0.1 * rng.normal(size=(16, 16))) for e in TREE.edges]
    start = product_state(TREE, np.tile([1.0, 0.1, 0.2, 0.5], (TREE.n, 1)))
    (state,) = unpack(evolve(pack([start]), [maps], max_bond=8)[0])
    want = one_by_one(start, maps, max_bond=8)
    assert all(t.dtype == np.float64 for t in state.tensors)
    assert np.isclose(state.log_norm, want.log_norm, rtol=0, atol=1e-8)
    for v, w in zip(state.weights, want.weights, strict=True):
        assert np.allclose(v, w, rtol=0, atol=1e-8)


@pytest.mark.parametrize("precision", ["double", pytest.param("single", marks=pytest.mark.slow)])
def test_singular_bonds_stay_finite(precision):
    """Gates that undo each other or do nothing: most of every padded bond is zero."""
    cz, unit = np.diag([1, 1, 1, -1]).astype(complex), np.eye(4, dtype=complex)
    h = np.array([[1, 1], [1, -1]]) / 2**0.5
    gates = [((q,), h) for q in range(TREE.n)]
    gates += [(e, m) for m in (cz, cz, unit, cz) for e in TREE.edges]
    batch = pack([zeros(TREE)] * 2, precision=precision)
    state, _ = unpack(evolve(batch, [gates] * 2, max_bond=4)[0])
    assert np.isfinite(vector(state)).all()
    assert overlap(vector(state), run(TREE.n, gates)) > 1 - 1e-6


def with_events(gates, rng):
    out = []
    for gate in gates:
        out.append(gate)
        if len(gate[0]) == 2 and rng.random() < 0.25:
            out.append((gate[0][:1], DAMPING, rng.random()))
    return out


@pytest.mark.parametrize("precision", ["double", pytest.param("single", marks=pytest.mark.slow)])
def test_events_take_branches_by_their_probability_in_the_state(precision):
    rng = np.random.default_rng(1)
    own = [with_events(gates, rng) for gates in circuits(TREE, 2, 2)]
    batch, taken = evolve(pack([zeros(TREE)] * 2, precision=precision), own, max_bond=16)
    fired = 0
    for c, state in enumerate(unpack(batch)):
        psi, number = run(TREE.n, []), 0
        for sites, matrix, *uniform in own[c]:
            if not uniform:
                psi = apply(psi, sites, matrix)
                continue
            branches = [apply(psi, sites, k) for k in matrix]
            which = int(uniform[0] >= np.linalg.norm(branches[0]) ** 2)
            assert taken[c][number] == which
            psi = branches[which] / np.linalg.norm(branches[which])
            fired, number = fired + which, number + 1
        assert 1 - overlap(vector(state), psi) < (1e-12 if precision == "double" else 1e-6)
    assert fired >= 2


@pytest.mark.slow
@pytest.mark.parametrize("measured", [False, True])
def test_trajectories_equal_those_of_dense_states(measured):
    """Relaxation and reset in the middle; and measurement with feed-forward."""
    noisy = random_circuit(7, n=4, steps=40)
    path, structure = Graph(4, ((0, 1), (1, 2), (2, 3))), noisy.structure
    kept = [o for o in structure.operations if len(o.qubits) == 1 or abs(np.diff(o.qubits)) == 1]
    if not measured:
        kept = [replace(o, conditions=()) for o in kept if o.kind != Kind.MEASURE]
    kinds = {op.kind for op in kept}
    assert {Kind.RESET, Kind.RELAXATION} <= kinds
    assert (Kind.MEASURE in kinds) is measured
    structure = replace(structure, operations=tuple(kept), paired_readout=())
    bound = bind(program(structure, kept=range(4)), noisy.values)
    keys = shot_keys(np.uint64(3), 0, 6)
    batch, endings = trajectories(pack([zeros(path)] * 6), bound, keys, max_bond=8, cutoff=1e-12)
    zero = np.zeros(16, complex)
    zero[0] = 1
    for state, ending, key in zip(unpack(batch), endings, keys, strict=True):
        psi, want = play(bound, key, zero)
        assert 1 - overlap(vector(state).ravel(), psi) < 1e-10
        assert np.array_equal(ending.record, want.record)


def test_a_circuit_compiles_a_handful_of_functions():
    before = kernels.update._cache_size()  # noqa: SLF001 - jax counts compilations there
    for steps in (4, 12):
        gates = circuits(RING, steps, 2)
        evolve(pack([zeros(RING)] * 2), gates, max_bond=8)
    assert kernels.update._cache_size() - before <= 8  # noqa: SLF001


def test_layers_are_disjoint_and_fill_the_room():
    plan = layout(TREE)
    gates = circuits(TREE, 1, 2)
    todo, _ = rounds(TREE, gates)
    assert sum(len(now.matrices) for now in todo) == 2 * len(TREE.edges)
    for now in todo[1:]:
        ends = [(c, q) for c, e, _ in zip(*now.pairs, strict=True) for q in TREE.edges[e]]
        assert len(ends) == len(set(ends))
        rows = layer(plan, now.pairs, full_room(plan, 2))
        assert len(rows.edges) >= len(now.matrices)
        assert sum(int((r < 2**31 - 1).sum()) for r in rows.rows) == 2 * len(now.matrices)


def test_refusals():
    with pytest.raises(InputError, match=r"sites 0 and 2 share none"):
        evolve(pack([zeros(TREE)]), [[((0, 2), np.eye(4))]], max_bond=4)
    with pytest.raises(InputError, match="'tpu'"):
        pack([zeros(TREE)], device="tpu")
    assert "cpu" in str(pack([zeros(TREE)], device="cpu").weights.devices()).lower()
    if not any(d.platform == "gpu" for d in jax.devices()):
        with pytest.raises(UnsupportedError, match="device='cpu'"):
            pack([zeros(TREE)], device="gpu")


@pytest.mark.gpu
def test_gpu_equals_cpu():
    try:
        jax.devices("gpu")
    except RuntimeError:
        pytest.skip("no accelerator")
    gates = circuits(TREE, 3, 2)
    both = [
        unpack(evolve(pack([zeros(TREE)] * 2, device=d), gates, max_bond=4)[0])
        for d in ("cpu", "gpu")
    ]
    for x, y in zip(*both, strict=True):
        assert np.abs(vector(x) - vector(y)).max() < 1e-8
