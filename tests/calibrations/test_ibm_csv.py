# ruff: noqa: E501  (tables as the platform writes them)
"""The IBM platform's CSV exports, in all variants, and what is wrong with broken ones."""

import tarfile

import numpy as np
import pytest

from qdt_emu.calibrations.readers.ibm_csv import read_ibm_csv
from qdt_emu.calibrations.schema import Flag
from qdt_emu.errors import CalibrationError

NAME = "ibm_toy_calibrations_2026-01-31T10_00_00Z.csv"
OLD = """\
Qubit,T1 (us),T2 (us),Frequency (GHz),Anharmonicity (GHz),Readout assignment error ,Prob meas0 prep1 ,Prob meas1 prep0 ,Readout length (ns),ID error ,√x (sx) error ,Pauli-X error ,ECR error ,Gate time (ns)
0,181.5,30.5,4.9,-0.308,0.0999,0.1018,0.098,1400,0.0007,0.0007,0.0007,0_1:0.0168,0_1:660
1,170.5,91.5,4.8,0,0.073,0.0426,0.1034,1400,0.0003,0.0003,0.0003,1_2:1; ,1_2:660
2,190.5,50.5,4.7,-0.31,0.0038,0.0036,0.004,1400,0.0002,0.0002,0.0002,undefined,undefined
"""
NEW = """\
ibm_toy_calibrations_2026-01-31T10_00_00Z
"Qubit","Operational","T1 (us)","T2 (us)","Readout assignment error","Prob meas0 prep1","Prob meas1 prep0","Readout length (ns)","Single-qubit gate length (ns)","Z-axis rotation (rz) error","CZ error","Gate length (ns)","RZZ error","RX error","√x (sx) error","MEASURE error","Colour"
"0","Yes","54.5","45.5","0.0133","0.0239","0.0027","1560","24","0","1:0.009","1:68","1:0.008","0.002","0.002","0.0133","red"
"1","no","","253.5","0.0172","0.0234","0.0110","1560","24","0","0:0.009","0:68","0:0.008","0.0004","0.0004","0.0172","red"
"""


def read(tmp_path, text, name=NAME):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_ibm_csv(tmp_path / name)


def faults_of(tmp_path, text, name=NAME):
    with pytest.raises(CalibrationError) as caught:
        read(tmp_path, text, name)
    return "\n".join(caught.value.faults)


def test_an_old_export_is_read(tmp_path):
    toy = read(tmp_path, OLD)
    assert toy.name == "ibm_toy"
    assert toy.snapshot_time == np.datetime64("2026-01-31T10:00:00")
    assert toy.edges == ((0, 1), (1, 2))
    assert toy.native_gates == ("id", "sx", "x", "ecr")
    assert toy.values("qubits/t1") == pytest.approx([181.5e-6, 170.5e-6, 190.5e-6])
    assert toy.values("readout/assignment")[0] == pytest.approx([0.098, 0.1018])
    assert toy.values("gates_2q/infidelity")[0, 0] == 0.0168
    assert toy.flags("gates_2q/infidelity").tolist() == [[Flag.OK, Flag.SENTINEL]]
    assert toy.values("gates_2q/duration") == pytest.approx(np.full((1, 2), 660e-9))
    assert toy.flags("qubits/anharmonicity")[1] == Flag.SENTINEL
    assert toy.tree["gates_2q/directed"].item() == 1
    assert np.isnat(toy["qubits"]["t1_measured_at"].values).all()


def test_a_new_export_is_read(tmp_path):
    toy = read(tmp_path, NEW)
    assert toy.edges == ((0, 1), (1, 0))
    assert toy.native_gates == ("rz", "rx", "sx", "cz", "rzz")
    assert toy.tree["qubits/active"].values.tolist() == [1, 0]
    assert toy.values("gates_1q/duration")[:, 0] == pytest.approx([0, 24e-9, 24e-9])
    assert toy.values("gates_2q/infidelity").tolist() == [[0.009] * 2, [0.008] * 2]
    assert toy.flags("qubits/t1").tolist() == [Flag.OK, Flag.MISSING]
    assert toy.tree["gates_2q/directed"].values.tolist() == [0, 0]


@pytest.mark.parametrize(("text", "cells"), [(OLD, 3 * 14), (NEW, 2 * 17 + 1)])
def test_the_ledger_covers_every_cell(tmp_path, text, cells):
    assert sum(read(tmp_path, text).ledger.counts.values()) == cells


def test_the_order_of_columns_does_not_matter(tmp_path):
    rows = [line.split(",") for line in OLD.splitlines()]
    turned = "\n".join(",".join([row[0], *row[:0:-1]]) for row in rows)
    ours, theirs = read(tmp_path, OLD), read(tmp_path, turned)
    gates = theirs["gates_1q"].gate_1q.values.tolist()
    assert gates == ["x", "sx", "id"]
    for path in ("qubits/t1", "readout/assignment", "gates_2q/infidelity"):
        assert np.array_equal(ours.values(path), theirs.values(path), equal_nan=True)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("\n2,", "\n1,", "Qubit 1 is listed 2 times"),
        ("\n2,", "\n5,", "Rows must be qubits 0..2 in order"),
        ("Qubit,", "Bit,", "No line starts with `Qubit`"),
        ("0_1:0.0168", "0-1 0.0168", "must read like '14:0.0168', but reads '0-1 0.0168'"),
        ("0_1:0.0168", "0_9:0.0168", "names the pair (0, 9)"),
        ("181.5", "-181.5", "`T1 (us)` of qubit 0 must lie in"),
        ("181.5", "nan", "`T1 (us)` of qubit 0 must be finite"),
        ("181.5", "long", "`T1 (us)` of qubit 0 must be a number, but is 'long'"),
        ("T1 (us)", "T1 (GHz)", "unknown unit 'GHz' for a time"),
        (",undefined,undefined", "", "Row 2 has 12 cells, but there are 14 columns"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, old, new, text):
    assert text in faults_of(tmp_path, OLD.replace(old, new, 1))


def test_a_file_without_device_and_time_in_its_name_is_refused(tmp_path):
    assert "must give device and time" in faults_of(tmp_path, OLD, "table.csv")


def test_an_unclear_operational_cell_is_refused(tmp_path):
    assert "must be Yes or No, but is 'maybe'" in faults_of(tmp_path, NEW.replace("Yes", "maybe"))


def test_all_variants_of_real_exports_are_read(data, tmp_path):
    with tarfile.open(data / "ibm_calibration_series" / "csv.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    headers = {}
    for path in sorted(tmp_path.rglob("*.csv")):
        headers.setdefault(path.read_text("utf-8-sig").splitlines()[0], path)
    assert len(headers) == 11  # of the platform; the twelfth is on the next line
    for path in headers.values():
        calibration = read_ibm_csv(path)
        assert calibration.n_qubits in (127, 133)
        assert len(calibration.edges) in (144, 300)
        assert calibration.components == (tuple(range(calibration.n_qubits)),)


def test_the_export_of_ibm_fez_is_read(data):
    (path,) = (data / "ibm_same_day_2026").glob("*.csv")
    fez = read_ibm_csv(path)
    assert fez.values("qubits/t1")[0] == pytest.approx(54.111131557154394e-6)
    assert fez.values("gates_2q/infidelity")[0, fez.edges.index((0, 1))] == 0.008937157848409039
