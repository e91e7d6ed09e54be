"""Resets fail as often as the readout that they are made of."""

import numpy as np
import pytest

from qdt_emu.device import what_if
from qdt_emu.device.conditional_reset import conditional_resets
from tests.circuit.exact import RO, toy


def test_the_error_is_the_mean_misreading():
    found = conditional_resets(toy(2, assignment=(0.01, 0.04))).parameters.reset_excitation
    assert found == pytest.approx([0.025, 0.025])


def test_a_decay_after_the_outcome_is_flipped_up():
    device = toy(1, t1=5e-6, t2=5e-6, assignment=(0.01, 0.0))
    found = conditional_resets(device).parameters.reset_excitation
    assert found[0] == pytest.approx((0.01 + 1 - np.exp(-RO / 1e-5)) / 2)


def test_known_reset_errors_stay_and_changes_are_noted():
    device = what_if(toy(2, assignment=(0.01, 0.04)), reset_excitation={1: 0.2})
    found = conditional_resets(device)
    assert found.parameters.reset_excitation == pytest.approx([0.025, 0.2])
    assert found.notes[-1].case == "RS"
    assert conditional_resets(found) is found
