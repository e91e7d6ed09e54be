"""What a run consists of: limits, connected parts with their own tasks, and the account."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines.components import WHOLE_UP_TO, components, whole
from qdt_emu.engines.cone import cone
from qdt_emu.engines.planner_task import TRAJECTORIES, Task
from qdt_emu.errors import InputError
from qdt_emu.result import Alternative

MEMORY_SHARE = 0.7  # of the free memory


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
        notes: Sentences about cross-checks.
        alternatives: What every engine would have cost, the chosen one first.
        shots: Samples, or trajectories of an estimate.
    """

    engine: str
    reason: str
    seconds: float
    bytes: int
    truncation: float
    details: dict[str, float | int | str]
    bounds: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    shots: int = 0


@dataclass(frozen=True)
class Limits:
    """What a run may cost, and how good it must be.

    Attributes:
        memory: In bytes; None is 70 % of what is free.
        seconds: Planned time; None is any.
        tolerance: Largest stated error; None takes the best answer that is sensible.
    """

    memory: int | None = None
    seconds: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        for name in ("memory", "seconds", "tolerance"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"`{name}` must be above 0 or None, but is {value!r}.")

    @property
    def bytes(self) -> int:
        """The limit of memory, as of now."""
        return free_memory() if self.memory is None else int(self.memory)

    def now(self) -> "Limits":
        """Return the same limits with the free memory looked up, once for all parts."""
        return replace(self, memory=self.bytes)

    def task(self, shots: int | None, parts: int = 1, **what: Any) -> Task:
        """Return the task of one of several parts."""
        return Task(
            TRAJECTORIES if shots is None else shots,
            self.bytes,
            tolerance=None if self.tolerance is None else self.tolerance / parts,
            seconds=math.inf if self.seconds is None else self.seconds,
            more_shots=shots is None,
            **what,
        )


def free_memory() -> int:
    """Return the bytes a run may use: 70 % of what is free now, to one part in 16.

    Rounded down, so that small changes of other programs do not change plans.
    """
    free = int(MEMORY_SHARE * psutil.virtual_memory().available)
    step = max(free.bit_length() - 5, 0)
    return free >> step << step


@dataclass(frozen=True, eq=False)
class SamplePart:
    """A connected part of a run of shots.

    Attributes:
        index: Its place among the parts of the circuit, for its seed.
        circuit: On its own qubits and bits.
        clbits: Bits of the whole circuit, in the part's order.
        task: What is wanted of it.
    """

    index: int
    circuit: NoisyCircuit
    clbits: tuple[int, ...]
    task: Task


@dataclass(frozen=True, eq=False)
class ValuePart:
    """A connected part of a run for expectation values, cut to the light cone of its strings.

    Attributes:
        index: Its place among the parts of the circuit, for its seed.
        circuit: On its own qubits.
        task: What is wanted of it; every string once.
        where: Which of the task's strings each string of the run is here, shape (m,).
        rest: Whether a string is the identity here, shape (m,).
    """

    index: int
    circuit: NoisyCircuit
    task: Task
    where: NDArray[np.int64]
    rest: NDArray[np.bool_]


def sample_parts(circuit: NoisyCircuit, *, shots: int, limits: Limits) -> list[SamplePart]:
    """Return the parts of a circuit that write bits."""
    found = [(k, part) for k, part in enumerate(components(circuit.structure)) if part.clbits]
    return [
        SamplePart(
            k,
            NoisyCircuit(part.structure, part.values(circuit.values)),
            part.clbits,
            limits.task(shots, len(found)),
        )
        for k, part in found
    ]


def value_parts(
    circuit: NoisyCircuit,
    paulis: NDArray[np.uint8],
    readout: NDArray[np.float64],
    *,
    shots: int | None,
    limits: Limits,
) -> Iterator[ValuePart]:
    """Yield the parts of a circuit on which a string is not the identity."""
    found = components(circuit.structure)
    busy = sum(bool(paulis[:, list(part.qubits)].any()) for part in found)
    for k, part in enumerate(found):
        own = paulis[:, list(part.qubits)]
        strings, where = np.unique(own, axis=0, return_inverse=True)
        if not strings.any():
            continue
        small = part.structure.n_qubits <= WHOLE_UP_TO
        seen = whole(part.structure) if small else cone(part.structure, strings)
        inside = list(seen.qubits)
        gain = readout[list(part.qubits)][inside]
        task = limits.task(shots, busy, paulis=strings[:, inside], readout=gain)
        local = NoisyCircuit(seen.structure, seen.values(part.values(circuit.values)))
        yield ValuePart(k, local, task, where.reshape(-1), (own == 0).all(axis=1))
