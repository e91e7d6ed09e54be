import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.engines.unravel_kraus import (
    PAIRS,
    PAULIS,
    least_entangled,
    pauli_members,
    relaxation_members,
    takagi,
)
from qdt_emu.noise import relaxation_kraus


def channel(kraus):
    return np.einsum("kij,klm->ijlm", kraus, np.conj(kraus))


def average_concurrence(kraus):
    """Sum of the concurrences |det K| that members leave, weighted by their probability."""
    return float(np.abs(np.linalg.det(kraus)).sum())


def random_channel(seed, members=4):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2 * members, 2)) + 1j * rng.normal(size=(2 * members, 2))
    return np.linalg.qr(z)[0].reshape(members, 2, 2)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_channel_is_the_same_and_no_members_entangle_less(seed, members):
    kraus = random_channel(seed, members)
    found = least_entangled(kraus)
    np.testing.assert_allclose(channel(found), channel(kraus), atol=1e-12)
    least = average_concurrence(found)
    rng = np.random.default_rng(seed)
    for _ in range(5):  # no other isometry does better
        v = np.linalg.qr(rng.normal(size=(6, members)) + 1j * rng.normal(size=(6, members)))[0]
        assert average_concurrence(np.einsum("ij,jkl->ikl", v, kraus)) >= least - 1e-9


@pytest.mark.parametrize("q", [0.0, 1e-3, 0.1, 0.4, 0.5])
def test_dephasing_leaves_1_minus_2q(q):
    kraus = np.array([np.sqrt(1 - q) * PAULIS[0], np.sqrt(q) * PAULIS[3]])
    found = least_entangled(kraus)
    np.testing.assert_allclose(channel(found), channel(kraus), atol=1e-14)
    assert average_concurrence(found) == pytest.approx(1 - 2 * q, abs=1e-10)


@pytest.mark.parametrize("p", [1e-3, 0.1, 0.5, 2 / 3])
def test_depolarising_leaves_1_minus_3p_over_2(p):
    rates = [1 - 3 * p / 4, p / 4, p / 4, p / 4]
    kraus = np.sqrt(rates)[:, None, None] * PAULIS
    for found in (least_entangled(kraus), pauli_members(rates)):
        np.testing.assert_allclose(channel(found), channel(kraus), atol=1e-14)
        assert average_concurrence(found) == pytest.approx(1 - 3 * p / 2, abs=1e-7)


@pytest.mark.parametrize("g", [0.0, 1e-3, 0.05, 0.5])
def test_amplitude_damping_leaves_the_root_of_1_minus_g(g):
    kraus = relaxation_kraus(1 - g, np.sqrt(1 - g))
    found = relaxation_members(np.array([1 - g, np.sqrt(1 - g), 0.0]))
    np.testing.assert_allclose(channel(found), channel(kraus), atol=1e-13)
    assert average_concurrence(found) == pytest.approx(np.sqrt(1 - g), abs=1e-9)


def test_a_strong_channel_breaks_all_entanglement():
    rates = np.full(4, 0.25)
    kraus = np.sqrt(rates)[:, None, None] * PAULIS
    found = least_entangled(kraus)
    np.testing.assert_allclose(channel(found), channel(kraus), atol=1e-13)
    assert average_concurrence(found) < 1e-10


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_pauli_channels_of_one_and_two_qubits_stay_the_same(seed, size):
    rng = np.random.default_rng(seed)
    for n, strings in ((4, PAULIS), (16, PAIRS)):
        rates = size * rng.dirichlet(np.ones(n))
        rates[0] += 1 - size
        found = pauli_members(rates)
        np.testing.assert_allclose(
            channel(found), channel(np.sqrt(rates)[:, None, None] * strings), atol=1e-13
        )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_takagi_factors_symmetric_matrices_of_any_rank(seed, rank):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, rank)) + 1j * rng.normal(size=(4, rank))
    symmetric = a @ a.T
    lengths, w = takagi(symmetric)
    np.testing.assert_allclose((w * lengths) @ w.T, symmetric, atol=1e-9)
    np.testing.assert_allclose(w.conj().T @ w, np.eye(4), atol=1e-9)
    assert (np.diff(lengths) <= 1e-12).all()
