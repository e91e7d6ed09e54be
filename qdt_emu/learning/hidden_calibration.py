"""What the maker of a hidden device would publish about it, and what it truly is in those terms."""

import json

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import Calibration
from qdt_emu.calibrations.ledger import Ledger
from qdt_emu.calibrations.measured import Layout, Measured, assemble
from qdt_emu.device import Device, Parameters
from qdt_emu.learning.hidden_channels import (
    QUBIT_PAIR,
    average_infidelity,
    cz,
    decay,
    error_generator,
    pulse,
)
from qdt_emu.learning.hidden_clock import at
from qdt_emu.learning.hidden_physics import Physics
from qdt_emu.noise.channels import PAULIS
from qdt_emu.noise.depolarizing import residual_depolarizing
from qdt_emu.noise.infidelity import average_gate_fidelity
from qdt_emu.noise.relaxation import relaxation_process_fidelity

Floats = NDArray[np.float64]
Matrix = NDArray[np.complex128]
GATES_1Q = ("rz", "sx", "x")
HOUR = 3600.0
COHERENCE_AGE, GATE_AGE = 3 * HOUR, 1 * HOUR  # of the experiments when the numbers come out
# Relative standard errors of the experiments.
LEAST_INFIDELITY = 1e-6  # that randomised benchmarking can tell from none
SPREAD = {"t1": 0.08, "t2": 0.08, "1q": 0.10, "2q": 0.10, "zz": 0.10, "excited": 0.15}
READOUT_SHOTS = 5000
EPOCH = np.datetime64("2026-01-01T00:00:00", "ns")
_NOISE = 7
_CZ = np.diag([1.0, 1.0, 1.0, -1.0]).astype(complex)


def measured(physics: Physics, seed: int, time: float, name: str) -> Calibration:
    """Return the calibration published at a time: measured values with standard errors.

    T1, T2, gate infidelities and ZZ are true values (of three hours or one hour before) times
    log-normal errors, and so is the population at rest; readout errors come from counts of random
    bit strings, so that they contain that population, and crosstalk only on average.
    """
    rng = np.random.default_rng([seed, _NOISE, round(abs(time) * 1e3), int(time < 0)])
    coherence, gates = at(physics, seed, time - COHERENCE_AGE), at(physics, seed, time - GATE_AGE)
    moment = EPOCH + np.timedelta64(round(time * 1e9), "ns")
    pulses, pairs = infidelities(gates)
    edges = [*physics.couplers, *((b, a) for a, b in physics.couplers)]
    layout = Layout(physics.n_qubits, GATES_1Q, ("cz",), tuple(edges), physics.couplers)
    found: dict[str, Measured] = {}

    def publish(path: str, value: Floats, stderr: Floats | float = 0.0, age: float = 0.0) -> None:
        values = np.broadcast_to(np.asarray(value, float), layout.shape(path)).copy()
        part = Measured.of(values, moment - np.timedelta64(round(age * 1e9), "ns"))
        part.stderr[...] = stderr
        found[path] = part

    def with_error(true: Floats, kind: str) -> tuple[Floats, Floats]:
        true = np.where(np.isfinite(true), true, np.nan)  # what never decays is not measured
        value = true * np.exp(SPREAD[kind] * rng.standard_normal(np.shape(true)))
        return value, SPREAD[kind] * np.abs(value)

    publish("qubits/t1", *with_error(coherence.t1, "t1"), COHERENCE_AGE)
    publish("qubits/t2_echo", *with_error(echo_time(coherence), "t2"), COHERENCE_AGE)
    virtual = np.array([0.0, 1.0, 1.0])[:, None]
    value, stderr = with_error(np.maximum(pulses, LEAST_INFIDELITY).T, "1q")
    none = np.zeros((1, physics.n_qubits))
    publish("gates_1q/infidelity", np.vstack([none, value]), np.vstack([none, stderr]), GATE_AGE)
    publish("gates_1q/duration", physics.pulse_duration * virtual)
    value, stderr = with_error(np.maximum(pairs, LEAST_INFIDELITY), "2q")
    publish("gates_2q/infidelity", np.tile(value, 2), np.tile(stderr, 2), GATE_AGE)
    publish("gates_2q/duration", np.tile(physics.cz_duration, 2))
    publish("couplings/zz", *with_error(gates.zz, "zz"), GATE_AGE)
    now = at(physics, seed, time)
    publish("qubits/excited_population", *with_error(now.excited, "excited"))
    p = prepared_and_misread(now)
    read = (rng.binomial(READOUT_SHOTS, p) + 0.5) / (READOUT_SHOTS + 1)
    error = np.sqrt(read * (1 - read) / READOUT_SHOTS)
    publish("readout/assignment", read, error)
    publish("readout/readout_error", read.mean(axis=1), np.hypot(*error.T) / 2)
    publish("readout/duration", np.array(physics.readout_duration))
    attrs = {
        "device": name,
        "snapshot_time": str(np.datetime_as_string(moment, unit="s")) + "Z",
        "source": "simulated: a hidden device",
        "native_gates": json.dumps([*GATES_1Q, "cz"]),
    }
    tree = assemble(
        attrs, layout, found, definitions={}, timing={"dt": 4e-9}, ledger=Ledger.empty()
    )
    return Calibration(tree)


