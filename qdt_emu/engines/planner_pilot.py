"""Pilot runs: short runs with the real numbers, where structure alone cannot tell the cost."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cotengra
import numpy as np

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.engines.contraction import FLOPS, Contraction
from qdt_emu.engines.contraction import distribution as contracted
from qdt_emu.engines.contraction_network import Reduced, observable, reduce
from qdt_emu.engines.pauli import Pauli, answer
from qdt_emu.engines.pauli_error import stated
from qdt_emu.engines.pauli_run import Propagated
from qdt_emu.engines.planner_task import Candidate, Task
from qdt_emu.engines.refusals import draws, refuse_draws
from qdt_emu.errors import UnsupportedError

# Pauli propagation. Measured with 5 to 127 qubits of the zoo on one Zen 3 core: 8 to 10 us per
# operation to bind and scan, 9e-8 s per change of a string, thrice that with half a million.
PER_OPERATION = 8e-6  # s
PER_UPDATE = 1e-7  # s
MANY = 3e5  # strings that double the time of a change
PILOT_STRINGS = 64  # of more, this many are tried
SLOWEST_DECAY = 0.05  # a bound that falls more slowly with the threshold is not extrapolated
MARGIN = 0.6  # an extrapolated bound aims this much below the tolerance
SMALLEST_THRESHOLD = 1e-9
BELOW = 10.0  # a threshold is lowered to where it should do over this before it is given up
# Contraction. Measured on bricks of 10 to 40 qubits: 112, 188 and 507 tensors were searched in
# 0.9, 2.2 and 14 s; a ninth of the operations become tensors.
PER_TENSOR = 6e-3  # s
PER_PAIR = 5e-5  # s
TENSORS = 1 / 9
PER_STEP = 1e-4  # s per operation to build a network
LONGEST = 600.0  # s that a second attempt at a tolerance may take
ENTRIES = 2048  # bytes of a network per operation, before anything is contracted
GREEDY = 1e3  # a search finds an order cheaper by this much than the first greedy one, at most


def pauli(
    circuit: NoisyCircuit,
    task: Task,
    *,
    aim: float,
    patience: float,
    known: list[list[Propagated]],
) -> list[Candidate]:
    """Return Pauli propagation as far as it comes, and what would reach the aim.

    Args:
        circuit: What runs.
        task: What is wanted.
        aim: Bound that is good enough.
        patience: Seconds that the pilot run may take.
        known: Runs of an earlier call with less patience; replaced by those of this one.

    Error:
        Bounds and answers of the pilot run are those of the engine; extrapolated bounds follow a
        power law through its last two thresholds.
    """
    engine = _fitting(replace(Pauli(), threshold=SMALLEST_THRESHOLD, tolerance=aim), circuit, task)
    structure, n = circuit.structure, task.strings
    plan = engine.plan(structure, shots=1, paulis=n, memory=task.memory)
    if plan.refusal:
        return [Candidate(engine, 0.0, plan.bytes, refusal=plan.refusal)]
    chosen = np.linspace(0, n - 1, min(n, PILOT_STRINGS)).astype(int)
    fixed = PER_OPERATION * len(structure.operations)
    if fixed > patience:
        why = f"A pilot run would take more than {fixed:.2g} s, so it was not asked."
        return [Candidate(engine, fixed, plan.bytes, refusal=why)]
    budget = max(1, int((patience - fixed) / (PER_UPDATE * len(chosen))))
    tried = replace(engine, max_updates=budget)
    try:
        state = tried.prepare(structure)
        runs = tried.runs(state, circuit.values, task.paulis[chosen], task.readout, known)
    except UnsupportedError as reason:
        return [Candidate(tried, 0.0, plan.bytes, refusal=str(reason))]
    known[:] = runs
    found = answer(runs)
    share = n / len(chosen)
    seconds = fixed + share * sum(_seconds(r) for run in runs for r in run)
    whole = found if share == 1 else None
    pilot = Candidate(
        *(tried, seconds, plan.bytes, found.truncation), source="pilot run", outcome=whole
    )
    if found.truncation <= aim:
        return [pilot]
    return [pilot, *_beyond(engine, runs, aim, fixed, share, plan.bytes)]


def _seconds(run: Propagated) -> float:
    """Return the time of one string at one threshold."""
    return PER_UPDATE * run.updates * (1 + run.terms / MANY)


def _beyond(
    engine: Pauli,
    runs: list[list[Propagated]],
    aim: float,
    fixed: float,
    share: float,
    size: int,
) -> Iterator[Candidate]:
    """Yield what is expected at a threshold that no pilot run has tried."""
    worst = max(runs, key=stated)
    if len(worst) < 3:
        return
    bounds = [stated(worst[1:]), stated(worst)]
    used = [worst[1].threshold, worst[0].threshold]
    costs = [share * sum(_seconds(r) for run in runs for r in run[k:]) for k in (1, 0)]
    threshold = _needed(bounds, used, aim)
    if threshold < SMALLEST_THRESHOLD or used[0] <= used[1]:
        return
    finest = max(SMALLEST_THRESHOLD, threshold / BELOW)
    yield Candidate(
        replace(engine, threshold=float(f"{finest:.2g}")),
        fixed + _next(costs, used, threshold),
        size,
        MARGIN * aim,
        source="extrapolated",
    )


def _fitting(engine: Pauli, circuit: NoisyCircuit, task: Task) -> Pauli:
    """Return the engine with room for as many strings as the memory holds."""
    room = engine
    while room.max_terms > 1 << 12:
        plan = room.plan(circuit.structure, shots=1, paulis=task.strings, memory=task.memory)
        if plan.bytes <= task.memory:
            break
        room = replace(room, max_terms=room.max_terms // 2)
    return room


def _next(costs: list[float], used: list[float], threshold: float) -> float:
    """Return the cost at a finer threshold: the number of strings grows as a power of it."""
    power = 1.0
    if len(costs) > 1:
        growth = math.log(max(costs[-1], 1e-9) / max(costs[-2], 1e-9))
        power = min(max(growth / math.log(used[-2] / used[-1]), 0.2), 2.0)
    return float(costs[-1] * (used[-1] / threshold) ** power)


def _needed(bounds: list[float], used: list[float], aim: float) -> float:
    """Return the threshold whose bound should be below the aim; 0 where none is in sight."""
    if len(bounds) < 2 or bounds[-1] <= 0:
        return used[-1]
    decay = math.log(bounds[-2] / bounds[-1]) / math.log(used[-2] / used[-1])
    if decay < SLOWEST_DECAY:
        return 0.0
    return float(used[-1] * min(1.0, (MARGIN * aim / bounds[-1])) ** (1 / decay))


def contraction(circuit: NoisyCircuit, task: Task, *, patience: float) -> Candidate:
    """Return what exact contraction costs: an order is searched, nothing is multiplied.

    Args:
        circuit: What runs.
        task: What is wanted.
        patience: Seconds that the search may take.
    """
    engine = Contraction(max_bytes=min(1 << 30, task.memory))
    operations = len(circuit.structure.operations)
    tensors = TENSORS * operations
    search = PER_STEP * operations + PER_TENSOR * tensors + PER_PAIR * tensors**2
    if (asking := search * task.strings) > patience:
        why = f"Searching its order would take about {asking:.2g} s, so it was not asked."
        return Candidate(engine, 0.0, 0, refusal=why)
    try:
        refuse_draws(draws(circuit.structure), circuit.values, "contraction")
    except UnsupportedError as reason:
        return Candidate(engine, 0.0, 0, refusal=str(reason))
    flops, size = 0.0, ENTRIES * operations
    for k, codes in enumerate(task.paulis):
        if not codes.any():
            continue
        if k == 0 and (wide := _greedy(circuit, task, codes)) > GREEDY * engine.max_flops:
            why = f"A first order of contraction needs {wide:.2g} operations."
            return Candidate(engine, wide / FLOPS, 0, refusal=why)
        cost = engine.cost(circuit.structure, circuit.values, codes, task.readout)
        flops, size = flops + cost.flops, max(size, cost.bytes)
    refusal = ""
    if flops > engine.max_flops or size > engine.max_bytes:
        refusal = _too_large(engine, flops, size)
    seconds = flops / FLOPS + 1e-4 * task.strings * operations
    return Candidate(engine, seconds, size, refusal=refusal, source="contraction order")


def distribution(circuit: NoisyCircuit, task: Task, *, patience: float) -> Candidate:
    """Return what the exact distribution of the record costs by contraction.

    As `contraction`; the network is built, so that its size is known before the search.
    """
    engine = Contraction(max_bytes=min(1 << 30, task.memory))
    structure = circuit.structure
    if (plan := engine.plan(structure, shots=1, paulis=0, memory=task.memory)).refusal:
        return Candidate(engine, 0.0, 0, refusal=plan.refusal)
    try:
        refuse_draws(draws(structure), circuit.values, "contraction")
    except UnsupportedError as reason:
        return Candidate(engine, 0.0, 0, refusal=str(reason))
    asking, reduced = PER_STEP * len(structure.operations), None
    if asking <= patience:
        written = tuple(np.flatnonzero(measured_qubits(structure) >= 0).tolist())
        reduced, _ = contracted(structure, circuit.values, written)
        tensors = len(reduced.inputs)
        asking += PER_TENSOR * tensors + PER_PAIR * tensors**2
    if reduced is None or asking > patience:
        why = f"Searching its order would take about {asking:.2g} s, so it was not asked."
        return Candidate(engine, 0.0, 0, refusal=why)
    if (wide := _first_order(reduced)) > GREEDY * engine.max_flops:
        why = f"A first order of contraction needs {wide:.2g} operations."
        return Candidate(engine, wide / FLOPS, 0, refusal=why)
    cost = engine.cost_of(reduced)
    refusal = ""
    if cost.flops > engine.max_flops or cost.bytes > engine.max_bytes:
        refusal = _too_large(engine, cost.flops, cost.bytes)
    seconds = cost.seconds + PER_STEP * len(structure.operations)
    return Candidate(engine, seconds, cost.bytes, refusal=refusal, source="contraction order")


def _too_large(engine: Contraction, flops: float, size: int) -> str:
    return (
        f"It needs {flops:.2g} operations (at most {engine.max_flops:.2g}) and {size} bytes "
        f"(at most {engine.max_bytes})."
    )


def _greedy(circuit: NoisyCircuit, task: Task, codes: Any) -> float:
    """Return the operations that the first greedy order of a string needs."""
    network = observable(circuit.structure, tuple(int(c) for c in codes))
    return _first_order(reduce(network, network.entries(np, circuit.values, task.readout)))


def _first_order(reduced: Reduced) -> float:
    """Return the operations that the first greedy order needs."""
    if reduced.zero or len(reduced.inputs) < 2:
        return 0.0
    names = [tuple(map(cotengra.get_symbol, legs)) for legs in reduced.inputs]
    sizes = {cotengra.get_symbol(leg): size for leg, size in reduced.sizes}
    search = cotengra.RandomGreedyOptimizer(max_repeats=1, seed=0, accel=False, parallel=False)
    order = search.ssa_path(names, (), sizes)
    tree = cotengra.ContractionTree.from_path(names, (), sizes, ssa_path=order)
    return 2 * float(tree.contraction_cost())


def finer(candidate: Candidate, missed: float, task: Task) -> Candidate | None:
    """Return the same engine with settings that should reach the tolerance it has missed.

    Args:
        candidate: What ran.
        missed: The error it stated.
        task: What is wanted.

    Returns:
        None where there is nothing to refine, or no time left for it.
    """
    excess = missed / (task.tolerance or missed)
    if isinstance(candidate.engine, Pauli):
        better = replace(
            candidate.engine, threshold=candidate.engine.threshold / 5, max_updates=None
        )
        found = replace(candidate, engine=better, seconds=5 * candidate.seconds, outcome=None)
    elif candidate.stderr > 0 and task.more_shots:
        shots = math.ceil(1.2 * excess**2 * candidate.shots)
        found = replace(candidate, shots=shots, seconds=candidate.seconds * shots / candidate.shots)
    else:
        return None
    return found if found.seconds <= min(task.seconds, LONGEST) else None
