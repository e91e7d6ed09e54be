"""Pauli-Lindblad rates from Clifford data: planted rates return, what is not seen is said."""

from dataclasses import replace

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from qdt_emu.errors import InputError
from qdt_emu.learning.pauli_design import Experiment, design, weight_paulis
from qdt_emu.learning.pauli_nnls import nonnegative_rates, pivoted_nnls
from qdt_emu.learning.pauli_noise import fit_rates, log_normal_prior, process_fidelity
from qdt_emu.noise.pauli_lindblad import PauliLindblad, lindblad_fidelities, sparse_support
from tests.engines.kicked_ising import EDGES, N
from tests.learning.pauli_layers import cnots, colours, measured

PATH = [(0, 1), (1, 2), (2, 3)]
SMALL = sparse_support(4, PATH)
LAYERS = [cnots([(0, 1), (2, 3)], 4), cnots([(1, 2)], 4)]


def plan(layers, paulis, depths=(2, 8), gains=(1.0,)):
    return [((k,) * d, paulis, g) for k in layers for d in depths for g in gains]


def learned_rates(seed, *, sigma=1e-3, layers=LAYERS, support=SMALL, n=4, depths=(2, 8, 20)):
    rng = np.random.default_rng(seed)
    shape = (len(layers), len(support))
    rates = np.where(rng.random(shape) < 0.4, rng.gamma(2.0, 1e-3, shape), 0.0)
    paulis = weight_paulis(support, n)
    data, spam = measured(
        layers, support, rates, plan(range(len(layers)), paulis, depths), sigma=sigma, spam=0.03
    )
    return rates, spam, design(layers, support, data)


def test_a_row_counts_the_noise_that_a_pauli_meets():
    """Behind a CX that acts twice, by hand; CX leaves Z0 and X1 as they are."""
    layer = stim.Circuit("CX 0 1")
    paulis = weight_paulis([("ZX", (0, 1)), ("IX", (0, 1))], 2)
    one = Experiment((0, 0), paulis, np.ones(2), np.ones(2), gain=1.5)
    support = [("X", (0,)), ("Z", (1,)), ("ZX", (0, 1)), ("Y", (0,))]
    found = design([layer], support, [one])
    want = 1.5 * 2 * np.array([[2, 2, 0, 2], [0, 2, 0, 0]])
    assert np.array_equal(found.meetings.toarray(), want)


