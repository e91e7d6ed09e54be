"""Readout: published errors come back, states follow the projection, records the confusion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.noise import (
    assert_cptp,
    confusion_matrix,
    divide_out_preparation,
    heisenberg_z,
    measurement_instrument,
    measurement_joint,
    pair_confusion,
    reset_ptm,
    split_decay,
    thermal_relaxation,
)
from qdt_emu.noise.channels import ptm_choi
from qdt_emu.noise.readout import correlation_limits, measured_reset, with_preparation

SMALL = st.floats(0, 0.4)


@given(SMALL, SMALL, st.floats(0, 0.49))
def test_preparation_divided_out_and_put_back_gives_the_published_errors(p01, p10, excited):
    up, down, used, lowered = divide_out_preparation(p01, p10, excited)
    assert up >= 0
    assert down >= 0
    assert used <= excited
    assert lowered == (used < excited)
    np.testing.assert_allclose(with_preparation(up, down, used), (p01, p10), atol=1e-12)


def test_only_the_inconsistent_population_is_lowered():
    p01, p10, used, lowered = divide_out_preparation(
        np.array([0.002, 0.03]), np.array([0.409, 0.05]), 0.01
    )
    assert lowered.tolist() == [True, False]
    assert p01[0] == 0
    assert used[1] == 0.01
    np.testing.assert_allclose(with_preparation(p01, p10, used), [[0.002, 0.03], [0.409, 0.05]])


@given(SMALL, SMALL, st.floats(-1, 1))
def test_the_measured_z_follows_scale_and_offset(p01, p10, z):
    read = confusion_matrix(p01, p10) @ [(1 + z) / 2, (1 - z) / 2]
    scale, offset = heisenberg_z(p01, p10)
    assert abs(read[0] - read[1] - (scale * z + offset)) < 1e-15


def test_exchanged_errors_are_not_the_same():
    assert confusion_matrix(0.002, 0.409)[1, 0] == 0.002
    assert confusion_matrix(0.002, 0.409)[0, 1] == 0.409


@given(SMALL, SMALL, SMALL, SMALL, st.floats(0, 1))
def test_a_correlated_pair_keeps_its_marginals(a01, a10, b01, b10, where):
    first, second = np.array([a01, a10]), np.array([b01, b10])
    low, high = correlation_limits(first, second)
    assert low <= 1e-15
    assert high >= -1e-15
    pair = pair_confusion(first, second, low + where * (high - low)).reshape(2, 2, 2, 2)
    assert pair.min() > -1e-12
    of_first, of_second = pair.sum(1), pair.sum(0)
    for other in (0, 1):
        np.testing.assert_allclose(of_first[:, :, other], confusion_matrix(a01, a10), atol=1e-14)
        np.testing.assert_allclose(of_second[:, other], confusion_matrix(b01, b10), atol=1e-14)


def test_the_correlation_of_misreadings_is_the_given_one():
    first, second, wanted = np.array([0.1, 0.2]), np.array([0.15, 0.3]), 0.25
    pair = pair_confusion(first, second, wanted)
    for prepared in range(4):
        a, b = prepared >> 1, prepared & 1
        both = pair[3 - prepared, prepared]
        pa, pb = first[a], second[b]
        pearson = (both - pa * pb) / np.sqrt(pa * (1 - pa) * pb * (1 - pb))
        assert abs(pearson - wanted) < 1e-14


P01, P10, EXCITED, T1, READ_TIME = 0.01, 0.06, 0.02, 60e-6, 1.2e-6


def instrument(p01=P01, p10=P10, time=READ_TIME, *, split=True):
    decay = split_decay(p10, time, T1)[1] if split else 0.0
    joint = measurement_joint(p01, p10, np.exp(-time / T1), excited_population=EXCITED, decay=decay)
    return joint, measurement_instrument(joint)


@pytest.mark.parametrize("split", [True, False])
def test_the_instrument_has_both_marginals(split):
    joint, ptms = instrument(split=split)
    assert joint.min() >= 0
    np.testing.assert_allclose(joint.sum(1), confusion_matrix(P01, P10), atol=1e-15)
    total = ptms.sum(0)
    assert_cptp(total)
    relaxed = thermal_relaxation(READ_TIME, T1, T1, EXCITED) @ np.diag([1, 0, 0, 1])
    np.testing.assert_allclose(total, relaxed, atol=1e-15)
    assert np.linalg.eigvalsh(ptm_choi(ptms)).min() > -1e-15


def test_prepared_states_read_as_published():
    _, ptms = instrument()
    for state, error in ((0, P01), (1, P10)):
        vector = np.array([1, 0, 0, 1 - 2 * state])
        assert abs((ptms[1 - state] @ vector)[0] - error) < 1e-12


def test_a_misread_one_reads_one_again():
    joint, _ = instrument(time=0.0)
    after_zero = joint[0, :, 1] / joint[0, :, 1].sum()  # state after reading 0 from |1>
    second_zero = (confusion_matrix(P01, P10) @ after_zero)[0]
    assert abs(second_zero - P10) < 1e-15  # and not .995: noise is not applied to the state
    joint, _ = instrument(split=True)
    after_zero = joint[0, :, 1] / joint[0, :, 1].sum()
    decay = split_decay(P10, READ_TIME, T1)[1]
    assert after_zero[0] > decay / P10  # what was read as 0 because it decayed is in |0>


@given(st.floats(0, 0.5), st.floats(0, 1e-4))
def test_the_split_keeps_the_published_total(p10, time):
    assignment, decay = split_decay(p10, time, T1)
    assert abs(assignment + decay - p10) < 1e-16
    assert assignment >= 0
    if p10 > 0.1 and time < 1e-7:
        assert abs(decay - time / (2 * T1)) <= time / T1 * 1e-3 + 1e-16


def test_an_ideal_measurement_projects():
    ptms = measurement_instrument(measurement_joint(0.0, 0.0, 1.0))
    zero = ptms[0] @ [1, 1, 0, 0]  # |+> read as 0
    np.testing.assert_allclose(zero, [0.5, 0, 0, 0.5])


def test_resets():
    assert_cptp(reset_ptm(np.array([0.0, 0.03])))
    np.testing.assert_allclose(reset_ptm(0.03) @ [1, 0.2, 0, -1], [1, 0, 0, 0.94])
    _, ptms = instrument(time=0.0)
    reset = measured_reset(ptms)
    assert_cptp(reset)
    excited = (1 - (reset @ [1, 0, 0, -1])[3]) / 2
    assert abs(excited - P10) < 1e-15  # a misread |1> is not flipped
    ground = (1 - (reset @ [1, 0, 0, 1])[3]) / 2
    assert abs(ground - P01) < 1e-15  # a misread |0> is flipped
