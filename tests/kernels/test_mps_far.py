import numpy as np
import pytest

from qdt_emu.kernels.mps import move, site
from qdt_emu.kernels.mps_cut import beyond, eliminated
from qdt_emu.kernels.mps_far import apply_far, carried, facing
from qdt_emu.kernels.mps_pair import CUTS, LOG_FIDELITY
from tests.engines.statevector_oracle import embed, random_unitary
from tests.kernels.test_mps import both, dense, random_chain, residual

N = 8


def phases(theta, seed=0):
    """exp(-i theta Z Z) and a random phase of each qubit, shape (4, 4)."""
    a, b = np.random.default_rng(seed).uniform(-np.pi, np.pi, 2)
    local = np.kron([1, np.exp(1j * a)], [1, np.exp(1j * b)])
    return np.diag(local * np.exp(-1j * theta * np.array([1, -1, -1, 1])))


@both(apply_far)
@pytest.mark.parametrize("theta", [0.003, 0.05, 0.7])
@pytest.mark.parametrize(("a", "b"), [(1, 6), (6, 1), (0, 7), (3, 5), (2, 3)])
def test_phases_act_as_on_the_dense_state(function, a, b, theta):
    for seed, centre in ((0, 0), (1, N - 1), (2, 4)):
        chain = random_chain(N, 12, seed)
        move(chain, centre)
        psi, t = dense(chain), phases(theta, seed)
        function(chain, a, b, t, 0.0)
        np.testing.assert_allclose(dense(chain), embed(t, (a, b), N) @ psi, atol=1e-7)
        assert residual(chain) < 1e-12
        assert chain.centre[0] in (a, b)


def test_phases_of_single_qubits_and_signs_of_leaked_partners_grow_no_bond():
    chain = random_chain(N, 12, 3)
    psi, bonds = dense(chain), chain.bond.copy()
    for t in (phases(0.0, 5), np.kron(np.eye(2), np.diag([1.0, -1.0])).astype(complex)):
        apply_far(chain, 1, 6, t, 0.0)
        psi = embed(t, (1, 6), N) @ psi
    np.testing.assert_allclose(dense(chain), psi, atol=1e-12)
    assert (chain.bond == bonds).all()
    assert chain.account[CUTS] == 0


def test_a_product_state_gets_a_bond_of_two_and_only_in_between():
    chain = random_chain(N, 0)
    u = np.kron(random_unitary(np.random.default_rng(0), 2), np.eye(2))
    tensors = [np.ascontiguousarray(u[::2, ::2][:, :1].T) for _ in range(N)]
    for k, tensor in enumerate(tensors):
        site(chain, k)[:] = tensor
    apply_far(chain, 2, 6, phases(0.1), 1e-12)
    assert chain.bond.tolist() == [1, 1, 1, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("theta", [0.01, 0.6])
def test_the_discarded_weight_is_that_of_the_state_and_nearly_the_least(theta):
    for seed in range(6):
        chain = random_chain(N, 120, seed, most=6)
        move(chain, (0, 7)[seed % 2])
        t = phases(theta, seed)
        exact = embed(t, (1, 6), N) @ dense(chain)
        chain.account[:] = 0
        apply_far(chain, 1, 6, t, 0.0)
        kept = abs(np.vdot(dense(chain), exact)) ** 2
        assert np.log(kept) == pytest.approx(chain.account[LOG_FIDELITY], abs=1e-10)
        least = [
            (np.linalg.svd(exact.reshape(2**k, -1))[1][6:] ** 2).sum() for k in range(2, N - 1)
        ]
        # One cut after another discards at most the sum of what each would alone.
        assert max(least) - 1e-12 <= 1 - kept <= 1.1 * sum(least) + 1e-12


def test_bonds_grow_as_far_as_the_cutoff_asks_and_shrink_again():
    chain, bonds = random_chain(N, 12, 4), []
    psi = dense(chain)
    for k in range(12):
        t = phases(0.02 * (-1) ** k)
        apply_far(chain, 1, 6, t, 1e-8)
        psi = embed(t, (1, 6), N) @ psi
        bonds.append(int(chain.bond.max()))
    fidelity = abs(np.vdot(dense(chain), psi)) ** 2
    assert fidelity > 1 - 12 * 6 * 1e-8
    # What is looked at again does not grow for ever: exact bonds double at most.
    assert max(bonds) <= 16


@both(facing)
@pytest.mark.parametrize("rightwards", [True, False])
def test_a_site_is_seen_from_both_sides(function, rightwards):
    chain = random_chain(N, 20)
    k, (left, right) = 3, chain.bond[3:5]
    tensor = site(chain, k).reshape(left, 2, right)
    expected = tensor if rightwards else tensor.transpose(2, 1, 0)
    near, far = (left, right) if rightwards else (right, left)
    np.testing.assert_array_equal(function(chain, k, rightwards), expected.reshape(near, 2 * far))


@both(carried)
def test_an_environment_is_carried_over_a_site(function):
    rng = np.random.default_rng(1)
    b = rng.normal(size=(3, 2, 5)) + 1j * rng.normal(size=(3, 2, 5))
    e = rng.normal(size=(5, 5)) + 1j * rng.normal(size=(5, 5))
    expected = np.einsum("isa,ab,jsb->ij", b, e, b.conj())
    np.testing.assert_allclose(function(b.reshape(3, 10), e), expected, atol=1e-12)


@both(eliminated)
def test_elimination_reproduces_all_but_the_stated_remainder(function):
    rng = np.random.default_rng(2)
    u = random_unitary(rng, 12)
    weights = 10.0 ** -np.arange(12)
    gram = (u * weights) @ u.conj().T
    for enough in (1e-2, 1e-5, 1e-9):
        rows, left = function(gram, 12, enough)
        remainder = gram - rows.T @ rows.conj()
        assert left <= enough
        assert np.trace(remainder).real == pytest.approx(left, abs=1e-15)
        assert np.linalg.eigvalsh(remainder).min() > -1e-14
        least = int((np.cumsum(weights[::-1])[::-1] > enough).sum())
        assert least <= len(rows) <= least + 2
    rows, left = function(gram, 3, 0.0)
    assert len(rows) == 3
    assert left > 0


@both(beyond)
def test_added_columns_hold_what_is_missing(function):
    rng = np.random.default_rng(3)
    isometry = np.ascontiguousarray(random_unitary(rng, 10)[:, :4])
    small = 1e-5 * (rng.normal(size=(10, 2)) @ rng.normal(size=(2, 10)) + 0j)
    missing = small - isometry @ (isometry.conj().T @ small)
    gram = missing @ missing.conj().T
    found = function(gram, isometry, 6, 1e-18)
    assert found.shape == (10, 2)
    whole = np.hstack([isometry, found])
    np.testing.assert_allclose(whole.conj().T @ whole, np.eye(6), atol=1e-13)
    np.testing.assert_allclose(found @ (found.conj().T @ missing), missing, atol=1e-9)
    assert function(gram, isometry, 6, 1.0).shape == (10, 0)
