import numpy as np
import pytest

from qdt_emu.engines.mps_run import empty
from qdt_emu.kernels.mps import (
    adjoint,
    apply_one,
    draw,
    expectations,
    merged,
    move,
    norm,
    reduced_one,
    reduced_two,
    site,
)
from qdt_emu.kernels.mps_cut import dominant, factors, near
from qdt_emu.kernels.mps_pair import (
    ANGLE,
    LOG_FIDELITY,
    ROOTS,
    apply_two,
    schmidt,
    spread_left,
    spread_right,
    transformed,
    turned,
    turns,
)
from qdt_emu.kernels.mps_run import choose
from qdt_emu.kernels.randomness import shot_keys
from tests.engines.statevector_oracle import PAULIS, embed, random_unitary

SWAP = np.eye(4)[[0, 2, 1, 3]]
UNKNOWN = np.empty((0, 0), complex)


def both(function):
    return pytest.mark.parametrize("function", [function, function.py_func])


def dense(chain):
    """The amplitudes, site 0 most significant."""
    out = np.ones((1, 1))
    for k in range(len(chain.bond) - 1):
        out = (out @ site(chain, k)).reshape(-1, chain.bond[k + 1])
    return out.ravel()


def random_chain(n=6, gates=30, seed=0, most=64, cutoff=0.0):
    rng = np.random.default_rng(seed)
    chain = empty((1,) + (most,) * (n - 1) + (1,), np.complex128)
    for _ in range(gates):
        k = int(rng.integers(n - 1))
        apply_two(chain, k, UNKNOWN, random_unitary(rng, 4), False, bool(rng.integers(2)), cutoff)
    return chain


def residual(chain):
    """Largest deviation from the canonical form."""
    worst, c = 0.0, int(chain.centre[0])
    for k in range(len(chain.bond) - 1):
        left, right = chain.bond[k], chain.bond[k + 1]
        a = site(chain, k)
        if k < c:
            b = a.reshape(2 * left, right)
            worst = max(worst, np.abs(b.conj().T @ b - np.eye(right)).max())
        elif k > c:
            worst = max(worst, np.abs(a @ a.conj().T - np.eye(left)).max())
        else:
            worst = max(worst, abs(np.linalg.norm(a) - 1))
    return worst


@pytest.mark.parametrize("most", [64, 5])
def test_sites_beside_the_centre_stay_canonical(most):
    for seed in range(5):
        chain = random_chain(9, 200, seed, most, 1e-10)
        assert residual(chain) < 1e-12
        for to in (0, 8, 3):
            move(chain, to)
            assert residual(chain) < 1e-12


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("rightwards", [False, True])
@pytest.mark.parametrize("native", [False, True])
def test_two_site_matrices_act_as_on_the_dense_state(swapped, rightwards, native):
    rng = np.random.default_rng(1)
    for k in range(5):
        chain = random_chain(6, 12, k)
        psi = dense(chain)
        cx = np.eye(4)[[0, 1, 3, 2]].astype(complex)
        t = cx if native else random_unitary(rng, 4)
        apply_two(chain, k, UNKNOWN, t, swapped, rightwards, 0.0)
        full = embed(SWAP @ t @ SWAP if swapped else t, (k, k + 1), 6)
        np.testing.assert_allclose(dense(chain), full @ psi, atol=1e-7)
        assert residual(chain) < 1e-12
        assert chain.centre[0] == k + rightwards


@pytest.mark.parametrize("angle", [0.01, 1.0])
def test_a_known_product_of_sites_gives_the_same_state(angle):
    rng = np.random.default_rng(7)
    rzz = np.diag(np.exp(-0.5j * angle * np.array([1, -1, -1, 1])))
    t = np.kron(random_unitary(rng, 2), random_unitary(rng, 2)) @ rzz
    for k in range(5):
        one, other, rho = random_chain(6, 30, k), random_chain(6, 30, k), np.zeros((4, 4), complex)
        theta = reduced_two(one, k, False, rho)
        apply_two(one, k, theta, t, False, True, 0.0)
        apply_two(other, k, UNKNOWN, t, False, True, 0.0)
        np.testing.assert_allclose(dense(one), dense(other), atol=1e-13)
        assert one.centre[0] == other.centre[0]


