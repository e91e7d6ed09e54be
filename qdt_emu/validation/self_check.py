"""Does the compiled twin give back the numbers of its calibration?

Each number is measured on the twin the way a laboratory would measure it, through the same
compilation and engine as any circuit: T1 and echo T2 from three delays, readout from prepared
states, gates from the channel of each compiled instruction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target

from qdt_emu.calibrations import Calibration
from qdt_emu.circuit.compile import Compiled, Options, compile_circuit
from qdt_emu.circuit.noisy import Kind, NoisyCircuit
from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device
from qdt_emu.device.device import SYMMETRIC, VIRTUAL, Note
from qdt_emu.engines.density import Density
from qdt_emu.noise.channels import pauli_ptm, unitary_ptm
from qdt_emu.noise.infidelity import average_gate_fidelity
from qdt_emu.noise.relaxation import relaxation_ptm

TOLERANCE = 1e-6
QUANTITIES = ("t1", "t2", "readout 0", "readout 1", "infidelity")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Deviation:
    """One number of the calibration beside what the twin gives.

    Attributes:
        quantity: One of `QUANTITIES`.
        place: Qubit, or gate and qubits.
        published: In the calibration.
        twin: Measured on the twin.
        cause: Case of the note that explains a difference; empty when none is expected.
    """

    quantity: str
    place: str
    published: float
    twin: float
    cause: str

    @property
    def size(self) -> float:
        """Relative for times, absolute for probabilities."""
        gap = abs(self.twin - self.published)
        return gap / abs(self.published) if self.quantity in ("t1", "t2") else gap


@dataclass(frozen=True)
class Check:
    """The result of a self-check.

    Attributes:
        device: Processor name.
        compared: Number of values compared, per quantity.
        largest: Largest deviation of the values that were taken over, per quantity.
        repaired: Everything that was changed, imputed or left out on the way.
        explained: Deviations that a repair causes.
        unexplained: Deviations above the tolerance without a cause; empty when all is well.
    """

    device: str
    compared: dict[str, int]
    largest: dict[str, float]
    repaired: tuple[Note, ...]
    explained: tuple[Deviation, ...]
    unexplained: tuple[Deviation, ...]

    @property
    def max_deviation(self) -> float:
        """Largest deviation of any value that is not listed as repaired."""
        return max(self.largest.values(), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether every deviation is explained."""
        return not self.unexplained


def self_check(device: Device, calibration: Calibration, target: Target) -> Check:
    """Return how well the twin reproduces its calibration.

    Args:
        device: Built from `calibration`.
        calibration: The published numbers.
        target: The device's `Target`.

    Error:
        The experiments are evaluated exactly (no shots), so deviations are rounding: 1e-9 relative
        in the fitted times, 1e-12 in probabilities.
    """
    cause = {n.where: n.case for n in device.notes}
    rows: list[Deviation] = []
    for name, published, measured in (
        ("t1", calibration.values("qubits/t1"), measure_t1(device, target)),
        ("t2", calibration.values("qubits/t2_echo"), measure_t2_echo(device, target)),
    ):
        for q in np.flatnonzero(~np.isnan(published) & ~np.isnan(measured)):
            why = cause.get(f"{name} of qubit {q}", "")
            rows.append(Deviation(name, f"qubit {q}", published[q], measured[q], why))
    rows += _readout_rows(device, calibration, target)
    rows += _gate_rows(device, calibration, target)
    sound = [r for r in rows if not r.cause]
    return Check(
        device.name,
        {k: sum(r.quantity == k for r in rows) for k in QUANTITIES},
        {k: max((r.size for r in sound if r.quantity == k), default=0.0) for k in QUANTITIES},
        device.notes,
        tuple(r for r in rows if r.cause and r.size > TOLERANCE),
        tuple(r for r in sound if r.size > TOLERANCE),
    )


def measure_t1(device: Device, target: Target) -> Floats:
    """Return T1 of each qubit from an inversion-recovery experiment at three delays, in s.

    With z(t) = a + b exp(-t/T1), the ratio (z(2t) - z(t)) / (z(t) - z(0)) is exp(-t/T1), whatever
    the errors of preparation and readout. NaN where the qubit does not relax.
    """

    def pulses(circuit: QuantumCircuit, q: int, delay: float) -> None:
        circuit.x(q)
        circuit.delay(delay, q, unit="s")

    return _decay_time(device, target, pulses, np.asarray(device.parameters.t1, float))


