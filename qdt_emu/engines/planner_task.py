"""What a run is asked for, and what each engine would give for it."""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.engine import Engine, Expectations
from qdt_emu.result import Alternative

SIGMAS = 2.0
"""Standard errors in a stated error: 95 %, the share that bounds of cuts cover too."""
TRAJECTORIES = 4096  # of an estimate, where nobody asked for a number or a tolerance
MOST_TRAJECTORIES = 1 << 20


@dataclass(frozen=True, eq=False)
class Task:
    """What is wanted, and within which limits.

    Attributes:
        shots: Samples, or trajectories of an estimate.
        memory: Limit in bytes.
        paulis: Codes of the strings, shape (m, n_qubits); no rows for samples.
        readout: See `Engine.estimate`, shape (n_qubits, 2).
        tolerance: Largest stated error that is accepted: the bound on cuts, plus two standard
            errors of the trajectories of an estimate. None asks for no more than what is sensible.
        seconds: Limit of the planned time.
        more_shots: Whether an estimate may take more trajectories than `shots` to be within the
            tolerance.
        without: Engines that were tried, and missed the tolerance or failed a cross-check.
    """

    shots: int
    memory: int
    paulis: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    readout: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    tolerance: float | None = None
    seconds: float = math.inf
    more_shots: bool = False
    without: tuple[str, ...] = ()

    @property
    def strings(self) -> int:
        """Number of Pauli strings; 0 for samples."""
        return len(self.paulis)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One engine with its settings, and what it would cost.

    Attributes:
        engine: With its settings.
        seconds: Predicted time, on one machine for all engines.
        bytes: Predicted peak memory.
        truncation: Predicted bound on the error of cuts; 0.0 is exact.
        stderr: Predicted standard error of trajectories; 0.0 for samples and exact engines.
        refusal: Why it does not come into question; empty if it does.
        source: How the figures are known.
        shots: Samples or trajectories it would run.
        outcome: Its answer, where a pilot run has given it already.
        state: What the engine samples from, where a pilot run has come that far.
        paid: Seconds of the work that a pilot run has done already.
    """

    engine: Engine[Any]
    seconds: float
    bytes: int
    truncation: float = 0.0
    stderr: float = 0.0
    refusal: str = ""
    source: str = "plan"
    shots: int = 0
    outcome: Expectations | None = None
    state: Any = None
    paid: float = 0.0

    def stated(self, task: Task) -> float:
        """Return the error it would state; without a tolerance trajectories are as asked for."""
        return self.truncation + (0.0 if task.tolerance is None else SIGMAS * self.stderr)

    @property
    def settings(self) -> str:
        """Settings that are not the engine's own choice, as 'threshold=0.001'."""
        if not is_dataclass(self.engine):
            return ""
        given = {f.name: getattr(self.engine, f.name) for f in fields(self.engine) if f.init}
        usual = {f.name: f.default for f in fields(self.engine)}
        return ", ".join(f"{k}={_short(v)}" for k, v in given.items() if v != usual[k])


@dataclass(frozen=True, eq=False)
class Itinerary:
    """Every engine's figures for one connected circuit, and the choice.

    Attributes:
        qubits: Connected qubits that take part.
        candidates: One or more entries for each engine, in the order of asking.
        chosen: The one to run; None where every engine refuses.
        reason: Why; or why not, as one message.
    """

    qubits: int
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    reason: str

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """What is reported: the chosen engine first, then the others by predicted time."""
        rows = [self._row(c) for c in self.candidates]
        return tuple(sorted(rows, key=lambda r: (not r.chosen, bool(r.refused), r.seconds)))

    def _row(self, candidate: Candidate) -> Alternative:
        chosen = candidate is self.chosen
        return Alternative(
            engine=candidate.engine.name,
            settings=candidate.settings,
            seconds=candidate.seconds,
            bytes=candidate.bytes,
            truncation=candidate.truncation,
            standard_error=candidate.stderr,
            source=candidate.source,
            chosen=chosen,
            refused=bool(candidate.refusal),
            why=self.reason if chosen else candidate.refusal or self._why_not(candidate),
        )

    def _why_not(self, candidate: Candidate) -> str:
        best = self.chosen
        if best is None:
            return ""
        if candidate.truncation > best.truncation and candidate.seconds <= best.seconds:
            return f"its cuts may cost up to {candidate.truncation:.2g}"
        if candidate.seconds <= best.seconds and candidate.source == "plan":
            return f"not compared: '{best.engine.name}' is quick enough"
        if candidate.stderr > best.stderr and candidate.seconds <= best.seconds:
            return "trajectories add a standard error"
        return "slower"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
