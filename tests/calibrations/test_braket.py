"""Device files of IQM's processors as Amazon Braket publishes them."""

import copy
import json
import lzma

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.calibrations.readers.braket_iqm import ASSUMED, FEEDFORWARD_LATENCY
from qdt_emu.calibrations.readers.reading import count_leaves
from qdt_emu.calibrations.schema import Flag
from qdt_emu.errors import CalibrationError

STAMP = "2026-01-31T12:00:00+00:00"


def one_qubit(shift):
    return {
        "T1": (40 + shift) * 1e-6,
        "T1_std_err": 2e-6,
        "T2": (8 + shift) * 1e-6,
        "T2_std_err": 3e-7,
        "T2_echo": (20 + shift) * 1e-6,
        "T2_echo_std_err": 1e-6,
        "f1Q_simultaneous_RB": 0.999 - shift * 1e-4,
        "f1Q_simultaneous_RB_std_err": 3e-5,
        "readout_error_0_to_1": 0.02,
        "readout_error_1_to_0": 0.03 + shift / 1000,
        "fRO": 0.975 - shift / 2000,
    }


def standard_qubit(record):
    names = {
        "SIMULTANEOUS_RANDOMIZED_BENCHMARKING": "f1Q_simultaneous_RB",
        "READOUT_ERROR_0_TO_1": "readout_error_0_to_1",
        "READOUT_ERROR_1_TO_0": "readout_error_1_to_0",
        "READOUT": "fRO",
    }
    out = {k: {"value": record[k], "standardError": 1e-6, "unit": "S"} for k in ("T1", "T2")}
    out["oneQubitFidelity"] = [
        {"fidelityType": {"name": kind}, "fidelity": record[own]} for kind, own in names.items()
    ]
    return out


def device_file():
    qubits = {str(k): one_qubit(k) for k in (1, 2, 3)}
    pairs = {
        "1-2": {"fCZ": 0.994, "fCZ_std_err": 4e-4, "f2Q_simultaneous_RB_Clifford": 0.97},
        "2-3": {"fCZ": 0.992, "fCZ_std_err": 5e-4},
    }
    kind = {"name": "SIMULTANEOUS_INTERLEAVED_RANDOMIZED_BENCHMARKING"}
    standard_pairs = {
        name: {
            "twoQubitGateFidelity": [
                {
                    "gateName": "CZ",
                    "fidelity": p["fCZ"],
                    "standardError": 1e-4,
                    "fidelityType": kind,
                }
            ]
        }
        for name, p in pairs.items()
    }
    return {
        "braketSchemaHeader": {
            "name": "braket.device_schema.iqm.iqm_device_capabilities",
            "version": "1",
        },
        "service": {"updatedAt": STAMP, "shotsRange": [1, 20000], "deviceLocation": "Toyland"},
        "action": {"braket.ir.openqasm.program": {"version": ["1.0"]}},
        "paradigm": {
            "qubitCount": 3,
            "nativeGateSet": ["cz", "prx"],
            "connectivity": {
                "fullyConnected": False,
                "connectivityGraph": {"1": ["2"], "2": ["1", "3"], "3": ["2"]},
            },
        },
        "provider": {"properties": {"one_qubit": qubits, "two_qubit": pairs}},
        "standardized": {
            "braketSchemaHeader": {"name": "x", "version": "1"},
            "oneQubitProperties": {k: standard_qubit(q) for k, q in qubits.items()},
            "twoQubitProperties": standard_pairs,
        },
    }


@pytest.fixture
def read(tmp_path):
    def read_one(data, name="calibration_garnet_toy.json", *, nested=False):
        path = tmp_path / name
        text = json.dumps(json.dumps(data) if nested else data)
        path.write_text(text)
        return read_calibration(path)

    return read_one


def test_numbers_reach_their_quantity_in_si_units_with_their_errors(read):
    toy = read(device_file())
    assert (toy.name, toy.tree.attrs["vendor"]) == ("iqm_garnet", "IQM")
    assert toy.tree.attrs["snapshot_time"] == "2026-01-31T12:00:00Z"
    assert toy.native_gates == ("cz", "prx")
    assert toy.vendor_qubits == (1, 2, 3)
    assert toy.edges == ((0, 1), (1, 2))
    expected = {
        "qubits/t1": ([41e-6, 42e-6, 43e-6], 2e-6),
        "qubits/t2_star": ([9e-6, 10e-6, 11e-6], 3e-7),
        "qubits/t2_echo": ([21e-6, 22e-6, 23e-6], 1e-6),
        "gates_1q/infidelity": ([[1.1e-3, 1.2e-3, 1.3e-3]], 3e-5),
        "gates_2q/infidelity": ([[6e-3, 8e-3]], [[4e-4, 5e-4]]),
    }
    for path, (values, stderr) in expected.items():
        np.testing.assert_allclose(toy.values(path), values, rtol=1e-9)
        np.testing.assert_allclose(toy.stderr(path), np.broadcast_to(stderr, np.shape(values)))
        assert (toy.flags(path) == Flag.OK).all()
    np.testing.assert_allclose(toy.values("readout/assignment")[2], [0.02, 0.033])
    np.testing.assert_allclose(toy.values("readout/readout_error")[2], 0.0265)


