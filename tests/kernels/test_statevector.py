import numpy as np
import pytest

from qdt_emu.kernels.statevector import combine, correlate, reduced, spread, transform

WIDTH = 5
SHAPES = [
    (1, 3, 1, 3),
    (3, 1, 3, 1),
    (0, 4, 0, 4),
    (2, -1, 2, 5),
    (-1, 2, 5, 2),
    (-1, -1, 5, 6),
    (1, 3, -1, 2),
    (1, 3, 1, -1),
    (1, 3, -1, -1),
    (2, -1, 2, -1),
    (2, -1, -1, -1),
    (-1, -1, 5, -1),
]


def random_state(width, seed, real=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 2**width, 8)).astype(real)


def tensor(state, width):
    """The lanes as complex tensors; axis k is bit k."""
    axes = tuple(range(width))[::-1]
    return (state[0] + 1j * state[1]).reshape((2,) * width + (8,)).transpose(*axes, width)


@pytest.mark.parametrize("bits", SHAPES)
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_a_pass_is_a_contraction_over_the_bits_of_its_qubits(bits, real):
    inside, outside = [b for b in bits[:2] if b >= 0], [b for b in bits[2:] if b >= 0]
    rng = np.random.default_rng(3)
    size = 2 ** (len(inside) + len(outside))
    matrix = rng.normal(size=(2 * size, 8)).astype(real)
    state = random_state(WIDTH, 1, real)
    after = WIDTH - len(inside) + len(outside)
    out = np.zeros((2, 2**after, 8), real)
    transform(*out, *state, matrix, 2 ** (WIDTH - len(inside)), np.array(bits))
    m = (matrix[0::2] + 1j * matrix[1::2]).reshape((2,) * (len(inside) + len(outside)) + (8,))
    x = np.moveaxis(tensor(state, WIDTH), inside, range(len(inside)))
    x = x.reshape((2 ** len(inside), -1, 8))
    y = np.einsum("oil,irl->orl", m.reshape(2 ** len(outside), 2 ** len(inside), 8), x)
    y = np.moveaxis(y.reshape((2,) * after + (8,)), range(len(outside)), outside)
    assert np.allclose(tensor(out, after), y, atol=1e-5 if real is np.float32 else 1e-13)


def test_a_gate_may_overwrite_its_state():
    matrix = np.random.default_rng(0).normal(size=(32, 8))
    state, bits = random_state(WIDTH, 2, np.float64), np.array([1, 3, 1, 3])
    out = np.zeros_like(state)
    transform(*out, *state, matrix, 8, bits)
    transform(*state, *state, matrix, 8, bits)
    assert np.array_equal(state, out)


@pytest.mark.parametrize("bits", [(2, -1, 2, 5), (-1, 2, 5, 2), (-1, -1, 5, 6), (-1, -1, 5, -1)])
def test_newcomers_at_the_top_may_overwrite_the_state(bits):
    matrix = np.random.default_rng(0).normal(size=(32, 8))
    state = random_state(7, 2, np.float64)
    before, out, groups = (
        state.copy(),
        np.zeros_like(state),
        2 ** (5 - sum(b >= 0 for b in bits[:2])),
    )
    transform(*out, *before, matrix, groups, np.array(bits))
    transform(*state, *state, matrix, groups, np.array(bits))
    rows = 2 ** (5 + sum(b >= 0 for b in bits[2:]) - sum(b >= 0 for b in bits[:2]))
    assert np.array_equal(state[:, :rows], out[:, :rows])


def test_the_vector_instructions_do_what_the_plain_functions_say():
    state, matrix = random_state(2, 5, np.float64), np.random.default_rng(1).normal(size=(32, 8))
    rows = (0, (0, 1, 2, 3))
    plain, compiled = np.zeros_like(state), np.zeros_like(state)
    combine(*plain, *state, matrix, 8 * 4 + 4, rows, rows)
    transform(*compiled, *state, matrix, 1, np.array([1, 0, 1, 0]))
    assert np.allclose(plain, compiled, atol=1e-14)
    total, sums = np.zeros((16, 8)), np.zeros((16, 8))
    correlate(total, *state, 4, rows)
    reduced(sums, np.zeros((16, 8)), *state, 1, 1, 0)
    assert np.allclose(total, sums, atol=1e-14)


@pytest.mark.parametrize("function", [transform, transform.py_func])
def test_lanes_do_not_see_each_other(function):
    state, matrix = random_state(WIDTH, 2), np.ones((32, 8), np.float32)
    out = np.zeros_like(state)
    function(*out, *state, matrix, 8, np.array([0, 2, 0, 2]))
    order = np.random.default_rng(1).permutation(8)
    moved = np.zeros_like(state)
    function(*moved, *np.ascontiguousarray(state[..., order]), matrix, 8, np.array([0, 2, 0, 2]))
    assert np.array_equal(out[..., order], moved)


@pytest.mark.parametrize("function", [reduced, reduced.py_func])
@pytest.mark.parametrize(("a", "b"), [(1, 3), (4, 0), (2, -1), (-1, 2), (-1, -1)])
def test_reduced_is_the_partial_trace(function, a, b):
    state = random_state(9, 7)
    sums, part = np.zeros((16, 8)), np.zeros((16, 8), np.float32)
    inside = [q for q in (a, b) if q >= 0]
    k = 2 ** len(inside)
    function(sums, part, *state, 2 ** (9 - len(inside)), a, b)
    x = np.moveaxis(tensor(state, 9), inside, range(len(inside))).reshape(k, -1, 8)
    rho = np.einsum("irl,jrl->ijl", x, x.conj())
    for i in range(k):
        for j in range(i, k):
            assert np.allclose(sums[i * k + j], rho[i, j].real, atol=2e-3)
            assert i == j or np.allclose(sums[j * k + i], rho[i, j].imag, atol=2e-3)


@pytest.mark.parametrize("function", [spread, spread.py_func])
def test_spread_leaves_two_bits_free(function):
    found = sorted(function(g, 1, 3) for g in range(8))
    assert found == [i for i in range(32) if not i & 0b01010]
