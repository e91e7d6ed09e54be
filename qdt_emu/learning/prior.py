"""What may be learned about a device, and what is believed before anything is measured.

Unknowns are numbers z with a standard normal prior; z = 0 is the calibration. A `Family` turns
some of them into entries of one leaf of `Parameters`: factors of positive numbers, odds of
probabilities, shifts of angles and frequencies. Entries of a family can share a common shift, so
that what all qubits have in common is learned from all of them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.recipe import DRIVEN, Recipe
from qdt_emu.device import Device, Parameters
from qdt_emu.device.device import SYMMETRIC, VIRTUAL
from qdt_emu.device.what_if import TURNED
from qdt_emu.errors import InputError
from qdt_emu.noise.arrays import Array, namespace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scale = Literal["log", "logit", "linear"]

PRESENT = 1e-6  # Hz: a ZZ rate that is learned from nothing must be there when circuits are lowered
LEAST_DEPHASING = 0.02  # of 1 / T2: pure dephasing where T2 = 2 T1
LEAST_DEPOLARIZING = {1: 1e-5, 2: 1e-4}
LEAST_MISREAD = 1e-4
LEAST_RATE = 1e-5  # of a Pauli-Lindblad term without a calibrated value


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
        kind: Key of `WIDTHS`.
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
            label
            for f in self.families
            for label in (*f.labels, *((f"{f.kind} (all)",) if f.shared else ()))
        )

    def parameters(self, z: Array) -> Parameters:
        """Return the device's parameters; pure, and differentiable on JAX arrays.

        Args:
            z: Unknowns, shape (size,).
        """
        xp, p = namespace(z), self.device.parameters
        changed: dict[str, Any] = {}
        for family, part in zip(self.families, self.slices, strict=True):
            old = changed.get(family.leaf, _leaf(p, family.leaf))
            new = family.values(z[part])
            if xp is np:
                flat = np.array(old, float).ravel()
                flat[family.index] = new
            else:
                flat = xp.asarray(old).ravel().at[family.index].set(new)
            changed[family.leaf] = flat.reshape(np.shape(old))
        t1: Any = changed.get("t1", p.t1)
        if "dephasing" in changed or "t1" in changed:
            rate = changed.pop("dephasing", _leaf(p, "dephasing"))
            changed["t2"] = 1 / (rate + 0.5 / t1)
        return replace(p, **changed)

    def with_unknowns(self, z: Array) -> Device:
        """Return the device with the parameters at z."""
        return self.device.with_parameters(self.parameters(np.asarray(z, float)))

    def entries(self, uses: Mapping[str, set[int]]) -> Ints:
        """Return the unknowns that a circuit which uses these positions depends on, sorted."""
        found: list[Ints] = []
        for family, part in zip(self.families, self.slices, strict=True):
            used = uses.get("t1" if family.leaf == "dephasing" else family.leaf, set())
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


def _leaf(p: Parameters, name: str) -> Any:
    return 1 / p.t2 - 0.5 / p.t1 if name == "dephasing" else getattr(p, name)


@dataclass(frozen=True)
class Width:
    """Prior width of one kind of unknown.

    Attributes:
        own: Standard deviation of each entry in its scale.
        shared: Standard deviation of what all entries have in common.
    """

    own: float
    shared: float = 0.0


WIDTHS: Mapping[str, Width] = {
    "t1": Width(0.25, 0.1),
    "dephasing": Width(0.5, 0.3),
    "depolarizing_1q": Width(0.5, 0.3),
    "depolarizing_2q": Width(0.5, 0.3),
    "crosstalk": Width(0.5),
    "assignment": Width(0.3, 0.2),
    "excited": Width(0.7, 0.3),
    "zz": Width(15e3),
    "spectator_zz": Width(0.5),
    "offset": Width(3e3),
    "stark": Width(5e4),
    "context": Width(0.2),
    "over_rotation_1q": Width(0.01),
    "over_rotation_2q": Width(0.04),
    "phase_1q": Width(0.01),
    "phase_2q": Width(0.05),
    "pauli_rates": Width(1.0, 0.5),
    "readout_relaxation": Width(1.0, 0.5),
}
"""Default prior widths: e-folds for factors and odds, Hz for `zz` and `offset`, rad for angles.

