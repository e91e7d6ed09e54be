"""Laws of thermal relaxation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.noise import (
    assert_cptp,
    decay_factors,
    identity_weight,
    kraus_ptm,
    pauli_twirl,
    relaxation_events,
    relaxation_kraus,
    relaxation_process_fidelity,
    relaxation_ptm,
    relaxation_remainder_kraus,
    reset_ptm,
    thermal_population,
    thermal_relaxation,
)
from qdt_emu.noise.channels import channel_process_fidelity, cptp_defects, ptm_choi

TIMES = st.floats(0.0, 20.0)  # in units of T1
RATIOS = st.floats(0.01, 2.0)  # T2 / T1
POPULATIONS = st.floats(0.0, 0.5)
T1 = 1e-4


@given(TIMES, RATIOS, POPULATIONS)
def test_it_is_a_channel(time, ratio, excited):
    assert_cptp(thermal_relaxation(time * T1, T1, ratio * T1, excited))


@given(TIMES, TIMES, RATIOS, POPULATIONS)
def test_two_idles_compose_into_one(a, b, ratio, excited):
    first, second, both = (thermal_relaxation(t, 1.0, ratio, excited) for t in (a, b, a + b))
    np.testing.assert_allclose(second @ first, both, atol=1e-14)


@given(TIMES, RATIOS, POPULATIONS)
def test_kraus_operators_give_the_ptm(time, ratio, excited):
    ptm = thermal_relaxation(time, 1.0, ratio, excited)
    decay, coherence = decay_factors(time, 1.0, ratio)
    np.testing.assert_allclose(
        kraus_ptm(relaxation_kraus(decay, coherence, excited)), ptm, atol=1e-14
    )
    np.testing.assert_allclose(relaxation_ptm(decay, coherence, excited), ptm, atol=1e-15)


def random_parameters(count, seed):
    rng = np.random.default_rng(seed)
    time = 10 ** rng.uniform(-12, 1.3, count)
    ratio = np.where(rng.random(count) < 0.1, 2.0, rng.uniform(0.01, 2.0, count))
    excited = rng.uniform(0, 0.5, count) * (rng.random(count) < 0.7)
    return time, ratio, excited


def test_identity_and_remainder_mix_to_the_channel():
    time, ratio, excited = random_parameters(20_000, 1)
    decay, coherence = np.moveaxis(decay_factors(time, 1.0, ratio), -1, 0)
    weight = identity_weight(decay, coherence, excited)[:, None, None]
    remainder = kraus_ptm(relaxation_remainder_kraus(decay, coherence, excited))
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert_cptp(remainder, 1e-11)
    mixture = weight * np.eye(4) + (1 - weight) * remainder
    np.testing.assert_allclose(
        mixture, thermal_relaxation(time, 1.0, ratio, excited), rtol=0, atol=1e-12
    )


def test_no_larger_identity_weight_is_possible():
    time, ratio, excited = random_parameters(1000, 2)
    time = np.clip(time, 1e-3, 2.0)
    decay, coherence = np.moveaxis(decay_factors(time, 1.0, ratio), -1, 0)
    weight = identity_weight(decay, coherence, excited)[:, None, None]
    rest = thermal_relaxation(time, 1.0, ratio, excited) - weight * np.eye(4)
    lowest = np.linalg.eigvalsh(ptm_choi(rest))[:, 0]
    np.testing.assert_allclose(lowest, 0, atol=1e-12)


def test_identity_weight_of_the_known_example_beats_the_event_form():
    assert abs(identity_weight(0.99, 0.985, 0.0) - 0.98875) < 1e-12
    t1, t2 = -1 / np.log(0.99), -1 / np.log(0.985)
    assert abs(relaxation_events(1.0, t1, t2)[2] - 0.98750) < 1e-12
    assert abs(identity_weight(0.81, 0.9, 0.0)) < 1e-12  # T2 = 2 T1: pure amplitude damping


@given(TIMES, st.floats(0.01, 1.0), POPULATIONS)
def test_events_give_the_ptm(time, ratio, excited):
    reset, flip, nothing = relaxation_events(time, 1.0, ratio)
    assert min(reset, flip, nothing) >= -1e-15
    mixture = reset * reset_ptm(excited) + flip * np.diag([1, -1, -1, 1]) + nothing * np.eye(4)
    np.testing.assert_allclose(mixture, thermal_relaxation(time, 1.0, ratio, excited), atol=1e-14)


@given(TIMES, RATIOS, POPULATIONS)
def test_the_process_fidelity_is_that_of_the_ptm(time, ratio, excited):
    ptm = thermal_relaxation(time, 1.0, ratio, excited)
    found = relaxation_process_fidelity(time, 1.0, ratio)
    assert abs(found - channel_process_fidelity(ptm)) < 1e-15


def test_complete_positivity_ends_at_twice_t1():
    time = np.array([1e-3, 0.1, 1.0])
    edge, beyond = (cptp_defects(thermal_relaxation(time, 1.0, t2))[0] for t2 in (2.0, 2.01))
    np.testing.assert_allclose(edge, 0, atol=1e-15)
    assert (beyond < -1e-7).all()


def test_the_twirl_forgets_the_pull_to_the_ground_state():
    time, ratio, excited = 0.3, 1.2, 0.05
    e1, e2 = np.exp(-time), np.exp(-time / ratio)
    flips = (1 - e1) / 4
    expected = [1 - 2 * flips - ((1 - e2) / 2 - flips), flips, flips, (1 - e2) / 2 - flips]
    ptm = thermal_relaxation(time, 1.0, ratio, excited)
    np.testing.assert_allclose(pauli_twirl(ptm), expected, atol=1e-15)


def test_positive_twirl_probabilities_do_not_prove_a_channel():
    ptm = thermal_relaxation(3.0, 1.0, 2.2)
    assert pauli_twirl(ptm).min() > 0
    assert cptp_defects(ptm)[0] < 0


def test_the_ground_state_stays_without_twirl_and_not_with_it():
    ptm = thermal_relaxation(0.3, 1.0, 1.2)
    ground = np.array([1, 0, 0, 1.0])
    np.testing.assert_allclose(ptm @ ground, ground, atol=1e-15)
    twirled = np.diag(np.diagonal(ptm))
    assert abs((twirled @ ground)[3] - np.exp(-0.3)) < 1e-15


def test_infinite_times_and_zero_duration_are_exact():
    assert (thermal_relaxation(1.0, np.inf, np.inf) == np.eye(4)).all()
    assert (thermal_relaxation(0.0, 1.0, 1.0, 0.3) == np.eye(4)).all()
    assert identity_weight(1.0, 1.0, 0.1) == 1
    only_dephasing = thermal_relaxation(1.0, np.inf, 2.0)
    np.testing.assert_allclose(only_dephasing, np.diag([1, np.exp(-0.5), np.exp(-0.5), 1]))


def test_the_stationary_state_is_the_thermal_one():
    state = thermal_relaxation(100.0, 1.0, 1.0, 0.03) @ np.array([1, 0.5, 0.5, -1])
    np.testing.assert_allclose(state, [1, 0, 0, 0.94], atol=1e-15)


def test_thermal_population_has_both_limits():
    assert abs(thermal_population(5e9, 50e-3) - 0.00817) < 1e-5
    assert thermal_population(5e9, 0.0) == 0
    assert thermal_population(5e9, 1e-5) == 0  # no overflow warning
    assert abs(thermal_population(5e9, 1e6) - 0.5) < 1e-6


def test_factors_of_different_shapes_broadcast():
    decay, excited = np.array([0.9, 0.8, 0.7]), np.array([[0.0], [0.1]])
    assert relaxation_kraus(decay, 0.8, excited).shape == (2, 3, 4, 2, 2)
    assert relaxation_remainder_kraus(decay, 0.8, excited).shape == (2, 3, 3, 2, 2)
    assert relaxation_ptm(decay, 0.8, excited).shape == (2, 3, 4, 4)
