"""The planner: which engine runs a circuit, at which settings, and what the others would cost.

Cost and error of every engine are predicted before anything runs. Where structure and numbers do
not tell, pilot runs do: they are short, they are skipped where they would cost more than they can
save, and where a pilot run's answer is good enough it is the answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines import planner_pilot as pilot
from qdt_emu.engines.cone import narrowest
from qdt_emu.engines.density import Density
from qdt_emu.engines.engine import Engine
from qdt_emu.engines.pauli_run import Propagated
from qdt_emu.engines.planner_cost import (
    density,
    least_density,
    noiseless,
    stabilizer,
    statevector,
)
from qdt_emu.engines.planner_states import CHAIN, FAMILIES, Family, states
from qdt_emu.engines.planner_task import Candidate, Itinerary, Task
from qdt_emu.engines.statevector import MAX_WIDTH, Statevector

AIM = 1e-2  # bound on cuts that is good enough where no tolerance is asked for
FINE = 1e-3  # and what is tried for while it costs next to nothing
EXACT, WORTH = 1.5, 0.05  # times, and s more, that an exact answer may take without a tolerance
QUICK = 0.02  # s; an exact answer at this cost is taken without asking further
SHARE = 0.25  # of the cheapest certain run, that asking another engine may cost
PILOT_SECONDS = 2.0  # of one pilot run, at most
LONG_PILOT_SECONDS = 4.0  # where no engine is known that would do
PATIENCE = 60.0  # s that an answer of any quality may take, where the aim is out of reach
SMALL = 12  # qubits up to which the exact engine is asked first for expectation values
TINY = 6  # the same for samples, which trajectories give with the same law
FIRST = 0.15  # s of the first pilot run of Pauli propagation, before others are asked
AGAIN = 3.0  # times that, from which a second one is worth it
LOADING = 0.1  # s to bring the kernels of a tensor network into memory, once in a process
# Planning, measured on the zoo's circuits of 10 to 60 qubits: s per operation.
STATE, EXACT_STATE = 4e-5, 2e-4


def plan_run(circuit: NoisyCircuit, task: Task) -> Itinerary:
    """Return every engine's cost and error for a connected circuit, and the one to run.

    A pure function: pilot runs use fixed seeds, and costs count operations, not time.

    Args:
        circuit: What runs.
        task: What is wanted, within which limits.
    """
    small = SMALL if task.strings else TINY
    exact = density(circuit, task) if circuit.structure.n_qubits <= small else None
    if exact and not _over(exact, task) and exact.seconds <= QUICK:
        return _choose([exact], task, circuit.structure.n_qubits)
    return _planned(_Key(_identity(circuit, task), circuit, task))


@dataclass(frozen=True)
class _Key:
    """A task by its numbers, so that repeated runs are planned once."""

    identity: tuple[object, ...]
    circuit: NoisyCircuit = field(compare=False)
    task: Task = field(compare=False)


def _identity(circuit: NoisyCircuit, task: Task) -> tuple[object, ...]:
    numbers = (task.shots, task.memory, task.tolerance, task.seconds, task.more_shots, task.without)
    return (circuit.id, task.paulis.tobytes(), task.readout.tobytes(), *numbers)


@lru_cache(maxsize=64)
def _planned(key: _Key) -> Itinerary:
    ask = _values if key.task.strings else _samples
    return _choose(ask(key.circuit, key.task), key.task, key.circuit.structure.n_qubits)


def _samples(circuit: NoisyCircuit, task: Task) -> list[Candidate]:
    """Return the candidates for samples, cheapest question first."""
    found = [stabilizer(circuit, task)]
    quiet = noiseless(circuit)
    if quiet:
        found += _networks([CHAIN], circuit, task, found, quick=True)
    found.append(_trajectories(circuit, task, found))
    found.append(_exact(circuit, task, found))
    found.append(pilot.distribution(circuit, task, patience=_patience(found, task)))
    families = [f for f in FAMILIES if not (quiet and f is CHAIN)]
    return found + _networks(families, circuit, task, found)


def _networks(
    families: Sequence[Family],
    circuit: NoisyCircuit,
    task: Task,
    found: list[Candidate],
    *,
    quick: bool = False,
) -> list[Candidate]:
    """Return the candidates of tensor networks, where asking them is worth it.

    Args:
        families: Which.
        circuit: What runs.
        task: What is wanted.
        found: The candidates so far.
        quick: Whether one trajectory is all there is, so that a pilot run is nearly the whole run.
    """
    more: list[Candidate] = []
    for family in families:
        best = min(_best([*found, *more], task), task.seconds)
        if family.engine.name in task.without:
            continue
        cost = (0.0 if quick else LOADING) + family.planning * len(circuit.structure.operations)
        if cost > SHARE * best:
            more.append(_unasked(family.engine, cost))
            continue
        patience = min(_patience([*found, *more], task), FIRST if quick else math.inf)
        more += states(family, circuit, task, aim=_aim(task), patience=patience)
    return more


def _values(circuit: NoisyCircuit, task: Task) -> list[Candidate]:
    """Return the candidates for expectation values, cheapest question first."""
    small, aim = circuit.structure.n_qubits <= SMALL, _aim(task)
    found = [density(circuit, task)] if small else []
    known: list[list[Propagated]] = []
    first = 0.0 if "pauli" in task.without else min(FIRST, _patience(found, task))
    if first:
        found += pilot.pauli(circuit, task, aim=aim, patience=first, known=known)
    quiet = noiseless(circuit)
    if quiet:
        found += _networks([CHAIN], circuit, task, found, quick=True)
    found.append(_trajectories(circuit, task, found))
    if not small:
        found.append(_exact(circuit, task, found))
    found.append(pilot.contraction(circuit, task, patience=_patience(found, task)))
    found.append(stabilizer(circuit, task))
    if first and (patience := _patience(found, task)) > AGAIN * first:
        found = [c for c in found if c.engine.name != "pauli"]
        found += pilot.pauli(circuit, task, aim=aim, patience=patience, known=known)
    families = [f for f in FAMILIES if not (quiet and f is CHAIN)]
    return found + _networks(families, circuit, task, found)


def _trajectories(circuit: NoisyCircuit, task: Task, found: list[Candidate]) -> Candidate:
    """Return the statevector engine, unless asking it is too dear beside the best so far."""
    cost = STATE * len(circuit.structure.operations)
    if cost > SHARE * _best(found, task):
        return _unasked(Statevector(), cost)
    return statevector(circuit, task)


def _exact(circuit: NoisyCircuit, task: Task, found: list[Candidate]) -> Candidate:
    """Return the exact engine, unless it or asking it is too dear beside the best so far."""
    best = _best(found, task)
    if narrowest(circuit.structure) > MAX_WIDTH:
        return density(circuit, task)  # refuses at once
    cost = EXACT_STATE * len(circuit.structure.operations)
    if cost > SHARE * best:
        return _unasked(Density(), cost)
    seconds, size = least_density(circuit, task)
    if seconds > best or size > task.memory:
        why = f"It would take more than {seconds:.2g} s and {size:.2g} bytes, so it was not asked."
        return Candidate(Density(), seconds, int(size), refusal=why)
    return density(circuit, task)


def _aim(task: Task) -> float:
    """Return the bound that pilot runs work towards."""
    return FINE if task.tolerance is None else task.tolerance


def _patience(found: list[Candidate], task: Task) -> float:
    """Return the seconds that one more pilot run may take: more where nothing is good enough."""
    best = _best(found, task)
    most = PILOT_SECONDS if math.isfinite(best) else LONG_PILOT_SECONDS
    return min(most, SHARE * best, SHARE * task.seconds)


def _best(found: list[Candidate], task: Task) -> float:
    """Return the price of the cheapest certain candidate so far; infinite without one."""
    return min((_price(c, task) for c in _good(found, task)), default=math.inf)


def _unasked(engine: Engine[Any], cost: float) -> Candidate:
    why = f"Planning it would take about {cost:.2g} s, so it was not asked."
    return Candidate(engine, 0.0, 0, refusal=why)


def _over(candidate: Candidate, task: Task) -> str:
    """Return why a candidate is out of the question, or nothing."""
    if candidate.refusal:
        return candidate.refusal
    if candidate.engine.name in task.without:
        return "It was tried, and missed the tolerance or was refuted on a piece of this circuit."
    if candidate.bytes > task.memory:
        return f"It needs {candidate.bytes} bytes, but {task.memory} bytes are available."
    if candidate.seconds > task.seconds:
        return (
            f"It would take about {candidate.seconds:.2g} s, more than the `seconds` = "
            f"{task.seconds:.4g} that are allowed."
        )
    return ""


def _good(found: list[Candidate], task: Task) -> list[Candidate]:
    """Return the candidates whose stated error is small enough, within the limits."""
    aim = AIM if task.tolerance is None else task.tolerance
    return [c for c in found if not _over(c, task) and c.stated(task) <= aim]


def _price(candidate: Candidate, task: Task) -> float:
    """Return the seconds still to be paid, and what a less than exact answer is worth."""
    seconds = 0.0 if candidate.outcome is not None else candidate.seconds - candidate.paid
    inexact = candidate.truncation > 0 or candidate.stderr > 0
    return seconds * EXACT + WORTH if inexact and task.tolerance is None else seconds


def _choose(found: list[Candidate], task: Task, qubits: int) -> Itinerary:
    """Return the itinerary: the cheapest that is good enough, or the best within reason."""
    found = [replace(c, refusal=_over(c, task)) for c in found]
    everything = tuple(found)
    able = [c for c in found if not c.refusal]
    if not able:
        return Itinerary(qubits, everything, None, _nobody(found, qubits))
    if good := _good(able, task):
        best = min(good, key=lambda c: (_price(c, task), c.stated(task)))
        return Itinerary(qubits, everything, best, _reason(best, good, task))
    if task.tolerance is not None:
        return Itinerary(qubits, everything, None, _too_loose(able, task))
    quick = [c for c in able if c.seconds <= PATIENCE]
    best = min(quick or able, key=lambda c: (c.truncation, c.seconds) if quick else (c.seconds, 0))
    reason = (
        f"no engine is known to bound its cuts by {AIM:g}; this one comes nearest within "
        f"{PATIENCE:g} s"
    )
    return Itinerary(qubits, everything, best, reason)


def _reason(best: Candidate, good: list[Candidate], task: Task) -> str:
    exact = best.truncation == 0 and best.stderr == 0
    others = [c for c in good if c.engine.name != best.engine.name]
    text = "exact" if exact else f"stated error {best.truncation + best.stderr:.2g}"
    text += f" in about {best.seconds:.2g} s"
    if others:
        second = min(others, key=lambda c: _price(c, task))
        text += f"; '{second.engine.name}' would take about {second.seconds:.2g} s"
    return text


def _nobody(found: list[Candidate], qubits: int) -> str:
    reasons = " ".join(f"{c.engine.name}: {c.refusal}" for c in found)
    return f"No engine can run the {qubits} connected qubits. {reasons}"


def _too_loose(able: list[Candidate], task: Task) -> str:
    best = min(able, key=lambda c: c.stated(task))
    limits = f"{task.memory} bytes" + (f" and {task.seconds:g} s" if task.seconds < 1e9 else "")
    settings = f" ({best.settings})" if best.settings else ""
    return (
        f"`tolerance` must be one that an engine reaches within {limits}, but {task.tolerance:g} "
        f"is not; the best bound is {best.stated(task):.3g}, by '{best.engine.name}'{settings} in "
        f"about {best.seconds:.2g} s. Raise `tolerance`, give more memory or time, or leave it out "
        f"for the best answer with its bound."
    )