T1 and T2 of transmons wander by 20-30 % within a day (Burnett et al., npj Quantum Information 5,
54, 2019); simultaneous gates cost about 1.7 times their isolated error (18 public IBM snapshots);
the angles add at most a few 1e-4 to the infidelity of a gate. How much faster a qubit relaxes
while it is read is known to no more than a factor of e: it depends on the power of the readout.
"""

DEFAULT = (
    *("t1", "dephasing", "depolarizing_1q", "depolarizing_2q", "crosstalk", "assignment"),
    *("zz", "offset", "stark", "context", "over_rotation_1q", "over_rotation_2q", "phase_2q"),
)


def learnable(device: Device, learn: Iterable[str] = DEFAULT) -> Device:
    """Return the device with every learned mechanism present, so that circuits carry it.

    Raises:
        InputError: A name that cannot be learned.
    """
    names = set(learn)
    if unknown := sorted(names - set(WIDTHS)):
        raise InputError(
            f"`learn` must name kinds of parameters ({', '.join(WIDTHS)}), but names "
            f"{unknown[0]!r}."
        )
    p, count = device.parameters, len(device.instructions)
    changes: dict[str, Floats] = {}
    shapes: dict[str, tuple[int, ...]] = {
        "over_rotation": (count,),
        "phase": (count, 2),
        "pauli_rates": (count, 15),
        "offset": (device.n_qubits,),
        "stark": (len(device.spectators),),
        "context": (len(device.contexts), 3),
    }
    for name, shape in shapes.items():
        wanted = any(n.startswith(name) for n in names)
        if wanted and getattr(p, name) is None:
            changes[name] = np.zeros(shape)
    if "readout_relaxation" in names and p.readout_relaxation is None:
        changes["readout_relaxation"] = np.ones(device.n_qubits)
    if "zz" in names:
        changes["zz"] = np.where(np.asarray(p.zz) == 0, PRESENT, p.zz)
    return device.with_parameters(replace(p, **changes))


def prior(
    device: Device,
    recipes: Sequence[Recipe],
    *,
    learn: Iterable[str] = DEFAULT,
    widths: Mapping[str, Width] | None = None,
) -> Model:
    """Return the unknowns of a device that some circuits depend on.

    Args:
        device: From `learnable`; its parameters are the centre of the prior.
        recipes: Of the circuits that will be compared with counts.
        learn: Kinds of parameters, keys of `WIDTHS`.
        widths: Replaces some of `WIDTHS`.

    Raises:
        InputError: A name that cannot be learned, or nothing is left to learn.
    """
    widths = {**WIDTHS, **(widths or {})}
    used: dict[str, set[int]] = {}
    for recipe in recipes:
        for leaf, rows in uses(recipe).items():
            used.setdefault(leaf, set()).update(rows)
    used = _completed(device, used)
    learn = tuple(dict.fromkeys(learn))
    families = []
    for name in learn:
        found = _KINDS[name](device, used, name, widths[name])
        if found is not None:
            families.append(replace(found, kind=name))
    if recipes and not families:
        raise InputError(
            f"None of {', '.join(learn)} has an effect on these circuits. Name other parameters."
        )
    return Model(device, tuple(families), learn)


def uses(recipe: Recipe) -> dict[str, set[int]]:
    """Return the flat positions of every leaf of `Parameters` that a circuit depends on."""
    out: dict[str, set[int]] = {
        "t1": set(recipe.relaxation[:, 0].tolist()),
        "excited": set(recipe.active.tolist()),
        "readout_relaxation": set(recipe.relaxation[recipe.relaxation[:, 1] == DRIVEN, 0].tolist()),
        "depolarizing": {int(r) for rows in recipe.pauli for r in rows[:, 0]},
        "assignment": {2 * int(q) + b for q in recipe.confusion for b in (0, 1)},
        "reset_excitation": set(recipe.reset.tolist()),
        "crosstalk": {0} if recipe.pauli[1][:, 1].any() else set(),
        "pauli_rates": {
            15 * int(r) + c
            for k, rows in enumerate(recipe.pauli, 1)
            for r in rows[:, 0]
            for c in range(4**k - 1)
        },
    }
    for group in (*recipe.unitaries[0], *recipe.unitaries[1]):
        leaf = "zz" if group.source == "spectator" else group.source
        if leaf in ("over_rotation", "offset", "stark", "zz"):
            out.setdefault(leaf, set()).update(group.index.tolist())
        elif leaf in ("phase", "context"):
            flat = {"phase": 2, "context": 3}[leaf] * group.index[:, 0] + group.index[:, 1]
            out.setdefault(leaf, set()).update(flat.tolist())
        if leaf == "zz" and group.numbers[:, 1].any():
            out["spectator_zz"] = {0}
    return out


def _completed(device: Device, used: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Add what shares its unknowns with a used instruction.

    These are a symmetric gate in its other order and all pulses on the same qubit.
    """
    pulses: dict[int, set[int]] = {}
    for row, gate in enumerate(device.instructions):
        if len(gate.qubits) == 1 and gate.name not in VIRTUAL:
            pulses.setdefault(gate.qubits[0], set()).add(row)

    out = {leaf: set(rows) for leaf, rows in used.items()}
    for leaf in ("depolarizing", "over_rotation"):
        for row in used.get(leaf, ()):
            out[leaf] |= {other} if (other := _turned(device, row)) is not None else set()
            if leaf == "depolarizing" and len(device.instructions[row].qubits) == 1:
                out[leaf] |= pulses.get(device.instructions[row].qubits[0], set())
    for leaf, columns in TURNED.items():
        for flat in used.get(leaf, ()):
            row, column = divmod(flat, len(columns))
            if device.instructions[row].name not in SYMMETRIC:
                continue
            if (other := _turned(device, row)) is not None:
                out[leaf].add(other * len(columns) + columns.index(column))
    return out


