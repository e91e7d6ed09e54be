"""Trajectories in a normal form: diagonal gates on couplers, unitaries on qubits between them."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.unravel import Gate, Step

Matrix = NDArray[np.complex128]
ROUNDING = 1e-12
Turn = Matrix | None
"""A unitary on a qubit; None is the identity."""
Split = tuple[Turn, Turn, Matrix, Turn, Turn]


def split(matrix: Matrix) -> Split | None:
    """Return (u, v, d, w, x) with matrix = (u x v) diag(d) (w x x), or None where there are none.

    Every gate of operator-Schmidt rank 2 (CZ, ECR, RZZ, controlled gates, with any pulses before
    and after) has that form: it is k (cos + i sin A x B), and A and B fix the bases.
    """
    return _split(np.ascontiguousarray(matrix, complex).tobytes())


@lru_cache(maxsize=1 << 15)
def _split(data: bytes) -> Split | None:
    matrix = np.frombuffer(data, complex).reshape(4, 4)
    pairs = matrix.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    left, _, right = np.linalg.svd(pairs)
    a = left[:, :2].T.reshape(2, 2, 2)
    b = right[:2].reshape(2, 2, 2)
    w, u = (
        _basis(np.einsum("rxp,sxq->rspq", a.conj(), a)),
        _basis(np.einsum("rpx,sqx->rspq", a, a.conj())),
    )
    x, v = (
        _basis(np.einsum("rxp,sxq->rspq", b.conj(), b)),
        _basis(np.einsum("rpx,sqx->rspq", b, b.conj())),
    )
    core = np.kron(u, v).conj().T @ matrix @ np.kron(w, x)
    # Which eigenvector comes first is free: bring the first column's largest entry to the top.
    flip_u, flip_v = divmod(int(np.abs(core[:, 0]).argmax()), 2)
    u, v = u[:, :: 1 - 2 * flip_u], v[:, :: 1 - 2 * flip_v]
    core = np.kron(u, v).conj().T @ matrix @ np.kron(w, x)
    d = np.diagonal(core)
    if np.abs(core - np.diag(d)).max() > ROUNDING:
        return None
    return _turn(u), _turn(v), d.copy(), _turn(w.conj().T), _turn(x.conj().T)


def _turn(matrix: Matrix) -> Turn:
    return None if np.array_equal(matrix, np.eye(2)) else np.ascontiguousarray(matrix)


def _basis(products: Matrix) -> Matrix:
    """Return eigenvectors of what products of factors have beside the identity; I if that is Z."""
    found = products.reshape(4, 2, 2)
    found = np.concatenate([found, 1j * found])
    found = found + found.conj().transpose(0, 2, 1)
    found -= np.einsum("kii->k", found)[:, None, None] * np.eye(2) / 2
    sizes = np.abs(found).max(axis=(1, 2))
    best = found[int(sizes.argmax())]
    if np.abs(best[0, 1]) <= ROUNDING * sizes.max():
        return np.eye(2, dtype=complex)
    return np.linalg.eigh(best)[1].astype(complex)


def normal(steps: Iterable[Step]) -> list[Step]:
    """Return the same trajectory with as few two-qubit gates as commuting allows.

    Diagonal gates on one coupler are multiplied as long as nothing on its qubits keeps them apart;
    flips pass, and turn the phases around.

    Error:
        None, to rounding.
    """
    form = _Form()
    for step in steps:
        if not isinstance(step, Gate):
            form.flush(step.qubit)
            form.out.append(step)
        elif len(step.qubits) == 1:
            form.turn(step.qubits[0], step.matrix)
        else:
            form.two(step)
    for q in tuple(form.turns):
        form.flush(q)
    for edge in tuple(form.phases):
        form.emit(edge)
    return form.out


class _Form:
    """The end of a trajectory that is not fixed yet: phases on couplers, then turns of qubits."""

    def __init__(self) -> None:
        self.out: list[Step] = []
        self.turns: dict[int, Matrix] = {}
        self.phases: dict[tuple[int, int], Matrix] = {}
        self.couplers: dict[int, set[tuple[int, int]]] = {}

    def turn(self, qubit: int, matrix: Turn) -> None:
        """Add a unitary on a qubit."""
        if matrix is not None:
            old = self.turns.get(qubit)
            self.turns[qubit] = matrix if old is None else matrix @ old

    def emit(self, edge: tuple[int, int]) -> None:
        """Fix the phases of a coupler."""
        self.out.append(Gate(edge, np.diag(self.phases.pop(edge))))
        for q in edge:
            self.couplers[q].discard(edge)

    def flush(self, qubit: int) -> None:
        """Fix the phases around a qubit, and then its turn."""
        for edge in sorted(self.couplers.get(qubit, ())):
            self.emit(edge)
        turn = self.turns.pop(qubit, None)
        if turn is not None:
            self.out.append(Gate((qubit,), turn))

    def two(self, step: Gate) -> None:
        """Add a gate on two qubits."""
        found = split(step.matrix)
        a, b = step.qubits
        if found is None:
            for q in (a, b):
                self.flush(q)
            self.out.append(step)
            return
        u, v, d, w, x = found
        phases = d.reshape(2, 2)
        for axis, (q, before) in enumerate(((a, w), (b, x))):
            self.turn(q, before)
            turn = self.turns.get(q)
            if turn is None:
                continue
            if abs(turn[0, 0]) <= ROUNDING:
                phases = np.flip(phases, axis)
            elif abs(turn[0, 1]) > ROUNDING:
                self.flush(q)
        edge = (a, b)
        if a > b:
            edge, phases = (b, a), phases.T
        old = self.phases.get(edge)
        flat = phases.reshape(4)
        self.phases[edge] = flat if old is None else old * flat
        for q in edge:
            self.couplers.setdefault(q, set()).add(edge)
        self.turn(a, u)
        self.turn(b, v)
