"""A user's circuit onto the device: Qiskit lays out, routes and translates."""

from collections.abc import Iterator, Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, ControlFlowOp, Delay, Gate, IfElseOp, Measure, Reset
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target, generate_preset_pass_manager

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device
from qdt_emu.errors import InputError, UnsupportedError


def is_physical(circuit: QuantumCircuit, device: Device) -> bool:
    """Return whether the circuit is already on the device's qubits, in its native gates.

    True for a circuit read from text with hardware qubits, for one that Qiskit has laid out, and
    for one with as many qubits as the device that uses native gates on their own places only
    (excluded places count, so that the error names them).
    """
    if (circuit.metadata or {}).get(PHYSICAL) or circuit.layout is not None:
        return bool(circuit.num_qubits <= device.n_qubits)
    if circuit.num_qubits != device.n_qubits:
        return False
    if device.open_set:
        return fits_open_set(circuit, device)
    return all(
        (name, on) in device.row or (name, on) in device.excluded for name, on in _gates(circuit)
    )


def _gates(
    circuit: QuantumCircuit, places: Sequence[int] | None = None
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (name, qubits) of every gate; no qubits for what must be unrolled first."""
    place = dict(zip(circuit.qubits, places or range(circuit.num_qubits), strict=True))
    for item in circuit.data:
        on = tuple(place[q] for q in item.qubits)
        if isinstance(item.operation, IfElseOp):
            for block in item.operation.blocks:
                yield from _gates(block, on)
        elif isinstance(item.operation, Gate):
            if on:
                yield item.operation.name, on
        elif not isinstance(item.operation, Barrier | Delay | Measure | Reset):
            yield item.operation.name, ()


def fits_open_set(circuit: QuantumCircuit, device: Device) -> bool:
    """Return whether an ideal device can take the circuit as it is."""
    if not device.open_set or circuit.num_qubits > device.n_qubits:
        return False
    return all(
        len(on) == 1 or (len(on) == 2 and (not device.couplers or on in device.coupler_row))
        for _, on in _gates(circuit)
    )


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
        UnsupportedError: Loops and switches.
    """
    if circuit.num_qubits > target.num_qubits:
        raise InputError(
            f"The circuit must fit on the {target.num_qubits} qubits of '{target.description}', "
            f"but it has {circuit.num_qubits}. Choose a larger device."
        )
    for item in circuit.data:
        if isinstance(item.operation, ControlFlowOp) and not isinstance(item.operation, IfElseOp):
            raise UnsupportedError(
                f"The operation `{item.operation.name}` has no noise model here. Unroll loops, and "
                f"replace switches by `if_else`."
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
    except QiskitError as reason:
        raise InputError(
            f"The circuit cannot be put onto '{target.description}': "
            f"{' '.join(str(reason.message).split()).rstrip('.')}. Uncalibrated couplers are left "
            f"out, which may cut the device in two: choose a layout or another device."
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