def test_exponents_are_those_of_the_layers_damping():
    """Against the model's own fidelities, along orbits that Stim follows."""
    rng = np.random.default_rng(3)
    rates = rng.gamma(2, 1e-3, (2, len(SMALL)))
    paulis = weight_paulis(SMALL, 4)
    sequence = (0, 1, 1, 0, 1)
    found = design(LAYERS, SMALL, [Experiment(sequence, paulis, np.ones(39), np.ones(39), 1.2)])
    models = [PauliLindblad(SMALL, 1.2 * r) for r in rates]
    for row, codes in zip(found.exponents(rates, np.zeros(39)), paulis, strict=True):
        pauli, total = stim.PauliString(codes.tolist()), 1.0
        for k in reversed(sequence):
            letters = {q: "IXYZ"[p] for q, p in enumerate(pauli)}
            total *= float(models[k].fidelity(letters))
            pauli = pauli.before(LAYERS[k])
        assert np.isclose(np.exp(row), total, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_pivoting_solves_what_scipy_solves(size, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((size + 3, size)), rng.standard_normal(size + 3)
    scale = np.sqrt((a**2).sum(0))
    gram, right = (a / scale).T @ (a / scale), (a / scale).T @ b
    assert np.allclose(pivoted_nnls(gram, right), nnls(a / scale, b)[0], atol=1e-6)


def test_without_noise_planted_rates_return_and_absent_terms_are_0():
    rates, spam, found = learned_rates(1, sigma=0.0)
    learned = nonnegative_rates(found)
    known = learned.identified
    assert 0.5 < known.mean() < 1
    assert np.allclose(learned.rates[known], rates[known], atol=1e-8)
    assert np.all(learned.rates[known & (rates == 0)] < 1e-9)
    assert np.allclose(learned.spam, spam, atol=1e-6)
    assert not learned.unseen


def test_with_noise_rates_lie_within_their_errors():
    """Identified rates and sums of 20 chips, z below 5: false alarms of 20 * 78 normals 1e-3."""
    for seed in range(20):
        rates, _, found = learned_rates(seed)
        learned = nonnegative_rates(found)
        errors = np.stack([m.rate_errors for m in learned.models])
        known = learned.identified
        assert np.all(np.isnan(errors[~known]))
        assert np.all(np.abs(learned.rates - rates)[known] < 5 * errors[known])
        for item in learned.combinations:
            want = sum(w * rates[k, SMALL.index(t)] for (k, t), w in item.weights.items())
            assert abs(item.rate - want) < 5 * item.rate_error


def test_a_degenerate_pair_is_reported_as_a_sum():
    """Behind CX, X on the control becomes X X: alone, the two are damped only together."""
    layers, support = [cnots([(0, 1)], 2)], sparse_support(2, [(0, 1)])
    rates, _, found = learned_rates(5, sigma=0.0, layers=layers, support=support, n=2)
    learned = nonnegative_rates(found)
    sums = [c for c in learned.combinations if (0, ("X", (0,))) in c.weights]
    assert len(sums) == 1
    pair = dict(sums[0].weights)
    assert len(pair) == 2
    assert all(np.isclose(w, 1) for w in pair.values())
    want = sum(rates[0, support.index(term)] for _, term in pair)
    assert np.isclose(sums[0].rate, want, atol=1e-8)
    assert not any(learned.identified[0, support.index(term)] for _, term in pair)
    assert "X[0]@0" in str(sums[0])


def test_what_no_pauli_feels_is_named_and_one_depth_tells_nothing():
    z = weight_paulis([("Z", (q,)) for q in range(4)], 4)
    data, _ = measured(LAYERS, SMALL, np.full((2, 39), 1e-3), plan([0], z), sigma=1e-3)
    learned = nonnegative_rates(design(LAYERS, SMALL, data))
    assert all((1, term) in learned.unseen for term in SMALL)
    assert (0, ("Z", (1,))) in learned.unseen
    single, _ = measured(LAYERS, SMALL, np.full((2, 39), 1e-3), plan([0], z, (4,)), sigma=1e-3)
    assert len(nonnegative_rates(design(LAYERS, SMALL, single)).unseen) == 78
    known = nonnegative_rates(design(LAYERS, SMALL, single), spam=False)
    assert len(known.unseen) < 78


def test_loose_rates_of_three_columns_are_reported_as_sums_that_hold():
    """Only products along the orbit of one Pauli: whatever is reported must be a truth."""
    paulis = weight_paulis([("XX", (0, 1)), ("X", (0,)), ("ZZ", (1, 2)), ("YX", (2, 3))], 4)
    rng = np.random.default_rng(8)
    rates = rng.gamma(2, 1e-3, (2, 39))
    mixed = [((0, 1) * d, paulis, 1.0) for d in (1, 3, 6)]
    data, _ = measured(LAYERS, SMALL, rates, mixed, sigma=0.0)
    learned = nonnegative_rates(design(LAYERS, SMALL, data), spam=False)
    assert learned.combinations
    for item in learned.combinations:
        want = sum(w * rates[k, SMALL.index(t)] for (k, t), w in item.weights.items())
        assert np.isclose(item.rate, want, atol=1e-7)


def test_the_posterior_is_the_prior_where_nothing_is_measured():
    _, _, found = learned_rates(2)
    z_only = found.select(np.flatnonzero((found.spam @ (found.spam_paulis == 3).any(1)) > 0)[:3])
    prior = log_normal_prior(np.full((2, 39), 1e-3), 0.7, z_only)
    got = fit_rates(z_only, prior)
    silent = np.asarray(z_only.meetings.sum(0)).reshape(2, 39) == 0
    assert np.allclose(got.log_std[silent], 0.7)
    assert np.allclose(got.rates[silent], 1e-3)
    assert np.all(got.log_std <= 0.7 + 1e-12)
    assert np.all(got.learned[silent] == 0)


def test_the_posterior_does_not_depend_on_the_side_it_is_computed_from():
    """Few values (rows) or many (the same ones, many times with larger errors)."""
    _, _, found = learned_rates(4)
    few = found.select(np.arange(30))
    many = few.select(np.tile(np.arange(30), 9))
    many = replace(many, errors=many.errors * 3)
    prior = log_normal_prior(np.full((2, 39), 1e-3), 0.7, few)
    a, b = fit_rates(few, prior), fit_rates(many, prior)
    assert {part.few for part in a.blocks} != {part.few for part in b.blocks}
    assert np.allclose(a.rates, b.rates, rtol=1e-4)
    assert np.allclose(a.log_std, b.log_std, rtol=1e-4)
    assert np.allclose(a.covariance(range(20)), b.covariance(range(20)), atol=1e-5)
    assert np.allclose(np.diag(a.covariance(range(78))), a.log_std.ravel() ** 2)
    slopes = np.random.default_rng(0).standard_normal((2, 39))
    want = slopes.ravel() @ a.covariance(range(78)) @ slopes.ravel()
    assert np.isclose(a.deviation(slopes) ** 2, want)
    for got in (a, b):
        draws = np.log(got.draws(4000, seed=1) / got.rates).reshape(4000, -1)
        assert np.allclose(draws.std(0), got.log_std.ravel(), rtol=0.08)  # 7 sd of 4000 draws
        assert np.allclose(np.cov(draws[:, :20].T), got.covariance(range(20)), atol=0.06)


def test_posterior_bands_hold_what_the_prior_drew():
    """30 chips drawn from the prior: 2340 z-scores, correlated; variance within 0.15 of 1."""
    scores = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        true = 1e-3 * np.exp(0.6 * rng.standard_normal((2, 39)))
        paulis = weight_paulis(SMALL, 4)
        data, _ = measured(
            LAYERS, SMALL, true, plan([0, 1], paulis), sigma=2e-3, spam=0.03, seed=seed
        )
        found = design(LAYERS, SMALL, data)
        got = fit_rates(found, log_normal_prior(np.full((2, 39), 1e-3), 0.6, found))
        scores.append(np.log(got.rates / true) / got.log_std)
    scores = np.array(scores)
    assert abs(scores.var() - 1) < 0.15
    assert 0.92 < (np.abs(scores) < 2).mean() < 0.98


def test_gains_multiply_rates():
    """Learned at gain 1, predicted at gain 2."""
    rates, _, found = learned_rates(6, sigma=1e-4)
    paulis = weight_paulis(SMALL, 4)
    learned = nonnegative_rates(found)
    strong = design(LAYERS, SMALL, [Experiment((0,) * 8, paulis, np.ones(39), np.ones(39), 2.0)])
    want = np.exp(strong.exponents(rates, np.zeros(39)))
    assert np.allclose(np.exp(strong.exponents(learned.rates, np.zeros(39))), want, atol=2e-3)
    assert np.allclose(np.exp(strong.exponents(2 * rates, np.zeros(39))), want**2)


def test_process_fidelity_of_a_small_layer():
    """Against 4^-n times the sum of all Pauli fidelities; errors that cancel are third order."""
    support = sparse_support(2, [(0, 1)])
    rates = np.random.default_rng(0).gamma(2, 1e-3, 15)
    dense = PauliLindblad(support, rates).dense_rates([0, 1])
    exact = lindblad_fidelities(dense).mean()
    got = process_fidelity(PauliLindblad(support, rates))
    assert got <= exact
    assert exact - got < 35 * rates.max() ** 3


def test_faults_are_refused_by_name():
    z = weight_paulis([("Z", (0,))], 4)
    good = Experiment((0,), z, np.ones(1), np.ones(1))
    for bad, message in (
        (replace(good, sequence=(2,)), "Layers must be 0 to 1"),
        (replace(good, errors=np.zeros(1)), "errors must be above 0"),
        (replace(good, values=np.ones(2)), "one value and one error"),
    ):
        with pytest.raises(InputError, match=message):
            design(LAYERS, SMALL, [bad])
    with pytest.raises(InputError, match="there is none"):
        design(LAYERS, SMALL, [])
    low = design(LAYERS, SMALL, [replace(good, values=np.zeros(1))])
    with pytest.raises(InputError, match="none is"):
        nonnegative_rates(low)
    with pytest.raises(InputError, match="must have shape"):
        log_normal_prior(np.ones(39), 1.0, low)


def chip_data(layers, seed):
    """All Paulis of weight 1, and 2 on edges, at two depths of each layer of 127 qubits."""
    rng = np.random.default_rng(seed)
    support = sparse_support(N, EDGES)
    cliffords = [cnots(pairs) for pairs in colours()[:layers]]
    shape = (layers, len(support))
    rates = np.where(rng.random(shape) < 0.3, rng.gamma(2.0, 2e-4, shape), 0.0)
    paulis = weight_paulis(support, N)
    data, _ = measured(
        *(cliffords, support, rates, plan(range(layers), paulis, (2, 16))),
        sigma=2e-3,
        spam=0.03,
        seed=seed,
    )
    return rates, design(cliffords, support, data)


@pytest.mark.slow
def test_a_whole_chip_returns_its_planted_rates():
    """127 qubits, three layers of 1677 terms: 95 % within 2 standard errors, all within 5."""
    rates, found = chip_data(3, 1)
    learned = nonnegative_rates(found)
    known = learned.identified
    errors = np.stack([m.rate_errors for m in learned.models])
    score = np.abs(learned.rates - rates)[known] / errors[known]
    assert known.sum() > 3000
    assert (score < 2).mean() > 0.95  # errors of unbounded least squares are too large here
    assert score.max() < 5
    absent = learned.rates[known & (rates == 0)]
    assert (absent == 0).mean() > 0.5
    for model, true in zip(learned.models, rates, strict=True):
        want = process_fidelity(PauliLindblad(model.support, true))
        assert abs(np.log(process_fidelity(model) / want)) < 0.02


@pytest.mark.slow
def test_a_whole_chip_with_a_prior():
    """One layer: z-scores of 1677 rates, some of them only products; variance within 5 sd of 1."""
    rng = np.random.default_rng(2)
    support = sparse_support(N, EDGES)
    cliffords, paulis = [cnots(colours()[0])], weight_paulis(support, N)
    true = 3e-4 * np.exp(0.7 * rng.standard_normal((1, len(support))))
    data, _ = measured(
        cliffords, support, true, plan([0], paulis, (2, 16)), sigma=2e-3, spam=0.03, seed=2
    )
    found = design(cliffords, support, data)
    got = fit_rates(found, log_normal_prior(np.full(true.shape, 3e-4), 0.7, found))
    score = np.log(got.rates / true) / got.log_std
    assert abs(score.var() - 1) < 0.2
    assert (np.abs(score) < 2).mean() > 0.93
    assert got.learned.mean() > 0.3
