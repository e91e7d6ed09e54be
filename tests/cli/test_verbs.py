"""The command line: exit codes, JSON, one clear sentence for bad input, nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qdt_emu import Calibration, Counts, read_calibration

ROOT = Path(__file__).resolve().parents[2]
BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0],q[1];'
LAYOUT = ["--layout", "0,1", "--device", "ibmq_lima"]


@pytest.fixture
def bell(tmp_path):
    path = tmp_path / "bell.qasm"
    path.write_text(BELL + " measure q -> c;")
    return str(path)


def test_run_without_a_circuit_runs_the_bundled_one_on_the_bundled_processor(qdt):
    code, out, _ = qdt("run", "--shots", 200, "--seed", 1, "--json")
    result = json.loads(out)
    assert code == 0
    assert sum(result["counts"].values()) == result["shots"] == 200
    assert result["provenance"]["device"] == "ibm_marrakesh"
    assert {"engine", "reason", "notes"} <= set(result["report"])


def test_the_same_seed_gives_the_same_counts(qdt, bell):
    one, two = (qdt("run", bell, *LAYOUT, "--seed", 5, "--json")[1] for _ in range(2))
    assert json.loads(one)["counts"] == json.loads(two)["counts"]


def test_tables_name_circuit_device_and_engine(qdt, bell):
    code, out, _ = qdt("run", bell, *LAYOUT, "--seed", 5)
    assert code == 0
    assert "bell on ibmq_lima" in out
    assert "engine density" in out


def test_counts_and_report_are_written_whole(qdt, bell, tmp_path):
    out, page = tmp_path / "counts.json", tmp_path / "report.html"
    code, _, _ = qdt("run", bell, *LAYOUT, "--seed", 1, "--out", out, "--report", page)
    assert code == 0
    assert Counts.load(out).shots == 4000
    text = page.read_text()
    assert text.rstrip().endswith("</html>")
    assert 'src="http' not in text


def test_estimate_prints_values_and_standard_errors(qdt, bell):
    code, out, _ = qdt("estimate", bell, "ZZ", "XX", *LAYOUT, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["paulis"] == ["ZZ", "XX"]
    assert all(0.5 < v < 1 for v in result["values"])


def test_explain_sums_to_the_whole_loss(qdt, bell):
    _, out, _ = qdt("explain", bell, *LAYOUT, "--of", "00", "--json")
    result = json.loads(out)
    loss = result["noisy"] - result["ideal"]
    assert sum(result["by_mechanism"].values()) == pytest.approx(loss, rel=1e-6)
    assert sum(result["by_place"].values()) == pytest.approx(loss, rel=1e-6)


def test_check_passes_on_a_bundled_snapshot(qdt):
    code, out, _ = qdt("check", "ibmq_lima", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["passed"]
    assert result["max_deviation"] < 1e-6
    assert {"snapshots", "repaired"} <= set(result)


@pytest.mark.slow
def test_check_passes_on_every_snapshot_there_is(qdt):
    code, out, _ = qdt("check", "--all", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["max_deviation"] < 1e-6
    assert not result["failed"]
    assert len(result["snapshots"]) >= 8


def test_devices_and_inspect_speak_json(qdt):
    _, out, _ = qdt("devices", "--json")
    names = {row["name"]: row["qubits"] for row in json.loads(out)["bundled"]}
    assert names["ibm_sherbrooke"] == 127
    assert names["ibmq_lima"] == 5
    _, out, _ = qdt("inspect", "ibm_torino", "--json")
    facts = json.loads(out)
    assert facts["qubits"] == 133
    assert any(note["case"] == "C5" for note in facts["repaired"])


def test_a_picture_is_drawn(qdt, tmp_path):
    code, _, _ = qdt("inspect", "ibmq_lima", "--picture", tmp_path / "map.png")
    assert code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_compare_ranks_the_twin_among_the_baselines(qdt, bell, tmp_path):
    _, out, _ = qdt("run", bell, *LAYOUT, "--seed", 9, "--json")
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps(json.loads(out)["counts"]))
    runs = tmp_path / "runs.json"
    runs.write_text(
        json.dumps(
            {
                "device": "ibmq_lima",
                "runs": [
                    {"name": "bell", "circuit": BELL + " measure q -> c;"}
                    | {"counts": json.loads(measured.read_text())}
                ],
            }
        )
    )
    code, out, _ = qdt("compare", bell, measured, "--device", "ibmq_lima", "--json")
    assert code == 0
    assert json.loads(out)["runs"][0]["skills"][0]["baseline"] == "uniform"
    code, out, _ = qdt("compare", runs)
    assert code == 0
    assert "skill over uniform" in out


def test_import_writes_the_canonical_form(qdt, tmp_path):
    lima = tmp_path / "lima.nc"
    read_calibration("ibmq_lima").to_netcdf(lima)
    code, out, _ = qdt("import", lima, "--out", tmp_path / "again.nc", "--json")
    assert code == 0
    assert json.loads(out)["id"] == Calibration.from_netcdf(tmp_path / "again.nc").id


BAD = {
    "missing circuit": (["run", "nowhere.qasm"], "nowhere.qasm"),
    "missing device": (["run", "--device", "ibm_nowhere"], "ibm_nowhere"),
    "no shots": (["run", "--shots", "0"], "at least 1, but is 0"),
    "too many shots": (["run", "--shots", "10000000000000"], "10000000000000"),
    "negative seed": (["run", "--seed", "-1"], "-1"),
    "unknown engine": (["run", "--engine", "magic"], "magic"),
    "layout of letters": (["run", "--layout", "a,b"], "a,b"),
    "layout too short": (["run", "--layout", "0,1"], "8 different qubits"),
    "unknown decoupling": (["run", "--decoupling", "XYZ"], "XYZ"),
    "import to the wrong kind": (["import", "x.json", "--out", "x.txt"], "'.nc'"),
    "check without a device": (["check"], "--all"),
    "picture of an unknown kind": (["inspect", "ibmq_lima", "--picture", "map.xyz"], "map.xyz"),
    "unknown command": (["predict"], "predict"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(case, qdt, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments, says = BAD[case]
    code, out, err = qdt(*arguments)
    assert code == 2
    assert says in " ".join((out + err).split())
    assert "Traceback" not in out + err
    assert not list(tmp_path.iterdir())


def test_bad_input_is_json_too_when_asked(qdt):
    code, out, _ = qdt("run", "--shots", "0", "--json")
    assert code == 2
    assert json.loads(out)["exit_code"] == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BELL + " measure q -> ;", "not valid OpenQASM 2"),
        (BELL + " foo q[0];", "foo"),
        ("hello", "OPENQASM"),
        (BELL, "measures nothing"),
    ],
    ids=["syntax error", "unknown gate", "no OpenQASM", "no measurement"],
)
def test_a_bad_circuit_is_one_sentence(text, says, qdt, tmp_path):
    path = tmp_path / "bad.qasm"
    path.write_text(text)
    code, out, err = qdt("run", path, *LAYOUT)
    assert code == 2
    assert says in " ".join((out + err).split())


def test_a_truncated_calibration_is_one_sentence(qdt, tmp_path):
    path = tmp_path / "props_cut.json"
    path.write_text('{"backend_name": "cut", "qubits": [')
    code, out, err = qdt("check", path)
    assert code == 1 or "props_cut" in out + err
    code, out, err = qdt("import", path, "--out", tmp_path / "cut.nc")
    assert code == 2
    assert "cut" in err
    assert not (tmp_path / "cut.nc").exists()


def test_a_report_that_cannot_be_written_leaves_nothing_behind(qdt, bell, tmp_path):
    folder = tmp_path / "nowhere"
    code, out, err = qdt("run", bell, *LAYOUT, "--report", folder / "report.html")
    assert code == 2
    assert "nowhere" in out + err
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_an_interrupt_leaves_with_130(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qdt_emu.cli", "check", "--all", "--json"]
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in json.loads(out)["error"]
