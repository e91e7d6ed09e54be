"""Trajectories of matrix product states, from step to step."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from qdt_emu.kernels.mps import (
    Chain,
    apply_one,
    reduced_one,
    reduced_two,
)
from qdt_emu.kernels.mps_far import apply_far
from qdt_emu.kernels.mps_pair import apply_two
from qdt_emu.kernels.randomness import Index, uniform
from qdt_emu.kernels.trajectory import (
    LEAK,
    MEASURE,
    PAIR,
    RELAXATION,
    RESET,
    SWAPPED,
    Blocks,
    Ints,
    Numbers,
    Shot,
    act,
    holds,
    left_multiply,
    left_multiply_pair,
)


class Steps(NamedTuple):
    """Blocks and swaps in order of execution.

    Attributes:
        block: Which block, -1 for a swap, shape (steps,).
        site: Left site.
        right: Right site, -1 for a block on one qubit; not the next one for a step from afar.
        swapped: 1 where the block's first qubit is on the right.
        rightwards: 1 where the centre ends on the right site.
        of: Step of each block, and the number of steps at the end, shape (blocks + 1,).
    """

    block: Ints
    site: Ints
    right: Ints
    swapped: Ints
    rightwards: Ints
    of: Ints


class Members(NamedTuple):
    """Kraus operators for noise that is told as weak measurements instead of drawn errors.

    Attributes:
        row: Row of each item in one of the tables, -1 for all other items, shape (items,).
        one: Operators K on one qubit, shape (r, 4, 2, 2).
        two: Operators on two qubits, shape (s, 16, 4, 4).
        one_weights: Their K^dag K.
        two_weights: Their K^dag K.
    """

    row: Ints
    one: Any
    two: Any
    one_weights: Any
    two_weights: Any


class Circuit(NamedTuple):
    """What all trajectories share.

    Attributes:
        blocks: The static part.
        numbers: The tables.
        members: Noise that the state decides, no rows if events are drawn.
        steps: Order of execution.
        site: Site of each qubit in the end, shape (n_qubits,).
        leaf: Measurements sampled at the end: (qubit, qubit, clbit, slot), shape (k, 4).
        cutoff: Weight that each truncation may discard to save dimensions.
    """

    blocks: Blocks
    numbers: Numbers
    members: Members
    steps: Steps
    site: Ints
    leaf: Ints
    cutoff: float


@njit(cache=True, nogil=True, error_model="numpy")
def _quiet(blocks: Blocks, shot: Shot, block: Index) -> bool:
    """Return whether a block is the same as without events."""
    if blocks.varying[block] < blocks.item[block + 1]:
        return False
    for k in range(2):
        q = blocks.qubits[block, k]
        if q >= 0 and shot.leaked[q]:
            return False
    fired = False
    for c in range(blocks.column[block], blocks.column[block + 1]):
        fired |= shot.codes[c] != 0
    return not fired


@njit(cache=True, nogil=True, error_model="numpy")
def _asks_state(blocks: Blocks, members: Members, shot: Shot, block: Index) -> bool:
    """Return whether an outcome in this block depends on the state."""
    for item in range(blocks.item[block], blocks.item[block + 1]):
        kind, column = blocks.kind[item], blocks.code[item]
        if len(members.row) and members.row[item] >= 0:
            return True
        if kind in (MEASURE, RESET) or (kind in (RELAXATION, LEAK) and shot.codes[column]):
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def choose(t: Any, rho: Any, operators: Any, weights: Any, on: Index, u: float) -> None:
    """Multiply T by one of some Kraus operators, by its probability in T rho T^dag, and normalise.

    Args:
        t: Shape (4, 4), changed in place.
        rho: Density matrix of the pair before the block.
        operators: K of shape (k, 2, 2) or (k, 4, 4).
        weights: K^dag K, of the same shape.
        on: FIRST, SECOND, PAIR or SWAPPED.
        u: Uniform that chooses.
    """
    now = np.empty((4, 4), np.complex128)
    _density(t, rho, on, now)
    d = operators.shape[1]
    rest = u  # of a norm of 1, up to rounding
    for k in range(len(operators)):
        weight = 0.0
        for i in range(d):
            for j in range(d):
                weight += (weights[k, i, j] * now[j, i]).real
        if weight > 0.0 and (rest < weight or k == len(operators) - 1):
            if on >= PAIR:
                left_multiply_pair(t, operators[k], on == SWAPPED)
            else:
                left_multiply(t, operators[k], on)
            scale = 1.0 / np.sqrt(weight)
            for i in range(4):
                for j in range(4):
                    t[i, j] *= scale
            return
        rest -= weight


@njit(cache=True, nogil=True, error_model="numpy")
def _density(t: Any, rho: Any, on: Index, out: Any) -> None:
    """Fill `out`, shape (4, 4), with T rho T^dag as the operators on `on` see it."""
    half, both = np.empty((4, 4), np.complex128), np.empty((4, 4), np.complex128)
    for i in range(4):
        for j in range(4):
            total = 0.0j
            for m in range(4):
                total += t[i, m] * rho[m, j]
            half[i, j] = total
    for i in range(4):
        for j in range(i, 4):
            total = 0.0j
            for m in range(4):
                total += half[i, m] * np.conj(t[j, m])
            both[i, j] = total
            both[j, i] = np.conj(total)
    for i in range(4):
        for j in range(4):
            if on == PAIR:
                out[i, j] = both[i, j]
            elif on == SWAPPED:
                out[i, j] = both[(i & 1) << 1 | i >> 1, (j & 1) << 1 | j >> 1]
    if on < PAIR:
        near, far = (2, 1) if on == 0 else (1, 2)
        for i in range(2):
            for j in range(2):
                out[i, j] = both[i * near, j * near] + both[i * near + far, j * near + far]


@njit(cache=True, nogil=True, error_model="numpy")
def compose(
    blocks: Blocks, numbers: Numbers, members: Members, shot: Shot, block: Index, rho: Any, t: Any
) -> None:
    """Fill `t` with the matrix of one block, with the noise of `members` decided by the state.

    Updates the shot's classical state; `rho` is the density matrix before the block.
    """
    for i in range(4):
        for j in range(4):
            t[i, j] = 1.0 if i == j else 0.0
    first, end = blocks.item[block], blocks.item[block + 1]
    # Runs of other items in one call: each call counts references to all arrays it is given.
    for item in range(first, end + 1):
        row = np.int64(-1)
        if item < end and len(members.row):
            row = members.row[item]
        if item < end and row < 0:
            continue
        if first < item:
            act(blocks, numbers, shot, block, first, item, rho, t)
        first = item + 1
        if item == end:
            return
        free = blocks.condition[item] == blocks.condition[item + 1]
        if not free and not holds(blocks, item, shot.record):
            continue
        on, u = blocks.on[item], uniform(shot.key, item, 1)
        if on >= PAIR:
            choose(t, rho, members.two[row], members.two_weights[row], on, u)
        else:
            choose(t, rho, members.one[row], members.one_weights[row], on, u)


@njit(cache=True, nogil=True, error_model="numpy")
def advance(circuit: Circuit, shot: Shot, chain: Chain, first: Index, last: Index) -> None:
    """Run the steps `first` .. `last - 1` of one trajectory."""
    blocks, numbers, steps = circuit.blocks, circuit.numbers, circuit.steps
    rho, t = np.zeros((4, 4), np.complex128), np.zeros((4, 4), np.complex128)
    swap = np.zeros((4, 4), np.complex128)
    swap[0, 0] = swap[1, 2] = swap[2, 1] = swap[3, 3] = 1.0
    nothing = np.empty((0, 0), chain.data.dtype)
    for s in range(first, last):
        block, k, right = steps.block[s], steps.site[s], steps.right[s]
        swapped, rightwards = steps.swapped[s] == 1, steps.rightwards[s] == 1
        alone, theta = right < 0, nothing
        if block < 0 or _quiet(blocks, shot, block):
            source = swap if block < 0 else numbers.prefix[block]
            for i in range(4):
                for j in range(4):
                    t[i, j] = source[i, j]
        else:
            if _asks_state(blocks, circuit.members, shot, block):
                if alone:
                    reduced_one(chain, k, rho)
                else:
                    theta = reduced_two(chain, k, swapped, rho)
            compose(blocks, numbers, circuit.members, shot, block, rho, t)
        if alone:
            apply_one(chain, k, t)
        elif right > k + 1:
            first, second = (right, k) if swapped else (k, right)
            apply_far(chain, first, second, t, circuit.cutoff)
        else:
            apply_two(chain, k, theta, t, swapped, rightwards, circuit.cutoff)


@njit(cache=True, nogil=True, error_model="numpy")
def read(circuit: Circuit, shot: Shot, keys: Any, drawn: Any, members: Ints, bits: Any) -> None:
    """Write the records of some shots of one trajectory.

    Args:
        circuit: What all share.
        shot: The trajectory at its end.
        keys: Keys of the shots.
        drawn: Bits of the sites, shape (shots, n).
        members: Rows of `bits` of the shots.
        bits: Output, shape (all shots, n_clbits); 2 is added to leaked bits of paired readout.
    """
    leaf, base = circuit.leaf, len(circuit.blocks.kind)
    for k in range(len(members)):
        row = bits[members[k]]
        for c in range(len(row)):
            row[c] = shot.record[c]
        for j in range(len(leaf)):
            q, slot = leaf[j, 0], leaf[j, 3]
            bit = drawn[k, circuit.site[q]]
            if shot.leaked[q]:
                bit = 1 if slot >= 0 else 3
            elif slot >= 0:
                wrong = circuit.numbers.confusion[slot, bit]
                if uniform(keys[k], base + 1 + j, 2) < wrong:
                    bit = 1 - bit
            row[leaf[j, 2]] = bit
