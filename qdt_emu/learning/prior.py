"""What may be learned about a device, and what is believed before anything is measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qdt_emu.circuit.recipe import EARLY, FLIPPED, SLOW, Recipe
from qdt_emu.device import Device
from qdt_emu.device.device import SYMMETRIC, VIRTUAL
from qdt_emu.device.what_if import TURNED
from qdt_emu.errors import InputError
from qdt_emu.learning.families import KINDS, LEAST_DEPOLARIZING, turned
from qdt_emu.learning.model import Floats, Model, Width
from qdt_emu.noise.readout import divide_out_preparation

PRESENT = 1e-6  # Hz: a ZZ rate that is learned from nothing must be there when circuits are lowered
SLOW_RATE = 1 / 100e-6  # 1/s
LEAKAGE = 2e-4  # of a two-qubit gate, and of each of its qubits
FLIP = 3e-4  # of a qubit next to a two-qubit gate
POPULATION = 0.6  # of the published P(read 1 | 0), learned on ibm_cairo in April 2022
MOST_DEPOLARIZING = 0.9

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
    "spectator_flips": Width(1.5, 0.5),
    "over_rotation_1q": Width(0.01),
    "over_rotation_2q": Width(0.04),
    "phase_1q": Width(0.01),
    "phase_2q": Width(0.05),
    "pauli_rates_1q": Width(0.7, 1.0),
    "pauli_rates_2q": Width(0.7, 1.0),
    "readout_relaxation": Width(1.0, 0.5),
    "slow_dephasing": Width(0.7, 1.0),
    "leakage": Width(1.0, 1.0),
}
"""Default prior widths: e-folds for factors and odds, Hz for `zz` and `offset`, rad for angles.

