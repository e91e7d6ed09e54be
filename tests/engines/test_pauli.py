"""Pauli propagation against the exact engine, its stated error, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

import qdt_emu as qdt
from qdt_emu.circuit import Condition, Kind, NoisyCircuit, Operation, Structure, Values
from qdt_emu.engines import run
from qdt_emu.engines.density import Density
from qdt_emu.engines.pauli import Pauli, answer
from qdt_emu.errors import InputError, UnsupportedError
from tests.bench.bench_density import brick
from tests.engines.density_oracle import expectation, random_structure, random_values

EXACT = Pauli(threshold=0.0)
IDEAL = np.array([1.0, 0.0])


def estimate(engine, structure, values, paulis, readout=None):
    readout = np.tile(IDEAL, (structure.n_qubits, 1)) if readout is None else readout
    state = engine.prepare(structure)
    return engine.estimate(state, values, paulis, readout, shots=1, seed=0)


def unconditional(structure):
    ops = tuple(replace(op, conditions=()) for op in structure.operations)
    return replace(structure, operations=ops)


def random_strings(rng, n, count):
    out = np.zeros((count, n), np.uint8)
    for row in out:
        weight = rng.integers(1, n + 1)
        row[rng.choice(n, weight, replace=False)] = rng.integers(1, 4, weight)
    return out


def misreading(rng, n):
    return np.stack([1 - 0.1 * rng.random(n), 0.05 * rng.normal(size=n)], 1)


def unmeasured(n, layers, seed=0):
    structure, values = brick(n, layers, seed)
    ops = tuple(op for op in structure.operations if op.kind is not Kind.MEASURE)
    return replace(structure, operations=ops), values


@pytest.mark.parametrize("seed", range(40))
def test_equals_kraus_evolution_without_threshold(seed):
    """All kinds of operations in any order: resets, measurements amid gates, pairs either way."""
    rng = np.random.default_rng(seed)
    n = 3 + seed % 2
    structure = unconditional(random_structure(rng, n, 3, 45, dynamic=seed % 3 > 0))
    values, paulis = random_values(rng, n), rng.integers(0, 4, (4, n)).astype(np.uint8)
    readout = 1 - 0.2 * rng.random((n, 2))
    found = estimate(EXACT, structure, values, paulis, readout)
    want = [expectation(structure, values, codes, readout) for codes in paulis]
    assert np.allclose(found.values, want, rtol=0, atol=1e-12)
    assert found.truncation == 0
    assert not found.stderr.any()
    assert not found.bounds.any()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_equals_density_on_ten_noisy_qubits(seed):
    rng = np.random.default_rng(seed)
    structure, values = unmeasured(10, 2 + seed, seed)
    paulis, readout = random_strings(rng, 10, 2), misreading(rng, 10)
    want = estimate(Density(), structure, values, paulis, readout).values
    found = estimate(EXACT, structure, values, paulis, readout)
    assert np.allclose(found.values, want, rtol=0, atol=1e-10)


def truncated(count, threshold):
    """True errors and stated bounds of `count` noisy circuits, three families in turn."""
    true, stated = [], []
    for seed in range(1000, 1000 + count):  # the factors were fitted to other seeds
        rng = np.random.default_rng(seed)
        n = 8 + 2 * (seed % 10 == 0)
        if seed % 3 == 0:
            s = random_structure(rng, n, 2, int(rng.integers(40, 120)), dynamic=False)
            v = random_values(rng, n, strength=float(rng.choice([0.05, 0.2])))
        else:
            s, v = unmeasured(n, int(rng.integers(2, 8)), seed)
        if seed % 3 == 2:
            v = kicked(v, rng)
        paulis, readout = random_strings(rng, n, 1), misreading(rng, n)
        found = estimate(Pauli(threshold=threshold, threads=1), s, v, paulis, readout)
        true.append(abs(found.values - estimate(Density(), s, v, paulis, readout).values)[0])
        stated.append(found.bounds[0])
    return np.array(true), np.array(stated)


def kicked(values, rng):
    """Equal rotations about X, Clifford couplings, uniform depolarising: slow decay, few signs."""
    theta, p = rng.uniform(0.1, 1.4), rng.uniform(0, 0.05) / 4
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    turn = np.array([[c, -1j * s], [-1j * s, c]])
    couple = np.diag(np.exp(0.25j * np.pi * np.array([1, -1, -1, 1])))
    return replace(
        values,
        unitaries1=np.repeat(turn[None], len(values.unitaries1), 0),
        unitaries2=np.repeat(couple[None], len(values.unitaries2), 0),
        pauli1=np.repeat([[1 - 3 * p, p, p, p]], len(values.pauli1), 0),
    )


@pytest.mark.parametrize(
    ("count", "threshold"),
    [
        (24, 1e-2),
        pytest.param(200, 1e-2, marks=pytest.mark.slow),
        pytest.param(200, 1e-3, marks=pytest.mark.slow),
    ],
)
def test_stated_error_covers_the_true_one(count, threshold):
    """In at least 95 % of circuits; fixed seeds, so it cannot fail by chance."""
    true, stated = truncated(count, threshold)
    assert np.mean(true > 1e-6) > 0.8  # the threshold did cut
    assert np.mean(true <= stated + 1e-12) >= 0.95


def test_dropped_sum_is_a_rigorous_bound():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        structure, values = unmeasured(6, 5, seed)
        paulis = random_strings(rng, 6, 1)
        found = estimate(Pauli(threshold=0.02), structure, values, paulis)
        want = estimate(Density(), structure, values, paulis)
        assert abs(found.values - want.values)[0] <= found.details["pauli dropped"]


def test_error_falls_with_the_threshold():
    structure, values = unmeasured(6, 4)
    paulis = random_strings(np.random.default_rng(0), 6, 12)
    want = estimate(Density(), structure, values, paulis).values
    rms = [
        np.sqrt(np.mean((estimate(Pauli(t), structure, values, paulis).values - want) ** 2))
        for t in (1e-2, 1e-3, 1e-4)
    ]
    assert rms[0] > rms[1] > rms[2]
    assert rms[2] < 1e-3


def test_weight_limit_is_accounted_for():
    structure, values = unmeasured(6, 2)
    paulis = random_strings(np.random.default_rng(1), 6, 6)
    want = estimate(Density(), structure, values, paulis).values
    none = estimate(Pauli(0.0, max_weight=6), structure, values, paulis)
    assert np.allclose(none.values, want, rtol=0, atol=1e-12)
    few = estimate(Pauli(0.0, max_weight=3), structure, values, paulis)
    assert few.details["pauli dropped"] > 0
    assert np.all(abs(few.values - want) <= few.details["pauli dropped"])


def test_full_room_raises_the_threshold_and_the_error():
    structure, values = unmeasured(8, 6)
    paulis = random_strings(np.random.default_rng(2), 8, 4)
    want = estimate(Density(), structure, values, paulis).values
    found = estimate(Pauli(1e-6, max_terms=1024), structure, values, paulis)
    assert found.details["pauli terms"] <= 1024
    assert found.details["pauli threshold"] > 1e-5
    assert np.all(abs(found.values - want) <= found.bounds)


def test_threads_do_not_change_a_digit():
    structure, values = unmeasured(6, 4)
    paulis = random_strings(np.random.default_rng(3), 6, 9)
    one, two = (estimate(Pauli(1e-3, threads=t), structure, values, paulis) for t in (1, 2))
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.bounds, two.bounds)


def test_a_budget_ends_the_search_for_a_tolerance():
    structure, values = unmeasured(6, 8)
    paulis = random_strings(np.random.default_rng(4), 6, 3)
    free = Pauli(threshold=1e-9, tolerance=1e-6)
    full = estimate(free, structure, values, paulis)
    assert full.truncation <= 1e-6
    bounds = []
    for budget in (2000, 20_000):
        tight = estimate(replace(free, max_updates=budget), structure, values, paulis)
        assert tight.details["pauli updates"] < full.details["pauli updates"]
        assert np.all(np.abs(tight.values - full.values) <= tight.bounds + 1e-6)
        bounds.append(tight.truncation)
    assert 1e-6 < bounds[1] < bounds[0]
    ample = replace(free, max_updates=10**9)
    fresh = estimate(ample, structure, values, paulis)
    assert fresh.truncation <= 1e-6
    ask = (free.prepare(structure), values, paulis, np.tile(IDEAL, (6, 1)))
    further = answer(ample.runs(*ask, known=replace(free, max_updates=20_000).runs(*ask)))
    assert np.array_equal(further.values, fresh.values)
    assert np.array_equal(further.bounds, fresh.bounds)


def test_identity_is_one():
    structure, values = unmeasured(4, 2)
    found = estimate(Pauli(), structure, values, np.zeros((2, 4), np.uint8))
    assert np.array_equal(found.values, [1, 1])
    assert found.truncation == 0


def test_resting_qubits_have_their_population():
    values = replace(Values.empty(2), excited=np.array([0.1, 0.25]))
    structure = Structure((), 2, 0, (0, 1))
    paulis = np.array([[3, 0], [0, 3], [3, 3], [1, 3]], np.uint8)
    assert np.allclose(estimate(EXACT, structure, values, paulis).values, [0.8, 0.5, 0.4, 0])


def one_gate(*ops, n_clbits=0):
    return Structure(ops, 1, n_clbits, (0,))


Z = np.array([[3]], np.uint8)


def test_conditions_are_refused():
    op = Operation(Kind.RESET, (0,), 0, conditions=(Condition((0,), 1),))
    structure = one_gate(op, n_clbits=1)
    with pytest.raises(UnsupportedError, match=r"qubit 0 depends on clbit 0.*statevector"):
        EXACT.prepare(structure)
    plan = EXACT.plan(structure, shots=1, paulis=1, memory=10**9)
    assert "clbit 0" in plan.refusal


def test_drift_is_refused_and_its_absence_is_not():
    structure = one_gate(Operation(Kind.DWELL, (0,), 0))
    values = replace(Values.empty(1), dwell=np.array([1e-6]))
    assert estimate(EXACT, structure, values, Z).values[0] == 1
    drifting = replace(values, detuning=np.array([[0.0, 2e3]]))
    with pytest.raises(UnsupportedError, match=r"`detuning`.*qubit 0 drifts"):
        estimate(EXACT, structure, drifting, Z)


def test_leakage_is_refused_and_its_absence_is_not():
    structure = one_gate(Operation(Kind.LEAK, (0,), 0))
    values = replace(Values.empty(1), leakage=np.zeros((1, 2)))
    assert estimate(EXACT, structure, values, Z).values[0] == 1
    leaking = replace(values, leakage=np.array([[1e-4, 0.0]]))
    with pytest.raises(UnsupportedError, match=r"`leakage`.*third level"):
        estimate(EXACT, structure, leaking, Z)


def test_samples_are_refused_before_any_work():
    structure = one_gate(Operation(Kind.MEASURE, (0,), 0, 0), n_clbits=1)
    values = replace(Values.empty(1), confusion=np.zeros((1, 2)))
    with pytest.raises(UnsupportedError, match="expectation values only"):
        EXACT.sample(EXACT.prepare(structure), values, shots=1, seed=0)
    with pytest.raises(UnsupportedError, match="expectation values only"):
        run.sample(NoisyCircuit(structure, values), shots=1, seed=0, engine="pauli")


def test_plan_states_the_memory():
    structure, _ = unmeasured(6, 2)
    few = Pauli(max_terms=2048).plan(structure, shots=0, paulis=1, memory=10**9)
    many = Pauli(max_terms=2**22).plan(structure, shots=0, paulis=1, memory=10**9)
    assert not few.refusal
    assert few.bytes < many.bytes < 10**7  # 4096 strings exist
    refused = Pauli().plan(structure, shots=0, paulis=1, memory=1000)
    assert "1000 bytes" in refused.refusal


@pytest.mark.parametrize(
    "wrong", [{"threshold": -1.0}, {"max_weight": 0}, {"max_terms": 10}, {"threads": 0}]
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Pauli(**wrong)


def test_wrong_strings_are_named():
    structure, values = unmeasured(4, 1)
    with pytest.raises(InputError, match=r"shape \(m, 4\)"):
        estimate(EXACT, structure, values, np.zeros((1, 3), np.uint8))


def test_a_twin_estimates_by_name():
    """A noisy circuit on a bundled processor, with misreading, against the exact engine."""
    twin = qdt.Twin.load("ibmq_lima")
    circuit = """OPENQASM 3.0; include "stdgates.inc"; qubit[4] q;
    h q[0]; cx q[0], q[1]; rx(0.4) q[1]; cx q[1], q[2]; ry(0.9) q[2]; cx q[1], q[3];"""
    paulis = ["ZZZZ", "IIXX", "ZIII", "YXIZ"]
    got = twin.estimate(circuit, paulis, engine="pauli", seed=0)
    want = twin.estimate(circuit, paulis, engine="density", seed=0)
    assert got.report.engine == "pauli"
    assert np.all(abs(got.values - want.values) <= got.budgets[0].truncation + 1e-12)
    assert got.budgets[0].truncation < 0.01
