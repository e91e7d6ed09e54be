"""Cross-check: the engine that ran, on a piece of the circuit that has an exact answer."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from qdt_emu.circuit import Kind, NoisyCircuit, Structure
from qdt_emu.engines import density as exact
from qdt_emu.engines.components import Component, extract
from qdt_emu.engines.density import Density
from qdt_emu.engines.engine import Engine
from qdt_emu.engines.planner_cost import density
from qdt_emu.engines.planner_task import Candidate, Task
from qdt_emu.errors import UnsupportedError

FROM = 13  # qubits: below, the exact engine could have answered
SIZES = ((0.5, 6), (5.0, 8), (float("inf"), 10))  # (seconds of the run, qubits of the piece)
BUDGET = (0.25, 0.1)  # s, or this share of the run: what a cross-check may cost
STRINGS = 4
TRAJECTORIES = 512
SIGMAS = 5.0  # one false alarm in 100,000 checks of 20 figures
ROUNDING = 1e-5  # of a state in single precision


@dataclass(frozen=True)
class Check:
    """How an engine did on a piece of the circuit.

    Attributes:
        qubits: Size of the piece; 0 where there was no check.
        difference: Largest distance between a figure and its exact value.
        stated: What the engine said it may be there: its bound plus five standard errors.
        why: Why there was no check.
    """

    qubits: int
    difference: float = 0.0
    stated: float = 0.0
    why: str = ""

    @property
    def excess(self) -> float:
        """How much the engine was farther off than it said."""
        return max(0.0, self.difference - self.stated)

    @property
    def text(self) -> str:
        """What was found."""
        if not self.qubits:
            return f"cross-check: none, {self.why}"
        return (
            f"cross-check: on {self.qubits} qubits of this circuit the engine differs from the "
            f"exact answer by {self.difference:.2g}, stated bound {self.stated:.2g}"
        )

    def __str__(self) -> str:
        return self.text + ("; all bounds are widened by the excess" if self.excess else "")


def crosscheck(ran: Candidate, circuit: NoisyCircuit, task: Task, seed: int) -> Check | None:
    """Return how the engine does on a connected piece of at most 10 qubits of the circuit.

    The piece keeps all operations that act on its qubits alone. Expectation values are compared
    for the parts of the strings that lie inside, samples by the means of all bits and pairs.

    Args:
        ran: The engine, with the settings that ran.
        circuit: What it ran.
        task: What was wanted.
        seed: Of the run.

    Returns:
        None where the circuit is small enough for the exact engine, or that was the one.
    """
    if isinstance(ran.engine, Density) or circuit.structure.n_qubits < FROM:
        return None
    numbers = (task.paulis.tobytes(), task.readout.tobytes(), task.shots)
    return _checked(_Key((ran.engine, circuit.id, numbers, seed), ran, circuit, task, seed))


@dataclass(frozen=True)
class _Key:
    """A check by its numbers, so that repeated runs are checked once."""

    identity: tuple[object, ...]
    ran: Candidate = field(compare=False)
    circuit: NoisyCircuit = field(compare=False)
    task: Task = field(compare=False)
    seed: int = field(compare=False)


@lru_cache(maxsize=64)
def _checked(key: _Key) -> Check:
    ran, task = key.ran, key.task
    structure = key.circuit.structure
    size = next(n for seconds, n in SIZES if ran.seconds <= seconds)
    start = _start(structure, task)
    piece = _piece(structure, start, size)
    local = NoisyCircuit(piece.structure, piece.values(key.circuit.values))
    inside = list(piece.qubits)
    strings = np.unique(task.paulis[:, inside], axis=0) if task.strings else task.paulis
    strings = strings[strings.any(axis=1)][-STRINGS:] if task.strings else strings
    if task.strings and not len(strings):
        return Check(0, why="no string lies inside of a small piece")
    budget = max(BUDGET[0], BUDGET[1] * ran.seconds)
    small = replace(
        task, paulis=strings, readout=task.readout[inside] if task.strings else task.readout
    )
    known = density(local, small)
    if known.refusal or known.seconds > budget:
        return Check(0, why=known.refusal or "the exact answer would take too long")
    try:
        compare = _values if task.strings else _samples
        return compare(ran.engine, local, small, budget, key.seed)
    except UnsupportedError as reason:
        return Check(0, why=str(reason))


def _values(
    engine: Engine[Any], circuit: NoisyCircuit, task: Task, budget: float, seed: int
) -> Check:
    structure, values = circuit.structure, circuit.values
    ask = (values, task.paulis, task.readout)
    shots = _affordable(engine, structure, len(task.paulis), task.shots, budget)
    found = engine.estimate(_prepared(engine, structure), *ask, shots=shots, seed=seed)
    truth = Density().estimate(_prepared(Density(), structure), *ask, shots=1, seed=0)
    away = np.abs(found.values - truth.values)
    bounds = np.full(len(away), found.truncation) if found.bounds is None else found.bounds
    stated = bounds + SIGMAS * found.stderr + ROUNDING
    worst = int(np.argmax(away - stated))
    return Check(structure.n_qubits, float(away[worst]), float(stated[worst]))


def _samples(
    engine: Engine[Any], circuit: NoisyCircuit, task: Task, budget: float, seed: int
) -> Check:
    structure, values = circuit.structure, circuit.values
    if not structure.n_clbits:
        return Check(0, why="no small piece is measured")
    shots = _affordable(engine, structure, 0, task.shots, budget)
    found = engine.sample(_prepared(engine, structure), values, shots=shots, seed=seed)
    p = exact.probabilities(_prepared(Density(), structure), values)
    index = np.arange(p.size)
    signs = [1.0 - 2.0 * (index >> c & 1) for c in range(structure.n_clbits)]
    drawn = [1.0 - 2.0 * found.bits[:, c] for c in range(structure.n_clbits)]
    away, noise = [], []
    for some in _groups(structure.n_clbits):
        mean = float(p @ np.prod([signs[c] for c in some], axis=0))
        away.append(abs(float(np.prod([drawn[c] for c in some], axis=0).mean()) - mean))
        noise.append(SIGMAS * np.sqrt((1 - mean**2) / shots) + SIGMAS**2 / shots)
    stated = 2 * found.truncation + np.array(noise)
    worst = int(np.argmax(np.array(away) - stated))
    return Check(structure.n_qubits, away[worst], float(stated[worst]))


def _groups(bits: int) -> Iterable[tuple[int, ...]]:
    """Return single bits and pairs."""
    return [*combinations(range(bits), 1), *combinations(range(bits), 2)]


def _affordable(
    engine: Engine[Any], structure: Structure, paulis: int, shots: int, budget: float
) -> int:
    """Return how many trajectories the budget pays for, at most those of the run."""
    most = min(shots, TRAJECTORIES)
    plan = engine.plan(structure, shots=most, paulis=paulis, memory=1 << 40)
    share = budget / plan.seconds if plan.seconds > budget else 1.0
    return max(min(most, 32), int(share * most))


@lru_cache(maxsize=64)
def _prepared(engine: Engine[Any], structure: Structure) -> Any:
    return engine.prepare(structure)


def _start(structure: Structure, task: Task) -> tuple[int, ...]:
    """Return where the piece grows from: the heaviest string's qubits, or the middle qubit."""
    if task.strings:
        heaviest = task.paulis[int(np.argmax((task.paulis > 0).sum(axis=1)))]
        return tuple(np.flatnonzero(heaviest).tolist())
    measured = [op.qubits[0] for op in structure.operations if op.kind is Kind.MEASURE]
    return (measured[len(measured) // 2],)


@lru_cache(maxsize=64)
def _piece(structure: Structure, start: tuple[int, ...], size: int) -> Component:
    """Return the circuit on some connected qubits around the first of `start`.

    Qubits of `start` are preferred, then those with most operations shared with the piece.
    """
    links: dict[int, dict[int, int]] = {q: {} for q in range(structure.n_qubits)}
    for op in structure.operations:
        if len(op.qubits) == 2:
            a, b = op.qubits
            links[a][b] = links[b][a] = links[a].get(b, 0) + 1
    inside = {start[0]}
    while len(inside) < size:
        around: dict[int, int] = {}
        for q in inside:
            for other, shared in links[q].items():
                if other not in inside:
                    around[other] = around.get(other, 0) + shared
        if not around:
            break
        inside.add(max(around, key=lambda q: (q in start, around[q], -q)))
    written: set[int] = set()
    kept = []
    for op in structure.operations:
        needs = {c for condition in op.conditions for c in condition.clbits}
        if not inside.issuperset(op.qubits) or not written.issuperset(needs):
            continue
        written |= {op.clbit} if op.clbit >= 0 else set()
        kept.append(op)
    return extract(structure, sorted(inside), sorted(written), kept)
