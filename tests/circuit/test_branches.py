"""Measurements and what depends on them: latency, alternatives, nesting, refusals."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr

from qdt_emu.circuit.noisy import Kind
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import what_if
from qdt_emu.errors import UnsupportedError
from qdt_emu.twin import Twin
from tests.circuit.exact import RO, SX, compiled, distribution, physical, quiet, toy


def certain(circuit: QuantumCircuit, device=None) -> int:
    """The only record a noiseless device can give."""
    p = distribution(circuit, device or quiet(circuit.num_qubits))
    assert p.max() == pytest.approx(1, abs=1e-9)
    return int(p.argmax())


def test_idle_qubits_decay_during_readout_and_latency():
    device = what_if(quiet(2, t1=1e-4, t2=1e-4, infidelity_1q=0.01), feedforward_latency=4e-6)
    circuit = physical(2, 2)
    circuit.x(1)
    circuit.barrier()
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    row = device.require("x", (1,))
    p, scale = device.parameters.depolarizing[row], device.parameters.relaxation_scale[row]
    after_pulse = np.exp(-SX * scale / 1e-4) * (1 - p) + p / 2
    # The branch takes its time whether it is taken or not.
    expected = after_pulse * np.exp(-(RO + 4e-6 + SX) / 1e-4)
    assert distribution(circuit, device)[2] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("bit", [0, 1])
def test_each_alternative_runs_under_its_own_condition(bit):
    circuit = physical(3, 3)
    if bit:
        circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.x(2)
    circuit.measure([1, 2], [1, 2])
    assert certain(circuit) == (0b011 if bit else 0b100)


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
def test_nested_branches_need_every_condition(a, b):
    circuit = physical(3, 3)
    for q, value in ((0, a), (1, b)):
        if value:
            circuit.x(q)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[0], 1)):
        with circuit.if_test((circuit.clbits[1], 1)) as otherwise:
            circuit.x(2)
        with otherwise:
            circuit.sx(2)
            circuit.rz(0, 2)
            circuit.sx(2)
            circuit.x(2)
    circuit.measure(2, 2)
    assert certain(circuit) == a + 2 * b + 4 * (a and b)


@pytest.mark.parametrize("value", range(4))
def test_a_register_is_read_with_its_lowest_bit_first(value):
    qubits, wide, flag = QuantumRegister(3), ClassicalRegister(2, "wide"), ClassicalRegister(1, "f")
    circuit = QuantumCircuit(qubits, wide, flag, metadata={"physical": True})
    circuit.x(1)
    circuit.measure([0, 1], wide)
    with circuit.if_test((wide, value)):
        circuit.x(2)
    circuit.measure(2, flag)
    assert certain(circuit) == 0b010 + 4 * (value == 2)


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        (lambda c: c[0], False),
        (lambda c: expr.logic_not(c[0]), True),
        (lambda c: expr.bit_not(c[1]), False),
        (lambda c: expr.equal(c, 2), True),
        (lambda c: expr.not_equal(c, 2), False),
        (lambda c: expr.not_equal(c, 1), True),
        (lambda c: expr.logic_not(expr.equal(c, 2)), False),
    ],
)
def test_conditions_written_as_expressions(condition, taken):
    register = ClassicalRegister(2, "c")
    circuit = QuantumCircuit(QuantumRegister(3), register, ClassicalRegister(1, "out"))
    circuit.metadata = {"physical": True}
    circuit.x(1)
    circuit.measure([0, 1], register)
    with circuit.if_test(expr.lift(condition(register))):
        circuit.x(2)
    circuit.measure(2, 2)
    assert certain(circuit) == 2 + 4 * taken


QASM3 = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
x $0;
c[0] = measure $0;
if (!c[0]) { x $1; } else { rz(0.1) $1; sx $1; sx $1; }
c[1] = measure $1;
"""


def test_branches_are_read_from_openqasm_3():
    assert certain(read_circuit(QASM3), quiet(2)) == 0b11


