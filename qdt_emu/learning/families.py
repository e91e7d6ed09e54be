"""How each kind of unknown is laid out: which entries of `Parameters` move together."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qdt_emu.device import Device
from qdt_emu.device.device import SYMMETRIC, VIRTUAL
from qdt_emu.device.what_if import TURNED
from qdt_emu.learning.model import Family, Floats, Scale, Width, leaf_of, listed_as

LEAST_DEPHASING = 0.02  # of 1 / T2: pure dephasing where T2 = 2 T1
LEAST_DEPOLARIZING = {1: 1e-5, 2: 1e-4}
LEAST_MISREAD = 1e-4
LEAST_EXCITED = 5e-4
LEAST_RATE = 1e-7  # of a Pauli-Lindblad term


Kind = Callable[[Device, Mapping[str, set[int]], str, Width], list[Family]]


def _per_qubit(leaf: str, scale: Scale, least: float = 0.0) -> Kind:
    def build(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
        values = np.asarray(leaf_of(device.parameters, leaf), float)
        rows = sorted(used.get(listed_as(leaf), ()))
        if scale == "log" and leaf in ("t1", "dephasing"):
            rows = [q for q in rows if np.isfinite(device.parameters.t1[q])]
        floor = LEAST_DEPHASING / device.parameters.t2 if leaf == "dephasing" else least
        centre = np.maximum(values, floor) if scale == "log" else values
        return _family(leaf, scale, [(f"{leaf} of qubit {q}", [q]) for q in rows], centre, width)

    return build


def _scalar(leaf: str, scale: Scale) -> Kind:
    def build(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
        places = [(leaf, [0])] if used.get(leaf) else []
        value = np.asarray(getattr(device.parameters, leaf), float).reshape(1)
        return _family(leaf, scale, places, value, width)

    return build


def _assignment(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
    values = np.clip(device.parameters.assignment.ravel(), LEAST_MISREAD, 1 - LEAST_MISREAD)
    places = [
        (f"P(read {1 - r % 2} | {r % 2}) of qubit {r // 2}", [r])
        for r in sorted(used.get("assignment", ()))
    ]
    return _family("assignment", "logit", places, values, width)


def _zz(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
    rows = sorted(used.get("zz", ()))
    places = [("zz of {}, {}".format(*device.couplers[k]), [k]) for k in rows]
    return _family("zz", "linear", places, np.asarray(device.parameters.zz, float), width)


def _stark(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
    places = []
    for row in sorted(used.get("stark", ())):
        (a, b), q = device.spectators[row]
        places.append((f"stark of qubit {q} by {a}, {b}", [row]))
    return _family("stark", "linear", places, np.asarray(device.parameters.stark, float), width)


def _flips(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
    """Return the flips of spectators by themselves, and those together with their neighbours."""
    values = np.maximum(np.asarray(device.parameters.spectator_flips, float), LEAST_RATE)
    families = []
    for column, part in enumerate(("alone", "joint")):
        places = []
        for flat in sorted(used.get("spectator_flips", ())):
            (a, b), q = device.spectators[flat // 2]
            if flat % 2 == column:
                places.append((f"flip ({part}) of qubit {q} by {a}, {b}", [flat]))
        found = _family("spectator_flips", "log", places, values, width)
        families += [replace(family, part=part) for family in found]
    return families


def _context(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
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
    ) -> list[Family]:
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
            groups.setdefault((kind, _where(device, row)), []).append(row)
        places = [
            (f"{leaf} of {kind or 'pulses'} on {', '.join(map(str, where))}", rows)
            for (kind, where), rows in groups.items()
        ]
        return _family(leaf, scale, places, values, width)

    return build


def _phase(device: Device, used: Mapping[str, set[int]], name: str, width: Width) -> list[Family]:
    places = [
        (f"phase on {where[column]} of {gate} on {', '.join(map(str, where))}", at)
        for (gate, where, column), at in _columns(device, used, "phase", int(name[-2])).items()
    ]
    return _family("phase", "linear", places, np.array(device.parameters.phase, float), width)


def _rates(device: Device, used: Mapping[str, set[int]], name: str, width: Width) -> list[Family]:
    """Return a family per Pauli: what all gates have in common is a preference for some of them."""
    size = int(name[-2])
    values = np.maximum(np.array(device.parameters.pauli_rates, float), LEAST_RATE)
    by_letters: dict[str, list[tuple[str, list[int]]]] = {}
    for (gate, where, column), at in _columns(device, used, "pauli_rates", size).items():
        letters = "".join("IXYZ"[(column + 1) >> 2 * k & 3] for k in range(size - 1, -1, -1))
        label = f"rate of {letters} after {gate} on {', '.join(map(str, where))}"
        by_letters.setdefault(letters, []).append((label, at))
    return [
        replace(family, part=letters)
        for letters, places in sorted(by_letters.items())
        for family in _family("pauli_rates", "log", places, values, width)
    ]


def _leakage(device: Device, used: Mapping[str, set[int]], _: str, width: Width) -> list[Family]:
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for flat in sorted(used.get("leakage", ())):
        gate = device.instructions[flat // 2]
        if flat % 2 == 0 and len(gate.qubits) == 2:
            groups.setdefault((gate.name, _where(device, flat // 2)), []).append(flat)
    places = [
        (f"leakage of {name} on {', '.join(map(str, where))}", at)
        for (name, where), at in groups.items()
    ]
    return _family("leakage", "log", places, np.array(device.parameters.leakage, float), width)


def _columns(
    device: Device, used: Mapping[str, set[int]], leaf: str, size: int
) -> dict[tuple[str, tuple[int, ...], int], list[int]]:
    """Return the flat positions of each column of each gate, with qubits exchanged in step.

    A symmetric gate in both orders is one gate, and so are all pulses on one qubit as far as their
    rates go: published errors of pulses are one measurement.
    """
    columns = np.shape(getattr(device.parameters, leaf))[1]
    out: dict[tuple[str, tuple[int, ...], int], list[int]] = {}
    for flat in sorted(used.get(leaf, ())):
        row, column = divmod(flat, columns)
        gate = device.instructions[row]
        if gate.name in VIRTUAL or len(gate.qubits) != size:
            continue
        back = gate.name in SYMMETRIC and gate.qubits[0] > gate.qubits[-1]
        where = gate.qubits[::-1] if back else gate.qubits
        own = TURNED[leaf][column] if back else column
        kind = "pulses" if size == 1 and leaf == "pauli_rates" else gate.name
        out.setdefault((kind, where, own), []).append(flat)
    return out


def _where(device: Device, row: int) -> tuple[int, ...]:
    """Return the qubits of a gate, ascending where both orders are one gate."""
    qubits = device.instructions[row].qubits
    return qubits if turned(device, row) is None else tuple(sorted(qubits))


def turned(device: Device, row: int) -> int | None:
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


def _family(
    leaf: str, scale: Scale, places: list[tuple[str, list[int]]], values: Floats, width: Width
) -> list[Family]:
    if not places:
        return []
    index = np.array([row for _, rows in places for row in rows], np.int64)
    owner = np.repeat(np.arange(len(places)), [len(rows) for _, rows in places])
    spread = np.full(len(places), float(width.own))
    labels = tuple(label for label, _ in places)
    shared = float(width.shared) if len(places) > 1 else 0.0
    return [Family(leaf, scale, labels, spread, shared, index, owner, values.ravel()[index])]


KINDS: Mapping[str, Kind] = {
    "t1": _per_qubit("t1", "log"),
    "dephasing": _per_qubit("dephasing", "log"),
    "excited": _per_qubit("excited", "log", LEAST_EXCITED),
    "offset": _per_qubit("offset", "linear"),
    "readout_relaxation": _per_qubit("readout_relaxation", "log"),
    "slow_dephasing": _per_qubit("slow_dephasing", "log"),
    "crosstalk": _scalar("crosstalk", "log"),
    "spectator_zz": _scalar("spectator_zz", "linear"),
    "assignment": _assignment,
    "zz": _zz,
    "stark": _stark,
    "context": _context,
    "spectator_flips": _flips,
    "depolarizing_1q": _gates("depolarizing", "logit"),
    "depolarizing_2q": _gates("depolarizing", "logit"),
    "over_rotation_1q": _gates("over_rotation", "linear"),
    "over_rotation_2q": _gates("over_rotation", "linear"),
    "phase_1q": _phase,
    "phase_2q": _phase,
    "leakage": _leakage,
    "pauli_rates_1q": _rates,
    "pauli_rates_2q": _rates,
}
