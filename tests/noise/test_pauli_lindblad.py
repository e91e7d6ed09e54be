"""Pauli-Lindblad models: products of factors, gain, sparse support, exchange form."""

import json

import numpy as np
import pytest
from qiskit.quantum_info import PauliLindbladMap, QubitSparsePauli

from qdt_emu.errors import InputError
from qdt_emu.noise import PauliLindblad, assert_cptp, compose, pauli_ptm, read_terms
from qdt_emu.noise.channels import channel_process_fidelity, pauli_fidelities
from qdt_emu.noise.pauli_lindblad import (
    combined,
    factor_probability,
    lindblad_fidelities,
    lindblad_probabilities,
    lindblad_rates,
    sampling_overhead,
    sparse_support,
)

LETTERS = "IXYZ"


def random_rates(seed, *batch):
    rates = np.random.default_rng(seed).exponential(0.01, (*batch, 16))
    rates[..., 0] = 0
    return rates


def random_chain(qubits=4, seed=0):
    support = sparse_support(qubits, [(q, q + 1) for q in range(qubits - 1)])
    return PauliLindblad(support, np.random.default_rng(seed).exponential(1e-3, len(support)))


def test_the_channel_is_the_product_of_its_factors():
    rates = random_rates(0)
    factors = []
    for k, rate in enumerate(rates):
        probabilities = np.zeros(16)
        probabilities[0] = 1 - factor_probability(rate)
        probabilities[k] += factor_probability(rate)
        factors.append(pauli_ptm(probabilities))
    found = lindblad_probabilities(rates)
    assert found.min() > 0
    assert_cptp(pauli_ptm(found))
    np.testing.assert_allclose(pauli_ptm(found), compose(*factors), atol=1e-15)
    np.testing.assert_allclose(pauli_fidelities(found), lindblad_fidelities(rates), atol=1e-15)
    f_p = channel_process_fidelity(pauli_ptm(found))
    assert abs(f_p - lindblad_fidelities(rates).sum() / 16) < 1e-15


def test_rates_of_layers_add_and_gain_multiplies_logarithms():
    a, b = random_rates(1, 2)
    np.testing.assert_allclose(
        lindblad_fidelities(a + b), lindblad_fidelities(a) * lindblad_fidelities(b), rtol=1e-14
    )
    np.testing.assert_allclose(lindblad_fidelities(1.6 * a), lindblad_fidelities(a) ** 1.6)


def test_fidelities_give_the_rates_back():
    rates = random_rates(2, 7)
    np.testing.assert_allclose(lindblad_rates(lindblad_fidelities(rates)), rates, atol=1e-16)


def test_the_overhead_is_the_inverse_of_the_quasi_probability():
    rates = random_rates(3)
    p = factor_probability(rates[1:])
    assert abs(sampling_overhead(rates[1:]) - np.prod(1 / (1 - 2 * p))) < 1e-13


def test_an_eagle_layer_has_1677_rates():
    edges = [(q, q + 1) for q in range(126)] + [(q, q + 14) for q in range(18)]
    assert len(sparse_support(127, edges)) == 3 * 127 + 9 * 144 == 1677


def test_sparse_fidelities_are_those_of_the_dense_model():
    model = random_chain()
    dense = lindblad_fidelities(model.dense_rates([2, 1]))
    for index, fidelity in enumerate(dense):
        pauli = {2: LETTERS[index // 4], 1: LETTERS[index % 4]}
        assert abs(model.fidelity(pauli) - fidelity) < 1e-15
    assert (
        abs(model.with_gain(1.2).fidelity({1: "Z"}) / model.fidelity({1: "Z"}) ** 1.2 - 1) < 1e-14
    )


def test_the_exchange_form_survives_json_and_qiskit():
    model = random_chain(3)
    terms = json.loads(json.dumps(model.terms()))
    back = read_terms(terms)
    assert back.support == model.support
    np.testing.assert_array_equal(back.rates, model.rates)
    assert back.rate_errors is None
    sparse = [(t["pauli"], t["qubits"], t["rate"]) for t in terms]
    qiskit = PauliLindbladMap.from_sparse_list(sparse, num_qubits=3)
    for index, label in ((0, "X"), (1, "Y"), (2, "Z")):
        pauli = QubitSparsePauli.from_sparse_label((label, [index]), num_qubits=3)
        assert abs(qiskit.pauli_fidelity(pauli) - model.fidelity({index: label})) < 1e-14


def test_errors_of_rates_are_kept_and_add_in_squares():
    model = read_terms([{"pauli": "XZ", "qubits": [0, 1], "rate": 0.1, "rate_std": 0.03}])
    other = read_terms([{"pauli": "ZX", "qubits": [1, 0], "rate": 0.2, "rate_std": 0.04}])
    both = combined(model, other)
    assert both.support == (("XZ", (0, 1)),)
    np.testing.assert_allclose(both.rates, [0.3])
    np.testing.assert_allclose(both.rate_errors, [0.05])
    assert both.terms()[0]["rate_std"] == pytest.approx(0.05)


def test_combined_layers_multiply_fidelities():
    a, b = random_chain(3, seed=1), random_chain(4, seed=2)
    pauli = {0: "X", 2: "Y"}
    assert abs(combined(a, b).fidelity(pauli) - a.fidelity(pauli) * b.fidelity(pauli)) < 1e-15


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (("XQ", (0, 1), 0.1), "letters of IXYZ.*'XQ'"),
        (("XX", (0, 0), 0.1), r"distinct qubit.*\(0, 0\)"),
        (("X", (0, 1), 0.1), "term 0"),
        (("X", (0,), -0.1), "-0.1 in term 0"),
        ({"pauli": "X", "qubits": [0]}, "None in term 0"),
    ],
)
def test_a_malformed_term_is_named(term, message):
    with pytest.raises(InputError, match=message):
        read_terms([term])
