import numpy as np
import pytest

from qdt_emu.kernels.randomness import draw_codes, draw_detuning, mix, shot_keys, uniform
from qdt_emu.kernels.records import fold, sample_lane
from qdt_emu.kernels.trajectory import (
    apply_pauli,
    collapse,
    embed,
    left_multiply,
    left_multiply_pair,
    place,
    populations,
    relaxation_event,
    write_lane,
)

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
I2 = np.eye(2)


def both(function):
    return pytest.mark.parametrize("function", [function, function.py_func])


def random_matrix(seed, size=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))


def lift(m, on):
    return np.kron(m, I2) if on == 0 else np.kron(I2, m)


@both(left_multiply)
@pytest.mark.parametrize("on", [0, 1])
def test_left_multiply_is_a_kronecker_product(function, on):
    t, m = random_matrix(1), random_matrix(2, 2)
    expected = lift(m, on) @ t
    function(t, m, on)
    assert np.allclose(t, expected, atol=1e-14)


@both(left_multiply_pair)
@pytest.mark.parametrize("swapped", [False, True])
def test_left_multiply_pair_is_a_product_in_either_order(function, swapped):
    t, m = random_matrix(1), random_matrix(2)
    swap = np.eye(4)[[0, 2, 1, 3]]
    expected = (swap @ m @ swap if swapped else m) @ t
    function(t, m, swapped)
    assert np.allclose(t, expected, atol=1e-13)


@both(apply_pauli)
@pytest.mark.parametrize("on", [0, 1])
@pytest.mark.parametrize("code", range(4))
def test_apply_pauli_is_the_pauli_matrix(function, on, code):
    t = random_matrix(1)
    expected = lift(PAULIS[code], on) @ t
    function(t, code, on)
    assert np.allclose(t, expected, atol=1e-15)


@both(populations)
def test_populations_are_those_after_the_matrix(function):
    t, root = random_matrix(1), random_matrix(2)
    rho = root @ root.conj().T
    diagonal = np.diagonal(t @ rho @ t.conj().T).real.reshape(2, 2)
    assert np.allclose(function(t, rho, 0), diagonal.sum(1), rtol=1e-13)
    assert np.allclose(function(t, rho, 1), diagonal.sum(0), rtol=1e-13)


@both(collapse)
@pytest.mark.parametrize(("u", "bit"), [(0.0, 1), (0.999, 0)])
@pytest.mark.parametrize("to", [-1, 0, 1])
def test_collapse_leaves_a_normalised_known_bit(function, u, bit, to):
    t, root = random_matrix(1), random_matrix(2)
    rho = root @ root.conj().T
    assert function(t, rho, 1, u, to) == bit
    weights = populations(t, rho, 1)
    assert np.isclose(weights[bit if to < 0 else to], 1.0)
    assert np.isclose(sum(weights), 1.0)


@both(relaxation_event)
@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("p", [0.0, 0.2])
def test_the_events_of_relaxation_and_the_identity_make_up_the_channel(function, ratio, p):
    e1, e2 = np.exp(-0.4), np.exp(-0.4 / ratio)
    up, down = p * (1 - e1), (1 - p) * (1 - e1)
    a, b = 1 - up, 1 - down
    q = max(0.0, (a * b - e2**2) / (a + b - 2 * e2))
    psi = np.array([0.6, 0, 0.48 + 0.64j, 0])
    rho = np.outer(psi, psi.conj())
    total, count = np.zeros((4, 4), complex), 2000
    for k in range(count):
        t = np.eye(4, dtype=complex)
        function(t, rho, 0, (k + 0.5) / count, np.array([e1, e2, p]))
        total += t @ rho @ t.conj().T / count
    found = (q * rho + (1 - q) * total)[::2, ::2]
    p1 = rho[2, 2].real
    expected = np.array([[0, e2 * rho[0, 2]], [e2 * rho[2, 0], p1 * e1 + p * (1 - e1)]])
    expected[0, 0] = 1 - expected[1, 1]
    assert np.allclose(found, expected, atol=2 / count)


@both(write_lane)
def test_write_lane_picks_the_rows_and_columns_of_known_bits(function):
    t, matrix = random_matrix(1), np.zeros((32, 8))
    function(matrix, 3, t, np.array([0, -1, -1, 4]), np.array([0, 1, 1, 0]))
    picked = t[2:, 1::2].ravel()  # first qubit leaves as 1, second comes in as 1
    assert np.array_equal(matrix[:8:2, 3], picked.real)
    assert np.array_equal(matrix[1:8:2, 3], picked.imag)
    assert not matrix[:, 2].any()


@both(embed)
def test_embed_puts_an_absent_qubit_into_its_known_bit(function):
    root = random_matrix(4, 2)
    small = root @ root.conj().T
    sums = np.zeros((16, 8))
    sums[:4, 5] = small[0, 0].real, small[0, 1].real, small[0, 1].imag, small[1, 1].real
    rho = np.ones((4, 4), complex)
    function(rho, sums, 5, np.array([2, -1, 2, -1]), 0, 1)
    assert np.allclose(rho, np.kron(small, np.diag([0, 1])))


