"""Small couplings of a trajectory, gathered until a large gate needs them in place."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index

ONE, SMALL, LARGE, STOP = 0, 1, 2, 3
"""Kinds of steps: a qubit is turned; near a product; any other gate; what the state decides."""

Complex = NDArray[np.complex128]
Ints = NDArray[np.int64]


class Steps(NamedTuple):
    """Steps in time order.

    Attributes:
        kind: Shape (k,).
        qubits: Shape (k, 2), ascending; the second is -1 where there is one.
        edge: Index of the pair, shape (k,).
        matrix: Shape (k, 4, 4): of a large gate, or what a small gate does after its turns.
        turns: Of both qubits, before that, shape (k, 2, 2, 2).
        size: Angle of a small gate, shape (k,).
    """

    kind: Ints
    qubits: Ints
    edge: Ints
    matrix: Complex
    turns: Complex
    size: NDArray[np.float64]


class Pending(NamedTuple):
    """The end of the trajectory so far: turns of all qubits, then small gates on pairs.

    Attributes:
        turned: Whether a qubit is turned.
        turn: By what, shape (n, 2, 2).
        waiting: Whether a pair has a small gate.
        gate: Which, shape (edges, 4, 4).
        size: Its angle.
        ends: Qubits of each pair, shape (edges, 2).
        legs: Pairs of each qubit, -1 beyond, shape (n, degree).
    """

    turned: NDArray[np.bool_]
    turn: Complex
    waiting: NDArray[np.bool_]
    gate: Complex
    size: NDArray[np.float64]
    ends: Ints
    legs: Ints


class Out(NamedTuple):
    """Steps that are fixed: step index for a stop, else -1; qubits; matrices; how many."""

    step: Ints
    qubits: Ints
    matrix: Complex
    used: Ints


@njit(cache=True, nogil=True, error_model="numpy")
def _turned(gate: Complex, u: Complex, axis: Index) -> None:
    """Replace a gate on a pair by u gate u^dag, u on its first or second qubit."""
    stride, other = (2, 1) if axis == 0 else (1, 2)
    for rest in range(2):
        for column in range(4):
            i, j = rest * other, rest * other + stride
            x, y = gate[i, column], gate[j, column]
            gate[i, column] = u[0, 0] * x + u[0, 1] * y
            gate[j, column] = u[1, 0] * x + u[1, 1] * y
    for rest in range(2):
        for row in range(4):
            i, j = rest * other, rest * other + stride
            x, y = gate[row, i], gate[row, j]
            gate[row, i] = x * np.conj(u[0, 0]) + y * np.conj(u[0, 1])
            gate[row, j] = x * np.conj(u[1, 0]) + y * np.conj(u[1, 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(pending: Pending, q: Index, u: Complex) -> None:
    """Turn a qubit: its waiting gates are taken along."""
    old = pending.turn[q]
    a, b = u[0, 0] * old[0, 0] + u[0, 1] * old[1, 0], u[0, 0] * old[0, 1] + u[0, 1] * old[1, 1]
    c, d = u[1, 0] * old[0, 0] + u[1, 1] * old[1, 0], u[1, 0] * old[0, 1] + u[1, 1] * old[1, 1]
    old[0, 0], old[0, 1], old[1, 0], old[1, 1] = a, b, c, d
    pending.turned[q] = True
    for e in pending.legs[q]:
        if e >= 0 and pending.waiting[e]:
            _turned(pending.gate[e], u, 0 if pending.ends[e, 0] == q else 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(matrix: Complex, gate: Complex) -> None:
    """Overwrite `gate` by matrix @ gate."""
    column = np.empty(4, np.complex128)
    for j in range(4):
        for i in range(4):
            column[i] = gate[i, j]
        for i in range(4):
            entry = 0j
            for k in range(4):
                entry += matrix[i, k] * column[k]
            gate[i, j] = entry


@njit(cache=True, nogil=True, error_model="numpy")
def _unit(matrix: Complex) -> None:
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            matrix[i, j] = 1.0 if i == j else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _emit(pending: Pending, e: Index, out: Out) -> None:
    """Fix the waiting gate of a pair together with the turns of its qubits."""
    k = out.used[0]
    a, b = pending.ends[e]
    u, v, gate = pending.turn[a], pending.turn[b], pending.gate[e]
    for row in range(4):
        for i in range(2):
            for j in range(2):
                entry = 0j
                for x in range(2):
                    for y in range(2):
                        entry += gate[row, 2 * x + y] * u[x, i] * v[y, j]
                out.matrix[k, row, 2 * i + j] = entry
    out.step[k], out.qubits[k, 0], out.qubits[k, 1] = -1, a, b
    out.used[0] = k + 1
    for q in (a, b):
        pending.turned[q] = False
        _unit(pending.turn[q])
    pending.waiting[e] = False
    pending.size[e] = 0.0
    _unit(gate)


@njit(cache=True, nogil=True, error_model="numpy")
def _flush(pending: Pending, q: Index, but: Index, size: float, out: Out) -> float:
    """Fix waiting gates of a qubit whose commutator with a gate may be too large.

    Args:
        pending: The end of the trajectory.
        q: The qubit.
        but: A pair that stays.
        size: Largest angle that may stay.
        out: Where they go.

    Returns:
        The sum of squares of the angles that stay.
    """
    stays = 0.0
    for e in pending.legs[q]:
        if e < 0 or e == but or not pending.waiting[e]:
            continue
        if pending.size[e] > size:
            _emit(pending, e, out)
        else:
            stays += pending.size[e] ** 2
    return stays


@njit(cache=True, nogil=True, error_model="numpy")
def merge(steps: Steps, pending: Pending, tolerance: float, out: Out) -> float:
    """Write the steps with small gates gathered to `out`.

    A small gate passes another one on one of its qubits where half the product of their angles,
    which bounds their commutator's effect, is at most `tolerance`. Turns of qubits pass by
    conjugation. A large gate, and what the state decides, has to wait for all on its qubits.

    Returns:
        The sum of the squares of these bounds.

    Cost:
        About 1 us per step.
    """
    passed = 0.0
    for k in range(len(steps.kind)):
        kind, e = steps.kind[k], steps.edge[k]
        a, b = steps.qubits[k]
        if kind == ONE:
            _turn(pending, a, steps.turns[k, 0])
        elif kind == STOP:
            _flush(pending, a, -1, 0.0, out)
            _still(pending, a, out)
            out.step[out.used[0]] = k
            out.used[0] += 1
        elif kind == LARGE:
            for q in (a, b):
                _flush(pending, q, e, 0.0, out)
            _multiply(steps.matrix[k], pending.gate[e])
            _emit(pending, e, out)
        else:
            size = steps.size[k]
            for axis in range(2):
                q = a if axis == 0 else b
                _turn(pending, q, steps.turns[k, axis])
                stays = _flush(pending, q, e, 2 * tolerance / max(size, 1e-300), out)
                passed += 0.25 * size * size * stays
            _multiply(steps.matrix[k], pending.gate[e])
            pending.waiting[e] = True
            pending.size[e] += size
    for e in range(len(pending.waiting)):
        if pending.waiting[e]:
            _emit(pending, e, out)
    for q in range(len(pending.turned)):
        _still(pending, q, out)
    return passed


@njit(cache=True, nogil=True, error_model="numpy")
def _still(pending: Pending, q: Index, out: Out) -> None:
    """Fix the turn of a qubit."""
    if not pending.turned[q]:
        return
    k = out.used[0]
    for i in range(2):
        for j in range(2):
            out.matrix[k, i, j] = pending.turn[q, i, j]
    out.step[k], out.qubits[k, 0], out.qubits[k, 1] = -1, q, -1
    out.used[0] = k + 1
    pending.turned[q] = False
    _unit(pending.turn[q])
