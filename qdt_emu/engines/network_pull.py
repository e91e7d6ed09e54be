"""Observables pulled back through the end of a trajectory, as far as they stay products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.network_normal import normal
from qdt_emu.engines.unravel import Event, Gate, Measure, Reset, Step

Matrix = NDArray[np.complex128]
ROUNDING = 1e-13  # relative, in the test whether an operator is a product or the identity


@dataclass(frozen=True, eq=False)
class Pulled:
    """What is left of a trajectory, and what is asked of its state then.

    Attributes:
        steps: In time order.
        operators: For each string, its one-qubit operators.
        factors: Numbers that the strings are multiplied by, shape (m,).
    """

    steps: tuple[Step, ...]
    operators: tuple[dict[int, Matrix], ...]
    factors: NDArray[np.float64]


class _Strings:
    """Products of operators on their way back in time."""

    def __init__(self, strings: Sequence[Mapping[int, Matrix]]) -> None:
        self.operators = [dict(string) for string in strings]
        self.factors = np.ones(len(strings))
        self.on: dict[int, set[int]] = {}
        for k, string in enumerate(self.operators):
            for q in string:
                self.on.setdefault(q, set()).add(k)

    def diagonal(self, qubit: int) -> bool:
        """Return whether every string is diagonal on a qubit."""
        found = (self.operators[k][qubit] for k in self.on.get(qubit, ()))
        return all(abs(o[0, 1]) <= ROUNDING * abs(o[0, 0]) for o in found)

    def put(self, k: int, qubit: int, operator: Matrix) -> None:
        """Replace an operator; a multiple of the identity becomes part of the factor."""
        mean = np.trace(operator) / 2
        if np.abs(operator - mean * np.eye(2)).max() <= ROUNDING * np.abs(operator).max():
            self.factors[k] *= mean.real
            self.operators[k].pop(qubit, None)
            self.on.get(qubit, set()).discard(k)
        else:
            self.operators[k][qubit] = operator
            self.on.setdefault(qubit, set()).add(k)

    def one(self, qubit: int, kraus: Sequence[Matrix]) -> None:
        """Pull all strings back through a channel on one qubit."""
        for k in tuple(self.on.get(qubit, ())):
            old = self.operators[k][qubit]
            self.put(k, qubit, np.sum([m.conj().T @ old @ m for m in kraus], axis=0))

    def two(self, a: int, b: int, unitary: Matrix) -> bool:
        """Pull all strings back through a gate, or none where one of them would entangle."""
        found = []
        for k in self.on.get(a, set()) | self.on.get(b, set()):
            own = self.operators[k]
            both = np.kron(own.get(a, np.eye(2)), own.get(b, np.eye(2)))
            split = _product(unitary.conj().T @ both @ unitary)
            if split is None:
                return False
            found.append((k, split))
        for k, (left, right) in found:
            self.put(k, a, left)
            self.put(k, b, right)
        return True


def pull(steps: Sequence[Step], strings: Sequence[Mapping[int, Matrix]]) -> Pulled:
    """Return the steps that matter to strings, and the strings at the end of these.

    Steps outside of the backward light cone are dropped, and so are gates that commute with all
    that lies between them and the strings because both are diagonal on the qubits they share.
    Steps at the end through which every string stays a product are absorbed: all gates on one
    qubit, Clifford gates, diagonal gates under a diagonal string; events, measurements and resets
    by their average over outcomes. What is left is in normal form.

    Args:
        steps: One trajectory.
        strings: One-qubit operators, shape (2, 2), Hermitian, by qubit.

    Error:
        None: the mean over outcomes is that of the state, to rounding.
    """
    first = _Back(strings).through(steps)
    second = _Back(first.operators).through(normal(first.steps))
    return replace(second, factors=first.factors * second.factors)


class _Back:
    """Steps on their way back in time: kept, absorbed or dropped.

    A qubit is `touched` by a kept step, and `turned` by a kept step that is not diagonal there.
    """

    def __init__(self, strings: Sequence[Mapping[int, Matrix]]) -> None:
        self.on = _Strings(strings)
        self.kept: list[Step] = []
        self.touched: set[int] = set()
        self.turned: set[int] = set()

    def through(self, steps: Sequence[Step]) -> Pulled:
        """Take all steps, last first."""
        for step in reversed(steps):
            if isinstance(step, Gate) and len(step.qubits) == 2:
                self.two(step)
            else:
                self.one(step)
        return Pulled(tuple(self.kept[::-1]), tuple(self.on.operators), self.on.factors)

    def free(self, qubit: int) -> bool:
        """Return whether nothing later depends on the qubit."""
        return qubit not in self.touched and not self.on.on.get(qubit)

    def diagonal(self, qubit: int) -> bool:
        """Return whether all that is later is diagonal on the qubit."""
        return qubit not in self.turned and self.on.diagonal(qubit)

    def keep(self, step: Step, qubits: tuple[int, ...], diagonal: Sequence[bool]) -> None:
        """Keep a step, given on which of its qubits it is diagonal."""
        self.kept.append(step)
        self.touched.update(qubits)
        self.turned.update(q for q, d in zip(qubits, diagonal, strict=True) if not d)

    def one(self, step: Step) -> None:
        """Take a step on one qubit."""
        qubit = step.qubits[0] if isinstance(step, Gate) else step.qubit
        if qubit not in self.touched:
            self.on.one(qubit, kraus(step))
            return
        diagonal = isinstance(step, Gate) and step.matrix[0, 1] == step.matrix[1, 0] == 0
        if not (diagonal and self.diagonal(qubit)):
            self.keep(step, (qubit,), (diagonal,))

    def two(self, step: Gate) -> None:
        """Take a gate on two qubits."""
        a, b = step.qubits
        free = self.free(a), self.free(b)
        if all(free):
            return
        touched = a in self.touched or b in self.touched
        if not touched and self.on.two(a, b, step.matrix):
            return
        on_a, on_b = _diagonal(step.matrix.tobytes())
        passes = (
            unused or (on and self.diagonal(q))
            for q, unused, on in zip((a, b), free, (on_a, on_b), strict=True)
        )
        if not all(passes):
            self.keep(step, (a, b), (on_a, on_b))


@lru_cache(maxsize=1 << 15)
def _diagonal(data: bytes) -> tuple[bool, bool]:
    """Return on which of its qubits a gate is diagonal."""
    blocks = np.frombuffer(data, complex).reshape(2, 2, 2, 2)
    on_a = not blocks[0, :, 1].any() and not blocks[1, :, 0].any()
    on_b = not blocks[:, 0, :, 1].any() and not blocks[:, 1, :, 0].any()
    return on_a, on_b


def kraus(step: Step) -> Sequence[Matrix]:
    """Return the Kraus operators of a step on one qubit."""
    match step:
        case Gate():
            return (step.matrix,)
        case Event():
            return tuple(step.kraus)
        case Measure():
            return (np.diag([1, 0j]), np.diag([0j, 1]))
        case Reset():
            ket = np.eye(2, dtype=complex)[step.excited]
            return tuple(np.outer(ket, bra) for bra in np.eye(2))


def _product(operator: Matrix) -> tuple[Matrix, Matrix] | None:
    """Return Hermitian (a, b) with a x b = the operator, or None where there are none."""
    rows = operator.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    size = np.abs(rows)
    i, j = divmod(int(size.argmax()), 4)
    pivot = rows[i, j]
    if np.abs(rows - np.outer(rows[:, j], rows[i]) / pivot).max() > ROUNDING * size[i, j]:
        return None
    left = rows[:, j].reshape(2, 2)
    # Fix the phase so that the first factor is Hermitian: its largest entry pairs with its adjoint.
    x, y = divmod(i, 2)
    phase = np.sqrt(left[x, y] * left[y, x] + 0j)
    left = left * (abs(phase) / phase)
    return left, (rows[i] / left[x, y]).reshape(2, 2)