def test_truncation_discards_the_smallest_coefficients_and_counts_them():
    chain = random_chain(6, 60, 2)
    move(chain, 2)
    psi = dense(chain)
    chain.limit[3] = 3
    apply_two(chain, 2, UNKNOWN, np.eye(4, dtype=complex), False, True, 0.0)
    s = np.linalg.svd(psi.reshape(8, 8))[1]
    kept = (s[:3] ** 2).sum()
    assert abs(np.vdot(dense(chain), psi)) ** 2 == pytest.approx(kept, abs=1e-10)
    assert chain.account[LOG_FIDELITY] == pytest.approx(np.log(kept), abs=1e-10)
    assert chain.account[ROOTS] == pytest.approx(np.sqrt(1 - kept), abs=1e-10)
    assert chain.account[ANGLE] == pytest.approx(np.arcsin(np.sqrt(1 - kept)), abs=1e-10)


def test_fidelity_is_never_below_the_bound_of_angles():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        exact = empty((1,) + (64,) * 7 + (1,), np.complex128)
        cut = empty((1,) + (6,) * 7 + (1,), np.complex128)
        for _ in range(40):
            k, t = int(rng.integers(7)), random_unitary(rng, 4)
            t = np.linalg.qr(np.eye(4) + 0.3 * t)[0]
            apply_two(exact, k, UNKNOWN, t, False, True, 0.0)
            apply_two(cut, k, UNKNOWN, t, False, True, 0.0)
        fidelity = abs(np.vdot(dense(exact), dense(cut))) ** 2
        assert fidelity >= np.cos(min(cut.account[ANGLE], np.pi / 2)) ** 2 - 1e-9


@both(schmidt)
@pytest.mark.parametrize("swapped", [False, True])
def test_schmidt_terms_add_up_and_are_as_few_as_they_can(function, swapped):
    rng = np.random.default_rng(3)
    one = [random_unitary(rng, 2) for _ in range(4)]
    cx = np.eye(4)[[0, 1, 3, 2]]
    cases = [(np.kron(one[0], one[1]), 1), (np.kron(one[2], one[3]) @ cx, 2), (SWAP, 4)]
    cases += [(random_unitary(rng, 4), 4), (np.zeros((4, 4)) + np.diag([1.0, 0, 0, 0]), 1)]
    for t, rank in cases:
        x, y = np.zeros((4, 2, 2), complex), np.zeros((4, 2, 2), complex)
        found, entangling = function(t.astype(complex), swapped, x, y)
        assert found == rank
        assert entangling < 1e-12 if rank == 1 else 0 < entangling < 0.76
        total = sum(np.kron(a, b) for a, b in zip(x[:rank], y[:rank], strict=True))
        np.testing.assert_allclose(total, SWAP @ t @ SWAP if swapped else t, atol=1e-13)


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
@pytest.mark.parametrize("rightwards", [False, True])
@both(factors)
def test_factors_are_the_best_of_their_size(function, shape, rightwards):
    rng = np.random.default_rng(4)
    theta = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    theta /= np.linalg.norm(theta)
    a, b, discarded = function(theta, 4, rightwards, 0.0)
    s = np.linalg.svd(theta)[1]
    assert discarded == pytest.approx(1 - (s[:4] ** 2).sum(), abs=1e-12)
    u, v = np.linalg.svd(theta)[0][:, :4], np.linalg.svd(theta)[2][:4]
    best = (u * s[:4]) @ v
    np.testing.assert_allclose(a @ b, best / np.linalg.norm(best), atol=1e-10)
    isometry = a.conj().T @ a if rightwards else b @ b.conj().T
    np.testing.assert_allclose(isometry, np.eye(4), atol=1e-12)


def coupled(most, angle):
    """A chain, two of its sites with a weak gate and a strong rotation of each, and the gate."""
    rng = np.random.default_rng(0)
    chain = random_chain(9, 200, 5, most)
    rzz = np.diag(np.exp(-0.5j * angle * np.array([1, -1, -1, 1])))
    gate = np.kron(random_unitary(rng, 2), random_unitary(rng, 2)) @ rzz
    move(chain, 4)
    return chain, transformed(merged(chain, 4), gate, False, most, most), gate


