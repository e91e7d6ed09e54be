"""Pauli strings as words of bits, and a table that finds them.

A string is a row of 64-bit words with two bits per qubit: qubit q is at bits 2 (q % 32) of word
q // 32, and 0, 1, 2, 3 mean I, X, Y, Z. A list of different strings has an open-addressing table
that finds a place in the list: hash in the high 32 bits of an entry, place in the low ones.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Number = int | np.int64

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
LOW = np.uint64(0xFFFFFFFF)
EVERY_QUBIT = np.uint64(0x5555555555555555)


@njit(cache=True, nogil=True, error_model="numpy")
def hash_words(key: Words) -> np.uint64:
    """Return 64 well mixed bits of a string."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(key.size):
        h = (h ^ key[w]) * np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(29)
    h *= np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(32))


@njit(cache=True, nogil=True, error_model="numpy")
def weight(key: Words) -> int:
    """Return the number of qubits that are not I."""
    total = 0
    for w in range(key.size):
        x = (key[w] | (key[w] >> np.uint64(1))) & EVERY_QUBIT
        while x:
            x &= x - np.uint64(1)
            total += 1
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def find(keys: Words, table: Words, spread: int, key: Words) -> Number:
    """Return where the table holds a string, or the empty entry where it belongs.

    Args:
        keys: Strings of the sum.
        table: Entries; `spread` of them (a power of 2) are in use.
        spread: Entries in use.
        key: The string, shape (words,).
    """
    h = np.uint64(hash_words(key))
    last = np.uint64(spread - 1)
    at = h & last
    tag = h >> np.uint64(32)
    while True:
        entry = table[at]
        if entry == EMPTY:
            return np.int64(at)
        if entry >> np.uint64(32) == tag:
            place = entry & LOW
            same = True
            for w in range(key.size):
                same &= keys[place, w] == key[w]
            if same:
                return np.int64(at)
        at = (at + np.uint64(1)) & last


@njit(cache=True, nogil=True, error_model="numpy")
def index(keys: Words, table: Words, used: int, expected: int) -> int:
    """Fill the table with the first `used` strings, with space for as many as are expected.

    Returns:
        The number of entries in use, a power of 2.
    """
    spread = 64
    while spread < 2 * expected and 2 * spread <= table.size:
        spread *= 2
    table[:spread] = EMPTY
    last = np.uint64(spread - 1)
    for i in range(used):
        h = np.uint64(hash_words(keys[i]))
        at = h & last
        while table[at] != EMPTY:  # all strings differ
            at = (at + np.uint64(1)) & last
        table[at] = (h & ~LOW) | np.uint64(i)
    return spread


@njit(cache=True, nogil=True, error_model="numpy")
def code_at(keys: Words, i: Number, where: Words) -> np.uint64:
    """Return the code of a string on the qubits of a map.

    Args:
        keys: Strings.
        i: Which.
        where: Word and shift of a, mask of a (0 for a map on one qubit), word and shift of b, and
            row of the tables.
    """
    a = (keys[i, where[0]] >> where[1]) & where[2]
    return np.uint64((a << np.uint64(2)) | ((keys[i, where[3]] >> where[4]) & np.uint64(3)))


@njit(cache=True, nogil=True, error_model="numpy")
def turn(key: Words, change: np.uint64, where: Words) -> None:
    """Change the code of a string on the qubits of a map by XOR."""
    key[where[0]] ^= (change >> np.uint64(2)) << where[1]
    key[where[3]] ^= (change & np.uint64(3)) << where[4]


@njit(cache=True, nogil=True, error_model="numpy")
def support(keys: Words, used: int, out: Words) -> None:
    """Write the union of the qubits that are not I, as 01 in the two bits of each."""
    out[:] = 0
    for i in range(used):
        for w in range(out.size):
            out[w] |= keys[i, w]
    for w in range(out.size):
        out[w] = (out[w] | (out[w] >> np.uint64(1))) & EVERY_QUBIT


@njit(cache=True, nogil=True, error_model="numpy")
def reaches(seen: Words, where: Words) -> bool:
    """Return whether a map touches the support; if so, extend the support by its qubits."""
    one = np.uint64(1)
    at_a, at_b = (where[2] & one) << where[1], one << where[4]
    if (seen[where[0]] & at_a) | (seen[where[3]] & at_b) == 0:
        return False
    seen[where[0]] |= at_a
    seen[where[3]] |= at_b
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def cone(where: Ints, inside: Bytes) -> Bytes:
    """Return which maps can change an observable, and extend its qubits by theirs.

    Args:
        where: (first qubit or -1, second qubit, ...), latest map first.
        inside: Whether the observable is on a qubit, shape (n_qubits,); changed in place.

    Returns:
        Shape (maps,).
    """
    kept = np.zeros(where.shape[0], np.uint8)
    for m in range(where.shape[0]):
        a, b = where[m, 0], where[m, 1]
        if inside[b] or (a >= 0 and inside[a]):
            kept[m] = inside[b] = 1
            if a >= 0:
                inside[a] = 1
    return kept
