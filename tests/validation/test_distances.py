"""Laws of the distances, and their shot-noise floors by simulation with fixed seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from qdt_emu.errors import InputError
from qdt_emu.result import Counts, Provenance, Report
from qdt_emu.validation import distances as d

weights = st.lists(st.floats(0.01, 1), min_size=4, max_size=4)
KEYS = ("00", "01", "10", "11")


def normal(w):
    return np.array(w) / sum(w)


def table(p, n):
    return {format(i, f"0{n}b"): v for i, v in enumerate(np.asarray(p).tolist())}


@given(weights, weights, weights)
def test_distances_are_metrics_between_0_and_1(a, b, c):
    p, q, r = map(normal, (a, b, c))
    for metric in (d.total_variation, d.hellinger_distance):
        assert metric(p, p) == pytest.approx(0, abs=1e-7)
        assert metric(p, q) == pytest.approx(metric(q, p))
        assert metric(p, r) <= metric(p, q) + metric(q, r) + 1e-12
        assert 0 <= metric(p, q) <= 1
    tv, h = d.total_variation(p, q), d.hellinger_distance(p, q)
    assert h**2 <= tv + 1e-12 <= h * np.sqrt(2 - h**2) + 1e-7
    assert d.classical_fidelity(p, q) == pytest.approx((1 - h**2) ** 2)


@given(weights, weights)
def test_dictionaries_counts_and_arrays_agree(a, b):
    p, q = normal(a), normal(b)
    assert d.total_variation(table(p, 2), table(q, 2)) == pytest.approx(d.total_variation(p, q))
    whole = {k: int(1 + 1e6 * v) for k, v in table(p, 2).items()}
    counts = Counts(whole, Report("x"), Provenance())
    assert d.total_variation(whole, table(q, 2)) == d.total_variation(counts, table(q, 2))


def test_missing_mass_counts_as_distance():
    # Uniform over 4 outcomes, listed at one of them only, against certainty there.
    assert d.total_variation(np.array([0.25]), np.array([1.0])) == 0.75
    assert d.total_variation({"00": 0.25, "01": 0.75}, {"00": 1}) == 0.75
    assert d.total_variation({"0": 1}, {"1": 1}) == 1


@given(weights)
def test_correlation_is_pearsons_over_all_outcomes(a):
    p, q = normal(a), normal([0.1, 0.2, 0.3, 0.4])
    if np.ptp(p) > 1e-3:
        found = d.linear_correlation(table(p, 2), table(q, 2), n_bits=2)
        assert found == pytest.approx(np.corrcoef(p, q)[0, 1], abs=1e-6)
    assert np.isnan(d.linear_correlation(np.full(4, 0.25), q, n_bits=2))


def test_log_score_is_proper_and_excludes_the_excluded():
    q = {"0": 3, "1": 1}
    best = d.log_score({"0": 0.75, "1": 0.25}, q)
    assert best > d.log_score({"0": 0.7, "1": 0.3}, q)
    assert best == pytest.approx(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert d.log_score({"0": 1.0}, q) == -np.inf
    with pytest.raises(InputError, match="4 shots"):
        d.log_score(q, q)


@pytest.mark.parametrize(("k", "shots"), [(16, 1000), (256, 8192)])
def test_normal_floor_is_within_3_percent_where_outcomes_are_expected_4_times(k, shots):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(k)) * 0.5 + 0.5 / k  # every N p >= 16
    assert (shots * p).min() >= 4
    mean = d.total_variation(rng.multinomial(shots, p, 2000) / shots, p).mean()
    assert d.normal_floor(p, shots) == pytest.approx(mean, rel=0.03)
    two = rng.multinomial(shots, p, 2000) / shots, rng.multinomial(500, p, 2000) / 500
    if (500 * p).min() >= 4:
        assert d.normal_floor(p, shots, 500) == pytest.approx(
            d.total_variation(*two).mean(), rel=0.03
        )


@pytest.mark.parametrize("shots", [1, 10, 300, 20_000])
def test_exact_floor_holds_at_any_number_of_shots(shots):
    # 4000 draws: the simulated mean is known to about 0.3 %, so 2 % is beyond 6 sigma.
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(64, 0.3))
    mean = d.total_variation(rng.multinomial(shots, p, 4000) / shots, p).mean()
    assert d.exact_floor(p, shots) == pytest.approx(mean, rel=0.02)


def test_exact_floor_meets_its_limits():
    p = np.full(8, 0.125)
    assert d.exact_floor(p, 1) == pytest.approx(7 / 8)
    assert d.exact_floor(p, 10**8) == pytest.approx(d.normal_floor(p, 10**8), rel=1e-5)
    assert d.exact_floor(np.array([1.0, 0.0]), 5) == 0.0


def test_hellinger_floor_is_within_5_percent_in_the_dense_regime():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(64)) * 0.5 + 0.5 / 64
    shots = 64 * 64
    mean = (d.hellinger_distance(rng.multinomial(shots, p, 2000) / shots, p) ** 2).mean()
    assert d.hellinger_floor(64, shots) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("predicted_shots", [0, 3000])
def test_g_of_agreement_has_mean_df_and_uniform_p_values(predicted_shots):
    # Mean of 400 chi-squared values with df ~ 30: 1 sigma = sqrt(2 / 400 / 30) = 1.3 %.
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.ones(64) * 0.5)
    found = []
    for _ in range(400):
        first = rng.multinomial(predicted_shots, p) if predicted_shots else p
        found.append(d.g_test(table(first, 6), table(rng.multinomial(2000, p), 6)))
    assert np.mean([f.g / f.df for f in found]) == pytest.approx(1, abs=0.065)
    assert kstest([f.p_value for f in found], "uniform").pvalue > 1e-6
    assert all(f.df == f.cells - 1 for f in found)


def test_g_notices_a_difference_and_the_impossible():
    assert d.g_test({"0": 0.5, "1": 0.5}, {"0": 600, "1": 400}).p_value < 1e-6
    three = {"00": 0.5, "01": 0.5}
    assert d.g_test(three, {"00": 50, "01": 50, "11": 20}).p_value < 1e-6
    with pytest.raises(InputError, match="two cells"):
        d.g_test({"0": 0.5, "1": 0.5}, {"0": 3, "1": 2})
    with pytest.raises(InputError, match="probabilities"):
        d.g_test({"0": 1.0}, {"0": 1.0})


@pytest.mark.parametrize("predicted_shots", [0, 5000])
def test_z_scores_of_agreement_are_standard_normal(predicted_shots):
    rng = np.random.default_rng(6)
    p = rng.dirichlet(np.ones(16))
    z = []
    for _ in range(500):
        first = rng.multinomial(predicted_shots, p) if predicted_shots else p
        z.append(d.z_scores(table(first, 4), table(rng.multinomial(3000, p), 4)))
    assert np.std([m[0, 0] for m in z]) == pytest.approx(1, abs=0.16)  # 5 sigma
    assert np.std([m[1, 3] for m in z]) == pytest.approx(1, abs=0.16)
    assert kstest([m[2, 2] for m in z], "norm").pvalue > 1e-6


def test_z_scores_point_at_the_bit_that_is_wrong():
    z = d.z_scores({"00": 0.5, "10": 0.5}, {"00": 900, "10": 100})
    assert abs(z[1, 1]) > 20
    assert z[0, 0] == 0.0
    assert np.isinf(d.z_scores({"0": 1.0}, {"1": 5})[0, 0])
    assert z[0, 1] == z[1, 0]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"0": -0.1, "1": 1.1}, "projected"),
        ({"0": 0.5}, "add up to 0.5"),
        ({}, "at least one"),
        ({"0": 0}, "not all 0"),
    ],
)
def test_what_is_no_distribution_is_refused(bad, says):
    with pytest.raises(InputError, match=says):
        d.total_variation(bad, {"0": 1})


def test_different_lengths_and_mixed_kinds_are_refused():
    with pytest.raises(InputError, match="equally long"):
        d.total_variation({"00": 1}, {"0": 1})
    with pytest.raises(InputError, match="two arrays"):
        d.total_variation(np.ones(1), {"0": 1})
