"""Random numbers and records of shots drawn from a network state."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index, uniform


@njit(cache=True, nogil=True, error_model="numpy")
def uniforms(keys: NDArray[np.uint64], item: Index, n: Index) -> NDArray[np.float64]:
    """Return the numbers of the items `item` .. `item + n - 1` of each shot, shape (shots, n)."""
    out = np.empty((len(keys), n))
    for s in range(len(keys)):
        for q in range(n):
            out[s, q] = uniform(keys[s], item + q, 0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def read_leaf(
    drawn: NDArray[np.uint8],
    leaf: NDArray[np.int64],
    leaked: NDArray[np.uint8],
    confusion: NDArray[np.float64],
    keys: NDArray[np.uint64],
    item: Index,
    bits: NDArray[np.uint8],
) -> None:
    """Write the last measurements of shots as the processor reads them.

    Args:
        drawn: True bits, shape (shots, k).
        leaf: (qubit, qubit, clbit, slot) of each measurement, slot -1 in a pair, shape (k, 4).
        leaked: 1 for a qubit outside of the computational space: it reads 1, and 3 in a pair.
        confusion: P(1 | 0) and P(0 | 1) by slot.
        keys: Keys of the shots.
        item: Item before that of the first measurement.
        bits: Output, shape (shots, clbits).
    """
    for s in range(len(keys)):
        for j in range(len(leaf)):
            slot = leaf[j, 3]
            bit = drawn[s, j]
            if leaked[leaf[j, 0]]:
                bit = np.uint8(1 if slot >= 0 else 3)
            elif slot >= 0 and uniform(keys[s], item + 1 + j, 2) < confusion[slot, bit]:
                bit = np.uint8(1 - bit)
            bits[s, leaf[j, 2]] = bit
