"""Trajectories of three-level systems, and two-level fluctuators that can be asked at any time.

A trajectory keeps the state of n qutrits, 3**n amplitudes with qutrit 0 least significant. Events
(jumps, dephasing kicks, Pauli errors) are drawn by the loss of norm: without an event a step
multiplies the norm by the probability that nothing happens, and a shot has its event at the first
step where the product falls below its uniform number. So all shots share the trajectory without
events, and only a shot with one runs on alone.

Source:
    Dalibard, Castin and Molmer, Phys. Rev. Lett. 68, 580 (1992).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index, uniform

DIAGONAL, ONE, TWO = range(3)
# Roles of the random numbers of a shot; items count its events.
_WHEN, _KIND, _WHICH, _PAULI, _READ = range(5)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Matrix = NDArray[np.complex128]


class Program(NamedTuple):
    """A circuit on n qutrits; steps in time order.

    Attributes:
        kind: DIAGONAL, ONE (decay for a while, a phase, then a gate) or TWO (a gate), (steps,).
        stride: 3**qutrit of the step's qutrits, shape (steps, 2).
        gate: Row of `gates1`, `gates2` or `diagonals`, shape (steps,).
        decay: Row of `decays`, shape (steps,).
        qutrit: First qutrit, whose detuning acts, shape (steps,).
        dwell: How long it acts in s, shape (steps,).
        pauli: Probability of a random Pauli operator after the gate, shape (steps,).
        gates1: Shape (k, 3, 3).
        gates2: Shape (k, 9, 9), first qutrit most significant, conserving the sum of the levels.
        diagonals: Shape (k, 3**n).
        decays: Kraus operators, the one without an event first, shape (k, 9, 3, 3).
    """

    kind: Ints
    stride: Ints
    gate: Ints
    decay: Ints
    qutrit: Ints
    dwell: Floats
    pauli: Floats
    gates1: Matrix
    gates2: Matrix
    diagonals: Matrix
    decays: Matrix


@njit(cache=True, nogil=True, error_model="numpy")
def apply_one(source: Matrix, target: Matrix, m: Matrix, stride: Index) -> float:
    """Write m on one qutrit of `source` to `target`; return the squared norm of the result."""
    a, b, c = m[0, 0], m[0, 1], m[0, 2]
    d, e, f = m[1, 0], m[1, 1], m[1, 2]
    g, h, k = m[2, 0], m[2, 1], m[2, 2]
    first = second = third = 0.0
    for base in range(0, len(source), 3 * stride):
        for i in range(base, base + stride):
            x, y, z = source[i], source[i + stride], source[i + 2 * stride]
            u, v, w = a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + k * z
            target[i], target[i + stride], target[i + 2 * stride] = u, v, w
            # Three sums, because one would wait for its last addition six times per round.
            first += u.real * u.real + u.imag * u.imag
            second += v.real * v.real + v.imag * v.imag
            third += w.real * w.real + w.imag * w.imag
    return first + second + third


@njit(cache=True, nogil=True, error_model="numpy")
def scale_one(source: Matrix, target: Matrix, m: Matrix, stride: Index) -> float:
    """Do as `apply_one` with a diagonal m."""
    a, b, c = m[0, 0], m[1, 1], m[2, 2]
    first = second = third = 0.0
    for base in range(0, len(source), 3 * stride):
        for i in range(base, base + stride):
            u, v, w = a * source[i], b * source[i + stride], c * source[i + 2 * stride]
            target[i], target[i + stride], target[i + 2 * stride] = u, v, w
            # Three sums, because one would wait for its last addition six times per round.
            first += u.real * u.real + u.imag * u.imag
            second += v.real * v.real + v.imag * v.imag
            third += w.real * w.real + w.imag * w.imag
    return first + second + third


@njit(cache=True, nogil=True, error_model="numpy")
def apply_two(source: Matrix, target: Matrix, m: Matrix, p: Index, q: Index) -> None:
    """Write m on two qutrits (strides p, q; p most significant in m) of `source` to `target`.

    Only elements between states with the same sum of levels are read.
    """
    low, high = min(p, q), max(p, q)
    n = len(source)
    for outer in range(0, n, 3 * high):
        for middle in range(outer, outer + high, 3 * low):
            for i in range(middle, middle + low):
                i01, i10, i11 = i + q, i + p, i + p + q
                i02, i20 = i + 2 * q, i + 2 * p
                i12, i21, i22 = i + p + 2 * q, i + 2 * p + q, i + 2 * p + 2 * q
                x, y = source[i01], source[i10]
                target[i01], target[i10] = m[1, 1] * x + m[1, 3] * y, m[3, 1] * x + m[3, 3] * y
                u, v, w = source[i02], source[i11], source[i20]
                target[i02] = m[2, 2] * u + m[2, 4] * v + m[2, 6] * w
                target[i11] = m[4, 2] * u + m[4, 4] * v + m[4, 6] * w
                target[i20] = m[6, 2] * u + m[6, 4] * v + m[6, 6] * w
                x, y = source[i12], source[i21]
                target[i12], target[i21] = m[5, 5] * x + m[5, 7] * y, m[7, 5] * x + m[7, 7] * y
                target[i], target[i22] = m[0, 0] * source[i], m[8, 8] * source[i22]


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_one(state: Matrix, stride: Index) -> Matrix:
    """Return the density matrix of one qutrit, shape (3, 3)."""
    rho = np.zeros((3, 3), np.complex128)
    for base in range(0, len(state), 3 * stride):
        for i in range(base, base + stride):
            for r in range(3):
                for c in range(r + 1):
                    rho[r, c] += state[i + r * stride] * np.conj(state[i + c * stride])
    for r in range(3):
        for c in range(r + 1, 3):
            rho[r, c] = np.conj(rho[c, r])
    return rho


@njit(cache=True, nogil=True, error_model="numpy")
def pauli_one(code: Index) -> Matrix:
    """Return I, X, Y or Z of the two lower levels, the third one left alone, shape (3, 3)."""
    m = np.zeros((3, 3), np.complex128)
    m[2, 2] = 1.0
    if code % 3 == 0:
        m[0, 0], m[1, 1] = 1.0, 1.0 if code == 0 else -1.0
    elif code == 1:
        m[0, 1], m[1, 0] = 1.0, 1.0
    else:
        m[0, 1], m[1, 0] = -1j, 1j
    return m


@njit(cache=True, nogil=True, error_model="numpy")
def turned(gate: Matrix, kraus: Matrix, angle: float) -> Matrix:
    """Return gate * diag(1, e^(i angle), e^(2 i angle)) * kraus, shape (3, 3)."""
    turn = np.exp(1j * angle)
    middle = kraus.copy()
    middle[1] *= turn
    middle[2] *= turn * turn
    out = np.zeros((3, 3), np.complex128)
    for r in range(3):
        for c in range(3):
            for k in range(3):
                out[r, c] += gate[r, k] * middle[k, c]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def is_diagonal(m: Matrix) -> bool:
    """Return whether a (3, 3) matrix is diagonal."""
    for r in range(3):
        for c in range(3):
            if r != c and m[r, c] != 0:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def quiet_step(
    program: Program, step: Index, detuning: Floats, source: Matrix, target: Matrix, norm: float
) -> float:
    """Write the state after a step without an event to `target`; return its squared norm.

    That norm is the probability that no event has happened so far.
    """
    kind, gate = program.kind[step], program.gate[step]
    if kind == DIAGONAL:
        factors = program.diagonals[gate]
        for i in range(len(source)):
            target[i] = factors[i] * source[i]
        return norm
    stride = program.stride[step]
    if kind == TWO:
        apply_two(source, target, program.gates2[gate], stride[0], stride[1])
        return norm * float(1 - program.pauli[step])
    angle = 2 * np.pi * detuning[program.qutrit[step]] * program.dwell[step]
    m = turned(program.gates1[gate], program.decays[program.decay[step], 0], angle)
    m *= np.sqrt(1 - program.pauli[step])
    if is_diagonal(m):
        found: float = scale_one(source, target, m, stride[0])
    else:
        found = apply_one(source, target, m, stride[0])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def event_step(
    program: Program,
    step: Index,
    detuning: Floats,
    state: Matrix,
    scratch: Matrix,
    key: np.uint64,
    event: Index,
) -> None:
    """Replace the normalised `state` before a step by the state after it, given an event in it."""
    p = program.pauli[step]
    stride = program.stride[step]
    if program.kind[step] == TWO:
        apply_two(state, scratch, program.gates2[program.gate[step]], stride[0], stride[1])
        code = 1 + int(15 * uniform(key, event, _PAULI))
        apply_one(scratch, state, pauli_one(code // 4) / np.sqrt(1 - p), stride[0])
        apply_one(state, scratch, pauli_one(code % 4), stride[1])
        state[:] = scratch
        return
    rho = reduced_one(state, stride[0])
    kraus = program.decays[program.decay[step]]
    weight = np.zeros(len(kraus))
    for k in range(len(kraus)):
        for r in range(3):
            for a in range(3):
                for b in range(3):
                    term = kraus[k, r, a] * rho[a, b] * np.conj(kraus[k, r, b])
                    weight[k] += term.real
    decayed = weight[1:].sum()
    both = p + (1 - p) * decayed
    hit = uniform(key, event, _KIND) * both < p  # a Pauli operator, with or without a decay before
    first = 0 if hit else 1
    left = uniform(key, event, _WHICH) * weight[first:].sum()
    chosen = first
    for k in range(first, len(kraus)):
        if weight[k] > 0:
            chosen = k
            left -= weight[k]
            if left < 0:
                break
    angle = 2 * np.pi * detuning[program.qutrit[step]] * program.dwell[step]
    m = turned(program.gates1[program.gate[step]], kraus[chosen], angle)
    norm = apply_one(state, scratch, m, stride[0])
    code = 1 + int(3 * uniform(key, event, _PAULI)) if hit else 0
    apply_one(scratch, state, pauli_one(code) / np.sqrt(norm), stride[0])


@njit(cache=True, nogil=True, error_model="numpy")
def run_alone(
    program: Program, first: Index, detuning: Floats, buffers: Matrix, key: np.uint64, event: Index
) -> int:
    """Run one shot from step `first` on; return which buffer holds its final state.

    Args:
        program: The circuit.
        first: First step that is still to be done.
        detuning: In Hz, shape (n,).
        buffers: Shape (2, 3**n); the first one holds the normalised state.
        key: Of the shot's random numbers.
        event: Number of its next event.
    """
    now = 0
    norm, until = 1.0, 1.0 - uniform(key, event, _WHEN)
    for step in range(first, len(program.kind)):
        found = quiet_step(program, step, detuning, buffers[now], buffers[1 - now], norm)
        if found >= until:
            norm, now = found, 1 - now
            continue
        buffers[now] /= np.sqrt((np.abs(buffers[now]) ** 2).sum())
        event_step(program, step, detuning, buffers[now], buffers[1 - now], key, event)
        event += 1
        norm, until = 1.0, 1.0 - uniform(key, event, _WHEN)
    return now


@njit(cache=True, nogil=True, error_model="numpy")
def read_levels(state: Matrix, u: float, levels: NDArray[np.uint8]) -> None:
    """Write the level of each qutrit, measured with the uniform number u, to `levels`."""
    left = u * (np.abs(state) ** 2).sum()
    last = 0
    for i in range(len(state)):
        weight = state[i].real ** 2 + state[i].imag ** 2
        if weight > 0:
            last = i
            left -= weight
            if left < 0:
                break
    for q in range(len(levels)):
        levels[q] = last % 3
        last //= 3


@njit(cache=True, nogil=True, error_model="numpy")
def sample(
    program: Program,
    detuning: Floats,
    block: Index,
    keys: NDArray[np.uint64],
    start: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Return the level in which each qutrit of each shot is found, shape (shots, n).

    Args:
        program: The circuit.
        detuning: In Hz, one row for every `block` consecutive shots, shape (blocks, n).
        block: Shots that share a detuning, and the trajectory without events.
        keys: Key of each shot's random numbers, shape (shots,).
        start: Level in which each qutrit of each shot starts, shape (shots, n).

    Cost:
        One trajectory per block, one per shot that starts excited, and the rest of one per shot
        with an event; each about 3e-9 s * 3**n per one-qutrit step.
    """
    shots, n = start.shape
    steps, size = len(program.kind), 3**n
    levels = np.zeros((shots, n), np.uint8)
    trunk, own = np.empty((2, size), np.complex128), np.empty((2, size), np.complex128)
    for b in range(len(detuning)):
        first, stop = b * block, min((b + 1) * block, shots)
        waiting = np.ones(stop - first, np.bool_)
        now, norm = 0, 1.0
        trunk[0] = 0
        trunk[0, 0] = 1
        for s in range(first, stop):
            index = 0
            for q in range(n):
                index += 3**q * start[s, q]
            if index:
                own[0] = 0
                own[0, index] = 1
                last = run_alone(program, 0, detuning[b], own, keys[s], 0)
                read_levels(own[last], uniform(keys[s], 0, _READ), levels[s])
                waiting[s - first] = False
        for step in range(steps):
            found = quiet_step(program, step, detuning[b], trunk[now], trunk[1 - now], norm)
            for s in range(first, stop):
                if waiting[s - first] and found < 1.0 - uniform(keys[s], 0, _WHEN):
                    own[0] = trunk[now] / np.sqrt(norm)
                    event_step(program, step, detuning[b], own[0], own[1], keys[s], 0)
                    last = run_alone(program, step + 1, detuning[b], own, keys[s], 1)
                    read_levels(own[last], uniform(keys[s], 0, _READ), levels[s])
                    waiting[s - first] = False
            norm, now = found, 1 - now
        for s in range(first, stop):
            if waiting[s - first]:
                read_levels(trunk[now], uniform(keys[s], 0, _READ), levels[s])
    return levels


