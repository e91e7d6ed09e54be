"""Matrix product operators against the exact engine, in both pictures, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

import qdt_emu as qdt
from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values
from qdt_emu.engines import mpo_measure, mpo_program
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mpo_evolve import bound, state
from qdt_emu.engines.mpo_train import split
from qdt_emu.errors import InputError, UnsupportedError
from tests.bench.bench_density import brick
from tests.bench.workload import brick as brick_on
from tests.engines.density_oracle import random_structure, random_values

PICTURES = ["schroedinger", "heisenberg"]


def estimate(engine, structure, values, paulis, readout=None):
    readout = np.tile([1.0, 0.0], (structure.n_qubits, 1)) if readout is None else readout
    return engine.estimate(engine.prepare(structure), values, paulis, readout, shots=1, seed=0)


def exact(picture, **more):
    return Mpo(max_bond=4096, cutoff=0.0, picture=picture, threads=1, **more)


def unconditional(structure):
    ops = tuple(replace(op, conditions=()) for op in structure.operations)
    return replace(structure, operations=ops)


def unmeasured(n, layers, seed=0):
    structure, values = brick(n, layers, seed)
    ops = tuple(op for op in structure.operations if op.kind is not Kind.MEASURE)
    return replace(structure, operations=ops), values


def strings(rng, n, count, heaviest=None):
    out = np.zeros((count, n), np.uint8)
    for row in out:
        weight = rng.integers(1, (heaviest or n) + 1)
        row[rng.choice(n, weight, replace=False)] = rng.integers(1, 4, weight)
    return out


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("seed", range(12))
def test_equals_density_without_truncation(picture, seed):
    """All kinds of operations on pairs far apart: resets, measurements amid gates, misreading."""
    rng = np.random.default_rng(seed)
    n = 4 + seed % 2
    structure = unconditional(random_structure(rng, n, 3, 50, dynamic=seed % 3 > 0))
    values, paulis = random_values(rng, n), strings(rng, n, 6)
    readout = 1 - 0.2 * rng.random((n, 2))
    want = estimate(Density(), structure, values, paulis, readout).values
    found = estimate(exact(picture), structure, values, paulis, readout)
    assert np.allclose(found.values, want, rtol=0, atol=1e-10)
    assert found.truncation < 1e-9
    assert not found.stderr.any()


@pytest.mark.parametrize("picture", PICTURES)
def test_equals_density_on_eight_qubits(picture):
    structure, values = unmeasured(8, 6)
    paulis = strings(np.random.default_rng(0), 8, 4)
    want = estimate(Density(), structure, values, paulis).values
    found = estimate(exact(picture), structure, values, paulis)
    assert np.allclose(found.values, want, rtol=0, atol=1e-10)
    assert found.bounds.max() < 1e-9


def g_test(bits, want):
    """p-value that the records follow the law; cells below 5 expected shots are one cell."""
    shots, n = bits.shape
    found = np.bincount(bits @ (1 << np.arange(n)), minlength=2**n)
    rare = want * shots < 5
    found = np.append(found[~rare], found[rare].sum())
    expected = np.append(want[~rare], want[rare].sum()) * shots
    seen = found > 0
    g = 2 * (found[seen] * np.log(found[seen] / expected[seen])).sum()
    return chi2.sf(g, (expected > 0).sum() - 1)


@pytest.mark.parametrize("seed", range(3))
def test_samples_follow_the_exact_law(seed):
    """Misreading, correlated readout, bits in any order, and coupled qubits that are not read.

    False alarm: 1e-6 for each seed.
    """
    rng = np.random.default_rng(seed)
    structure = random_structure(rng, 5, 4, 40, dynamic=False, terminal=False)
    reads = [(4, 1), (0, 3), (2, 0), (1, 2)]
    ops = structure.operations + tuple(Operation(Kind.MEASURE, (q,), q, c) for q, c in reads)
    structure = replace(structure, operations=ops, paired_readout=((3, 0),) if seed else ())
    values = random_values(rng, 5)
    engine = Mpo(max_bond=1024, threads=1)
    found = engine.sample(engine.prepare(structure), values, shots=50_000, seed=seed)
    want = probabilities(Density().prepare(structure), values)
    assert g_test(found.bits, want) > 1e-6
    assert found.truncation < 1e-6
    assert found.details["mpo clamped"] == 0


def test_error_falls_with_the_bond():
    structure, values = unmeasured(10, 6)
    paulis = strings(np.random.default_rng(0), 10, 30, heaviest=3)
    want = estimate(Density(), structure, values, paulis).values
    for picture, count in zip(PICTURES, (30, 6), strict=True):
        rms = []
        for bond in (8, 16, 32, 64):
            engine = Mpo(max_bond=bond, picture=picture, threads=1)
            found = estimate(engine, structure, values, paulis[:count]).values
            rms.append(np.sqrt(np.mean((found - want[:count]) ** 2)))
        assert rms[0] > rms[1] > rms[2] > rms[3], picture


def test_truncation_keeps_the_trace_and_one_sided_operators():
    """The trace of a heavily cut state, and a cut's marginals, to rounding."""
    structure, values = unmeasured(12, 8)
    engine = Mpo(max_bond=8, picture="schroedinger")
    found = estimate(engine, structure, values, np.full((1, 12), 3, np.uint8))
    assert found.details["mpo dropped"] > 1e-3
    assert found.details["mpo trace drift"] < 1e-8
    rng = np.random.default_rng(0)
    theta, low, high = rng.normal(size=(64, 64)), rng.normal(size=64), rng.normal(size=64)
    for block in (theta + 3 * np.multiply.outer(low, high), theta):
        kept, rest, cut = split(block, low, high, 12, 0.0)
        assert kept.shape == (64, 12)
        assert np.allclose(kept.T @ kept, np.eye(12), atol=1e-12)
        assert np.allclose(low @ kept @ rest, low @ block, atol=1e-9)
        assert np.allclose(kept @ rest @ high, block @ high, atol=1e-9)
        assert 0 < cut < 1


