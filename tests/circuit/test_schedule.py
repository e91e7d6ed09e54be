"""When things happen: the same times as Qiskit's scheduler, on circuits both can do."""

import itertools

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, ASAPScheduleAnalysis

from qdt_emu.circuit.schedule import schedule
from qdt_emu.circuit.steps import steps_of
from qdt_emu.device.target import to_target
from qdt_emu.errors import InputError
from tests.circuit.exact import CZ, RO, SX, distribution, physical, toy


def random_native(rng: np.random.Generator, n: int, length: int) -> QuantumCircuit:
    circuit = physical(n, n)
    for _ in range(length):
        q = int(rng.integers(n - 1))
        match rng.integers(8):
            case 0 | 1:
                circuit.sx(q)
            case 2:
                circuit.x(q + 1)
            case 3:
                circuit.rz(0.3, q)
            case 4 | 5:
                circuit.cz(q, q + 1)
            case 6:
                circuit.delay(int(rng.integers(1, 900)), q, unit="ns")
            case _:
                circuit.barrier(*range(q, n))
    circuit.measure(range(n), range(n))
    return circuit


def times_of_qiskit(circuit, target, analysis) -> tuple[list[tuple], float]:
    manager = PassManager([analysis(target=target)])
    manager.run(circuit)
    start = manager.property_set["node_start_time"]
    place = {q: k for k, q in enumerate(circuit.qubits)}
    rows = []
    for node, time in start.items():
        qubits = tuple(place[q] for q in node.qargs)
        rows.append((node.op.name, qubits, round(float(time), 14)))
    duration = max(float(t) + duration_of(node, target, place) for node, t in start.items())
    return sorted(rows), duration


def duration_of(node, target, place) -> float:
    if node.op.name == "delay":
        return float(node.op.duration)
    if node.op.name == "barrier":
        return 0.0
    return target[node.op.name][tuple(place[q] for q in node.qargs)].duration


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("method", "analysis"), [("alap", ALAPScheduleAnalysis), ("asap", ASAPScheduleAnalysis)]
)
def test_every_start_and_the_duration_equal_qiskits(seed, method, analysis):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    device = toy(5)
    circuit = in_seconds(random_native(rng, n, int(rng.integers(3, 40))), device.n_qubits)
    expected, duration = times_of_qiskit(circuit, to_target(device), analysis)
    timed, length = schedule(steps_of(circuit, device), method=method)
    found = sorted((s.name, s.qubits, round(s.start, 14)) for s in timed)
    assert found == expected
    assert length == pytest.approx(duration, rel=1e-12)


def in_seconds(circuit: QuantumCircuit, n: int) -> QuantumCircuit:
    """The same circuit with delays in s, Qiskit's own unit where dt is unknown, on n qubits."""
    out = physical(n, circuit.num_clbits)
    out.sx(0)  # Qiskit takes the type of all times from its first operation
    for item in circuit.data:
        qubits = [circuit.find_bit(q).index for q in item.qubits]
        if item.operation.name == "delay":
            out.delay(item.operation.duration * 1e-9, qubits[0], unit="s")
        else:
            clbits = [circuit.find_bit(c).index for c in item.clbits]
            out.append(item.operation, qubits, clbits)
    return out


def test_steps_are_ordered_in_time_and_program_order_holds_on_every_qubit():
    circuit = random_native(np.random.default_rng(5), 5, 200)
    steps = steps_of(circuit, toy(5))
    timed, _ = schedule(steps)
    assert all(a.start <= b.start + 1e-15 for a, b in itertools.pairwise(timed))
    for q in range(5):
        names = [(s.name, s.qubits) for s in steps if q in s.qubits]
        assert [(s.name, s.qubits) for s in timed if q in s.qubits] == names


def leading_idle() -> QuantumCircuit:
    """Qubit 1 waits for 20 gates of qubit 0 either before (alap) or after (asap) its X."""
    circuit = physical(2, 2)
    circuit.x(1)
    for _ in range(20):
        circuit.x(0)
    circuit.cz(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_asap_differs_from_alap_by_the_decay_of_the_leading_idle():
    device = toy(2, assignment=(0.0, 0.0))
    late = distribution(leading_idle(), device)
    soon = distribution(leading_idle(), device, schedule="asap")
    one = [p.reshape(2, 2)[1].sum() for p in (late, soon)]  # P(c1 = 1)
    # The CZ's residual mixes with p / 2 towards 1/2; the idle of 19 gates comes before it.
    row = device.require("cz", (0, 1))
    p = device.parameters.depolarizing[row]
    mixed = [(x - p / 2) / (1 - p) for x in one]
    assert mixed[1] / mixed[0] == pytest.approx(np.exp(-19 * SX / 1e-4), rel=1e-12)


def test_asap_equals_alap_without_decay_of_the_excited_state():
    device = toy(2, t1=1e12, t2=1e-4, infidelity_1q=1e-3)
    late = distribution(leading_idle(), device)
    soon = distribution(leading_idle(), device, schedule="asap")
    np.testing.assert_allclose(late, soon, atol=1e-12)


def test_a_reader_waits_for_its_bit_and_the_latency():
    circuit = physical(2, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 0)
    for method in ("alap", "asap"):
        timed, length = schedule(steps_of(circuit, toy(2)), latency=3e-7, method=method)
        start = {s.name: s.start for s in timed}
        assert start["branch"] == pytest.approx(SX + RO + 3e-7)
        assert length == pytest.approx(SX + RO + 3e-7 + SX + RO)


def test_a_branch_takes_as_long_as_its_longer_alternative():
    circuit = physical(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(0)
    with otherwise:
        circuit.cz(0, 1)
        circuit.x(1)
    timed, _ = schedule(steps_of(circuit, toy(2)))
    branch = next(s for s in timed if s.name == "branch")
    assert branch.duration == pytest.approx(CZ + SX)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match=r"`schedule` must be 'alap' or 'asap', but is 'now'"):
        schedule((), method="now")
