"""What the engine did, what it cost, and what it had to change on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from qdt_emu.errors import InputError
from qdt_emu.result.provenance import join


@dataclass(frozen=True, slots=True)
class Alternative:
    """What one engine would have cost for the same answer.

    Attributes:
        engine: Name of the engine.
        settings: Its settings where they are not the usual ones.
        seconds: Predicted time; 0.0 where the engine was not asked or refused at once.
        bytes: Predicted peak memory.
        truncation: Predicted bound on the error of its cuts; 0.0 is exact.
        standard_error: Predicted standard error of its trajectories.
        source: How this is known: 'plan', 'pilot run', ...
        chosen: Whether it ran.
        refused: Whether it cannot, may not, or was not asked.
        why: Why it was chosen, or why not.
    """

    engine: str
    settings: str = ""
    seconds: float = 0.0
    bytes: int = 0
    truncation: float = 0.0
    standard_error: float = 0.0
    source: str = "plan"
    chosen: bool = False
    refused: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The engine's account of a run.

    Attributes:
        engine: Name of the engine.
        reason: Why this engine was chosen.
        seconds: Wall time.
        bytes: Peak memory, planned or measured.
        details: What the engine wants to say (bond dimension, trajectories, ...).
        notes: Everything that was clamped, imputed, trimmed or ignored, one sentence each.
        alternatives: What the engines that were compared would have cost, the chosen one first.
    """

    engine: str
    reason: str = ""
    seconds: float = 0.0
    bytes: int = 0
    details: Mapping[str, float | int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))
        object.__setattr__(self, "notes", tuple(self.notes))
        rows = (a if isinstance(a, Alternative) else Alternative(**a) for a in self.alternatives)
        object.__setattr__(self, "alternatives", tuple(rows))  # a saved report holds mappings

    def merge(self, other: "Report") -> "Report":
        """Return one report of two runs: times add, memory is the larger, notes are united.

        Raises:
            InputError: The engines differ, and with them the systematic errors.
        """
        if self.engine != other.engine:
            raise InputError(
                f"Results that are added must come from one engine, but they come from "
                f"'{self.engine}' and '{other.engine}'. Compare them instead."
            )
        return Report(
            engine=self.engine,
            reason=" | ".join(dict.fromkeys((self.reason, other.reason))),
            seconds=self.seconds + other.seconds,
            bytes=max(self.bytes, other.bytes),
            details=join(self.details, other.details),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
            alternatives=self.alternatives or other.alternatives,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle; workers and caches need results that do.
        return type(self), (
            *(self.engine, self.reason, self.seconds, self.bytes, dict(self.details), self.notes),
            self.alternatives,
        )
