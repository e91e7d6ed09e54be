"""Calibration -> device: every published number is reproduced or its repair is noted."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.device import Device, Policy, build, ideal
from qdt_emu.device.device import VIRTUAL
from qdt_emu.errors import CalibrationError, InputError

T1, T2 = 100e-6, 80e-6


@cache
def snapshot(name: str) -> Calibration:
    return read_calibration(name)


@cache
def device(name: str) -> Device:
    return build(snapshot(name))


def toy(**changes: object) -> Calibration:
    return Calibration.uniform(
        "toy", **{"qubits": 3, "t1": T1, "t2": T2, "infidelity_1q": 5e-4} | changes
    )


def with_gate(calibration: Calibration, path: str, gate: str, value: float) -> Calibration:
    group = path.split("/", maxsplit=1)[0]
    names = [str(g) for g in calibration[group][group.replace("gates", "gate")].values]
    numbers = calibration.values(path).copy()
    numbers[names.index(gate)] = value
    return calibration.with_values(path, numbers)


def channel_infidelity(device: Device, row: int) -> float:
    """Build the channel of an instruction from its definition and take 1 - F from its trace."""
    p, i = device.parameters, device.instructions[row]
    time, total = i.duration * p.relaxation_scale[row], np.eye(1)
    for q in i.qubits:
        e1, e2, pe = np.exp(-time / p.t1[q]), np.exp(-time / p.t2[q]), p.excited[q]
        one = np.diag([1, e2, e2, e1])
        one[3, 0] = (1 - 2 * pe) * (1 - e1)
        total = np.kron(total, one)
    d = 2 ** len(i.qubits)
    keep = np.full(d * d, 1 - p.depolarizing[row])
    keep[0] = 1
    process = np.trace(np.diag(keep) @ total) / d**2
    return 1 - (d * process + 1) / (d + 1)


@pytest.mark.parametrize("name", ["lima", "cairo", "sherbrooke", "torino", "boston"])
def test_every_channel_has_the_published_infidelity(name):
    dev, published = device(name), {}
    cal = snapshot(name)
    for k, group, places in (
        (1, "gates_1q", [(q,) for q in range(cal.n_qubits)]),
        (2, "gates_2q", list(cal.edges)),
    ):
        names = [str(g) for g in cal[group][f"gate_{k}q"].values]
        for gate, row in zip(names, cal.values(f"{group}/infidelity"), strict=True):
            published |= {(gate, on): r for on, r in zip(places, row, strict=True)}
    anchored = {(n.gate, n.qubits) for n in dev.notes if n.case == "C1"}
    checked = 0
    for row, i in enumerate(dev.instructions):
        r = published.get((i.name, i.qubits), published.get((i.name, i.qubits[::-1])))
        if i.name in VIRTUAL and i.duration == 0:
            assert dev.parameters.depolarizing[row] == 0
            continue
        tolerance = 1e-10 if (i.name, i.qubits) in anchored else 1e-12
        assert abs(channel_infidelity(dev, row) - r) < tolerance, i
        checked += 1
    assert checked > 10


def test_counts_of_notes_on_bundled_snapshots_are_pinned():
    assert Counter(n.case for n in device("lima").notes) == {"C1": 11, "RS": 1}
    found = Counter((n.case, n.gate) for n in device("sherbrooke").notes)
    # 26 of 144 ECR edges: relaxation alone exceeds the published number.
    assert found["C1", "ecr"] == 26
    assert Counter(n.case for n in device("sherbrooke").notes) == {
        "C1": 137,
        "C4": 9,
        "ZZ": 1,
        "RS": 1,
    }
    assert sum(n.gate == "ecr" for n in device("kyiv").notes if n.case == "C1") == 19


CASES = {
    "C1": (lambda: toy(infidelity_1q=1e-5), "share of relaxation of sx of qubit 0", 1.0, None),
    "C3": (
        lambda: toy(t1=1.0, t2=1.0, infidelity_2q=0.85),
        "residual of cz on 0, 1",
        None,
        16 / 15,
    ),
    "C3b": (
        lambda: toy(t1=1e-6, t2=1e-6, duration_2q=1.0, infidelity_2q=0.4, infidelity_1q=0.1),
        "residual of cz on 0, 1",
        None,
        0.0,
    ),
    "C4": (lambda: toy(infidelity_2q=1.0), "infidelity of cz on 0, 1", 1.0, None),
    "C5": (lambda: toy(t2=300e-6), "t2 of qubit 0", 300e-6, 200e-6),
    "C5b": (
        lambda: toy().with_values("qubits/t2_echo", np.nan),
        "t2 of qubit 0",
        None,
        200e-6,
    ),
    "C6": (
        lambda: with_gate(toy(), "gates_1q/duration", "sx", np.nan),
        "duration of sx of qubit 0",
        None,
        0.0,
    ),
    "C9": (lambda: toy(infidelity_2q=0.0), "infidelity of cz on 0, 1", 0.0, None),
    "ZZ": (toy, "zz of 2 of 2 couplers", None, 0.0),
    "R": (
        lambda: toy().with_values("readout/assignment", [[np.nan, 0.02]] * 3),
        "P(read 1 | 0) of qubit 0",
        None,
        0.015,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_its_note_with_old_and_new_value(case):
    calibration, where, old, new = CASES[case]
    policy = Policy(uncalibrated_from=0.9) if case == "C3" else Policy()
    dev = build(calibration(), policy)
    notes = [n for n in dev.notes if n.case == case]
    first = next(n for n in notes if n.where == where)
    if case in ("C4", "C5", "C5b", "C6", "C9", "R"):
        assert first.old == old
    if new is not None:
        assert first.new == pytest.approx(new, rel=1e-12)
    assert first.reason
    for leaf in (dev.parameters.t1, dev.parameters.t2, dev.parameters.depolarizing):
        assert not np.isnan(leaf).any()
    assert (dev.parameters.t2 <= 2 * dev.parameters.t1).all()


def test_a_device_without_surprises_has_only_the_notes_about_zz_and_resets():
    perfect = Policy(resets="perfect")
    assert build(toy(zz=20e3), perfect).notes == ()
    assert [n.case for n in build(toy(), perfect).notes] == ["ZZ"]
    assert [n.case for n in build(toy(zz=20e3)).notes] == ["RS"]
    assert build(toy(), Policy(zz=False, resets="perfect")).notes == ()


def test_missing_t1_means_no_relaxation_and_is_noted():
    dev = build(toy().with_values("qubits/t1", [np.nan, T1, T1]))
    assert np.isinf(dev.parameters.t1[0])
    assert any(n.case == "C5b" and n.where == "t1 of qubit 0" for n in dev.notes)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1e-6, 1e-3),
    st.floats(0.05, 2.0),
    st.floats(1e-9, 3e-6),
    st.floats(1e-6, 0.3),
)
def test_no_negative_residual_leaves_an_empty_ledger(t1, ratio, duration, infidelity):
    calibration = toy(t1=t1, t2=ratio * t1, duration_2q=duration, infidelity_2q=infidelity, zz=1e3)
    dev = build(calibration)
    for row, i in enumerate(dev.instructions):
        if i.name != "cz":
            continue
        relaxed = sum(duration / t1 + 2 * duration / (ratio * t1) for _ in i.qubits)
        case = [n.case for n in dev.notes if n.qubits == i.qubits and n.gate == "cz"]
        assert (dev.parameters.relaxation_scale[row] < 1) == (case == ["C1"])
        if relaxed > 0 and not case:
            assert dev.parameters.depolarizing[row] >= 0
        if "C3b" not in case and "C3" not in case:
            assert channel_infidelity(dev, row) == pytest.approx(infidelity, abs=1e-10)


def test_policy_keep_keeps_relaxation_and_stores_the_excess():
    calibration = toy(infidelity_2q=1e-4, zz=1e3)
    dev = build(calibration, Policy(negative_residual="keep"))
    row = dev.require("cz", (0, 1))
    assert dev.parameters.relaxation_scale[row] == 1
    assert dev.parameters.depolarizing[row] == 0
    note = next(n for n in dev.notes if n.gate == "cz" and n.qubits == (0, 1))
    assert note.case == "C1"
    assert note.old < 0
    assert note.new == 0
    assert channel_infidelity(dev, row) > 1e-4


def test_policy_raise_refuses_with_every_fault():
    with pytest.raises(CalibrationError, match=r"cz on \[0, 1\].*Re-measure") as caught:
        build(toy(infidelity_2q=1e-4, infidelity_1q=1e-4), Policy(negative_residual="raise"))
    assert len(caught.value.faults) == 6 + 4  # sx and x; 2 couplers in both orders


def test_policy_impute_gives_the_median_and_notes_it():
    numbers = toy().values("gates_2q/infidelity").copy()
    edges = toy().edges
    numbers[0, edges.index((0, 1))] = 1.0
    numbers[0, edges.index((1, 2))] = 7e-3
    dev = build(toy().with_values("gates_2q/infidelity", numbers), Policy(uncalibrated="impute"))
    assert dev.instructions[dev.require("cz", (0, 1))].infidelity == pytest.approx(5e-3)
    assert next(n for n in dev.notes if n.case == "C4").new == pytest.approx(5e-3)


def test_an_excluded_instruction_says_why_it_cannot_be_used():
    numbers = toy().values("gates_2q/infidelity").copy()
    numbers[0, toy().edges.index((0, 1))] = 1.0
    dev = build(toy().with_values("gates_2q/infidelity", numbers))
    with pytest.raises(InputError, match=r"`cz` on 0, 1 .*not calibrated \(published .* 1.0\)"):
        dev.require("cz", (0, 1))
    assert dev.require("cz", (1, 0)) >= 0
    with pytest.raises(InputError, match=r"no `cz` on 0, 2; with qubit 0 it has \[\(1, 0\)\]"):
        dev.require("cz", (0, 2))
    with pytest.raises(InputError, match=r"`ccx` .*not native .*native: cz, rz, sx, x"):
        dev.require("ccx", (0, 1, 2))


def test_symmetric_gates_listed_once_exist_in_both_orders():
    dev = build(toy(edges=[(0, 1), (2, 1)]))
    p = dev.parameters
    for pair in ((0, 1), (2, 1)):
        a, b = dev.require("cz", pair), dev.require("cz", pair[::-1])
        assert p.depolarizing[a] == p.depolarizing[b]
        assert dev.instructions[a].duration == dev.instructions[b].duration


def test_directed_gates_listed_once_exist_in_one_order():
    dev = build(toy(edges=[(0, 1), (2, 1)], gate_2q="ecr"))
    assert dev.require("ecr", (2, 1)) >= 0
    with pytest.raises(InputError, match=r"no `ecr` on 1, 2"):
        dev.require("ecr", (1, 2))


def test_excited_population_is_divided_out_of_readout():
    pe = 0.004
    p = build(toy(), Policy(excited_population=pe)).parameters
    down, up = p.assignment[0, 1], p.assignment[0, 0]
    assert (1 - pe) * up + pe * (1 - down) == pytest.approx(0.01, abs=1e-15)
    assert (1 - pe) * down + pe * (1 - up) == pytest.approx(0.02, abs=1e-15)


def test_an_impossible_excited_population_is_lowered_and_noted():
    dev = build(toy(), Policy(excited_population=0.2))
    note = next(n for n in dev.notes if n.where == "excited population of qubit 0")
    assert note.old == 0.2
    assert note.new == pytest.approx(dev.parameters.excited[0])
    assert 0 < note.new < 0.2
    assert (dev.parameters.assignment >= 0).all()


def test_zz_of_the_file_is_used_by_coupler():
    dev = build(toy(zz=25e3))
    assert dev.parameters.zz.tolist() == [25e3, 25e3]
    assert build(toy(zz=25e3), Policy(zz=False)).parameters.zz.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("negative_residual", "clip"), ("uncalibrated", "drop"), ("zz_frame", "lab")],
)
def test_an_unknown_policy_is_refused(field, value):
    with pytest.raises(InputError, match=f"`{field}` must be one of .* but is '{value}'"):
        Policy(**{field: value})


def test_the_ideal_device_has_no_noise_and_checks_its_edges():
    dev = ideal(3, [(1, 0)])
    assert dev.couplers == ((0, 1),)
    assert np.isinf(dev.parameters.t1).all()
    assert not dev.parameters.assignment.any()
    with pytest.raises(InputError, match=r"`n_qubits` must be at least 1, but is 0"):
        ideal(0)
    with pytest.raises(
        InputError, match=r"`edges` must join two of the 2 qubits, but has \(1, 2\)"
    ):
        ideal(2, [(2, 1)])
