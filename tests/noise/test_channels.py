"""Representations agree, and every pass between them returns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.noise import (
    assert_cptp,
    channel_process_fidelity,
    compose,
    depolarizing_probabilities,
    is_cptp,
    kraus_ptm,
    pauli_ptm,
    pauli_twirl,
    ptm_kraus,
    swap_qubits,
    tensor,
    thermal_relaxation,
    unitarity,
    unitary_ptm,
)
from qdt_emu.noise import channels as ch

QUBITS = pytest.mark.parametrize("qubits", [1, 2])


def random_unitary(rng, dim, *batch):
    gaussian = rng.normal(size=(*batch, dim, dim)) + 1j * rng.normal(size=(*batch, dim, dim))
    return np.linalg.qr(gaussian)[0]


def random_kraus(rng, dim, count=3):
    """The blocks of a random isometry: a generic channel."""
    return random_unitary(rng, dim * count)[:, :dim].reshape(count, dim, dim)


def random_state(rng, dim):
    root = rng.normal(size=(dim, dim)) + 1j * rng.normal(size=(dim, dim))
    state = root @ root.conj().T
    return state / np.trace(state)


@QUBITS
def test_every_representation_acts_alike_on_a_state(qubits):
    rng = np.random.default_rng(0)
    dim = 2**qubits
    kraus, state = random_kraus(rng, dim), random_state(rng, dim)
    after = sum(k @ state @ k.conj().T for k in kraus)
    ptm = kraus_ptm(kraus)
    paulis = ch.pauli_matrices(qubits)
    vector = np.einsum("iab,ba->i", paulis, state).real
    np.testing.assert_allclose(np.einsum("iab,ba->i", paulis, after).real, ptm @ vector, atol=1e-14)
    by_superoperator = (ch.ptm_superoperator(ptm) @ state.ravel()).reshape(dim, dim)
    np.testing.assert_allclose(by_superoperator, after, atol=1e-14)
    choi = ch.ptm_choi(ptm).reshape(dim, dim, dim, dim)
    np.testing.assert_allclose(np.einsum("iajb,ij->ab", choi, state), after, atol=1e-14)
    by_chi = np.einsum("mn,mab,bc,ncd->ad", ch.ptm_chi(ptm), paulis, state, paulis)
    np.testing.assert_allclose(by_chi, after, atol=1e-14)


@QUBITS
def test_every_conversion_returns(qubits):
    rng = np.random.default_rng(1)
    kraus = np.stack([random_kraus(rng, 2**qubits) for _ in range(5)])
    ptm = kraus_ptm(kraus)
    assert_cptp(ptm)
    np.testing.assert_allclose(kraus_ptm(ptm_kraus(ptm)), ptm, atol=1e-14)
    np.testing.assert_allclose(ch.choi_ptm(ch.ptm_choi(ptm)), ptm, atol=1e-14)
    np.testing.assert_allclose(ch.chi_ptm(ch.ptm_chi(ptm)), ptm, atol=1e-14)
    np.testing.assert_allclose(ch.superoperator_ptm(ch.ptm_superoperator(ptm)), ptm, atol=1e-14)
    np.testing.assert_allclose(ch.kraus_choi(kraus), ch.ptm_choi(ptm), atol=1e-14)


def test_composition_is_in_the_order_of_time():
    rng = np.random.default_rng(2)
    first, second = random_unitary(rng, 4, 2)
    np.testing.assert_allclose(
        compose(unitary_ptm(first), unitary_ptm(second)), unitary_ptm(second @ first), atol=1e-14
    )


def test_the_first_of_a_tensor_product_is_most_significant():
    rng = np.random.default_rng(3)
    first, second = random_unitary(rng, 2, 2)
    ptm = tensor(unitary_ptm(first), unitary_ptm(second))
    np.testing.assert_allclose(ptm, unitary_ptm(np.kron(first, second)), atol=1e-14)
    np.testing.assert_allclose(
        swap_qubits(ptm), tensor(unitary_ptm(second), unitary_ptm(first)), atol=1e-14
    )


def test_swapping_a_unitary_is_conjugation_with_swap():
    unitary = random_unitary(np.random.default_rng(4), 4, 6)
    swap = np.eye(4)[[0, 2, 1, 3]]
    np.testing.assert_allclose(swap_qubits(unitary), swap @ unitary @ swap, atol=0)
    np.testing.assert_allclose(
        swap_qubits(unitary_ptm(unitary)), unitary_ptm(swap_qubits(unitary)), atol=1e-14
    )


@QUBITS
def test_a_twirl_is_the_average_over_pauli_frames(qubits):
    ptm = kraus_ptm(random_kraus(np.random.default_rng(5), 2**qubits))
    frames = unitary_ptm(ch.pauli_matrices(qubits))
    average = np.mean(frames @ ptm @ frames, axis=0)
    np.testing.assert_allclose(average, pauli_ptm(pauli_twirl(ptm)), atol=1e-15)
    chi = np.diagonal(ch.ptm_chi(ptm)).real
    np.testing.assert_allclose(pauli_twirl(ptm), chi, atol=1e-15)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_probabilities_and_fidelities_invert_each_other(a, b, c):
    probabilities = np.array([3 - a - b - c, a, b, c]) / 3
    fidelities = ch.pauli_fidelities(probabilities)
    assert abs(fidelities[0] - 1) < 1e-15
    np.testing.assert_allclose(ch.pauli_probabilities(fidelities), probabilities, atol=1e-15)


@QUBITS
def test_fidelity_and_unitarity_of_known_channels(qubits):
    dim, rng = 2**qubits, np.random.default_rng(6)
    unitary = random_unitary(rng, dim)
    depolarizing = pauli_ptm(depolarizing_probabilities(0.1, qubits))
    noisy = depolarizing @ unitary_ptm(unitary)
    assert abs(channel_process_fidelity(noisy, unitary) - (1 - 0.1 * (1 - dim**-2))) < 1e-14
    assert abs(unitarity(noisy) - 0.81) < 1e-14
    other = random_unitary(rng, dim)
    overlap = abs(np.trace(other.conj().T @ unitary)) ** 2 / dim**2
    assert abs(channel_process_fidelity(unitary_ptm(unitary), other) - overlap) < 1e-14


def test_a_map_that_is_no_channel_is_named():
    transpose = np.diag([1.0, 1.0, -1.0, 1.0])
    assert not is_cptp(transpose)
    with pytest.raises(InputError, match=r"eigenvalue -1 .*Check T2 <= 2 T1"):
        assert_cptp(np.stack([np.eye(4), transpose]))
    leaky = np.eye(4)
    leaky[0, 0] = 0.9
    with pytest.raises(InputError, match=r"trace defect 0\.1"):
        assert_cptp(leaky)
    with pytest.raises(InputError, match=r"must have 4\^k Paulis .* is 9"):
        unitary_ptm(np.eye(3))


def test_a_relaxation_beyond_twice_t1_is_refused():
    with pytest.raises(InputError, match="1 of 2"):
        assert_cptp(thermal_relaxation(0.1, 1.0, np.array([2.0, 2.5])))
