"""Laws of the exact engine: invariants, symmetry, draws, refusals, plans."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.density import Density, probabilities, quadrature
from qdt_emu.errors import InputError, UnsupportedError
from tests.bench.bench_density import brick, report
from tests.engines.density_oracle import random_structure, random_values

ENGINE = Density()
IDEAL = np.array([1.0, 0.0])


def components(structure, v):
    """All 4^n Pauli components of the final state."""
    n = structure.n_qubits
    strings = np.array(list(product(range(4), repeat=n)), np.uint8)
    readout = np.tile(IDEAL, (n, 1))
    return ENGINE.estimate(ENGINE.prepare(structure), v, strings, readout, shots=1, seed=0).values


def relabelled(structure, place):
    ops = tuple(
        replace(op, qubits=tuple(place[q] for q in op.qubits)) for op in structure.operations
    )
    return Structure(ops, structure.n_qubits, structure.n_clbits, structure.qubits)


@pytest.mark.parametrize("seed", range(8))
def test_trace_is_one_and_purity_at_most_one(seed):
    rng = np.random.default_rng(seed)
    s, v = random_structure(rng, 4, 3, 40), random_values(rng, 4)
    c = components(s, v)
    assert abs(c[0] - 1) < 1e-13
    assert np.sum(c**2) / 2**4 <= 1 + 1e-12
    assert abs(probabilities(ENGINE.prepare(s), v).sum() - 1) < 1e-13


def test_names_of_qubits_do_not_matter():
    rng = np.random.default_rng(1)
    s, v = random_structure(rng, 5, 4, 50), random_values(rng, 5)
    place = np.array([3, 0, 4, 1, 2])
    moved = replace(v, excited=v.excited[np.argsort(place)])
    want = probabilities(ENGINE.prepare(s), v)
    got = probabilities(ENGINE.prepare(relabelled(s, place.tolist())), moved)
    assert np.allclose(got, want, rtol=0, atol=1e-13)


def test_two_idles_compose_into_one():
    v = replace(
        random_values(np.random.default_rng(0), 1),
        relaxation=np.array([[0.9, 0.85, 0.1], [0.7, 0.6, 0.1], [0.9 * 0.7, 0.85 * 0.6, 0.1]]),
    )

    def idle(*slots):
        ops = [Operation(Kind.UNITARY, (0,), 0)]
        ops += [Operation(Kind.RELAXATION, (0,), k) for k in slots]
        return Structure(tuple(ops), 1, 0, (0,))

    assert np.allclose(components(idle(0, 1), v), components(idle(2), v), rtol=0, atol=1e-14)


def test_misreading_does_not_change_the_state():
    rng = np.random.default_rng(3)
    s = random_structure(rng, 4, 4, 30, dynamic=False)
    v = random_values(rng, 4)
    perfect = replace(v, confusion=np.zeros_like(v.confusion))
    assert np.allclose(components(s, v), components(s, perfect), rtol=0, atol=1e-14)


def test_draws_follow_the_distribution():
    """Chi-square on 4 bits, false alarm 1e-6: 15 degrees of freedom, bound 54.6."""
    rng = np.random.default_rng(4)
    s, v = random_structure(rng, 4, 4, 40), random_values(rng, 4)
    state, shots = ENGINE.prepare(s), 200_000
    p = probabilities(state, v)
    bits = ENGINE.sample(state, v, shots=shots, seed=11).bits
    counts = np.bincount(bits @ (1 << np.arange(4)), minlength=16)
    seen = p > 1e-9
    assert not counts[~seen].any()
    assert np.sum((counts - shots * p)[seen] ** 2 / (shots * p)[seen]) < 54.6
    again = Density(threads=1).sample(state, v, shots=shots, seed=11).bits
    assert np.array_equal(bits, again)
    half = bits[: shots // 2] @ (1 << np.arange(4))  # rows come in random order
    assert abs(np.mean(half == 0) - p[0]) < 5 * np.sqrt(p[0] / shots * 2) + 1e-4


def test_threads_do_not_change_a_digit():
    s, v = brick(9, 8)
    state = ENGINE.prepare(s)
    one, two = (probabilities(state, v, threads=t) for t in (1, 2))
    assert np.array_equal(one, two)


def test_independent_qubits_need_no_common_array():
    """Forty qubits in pairs: the distribution is a product, and bits stay within their pair."""
    n = 40
    ops = [Operation(Kind.UNITARY, (q, q + 1), 0) for q in range(0, n, 2)]
    ops += [Operation(Kind.MEASURE, (q,), 0, q) for q in range(n)]
    s = Structure(tuple(ops), n, n, tuple(range(n)))
    bell = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, -1], [0, 1, -1, 0]]).T / np.sqrt(2)
    v = random_values(np.random.default_rng(0), n)
    v = replace(v, excited=np.zeros(n), confusion=np.zeros((6, 2)), unitaries2=bell[None])
    bits = ENGINE.sample(ENGINE.prepare(s), v, shots=2000, seed=1).bits
    assert np.array_equal(bits[:, 0::2], bits[:, 1::2])
    assert abs(np.corrcoef(bits[:, 0], bits[:, 2])[0, 1]) < 0.12  # 5 sd


def ramsey(n_dwell, sigma, splitting, qubits=1):
    """H, dwells, and the X component of each qubit."""
    ops = [Operation(Kind.UNITARY, (q,), 0) for q in range(qubits)]
    ops += [Operation(Kind.DWELL, (q,), 0) for _ in range(n_dwell) for q in range(qubits)]
    v = random_values(np.random.default_rng(0), qubits)
    hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    v = replace(
        v,
        excited=np.zeros(qubits),
        unitaries1=hadamard[None],
        dwell=np.array([3e-6]),
        detuning=np.tile([sigma, splitting], (qubits, 1)),
    )
    return Structure(tuple(ops), qubits, 0, tuple(range(qubits))), v


@pytest.mark.parametrize("n_dwell", [1, 10, 40])
def test_random_detuning_is_constant_over_the_shot(n_dwell):
    """n dwells decay with n^2 and beat with the parity splitting."""
    s, v = ramsey(n_dwell, 4e3, 9e3)
    time = n_dwell * 3e-6
    want = np.exp(-((2 * np.pi * 4e3 * time) ** 2) / 2) * np.cos(np.pi * 9e3 * time)
    assert np.isclose(components(s, v)[1], want, rtol=0, atol=1e-12)


def test_two_detuned_qubits_are_independent():
    s, v = ramsey(5, 6e3, 0.0, qubits=2)
    c = components(s, v)
    assert np.isclose(c[5], c[4] * c[1], rtol=0, atol=1e-12)


def test_what_has_no_channel_is_refused():
    s, v = ramsey(1, 1e3, 0.0, qubits=3)
    with pytest.raises(UnsupportedError, match=r"`detuning`.*3 qubits.*statevector"):
        components(s, v)
    s, v = ramsey(200, 1e4, 0.0)
    with pytest.raises(UnsupportedError, match=r"less than 6 rad"):
        quadrature(s, v)
    s = Structure((Operation(Kind.LEAK, (0,), 0),), 1, 0, (0,))
    v = replace(random_values(np.random.default_rng(0), 1), leakage=np.array([[1e-3, 0]]))
    with pytest.raises(UnsupportedError, match=r"`leakage` must be 0.*statevector"):
        components(s, v)
    with pytest.raises(UnsupportedError, match="backend='jax'"):
        Density(precision="single")
    with pytest.raises(InputError, match=r"`paulis` must have shape \(m, 1\)"):
        ENGINE.estimate(ENGINE.prepare(s), v, np.zeros((1, 2), np.uint8), IDEAL, shots=1, seed=0)


def test_plan_follows_the_real_arrays():
    ask = {"shots": 100, "paulis": 0}
    thirteen = ENGINE.plan(brick(13, 30)[0], **ask, memory=2 << 30)
    assert not thirteen.refusal
    assert 8 * 4**13 <= thirteen.bytes < 2 << 30
    shallow = ENGINE.plan(brick(13, 10)[0], **ask, memory=2 << 30)
    assert shallow.bytes < thirteen.bytes / 4
    refused = ENGINE.plan(brick(13, 30)[0], **ask, memory=1 << 20)
    assert str(refused.bytes) in refused.refusal
    assert str(1 << 20) in refused.refusal


def test_a_hundred_qubits_are_refused_at_once():
    s, v = brick(100, 30)
    plan = ENGINE.plan(s, shots=1, paulis=0, memory=1 << 34)
    assert "bytes are available" in plan.refusal
    with pytest.raises(UnsupportedError, match="statevector"):
        ENGINE.sample(ENGINE.prepare(s), v, shots=1, seed=0)


def test_benchmark_runs_small(capsys):
    report(3, repeat=1)
    assert "3 qubits" in capsys.readouterr().out
