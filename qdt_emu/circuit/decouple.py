"""Decoupling pulses in the gaps of a schedule.

Qiskit's pass needs a time step, gives up at branches, puts pulses on qubits that a barrier alone
touches, and has no XY4 for processors without a Y gate; here the gaps are known already.
"""

from collections.abc import Sequence
from math import pi

from qdt_emu.circuit.schedule import in_time_order
from qdt_emu.circuit.steps import Step
from qdt_emu.device import Device
from qdt_emu.errors import InputError

SEQUENCES = {"XX": ("x", "x"), "XY4": ("x", "y", "x", "y")}


def decouple(
    steps: Sequence[Step], duration: float, device: Device, sequence: str
) -> tuple[Step, ...]:
    """Return the schedule with pulses in every gap that has room for the whole sequence.

    The free time of a gap is shared evenly: a half part before the first and after the last pulse,
    whole parts between them. A frame change ends a gap; before its first step a qubit rests in |0>
    and gets none. The pulses have the noise of any other gate.

    Args:
        steps: Scheduled, see `schedule`.
        duration: Length of the schedule in s.
        device: Gives the pulses; a Y without an instruction of its own is a frame change and X.
        sequence: 'XX' or 'XY4'.

    Raises:
        InputError: An unknown sequence, or a qubit without such pulses.

    Source:
        Viola and Lloyd, Phys. Rev. A 58, 2733 (1998); XY4: Maudsley, J. Magn. Reson. 69, 488
        (1986).
    """
    if sequence not in SEQUENCES:
        raise InputError(f"`decoupling` must be one of {list(SEQUENCES)}, but is {sequence!r}.")
    ends: dict[int, float] = {}
    out: list[Step] = []
    for step in steps:
        if step.name not in ("delay", "barrier"):
            for q in step.qubits:
                if q in ends:
                    out += _filled(q, ends[q], step.start, device, sequence)
                ends[q] = step.start + step.duration
        out.append(step)
    for q, end in ends.items():
        out += _filled(q, end, duration, device, sequence)
    return tuple(out[i] for i in in_time_order(out))


def _filled(q: int, begin: float, end: float, device: Device, sequence: str) -> list[Step]:
    """Return the pulses of one gap, none if they do not fit."""
    if end - begin < 1e-15:
        return []
    pulses = [_pulse(name, q, device) for name in SEQUENCES[sequence]]
    slack = end - begin - sum(p.duration for pulse in pulses for p in pulse)
    if slack < 0:
        return []
    out, now = [], begin + slack / (2 * len(pulses))
    for pulse in pulses:
        for p in pulse:
            out.append(Step(p.name, p.qubits, (), p.params, p.duration, p.row, start=now))
            now += p.duration
        now += slack / len(pulses)
    return out


def _pulse(name: str, q: int, device: Device) -> list[Step]:
    if name == "y" and ("y", (q,)) not in device.row:
        return [*_pulse("rz", q, device), *_pulse("x", q, device)]  # Y = X Z, up to a phase
    if (name, (q,)) not in device.row:
        raise InputError(
            f"Decoupling needs `{name}` on every qubit it protects, but '{device.name}' has none "
            f"on qubit {q}. Leave `decoupling` out, or choose another layout."
        )
    row = device.row[name, (q,)]
    params = (pi,) if name == "rz" else ()
    return [Step(name, (q,), (), params, device.instructions[row].duration, row)]
