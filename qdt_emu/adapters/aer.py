"""The twin's noise inside Qiskit Aer, so that the two can be compared on equal terms.

Aer attaches noise to instructions by name; the twin attaches it to the schedule. `to_noise_model`
is the nearest an Aer user comes to a twin; `scheduled_for_aer` hands Aer the twin's own scheduled
circuit with every channel in its place, and then the two agree to rounding.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Delay
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Kraus

from qdt_emu.circuit import Kind, NoisyCircuit
from qdt_emu.circuit.gates import GENERATOR
from qdt_emu.device import Device
from qdt_emu.device.device import VIRTUAL, Instruction
from qdt_emu.errors import UnsupportedError
from qdt_emu.noise import depolarizing_probabilities, pauli_rotation, relaxation_kraus

LETTERS = "IXYZ"


def _noise() -> ModuleType:
    try:
        import qiskit_aer.noise  # noqa: PLC0415 - a comparison tool, not a dependency
    except ImportError as reason:
        raise ImportError(
            "Comparing with Qiskit Aer needs `qiskit-aer`. Install it with "
            "`pip install qdt-emu[bench]`."
        ) from reason
    module: ModuleType = qiskit_aer.noise
    return module


def missing_in_aer(device: Device) -> tuple[str, ...]:
    """Return the mechanisms of a device that an Aer `NoiseModel` has no place for."""
    p = device.parameters
    found = {
        "zz (couples qubits while they wait)": np.any(p.zz),
        "crosstalk (depends on what runs beside a gate)": float(p.crosstalk) != 1.0,
        "excited population at the start": np.any(p.excited),
        "detuning (one draw per shot)": p.detuning is not None,
        "charge parity (one draw per shot)": p.charge_parity is not None,
        "t1 spread (one draw per job)": p.t1_spread is not None,
        "leakage (a third level)": p.leakage is not None,
        "offset (turns a qubit while it waits)": p.offset is not None,
        "stark (a gate turns its neighbours)": p.stark is not None,
        "spectator flips (a gate flips its neighbours)": p.spectator_flips is not None,
        "context (a gate errs differently beside another one)": p.context is not None,
        "readout relaxation": p.readout_relaxation is not None,
        "Pauli-Lindblad rates": p.pauli_rates is not None,
        "correlated readout": p.pair_correlation is not None,
    }
    return tuple(name for name, present in found.items() if present)


def to_noise_model(device: Device, *, allow_missing: bool = False) -> Any:
    """Return the device as an Aer `NoiseModel`.

    After each instruction its coherent error, the relaxation of its qubits for its duration (times
    the anchoring scale) and its residual Pauli channel; relaxation during `delay`; asymmetric
    readout; reset errors.

    Args:
        device: The device.
        allow_missing: True leaves out what Aer cannot express (`missing_in_aer`).

    Raises:
        UnsupportedError: The device has mechanisms that Aer cannot express.
        ImportError: Aer is not installed.

    Error:
        Exact for circuits with explicit delays and measurements at the end, see the test; the
        relaxation of a qubit that is used again after a measurement is left out. Where a qubit has
        T2 > T1, Aer 0.18 sampling statevectors turns every error into Kraus operators by an
        eigensolver that fails or crashes on some of them: use `method="density_matrix"`.
    """
    noise, p = _noise(), device.parameters
    missing = missing_in_aer(device)
    if missing and not allow_missing:
        raise UnsupportedError(
            f"Aer's noise model has no {'; '.join(missing)}, but '{device.name}' has. Pass "
            f"`allow_missing=True` to leave it out, or compare with `scheduled_for_aer`."
        )
    model = noise.NoiseModel()
    for row, instruction in enumerate(device.instructions):
        if instruction.name in VIRTUAL and instruction.duration == 0.0:
            continue
        error = _instruction_error(noise, device, row, instruction)
        if error is not None:
            model.add_quantum_error(error, instruction.name, list(instruction.qubits))
    for q, (p01, p10) in enumerate(np.asarray(p.assignment, float).tolist()):
        if p01 > 0 or p10 > 0:  # NaN, a qubit that cannot be read, is not
            model.add_readout_error(noise.ReadoutError([[1 - p01, p01], [p10, 1 - p10]]), [q])
    for q, (excitation, time) in enumerate(
        zip(p.reset_excitation, device.reset_duration, strict=True)
    ):
        error = _relaxation(noise, device, q, np.nan_to_num(float(time)))
        if excitation > 0:
            flip = noise.pauli_error([("X", excitation), ("I", 1 - excitation)])
            error = flip if error is None else flip.compose(error)
        if error is not None:
            model.add_quantum_error(error, "reset", [q])
    if not device.open_set:
        t1s, t2s, excited = (np.asarray(x).tolist() for x in (p.t1, p.t2, p.excited))
        waiting = noise.RelaxationNoisePass(t1s, t2s, device.dt, Delay, excited)
        model._custom_noise_passes.append(waiting)  # noqa: SLF001 - as Aer's own `from_backend`
    return model


def _instruction_error(noise: ModuleType, device: Device, row: int, of: Instruction) -> Any:
    """Return what follows an instruction, in the twin's order, or None for nothing."""
    p, n = device.parameters, len(of.qubits)
    parts = []
    if p.over_rotation is not None and of.name in GENERATOR:
        rotation = pauli_rotation(GENERATOR[of.name], p.over_rotation[row])
        parts.append(noise.coherent_unitary_error(_turned(rotation)))
    if p.phase is not None:
        phases = [noise.coherent_unitary_error(pauli_rotation("Z", a)) for a in p.phase[row][:n]]
        parts.append(_side_by_side(noise, phases))
    time = of.duration * float(p.relaxation_scale[row])
    parts.append(_side_by_side(noise, [_relaxation(noise, device, q, time) for q in of.qubits]))
    parts.append(_pauli(noise, depolarizing_probabilities(p.depolarizing[row], n)))
    total = None
    for part in parts:
        if part is not None:
            total = part if total is None else total.compose(part)
    return total


