from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from qdt_emu.circuit import Condition, Kind, NoisyCircuit, Structure
from qdt_emu.engines import mps_run, statevector_run
from qdt_emu.engines.density import Density
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.mps_program import compile_chain
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError
from tests.bench.bench_statevector import workload
from tests.engines.random_circuits import case as random_case
from tests.engines.statevector_oracle import expectation, law, random_circuit, random_unitary
from tests.engines.test_statevector import circuit, fit, h, measure, op, x

IDEAL = (1.0, 0.0)


def run(noisy, shots, seed=0, engine=None):
    engine = engine or MPS()
    return engine.sample(engine.prepare(noisy.structure), noisy.values, shots=shots, seed=seed)


def estimate(noisy, paulis, shots, *, seed=0, engine=None, readout=IDEAL):
    engine, n = engine or MPS(), noisy.structure.n_qubits
    maps = np.tile(np.array(readout), (n, 1)) if np.ndim(readout) == 1 else readout
    codes = np.array(paulis, np.uint8).reshape(-1, n)
    state = engine.prepare(noisy.structure)
    return engine.estimate(state, noisy.values, codes, maps, shots=shots, seed=seed)


def unmeasured(noisy):
    operations = tuple(o for o in noisy.structure.operations if o.kind is not Kind.MEASURE)
    return NoisyCircuit(replace(noisy.structure, operations=operations), noisy.values)


def random_pairs(n, count, seed, *, reach=None):
    """Random two-qubit unitaries, between any qubits or between those at most `reach` apart."""
    rng, operations, u2 = np.random.default_rng(seed), [], []
    while len(u2) < count:
        a, b = (int(q) for q in rng.permutation(n)[:2])
        if reach is None or abs(a - b) <= reach:
            u2.append(random_unitary(rng, 4))
            operations.append(op(Kind.UNITARY, a, b, slot=len(u2) - 1))
    return circuit(operations, n, unitaries2=u2)


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("double", 1e-6), pytest.param("single", 3e-3, marks=pytest.mark.slow)],
)
def test_without_truncation_it_is_the_statevector(precision, tolerance):
    noisy = random_pairs(7, 30, 1)
    paulis = np.random.default_rng(3).integers(0, 4, (30, 7))
    engine = MPS(cutoff=0.0, precision=precision)
    found = estimate(noisy, paulis, 10, engine=engine)
    exact = Statevector("double")
    maps = np.tile(IDEAL, (7, 1))
    state = exact.prepare(noisy.structure)
    expected = exact.estimate(state, noisy.values, paulis.astype(np.uint8), maps, shots=1, seed=0)
    np.testing.assert_allclose(found.values, expected.values, atol=tolerance)
    assert found.details["trajectories"] == 1
    if precision == "double":
        assert found.truncation < 1e-6


@pytest.mark.parametrize("unravelling", ["events", "low_entanglement"])
@pytest.mark.parametrize("seed", range(8))
def test_records_follow_the_exact_law(seed, unravelling):
    # 16 tests at 1e-6 each: false alarm 2e-5.
    noisy = random_circuit(seed, n=2 + seed % 3, ratio=(0.3, 1, 1.7, 2)[seed % 4])
    records = run(noisy, 4000, seed, MPS(unravelling=unravelling))
    assert fit(records.bits, law(noisy)) > 1e-6


@pytest.mark.parametrize("unravelling", ["events", "low_entanglement"])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.0])
def test_expectation_values_deviate_from_the_exact_ones_by_their_standard_error(ratio, unravelling):
    # Kolmogorov-Smirnov at 1e-3, 6 times, on a fixed seed.
    scores = []
    for seed in range(20):
        noisy = random_circuit(seed, n=4, steps=30, ratio=ratio, dynamic=seed % 2 == 0)
        noisy = NoisyCircuit(
            replace(noisy.structure, operations=noisy.structure.operations[:-4]), noisy.values
        )
        rng = np.random.default_rng(seed)
        paulis = rng.integers(0, 4, (2, 4))
        paulis[:, 0] |= 1
        readout = np.stack([rng.uniform(0.7, 1, 4), rng.uniform(-0.1, 0.1, 4)], axis=1)
        engine = MPS(unravelling=unravelling)
        found = estimate(noisy, paulis, 400, seed=seed, readout=readout, engine=engine)
        exact = np.array([expectation(noisy, p, readout) for p in paulis])
        drawn = found.stderr > 1e-9
        assert np.allclose(found.values[~drawn], exact[~drawn], atol=1e-6)
        scores += list((found.values - exact)[drawn] / found.stderr[drawn])
    assert kstest(scores, "norm").pvalue > 1e-3


