"""Transfer matrices of noisy circuits against Kraus evolution, and what they refuse."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values
from qdt_emu.engines import transfer
from qdt_emu.engines.refusals import refuse_draws
from qdt_emu.errors import UnsupportedError
from tests.bench.bench_density import brick
from tests.engines.density_oracle import (
    distribution,
    expectation,
    random_structure,
    random_values,
)


def unconditional(structure):
    ops = tuple(replace(op, conditions=()) for op in structure.operations)
    return replace(structure, operations=ops)


def evolved(structure, values, xp=np):
    """Tr(P rho) of all strings in the final state, shape (4,) * n."""
    found = transfer.steps(structure)
    n = structure.n_qubits
    state = xp.ones(())
    for row in transfer.initial(values, xp):
        state = xp.tensordot(state, row, axes=0)
    for qubits, matrix in transfer.bind(found, values, xp):
        k = len(qubits)
        inner = (list(range(k, 2 * k)), qubits)
        state = xp.tensordot(matrix.reshape((4,) * 2 * k), state, axes=inner)
        state = xp.moveaxis(state, tuple(range(k)), qubits)
    assert state.shape == (4,) * n
    return state


def random_case(seed, n=3):
    rng = np.random.default_rng(seed)
    structure = unconditional(random_structure(rng, n, 3, 30, dynamic=seed % 3 > 0))
    return structure, random_values(rng, n)


@pytest.mark.parametrize("seed", range(20))
def test_steps_are_kraus_evolution(seed):
    """All kinds of operations in any order: resets, measurements amid gates, pairs either way."""
    structure, values = random_case(seed, 3 + seed % 2)
    state = evolved(structure, values)
    rng = np.random.default_rng(seed)
    ideal = np.tile([1.0, 0.0], (structure.n_qubits, 1))
    for codes in rng.integers(0, 4, (6, structure.n_qubits)):
        want = expectation(structure, values, codes, ideal)
        assert np.isclose(state[tuple(codes)], want, rtol=0, atol=1e-12)


def test_one_matrix_per_gate_holds_all_noise_around_it():
    structure, _ = brick(6, 4)
    found = transfer.steps(structure)
    gates = sum(op.kind is Kind.UNITARY and len(op.qubits) == 2 for op in structure.operations)
    assert len(found.steps) == gates
    assert all(len(q) == 2 for q, _ in found.steps)


def test_a_lonely_qubit_keeps_its_matrix():
    structure = Structure((Operation(Kind.UNITARY, (1,), 0),), 2, 0, (0, 1))
    values = replace(Values.empty(2), unitaries1=np.array([[[0, 1], [1, 0]]], complex))
    ((qubits, matrix),) = transfer.bind(transfer.steps(structure), values)
    assert qubits == (1,)
    assert np.allclose(matrix, np.diag([1, 1, -1, -1]))


def test_equal_gates_share_a_row():
    gate = Operation(Kind.UNITARY, (0, 1), 0)
    other = Operation(Kind.UNITARY, (2, 1), 0)
    found = transfer.steps(Structure((gate, other, gate), 3, 0, (0, 1, 2)))
    assert [row for _, row in found.steps] == [0, 0, 0]


def test_matrices_preserve_the_trace():
    structure, values = random_case(1)
    ones, twos = transfer.matrices(transfer.steps(structure), values)
    for m in (ones, twos):
        assert np.allclose(m[:, 0], np.eye(m.shape[1])[0], rtol=0, atol=1e-12)


def test_jax_gives_the_same_matrices():
    structure, values = random_case(2, 4)
    found = transfer.steps(structure)
    with jax.enable_x64(True):
        for a, b in zip(
            transfer.matrices(found, values),
            jax.jit(lambda v: transfer.matrices(found, v, jnp))(values),
            strict=True,
        ):
            assert np.allclose(a, b, rtol=0, atol=1e-13)


def test_gradient_equals_central_differences():
    rng = np.random.default_rng(4)
    structure = unconditional(random_structure(rng, 2, 2, 14))
    values = random_values(rng, 2)
    weights = rng.normal(size=(4,) * 2)

    def loss(v, xp=np):
        return (evolved(structure, v, xp) * weights).sum()

    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda v: loss(v, jnp)))(jax.tree.map(jnp.asarray, values))
    for f in fields(values):
        at = np.asarray(getattr(values, f.name))
        if at.size == 0:
            continue
        turn = np.random.default_rng(1).normal(size=at.shape)
        ends = [loss(replace(values, **{f.name: at + h * turn})) for h in (1e-6, -1e-6)]
        want = (ends[0] - ends[1]) / 2e-6
        found = (np.asarray(getattr(slope, f.name)) * turn).real.sum()
        assert np.isclose(found, want, rtol=1e-5, atol=1e-7), f.name


def test_conditions_are_refused():
    op = Operation(Kind.RESET, (0,), 0, conditions=(Condition((0,), 1),))
    with pytest.raises(UnsupportedError, match=r"qubit 0 depends on clbit 0"):
        transfer.steps(Structure((op,), 1, 1, (0,)))


def test_drift_and_leakage_are_refused_where_they_do_something():
    structure = Structure(
        (Operation(Kind.DWELL, (0,), 0), Operation(Kind.LEAK, (0,), 0)), 1, 0, (0,)
    )
    quiet = replace(Values.empty(1), dwell=np.array([1e-6]), leakage=np.zeros((1, 2)))
    found = transfer.steps(structure)
    refuse_draws(found.draws, quiet, "mpo")
    drifting = replace(quiet, detuning=np.array([[0.0, 2e3]]))
    with pytest.raises(UnsupportedError, match=r"`detuning`.*'mpo'.*qubit 0 drifts"):
        refuse_draws(found.draws, drifting, "mpo")
    leaking = replace(quiet, leakage=np.array([[1e-4, 0.0]]))
    with pytest.raises(UnsupportedError, match=r"`leakage`.*third level"):
        refuse_draws(found.draws, leaking, "mpo")


def terminal_case(seed):
    """Measurements at the end in any order, relaxation behind some, correlated reading."""
    rng = np.random.default_rng(seed)
    structure, values = random_case(3 * seed)
    ops = [op for op in structure.operations if op.kind is not Kind.MEASURE]
    ops += [Operation(Kind.MEASURE, (q,), q, c) for q, c in ((0, 2), (2, 0), (1, 1))]
    ops.append(Operation(Kind.RELAXATION, (0,), 0))
    pairs = ((2, 1),) if seed % 2 else ()
    return Structure(tuple(ops), 3, 3, (0, 1, 2), pairs), values, rng


@pytest.mark.parametrize("seed", range(4))
def test_final_diagonal_and_misreading_are_the_record(seed):
    """Law of 2e5 shots within five standard errors of every cell; false alarms 5e-6 per cell."""
    structure, values, rng = terminal_case(seed)
    body, read = transfer.recorded(structure)
    state = evolved(body, values)
    shots = 200_000
    signs = np.array([[1, 1], [1, -1]]) / 2
    p = state[np.ix_(*[[0, 3]] * 3)]
    for q in range(3):
        p = np.moveaxis(np.tensordot(signs, p, axes=(1, q)), 0, q)
    assert np.isclose(p.sum(), 1)
    index = rng.choice(8, shots, p=np.maximum(p.ravel(), 0) / p.sum())
    outcome = np.stack([index >> 2 & 1, index >> 1 & 1, index & 1], 1).astype(np.uint8)
    bits = transfer.misread(outcome[:, read[:, 0]], structure, values, read, rng)
    found = np.bincount(bits @ np.array([1, 2, 4]), minlength=8) / shots
    want = distribution(structure, values)
    assert np.all(abs(found - want) < 5 * np.sqrt(want / shots) + 1e-6)


def test_a_record_amid_the_circuit_is_refused():
    ops = (
        Operation(Kind.MEASURE, (0,), 0, 0),
        Operation(Kind.UNITARY, (0, 1), 0),
        Operation(Kind.MEASURE, (1,), 0, 1),
    )
    structure = Structure(ops, 2, 2, (0, 1))
    with pytest.raises(UnsupportedError, match="clbit 0 is read from qubit 0"):
        transfer.recorded(structure)
    _, read = transfer.recorded(replace(structure, operations=ops[:2]))
    assert read.tolist() == [[0, 0], [-1, -1]]