def test_cut_is_nearly_the_best_of_its_rank():
    """Against the full decomposition of the connected part, for a slowly falling spectrum."""
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.normal(size=(160, 160)))[0] for _ in range(2))
    theta = u * np.exp(-8 * np.sqrt(np.arange(160) / 160)) @ v
    low, high = rng.normal(size=160), rng.normal(size=160)
    block = theta + 0.3 * np.multiply.outer(low, high) / 160
    _, _, cut = split(block, low, high, 33, 0.0)
    rest = block - np.multiply.outer(block @ high, low @ block) / (low @ block @ high)
    s = np.linalg.svd(rest, compute_uv=False)
    best = (s[32:] ** 2).sum() / (block**2).sum()
    assert best * (1 - 1e-9) <= cut < 1.1 * best


def test_a_cut_outside_of_the_light_cone_does_not_matter():
    """The left end is exact, with a bound of 0, while the middle is cut."""
    structure, values = unmeasured(10, 4)
    ops = tuple(op for op in structure.operations if min(op.qubits) >= 3 or max(op.qubits) < 3)
    structure = replace(structure, operations=ops)
    paulis = np.zeros((2, 10), np.uint8)
    paulis[0, :3], paulis[1, 5:8] = 3, 3
    want = estimate(Density(), structure, values, paulis).values
    found = estimate(Mpo(max_bond=16, picture="schroedinger"), structure, values, paulis)
    assert abs(found.values - want)[0] < 1e-12
    assert found.bounds[0] < 1e-9
    assert found.bounds[1] > 1e-6


def test_marginal_holds_every_string():
    structure, values = unmeasured(6, 3)
    prog = mpo_program.program(structure)
    train, _ = state(bound(prog, values), np.ones(6, bool), 4096, 0.0)
    sites = [prog.final[q] for q in (4, 1, 2)]
    found = mpo_measure.marginal(train.tensors, sites)
    for codes in ([1, 2, 3], [3, 0, 1], [0, 0, 0]):
        paulis = np.zeros((1, 6), np.uint8)
        paulis[0, [4, 1, 2]] = codes
        want = estimate(Density(), structure, values, paulis).values[0]
        assert np.isclose(found[tuple(codes)], want, rtol=0, atol=1e-12)


