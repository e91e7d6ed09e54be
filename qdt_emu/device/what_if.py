"""A device with some numbers replaced: the question 'what if'."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.device.device import SYMMETRIC, Device, Note
from qdt_emu.errors import InputError
from qdt_emu.noise.depolarizing import residual_depolarizing
from qdt_emu.noise.fluctuation import shifted_t2
from qdt_emu.noise.infidelity import average_gate_fidelity
from qdt_emu.noise.relaxation import relaxation_process_fidelity

Floats = NDArray[np.float64]
PER_QUBIT = (
    *("t1", "t2", "excited", "reset_excitation", "detuning", "charge_parity"),
    *("t1_spread", "offset", "readout_relaxation", "slow_dephasing"),
)
PER_INSTRUCTION = ("depolarizing", "over_rotation", "infidelity", "phase", "leakage", "pauli_rates")
SCALARS = ("crosstalk", "spectator_zz")
KNOWN = (
    *PER_QUBIT,
    "assignment",
    "zz",
    "stark",
    "spectator_flips",
    "context",
    *PER_INSTRUCTION,
    *SCALARS,
    "feedforward_latency",
)
# Columns of a symmetric gate's row when its qubits are exchanged.
TURNED = {
    "phase": (1, 0),
    "pauli_rates": tuple(4 * (k % 4) + k // 4 - 1 for k in range(1, 16)),
}
RANGES: dict[str, tuple[float, float]] = {
    "t1": (0.0, np.inf),
    "t2": (0.0, np.inf),
    "excited": (0.0, 0.5),
    "reset_excitation": (0.0, 1.0),
    "assignment": (0.0, 1.0),
    "detuning": (0.0, np.inf),
    "charge_parity": (0.0, np.inf),
    "t1_spread": (0.0, np.inf),
    "readout_relaxation": (0.0, np.inf),
    "slow_dephasing": (0.0, np.inf),
    "infidelity": (0.0, 0.8),
    "depolarizing": (0.0, 16 / 15),
    "leakage": (0.0, 1.0),
    "spectator_flips": (0.0, 0.5),
    "pauli_rates": (0.0, np.inf),
    "crosstalk": (0.0, np.inf),
    "spectator_zz": (-np.inf, np.inf),
    "feedforward_latency": (0.0, np.inf),
}


def what_if(device: Device, **changes: Any) -> Device:
    """Return `device` with some numbers replaced; nothing is changed in place.

    Each keyword is a name of `Parameters` (or `infidelity`, `feedforward_latency`); its value
    is one number for all, or a mapping from the place to a number: qubits for `t1`, `t2`,
    `excited`, `assignment` (a pair (P(1|0), P(0|1))), `detuning`, ...; couplers (a, b) for
    `zz`; a coupler and a qubit next to it, ((a, b), q), for `stark` and `spectator_flips`; two
    couplers, or one and None, for `context`; a gate name or (gate name, qubits) for `infidelity`,
    `depolarizing`, `over_rotation`, `phase`, `leakage`. A gate that is symmetric in its qubits,
    like cz, changes in both orders; its `phase` and its `pauli_rates` (IX, IY, ..., ZZ) belong to
    the qubits in the order given, or, for a gate name alone, to the lower and the higher one.

    A new `t1` keeps the pure dephasing rate 1/t2 - 1/(2 t1), so `t2` follows unless it is given.
    The residual error of the gates is kept, so their total error grows with faster relaxation; a
    new `infidelity` replaces the total.

    Args:
        device: The device to start from.
        **changes: What to replace.

    Raises:
        InputError: An unknown name, place or a value out of its range.

    Examples:
        >>> from qdt_emu.device import ideal
        >>> what_if(ideal(2), t1={1: 20e-6}).parameters.t1.tolist()
        [inf, 2e-05]
    """
    notes = []
    out = device
    order = sorted(changes, key=KNOWN.index) if set(changes) <= set(KNOWN) else list(changes)
    for name in order:
        if name not in KNOWN:
            raise InputError(f"`{name}` is not a parameter of a device; known: {', '.join(KNOWN)}.")
        out = _change(out, name, changes[name])
        notes.append(Note("what_if", name, None, None, f"replaced by {_short(changes[name])}"))
    t1, t2 = np.asarray(out.parameters.t1), np.asarray(out.parameters.t2)
    for q in np.flatnonzero(t2 > 2 * t1 * (1 + 1e-12)):
        raise InputError(
            f"`t2` must be at most 2 * `t1`, but qubit {q} has t1={t1[q]:g} s and t2={t2[q]:g} s. "
            f"Give both."
        )
    _check_probabilities(out)
    return replace(out, notes=(*device.notes, *notes))


def _change(device: Device, name: str, value: Any) -> Device:
    p = device.parameters
    if name == "feedforward_latency":
        return replace(device, feedforward_latency=_checked(name, value, "the device"))
    if name in SCALARS:
        new = replace(p, **{name: np.asarray(_checked(name, value, "the device"))})
    elif name == "t1":
        t1 = _per_qubit(device, name, value)
        new = replace(p, t1=t1, t2=shifted_t2(p.t2, p.t1, t1))
    elif name in PER_QUBIT:
        new = replace(p, **{name: _per_qubit(device, name, value)})
    elif name == "assignment":
        new = replace(p, assignment=_fill(p.assignment, value, name, _qubit(device), (2,)))
    elif name == "zz":
        new = replace(p, zz=_fill(p.zz, value, name, _coupler(device), ()))
    elif name == "context":
        old = np.zeros((len(device.contexts), 3)) if p.context is None else p.context
        new = replace(p, context=_fill(old, value, name, _context(device), (3,)))
    elif name == "spectator_flips":
        none = np.zeros((len(device.spectators), 2))
        old = none if p.spectator_flips is None else p.spectator_flips
        new = replace(p, spectator_flips=_fill(old, value, name, _spectator(device), (2,)))
    elif name == "stark":
        old = np.zeros(len(device.spectators)) if p.stark is None else p.stark
        new = replace(p, stark=_fill(old, value, name, _spectator(device), ()))
    elif name == "infidelity":
        new = _with_infidelity(device, value)
    elif name in TURNED:
        new = replace(p, **{name: _turned(device, name, value)})
    else:
        width = (2,) if name == "leakage" else ()
        old = getattr(p, name)
        old = np.zeros((len(device.instructions), *width)) if old is None else old
        new = replace(p, **{name: _fill(old, value, name, _instruction(device), width)})
    return device.with_parameters(new)


def _per_qubit(device: Device, name: str, value: Any) -> Floats:
    old = getattr(device.parameters, name)
    absent = 1.0 if name == "readout_relaxation" else 0.0  # a factor, not a rate
    old = np.full(device.n_qubits, absent) if old is None else old
    return _fill(old, value, name, _qubit(device), ())


def _fill(
    old: Any, value: Any, name: str, rows: Callable[[Any], list[int]], width: tuple[int, ...]
) -> Floats:
    new = np.array(old, float)
    given = value if isinstance(value, Mapping) else {"every place": value}
    for place, number in given.items():
        checked = _checked(name, number, place)
        row = rows(place) if isinstance(value, Mapping) else ...
        shape = new[row].shape if row is ... else width
        try:
            new[row] = np.broadcast_to(checked, shape)
        except ValueError:
            raise InputError(
                f"`{name}` must be a number or have shape {shape}, but has shape "
                f"{np.shape(checked)} at {place}."
            ) from None
    return new


def _turned(device: Device, name: str, value: Any) -> Floats:
    """Return `name` with rows of a symmetric gate on the same qubits in both orders."""
    names = dict.fromkeys(device.native_gates, value)
    width, old = len(TURNED[name]), getattr(device.parameters, name)
    new = np.zeros((len(device.instructions), width))
    if old is not None:
        new[...] = old
    for place, row_value in (value if isinstance(value, Mapping) else names).items():
        filled = _fill(new, {place: row_value}, name, _instruction(device), (width,))
        for row in _instruction(device)(place):
            i = device.instructions[row]
            given = place[1] if isinstance(place, tuple) else tuple(sorted(i.qubits))
            turned = i.name in SYMMETRIC and i.qubits != given
            new[row] = filled[row, TURNED[name]] if turned else filled[row]
    return new


def _check_probabilities(device: Device) -> None:
    """Refuse residuals that are no channel: above d^2 / (d^2 - 1), crosstalk included."""
    p = device.parameters
    for i, residual in zip(device.instructions, np.asarray(p.depolarizing), strict=True):
        states = 4 ** len(i.qubits)
        limit = states / (states - 1)
        worst = residual * (max(1.0, float(p.crosstalk)) if states == 16 else 1.0)
        if worst > limit * (1 + 1e-9):
            raise InputError(
                f"The depolarising residual of {i} must be at most {limit:.4g}, but is "
                f"{worst:.4g} (crosstalk included). Lower `infidelity` or `crosstalk`."
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _checked(name: str, value: Any, place: Any) -> Any:
    low, high = RANGES.get(name, (-np.inf, np.inf))
    try:
        numbers = np.asarray(value, float)
    except (TypeError, ValueError):
        raise InputError(f"`{name}` must be a number, but is {value!r} at {place}.") from None
    for number in numbers.reshape(-1):
        if not low <= number <= high or (number == 0 and name in ("t1", "t2")):
            bracket = "(" if name in ("t1", "t2") else "["
            raise InputError(
                f"`{name}` must lie in {bracket}{low:g}, {high:g}], but is {number:g} at {place}."
            )
    return numbers if numbers.ndim else float(numbers)


def _qubit(device: Device) -> Callable[[Any], list[int]]:
    def rows(place: Any) -> list[int]:
        if not isinstance(place, int | np.integer) or not 0 <= place < device.n_qubits:
            raise InputError(
                f"'{device.name}' has qubits 0 to {device.n_qubits - 1}, but not {place!r}."
            )
        return [int(place)]

    return rows


def _coupler(device: Device) -> Callable[[Any], list[int]]:
    def rows(place: Any) -> list[int]:
        if place not in device.coupler_row:
            raise InputError(
                f"'{device.name}' has no coupler {place!r}; couplers are pairs of neighbours, e.g. "
                f"{device.couplers[0] if device.couplers else 'none here'}."
            )
        return [device.coupler_row[place]]

    return rows


def _context(device: Device) -> Callable[[Any], list[int]]:
    def rows(place: Any) -> list[int]:
        if place not in device.context_row:
            raise InputError(
                f"'{device.name}' has no context {place!r}; it is a coupler (a < b), and None or a "
                f"neighbouring coupler, e.g. {device.contexts[-1] if device.contexts else 'none'}."
            )
        return [device.context_row[place]]

    return rows


def _spectator(device: Device) -> Callable[[Any], list[int]]:
    def rows(place: Any) -> list[int]:
        if place not in device.spectators:
            raise InputError(
                f"'{device.name}' has no spectator {place!r}; it is a coupler (a < b) and a qubit "
                f"next to it, e.g. {device.spectators[0] if device.spectators else 'none here'}."
            )
        return [device.spectators.index(place)]

    return rows


def _instruction(device: Device) -> Callable[[Any], list[int]]:
    def rows(place: Any) -> list[int]:
        if isinstance(place, tuple):
            match place:
                case (str() as name, tuple() as qubits) if qubits:
                    found = [device.require(name, qubits)]
                case _:
                    raise InputError(
                        f"An instruction must be a gate name or (name, qubits), but is {place!r}."
                    )
            if name in SYMMETRIC and (name, qubits[::-1]) in device.row:
                found.append(device.row[name, qubits[::-1]])
            return found
        found = [k for k, i in enumerate(device.instructions) if i.name == place]
        if not found:
            raise InputError(
                f"'{device.name}' has no instruction {place!r}; it has "
                f"{', '.join(sorted(device.native_gates))}."
            )
        return found

    return rows


def gate_infidelity(device: Device) -> Floats:
    """Return the average infidelity of every instruction as modelled, shape (G,).

    Relaxation during the gate and residual depolarising together; coherent errors left out.
    """
    p = device.parameters
    out = np.zeros(len(device.instructions))
    for k in (1, 2):
        rows = [i for i, x in enumerate(device.instructions) if len(x.qubits) == k]
        if rows:
            known = _known_fidelity(device, rows, k)
            depolarizing = np.asarray(p.depolarizing)[rows]
            # The depolarised branch has fidelity 1/d whatever the known part is.
            out[rows] = 1 - ((1 - depolarizing) * known + depolarizing / 2**k)
    return out


def _known_fidelity(device: Device, rows: list[int], k: int) -> Floats:
    p = device.parameters
    qubits = np.array([device.instructions[i].qubits for i in rows])
    time = np.array([device.instructions[i].duration for i in rows])
    time = (time * np.asarray(p.relaxation_scale)[rows])[:, None]
    process = relaxation_process_fidelity(
        time, np.asarray(p.t1)[qubits], np.asarray(p.t2)[qubits]
    ).prod(axis=-1)
    return np.asarray(average_gate_fidelity(process, 2**k))


def _with_infidelity(device: Device, value: Any) -> Any:
    p = device.parameters
    target = _fill(gate_infidelity(device), value, "infidelity", _instruction(device), ())
    new = np.array(p.depolarizing, float)
    for k in (1, 2):
        rows = [i for i, x in enumerate(device.instructions) if len(x.qubits) == k]
        if rows:
            new[rows] = residual_depolarizing(target[rows], _known_fidelity(device, rows, k), 2**k)
    for i in np.flatnonzero(new < -1e-9):
        floor = 1 - _known_fidelity(device, [int(i)], len(device.instructions[i].qubits))[0]
        raise InputError(
            f"`infidelity` of {device.instructions[i]} must be at least {floor:.3e}, which "
            f"relaxation alone causes, but is {target[i]:g}. Raise `t1` and `t2` too."
        )
    return replace(p, depolarizing=np.maximum(new, 0.0))
