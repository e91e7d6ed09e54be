"""Contraction of light cones: exact references, agreement with the density engine, gradients."""

import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy.stats import chi2

from qdt_emu import Twin
from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.engines.contraction import Contraction, expectation
from qdt_emu.engines.contraction_network import observable, reduce
from qdt_emu.engines.contraction_path import contract, search
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.errors import InputError, UnsupportedError
from tests.bench.bench_density import brick
from tests.engines.density_oracle import random_structure, random_values
from tests.engines.kicked_ising import W10, codes, structure, values

ENGINE = Contraction()
IDEAL = np.tile([1.0, 0.0], (127, 1))
Z62 = {
    0.7: (0.76484218728449, 0.58498357145012, 0.63310681221713, 0.61885383179688, 0.63870894551916),
    1.2: (0.36235775447667, 0.13130314222938, 0.08891018918879, 0.04383447558169, 0.04877182062305),
    np.pi / 4: (0.70710678118655, 0.5, 0.53033008588991, 0.48828125, 0.51941101755250),
}


def estimate(s, v, paulis, readout=IDEAL, engine=ENGINE):
    return engine.estimate(s, v, np.asarray(paulis, np.uint8), readout, shots=1, seed=0)


@pytest.mark.parametrize("theta", Z62)
def test_z62_after_one_to_five_steps(theta):
    for steps, want in enumerate(Z62[theta], start=1):
        got = estimate(structure(steps), values(theta), codes("Z62"))
        assert got.values[0] == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize(
    ("theta", "want"),
    [(0.7, -0.0276616772425), (1.2, 0.3579947759849), (1.3, 0.5766604264854), (np.pi / 2, 1.0)],
)
def test_w10(theta, want):
    got = estimate(structure(5), values(theta), codes(W10))
    assert got.values[0] == pytest.approx(want, abs=1e-10)


