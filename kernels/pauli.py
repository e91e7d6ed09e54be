"""Sums of Pauli strings under local maps: the work of the `pauli` engine.

A map on qubits (a, b) acts on the pair's code 4 * P_a + P_b by a 16 x 16 matrix, a map on one qubit
by the upper left 4 x 4. Strings that agree on all other qubits are gathered into one vector of 16
coefficients, which the matrix multiplies; what is below the threshold afterwards is dropped.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.pauli_strings import (
    EVERY_BIT,
    Bytes,
    Ints,
    Number,
    Places,
    Words,
    code_at,
    gathered,
    outside,
    reaches,
    support,
    touched,
    weight,
)

Floats = NDArray[np.float64]
Sum = tuple[Words, Floats, Places, Places, Places, Words, Places]
"""Strings (room, words); coefficients; list of places (room + 1); heads and links of groups; table
of `pauli_strings.gathered`; free places."""
Tables = tuple[Floats, Bytes, Bytes, Floats]
"""Matrices (rows, 16, 16) from code to code; whether a code takes part (rows, 16); for maps that
only rename: target of each code (rows, 16) and its weight, 0 where it has none."""
Sample = tuple[Words, Ints]
"""Dropped strings (room, words) and the map after which each was dropped."""

# Places of the counters and tallies.
USED, FREE, DRAWN, STAMP = range(4)
L1, L2, THRESHOLD, PEAK, UPDATES, CONSTANT, NEXT, SPACING = range(8)

PULL = 0.05  # of the threshold: what relaxation adds to shorter strings is kept above
SUPPORT_EVERY = 64  # groups of maps between looks at which qubits are left


@njit(cache=True, nogil=True, error_model="numpy")
def draw(
    keys: Words, i: Number, size: float, after: int, sample: Sample, count: Ints, tally: Floats
) -> None:
    """Account for a dropped string; take it into the sample with a chance as its square.

    The sample is systematic: one string for every `SPACING` of the sum of dropped squares; it is
    halved and the spacing doubled when it is full.
    """
    tally[L1] += size
    tally[L2] += size * size
    if tally[L2] < tally[NEXT]:
        return
    room = sample[1].size
    while tally[L2] >= tally[NEXT]:
        if count[DRAWN] == room:
            for k in range(room // 2):
                sample[0][k] = sample[0][2 * k + 1]
                sample[1][k] = sample[1][2 * k + 1]
            count[DRAWN] = room // 2
            tally[SPACING] *= 2
            tally[NEXT] = (np.floor(tally[L2] / tally[SPACING]) + 0.5) * tally[SPACING]
            continue
        k = count[DRAWN]
        for w in range(keys.shape[1]):
            sample[0][k, w] = keys[i, w]
        sample[1][k] = after
        count[DRAWN] = k + 1
        tally[NEXT] += tally[SPACING]


@njit(cache=True, nogil=True, error_model="numpy")
def release(keys: Words, coefs: Floats, free: Places, i: Number, count: Ints) -> None:
    """Free the place of a string."""
    for w in range(keys.shape[1]):
        keys[i, w] = 0
    coefs[i] = 0.0
    free[count[FREE]] = i
    count[FREE] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def settle(terms: Sum, count: Ints) -> None:
    """Close the gaps of free places."""
    keys, coefs = terms[0], terms[1]
    kept = 0
    for i in range(count[USED]):
        if coefs[i] == 0.0:
            continue
        if kept < i:
            coefs[kept] = coefs[i]
            for w in range(keys.shape[1]):
                keys[kept, w] = keys[i, w]
        kept += 1
    count[USED], count[FREE] = kept, 0


@njit(cache=True, nogil=True, error_model="numpy")
def rename(
    terms: Sum,
    maps: Ints,
    place: Words,
    tables: Tables,
    sample: Sample,
    count: Ints,
    tally: Floats,
) -> None:
    """Apply maps that send different codes to different codes: strings change, none meet.

    Args:
        terms: The sum.
        maps: Which maps, in order.
        place: Where each map acts, shape (all maps, 6), see `code_at`.
        tables: Targets and weights.
        sample: Of dropped strings.
        count: Places in use, free ones among them, strings in the sample.
        tally: Sums of what was dropped, threshold and so on.
    """
    keys, coefs = terms[0], terms[1]
    codes, weights = tables[2], tables[3]
    for i in range(count[USED]):
        c = coefs[i]
        if c == 0.0:
            continue
        for m in maps:
            where = place[m]
            code = code_at(keys, i, where)
            if code:
                c *= weights[where[5], code]
                turn = code ^ np.uint64(codes[where[5], code])
                keys[i, where[0]] ^= (turn >> np.uint64(2)) << where[1]
                keys[i, where[3]] ^= (turn & np.uint64(3)) << where[4]
        coefs[i] = c
        if abs(c) < tally[THRESHOLD] or c == 0.0:
            draw(keys, i, abs(c), maps[-1], sample, count, tally)
            release(keys, coefs, terms[6], i, count)


@njit(cache=True, nogil=True, error_model="numpy")
def write(keys: Words, i: Number, base: Words, code: int, where: Words) -> None:
    """Put a code on the qubits of a map beside what a string is elsewhere."""
    for w in range(base.size):
        keys[i, w] = base[w]
    keys[i, where[0]] |= np.uint64(code >> 2) << where[1]
    keys[i, where[3]] |= np.uint64(code & 3) << where[4]


@njit(cache=True, nogil=True, error_model="numpy")
def combine(
    keys: Words,
    coefs: Floats,
    todo: Places,
    links: Places,
    head: Number,
    where: Words,
    matrix: Floats,
    out: Floats,
    members: Ints,
) -> int:
    """Write the coefficients of a group after a map and its members' places; return how many.

    Args:
        keys: Strings, shape (room, words).
        coefs: Coefficients.
        todo: Places of changed strings.
        links: Entry of `todo` before each in its group, or -1.
        head: Last entry of the group.
        where: Where the map acts, see `code_at`.
        matrix: From code to code, shape (16, 16).
        out: Overwritten, shape (16,).
        members: Overwritten. The same string may be there twice, because relaxation adds strings
            without looking; members that do not fit become free places.
    """
    for j in range(16):
        out[j] = 0.0
    n, t = 0, head
    while t >= 0:
        i = np.int64(todo[t])
        c, code = coefs[i], np.int64(code_at(keys, i, where))
        for j in range(16):
            out[j] += c * matrix[code, j]
        if n < members.size:
            members[n] = i
            n += 1
        else:
            coefs[i] = 0.0
            for w in range(keys.shape[1]):
                keys[i, w] = 0
        t = np.int64(links[t])
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def lowest(bits: int) -> int:
    """Return the place of the lowest of 16 bits that is set."""
    place = 0
    for step in (8, 4, 2, 1):
        if bits & ((1 << step) - 1) == 0:
            bits >>= step
            place += step
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def split(out: Floats, limit: Floats, tally: Floats) -> int:
    """Return which coefficients reach their limit, as bits; account for the others.

    When one of the others must be taken into the sample, nothing is accounted for, and the bits
    come back as -1 - bits.
    """
    bits, small, squares = 0, 0.0, 0.0
    for j in range(16):
        size = abs(out[j])
        keep = size >= limit[j] and size > 0.0
        bits |= int(keep) << j
        lost = 0.0 if keep else size
        small += lost
        squares += lost * lost
    if tally[L2] + squares >= tally[NEXT]:
        return -1 - bits
    tally[L1] += small
    tally[L2] += squares
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(
    terms: Sum,
    groups: int,
    where: Words,
    after: int,
    matrix: Floats,
    sample: Sample,
    count: Ints,
    tally: Floats,
    least: Floats,
) -> None:
    """Multiply the coefficients of each group by the matrix; drop and add strings.

    Args:
        terms: The sum, with the groups of `gathered`; strings that find no room are dropped.
        groups: Number of groups.
        where: Where the map acts, see `code_at`.
        after: Which map this is.
        matrix: From code to code, shape (16, 16).
        sample: Of dropped strings.
        count: Places in use, free ones among them, strings in the sample.
        tally: Sums of what was dropped, threshold and so on.
        least: What a string of each weight must reach, over the threshold, shape (weights,).
    """
    keys, coefs, todo, heads, links, _, free = terms
    words = keys.shape[1]
    base, key = np.empty(words, np.uint64), np.empty((1, words), np.uint64)
    clear, out, limit = np.empty(words, np.uint64), np.empty(16), np.empty(16)
    members = np.empty(32, np.int64)
    outside(where, clear)
    before = -1
    for g in range(groups):
        for w in range(words):
            base[w] = keys[todo[heads[g]], w] & clear[w]
        n = combine(keys, coefs, todo, links, np.int64(heads[g]), where, matrix, out, members)
        rest, used = weight(base), 0
        if rest == 0:
            tally[CONSTANT] += out[0]
            out[0] = 0.0
        if rest != before:
            for j in range(16):
                limit[j] = tally[THRESHOLD] * least[rest + int(j > 3) + int(j % 4 > 0)]
            limit[0] *= PULL
            before = rest
        bits = split(out, limit, tally)
        if bits < 0:
            bits = -1 - bits
            for j in range(16):
                if (bits >> j) & 1 == 0 and out[j] != 0.0:
                    write(key, 0, base, j, where)
                    draw(key, 0, abs(out[j]), after, sample, count, tally)
        while bits:
            j = lowest(bits)
            bits &= bits - 1
            if used < n:
                i = members[used]
                used += 1
            elif count[FREE] > 0:
                count[FREE] -= 1
                i = np.int64(free[count[FREE]])
            elif count[USED] < coefs.size:
                i = count[USED]
                count[USED] += 1
            else:
                write(key, 0, base, j, where)
                draw(key, 0, abs(out[j]), after, sample, count, tally)
                continue
            coefs[i] = out[j]
            write(keys, i, base, j, where)
        for k in range(used, n):
            release(keys, coefs, free, members[k], count)


@njit(cache=True, nogil=True, error_model="numpy")
def raised(coefs: Floats, used: int, threshold: float) -> float:
    """Return the threshold, doubled until it drops at least half of the strings."""
    largest, live = 0.0, 0
    for i in range(used):
        largest = max(largest, abs(coefs[i]))
        live += coefs[i] != 0.0
    threshold = max(threshold, largest * 2.0**-50)
    while True:
        small = 0
        for i in range(used):
            small += 0.0 < abs(coefs[i]) < threshold
        if 2 * small >= live:
            return threshold
        threshold *= 2


@njit(cache=True, nogil=True, error_model="numpy")
def merge(terms: Sum, count: Ints) -> None:
    """Make one of strings that are there several times."""
    keys, coefs, todo, heads, links, table, free = terms
    n = 0
    for i in range(count[USED]):
        if coefs[i] != 0.0:
            todo[n] = i
            n += 1
    count[STAMP] += 1
    every = np.full(keys.shape[1], EVERY_BIT)
    for g in range(gathered(keys, todo, n, every, count[STAMP], heads, links, table)):
        first = np.int64(todo[heads[g]])
        t = np.int64(links[heads[g]])
        while t >= 0:
            i = np.int64(todo[t])  # type: ignore[assignment]
            coefs[first] += coefs[i]
            release(keys, coefs, free, i, count)
            t = np.int64(links[t])
        if coefs[first] == 0.0:
            release(keys, coefs, free, first, count)


@njit(cache=True, nogil=True, error_model="numpy")
def thin(terms: Sum, after: int, sample: Sample, count: Ints, tally: Floats) -> None:
    """Close gaps when there are many; drop small strings when half of the room is taken."""
    half = terms[1].size // 2
    if count[USED] - count[FREE] > half:
        merge(terms, count)
    if count[USED] - count[FREE] > half:
        tally[THRESHOLD] = raised(terms[1], count[USED], tally[THRESHOLD])
        for i in range(count[USED]):
            if 0.0 < abs(terms[1][i]) < tally[THRESHOLD]:
                draw(terms[0], i, abs(terms[1][i]), after, sample, count, tally)
                release(terms[0], terms[1], terms[6], i, count)
    if 4 * count[FREE] > count[USED] + 64:
        settle(terms, count)


@njit(cache=True, nogil=True, error_model="numpy")
def propagate(
    start: Words,
    place: Words,
    runs: Ints,
    tables: Tables,
    threshold: float,
    least: Floats,
    terms: Sum,
    sample: Sample,
    polarization: Floats,
) -> Floats:
    """Return the expectation value of a string that went back through all maps, and the account.

    Args:
        start: The string, shape (words,).
        place: Where each map acts, latest map first, shape (maps, 6), see `code_at`.
        runs: Shape (runs, 3): first map, one after the last, and 0 for maps that only rename or 1
            for a single map that branches.
        tables: Matrices and so on.
        threshold: Strings with smaller coefficients are dropped after each map.
        least: What a string of each weight must reach, over the threshold, shape (stages,
            weights); equal numbers of maps make a stage.
        terms: Arrays to work in, their contents arbitrary but for the table, which is 0. When more
            than half of the room is taken the smaller half of the strings goes, and the threshold
            rises to what that takes.
        sample: Overwritten with dropped strings, one for each `spacing` of the sum of squares.
        polarization: <Z> of each qubit at the start of the circuit.

    Returns:
        (value, sum of |c| dropped, sum of c^2 dropped, last threshold, most strings at a time,
        strings changed, strings in the sample, spacing).

    Cost:
        About 1 ns per string and map for looking, 20 ns per string that a branching map changes.
    """
    tally, count = np.zeros(8), np.zeros(4, np.int64)
    tally[THRESHOLD] = threshold
    tally[SPACING] = max(threshold * threshold, 1e-18)
    tally[NEXT] = 0.5 * tally[SPACING]
    keys, coefs, todo, heads, links, table, _ = terms
    for w in range(start.size):
        keys[0, w] = start[w]
    coefs[0] = 1.0
    count[USED] = 1
    seen, clear = np.zeros(start.size, np.uint64), np.zeros(start.size, np.uint64)
    live = np.empty(place.shape[0], np.int64)
    support(keys, 1, seen)
    for r in range(runs.shape[0]):
        n = 0
        for m in range(runs[r, 0], runs[r, 1]):
            if reaches(seen, place[m]):
                live[n] = m
                n += 1
        if n == 0:
            continue
        if runs[r, 2] == 0:
            rename(terms, live[:n], place, tables, sample, count, tally)
            support(keys, count[USED], seen)
            continue
        m = live[0]
        where = place[m]
        thin(terms, m - 1, sample, count, tally)
        changed = touched(keys, count[USED], where, tables[1], todo)
        if changed > 0:
            outside(where, clear)
            count[STAMP] += 1
            stamp = count[STAMP]
            groups = gathered(keys, todo, changed, clear, stamp, heads, links, table)
            stage = least[m * least.shape[0] // place.shape[0]]
            multiply(terms, groups, where, m, tables[0][where[5]], sample, count, tally, stage)
            tally[UPDATES] += changed
            tally[PEAK] = max(tally[PEAK], count[USED] - count[FREE])
        if r % SUPPORT_EVERY == 0:
            support(keys, count[USED], seen)
    value = tally[CONSTANT] + at_start(keys, coefs, count[USED], polarization)
    return np.array(
        [value, *tally[L1:CONSTANT], float(count[DRAWN]), tally[SPACING]],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def at_start(keys: Words, coefs: Floats, used: int, polarization: Floats) -> float:
    """Return the expectation value of a sum in a product of thermal states."""
    total = 0.0
    for i in range(used):
        c = coefs[i]
        if c == 0.0:
            continue
        for w in range(keys.shape[1]):
            key, q = keys[i, w], 32 * w
            while key:
                code = key & np.uint64(3)
                if code == 3:
                    c *= polarization[q]
                elif code:
                    c = 0.0
                    break
                key >>= np.uint64(2)
                q += 1
        total += c
    return total
