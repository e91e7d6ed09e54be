"""Resets fail as often as the readout that they are made of."""

import numpy as np
import pytest

from qdt_emu.device import Policy, what_if
from qdt_emu.device.conditional_reset import conditional_resets
from qdt_emu.twin import Twin
from tests.circuit.exact import RO, physical, toy

PERFECT = Policy(resets="perfect")


def test_the_error_is_the_mean_misreading():
    found = toy(2, assignment=(0.01, 0.04)).parameters.reset_excitation
    assert found == pytest.approx([0.025, 0.025])
    perfect = toy(2, policy=PERFECT, assignment=(0.01, 0.04))
    assert not perfect.parameters.reset_excitation.any()


def test_a_decay_after_the_outcome_is_flipped_up():
    found = toy(1, t1=5e-6, t2=5e-6, assignment=(0.01, 0.0)).parameters.reset_excitation
    assert found[0] == pytest.approx((0.01 + 1 - np.exp(-RO / 1e-5)) / 2)


def test_known_reset_errors_stay_and_changes_are_noted():
    device = toy(2, policy=PERFECT, assignment=(0.01, 0.04))
    device = what_if(device, reset_excitation={1: 0.2})
    found = conditional_resets(device)
    assert found.parameters.reset_excitation == pytest.approx([0.025, 0.2])
    assert found.notes[-1].case == "RS"
    assert conditional_resets(found) is found


def test_only_circuits_that_reset_are_told_about_it():
    twin = Twin.load(toy(2))
    for reset in (False, True):
        circuit = physical(2, 1)
        circuit.x(0)
        if reset:
            circuit.reset(0)
        circuit.measure(0, 0)
        notes = twin.run(circuit, shots=10, seed=1).report.notes
        assert any("(RS)" in note for note in notes) == reset
