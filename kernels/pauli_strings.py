"""Pauli strings as words of bits, and a table that gathers those that agree outside of two qubits.

A string has two bits per qubit: qubit q is at bits 2 (q % 32) of word q // 32, and 0, 1, 2, 3 mean
I, X, Y, Z. Strings are columns: `keys[i, w]` is word w of string i, so that looking at one qubit of
all strings reads memory in a row. The string of all I marks a free place in a list.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Number = int | np.int64

GROUP = np.uint64(0x7FFFFFFF)
STAMPS = 2**20 - 1
EVERY_BIT = np.uint64(0xFFFFFFFFFFFFFFFF)
EVERY_QUBIT = np.uint64(0x5555555555555555)
FOURS = np.uint64(0x3333333333333333)
NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
STEP = np.uint64(0xD1342543DE82EF95)
MIX = np.uint64(0xBF58476D1CE4E5B9)


@njit(cache=True, nogil=True, error_model="numpy")
def weight(key: Words) -> int:
    """Return the number of qubits that are not I."""
    total = 0
    for w in range(key.size):
        x = (key[w] | (key[w] >> np.uint64(1))) & EVERY_QUBIT
        x = (x & FOURS) + ((x >> np.uint64(2)) & FOURS)
        x = (x + (x >> np.uint64(4))) & NIBBLES
        x += x >> np.uint64(8)
        x += x >> np.uint64(16)
        total += int((x + (x >> np.uint64(32))) & np.uint64(127))
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def code_at(keys: Words, i: Number, where: Words) -> np.uint64:
    """Return the code of a string on the qubits of a map.

    Args:
        keys: Strings, shape (room, words).
        i: Which.
        where: Word and shift of a, mask of a (0 for a map on one qubit), word and shift of b, and
            row of the tables.
    """
    a = (keys[i, where[0]] >> where[1]) & where[2]
    return np.uint64((a << np.uint64(2)) | ((keys[i, where[3]] >> where[4]) & np.uint64(3)))


@njit(cache=True, nogil=True, error_model="numpy")
def outside(where: Words, clear: Words) -> None:
    """Write the bits of all qubits that a map does not touch."""
    clear[:] = EVERY_BIT
    clear[where[0]] &= ~(where[2] << where[1])
    clear[where[3]] &= ~(np.uint64(3) << where[4])


@njit(cache=True, nogil=True, error_model="numpy")
def touched(keys: Words, used: int, where: Words, moving: Bytes, todo: Places) -> int:
    """List the strings that a map may change; return their number.

    Args:
        keys: Strings, shape (room, words).
        used: Number of places in use.
        where: Where the map acts, see `code_at`.
        moving: Whether a code takes part in the map, shape (rows, 16).
        todo: Overwritten with places; one more entry than there are places in use.
    """
    n = 0
    takes = moving[where[5]]
    a, left, mask, b, right = where[0], where[1], where[2], where[3], where[4]
    for i in range(used):  # no branch: most maps touch an unforeseeable fifth of the strings
        code = ((keys[i, a] >> left) & mask) << np.uint64(2)
        code |= (keys[i, b] >> right) & np.uint64(3)
        todo[n] = i
        n += takes[code]
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def hashed(keys: Words, i: Number, clear: Words) -> np.uint64:
    """Return 64 mixed bits of a string on the bits of `clear`."""
    h, odd = np.uint64(0), GOLDEN
    for w in range(clear.size):
        h += (keys[i, w] & clear[w]) * odd
        odd *= STEP
    return np.uint64((h ^ (h >> np.uint64(32))) * MIX)


@njit(cache=True, nogil=True, error_model="numpy")
def gathered(
    keys: Words,
    todo: Places,
    changed: int,
    clear: Words,
    stamp: int,
    heads: Places,
    links: Places,
    table: Words,
) -> int:
    """Group strings that agree on the bits of `clear`; return the number of groups.

    Args:
        keys: Strings, shape (room, words).
        todo: Places of the strings.
        changed: How many of them.
        clear: Bits to compare, shape (words,).
        stamp: Different from all before it (up to 2^20), so that the table need not be emptied.
        heads: Overwritten with the last entry of `todo` of each group.
        links: Overwritten with the entry before each entry of `todo` in its group, or -1.
        table: Open addressing. An entry is the stamp (20 bits), a part of the hash (13), and the
            group (31).
    """
    spread = 64
    while spread < 2 * changed:
        spread *= 2
    last = np.uint64(spread - 1)
    mark = np.uint64(stamp & STAMPS)
    if mark == 0:
        table[:] = 0
        mark = np.uint64(STAMPS)
    words, groups = keys.shape[1], 0
    for t in range(changed):
        i = todo[t]
        h = hashed(keys, i, clear)
        tag = (mark << np.uint64(13)) | (h >> np.uint64(51))
        at = (h ^ (h >> np.uint64(29))) & last
        while True:
            entry = table[at]
            if entry >> np.uint64(44) != mark:
                table[at] = (tag << np.uint64(31)) | np.uint64(groups)
                heads[groups], links[t] = t, -1
                groups += 1
                break
            if entry >> np.uint64(31) == tag:
                g = entry & GROUP
                j = todo[heads[g]]
                different = np.uint64(0)
                for w in range(words):
                    different |= (keys[i, w] ^ keys[j, w]) & clear[w]
                if different == 0:
                    links[t], heads[g] = heads[g], t
                    break
            at = (at + np.uint64(1)) & last
    return groups


@njit(cache=True, nogil=True, error_model="numpy")
def support(keys: Words, used: int, out: Words) -> None:
    """Write the union of the qubits that are not I, as 01 in the two bits of each."""
    out[:] = 0
    for w in range(out.size):
        bits = np.uint64(0)
        for i in range(used):
            bits |= keys[i, w]
        out[w] = (bits | (bits >> np.uint64(1))) & EVERY_QUBIT


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
