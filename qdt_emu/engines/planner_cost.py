"""What the engines that hold a state cost: known from structure and numbers, without a run.

Seconds of all engines are of the same two Zen 3 cores; what the choice needs are their ratios.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from qdt_emu.circuit import Kind, NoisyCircuit, Structure
from qdt_emu.engines import density as exact
from qdt_emu.engines import statevector as sampled
from qdt_emu.engines.cone import narrowest
from qdt_emu.engines.density import Density, quadrature
from qdt_emu.engines.density_run import program
from qdt_emu.engines.engine import Engine
from qdt_emu.engines.planner_task import MOST_TRAJECTORIES, SIGMAS, Candidate, Task
from qdt_emu.engines.refusals import drawn, draws, too_wide
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.engines.stabilizer_clifford import clifford
from qdt_emu.engines.stabilizer_text import write
from qdt_emu.engines.statevector import MAX_WIDTH, Statevector
from qdt_emu.engines.statevector_program import Program
from qdt_emu.engines.statevector_run import bind, expected_flops, room_bytes, some_event
from qdt_emu.errors import UnsupportedError

DENSITY = Density()
DENSITY_WIDTH = 16  # qubits at a time; 4^16 numbers are 34 GB
SCAN = 30.0  # flops per amplitude and string, reading a final state
FEWEST = 128  # trajectories of an answer at a tolerance
DRAW = 2e-7  # s per shot: random numbers, grouping, writing the record


def planned(circuit: NoisyCircuit, task: Task, engine: Engine[Any]) -> Candidate:
    """Return what an engine's own plan says."""
    plan = engine.plan(circuit.structure, shots=task.shots, paulis=task.strings, memory=task.memory)
    return Candidate(
        engine, plan.seconds, plan.bytes, plan.truncation, 0.0, plan.refusal, "plan", task.shots
    )


def density(circuit: NoisyCircuit, task: Task, engine: Density = DENSITY) -> Candidate:
    """Return the cost of the exact engine, from its real steps.

    Its own plan keeps all components of the final state; here only those of the strings are kept.

    Error:
        Seconds within a factor of 2 from 10 ms upwards.
    """
    structure = circuit.structure
    if (low := narrowest(structure)) > DENSITY_WIDTH:
        why = f"It would hold {low} qubits at a time, {8.0 * 4.0**low:.2g} bytes."
        return Candidate(engine, 0.0, 0, refusal=why)
    try:
        runs = len(quadrature(structure, circuit.values))
    except UnsupportedError as reason:
        return Candidate(engine, 0.0, 0, refusal=str(reason))
    if not task.strings:
        found = planned(circuit, task, engine)
        return replace(found, seconds=runs * found.seconds)
    kept = tuple(tuple(np.unique(column).tolist()) for column in task.paulis.T)
    prog = program(structure, kept)
    threads = min(engine.threads or 2, 2)
    seconds = 1e-3 + exact.STEP * len(prog.moves) + prog.flops / (exact.FLOPS * threads)
    refusal = ""
    if prog.bytes > task.memory:
        refusal = (
            f"It needs {prog.bytes} bytes for the density operator of up to "
            f"{structure.n_qubits} qubits, but {task.memory} bytes are available. "
            f"Use engine='statevector' or give more memory."
        )
    return Candidate(engine, runs * seconds, prog.bytes, refusal=refusal)


def statevector(circuit: NoisyCircuit, task: Task) -> Candidate:
    """Return the cost of trajectories, the work that shots share taken off.

    Error:
        Seconds within a factor of 2 from 10 ms upwards. The standard error is an upper bound:
        trajectories without an event agree, and any two values differ by at most 2.
    """
    engine, structure = Statevector(), circuit.structure
    if (low := narrowest(structure)) > MAX_WIDTH:
        why = f"It would hold {low} qubits at a time, at most {MAX_WIDTH} are allowed."
        return Candidate(engine, 0.0, 0, refusal=why)
    if why := too_wide(structure):
        return Candidate(engine, 0.0, 0, refusal=why)
    programs = _programs(structure, task)
    peak = min(p.layout.peak for p in programs)
    size = max(room_bytes(p, np.float32, spare=bool(task.strings)) for p in programs)
    threads = engine.workers(task.shots)
    bytes_ = size * threads + task.shots * structure.n_clbits
    if peak > MAX_WIDTH or bytes_ > task.memory:
        why = (
            f"`memory` must hold {threads} x 8 states of {peak} active qubits (at most "
            f"{MAX_WIDTH}), {bytes_} bytes, but is {task.memory}. Give more memory, fewer threads "
            f"or a shallower circuit."
        )
        return Candidate(engine, 0.0, bytes_, refusal=why)
    bounds = [bind(p, circuit.values, np.float32) for p in programs]
    some = some_event(bounds[0])
    spread = min(1.0, 2 * math.sqrt(some * (1 - some)) if some < 0.5 else 1.0)
    shots = _enough(task, spread)
    flops = min(expected_flops(b, shots) for b in bounds)
    if task.strings:
        distinct = 1 + shots * (1.0 if bounds[0].varies.any() else some)
        width = bounds[0].program.layout.widths[-1]
        flops += distinct * SCAN * (task.strings + 1) * 2.0**width
    seconds = 1e-3 + flops / (sampled.FLOPS * engine.workers(shots)) + DRAW * shots
    stderr = spread / math.sqrt(shots) if task.strings else 0.0
    refusal = ""
    if shots > MOST_TRAJECTORIES:
        refusal = f"The tolerance would take {shots} trajectories, at most {MOST_TRAJECTORIES}."
    return Candidate(engine, seconds, bytes_, 0.0, stderr, refusal, "plan", shots)


