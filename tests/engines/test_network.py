"""The network engine against exact engines and published values."""

import json
from dataclasses import replace

import numpy as np
import pytest
import quimb.tensor as quimb

from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values
from qdt_emu.engines.density import Density
from qdt_emu.engines.network import Network
from qdt_emu.engines.network_evolve import evolve
from qdt_emu.engines.network_expect import expectation
from qdt_emu.engines.network_state import Graph, product_state
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError
from tests.engines import kicked_ising as ising
from tests.engines.random_circuits import LATTICES, case

Z62 = ising.codes("Z62")


def estimate(engine, structure, values, paulis, *, readout=None, shots=1, seed=0):
    readout = np.tile([1.0, 0.0], (structure.n_qubits, 1)) if readout is None else readout
    state = engine.prepare(structure)
    return engine.estimate(state, values, paulis, readout, shots=shots, seed=seed)


def kicked(k, steps, paulis, **settings):
    found = estimate(
        Network(**settings), ising.structure(steps), ising.values(k * np.pi / 32), paulis
    )
    assert found.stderr.max() == 0
    return found


def quiet(circuit):
    """The circuit without its noise."""
    gates = tuple(op for op in circuit.structure.operations if op.kind is Kind.UNITARY)
    values = replace(circuit.values, excited=np.zeros(circuit.structure.n_qubits))
    return replace(circuit.structure, operations=gates), values


@pytest.mark.parametrize(("steps", "exact"), [(1, 0.7648421872845), (2, 0.5849835714501)])
def test_shallow_kicked_ising_is_exact(steps, exact):
    found = estimate(Network(), ising.structure(steps), ising.values(0.7), Z62)
    assert found.values[0] == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(("k", "exact"), [(6, 0.7442229390), (3, 0.9519783258)])
def test_nine_steps_of_127_qubits(k, exact):
    found = kicked(k, 9, Z62)
    assert found.values[0] == pytest.approx(exact, abs=1e-3)
    assert abs(found.values[0] - exact) <= found.bounds[0]


@pytest.mark.parametrize(
    ("k", "w10", "w17"),
    [(13, 0.5213555932, -0.3302671816), (8, -0.0128408955, -4.3617257e-05), (16, 1.0, -1.0)],
)
def test_strings_of_weight_ten_and_seventeen(k, w10, w17):
    found = kicked(k, 5, ising.codes(ising.W10, ising.W17))
    assert np.abs(found.values - [w10, w17]).max() < 1e-4
    assert np.all(np.abs(found.values - [w10, w17]) <= found.bounds + 1e-6)


def test_a_string_that_lives_on_loops_has_a_bound_that_says_so():
    # Its correlations run around three plaquettes at once: the tree alone gives 0. Bonds of 16
    # cut it, whatever is contracted.
    structure = ising.structure(5, last_rx=True)
    values, paulis = ising.values(13 * np.pi / 32), ising.codes(ising.W17X)
    found = estimate(Network(), structure, values, paulis)
    assert abs(found.values[0] + 0.2216198099) <= found.bounds[0]


