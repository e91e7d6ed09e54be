"""Pilot runs of tensor networks: few trajectories at small bonds tell which bond is needed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines.density_network import DensityNetwork
from qdt_emu.engines.engine import Expectations, Records
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.network import Network
from qdt_emu.engines.planner_cost import FEWEST, noiseless
from qdt_emu.engines.planner_task import MOST_TRAJECTORIES, SIGMAS, Candidate, Task
from qdt_emu.errors import UnsupportedError

Chained = MPS | Mpo | Network | DensityNetwork

PILOT_TRAJECTORIES = 8
UNSEEN = 1.0  # standard deviation times trajectories that may all have missed what happens
SPREAD = 1.3  # a standard deviation from eight trajectories may be this much too small

MARGIN = 0.6  # an extrapolated bound aims this much below the tolerance
SLOWEST_DECAY = 0.25  # power of the bond; a bound that falls more slowly is not extrapolated
WIDEST = 1024


@dataclass(frozen=True)
class Family:
    """An engine at several bonds.

    Attributes:
        engine: With its usual settings.
        bonds: Those that are tried, ascending.
        sampled: Whether it draws trajectories; otherwise one run serves all.
        planning: Seconds per operation to lay out a circuit.
    """

    engine: Chained
    bonds: tuple[int, ...]
    sampled: bool
    planning: float


# Planning was measured on the zoo's circuits of 10 to 127 qubits.
CHAIN = Family(MPS(), (16, 32, 64, 128, 256), sampled=True, planning=3e-5)
FAMILIES = (
    Family(DensityNetwork(), (8, 16, 32, 64), sampled=False, planning=1e-5),
    Family(Mpo(), (16, 32, 64, 128), sampled=False, planning=2e-5),
    CHAIN,
    Family(Network(), (4, 8, 16, 32), sampled=True, planning=2e-5),
)
DRAWING = 1.5e-9  # s per shot, site and squared bond, where all shots share a state


def states(
    family: Family, circuit: NoisyCircuit, task: Task, *, aim: float, patience: float
) -> Iterator[Candidate]:
    """Yield a tensor network at larger and larger bonds, then the bond that would reach the aim.

    Args:
        family: Which engine.
        circuit: What runs.
        task: What is wanted.
        aim: Bound that is good enough.
        patience: Seconds that the next pilot run may take.

    Error:
        Bounds of pilot runs are those of the engine, from few trajectories; seconds are those of
        its plan; extrapolated bounds follow a power law through the last two.
    """
    tried: list[tuple[int, float]] = []
    last: Candidate | None = None
    alone = family.sampled and noiseless(circuit)
    for bond in family.bonds:
        engine = replace(family.engine, max_bond=bond)
        shots = min(PILOT_TRAJECTORIES, task.shots) if family.sampled else task.shots
        shots = 1 if alone else shots
        ask = {"paulis": task.strings, "memory": task.memory}
        plan = engine.plan(circuit.structure, shots=shots, **ask)
        if plan.refusal:
            yield Candidate(engine, plan.seconds, plan.bytes, refusal=plan.refusal)
            return
        if plan.seconds > patience:
            break
        try:
            state, found = _run(engine, circuit, task, shots)
        except (UnsupportedError, np.linalg.LinAlgError) as reason:
            yield Candidate(engine, 0.0, plan.bytes, refusal=str(reason))
            return
        last = _candidate(engine, circuit, task, found, shots, sampled=family.sampled, alone=alone)
        if not task.strings and isinstance(engine, Mpo):
            evolved = engine.plan(circuit.structure, shots=0, **ask).seconds
            last = replace(last, state=state, paid=evolved)
        yield last
        tried.append((bond, last.truncation))
        reached = [v for k, v in found.details.items() if k.endswith("bond")]
        full = not reached or max(float(v) for v in reached) >= bond
        if last.truncation <= aim or not full:
            return
    yield from _beyond(family, circuit, task, tried, last, aim)


def _run(
    engine: Chained, circuit: NoisyCircuit, task: Task, shots: int
) -> tuple[Any, Expectations | Records]:
    """Return what a pilot run draws from, and its answer."""
    state: Any = engine.prepare(circuit.structure)
    if task.strings:
        ask = (state, circuit.values, task.paulis, task.readout)
        return state, engine.estimate(*ask, shots=shots, seed=0)
    if isinstance(engine, Mpo):
        state = engine.evolve(state, circuit.values)
    return state, engine.sample(state, circuit.values, shots=shots, seed=0)


def _candidate(
    engine: Chained,
    circuit: NoisyCircuit,
    task: Task,
    found: Expectations | Records,
    shots: int,
    *,
    sampled: bool,
    alone: bool,
) -> Candidate:
    """Return what a pilot run says about the whole one; `alone` where one trajectory is all."""
    spread = 0.0
    if isinstance(found, Expectations) and sampled:
        spread = min(1.0, SPREAD * float(found.stderr.max(initial=0.0)) * math.sqrt(shots))
        if not alone:  # events that none of so few has shown
            spread = max(spread, UNSEEN / shots)
    total = task.shots
    if task.strings and task.more_shots and task.tolerance is not None:
        left = max(task.tolerance - found.truncation, 0.2 * task.tolerance)
        total = max(FEWEST, math.ceil((SIGMAS * spread / left) ** 2))
    ask = {"shots": 1 if alone else total, "paulis": task.strings, "memory": task.memory}
    plan = engine.plan(circuit.structure, **ask)
    seconds = plan.seconds
    if alone and not task.strings:
        seconds += DRAWING * total * circuit.structure.n_qubits * engine.max_bond**2
    refusal = plan.refusal
    if total > MOST_TRAJECTORIES:
        refusal = f"The tolerance would take {total} trajectories, at most {MOST_TRAJECTORIES}."
    whole = isinstance(found, Expectations) and not sampled
    return Candidate(
        engine,
        seconds,
        plan.bytes,
        found.truncation,
        spread / math.sqrt(total),
        refusal,
        "pilot run",
        total,
        found if whole and isinstance(found, Expectations) else None,
    )


def _beyond(
    family: Family,
    circuit: NoisyCircuit,
    task: Task,
    tried: Sequence[tuple[int, float]],
    last: Candidate | None,
    aim: float,
) -> Iterator[Candidate]:
    """Yield what is expected at a bond that no pilot run has tried."""
    shots = task.shots if last is None else last.shots
    if len(tried) < 2 or last is None:
        bond = family.bonds[-1] if last else family.engine.max_bond
        why = "pilot runs would take too long to tell its error"
    else:
        (small, worse), (large, better) = tried[-2:]
        decay = math.log(max(worse, 1e-12) / max(better, 1e-12)) / math.log(large / small)
        yield from _usual(family, circuit, task, last, large, max(decay, 0.0))
        if decay < SLOWEST_DECAY:
            return
        needed = large * (better / (MARGIN * aim)) ** (1 / decay)
        bond, why = _rounded(needed), ""
        if bond > WIDEST:
            return
    engine = replace(family.engine, max_bond=bond)
    plan = engine.plan(circuit.structure, shots=shots, paulis=task.strings, memory=task.memory)
    yield Candidate(
        engine,
        plan.seconds,
        plan.bytes,
        min(plan.truncation, MARGIN * aim) if not why else plan.truncation,
        last.stderr if last else 0.0,
        plan.refusal or (why if plan.truncation > 0 else ""),
        "extrapolated" if not why else "plan",
        shots,
    )


def _usual(
    family: Family, circuit: NoisyCircuit, task: Task, last: Candidate, tried: int, decay: float
) -> Iterator[Candidate]:
    """Yield the engine's own bond, where it is larger than the last one tried.

    It may be within reach where the bond that would meet the aim is not.
    """
    engine, shots = family.engine, last.shots
    if engine.max_bond <= tried:
        return
    plan = engine.plan(circuit.structure, shots=shots, paulis=task.strings, memory=task.memory)
    bound = last.truncation * (tried / engine.max_bond) ** decay
    figures = (plan.seconds, plan.bytes, bound, last.stderr, plan.refusal)
    yield Candidate(engine, *figures, "extrapolated", shots)


def _rounded(bond: float) -> int:
    """Return the next multiple of 8."""
    return 8 * math.ceil(min(bond, 1e6) / 8)
