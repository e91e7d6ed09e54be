"""Density networks: exact on small trees, honest elsewhere, a hundred qubits without shots."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values
from qdt_emu.engines.density import Density
from qdt_emu.engines.density_network import DensityNetwork
from qdt_emu.engines.density_network_run import evolve_maps, factors
from qdt_emu.engines.network_state import Graph, GraphState
from qdt_emu.engines.network_trace import messages, value
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError, UnsupportedError
from tests.engines import kicked_ising as ising
from tests.engines.network_oracle import TREE, vector
from tests.engines.random_circuits import LATTICES, case
from tests.engines.test_bounds_honest import truth

PICTURES = ["heisenberg", "schrodinger"]
PERFECT = np.tile([1.0, 0.0], (ising.N, 1))


def restricted(c, n):
    """A case on its first n qubits only."""
    ops = tuple(op for op in c.structure.operations if max(op.qubits) < n)
    structure = Structure(ops, n, 0, tuple(range(n)))
    v = c.values
    values = replace(v, excited=v.excited[:n], detuning=v.detuning[:n])
    return structure, values, c.paulis[:, :n], c.readout[:n]


def estimate_density(structure, values, paulis, readout, **settings):
    engine = DensityNetwork(**settings)
    state = engine.prepare(structure)
    return engine.estimate(state, values, paulis, readout, shots=1, seed=0)


def exact(structure, values, paulis, readout):
    engine = Density()
    return engine.estimate(
        engine.prepare(structure), values, paulis, readout, shots=1, seed=0
    ).values


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(("lattice", "n"), [("tree", 8), ("chain", 7)])
def test_trees_without_a_cut_are_exact(picture, lattice, n):
    for seed in range(2):
        args = restricted(case(seed, lattice=lattice), n)
        structure, *numbers = args
        found = estimate_density(structure, *numbers, max_bond=512, cutoff=1e-12, picture=picture)
        assert np.allclose(found.values, exact(*args), rtol=0, atol=1e-8)
        assert found.truncation < 1e-6


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("picture", PICTURES)
def test_bounds_cover_the_truth(picture, lattice):
    """95 % of strings; of 2 cases with 4 strings each none may miss here, for fixed seeds."""
    for seed in range(2):
        c = case(seed, lattice=lattice)
        want = exact(c.structure, c.values, c.paulis, c.readout)
        found = estimate_density(
            c.structure, c.values, c.paulis, c.readout, max_bond=8, picture=picture
        )
        assert np.all(np.abs(found.values - want) <= found.bounds + 1e-9), c.label


@pytest.mark.slow
@pytest.mark.parametrize("bond", [8, 32])
@pytest.mark.parametrize("picture", PICTURES)
def test_bounds_cover_the_truth_in_200_circuits(picture, bond):
    inside = []
    for seed in range(200):
        c, want = truth(seed)
        found = estimate_density(
            c.structure,
            *(c.values, c.paulis, c.readout),
            max_bond=bond,
            picture=picture,
        )
        inside += (np.abs(found.values - want) <= found.bounds + 1e-9).tolist()
    assert np.mean(inside) >= 0.95


def test_wider_bonds_are_closer():
    """Half of the strings at each bond: medians fall from bond to bond."""
    errors = {bond: [] for bond in (2, 4, 8, 16)}
    for seed in range(8):
        c = case(seed, lattice="chain")
        want = exact(c.structure, c.values, c.paulis, c.readout)
        for bond, rows in errors.items():
            found = estimate_density(c.structure, c.values, c.paulis, c.readout, max_bond=bond)
            rows.append(np.abs(found.values - want).sum())
    total = [sum(rows) for rows in errors.values()]
    assert total[0] > total[1] > total[2] > total[3]


# <Z62> at theta .7 without noise after 1 to 5 steps, from light-cone statevectors.
EXACT = [0.76484218728449, 0.58498357145012, 0.63310681221713, 0.61885379183688, 0.63870894551916]


@pytest.mark.parametrize("steps", range(1, 6))
def test_127_qubits_without_noise(steps):
    structure = ising.structure(steps)
    found = estimate_density(structure, ising.values(0.7), ising.codes("Z62"), PERFECT, max_bond=32)
    assert abs(found.values[0] - EXACT[steps - 1]) < 1e-6
    assert abs(found.values[0] - EXACT[steps - 1]) <= found.bounds[0] + 1e-9


def test_signs_at_half_pi_need_no_bonds():
    found = estimate_density(
        ising.structure(5),
        ising.values(np.pi / 2),
        ising.codes(ising.W10, ising.W17),
        PERFECT,
        max_bond=4,
    )
    assert np.allclose(found.values, [1, -1], rtol=0, atol=1e-10)
    assert found.details["bond"] == 1


@pytest.mark.parametrize(("steps", "threshold"), [(5, 1e-4), (9, 1e-4)])
def test_127_noisy_qubits_agree_with_pauli_propagation(steps, threshold):
    structure = ising.structure(steps, noise=Kind.PAULI)
    values, z62 = ising.values(0.589, damping=0.97), ising.codes("Z62")
    found = estimate_density(structure, values, z62, PERFECT, max_bond=32)
    engine = Pauli(threshold)
    other = engine.estimate(engine.prepare(structure), values, z62, PERFECT, shots=1, seed=0)
    assert abs(found.values[0] - other.values[0]) <= found.bounds[0] + other.truncation
    assert found.bounds[0] < 0.02


def test_depolarising_shrinks_z_once_per_step():
    structure = ising.structure(20, noise=Kind.PAULI)
    found = estimate_density(
        structure,
        ising.values(0.0, damping=0.97),
        ising.codes("Z0", "Z62", "Z1 Z2"),
        PERFECT,
        max_bond=4,
    )
    f = 0.97**20
    assert np.allclose(found.values, [f, f, f * f], rtol=0, atol=1e-12)


@pytest.mark.parametrize("picture", PICTURES)
def test_what_a_reset_forgets_is_zero(picture):
    h = np.array([[1, 1], [1, -1]]) / 2**0.5
    ops = [Operation(Kind.UNITARY, (q,), 0) for q in range(2)]
    ops += [Operation(Kind.UNITARY, (0, 1), 0), Operation(Kind.RESET, (0,), 0)]
    values = replace(
        Values.empty(2),
        unitaries1=h[None].astype(complex),
        unitaries2=np.diag([1, 1, 1, -1]).astype(complex)[None],
        reset_excitation=np.array([0.1]),
    )
    structure = Structure(tuple(ops), 2, 0, (0, 1))
    paulis = np.array([[1, 0], [1, 3], [3, 0], [0, 0], [2, 2]], np.uint8)
    found = estimate_density(structure, values, paulis, PERFECT[:2], picture=picture)
    assert np.allclose(found.values, [0, 0, 0.8, 1, 0], rtol=0, atol=1e-12)


def test_results_do_not_depend_on_threads():
    c = case(3)
    one, four = (
        estimate_density(
            c.structure,
            *(c.values, c.paulis, c.readout),
            max_bond=8,
            threads=threads,
        )
        for threads in (1, 4)
    )
    assert np.array_equal(one.values, four.values)


def random_layer(graph, bond, rng, *, noise=0.3):
    """A network with mostly positive entries, as density operators have."""
    tensors = []
    for legs in graph.legs:
        shape = (bond,) * len(legs) + (4,)
        tensors.append(np.abs(rng.normal(size=shape)) + noise * rng.normal(size=shape))
    weights = tuple(np.sort(rng.random(bond))[::-1] for _ in graph.edges)
    return GraphState(graph, tuple(tensors), weights, log_norm=0.3)


LADDER = Graph(9, ((0, 1), (1, 2), (0, 3), (1, 4), (2, 5), (3, 4), (4, 5), (3, 6), (4, 7), (5, 8),
                   (6, 7), (7, 8)))  # fmt: skip


@pytest.mark.parametrize("graph", [TREE, LADDER], ids=["tree", "grid"])
def test_one_layer_is_contracted_exactly(graph):
    rng = np.random.default_rng(0)
    state = random_layer(graph, 3 if graph is not TREE else 5, rng)
    vectors = rng.normal(size=(graph.n, 4))
    dense = vector(replace(state, log_norm=0.0))
    for row in vectors:
        dense = np.tensordot(row, dense, (0, 0))
    found = value(state, vectors)
    assert np.isclose(found.number(), float(dense) * np.exp(0.3), rtol=1e-10)
    assert found.loops == 0


def test_messages_and_loops_replace_a_contraction_that_takes_too_much():
    rng = np.random.default_rng(1)
    state = random_layer(LADDER, 3, rng, noise=0.1)
    vectors = np.tile([1.0, 0.1, 0.1, 0.1], (9, 1))
    exactly, nearly = value(state, vectors), value(state, vectors, flops=1.0)
    assert nearly.loops > 0
    assert abs(nearly.number(exactly.log) * exactly.sign - 1) <= nearly.loops
    assert nearly.loops < 0.2


def test_messages_of_a_tree_are_its_parts():
    rng = np.random.default_rng(2)
    graph = Graph(3, ((0, 1), (1, 2)))
    a, b, c = rng.normal(size=4), rng.normal(size=(4, 5)), rng.normal(size=5)
    to = messages(graph, [a, b, c])
    assert np.allclose(np.outer(to[0, 1], a), np.outer(a, to[0, 1]))
    assert np.allclose(np.outer(to[0, 0], b @ c), np.outer(b @ c, to[0, 0]))


def test_tiny_factors_are_left_out():
    rng = np.random.default_rng(3)
    matrix = np.kron(rng.normal(size=(4, 4)), rng.normal(size=(4, 4)))
    matrix = matrix + 1e-12 * rng.normal(size=(16, 16))
    assert len(factors(matrix).left) == 1


def test_nothing_is_left_of_a_zero_operator():
    graph = Graph(2, ((0, 1),))
    assert evolve_maps(graph, np.zeros((2, 4)), [], max_bond=4, cutoff=1e-6) is None


def test_plan_grows_with_the_bond_and_refuses_what_does_not_fit():
    structure = ising.structure(6, noise=Kind.PAULI)
    ask = {"shots": 1, "paulis": 1, "memory": 2**33}
    small, large = (DensityNetwork(max_bond=b).plan(structure, **ask) for b in (4, 32))
    assert small.seconds < large.seconds < 60
    assert small.bytes < large.bytes
    assert not large.refusal
    assert "qubit" in DensityNetwork(max_bond=512).plan(structure, **ask).refusal
    assert DensityNetwork().plan(ising.structure(0), **ask).truncation == 0


def test_refusals():
    c = case(1)
    args = (c.structure, c.values, c.paulis, c.readout)
    with pytest.raises(InputError, match="`picture`"):
        estimate_density(*args, picture="dirac")
    with pytest.raises(InputError, match="`max_bond`"):
        estimate_density(*args, max_bond=1)
    with pytest.raises(InputError, match="`paulis`"):
        estimate_density(c.structure, c.values, c.paulis[:, :3], c.readout)
    first = c.structure.operations[0]
    tested = replace(first, conditions=(Condition((0,), 1),))
    with pytest.raises(UnsupportedError, match="depends on clbit 0"):
        DensityNetwork().prepare(replace(c.structure, operations=(tested,), n_clbits=1))


@pytest.mark.parametrize(("k", "mix"), [(11, 0.00066), (12, 1.2e-6), (14, 0.0), (16, 0.0)])
def test_twenty_noiseless_steps_near_clifford_agree_with_published_references(k, mix):
    found = estimate_density(
        ising.structure(20), ising.values(k * np.pi / 32), ising.codes("Z62"), PERFECT, max_bond=16
    )
    assert abs(found.values[0] - mix) <= min(0.01, max(found.bounds[0], 1e-4))
    assert k > 12 or found.bounds[0] > 0.1  # the norm that is left says nothing of what was cut


def test_bounds_cover_the_truth_without_noise_however_much_is_cut():
    n, edges = LATTICES["ring"]
    strings = ising.codes("Z0", "Z2 Z3", "Z4 Z7")[:, :n]
    missed = []
    for steps, k in product((5, 10), range(1, 16, 2)):
        ops = [
            Operation(Kind.UNITARY, tuple(sorted(q)), 0)
            for _ in range(steps)
            for q in [*((q,) for q in range(n)), *edges]
        ]
        v = ising.values(k * np.pi / 32)
        given = replace(v, excited=v.excited[:n], detuning=v.detuning[:n])
        args = Structure(tuple(ops), n, 0, tuple(range(n))), given, strings, PERFECT[:n]
        engine = Statevector()
        state = engine.prepare(args[0])
        right = engine.estimate(state, *args[1:], shots=1, seed=0).values
        for bond in (4, 16):
            found = estimate_density(*args, max_bond=bond)
            missed += (np.abs(found.values - right) > found.bounds + 1e-6).tolist()
    assert np.mean(missed) <= 0.05
