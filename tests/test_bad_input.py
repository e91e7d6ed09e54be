"""Every wrong input gives one error that names the value, the rule and the fix."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qdt_emu import Options, Twin
from qdt_emu.calibrations import Calibration
from qdt_emu.device import build
from qdt_emu.errors import CalibrationError, InputError, QdtError, UnsupportedError
from tests.circuit.exact import physical, toy

HEAD = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\n'
HEAD3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(toy(3))


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def rotated(angle: float) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize(
    ("circuit", "message"),
    [
        (HEAD + "h q[0", r"OpenQASM 2: line 5, column 4"),
        (HEAD + "foo q[0];", r"line 5, column 1: 'foo' is not defined"),
        (HEAD + "cx q[0], q[7];", r"line 5, column \d+"),
        (HEAD3 + "qubit[2] q;\nh q[0", r"OpenQASM 3: line 4, column \d+"),
        (HEAD3 + "qubit[2] q;\nfoo q[0];", r"line 4, column 1: gate 'foo' is not defined"),
        (HEAD3 + "bit c; cz $0, $9; c = measure $0;", r"fit on the 3 qubits.*10. Choose a larger"),
        ("circuit.qasm", r"'circuit.qasm' does not exist. Give a path"),
        ("x q[0];", r"must start with 'OPENQASM 2.0;'"),
        (b"OPENQASM 2.0;", r"must be a QuantumCircuit, OpenQASM text or a path, but is a bytes"),
        (None, r"but is a NoneType"),
        (QuantumCircuit(4, 4), r"must fit on the 3 qubits of 'toy', but it has 4. Choose a larger"),
        (QuantumCircuit(2, 2), r"The circuit measures nothing.* Add measurements, or use"),
        (rotated(float("nan")), r"Gate angles must be finite, but `rx` has nan"),
        (rotated(float("inf")), r"Gate angles must be finite, but `rx` has inf"),
        (rotated(Parameter("theta")), r"parameter\(s\) \['theta'\] have no value. Bind"),
    ],
)
def test_circuits(twin, circuit, message):
    with pytest.raises(InputError, match=message):
        twin.run(circuit, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shots": -1}, r"`shots` must be a whole number of at least 1, but is -1"),
        ({"shots": 0}, r"`shots` must be a whole number of at least 1, but is 0"),
        ({"shots": 1.5}, r"`shots` must be a whole number of at least 1, but is 1.5"),
        ({"shots": 10**15}, r"`shots` must be at most \d+ for 2 bits.* Run in portions"),
        ({"seed": -3}, r"`seed` must be a whole number in \[0, 2\*\*63\), but is -3"),
        ({"seed": "lucky"}, r"`seed` must be .* but is 'lucky'"),
        ({"seed": 2**63}, r"`seed` must be .* but is 9223372036854775808"),
        ({"engine": "qpu"}, r"`engine` must be 'auto' or one of .* but is 'qpu'"),
        ({"binding": {"phi": 1.0}}, r"`binding` must name free parameters .* but names 'phi'"),
        ({"options": Options(layout=(0, 0))}, r"`layout` must give 2 different qubits"),
        ({"options": Options(layout=(0, 5))}, r"`layout` must stay within 0 to 2, but contains 5"),
        ({"options": Options(layout=(0,))}, r"`layout` must give 2 different qubits, but is \[0\]"),
    ],
)
def test_arguments_of_a_run(twin, arguments, message):
    with pytest.raises(InputError, match=message):
        twin.run(bell(), **{"seed": 0} | arguments)


@pytest.mark.parametrize(
    ("paulis", "message"),
    [
        (["Z"], r"A Pauli string must have 2 letters of I, X, Y, Z .* but is 'Z'"),
        (["ZZZ"], r"must have 2 letters .* but is 'ZZZ'"),
        (["ZA"], r"must have 2 letters of I, X, Y, Z .* but is 'ZA'"),
        (["zz"], r"but is 'zz'"),
        ([], r"`paulis` must be one or more Pauli strings, but is \[\]"),
        ([3], r"`paulis` must be one or more Pauli strings, but is \[3\]"),
        (3, r"`paulis` must be one or more Pauli strings, but is 3"),
    ],
)
def test_pauli_strings(twin, paulis, message):
    with pytest.raises(InputError, match=message):
        twin.estimate(bell(), paulis, seed=0)


@pytest.mark.parametrize("shots", [0, -2, 2.5])
def test_trajectories(twin, shots):
    with pytest.raises(InputError, match=r"`shots` must be a whole number of at least 1"):
        twin.estimate(bell(), ["ZZ"], shots=shots, seed=0)


def cut(*missing: tuple[int, int], qubits: int = 3) -> Twin:
    """A line of qubits with couplers that were not calibrated."""
    calibration = Calibration.uniform("cut", qubits=qubits, t1=1e-4, t2=1e-4)
    numbers = calibration.values("gates_2q/infidelity").copy()
    for k, pair in enumerate(calibration.edges):
        if pair in missing or pair[::-1] in missing:
            numbers[0, k] = 1.0
    return Twin.load(calibration.with_values("gates_2q/infidelity", numbers))


def test_an_uncalibrated_coupler():
    circuit = physical(3, 1)
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    with pytest.raises(InputError, match=r"`cz` on 0, 1 of 'cut' .*not calibrated.*layout"):
        cut((0, 1)).run(circuit, seed=0)
    plain = QuantumCircuit(3, 1)  # native, on all qubits: it means these qubits
    plain.cz(0, 1)
    plain.measure(0, 0)
    with pytest.raises(InputError, match=r"`cz` on 0, 1 of 'cut' .*not calibrated"):
        cut((0, 1)).run(plain, seed=0)


def test_a_processor_that_is_cut_in_two():
    twin = cut((1, 2), qubits=4)
    assert sum(twin.run(bell(), seed=0).counts.values()) == 1024  # fits into one half
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for q in range(3):
        circuit.cx(q, q + 1)
    circuit.measure_all()
    with pytest.raises(InputError, match=r"cannot be put onto 'cut': .*choose a layout or another"):
        twin.run(circuit, seed=0)


def test_a_qubit_that_cannot_be_read():
    calibration = Calibration.uniform("deaf", qubits=2, t1=1e-4, t2=1e-4)
    calibration = calibration.with_values("readout/assignment", [[np.nan] * 2, [0.01, 0.02]])
    calibration = calibration.with_values("readout/readout_error", [np.nan, 0.015])
    twin = Twin.load(calibration)
    circuit = physical(2, 1)
    circuit.x(0)
    assert twin.estimate(circuit, ["IZ"], seed=0, readout=False).values[0] < -0.9
    assert twin.estimate(circuit, ["ZI"], seed=0).values[0] > 0.9
    with pytest.raises(InputError, match=r"Qubit 0 of 'deaf' cannot be read.*readout=False"):
        twin.estimate(circuit, ["IZ"], seed=0)
    circuit.measure(0, 0)
    with pytest.raises(InputError, match=r"Qubit 0 of 'deaf' cannot be measured"):
        twin.run(circuit, seed=0)


def test_operations_without_a_model(twin):
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.h(0)
        circuit.measure(0, 0)
    with pytest.raises(UnsupportedError, match=r"`while_loop` has no noise model.*Unroll"):
        twin.run(circuit, seed=0)
    start = physical(3, 1)
    start.initialize([0, 1], 0)
    with pytest.raises(UnsupportedError, match=r"`initialize` on \[0\] has no noise model"):
        twin.run(start, seed=0)


def test_too_little_memory(twin):
    circuit = physical(3, 3)
    circuit.sx(range(3))
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.measure(range(3), range(3))
    with pytest.raises((UnsupportedError, InputError), match=r"memory"):
        twin.run(circuit, shots=10, seed=0, memory=40)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ibm_nowhere", r"must be a snapshot or a file, but 'ibm_nowhere' is neither"),
        ("no/such/file.json", r"File 'no/such/file.json' does not exist. Check the path"),
    ],
)
def test_sources_of_a_twin(source, message):
    with pytest.raises(InputError, match=message):
        Twin.load(source)


def test_a_broken_calibration_names_every_fault():
    with pytest.raises(CalibrationError) as caught:
        Calibration.uniform("broken", qubits=2, t1=-1e-4, t2=1e-4, infidelity_2q=3.0)
    assert len(caught.value.faults) >= 2


def test_every_error_is_one_of_ours_and_a_value_error_where_a_user_expects_one(twin):
    for error in (InputError, CalibrationError):
        assert issubclass(error, QdtError)
        assert issubclass(error, ValueError)
    with pytest.raises(ValueError, match="shots"):
        twin.run(bell(), shots=0, seed=0)
    assert build(Calibration.uniform("toy", qubits=1, t1=1e-4, t2=1e-4)).couplers == ()
