"""Which qubits or pairs take part in the same circuit."""

from collections.abc import Sequence

import numpy as np

from qdt_emu.device import Device
from qdt_emu.errors import InputError

Place = tuple[int, ...]


def places(device: Device, chosen: Sequence[int | Sequence[int]] | None, size: int) -> list[Place]:
    """Return what a user chose as tuples of qubits: single qubits (1) or coupled pairs (2).

    Args:
        device: Where they are.
        chosen: Qubits or pairs; None takes every qubit that can be measured, or every coupler.
        size: 1 or 2.

    Raises:
        InputError: A qubit the device does not have, a pair without a coupler, or one twice.
    """
    if chosen is None:
        found = [(q,) for q in range(device.n_qubits)] if size == 1 else [*device.couplers]
        return [p for p in found if all(_readable(device, q) for q in p)]
    out = [tuple(int(q) for q in p) if isinstance(p, Sequence) else (int(p),) for p in chosen]
    for place in out:
        bad = [q for q in place if not 0 <= q < device.n_qubits]
        if bad or len(place) != size:
            what = "a qubit" if size == 1 else "a pair of qubits"
            raise InputError(
                f"Each place must be {what} of '{device.name}' (0 to {device.n_qubits - 1}), but "
                f"{place} is not."
            )
        if size == 2 and device.couplers and place not in device.coupler_row:
            raise InputError(
                f"A pair must be coupled, but {place} of '{device.name}' is not; "
                f"{place[0]} has the neighbours {list(device.neighbours[place[0]])}."
            )
    if not out or len(set(out)) < len(out):
        raise InputError(f"Places must be different, and at least one, but are {out}.")
    return out


def groups(device: Device, chosen: Sequence[Place], *, simultaneous: bool) -> list[list[int]]:
    """Return which places (by index) run in one circuit.

    Args:
        device: Whose couplers decide.
        chosen: Qubits or pairs, see `places`.
        simultaneous: False keeps places apart that touch or are neighbours, so that ZZ and
            crosstalk between them play no part; True keeps apart only what shares a qubit.

    Returns:
        By greedy colouring in the order given: at most one more than the largest number of
        conflicts of a place.
    """
    out: list[list[int]] = []
    taken: list[set[int]] = []
    for k, place in enumerate(chosen):
        reach = set(place)
        if not simultaneous:
            reach |= {n for q in place for n in device.neighbours[q]}
        group = next((g for g, used in enumerate(taken) if not reach & used), len(out))
        if group == len(out):
            out.append([])
            taken.append(set())
        out[group].append(k)
        taken[group] |= set(place)
    return out


def _readable(device: Device, q: int) -> bool:
    return not np.isnan(np.asarray(device.parameters.assignment[q], float)).any()
