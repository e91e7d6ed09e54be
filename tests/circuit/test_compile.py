"""From a user's circuit to the device: what runs as given, what is laid out, what is the same."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter

from qdt_emu.circuit import Options
from qdt_emu.circuit.compile import fingerprint
from qdt_emu.device import ideal
from qdt_emu.device.target import to_target
from qdt_emu.errors import InputError
from tests.circuit.exact import RO, compiled, distribution, physical, quiet, toy


def bell(n: int, a: int = 0, b: int = 1) -> QuantumCircuit:
    circuit = QuantumCircuit(n, 2)
    circuit.h(a)
    circuit.cx(a, b)
    circuit.measure([a, b], [0, 1])
    return circuit


def test_native_circuits_on_all_qubits_run_as_given():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.cz(1, 0)
    circuit.measure(1, 0)
    assert compiled(circuit, toy(3)).as_given
    assert compiled(circuit, toy(3)).places == (0, 1, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.h(0),  # not native
        lambda c: c.cz(0, 2),  # native, but no coupler there
    ],
)
def test_anything_else_is_laid_out(change):
    circuit = QuantumCircuit(3, 1)
    change(circuit)
    circuit.measure(0, 0)
    assert not compiled(circuit, toy(3)).as_given


def test_smaller_circuits_are_laid_out_and_places_say_where():
    circuit = bell(2)
    found = compiled(circuit, toy(5))
    assert not found.as_given
    assert len(found.places) == 2
    assert set(found.structure.qubits) == set(found.places)
    chosen = compiled(circuit, toy(5), layout=(4, 3))
    assert chosen.places == (4, 3)


def test_a_layout_lays_out_even_a_native_circuit():
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    assert compiled(circuit, toy(2), layout=(1, 0)).structure.qubits == (1,)


def test_transpiled_circuits_run_as_given():
    device = toy(4)
    mapped = transpile(bell(4, 0, 3), target=to_target(device), seed_transpiler=3)
    found = compiled(mapped, device)
    assert found.as_given
    assert found.physical is mapped
    p = distribution(mapped, quiet(4))
    np.testing.assert_allclose(p, [0.5, 0, 0, 0.5], atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_layout_and_routing_change_no_ideal_outcome(seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(4, 4)
    for _ in range(12):
        a, b = rng.choice(4, 2, replace=False).tolist()
        circuit.u(*rng.uniform(0, 6, 3), a)
        circuit.cp(rng.uniform(0, 6), a, b)
        circuit.ry(rng.uniform(0, 6), b)
    circuit.measure(range(4), [2, 0, 3, 1])
    np.testing.assert_allclose(
        distribution(circuit, quiet(5)), distribution(circuit, ideal(4)), atol=1e-8
    )


def test_an_ideal_device_takes_any_gate_of_two_qubits_and_unrolls_larger_ones():
    circuit = QuantumCircuit(3, 3)
    circuit.x([0, 1])
    circuit.ccx(0, 1, 2)
    circuit.measure(range(3), range(3))
    assert not compiled(circuit, ideal(3)).as_given
    assert distribution(circuit, ideal(3))[7] == pytest.approx(1)
    start = QuantumCircuit(1, 1)
    start.initialize([0, 1], 0)
    start.measure(0, 0)
    assert distribution(start, ideal(1))[1] == pytest.approx(1)
    assert distribution(start, ideal(1), layout=(0,))[1] == pytest.approx(1)


def test_global_phases_are_no_operations():
    circuit = physical(1, 1)
    circuit.x(0)
    circuit.append(QuantumCircuit(0, global_phase=1.0).to_gate(), [])
    circuit.measure(0, 0)
    assert distribution(circuit, toy(1))[1] > 0.9


def test_observables_drop_final_measurements_even_when_nothing_else_is_there():
    circuit = physical(2, 2)
    circuit.measure([0, 1], [0, 1])
    found = compiled(circuit, toy(2), measured=False)
    assert found.structure.operations == ()
    assert found.structure.duration == 0
    middle = physical(2, 2)
    middle.measure(0, 0)
    middle.x(0)
    assert compiled(middle, toy(2), measured=False).structure.duration > RO


def test_gates_let_through_have_neither_noise_nor_time():
    circuit = physical(2, 1)
    circuit.x(0)
    circuit.h(0)
    circuit.h(0)
    circuit.measure(0, 0)
    with pytest.raises(InputError, match=r"`h` on 0 is not native to 'toy' \(native: cz, rz"):
        compiled(circuit, toy(2))
    plain = physical(2, 1)
    plain.x(0)
    plain.measure(0, 0)
    np.testing.assert_allclose(
        distribution(circuit, toy(2), allow_noiseless={"h"}),
        distribution(plain, toy(2)),
        atol=1e-14,
    )


def test_identities_follow_the_content():
    one, two, other = bell(2), bell(2), bell(2)
    other.x(0)
    assert fingerprint(one) == fingerprint(two) != fingerprint(other)
    found = [compiled(c, toy(2)) for c in (one, two, other)]
    assert found[0].structure.id == found[1].structure.id != found[2].structure.id
    assert found[0].circuit_id == found[1].circuit_id != found[2].circuit_id
    assert found[0].bind().id == found[1].bind().id != found[2].bind().id


def own_gate(theta: float) -> QuantumCircuit:
    inner = QuantumCircuit(1, name="mine")
    inner.rx(theta, 0)
    outer = QuantumCircuit(1, 1)
    outer.append(inner.to_gate(), [0])
    outer.measure(0, 0)
    return outer


def conditional(value: int, qubit: int) -> QuantumCircuit:
    circuit = QuantumCircuit(3, 2)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.cregs[0], value)):
        circuit.x(qubit)
    return circuit


def free(name: str) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter(name), 0)
    return circuit


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (own_gate(0.1), own_gate(3.1)),
        (conditional(1, 2), conditional(2, 2)),
        (conditional(1, 2), conditional(1, 1)),
        (free("a"), free("b")),
        (QuantumCircuit(2), QuantumCircuit(3)),
    ],
)
def test_what_compiles_differently_has_another_fingerprint(one, two):
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": (0, 0)}, r"`layout` must give 2 different qubits, but is \[0, 0\]"),
        ({"layout": (0, 1, 2)}, r"`layout` must give 2 different qubits"),
        ({"layout": (0, 9)}, r"`layout` must stay within 0 to 2, but contains 9"),
        ({"layout": ("a", "b")}, r"`layout` must hold qubit numbers, but is \('a', 'b'\)"),
        ({"optimization_level": 7}, r"`optimization_level` must be one of \(0, 1, 2, 3\)"),
        ({"schedule": "soon"}, r"`schedule` must be one of .*'alap', 'asap'\), but is 'soon'"),
        ({"decoupling": "CPMG"}, r"`decoupling` must be one of .*'XX', 'XY4'.* but is 'CPMG'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        compiled(bell(2), toy(3), **options)


def test_options_are_hashable_whatever_they_are_given():
    options = Options(layout=[1, np.int64(0)], allow_noiseless={"h"})
    assert hash(options) == hash(Options(layout=(1, 0), allow_noiseless=frozenset({"h"})))


def test_delays_are_read_in_every_unit_and_need_a_number():
    for amount, unit in ((1.5e-6, "s"), (1.5e-3, "ms"), (1.5, "us"), (1500, "ns"), (1.5e6, "ps")):
        circuit = physical(1)
        circuit.delay(amount, 0, unit=unit)
        assert compiled(circuit, toy(1), measured=False).steps[0].duration == pytest.approx(1.5e-6)
    circuit = physical(1)
    circuit.delay(100, 0, unit="dt")
    with pytest.raises(InputError, match=r"delay of 100 dt needs the time step.*in seconds"):
        compiled(circuit, toy(1))
    circuit = physical(1)
    circuit.delay(Parameter("t"), 0, unit="s")
    with pytest.raises(InputError, match=r"A delay must have a length in numbers.*but is t. Bind"):
        compiled(circuit, toy(1))
