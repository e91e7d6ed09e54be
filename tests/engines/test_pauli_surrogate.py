"""Recorded Pauli paths: equal to fresh propagation at the reference, differentiable around it."""

import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.density import Density
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.pauli_surrogate import surrogate
from qdt_emu.errors import UnsupportedError
from tests.engines import kicked_ising as ising
from tests.engines.test_pauli import estimate, misreading, random_strings, unmeasured

PERFECT = np.tile([1.0, 0.0], (ising.N, 1))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def small(threshold=0.0, seed=0):
    structure, values = unmeasured(5, 3, seed)
    rng = np.random.default_rng(seed)
    paulis, readout = random_strings(rng, 5, 3), misreading(rng, 5)
    return (
        structure,
        values,
        paulis,
        readout,
        surrogate(structure, values, paulis, readout, threshold),
    )


def moved(values, step):
    """All rates a little higher."""
    rates = np.asarray(values.relaxation) * np.array([1 - step, 1 - step, 1 + step])
    shift = step * np.eye(4)[0] * -1 + step / 3 * (1 - np.eye(4)[0])
    return replace(values, relaxation=rates, pauli1=np.asarray(values.pauli1) + 0.1 * shift)


@pytest.mark.parametrize("step", [0.0, 0.01, 0.1])
def test_without_threshold_equals_the_exact_engine_for_any_numbers(step):
    structure, values, paulis, readout, model = small()
    values = moved(values, step)
    want = estimate(Density(), structure, values, paulis, readout).values
    assert np.allclose(model.values(values), want, rtol=0, atol=1e-10)


def test_identity_is_one():
    structure, values = unmeasured(3, 1)
    readout = np.tile([1.0, 0.0], (3, 1))
    model = surrogate(structure, values, np.zeros((1, 3), np.uint8), readout, 0.0)
    assert np.array_equal(model.values(values), [1.0])


def test_gradient_by_all_noise_equals_central_differences():
    """Along random directions of every table, including the readout."""
    _, values, _, readout, model = small(threshold=1e-3)
    rng, h = np.random.default_rng(1), 1e-6
    tables = ("relaxation", "pauli1", "pauli2", "excited")
    start = {k: jnp.asarray(getattr(values, k)) for k in tables} | {"readout": jnp.asarray(readout)}
    way = {k: jnp.asarray(rng.normal(size=v.shape)) for k, v in start.items()}

    def loss(t, x):
        at = {k: v + t * way[k] for k, v in x.items()}
        reading = at.pop("readout")
        return model.values(replace(values, **at), reading) @ jnp.array([1.0, -2.0, 0.7])

    slopes = jax.grad(loss, argnums=1)(0.0, start)
    along = sum(float(jnp.vdot(slopes[k], way[k])) for k in start)
    want = (loss(h, start) - loss(-h, start)) / (2 * h)
    assert np.isclose(along, want, rtol=1e-5)
    assert np.isclose(jax.grad(loss)(0.0, start), want, rtol=1e-5)


def turned(values, theta):
    c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
    turn = jnp.stack([jnp.stack([c + 0j, -1j * s]), jnp.stack([-1j * s, c + 0j])])
    return replace(values, unitaries1=turn[None])


def test_gradient_by_the_angle_on_a_whole_chip():
    """<Z62> after 6 noisy steps; vmap gives the same as one at a time."""
    structure = ising.structure(6, noise=Kind.PAULI)
    values = ising.values(0.6, damping=0.97)
    model = surrogate(structure, values, ising.codes("Z62"), PERFECT, 1e-3)

    def z(theta):
        return model.values(turned(values, theta))[0]

    slope = float(jax.grad(z)(0.6))
    assert np.isclose(slope, (z(0.6 + 1e-5) - z(0.6 - 1e-5)) / 2e-5, rtol=1e-5)
    assert np.allclose(jax.vmap(z)(jnp.array([0.5, 0.6])), [z(0.5), z(0.6)], rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", [-0.05, 0.0, 0.05])
def test_frozen_paths_hold_near_the_reference(step):
    """Angles 0.05 rad away (at 6 steps): still within what a fresh propagation states."""
    structure = ising.structure(6, noise=Kind.PAULI)
    at = ising.values(0.6, damping=0.97)
    model = surrogate(structure, at, ising.codes("Z62"), PERFECT, 1e-3)
    values = ising.values(0.6 + step, damping=0.97 + 0.2 * step)
    fresh = estimate(Pauli(1e-4), structure, values, ising.codes("Z62"), PERFECT)
    gap = abs(float(model.values(values)[0]) - fresh.values[0])
    assert gap <= model.bounds[0] + fresh.bounds[0]
    assert gap < 0.02


def test_every_qubit_of_a_chip_in_two_seconds():
    """127 <Z_q> after 20 Clifford steps, one Pauli channel per qubit and step: closed form."""
    n, steps = ising.N, 20
    plain = ising.structure(steps, noise=Kind.PAULI)
    count, ops = 0, []
    for op in plain.operations:
        own = op.kind is Kind.PAULI
        ops.append(replace(op, slot=count) if own else op)
        count += own
    rng = np.random.default_rng(0)
    x, z = 0.01 * rng.random((2, count))
    channel = np.stack([1 - x - z, x, 0 * x, z], 1)
    values = replace(ising.values(0.0), pauli1=channel)
    structure = replace(plain, operations=tuple(ops))
    model = surrogate(structure, values, ising.codes(*(f"Z{q}" for q in range(n))), PERFECT, 1e-3)
    step = jax.jit(jax.value_and_grad(lambda p: model.values(replace(values, pauli1=p)).sum()))
    value, slopes = step(jnp.asarray(channel))
    begin = time.process_time()
    jax.block_until_ready(step(jnp.asarray(channel)))
    assert time.process_time() - begin < 2.0
    decay = (1 - 2 * x).reshape(steps, n).prod(0)
    assert np.isclose(value, decay.sum(), rtol=1e-12)
    want = (decay / (1 - 2 * x).reshape(steps, n)).ravel()
    assert np.allclose(slopes[:, 0] - slopes[:, 1], 2 * want, rtol=1e-9)


def test_drift_is_refused():
    structure = Structure((Operation(Kind.LEAK, (0,), 0),), 1, 0, (0,))
    values = replace(ising.values(0.1), leakage=np.array([[0.1, 0.0]]), excited=np.zeros(1))
    with pytest.raises(UnsupportedError, match="leakage"):
        surrogate(structure, values, np.array([[3]], np.uint8), np.array([[1.0, 0.0]]), 0.0)
