"""Sums of Pauli strings under local maps: the work of the `pauli` engine.

A string is a row of 64-bit words with two bits per qubit: qubit q is at bits 2 (q % 32) of word
q // 32, and 0, 1, 2, 3 mean I, X, Y, Z. A sum is a list of different strings with coefficients and
an open-addressing table that finds a string's place in the list.

A map on qubits (a, b) sends the pair's code 4 * P_a + P_b to a short list of codes with weights; a
map on one qubit has `both == 0` and codes 0 .. 3. Codes and weights stand in tables shared by all
maps of a program.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Place = int | np.int64
Sum = tuple[Words, Floats, Floats, Ints, Words]
"""Strings (room, words), coefficients, arriving coefficients (0 between maps), a list of places,
and the table: hash in the high 32 bits, place in the low ones."""

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
LOW = np.uint64(0xFFFFFFFF)
EVERY_QUBIT = np.uint64(0x5555555555555555)
PREFILTER = 0.125  # of the threshold; a smaller contribution to an absent string is not stored
FIRST_ROOM = 1024
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
def find(keys: Words, table: Words, spread: int, key: Words, h: np.uint64) -> Place:
    """Return where the table holds a string, or the empty entry where it belongs.

    Args:
        keys: Strings of the sum.
        table: Entries; `spread` of them (a power of 2) are in use.
        spread: Entries in use.
        key: The string, shape (words,).
        h: Its hash.
    """
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
        h = hash_words(keys[i])
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
def rename(
    keys: Words,
    coefs: Floats,
    used: int,
    maps: Ints,
    place: Ints,
    codes: Bytes,
    weights: Floats,
) -> None:
    """Apply maps that send different codes to different codes: strings change, none meet.

    Args:
        keys: Strings.
        coefs: Coefficients.
        used: Number of strings.
        maps: Which maps, in order.
        place: Shape (maps, 6): word and shift of a, mask of a, word and shift of b, row of the
            tables.
        codes: First target of each code, shape (rows, 16).
        weights: Its weight, 0 where the map has no target.
    """
    for i in range(used):
        key = keys[i]
        c = coefs[i]
        for m in maps:
            wa, sa, both = place[m, 0], np.uint64(place[m, 1]), np.uint64(place[m, 2])
            wb, sb, row = place[m, 3], np.uint64(place[m, 4]), place[m, 5]
            code = (((key[wa] >> sa) & both) << np.uint64(2)) | ((key[wb] >> sb) & np.uint64(3))
            if code:
                c *= weights[row, code]
                change = code ^ np.uint64(codes[row, code])
                key[wa] ^= (change >> np.uint64(2)) << sa
                key[wb] ^= (change & np.uint64(3)) << sb
        coefs[i] = c


@njit(cache=True, nogil=True, error_model="numpy")
def moved(keys: Words, used: int, where: Ints, still: Bytes, todo: Ints) -> int:
    """List the strings that a map changes; return their number.

    Args:
        keys: Strings.
        used: Number of strings.
        where: The map's row of `place`, see `rename`.
        still: Whether the code just stays as it is, shape (rows, 16).
        todo: Overwritten with the places of the changed strings.
    """
    wa, sa, both = where[0], np.uint64(where[1]), np.uint64(where[2])
    wb, sb, row = where[3], np.uint64(where[4]), where[5]
    n = 0
    for i in range(used):
        code = (((keys[i, wa] >> sa) & both) << np.uint64(2)) | ((keys[i, wb] >> sb) & np.uint64(3))
        if code and not still[row, code]:  # dropped ones too: they may come back
            todo[n] = i
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def branch(
    terms: Sum,
    changed: int,
    where: Ints,
    tables: tuple[Bytes, Bytes, Floats, Bytes],
    count: Ints,
    tally: Floats,
    max_weight: int,
    max_terms: int,
) -> Sum:
    """Apply a map that sends the listed strings to several strings each, which may meet.

    Contributions arrive in an array of their own, so that every string gives what it had before
    the map. Strings that end below the threshold are dropped: coefficient 0, place kept.

    Args:
        terms: The sum.
        changed: Number of strings listed by `moved`.
        where: The map's row of `place`, see `rename`.
        tables: counts, codes (rows, 16, 16), weights (rows, 16, 16), still.
        count: Number of strings in use, of dropped ones among them, of table entries in use.
        tally: Sums of what was dropped, threshold, peak, updates.
        max_weight: Heavier strings are dropped when they first appear.
        max_terms: New strings that find no room are dropped.

    Returns:
        The sum, in larger arrays where it outgrew its own.
    """
    keys, coefs, arriving, todo, table = terms
    counts, codes, weights, still = tables
    wa, sa, both = where[0], np.uint64(where[1]), np.uint64(where[2])
    wb, sb, row = where[3], np.uint64(where[4]), where[5]
    threshold = tally[THRESHOLD]
    first_new = used = count[USED]
    key = np.empty(keys.shape[1], np.uint64)
    for t in range(changed):
        i = todo[t]
        c = coefs[i]
        if c == 0.0:
            continue
        key[:] = keys[i]
        code = (((key[wa] >> sa) & both) << np.uint64(2)) | ((key[wb] >> sb) & np.uint64(3))
        for k in range(counts[row, code]):
            value = c * weights[row, code, k]
            target = np.uint64(codes[row, code, k])
            change = code ^ target
            if change == 0:
                arriving[i] += value
                continue
            key[wa] ^= (change >> np.uint64(2)) << sa
            key[wb] ^= (change & np.uint64(3)) << sb
            h = hash_words(key)
            at = find(keys, table, count[SPREAD], key, h)
            if table[at] != EMPTY:
                j = np.int64(table[at] & LOW)
                if still[row, target] and j < first_new:  # gives nothing, so may be changed now
                    coefs[j] += value
                else:
                    arriving[j] += value
            elif (
                abs(value) <= PREFILTER * threshold or used == max_terms or weight(key) > max_weight
            ):
                tally[L1] += abs(value)
                tally[L2] += value * value
            else:
                if used == coefs.size:
                    terms = room_for(terms, used, 2 * used)
                    keys, coefs, arriving, todo, table = terms
                    count[SPREAD] = index(keys, table, used, 2 * used)
                    at = find(keys, table, count[SPREAD], key, h)
                keys[used] = key
                coefs[used] = 0.0
                arriving[used] = value
                table[at] = (h & ~LOW) | np.uint64(used)
                used += 1
                if 2 * used > count[SPREAD]:
                    count[SPREAD] = index(keys, table, used, 2 * used)
            key[:] = keys[i]
    count[DEAD] += take(coefs, arriving, todo, changed, tally)
    for t in range(used - first_new):
        todo[t] = first_new + t
    count[DEAD] += used - first_new + take(coefs, arriving, todo, used - first_new, tally)
    count[USED] = used
    tally[UPDATES] += changed + used - first_new
    tally[PEAK] = max(tally[PEAK], used)
    return terms


@njit(cache=True, nogil=True, error_model="numpy")
def take(coefs: Floats, arriving: Floats, todo: Ints, n: int, tally: Floats) -> int:
    """Make what arrived the coefficient, drop what is below the threshold.

    Returns:
        By how much the number of zero coefficients grew.
    """
    grown = 0
    for t in range(n):
        j = todo[t]
        size = abs(arriving[j])
        if coefs[j] == 0.0:
            grown -= 1
        if size < tally[THRESHOLD] or size == 0.0:
            tally[L1] += size
            tally[L2] += size * size
            coefs[j] = 0.0
            grown += 1
        else:
            coefs[j] = arriving[j]
        arriving[j] = 0.0
    return grown


@njit(cache=True, nogil=True, error_model="numpy")
def room_for(terms: Sum, used: int, room: int) -> Sum:
    """Return the sum with places for `room` strings (a power of 2) and an empty table."""
    keys = np.empty((room, terms[0].shape[1]), np.uint64)
    coefs, arriving = np.empty(room), np.zeros(room)
    todo, table = np.empty(room, np.int64), np.empty(2 * room, np.uint64)
    keys[:used], coefs[:used] = terms[0][:used], terms[1][:used]
    arriving[:used], todo[:used] = terms[2][:used], terms[3][:used]
    return keys, coefs, arriving, todo, table


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
def reaches(seen: Words, where: Ints) -> bool:
    """Return whether a map touches the support; if so, extend the support by its qubits."""
    wa, sa, both = where[0], np.uint64(where[1]), np.uint64(where[2])
    wb, sb, one = where[3], np.uint64(where[4]), np.uint64(1)
    touched = ((seen[wa] >> sa) & both & one) | ((seen[wb] >> sb) & one)
    if touched == 0:
        return False
    seen[wa] |= (both & one) << sa
    seen[wb] |= one << sb
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def propagate(
    start: Words,
    place: Ints,
    groups: Ints,
    tables: tuple[Bytes, Bytes, Floats, Bytes],
    threshold: float,
    max_weight: int,
    max_terms: int,
    polarization: Floats,
) -> Floats:
    """Return the expectation value of a string that went back through all maps, and the account.

    Args:
        start: The string, shape (words,).
        place: Where each map acts, latest map first, shape (maps, 6), see `rename`.
        groups: Shape (groups, 3): first map, one after the last, and 0 for maps that only rename
            or 1 for a single map that branches.
        tables: Number of targets (rows, 16), targets (rows, 16, 16), weights (rows, 16, 16), and
            whether a code stays as it is (rows, 16).
        threshold: Strings with smaller coefficients are dropped after each branching.
        max_weight: Heavier strings are dropped.
        max_terms: Room for strings, a power of 2 of at least 1024. When it is exhausted the
            smaller half goes and the threshold rises to what that takes.
        polarization: <Z> of each qubit at the start of the circuit.

    Returns:
        (value, sum of |c| dropped, sum of c^2 dropped, last threshold, most strings at a time,
        strings changed).

    Cost:
        About 1 ns per string and map for looking, 30 ns per string that branches.
    """
    _, codes, weights, still = tables
    tally, count = np.zeros(5), np.zeros(3, np.int64)
    tally[THRESHOLD] = threshold
    terms = one_string(start)
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
            rename(
                terms[0], terms[1], count[USED], live[:n], place, codes[:, :, 0], weights[:, :, 0]
            )
            settle(terms[0], terms[1], count, tally, max_weight)
            support(terms[0], count[USED], seen)
            fits = False
            continue
        where = place[live[0]]
        changed = moved(terms[0], count[USED], where, still, terms[3])
        if changed == 0:
            continue
        if 4 * count[DEAD] > count[USED] + 64 or 2 * count[USED] > max_terms:
            if 2 * (count[USED] - count[DEAD]) > max_terms:
                tally[THRESHOLD] = max(tally[THRESHOLD], smaller_half(terms[1], count[USED]))
            settle(terms[0], terms[1], count, tally, max_weight)
            support(terms[0], count[USED], seen)
            reaches(seen, where)
            changed = moved(terms[0], count[USED], where, still, terms[3])
            fits = False
        if not fits:
            count[SPREAD] = index(terms[0], terms[4], count[USED], 2 * count[USED])
            fits = True
        terms = branch(terms, changed, where, tables, count, tally, max_weight, max_terms)
    value = at_start(terms[0], terms[1], count[USED], polarization)
    return np.array([value, tally[L1], tally[L2], tally[THRESHOLD], tally[PEAK], tally[UPDATES]])


@njit(cache=True, nogil=True, error_model="numpy")
def one_string(start: Words) -> Sum:
    """Return the sum of one string with coefficient 1."""
    keys, coefs = np.empty((FIRST_ROOM, start.size), np.uint64), np.empty(FIRST_ROOM)
    keys[0], coefs[0] = start, 1.0
    todo, table = np.empty(FIRST_ROOM, np.int64), np.empty(2 * FIRST_ROOM, np.uint64)
    return keys, coefs, np.zeros(FIRST_ROOM), todo, table


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
