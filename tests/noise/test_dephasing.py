"""Slow dephasing: closed forms, their limits, and the draws that must reproduce them.

Monte Carlo bounds are 5 standard errors (false alarm 6e-7 each) at fixed seeds.
"""

import numpy as np
import pytest

from qdt_emu.noise import dephasing as dp
from qdt_emu.noise import draw_detuning, pure_dephasing_rate, quasi_static_spread

SHOTS = 20_000


def mean_and_bound(values):
    return values.mean(0), 5 * values.std(0) / np.sqrt(len(values)) + 1e-12


def test_ramsey_and_echo_times_are_both_reproduced():
    t1, t2_star, t2_echo = 90e-6, 40e-6, 110e-6
    spread = quasi_static_spread(t2_star, t2_echo)
    assert abs(np.log(dp.ramsey_coherence(t2_star, t1, t2_echo, spread)) + 1) < 1e-14
    assert abs(np.log(dp.ramsey_coherence(t2_echo, t1, t2_echo, 0.0)) + 1) < 1e-14
    assert quasi_static_spread(t2_echo, t2_star) == 0
    assert abs(pure_dephasing_rate(t1, t2_echo) - (1 / t2_echo - 1 / (2 * t1))) < 1e-9


def test_gates_in_a_row_dephase_with_the_square_of_their_number():
    spread, tau, gates = 2 * np.pi * 2e3, 3e-6, 40
    rng = np.random.default_rng(1)
    detuning = draw_detuning(rng.normal(size=SHOTS), rng.random(SHOTS), spread)
    found, bound = mean_and_bound(np.cos(detuning * tau * gates))
    expected = dp.quasi_static_coherence(gates * tau, spread)
    assert abs(found - expected) < bound
    assert abs(expected - 0.321) < 1e-3
    assert abs(dp.quasi_static_coherence(tau, spread) ** gates - 0.972) < 1e-3  # the mistake
    echoed = np.cos(detuning * tau * gates / 2 - detuning * tau * gates / 2)
    assert (echoed == 1).all()


def test_charge_parity_beats_and_revives():
    splitting, rng = 20e3, np.random.default_rng(2)
    times = np.array([0.0, 0.1, 0.5, 1.0]) / splitting
    np.testing.assert_allclose(
        dp.charge_parity_coherence(times, splitting), [1, np.cos(0.1 * np.pi), 0, -1], atol=1e-15
    )
    shots = draw_detuning(np.zeros(SHOTS), rng.random(SHOTS), 0.0, splitting)
    assert abs(shots.mean()) < 5 * np.pi * splitting / np.sqrt(SHOTS)
    signal = np.exp(1j * shots[:, None] * times)
    np.testing.assert_allclose(
        signal.mean(0).real, dp.charge_parity_coherence(times, splitting), atol=1e-12
    )


def test_ou_coherence_has_both_limits_and_no_gap_between_its_forms():
    spread, time = 3e4, 2e-5
    fast = dp.ornstein_uhlenbeck_coherence(time, spread, 1e-10)
    assert abs(fast - np.exp(-(spread**2) * 1e-10 * time)) < 1e-9
    slow = dp.ornstein_uhlenbeck_coherence(time, spread, 1e6)
    assert abs(slow - dp.quasi_static_coherence(time, spread)) < 1e-11
    around = dp.ornstein_uhlenbeck_coherence(np.array([0.0099999999, 0.0100000001]), 100.0, 1.0)
    slope = 1e4 * 0.01  # of the exponent, at t = 0.01
    assert abs(np.diff(np.log(around))[0] + slope * 2e-10) < 1e-10


@pytest.mark.parametrize("correlation", [2e-6, 2e-5, 1e-2])
def test_ou_paths_follow_the_closed_form(correlation):
    spread, step, steps = 6e4, 2.5e-7, 81
    normal = np.random.default_rng(3).normal(size=(SHOTS, steps))
    path = dp.ornstein_uhlenbeck_path(normal, spread, correlation, step)
    deviation, bound = mean_and_bound(path**2)
    assert (abs(deviation - spread**2) < bound).all()
    lagged, bound = mean_and_bound(path[:, 0] * path[:, 20])
    assert abs(lagged - spread**2 * np.exp(-20 * step / correlation)) < bound
    phase = step * (path[:, :-1] + path[:, 1:]).sum(1) / 2
    found, bound = mean_and_bound(np.cos(phase))
    expected = dp.ornstein_uhlenbeck_coherence(step * (steps - 1), spread, correlation)
    # The trapezoid rule on a rough path: relative step/correlation squared over 6 in the exponent.
    assert abs(found - expected) < bound + 3e-3 * (step / correlation > 0.05)


@pytest.mark.parametrize(("amplitude", "rate"), [(1e5, 1e6), (3e5, 3e5), (1e6, 1e5), (1e6, 0.0)])
def test_telegraph_coherence_solves_its_equation(amplitude, rate):
    # f'' + 2 g f' + v^2 f = 0 with f(0) = 1, f'(0) = 0, by finite differences.
    time, step = np.linspace(1e-7, 6e-6, 9), 1e-9
    left, mid, right = (dp.telegraph_coherence(time + s, amplitude, rate) for s in (-step, 0, step))
    residual = (right - 2 * mid + left) / step**2 + rate * (right - left) / step
    np.testing.assert_allclose(residual / amplitude**2, -mid, atol=2e-3)
    assert abs(dp.telegraph_coherence(0.0, amplitude, rate) - 1) < 1e-15
    assert abs(dp.telegraph_coherence(1e-12, amplitude, rate) - 1) < 1e-11


def test_telegraph_coherence_of_a_fast_bath_does_not_overflow():
    motional = dp.telegraph_coherence(1.0, 1e3, 1e7)
    assert abs(motional - np.exp(-(1e3**2) / (2 * 1e7))) < 1e-6


def test_telegraph_paths_follow_the_closed_form():
    amplitude, rate, step, steps = 4e5, 1e5, 2e-8, 401
    uniform = np.random.default_rng(4).random((SHOTS // 2, steps))
    path = dp.telegraph_path(uniform, amplitude, rate, step)
    assert set(np.unique(path)) == {-amplitude, amplitude}
    phase = step * (path[:, :-1] + path[:, 1:]).sum(1) / 2
    found, bound = mean_and_bound(np.cos(phase))
    expected = dp.telegraph_coherence(step * (steps - 1), amplitude, rate)
    assert abs(found - expected) < bound


def spectral_integral(filter_function, lowest):
    """4 times the integral of filter(x) / x^3 over x > lowest, by a fine logarithmic grid."""
    log = np.linspace(np.log(lowest), np.log(2e3), 2_000_001)
    x = np.exp(log)
    return 4 * np.trapezoid(filter_function(x) / x**2, log)


def test_one_over_f_formulas_are_their_spectral_integrals():
    amplitude, time = 3e4, 1e-5
    area = (amplitude * time) ** 2
    ramsey = spectral_integral(lambda x: np.sin(x / 2) ** 2, 1e-4)
    found = dp.one_over_f_ramsey(time, amplitude, 1e-4 / time)
    assert abs(-np.log(found) / area - ramsey) < 1e-5
    echo = spectral_integral(lambda x: 4 * np.sin(x / 4) ** 4, 1e-6)
    assert abs(-np.log(dp.one_over_f_echo(time, amplitude)) / area - echo) < 1e-5
    assert dp.one_over_f_ramsey(0.0, amplitude, 1.0) == 1
