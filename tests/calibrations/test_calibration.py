"""A calibration is checked, read-only, and knows itself by its numbers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.calibrations import Calibration
from qdt_emu.calibrations.schema import BY_PATH, QUANTITIES, Flag
from qdt_emu.errors import CalibrationError, InputError


@pytest.fixture(scope="module")
def toy():
    return Calibration.uniform("toy", qubits=4, t1=100e-6, t2=80e-6, zz=5e4)


def broken(calibration, group, change):
    tree = calibration.tree.copy(deep=True)
    node = tree.children[group]
    node.dataset = change(node.to_dataset(inherit=False))
    with pytest.raises(CalibrationError) as caught:
        Calibration(tree)
    return caught.value.faults


def with_array(name, array):
    return lambda data: data.assign({name: data[name].copy(data=array)})


def test_uniform_puts_every_number_in_its_place(toy):
    assert toy.n_qubits == 4
    assert toy.edges == ((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2))
    assert np.all(toy.values("qubits/t2_echo") == 80e-6)
    assert toy.values("gates_1q/infidelity")[0].max() == 0  # rz is virtual
    assert np.all(toy.values("readout/assignment") == [0.01, 0.02])
    assert toy.tree["gates_2q/directed"].item() == 0
    assert toy.native_gates == ("rz", "sx", "x", "cz")


def test_every_quantity_has_units_definition_and_companions(toy):
    for q in QUANTITIES:
        if toy.has(q.path):
            variable = toy[q.group][q.name]
            assert variable.attrs["units"] == q.unit
            assert variable.attrs["definition"]
            for companion in variable.attrs["ancillary_variables"].split():
                assert toy[q.group][companion].dims == q.dims


def test_nan_occurs_only_with_a_reason(toy):
    for path in BY_PATH:
        if toy.has(path):
            empty = np.isnan(toy.values(path))
            assert np.all(empty == (toy.flags(path) == Flag.MISSING))


def test_arrays_are_read_only(toy):
    for node in toy.tree.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            if name not in node.indexes:
                assert not variable.values.flags.writeable, f"{node.path}/{name}"
    with pytest.raises(ValueError, match="read-only"):
        toy.values("qubits/t1")[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        toy.tree = None


def test_the_tree_passed_in_may_change_without_effect(toy):
    tree = toy.tree.copy(deep=True)
    calibration = Calibration(tree)
    tree["qubits/t1"].values[0] = 1.0
    assert calibration == toy


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["qubits/t1", "gates_2q/duration", "couplings/zz"]), st.data())
def test_the_id_changes_with_any_number(path, data):
    toy = Calibration.uniform("toy", qubits=3, t1=100e-6, t2=80e-6, zz=5e4)
    values = toy.values(path).copy()
    index = data.draw(st.integers(0, values.size - 1))
    values.flat[index] = np.nextafter(values.flat[index], np.inf)
    other = toy.with_values(path, values)
    assert other.id != toy.id
    assert other != toy
    assert (other.flags(path) == Flag.IMPUTED).sum() == 1


def test_the_id_does_not_depend_on_where_the_numbers_came_from(toy):
    tree = toy.tree.copy()
    tree.attrs["source"] = "another file"
    assert Calibration(tree) == toy
    tree.attrs["device"] = "another device"
    assert Calibration(tree) != toy


def test_equal_numbers_give_equal_calibrations(toy):
    again = Calibration.uniform("toy", qubits=4, t1=100e-6, t2=80e-6, zz=5e4)
    assert again == toy
    assert len({again, toy}) == 1
    assert toy.with_values("qubits/t1", 100e-6) == toy


def test_select_renumbers_and_keeps_what_lies_inside(toy):
    t1 = np.arange(1, 5) * 1e-5
    part = toy.with_values("qubits/t1", t1).select([3, 1, 2])
    assert part.values("qubits/t1").tolist() == t1[[3, 1, 2]].tolist()
    assert part.vendor_qubits == (3, 1, 2)
    assert set(part.edges) == {(1, 2), (2, 1), (2, 0), (0, 2)}
    pairs = part["couplings"]
    assert np.all(pairs["pair_q0"].values < pairs["pair_q1"].values)
    assert part.select([1, 2, 0]).vendor_qubits == (1, 2, 3)


@pytest.mark.parametrize(("qubits", "text"), [([0, 9], "but 9 does not"), ([1, 1], "repeats")])
def test_select_refuses_unknown_and_repeated_qubits(toy, qubits, text):
    with pytest.raises(InputError, match=text):
        toy.select(qubits)


def test_components_show_a_split_device():
    edges = [(0, 1), (1, 0), (3, 2)]
    split = Calibration.uniform("split", qubits=5, t1=1e-4, t2=1e-4, edges=edges)
    assert split.components == ((0, 1), (2, 3), (4,))
    assert split.tree["gates_2q/directed"].item() == 1


def test_an_unknown_quantity_or_group_is_named_with_the_known_ones(toy):
    with pytest.raises(InputError, match="qubits/t1"):
        toy.values("qubits/t2")
    with pytest.raises(InputError, match="gates_1q"):
        toy["gates"]


def test_all_faults_are_reported_at_once(toy):
    tree = toy.tree.copy(deep=True)
    tree["qubits/t1"].values[2] = -1e-6
    tree["qubits/t2_echo"].attrs["units"] = "us"
    tree["gates_2q/infidelity"].values[0, 1] = np.nan
    tree.attrs["snapshot_time"] = "yesterday"
    with pytest.raises(CalibrationError) as caught:
        Calibration(tree)
    text = str(caught.value)
    assert len(caught.value.faults) == 4
    assert "`qubits/t1` must lie in (0, inf] s, but is -1e-06 at qubit 2." in text
    assert "`qubits/t2_echo` must be in 's', but its units are 'us'." in text
    assert "its flag why it is NaN, but is nan at gate_2q 0, edge 1." in text
    assert "but is 'yesterday'" in text


NEGATIVE = np.full(4, -1.0)
FAULTS = [
    (
        "qubits",
        lambda d: d.transpose("qubit").drop_vars("t1_flag"),
        "needs its companion `t1_flag`",
    ),
    ("qubits", lambda d: d.drop_vars("t1"), "`qubits/t1` is missing"),
    ("qubits", lambda d: d.rename(t2_echo="t2_ecko"), "Did you mean `t2_echo`?"),
    ("qubits", with_array("t1_stderr", NEGATIVE), "`t1_stderr` must not be negative"),
    ("qubits", with_array("t1_flag", np.full(4, 9, np.int8)), "must have a flag of 0..6"),
    ("qubits", with_array("t1_flag", np.full(4, 1, np.int8)), "is flagged missing"),
    ("qubits", with_array("t1", np.full(4, np.inf)), "must be finite, but is inf at qubit 0 (4"),
    ("readout", lambda d: d.assign(duration=d.duration * -1), "`readout/duration`"),
    ("gates_1q", lambda d: d.transpose(), "must have dims ('gate_1q', 'qubit')"),
    ("gates_2q", with_array("q0", [0, 0, 1, 2, 2, 3]), "Pair (0, 0) of `gates_2q`"),
    ("gates_2q", with_array("q0", [0, 7, 1, 2, 2, 3]), "names a qubit that is not in 0..3"),
    ("gates_2q", with_array("q1", [1, 0, 2, 1, 3, 3]), "must join two different qubits"),
]


@pytest.mark.parametrize(("group", "change", "text"), FAULTS)
def test_each_fault_has_its_sentence(toy, group, change, text):
    assert any(text in fault for fault in broken(toy, group, change))


def test_a_duplicated_qubit_is_named(toy):
    tree = toy.tree.isel(qubit=[0, 1, 1, 3])
    with pytest.raises(CalibrationError, match="Qubit 1 is listed 2 times"):
        Calibration(tree)


def test_a_missing_group_and_attribute_are_named(toy):
    tree = toy.tree.drop_nodes("reset")
    del tree.attrs["vendor"]
    with pytest.raises(CalibrationError, match=r"(?s)`vendor` must be text.*Group '/reset'"):
        Calibration(tree)


def test_the_short_text_and_the_table_name_the_device(toy):
    assert repr(toy) == (
        f"Calibration('toy', qubits=4, snapshot_time=2026-01-01T00:00:00Z, id={toy.id[:8]})"
    )
    assert "toy" in toy._repr_html_()