def test_trailing_cliffords_cost_nothing():
    s, v = structure(5), values(np.pi / 2)
    cost = ENGINE.cost(s, v, codes(W10)[0], IDEAL)
    assert (cost.tensors, cost.flops) == (0, 0.0)
    generic = ENGINE.cost(s, values(0.7), codes("Z62")[0], IDEAL)
    assert generic.width <= 12


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_density_engine(seed):
    rng = np.random.default_rng(seed)
    n = 8 if seed < 4 else 4
    s = random_structure(rng, n, 3, 60 if seed < 4 else 30, dynamic=seed >= 4, terminal=seed >= 4)
    v = random_values(rng, n)
    paulis = rng.integers(0, 4, (4, n)).astype(np.uint8)
    paulis[0] = 0
    readout = np.stack([1 - 0.2 * rng.random(n), 0.2 * rng.random(n)], 1)
    want = Density().estimate(Density().prepare(s), v, paulis, readout, shots=1, seed=0).values
    assert np.allclose(estimate(s, v, paulis, readout).values, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_marginals_equal_the_density_engine(seed):
    rng = np.random.default_rng(seed)
    s, v = random_structure(rng, 4, 4, 30, dynamic=seed % 2 > 0), random_values(rng, 4)
    if seed % 2 == 0:
        s = Structure(s.operations, 4, 4, s.qubits, paired_readout=((2, 0),))
    full = probabilities(Density().prepare(s), v).reshape((2,) * 4)  # axis 3 - c is clbit c
    assert np.allclose(ENGINE.marginal(s, v, (3, 2, 1, 0)), full, rtol=0, atol=1e-10)
    pair = ENGINE.marginal(s, v, (1, 3))
    assert np.allclose(pair, full.sum((1, 3)).T, rtol=0, atol=1e-10)


def test_draws_follow_the_distribution():
    rng = np.random.default_rng(3)
    s, v = random_structure(rng, 3, 3, 20), random_values(rng, 3)
    bits = ENGINE.sample(s, v, shots=20000, seed=1).bits
    p = probabilities(Density().prepare(s), v) * 20000
    seen = np.bincount(bits.astype(int) @ [1, 2, 4], minlength=8)
    assert chi2.sf(((seen - p) ** 2 / p).sum(), 7) > 1e-6


def test_a_single_tensor_has_an_order_too():
    tensor = np.arange(4.0).reshape(2, 2)
    for output in ((), (0,), (1,), (0, 1)):
        path = search(((0, 1),), output, ((0, 2), (1, 2)), 1 << 30)
        want = tensor.sum(tuple({0, 1} - set(output)))
        assert np.array_equal(contract(path, [tensor]), want)


def test_slices_sum_to_the_whole():
    n, rng = 7, np.random.default_rng(0)
    pairs = [tuple(rng.choice(n, 2, replace=False).tolist()) for _ in range(22)]
    ops = [Operation(Kind.UNITARY, pair, k % 6) for k, pair in enumerate(pairs)]
    s = Structure(tuple(ops), n, 0, tuple(range(n)))
    v, string, readout = random_values(rng, n), np.array([[3, 1, 0, 2, 0, 3, 1]]), IDEAL[:n]
    limit = ENGINE.cost(s, v, string[0], readout).bytes * 2 // 3
    narrow = Contraction(max_bytes=limit)
    cost = narrow.cost(s, v, string[0], readout)
    assert cost.slices > 1
    assert cost.bytes <= limit
    whole = estimate(s, v, string, readout).values[0]
    assert estimate(s, v, string, readout, narrow).values[0] == pytest.approx(whole, abs=1e-12)
    compiled = expectation(s, string, max_bytes=limit)
    assert float(compiled(v, readout)[0]) == pytest.approx(whole, abs=1e-12)


def timed(work, repeat=3):
    times = []
    for _ in range(repeat):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.slow
def test_predicted_time_follows_the_actual_one():
    """CPU time of the contraction alone, over 36 light cones that span two decades."""
    predicted, actual = [], []
    rng = np.random.default_rng(0)
    for n, layers in [
        (6, 3),
        (8, 4),
        (12, 5),
        (16, 6),
        (14, 7),
        (16, 8),
        (20, 9),
        (24, 10),
        (40, 6),
    ]:
        s, v = brick(n, layers)
        s = replace(s, operations=tuple(op for op in s.operations if op.kind is not Kind.MEASURE))
        readout = np.tile([1.0, 0.0], (n, 1))
        for weight in (1, 1, 2, 3):
            string = np.zeros((1, n), np.uint8)
            first = rng.integers(0, n - weight)
            string[0, first : first + weight] = rng.integers(1, 4, weight)
            predicted.append(ENGINE.cost(s, v, string[0], readout).seconds)
            network = observable(s, tuple(string[0].tolist()))
            entries = network.entries(np, v, readout)
            reduced = reduce(network, entries)
            path = search(reduced.inputs, network.open, reduced.sizes, ENGINE.max_bytes)
            actual.append(timed(lambda r=reduced, p=path, e=entries: contract(p, r.tensors(e))))
    r = np.corrcoef(np.log(predicted), np.log(actual))[0, 1]
    assert r > 0.9
    assert 0.2 < np.median(np.array(actual) / predicted) < 5


def test_a_thousand_bindings_cause_one_compilation():
    s = structure(3)
    f = expectation(s, codes("Z62"), like=(values(0.5), IDEAL))
    traces = []
    jitted = jax.jit(lambda v: traces.append(1) or f(v, jnp.asarray(IDEAL))[0])
    with jax.enable_x64(True):
        angles = np.linspace(0.0, 1.5, 1000)
        got = [float(jitted(jax.tree.map(jnp.asarray, values(t)))) for t in angles]
    assert len(traces) == 1
    want = [estimate(s, values(t), codes("Z62")).values[0] for t in angles[::200]]
    assert np.allclose(got[::200], want, atol=1e-12)


def small(seed=0, n=4):
    rng = np.random.default_rng(seed)
    s = random_structure(rng, n, 1, 5 * n - 5, dynamic=False, terminal=False)
    v = random_values(rng, n)
    readout = np.stack([1 - 0.2 * rng.random(n), 0.2 * rng.random(n)], 1)
    return s, v, rng.integers(1, 4, (2, n)).astype(np.uint8), readout


def test_gradient_equals_central_differences():
    s, v, paulis, readout = small(n=3)
    f = expectation(s, paulis)
    rng = np.random.default_rng(1)

    names = ("excited", "relaxation", "pauli1", "pauli2")
    direction = {name: rng.normal(size=np.shape(getattr(v, name))) for name in names}
    paulis2 = np.array([[0, 0, 0, -1j], [0, 0, 1j, 0], [0, -1j, 0, 0], [1j, 0, 0, 0]])  # X Y

    def moved(h):
        tables = {name: getattr(v, name) + h * d for name, d in direction.items()}
        for name, pauli in (("unitaries1", paulis2[:2, 2:]), ("unitaries2", paulis2)):
            turned = jnp.cos(h) * np.eye(len(pauli)) - 1j * jnp.sin(h) * pauli
            tables[name] = getattr(v, name) @ turned
        return replace(v, **tables), readout + h * turn

    turn = rng.normal(size=readout.shape)
    with jax.enable_x64(True):
        back = jax.grad(lambda h: f(*moved(h))[0])(0.0)
        h = 1e-5
        want = (np.asarray(f(*moved(h))) - np.asarray(f(*moved(-h)))) / (2 * h)
    assert abs(want[0]) > 1e-3
    assert back == pytest.approx(want[0], rel=1e-5, abs=1e-8)


def test_batches_of_values_are_one_call():
    s, v, paulis, readout = small(2)
    f = expectation(s, paulis)
    scales = np.array([0.5, 1.0])
    batch = replace(v, excited=scales[:, None] * v.excited)
    axes = replace(jax.tree.map(lambda _: None, v), excited=0)
    with jax.enable_x64(True):
        got = jax.vmap(lambda v: f(v, readout), in_axes=(axes,))(batch)
    for row, scale in zip(got, scales, strict=True):
        want = estimate(s, replace(v, excited=scale * v.excited), paulis, readout).values
        assert np.allclose(row, want, atol=1e-12)


def test_the_engine_runs_on_jax_too():
    s, v, paulis, readout = small(3)
    got = estimate(s, v, paulis, readout, Contraction(device="cpu")).values
    assert np.allclose(got, estimate(s, v, paulis, readout).values, rtol=0, atol=1e-12)


def test_values_that_break_the_zeros_become_nan():
    f = expectation(structure(2), codes("Z62"), like=(values(0.0), IDEAL))
    assert float(f(values(0.0), IDEAL)[0]) == pytest.approx(1.0)
    assert np.isnan(f(values(0.1), IDEAL)[0])


def test_what_is_too_large_is_refused_with_numbers():
    with pytest.raises(UnsupportedError, match="this one needs"):
        estimate(structure(5), values(0.7), codes("Z62"), engine=Contraction(max_flops=1e3))
    with pytest.raises(UnsupportedError, match="bytes"):
        estimate(structure(5), values(0.7), codes("Z62"), engine=Contraction(max_bytes=16))


def test_what_has_no_network_is_refused():
    n = 2
    ops = (Operation(Kind.DWELL, (0,), 0), Operation(Kind.LEAK, (1,), 0))
    s = Structure(ops, n, 0, (0, 1))
    base = replace(Values.empty(n), dwell=np.ones(1), leakage=np.zeros((1, 2)))
    drifting = replace(base, detuning=np.array([[1.0, 0], [0, 0]]))
    leaking = replace(base, leakage=np.ones((1, 2)))
    paulis, readout = np.array([[1, 3]], np.uint8), IDEAL[:2]
    assert estimate(s, base, paulis, readout).values[0] == 0.0
    for v in (drifting, leaking):
        with pytest.raises(UnsupportedError, match="statevector"):
            estimate(s, v, paulis, readout)
        assert np.isnan(expectation(s, paulis)(v, readout)[0])


def test_arguments_are_checked():
    s, v, paulis, readout = small()
    with pytest.raises(InputError, match="shape"):
        estimate(s, v, paulis[:, :2], readout)
    with pytest.raises(InputError, match="clbits"):
        ENGINE.marginal(s, v, (0,))
    assert "max_bytes" in ENGINE.plan(s, shots=1, paulis=1, memory=10).refusal


def test_a_distribution_that_does_not_fit_is_refused_with_the_numbers():
    circuit = QuantumCircuit(14, 14)
    circuit.h(range(14))
    circuit.measure(range(14), range(14))
    noisy = Twin.load("ibm_sherbrooke").compile(circuit).bind()
    with pytest.raises(UnsupportedError, match=r"at most .* operations and 64 bytes"):
        Contraction(max_bytes=64).marginal(noisy.structure, noisy.values, range(14))
