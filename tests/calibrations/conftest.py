"""Files of a two-qubit device in IBM's format, and where the real ones are."""

import copy
import json
import os
from pathlib import Path

import pytest

from qdt_emu.calibrations.read import installed

ROOT = Path(__file__).resolve().parents[2]
STAMP = "2026-01-31T12:00:00+02:00"


def record(name, value, unit=""):
    return {"date": STAMP, "name": name, "unit": unit, "value": value}


def gate(name, qubits, error, length):
    parameters = [record("gate_error", error), record("gate_length", length, "ns")]
    label = name + "_".join(map(str, qubits))
    return {"gate": name, "qubits": qubits, "name": label, "parameters": parameters}


def qubit(shift):
    return [
        record("T1", 100.0 + shift, "us"),
        record("T2", 80.0 + shift, "us"),
        record("frequency", 5.0 + shift / 100, "GHz"),
        record("anharmonicity", -0.34, "GHz"),
        record("readout_error", 3 * 2**-8),
        record("prob_meas0_prep1", 2**-6),
        record("prob_meas1_prep0", 2**-7),
        record("readout_length", 1000, "ns"),
    ]


PROPERTIES = {
    "backend_name": "ibm_toy",
    "backend_version": "1.0.0",
    "last_update_date": STAMP,
    "qubits": [qubit(0), qubit(1)],
    "gates": [
        *(gate(name, [q], 3e-4, 40) for name in ("id", "sx", "x") for q in (0, 1)),
        *(gate("rz", [q], 0, 0) for q in (0, 1)),
        gate("cx", [0, 1], 6e-3, 300),
        gate("cx", [1, 0], 6e-3, 340),
        {"gate": "reset", "qubits": [0], "parameters": [record("gate_length", 1200, "ns")]},
    ],
    "general": [record("jq_01", 2e-3, "GHz"), record("zz_01", -5e-5, "GHz")],
    "general_qlists": [],
}
CONFIGURATION = {
    "backend_name": "ibm_toy",
    "n_qubits": 2,
    "basis_gates": ["id", "rz", "sx", "x", "cx", "reset"],
    "coupling_map": [[0, 1], [1, 0]],
    "dt": 0.5,
    "default_rep_delay": 250.0,
    "timing_constraints": {"granularity": 16, "pulse_alignment": 1},
    "processor_type": {"family": "Toy", "revision": 2},
    "hamiltonian": {"description": "not needed", "vars": {"wq0": 31.4}},
    "rep_times": [],
}


@pytest.fixture
def properties():
    return copy.deepcopy(PROPERTIES)


@pytest.fixture
def configuration():
    return copy.deepcopy(CONFIGURATION)


@pytest.fixture
def load():
    """Return properties and configuration of a device of qiskit-ibm-runtime."""
    if not installed():
        pytest.skip("qiskit-ibm-runtime is not installed: pip install qdt-emu[ibm]")

    def pair(short):
        props = installed()[short]
        conf = props.with_name(f"conf_{short}.json")
        known = json.loads(conf.read_text()) if conf.is_file() else None
        return json.loads(props.read_text()), known

    return pair


@pytest.fixture
def data():
    """Return the folder of measured data."""
    folder = Path(os.environ.get("QDT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no measured data in {folder}; set QDT_DATA")
    return folder
