"""The twin, measured like a processor, gives back its calibration; a wrong twin does not."""

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.calibrations.read import bundled
from qdt_emu.device import Device, Policy, build, what_if
from qdt_emu.device.target import to_target
from qdt_emu.validation.self_check import (
    TOLERANCE,
    measure_t1,
    measure_t2_echo,
    self_check,
)


@cache
def snapshot(name: str) -> Calibration:
    return read_calibration(name)


def checked(device: Device, calibration: Calibration):
    return self_check(device, calibration, to_target(device))


SMALL = ("ibmq_lima", "ibm_cairo")


@pytest.mark.parametrize(
    "name",
    [n if n in SMALL else pytest.param(n, marks=pytest.mark.slow) for n in bundled()],
)
def test_bundled_snapshots_come_back_within_a_millionth(name):
    calibration = snapshot(name)
    device = build(calibration)
    check = checked(device, calibration)
    assert check.passed
    assert check.max_deviation < 1e-6
    assert TOLERANCE == 1e-6
    readable = np.count_nonzero(~np.isnan(calibration.values("readout/assignment")[:, 0]))
    assert check.compared["t1"] == np.count_nonzero(~np.isnan(calibration.values("qubits/t1")))
    assert check.compared["readout 0"] == readable
    gates = sum(bool(i.infidelity) for i in device.instructions)
    assert check.compared["infidelity"] == gates
    assert len(check.explained) <= len(check.repaired)
    assert all(d.cause for d in check.explained)


def test_a_large_snapshot_is_checked_in_seconds():
    calibration = snapshot("ibm_fez")
    device = build(calibration)
    target = to_target(device)
    self_check(device, calibration, target)
    begin = time.process_time()
    assert self_check(device, calibration, target).passed
    # The goal is 3 s on two free cores; the bar allows for a busy machine.
    assert time.process_time() - begin < 12


def toy(**changes: object) -> Calibration:
    numbers = {"qubits": 3, "t1": 1e-4, "t2": 8e-5, "infidelity_1q": 5e-4, "zz": 40e3}
    return Calibration.uniform("toy", **numbers | changes)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(excited_population=0.004),
        Policy(negative_residual="keep"),
        Policy(uncalibrated="impute"),
        Policy(zz_frame="dressed"),
        Policy(zz=False),
    ],
)
def test_the_check_passes_under_every_policy(policy):
    numbers = toy(infidelity_1q=1e-4).values("gates_2q/infidelity").copy()
    numbers[0, 0] = 1.0
    calibration = toy(infidelity_1q=1e-4).with_values("gates_2q/infidelity", numbers)
    assert checked(build(calibration, policy), calibration).passed


def test_repairs_explain_their_deviations():
    calibration = toy(t2=3e-4)
    check = checked(build(calibration), calibration)
    assert check.passed
    assert {d.quantity for d in check.explained} == {"t2"}
    assert {d.cause for d in check.explained} == {"C5"}
    assert check.explained[0].twin == pytest.approx(2e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "quantity"),
    [
        ({"t1": {1: 9.9e-5}}, "t1"),
        ({"t2": {2: 7.9e-5}}, "t2"),
        ({"assignment": {0: (0.02, 0.01)}}, "readout 0"),
        ({"assignment": {0: (0.01, 0.0201)}}, "readout 1"),
        ({"infidelity": {"cz": 5.1e-3}}, "infidelity"),
        ({"over_rotation": {"sx": 0.01}}, "infidelity"),
    ],
)
def test_a_twin_that_differs_from_its_calibration_fails(change, quantity):
    calibration = toy()
    check = checked(what_if(build(calibration), **change), calibration)
    assert not check.passed
    assert quantity in {d.quantity for d in check.unexplained}


def test_rows_in_the_wrong_places_are_found():
    calibration = toy()
    numbers = calibration.values("gates_2q/infidelity").copy()
    numbers[0] = 4e-3 + 1e-3 * np.arange(numbers.shape[1])
    calibration = calibration.with_values("gates_2q/infidelity", numbers)
    device = build(calibration)
    assert checked(device, calibration).passed
    turned = device.parameters.depolarizing[::-1].copy()
    wrong = device.with_parameters(replace(device.parameters, depolarizing=turned))
    assert not checked(wrong, calibration).passed


def test_times_are_measured_and_not_looked_up():
    device = what_if(build(toy()), t1={0: 3e-5, 2: 7e-5})
    target = to_target(device)
    np.testing.assert_allclose(measure_t1(device, target), device.parameters.t1, rtol=1e-8)
    np.testing.assert_allclose(measure_t2_echo(device, target), device.parameters.t2, rtol=1e-8)


def test_gates_without_time_are_told_apart():
    calibration = toy()
    gone = calibration.values("gates_1q/duration").copy() * np.nan
    gone[0] = 0.0
    calibration = calibration.with_values("gates_1q/duration", gone)
    numbers = calibration.values("gates_1q/infidelity").copy()
    numbers[1], numbers[2] = 3e-4, 7e-4
    calibration = calibration.with_values("gates_1q/infidelity", numbers)
    assert checked(build(calibration), calibration).passed
