from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli
from qiskit.quantum_info import Statevector as QiskitStatevector
from scipy.stats import chi2, kstest

from qdt_emu.circuit.noisy import Condition, Kind, NoisyCircuit, Operation, Structure, Values
from qdt_emu.engines import statevector_run
from qdt_emu.engines.statevector import Statevector
from qdt_emu.engines.statevector_run import bind
from qdt_emu.errors import InputError
from tests.bench.bench_statevector import workload
from tests.engines.statevector_oracle import expectation, law, random_circuit, random_unitary

X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
H = (X + Z) / np.sqrt(2)
CX = np.eye(4)[[0, 1, 3, 2]]
GATES = np.array([X, H, Y], complex)
IDEAL = (1.0, 0.0)


def circuit(operations, n, n_clbits=0, **tables):
    """A circuit with the unitaries X, H, Y and CX, perfect readout, and other tables as given."""
    values = replace(
        Values.empty(n),
        **{
            "unitaries1": GATES,
            "unitaries2": CX[None].astype(complex),
            "confusion": np.zeros((1, 2)),
            "reset_excitation": np.zeros(1),
        }
        | {name: np.asarray(table) for name, table in tables.items()},
    )
    return NoisyCircuit(Structure(tuple(operations), n, n_clbits, tuple(range(n))), values)


def op(kind, *qubits, slot=0, clbit=-1, when=()):
    return Operation(kind, qubits, slot, clbit, when)


def x(q):
    return op(Kind.UNITARY, q)


def h(q):
    return op(Kind.UNITARY, q, slot=1)


def measure(q, clbit, slot=0):
    return op(Kind.MEASURE, q, clbit=clbit, slot=slot)


def run(noisy, shots, seed=0, engine=None):
    engine = engine or Statevector()
    return engine.sample(engine.prepare(noisy.structure), noisy.values, shots=shots, seed=seed).bits


def estimate(noisy, paulis, shots, *, seed=0, engine=None, readout=IDEAL):
    engine, n = engine or Statevector(), noisy.structure.n_qubits
    maps = np.tile(np.array(readout), (n, 1)) if np.ndim(readout) == 1 else readout
    codes = np.array(paulis, np.uint8).reshape(-1, n)
    state = engine.prepare(noisy.structure)
    return engine.estimate(state, noisy.values, codes, maps, shots=shots, seed=seed)


def fit(bits, p):
    """Return the p-value of Pearson's test of records against the law `p`."""
    index = bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))
    counts, expected = np.bincount(index, minlength=len(p)), p * len(bits)
    assert not counts[p < 1e-12].any()
    order = np.argsort(-expected)
    many = int((expected >= 5).sum())
    e, c = expected[order], counts[order]
    e = np.append(e[:many], e[many:].sum())
    c = np.append(c[:many], c[many:].sum())
    e, c = e[e > 1e-9], c[e > 1e-9]
    return chi2.sf(((c - e) ** 2 / e).sum(), len(e) - 1) if len(e) > 1 else 1.0


@pytest.mark.parametrize(("precision", "tolerance"), [("single", 2e-5), ("double", 1e-11)])
def test_without_noise_it_is_qiskits_statevector(precision, tolerance):
    n, rng = 6, np.random.default_rng(2)
    qiskit, operations, u2 = QuantumCircuit(n), [], []
    for _ in range(25):
        a, b = (int(q) for q in rng.permutation(n)[:2])
        u2.append(random_unitary(rng, 4))
        operations.append(op(Kind.UNITARY, a, b, slot=len(u2) - 1))
        qiskit.unitary(u2[-1], [b, a])  # Qiskit's first qubit is the least significant
    noisy = circuit(operations, n, unitaries2=u2)
    paulis = rng.integers(0, 4, (30, n))
    found = estimate(noisy, paulis, 10, engine=Statevector(precision))
    final = QiskitStatevector(qiskit)
    labels = ["".join("IXYZ"[c] for c in row[::-1]) for row in paulis]
    expected = [final.expectation_value(Pauli(label)).real for label in labels]
    assert np.allclose(found.values, expected, atol=tolerance)
    assert np.allclose(found.stderr, 0, atol=1e-12)
    assert found.details["trajectories"] == 1