def measure_t2_echo(device: Device, target: Target) -> Floats:
    """Return the Hahn-echo T2 of each qubit, measured as in `measure_t1`, in s."""

    def pulses(circuit: QuantumCircuit, q: int, delay: float) -> None:
        circuit.sx(q)
        circuit.delay(delay / 2, q, unit="s")
        circuit.x(q)
        circuit.delay(delay / 2, q, unit="s")
        circuit.sx(q)

    return _decay_time(device, target, pulses, np.asarray(device.parameters.t2, float))


def _decay_time(
    device: Device,
    target: Target,
    pulses: Callable[[QuantumCircuit, int, float], None],
    expected: Floats,
) -> Floats:
    """Run an experiment at delays 0, t, 2t with t near the expected time.

    All qubits of a class run at once; they are no neighbours, so ZZ does not blur the decay.
    """
    z = np.full((3, device.n_qubits), np.nan)
    for group in _classes(device):
        chosen = [q for q in group if np.isfinite(expected[q])]
        for k in range(3):
            circuit = QuantumCircuit(device.n_qubits, metadata={PHYSICAL: True})
            for q in chosen:
                pulses(circuit, q, k * expected[q])
            if chosen:
                z[k, chosen] = _z(circuit, chosen, device, target, readout=False)
    # An unequal length of the circuits is no problem: late qubits wait in |0>, and idling at the
    # end is the same in no experiment that starts as late as possible.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(-expected / np.log((z[2] - z[1]) / (z[1] - z[0])))


def _classes(device: Device) -> list[list[int]]:
    """Return sets of qubits without couplers inside, by greedy colouring."""
    colour: dict[int, int] = {}
    for q in range(device.n_qubits):
        taken = {colour[n] for n in device.neighbours[q] if n in colour}
        colour[q] = next(c for c in range(device.n_qubits) if c not in taken)
    return [[q for q in colour if colour[q] == c] for c in sorted(set(colour.values()))]


def _z(
    circuit: QuantumCircuit, qubits: Sequence[int], device: Device, target: Target, *, readout: bool
) -> Floats:
    """Return <Z> of single qubits at the end of a circuit with perfect pulses."""
    options = Options(allow_noiseless=frozenset({"x", "sx"}))
    compiled = compile_circuit(circuit, device, target, options, measured=False)
    local = {q: k for k, q in enumerate(compiled.structure.qubits)}
    codes = np.zeros((len(qubits), len(local)), np.uint8)
    codes[np.arange(len(qubits)), [local[q] for q in qubits]] = 3
    gain = np.tile([1.0, 0.0], (len(local), 1))
    if readout:
        p01, p10 = np.asarray(device.parameters.assignment)[list(local)].T
        gain = np.stack([1 - p01 - p10, p10 - p01], axis=1)
    # The exact engine keeps qubits that never meet apart, so one run serves them all.
    engine, noisy = Density(), compiled.bind()
    state = engine.prepare(noisy.structure)
    return engine.estimate(state, noisy.values, codes, gain, shots=1, seed=0).values


def _readout_rows(device: Device, calibration: Calibration, target: Target) -> list[Deviation]:
    published = calibration.values("readout/assignment")
    readable = np.flatnonzero(~np.isnan(device.parameters.assignment).any(axis=1))
    cause = {n.where: n.case for n in device.notes}
    rows = []
    for prepared in (0, 1):
        wrong = np.full(device.n_qubits, np.nan)
        for group in _classes(device):
            chosen = [q for q in group if q in readable]
            circuit = QuantumCircuit(device.n_qubits, metadata={PHYSICAL: True})
            for q in chosen:
                circuit.x(q)
                if prepared == 0:
                    circuit.x(q)
            if chosen:
                z = _z(circuit, chosen, device, target, readout=True)
                wrong[chosen] = (1 - z) / 2 if prepared == 0 else (1 + z) / 2
        for q in readable.tolist():
            if not np.isnan(published[q, prepared]):
                why = cause.get(f"excited population of qubit {q}", "")
                place, number = f"qubit {q}", published[q, prepared]
                rows.append(Deviation(f"readout {prepared}", place, number, wrong[q], why))
    return rows


