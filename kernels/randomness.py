"""Random numbers by counter: one for each (seed, shot, place), in any order, on any thread."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Index = int | np.int64
"""What an element of an index array is to a type checker; to Numba it is one type."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ROLES = np.uint64(8)
"""Counters per item: the roles 0 .. 7 of `uniform` never collide."""


@njit(cache=True, nogil=True, error_model="numpy")
def mix(x: np.uint64) -> np.uint64:
    """Return 64 well mixed bits of a 64-bit number.

    Source:
        Steele, Lea and Flood, OOPSLA 2014, the finalizer of SplitMix64.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, error_model="numpy")
def uniform(key: np.uint64, item: Index, role: Index) -> float:
    """Return the number in [0, 1) that belongs to this item and role of the shot with `key`."""
    counter = np.uint64(item) * ROLES + np.uint64(role) + np.uint64(1)
    return float(np.uint64(mix(key + counter * GOLDEN)) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def shot_keys(seed: np.uint64, first: Index, shots: Index) -> NDArray[np.uint64]:
    """Return the keys of the shots `first` .. `first + shots - 1`, shape (shots,)."""
    keys = np.empty(shots, np.uint64)
    for s in range(shots):
        own = np.uint64(mix(np.uint64(first + s) * GOLDEN + np.uint64(1)))
        keys[s] = mix(np.uint64(mix(seed + GOLDEN)) ^ own)
    return keys


@njit(cache=True, nogil=True, error_model="numpy")
def draw_codes(
    keys: NDArray[np.uint64],
    live: NDArray[np.int64],
    items: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    private: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    digests: NDArray[np.uint64],
    firsts: NDArray[np.int64],
) -> None:
    """Draw which events happen in every shot, as far as that does not depend on the state.

    Args:
        keys: Key of each shot, shape (shots,).
        live: Columns that can fire at all.
        items: Item of each column, shape (columns,).
        cumulative: Cumulative probabilities of the codes 1, 2, ..., shape (columns, 16).
        private: 1 where an event's outcome depends on the state, shape (columns,).
        codes: Output, shape (shots, columns), zero on entry.
        digests: Output, shape (shots,): equal for shots with the same events and, up to chance
            2**-64, only for these. Shots with a private event have a digest of their own.
        firsts: Output, shape (shots,): first column that fired, or the number of columns.

    Cost:
        About 2 ns per shot and live column.
    """
    for s in range(len(keys)):
        digest = np.uint64(0)
        first = len(items)
        alone = False
        for c in live:
            u = uniform(keys[s], items[c], 0)
            if u >= cumulative[c, 15]:
                continue
            code = 1
            while u >= cumulative[c, code - 1]:
                code += 1
            codes[s, c] = code
            first = min(first, c)
            digest = mix(digest + GOLDEN * np.uint64(16 * c + code))
            alone |= private[c] != 0
        digests[s] = keys[s] if alone else digest
        firsts[s] = first


@njit(cache=True, nogil=True, error_model="numpy")
def draw_detuning(
    keys: NDArray[np.uint64], detuning: NDArray[np.float64], item: Index
) -> NDArray[np.float64]:
    """Return each shot's detuning, sigma * N(0, 1) +- splitting / 2, shape (shots, n_qubits).

    Args:
        keys: Keys of the shots.
        detuning: (sigma, splitting) of each qubit, shape (n_qubits, 2).
        item: Item of the first qubit's random numbers.

    Source:
        Box and Muller, Ann. Math. Stat. 29, 610 (1958).
    """
    out = np.empty((len(keys), len(detuning)))
    for s in range(len(keys)):
        for q in range(len(detuning)):
            radius = np.sqrt(-2.0 * np.log(1.0 - uniform(keys[s], item + q, 0)))
            normal = radius * np.cos(2.0 * np.pi * uniform(keys[s], item + q, 1))
            sign = 0.5 if uniform(keys[s], item + q, 2) < 0.5 else -0.5
            out[s, q] = detuning[q, 0] * normal + sign * detuning[q, 1]
    return out
