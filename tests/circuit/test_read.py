"""Circuits from text and files; a syntax error says where."""

from pathlib import Path

import pytest
from qiskit import QuantumCircuit

from qdt_emu.circuit.read import PHYSICAL, read_circuit
from qdt_emu.errors import InputError

TWO = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\nmeasure q -> c;\n'
THREE = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\nc = measure q;\n'


@pytest.mark.parametrize("text", [TWO, THREE])
def test_both_versions_are_read_as_text_and_from_a_file(text, tmp_path):
    path = tmp_path / "circuit.qasm"
    path.write_text(text)
    for source in (text, path, str(path)):
        circuit = read_circuit(source)
        assert circuit.num_qubits == circuit.num_clbits == 2
        assert not (circuit.metadata or {}).get(PHYSICAL)


def test_a_circuit_is_returned_as_it_is():
    circuit = QuantumCircuit(1)
    assert read_circuit(circuit) is circuit


def test_hardware_qubits_make_a_circuit_physical():
    circuit = read_circuit('OPENQASM 3.0; include "stdgates.inc"; x $3;')
    assert circuit.metadata[PHYSICAL]
    assert circuit.num_qubits == 4
    assert not (read_circuit(THREE + "// costs $5\n").metadata or {}).get(PHYSICAL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TWO.replace("h q[0]", "h q[0"),
            r"not valid OpenQASM 2: line 5, column 6: needed a closing bracket",
        ),
        (TWO.replace("h q[0]", "foo q[0]"), r"line 5, column 1: 'foo' is not defined"),
        (TWO[:-5], r"OpenQASM 2: line 6, column"),
        (THREE.replace("h q[0]", "h q[0"), r"not valid OpenQASM 3: line 5, column .* unexpected"),
        (THREE.replace("h q[0]", "foo q[0]"), r"line 5, column 1: gate 'foo' is not defined"),
        (THREE + "x q[0]", r"line 7, column \d+: unexpected the end of the text"),
        (THREE + "int i = ;", r"line 7, column 9: unexpected ';'"),
        (THREE + "x q[5];", r"not valid OpenQASM 3: IndexError: index out of range"),
        (THREE + "rx(1/0) q[0];", r"ZeroDivisionError"),
        ("OPENQASM 4.0;", r"OpenQASM 4; versions 2 and 3 can be read"),
        ("hello;", r"must start with 'OPENQASM 2.0;' .* but starts with 'hello;'"),
        ("no/such/file.qasm", r"file 'no/such/file.qasm' does not exist"),
        (Path(__file__).parent, r"cannot be read"),
        ("", r"circuit file .* cannot be read"),
        (7, r"must be a QuantumCircuit, OpenQASM text or a path, but is a int"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, message, capsys):
    with pytest.raises(InputError, match=message):
        read_circuit(text)
    assert capsys.readouterr() == ("", "")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "noise.qasm"
    path.write_bytes(b"\xff\xfe\x00OPENQASM")
    with pytest.raises(InputError, match=r"noise.qasm' cannot be read"):
        read_circuit(path)
