"""One pass through a vendor file: units, plausibility, sentinels, faults and ledger.

A reader knows where a number stands and where it goes. What a raw number may be, in
which unit, and which values are fillers instead of measurements, is a `Rule`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan

import numpy as np

from qdt_emu.calibrations.ledger import Draft
from qdt_emu.calibrations.measured import Measured
from qdt_emu.calibrations.schema import Flag

UNITS: Mapping[str, Mapping[str, float]] = {
    "time": {
        "s": 1.0,
        "ms": 1e-3,
        "us": 1e-6,
        "ns": 1e-9,
        "ps": 1e-12,
        "\N{MICRO SIGN}s": 1e-6,
        "\N{GREEK SMALL LETTER MU}s": 1e-6,
    },
    "frequency": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "probability": {"": 1.0, "1": 1.0},
}
SI = {"time": "s", "frequency": "Hz", "probability": ""}

STALE_AFTER = np.timedelta64(30, "D")
"""Age at the snapshot from which a measured number is flagged stale (a choice)."""


@dataclass(frozen=True)
class Filler:
    """A value, or a closed range, that does not mean what it says.

    Attributes:
        low: Smallest such value, SI.
        high: Largest such value, SI.
        flag: What the number is flagged as.
        reason: Why, for the ledger.
        kept: Whether the number stays in the calibration, or becomes NaN.
    """

    low: float
    high: float
    flag: Flag
    reason: str
    kept: bool


@dataclass(frozen=True)
class Rule:
    """What a raw number of one kind may be.

    Attributes:
        dimension: Key of `UNITS`.
        low: Smallest plausible value, SI; below, the file is refused.
        high: Largest plausible value, SI; above, the file is refused.
        fillers: Values with another meaning, tested first to last.
        ages: Whether it is a measurement, which grows stale, or a setting.
    """

    dimension: str
    low: float
    high: float
    fillers: tuple[Filler, ...] = ()
    ages: bool = True


@dataclass
class Reading:
    """Notes of one pass through a file: the faults found and the ledger so far."""

    snapshot: np.datetime64
    faults: list[str] = field(default_factory=list)
    draft: Draft = field(default_factory=Draft)
    _times: dict[str, np.datetime64] = field(default_factory=dict)

    def time(self, raw: object, what: str) -> np.datetime64:
        """Return a time stamp in UTC, NaT if there is none or it cannot be read.

        Text without a zone is taken as UTC.
        """
        if raw is None or raw == "":
            return np.datetime64("NaT", "ns")
        key = str(raw)
        if key not in self._times:
            self._times[key] = self._parsed(raw, what)
        return self._times[key]

    def _parsed(self, raw: object, what: str) -> np.datetime64:
        try:
            stamp = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw))
        except ValueError:
            self.faults.append(
                f"The time stamp of {what} must be ISO 8601, but is {raw!r}. Correct it."
            )
            return np.datetime64("NaT", "ns")
        if stamp.tzinfo is not None:
            stamp = stamp.astimezone(UTC).replace(tzinfo=None)
        return np.datetime64(stamp, "ns")

    def number(self, raw: object, what: str, factor: float, rule: Rule) -> float:
        """Return `raw * factor` in SI, NaN for null; note a fault if it cannot be.

        Args:
            raw: Number, numeric text, or None.
            what: Name of the value in fault messages, e.g. `'T1 of qubit 3'`.
            factor: SI value of the vendor's unit.
            rule: What the number may be.
        """
        if raw is None:
            return nan
        try:
            if isinstance(raw, bool):
                raise TypeError
            value = float(raw) * factor  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self.faults.append(f"{what} must be a number, but is {raw!r}. Correct it.")
            return nan
        if not isfinite(value):
            self.faults.append(f"{what} must be finite, but is {raw!r}. Leave a missing value out.")
            return nan
        inside = any(f.low <= value <= f.high for f in rule.fillers)
        if not inside and not rule.low <= value <= rule.high:
            unit = SI[rule.dimension]
            self.faults.append(
                f"{what} must lie in [{rule.low:g}, {rule.high:g}] {unit}".rstrip()
                + f", but is {value:g} {unit}".rstrip()
                + ". Check the value and its unit."
            )
            return nan
        return value

    def factor(self, unit: object, what: str, rule: Rule) -> float:
        """Return the SI value of a vendor's unit; note a fault if it is unknown."""
        known = UNITS[rule.dimension]
        if not isinstance(unit, str) or unit not in known:
            names = ", ".join(repr(name) for name in known)
            self.faults.append(
                f"{what} has the unknown unit {unit!r} for a {rule.dimension}. Use one of {names}."
            )
            return nan
        return known[unit]

    def store(
        self,
        measured: Measured,
        index: tuple[int, ...],
        value: float,
        *,
        rule: Rule,
        at: np.datetime64,
    ) -> tuple[Flag, str]:
        """Put an SI value into `measured`; return its flag and what the flag means."""
        flag, reason, kept = Flag.OK, "", True
        for filler in rule.fillers:
            if filler.low <= value <= filler.high:
                flag, reason, kept = filler.flag, filler.reason, filler.kept
                break
        if np.isnan(value):
            flag, reason = Flag.MISSING, "null"
        elif flag is Flag.OK and rule.ages and self.snapshot - at > STALE_AFTER:
            flag, reason = Flag.STALE, f"older than {STALE_AFTER} at the snapshot"
        measured.value[index] = value if kept else nan
        measured.flag[index] = flag
        measured.measured_at[index] = at
        return flag, reason


def count_leaves(node: object) -> int:
    """Return the number of scalars in a JSON value."""
    if isinstance(node, dict):
        return sum(map(count_leaves, node.values()))
    if isinstance(node, list | tuple):
        return sum(map(count_leaves, node))
    return 1