@both(place)
def test_place_counts_the_pair_with_the_first_qubit_most_significant(function):
    assert [function(i, 1, 0, 0, 0) for i in range(4)] == [0, 1, 2, 3]
    assert [function(i, 1, -1, 0, 1) for i in range(2)] == [1, 3]
    assert [function(i, -1, 1, 1, 0) for i in range(2)] == [2, 3]
    assert function(0, -1, -1, 1, 0) == 2


def test_compiled_random_numbers_are_the_plain_ones():
    keys = shot_keys(np.uint64(5), 0, 4)
    with np.errstate(over="ignore"):
        assert np.array_equal(shot_keys.py_func(np.uint64(5), 0, 4), keys)
        assert mix.py_func(np.uint64(9)) == mix(np.uint64(9))
        assert uniform.py_func(keys[1], 7, 2) == uniform(keys[1], 7, 2)


def test_pieces_of_the_shots_have_the_keys_of_the_whole():
    assert np.array_equal(shot_keys(np.uint64(1), 3, 4), shot_keys(np.uint64(1), 0, 7)[3:])


def test_random_numbers_are_uniform_and_unrelated_between_neighbours():
    # Four bounds of 5 standard deviations: false alarm 2e-6.
    keys = shot_keys(np.uint64(0), 0, 200)
    u = np.array([[uniform(key, item, 0) for item in range(100)] for key in keys])
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / u.size)
    for a, b in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1])):
        assert abs(np.mean((a - 0.5) * (b - 0.5))) < 5 / 12 / np.sqrt(a.size)
    assert abs(np.mean(u**2) - 1 / 3) < 5 * np.sqrt(4 / 45 / u.size)


def test_codes_have_their_probabilities_and_equal_shots_equal_digests():
    # 3 frequencies within 5 standard deviations: false alarm 2e-6.
    shots, p = 20000, np.array([0.05, 0.02, 0.1])
    cumulative = np.zeros((2, 16))
    cumulative[0] = np.append(np.cumsum(p), [p.sum()] * 13)
    cumulative[1] = 0.01
    codes, digests = np.zeros((shots, 2), np.uint8), np.zeros(shots, np.uint64)
    firsts = np.zeros(shots, np.int64)
    keys = shot_keys(np.uint64(4), 0, shots)
    private = np.array([0, 1], np.uint8)
    draw_codes(keys, np.arange(2), np.arange(2), cumulative, private, codes, digests, firsts)
    for k, x in enumerate(p):
        assert abs((codes[:, 0] == k + 1).mean() - x) < 5 * np.sqrt(x / shots)
    alone = codes[:, 1] > 0
    assert len(np.unique(digests[~alone])) == 4
    assert len(np.unique(digests[alone])) == alone.sum()
    assert np.array_equal(firsts, np.where(codes[:, 0] > 0, 0, np.where(alone, 1, 2)))


def test_detuning_is_gaussian_plus_a_sign():
    # Moments within 5 standard deviations: false alarm 2e-6.
    f = draw_detuning(shot_keys(np.uint64(2), 0, 40000), np.array([[3.0, 0.0], [0.0, 8.0]]), 9)
    assert abs(f[:, 0].mean()) < 5 * 3 / 200
    assert abs(f[:, 0].std() - 3) < 5 * 3 / np.sqrt(2 * 40000)
    assert set(f[:, 1]) == {-4.0, 4.0}
    assert abs(f[:, 1].mean()) < 5 * 4 / 200


@both(fold)
@pytest.mark.parametrize("width", [0, 1, 3])
def test_fold_is_a_product_of_factors(function, width):
    rng = np.random.default_rng(width)
    weights, factors = rng.random((2**width, 8)), rng.normal(size=(width, 2, 8))
    scratch = np.zeros((2**width, 8))
    function(weights, scratch, factors)
    bits = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
    product = np.prod(factors[np.arange(width), bits], axis=1)
    assert np.allclose(scratch[0], (weights * product).sum(0), atol=1e-13)


@both(sample_lane)
def test_rows_are_drawn_with_their_weights(function):
    # Every frequency within 5 standard deviations: false alarm 4e-6.
    state = np.zeros((2, 8, 8), np.float32)
    state[0, :, 2] = np.sqrt([0, 0.1, 0.2, 0, 0, 0.3, 0.4, 0])
    keys = shot_keys(np.uint64(1), 0, 2000)
    out = np.zeros(2000, np.int64)
    with np.errstate(over="ignore"):
        function(state, 8, 2, keys, 0, out)
    found = np.bincount(out, minlength=8) / 2000
    p = state[0, :, 2] ** 2
    assert np.all(np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / 2000))