@pytest.mark.parametrize("angle", [0.05, 0.3])
@pytest.mark.parametrize("rightwards", [False, True])
@both(near)
def test_near_is_nearly_the_best_for_weak_gates(function, rightwards, angle):
    most = 6
    chain, theta, gate = coupled(most, angle)
    x, y = np.zeros((4, 2, 2), complex), np.zeros((4, 2, 2), complex)
    assert 0 < schmidt(gate, False, x, y)[1] < np.sin(angle) ** 2
    start = turned(chain, 5, y[0]) if rightwards else turned(chain, 4, x[0]).reshape(2 * most, most)
    a, b, discarded = function(theta, start, rightwards, 1, most, 0.0)
    s = np.linalg.svd(theta)[1]
    best = 1 - (s[:most] ** 2).sum()
    assert best - 1e-14 <= discarded <= 1.05 * best + 1e-14
    isometry = a.conj().T @ a if rightwards else b @ b.conj().T
    np.testing.assert_allclose(isometry, np.eye(most), atol=1e-12)
    kept = a @ b
    assert abs(np.vdot(kept, theta)) ** 2 == pytest.approx(1 - discarded, abs=1e-12)


@both(turns)
def test_turns_tells_rotations_from_projections(function):
    rng = np.random.default_rng(2)
    u = random_unitary(rng, 2)
    for singular, expected in ((0.0, False), (0.2, False), (0.7, True), (1.0, True)):
        assert function(3 * u @ np.diag([1, singular]) @ random_unitary(rng, 2)) == expected


@pytest.mark.parametrize("rightwards", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_an_operator_near_a_product_with_a_jump_loses_nothing(rightwards, first):
    # As the diagonal operator of a relaxation event behind ECR: the larger term narrows the old
    # subspace to the half in which the smaller one has nothing.
    n, jump = 6, np.array([[0, 1], [0, 0]], complex)
    gate = np.kron(np.eye(2), jump) + 0.01 * np.kron(SWAP[1:3, 1:3], jump.T)
    gate = SWAP @ gate @ SWAP if first else gate
    for k in range(n - 1):
        chain = random_chain(n, 60, k)
        psi = embed(gate, (k, k + 1), n) @ dense(chain)
        psi /= np.linalg.norm(psi)
        chain.account[:] = 0
        apply_two(chain, k, UNKNOWN, gate, False, rightwards, 1e-14)
        assert abs(np.vdot(dense(chain), psi)) ** 2 > 1 - 1e-11
        assert chain.account[LOG_FIDELITY] > -1e-11
        assert residual(chain) < 1e-12


@pytest.mark.parametrize("rightwards", [False, True])
@both(near)
def test_near_adds_what_the_cutoff_asks_for(function, rightwards):
    most = 6
    chain, theta, gate = coupled(most, 0.02)
    x, y = np.zeros((4, 2, 2), complex), np.zeros((4, 2, 2), complex)
    schmidt(gate, False, x, y)
    start = turned(chain, 5, y[0]) if rightwards else turned(chain, 4, x[0]).reshape(2 * most, most)
    s = np.linalg.svd(theta)[1]
    for cutoff in (1e-3, 1e-6, 1e-8):
        a, b, discarded = function(theta, start, rightwards, 0, 2 * most, cutoff)
        assert discarded <= cutoff
        bond = a.shape[1]
        least = int((np.cumsum(s[::-1] ** 2)[::-1] > cutoff).sum())
        assert max(least, most) <= bond <= max(least, most) + 3
        isometry = a.conj().T @ a if rightwards else b @ b.conj().T
        np.testing.assert_allclose(isometry, np.eye(bond), atol=1e-12)
        assert abs(np.vdot(a @ b, theta)) ** 2 == pytest.approx(1 - discarded, abs=1e-12)


@both(turned)
def test_turned_is_one_qubit_on_a_copy_of_a_site(function):
    chain, u = random_chain(), random_unitary(np.random.default_rng(6), 2)
    before = site(chain, 2).copy()
    left, right = chain.bond[2:4]
    expected = np.einsum("st,itj->isj", u, before.reshape(left, 2, right)).reshape(left, -1)
    np.testing.assert_allclose(function(chain, 2, u), expected, atol=1e-14)
    np.testing.assert_array_equal(site(chain, 2), before)


def test_bonds_that_weak_gates_have_made_larger_shrink_again():
    rng, most = np.random.default_rng(1), 64
    chain = random_chain(10, 25, 6, most)
    exact = random_chain(10, 25, 6, most)
    for k in range(300):
        u = np.kron(random_unitary(rng, 2), random_unitary(rng, 2))
        t = u @ np.diag(np.exp(-0.01j * np.array([1, -1, -1, 1])))
        apply_two(chain, k % 9, UNKNOWN, t, False, True, 1e-8)
        apply_two(exact, k % 9, UNKNOWN, t, False, True, 0.0)
    s = [np.linalg.svd(dense(exact).reshape(2**k, -1))[1] ** 2 for k in range(1, 10)]
    assert abs(np.vdot(dense(chain), dense(exact))) ** 2 > 1 - 300 * 1e-8
    for k, weights in enumerate(s):
        least = int((np.cumsum(weights[::-1])[::-1] > 1e-9).sum())
        assert chain.bond[k + 1] <= 1.5 * least + 4


@both(dominant)
def test_dominant_keeps_what_the_cutoff_asks_for(function):
    weights = np.array([1e-12, 1e-6, 1e-3, 0.1, 0.9])
    u = random_unitary(np.random.default_rng(5), 5)
    gram = (u * weights) @ u.conj().T
    for cutoff, kept in ((0.0, 5), (1e-9, 4), (1e-5, 3)):
        vectors, share = function(gram, 5, cutoff)
        assert vectors.shape == (5, kept)
        np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(kept), atol=1e-13)
        truly = 1 - np.trace(vectors.conj().T @ gram @ vectors).real / weights.sum()
        assert truly - 1e-14 <= share <= max(cutoff, 1e-14)
    for most in (1, 2, 3):  # not enough for the cutoff: the best there are
        vectors, share = function(gram, most, 0.0)
        assert vectors.shape == (5, most)
        assert share == pytest.approx(weights[: 5 - most].sum() / weights.sum(), abs=1e-14)


