"""Clifford circuits: the law of the records, what is refused, what is said about the twirl."""

from dataclasses import replace

import numpy as np
import pytest
import stim
from scipy.stats import chi2

from qdt_emu.circuit import Condition, Kind, NoisyCircuit, Operation, Structure, Values
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.stabilizer import Stabilizer, export_stim
from qdt_emu.engines.stabilizer_clifford import clifford
from qdt_emu.errors import UnsupportedError
from qdt_emu.noise import unitary_ptm
from tests.engines.density_oracle import PAULIS, random_unitary, random_values

ENGINE = Stabilizer()
FALSE_ALARM = 1e-6
X, Y, Z = PAULIS[1:]
H = (X + Z) / np.sqrt(2)
S = np.diag([1, 1j])
CZ = np.diag([1, 1, 1, -1])
UNITARY, PAULI, MEASURE, RESET = Kind.UNITARY, Kind.PAULI, Kind.MEASURE, Kind.RESET


def one_qubit_cliffords():
    """All 24, up to phase."""
    found = [np.eye(2)]
    for u in found:
        for g in (H, S):
            if all(abs(np.trace(v.conj().T @ g @ u)) < 2 - 1e-9 for v in found):
                found.append(g @ u)
    return found


ONES = one_qubit_cliffords()


def random_clifford(rng, qubits):
    if qubits == 1:
        return ONES[rng.integers(24)]
    u = np.eye(4)
    for _ in range(3):
        u = CZ @ np.kron(ONES[rng.integers(24)], ONES[rng.integers(24)]) @ u
    return u * np.exp(2j * rng.random())


def values(rng, n, **tables):
    v = random_values(rng, n)
    relaxation = v.relaxation.copy()
    relaxation[:, 2] = 0.5  # no pull: a Pauli channel
    return replace(
        v,
        unitaries1=np.stack([random_clifford(rng, 1) for _ in range(6)]),
        unitaries2=np.stack([random_clifford(rng, 2) for _ in range(6)]),
        relaxation=relaxation,
        **tables,
    )


def structure(rng, n, length):
    """Gates, noise, resets, early measurements and feedback by Pauli gates (slots 6 to 8)."""
    ops = []
    kinds = [UNITARY, PAULI, Kind.RELAXATION, RESET, MEASURE, Kind.DWELL]
    for _ in range(length):
        kind = kinds[rng.choice(6, p=[0.5, 0.2, 0.1, 0.05, 0.1, 0.05])]
        wide = kind in (UNITARY, PAULI) and rng.random() < 0.5
        qubits = tuple(int(q) for q in rng.choice(n, 1 + wide, replace=False))
        slot, clbit = int(rng.integers(6)), int(rng.integers(n)) if kind is MEASURE else -1
        ops.append(Operation(kind, qubits, slot, clbit))
        if kind is MEASURE:
            when = (Condition((int(rng.integers(n)),), int(rng.integers(2)), rng.random() < 0.5),)
            target = (int(rng.integers(n)),)
            ops.append(Operation(UNITARY, target, 6 + int(rng.integers(3)), -1, when))
    ops += [Operation(MEASURE, (q,), int(rng.integers(6)), q) for q in range(n)]
    return Structure(tuple(ops), n, n, tuple(range(n)))


def chance(bits, p):
    """P of a G statistic this large; bins with expectation below 10 are joined."""
    seen = np.bincount(bits.astype(int) @ (1 << np.arange(bits.shape[1])), minlength=len(p))
    expected = p * len(bits)
    small = expected < 10
    seen = np.append(seen[~small], seen[small].sum())
    expected = np.append(expected[~small], expected[small].sum())
    assert not seen[expected == 0].any()
    seen, expected = seen[expected > 0], expected[expected > 0]
    return chi2.sf(((seen - expected) ** 2 / expected).sum(), len(seen) - 1)


@pytest.mark.parametrize("seed", range(12))
def test_records_follow_the_exact_law(seed):
    rng = np.random.default_rng(seed)
    s = structure(rng, 4, 40)
    v = values(rng, 4)
    v = replace(v, unitaries1=np.concatenate([v.unitaries1, PAULIS[1:]]))
    reads = {c for op in s.operations for t in op.conditions for c in t.clbits}
    assert reads
    v = replace(v, confusion=np.repeat(v.confusion[:, :1], 2, axis=1))  # symmetric: for feedback
    got = ENGINE.sample(s, v, shots=20000, seed=seed)
    exact = probabilities(Density().prepare(s), v)
    assert chance(got.bits, exact) > FALSE_ALARM / 12
    assert not got.details