def echo_time(physics: Physics) -> Floats:
    """Return T2 of the white noise, which an echo leaves, in s, shape (n,)."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (0.5 / physics.t1 + 1 / physics.t_phi))


def prepared_and_misread(physics: Physics) -> Floats:
    """Return P(read 1) when prepared in 0 and P(read 0) in 1, others at random, shape (n, 2)."""
    rest, wrong = physics.excited[:, None], physics.assignment
    return np.asarray((1 - rest) * wrong + rest * (1 - wrong[:, ::-1]))


def infidelities(physics: Physics) -> tuple[Floats, Floats]:
    """Return the average infidelity of sx and x, shape (n, 2), and of cz, shape (E,).

    Of one gate alone, decay during its time, coherent errors and leakage included.
    """
    idle = [_decay(physics, q, physics.pulse_duration) for q in range(physics.n_qubits)]
    pulses = np.zeros((physics.n_qubits, 2))
    for q, kraus in enumerate(idle):
        for kind in (0, 1):
            ideal = pulse((np.pi / 2, np.pi)[kind])[:2, :2]
            done = (_pulse(physics, q, kind) @ kraus)[:, :2, :2]
            pulses[q, kind] = _with_pauli(ideal, done, physics.pulse_pauli[q])
    pairs = np.zeros(len(physics.couplers))
    for k, (a, b) in enumerate(physics.couplers):
        first, second = (_decay(physics, q, physics.cz_duration[k]) for q in (a, b))
        both = np.einsum("kij,lmn->klimjn", first, second).reshape(-1, 9, 9)
        done = (cz(physics, k) @ both)[:, QUBIT_PAIR[:, None], QUBIT_PAIR]
        pairs[k] = _with_pauli(_CZ, done, physics.cz_pauli[k])
    return pulses, pairs


def _decay(physics: Physics, q: int, time: float) -> Matrix:
    p = physics
    found = decay(np.array([time]), p.t1[q], p.ladder[q], p.t_phi[q], p.excited[q])
    return np.asarray(found[0])


def _pulse(physics: Physics, q: int, kind: int) -> Matrix:
    p = physics
    return pulse(
        (np.pi / 2, np.pi)[kind] + p.angle[q, kind],
        tilt=p.tilt[q],
        phase=p.pulse_phase[q, kind],
        leakage=p.pulse_leakage[q],
    )


def _with_pauli(ideal: Matrix, kraus: Matrix, probability: float) -> float:
    """Return the average infidelity of `kraus` followed by a random Pauli operator."""
    d = len(ideal)
    first = average_infidelity(ideal, kraus)
    paulis = PAULIS if d == 2 else np.array([np.kron(a, b) for a in PAULIS for b in PAULIS])
    wrong = [average_infidelity(p.conj().T @ ideal, kraus) for p in np.asarray(paulis)[1:]]
    return float((1 - probability) * first + probability * np.mean(wrong))


def true_parameters(physics: Physics, device: Device, off: Floats) -> Parameters:
    """Return the physics in the vocabulary of a `Device` with the same instructions.

    Over-rotation and phases are the Pauli angles of the true unitary error; what is left of the
    true infidelity (other axes, exchange, leakage, random Pauli operators) is depolarising.

    Args:
        physics: Of the moment.
        device: Built from the device's calibration; gives the order of instructions.
        off: Detuning of each qubit during a minute in Hz, shape (times, n).

    Error:
        First order in the angles.
    """
    count = len(device.instructions)
    over_rotation, phase, depolarizing = np.zeros(count), np.zeros((count, 2)), np.zeros(count)
    pulses, pairs = infidelities(physics)
    t2, rows = echo_time(physics), {pair: k for k, pair in enumerate(physics.couplers)}
    for i, instruction in enumerate(device.instructions):
        qubits = list(instruction.qubits)
        if instruction.name == "rz":
            continue
        if instruction.name == "cz":
            row = rows[min(qubits), max(qubits)]
            angles = error_generator(cz(physics, row)[np.ix_(QUBIT_PAIR, QUBIT_PAIR)], _CZ)
            over_rotation[i] = angles[15]
            phase[i] = (angles[12], angles[3])[:: 1 if qubits[0] < qubits[1] else -1]
            infidelity = pairs[row]
        else:
            kind = int(instruction.name == "x")
            ideal = pulse((np.pi / 2, np.pi)[kind])[:2, :2]
            angles = error_generator(_pulse(physics, qubits[0], kind)[:2, :2], ideal)
            over_rotation[i], phase[i, 0] = angles[1], angles[3]
            infidelity = pulses[qubits[0], kind]
        d = 2 ** len(qubits)
        coherent = d / (d + 1) * (over_rotation[i] ** 2 + (phase[i] ** 2).sum()) / 4
        relaxed = relaxation_process_fidelity(
            instruction.duration, physics.t1[qubits], t2[qubits]
        ).prod()
        known = average_gate_fidelity(relaxed, d)
        depolarizing[i] = max(0.0, float(residual_depolarizing(infidelity - coherent, known, d)))
    # Crowding multiplies the random Pauli operators (16 / 15 of them depolarise), not the rest.
    gates = [depolarizing[device.row["cz", pair]] for pair in physics.couplers]
    share = min(1.0, 16 / 15 * physics.cz_pauli.sum() / max(sum(gates), 1e-300))
    return Parameters(
        t1=physics.t1,
        t2=t2,
        excited=physics.excited,
        depolarizing=depolarizing,
        relaxation_scale=np.ones(count),
        assignment=physics.assignment,
        reset_excitation=np.zeros(physics.n_qubits),
        zz=np.array([physics.zz[rows[pair]] for pair in device.couplers]),
        crosstalk=np.asarray(1 + share * (physics.crowding - 1)),
        spectator_zz=np.asarray(physics.zz_beside.mean()),
        over_rotation=over_rotation,
        phase=phase,
        detuning=off.std(axis=0),
        offset=off.mean(axis=0),
    )
