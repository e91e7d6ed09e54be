"""Two twins of one processor: did learning help?"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.result import storage
from qdt_emu.validation.resampling import mean_band
from qdt_emu.validation.verdict import Verdict

DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """The distances of two twins to the same measurements, and whether they differ.

    Attributes:
        names: Of the circuits.
        before: Total variation distance of the first twin, per circuit.
        after: Of the second twin.
        floor_before: Shot-noise floor of the first twin's distance, per circuit.
        floor_after: Of the second twin's.
        ratio: Geometric mean of after / before.
        ratio_low: Lower end of its 95 % band.
        ratio_high: Upper end.
        excess_before: Mean distance over the floor of the first twin.
        excess_after: Of the second twin.
        difference: excess_after - excess_before; negative is better.
        low: Lower end of its 95 % band.
        high: Upper end.
        seed: Of the bootstrap.
        draws: Bootstrap samples.
    """

    names: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    floor_before: tuple[float, ...]
    floor_after: tuple[float, ...]
    ratio: float
    ratio_low: float
    ratio_high: float
    excess_before: float
    excess_after: float
    difference: float
    low: float
    high: float
    seed: int
    draws: int

    @property
    def decision(self) -> str:
        """'improved' or 'degraded' if the band of the difference excludes 0."""
        return "improved" if self.high < 0 else "degraded" if self.low > 0 else "inconclusive"

    @property
    def reduction(self) -> float:
        """Share of the excess over the floor that is gone; NaN if there was none."""
        return 1 - self.excess_after / self.excess_before if self.excess_before > 0 else np.nan

    @property
    def sentence(self) -> str:
        """The finding in words, every number of it."""
        closer = sum(a < b for a, b in zip(self.after, self.before, strict=True))
        return (
            f"{self.decision.capitalize()}: excess distance over the floor "
            f"{self.excess_before:.4f} -> {self.excess_after:.4f} (change {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}]), distances {self.ratio:.3f} "
            f"[{self.ratio_low:.3f}, {self.ratio_high:.3f}] times as large, closer on {closer} of "
            f"{len(self.names)} circuits."
        )

    def __str__(self) -> str:
        return self.sentence

    def to_json(self) -> str:
        """Return everything, decision and sentence included, as JSON text."""
        whole = cast("dict[str, object]", storage.plain(self))
        words = {"decision": self.decision, "sentence": self.sentence}
        return storage.write_text("change", whole | words)

    @classmethod
    def from_json(cls, text: str) -> "Change":
        """Return the change that `to_json` wrote."""
        data = storage.read_text("change", text)
        for name in ("decision", "sentence"):
            data.pop(name, None)
        lists = ("names", "before", "after", "floor_before", "floor_after")
        for name in lists:
            data[name] = tuple(data[name])
        return cls(**data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, in one step."""
        storage.write_file(path, self.to_json())


def change(
    names: Sequence[str],
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Change:
    """Return whether the second twin describes the same measurements better than the first.

    Bands come from a paired bootstrap over circuits, which holds their shot noise and how much
    circuits differ; with few circuits it is too narrow, so that the shot noise of the distances,
    taken as independent, is a lower limit of the width.

    Args:
        names: Of the circuits.
        before: Verdicts on the first twin.
        after: Verdicts on the second twin, of the same measurements in the same order.
        seed: Of the bootstrap.
        draws: Bootstrap samples.

    Raises:
        InputError: The verdicts are not of the same measurements.

    Error:
        Both bands hold 95 % for 10 circuits or more; for fewer the lower limit is conservative.
    """
    _check(names, before, after)
    d = np.array([[v.distance for v in row] for row in (before, after)])
    floor = np.array([[v.floor for v in row] for row in (before, after)])
    stderr = np.array([[v.stderr for v in row] for row in (before, after)])
    excess = d - floor
    gap = excess[1] - excess[0]
    logs = np.diff(np.log(np.maximum(d, 1e-12)), axis=0)[0]
    relative = stderr / np.maximum(d, 1e-12)
    low, high = mean_band(gap, np.hypot(*stderr), seed=seed, draws=draws)
    ratio_low, ratio_high = mean_band(logs, np.hypot(*relative), seed=seed, draws=draws)
    return Change(
        names=tuple(names),
        before=tuple(d[0].tolist()),
        after=tuple(d[1].tolist()),
        floor_before=tuple(floor[0].tolist()),
        floor_after=tuple(floor[1].tolist()),
        ratio=float(np.exp(logs.mean())),
        ratio_low=float(np.exp(ratio_low)),
        ratio_high=float(np.exp(ratio_high)),
        excess_before=float(excess[0].mean()),
        excess_after=float(excess[1].mean()),
        difference=float(gap.mean()),
        low=low,
        high=high,
        seed=seed,
        draws=draws,
    )


def _check(names: Sequence[str], before: Sequence[Verdict], after: Sequence[Verdict]) -> None:
    if not before or not len(names) == len(before) == len(after):
        raise InputError(
            f"Two twins must be judged on the same circuits, at least one, but there are "
            f"{len(names)} names, {len(before)} verdicts before and {len(after)} after."
        )
    for name, first, second in zip(names, before, after, strict=True):
        if (first.measured_shots, first.n_bits) != (second.measured_shots, second.n_bits):
            raise InputError(
                f"Both verdicts on '{name}' must be of one measurement, but have "
                f"{first.measured_shots} and {second.measured_shots} measured shots."
            )
