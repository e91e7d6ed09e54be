"""The question 'what if': what is replaced, what is kept, what is refused."""

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration
from qdt_emu.device import build, ideal, what_if
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import InputError


def toy(**changes: object):
    calibration = {"qubits": 3, "t1": 1e-4, "t2": 8e-5, "zz": 10e3}
    return build(Calibration.uniform("toy", **calibration | changes))


def test_the_old_device_is_unchanged_and_the_new_one_says_what_was_done():
    device = toy()
    before = device.id
    new = what_if(device, t1={1: 2e-5}, zz={(1, 0): 5e3})
    assert device.id == before != new.id
    assert new.parameters.zz.tolist() == [5e3, 10e3]
    assert [n.where for n in new.notes if n.case == "what_if"] == ["t1", "zz"]


def test_a_new_t1_keeps_pure_dephasing_and_residual():
    device, new = toy(), what_if(toy(), t1={1: 2e-5})
    rate = 1 / 8e-5 - 0.5 / 1e-4
    assert new.parameters.t2[1] == pytest.approx(1 / (rate + 0.5 / 2e-5), rel=1e-12)
    assert new.parameters.t2[0] == 8e-5
    assert (new.parameters.depolarizing == device.parameters.depolarizing).all()
    row = device.require("cz", (0, 1))
    assert gate_infidelity(new)[row] > gate_infidelity(device)[row]


def test_t1_and_t2_may_be_given_together_in_any_order():
    one = what_if(toy(), t1=2e-5, t2=3e-5)
    two = what_if(toy(), t2=3e-5, t1=2e-5)
    assert one.parameters.t2.tolist() == two.parameters.t2.tolist() == [3e-5] * 3


def test_a_new_infidelity_is_the_total():
    new = what_if(toy(), infidelity={"cz": 0.02, ("sx", (0,)): 3e-3})
    r = gate_infidelity(new)
    assert r[new.require("cz", (1, 2))] == pytest.approx(0.02, abs=1e-15)
    assert r[new.require("sx", (0,))] == pytest.approx(3e-3, abs=1e-15)
    assert r[new.require("sx", (1,))] == pytest.approx(2e-4, abs=1e-15)


def test_a_symmetric_gate_changes_in_both_orders_and_a_directed_one_does_not():
    new = what_if(toy(), infidelity={("cz", (0, 1)): 0.02})
    r = gate_infidelity(new)
    assert r[new.require("cz", (1, 0))] == pytest.approx(0.02)
    assert r[new.require("cz", (1, 2))] == pytest.approx(5e-3)
    new = what_if(toy(gate_2q="ecr"), infidelity={("ecr", (0, 1)): 0.02})
    assert gate_infidelity(new)[new.require("ecr", (1, 0))] == pytest.approx(5e-3)


def test_phases_of_a_symmetric_gate_stay_on_their_qubits():
    for given in (
        {("cz", (0, 1)): (0.2, -0.1)},
        {("cz", (1, 0)): (-0.1, 0.2)},
        {"cz": (0.2, -0.1)},
    ):
        p = what_if(toy(), phase=given).parameters.phase
        assert p[toy().require("cz", (0, 1))].tolist() == [0.2, -0.1]
        assert p[toy().require("cz", (1, 0))].tolist() == [-0.1, 0.2]
    p = what_if(toy(gate_2q="ecr"), phase={"ecr": (0.2, -0.1)}).parameters.phase
    assert p[toy(gate_2q="ecr").require("ecr", (1, 0))].tolist() == [0.2, -0.1]
    both = what_if(what_if(toy(), phase={"sx": (0.3, 0)}), phase={"cz": 0.1}).parameters.phase
    assert both[toy().require("sx", (1,))].tolist() == [0.3, 0]


