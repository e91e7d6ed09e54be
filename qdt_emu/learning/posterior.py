"""What is known about a device after learning: values, widths, and what the data do not tell."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.learning import storage
from qdt_emu.learning.discrepancy import NO_TILT, Tilt
from qdt_emu.learning.memory import Memory
from qdt_emu.learning.model import Family, Model
from qdt_emu.learning.prior import learnable

Floats = NDArray[np.float64]

LEARNED = 0.75  # share of the prior variance that must be gone: the width is halved
LOADING = 0.25  # of a direction that is worth naming


@dataclass(frozen=True)
class Fitted:
    """How well one measurement is described.

    Attributes:
        name: Of the measurement.
        shots: Behind it.
        before: Sum of squared residuals of the calibration, in units of shot noise.
        after: The same of the learned parameters.
        cells: What shot noise alone would leave.
    """

    name: str
    shots: int
    before: float
    after: float
    cells: float


@dataclass(frozen=True)
class Learned:
    """One unknown after learning.

    Attributes:
        label: What it is.
        calibrated: Value in the calibration.
        value: Most probable value.
        low: Lower end of the 68 % interval.
        high: Upper end.
        gain: Share of the prior variance that the data removed.
        ambiguous: Whether its sign is unknown.
    """

    label: str
    calibrated: float
    value: float
    low: float
    high: float
    gain: float
    ambiguous: bool

    @property
    def identified(self) -> bool:
        """Whether the data determine it on their own."""
        return self.gain >= LEARNED


@dataclass(frozen=True)
class Direction:
    """A combination of unknowns.

    Attributes:
        information: Fisher information in units of the prior's: above 1 the data decide.
        loadings: (label, weight) of its largest parts.
    """

    information: float
    loadings: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        return " ".join(f"{weight:+.2f} [{label}]" for label, weight in self.loadings)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian posterior of a model's unknowns around their most probable values.

    Attributes:
        model: What was unknown.
        z: Most probable unknowns, shape (size,).
        fisher: Information of the data in units of the prior's, shape (size, size).
        scatter: Variance of 2 sqrt(p) around the predicted one: what the model does not know.
        circuits: How well each measurement is described.
        ambiguous: Unknowns whose sign the data do not tell.
        tilt: How outcomes are wrong together, from past residuals.
        lean: What the model's errors add to the variance of the gradient, shape (size, size);
            None for nothing.
        memory: What the measured circuits were predicted wrong by.
    """

    model: Model
    z: Floats
    fisher: Floats
    scatter: float
    circuits: tuple[Fitted, ...] = ()
    ambiguous: tuple[int, ...] = ()
    tilt: Tilt = NO_TILT
    lean: Floats | None = None
    memory: Memory = field(default_factory=Memory)

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of the unknowns, shape (size, size).

        The inverse of the information, and around `lean` the sandwich that holds for a model that
        is wrong (White, Econometrica 50, 1, 1982).
        """
        inverse = np.linalg.inv(self.fisher + np.eye(len(self.z)))
        if self.lean is None:
            return np.asarray(inverse)
        return np.asarray(inverse + inverse @ self.lean @ inverse)

    @property
    def device(self) -> Device:
        """The device at the most probable parameters."""
        return self.model.with_unknowns(self.z)

    def unknowns(self, count: int, *, seed: int) -> Floats:
        """Return draws of the unknowns, shape (count, size)."""
        rng = np.random.default_rng([seed, 4])
        root = np.linalg.cholesky(self.covariance)
        return self.z + rng.standard_normal((count, len(self.z))) @ root.T

    def draws(self, count: int, *, seed: int) -> tuple[Device, ...]:
        """Return devices drawn from the posterior."""
        return tuple(self.model.with_unknowns(z) for z in self.unknowns(count, seed=seed))

    @cached_property
    def learned(self) -> tuple[Learned, ...]:
        """Every entry with its interval; shifts that entries share are contained in them."""
        out: list[Learned] = []
        flipped = set(self.ambiguous)
        for family, part in zip(self.model.families, self.model.slices, strict=True):
            first = np.unique(family.owner, return_index=True)[1]
            mixing = _mixing(family)
            z, cov = self.z[part], self.covariance[part, part]
            before = np.sqrt(np.diag(mixing @ mixing.T))
            after = np.sqrt(np.diag(mixing @ cov @ mixing.T))
            u = mixing @ z
            for k, label in enumerate(family.labels):
                centre = float(family.centre[first[k]])
                low, value, high = (
                    _value(family, centre, float(u[k] + s * after[k])) for s in (-1, 0, 1)
                )
                gain = float(1 - (after[k] / before[k]) ** 2)
                sign = part.start + k in flipped
                out.append(Learned(label, centre, value, low, high, gain, sign))
        return tuple(out)

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        """Combinations of unknowns, best determined first."""
        values, vectors = np.linalg.eigh(self.fisher)
        labels = self.model.labels
        out = []
        for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
            order = np.argsort(-np.abs(vector))
            parts = [(labels[k], float(vector[k])) for k in order if abs(vector[k]) >= LOADING]
            out.append(Direction(max(0.0, float(value)), tuple(parts[:6])))
        return tuple(out)

    @cached_property
    def determined(self) -> int:
        """Number of combinations that the data know better than the prior."""
        return int(sum(d.information > 1 for d in self.directions))

    def report(self) -> str:
        """Return what was learned, and what was not, as a table for people.

        Numbers stand only beside parameters whose width the data at least halved. Others are
        listed by the combinations that are known, or as left at the calibration. Where the sign
        of an angle is not determined, its size is given.
        """
        known = [x for x in self.learned if x.identified]
        unknown = [x for x in self.learned if not x.identified]
        lines = [
            f"{self.determined} of {len(self.z)} combinations of unknowns are determined by the "
            f"data; {len(known)} parameters on their own:"
        ]
        width = max((len(x.label) for x in known), default=0)
        for x in known:
            spread = (x.high - x.low) / 2
            value = f"{x.value:.4g} ± {spread:.2g}"
            if x.ambiguous:
                value = f"±{abs(x.value):.4g} ± {spread:.2g}, sign not determined"
            lines.append(f"  {x.label:<{width}}  {value}  (calibration {x.calibrated:.4g})")
        names = {x.label for x in unknown}
        mixed = [
            d
            for d in self.directions
            if d.information > 1 and sum(label in names for label, _ in d.loadings) > 1
        ]
        if mixed:
            lines.append("only in combination:")
            lines += [f"  {d}  (information {d.information:.3g})" for d in mixed[:12]]
        if unknown:
            listed = ", ".join(x.label for x in unknown[:8])
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            lines.append(f"not determined, left to the calibration: {listed}{more}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write the posterior to a netCDF file, atomically; returns the path."""
        model = self.model
        facts = {
            "device": model.device.name,
            "calibration_id": model.device.calibration_id,
            "scatter": self.scatter,
            "learn": model.learn,
            "families": [vars(f) for f in model.families],
            "circuits": [asdict(c) for c in self.circuits],
            "ambiguous": self.ambiguous,
            "tilt": asdict(self.tilt),
        }
        arrays = {"z": self.z, "fisher": self.fisher}
        if self.lean is not None:
            arrays["lean"] = self.lean
        arrays["missed"], facts["memory"] = self.memory.as_stored()
        return storage.write(Path(path), "posterior", arrays, facts)

    @classmethod
    def load(cls, path: str | Path, device: Device) -> Self:
        """Return a saved posterior.

        Args:
            path: From `save`.
            device: Of the same calibration as the one it was learned on.

        Raises:
            InputError: No such file, another kind of file, or another device.
        """
        arrays, facts = storage.read(Path(path), "posterior")
        if facts["calibration_id"] != device.calibration_id:
            raise InputError(
                f"The posterior '{path}' was learned on another calibration of "
                f"'{facts['device']}' than this one of '{device.name}'. Load that one, or fit "
                f"anew."
            )
        learn = tuple(facts["learn"])
        return cls(
            model=Model(
                learnable(device, learn), tuple(Family.of(f) for f in facts["families"]), learn
            ),
            z=arrays["z"],
            fisher=arrays["fisher"],
            scatter=float(facts["scatter"]),
            circuits=tuple(Fitted(**c) for c in facts["circuits"]),
            ambiguous=tuple(facts["ambiguous"]),
            tilt=Tilt(**facts.get("tilt", {})),
            lean=arrays.get("lean"),
            memory=Memory.from_stored(arrays.get("missed"), facts.get("memory")),
        )

    def __repr__(self) -> str:
        return (
            f"Posterior({self.model.device.name!r}, unknowns={len(self.z)}, "
            f"determined={self.determined}, circuits={len(self.circuits)}, "
            f"scatter={self.scatter:.2g})"
        )


def _mixing(family: Family) -> Floats:
    """Return the matrix from a family's unknowns to the shifts of its entries."""
    own = np.diag(family.spread)
    if not family.shared:
        return own
    return np.hstack([own, np.full((len(own), 1), family.shared)])


def _value(family: Family, centre: float, u: float) -> float:
    match family.scale:
        case "log":
            return float(centre * np.exp(u))
        case "logit":
            return float(1 / (1 + (1 / centre - 1) * np.exp(-u)))
    return centre + u