def test_both_pictures_agree_within_their_bounds_on_forty_qubits():
    structure, values = unmeasured(40, 6)
    rng = np.random.default_rng(0)
    paulis = np.zeros((6, 40), np.uint8)
    for row in paulis:
        row[rng.integers(0, 38) + np.arange(2)] = rng.integers(1, 4, 2)
    one, two = (estimate(Mpo(max_bond=32, picture=p), structure, values, paulis) for p in PICTURES)
    assert one.details["mpo picture"] == "schroedinger"
    assert two.details["mpo picture"] == "heisenberg"
    assert np.all(abs(one.values - two.values) <= one.bounds + two.bounds)
    assert one.details["mpo trace drift"] < 1e-8


def test_runs_repeat_on_any_number_of_threads():
    structure, values = brick(8, 4)
    paulis = strings(np.random.default_rng(3), 8, 5)
    for picture in PICTURES:
        one, two = (
            estimate(Mpo(16, picture=picture, threads=t), structure, values, paulis) for t in (1, 2)
        )
        assert np.array_equal(one.values, two.values)
        assert np.array_equal(one.bounds, two.bounds)
    bits = [
        engine.sample(engine.prepare(structure), values, shots=500, seed=1).bits
        for engine in (Mpo(16, threads=1), Mpo(16, threads=2))
    ]
    assert np.array_equal(*bits)
    assert len(np.unique(bits[0], axis=0)) > 50
    engine = Mpo(16)
    final = engine.evolve(engine.prepare(structure), values)
    assert np.array_equal(engine.sample(final, values, shots=500, seed=1).bits, bits[0])


