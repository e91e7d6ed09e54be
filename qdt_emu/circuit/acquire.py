"""Measurements in common slots, for electronics that read all qubits of a group at once."""

from qiskit import QuantumCircuit

from qdt_emu.errors import InputError


def acquired_together(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit with its measurements in slots that the whole chip shares.

    Some processors can start an acquisition on all qubits of a group only at once (IBM's
    `meas_map`). Measurements are taken in program order: one joins the slot of the one before
    unless it must come after a measurement that is in it. Barriers before and after each slot keep
    everything else out; gates run as soon as they can, and qubits that are not read wait.

    Args:
        circuit: Without control flow.

    Raises:
        InputError: The circuit has control flow.
    """
    slots = _slots(circuit)
    out = circuit.copy_empty_like()
    touched = {q for item in circuit.data for q in item.qubits}
    used = [q for q in circuit.qubits if q in touched]
    waiting = list(range(len(circuit.data)))
    for slot in range(1, max(slots, default=0) + 1):
        left: list[int] = []
        blocked: set[object] = set()
        for k in waiting:
            item = circuit.data[k]
            bits = {*item.qubits, *item.clbits}
            if item.operation.name == "measure" or bits & blocked:
                blocked |= bits
                left.append(k)
            else:
                out.append(item)
        read = [k for k in left if slots[k] == slot and circuit.data[k].operation.name == "measure"]
        out.barrier(used)
        for k in read:
            out.append(circuit.data[k])
        out.barrier(used)
        gone = set(read)
        waiting = [k for k in left if k not in gone]
    for k in waiting:
        out.append(circuit.data[k])
    return out


def _slots(circuit: QuantumCircuit) -> list[int]:
    """Return the slot of each measurement, counted from 1; elsewhere the last slot before."""
    latest: dict[object, int] = {}
    out, current = [], 1
    for item in circuit.data:
        if hasattr(item.operation, "blocks"):
            raise InputError(
                f"A circuit with measurements in slots must have no control flow, but has "
                f"`{item.operation.name}`. Schedule it as it is."
            )
        bits = (*item.qubits, *item.clbits)
        slot = max((latest.get(b, 0) for b in bits), default=0)
        if item.operation.name == "measure":
            current = max(current, slot + 1)
            slot = current
        latest.update(dict.fromkeys(bits, slot))
        out.append(slot)
    return out
