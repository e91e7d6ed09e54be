"""Measurements in common slots."""

import pytest

from qdt_emu.circuit.acquire import acquired_together
from qdt_emu.errors import InputError
from tests.circuit.exact import RO, SX, compiled, distribution, physical, toy


def starts(circuit):
    steps = compiled(acquired_together(circuit), toy(3)).steps
    return {s.clbits[0]: s.start for s in steps if s.name == "measure"}


def rounds():
    """Qubit 0 is read three times; qubit 2 once, after the first of them in program order."""
    circuit = physical(3, 4)
    circuit.sx(0)
    circuit.measure(0, 0)
    circuit.measure(2, 3)
    circuit.sx(0)
    circuit.measure(0, 1)
    circuit.sx(0)
    circuit.measure(0, 2)
    return circuit


def test_slots_are_shared_and_in_program_order():
    found = starts(rounds())
    assert found[3] == pytest.approx(found[0])
    assert found[1] == pytest.approx(found[0] + RO + SX)
    assert found[2] == pytest.approx(found[1] + RO + SX)


def test_a_measurement_later_in_the_program_waits_for_its_slot():
    circuit = physical(3, 3)
    circuit.sx(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    circuit.measure(2, 2)
    found = starts(circuit)
    assert found[2] == pytest.approx(found[1])


def test_nothing_else_runs_during_a_slot():
    circuit = rounds()
    circuit.cz(1, 2)
    steps = compiled(acquired_together(circuit), toy(3)).steps
    read = [(s.start, s.start + s.duration) for s in steps if s.name == "measure"]
    for s in steps:
        if s.duration and s.name not in ("measure", "reset"):
            assert all(s.start + s.duration <= a + 1e-12 or s.start >= b - 1e-12 for a, b in read)


def test_the_record_without_noise_is_the_same():
    circuit = rounds()
    circuit.reset(2)
    circuit.sx(1)
    circuit.cz(1, 2)
    quiet = toy(3, t1=1e9, t2=1e9, infidelity_1q=1e-15, infidelity_2q=1e-15)
    a, b = distribution(circuit, quiet), distribution(acquired_together(circuit), quiet)
    assert b == pytest.approx(a, abs=1e-9)


def test_control_flow_is_refused():
    circuit = physical(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with pytest.raises(InputError, match="if_else"):
        acquired_together(circuit)
