"""Trajectories with fewer two-qubit gates: small couplings, as crosstalk, gathered by pairs."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.network_state import Graph
from qdt_emu.engines.unravel import Gate, Step
from qdt_emu.kernels.network_merge import LARGE, ONE, SMALL, STOP, Out, Pending, Steps, merge

Matrix = NDArray[np.complex128]
LARGEST = 0.1  # angle up to which a gate counts as small
SWAP = np.array([0, 2, 1, 3])


def merged(graph: Graph, steps: Sequence[Step], tolerance: float) -> tuple[list[Step], float]:
    """Return a trajectory with small gates on one pair multiplied where they nearly commute.

    Args:
        graph: Pairs that gates join.
        steps: In time order.
        tolerance: Largest bound, half the product of two angles, of what exchanging two small gates
            on one qubit may change.

    Returns:
        The steps, and the sum of squares of these bounds: what they change together in the state,
        squared, as their signs are not the same.

    Cost:
        About 6 us per step.
    """
    if not steps:
        return [], 0.0
    k, n = len(steps), graph.n
    kind, edge = np.full(k, STOP), np.full(k, -1)
    qubits, size = np.full((k, 2), -1), np.zeros(k)
    matrix, turns = np.zeros((k, 4, 4), complex), np.zeros((k, 2, 2, 2), complex)
    for i, step in enumerate(steps):
        if not isinstance(step, Gate):
            qubits[i, 0] = step.qubit
        elif len(step.qubits) == 1:
            kind[i], qubits[i, 0], turns[i, 0] = ONE, step.qubits[0], step.matrix
        else:
            a, b = step.qubits
            kind[i], matrix[i], turns[i], size[i] = _parts(step.matrix.tobytes(), a > b)
            qubits[i] = pair = (min(a, b), max(a, b))
            edge[i] = graph.edge[pair]
    if not np.any(kind == SMALL):
        return list(steps), 0.0
    room = 3 * k + 2 * n
    out = Out(
        np.full(room, -1), np.full((room, 2), -1), np.zeros((room, 4, 4), complex), np.zeros(1, int)
    )
    given = Steps(kind, qubits, edge, matrix, turns, size)
    passed = merge(given, _nothing(graph), tolerance, out)
    found: list[Step] = []
    for i in range(int(out.used[0])):
        if out.step[i] >= 0:
            found.append(steps[int(out.step[i])])
        elif out.qubits[i, 1] >= 0:
            found.append(Gate((int(out.qubits[i, 0]), int(out.qubits[i, 1])), out.matrix[i]))
        else:
            found.append(Gate((int(out.qubits[i, 0]),), out.matrix[i, :2, :2].copy()))
    return found, float(passed)


def _nothing(graph: Graph) -> Pending:
    n, m = graph.n, len(graph.edges)
    legs = np.full((n, max(1, *(len(own) for own in graph.legs))), -1)
    for q, own in enumerate(graph.legs):
        legs[q, : len(own)] = own
    return Pending(
        np.zeros(n, bool),
        np.tile(np.eye(2, dtype=complex), (n, 1, 1)),
        np.zeros(m, bool),
        np.tile(np.eye(4, dtype=complex), (m, 1, 1)),
        np.zeros(m),
        np.array(graph.edges).reshape(-1, 2),
        legs,
    )


@lru_cache(maxsize=1 << 15)
def _parts(data: bytes, swapped: bool) -> tuple[int, Matrix, Matrix, float]:
    """Return kind, matrix, turns and angle of a gate; see `kernels.network_merge.Steps`."""
    matrix = np.frombuffer(data, complex).reshape(4, 4)
    if swapped:
        matrix = matrix[np.ix_(SWAP, SWAP)]
    pairs = matrix.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    left, values, right = np.linalg.svd(pairs)
    angle = float(2 * values[1] / values[0])
    if angle > LARGEST:
        return LARGE, matrix, np.zeros((2, 2, 2), complex), 0.0
    u, v = _unitary(left[:, 0].reshape(2, 2)), _unitary(right[0].reshape(2, 2))
    return SMALL, matrix @ np.kron(u, v).conj().T, np.stack([u, v]), angle


def _unitary(matrix: Matrix) -> Matrix:
    """Return the unitary next to a multiple of one."""
    u, _, v = np.linalg.svd(matrix)
    return np.asarray(u @ v)
