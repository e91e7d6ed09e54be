"""XEB, GHZ figures and proper scores against closed forms; seeds fixed, 5 sigma or wider."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.validation import ghz, scores
from qdt_emu.validation.value import Value
from qdt_emu.validation.xeb import linear_xeb, log_xeb

N, D = 4, 16
KEYS = [format(i, f"0{N}b") for i in range(D)]


def table(values):
    return dict(zip(KEYS, np.asarray(values).tolist(), strict=True))


def distribution(seed, sharpness=1.0):
    return np.random.default_rng(seed).dirichlet(np.full(D, sharpness))


@pytest.mark.parametrize("xeb", [linear_xeb, log_xeb])
@given(fraction=st.floats(0, 1), seed=st.integers(0, 1000), sharpness=st.sampled_from([0.5, 1, 9]))
def test_xeb_of_a_mixture_with_uniform_is_its_weight(xeb, fraction, seed, sharpness):
    p = distribution(seed, sharpness)
    p = (p + 1e-6) / (1 + D * 1e-6)
    mixed = fraction * p + (1 - fraction) / D
    found = xeb(table(p), table(mixed))
    assert found.value == pytest.approx(fraction, abs=1e-9)
    assert found.stderr == 0


@pytest.mark.parametrize("xeb", [linear_xeb, log_xeb])
def test_xeb_of_shots_scatters_as_its_standard_error_says(xeb):
    p, rng = distribution(1), np.random.default_rng(2)
    q = 0.6 * p + 0.4 / D
    found = [xeb(table(p), table(rng.multinomial(500, q))) for _ in range(400)]
    pulls = [(f.value - 0.6) / f.stderr for f in found]
    assert abs(np.mean(pulls)) < 0.25
    assert np.std(pulls) == pytest.approx(1, abs=0.18)


def test_linear_xeb_of_porter_thomas_is_the_textbook_form():
    # Sum p^2 = 2 / (D + 1) on average: the denominator of D <p> - 1 is D sum p^2 - 1 = 1.
    rng = np.random.default_rng(3)
    keys = [format(i, "012b") for i in range(4096)]
    p = rng.dirichlet(np.ones(4096))
    counts = dict(zip(keys, rng.multinomial(20_000, p).tolist(), strict=True))
    plain = 4096 * sum(p[int(k, 2)] * c for k, c in counts.items()) / 20_000 - 1
    found = linear_xeb(dict(zip(keys, p.tolist(), strict=True)), counts)
    assert found.value == pytest.approx(plain, rel=0.1)


def test_xeb_needs_an_exact_distribution_with_structure():
    with pytest.raises(InputError, match="16 shots"):
        linear_xeb(table(np.ones(D, int)), table(np.ones(D, int)))
    for xeb in (linear_xeb, log_xeb):
        with pytest.raises(InputError, match="uniform"):
            xeb(table(np.full(D, 1 / D)), table(np.ones(D, int)))
    with pytest.raises(InputError, match="2 of 2"):
        log_xeb({"00": 0.5, "11": 0.5}, {"00": 5, "01": 1, "10": 1, "11": 4})


def test_population_and_parity_of_depolarized_ghz():
    p = 0.7 * np.eye(D)[[0, -1]].mean(0) + 0.3 / D
    assert ghz.population(table(p)).value == pytest.approx(0.7 + 0.3 * 2 / D)
    assert ghz.parity(table(p)).value == pytest.approx(0.7)
    assert ghz.parity(table(p), bits=[0]).value == pytest.approx(0)
    assert ghz.parity(table(p), bits=[1, 3]).value == pytest.approx(0.7)
    assert ghz.population(table(p), ["0000"]).value == pytest.approx(0.35 + 0.3 / D)


def test_population_and_parity_scatter_as_their_standard_errors_say():
    p, rng = distribution(4), np.random.default_rng(5)
    for figure in (ghz.population, ghz.parity):
        truth = figure(table(p)).value
        found = [figure(table(rng.multinomial(400, p))) for _ in range(400)]
        pulls = [(f.value - truth) / f.stderr for f in found]
        assert np.std(pulls) == pytest.approx(1, abs=0.18)


@pytest.mark.parametrize("amplitude", [0.0, 0.4, 0.95])
def test_coherence_is_the_amplitude_at_any_phase(amplitude):
    rng = np.random.default_rng(6)
    angles = np.linspace(0, 2 * np.pi / N, 9)
    odd = np.array([key.count("1") % 2 for key in KEYS])
    found = []
    for _ in range(100):
        phase = rng.random() * 6.28
        counts = []
        for angle in angles:
            value = amplitude * np.cos(N * angle + phase)
            p = np.where(odd, 1 - value, 1 + value) / D
            counts.append(table(rng.multinomial(1000, p)))
        found.append(ghz.coherence(angles, counts))
    values, errors = (np.array([getattr(f, x) for f in found]) for x in ("value", "stderr"))
    if amplitude:
        assert values.mean() == pytest.approx(amplitude, abs=5 * errors.mean() / 10)
        assert values.std() == pytest.approx(errors.mean(), rel=0.4)
    else:
        assert values.mean() < 2 * errors.mean()


def test_ghz_fidelity_is_half_of_population_and_coherence():
    found = ghz.fidelity(Value(0.8, 0.03), Value(0.6, 0.04))
    assert found.value == pytest.approx(0.7)
    assert found.stderr == pytest.approx(0.025)
    assert Value(0.5, 0.03).z(Value(0.6, 0.04)) == pytest.approx(2)
    assert Value(0.5, 0).z(Value(0.5, 0)) == 0


def test_angles_that_do_not_determine_the_coherence_are_refused():
    counts = [table(np.ones(D, int))] * 3
    with pytest.raises(InputError, match="at least one period"):
        ghz.coherence(np.zeros(3), counts)
    with pytest.raises(InputError, match="2 angles and 3"):
        ghz.coherence(np.zeros(2), counts)
    with pytest.raises(InputError, match="bits"):
        ghz.population(counts[0], ["000"])
    with pytest.raises(InputError, match="one is 4"):
        ghz.parity(counts[0], [4])


def test_crps_of_many_normal_draws_is_the_closed_form():
    rng = np.random.default_rng(7)
    mean, sigma, y = np.array([0.0, 1.0]), np.array([1.0, 0.3]), np.array([0.4, 2.0])
    closed = scores.crps_of_normal(mean, sigma, y)
    for s, repeats in ((2, 20_000), (50, 800)):  # the fair form is unbiased at any s
        found = np.mean(
            [
                scores.crps_of_draws(mean + sigma * rng.normal(size=(s, 2)), y)
                for _ in range(repeats)
            ],
            axis=0,
        )
        assert found == pytest.approx(closed, abs=0.03)


def test_scores_are_proper():
    rng = np.random.default_rng(8)
    y = rng.normal(size=4000)
    zero = np.zeros(4000)
    honest = scores.crps_of_normal(zero, np.ones(4000), y).mean()
    for shift, width in ((0.5, 1.0), (0.0, 0.5), (0.0, 2.0)):
        other = scores.crps_of_normal(zero + shift, np.full(4000, width), y).mean()
        assert other > honest + 0.02


def test_the_energy_score_sees_correlations_and_is_crps_in_one_dimension():
    rng = np.random.default_rng(9)
    draws = rng.normal(size=(300, 1))
    assert scores.energy_score(draws, np.array([0.3])) == pytest.approx(
        float(scores.crps_of_draws(draws, np.array([0.3]))[0])
    )
    shared = rng.normal(size=(200, 1)) * np.ones((1, 8))
    apart = rng.normal(size=(200, 8))
    truth = rng.normal(size=(300, 1)) * np.ones((1, 8))
    right, wrong = (np.mean([scores.energy_score(d, t) for t in truth]) for d in (shared, apart))
    assert right < wrong
    assert scores.energy_score(np.zeros((1, 2)), np.array([3.0, 4.0])) == 5


def test_brier_is_smallest_for_the_truth():
    q = {"0": 700, "1": 300}
    assert scores.brier({"0": 0.7, "1": 0.3}, q) == pytest.approx(0.21)
    assert scores.brier({"0": 0.6, "1": 0.4}, q) == pytest.approx(0.22)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="shape"):
        scores.crps_of_draws(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(InputError, match="> 0"):
        scores.crps_of_normal(np.zeros(1), np.zeros(1), np.zeros(1))