def _gate_rows(device: Device, calibration: Calibration, target: Target) -> list[Deviation]:
    """Compare the channel of every compiled instruction with its published infidelity."""
    circuit = QuantumCircuit(device.n_qubits, metadata={PHYSICAL: True})
    standard = get_standard_gate_name_mapping()
    physical = [i for i in device.instructions if i.name not in VIRTUAL and i.infidelity]
    for i in physical:
        gate = standard[i.name]
        if gate.params:
            gate = type(gate)(*(0.3 * (k + 1) for k in range(len(gate.params))))
        circuit.append(gate, i.qubits)
    compiled = compile_circuit(circuit, device, target, Options(), measured=False)
    fidelity = _gate_fidelities(compiled, compiled.bind())
    published = _published_infidelity(calibration)
    cause = {
        (n.gate, n.qubits): n.case
        for n in device.notes
        if n.where.startswith(("residual", "infidelity"))
    }
    rows = []
    for i in physical:
        number = published.get((i.name, i.qubits), np.nan)
        if np.isnan(number) and i.name in SYMMETRIC:
            number = published.get((i.name, i.qubits[::-1]), np.nan)
        if not np.isnan(number):
            place = f"{i.name} on {', '.join(map(str, i.qubits))}"
            found, why = 1 - fidelity[i.name, i.qubits], cause.get((i.name, i.qubits), "")
            rows.append(Deviation("infidelity", place, number, found, why))
    return rows


def _published_infidelity(calibration: Calibration) -> dict[tuple[str, tuple[int, ...]], float]:
    """Return the calibration's own numbers by gate and qubits, independent of `device.build`."""
    places: dict[str, list[tuple[int, ...]]] = {
        "gates_1q": [(q,) for q in range(calibration.n_qubits)],
        "gates_2q": [*calibration.edges],
    }
    out: dict[tuple[str, tuple[int, ...]], float] = {}
    for group, qubits in places.items():
        names = calibration[group][group.replace("gates", "gate")].values
        table = calibration.values(f"{group}/infidelity")
        for name, row in zip(names, table.tolist(), strict=True):
            out |= {(str(name), on): r for on, r in zip(qubits, row, strict=True)}
    return out


def _gate_fidelities(
    compiled: Compiled, noisy: NoisyCircuit
) -> dict[tuple[str, tuple[int, ...]], float]:
    """Return the average fidelity of each compiled gate against its ideal unitary."""
    v, fidelity = noisy.values, dict[tuple[str, tuple[int, ...]], float]()
    names = (step.name for step in compiled.steps)  # one ideal operation each, in this order
    tables = {
        (Kind.UNITARY, 1): unitary_ptm(v.unitaries1),
        (Kind.UNITARY, 2): unitary_ptm(v.unitaries2),
        (Kind.PAULI, 1): pauli_ptm(v.pauli1),
        (Kind.PAULI, 2): pauli_ptm(v.pauli2),
        (Kind.RELAXATION, 1): relaxation_ptm(*np.moveaxis(v.relaxation, -1, 0)),
    }
    physical = compiled.structure.qubits
    open_gate: dict[tuple[int, ...], tuple[str, Floats, Floats]] = {}
    for op in noisy.structure.operations:
        ptm = tables[op.kind, len(op.qubits)][op.slot]
        on = tuple(physical[q] for q in op.qubits)
        if op.mechanism == "ideal":
            _close(open_gate, on, fidelity)
            open_gate[on] = (next(names), ptm, ptm)
        elif op.mechanism in ("gate", "coherent", "relaxation (gate)"):
            key = next(k for k in open_gate if set(on) <= set(k))
            name, ideal, total = open_gate[key]
            open_gate[key] = (name, ideal, _embedded(ptm, on, key) @ total)
    _close(open_gate, tuple(physical), fidelity)
    return fidelity


def _close(
    open_gate: dict[tuple[int, ...], tuple[str, Floats, Floats]],
    qubits: tuple[int, ...],
    out: dict[tuple[str, tuple[int, ...]], float],
) -> None:
    """Evaluate the gates that end because another one begins on one of their qubits."""
    for key in [k for k in open_gate if set(k) & set(qubits)]:
        name, ideal, total = open_gate.pop(key)
        process = float(np.sum(ideal * total)) / len(ideal)
        out[name, key] = float(average_gate_fidelity(process, 2 ** len(key)))


def _embedded(ptm: Floats, on: tuple[int, ...], whole: tuple[int, ...]) -> Floats:
    if on == whole:
        return ptm
    rest = np.eye(4)
    return np.asarray(np.kron(ptm, rest) if on[0] == whole[0] else np.kron(rest, ptm), float)
