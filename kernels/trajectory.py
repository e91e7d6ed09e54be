"""What one block of a circuit does to one trajectory: its events, folded into one small matrix.

A block is everything that happens in a row to one pair of qubits (or to one qubit). However many
gates, channels, measurements and resets it holds, the state sees one matrix T: unitaries and fired
Pauli operators multiply into T, and outcomes that depend on the state follow from the reduced
density matrix rho before the block, because the one inside of it is T rho T^dag.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index, uniform

UNITARY, RELAXATION, PAULI, MEASURE, RESET, DWELL, LEAK, PREPARE = range(8)
FIRST, SECOND, PAIR, SWAPPED = range(4)
# Arguments of this type; a bare number is a type of its own to Numba, and compiled for itself.
_STAY, _ZERO, _ONE, _Z = np.int64(-1), np.int64(0), np.int64(1), np.int64(3)

Ints = NDArray[np.int64]
Matrix = NDArray[np.complex128]


class Blocks(NamedTuple):
    """The static part of a run: `blocks` blocks holding `items` items.

    Attributes:
        qubits: Shape (blocks, 2); second -1 for a block on one qubit.
        bits: Positions (first in, second in, first out, second out), -1 outside, (blocks, 4).
        groups: 2 ** (active qubits not in the block), shape (blocks,).
        item: First item of each block, shape (blocks + 1,).
        column: First column of random codes of each block, shape (blocks + 1,).
        varying: First item of each block that differs from shot to shot even without an event;
            the end of the block if there is none.
        kind: Kind of each item, shape (items,).
        on: FIRST, SECOND, PAIR or SWAPPED (pair in the order second, first).
        slot: Row of the kind's table; -1 for a measurement without misreading of its own.
        code: Column of the item, -1 without one.
        clbit: Where a measurement writes.
        condition: First condition of each item, shape (items + 1,).
        value: Number to compare with, shape (conditions,).
        equal: 1 for equal, 0 for not equal.
        clbits: First entry of each condition in `conditioned`, shape (conditions + 1,).
        conditioned: Classical bits, lowest first.
    """

    qubits: Ints
    bits: Ints
    groups: Ints
    item: Ints
    column: Ints
    varying: Ints
    kind: Ints
    on: Ints
    slot: Ints
    code: Ints
    clbit: Ints
    condition: Ints
    value: Ints
    equal: Ints
    clbits: Ints
    conditioned: Ints


class Numbers(NamedTuple):
    """The tables of `Values` that the blocks read.

    Attributes:
        unitaries1: Shape (k, 2, 2).
        unitaries2: Shape (k, 4, 4).
        relaxation: Shape (k, 3).
        confusion: Shape (k, 2).
        dwell: Shape (k,).
        prefix: Matrix of each block up to its first varying item, without events, (blocks, 4, 4).
    """

    unitaries1: Matrix
    unitaries2: Matrix
    relaxation: NDArray[np.float64]
    confusion: NDArray[np.float64]
    dwell: NDArray[np.float64]
    prefix: Matrix


class Shot(NamedTuple):
    """One trajectory's random events and classical state.

    Attributes:
        codes: Code of each column, shape (columns,).
        key: Key of its random numbers.
        detuning: In Hz, shape (n_qubits,).
        known: Bit of each qubit that is not in the state, shape (n_qubits,).
        leaked: 1 for a qubit outside of the computational space.
        record: Classical bits so far.
    """

    codes: NDArray[np.uint8]
    key: np.uint64
    detuning: NDArray[np.float64]
    known: NDArray[np.uint8]
    leaked: NDArray[np.uint8]
    record: NDArray[np.uint8]


@njit(cache=True, nogil=True, error_model="numpy")
def left_multiply(t: Matrix, m: Matrix, on: Index) -> None:
    """Replace T of shape (4, 4) by (m on the given qubit) T, in place."""
    near, far = (2, 1) if on == 0 else (1, 2)
    for k in range(2):
        i = k * far
        for j in range(4):
            a, b = t[i, j], t[i + near, j]
            t[i, j] = m[0, 0] * a + m[0, 1] * b
            t[i + near, j] = m[1, 0] * a + m[1, 1] * b


@njit(cache=True, nogil=True, error_model="numpy")
def left_multiply_pair(t: Matrix, m: Matrix, swapped: bool) -> None:
    """Replace T by m T, in place; `swapped` means that m puts the second qubit first."""
    one, two = (2, 1) if swapped else (1, 2)
    for j in range(4):
        w, x, y, z = t[0, j], t[one, j], t[two, j], t[3, j]
        t[0, j] = m[0, 0] * w + m[0, 1] * x + m[0, 2] * y + m[0, 3] * z
        t[one, j] = m[1, 0] * w + m[1, 1] * x + m[1, 2] * y + m[1, 3] * z
        t[two, j] = m[2, 0] * w + m[2, 1] * x + m[2, 2] * y + m[2, 3] * z
        t[3, j] = m[3, 0] * w + m[3, 1] * x + m[3, 2] * y + m[3, 3] * z


@njit(cache=True, nogil=True, error_model="numpy")
def apply_pauli(t: Matrix, code: Index, on: Index) -> None:
    """Multiply T from the left by I, X, Y or Z (`code` 0..3) on one qubit, in place."""
    near, far = (2, 1) if on == 0 else (1, 2)
    for k in range(2):
        i = k * far
        for j in range(4):
            a, b = t[i, j], t[i + near, j]
            if code == 1:
                t[i, j], t[i + near, j] = b, a
            elif code == 2:
                t[i, j], t[i + near, j] = -1j * b, 1j * a
            elif code == 3:
                t[i + near, j] = -b


@njit(cache=True, nogil=True, error_model="numpy")
def populations(t: Matrix, rho: Matrix, on: Index) -> tuple[float, float]:
    """Return the weights of |0> and |1> of one qubit in T rho T^dag."""
    p0, p1 = 0.0, 0.0
    for i in range(4):
        total = 0.0
        for j in range(4):
            inner = 0.0j
            for k in range(4):
                inner += rho[j, k] * np.conj(t[i, k])
            total += (t[i, j] * inner).real
        if (i >> 1) if on == 0 else (i & 1):
            p1 += max(total, 0.0)
        else:
            p0 += max(total, 0.0)
    return p0, p1


@njit(cache=True, nogil=True, error_model="numpy")
def collapse(t: Matrix, rho: Matrix, on: Index, u: float, to: Index) -> Index:
    """Project one qubit in Z with the uniform `u`, in place, and return the bit.

    With `to` 0 or 1 the qubit is then put into that state, with -1 it stays where it is.
    """
    p0, p1 = populations(t, rho, on)
    bit = 1 if u * (p0 + p1) < p1 else 0
    scale = 1.0 / np.sqrt(p1 if bit else p0)
    near, far = (2, 1) if on == 0 else (1, 2)
    target = bit if to < 0 else to
    for k in range(2):
        for j in range(4):
            kept = t[k * far + bit * near, j] * scale
            t[k * far + target * near, j] = kept
            t[k * far + (1 - target) * near, j] = 0.0
    return bit


@njit(cache=True, nogil=True, error_model="numpy")
def relaxation_event(
    t: Matrix, rho: Matrix, on: Index, u: float, numbers: NDArray[np.float64]
) -> None:
    """Apply one Kraus operator of E' to T, where relaxation = q id + (1 - q) E'.

    q is the largest weight of the identity that leaves E' a channel; then E' has three Kraus
    operators, two jumps and one diagonal.

    Args:
        t: The matrix so far, changed in place.
        rho: Density matrix of the pair before the block.
        on: Which qubit relaxes.
        u: Uniform that chooses the operator.
        numbers: (e1, e2, p): population decay, coherence decay, excited population at rest.

    Source:
        Choi matrix of thermal relaxation: diagonal (A, p a, (1-p) a, B), a = 1 - e1, A = 1 - p a,
        B = 1 - (1-p) a, corner e2; q = (A B - e2^2) / (A + B - 2 e2). Then A - q = (A - e2)^2 / D,
        B - q = (B - e2)^2 / D and e2 - q = -(A - e2)(B - e2) / D with D = A + B - 2 e2.
    """
    p0, p1 = populations(t, rho, on)
    a = 1.0 - numbers[0]
    up, down = numbers[2] * a, (1.0 - numbers[2]) * a
    d0, d1 = 1.0 - up - numbers[1], numbers[1] - 1.0 + down
    norm = d0 - d1
    s0, s1 = (d0 * d0 / norm, d1 * d1 / norm) if norm > 0.0 else (0.0, 0.0)
    still = s0 * p0 + s1 * p1
    choice = u * (still + up * p0 + down * p1)
    m = np.zeros((2, 2), np.complex128)
    if choice < up * p0:
        m[1, 0] = 1.0 / np.sqrt(p0)
    elif choice < up * p0 + down * p1:
        m[0, 1] = 1.0 / np.sqrt(p1)
    else:
        m[0, 0] = np.sqrt(s0 / still)
        m[1, 1] = np.copysign(np.sqrt(s1 / still), d1 if d0 > 0.0 else -d1)
    left_multiply(t, m, on)


@njit(cache=True, nogil=True, error_model="numpy")
def holds(blocks: Blocks, item: Index, record: NDArray[np.uint8]) -> bool:
    """Return whether all conditions of an item hold for the recorded bits."""
    for c in range(blocks.condition[item], blocks.condition[item + 1]):
        value = 0
        first = blocks.clbits[c]
        for k in range(first, blocks.clbits[c + 1]):
            value |= np.int64(record[blocks.conditioned[k]]) << (k - first)
        if (value == blocks.value[c]) != (blocks.equal[c] == 1):
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _act_on_one(
    blocks: Blocks,
    numbers: Numbers,
    shot: Shot,
    item: Index,
    on: Index,
    q: Index,
    rho: Matrix,
    t: Matrix,
) -> None:
    """Multiply T by what an item on one qubit does, and update the classical state."""
    kind, slot, code = blocks.kind[item], blocks.slot[item], np.int64(0)
    if blocks.code[item] >= 0:
        code = np.int64(shot.codes[blocks.code[item]])
    if kind == MEASURE:
        bit = collapse(t, rho, on, uniform(shot.key, item, 1), _STAY)
        shot.known[q] = bit
        if shot.leaked[q]:
            bit = 1 if slot >= 0 else 3
        elif slot >= 0 and uniform(shot.key, item, 2) < numbers.confusion[slot, bit]:
            bit = 1 - bit
        shot.record[blocks.clbit[item]] = bit
    elif kind == RESET:
        collapse(t, rho, on, uniform(shot.key, item, 1), code)
        shot.known[q] = code
        shot.leaked[q] = 0
    elif kind == LEAK:  # codes: 1 leaks or comes back, 2 only leaks, 3 only comes back
        if not shot.leaked[q] and code in (1, 2):
            shot.leaked[q] = 1
        elif shot.leaked[q] and code in (1, 3):
            shot.leaked[q] = 0
            bit = 1 if uniform(shot.key, item, 2) < 0.5 else 0
            collapse(t, rho, on, uniform(shot.key, item, 1), bit)
    elif shot.leaked[q]:
        return
    elif kind == UNITARY:
        left_multiply(t, numbers.unitaries1[slot], on)
    elif kind == DWELL:
        m = np.zeros((2, 2), np.complex128)
        angle = np.pi * shot.detuning[q] * numbers.dwell[slot]
        m[0, 0], m[1, 1] = np.exp(-1j * angle), np.exp(1j * angle)
        left_multiply(t, m, on)
    elif kind == RELAXATION:
        if code:
            relaxation_event(t, rho, on, uniform(shot.key, item, 1), numbers.relaxation[slot])
    elif code:  # PAULI and PREPARE, whose only event is X
        apply_pauli(t, code, on)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _act_on_pair(
    blocks: Blocks, numbers: Numbers, shot: Shot, item: Index, a: Index, b: Index, t: Matrix
) -> None:
    """Multiply T by what an item on both qubits does; a leaked qubit dephases its partner."""
    swapped = blocks.on[item] == SWAPPED
    if blocks.kind[item] == UNITARY:
        if shot.leaked[a] and shot.leaked[b]:
            return
        if shot.leaked[a] or shot.leaked[b]:
            if uniform(shot.key, item, 3) < 0.5:
                apply_pauli(t, _Z, _ONE if shot.leaked[a] else _ZERO)
            return
        left_multiply_pair(t, numbers.unitaries2[blocks.slot[item]], swapped)
        return
    code = np.int64(shot.codes[blocks.code[item]])
    first, second = (code & 3, code >> 2) if swapped else (code >> 2, code & 3)
    if not shot.leaked[a]:
        apply_pauli(t, first, _ZERO)
    if not shot.leaked[b]:
        apply_pauli(t, second, _ONE)


@njit(cache=True, nogil=True, error_model="numpy")
def act(
    blocks: Blocks,
    numbers: Numbers,
    shot: Shot,
    block: Index,
    begin: Index,
    end: Index,
    rho: Matrix,
    t: Matrix,
) -> None:
    """Multiply T by the items `begin` .. `end - 1` of a block; see `compose`."""
    a, b = blocks.qubits[block, 0], blocks.qubits[block, 1]
    for item in range(begin, end):
        if blocks.condition[item] != blocks.condition[item + 1] and not holds(
            blocks, item, shot.record
        ):
            continue
        on = blocks.on[item]
        if on >= PAIR:
            _act_on_pair(blocks, numbers, shot, item, a, b, t)
        else:
            _act_on_one(blocks, numbers, shot, item, on, b if on == SECOND else a, rho, t)


@njit(cache=True, nogil=True, error_model="numpy")
def compose(
    blocks: Blocks, numbers: Numbers, shot: Shot, block: Index, rho: Matrix, t: Matrix
) -> None:
    """Fill `t` with the matrix of one block in one trajectory, and update its classical state.

    Args:
        blocks: The static part.
        numbers: The tables.
        shot: The trajectory; `known`, `leaked` and `record` are changed in place.
        block: Which block.
        rho: Density matrix of the pair before the block, shape (4, 4); read only where an outcome
            depends on the state.
        t: Output, shape (4, 4), first qubit most significant.
    """
    begin = blocks.varying[block]
    for k in range(2):
        q = blocks.qubits[block, k]
        if q >= 0 and shot.leaked[q]:
            begin = blocks.item[block]
    for c in range(blocks.column[block], blocks.column[block + 1]):
        if shot.codes[c]:
            begin = blocks.item[block]
    fresh = begin < blocks.varying[block]
    for i in range(4):
        for j in range(4):
            t[i, j] = (1.0 if i == j else 0.0) if fresh else numbers.prefix[block, i, j]
    act(blocks, numbers, shot, block, begin, blocks.item[block + 1], rho, t)


@njit(cache=True, nogil=True, error_model="numpy")
def embed(
    rho: Matrix, sums: NDArray[np.float64], lane: Index, bits: Ints, known_a: Index, known_b: Index
) -> None:
    """Fill `rho`, shape (4, 4), from one lane of `reduced` and the bits of absent qubits."""
    rho[:] = 0.0
    k = (2 if bits[0] >= 0 else 1) * (2 if bits[1] >= 0 else 1)
    for i in range(k):
        for j in range(i, k):
            row = place(i, bits[0], bits[1], known_a, known_b)
            column = place(j, bits[0], bits[1], known_a, known_b)
            if i == j:
                rho[row, row] = sums[i * k + i, lane]
            else:
                rho[row, column] = complex(sums[i * k + j, lane], sums[j * k + i, lane])
                rho[column, row] = np.conj(rho[row, column])


@njit(cache=True, nogil=True, error_model="numpy")
def place(index: Index, a: Index, b: Index, known_a: Index, known_b: Index) -> Index:
    """Return the index in 0..3 of a pair from that of its qubits in the state."""
    if a >= 0 and b >= 0:
        return index
    if a >= 0:
        return 2 * index + known_b
    if b >= 0:
        return 2 * known_a + index
    return 2 * known_a + known_b


@njit(cache=True, nogil=True, error_model="numpy")
def write_lane(matrix: Any, lane: Index, t: Matrix, bits: Ints, known: Ints) -> None:
    """Write T to one lane of the matrix that `transform` takes.

    Args:
        matrix: Output, shape (32, 8).
        lane: Which lane.
        t: Shape (4, 4).
        bits: Positions (first in, second in, first out, second out), -1 outside.
        known: Bits of the qubits outside, in the same order.
    """
    inputs = (2 if bits[0] >= 0 else 1) * (2 if bits[1] >= 0 else 1)
    outputs = (2 if bits[2] >= 0 else 1) * (2 if bits[3] >= 0 else 1)
    for o in range(outputs):
        row = place(o, bits[2], bits[3], known[2], known[3])
        for i in range(inputs):
            entry = t[row, place(i, bits[0], bits[1], known[0], known[1])]
            matrix[2 * (o * inputs + i), lane] = entry.real
            matrix[2 * (o * inputs + i) + 1, lane] = entry.imag