T1 and T2 of transmons wander by 20-30 % within a day (Burnett et al., npj Quantum Information 5,
54, 2019); simultaneous gates cost about 1.7 times their isolated error (18 public IBM snapshots);
the angles add at most a few 1e-4 to the infidelity of a gate. How much faster a qubit relaxes
while it is read is known to no more than a factor of e: it depends on the power of the readout.
Which Paulis make up the rest of a gate's error is not published: all of them equally likely, within
a factor of e each. Flips of qubits next to a cross-resonance gate are rare but where frequencies
nearly collide: on ibm_cairo most are below 1e-3, one is 0.12. Two-qubit gates of transmons leak
1e-4 to 1e-3 (Wood and Gambetta, arXiv:1704.03081; Chen et al., PRL 116, 020501, 2016).
"""

DEFAULT = (
    *("t1", "dephasing", "depolarizing_1q", "depolarizing_2q", "crosstalk", "assignment"),
    *("excited", "zz", "offset", "stark", "context"),
    *("over_rotation_1q", "over_rotation_2q", "phase_2q"),
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
    for size in ("1q", "2q"):
        if {f"depolarizing_{size}", f"pauli_rates_{size}"} <= names:
            raise InputError(
                f"`learn` must name one of 'depolarizing_{size}' and 'pauli_rates_{size}', but "
                f"names both: they describe the same error. Leave one out."
            )
    if "excited" in names and not np.any(device.parameters.excited):
        device = _with_population(device)
    p, count = device.parameters, len(device.instructions)
    changes: dict[str, Any] = {}
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
    if "slow_dephasing" in names and p.slow_dephasing is None:
        changes["slow_dephasing"] = np.full(device.n_qubits, SLOW_RATE)
    if "spectator_flips" in names and p.spectator_flips is None:
        changes["spectator_flips"] = np.full((len(device.spectators), 2), FLIP)
    if "zz" in names:
        changes["zz"] = np.where(np.asarray(p.zz) == 0, PRESENT, p.zz)
    if "leakage" in names and p.leakage is None:
        changes["leakage"] = _leakage(device)
    out = device.with_parameters(replace(p, **changes))
    sizes = [k for k in (1, 2) if f"pauli_rates_{k}q" in names]
    return _with_rates(out, sizes) if sizes else out


def _leakage(device: Device) -> Floats:
    """Return (leakage, seepage) of each instruction: two-qubit gates leak, |2> lives T1 / 2."""
    out = np.zeros((len(device.instructions), 2))
    for row, gate in enumerate(device.instructions):
        if len(gate.qubits) == 2:
            rate = np.mean(2 / np.asarray(device.parameters.t1)[list(gate.qubits)])
            out[row] = LEAKAGE, -np.expm1(-gate.duration * rate)
    return out


def _with_population(device: Device) -> Device:
    """Return the device with part of each P(read 1 | 0) as population of |1> before the circuit.

    What is read of a prepared |0> stays as published.
    """
    p = device.parameters
    assignment = np.array(p.assignment, float)
    known = np.isfinite(assignment).all(axis=1)
    excited = np.where(known, POPULATION * assignment[:, 0], 0.0)
    up, down = assignment[known].T
    p01, p10, excited[known], _ = divide_out_preparation(up, down, excited[known])
    assignment[known] = np.stack([p01, p10], axis=1)
    return device.with_parameters(replace(p, assignment=assignment, excited=excited))


def _with_rates(device: Device, sizes: Sequence[int]) -> Device:
    """Return the device with the depolarising errors of gates of some sizes as 4**k - 1 rates."""
    p = device.parameters
    depolarizing, rates = np.array(p.depolarizing, float), np.array(p.pauli_rates, float)
    for row, gate in enumerate(device.instructions):
        k = len(gate.qubits)
        moved = depolarizing[row] == 0 and rates[row].any()
        if k in sizes and gate.name not in VIRTUAL and not moved:
            parameter = np.clip(depolarizing[row], LEAST_DEPOLARIZING[k], MOST_DEPOLARIZING)
            rates[row, : 4**k - 1] -= np.log1p(-parameter) / 4**k
            depolarizing[row] = 0.0
    return device.with_parameters(replace(p, depolarizing=depolarizing, pauli_rates=rates))


def prior(
    device: Device,
    recipes: Sequence[Recipe],
    *,
    learn: Iterable[str] = DEFAULT,
    widths: Mapping[str, Width] | None = None,
    also: Mapping[str, set[int]] | None = None,
) -> Model:
    """Return the unknowns of a device that some circuits depend on.

    Args:
        device: From `learnable`; its parameters are the centre of the prior.
        recipes: Of the circuits that will be compared with counts.
        learn: Kinds of parameters, keys of `WIDTHS`.
        widths: Replaces some of `WIDTHS`.
        also: Flat positions of leaves that other circuits depend on, as `uses` gives them.

    Raises:
        InputError: A name that cannot be learned, or nothing is left to learn.
    """
    widths = {**WIDTHS, **(widths or {})}
    used = {leaf: set(rows) for leaf, rows in (also or {}).items()}
    for recipe in recipes:
        for leaf, rows in uses(recipe).items():
            used.setdefault(leaf, set()).update(rows)
    used = _completed(device, used)
    learn = tuple(dict.fromkeys(learn))
    families = []
    for name in learn:
        found = KINDS[name](device, used, name, widths[name])
        families += [replace(family, kind=name) for family in found]
    if recipes and not families:
        raise InputError(
            f"None of {', '.join(learn)} has an effect on these circuits. Name other parameters."
        )
    return Model(device, tuple(families), learn)


def uses(recipe: Recipe) -> dict[str, set[int]]:
    """Return the flat positions of every leaf of `Parameters` that a circuit depends on."""
    gates = [rows[rows[:, 1] < FLIPPED] for rows in recipe.pauli]
    flips = [int(row) for row, kind in recipe.pauli[1] if kind >= FLIPPED]
    out: dict[str, set[int]] = {
        "t1": set(recipe.relaxation[recipe.relaxation[:, 1] != SLOW, 0].tolist()),
        "slow_dephasing": set(recipe.relaxation[recipe.relaxation[:, 1] == SLOW, 0].tolist()),
        "excited": set(recipe.active.tolist()),
        "readout_relaxation": set(recipe.relaxation[recipe.relaxation[:, 1] == EARLY, 0].tolist()),
        "depolarizing": {int(r) for rows in gates for r in rows[:, 0]},
        "spectator_flips": {2 * int(r) + k for r in flips for k in (0, 1)},
        "assignment": {2 * int(q) + b for q in recipe.confusion for b in (0, 1)},
        "reset_excitation": set(recipe.reset.tolist()),
        "leakage": {2 * int(row) + k for row in recipe.leakage for k in (0, 1)},
        "crosstalk": {0} if gates[1][:, 1].any() else set(),
        "pauli_rates": {
            15 * int(r) + c
            for k, rows in enumerate(gates, 1)
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
            out[leaf] |= {other} if (other := turned(device, row)) is not None else set()
            if leaf == "depolarizing" and len(device.instructions[row].qubits) == 1:
                out[leaf] |= pulses.get(device.instructions[row].qubits[0], set())
    for flat in used.get("leakage", ()):
        if (other := turned(device, flat // 2)) is not None:
            out["leakage"].add(2 * other + flat % 2)
    for leaf, columns in TURNED.items():
        for flat in used.get(leaf, ()):
            row, column = divmod(flat, len(columns))
            gate = device.instructions[row]
            if leaf == "pauli_rates" and len(gate.qubits) == 1:
                out[leaf] |= {r * len(columns) + column for r in pulses.get(gate.qubits[0], ())}
            if gate.name not in SYMMETRIC:
                continue
            if (other := turned(device, row)) is not None:
                out[leaf].add(other * len(columns) + columns.index(column))
    return out
