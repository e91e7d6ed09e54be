"""`qdt compare` on many circuits, between two twins, and on frozen predictions."""

import json

import pytest

BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0],q[1];'
CIRCUITS = {"bell": BELL + " measure q -> c;", "flip": BELL + " x q[0]; measure q -> c;"}
DEVICE = "ibmq_lima"


@pytest.fixture
def files(tmp_path):
    for name, text in CIRCUITS.items():
        (tmp_path / f"{name}.qasm").write_text(text)
    return [tmp_path / f"{name}.qasm" for name in CIRCUITS]


@pytest.fixture
def runs(qdt, files, tmp_path):
    """Runs whose processor is the twin itself."""
    rows = []
    for path in files:
        _, out, _ = qdt("run", path, "--device", DEVICE, "--layout", "0,1", "--seed", 3, "--json")
        counts = json.loads(out)["counts"]
        rows.append({"name": path.stem, "circuit": path.read_text(), "counts": counts})
    source = tmp_path / "runs.json"
    source.write_text(json.dumps({"device": DEVICE, "runs": rows}))
    return source


def test_many_circuits_are_surveyed(qdt, runs):
    code, out, _ = qdt("compare", runs)
    assert code == 0
    assert "of 2 circuits are off by more than shot noise" in out
    assert "geometric mean" in out
    _, out, _ = qdt("compare", runs, "--json")
    found = json.loads(out)
    assert len(found["survey"]["q_values"]) == len(found["runs"]) == 2


def test_two_twins_are_compared_in_one_sentence(qdt, runs):
    code, out, _ = qdt("compare", runs, "--against", "ibm_marrakesh", "--seed", 1)
    assert code == 0
    assert "ibmq_lima -> ibm_marrakesh: Degraded" in " ".join(out.split())
    _, out, _ = qdt("compare", runs, "--against", DEVICE, "--seed", 1, "--json")
    found = json.loads(out)
    assert found["change"]["decision"] == "inconclusive"
    assert found["change"]["names"] == list(CIRCUITS)


def test_frozen_predictions_are_scored_and_a_changed_file_is_refused(qdt, files, runs, tmp_path):
    frozen = tmp_path / "frozen.json"
    code, out, _ = qdt("freeze", *files, "-d", DEVICE, "-o", frozen, "--shots", 4000, "--json")
    assert code == 0
    assert len(json.loads(out)["sha256"]) == 64
    code, out, _ = qdt("compare", runs, "--frozen", frozen)
    assert code == 0
    assert "unchanged" in out
    code, out, err = qdt("freeze", *files, "-d", DEVICE, "-o", frozen)
    assert code == 2
    assert "never overwritten" in out + err
    frozen.write_text(frozen.read_text().replace('"00":', '"01":', 1))
    code, out, err = qdt("compare", runs, "--frozen", frozen)
    assert code == 2
    assert "it was changed" in out + err


def test_a_frozen_file_without_the_circuit_says_what_it_holds(qdt, files, runs, tmp_path):
    frozen = tmp_path / "frozen.json"
    qdt("freeze", files[0], "-d", DEVICE, "-o", frozen, "--shots", 1000)
    code, out, err = qdt("compare", runs, "--frozen", frozen)
    assert code == 2
    assert "It holds: bell" in " ".join((out + err).split())
    code, out, err = qdt("compare", runs, "--frozen", frozen, "--device", DEVICE)
    assert code == 2
    assert "own twin" in out + err


def test_repeated_circuits_show_how_well_the_processor_repeats_itself(qdt, runs, tmp_path):
    data = json.loads(runs.read_text())
    bell = data["runs"][0]
    other = {**bell, "name": "again", "counts": {k[::-1]: v for k, v in bell["counts"].items()}}
    shifted = {"00": 1500, "01": 500, "10": 500, "11": 1500}
    data["runs"] = [bell, other, {**bell, "name": "later", "counts": shifted}]
    path = tmp_path / "repeats.json"
    path.write_text(json.dumps(data))
    _, out, _ = qdt("compare", path, "--json")
    found = json.loads(out)["repeatability"]
    assert found["overdispersion"] > 10
    assert found["p_value"] < 1e-6
    _, out, _ = qdt("compare", path)
    assert "own repeats of 1 circuits" in out
    assert json.loads(qdt("compare", runs, "--json")[1])["repeatability"] is None