def _programs(structure: Structure, task: Task) -> list[Program]:
    """Return the programs that the statevector engine chooses from."""
    if not task.strings:
        return Statevector().prepare(structure).programs(np.float32)
    kept = frozenset(int(q) for q in np.flatnonzero(task.paulis.any(axis=0)))
    return [sampled._compiled(structure, early=True, kept=kept)]  # noqa: SLF001


def least_density(circuit: NoisyCircuit, task: Task) -> tuple[float, float]:
    """Return seconds and bytes that the exact engine takes, from the width of a trajectory.

    Error:
        Seconds are mostly far too low: of as many steps at that width as it has qubits. Bytes are
        those of two qubits less, which another order may save.
    """
    width = min(p.layout.peak for p in _programs(circuit.structure, task))
    return 32.0 * width * 4.0**width / (2 * exact.FLOPS), 8.0 * 4.0 ** max(width - 2, 0)


def noiseless(circuit: NoisyCircuit) -> bool:
    """Return whether all shots share one trajectory: no event can be drawn."""
    structure, values = circuit.structure, circuit.values
    later, inside = set[int](), False
    for op in reversed(structure.operations):
        again = op.kind is Kind.MEASURE and not later.isdisjoint(op.qubits)
        inside |= again or bool(op.conditions) or op.kind is Kind.RESET
        later.update(op.qubits)
    relaxed = np.asarray(values.relaxation)[_slots(structure, Kind.RELAXATION), :2] != 1.0
    flips = (
        np.asarray(table)[_slots(structure, Kind.PAULI, size), 1:] > 0
        for size, table in ((1, values.pauli1), (2, values.pauli2))
    )
    noisy = bool(relaxed.any()) or any(bool(f.any()) for f in flips)
    return not (inside or noisy or drawn(draws(structure), values))


def _enough(task: Task, spread: float) -> int:
    """Return how many trajectories keep two standard errors within the tolerance.

    And so many that an event as likely drawn as not, which may turn a 1 into a -1, cannot break it.
    """
    if not (task.strings and task.more_shots and task.tolerance):
        return task.shots
    rare = 2 * SIGMAS / task.tolerance if spread else 0.0
    sampled = (SIGMAS * spread / task.tolerance) ** 2
    return max(FEWEST, math.ceil(1.1 * rare), math.ceil(1.21 * sampled))


def stabilizer(circuit: NoisyCircuit, task: Task) -> Candidate:
    """Return the cost of Clifford sampling, or that numbers forbid it.

    Error:
        Seconds within a factor of 3; what is Clifford is decided exactly.
    """
    engine = Stabilizer()
    if why := _no_clifford(circuit):
        return Candidate(engine, 0.0, 0, refusal=why)
    found = planned(circuit, task, engine)
    if task.strings:
        found = replace(found, stderr=1 / math.sqrt(task.shots))
    return found


def _no_clifford(circuit: NoisyCircuit) -> str:
    """Return why the stabilizer engine cannot run these numbers, or nothing."""
    structure, values = circuit.structure, circuit.values
    twirl = "Accept the Pauli twirl with engine=Stabilizer(accept_twirl=True)."
    slots = _slots(structure, Kind.RELAXATION)
    if np.any(np.asarray(values.relaxation)[slots, :2] != 1.0):
        return f"Relaxation is no Pauli noise. {twirl}"
    for size, table in ((1, values.unitaries1), (2, values.unitaries2)):
        for slot in _slots(structure, Kind.UNITARY, size):
            found = clifford(table[slot])
            if found is None or not found.exact:
                return "A gate is not Clifford."
    plain = not any(
        op.conditions or op.kind in (Kind.DWELL, Kind.LEAK) for op in structure.operations
    )
    if plain:
        return ""
    try:
        write(structure, values, accept_twirl=False)
    except UnsupportedError as reason:
        return str(reason)
    return ""


def _slots(structure: Structure, kind: Kind, size: int = 1) -> list[int]:
    """Return the rows of a table that a circuit uses."""
    same = (op for op in structure.operations if op.kind is kind and len(op.qubits) == size)
    return sorted({op.slot for op in same})
