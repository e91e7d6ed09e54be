"""The unknowns of a device: standard normal numbers that become entries of `Parameters`.

z = 0 is the calibration. A `Family` turns some of the unknowns into entries of one leaf of
`Parameters`: factors of positive numbers, odds of probabilities, shifts of angles and frequencies.
Entries of a family can share a common shift, so that what all qubits have in common is learned from
all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from qdt_emu.device import Device, Parameters
from qdt_emu.noise.arrays import Array, namespace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scale = Literal["log", "logit", "linear"]


@dataclass(frozen=True)
class Width:
    """Prior width of one kind of unknown.

    Attributes:
        own: Standard deviation of each entry in its scale.
        shared: Standard deviation of what all entries have in common.
    """

    own: float
    shared: float = 0.0


@dataclass(frozen=True, eq=False)
class Family:
    """Unknowns of one kind.

    Attributes:
        leaf: Name in `Parameters`, or 'dephasing': the pure dephasing rate 1/t2 - 1/(2 t1).
        scale: 'log' multiplies by e^u, 'logit' shifts the log odds by u, 'linear' adds u.
        labels: Name of each entry.
        spread: Prior standard deviation of u of each entry, shape (k,).
        shared: Prior standard deviation of a shift common to all entries; 0 for none.
        index: Flat positions in the leaf, shape (p,).
        owner: Entry each position follows, shape (p,).
        centre: Calibrated value at each position, shape (p,).
        kind: Key of `prior.WIDTHS`.
        part: Which part of the kind shares the shift; empty for all of it.
    """

    leaf: str
    scale: Scale
    labels: tuple[str, ...]
    spread: Floats
    shared: float
    index: Ints
    owner: Ints
    centre: Floats
    kind: str = ""
    part: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Return the family with these fields, lists in place of arrays."""
        arrays = {
            name: np.array(fields[name], kind)
            for name, kind in (
                *(("spread", float), ("centre", float)),
                *(("index", np.int64), ("owner", np.int64)),
            )
        }
        return cls(**{**fields, **arrays, "labels": tuple(fields["labels"])})

    @property
    def shift(self) -> str:
        """Name of what all entries share."""
        return f"{self.kind} {self.part} (all)" if self.part else f"{self.kind} (all)"

    @property
    def size(self) -> int:
        """Number of unknowns, the shared one included."""
        return len(self.labels) + (self.shared > 0)

    def values(self, z: Array) -> Array:
        """Return the value at each position, shape (p,); z has shape (size,)."""
        xp = namespace(z)
        u = z[: len(self.labels)] * self.spread
        if self.shared:
            u = u + self.shared * z[-1]
        u = u[self.owner]
        match self.scale:
            case "log":
                return self.centre * xp.exp(u)
            case "logit":
                return 1 / (1 + (1 / self.centre - 1) * xp.exp(-u))
        return self.centre + u


@dataclass(frozen=True, eq=False)
class Model:
    """A device whose parameters are unknown.

    Attributes:
        device: With every learned mechanism present, at its calibrated values.
        families: What is unknown.
        learn: Kinds of parameters that were asked for.
    """

    device: Device
    families: tuple[Family, ...]
    learn: tuple[str, ...]

    @cached_property
    def size(self) -> int:
        """Number of unknowns."""
        return sum(f.size for f in self.families)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each family's unknowns stand."""
        ends = np.cumsum([0, *(f.size for f in self.families)]).tolist()
        return tuple(slice(a, b) for a, b in pairwise(ends))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of each unknown."""
        return tuple(
            label for f in self.families for label in (*f.labels, *((f.shift,) if f.shared else ()))
        )

    def parameters(self, z: Array) -> Parameters:
        """Return the device's parameters; pure, and differentiable on JAX arrays.

        Args:
            z: Unknowns, shape (size,).
        """
        xp, p = namespace(z), self.device.parameters
        changed: dict[str, Any] = {}
        for family, part in zip(self.families, self.slices, strict=True):
            old = changed.get(family.leaf, leaf_of(p, family.leaf))
            new = family.values(z[part])
            if xp is np:
                flat = np.array(old, float).ravel()
                flat[family.index] = new
            else:
                flat = xp.asarray(old).ravel().at[family.index].set(new)
            changed[family.leaf] = flat.reshape(np.shape(old))
        t1: Any = changed.get("t1", p.t1)
        if "dephasing" in changed or "t1" in changed:
            rate = changed.pop("dephasing", leaf_of(p, "dephasing"))
            changed["t2"] = 1 / (rate + 0.5 / t1)
        return replace(p, **changed)

    def with_unknowns(self, z: Array) -> Device:
        """Return the device with the parameters at z."""
        return self.device.with_parameters(self.parameters(np.asarray(z, float)))

    def entries(self, uses: Mapping[str, set[int]]) -> Ints:
        """Return the unknowns that a circuit which uses these positions depends on, sorted."""
        found: list[Ints] = []
        for family, part in zip(self.families, self.slices, strict=True):
            used = uses.get(listed_as(family.leaf), set())
            hit = np.isin(family.index, np.fromiter(used, np.int64, len(used)))
            owners = np.unique(family.owner[hit])
            if len(owners) and family.shared:
                owners = np.append(owners, family.size - 1)
            found.append(owners + part.start)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @cached_property
    def id(self) -> str:
        """A text that is equal for equal models: device, families and prior widths."""
        rows = [
            (f.leaf, f.scale, f.labels, f.spread.round(12).tolist(), f.shared)
            for f in self.families
        ]
        return json.dumps([self.device.id, rows])


@dataclass(frozen=True, eq=False)
class Belief:
    """What is known of the unknowns before the data: a normal distribution.

    Attributes:
        mean: Shape (size,).
        precision: Inverse of the covariance, shape (size, size).
    """

    mean: Floats
    precision: Floats

    @classmethod
    def prior(cls, size: int) -> Self:
        """Return what is known where nothing but the calibration is."""
        return cls(np.zeros(size), np.eye(size))

    def pull(self, z: Floats) -> Floats:
        """Return the gradient of minus its logarithm, shape (size,)."""
        return np.asarray(self.precision @ (z - self.mean))

    def cost(self, z: Floats) -> float:
        """Return minus its logarithm at z in nats, 0 at the mean."""
        return 0.5 * float((z - self.mean) @ self.pull(z))


def listed_as(leaf: str) -> str:
    """Return the leaf under which `uses` lists the positions of a leaf, or of pure dephasing."""
    return "t1" if leaf == "dephasing" else leaf


def leaf_of(p: Parameters, name: str) -> Any:
    """Return a leaf of the parameters, or the pure dephasing rate."""
    return 1 / p.t2 - 0.5 / p.t1 if name == "dephasing" else getattr(p, name)
