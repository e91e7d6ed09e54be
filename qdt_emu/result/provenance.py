"""Where a result came from: device, calibration, program, seed, versions, time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TypeVar

import qdt_emu
from qdt_emu.errors import InputError

V = TypeVar("V")
PACKAGES = ("numpy", "numba", "jax", "qiskit")
# What must agree before two results may be added.
_IDENTITY = ("device", "calibration_id", "circuit_id", "settings")


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of this package and of those that decide its numbers."""
    found = {"qdt-emu": qdt_emu.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return MappingProxyType(found)


def utc_now() -> str:
    """Return the present time in UTC, ISO 8601, to the microsecond."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result came from.

    Attributes:
        device: Name of the processor.
        calibration_id: SHA-256 of the calibration the device was built from.
        circuit_id: Identity of the program with its noise (`NoisyCircuit.id`).
        circuit_name: What the user called the program.
        seed: The seed of the run; None for a result of hardware.
        versions: Package name -> version.
        created: UTC time, ISO 8601.
        settings: Every option that changes the answer (precision, bond, marginal, ...).
        merged: Seeds of the runs that were added to this one.
    """

    device: str = ""
    calibration_id: str = ""
    circuit_id: str = ""
    circuit_name: str = ""
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=versions)
    created: str = field(default_factory=utc_now)
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    merged: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", MappingProxyType(dict(self.versions)))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        object.__setattr__(self, "merged", tuple(self.merged))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all runs in this result; empty for hardware."""
        return () if self.seed is None else (self.seed, *self.merged)

    def merge(self, other: "Provenance") -> "Provenance":
        """Return the provenance of the sum of two independent results.

        Raises:
            InputError: The two are of different programs, devices or settings, or the same run
                would be counted twice.
        """
        for name in _IDENTITY:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise InputError(
                    f"Results that are added must have the same `{name}`, but they have "
                    f"{_short(mine)} and {_short(theirs)}. Keep them apart."
                )
        if (self.seed is None) != (other.seed is None):
            raise InputError(
                "Results that are added must both have a seed or both come from hardware, but "
                f"their seeds are {self.seed} and {other.seed}. Use `compare` instead."
            )
        if twice := sorted({*self.seeds} & {*other.seeds}):
            raise InputError(
                f"Results that are added must be independent, but both contain the run with seed "
                f"{twice[0]}. Run again with another `seed`."
            )
        if self.seed is None and self.created == other.created:
            raise InputError(
                f"Results that are added must be independent, but both were created at "
                f"{self.created}. Do not add a result to itself."
            )
        return replace(
            self,
            versions=join(self.versions, other.versions),
            created=max(self.created, other.created),
            merged=self.merged + other.seeds,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle; workers and caches need results that do.
        return type(self), (
            *(self.device, self.calibration_id, self.circuit_id, self.circuit_name, self.seed),
            *(dict(self.versions), self.created, dict(self.settings), self.merged),
        )


def join(first: Mapping[str, V], second: Mapping[str, V]) -> dict[str, V | str]:
    """Return both mappings in one; where they differ, both values stand, as 'a | b'."""
    out: dict[str, V | str] = {**first, **second}
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            out[name] = f"{first[name]} | {second[name]}"
    return out


def _short(value: object) -> str:
    text = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
