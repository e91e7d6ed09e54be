"""Run a noisy circuit: choose an engine for each independent part, refuse before working."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, NoisyCircuit, Structure
from qdt_emu.engines.components import components
from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.density import Density
from qdt_emu.engines.engine import Engine, Expectations, Plan, Records
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError, UnsupportedError

ENGINES: dict[str, Callable[[], Engine[Any]]] = {
    "density": Density,
    "statevector": Statevector,
    "pauli": Pauli,
    "stabilizer": Stabilizer,
    "contraction": Contraction,
}
PREFER_EXACT_BELOW = 1.0  # s; an exact answer is worth this much more time
MEMORY_SHARE = 0.7  # of the free memory


@dataclass(frozen=True)
class Choice:
    """Which engine runs a part, why, and at what planned cost."""

    engine: Engine[Any]
    plan: Plan
    reason: str


@dataclass(frozen=True)
class Account:
    """What a run did, summed over its parts.

    Attributes:
        engine: Names of the engines used, joined by '+'.
        reason: Why.
        seconds: Wall time.
        bytes: Largest planned memory.
        truncation: Bound on the error of cuts.
        details: What the engines said.
        bounds: Bound on the error of cuts of each Pauli string; empty for a run of shots.
    """

    engine: str
    reason: str
    seconds: float
    bytes: int
    truncation: float
    details: dict[str, float | int | str]
    bounds: tuple[float, ...] = ()


def free_memory() -> int:
    """Return the bytes a run may use: 70 % of what is free now."""
    return int(MEMORY_SHARE * psutil.virtual_memory().available)


def choose(
    structure: Structure, engine: str | Engine[Any], *, shots: int, paulis: int, memory: int
) -> Choice:
    """Return the engine for a connected circuit.

    'auto' takes `density` where it fits into memory and either needs at most 1 s or no more time
    than `statevector`; circuits with shot-to-shot draws (detuning, leakage) go to `statevector`.
    Expectation values of circuits too large for both go to `pauli`, which bounds its truncation.

    Raises:
        InputError: An unknown engine name.
        UnsupportedError: The named engine, or every engine, refuses; with the reasons.
    """
    ask = {"shots": shots, "paulis": paulis, "memory": memory}
    if engine != "auto":
        chosen = named(engine)
        plan = chosen.plan(structure, **ask)
        if plan.refusal:
            raise UnsupportedError(f"Engine '{chosen.name}' refuses the circuit: {plan.refusal}")
        return Choice(chosen, plan, "asked for")
    exact, sampled = Density(), Statevector()
    exact_plan = exact.plan(structure, **ask)
    drawn = any(op.kind in (Kind.DWELL, Kind.LEAK) for op in structure.operations)
    if not drawn and not exact_plan.refusal and exact_plan.seconds <= PREFER_EXACT_BELOW:
        return Choice(exact, exact_plan, f"exact in about {exact_plan.seconds:.2g} s")
    sampled_plan = sampled.plan(structure, **ask)
    cheaper = sampled_plan.refusal or exact_plan.seconds <= sampled_plan.seconds
    if not drawn and not exact_plan.refusal and cheaper:
        reason = f"exact in about {exact_plan.seconds:.2g} s, trajectories take no less"
        return Choice(exact, exact_plan, reason)
    if sampled_plan.refusal and paulis and not drawn:
        propagation = Pauli()
        plan = propagation.plan(structure, **ask)
        if not plan.refusal:
            reason = f"{structure.n_qubits} connected qubits are too many for a state"
            return Choice(propagation, plan, reason)
    if sampled_plan.refusal:
        why = "shots draw their own detuning or leakage" if drawn else exact_plan.refusal
        raise UnsupportedError(
            f"No engine can run the {structure.n_qubits} connected qubits. density: {why} "
            f"statevector: {sampled_plan.refusal}"
        )
    if drawn:
        reason = "shots draw their own detuning or leakage"
    elif exact_plan.refusal:
        reason = f"density refuses: {exact_plan.refusal}"
    else:
        reason = (
            f"trajectories take about {sampled_plan.seconds:.2g} s, the exact engine "
            f"{exact_plan.seconds:.2g} s"
        )
    return Choice(sampled, sampled_plan, reason)


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


def sample(
    circuit: NoisyCircuit,
    *,
    shots: int,
    seed: int,
    engine: str | Engine[Any] = "auto",
    memory: int | None = None,
) -> tuple[NDArray[np.uint8], Account]:
    """Return `shots` records of shape (shots, n_clbits) and the account of the run."""
    begin = time.perf_counter()
    structure = circuit.structure
    limit = free_memory() if memory is None else memory
    bits = _records(shots, structure, limit)
    done: list[tuple[Choice, Records]] = []
    before = prepared.cache_info().misses
    for k, part in enumerate(components(structure)):
        if not part.clbits:
            continue
        choice = choose(part.structure, engine, shots=shots, paulis=0, memory=limit)
        state = prepared(choice.engine, part.structure)
        records = choice.engine.sample(
            state, part.values(circuit.values), shots=shots, seed=_own_seed(seed, k)
        )
        bits[:, list(part.clbits)] = records.bits
        done.append((choice, records))
    return bits, _account([*done], begin, before)


def _own_seed(seed: int, part: int) -> int:
    """Return the seed of a part; the first part keeps the run's own."""
    return seed if part == 0 else int(np.random.SeedSequence([seed, part]).generate_state(1)[0])