def test_asymmetric_and_paired_misreading_is_exact():
    rng = np.random.default_rng(1)
    v = values(rng, 3)
    ops = [Operation(UNITARY, (q,), q) for q in range(3)] + [Operation(UNITARY, (0, 1), 0)]
    ops += [Operation(MEASURE, (q,), q, q) for q in range(3)]
    s = Structure(tuple(ops), 3, 4, (0, 1, 2), paired_readout=((2, 0),))
    got = ENGINE.sample(s, v, shots=20000, seed=0)
    exact = probabilities(Density().prepare(s), v)
    assert np.ptp(v.confusion) > 0.01
    assert chance(got.bits, exact) > FALSE_ALARM


def test_expectation_values_deviate_by_their_standard_error():
    rng = np.random.default_rng(2)
    scores = []
    for seed in range(10):
        s = structure(rng, 4, 30)
        v = values(rng, 4)
        v = replace(v, unitaries1=np.concatenate([v.unitaries1, PAULIS[1:]]))
        v = replace(v, confusion=np.repeat(v.confusion[:, :1], 2, axis=1))
        paulis = rng.integers(0, 4, (8, 4)).astype(np.uint8)
        readout = np.stack([1 - 0.1 * rng.random(4), 0.1 * rng.random(4)], 1)
        got = ENGINE.estimate(s, v, paulis, readout, shots=4000, seed=seed)
        state = Density().prepare(s)
        want = Density().estimate(state, v, paulis, readout, shots=1, seed=0).values
        fixed = got.stderr == 0
        assert np.allclose(got.values[fixed], want[fixed], atol=1e-12)
        scores += list(((got.values - want) / np.where(fixed, np.inf, got.stderr))[~fixed])
    assert len(scores) > 40
    assert chi2.sf(np.square(scores).sum(), len(scores)) > FALSE_ALARM


@pytest.mark.parametrize("seed", range(30))
def test_a_clifford_with_a_small_rotation_is_found(seed):
    rng = np.random.default_rng(seed)
    qubits = 1 + seed % 2
    exact = random_clifford(rng, qubits)
    angle, axis = 0.7 * rng.random(), rng.integers(1, 4, qubits)
    pauli = PAULIS[axis[0]] if qubits == 1 else np.kron(PAULIS[axis[0]], PAULIS[axis[1]])
    turn = np.cos(angle / 2) * np.eye(2**qubits) - 1j * np.sin(angle / 2) * pauli
    found = clifford(turn @ exact)
    assert clifford(exact).exact
    assert not found.exact
    assert clifford(exact).gates == found.gates
    index = axis[0] if qubits == 1 else 4 * axis[0] + axis[1]
    want = np.eye(4**qubits)[0] * np.cos(angle / 2) ** 2
    want[index] += np.sin(angle / 2) ** 2
    assert np.allclose(found.errors, want, atol=1e-12)
    circuit = stim.Circuit()
    for q in range(qubits):
        circuit.append("I", [q])
    for name, targets in found.gates:
        circuit.append(name, targets)
    unitary = circuit.to_tableau().to_unitary_matrix(endian="big")
    assert np.allclose(unitary_ptm(unitary), unitary_ptm(exact), atol=1e-6)


def test_random_unitaries_are_no_cliffords():
    rng = np.random.default_rng(0)
    assert sum(clifford(random_unitary(rng, 4)) is None for _ in range(20)) == 20


def small(*operations, n=2, n_clbits=2, **tables):
    ops = tuple(operations)
    default = {
        "unitaries1": np.stack([H, X, np.diag([1, np.exp(0.25j * np.pi)])]),
        "unitaries2": CZ[None],
        "relaxation": np.array([[0.9, 0.85, 0.0]]),
        "confusion": np.array([[0.1, 0.3]]),
        "reset_excitation": np.zeros(1),
        "dwell": np.array([1e-6]),
        "leakage": np.array([[0.1, 0.1]]),
        "pauli1": np.array([[0.7, 0.1, 0.2, 0.0]]),
    }
    circuit = Structure(ops, n, n_clbits, tuple(range(n)))
    v = replace(Values.empty(n), detuning=np.full((n, 2), 1e3), **(default | tables))
    return NoisyCircuit(circuit, v)


def op(kind, *qubits, slot=0, clbit=-1, when=(), why="ideal"):
    return Operation(kind, qubits, slot, clbit, when, why)


IF = (Condition((0,), 1),)
BOTH = (Condition((0, 1), 3),)
READ = op(MEASURE, 0, clbit=0)
READ_BOTH = (READ, op(MEASURE, 1, clbit=1))


