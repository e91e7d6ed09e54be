"""Standard errors of readout follow the binomial law of the shots they came from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.calibrations.readers.shots import GRIDS, binomial_stderr, shots_of


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(GRIDS), st.integers(0, 2**32 - 1))
def test_the_shots_of_a_device_are_found(shots, seed):
    """False alarm: all 120 counts divisible by a prime of N, below 2^-119."""
    chance = np.random.default_rng(seed)
    truth = chance.uniform(0.005, 0.1, (60, 2))
    measured = chance.binomial(shots, truth) / shots
    assert np.all(shots_of(measured) == shots)


def test_numbers_off_every_grid_have_no_shots():
    values = np.random.default_rng(1).uniform(0.001, 0.2, (30, 2))
    assert np.isnan(shots_of(values)).all()


def test_three_values_decide_nothing():
    assert np.isnan(shots_of(np.array([[0.25], [0.5], [0.125]]))).all()


def test_a_qubit_measured_apart_has_its_own_shots():
    chance = np.random.default_rng(2)
    values = chance.binomial(5000, 0.02, (40, 2)) / 5000
    values[7] = [79 / 300, 81 / 300]
    values[8] = [np.pi / 100, np.e / 100]
    shots = shots_of(values)
    assert np.all(np.delete(shots, [7, 8], axis=0) == 5000)
    assert np.all(shots[7] == 300)
    assert np.isnan(shots[8]).all()


def test_missing_values_have_no_shots():
    values = np.random.default_rng(3).binomial(4096, 0.02, (40, 2)) / 4096
    values[3, 1] = np.nan
    shots = shots_of(values)
    assert np.isnan(shots[3, 1])
    assert np.nansum(shots) == 4096 * 79


@given(st.sampled_from(GRIDS), st.floats(0.001, 0.999))
def test_the_standard_error_is_binomial(shots, p):
    (stderr,) = binomial_stderr(np.array([p]), float(shots))
    assert stderr == pytest.approx(np.sqrt(p * (1 - p) / shots))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_no_count_is_certain(p):
    (stderr,) = binomial_stderr(np.array([p]), 4096.0)
    assert 0.9 / 4096 < stderr < 1.1 / 4096


def test_the_mean_of_two_preparations_has_half_their_joint_error(properties):
    properties["qubits"] = [
        [{**r, "value": r["value"] + q / 4096} if r["name"].startswith("prob") else r for r in rows]
        for q, rows in enumerate([properties["qubits"][0]] * 12)
    ]
    properties |= {"gates": [], "general": []}
    toy = read_ibm(properties)
    parts, mean = toy.stderr("readout/assignment"), toy.stderr("readout/readout_error")
    p = toy.values("readout/assignment")
    assert parts == pytest.approx(np.sqrt(p * (1 - p) / 4096))
    assert mean == pytest.approx(np.hypot(*parts.T) / 2)


def test_ibm_boston_was_read_out_with_2048_shots(load):
    boston = read_ibm(*load("boston"))
    p, stderr = boston.values("readout/assignment"), boston.stderr("readout/assignment")
    inside = (p > 0) & (p < 1)
    assert stderr[inside] == pytest.approx(np.sqrt(p * (1 - p) / 2048)[inside])