CASES = [(seed, noise) for seed in range(8) for noise in (0.1, 1.0)]


@pytest.mark.parametrize(("seed", "noise"), CASES)
@pytest.mark.parametrize("early", [True, False])
def test_records_follow_the_exact_law_early_and_late(seed, noise, early):
    # 32 tests at 1e-6 each: false alarm 3e-5.
    noisy = random_circuit(
        seed, n=2 + seed % 3, noise=noise, ratio=(0.3, 1, 1.7, 2)[seed % 4], dynamic=seed % 2 == 0
    )
    engine = Statevector()
    state = engine.prepare(noisy.structure)
    bound = bind(state.early if early else state.late, noisy.values, np.float32)
    records = engine.sample_bound(noisy.structure, bound, noisy.values, shots=8000, seed=seed)
    assert fit(records.bits, law(noisy)) > 1e-6


@pytest.mark.parametrize(("ratio", "rest"), [(0.3, 0.1), (1.0, 0.0), (1.7, 0.15), (2.0, 0.0)])
def test_expectation_values_deviate_from_the_exact_ones_by_their_standard_error(ratio, rest):
    # Kolmogorov-Smirnov at 1e-5, 4 times: false alarm 4e-5.
    scores = []
    for seed in range(25):
        noisy = random_circuit(seed, n=3, ratio=ratio, rest=rest, dynamic=seed % 2 == 0)
        structure = replace(noisy.structure, operations=noisy.structure.operations[:-3])
        noisy = NoisyCircuit(structure, noisy.values)
        rng = np.random.default_rng(seed)
        paulis = rng.integers(0, 4, (2, 3))
        paulis[:, 0] |= 1
        readout = np.stack([rng.uniform(0.7, 1, 3), rng.uniform(-0.1, 0.1, 3)], axis=1)
        found = estimate(noisy, paulis, 2000, seed=seed, readout=readout)
        exact = np.array([expectation(noisy, p, readout) for p in paulis])
        drawn = found.stderr > 1e-9
        assert np.allclose(found.values[~drawn], exact[~drawn], atol=1e-5)
        scores += list((found.values - exact)[drawn] / found.stderr[drawn])
    assert kstest(scores, "norm").pvalue > 1e-5


def test_sharing_histories_does_not_change_the_law():
    # The brick circuit of the benchmark, shared (late) and not (early); false alarm 2e-6.
    noisy = workload(4, 4, p2=0.05)
    engine, exact = Statevector(), law(noisy)
    state = engine.prepare(noisy.structure)
    for program, alone in ((state.early, True), (state.late, False)):
        bound = bind(program, noisy.values, np.float32)
        records = engine.sample_bound(noisy.structure, bound, noisy.values, shots=20000, seed=3)
        assert (records.details["trajectories"] == 20000) == alone
        assert fit(records.bits, exact) > 1e-6


def test_the_seed_fixes_the_records_on_any_number_of_threads(monkeypatch):
    noisy = random_circuit(0, n=4, steps=40)
    one = run(noisy, 3000, 7, Statevector(threads=1))
    assert np.array_equal(one, run(noisy, 3000, 7, Statevector(threads=2)))
    assert np.array_equal(one, run(noisy, 3000, 7, Statevector(threads=3)))
    assert not np.array_equal(one, run(noisy, 3000, 8))
    monkeypatch.setattr(statevector_run, "CODES", 1)  # pieces of 1024 shots
    assert np.array_equal(one, run(noisy, 3000, 7))


def test_the_seed_fixes_expectation_values_on_any_number_of_threads():
    noisy = random_circuit(2, n=4, steps=40)
    found = [estimate(noisy, [[3, 1, 0, 2]], 500, engine=Statevector(threads=k)) for k in (1, 2)]
    assert found[0].values == found[1].values
    assert found[0].stderr == found[1].stderr


def test_misreading_changes_the_record_and_not_the_state():
    noisy = circuit([x(0), measure(0, 0), measure(0, 1)], 1, 2, confusion=[[0.0, 0.02]])
    bits = run(noisy, 40000)
    # Both frequencies within 5 standard deviations: false alarm 1e-6.
    assert abs((bits[:, 0] == 0).mean() - 0.02) < 5 * np.sqrt(0.02 / 40000)
    second = bits[bits[:, 0] == 0, 1] == 0
    assert abs(second.mean() - 0.02) < 5 * np.sqrt(0.02 / len(second))