@pytest.mark.parametrize(
    ("operations", "word"),
    [
        ((op(UNITARY, 0, slot=2),), "UNITARY of 'ideal' is not near to a Clifford"),
        ((op(Kind.LEAK, 0, why="leakage"),), "leakage"),
        ((op(Kind.DWELL, 0, why="detuning"),), "detuning"),
        ((op(Kind.RELAXATION, 0, why="relaxation (idle)"),), "relaxation \\(idle\\)"),
        ((READ, op(UNITARY, 1, slot=0, when=IF)), "one flip by its parity"),
        ((*READ_BOTH, op(UNITARY, 1, slot=1, when=BOTH)), "one flip by its parity"),
        ((READ, op(UNITARY, 1, slot=1, when=IF)), "Misreading"),
        ((READ, op(PAULI, 1, when=IF)), "noise that depends on the record"),
        ((READ, op(RESET, 1, when=IF)), "RESET"),
    ],
)
def test_what_stim_cannot_do_is_refused_by_name(operations, word):
    circuit = small(*operations)
    with pytest.raises(UnsupportedError, match=word):
        ENGINE.sample(circuit.structure, circuit.values, shots=1, seed=0)


def test_a_parity_of_two_bits_may_flip_a_qubit():
    both = (Condition((0,), 1), Condition((0,), 0))  # never
    circuit = small(
        op(UNITARY, 0, slot=1), *READ_BOTH, op(UNITARY, 1, slot=1, when=IF),
        op(UNITARY, 1, slot=1, when=both), op(MEASURE, 1, clbit=1),
        confusion=np.zeros((1, 2)),
    )  # fmt: skip
    got = ENGINE.sample(circuit.structure, circuit.values, shots=10, seed=0)
    assert got.bits.tolist() == [[1, 1]] * 10


def test_an_accepted_twirl_is_stated_and_keeps_the_diagonal():
    circuit = small(
        op(UNITARY, 0), op(Kind.RELAXATION, 0, why="relaxation (idle)"),
        confusion=np.zeros((1, 2)),
    )  # fmt: skip
    engine = Stabilizer(accept_twirl=True)
    paulis, readout = np.array([[1, 0], [3, 0]], np.uint8), np.array([[1.0, 0]] * 2)
    got = engine.estimate(circuit.structure, circuit.values, paulis, readout, shots=40000, seed=1)
    assert abs(got.values[0] - 0.85) < 6 * got.stderr[0]
    assert abs(got.values[1]) < 6 * got.stderr[1]  # the exact value is 0.1: it is lost
    assert "pull to equilibrium: 1 times, losing at most 0.1" in got.details["twirled"]


def test_exported_text_has_the_same_law():
    rng = np.random.default_rng(5)
    s = structure(rng, 4, 40)
    v = values(rng, 4)
    v = replace(v, unitaries1=np.concatenate([v.unitaries1, PAULIS[1:]]))
    v = replace(v, confusion=np.repeat(v.confusion[:, :1], 2, axis=1))
    text, statements = export_stim(NoisyCircuit(s, v), accept_twirl=False)
    assert statements == ()
    record = {
        int(line.split()[2]): int(line.split()[5].strip(","))
        for line in text.splitlines()
        if line.startswith("# clbit")
    }
    drawn = stim.Circuit(text).compile_sampler(seed=3).sample(20000)
    bits = drawn[:, [record[c] for c in range(4)]]
    assert chance(bits, probabilities(Density().prepare(s), v)) > FALSE_ALARM


def test_exported_asymmetric_misreading_is_averaged_and_stated():
    circuit = small(op(UNITARY, 0), op(MEASURE, 0, clbit=0))
    with pytest.raises(UnsupportedError, match="as likely for 0 as for 1"):
        export_stim(circuit, accept_twirl=False)
    text, statements = export_stim(circuit, accept_twirl=True)
    assert "M(0.2) 0" in text
    assert len(statements) == 1
    assert "losing at most 0.1" in statements[0]


def test_a_ghz_state_of_a_thousand_qubits():
    n = 1000
    cx = np.kron(np.diag([1, 0]), np.eye(2)) + np.kron(np.diag([0, 1]), X)
    ops = [op(UNITARY, 0), *(op(UNITARY, q, q + 1) for q in range(n - 1))]
    ops += [op(MEASURE, q, clbit=q) for q in range(n)]
    circuit = small(*ops, n=n, n_clbits=n, unitaries2=cx[None], confusion=np.zeros((1, 2)))
    got = ENGINE.sample(circuit.structure, circuit.values, shots=200, seed=0).bits
    assert set(got.sum(1).tolist()) == {0, n}


def test_the_seed_fixes_the_records():
    rng = np.random.default_rng(6)
    s, v = structure(rng, 4, 20), values(rng, 4)
    v = replace(v, unitaries1=np.concatenate([v.unitaries1, PAULIS[1:]]))
    engine = Stabilizer(accept_twirl=True)
    first, again, other = (engine.sample(s, v, shots=500, seed=k).bits for k in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_plan_refuses_what_does_not_fit():
    circuit = small(READ)
    plan = ENGINE.plan(circuit.structure, shots=10**6, paulis=0, memory=1000)
    assert "1000 bytes are available" in plan.refusal
    assert not ENGINE.plan(circuit.structure, shots=10, paulis=2, memory=10**6).refusal