def test_every_parameter_can_be_replaced():
    new = what_if(
        toy(),
        t2=5e-5,
        excited=0.01,
        assignment={0: (0.03, 0.04)},
        reset_excitation={2: 0.1},
        detuning=1e3,
        charge_parity={1: 2e3},
        t1_spread=0.2,
        over_rotation={"sx": 0.01},
        phase={"cz": (0.1, 0.2)},
        leakage={"cz": (1e-3, 1e-2)},
        offset={0: -3e3},
        stark={((0, 1), 2): 4e4},
        spectator_flips={((0, 1), 2): (1e-3, 2e-3)},
        context={((0, 1), None): (0.1, 0.2, 0.3)},
        pauli_rates={("cz", (0, 1)): np.arange(1, 16) * 1e-4},
        depolarizing={"x": 1e-3},
        crosstalk=2.0,
        spectator_zz=0.5,
        feedforward_latency=5e-7,
    )
    p = new.parameters
    assert p.assignment[0].tolist() == [0.03, 0.04]
    assert p.assignment[1].tolist() == [0.01, 0.02]
    assert p.phase[new.require("cz", (0, 1))].tolist() == [0.1, 0.2]
    assert p.leakage[new.require("sx", (0,))].tolist() == [0, 0]
    assert p.over_rotation[new.require("sx", (1,))] == 0.01
    assert p.mechanisms == (
        "over_rotation", "phase", "detuning", "charge_parity", "t1_spread", "leakage",
        "offset", "pauli_rates", "stark", "context", "spectator_flips",
    )  # fmt: skip
    assert new.feedforward_latency == 5e-7
    there, back = (p.pauli_rates[new.require("cz", pair)] for pair in ((0, 1), (1, 0)))
    assert there[0] == back[3] == pytest.approx(1e-4)  # IX of (0, 1) is XI of (1, 0)
    assert there[6] == back[12]  # XZ is ZX
    assert there[4] == back[4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"T1": 1e-5}, r"`T1` is not a parameter of a device; known: t1, t2"),
        ({"t1": 0}, r"`t1` must lie in \(0, inf\], but is 0 at every place"),
        ({"t1": {0: -1e-6}}, r"`t1` must lie in \(0, inf\], but is -1e-06 at 0"),
        ({"t1": {5: 1e-5}}, r"'toy' has qubits 0 to 2, but not 5"),
        ({"t1": "long"}, r"`t1` must be a number, but is 'long'"),
        ({"t1": np.nan}, r"`t1` must lie in .* but is nan"),
        ({"t1": [1e-5, 1e-5]}, r"`t1` must be a number or have shape \(3,\), but has shape \(2,\)"),
        ({"t2": 3e-4}, r"`t2` must be at most 2 \* `t1`, but qubit 0 .*Give both"),
        ({"excited": 0.6}, r"`excited` must lie in \[0, 0.5\], but is 0.6"),
        ({"assignment": {0: 1.2}}, r"`assignment` must lie in \[0, 1\], but is 1.2 at 0"),
        ({"assignment": {0: (1, 0, 0)}}, r"`assignment` must be a number or have shape \(2,\)"),
        ({"zz": {(0, 2): 1e3}}, r"no coupler \(0, 2\)"),
        ({"infidelity": {"cx": 0.1}}, r"no instruction 'cx'; it has cz, rz, sx, x"),
        ({"infidelity": {("cz", (0, 2)): 0.1}}, r"no `cz` on 0, 2"),
        ({"infidelity": {("cz",): 0.1}}, r"must be a gate name or \(name, qubits\)"),
        ({"infidelity": {"cz": 1e-6}}, r"`infidelity` of cz on 0, 1 must be at least .*e-03"),
        ({"infidelity": {"sx": 0.75}}, r"residual of sx on 0 must be at most 1.333"),
        ({"crosstalk": 1e4}, r"crosstalk included"),
    ],
)
def test_a_wrong_question_is_refused_with_value_and_fix(changes, message):
    with pytest.raises(InputError, match=message):
        what_if(toy(), **changes)


def test_the_floor_named_in_the_message_is_the_floor():
    device = toy()
    row = device.require("cz", (0, 1))
    with pytest.raises(InputError) as caught:
        what_if(device, infidelity={"cz": 1e-6})
    floor = float(str(caught.value).split("at least ")[1].split(",")[0])
    assert what_if(device, infidelity={"cz": floor * 1.001}).parameters.depolarizing[row] < 1e-5


def test_an_ideal_device_can_be_made_worse():
    new = what_if(ideal(2, [(0, 1)]), t1={1: 2e-5}, zz={(0, 1): 1e4})
    assert new.parameters.t1.tolist() == [np.inf, 2e-5]
    assert new.parameters.t2.tolist() == [np.inf, 4e-5]
