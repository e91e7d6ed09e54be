"""What is read from the final states: records of the shots, expectation values of the groups."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.ensemble import Groups, Lanes, Room, run_batch, start
from qdt_emu.kernels.randomness import Index, uniform
from qdt_emu.kernels.statevector import LANES, transform
from qdt_emu.kernels.trajectory import Blocks, Ints, Numbers


@njit(cache=True, nogil=True, error_model="numpy")
def empty_lanes(qubits: Index, clbits: Index) -> Lanes:
    """Return the classical side of eight trajectories, all zero."""
    known, leaked = np.zeros((LANES, qubits), np.uint8), np.zeros((LANES, qubits), np.uint8)
    return Lanes(np.zeros(LANES, np.int64), known, leaked, np.zeros((LANES, clbits), np.uint8))


@njit(cache=True, nogil=True, error_model="numpy")
def sample_lane(
    state: Any, rows: Index, lane: Index, keys: NDArray[np.uint64], item: Index, out: Ints
) -> None:
    """Draw one basis state per key from one lane of a state.

    Args:
        state: Shape (2, rows, 8).
        rows: Rows in use.
        lane: Which lane.
        keys: Keys of the shots, shape (shots,).
        item: Item of the random numbers.
        out: Output, rows drawn, shape (shots,).
    """
    below = np.empty(rows + 1)
    below[0] = 0.0
    for r in range(rows):
        re, im = np.float64(state[0, r, lane]), np.float64(state[1, r, lane])
        below[r + 1] = below[r] + re * re + im * im
    for k in range(len(keys)):
        target = uniform(keys[k], item, 0) * below[rows]
        low, high = (
            np.int64(0),
            np.int64(rows - 1),
        )  # the last row with below[row] <= target; never one of weight 0
        while low < high:
            middle = (low + high + 1) // 2
            if below[middle] <= target:
                low = middle
            else:
                high = middle - 1
        out[k] = low


@njit(cache=True, nogil=True, error_model="numpy")
def _read_leaf(
    leaf: Ints,
    numbers: Numbers,
    groups: Groups,
    leaked: NDArray[np.uint8],
    state: Any,
    rows: Index,
    lane: Index,
    members: Ints,
    item: Index,
    bits: NDArray[np.uint8],
) -> None:
    """Sample the last measurements of all shots of one lane; `leaf` as in `sample_groups`."""
    drawn = np.zeros(len(members), np.int64)
    keys = np.empty(len(members), np.uint64)
    for k in range(len(members)):
        keys[k] = groups.keys[members[k]]
    sample_lane(state, rows, lane, keys, item, drawn)
    for k in range(len(members)):
        for j in range(len(leaf)):
            slot = leaf[j, 3]
            bit = (drawn[k] >> leaf[j, 1]) & 1
            if leaked[leaf[j, 0]]:
                bit = 1 if slot >= 0 else 3
            elif slot >= 0 and uniform(keys[k], item + 1 + j, 2) < numbers.confusion[slot, bit]:
                bit = 1 - bit
            bits[members[k], leaf[j, 2]] = bit


@njit(cache=True, nogil=True, error_model="numpy")
def sample_groups(
    blocks: Blocks,
    numbers: Numbers,
    quiet: Any,
    groups: Groups,
    leaf: Ints,
    rows: Index,
    room: Room,
    thread: Index,
    threads: Index,
    qubits: Index,
    bits: NDArray[np.uint8],
) -> None:
    """Run every `threads`-th batch of eight groups and write the records of their shots.

    Args:
        blocks: The static part.
        numbers: The tables.
        quiet: Matrices without events, shape (blocks, 32, 8).
        groups: Who runs together.
        leaf: Measurements sampled at the end: (qubit, position, clbit, slot), shape (k, 4).
        rows: 2 ** (active qubits at the end).
        room: Scratch space of this thread.
        thread: Which share of the batches to run.
        threads: Number of shares.
        qubits: Number of qubits.
        bits: Output, shape (shots, n_clbits); 2 is added to leaked bits of paired readout.
    """
    n = len(groups.begin)
    trunk = np.zeros(3, np.int64)
    start(room.trunk)
    lanes = empty_lanes(qubits, bits.shape[1])
    for first in range(thread * LANES, n, threads * LANES):
        at = run_batch(blocks, numbers, quiet, groups, lanes, room, first, trunk)
        for lane in range(min(LANES, n - first)):
            members = groups.members[groups.start[first + lane] : groups.start[first + lane + 1]]
            for s in members:
                for c in range(bits.shape[1]):
                    bits[s, c] = lanes.record[lane, c]
            if len(leaf):
                _read_leaf(
                    leaf,
                    numbers,
                    groups,
                    lanes.leaked[lane],
                    room.state[at],
                    rows,
                    lane,
                    members,
                    len(blocks.kind),
                    bits,
                )


@njit(cache=True, nogil=True, error_model="numpy")
def fold(weights: NDArray[np.float64], scratch: NDArray[np.float64], factors: Any) -> None:
    """Contract probabilities with one factor per qubit and bit; the result is `scratch[0]`.

    Args:
        weights: Shape (2**width, 8), kept.
        scratch: Shape (at least 2**(width - 1), 8).
        factors: Shape (width, 2, 8), in the order of the bits.

    Cost:
        2 ** (width + 1) multiply-adds per lane.
    """
    width = len(factors)
    if width == 0:
        for lane in range(LANES):
            scratch[0, lane] = weights[0, lane]
        return
    half = len(weights) >> 1
    for k in range(width):
        source = weights if k == 0 else scratch
        f = factors[width - 1 - k]
        for row in range(half):
            for lane in range(LANES):
                scratch[row, lane] = (
                    f[0, lane] * source[row, lane] + f[1, lane] * source[row + half, lane]
                )
        half >>= 1


@njit(cache=True, nogil=True, error_model="numpy")
def turn(
    to: Any, state: Any, room: Room, rows: Index, positions: Ints, basis: NDArray[np.uint8]
) -> None:
    """Fill `to` with the state turned so that the basis of every qubit becomes Z.

    Args:
        to: Output, shape (2, rows, 8).
        state: Shape (2, rows, 8).
        room: Gives the matrix.
        rows: Rows in use.
        positions: Bit of each qubit, shape (n_qubits,).
        basis: Code 0..3 of each qubit; 0 and 3 leave it as it is.
    """
    for part in range(2):
        for row in range(rows):
            for lane in range(LANES):
                to[part, row, lane] = state[part, row, lane]
    h = np.sqrt(0.5)
    none, bits = np.int64(-1), np.zeros(4, np.int64)
    for q in range(len(positions)):
        if basis[q] == 1 or basis[q] == 2:
            room.matrix[:] = 0.0
            for lane in range(LANES):  # rows <+| and <-|, or <+i| and <-i|
                room.matrix[0, lane] = room.matrix[4, lane] = h
                if basis[q] == 1:
                    room.matrix[2, lane], room.matrix[6, lane] = h, -h
                else:
                    room.matrix[3, lane], room.matrix[7, lane] = -h, h
            bits[0] = bits[2] = positions[q]
            bits[1] = bits[3] = none
            transform(to[0], to[1], to[0], to[1], room.matrix, rows // 2, bits)


@njit(cache=True, nogil=True, error_model="numpy")
def string_factors(
    factors: Any, positions: Ints, pauli: NDArray[np.uint8], readout: Any, leaked: Any
) -> None:
    """Fill the factors of one string for `fold`; a leaked qubit reads 1 in every basis."""
    for q in range(len(positions)):
        k = positions[q]
        if k < 0:
            continue
        for lane in range(LANES):
            factors[k, 0, lane] = factors[k, 1, lane] = 1.0
            if pauli[q] and leaked[lane, q]:
                factors[k, 0, lane] = factors[k, 1, lane] = -1.0
            elif pauli[q]:
                factors[k, 0, lane] = readout[q, 1] + readout[q, 0]
                factors[k, 1, lane] = readout[q, 1] - readout[q, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def estimate_groups(
    blocks: Blocks,
    numbers: Numbers,
    quiet: Any,
    groups: Groups,
    positions: Ints,
    rows: Index,
    paulis: NDArray[np.uint8],
    bases: NDArray[np.uint8],
    setting: Ints,
    readout: NDArray[np.float64],
    room: Room,
    thread: Index,
    threads: Index,
    clbits: Index,
    out: NDArray[np.float64],
) -> None:
    """Run every `threads`-th batch of eight groups and write their expectation values.

    Args:
        blocks: The static part.
        numbers: The tables.
        quiet: Matrices without events, shape (blocks, 32, 8).
        groups: Who runs together.
        positions: Bit of each qubit at the end, -1 for a qubit no string looks at.
        rows: 2 ** (active qubits at the end).
        paulis: Strings, ordered by setting, shape (m, n_qubits).
        bases: Basis of each qubit in each setting, shape (settings, n_qubits).
        setting: First string of each setting, shape (settings + 1,).
        readout: Shape (n_qubits, 2), see `Engine.estimate`.
        room: Scratch space of this thread.
        thread: Which share of the batches to run.
        threads: Number of shares.
        clbits: Number of classical bits.
        out: Output, shape (groups, m).
    """
    n, width = len(groups.begin), 0
    for q in range(len(positions)):
        width += positions[q] >= 0
    trunk = np.zeros(3, np.int64)
    start(room.trunk)
    lanes = empty_lanes(len(positions), clbits)
    weights, scratch = np.empty((rows, LANES)), np.empty((rows, LANES))
    factors, norms = np.empty((width, 2, LANES)), np.empty(LANES)
    for first in range(thread * LANES, n, threads * LANES):
        at = run_batch(blocks, numbers, quiet, groups, lanes, room, first, trunk)
        for k in range(len(bases)):
            to = room.state[1 - at]
            turn(to, room.state[at], room, rows, positions, bases[k])
            for row in range(rows):
                for lane in range(LANES):
                    x, y = np.float64(to[0, row, lane]), np.float64(to[1, row, lane])
                    weights[row, lane] = x * x + y * y
            factors[:] = 1.0
            fold(weights, scratch, factors)
            for lane in range(LANES):
                norms[lane] = scratch[0, lane]
            for s in range(setting[k], setting[k + 1]):
                string_factors(factors, positions, paulis[s], readout, lanes.leaked)
                fold(weights, scratch, factors)
                for lane in range(min(LANES, n - first)):
                    out[first + lane, s] = scratch[0, lane] / norms[lane]


@njit(cache=True, nogil=True, error_model="numpy")
def misread_pairs(
    bits: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    pairs: Ints,
    confusion: NDArray[np.float64],
    item: Index,
) -> None:
    """Misread pairs of true bits together, in place; a bit with 2 added is leaked and reads 1.

    Args:
        bits: Shape (shots, n_clbits).
        keys: Keys of the shots.
        pairs: Shape (k, 2).
        confusion: P(read | true), shape (k, 4, 4), index 2 * first + second.
        item: Item of the first pair's random numbers.
    """
    for s in range(len(bits)):
        for k in range(len(pairs)):
            a, b = np.int64(bits[s, pairs[k, 0]]), np.int64(bits[s, pairs[k, 1]])
            true = 2 * (a & 1) + (b & 1)
            u = uniform(keys[s], item + k, 0)
            read, below = 0, confusion[k, 0, true]
            while read < 3 and u >= below:
                read += 1
                below += confusion[k, read, true]
            bits[s, pairs[k, 0]] = (read >> 1) | (a >> 1)
            bits[s, pairs[k, 1]] = (read & 1) | (b >> 1)