def _side_by_side(noise: ModuleType, errors: list[Any]) -> Any:
    """Return the errors of qubits 0, 1 as one; None stands for nothing."""
    if all(error is None for error in errors):
        return None
    nothing = noise.pauli_error([("I", 1.0)])
    first, *rest = [nothing if error is None else error for error in errors]
    for error in rest:
        first = error.tensor(first)
    return first


def _relaxation(noise: ModuleType, device: Device, qubit: int, time: float) -> Any:
    t1, t2 = float(device.parameters.t1[qubit]), float(device.parameters.t2[qubit])
    if time == 0.0 or (np.isinf(t1) and np.isinf(t2)):
        return None
    excited = float(device.parameters.excited[qubit])
    return noise.thermal_relaxation_error(t1, min(t2, 2 * t1), time, excited)


def _pauli(noise: ModuleType, probabilities: NDArray[np.float64]) -> Any:
    """Return a Pauli channel from probabilities of I, X, ... or II, IX, ...; None for nothing."""
    n = 1 if len(probabilities) == 4 else 2
    if not np.any(probabilities[1:]):
        return None
    names = LETTERS if n == 1 else [b + a for a in LETTERS for b in LETTERS]  # Qiskit: last first
    pairs = zip(names, np.asarray(probabilities, float).tolist(), strict=True)
    return noise.pauli_error([(name, weight) for name, weight in pairs if weight > 0])


