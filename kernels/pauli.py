"""Sums of Pauli strings under local maps: the work of the `pauli` engine.

A string is a row of 64-bit words with two bits per qubit: qubit q is at bits 2 (q % 32) of word
q // 32, and 0, 1, 2, 3 mean I, X, Y, Z. A sum is a list of different strings with coefficients and
an open-addressing table that finds a string's place in the list.

A map on qubits (a, b) acts on the pair's code 4 * P_a + P_b by a 16 x 16 matrix, a map on one qubit
by the upper left 4 x 4. Codes fall into orbits that the matrix does not connect; so strings meet
only within the orbit of their code, the rest of the string being the same.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Number = int | np.int64
Sum = tuple[Words, Floats, Words, Words, Words]
"""Strings (room, words), coefficients, the last map that changed each, a list of places, and the
table: hash in the high 32 bits, place in the low ones."""
Tables = tuple[Floats, Bytes, Bytes, Bytes]
"""Matrices (rows, 16, 16) from code to code; number of codes in the orbit of a code (rows, 16); the
codes in it (rows, 16, 16); whether a code stays what it is (rows, 16)."""

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
LOW = np.uint64(0xFFFFFFFF)
EVERY_QUBIT = np.uint64(0x5555555555555555)
# Places of the counters and tallies.
USED, DEAD, SPREAD = 0, 1, 2
L1, L2, THRESHOLD, PEAK, UPDATES = 0, 1, 2, 3, 4


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
def rename(
    keys: Words, coefs: Floats, used: int, place: Words, codes: Bytes, weights: Floats
) -> None:
    """Apply maps that send different codes to different codes: strings change, none meet.

    Args:
        keys: Strings.
        coefs: Coefficients.
        used: Number of strings.
        place: Where each map acts, in order, shape (maps, 6), see `code_at`.
        codes: Target of each code, shape (rows, 16).
        weights: Its weight, 0 where the map has no target.
    """
    for i in range(used):
        key = keys[i]
        c = coefs[i]
        for m in range(place.shape[0]):
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
    keys[used] = key
    coefs[used] = coef
    seen[used] = stamp
    count[USED] = used + 1


@njit(cache=True, nogil=True, error_model="numpy")
def smaller_half(coefs: Floats, used: int) -> float:
    """Return a threshold that drops about half of the strings, at least one."""
    size = np.abs(coefs[:used])
    return float(np.nextafter(np.partition(size, used // 2)[used // 2], np.inf))


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
    terms[0][0], terms[1][0] = start, 1.0
    count[USED] = 1
    seen, live = np.zeros(start.size, np.uint64), np.empty_like(place)
    support(terms[0], 1, seen)
    fits = False  # whether the table knows the strings
    for g in range(groups.shape[0]):
        n = 0
        for m in range(groups[g, 0], groups[g, 1]):
            if reaches(seen, place[m]):
                live[n] = place[m]
                n += 1
        if n == 0:
            continue
        if groups[g, 2] == 0:
            rename(terms[0], terms[1], count[USED], live[:n], renames[0], renames[1])
            settle(terms[0], terms[1], count, tally, max_weight)
            support(terms[0], count[USED], seen)
            fits = False
            continue
        where = live[0]
        changed = moved(terms[0], count[USED], where, tables[3], terms[3])
        if changed == 0:
            continue
        if 4 * count[DEAD] > count[USED] + 64 or 2 * count[USED] > terms[1].size:
            if 2 * (count[USED] - count[DEAD]) > terms[1].size:
                tally[THRESHOLD] = max(tally[THRESHOLD], smaller_half(terms[1], count[USED]))
            settle(terms[0], terms[1], count, tally, max_weight)
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