def _turned(device: Device, row: int) -> int | None:
    """Return the row of the same physical gate in its other order, if there is one.

    Vendors list a gate like cx in both directions although one of them is made of the other and
    pulses; then both have the same published infidelity.
    """
    gate = device.instructions[row]
    other = device.row.get((gate.name, gate.qubits[::-1])) if len(gate.qubits) == 2 else None
    if other is None:
        return None
    same = gate.infidelity is not None and device.instructions[other].infidelity == gate.infidelity
    return other if gate.name in SYMMETRIC or same else None


Kind = Callable[[Device, Mapping[str, set[int]], str, Width], Family | None]


def _per_qubit(leaf: str, scale: Scale, least: float = 0.0) -> Kind:
    def build(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> Family | None:
        values = np.asarray(_leaf(device.parameters, leaf), float)
        rows = sorted(used.get("t1" if leaf == "dephasing" else leaf, ()))
        if scale == "log" and leaf in ("t1", "dephasing"):
            rows = [q for q in rows if np.isfinite(device.parameters.t1[q])]
        floor = LEAST_DEPHASING / device.parameters.t2 if leaf == "dephasing" else least
        centre = np.maximum(values, floor) if scale == "log" else values
        return _family(leaf, scale, [(f"{leaf} of qubit {q}", [q]) for q in rows], centre, width)

    return build


def _scalar(leaf: str, scale: Scale) -> Kind:
    def build(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> Family | None:
        places = [(leaf, [0])] if used.get(leaf) else []
        value = np.asarray(getattr(device.parameters, leaf), float).reshape(1)
        return _family(leaf, scale, places, value, width)

    return build


def _assignment(
    device: Device, used: Mapping[str, set[int]], _: str, width: Width
) -> Family | None:
    values = np.clip(device.parameters.assignment.ravel(), LEAST_MISREAD, 1 - LEAST_MISREAD)
    places = [
        (f"P(read {1 - r % 2} | {r % 2}) of qubit {r // 2}", [r])
        for r in sorted(used.get("assignment", ()))
    ]
    return _family("assignment", "logit", places, values, width)


def _zz(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> Family | None:
    rows = sorted(used.get("zz", ()))
    places = [("zz of {}, {}".format(*device.couplers[k]), [k]) for k in rows]
    return _family("zz", "linear", places, np.asarray(device.parameters.zz, float), width)


def _stark(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> Family | None:
    places = []
    for row in sorted(used.get("stark", ())):
        (a, b), q = device.spectators[row]
        places.append((f"stark of qubit {q} by {a}, {b}", [row]))
    return _family("stark", "linear", places, np.asarray(device.parameters.stark, float), width)


def _context(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> Family | None:
    places = []
    for flat in sorted(used.get("context", ())):
        (pair, other), column = device.contexts[flat // 3], flat % 3
        if other is None:  # `over_rotation` and `phase` are that already
            continue
        what = "generator" if column == 0 else f"qubit {pair[column - 1]}"
        label = f"context ({what}) of {pair[0]}, {pair[1]} beside {other[0]}, {other[1]}"
        places.append((label, [flat]))
    values = np.asarray(device.parameters.context, float)
    return _family("context", "linear", places, values, width)


def _gates(leaf: str, scale: Scale) -> Kind:
    """Return the family of a number per instruction; a gate in both orders is one unknown."""

    def build(
        device: Device, used: Mapping[str, set[int]], name: str, width: Width
    ) -> Family | None:
        n_qubits = int(name[-2])
        values = np.array(getattr(device.parameters, leaf), float)
        if scale == "logit":
            values = np.clip(values, LEAST_DEPOLARIZING[n_qubits], 0.9)
        groups: dict[Any, list[int]] = {}
        for row in sorted(used.get(leaf, ())):
            gate = device.instructions[row]
            if len(gate.qubits) != n_qubits or gate.name in VIRTUAL:
                continue
            # The published errors of all pulses on one qubit are one measurement.
            kind = "" if leaf == "depolarizing" and n_qubits == 1 else gate.name
            where = gate.qubits if _turned(device, row) is None else tuple(sorted(gate.qubits))
            groups.setdefault((kind, where), []).append(row)
        places = [
            (f"{leaf} of {kind or 'pulses'} on {', '.join(map(str, where))}", rows)
            for (kind, where), rows in groups.items()
        ]
        return _family(leaf, scale, places, values, width)

    return build


def _columns(leaf: str, scale: Scale) -> Kind:
    """Return the family of several numbers per instruction, with qubits exchanged in step."""

    def build(
        device: Device, used: Mapping[str, set[int]], name: str, width: Width
    ) -> Family | None:
        values = np.array(getattr(device.parameters, leaf), float)
        columns = values.shape[1]
        if scale == "log":
            values = np.maximum(values, LEAST_RATE)
        size = int(name[-2]) if name[-1] == "q" else None
        groups: dict[Any, list[int]] = {}
        for flat in sorted(used.get(leaf, ())):
            row, column = divmod(flat, columns)
            gate = device.instructions[row]
            if gate.name in VIRTUAL or (size is not None and len(gate.qubits) != size):
                continue
            turned = gate.name in SYMMETRIC and gate.qubits[0] > gate.qubits[-1]
            where = gate.qubits[::-1] if turned else gate.qubits
            own = TURNED[leaf][column] if turned else column
            groups.setdefault((gate.name, where, own), []).append(flat)
        places = [
            (f"{leaf} {_column(leaf, column, where)} of {gate} on {', '.join(map(str, where))}", at)
            for (gate, where, column), at in groups.items()
        ]
        return _family(leaf, scale, places, values.ravel(), width)

    return build


def _column(leaf: str, column: int, qubits: tuple[int, ...]) -> str:
    if leaf == "phase":
        return f"on {qubits[column]}"
    return "".join("IXYZ"[(column + 1) >> 2 * k & 3] for k in range(len(qubits) - 1, -1, -1))


def _family(
    leaf: str, scale: Scale, places: list[tuple[str, list[int]]], values: Floats, width: Width
) -> Family | None:
    if not places:
        return None
    index = np.array([row for _, rows in places for row in rows], np.int64)
    owner = np.repeat(np.arange(len(places)), [len(rows) for _, rows in places])
    spread = np.full(len(places), float(width.own))
    labels = tuple(label for label, _ in places)
    shared = float(width.shared) if len(places) > 1 else 0.0
    return Family(leaf, scale, labels, spread, shared, index, owner, values.ravel()[index])


_KINDS: Mapping[str, Kind] = {
    "t1": _per_qubit("t1", "log"),
    "dephasing": _per_qubit("dephasing", "log"),
    "excited": _per_qubit("excited", "log", 0.005),
    "offset": _per_qubit("offset", "linear"),
    "readout_relaxation": _per_qubit("readout_relaxation", "log"),
    "crosstalk": _scalar("crosstalk", "log"),
    "spectator_zz": _scalar("spectator_zz", "linear"),
    "assignment": _assignment,
    "zz": _zz,
    "stark": _stark,
    "context": _context,
    "depolarizing_1q": _gates("depolarizing", "logit"),
    "depolarizing_2q": _gates("depolarizing", "logit"),
    "over_rotation_1q": _gates("over_rotation", "linear"),
    "over_rotation_2q": _gates("over_rotation", "linear"),
    "phase_1q": _columns("phase", "linear"),
    "phase_2q": _columns("phase", "linear"),
    "pauli_rates": _columns("pauli_rates", "log"),
}