def _turned(unitary: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return a matrix with its first qubit least significant, as in Qiskit."""
    if len(unitary) == 2:
        return unitary
    return unitary.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)


def scheduled_for_aer(noisy: NoisyCircuit) -> QuantumCircuit:
    """Return the scheduled circuit for Aer, every channel where the twin has it.

    Unitaries become `unitary`, relaxation a thermal relaxation error (or `kraus` where T2 > T1),
    Pauli channels a Pauli error, each as an instruction. The misreading of measured bits is
    classical and stands in `readout_for_aer`.

    Args:
        noisy: `twin.compile(circuit).bind()`; its qubit `k` is qubit `k` of the result.

    Raises:
        UnsupportedError: Conditions, shot-to-shot detuning, leakage or correlated readout.
        ImportError: Aer is not installed.

    Error:
        Rounding: Aer's density matrix gives the twin's probabilities to 1e-12, see the test.
    """
    noise, structure, values = _noise(), noisy.structure, noisy.values
    circuit = QuantumCircuit(structure.n_qubits, structure.n_clbits)
    _check_static(noisy)
    for q, weight in enumerate(values.excited):
        if weight > 0:
            error = noise.pauli_error([("X", float(weight)), ("I", 1 - float(weight))])
            circuit.append(error.to_instruction(), [q])
    built: dict[tuple[Kind, int, int], Any] = {}  # one object per channel keeps Aer's tables small
    for op in structure.operations:
        if op.kind is Kind.MEASURE:
            circuit.measure(op.qubits[0], op.clbit)
            continue
        if op.kind is Kind.RESET:
            circuit.reset(op.qubits[0])
        key = (op.kind, len(op.qubits), op.slot)
        if key not in built:
            built[key] = _BUILD[op.kind](noise, noisy, len(op.qubits), op.slot)
        if built[key] is not None:
            circuit.append(built[key], list(op.qubits))
    return circuit


def _check_static(noisy: NoisyCircuit) -> None:
    absent = {Kind.DWELL: "shot-to-shot detuning", Kind.LEAK: "leakage"}
    for op in noisy.structure.operations:
        if op.kind in absent:
            raise UnsupportedError(
                f"Aer has no {absent[op.kind]}, but the circuit has on qubit {op.qubits[0]}. "
                f"Compare a device without it."
            )
        if op.conditions:
            raise UnsupportedError(
                "Conditional operations are not handed to Aer. Compare a circuit without `if_else`."
            )
    if noisy.structure.paired_readout:
        raise UnsupportedError("Aer has no correlated readout. Compare a device without it.")


def _unitary(noise: ModuleType, noisy: NoisyCircuit, n: int, slot: int) -> Any:  # noqa: ARG001
    table = noisy.values.unitaries1 if n == 1 else noisy.values.unitaries2
    return UnitaryGate(_turned(table[slot]))


def _relaxing(noise: ModuleType, noisy: NoisyCircuit, n: int, slot: int) -> Any:  # noqa: ARG001
    e1, e2, excited = (float(x) for x in noisy.values.relaxation[slot])
    # Times in units of the duration: only the two factors matter.
    t1, t2 = (np.inf if e >= 1.0 else -1 / np.log(e) for e in (e1, e2))
    if np.isinf(t1) and np.isinf(t2):
        return None
    if t2 > t1:
        # Not a mixture of events. As a `QuantumError` it would make Aer 0.18 turn all others into
        # Kraus operators too, where it fails on some of them ("Kraus is empty") or crashes.
        kraus = [k for k in relaxation_kraus(e1, e2, excited) if np.abs(k).max() > 1e-12]
        return Kraus(kraus).to_instruction()
    return noise.thermal_relaxation_error(t1, t2, 1.0, excited).to_instruction()


def _pauli_channel(noise: ModuleType, noisy: NoisyCircuit, n: int, slot: int) -> Any:
    table = noisy.values.pauli1 if n == 1 else noisy.values.pauli2
    error = _pauli(noise, table[slot])
    return None if error is None else error.to_instruction()


def _after_reset(noise: ModuleType, noisy: NoisyCircuit, n: int, slot: int) -> Any:  # noqa: ARG001
    weight = float(noisy.values.reset_excitation[slot])
    if weight == 0.0:
        return None
    return noise.pauli_error([("X", weight), ("I", 1 - weight)]).to_instruction()


_BUILD: dict[Kind, Callable[[ModuleType, NoisyCircuit, int, int], Any]] = {
    Kind.UNITARY: _unitary,
    Kind.RELAXATION: _relaxing,
    Kind.PAULI: _pauli_channel,
    Kind.RESET: _after_reset,
}


def readout_for_aer(noisy: NoisyCircuit) -> Any:
    """Return an Aer `NoiseModel` with the misreading of each measured qubit and nothing else."""
    noise = _noise()
    model = noise.NoiseModel()
    for op in noisy.structure.operations:
        if op.kind is Kind.MEASURE:
            p01, p10 = (float(x) for x in noisy.values.confusion[op.slot])
            error = noise.ReadoutError([[1 - p01, p01], [p10, 1 - p10]])
            model.add_readout_error(error, list(op.qubits), warnings=False)
    return model