@both(adjoint)
def test_adjoint_and_norm(function):
    m = np.arange(6).reshape(2, 3) * (1 + 2j)
    np.testing.assert_array_equal(function(m), m.conj().T)
    assert norm(m) == pytest.approx(np.linalg.norm(m) ** 2)
    assert norm.py_func(m) == pytest.approx(np.linalg.norm(m) ** 2)


@both(reduced_one)
def test_reduced_one_is_the_partial_trace(function):
    chain = random_chain()
    psi = dense(chain)
    for k in (3, 0, 5):
        rho = np.full((4, 4), 9.0j)
        function(chain, k, rho)
        m = psi.reshape(2**k, 2, -1)
        np.testing.assert_allclose(rho[::2, ::2], np.einsum("iaj,ibj->ab", m, m.conj()), atol=1e-7)
        assert not rho[1::2].any()


@both(reduced_two)
@pytest.mark.parametrize("swapped", [False, True])
def test_reduced_two_is_the_partial_trace(function, swapped):
    chain = random_chain()
    psi = dense(chain)
    for k in (3, 0, 4):
        rho = np.full((4, 4), 9.0j)
        function(chain, k, swapped, rho)
        m = psi.reshape(2**k, 4, -1)
        expected = np.einsum("iaj,ibj->ab", m, m.conj())
        np.testing.assert_allclose(rho, SWAP @ expected @ SWAP if swapped else expected, atol=1e-7)


@both(apply_one)
def test_apply_one_acts_on_one_site(function):
    chain = random_chain()
    psi, u = dense(chain), random_unitary(np.random.default_rng(6), 2)
    function(chain, 2, np.kron(u, np.eye(2)))
    np.testing.assert_allclose(dense(chain), embed(u, (2,), 6) @ psi, atol=1e-12)