@njit(cache=True, nogil=True, error_model="numpy")
def telegraph(
    keys: NDArray[np.uint64], times: Floats, rates: Floats, occupied: Floats, grain: float
) -> NDArray[np.uint8]:
    """Return the states of two-state fluctuators at any times, shape (fluctuators, times).

    Time is cut into grains of `grain` / rate. At the beginning of each the state is drawn anew
    with probability 1 - exp(-grain), else kept; the last draw before a time decides. The state so
    is a function of time alone, whichever times are asked in which order.

    Args:
        keys: Key of each fluctuator's random numbers.
        times: In s, shape (times,).
        rates: Sum of the rates of both jumps in 1/s, shape (fluctuators,).
        occupied: Probability of state 1, shape (fluctuators,).
        grain: Length of a grain in correlation times, well below 1.

    Error:
        The autocovariance is p (1 - p) exp(-rate |lag|) at whole grains, and linear between.
    """
    out = np.zeros((len(keys), len(times)), np.uint8)
    drawn = -np.expm1(-grain)
    for f in range(len(keys)):
        for t in range(len(times)):
            cell = np.int64(np.floor(times[t] * rates[f] / grain))
            while uniform(keys[f], cell, _WHEN) >= drawn:
                cell -= 1
            out[f, t] = uniform(keys[f], cell, _KIND) < occupied[f]
    return out
