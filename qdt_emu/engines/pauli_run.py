"""One Pauli string carried back through a circuit: its light cone, its room, its account."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.pauli_bind import Maps
from qdt_emu.kernels.pauli import Sample, Sum, propagate
from qdt_emu.kernels.pauli_strings import cone, weight
from qdt_emu.kernels.pauli_walk import walk

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

SAMPLES = 256  # dropped strings that are followed to the start of the circuit; costs 10 ms
UNSEEN = 3.0  # none seen in n: the chance is below 3 / n with 95 % confidence
SMALLEST_ROOM = 1024  # strings


@dataclass(frozen=True)
class Propagated:
    """What became of one string at one threshold.

    Attributes:
        value: Its expectation value.
        dropped: Sum of the absolute values of dropped coefficients: a rigorous error bound.
        dropped_squares: Sum of their squares.
        spread: Root mean square of what they would have added to the value with random signs.
        threshold: The last one; larger than asked for when there was no room.
        terms: Most strings at a time.
        updates: Strings changed.
    """

    value: float
    dropped: float = 0.0
    dropped_squares: float = 0.0
    spread: float = 0.0
    threshold: float = 0.0
    terms: int = 1
    updates: int = 0


@dataclass(frozen=True)
class Followed:
    """What dropped strings came to when they were carried on with random signs.

    Attributes:
        squares: Sum over the sample of squared expectation values; where hardly any counts, as many
            as may have been missed are added.
        decay: Loss of the logarithm of a string's coefficient per qubit over the whole circuit.
    """

    squares: float
    decay: float


@dataclass(frozen=True, eq=False)
class Cone:
    """The maps and qubits that one string depends on.

    Attributes:
        start: The string on the cone's own qubits, shape (words,).
        place: Where each map acts, shape (maps, 6), see `kernels.pauli_strings.code_at`.
        runs: See `kernels.pauli.propagate`.
        qubits: The qubits, shape (n,).
    """

    start: NDArray[np.uint64]
    place: NDArray[np.uint64]
    runs: Index
    qubits: Index


def light_cone(maps: Maps, codes: NDArray[np.uint8]) -> Cone:
    """Return what the Pauli string with these codes depends on."""
    inside = (codes > 0).astype(np.uint8)
    kept = cone(maps.where, inside).astype(bool)
    qubits = np.flatnonzero(inside)
    local = np.zeros(len(codes), np.int64)
    local[qubits] = np.arange(len(qubits))
    start = np.zeros(max(1, -(-len(qubits) // 32)), np.uint64)
    for q, code in zip(local[qubits], codes[qubits], strict=True):
        start[q >> 5] |= np.uint64(int(code) << 2 * (q & 31))
    first, second, row = maps.where[kept].T
    a, b = local[first], local[second]
    pair = first >= 0
    a = np.where(pair, a, b)
    place = np.stack([a >> 5, 2 * (a & 31), 3 * pair, b >> 5, 2 * (b & 31), row], 1)
    return Cone(start, place.astype(np.uint64), _runs(maps.forks[kept]), qubits)


def run(
    maps: Maps,
    part: Cone,
    polarization: Floats,
    threshold: float,
    *,
    least: Floats,
    room: int,
    samples: int = SAMPLES,
) -> tuple[Propagated, Followed]:
    """Return one string's value at one threshold, and what became of dropped strings.

    Args:
        maps: Of the circuit.
        part: The string's light cone.
        polarization: <Z> of each qubit at the start.
        threshold: Strings with smaller coefficients are dropped.
        least: What a string of each weight must reach, over the threshold, see `propagate`.
        room: Strings held at a time.
        samples: Dropped strings that are followed; 0 follows none.
    """
    words, own = len(part.start), polarization[part.qubits]
    kept = max(samples, 2)
    sample = (np.empty((kept, words), np.uint64), np.empty(kept, np.int64))
    found = propagate(
        part.start,
        part.place,
        part.runs,
        maps.tables,
        threshold,
        least,
        _workspace(min(room, places(len(part.qubits))), words),
        sample,
        own,
    )
    value, dropped, squares, last, terms, updates, drawn, spacing = found.tolist()
    followed = _follow(maps, part, own, sample, int(drawn) if samples else 0)
    spread = float(np.sqrt(spacing * followed.squares))
    return (
        Propagated(value, dropped, squares, spread, last, int(terms), int(updates)),
        followed,
    )


def _follow(maps: Maps, part: Cone, own: Floats, sample: Sample, drawn: int) -> Followed:
    """Carry the sample of dropped strings on to the start of the circuit."""
    if not drawn:
        return Followed(0.0, 0.0)
    weights = np.array([weight(key) for key in sample[0][:drawn]])
    out = np.empty((2, drawn))
    matrices, moving = maps.tables[:2]
    walk(*sample, drawn, part.place, matrices, moving, own, out)
    left = 1 - (sample[1][:drawn] + 1) / max(len(part.place), 1)
    loss = -0.5 * np.log(np.maximum(out[1], 1e-300)) / weights
    slope = float(np.median(loss[left > 0] / left[left > 0])) if np.any(left > 0) else 0.0
    return Followed(float(out[0].sum() + UNSEEN * out[1].mean()), max(slope, 0.0))


def places(n: int) -> int:
    """Return room for all strings on `n` qubits, where that is not too many."""
    return max(SMALLEST_ROOM, 2 << 2 * min(n, 20))


def bytes_per_string(n: int) -> int:
    """Return the memory of a place for a string on `n` qubits."""
    return 8 * -(-n // 32) + 56


def _workspace(room: int, words: int) -> Sum:
    """Return arrays for `room` strings; memory that is never touched costs nothing."""
    return (
        np.empty((room, words), np.uint64),
        np.empty(room),
        np.empty(room + 1, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.zeros(1 << (2 * room - 1).bit_length(), np.uint64),
        np.empty(room, np.int32),
    )


def _runs(forks: NDArray[np.bool_]) -> Index:
    """Return (first map, one after the last, forks): renaming maps in a row are one run."""
    if not len(forks):
        return np.zeros((0, 3), np.int64)
    begin = np.concatenate([[0], np.flatnonzero(forks[1:] | forks[:-1]) + 1])
    end = np.concatenate([begin[1:], [len(forks)]])
    return np.stack([begin, end, forks[begin]], 1).astype(np.int64)
