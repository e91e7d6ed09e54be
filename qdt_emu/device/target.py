"""Device -> Qiskit `Target`: what Qiskit's transpiler and scheduler know about it."""

from typing import Any

import numpy as np
from qiskit.circuit import Delay, Gate, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library import UnitaryGate, get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from qdt_emu.device.device import Device
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import UnsupportedError


def to_target(device: Device) -> Target:
    """Return the device as a `Target`, with durations, modelled errors, T1 and T2.

    Excluded instructions are left out, so that no layout chooses them. A device without native
    instructions (`ideal`) gives rz, sx, x and cx on its couplers.

    Raises:
        UnsupportedError: A native gate Qiskit has no class for.
    """
    p = device.parameters
    qubits = [
        QubitProperties(t1=_finite(t1), t2=_finite(t2)) for t1, t2 in zip(p.t1, p.t2, strict=True)
    ]
    target = Target(
        description=device.name, num_qubits=device.n_qubits, dt=device.dt, qubit_properties=qubits
    )
    if device.open_set:
        _add_open_set(target, device)
        return target
    rows: dict[str, dict[Any, Any]] = {}
    for i, infidelity in zip(device.instructions, gate_infidelity(device), strict=True):
        rows.setdefault(i.name, {})[i.qubits] = InstructionProperties(
            duration=i.duration, error=float(infidelity)
        )
    standard = get_standard_gate_name_mapping()
    for name, properties in rows.items():
        if name not in standard:
            raise UnsupportedError(f"The native gate `{name}` has no Qiskit gate of this name.")
        target.add_instruction(_with_parameters(standard[name]), properties)
    readable = ~np.isnan(np.asarray(p.assignment)).any(axis=1)
    measures = {
        (q,): InstructionProperties(
            duration=_finite(device.readout_duration[q]) or 0.0,
            error=float(np.mean(p.assignment[q])),
        )
        for q in np.flatnonzero(readable).tolist()
    }
    target.add_instruction(Measure(), measures)
    everywhere = [(q,) for q in range(device.n_qubits)]
    resets = {
        q: InstructionProperties(duration=_finite(device.reset_duration[q[0]])) for q in everywhere
    }
    target.add_instruction(Reset(), resets)
    target.add_instruction(Delay(Parameter("t")), dict.fromkeys(everywhere))
    target.add_instruction(IfElseOp, name="if_else")
    return target


def _add_open_set(target: Target, device: Device) -> None:
    standard = get_standard_gate_name_mapping()
    singles = dict.fromkeys((q,) for q in range(device.n_qubits))
    pairs = device.couplers or [
        (a, b) for a in range(device.n_qubits) for b in range(a + 1, device.n_qubits)
    ]
    both = dict.fromkeys([*pairs, *((b, a) for a, b in pairs)])
    for name in ("rz", "sx", "x"):
        target.add_instruction(_with_parameters(standard[name]), singles)
    if both:
        target.add_instruction(standard["cx"], both)
    target.add_instruction(Measure(), singles)
    target.add_instruction(Reset(), singles)
    target.add_instruction(Delay(Parameter("t")), singles)
    target.add_instruction(IfElseOp, name="if_else")


def _with_parameters(gate: Gate) -> Gate:
    if not gate.params or isinstance(gate, UnitaryGate):
        return gate
    return type(gate)(*(Parameter(f"p{k}") for k in range(len(gate.params))))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