def estimate(
    circuit: NoisyCircuit,
    paulis: NDArray[np.uint8],
    readout: NDArray[np.float64],
    *,
    shots: int,
    seed: int,
    engine: str | Engine[Any] = "auto",
    memory: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], Account]:
    """Return values and standard errors, shape (m,), and the account of the run.

    A string that spans several parts is the product of its parts' values.
    """
    begin = time.perf_counter()
    limit = free_memory() if memory is None else memory
    values, relative = np.ones(len(paulis)), np.zeros(len(paulis))
    bounds = np.zeros(len(paulis))
    done: list[tuple[Choice, Expectations]] = []
    before = prepared.cache_info().misses
    for k, part in enumerate(components(circuit.structure)):
        own = paulis[:, list(part.qubits)]
        strings, where = np.unique(own, axis=0, return_inverse=True)
        if not strings.any():
            continue
        choice = choose(part.structure, engine, shots=shots, paulis=len(strings), memory=limit)
        state = prepared(choice.engine, part.structure)
        found = choice.engine.estimate(
            state,
            part.values(circuit.values),
            strings,
            readout[list(part.qubits)],
            shots=shots,
            seed=_own_seed(seed, k),
        )
        rest = ~own.any(axis=1)  # the identity is 1, without an engine's rounding
        v = np.where(rest, 1.0, found.values[where.reshape(-1)])
        s = np.where(rest, 0.0, found.stderr[where.reshape(-1)])
        own_bounds = np.full(len(strings), found.truncation)
        b = np.where(
            rest, 0.0, (own_bounds if found.bounds is None else found.bounds)[where.reshape(-1)]
        )
        bounds = np.abs(values) * b + np.abs(v) * bounds + bounds * b
        # Var(xy) = x^2 Var(y) + y^2 Var(x) + Var(x) Var(y) for independent factors.
        relative = values**2 * s**2 + v**2 * relative + relative * s**2
        values = values * v
        done.append((choice, found))
    account = replace(_account([*done], begin, before), bounds=tuple(bounds.tolist()))
    return values, np.sqrt(relative), account


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


def _account(done: list[tuple[Choice, Any]], begin: float, misses_before: int) -> Account:
    names = dict.fromkeys(choice.engine.name for choice, _ in done)
    details: dict[str, float | int | str] = {
        "parts": len(done),
        "compilations": prepared.cache_info().misses - misses_before,
    }
    for _, outcome in done:
        for name, value in outcome.details.items():
            old = details.get(name)
            both = isinstance(value, int | float) and isinstance(old, int | float)
            details[name] = old + value if both else value
    return Account(
        engine="+".join(names) or "none",
        reason="; ".join(dict.fromkeys(choice.reason for choice, _ in done)),
        seconds=time.perf_counter() - begin,
        bytes=max((choice.plan.bytes for choice, _ in done), default=0),
        truncation=sum(outcome.truncation for _, outcome in done),
        details=details,
    )
