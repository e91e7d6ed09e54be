"""Estimate: expectation values with a budget each."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qdt_emu.errors import InputError
from qdt_emu.result import storage
from qdt_emu.result.budget import Budget
from qdt_emu.result.provenance import Provenance
from qdt_emu.result.report import Report

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Expectation values of Pauli strings.

    Attributes:
        paulis: Pauli strings, highest qubit leftmost.
        values: Expectation values, shape (m,).
        stderr: Standard error from sampling, shape (m,); 0 for exact engines.
        budgets: Error budget of each value.
        report: What the engine did.
        provenance: Device, calibration, program, seed, versions.
        shots: Shots or trajectories behind the values; 0 for exact engines.
        ideal: Values without noise, shape (m,), or None.
    """

    paulis: tuple[str, ...]
    values: Array
    stderr: Array
    budgets: tuple[Budget, ...]
    report: Report
    provenance: Provenance
    shots: int = 0
    ideal: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "paulis", tuple(self.paulis))
        object.__setattr__(self, "budgets", tuple(self.budgets))
        m = len(self.paulis)
        if len(self.budgets) != m:
            raise InputError(f"`budgets` must have one entry per Pauli string ({m}).")
        for name in ("values", "stderr", "ideal"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _column(name, given, m))

    def __len__(self) -> int:
        return len(self.paulis)

    def __getitem__(self, pauli: str) -> float:
        """Return the value of one Pauli string."""
        if pauli not in self.paulis:
            known = ", ".join(self.paulis[:5])
            raise InputError(f"A Pauli must be one of {known}, ..., but it is '{pauli}'.")
        return float(self.values[self.paulis.index(pauli)])

    def __iter__(self) -> Iterator[tuple[str, float, float]]:
        """Yield (Pauli string, value, standard error)."""
        yield from zip(self.paulis, self.values.tolist(), self.stderr.tolist(), strict=True)

    def total(self) -> Array:
        """Return one sigma per value, all known sources in quadrature, shape (m,)."""
        return np.array([b.total if b.total is not None else np.nan for b in self.budgets])

    def __add__(self, other: "Estimate") -> "Estimate":
        r"""Return the weighted mean of two independent estimates.

        The weights are inverse variances. Two runs with the same settings have the same variance
        per shot, so known `shots` give them exactly; the estimated standard errors (which are
        zero by chance when all trajectories agree) are used only where `shots` is unknown.

        Raises:
            InputError: Different Paulis, program, device, engine or settings, or a shared seed.
        """
        if not isinstance(other, Estimate):
            return NotImplemented
        if self.paulis != other.paulis:
            raise InputError(
                f"Estimates that are added must have the same Pauli strings in the same order, "
                f"but they have {self.paulis[:3]} and {other.paulis[:3]}, ..."
            )
        first, second = _weights(self, other)
        stderr = np.hypot(first * self.stderr, second * other.stderr)
        budgets = tuple(
            _mean(a, b, float(u), float(v))
            for a, b, u, v in zip(self.budgets, other.budgets, first, second, strict=True)
        )
        return Estimate(
            self.paulis,
            first * self.values + second * other.values,
            stderr,
            budgets,
            self.report.merge(other.report),
            self.provenance.merge(other.provenance),
            self.shots + other.shots,
            self.ideal if self.ideal is not None else other.ideal,
        )

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return storage.write_text("estimate", self)

    @classmethod
    def from_json(cls, text: str) -> "Estimate":
        """Return the estimate that `to_json` wrote."""
        data = storage.read_text("estimate", text)
        data["budgets"] = tuple(Budget(**b) for b in data["budgets"])
        data["report"] = Report(**data["report"])
        data["provenance"] = Provenance(**data["provenance"])
        return cls(**data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, in one step."""
        storage.write_file(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Estimate":
        """Return the estimate saved at `path`."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def to_xarray(self) -> "xr.Dataset":
        """Return values, standard errors and ideal values over the dimension `pauli`."""
        import xarray as xr  # noqa: PLC0415 - 0.4 s that a user of estimates need not pay

        columns = {"values": self.values, "stderr": self.stderr, "total": self.total()}
        if self.ideal is not None:
            columns["ideal"] = self.ideal
        return xr.Dataset(
            {name: ("pauli", column, {"units": "1"}) for name, column in columns.items()},
            coords={"pauli": np.array(self.paulis, dtype=np.str_)},
            attrs={"qdt_emu": self.to_json()},
        )

    @classmethod
    def from_xarray(cls, data: "xr.Dataset") -> "Estimate":
        """Return the estimate that `to_xarray` wrote."""
        return cls.from_json(data.attrs["qdt_emu"])

    def plot(self, *, title: str = "", ax: "Axes | None" = None) -> "Figure":
        """Draw the values with their bands, ideal values beside."""
        from qdt_emu.result import plots  # noqa: PLC0415 - matplotlib costs 0.35 s

        return plots.values(self, title=title, ax=ax)

    def with_sources(
        self, *, parameters: Array | None = None, model: Array | None = None
    ) -> "Estimate":
        """Return the same values with more of each budget known, arrays of shape (m,)."""
        budgets = list(self.budgets)
        for name, column in (("parameters", parameters), ("model", model)):
            if column is not None:
                sigmas = _column(name, column, len(self)).tolist()
                budgets = [replace(b, **{name: s}) for b, s in zip(budgets, sigmas, strict=True)]
        return replace(self, budgets=tuple(budgets))

    def __repr__(self) -> str:
        head = ", ".join(f"{p}: {v:+.4f}({s:.1g})" for p, v, s in list(self)[:4])
        more = f", +{len(self) - 4} more" if len(self) > 4 else ""
        return f"Estimate({{{head}{more}}}, engine='{self.report.engine}')"

    def _repr_html_(self) -> str:
        ideal = [""] * len(self) if self.ideal is None else [f"{v:+.5f}" for v in self.ideal]
        rows = "".join(
            f"<tr><td style='font-family:monospace;text-align:left'>{escape(p)}</td>"
            f"<td>{v:+.5f}</td><td>{s:.2g}</td><td>{t:.2g}</td><td>{i}</td></tr>"
            for (p, v, s), t, i in zip(self, self.total(), ideal, strict=True)
        )
        where = escape(f"{self.provenance.device} · {self.report.engine}")
        heads = "".join(f"<th>{h}</th>" for h in ("Pauli", "value", "stderr", "total", "ideal"))
        return f"<table><caption>{where}</caption><tr>{heads}</tr>{rows}</table>"


def _column(name: str, given: object, m: int) -> Array:
    column = np.array(given, dtype=float)
    if column.shape != (m,):
        raise InputError(f"`{name}` must have shape ({m},), but it has {column.shape}.")
    column.setflags(write=False)
    return column


def _weights(first: Estimate, second: Estimate) -> tuple[Array, Array]:
    ones: Array = np.ones(len(first))
    if first.shots and second.shots:
        first_share = first.shots / (first.shots + second.shots)
        return first_share * ones, (1 - first_share) * ones
    a, b = first.stderr**2, second.stderr**2
    share: Array = np.divide(b, a + b, out=0.5 * ones, where=a + b > 0)
    return share, 1 - share


def _mean(a: Budget, b: Budget, u: float, v: float) -> Budget:
    def combined(x: float | None, y: float | None) -> float | None:
        return None if x is None or y is None else float(np.hypot(u * x, v * y))

    return replace(
        a.merge(b),
        shots=combined(a.shots, b.shots),
        trajectories=combined(a.trajectories, b.trajectories),
    )