def test_misread_bits_steer_the_branch():
    device = quiet(2, assignment=(0.1, 0.2))
    circuit = physical(2, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    p = distribution(circuit, device).reshape(2, 2)  # [c1, c0]
    np.testing.assert_allclose(p[:, 0], [0.9 * 0.9, 0.9 * 0.1], atol=1e-9)
    np.testing.assert_allclose(p[:, 1], [0.1 * 0.2, 0.1 * 0.8], atol=1e-9)


def test_a_measured_qubit_keeps_its_true_state_and_only_the_record_is_wrong():
    device = toy(1, assignment=(0.01, 0.02))
    circuit = physical(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    p = distribution(circuit, device).reshape(2, 2)  # [second, first]
    row = device.require("x", (0,))
    depolarizing = device.parameters.depolarizing[row]
    up = np.exp(-SX * device.parameters.relaxation_scale[row] / 1e-4) * (1 - depolarizing)
    up += depolarizing / 2
    half = np.exp(-RO / 2 / 1e-4)  # chance not to decay before, and after, the middle of a readout
    misread = (0.02 - (1 - half) * 0.99) / half  # so that |1> reads 0 as often as published
    late = half * misread * (half * 0.02 + (1 - half) * 0.99)
    both_zero = up * ((1 - half) * 0.99**2 + late) + (1 - up) * 0.99**2
    assert p[0, 0] == pytest.approx(both_zero, abs=1e-12)
    assert p[:, 0].sum() == pytest.approx(up * 0.02 + (1 - up) * 0.99, abs=1e-12)
    perfect = quiet(1, assignment=(0.01, 0.02))
    p = distribution(circuit, perfect).reshape(2, 2)
    assert p[0, 0] / p[:, 0].sum() == pytest.approx(0.02, abs=1e-9)  # not near 1


def test_a_reset_forgets_and_has_its_own_error():
    circuit = physical(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.measure(0, 1)
    device = what_if(quiet(1), reset_excitation=0.03)
    np.testing.assert_allclose(distribution(circuit, device), [0, 0.97, 0, 0.03], atol=1e-9)


def test_a_reset_in_a_branch_happens_only_there():
    circuit = physical(2, 3)
    circuit.x([0, 1])
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.reset(1)
    circuit.measure(1, 1)
    assert certain(circuit) == 0b011


def test_a_branch_may_end_by_measuring_its_own_bit():
    circuit = physical(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
        circuit.measure(0, 0)
    assert certain(circuit) == 0


def test_a_branch_that_changes_its_condition_midway_is_refused():
    circuit = physical(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(0)
        circuit.measure(0, 0)
    with otherwise:
        circuit.x(1)
    circuit.measure(1, 0)
    with pytest.raises(UnsupportedError, match=r"bit 0 measures into that bit.*another bit"):
        compiled(circuit, quiet(2))


def test_operations_in_a_branch_carry_the_time_they_happen_at():
    circuit = physical(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
        circuit.x(1)
    circuit.measure(1, 0)
    found = compiled(circuit, toy(2))
    branch = next(s for s in found.steps if s.name == "branch")
    starts = [
        op.start for op in found.structure.operations if op.conditions and op.kind is Kind.UNITARY
    ]
    assert starts == pytest.approx([branch.start, branch.start + SX])


def while_loop(circuit: QuantumCircuit) -> None:
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.x(0)


def for_loop(circuit: QuantumCircuit) -> None:
    with circuit.for_loop(range(3)):
        circuit.x(0)


def both_bits(circuit: QuantumCircuit) -> None:
    with circuit.if_test(expr.logic_and(circuit.clbits[0], circuit.clbits[1])):
        circuit.x(0)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (while_loop, r"`while_loop` on \[0\] has no noise model.*Unroll"),
        (for_loop, r"`for_loop` on \[0\]"),
        (lambda c: c.initialize([0, 1], 0), r"`initialize` on \[0\]"),
        (lambda c: c.ccx(0, 1, 2), r"`ccx` acts on 3 qubits.*Decompose"),
        (both_bits, r"The condition .* nested `if_else`"),
    ],
)
def test_what_has_no_model_is_refused_by_name(add, message):
    circuit = physical(3, 2)
    add(circuit)
    with pytest.raises(UnsupportedError, match=message):
        compiled(circuit, toy(3))


def test_a_final_measurement_that_a_gate_depends_on_stays_for_observables():
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 0)
    values = Twin.ideal(2, [(0, 1)]).estimate(circuit, ["ZI"])
    assert values.values[0] == pytest.approx(-1)