def test_ghz_is_exact_and_fast_on_127_qubits():
    n = 127
    operations = [h(0)] + [op(Kind.UNITARY, k, k + 1) for k in range(n - 1)]
    found = estimate(
        circuit(operations, n), [[1] * n, [3, 3] + [0] * (n - 2), [3] + [0] * (n - 1)], 1
    )
    np.testing.assert_allclose(found.values, [1, 1, 0], atol=1e-12)
    assert found.truncation == 0
    assert found.details["mps bond"] == 2
    records = run(circuit([*operations, *(measure(q, q) for q in range(n))], n, n), 1000)
    assert np.all(records.bits == records.bits[:, :1])
    assert abs(records.bits[:, 0].mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)  # false alarm 6e-7


def test_a_product_state_is_exact_and_has_bonds_of_one():
    n = 50
    operations = [(h if q % 2 else x)(q) for q in range(n)]
    found = estimate(circuit(operations, n), np.where(np.arange(n) % 2, 1, 3)[None], 1)
    np.testing.assert_allclose(found.values, (-1) ** 25, atol=1e-13)
    assert found.details["mps bond"] == 1


def test_full_bonds_are_unravelled_with_little_entanglement():
    noisy = workload(16, 12, p2=0.05)
    shots, fidelity = 12, {}
    for unravelling in ("auto", "events", "low_entanglement"):
        records = run(noisy, shots, 3, MPS(max_bond=8, unravelling=unravelling))
        fidelity[unravelling] = records.details["mps fidelity"]
    assert 1 - fidelity["low_entanglement"] < 0.6 * (1 - fidelity["events"])
    assert fidelity["auto"] == fidelity["low_entanglement"]
    few = workload(16, 3, p2=0.05)
    assert run(few, 5, 3).bits.tolist() == run(few, 5, 3, MPS(unravelling="events")).bits.tolist()


def test_a_hundred_qubits_run_in_seconds():
    noisy = workload(100, 6)
    records = run(noisy, 20)
    assert records.bits.shape == (20, 100)
    assert records.details["mps bond"] == 8
    assert records.truncation < 1e-4


def test_long_range_gates_are_routed():
    noisy = random_pairs(8, 12, 5)
    paulis = np.random.default_rng(3).integers(0, 4, (10, 8)) * 1
    maps = np.stack([np.linspace(0.5, 1, 8), np.linspace(-0.3, 0.2, 8)], axis=1)
    found = estimate(noisy, paulis, 3, engine=MPS(cutoff=0.0), readout=maps)
    exact = Statevector("double")
    state = exact.prepare(noisy.structure)
    expected = exact.estimate(state, noisy.values, paulis.astype(np.uint8), maps, shots=1, seed=0)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    assert compile_chain(noisy.structure, tuple(range(8)), 64).route.swaps > 0


def phased(noisy, seed, *, share=0.6, diagonal=True):
    """The same circuit with a share of its two-qubit unitaries replaced by idle phases."""
    rng, u2 = np.random.default_rng(seed), np.array(noisy.values.unitaries2)
    operations = []
    for o in noisy.structure.operations:
        chosen = o.kind is Kind.UNITARY and len(o.qubits) == 2 and rng.random() < share
        if chosen and diagonal:
            u2[o.slot] = np.diag(np.exp(1j * rng.uniform(-0.4, 0.4, 4)))
        operations.append(replace(o, mechanism="zz") if chosen else o)
    structure = replace(noisy.structure, operations=tuple(operations))
    return NoisyCircuit(structure, replace(noisy.values, unitaries2=u2))


@pytest.mark.parametrize("diagonal", [True, False])
def test_phases_between_distant_qubits_need_no_swaps_and_are_exact(diagonal):
    # What the circuit calls an idle phase and is none is not taken for one.
    noisy = phased(random_pairs(8, 40, 5, reach=None), 1, share=1.0, diagonal=diagonal)
    rng = np.random.default_rng(2)
    turns = [op(Kind.UNITARY, int(q), slot=k) for k, q in enumerate(rng.integers(0, 8, 40))]
    operations = [o for pair in zip(turns, noisy.structure.operations, strict=True) for o in pair]
    values = replace(noisy.values, unitaries1=np.array([random_unitary(rng, 2) for _ in range(40)]))
    noisy = NoisyCircuit(replace(noisy.structure, operations=tuple(operations)), values)
    paulis = rng.integers(0, 4, (12, 8))
    found = estimate(noisy, paulis, 2, engine=MPS(cutoff=0.0))
    exact = Statevector("double")
    state = exact.prepare(noisy.structure)
    maps = np.tile(IDEAL, (8, 1))
    expected = exact.estimate(state, noisy.values, paulis.astype(np.uint8), maps, shots=1, seed=0)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    if diagonal:
        assert compile_chain(noisy.structure, tuple(range(8)), 64).route.swaps == 0