def test_noise_of_one_qubit_gates_accumulates():
    p = 3e-3
    one = [x(0), op(Kind.PAULI, 0)]
    noisy = circuit(one * 201 + [measure(0, 0)], 1, 1, pauli1=[[1 - p, p / 3, p / 3, p / 3]])
    exact = (1 + (1 - 4 * p / 3) ** 201) / 2
    found = run(noisy, 20000).mean()  # 5 standard deviations: false alarm 6e-7
    assert abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / 20000)


def test_ghz_reads_all_zero_or_all_one():
    n = 14
    operations = [h(0)] + [op(Kind.UNITARY, k, k + 1) for k in range(n - 1)]
    operations += [measure(q, q) for q in range(n)]
    engine = Statevector()
    noisy = circuit(operations, n, n)
    state = engine.prepare(noisy.structure)
    assert state.early.layout.peak == 1
    for program in (state.early, state.late):
        bound = bind(program, noisy.values, np.float32)
        bits = engine.sample_bound(noisy.structure, bound, noisy.values, shots=2000, seed=1).bits
        assert np.all(bits == bits[:, :1])
        assert abs(bits[:, 0].mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)  # false alarm 6e-7


def test_a_conditional_flip_resets_up_to_misreading():
    flip = op(Kind.UNITARY, 0, when=(Condition((0,), 1),))
    noisy = circuit(
        [h(0), measure(0, 0), flip, measure(0, 1, slot=1)],
        1,
        2,
        confusion=[[0.1, 0.2], [0.0, 0.0]],
    )
    # After the flip the qubit is in |1> exactly if it was misread: P = (0.1 + 0.2) / 2.
    wrong = run(noisy, 20000)[:, 1].mean()
    assert abs(wrong - 0.15) < 5 * np.sqrt(0.15 * 0.85 / 20000)  # false alarm 6e-7


def test_correlated_misreading_acts_on_the_true_pair():
    m = np.random.default_rng(5).dirichlet(np.ones(4), 4).T
    operations = [h(0), op(Kind.UNITARY, 0, 1), measure(0, 1), measure(1, 0)]
    noisy = circuit(operations, 2, 2, pair_confusion=m[None], confusion=[[0.3, 0.3]])
    noisy = replace(noisy, structure=replace(noisy.structure, paired_readout=((1, 0),)))
    p = (m[:, 0] + m[:, 3]) / 2  # index 2 * clbit 1 + clbit 0, as in `fit`
    assert fit(run(noisy, 20000), p) > 1e-6  # false alarm 1e-6


@pytest.mark.parametrize("gates", [1, 5, 40])
def test_leaked_population_follows_its_closed_form(gates):
    up, back, shots = 0.03, 0.1, 20000
    noisy = circuit(
        [op(Kind.LEAK, 0)] * gates + [measure(0, 0)],
        1,
        1,
        leakage=[[up, back]],
        confusion=[[0.0, 1.0]],
    )
    leaked = up / (up + back) * (1 - (1 - up - back) ** gates)
    # What comes back is a random bit; a true 1 reads 0 here, so only leaked shots read 1.
    found = run(noisy, shots).mean()
    assert abs(found - leaked) < 5 * np.sqrt(leaked / shots)  # false alarm 6e-7


def test_a_leaked_qubit_ignores_gates_and_dephases_its_partner():
    gates = [h(1), op(Kind.LEAK, 0), x(0), op(Kind.UNITARY, 0, 1), h(1)]
    noisy = circuit([*gates, measure(0, 0), measure(1, 1)], 2, 2, leakage=[[1.0, 0.0]])
    bits = run(noisy, 4000)
    assert bits[:, 0].all()
    assert abs(bits[:, 1].mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)  # false alarm 6e-7
    assert np.isclose(estimate(circuit(gates, 2, leakage=[[1.0, 0.0]]), [[3, 0]], 8).values, -1)


def test_no_leakage_changes_nothing():
    noisy = random_circuit(4, n=3)
    steps = noisy.structure.operations
    operations = tuple(o for p in steps for o in (p, op(Kind.LEAK, p.qubits[0])))
    values = replace(noisy.values, leakage=np.zeros((1, 2)))
    leaky = NoisyCircuit(replace(noisy.structure, operations=operations), values)
    assert fit(run(leaky, 8000), law(noisy)) > 1e-6  # false alarm 1e-6


