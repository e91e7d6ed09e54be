"""How far off a figure may be, one source at a time."""

import math
from dataclasses import dataclass

SOURCES = ("shots", "trajectories", "truncation", "parameters", "model")


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of one figure; a source that was not estimated is None, never zero.

    Attributes:
        shots: One sigma (or expected distance) from the finite number of shots.
        trajectories: One sigma from the finite number of noise trajectories.
        truncation: Upper bound on what the engine's cuts add; 0.0 for an exact engine.
        parameters: One sigma from the uncertainty of the device parameters.
        model: One sigma of past residuals: what the noise model does not know.
        of: The figure this is the budget of.
        note: Where the numbers above stop being valid; empty when they hold.
    """

    shots: float | None = None
    trajectories: float | None = None
    truncation: float | None = None
    parameters: float | None = None
    model: float | None = None
    of: str = ""
    note: str = ""

    @property
    def parts(self) -> dict[str, float | None]:
        """Source -> figure, None where it was not estimated."""
        return {name: getattr(self, name) for name in SOURCES}

    @property
    def missing(self) -> tuple[str, ...]:
        """Sources that were not estimated: `total` is a lower bound while there are any."""
        return tuple(name for name, value in self.parts.items() if value is None)

    @property
    def total(self) -> float | None:
        """Known sources combined in quadrature, None when nothing is known.

        Error:
            Quadrature assumes independent sources; `truncation` is a bound, so it is overstated.
        """
        known = [value for value in self.parts.values() if value is not None]
        return math.hypot(*known) if known else None

    def merge(self, other: "Budget") -> "Budget":
        """Return the cautious union: the larger figure, None where either is unknown."""
        merged = {
            name: None if mine is None or theirs is None else max(mine, theirs)
            for (name, mine), theirs in zip(self.parts.items(), other.parts.values(), strict=True)
        }
        return Budget(**merged, of=self.of, note=self.note or other.note)

    def __str__(self) -> str:
        rows = [f"{name:<13}{_text(value)}" for name, value in self.parts.items()]
        tail = [f"{'total':<13}{_text(self.total)}"]
        if self.missing and self.total is not None:
            tail[0] += " (lower bound: " + ", ".join(self.missing) + " not estimated)"
        head = [f"budget of {self.of}"] if self.of else []
        return "\n".join(head + rows + tail + ([self.note] if self.note else []))


def _text(value: float | None) -> str:
    return "not estimated" if value is None else f"{value:.3g}"