@pytest.mark.parametrize("unravelling", ["events", "low_entanglement"])
@pytest.mark.parametrize("seed", range(6))
def test_records_with_distant_phases_follow_the_exact_law(seed, unravelling):
    # 12 tests at 1e-6 each: false alarm 1.2e-5.
    noisy = phased(random_circuit(seed, n=4, steps=40, ratio=(0.3, 1, 2)[seed % 3]), seed)
    records = run(noisy, 4000, seed, MPS(unravelling=unravelling))
    assert fit(records.bits, law(noisy)) > 1e-6


@pytest.mark.parametrize("unravelling", ["events", "low_entanglement"])
def test_expectation_values_on_a_ring_are_those_of_the_density_matrix(unravelling):
    # The phases of one coupler cross the whole chain. Kolmogorov-Smirnov at 1e-3 on a fixed seed.
    scores = []
    for seed in range(12):
        c, exact = random_case(seed, lattice="ring"), Density()
        ask = (c.values, c.paulis, c.readout)
        engine = MPS(unravelling=unravelling, max_bond=64)
        found = engine.estimate(engine.prepare(c.structure), *ask, shots=100, seed=seed)
        want = exact.estimate(exact.prepare(c.structure), *ask, shots=1, seed=0).values
        drawn = found.stderr > 1e-9
        assert np.allclose(found.values[~drawn], want[~drawn], atol=1e-6)
        scores += list((found.values - want)[drawn] / found.stderr[drawn])
    assert kstest(scores, "norm").pvalue > 1e-3


def test_a_leaked_qubit_dephases_its_partner_from_afar():
    pairs = [op(Kind.UNITARY, 0, 1, slot=1), op(Kind.UNITARY, 1, 2, slot=1)]
    far = replace(op(Kind.UNITARY, 0, 2), mechanism="zz")
    gates = [h(2), op(Kind.LEAK, 0), *pairs, far, h(2)]
    tables = {
        "leakage": [[1.0, 0.0]],
        "unitaries2": np.stack([np.diag(np.exp([0, 0, 0, 0.02j])), np.eye(4)]),
    }
    noisy = circuit([*gates, *(measure(q, q) for q in range(3))], 3, 3, **tables)
    assert compile_chain(noisy.structure, (), 64).route.swaps == 0
    bits = run(noisy, 4000).bits
    assert bits[:, 0].all()
    # Three leaked couplings, each a Z with probability 1/2: false alarm 6e-7.
    assert abs(bits[:, 2].mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)


def test_a_weak_coupler_across_the_line_costs_no_accuracy():
    # As the line of a chip that passes next to itself: swaps would discard a tenth of the state.
    noisy = workload(14, 6, p2=0.0)
    s, slot = noisy.structure, len(noisy.values.unitaries2)
    far = replace(op(Kind.UNITARY, 2, 12, slot=slot), mechanism="zz")
    cut = len(s.operations) // 2
    operations = (*s.operations[:cut], far, *s.operations[cut:])
    phase = np.diag(np.exp([0, 0, 0, 0.02j]))[None]
    values = replace(noisy.values, unitaries2=np.concatenate([noisy.values.unitaries2, phase]))
    with_far = NoisyCircuit(replace(s, operations=operations), values)
    fidelity = [
        run(each, 4, 3, MPS(max_bond=8, unravelling="events")).details["mps fidelity"]
        for each in (noisy, with_far)
    ]
    assert fidelity[1] > fidelity[0] - 2 * np.sin(0.005) ** 2


@pytest.mark.parametrize("unravelling", ["events", "low_entanglement"])
def test_no_trajectory_is_cut_where_there_is_room(unravelling):
    noisy = workload(12, 6, p2=0.05)
    relax = tuple(op(Kind.RELAXATION, q) for q in range(12))
    s, cut = noisy.structure, len(noisy.structure.operations) // 2
    operations = s.operations[:cut] + relax + s.operations[cut:]
    values = replace(noisy.values, relaxation=np.array([[0.5, 0.6, 0.1]]))
    noisy = NoisyCircuit(replace(s, operations=operations), values)
    records = run(noisy, 60, 2, MPS(cutoff=1e-12, unravelling=unravelling))
    assert records.details["mps worst fidelity"] > 1 - 1e-9


def test_the_seed_fixes_the_records_on_any_number_of_threads(monkeypatch):
    noisy = random_circuit(0, n=4, steps=40)
    one = run(noisy, 1500, 7, MPS(threads=1)).bits
    assert np.array_equal(one, run(noisy, 1500, 7, MPS(threads=2)).bits)
    assert np.array_equal(one, run(noisy, 1500, 7, MPS(threads=3)).bits)
    assert not np.array_equal(one, run(noisy, 1500, 8).bits)
    monkeypatch.setattr(statevector_run, "CODES", 1)  # pieces of 1024 shots
    monkeypatch.setattr(mps_run, "CHUNK", 7)
    assert np.array_equal(one, run(noisy, 1500, 7).bits)


