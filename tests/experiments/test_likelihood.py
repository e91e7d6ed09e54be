"""Fits are unbiased, and their standard errors are the spread that repetitions show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from qdt_emu.experiments.curves import decay, fit_decay, fit_oscillation, oscillation

REPEATS = 200


def spread_is_stated(values, stderr, truth) -> None:
    """Family-wise: sum of squared deviations is chi-square. False-alarm rate 1e-4, two-sided."""
    z = (values - truth) / stderr
    assert chi2.ppf(5e-5, len(z)) < (z**2).sum() < chi2.isf(5e-5, len(z))
    assert abs(z.mean()) < 4 / np.sqrt(len(z))  # 6e-5


def test_decays_have_the_errors_they_state():
    rng = np.random.default_rng(1)
    x = np.broadcast_to(np.linspace(0, 4, 20), (REPEATS, 20))
    chance = 0.02 + 0.95 * np.exp(-x)
    found = fit_decay(x, rng.binomial(1000, chance), np.full(x.shape, 1000))
    for k, truth in enumerate((0.0, 0.95, 0.02)):
        spread_is_stated(found.values[:, k], found.stderr[:, k], truth)
    spread_is_stated((found.chi2 - 17) / np.sqrt(34), np.ones(REPEATS), 0.0)


def test_spread_of_sequences_is_part_of_the_error():
    rng = np.random.default_rng(2)
    x = np.broadcast_to(np.repeat([1.0, 20, 50, 100, 150], 12), (REPEATS, 60))
    rate = 0.01 * (1 + 0.1 * rng.standard_normal(x.shape))  # every sequence its own
    chance = 0.5 + 0.48 * np.exp(-rate * x)
    hits, shots = rng.binomial(4000, chance), np.full(x.shape, 4000)
    plain = fit_decay(x, hits, shots, offset=0.5)
    wide = fit_decay(x, hits, shots, offset=0.5, overdispersed=True)
    off = wide.values[:, 0] - np.log(0.01)
    assert (off / plain.stderr[:, 0]).std() > 1.3
    # Errors may be generous, by up to a quarter, but not small.
    assert 0.75 < (off / wide.stderr[:, 0]).std() < 1.1


@pytest.mark.parametrize(("beating", "gaussian"), [(False, False), (True, False), (True, True)])
def test_oscillations_are_found_from_no_first_guess(beating, gaussian):
    rng = np.random.default_rng(3)
    t = np.linspace(0, 1.0, 81)
    truth = np.array([np.log(0.5), 0.45, 0.05, 0.5, 13.0, *[0.4] * gaussian, *[4.0] * beating])
    chance = oscillation(np.tile(truth, (12, 1)), t, beating=beating, gaussian=gaussian)[0]
    hits, shots = rng.binomial(4000, chance), np.full(chance.shape, 4000)
    found = fit_oscillation(t, hits, shots, beating=beating, gaussian=gaussian)
    frequency = (found.values[:, 4] - 13.0) / found.stderr[:, 4]
    spread_is_stated(frequency, np.ones(12), 0.0)
    assert found.chi2.max() < chi2.isf(1e-5 / 12, found.freedom[0])


@settings(max_examples=20, deadline=None)
@given(st.floats(-2, 2), st.floats(-0.5, 0.5), st.floats(0.1, 0.5), st.floats(1, 20), st.booleans())
def test_slopes_are_derivatives(log_rate, c, b, f, extra):
    t = np.linspace(0, 1, 7)[None]
    tail = [0.7, 3.0] if extra else []
    values = np.array([[log_rate, c, 0.2, b, f, *tail]])
    kinds = {"beating": extra, "gaussian": extra}
    curves = [
        (lambda v: oscillation(v, t, **kinds), values),
        (lambda v: decay(v, t), values[:, :3]),
        (lambda v: decay(v, t, 0.5), values[:, :2]),
    ]
    for curve, at in curves:
        slopes = curve(at)[1]
        for k in range(at.shape[1]):
            step = np.zeros_like(at)
            step[0, k] = 1e-6
            difference = (curve(at + step)[0] - curve(at - step)[0]) / 2e-6
            assert np.allclose(slopes[..., k], difference, atol=1e-6)


def test_what_the_data_do_not_say_has_no_error():
    x = np.zeros((1, 5))  # one delay only
    found = fit_decay(x, np.full((1, 5), 50), np.full((1, 5), 100))
    assert np.isinf(found.stderr).all()
