"""When each step happens: as late as possible, or as soon as possible.

Qiskit's scheduling passes stop at control flow and cost milliseconds per circuit; the rule itself
is two sweeps of per-qubit clocks, and a test holds it against Qiskit's on circuits both can do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from qdt_emu.circuit.steps import Step
from qdt_emu.errors import InputError


def schedule(
    steps: Sequence[Step], *, latency: float = 0.0, method: str = "alap"
) -> tuple[tuple[Step, ...], float]:
    """Give every step its start time.

    Args:
        steps: In program order.
        latency: Time in s between the end of a measurement and the first step that depends on it.
        method: 'alap' (as late as possible; qubits wait in |0>) or 'asap'.

    Returns:
        The steps ordered by start time (ties in program order), and the length in s.
    """
    if method not in ("alap", "asap"):
        raise InputError(f"`schedule` must be 'alap' or 'asap', but is {method!r}.")
    sized = [_sized(step, latency, method) for step in steps]
    if method == "asap":
        starts, length = _sweep(sized, latency, forward=True)
    else:
        ends, length = _sweep(sized[::-1], latency, forward=False)
        starts = [length - e - s.duration for e, s in zip(ends[::-1], sized, strict=True)]
    timed = [replace(s, start=max(t, 0.0)) for s, t in zip(sized, starts, strict=True)]
    return tuple(timed[i] for i in in_time_order(timed)), length


def in_time_order(steps: Sequence[Step]) -> list[int]:
    """Order by start; steps that share a qubit or bit stay in program order despite rounding."""
    latest: dict[int, float] = {}
    keys = []
    for step in steps:
        uses = [*step.qubits, *(-1 - c for c in (*step.writes, *step.reads))]
        key = max([step.start, *(latest.get(u, 0.0) for u in uses)])
        latest.update(dict.fromkeys(uses, key))
        keys.append(key)
    return sorted(range(len(steps)), key=lambda i: (keys[i], i))


def _sized(step: Step, latency: float, method: str) -> Step:
    """A branch takes as long as the longest of its alternatives."""
    if not step.branches:
        return step
    inner = [schedule(branch, latency=latency, method=method) for branch in step.branches]
    return replace(
        step,
        branches=tuple(branch for branch, _ in inner),
        duration=max((length for _, length in inner), default=0.0),
    )


def _sweep(steps: Iterable[Step], latency: float, *, forward: bool) -> tuple[list[float], float]:
    """Return when each step's first (forward) or last moment comes, and the length.

    Backward is the same rule with time reversed: there a reader asks for its bit a latency before
    it begins, and the measurement must be over by then.
    """
    busy: dict[int, float] = {}
    written: dict[int, float] = {}
    read: dict[int, float] = {}
    before, after = (latency, 0.0) if forward else (0.0, latency)
    times, length = [], 0.0
    for step in steps:
        moment = max((busy.get(q, 0.0) for q in step.qubits), default=0.0)
        for c in step.writes:
            moment = max(moment, written.get(c, 0.0), read.get(c, 0.0))
        for c in step.reads:
            moment = max(moment, written[c] + before if c in written else 0.0)
        end = moment + step.duration
        times.append(moment)
        length = max(length, end)
        busy.update(dict.fromkeys(step.qubits, end))
        written.update(dict.fromkeys(step.writes, end))
        for c in step.reads:
            read[c] = max(read.get(c, 0.0), end + after)
    return times, length