@both(transformed)
def test_spreads_and_transform_are_the_same_gate(function):
    chain = random_chain(6, 40)
    t = random_unitary(np.random.default_rng(7), 4)
    x, y = np.zeros((4, 2, 2), complex), np.zeros((4, 2, 2), complex)
    for swapped in (False, True):
        rank, _ = schmidt(t, swapped, x, y)
        left, right = chain.bond[2], chain.bond[4]
        middle = chain.bond[3]
        theta = site(chain, 2).reshape(2 * left, middle) @ site(chain, 3)
        expected = function(theta, t, swapped, left, right)
        for spread in ((spread_left, spread_right), (spread_left.py_func, spread_right.py_func)):
            a, b = spread[0](chain, 2, x, rank), spread[1](chain, 3, y, rank)
            np.testing.assert_allclose(a @ b, expected, atol=1e-12)


@both(expectations)
def test_expectations_are_those_of_the_dense_state(function):
    chain = random_chain()
    psi, rng = dense(chain), np.random.default_rng(8)
    strings = rng.integers(0, 4, (12, 6)).astype(np.uint8)
    strings[0] = 0
    maps, out = rng.uniform(-1, 1, (6, 2)), np.zeros(12)
    function(chain, strings, maps, out)
    for string, value in zip(strings, out, strict=True):
        operator = np.eye(1)
        for k, code in enumerate(string):
            one = maps[k, 0] * PAULIS[code] + maps[k, 1] * np.eye(2) if code else np.eye(2)
            operator = np.kron(operator, one)
        assert value == pytest.approx(np.vdot(psi, operator @ psi).real, abs=1e-10)


@both(draw)
def test_draw_follows_the_born_rule(function):
    chain = random_chain(3, 6)
    p, shots = np.abs(dense(chain)) ** 2, 4000
    bits = np.zeros((shots, 3), np.uint8)
    function(chain, shot_keys(np.uint64(3), 0, shots), 7, bits)
    counts = np.bincount(bits @ np.array([4, 2, 1]), minlength=8)
    # Each of 8 frequencies, twice, within 5.5 standard deviations: false alarm 6e-7.
    assert (np.abs(counts - shots * p) <= 5.5 * np.sqrt(shots * p * (1 - p)) + 1e-9).all()


@both(choose)
def test_choose_takes_operators_by_their_probability(function):
    rng = np.random.default_rng(9)
    a = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    rho = a @ a.conj().T / np.trace(a @ a.conj().T).real
    kraus = np.linalg.qr(rng.normal(size=(8, 2)) + 1j * rng.normal(size=(8, 2)))[0].reshape(4, 2, 2)
    lifted = [np.kron(np.eye(2), k) for k in kraus]
    weights = np.array([k.conj().T @ k for k in kraus])
    edges = np.cumsum([np.trace(k @ rho @ k.conj().T).real for k in lifted])
    assert edges[-1] == pytest.approx(1)
    for u in rng.random(40):
        t = np.eye(4, dtype=complex)
        function(t, rho, kraus, weights, 1, u)
        k = lifted[int(np.searchsorted(edges, u, "right"))]
        weight = np.trace(k @ rho @ k.conj().T).real
        np.testing.assert_allclose(t, k / np.sqrt(weight), atol=1e-12)


@both(choose)
@pytest.mark.parametrize("swapped", [False, True])
def test_choose_among_operators_on_a_pair_knows_which_qubit_is_first(function, swapped):
    rng = np.random.default_rng(10)
    a = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    rho = a @ a.conj().T / np.trace(a @ a.conj().T).real
    q = np.linalg.qr(rng.normal(size=(12, 4)) + 1j * rng.normal(size=(12, 4)))[0]
    kraus, before = q.reshape(3, 4, 4), random_unitary(rng, 4)
    weights = np.array([k.conj().T @ k for k in kraus])
    seen = [SWAP @ k @ SWAP if swapped else k for k in kraus]
    p = [np.trace(k @ before @ rho @ before.conj().T @ k.conj().T).real for k in seen]
    for u in rng.random(20):
        t = before.copy()
        function(t, rho, kraus, weights, 3 if swapped else 2, u)
        k = int(np.searchsorted(np.cumsum(p), u, "right"))
        np.testing.assert_allclose(t, seen[k] @ before / np.sqrt(p[k]), atol=1e-12)
