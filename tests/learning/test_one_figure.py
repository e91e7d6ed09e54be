"""One factor from one figure."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.device import what_if
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import InputError
from qdt_emu.learning.one_figure import (
    FACTORS,
    failing_resets,
    fit_one_figure,
    scaled_gates,
    scaled_readout,
    scaled_relaxation,
)
from tests.circuit.exact import toy


@given(truth=st.floats(0.01, 0.99), power=st.floats(0.2, 5), rising=st.booleans())
def test_any_monotone_figure_is_met(truth, power, rising):
    sign = 1 if rising else -1

    def figure(x):
        return sign * (x**power + 0.1 * x)

    found = fit_one_figure(figure, figure(truth), 1e-4, bounds=(0.0, 1.0))
    assert found.bracketed
    assert abs(found.figure - figure(truth)) <= 1e-5
    assert found.evaluations < 50


def test_the_band_covers_the_truth_as_often_as_it_says():
    # 400 fits, binomial: outside 60 % to 76 % with a chance below 1e-3; the seed is fixed.
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(400):
        measured = math.exp(-0.7) + 0.01 * rng.standard_normal()
        found = fit_one_figure(lambda x: math.exp(-x), measured, 0.01, bounds=(0.0, 3.0))
        inside += abs(found.value - 0.7) < found.stderr
    assert 0.60 < inside / 400 < 0.76


def test_a_figure_out_of_reach_is_said_to_be():
    found = fit_one_figure(lambda x: x, 5.0, 0.1, bounds=(0.0, 1.0))
    assert (found.value, found.stderr, found.bracketed) == (1.0, math.inf, False)


def test_noise_of_the_prediction_widens_the_band():
    alone = fit_one_figure(lambda x: x, 0.5, 3e-3, bounds=(0.0, 1.0))
    both = fit_one_figure(lambda x: x, 0.5, 3e-3, bounds=(0.0, 1.0), predicted_stderr=4e-3)
    assert both.stderr / alone.stderr == pytest.approx(5 / 3)


@pytest.mark.parametrize("stderr", [0.0, -1.0, math.nan, math.inf])
def test_a_figure_without_an_error_is_refused(stderr):
    with pytest.raises(InputError, match="standard error"):
        fit_one_figure(lambda x: x, 0.5, stderr, bounds=(0.0, 1.0))


@pytest.mark.parametrize("name", sorted(FACTORS))
def test_a_factor_of_one_changes_nothing(name):
    device = what_if(toy(3), reset_excitation=0.02)
    for old, new in zip(
        jax.tree.leaves(device.parameters),
        jax.tree.leaves(FACTORS[name](device, 1.0).parameters),
        strict=True,
    ):
        assert new == pytest.approx(old, abs=1e-15)


def test_gates_get_their_factor_of_infidelity():
    before, after = gate_infidelity(toy(3)), gate_infidelity(scaled_gates(toy(3), 2.5))
    two = np.array([len(i.qubits) == 2 for i in toy(3).instructions])
    assert after[two] == pytest.approx(2.5 * before[two], rel=0.03)
    assert after[~two] == pytest.approx(before[~two])


def test_misreading_twice_squares_the_contrast():
    device = scaled_readout(toy(1, assignment=(0.02, 0.08)), 2.0)
    assert device.parameters.assignment[0] == pytest.approx([0.038, 0.152])
    # A useless readout stays so.
    assert scaled_readout(toy(1, assignment=(0.5, 0.5)), 3.0).parameters.assignment.sum() == 1.0


def test_rates_scale():
    device = scaled_relaxation(toy(1), 2.0)
    assert device.parameters.t1[0] == pytest.approx(5e-5)


def test_failures_of_resets_compose_as_flips():
    device = what_if(toy(1), reset_excitation=0.1)
    twice = failing_resets(failing_resets(device, 0.2), 0.3).parameters.reset_excitation[0]
    assert 1 - 2 * twice == pytest.approx(0.8 * 0.6 * 0.4)
