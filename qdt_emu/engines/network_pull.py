"""Observables pulled back through the end of a trajectory, as far as they stay products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
            self.put(k, qubit, sum((m.conj().T @ old @ m for m in kraus), np.zeros((2, 2))))

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

    Steps outside of the backward light cone are dropped. Steps at the end through which every
    string stays a product are absorbed: all gates on one qubit, Clifford gates, diagonal gates
    under a diagonal string; events, measurements and resets by their average over outcomes.

    Args:
        steps: One trajectory.
        strings: One-qubit operators, shape (2, 2), Hermitian, by qubit.

    Error:
        None: the mean over outcomes is that of the state, to rounding.
    """
    on = _Strings(strings)
    live: set[int] = set()
    kept: list[Step] = []
    for step in reversed(steps):
        qubits = step.qubits if isinstance(step, Gate) else (step.qubit,)
        if not live.isdisjoint(qubits):
            live.update(qubits)
            kept.append(step)
        elif all(not on.on.get(q) for q in qubits):
            continue
        elif isinstance(step, Gate) and len(qubits) == 2:
            if not on.two(qubits[0], qubits[1], step.matrix):
                live.update(qubits)
                kept.append(step)
        else:
            on.one(qubits[0], kraus(step))
    return Pulled(tuple(kept[::-1]), tuple(on.operators), on.factors)


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
