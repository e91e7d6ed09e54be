"""The device is immutable, has an identity, and draws jobs."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration
from qdt_emu.device import build, what_if


def toy(**changes: object):
    return build(Calibration.uniform("toy", **{"qubits": 3, "t1": 1e-4, "t2": 8e-5} | changes))


def test_no_number_of_a_device_can_be_changed_in_place():
    device = toy()
    with pytest.raises(ValueError, match="read-only"):
        device.parameters.t1[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        device.readout_duration[0] = 1.0
    with pytest.raises(TypeError):
        device.excluded["x", (0,)] = "no"
    with pytest.raises(FrozenInstanceError):
        device.name = "other"


def test_equal_devices_have_one_id_and_any_change_another():
    device = toy()
    assert device.id == toy().id
    changed = [
        toy(t1=1.1e-4),
        toy(infidelity_2q=4e-3),
        toy(assignment=(0.01, 0.021)),
        toy(zz=1e3),
        toy(duration_2q=301e-9),
        toy(readout_duration=2e-6),
        what_if(device, feedforward_latency=2e-6),
        what_if(device, detuning=1e3),
        replace(device, zz_frame="dressed"),
        replace(device, dt=1e-9),
    ]
    assert len({device.id, *(d.id for d in changed)}) == len(changed) + 1


def test_job_draws_have_the_mean_and_spread_of_ln_t1():
    device = what_if(toy(), t1_spread={0: 0.3, 1: 0.1})
    rng = np.random.default_rng(7)
    n = 4000
    draws = [device.draw_job(rng).parameters for _ in range(n)]
    logs = np.log([p.t1 for p in draws]) - np.log(1e-4)
    # 5.2 sigma: false alarm 2e-7 per comparison.
    for q, sd in ((0, 0.3), (1, 0.1)):
        assert abs(logs[:, q].mean()) < 5.2 * sd / np.sqrt(n)
        assert abs(logs[:, q].std() / sd - 1) < 5.2 / np.sqrt(2 * n)
    assert not logs[:, 2].any()
    pure = [1 / p.t2 - 0.5 / p.t1 for p in draws]
    np.testing.assert_allclose(pure, 1 / 8e-5 - 0.5 / 1e-4, rtol=1e-9)


def test_without_spread_a_job_is_the_device_itself():
    device = toy()
    assert device.draw_job(np.random.default_rng(0)) is device


def test_rows_and_neighbours_follow_the_topology():
    device = toy()
    assert device.neighbours == ((1,), (0, 2), (1,))
    assert device.coupler_row[2, 1] == device.coupler_row[1, 2] == 1
    assert all(device.instructions[device.row[i.name, i.qubits]] is i for i in device.instructions)
    assert repr(device).startswith("Device('toy', qubits=3, couplers=2")
