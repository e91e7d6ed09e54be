"""Gradients of the `mpo` engine against the exact engine's, with and without truncation."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.engines import density_jax, transfer
from qdt_emu.engines.mpo_adjoint import expectation, slopes
from qdt_emu.engines.mpo_program import program
from qdt_emu.errors import InputError
from tests.bench.bench_density import brick
from tests.engines.density_oracle import random_structure, random_values


def unconditional(structure):
    ops = tuple(replace(op, conditions=()) for op in structure.operations)
    return replace(structure, operations=ops)


def slopes_of(f, values, readout):
    with jax.enable_x64(True):
        arrays = jax.tree.map(jax.numpy.asarray, values)
        slope = jax.jit(jax.value_and_grad(lambda v, r: f(v, r).sum(), argnums=(0, 1)))
        found, back = slope(arrays, readout)
        return float(found), [np.asarray(x) for x in jax.tree.leaves(back)]


def physical(rng, leaf):
    """A direction along which probabilities stay normalised and unitaries stay unitary."""
    turn = rng.normal(size=leaf.shape)
    if leaf.ndim == 3 and np.iscomplexobj(leaf):
        hermitian = turn + 1j * rng.normal(size=leaf.shape)
        return 1j * (hermitian + hermitian.conj().transpose(0, 2, 1)) @ leaf
    return turn - turn.mean(-1, keepdims=True) if leaf.shape[-1] in (4, 16) else turn


@pytest.mark.parametrize("seed", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_gradient_equals_the_exact_engine_in_every_leaf(seed):
    """Resets, relaxation, Pauli errors, swapped pairs, qubits apart, misreading; no truncation.

    Along physical directions: where the trace changes, engines differ on maps outside of the cone.
    """
    rng = np.random.default_rng(seed)
    structure = unconditional(random_structure(rng, 4, 2, 30, dynamic=seed > 0, terminal=False))
    values, readout = random_values(rng, 4), 1 - 0.2 * rng.random((4, 2))
    paulis = np.array([[3, 1, 0, 2], [0, 2, 3, 0]], np.uint8)
    found = slopes_of(expectation(structure, paulis, max_bond=4096), values, readout)
    exact = density_jax.expectation(structure)
    want = slopes_of(lambda v, r: exact(v, paulis, r), values, readout)
    assert np.isclose(found[0], want[0], rtol=0, atol=1e-10)
    for leaf, a, b in zip([*jax.tree.leaves(values), readout], found[1], want[1], strict=True):
        for _ in range(4 if leaf.size else 0):
            turn = physical(rng, leaf)
            assert np.isclose((a * turn).real.sum(), (b * turn).real.sum(), rtol=1e-8, atol=1e-10)


def test_truncated_gradient_converges_with_the_bond():
    """By all matrices of ten weakly noisy qubits."""
    structure, values = brick(10, 5)
    ops = tuple(op for op in structure.operations if op.kind is not Kind.MEASURE)
    structure, readout = replace(structure, operations=ops), np.tile([1.0, 0.0], (10, 1))
    codes = np.array([[0, 0, 0, 0, 3, 1, 0, 0, 0, 0]], np.uint8)
    prog = program(structure)
    args = (*transfer.matrices(prog.transfer, values), transfer.initial(values), readout)
    found = [slopes(prog, codes, bond, 1e-9, *args)[2] for bond in (8, 16, 32, 64, 1024)]
    off = [np.linalg.norm(x - found[-1]) / np.linalg.norm(found[-1]) for x in found[:-1]]
    assert off[0] > off[1] > off[2] > off[3]
    assert off[3] < 0.1


def test_runs_under_jit_and_vmap():
    structure, values = brick(3, 1)
    readout, paulis = np.tile([1.0, 0.0], (3, 1)), np.array([[3, 3, 0]], np.uint8)
    f = expectation(structure, paulis)
    with jax.enable_x64(True):
        many = jax.tree.map(lambda x: np.stack([x, x]), values)
        found = jax.jit(jax.vmap(f, in_axes=(0, None)))(many, readout)
        assert np.allclose(found, f(values, readout), rtol=0, atol=1e-12)


def test_what_draws_per_shot_is_nan():
    structure = Structure((Operation(Kind.DWELL, (0,), 0),), 1, 0, (0,))
    values = replace(Values.empty(1), dwell=np.array([1e-6]), detuning=np.array([[0.0, 2e3]]))
    f, readout = expectation(structure, np.array([[3]], np.uint8)), np.array([[1.0, 0.0]])
    assert np.isnan(np.asarray(f(values, readout))).all()
    quiet = replace(values, detuning=np.zeros((1, 2)))
    assert np.asarray(f(quiet, readout)).tolist() == [1]


def test_wrong_strings_are_named():
    structure, _ = brick(4, 1)
    with pytest.raises(InputError, match=r"shape \(m, 4\)"):
        expectation(structure, np.zeros((1, 3), np.uint8))
