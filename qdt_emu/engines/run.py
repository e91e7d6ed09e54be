"""Run a noisy circuit: plan each independent part, refuse before working, check afterwards."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, NoisyCircuit, Structure
from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.crosscheck import crosscheck
from qdt_emu.engines.density import Density
from qdt_emu.engines.density_network import DensityNetwork
from qdt_emu.engines.engine import Engine, Expectations, Records
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.network import Network
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.planner import plan_run
from qdt_emu.engines.planner_cost import density, planned
from qdt_emu.engines.planner_pilot import finer
from qdt_emu.engines.planner_task import SIGMAS, Candidate, Itinerary, Task
from qdt_emu.engines.run_parts import Account, Limits, sample_parts, value_parts
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError, UnsupportedError

Outcome = TypeVar("Outcome", Records, Expectations)

ENGINES: dict[str, Callable[[], Engine[Any]]] = {
    "density": Density,
    "statevector": Statevector,
    "pauli": Pauli,
    "stabilizer": Stabilizer,
    "contraction": Contraction,
    "mps": MPS,
    "mpo": Mpo,
    "network": Network,
    "density_network": DensityNetwork,
}
ANY = Limits()
ATTEMPTS = 3  # at a tolerance, each with finer settings


def itinerary(circuit: NoisyCircuit, task: Task, engine: str | Engine[Any] = "auto") -> Itinerary:
    """Return the plan for a connected circuit; see `planner.plan_run`.

    An engine that is asked for is the only candidate; what it refuses is not chosen.
    """
    if isinstance(engine, str) and engine == "auto":
        return plan_run(circuit, task)
    by_name = named(engine)
    if isinstance(by_name, Density):
        asked = density(circuit, task, by_name)
    else:
        asked = planned(circuit, task, by_name)
    n = circuit.structure.n_qubits
    why = asked.refusal
    if not why and asked.bytes > task.memory:
        why = f"It needs {asked.bytes} bytes, but {task.memory} bytes are available."
    if not why and asked.seconds > task.seconds:
        why = f"It would take {asked.seconds:.2g} s, but {task.seconds:.4g} s are allowed."
    if why:
        reason = f"Engine '{asked.engine.name}' refuses the circuit: {why}"
        return Itinerary(n, (replace(asked, refusal=why),), None, reason)
    return Itinerary(n, (asked,), asked, "asked for")


def _accepted(plan: Itinerary) -> Candidate:
    if plan.chosen is None:
        raise UnsupportedError(plan.reason)
    return plan.chosen


def named(engine: str | Engine[Any]) -> Engine[Any]:
    """Return the engine called `engine`, or the engine itself."""
    if not isinstance(engine, str):
        return engine
    if engine not in ENGINES:
        raise InputError(f"`engine` must be 'auto' or one of {list(ENGINES)}, but is {engine!r}.")
    return ENGINES[engine]()


@lru_cache(maxsize=256)
def prepared(engine: Engine[Any], structure: Structure) -> Any:
    """Return the engine's preparation of a structure; a second call costs nothing."""
    return engine.prepare(structure)


@dataclass(frozen=True)
class Done(Generic[Outcome]):
    """One part of a run: its plan, what ran in the end, and what came of it."""

    plan: Itinerary
    ran: Candidate
    outcome: Outcome
    notes: tuple[str, ...]


def sample(
    circuit: NoisyCircuit,
    *,
    shots: int,
    seed: int,
    engine: str | Engine[Any] = "auto",
    limits: Limits = ANY,
) -> tuple[NDArray[np.uint8], Account]:
    """Return `shots` records of shape (shots, n_clbits) and the account of the run.

    Raises:
        UnsupportedError: No engine can, or none within the limits; with the reasons.
    """
    begin, before = time.perf_counter(), prepared.cache_info().misses
    limits = limits.now()
    bits = _records(shots, circuit.structure, limits.bytes)
    done: list[Done[Records]] = []
    for part in sample_parts(circuit, shots=shots, limits=limits):
        own, seed_k = part.circuit, _own_seed(seed, part.index)
        plan = itinerary(own, part.task, engine)
        chosen = _accepted(plan)
        state = chosen.state or prepared(chosen.engine, own.structure)
        records = chosen.engine.sample(state, own.values, shots=shots, seed=seed_k)
        bits[:, list(part.clbits)] = records.bits
        check = crosscheck(chosen, own, part.task, seed_k)
        if check and check.excess:
            records = replace(records, truncation=records.truncation + check.excess)
        done.append(Done(plan, chosen, records, (str(check),) if check else ()))
    account = replace(_account(done, begin, before), shots=shots)
    _within(limits, account.truncation, account)
    return bits, account


def _own_seed(seed: int, part: int) -> int:
    """Return the seed of a part; the first part keeps the run's own."""
    return seed if part == 0 else int(np.random.SeedSequence([seed, part]).generate_state(1)[0])


