"""A user's circuit onto the device: Qiskit lays out, routes, translates and decouples."""

from collections.abc import Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, Delay, Gate, IfElseOp
from qiskit.circuit.library import XGate, YGate
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager
from qiskit.transpiler.exceptions import TranspilerError
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDynamicalDecoupling

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device
from qdt_emu.errors import InputError

SEQUENCES = {"XX": (XGate, XGate), "XY4": (XGate, YGate, XGate, YGate)}


def is_physical(circuit: QuantumCircuit, device: Device) -> bool:
    """Return whether the circuit is already on the device's qubits, in its native gates.

    True for a circuit read from text with hardware qubits, and for one with as many qubits as the
    device that uses native gates only.
    """
    if (circuit.metadata or {}).get(PHYSICAL) or circuit.layout is not None:
        return circuit.num_qubits <= device.n_qubits
    if circuit.num_qubits != device.n_qubits:
        return False
    return all(_native(item.operation, device) for item in circuit.data)


def _native(operation: object, device: Device) -> bool:
    if isinstance(operation, IfElseOp):
        return all(_native(x.operation, device) for b in operation.blocks for x in b.data)
    if isinstance(operation, Gate):
        return operation.name in device.native_gates or (
            device.open_set and operation.num_qubits <= 2 and not device.couplers
        )
    return True


def fits_open_set(circuit: QuantumCircuit, device: Device) -> bool:
    """Return whether an ideal device can take the circuit as it is."""
    if not device.open_set or circuit.num_qubits > device.n_qubits:
        return False
    coupled = {*device.couplers, *((b, a) for a, b in device.couplers)}
    place = {q: k for k, q in enumerate(circuit.qubits)}
    for item in circuit.data:
        if isinstance(item.operation, Barrier | Delay):
            continue
        if len(item.qubits) > 2 and not isinstance(item.operation, IfElseOp):
            return False
        pair = tuple(place[q] for q in item.qubits)
        if len(pair) == 2 and coupled and pair not in coupled:
            return False
    return True


def transpile_for(
    circuit: QuantumCircuit,
    target: Target,
    *,
    layout: Sequence[int] | None = None,
    optimization_level: int = 2,
    seed: int = 0,
) -> QuantumCircuit:
    """Return the circuit in native gates on the device's qubits.

    Args:
        circuit: Any circuit.
        target: See `device.target`; its errors steer the layout.
        layout: Physical qubit of each of the circuit's; None lets Qiskit choose.
        optimization_level: Qiskit's, 0 to 3.
        seed: For layout and routing.

    Raises:
        InputError: The circuit does not fit, or Qiskit cannot translate it.
    """
    if circuit.num_qubits > target.num_qubits:
        raise InputError(
            f"The circuit must fit on the {target.num_qubits} qubits of '{target.description}', "
            f"but it has {circuit.num_qubits}. Choose a larger device."
        )
    if layout is not None:
        _check_layout(layout, circuit, target)
    try:
        passes = generate_preset_pass_manager(
            optimization_level,
            target=target,
            initial_layout=list(layout) if layout is not None else None,
            seed_transpiler=seed,
        )
        return passes.run(circuit)
    except TranspilerError as reason:
        raise InputError(
            f"The circuit cannot be put onto '{target.description}': "
            f"{' '.join(str(reason.message).split())}. A part of the device may be disconnected "
            f"(uncalibrated couplers are left out); choose a layout or another device."
        ) from None


def _check_layout(layout: Sequence[int], circuit: QuantumCircuit, target: Target) -> None:
    if len(set(layout)) != len(layout) or len(layout) != circuit.num_qubits:
        raise InputError(
            f"`layout` must give {circuit.num_qubits} different qubits, but is {list(layout)}."
        )
    for q in layout:
        if not 0 <= q < target.num_qubits:
            raise InputError(
                f"`layout` must stay within 0 to {target.num_qubits - 1}, but contains {q}."
            )


def decouple(circuit: QuantumCircuit, target: Target, sequence: str) -> QuantumCircuit:
    """Return the circuit with decoupling pulses in its idle times, scheduled by Qiskit.

    Args:
        circuit: In native gates on the device's qubits, without control flow.
        target: Must contain `x` (and `y` for XY4) with durations.
        sequence: 'XX' or 'XY4'.

    Raises:
        InputError: An unknown sequence, or one the device has no pulses for.
    """
    if sequence not in SEQUENCES:
        raise InputError(f"`decoupling` must be one of {list(SEQUENCES)}, but is {sequence!r}.")
    pulses = [gate() for gate in SEQUENCES[sequence]]
    if missing := sorted({p.name for p in pulses} - set(target.operation_names)):
        raise InputError(
            f"Decoupling with {sequence} needs {missing}, which '{target.description}' does not "
            f"have. Use 'XX'."
        )
    manager = PassManager(
        [
            ALAPScheduleAnalysis(target=target),
            PadDynamicalDecoupling(target=target, dd_sequence=pulses),
        ]
    )
    return manager.run(circuit)