def test_the_ledger_accounts_for_every_field(read):
    data = device_file()
    ledger = read(data).ledger
    assert sum(ledger.counts.values()) == count_leaves(data)
    where = [e.where for e in ledger]
    assert len(set(where)) == len(where)
    reasons = {e.reason for e in ledger.entries("ignored")}
    assert "fidelity per two-qubit Clifford, not per gate" in reasons
    assert "repeats qubits/t2_star" in reasons


def test_what_no_file_contains_is_flagged_and_stands_in_the_ledger(read):
    toy = read(device_file())
    entries = {e.field: e for e in toy.ledger.entries("repaired")}
    for path, (seconds, reason) in ASSUMED.items():
        assert (toy.values(path) == seconds).all()
        assert (toy.flags(path) == Flag.IMPUTED).all()
        assert entries[path].new == seconds
        assert reason in entries[path].reason
    assert toy.timing["feedforward_latency"] == FEEDFORWARD_LATENCY
    assert np.isnan(toy.values("reset/duration")).all()


def test_a_file_inside_a_string_and_a_netcdf_copy_are_the_same_calibration(read, tmp_path):
    toy = read(device_file())
    assert read(device_file(), "other_garnet.json", nested=True) == toy
    toy.to_netcdf(tmp_path / "copy.nc")
    assert Calibration.from_netcdf(tmp_path / "copy.nc") == toy


def test_qubits_keep_their_labels_when_some_are_selected(read):
    assert read(device_file()).select([2, 1]).vendor_qubits == (3, 2)


def test_the_standardized_copy_fills_gaps(read):
    data = device_file()
    del data["provider"]["properties"]["one_qubit"]["2"]["T2"]
    data["standardized"]["oneQubitProperties"]["2"]["T2"]["value"] = 12e-6
    assert read(data).values("qubits/t2_star")[1] == 12e-6


def test_a_zero_stands_for_a_time_that_was_not_measured(read):
    data = device_file()
    del data["provider"]["properties"]["one_qubit"]["2"]["T2"]
    data["standardized"]["oneQubitProperties"]["2"]["T2"] = {"value": 0.0, "unit": "S"}
    toy = read(data)
    assert np.isnan(toy.values("qubits/t2_star")[1])
    assert toy.flags("qubits/t2_star")[1] == Flag.SENTINEL
    assert sum(toy.ledger.counts.values()) == count_leaves(data)


def test_copies_that_differ_are_flagged(read):
    data = device_file()
    data["standardized"]["oneQubitProperties"]["3"]["T1"]["value"] = 1e-5
    toy = read(data)
    assert toy.values("qubits/t1")[2] == pytest.approx(43e-6)
    assert toy.flags("qubits/t1")[2] == Flag.CONFLICTING


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("provider", "properties", "one_qubit", "1", "T1"), 40.0, r"`T1` of 1 must lie in"),
        (("provider", "properties", "one_qubit", "1", "fRO"), 1.2, r"`fRO` of 1 must lie in"),
        (("provider", "properties", "one_qubit", "1", "T2"), "x", r"`T2` of 1 must be a number"),
        (
            ("provider", "properties", "two_qubit", "1-9"),
            {"fCZ": 0.9},
            r"`1-9` of `two_qubit` must",
        ),
        (("paradigm", "qubitCount"), 4, r"`qubitCount` must be the number"),
        (("paradigm", "connectivity", "connectivityGraph", "3"), ["3"], r"Coupling 3-3 must join"),
        (("service", "updatedAt"), "noon", r"must be ISO 8601"),
        (("provider", "properties"), {}, r"has no 'one_qubit'"),
    ],
)
def test_faults_name_the_value_and_the_rule(read, place, value, message):
    data = copy.deepcopy(device_file())
    node = data
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(CalibrationError, match=message):
        read(data)


def test_device_files_of_others_are_refused_by_name(read):
    data = device_file()
    data["braketSchemaHeader"]["name"] = "braket.device_schema.rigetti.rigetti_device_capabilities"
    with pytest.raises(CalibrationError, match="rigetti"):
        read(data)


@pytest.mark.parametrize(
    ("file", "name", "qubits", "pairs", "missing"),
    [
        ("garnet_2025-07-06", "iqm_garnet", 20, 30, 0),
        ("garnet_2025-08-14", "iqm_garnet", 20, 30, 0),
        ("garnet_2026-05-05", "iqm_garnet", 20, 30, 1),
        ("emerald_2025-11-06", "iqm_emerald", 54, 83, 0),
    ],
)
def test_real_files_are_read_whole(data, file, name, qubits, pairs, missing):
    path = data / "vendor_calibrations" / f"calibration_{file}.json.xz"
    raw = json.loads(lzma.decompress(path.read_bytes()))
    raw = json.loads(raw) if isinstance(raw, str) else raw
    found = read_calibration(path)
    assert (found.name, found.n_qubits, len(found.edges)) == (name, qubits, pairs)
    assert found.vendor_qubits == tuple(range(1, qubits + 1))
    assert sum(found.ledger.counts.values()) == count_leaves(raw)
    star, echo = found.values("qubits/t2_star"), found.values("qubits/t2_echo")
    assert np.isnan(star).sum() == missing
    assert np.nanmedian(star) < np.nanmedian(echo)  # Ramsey and echo are not mixed up
    assert (found.stderr("qubits/t1") > 0).all()
    assert (found.stderr("gates_2q/infidelity") > 0).all()
