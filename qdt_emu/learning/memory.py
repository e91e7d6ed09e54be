"""What circuits that were measured have been predicted wrong by, for others that are like them.

No model is exact, and where it is wrong on a circuit it is wrong on the same circuit with other
delays or echoes too: the parameters have taken what they can, the rest repeats itself.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.compile import Compiled
from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import Kind

Floats = NDArray[np.float64]

LARGEST = 1 << 12  # outcomes of a circuit that is remembered
LIKENESS, PAIRS = 0.3, 3.0  # of circuits that are alike on ibm_cairo, 2022; worth so many pairs
MOST = 0.99  # likeness
UNTOUCHED = np.eye(2, dtype=complex)
ROUNDED = 4  # decimals of matrices that are compared


@dataclass(frozen=True, eq=False)
class Remembered:
    """A measured circuit.

    Attributes:
        missed: Root of the frequency less root of the predicted probability, shape (2**n,).
        shots: Behind it.
    """

    missed: Floats
    shots: float


@dataclass(frozen=True, eq=False)
class Memory:
    """Measured circuits, and how alike the errors of like ones are.

    Attributes:
        circuits: By the key of `likeness_key`, the latest of each.
        likeness: Correlation of what is missed between two circuits that are alike.
        pairs: Number of pairs behind it.
    """

    circuits: Mapping[str, tuple[Remembered, ...]] = field(default_factory=dict)
    likeness: float = LIKENESS
    pairs: int = 0

    def corrected(self, key: str, probabilities: Floats, scatter: float) -> Floats:
        r"""Return distributions with what like circuits have shown added.

        In square roots of probabilities the model misses by v = scatter / 4 everywhere, of which
        circuits that are alike have the share c in common. From K of them, with the errors d_k and
        the variance n_k = 1 / (4 N_k) of their shots, the best linear estimate of that is

        $$ \frac{c v \sum_k d_k / ((1 - c) v + n_k)}{1 + c v \sum_k 1 / ((1 - c) v + n_k)}. $$

        Args:
            key: Of the circuit.
            probabilities: Predicted, shape (..., 2**n).
            scatter: Variance of 2 sqrt(p) around the predicted one.

        Error:
            That errors do not change with delays is an assumption, and so is that all circuits
            share the same part of theirs.

        Source:
            Model discrepancy: Kennedy and O'Hagan, J. R. Stat. Soc. B 63, 425 (2001).
        """
        like = self.circuits.get(key, ())
        if not like or scatter <= 0 or like[0].missed.shape[-1] != probabilities.shape[-1]:
            return probabilities
        common = self.likeness * scatter / 4
        own = np.array([scatter / 4 - common + 1 / (4 * x.shots) for x in like])
        known = sum(x.missed / v for x, v in zip(like, own, strict=True))
        shift = common * known / (1 + common * np.sum(1 / own))
        new = np.maximum(np.sqrt(np.maximum(probabilities, 0.0)) + shift, 0.0) ** 2
        return np.asarray(new / new.sum(axis=-1, keepdims=True))

    def as_stored(self) -> tuple[Floats, dict[str, object]]:
        """Return all numbers as one array, and what says where they belong."""
        every = [x for like in self.circuits.values() for x in like]
        facts = {
            "keys": [key for key, like in self.circuits.items() for _ in like],
            "shots": [x.shots for x in every],
            "outcomes": [len(x.missed) for x in every],
            "likeness": self.likeness,
            "pairs": self.pairs,
        }
        return np.concatenate([np.zeros(0), *(x.missed for x in every)]), facts

    @classmethod
    def from_stored(cls, missed: Floats | None, facts: Mapping[str, Any] | None) -> Self:
        """Return what `as_stored` has given; an empty memory where there is none."""
        if missed is None or facts is None:
            return cls()
        parts = np.split(missed, np.cumsum(facts["outcomes"])[:-1])
        circuits: dict[str, tuple[Remembered, ...]] = {}
        for key, shots, part in zip(facts["keys"], facts["shots"], parts, strict=False):
            circuits[key] = (*circuits.get(key, ()), Remembered(part, shots))
        return cls(circuits, facts["likeness"], facts["pairs"])

    def renewed(self, newer: "Memory") -> "Memory":
        """Return this memory after newer circuits: they replace those that are like them."""
        belief = PAIRS * LIKENESS  # is in both
        old, new = ((PAIRS + m.pairs) * m.likeness for m in (self, newer))
        pairs = self.pairs + newer.pairs
        likeness = (old + new - belief) / (PAIRS + pairs)
        return Memory({**self.circuits, **newer.circuits}, float(np.clip(likeness, 0, MOST)), pairs)


def remember(past: Iterable[tuple[str, Floats, Floats]]) -> Memory:
    r"""Return the memory of measured circuits.

    The likeness is the correlation of what pairs of like circuits miss, the share of their shots
    taken out, together with `PAIRS` pairs' worth of the belief `LIKENESS`. Parameters that were
    fitted to these very circuits make it too small rather than too large.

    Args:
        past: Key, predicted probabilities and counts of each circuit.
    """
    found: dict[str, list[Remembered]] = {}
    for key, predicted, counts in past:
        shots = float(counts.sum())
        missed = np.sqrt(counts / shots) - np.sqrt(np.maximum(predicted, 0.0))
        found.setdefault(key, []).append(Remembered(missed, shots))
    shared = own = 0.0
    pairs = 0
    for like in found.values():
        for a, b in combinations(like, 2):
            if len(a.missed) == len(b.missed):
                shared += float(a.missed @ b.missed)
                own += (_own(a) + _own(b)) / 2
                pairs += 1
    likeness = LIKENESS
    if own > 0:
        likeness = (PAIRS * LIKENESS + pairs * shared / own) / (PAIRS + pairs)
    circuits = {key: tuple(like) for key, like in found.items()}
    return Memory(circuits, float(np.clip(likeness, 0.0, MOST)), pairs if own > 0 else 0)


def likeness_key(compiled: Compiled) -> str:
    """Return what circuits that are alike have in common, as SHA-256 in hexadecimal.

    They do the same to the same qubits between two-qubit gates, measurements and resets, up to
    delays and to pulses that undo each other.

    Args:
        compiled: The circuit, all of its parameters bound.
    """
    noisy = noiseless(compiled.bind())
    physical = noisy.structure.qubits
    one, two = (np.asarray(x) for x in (noisy.values.unitaries1, noisy.values.unitaries2))
    pending: dict[int, NDArray[np.complex128]] = {}
    events: dict[int, list[str]] = {}
    for op in noisy.structure.operations:
        if op.kind is Kind.UNITARY and len(op.qubits) == 1 and not op.conditions:
            (q,) = op.qubits
            pending[q] = one[op.slot] @ pending.get(q, UNTOUCHED)
            continue
        matrix = ""
        if op.kind is Kind.UNITARY:
            matrix = _text((one if len(op.qubits) == 1 else two)[op.slot])
        counts = [len(events.setdefault(q, [])) for q in op.qubits]
        for place, q in enumerate(op.qubits):
            before = _text(pending.pop(q, UNTOUCHED))
            on = tuple(int(physical[p]) for p in op.qubits)
            event = (before, op.kind.name, matrix, place, on, counts, op.clbit, op.conditions)
            events[q].append(repr(event))
    named = sorted((int(physical[q]), rows) for q, rows in events.items())
    return hashlib.sha256(repr(named).encode()).hexdigest()


def _own(x: Remembered) -> float:
    """Return the squared error of a circuit that its shots do not explain."""
    return max(0.0, float(x.missed @ x.missed) - (len(x.missed) - 1) / (4 * x.shots))


def _text(unitary: NDArray[np.complex128]) -> str:
    """Return a unitary as text, its global phase taken out."""
    flat = np.asarray(unitary, complex).ravel()
    first = flat[np.argmax(np.abs(flat) > 0.4)]
    rounded = np.round(flat * np.conj(first) / abs(first), ROUNDED) + 0.0
    return repr(rounded.tolist())
