"""`qdt plan`: a table, JSON, and a refusal with its reason."""

import json

import pytest

CHAIN = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[5]; creg c[5]; h q[0];' + "".join(
    f"cx q[{k}],q[{k + 1}];" for k in range(4)
)


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.qasm"
    path.write_text(CHAIN + " measure q -> c;")
    return str(path)


def test_a_plan_is_a_table_of_all_engines_with_the_choice_marked(qdt, chain):
    code, out, _ = qdt("plan", chain, "--device", "ibmq_lima", "--shots", 500)
    assert code == 0
    for name in ("density", "statevector", "stabilizer", "contraction", "mps", "mpo", "network"):
        assert name in out
    assert "-> │ density" in out
    assert "chain on ibmq_lima: 5 qubits" in out


def test_a_plan_of_expectation_values_as_json_has_one_choice(qdt, chain):
    code, out, _ = qdt("plan", chain, "-d", "ibmq_lima", "--pauli", "ZZZZZ", "--json")
    found = json.loads(out)
    rows = found["parts"][0]["alternatives"]
    assert code == 0
    assert sum(row["chosen"] for row in rows) == 1
    assert found["engine"] == rows[0]["engine"]
    assert {"pauli", "contraction"} <= {row["engine"] for row in rows}


def test_a_plan_that_nothing_fulfils_says_why_and_fails(qdt, chain):
    code, out, _ = qdt("plan", chain, "-d", "ibmq_lima", "--memory", 1e-7)
    assert code == 2
    assert "No engine can run the 5 connected qubits" in out
    code, out, _ = qdt("plan", chain, "-d", "ibmq_lima", "--memory", 1e-7, "--json")
    assert json.loads(out)["refusal"].startswith("No engine")
