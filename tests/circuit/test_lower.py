"""Where noise is placed: gaps, phases, echoes, dead ends."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from qdt_emu.circuit import lower as lower_module
from qdt_emu.circuit.noisy import Kind
from qdt_emu.device import Policy, what_if
from tests.circuit.exact import (
    CZ,
    RO,
    SX,
    compiled,
    distribution,
    expectation,
    physical,
    quiet,
    toy,
)
from tests.circuit.test_schedule import in_seconds, random_native

DRESSED = Policy(zz_frame="dressed")
ZETA = 40e3


def times(found, mechanism: str) -> dict[tuple[int, ...], float]:
    """Total time in s that a mechanism acts, per physical qubit or pair."""
    recipe, out = found.recipe, {}
    zz = {}
    for table, groups in enumerate(recipe.unitaries):
        row = 0
        for group in groups:
            for k in range(len(group.index) or len(group.numbers)):
                if group.source in ("zz", "spectator"):
                    zz[table, row + k] = group.numbers[k].sum()
            row += len(group.index) or len(group.numbers)
    for op in found.structure.operations:
        if op.mechanism != mechanism:
            continue
        match op.kind:
            case Kind.RELAXATION:
                time = recipe.relaxation_time[op.slot]
            case Kind.DWELL:
                time = recipe.dwell[op.slot]
            case _:
                time = zz[len(op.qubits) - 1, op.slot]
        place = tuple(found.structure.qubits[q] for q in op.qubits)
        out[place] = out.get(place, 0.0) + time
    return out


@pytest.mark.parametrize("seed", range(6))
def test_gaps_add_up_to_the_schedule_minus_the_gates(seed):
    circuit = in_seconds(random_native(np.random.default_rng(seed), 5, 40), 5)
    found = compiled(circuit, toy(5), measured=False)
    idle = times(found, "relaxation (idle)")
    for q in range(5):
        own = [s for s in found.steps if q in s.qubits and s.name not in ("delay", "barrier")]
        if not own:
            continue
        free = found.structure.duration - own[0].start - sum(s.duration for s in own)
        assert idle.get((q,), 0.0) == pytest.approx(free, abs=1e-14)


def test_each_qubit_idles_its_own_gap_and_not_the_longest_gate_of_the_moment():
    circuit = physical(4)
    circuit.sx([0, 1, 2, 3])
    circuit.cz(2, 3)
    circuit.x(0)  # 40 ns beside 300 ns
    circuit.barrier()
    circuit.sx([0, 1])
    idle = times(compiled(circuit, toy(4), measured=False), "relaxation (idle)")
    # As late as possible, qubits 0 and 1 begin so that nothing waits before the barrier.
    assert idle == {(2,): pytest.approx(SX), (3,): pytest.approx(SX)}


def test_an_excited_qubit_decays_while_its_neighbour_works():
    device = toy(2)
    circuit = physical(2, 1)
    circuit.x(0)
    circuit.barrier()
    for _ in range(1000):
        circuit.x(1)
    circuit.barrier()
    circuit.measure(0, 0)
    row = device.require("x", (0,))
    start = 1 - device.parameters.depolarizing[row] / 2  # the X pulse's own residual
    pulse = np.exp(-SX * device.parameters.relaxation_scale[row] / 1e-4)
    excited = (pulse * 1.0) * (1 - device.parameters.depolarizing[row]) + (1 - start)
    excited *= np.exp(-1000 * SX / 1e-4)
    expected = 0.01 * (1 - excited) + 0.98 * excited
    assert distribution(circuit, device)[1] == pytest.approx(expected, abs=1e-12)


def test_a_thousand_frame_changes_cost_nothing():
    def chain(n: int) -> QuantumCircuit:
        circuit = physical(1, 1)
        circuit.sx(0)
        for _ in range(n):
            circuit.rz(2 * np.pi / n, 0)
        circuit.sx(0)
        circuit.measure(0, 0)
        return circuit

    np.testing.assert_allclose(
        distribution(chain(1000), toy(1)), distribution(chain(1), toy(1)), atol=1e-12
    )


def ramsey(time: float, *, excited: bool) -> QuantumCircuit:
    circuit = physical(2)
    circuit.x(1)
    if not excited:
        circuit.x(1)
    circuit.barrier()
    circuit.sx(0)
    circuit.delay(time, 0, unit="s")
    return circuit


@pytest.mark.parametrize("frame", ["neighbour_ground", "dressed"])
def test_ramsey_frequencies_with_the_neighbour_up_and_down_differ_by_zz(frame):
    device, time = quiet(2, zz=ZETA, policy=Policy(zz_frame=frame)), 3e-6
    phase = []
    for excited in (False, True):
        circuit = ramsey(time, excited=excited)
        x, y = (expectation(circuit, device, p) for p in ("IX", "IY"))
        assert np.hypot(x, y) == pytest.approx(1, abs=1e-9)
        phase.append(np.angle(x + 1j * y))
    # The phase counts from the middle of the pulse.
    turned = (phase[1] - phase[0] + np.pi) % (2 * np.pi) - np.pi
    assert turned == pytest.approx(-2 * np.pi * ZETA * (time + SX / 2), abs=1e-9)


def test_in_the_dressed_frame_a_resting_neighbour_turns_the_qubit():
    device, time = quiet(2, zz=ZETA, policy=DRESSED), 3e-6
    alone = physical(2)
    alone.sx(0)
    alone.delay(time, 0, unit="s")
    for pauli in ("IX", "IY"):
        resting = expectation(alone, device, pauli)
        down = expectation(ramsey(time, excited=False), device, pauli)
        assert resting == pytest.approx(down, abs=1e-9)
    late = alone.copy()
    late.barrier()
    late.x(1)
    after = expectation(late, device, "IX")
    # The neighbour's own pulse counts half before and half after it, with opposite signs.
    expected = np.sin(np.pi * ZETA * (time + SX / 2))
    assert after == pytest.approx(expected, abs=1e-9)
    ground = quiet(2, zz=ZETA)
    assert expectation(alone, ground, "IX") == pytest.approx(0, abs=1e-9)


def echoed(pulses: tuple[int, ...], time: float) -> QuantumCircuit:
    circuit = physical(2)
    circuit.sx([0, 1])
    circuit.barrier()
    circuit.delay(time / 2, [0, 1], unit="s")
    circuit.barrier()
    for q in pulses:
        circuit.x(q)
    circuit.barrier()
    circuit.delay(time / 2 - SX / 2, [0, 1], unit="s")
    circuit.barrier()
    for q in pulses:  # back, at the end: its own middle is the end of the phase
        circuit.x(q)
    return circuit


def paulis() -> list[str]:
    return ["".join(p) for p in itertools.product("IXYZ", repeat=2)][1:]


def all_expectations(circuit, device) -> np.ndarray:
    return np.array([expectation(circuit, device, p) for p in paulis()])


def test_an_echo_on_one_qubit_removes_zz_and_on_both_does_not():
    with_zz, without = (quiet(2, zz=z, policy=DRESSED) for z in (ZETA, np.nan))
    one, both = echoed((0,), 4e-6), echoed((0, 1), 4e-6)

    def gap(circuit: QuantumCircuit) -> float:
        return np.abs(all_expectations(circuit, with_zz) - all_expectations(circuit, without)).max()

    # What is left: half a pulse at each end, 20 ns of 4 us.
    assert gap(one) < np.pi * ZETA * 2 * SX
    assert gap(both) > 0.4
    assert gap(echoed((), 4e-6)) > 0.4


def test_exchanging_the_qubits_of_a_coupler_changes_nothing():
    device = toy(2, zz=ZETA)
    one, two = physical(2, 2), physical(2, 2)
    for circuit, (a, b) in ((one, (0, 1)), (two, (1, 0))):
        circuit.sx([a, b])
        circuit.delay(2e-6, a, unit="s")
        circuit.cz(a, b)
        circuit.sx(a)
        circuit.x(b)
        circuit.cz(b, a)
        circuit.sx(b)
        circuit.measure([a, b], [0, 1])
    np.testing.assert_allclose(distribution(one, device), distribution(two, device), atol=1e-14)


def test_zz_before_a_cz_is_counted_and_during_it_is_not():
    device, time = quiet(2, zz=ZETA, policy=DRESSED), 3e-6
    circuit = physical(2)
    circuit.sx([0, 1])
    circuit.delay(time, [0, 1], unit="s")
    circuit.cz(0, 1)
    total = times(compiled(circuit, device, measured=False), "zz")[0, 1]
    assert total == pytest.approx(SX / 2 + time)  # from the middle of the first pulses
    ideal = QuantumCircuit(2)
    ideal.sx([0, 1])
    ideal.rzz(np.pi * ZETA * (time + SX / 2), 0, 1)
    ideal.cz(0, 1)
    state = Statevector(ideal)
    for p in paulis():
        expected = state.expectation_value(Operator.from_label(p)).real
        assert expectation(circuit, device, p) == pytest.approx(expected, abs=1e-9), p


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("frame", ["neighbour_ground", "dressed"])
def test_zz_times_add_up_to_the_schedule_minus_the_own_gates(seed, frame):
    circuit = in_seconds(random_native(np.random.default_rng(seed), 4, 40), 5)
    found = compiled(circuit, toy(5, zz=ZETA, policy=Policy(zz_frame=frame)), measured=False)
    total = times(found, "zz")
    begin = {}
    for s in found.steps:
        if s.name not in ("delay", "barrier"):
            for q in s.qubits:
                begin.setdefault(q, s.start)
    for pair in itertools.pairwise(range(4)):
        if not set(pair) <= set(begin):
            continue
        own = sum(s.duration for s in found.steps if s.name == "cz" and set(s.qubits) == set(pair))
        expected = found.structure.duration - max(begin[q] for q in pair) - own
        if frame == "neighbour_ground":
            assert total[pair] == pytest.approx(expected, abs=1e-13)
        else:  # half of a first pulse counts as a resting neighbour's
            assert expected - SX / 2 - 1e-13 < total[pair] < expected + 1e-13


def test_a_pulse_that_overlaps_the_start_of_a_neighbours_gate_is_not_counted_twice():
    circuit = physical(3)
    circuit.sx([0, 1, 2])
    circuit.delay(100e-9, [0, 1, 2], unit="s")
    circuit.barrier()
    circuit.delay(10e-9, [0, 1], unit="s")
    circuit.cz(0, 1)
    circuit.x(2)  # its middle lies 10 ns after the start of the gate
    found = compiled(circuit, toy(3, zz=ZETA), measured=False, schedule="asap")
    assert times(found, "zz")[1, 2] == pytest.approx(SX + 100e-9 + 10e-9 + CZ)


def test_the_spectator_share_scales_zz_beside_a_gate_only():
    device = quiet(3, zz=ZETA, policy=DRESSED)
    circuit = physical(3)
    circuit.sx(2)
    circuit.barrier()
    circuit.cz(0, 1)
    circuit.barrier()
    less = [expectation(circuit, what_if(device, spectator_zz=s), "XII") for s in (0.0, 0.5, 1.0)]
    angle = [np.pi * ZETA * (SX / 2 + share * CZ) for share in (0.0, 0.5, 1.0)]
    # In the dressed frame the neighbour in |0> turns qubit 2 by RZ(angle).
    np.testing.assert_allclose(less, np.sin(angle), atol=1e-9)


def test_the_echo_inside_an_ecr_gate_protects_its_control():
    circuit = physical(3)
    circuit.sx(0)
    circuit.barrier()
    circuit.ecr(1, 2)
    circuit.barrier()
    device = toy(3, zz=ZETA, gate_2q="ecr", edges=((0, 1), (1, 2)))
    assert times(compiled(circuit, device, measured=False), "zz").get((0, 1), 0.0) == 0


def test_decoupling_restores_what_quasi_static_detuning_takes():
    sigma, time = 30e3, 4e-6
    device = what_if(quiet(1), detuning={0: sigma})
    circuit = physical(1)
    circuit.sx(0)
    circuit.delay(time, 0, unit="s")
    bare = -expectation(circuit, device, "Y")
    assert bare == pytest.approx(
        np.exp(-((2 * np.pi * sigma * (time + SX / 2)) ** 2) / 2), abs=1e-9
    )
    for sequence in ("XX", "XY4"):
        kept = abs(expectation(circuit, device, "Y", decoupling=sequence))
        # Half a pulse at the begin is not refocused.
        assert kept > np.exp(-((2 * np.pi * sigma * SX) ** 2) / 2)


def test_decoupling_puts_pulses_into_gaps_only():
    circuit = physical(3, 1)
    circuit.sx(0)
    circuit.barrier()
    circuit.delay(2e-6, 0, unit="s")
    circuit.sx(1)
    circuit.barrier()
    circuit.sx(0)
    circuit.measure(0, 0)
    found = compiled(circuit, toy(3), decoupling="XX")
    pulses = [s for s in found.steps if s.name == "x" and s.start < found.structure.duration - RO]
    assert [s.qubits for s in pulses] == [(0,), (0,)]
    first, second = (s.start for s in pulses)
    slack = 2e-6 - 2 * SX
    assert first == pytest.approx(SX + slack / 4)
    assert second == pytest.approx(SX + slack * 3 / 4 + SX)
    assert found.structure.duration == pytest.approx(2 * SX + 2e-6 + RO)


def test_decoupling_changes_no_ideal_outcome():
    device = quiet(3)
    for seed in range(4):
        circuit = in_seconds(random_native(np.random.default_rng(seed), 3, 25), 3)
        plain = distribution(circuit, device)
        for sequence in ("XX", "XY4"):
            with_pulses = distribution(circuit, device, decoupling=sequence)
            np.testing.assert_allclose(with_pulses, plain, atol=1e-9)


def test_a_qubit_dwells_from_its_first_step_to_the_end():
    device = what_if(toy(3), detuning=1e3)
    circuit = in_seconds(random_native(np.random.default_rng(3), 3, 30), 3)
    found = compiled(circuit, device, measured=False)
    total = times(found, "detuning")
    for q in range(3):
        begin = min(s.start for s in found.steps if q in s.qubits and s.name != "barrier")
        first = min(
            s.start for s in found.steps if q in s.qubits and s.name not in ("barrier", "delay")
        )
        assert begin <= first
        assert total[q,] == pytest.approx(found.structure.duration - first, abs=1e-14)


def test_crosstalk_scales_gates_that_overlap_on_neighbouring_couplers():
    device = what_if(toy(6), crosstalk=3.0)
    p = device.parameters.depolarizing[device.require("cz", (0, 1))]

    def identity(*pairs: tuple[int, int], barrier: bool = False) -> list[float]:
        circuit = physical(6)
        for pair in pairs:
            circuit.cz(*pair)
            if barrier:
                circuit.barrier()
        noisy = compiled(circuit, device, measured=False).bind()
        ops = [op for op in noisy.structure.operations if op.mechanism == "gate"]
        return [float(1 - noisy.values.pauli2[op.slot][0]) * 16 / 15 for op in ops]

    assert identity((0, 1), (2, 3)) == pytest.approx([3 * p, 3 * p])
    assert identity((0, 1), (3, 4)) == pytest.approx([p, p])
    assert identity((0, 1), (2, 3), barrier=True) == pytest.approx([p, p])
    assert identity((0, 1), (1, 2)) == pytest.approx([p, p])  # one after the other


@pytest.mark.parametrize("seed", range(4))
def test_operations_that_cannot_reach_the_record_are_dropped_without_a_trace(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    circuit = in_seconds(random_native(rng, 4, 30), 5)
    circuit.remove_final_measurements()
    circuit.add_register(*QuantumCircuit(0, 3).cregs)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.cz(0, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
    circuit.measure([1, 2], [1, 2])
    circuit.sx([0, 3, 4])
    circuit.cz(3, 4)
    device = what_if(toy(5, zz=ZETA), over_rotation={"sx": 0.05}, phase={"cz": 0.02})
    short = compiled(circuit, device)
    answer = distribution(circuit, device)
    monkeypatch.setattr(lower_module, "_live", lambda operations: operations)
    whole = compiled(circuit, device)
    assert len(whole.structure.operations) > len(short.structure.operations)
    np.testing.assert_allclose(distribution(circuit, device), answer, atol=1e-13)


def test_the_active_qubits_are_numbered_by_their_place():
    circuit = physical(5, 1)
    circuit.sx([4, 2])
    circuit.cz(2, 1)
    circuit.measure(2, 0)
    found = compiled(circuit, toy(5))
    assert found.structure.qubits == (1, 2)
    assert replace(found.structure) == found.structure


@pytest.mark.parametrize("frequency", [-3e4, 1e3, 5e4])
@pytest.mark.parametrize("echo", [False, True])
def test_a_constant_offset_turns_a_waiting_qubit_and_an_echo_refocuses_it(frequency, echo):
    device, wait = what_if(quiet(1), offset=frequency), 2e-6
    circuit = physical(1)
    circuit.sx(0)
    circuit.delay(wait, 0, unit="s")
    if echo:
        circuit.x(0)
        circuit.delay(wait, 0, unit="s")
        circuit.sx(0)
    pulse = next(i.duration for i in device.instructions if i.name == "sx")
    # Phases count up to the middle of a pulse and, at the end, up to the end of the schedule.
    turn = 2 * np.pi * frequency * (wait + pulse / 2)
    found = [expectation(circuit, device, letter) for letter in "XYZ"]
    wanted = [0, 0, 1] if echo else [np.sin(turn), -np.cos(turn), 0]
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("echo", [False, True])
def test_a_gate_turns_its_neighbour_while_it_runs_and_a_pulse_inside_refocuses_it(echo):
    shift, device = 1e5, what_if(quiet(3), stark={((0, 1), 2): 1e5})
    gate = next(i.duration for i in device.instructions if i.name == "cz")
    pulse = next(i.duration for i in device.instructions if i.name == "x")
    circuit = physical(3)
    circuit.sx(2)
    circuit.barrier()
    circuit.cz(0, 1)
    if echo:  # the pulse's middle is the middle of the gate
        circuit.delay((gate - pulse) / 2, 2, unit="s")
        circuit.x(2)
        circuit.delay((gate - pulse) / 2, 2, unit="s")
    circuit.barrier()
    circuit.sx(2)
    # sx, turn by phi, sx: Z is -cos(phi). sx, phi/2, x, phi/2, sx: Z is 1.
    wanted = 1.0 if echo else -np.cos(2 * np.pi * shift * gate)
    assert expectation(circuit, device, "ZII") == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("gate", "order"), [("cz", (0, 1)), ("cx", (0, 1)), ("cx", (1, 0))])
@pytest.mark.parametrize("waits", [False, True])
def test_a_gate_flips_its_neighbour_alone_and_with_the_qubit_between_them(gate, order, waits):
    """Chain 0-1-2: what commutes with the gate on qubit 1 shows in X, where it is a Z."""
    alone, joint = 0.02, 0.05
    flips = {((0, 1), 2): (alone, joint)}
    device = what_if(quiet(3, gate_2q=gate), spectator_flips=flips)
    seen = "X" if gate == "cz" or order == (1, 0) else "Z"
    circuit = physical(3)
    if not waits:
        circuit.x(2)
    if seen == "X":  # eigenstates of X, which a cx from 1 to 0 leaves as they are
        for q in (0, 1) if gate == "cx" else (1,):
            circuit.sx(q)
            circuit.rz(np.pi / 2, q)
    circuit.barrier()
    getattr(circuit, gate)(*order)
    circuit.barrier()
    circuit.x(2)
    for pauli, flipped in (("ZII", alone + joint), (f"Z{seen}I", alone)):
        whole = expectation(circuit, quiet(3, gate_2q=gate), pauli)
        assert abs(whole) == pytest.approx(1, abs=1e-6)
        left = expectation(circuit, device, pauli)
        assert left == pytest.approx(whole * (1 - 2 * flipped), abs=1e-6)


def test_a_gate_flips_no_qubit_that_only_waits():
    device = what_if(quiet(3), spectator_flips=(0.02, 0.05))
    circuit = physical(3)
    circuit.cz(0, 1)
    assert compiled(circuit, device, measured=False).structure.n_qubits == 2


@pytest.mark.parametrize("gate", ["cz", "cx"])
def test_a_gate_beside_another_one_turns_as_its_context_says(gate):
    """Chain 0-1-2-3: gates on (0, 1) and (2, 3) at once, then one after the other."""
    angles = (0.3, 0.2, -0.5)
    device = what_if(quiet(4, gate_2q=gate), context={((0, 1), (2, 3)): angles})
    letters = {"cz": "ZZ", "cx": "ZX"}[gate]
    for together in (True, False):
        circuit = physical(4)
        circuit.sx([0, 1])
        getattr(circuit, gate)(0, 1)
        if not together:
            circuit.barrier()
        getattr(circuit, gate)(2, 3)
        exact = QuantumCircuit(2)
        exact.sx([0, 1])
        getattr(exact, gate)(0, 1)
        if together:
            getattr(exact, f"r{letters.lower()}")(angles[0], 0, 1)
            exact.rz(angles[1], 0)
            getattr(exact, f"r{letters[1].lower()}")(angles[2], 1)
        for pauli in ("IX", "YI", "XZ", "ZY"):
            wanted = Statevector(exact).expectation_value(SparsePauliOp(pauli)).real
            found = expectation(circuit, device, "II" + pauli)
            assert found == pytest.approx(wanted, abs=1e-6), (pauli, together)
