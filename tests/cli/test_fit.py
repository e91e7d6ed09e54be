"""`qdt fit` learns what a processor does, says what it does not know, and `qdt run` uses it."""

import json

import pytest

from qdt_emu import Twin
from qdt_emu.circuit import Options

HEAD = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2];'
CIRCUITS = ["", "x q[0];", "x q[1];", "x q[0]; x q[1];", "h q[0]; cx q[0],q[1];", "h q[1];"]
LAYOUT = ["--layout", "0,1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Counts of a processor that misreads more than its calibration says."""
    twin = Twin.load("ibmq_lima")
    worse = Twin.load(twin.what_if(assignment={0: (0.02, 0.06), 1: (0.018, 0.045)}).device)
    rows = []
    for k, gates in enumerate(CIRCUITS):
        text = f"{HEAD} {gates} measure q -> c;"
        counts = worse.run(text, shots=8000, seed=k, options=Options(layout=(0, 1)))
        rows.append({"name": f"c{k}", "circuit": text, "counts": dict(counts.counts)})
    path = tmp_path_factory.mktemp("runs") / "runs.json"
    path.write_text(json.dumps({"device": "ibmq_lima", "runs": rows}))
    return path


@pytest.fixture(scope="module")
def posterior(tmp_path_factory):
    return tmp_path_factory.mktemp("posterior") / "posterior.nc"


def test_a_fit_learns_saves_and_scores_on_what_it_did_not_see(qdt, runs, posterior):
    code, out, _ = qdt(
        *("fit", runs, "-o", posterior, "--learn", "assignment", "--hold-out", 3, *LAYOUT),
        "--json",
    )
    found = json.loads(out)
    assert code == 0
    assert found["circuits"] == 4
    assert found["held_out"]["circuits"] == 2
    assert found["held_out"]["decision"] == "improved"
    known = {x["label"]: x for x in found["learned"] if x["identified"]}
    planted = {"P(read 0 | 1) of qubit 0": 0.06, "P(read 0 | 1) of qubit 1": 0.045}
    for label, value in planted.items():
        half = (known[label]["high"] - known[label]["low"]) / 2
        assert abs(known[label]["value"] - value) < 5 * half
    code, out, _ = qdt("compare", runs, "--posterior", posterior, "--shots", 8000)
    assert code == 0
    assert "calibration -> learned: " in " ".join(out.split())


def test_what_was_learned_changes_runs_and_gives_bands(qdt, runs, posterior, tmp_path):
    path = tmp_path / "flip.qasm"
    path.write_text(f"{HEAD} x q[0]; measure q -> c;")
    if not posterior.exists():
        qdt("fit", runs, "-o", posterior, "--learn", "assignment", *LAYOUT)
    _, out, _ = qdt("run", path, "-d", "ibmq_lima", "--posterior", posterior, *LAYOUT, "--json")
    found = json.loads(out)
    low, high = found["bands"]["01"]
    assert low < 0.94 * 0.982 < high
    assert high - low < 0.06
    _, out, _ = qdt("run", path, "-d", "ibmq_lima", "--posterior", posterior, *LAYOUT)
    assert "90 % band" in out
    code, out, err = qdt("run", path, "-d", "ibm_torino", "--posterior", posterior)
    assert code == 2
    assert "another calibration" in " ".join((out + err).split())


def test_newer_counts_follow_what_was_learned(qdt, runs, posterior, tmp_path):
    if not posterior.exists():
        qdt("fit", runs, "-o", posterior, "--learn", "assignment", *LAYOUT)
    newer = ["--posterior", posterior, "--hours", 24, *LAYOUT, "--json"]
    code, out, _ = qdt("fit", runs, "-o", tmp_path / "newer.nc", *newer)
    assert code == 0
    assert {x["label"] for x in json.loads(out)["learned"]} >= {"P(read 0 | 1) of qubit 0"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "x.txt"], "'.nc'"),
        (["-o", "x.nc", "--learn", "magic"], "'magic'"),
        (["-o", "x.nc", "--hold-out", "1"], "leaves 0"),
        (["-o", "nowhere/x.nc"], "nowhere"),
        (["-o", "x.nc", "--hours", "3"], "given together"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says, qdt, runs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = qdt("fit", runs, *arguments)
    assert code == 2
    assert says in " ".join((out + err).split())
    assert "Traceback" not in out + err
