"""What a run would cost, asked for its own sake."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines.engine import Engine
from qdt_emu.engines.planner_cost import planned, stabilizer, statevector
from qdt_emu.engines.planner_task import Itinerary, Task
from qdt_emu.engines.run import ENGINES, itinerary, named
from qdt_emu.engines.run_parts import Limits, sample_parts, value_parts
from qdt_emu.result import Alternative


@dataclass(frozen=True, eq=False)
class Forecast:
    """The plan of a run: one itinerary for each independent part of the circuit.

    Attributes:
        parts: Itineraries of the parts that take part, largest first.
    """

    parts: tuple[Itinerary, ...]

    @property
    def engine(self) -> str:
        """Names of the engines that would run, joined by '+'; empty where one part has none."""
        names = [p.chosen.engine.name for p in self.parts if p.chosen]
        if len(names) < len(self.parts):
            return ""
        return "+".join(dict.fromkeys(names)) or "none"

    @property
    def refusal(self) -> str:
        """Why nothing would run; empty where everything does."""
        return " ".join(dict.fromkeys(p.reason for p in self.parts if p.chosen is None))

    @property
    def reason(self) -> str:
        """Why these engines."""
        return "; ".join(dict.fromkeys(p.reason for p in self.parts))

    @property
    def seconds(self) -> float:
        """Predicted time of all parts."""
        return sum(p.chosen.seconds for p in self.parts if p.chosen)

    @property
    def bytes(self) -> int:
        """Predicted peak memory."""
        return max((p.chosen.bytes for p in self.parts if p.chosen), default=0)

    @property
    def truncation(self) -> float:
        """Predicted bound on the error of cuts."""
        return sum(p.chosen.truncation for p in self.parts if p.chosen)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Every engine's figures for the largest part, the chosen one first."""
        return self.parts[0].alternatives if self.parts else ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON types."""
        return {
            "engine": self.engine,
            "reason": self.reason,
            "refusal": self.refusal,
            "seconds": self.seconds,
            "bytes": self.bytes,
            "truncation": self.truncation,
            "parts": [
                {"qubits": p.qubits, "alternatives": [asdict(a) for a in p.alternatives]}
                for p in self.parts
            ],
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{'->' if a.chosen else '  '} {a.engine:<12}{a.settings:<20}{a.seconds:10.3g} s "
            f"{a.bytes / 2**20:10.3g} MiB  error {a.truncation + a.standard_error:<9.2g}{a.why}"
            for a in self.alternatives
        )


def forecast_samples(
    circuit: NoisyCircuit, *, shots: int, engine: str | Engine[Any], limits: Limits
) -> Forecast:
    """Return what `run.sample` with the same arguments would cost."""
    parts = sample_parts(circuit, shots=shots, limits=limits.now())
    return _forecast([_compared(p.circuit, p.task, engine) for p in parts])


def forecast_values(
    circuit: NoisyCircuit,
    paulis: NDArray[np.uint8],
    readout: NDArray[np.float64],
    *,
    shots: int | None,
    engine: str | Engine[Any],
    limits: Limits,
) -> Forecast:
    """Return what `run.estimate` with the same arguments would cost."""
    parts = value_parts(circuit, paulis, readout, shots=shots, limits=limits.now())
    return _forecast([_compared(p.circuit, p.task, engine) for p in parts])


def _compared(circuit: NoisyCircuit, task: Task, engine: str | Engine[Any]) -> Itinerary:
    """Return the plan that a run would follow, with the own plans of engines it would not ask."""
    found = itinerary(circuit, task, engine)
    asked = {c.engine.name for c in found.candidates}
    known = {"stabilizer": stabilizer, "statevector": statevector}
    others = [
        known[name](circuit, task) if name in known else planned(circuit, task, named(name))
        for name in ENGINES
        if name not in asked
    ]
    return replace(found, candidates=(*found.candidates, *others))


def _forecast(parts: Sequence[Itinerary]) -> Forecast:
    return Forecast(tuple(sorted(parts, key=lambda p: -p.qubits)))
