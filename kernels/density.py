"""Small real matrices on chosen axes of a large array: the work of the `density` engine."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(
    matrix: NDArray[np.float64], lanes: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Write `matrix @ lanes` to `out`, four rows by four columns at a time.

    Sixteen coefficients stay in registers while the lanes stream by; the loop over lanes is the
    one that the compiler vectorises, so that no sum is reordered.

    Args:
        matrix: Shape (rows, cols), both multiples of 4.
        lanes: Shape (cols, n).
        out: Shape (rows, n), overwritten.

    Cost:
        2 * rows * cols * n flops at about 25 GFLOP/s on one AVX2 core for n = 128 (a BLAS call
        reaches 16, because the matrix is small).
    """
    rows, cols = matrix.shape
    n = lanes.shape[1]
    for i in range(0, rows, 4):
        for k in range(0, cols, 4):
            a0, a1, a2, a3 = matrix[i, k], matrix[i, k + 1], matrix[i, k + 2], matrix[i, k + 3]
            j = i + 1
            b0, b1, b2, b3 = matrix[j, k], matrix[j, k + 1], matrix[j, k + 2], matrix[j, k + 3]
            j = i + 2
            c0, c1, c2, c3 = matrix[j, k], matrix[j, k + 1], matrix[j, k + 2], matrix[j, k + 3]
            j = i + 3
            d0, d1, d2, d3 = matrix[j, k], matrix[j, k + 1], matrix[j, k + 2], matrix[j, k + 3]
            if k == 0:
                for x in range(n):
                    p, q, r, s = lanes[k, x], lanes[k + 1, x], lanes[k + 2, x], lanes[k + 3, x]
                    out[i, x] = a0 * p + a1 * q + a2 * r + a3 * s
                    out[i + 1, x] = b0 * p + b1 * q + b2 * r + b3 * s
                    out[i + 2, x] = c0 * p + c1 * q + c2 * r + c3 * s
                    out[i + 3, x] = d0 * p + d1 * q + d2 * r + d3 * s
            else:
                for x in range(n):
                    p, q, r, s = lanes[k, x], lanes[k + 1, x], lanes[k + 2, x], lanes[k + 3, x]
                    out[i, x] += a0 * p + a1 * q + a2 * r + a3 * s
                    out[i + 1, x] += b0 * p + b1 * q + b2 * r + b3 * s
                    out[i + 2, x] += c0 * p + c1 * q + c2 * r + c3 * s
                    out[i + 3, x] += d0 * p + d1 * q + d2 * r + d3 * s


@njit(cache=True, nogil=True, error_model="numpy")
def contract(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    matrix: NDArray[np.float64],
    outer: NDArray[np.int64],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    lanes: NDArray[np.int64],
    start: int,
    stop: int,
) -> None:
    """Apply a matrix to some axes of a flat array: y[out + row i] = sum_k m[i, k] x[in + col k].

    Every axis that the matrix does not touch is split into blocks and lanes by the caller, who
    lists their positions; so any order of axes, any number of them, and different shapes before
    and after are the same loop. `x` and `y` may be one array when input and output positions agree.

    Args:
        x: Input, flat.
        y: Output, flat.
        matrix: Shape (multiple of 4, multiple of 4), zero beyond the rows and columns in use.
        outer: Positions of the blocks in `x` and `y`, shape (2, blocks).
        rows: Positions of the output rows within a block of `y`.
        cols: Positions of the input rows within a block of `x`.
        lanes: Positions of the lanes within a row of `x` and of `y`, shape (2, n).
        start: First block.
        stop: One after the last block; threads share the work by blocks.

    Cost:
        One read and one write of the array; 2 * rows * cols flops per lane. 128 lanes keep both
        buffers of a 16 x 16 matrix in a 32 kB cache.
    """
    n = lanes.shape[1]
    a = np.zeros((matrix.shape[1], n))
    b = np.empty((matrix.shape[0], n))
    contiguous = lanes[0, n - 1] == n - 1 and lanes[1, n - 1] == n - 1
    for block in range(start, stop):
        for k in range(cols.size):
            at = outer[0, block] + cols[k]
            if contiguous:
                row = x[at : at + n]  # a view, and unsigned below: no test of every index's sign
                for z in range(n):
                    a[k, z] = row[z]
            else:
                for z in range(n):
                    a[k, z] = x[np.uint64(at + lanes[0, z])]
        multiply(matrix, a, b)
        for i in range(rows.size):
            at = outer[1, block] + rows[i]
            if contiguous:
                row = y[at : at + n]
                for z in range(n):
                    row[z] = b[i, z]
            else:
                for z in range(n):
                    y[np.uint64(at + lanes[1, z])] = b[i, z]


@njit(cache=True, nogil=True, error_model="numpy")
def overlap(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    outer: NDArray[np.int64],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    lanes: NDArray[np.int64],
    start: int,
    stop: int,
) -> NDArray[np.float64]:
    """Return g[i, k] = sum over blocks and lanes of y[out + row i] x[in + col k].

    The derivative of `contract` with respect to its matrix when `y` holds the derivative with
    respect to its output. Arguments as in `contract`.

    Returns:
        Shape (rows, cols), both rounded up to multiples of 4.
    """
    n = lanes.shape[1]
    wide = n + (-n) % 4
    a = np.zeros((wide, cols.size + (-cols.size) % 4))
    b = np.zeros((rows.size + (-rows.size) % 4, wide))
    part = np.empty((b.shape[0], a.shape[1]))
    out = np.zeros((b.shape[0], a.shape[1]))
    for block in range(start, stop):
        for z in range(n):
            at = outer[0, block] + lanes[0, z]
            for k in range(cols.size):
                a[z, k] = x[at + cols[k]]
        for i in range(rows.size):
            at = outer[1, block] + rows[i]
            for z in range(n):
                b[i, z] = y[at + lanes[1, z]]
        multiply(b, a, part)
        for i in range(out.shape[0]):
            for k in range(out.shape[1]):
                out[i, k] += part[i, k]
    return out