def estimate(
    circuit: NoisyCircuit,
    paulis: NDArray[np.uint8],
    readout: NDArray[np.float64],
    *,
    shots: int | None = None,
    seed: int,
    engine: str | Engine[Any] = "auto",
    limits: Limits = ANY,
) -> tuple[NDArray[np.float64], NDArray[np.float64], Account]:
    """Return values and standard errors, shape (m,), and the account of the run.

    A string that spans several parts is the product of its parts' values. Each part is cut to the
    light cone of its strings first.

    Raises:
        UnsupportedError: No engine can, or none within the limits; with the reasons.
    """
    begin, before = time.perf_counter(), prepared.cache_info().misses
    limits = limits.now()
    values, relative = np.ones(len(paulis)), np.zeros(len(paulis))
    bounds = np.zeros(len(paulis))
    done: list[Done[Expectations]] = []
    for part in value_parts(circuit, paulis, readout, shots=shots, limits=limits):
        step = _estimate_part(part.circuit, part.task, _own_seed(seed, part.index), engine)
        # The identity is 1, without an engine's rounding.
        v = np.where(part.rest, 1.0, step.outcome.values[part.where])
        s = np.where(part.rest, 0.0, step.outcome.stderr[part.where])
        b = np.where(part.rest, 0.0, _bounds(step.outcome)[part.where])
        bounds = np.abs(values) * b + np.abs(v) * bounds + bounds * b
        # Var(xy) = x^2 Var(y) + y^2 Var(x) + Var(x) Var(y) for independent factors.
        relative = values**2 * s**2 + v**2 * relative + relative * s**2
        values = values * v
        done.append(step)
    account = replace(
        _account(done, begin, before),
        bounds=tuple(bounds.tolist()),
        shots=max((step.ran.shots for step in done), default=0),
    )
    stderr = np.sqrt(relative)
    _within(limits, float((bounds + SIGMAS * stderr).max(initial=0.0)), account)
    return values, stderr, account


def _estimate_part(
    circuit: NoisyCircuit, task: Task, seed: int, engine: str | Engine[Any]
) -> Done[Expectations]:
    """Return the answer for a connected circuit.

    At finer settings where a tolerance is missed; by another engine where that does not help, or
    where a cross-check breaks it.
    """
    plan = itinerary(circuit, task, engine)
    chosen = _accepted(plan)
    found = _run(chosen, circuit, task, seed)
    for _ in range(ATTEMPTS if engine == "auto" else 0):
        stated = _stated(found)
        if task.tolerance is None or stated <= task.tolerance:
            break
        if (better := finer(chosen, stated, task)) is None:
            break
        chosen, found = better, _run(better, circuit, task, seed)
    why = f"it states {_stated(found):.2g}"
    check = crosscheck(chosen, circuit, task, seed)
    if check and check.excess:
        wider = _bounds(found) + check.excess
        found = replace(found, bounds=wider, truncation=float(wider.max(initial=0.0)))
        why = check.text
    if engine == "auto" and task.tolerance is not None and _stated(found) > task.tolerance:
        left = max(0.0, task.seconds - chosen.seconds)
        rest = replace(task, without=(*task.without, chosen.engine.name), seconds=left)
        if itinerary(circuit, rest).chosen:
            other = _estimate_part(circuit, rest, seed, engine)
            if _stated(other.outcome) < _stated(found):
                note = f"'{chosen.engine.name}' was left for '{other.ran.engine.name}': {why}"
                return replace(other, notes=(note, *other.notes))
    return Done(plan, chosen, found, (str(check),) if check else ())


def _stated(found: Expectations) -> float:
    """Return the largest stated error."""
    return float((_bounds(found) + SIGMAS * found.stderr).max(initial=0.0))


def _run(chosen: Candidate, circuit: NoisyCircuit, task: Task, seed: int) -> Expectations:
    """Return a candidate's answer: that of its pilot run, or of a run of its own."""
    if chosen.outcome is not None:
        return chosen.outcome
    state = prepared(chosen.engine, circuit.structure)
    return chosen.engine.estimate(
        *(state, circuit.values, task.paulis, task.readout), shots=chosen.shots, seed=seed
    )


def _bounds(found: Expectations) -> NDArray[np.float64]:
    """Return the bound on cuts of each string."""
    if found.bounds is None:
        return np.full(len(found.values), found.truncation)
    return found.bounds


def _within(limits: Limits, stated: float, account: Account) -> None:
    """Refuse an answer whose stated error is above the tolerance."""
    if limits.tolerance is not None and stated > limits.tolerance:
        raise UnsupportedError(
            f"`tolerance` must be one that an engine reaches, but {limits.tolerance:g} was missed: "
            f"'{account.engine}' states {stated:.3g} after {account.seconds:.2g} s. Raise "
            f"`tolerance`, or leave it out for the best answer with its bound."
        )


def _records(shots: int, structure: Structure, limit: int) -> NDArray[np.uint8]:
    n_clbits = structure.n_clbits
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or shots < 1:
        raise InputError(f"`shots` must be a whole number of at least 1, but is {shots!r}.")
    if not any(op.kind is Kind.MEASURE for op in structure.operations):
        raise InputError(
            "The circuit measures nothing, so it has no counts. Add measurements, or use "
            "`estimate` for expectation values."
        )
    if shots * n_clbits > limit:
        raise InputError(
            f"`shots` must be at most {limit // n_clbits} for {n_clbits} bits in the free memory, "
            f"but is {shots}. Run in portions with different seeds and add the counts."
        )
    return np.zeros((int(shots), n_clbits), np.uint8)


def _account(done: Sequence[Done[Any]], begin: float, misses_before: int) -> Account:
    names = dict.fromkeys(part.ran.engine.name for part in done)
    details: dict[str, float | int | str] = {
        "parts": len(done),
        "compilations": prepared.cache_info().misses - misses_before,
    }
    for part in done:
        for name, value in part.outcome.details.items():
            old = details.get(name)
            if isinstance(value, str) or not isinstance(old, int | float):
                details[name] = value
            else:
                details[name] = old + value
    largest = max(done, key=lambda part: part.plan.qubits, default=None)
    return Account(
        engine="+".join(names) or "none",
        reason="; ".join(dict.fromkeys(part.plan.reason for part in done)),
        seconds=time.perf_counter() - begin,
        bytes=max((part.ran.bytes for part in done), default=0),
        truncation=sum(part.outcome.truncation for part in done),
        details=details,
        notes=tuple(dict.fromkeys(note for part in done for note in part.notes)),
        alternatives=largest.plan.alternatives if largest else (),
    )
