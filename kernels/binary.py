"""Linear algebra over GF(2) on matrices of bits."""

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]


def echelon(matrix: Bits) -> tuple[Bits, list[int]]:
    """Return the reduced row echelon form without its zero rows, and its pivot columns.

    Args:
        matrix: Shape (rows, columns).
    """
    a = np.array(matrix, bool)
    pivots: list[int] = []
    for column in range(a.shape[1]):
        row = len(pivots)
        if row == len(a):
            break
        below = a[row:, column]
        if not below.any():
            continue
        first = row + int(below.argmax())
        if first != row:
            a[[row, first]] = a[[first, row]]
        others = np.flatnonzero(a[:, column])
        a[others[others != row]] ^= a[row]
        pivots.append(column)
    return a[: len(pivots)], pivots


def reduced(matrix: Bits) -> Bits:
    """Return the reduced row echelon form without its zero rows."""
    return echelon(matrix)[0]


def null_space(matrix: Bits) -> Bits:
    """Return a basis of all x with matrix @ x = 0 modulo 2, shape (dimension, columns).

    Examples:
        >>> null_space(np.array([[True, True, False]])).astype(int).tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    rows, pivots = echelon(matrix)
    n = matrix.shape[1]
    free = np.setdiff1d(np.arange(n), pivots)
    out = np.zeros((len(free), n), bool)
    out[np.arange(len(free)), free] = True
    out[:, pivots] = rows[:, free].T
    return out
