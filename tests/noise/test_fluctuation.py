"""T1 from job to job.

Monte Carlo bounds are 5 standard errors (false alarm 6e-7 each) at fixed seeds.
"""

import numpy as np
import pytest

from qdt_emu.noise import drawn_t1, pure_dephasing_rate, shifted_t2
from qdt_emu.noise.during_gate import (
    hamiltonian_generator,
    relaxation_generator,
    several_qubits,
)
from qdt_emu.noise.fluctuation import (
    burst_rate,
    defect_rate,
    drawn_telegraph_rate,
    next_log_t1,
    telegraph_autocovariance,
    telegraph_spectrum,
    telegraph_transition,
)

COUNT = 40_000
JUMPS = {"rate_up": 1e-3, "rate_down": 3e-3}


def test_drawn_t1_is_log_normal_around_the_published_value():
    draws = np.log(drawn_t1(np.random.default_rng(0).normal(size=COUNT), 1e-4, 0.3))
    assert abs(draws.mean() - np.log(1e-4)) < 5 * 0.3 / np.sqrt(COUNT)
    assert abs(draws.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * COUNT)


def test_a_changed_t1_keeps_the_pure_dephasing():
    t1, t2, new = 1e-4, np.array([5e-5, 1.2e-4, 2e-4]), 3e-5
    t2_new = shifted_t2(t2, t1, new)
    np.testing.assert_allclose(
        pure_dephasing_rate(new, t2_new), pure_dephasing_rate(t1, t2), atol=1e-10
    )
    assert (t2_new <= 2 * new * (1 + 1e-15)).all()
    assert shifted_t2(np.inf, np.inf, np.inf) == np.inf


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0, 20.0])
def test_the_ou_step_keeps_the_spread_and_loses_memory_exponentially(ratio):
    normal = np.random.default_rng(1).normal(size=(2, COUNT))
    start = np.log(drawn_t1(normal[0], 1e-4, 0.3))
    later = next_log_t1(start, normal[1], ratio, median=1e-4, spread=0.3)
    assert abs(later.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * COUNT)
    correlation = np.corrcoef(start, later)[0, 1]
    assert abs(correlation - np.exp(-ratio)) < 5 / np.sqrt(COUNT)


def test_telegraph_transitions_form_a_semigroup_with_the_right_occupation():
    a, b = (telegraph_transition(elapsed=t, **JUMPS) for t in (100.0, 250.0))
    np.testing.assert_allclose(b @ a, telegraph_transition(elapsed=350.0, **JUMPS), atol=1e-15)
    np.testing.assert_allclose(a.sum(0), 1, atol=1e-15)
    np.testing.assert_allclose(a @ [0.75, 0.25], [0.75, 0.25], atol=1e-15)
    assert (telegraph_transition(0.0, 0.0, 5.0) == np.eye(2)).all()


def test_the_drawn_rate_is_bimodal_with_the_stationary_occupation():
    uniform = np.random.default_rng(2).random(COUNT)
    rates = drawn_telegraph_rate(uniform, 1e4, 5e4, **JUMPS)
    assert set(np.unique(rates)) == {1e4, 5e4}
    bound = 5 * np.sqrt(0.25 * 0.75 / COUNT)
    assert abs((rates == 5e4).mean() - 0.25) < bound
    assert abs(telegraph_autocovariance(0.0, 1e4, 5e4, **JUMPS) / rates.var() - 1) < 0.02


def test_the_telegraph_spectrum_integrates_to_the_variance_and_is_its_transform():
    frequency = np.tan(np.linspace(0, np.pi / 2, 20_001)[:-1]) * 1e-3
    spectrum = telegraph_spectrum(2 * np.pi * frequency, 1e4, 5e4, **JUMPS)
    variance = telegraph_autocovariance(0.0, 1e4, 5e4, **JUMPS)
    assert abs(np.trapezoid(spectrum, frequency) / variance - 1) < 1e-3
    lag = np.linspace(0, 1e4, 400_001)
    covariance = telegraph_autocovariance(lag, 1e4, 5e4, **JUMPS)
    for omega in (0.0, 2e-3, 1e-2):
        cosine = 4 * np.trapezoid(covariance * np.cos(omega * lag), lag)
        assert abs(cosine / telegraph_spectrum(omega, 1e4, 5e4, **JUMPS) - 1) < 1e-3


@pytest.mark.parametrize("detuning", [0.0, 2e6])
def test_the_defect_rate_is_the_slow_decay_of_two_coupled_spins(detuning):
    coupling, decay, dephasing = 1e4, 1e6, 5e5
    exchange = np.zeros((4, 4))
    exchange[1, 2] = exchange[2, 1] = coupling
    splitting = detuning * np.diag([0.5, 0.5, -0.5, -0.5])
    width = decay / 2 + dephasing
    relaxation = np.stack(
        [relaxation_generator(np.inf, np.inf), relaxation_generator(1 / decay, 1 / width)]
    )
    generator = hamiltonian_generator(exchange + splitting) + several_qubits(relaxation)
    expected = defect_rate(coupling, width, detuning)
    values = np.linalg.eigvals(generator)
    decays = -values[abs(values.imag) < 1e-3 * decay].real
    assert abs(decays / expected - 1).min() < 6e-4


def test_a_burst_hits_a_disc_and_recovers():
    found = burst_rate(
        1e5,
        np.array([0.5, 0.5, 0.5, 2.0]),
        np.array([-1e-3, 0, 0.02, 0]),
        radius=1.0,
        recovery=0.02,
    )
    np.testing.assert_allclose(found, [0, 1e5, 1e5 / np.e, 0])
