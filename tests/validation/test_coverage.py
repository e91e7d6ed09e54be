"""Bands mean what they say; seeds are fixed, false alarms below 1e-4 unless stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from qdt_emu.errors import InputError
from qdt_emu.validation.coverage import coverage_of_draws, coverage_of_normal, uniformity, wilson
from qdt_emu.validation.coverage_plot import coverage_figure


@given(st.integers(1, 2000), st.data())
def test_wilson_is_the_set_of_probabilities_that_a_score_test_accepts(trials, data):
    hits = data.draw(st.integers(0, trials))
    for p in wilson(hits, trials):
        if 0 < p < 1:
            score = (hits - trials * p) / np.sqrt(trials * p * (1 - p))
            assert abs(score) == pytest.approx(1.959963984540054, rel=1e-6)
    low, high = wilson(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1


def test_wilson_holds_its_level_on_average_over_probabilities():
    trials = 60
    edges = np.array([wilson(k, trials) for k in range(trials + 1)])
    p = np.linspace(0.005, 0.995, 199)[:, None]
    held = (edges[:, 0] <= p) & (p <= edges[:, 1])
    chance = (binom.pmf(np.arange(trials + 1), trials, p) * held).sum(1)
    assert chance.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("count", [19, 400])
def test_honest_draws_hold_exactly_what_they_say_ties_included(count):
    # 3000 measurements: one sigma is 0.8 % at 90 %, so 4.5 % is beyond 5 sigma.
    rng = np.random.default_rng(1)
    rate = rng.random(3000) * 4  # Poisson numbers tie often
    found = coverage_of_draws(rng.poisson(rate, (count, 3000)), rng.poisson(rate), seed=2)
    for level in found.levels:
        assert level.inside == pytest.approx(level.level, abs=0.045)
    assert kstest(found.pit, "uniform").pvalue > 1e-4
    assert found.p_value > 1e-4


def test_narrow_wide_and_shifted_bands_are_told_apart():
    rng = np.random.default_rng(3)
    values, zero, one = rng.normal(size=500), np.zeros(500), np.ones(500)
    assert coverage_of_normal(zero, one, values).sentence.startswith("Honest bands")
    narrow = coverage_of_normal(zero, 0.4 * one, values)
    assert narrow.sentence.startswith("Bands too narrow")
    assert narrow.p_value < 1e-6
    assert coverage_of_normal(zero, 3 * one, values).sentence.startswith("Bands too wide")
    assert coverage_of_normal(zero + 1.0, one, values).p_value < 1e-6
    assert len(narrow.rows()) == 4


def test_draws_and_normal_bands_agree():
    rng = np.random.default_rng(4)
    values = rng.normal(size=200)
    draws = rng.normal(size=(4000, 200))
    first = coverage_of_draws(draws, values, seed=1)
    second = coverage_of_normal(np.zeros(200), np.ones(200), values)
    assert np.allclose(first.pit, second.pit, atol=0.05)


def test_uniformity_has_uniform_p_values():
    rng = np.random.default_rng(5)
    found = [uniformity(rng.random(200)) for _ in range(400)]
    assert kstest(found, "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: wilson(3, 2), "3 hits of 2"),
        (lambda: wilson(0, 0), "at least 1 trial"),
        (lambda: coverage_of_draws(np.zeros((5, 3)), np.zeros(2), seed=1), "shape"),
        (lambda: coverage_of_draws(np.zeros((5, 0)), np.zeros(0), seed=1), "at least 1 meas"),
        (lambda: coverage_of_draws(np.full((5, 1), np.nan), np.zeros(1), seed=1), "finite"),
        (lambda: coverage_of_normal(np.zeros(2), np.zeros(2), np.zeros(2)), "> 0"),
        (lambda: coverage_of_normal(np.zeros(2), np.ones(3), np.zeros(2)), "one shape"),
        (
            lambda: coverage_of_normal(np.zeros(2), np.ones(2), np.zeros(2), levels=[90]),
            "between 0 and 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_coverage_is_drawn_with_promise_and_histogram():
    values = np.random.default_rng(6).normal(size=300)
    found = {
        "honest": coverage_of_normal(np.zeros(300), np.ones(300), values),
        "shots only": coverage_of_normal(np.zeros(300), np.full(300, 0.5), values),
    }
    figure = coverage_figure(found, title="Bands")
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["honest (300 measurements)", "shots only (300 measurements)"]
    assert len(figure.axes) == 2
