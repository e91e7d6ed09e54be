from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.density_jax import expectation, probabilities_jax
from qdt_emu.errors import UnsupportedError
from tests.engines.density_oracle import random_structure, random_values

N = 3


def case(seed):
    """A circuit whose last steps still mix, so that every leaf matters, and two strings."""
    rng = np.random.default_rng(seed)
    s = random_structure(rng, N, N, 20, terminal=False)
    paulis = np.array([[3, 3, 1], [0, 1, 2]], np.uint8)
    return s, random_values(rng, N), paulis, 1 - 0.1 * rng.random((N, 2))


@pytest.mark.parametrize("seed", range(2))
def test_equals_the_numba_path(seed):
    s, v, paulis, readout = case(seed)
    want = Density().estimate(Density().prepare(s), v, paulis, readout, shots=1, seed=0).values
    assert np.allclose(expectation(s)(v, paulis, readout), want, atol=1e-12)
    single = expectation(s, precision="single")(v, paulis, readout)
    assert single.dtype == jnp.float32
    assert np.allclose(single, want, atol=2e-6)
    p = probabilities(Density().prepare(s), v)
    assert np.allclose(probabilities_jax(s)(v), p, atol=1e-12)


def weighted(s, v):
    """A scalar that depends on every leaf: three strings and all probabilities."""
    rng = np.random.default_rng(7)
    weights = rng.normal(size=2**s.n_clbits)
    paulis = rng.integers(0, 4, (3, N)).astype(np.uint8)
    strings = expectation(s)(v, paulis, np.ones((N, 2)) * 0.5)
    return jnp.sum(strings) + probabilities_jax(s)(v) @ weights


@pytest.mark.slow
def test_gradient_equals_central_differences_for_every_leaf():
    rng = np.random.default_rng(3)
    body = random_structure(rng, N, N, 14).operations[:-N]
    free = tuple(replace(op, conditions=()) for op in body)  # pairs are read last, tested never
    resets = tuple(Operation(Kind.RESET, (q,), q) for q in range(2))
    reads = tuple(Operation(Kind.MEASURE, (q,), q, q) for q in range(N))
    s = Structure(free + resets + free[::-1] + reads, N, N, tuple(range(N)), ((0, 2),))
    v = random_values(rng, N)
    with jax.enable_x64(True):
        slope = jax.grad(lambda v: weighted(s, v))(jax.tree.map(jnp.asarray, v))
        for f in fields(v):
            if f.name in ("dwell", "leakage", "detuning"):
                continue
            at, found = np.asarray(getattr(v, f.name)), np.asarray(getattr(slope, f.name))
            way = rng.normal(size=at.shape)
            if f.name.startswith("unitaries"):
                way = way + 1j * rng.normal(size=at.shape)
            h = 1e-5
            up, down = (weighted(s, replace(v, **{f.name: at + k * h * way})) for k in (1, -1))
            want = (up - down) / (2 * h)
            assert abs(want) > 1e-4, f.name
            assert np.isclose(np.sum(found * way).real, want, rtol=1e-5), f.name


def test_batches_of_values_are_one_call():
    s, v, paulis, readout = case(4)
    scales = np.array([1.0, 0.5, 0.0])
    batch = jax.tree.map(lambda a: np.stack([a] * 3), v)
    batch = replace(batch, excited=scales[:, None] * v.excited)
    with jax.enable_x64(True):
        got = jax.vmap(lambda v: expectation(s)(v, paulis, readout))(batch)
    want = [expectation(s)(replace(v, excited=x * v.excited), paulis, readout) for x in scales]
    assert np.allclose(got, want, atol=1e-12)


def test_what_is_no_channel_becomes_nan():
    s = Structure((Operation(Kind.DWELL, (0,), 0),), 1, 0, (0,))
    v = replace(random_values(np.random.default_rng(0), 1), detuning=np.array([[1e3, 0.0]]))
    paulis, readout = np.array([[1]], np.uint8), np.array([[1.0, 0.0]])
    assert np.isnan(expectation(s)(v, paulis, readout)).all()
    assert np.isfinite(expectation(s)(replace(v, detuning=np.zeros((1, 2))), paulis, readout)).all()


def test_engine_runs_on_either_backend():
    s, v, paulis, readout = case(1)
    exact, other = Density(), Density(backend="jax")
    state = exact.prepare(s)
    want = exact.estimate(state, v, paulis, readout, shots=1, seed=0).values
    got = other.estimate(state, v, paulis, readout, shots=1, seed=0).values
    assert np.allclose(got, want, rtol=0, atol=1e-12)
    bits = other.sample(state, v, shots=100_000, seed=0).bits
    share = np.bincount(bits @ (1 << np.arange(N)), minlength=2**N) / 100_000
    assert np.allclose(share, probabilities(state, v), atol=5 * 0.5 / np.sqrt(100_000))  # 5 sd
    detuned = replace(v, detuning=np.full((N, 2), 1e3))
    dwell = Structure((Operation(Kind.DWELL, (0,), 0),), N, N, tuple(range(N)))
    with pytest.raises(UnsupportedError, match="backend='numba'"):
        other.sample(other.prepare(dwell), detuned, shots=1, seed=0)