def test_the_seed_fixes_expectation_values_on_any_number_of_threads():
    noisy = unmeasured(random_circuit(3, n=4, steps=40, dynamic=False))
    found = [estimate(noisy, [[3, 1, 0, 2]], 300, engine=MPS(threads=k)) for k in (1, 2)]
    assert found[0].values == found[1].values
    assert found[0].stderr == found[1].stderr
    assert found[0].stderr > 0


def test_a_conditional_flip_resets_up_to_misreading():
    flip = op(Kind.UNITARY, 0, when=(Condition((0,), 1),))
    noisy = circuit(
        [h(0), measure(0, 0), flip, measure(0, 1, slot=1)],
        1,
        2,
        confusion=[[0.1, 0.2], [0.0, 0.0]],
    )
    wrong = run(noisy, 8000).bits[:, 1].mean()
    assert abs(wrong - 0.15) < 5 * np.sqrt(0.15 * 0.85 / 8000)  # false alarm 6e-7


def test_correlated_misreading_acts_on_the_true_pair():
    m = np.random.default_rng(5).dirichlet(np.ones(4), 4).T
    operations = [h(0), op(Kind.UNITARY, 0, 1), measure(0, 1), measure(1, 0)]
    noisy = circuit(operations, 2, 2, pair_confusion=m[None], confusion=[[0.3, 0.3]])
    noisy = replace(noisy, structure=replace(noisy.structure, paired_readout=((1, 0),)))
    p = (m[:, 0] + m[:, 3]) / 2
    assert fit(run(noisy, 20000).bits, p) > 1e-6  # false alarm 1e-6


def test_a_leaked_qubit_ignores_gates_and_dephases_its_partner():
    gates = [h(1), op(Kind.LEAK, 0), x(0), op(Kind.UNITARY, 0, 1), h(1)]
    noisy = circuit([*gates, measure(0, 0), measure(1, 1)], 2, 2, leakage=[[1.0, 0.0]])
    bits = run(noisy, 4000).bits
    assert bits[:, 0].all()
    assert abs(bits[:, 1].mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)  # false alarm 6e-7
    assert np.isclose(estimate(circuit(gates, 2, leakage=[[1.0, 0.0]]), [[3, 0]], 8).values, -1)


def test_detuning_is_constant_over_a_shot():
    dwells = [op(Kind.DWELL, 0)] * 10
    noisy = circuit([h(0), *dwells], 1, dwell=[3e-6], detuning=[[2e3, 0.0]])
    found = estimate(noisy, [[1]], 4000)
    exact = np.exp(-((10 * 2 * np.pi * 2e3 * 3e-6) ** 2) / 2)
    assert abs(found.values[0] - exact) < 5 * found.stderr[0]  # false alarm 6e-7


@pytest.mark.parametrize("circuits", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_the_stated_bound_covers_the_truth(circuits):
    # The truth is the same trajectories without truncation: equal keys, equal branches but for the
    # few that the truncation itself turns.
    covered, cut, strings = 0, 0, 0
    for seed in range(circuits):
        case = random_case(seed)
        noisy = NoisyCircuit(case.structure, case.values)
        engines = MPS(max_bond=4 + seed % 6), MPS(cutoff=1e-14)
        small, full = (
            estimate(noisy, case.paulis, 60, seed=seed, engine=e, readout=case.readout)
            for e in engines
        )
        covered += int((np.abs(small.values - full.values) <= small.bounds + 1e-9).sum())
        strings += len(case.paulis)
        cut += small.truncation > 1e-3
    assert covered >= 0.95 * strings
    assert cut >= circuits / 5


def test_a_plan_knows_what_is_exact_and_refuses_what_does_not_fit():
    ask = {"shots": 10, "paulis": 0, "memory": 1 << 30}
    few = workload(12, 40)
    assert MPS(cutoff=0.0).plan(few.structure, **ask).truncation == 0
    many = workload(40, 12)
    plan = MPS().plan(many.structure, **ask)
    assert plan.truncation == 1.0
    assert 0 < plan.seconds < 10
    refused = MPS(max_bond=4096).plan(workload(40, 60).structure, **ask | {"memory": 1 << 20})
    assert "max_bond" in refused.refusal
    assert str(1 << 20) in refused.refusal
    pair = Structure((op(Kind.LEAK, 0, 1),), 2, 0, (0, 1))
    assert "LEAK" in MPS().plan(pair, **ask).refusal


def test_arguments_are_checked():
    for settings, word in (
        ({"max_bond": 0}, "max_bond"),
        ({"cutoff": 1.0}, "cutoff"),
        ({"precision": "half"}, "'half'"),
        ({"threads": 0}, "threads"),
        ({"unravelling": "best"}, "'best'"),
    ):
        with pytest.raises(InputError, match=word):
            MPS(**settings)