def test_auto_goes_back_from_few_strings_and_forward_for_many():
    structure, values = unmeasured(20, 4)
    few = np.zeros((1, 20), np.uint8)
    few[0, 7] = 3
    found = estimate(Mpo(16), structure, values, few)
    assert found.details["mpo picture"] == "heisenberg"
    many = np.eye(20, dtype=np.uint8) * 3
    found = estimate(Mpo(16), structure, values, np.concatenate([many, many // 3]))
    assert found.details["mpo picture"] == "schroedinger"


@pytest.mark.parametrize("picture", PICTURES)
def test_special_states(picture):
    """Identity, qubits at rest, qubits that are erased, and a GHZ state on a bond of four."""
    values = replace(
        Values.empty(3),
        excited=np.array([0.1, 0.25, 0.0]),
        reset_excitation=np.array([0.2]),
        unitaries1=np.array([[[1, 1], [1, -1]]]) / np.sqrt(2),
        unitaries2=np.array([np.eye(4)[[0, 1, 3, 2]]]),
    )
    rest = Structure((), 3, 0, (0, 1, 2))
    paulis = np.array([[0, 0, 0], [3, 0, 0], [3, 3, 0], [1, 0, 3]], np.uint8)
    found = estimate(Mpo(picture=picture), rest, values, paulis)
    assert np.allclose(found.values, [1, 0.8, 0.4, 0])
    erased = Structure((Operation(Kind.RESET, (0,), 0),), 3, 0, (0, 1, 2))
    found = estimate(Mpo(picture=picture), erased, values, paulis)
    assert np.allclose(found.values, [1, 0.6, 0.3, 0])
    n = 12
    values = replace(values, excited=np.zeros(n))
    gates = [Operation(Kind.UNITARY, (0,), 0)]
    gates += [Operation(Kind.UNITARY, (q, q + 1), 0) for q in range(n - 1)]
    ghz = Structure(tuple(gates), n, 0, tuple(range(n)))
    paulis = np.array([[1] * n, [3] * n, [3, *[0] * (n - 2), 3], [3, *[0] * (n - 1)]], np.uint8)
    found = estimate(Mpo(4, picture=picture), ghz, values, paulis)
    assert np.allclose(found.values, [1, 1, 1, 0], atol=1e-12)
    assert found.truncation < 1e-6


def test_wide_samples_do_not_underflow():
    """200 qubits in |+>: probabilities of 2^-200, every bit fair to 5 sd."""
    n = 200
    ops = [Operation(Kind.UNITARY, (q,), 0) for q in range(n)]
    ops += [Operation(Kind.MEASURE, (q,), 0, q) for q in range(n)]
    values = replace(
        Values.empty(n),
        unitaries1=np.array([[[1, 1], [1, -1]]]) / np.sqrt(2),
        confusion=np.zeros((1, 2)),
    )
    engine = Mpo()
    structure = Structure(tuple(ops), n, n, tuple(range(n)))
    found = engine.sample(engine.prepare(structure), values, shots=400, seed=0)
    assert np.all(abs(found.bits.mean(0) - 0.5) < 5 * 0.025)
    assert found.truncation < 1e-9


def one_gate(*ops, n_clbits=0):
    return Structure(ops, 2, n_clbits, (0, 1))


def test_conditions_and_used_records_are_refused():
    measured = Operation(Kind.MEASURE, (0,), 0, 0)
    condition = Operation(Kind.RESET, (0,), 0, conditions=(Condition((0,), 1),))
    plan = Mpo().plan(one_gate(condition, n_clbits=1), shots=1, paulis=1, memory=10**9)
    assert "clbit 0" in plan.refusal
    again = one_gate(
        measured,
        Operation(Kind.UNITARY, (0, 1), 0),
        Operation(Kind.MEASURE, (1,), 0, 1),
        n_clbits=2,
    )
    assert "further on" in Mpo().plan(again, shots=1, paulis=0, memory=10**9).refusal
    assert not Mpo().plan(again, shots=0, paulis=1, memory=10**9).refusal
    with pytest.raises(UnsupportedError, match=r"clbit 0 is read from qubit 0.*'mps'"):
        Mpo().sample(Mpo().prepare(again), Values.empty(2), shots=1, seed=0)


def test_drift_is_refused():
    structure = one_gate(Operation(Kind.DWELL, (0,), 0))
    values = replace(Values.empty(2), dwell=np.array([1e-6]))
    z = np.array([[3, 0]], np.uint8)
    assert estimate(Mpo(), structure, values, z).values[0] == 1
    with pytest.raises(UnsupportedError, match=r"`detuning`.*'mpo'"):
        estimate(Mpo(), structure, replace(values, detuning=np.ones((2, 2))), z)


def test_plan_states_memory_and_exactness():
    structure, _ = brick(12, 4)
    plans = [Mpo(b).plan(structure, shots=10, paulis=0, memory=10**9) for b in (8, 32, 4096)]
    assert plans[0].bytes < plans[1].bytes < plans[2].bytes
    assert [p.truncation for p in plans] == [1.0, 1.0, 0.0]
    assert not any(p.refusal for p in plans)
    assert "1000 bytes" in Mpo().plan(structure, shots=10, paulis=0, memory=1000).refusal


@pytest.mark.parametrize(
    "wrong", [{"max_bond": 2}, {"cutoff": 1.0}, {"picture": "both"}, {"threads": 0}]
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Mpo(**wrong)


def test_wrong_strings_are_named():
    structure, values = unmeasured(4, 1)
    with pytest.raises(InputError, match=r"shape \(m, 4\)"):
        estimate(Mpo(), structure, values, np.zeros((1, 3), np.uint8))


def test_a_twin_runs_on_it():
    """Values and records of a noisy circuit on a bundled processor against the exact engine."""
    twin = qdt.Twin.load("ibmq_lima")
    circuit = """OPENQASM 3.0; include "stdgates.inc"; qubit[4] q;
    h q[0]; cx q[0], q[1]; rx(0.4) q[1]; cx q[1], q[2]; ry(0.9) q[2]; cx q[1], q[3];"""
    paulis = ["ZZZZ", "IIXX", "ZIII", "YXIZ"]
    got = twin.estimate(circuit, paulis, engine=Mpo(), seed=0)
    want = twin.estimate(circuit, paulis, engine="density", seed=0)
    assert np.allclose(got.values, want.values, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [10, 20])
def test_both_pictures_agree_on_a_line_of_a_processor(layers):
    """40 qubits of ibm_sherbrooke with ZZ between all neighbours, which takes many swaps."""
    twin = qdt.Twin.load("ibm_sherbrooke")
    circuit = twin.compile(brick_on(twin, 40, layers)).bind()
    structure, values = circuit.structure, circuit.values
    final = mpo_program.program(structure).final
    paulis = np.zeros((4, 40), np.uint8)
    for k, row in enumerate(paulis):
        row[8 * k + np.arange(1 + k % 3)] = 3
    one, two = (estimate(Mpo(32, picture=p), structure, values, paulis[:, final]) for p in PICTURES)
    assert np.all(abs(one.values - two.values) <= one.bounds + two.bounds)
    assert one.details["mpo trace drift"] < 1e-8
