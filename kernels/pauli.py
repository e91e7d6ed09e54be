"""Sums of Pauli strings under local maps: the work of the `pauli` engine.

A map on qubits (a, b) acts on the pair's code 4 * P_a + P_b by a 16 x 16 matrix, a map on one qubit
by the upper left 4 x 4. Codes fall into orbits that the matrix does not connect; so strings meet
only within the orbit of their code, the rest of the string being the same.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.pauli_strings import (
    EMPTY,
    LOW,
    Bytes,
    Ints,
    Words,
    code_at,
    find,
    hash_words,
    index,
    reaches,
    support,
    turn,
    weight,
)

Floats = NDArray[np.float64]
Sum = tuple[Words, Floats, Words, Words, Words]
"""Strings (room, words), coefficients, the last map that changed each, a list of places, and the
table of `pauli_strings`."""
Tables = tuple[Floats, Bytes, Bytes, Bytes]
"""Matrices (rows, 16, 16) from code to code; number of codes in the orbit of a code (rows, 16); the
codes in it (rows, 16, 16); whether a code stays what it is (rows, 16)."""

# Places of the counters and tallies.
USED, DEAD, SPREAD = 0, 1, 2
L1, L2, THRESHOLD, PEAK, UPDATES = 0, 1, 2, 3, 4


@njit(cache=True, nogil=True, error_model="numpy")
def settle(keys: Words, coefs: Floats, count: Ints, tally: Floats, max_weight: int) -> None:
    """Close the gaps that dropped strings left; drop all that are below the threshold or heavy."""
    kept = 0
    for i in range(count[USED]):
        size = abs(coefs[i])
        if size == 0.0:
            continue
        if size < tally[THRESHOLD] or weight(keys[i]) > max_weight:
            tally[L1] += size
            tally[L2] += size * size
            continue
        if kept < i:
            coefs[kept] = coefs[i]
            for w in range(keys.shape[1]):
                keys[kept, w] = keys[i, w]
        kept += 1
    count[USED], count[DEAD] = kept, 0


@njit(cache=True, nogil=True, error_model="numpy")
def rename(
    keys: Words,
    coefs: Floats,
    used: int,
    maps: Ints,
    place: Words,
    codes: Bytes,
    weights: Floats,
) -> None:
    """Apply maps that send different codes to different codes: strings change, none meet.

    Args:
        keys: Strings.
        coefs: Coefficients.
        used: Number of strings.
        maps: Which maps, in order.
        place: Where each map acts, shape (all maps, 6), see `code_at`.
        codes: Target of each code, shape (rows, 16).
        weights: Its weight, 0 where the map has no target.
    """
    for i in range(used):
        key = keys[i]
        c = coefs[i]
        for m in maps:
            where = place[m]
            code = code_at(keys, i, where)
            if code:
                c *= weights[where[5], code]
                turn(key, code ^ np.uint64(codes[where[5], code]), where)
        coefs[i] = c


@njit(cache=True, nogil=True, error_model="numpy")
def moved(keys: Words, used: int, where: Words, still: Bytes, todo: Words) -> int:
    """List the strings that a map changes; return their number.

    Args:
        keys: Strings; dropped ones count too, for they may come back.
        used: Number of strings.
        where: Where the map acts, see `code_at`.
        still: Whether a code stays as it is, shape (rows, 16).
        todo: Overwritten with the places of the changed strings.
    """
    n = 0
    for i in range(used):
        code = code_at(keys, i, where)
        if code and not still[where[5], code]:
            todo[n] = i
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def branch(
    terms: Sum,
    changed: int,
    where: Words,
    stamp: int,
    tables: Tables,
    count: Ints,
    tally: Floats,
    max_weight: int,
) -> None:
    """Apply a map to the listed strings, orbit by orbit.

    Strings that end below the threshold are dropped: coefficient 0, place kept.

    Args:
        terms: The sum; strings that find no room in it are dropped.
        changed: Number of strings listed by `moved`.
        where: Where the map acts, see `code_at`.
        stamp: Number of this map, different from all before it.
        tables: Matrices and orbits.
        count: Number of strings in use, of dropped ones among them, of table entries in use.
        tally: Sums of what was dropped, threshold, peak, updates.
        max_weight: Heavier strings are dropped when they first appear.
    """
    matrices, sizes, orbits, _ = tables
    row = where[5]
    keys, coefs, seen, todo, table = terms
    key = np.empty(keys.shape[1], np.uint64)
    found, before = np.empty(16, np.int64), np.empty(16)
    threshold, dead = tally[THRESHOLD], 0
    for t in range(changed):
        i = todo[t]
        if seen[i] == stamp:
            continue
        for w in range(key.size):
            key[w] = keys[i, w]
        code = own = code_at(keys, i, where)
        n = sizes[row, own]
        for k in range(n):
            target = np.uint64(orbits[row, own, k])
            turn(key, code ^ target, where)
            code = target
            found[k], before[k] = i, coefs[i]
            if code != own:
                entry = table[find(keys, table, count[SPREAD], key)]
                found[k], before[k] = -1, 0.0
                if entry != EMPTY:
                    found[k], before[k] = entry & LOW, coefs[entry & LOW]
                    seen[entry & LOW] = stamp
        for k in range(n):
            target, after = np.uint64(orbits[row, own, k]), 0.0
            for m in range(n):
                after += before[m] * matrices[row, orbits[row, own, m], target]
            small = abs(after) < threshold or after == 0.0
            if found[k] >= 0:
                coefs[found[k]] = 0.0 if small else after
                dead += int(small) - int(before[k] == 0.0)
            elif not small:
                turn(key, code ^ target, where)
                code = target
                small = count[USED] == coefs.size or weight(key) > max_weight
                if not small:
                    add(terms, key, after, stamp, count)
            if small:
                tally[L1] += abs(after)
                tally[L2] += after * after
        tally[UPDATES] += n
    count[DEAD] += dead
    tally[PEAK] = max(tally[PEAK], count[USED])


@njit(cache=True, nogil=True, error_model="numpy")
def add(terms: Sum, key: Words, coef: float, stamp: int, count: Ints) -> None:
    """Add a string; the sum must have room and not hold the string."""
    keys, coefs, seen, _, table = terms
    used = count[USED]
    if 2 * used >= count[SPREAD]:
        count[SPREAD] = index(keys, table, used, 2 * used)
    h = np.uint64(hash_words(key))
    table[find(keys, table, count[SPREAD], key)] = (h & ~LOW) | np.uint64(used)
    for w in range(key.size):
        keys[used, w] = key[w]
    coefs[used] = coef
    seen[used] = stamp
    count[USED] = used + 1


@njit(cache=True, nogil=True, error_model="numpy")
def thin(terms: Sum, count: Ints, tally: Floats, max_weight: int) -> bool:
    """Close gaps when there are many, drop small strings when half of the room is taken.

    Returns:
        Whether strings moved, so that the table must be made again.
    """
    half = terms[1].size // 2
    if 4 * count[DEAD] <= count[USED] + 64 and count[USED] <= half:
        return False
    if count[USED] - count[DEAD] > half:
        tally[THRESHOLD] = raised(terms[1], count[USED], tally[THRESHOLD])
    settle(terms[0], terms[1], count, tally, max_weight)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def raised(coefs: Floats, used: int, threshold: float) -> float:
    """Return the threshold, doubled until it drops at least half of the strings."""
    largest = 0.0
    for i in range(used):
        largest = max(largest, abs(coefs[i]))
    threshold = max(threshold, largest * 2.0**-50)
    while True:
        small = 0
        for i in range(used):
            small += abs(coefs[i]) < threshold
        if 2 * small >= used:
            return threshold
        threshold *= 2


@njit(cache=True, nogil=True, error_model="numpy")
def propagate(
    start: Words,
    place: Words,
    groups: Ints,
    tables: Tables,
    renames: tuple[Bytes, Floats],
    threshold: float,
    max_weight: int,
    terms: Sum,
    polarization: Floats,
) -> Floats:
    """Return the expectation value of a string that went back through all maps, and the account.

    Args:
        start: The string, shape (words,).
        place: Where each map acts, latest map first, shape (maps, 6), see `code_at`.
        groups: Shape (groups, 3): first map, one after the last, and 0 for maps that only rename
            or 1 for a single map that branches.
        tables: Matrices and orbits.
        renames: Target of each code and its weight, shape (rows, 16), of maps that only rename.
        threshold: Strings with smaller coefficients are dropped after each branching.
        max_weight: Heavier strings are dropped.
        terms: Arrays to work in, their contents arbitrary but for `seen`, which is 0. When more
            than half of the room is taken the smaller half of the strings goes, and the threshold
            rises to what that takes.
        polarization: <Z> of each qubit at the start of the circuit.

    Returns:
        (value, sum of |c| dropped, sum of c^2 dropped, last threshold, most strings at a time,
        strings changed).

    Cost:
        About 1 ns per string and map for looking, 30 ns per string that branches.
    """
    tally, count = np.zeros(5), np.zeros(3, np.int64)
    tally[THRESHOLD] = threshold
    for w in range(start.size):
        terms[0][0, w] = start[w]
    terms[1][0] = 1.0
    count[USED] = 1
    seen, live = np.zeros(start.size, np.uint64), np.empty(place.shape[0], np.int64)
    support(terms[0], 1, seen)
    fits = False  # whether the table knows the strings
    for g in range(groups.shape[0]):
        n = 0
        for m in range(groups[g, 0], groups[g, 1]):
            if reaches(seen, place[m]):
                live[n] = m
                n += 1
        if n == 0:
            continue
        if groups[g, 2] == 0:
            rename(terms[0], terms[1], count[USED], live[:n], place, renames[0], renames[1])
            settle(terms[0], terms[1], count, tally, max_weight)
            support(terms[0], count[USED], seen)
            fits = False
            continue
        where = place[live[0]]
        changed = moved(terms[0], count[USED], where, tables[3], terms[3])
        if changed == 0:
            continue
        if thin(terms, count, tally, max_weight):
            support(terms[0], count[USED], seen)
            reaches(seen, where)
            changed = moved(terms[0], count[USED], where, tables[3], terms[3])
            fits = False
        if not fits:
            count[SPREAD] = index(terms[0], terms[4], count[USED], 2 * count[USED])
            fits = True
        branch(terms, changed, where, g + 1, tables, count, tally, max_weight)
    value = at_start(terms[0], terms[1], count[USED], polarization)
    return np.array([value, tally[L1], tally[L2], tally[THRESHOLD], tally[PEAK], tally[UPDATES]])


@njit(cache=True, nogil=True, error_model="numpy")
def at_start(keys: Words, coefs: Floats, used: int, polarization: Floats) -> float:
    """Return the expectation value of a sum in a product of thermal states."""
    total = 0.0
    for i in range(used):
        c = coefs[i]
        for q in range(polarization.size):
            code = (keys[i, q >> 5] >> np.uint64(2 * (q & 31))) & np.uint64(3)
            if code == 3:
                c *= polarization[q]
            elif code:
                c = 0.0
                break
        total += c
    return total