def ramsey(dwells, *, echo=False, sigma=0.0, splitting=0.0, time=3e-6):
    middle = [op(Kind.UNITARY, 0)] if echo else []
    half = [op(Kind.DWELL, 0)] * dwells
    return circuit(
        [h(0), *half, *middle, *(half if echo else [])],
        1,
        dwell=[time],
        detuning=[[sigma, splitting]],
    )


@pytest.mark.parametrize("dwells", [1, 10, 40])
def test_detuning_is_constant_over_a_shot(dwells):
    # n dwells give exp(-n^2 s^2 t^2 / 2), not exp(-n s^2 t^2 / 2); 5 standard errors: 6e-7.
    found = estimate(ramsey(dwells, sigma=2e3), [[1]], 20000)
    exact = np.exp(-((dwells * 2 * np.pi * 2e3 * 3e-6) ** 2) / 2)
    assert abs(found.values[0] - exact) < 5 * found.stderr[0]


def test_every_shot_draws_its_own_detuning():
    # The variance between shots is that of cos of a Gaussian phase; 5 %, about 10 sd.
    found = estimate(ramsey(20, sigma=2e3), [[1]], 20000)
    s2 = (20 * 2 * np.pi * 2e3 * 3e-6) ** 2
    exact = (1 - np.exp(-s2)) ** 2 / 2
    assert abs(found.stderr[0] ** 2 * 20000 / exact - 1) < 0.05


def test_an_echo_undoes_detuning_and_parity():
    found = estimate(ramsey(20, echo=True, sigma=5e3, splitting=3e4), [[1]], 200)
    assert np.isclose(found.values[0], 1, atol=1e-5)


@pytest.mark.parametrize("cycles", [0.25, 0.5, 1.0])
def test_charge_parity_beats(cycles):
    found = estimate(ramsey(1, splitting=cycles / 3e-6), [[1]], 400)
    assert np.isclose(found.values[0], np.cos(np.pi * cycles), atol=1e-5)


def test_only_the_light_cone_is_simulated():
    n = 60
    operations = [h(q) for q in range(n)]
    operations += [op(Kind.UNITARY, q, q + 1) for k in (0, 1) for q in range(k, n - 1, 2)]
    found = estimate(circuit(operations, n), np.eye(n)[[30]] * 3, 1)
    assert found.details["width"] <= 4
    assert np.isclose(found.values[0], 0.0, atol=1e-6)


def test_a_long_line_is_swept_by_a_narrow_front():
    n, layers = 100, 4
    operations = [h(q) for q in range(n)]
    operations += [
        op(Kind.UNITARY, q, q + 1) for k in range(layers) for q in range(k % 2, n - 1, 2)
    ]
    operations += [measure(q, q) for q in range(n)]
    engine, noisy = Statevector(), circuit(operations, n, n)
    state = engine.prepare(noisy.structure)
    assert state.early.layout.peak <= layers + 2
    assert run(noisy, 16).shape == (16, n)


def test_a_plan_refuses_what_does_not_fit():
    n = 24
    rng = np.random.default_rng(0)
    pairs = [rng.permutation(n)[:2] for _ in range(300)]
    operations = [op(Kind.UNITARY, int(a), int(b)) for a, b in pairs]
    structure = Structure((*operations, *(measure(q, q) for q in range(n))), n, n, tuple(range(n)))
    ask = {"shots": 10, "paulis": 0}
    plan = Statevector().plan(structure, memory=1 << 20, **ask)
    assert "24 active qubits" in plan.refusal
    assert str(1 << 20) in plan.refusal
    assert not Statevector(threads=1).plan(structure, memory=1 << 37, **ask).refusal
    pair = Structure((op(Kind.LEAK, 0, 1),), 2, 0, (0, 1))
    assert "LEAK" in Statevector().plan(pair, memory=1 << 30, **ask).refusal


def test_arguments_are_checked():
    with pytest.raises(InputError, match="'half'"):
        Statevector("half")
    with pytest.raises(InputError, match="threads"):
        Statevector(threads=0)
