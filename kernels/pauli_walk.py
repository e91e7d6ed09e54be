"""What dropped Pauli strings would have contributed, were their signs random."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.pauli_strings import Bytes, Ints, Words
from qdt_emu.kernels.randomness import uniform

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def walk(
    keys: Words,
    after: Ints,
    drawn: int,
    place: Words,
    matrices: Floats,
    moving: Bytes,
    polarization: Floats,
    out: Floats,
) -> None:
    """Carry single strings on through the later maps, at random as the squares of the branches.

    A string becomes code j with chance R[i, j]^2 / sum_j R[i, j]^2, and its weight is multiplied by
    that sum. The mean of what it is worth at the start of the circuit is the mean square of its
    expectation value when branches meet with random signs, as for random angles.

    Args:
        keys: Strings, shape (room, words); overwritten.
        after: The map after which each begins.
        drawn: Number of strings.
        place: Where each map acts, latest map first, shape (maps, 6), see `code_at`.
        matrices: From code to code, shape (rows, 16, 16).
        moving: Whether a code takes part, shape (rows, 16).
        polarization: <Z> of each qubit at the start of the circuit.
        out: Worth of each string and its weight alone, shape (2, room).

    Cost:
        About 1 ns per string and map.
    """
    words, maps = keys.shape[1], place.shape[0]
    key = np.empty(words, np.uint64)
    for s in range(drawn):
        for w in range(words):
            key[w] = keys[s, w]
        worth = 1.0
        for m in range(after[s] + 1, maps):
            where = place[m]
            a = (key[where[0]] >> where[1]) & where[2]
            code = np.int64((a << np.uint64(2)) | ((key[where[3]] >> where[4]) & np.uint64(3)))
            if moving[where[5], code] == 0:
                continue
            row = matrices[where[5], code]
            total = 0.0
            for j in range(16):
                total += row[j] * row[j]
            worth *= total
            left = uniform(np.uint64(s), m, 0) * total
            target = 0
            for j in range(16):
                if row[j] != 0.0:
                    target = j
                    left -= row[j] * row[j]
                    if left < 0.0:
                        break
            turn = np.uint64(code ^ target)
            key[where[0]] ^= (turn >> np.uint64(2)) << where[1]
            key[where[3]] ^= (turn & np.uint64(3)) << where[4]
        out[1, s] = worth
        for q in range(polarization.size):
            code = np.int64((key[q >> 5] >> np.uint64(2 * (q & 31))) & np.uint64(3))
            if code == 3:
                worth *= polarization[q] ** 2
            elif code:
                worth = 0.0
        out[0, s] = worth