W17X = {
    0: 0, 1: 9.2532470e-16, 2: 6.7315701e-11, 3: 8.7679208e-09, 4: -9.5134521e-08,
    5: -1.9849809e-06, 6: -1.1773278e-05, 7: -4.0466542e-05, 8: -8.4584059e-05, 9: -2.1337900e-04,
    10: -0.0016347636, 11: -0.0127149087, 12: -0.0651462378, 13: -0.2216198099, 14: -0.5164016332,
    15: -0.8486253586, 16: -1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("k", W17X)
def test_a_string_that_lives_on_loops_is_contracted_with_them(k):
    structure, paulis = ising.structure(5, last_rx=True), ising.codes(ising.W17X)
    found = estimate(Network(max_bond=32), structure, ising.values(k * np.pi / 32), paulis)
    off = abs(found.values[0] - W17X[k])
    assert off < 3e-4
    assert off <= found.bounds[0] + 1e-12
    assert found.bounds[0] < 0.01


def test_magnetisation_of_127_qubits():
    paulis = ising.codes(*(f"Z{q}" for q in range(ising.N)))
    found = kicked(8, 5, paulis)
    assert found.values.mean() == pytest.approx(0.4528038692, abs=2e-4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lattice", ["chain", "tree", "ring"])
def test_without_cutting_random_circuits_are_exact(seed, lattice):
    circuit = case(seed, lattice=lattice)
    structure, values = quiet(circuit)
    args = (structure, values, circuit.paulis)
    engine = Network(max_bond=64, cutoff=0.0, threads=1)
    found = estimate(engine, *args, readout=circuit.readout)
    exact = estimate(Statevector(precision="double"), *args, readout=circuit.readout).values
    assert np.abs(found.values - exact).max() < (1e-10 if lattice != "ring" else 1e-4)


def covered(seeds, max_bond):
    """Share of strings whose error without noise is below its bound."""
    inside, total = 0, 0
    for seed in seeds:
        circuit = case(seed)
        structure, values = quiet(circuit)
        args = (structure, values, circuit.paulis)
        found = estimate(Network(max_bond=max_bond, threads=1), *args, readout=circuit.readout)
        exact = estimate(Statevector(precision="double"), *args, readout=circuit.readout).values
        inside += int(np.sum(np.abs(found.values - exact) <= found.bounds + 1e-9))
        total += len(exact)
    return inside / total


def test_bounds_cover_the_error_of_cut_bonds():
    assert covered(range(1000, 1012), 4) >= 0.95


@pytest.mark.slow
def test_bounds_cover_the_error_of_cut_bonds_in_many_circuits():
    assert covered(range(1000, 1200), 4) >= 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noisy_trajectories_agree_with_the_density_matrix(seed):
    circuit = case(seed, lattice="chain")
    args = (circuit.structure, circuit.values, circuit.paulis)
    engine = Network(max_bond=32, threads=1)
    found = estimate(engine, *args, readout=circuit.readout, shots=200, seed=seed)
    exact = estimate(Density(), *args, readout=circuit.readout).values
    off = np.abs(found.values - exact)
    # Four strings at 4.9 standard errors: false alarm 4e-6; few trajectories may show no event.
    assert np.all(off <= 4.9 * found.stderr + found.bounds + 0.01)


def test_results_do_not_depend_on_threads():
    circuit = case(5, lattice="tree")
    args = (circuit.structure, circuit.values, circuit.paulis)
    one, two = (
        estimate(Network(threads=t), *args, readout=circuit.readout, shots=40) for t in (1, 2)
    )
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.stderr, two.stderr)


def test_samples_have_the_law_of_the_density_matrix():
    circuit = case(7, lattice="tree")
    structure, values = circuit.measured(), circuit.values
    engine = Network(max_bond=32, threads=2)
    found = engine.sample(engine.prepare(structure), values, shots=1500, seed=1)
    n = structure.n_qubits
    paulis = np.zeros((n + n - 1, n), np.uint8)
    for q in range(n):
        paulis[q, q] = 3
    for q in range(n - 1):
        paulis[n + q, [q, q + 1]] = 3
    exact = estimate(Density(), circuit.structure, values, paulis, readout=circuit.readout).values
    signs = 1.0 - 2.0 * found.bits
    means = np.array([signs[:, row > 0].prod(axis=1).mean() for row in paulis])
    # 21 means at 5.2 standard errors: false alarm 4e-6.
    spread = np.sqrt((1 - exact**2).clip(0) / 1500) + 1e-9
    assert np.all(np.abs(means - exact) <= 5.2 * spread + 2e-3)
    assert 0 <= found.truncation <= 1


def test_samples_do_not_depend_on_threads_and_noiseless_shots_share_a_state():
    circuit = case(8, lattice="ring")
    structure, values = circuit.measured(), circuit.values
    one, two = Network(threads=1), Network(threads=2)
    a = one.sample(one.prepare(structure), values, shots=20, seed=3)
    b = two.sample(two.prepare(structure), values, shots=20, seed=3)
    assert np.array_equal(a.bits, b.bits)
    gates, free = quiet(circuit)
    reads = tuple(op for op in structure.operations if op.kind is Kind.MEASURE)
    gates = replace(structure, operations=gates.operations + reads)
    c = one.sample(one.prepare(gates), free, shots=50, seed=3)
    assert c.details["trajectories"] == 1
    assert json.dumps(c.details)


@pytest.mark.slow
def test_a_device_draws_the_same_shots():
    circuit = case(9, lattice="tree")
    structure, values = circuit.measured(), circuit.values
    engines = Network(max_bond=16, threads=1), Network(max_bond=16, threads=1, device="cpu")
    a, b = (e.sample(e.prepare(structure), values, shots=12, seed=4).bits for e in engines)
    # Equal but for uniform numbers within what gathering and cutting change: a bit in a thousand.
    assert np.mean(a != b) < 0.02


def teleported():
    """A qubit moved by measurement and correction: mid-circuit bits decide gates."""
    h = np.array([[1, 1], [1, -1]], complex) / np.sqrt(2)
    turn = ising.rx(0.8)
    cz = np.diag([1, 1, 1, -1]).astype(complex)
    ops = [
        Operation(Kind.UNITARY, (0,), 0),
        Operation(Kind.UNITARY, (1,), 1),
        Operation(Kind.UNITARY, (0, 1), 0),
        Operation(Kind.UNITARY, (0,), 1),
        Operation(Kind.MEASURE, (0,), 0, clbit=0),
        Operation(Kind.UNITARY, (1,), 2, conditions=(Condition((0,), 1),)),
    ]
    x = np.array([[0, 1], [1, 0]], complex)
    values = replace(
        Values.empty(2),
        unitaries1=np.stack([turn, h, x]),
        unitaries2=cz[None],
        confusion=np.zeros((1, 2)),
    )
    return Structure(tuple(ops), 2, 1, (0, 1)), values


def test_measured_bits_decide_gates():
    structure, values = teleported()
    paulis = np.array([[0, 1], [0, 2], [0, 3]], np.uint8)
    found = estimate(Network(), structure, values, paulis, shots=20)
    exact = estimate(Density(), structure, values, paulis).values
    assert np.abs(found.values - exact).max() < 1e-12


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"max_bond": 1}, "max_bond"),
        ({"cutoff": 0.5}, "cutoff"),
        ({"threads": 0}, "threads"),
        ({"message_bond": 0}, "message_bond"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_wrong_settings_are_refused(settings, word):
    with pytest.raises(InputError, match=word):
        Network(**settings)


def test_the_plan_names_what_does_not_fit():
    n = 10
    pairs = [(0, q) for q in range(1, n)] * 5
    ops = tuple(Operation(Kind.UNITARY, pair, 0) for pair in pairs)
    plan = Network().plan(Structure(ops, n, 0, tuple(range(n))), shots=1, paulis=1, memory=10**9)
    assert "qubit 0 has 9 couplers" in plan.refusal
    fine = Network().plan(ising.structure(5), shots=1, paulis=1, memory=10**9)
    assert not fine.refusal
    assert 0.01 < fine.seconds < 10


def test_pauli_codes_of_the_wrong_shape_are_refused():
    with pytest.raises(InputError, match="shape"):
        estimate(Network(), ising.structure(1), ising.values(0.1), np.zeros((1, 3), np.uint8))


def test_equal_settings_make_equal_engines():
    assert Network() == Network()
    assert hash(Network(max_bond=8)) == hash(Network(max_bond=8))
    assert set(LATTICES) >= {"chain", "ring", "tree"}


def patch():
    """Two plaquettes of the heavy-hexagon graph that share a side: 21 qubits."""
    qubits = [*range(37, 46), 52, 53, 54, *range(56, 65)]
    where = {q: k for k, q in enumerate(qubits)}
    return [(where[a], where[b]) for a, b in ising.EDGES if a in where and b in where]


def kicked_patch(theta, phi, steps):
    """Kicked Ising steps with couplings that are no Clifford gates."""
    edges = patch()
    n = 1 + max(max(e) for e in edges)
    ops = []
    for _ in range(steps):
        ops += [Operation(Kind.UNITARY, (q,), 0) for q in range(n)]
        ops += [Operation(Kind.UNITARY, edge, 0) for edge in edges]
    values = replace(
        Values.empty(n), unitaries1=ising.rx(theta)[None], unitaries2=ising.rzz(phi)[None]
    )
    return Structure(tuple(ops), n, 0, tuple(range(n))), values


@pytest.mark.parametrize(("theta", "phi", "steps"), [(0.6, -np.pi / 2, 5), (0.9, 0.7, 4)])
def test_two_plaquettes_agree_with_the_statevector(theta, phi, steps):
    structure, values = kicked_patch(theta, phi, steps)
    n = structure.n_qubits
    paulis = np.zeros((4, n), np.uint8)
    paulis[0, 10], paulis[1, [0, 4]], paulis[2, [3, 10, 16]], paulis[3, [2, 20]] = 3, 3, 1, 3
    exact = estimate(Statevector(precision="double"), structure, values, paulis).values
    found = estimate(Network(max_bond=32), structure, values, paulis)
    assert np.abs(found.values - exact).max() < 3e-3
    assert np.all(np.abs(found.values - exact) <= found.bounds + 1e-6)


@pytest.mark.slow
def test_quimb_finds_the_same_by_simple_update():
    """Gate by gate on two plaquettes, bonds cut to 4: the same local expectation value."""
    edges, theta, steps = patch(), 0.6, 5
    n = 1 + max(max(e) for e in edges)
    gates = []
    for _ in range(steps):
        gates += [((q,), ising.rx(theta)) for q in range(n)]
        gates += [(edge, ising.rzz(-np.pi / 2)) for edge in edges]
    peer = quimb.CircuitPEPSSimpleUpdate(n, edges=edges, max_bond=4, cutoff=1e-12)
    for sites, matrix in gates:
        peer.apply_gate_raw(matrix, sites)
    z = np.diag([1.0 + 0j, -1])
    zeros = product_state(
        Graph(n, tuple(sorted(edges))), np.tile(np.array([1, 0], complex), (n, 1))
    )
    state = evolve(zeros, gates, max_bond=4)
    assert state.log_fidelity < -1e-3
    for q in (3, 10, 16):
        other = float(np.real(peer.local_expectation(z, q)))
        assert expectation(state, {q: z}).value == pytest.approx(other, abs=1e-6)


NINE = [
    (8, 64, 0.4783481359), (9, 128, 0.2888529897), (10, 128, 0.1235056072),
    (11, 128, 0.0360361524), (12, 128, 0.0075681480), (13, 128, 0.0011570122),
    (5, 32, 0.8282237649), (7, 32, 0.6317830682), (4, 16, 0.8988220692), (1, 16, 0.9953126311),
    (2, 16, 0.9813357592),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("k", "max_bond", "exact"), NINE)
def test_nine_steps_at_all_angles(k, max_bond, exact):
    found = kicked(k, 9, Z62, max_bond=max_bond)
    assert found.values[0] == pytest.approx(exact, abs=1e-3)
    assert abs(found.values[0] - exact) <= found.bounds[0]


MIX = [
    (1, 32, 0.99559), (2, 32, 0.97875), (3, 32, 0.92581), (4, 32, 0.84941), (5, 48, 0.79701),
    (6, 32, 0.68088), (7, 80, 0.51105),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("k", "max_bond", "mix"), MIX)
def test_twenty_steps_agree_with_published_references(k, max_bond, mix):
    found = kicked(k, 20, Z62, max_bond=max_bond)
    assert found.values[0] == pytest.approx(mix, abs=0.01)


def test_shots_of_vanishing_amplitude_do_not_divide_by_zero():
    given = case(1)
    engine = Network(max_bond=8, threads=1)
    records = engine.sample(engine.prepare(given.measured()), given.values, shots=50, seed=1)
    assert np.isfinite(records.truncation)
    assert set(np.unique(records.bits)) <= {0, 1}
