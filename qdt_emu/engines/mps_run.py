"""One run of a circuit on a chain: its arrays, its rooms, and the account of what was cut."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Values
from qdt_emu.engines.mps_program import Compiled
from qdt_emu.engines.statevector_run import group
from qdt_emu.engines.unravel import Bound, Program, bind
from qdt_emu.engines.unravel_kraus import pauli_members, relaxation_members
from qdt_emu.kernels.ensemble import Groups
from qdt_emu.kernels.mps import Chain, draw, expectations
from qdt_emu.kernels.mps_pair import TRUST
from qdt_emu.kernels.mps_run import Circuit, Members, Steps, advance, read
from qdt_emu.kernels.trajectory import PAIR, Shot

CHUNK = 256
"""Shots drawn from one state at a time."""


@dataclass(frozen=True)
class Account:
    """What truncation has discarded, over all shots.

    Attributes:
        shots: Number of shots.
        trajectories: Number of different trajectories.
        fidelity: Sum over shots of the product of (1 - discarded weight).
        worst: Smallest of these products.
        roots: Sum over shots of the sum of the roots of discarded weights.
        angle: Largest sum over cuts of arcsin(root).
        bond: Largest bond at the end of a trajectory.
    """

    shots: int = 0
    trajectories: int = 0
    fidelity: float = 0.0
    worst: float = 1.0
    roots: float = 0.0
    angle: float = 0.0
    bond: int = 1

    def plus(self, accounts: NDArray[np.float64], weights: NDArray[np.int64]) -> "Account":
        """Return the account with more groups, shape (groups, 5), of `weights` shots each."""
        fidelity = np.exp(accounts[:, 0])
        return Account(
            self.shots + int(weights.sum()),
            self.trajectories + len(weights),
            self.fidelity + float(weights @ fidelity),
            min(self.worst, float(fidelity.min(initial=1.0))),
            self.roots + float(weights @ accounts[:, 1]),
            max(self.angle, float(accounts[:, 2].max(initial=0.0))),
            max(self.bond, int(accounts[:, 4].max(initial=1))),
        )

    @property
    def rigorous(self) -> float:
        """Bound on the trace distance that holds always: mean sum of roots.

        Each truncation moves the state by the root of what it discards, in trace distance, and no
        channel makes the distance larger.
        """
        return min(1.0, self.roots / max(1, self.shots))

    @property
    def likely(self) -> float:
        """Bound on the trace distance that holds where truncations do not conspire.

        sqrt(1 - F) with the mean over trajectories of F = prod (1 - discarded weight): errors of
        different cuts are as good as orthogonal. Never above `rigorous`.
        """
        infidelity = max(0.0, 1.0 - self.fidelity / max(1, self.shots))
        return float(min(self.rigorous, np.sqrt(infidelity)))

    def details(self) -> dict[str, float | int | str]:
        """Return what the engine says about the run."""
        return {
            "trajectories": self.trajectories,
            "mps bond": self.bond,
            "mps fidelity": self.fidelity / max(1, self.shots),
            "mps worst fidelity": self.worst,
            "mps rigorous fidelity": float(np.cos(min(self.angle, np.pi / 2)) ** 2),
            "mps rigorous truncation": self.rigorous,
        }


def groups_of(bound: Bound, keys: NDArray[np.uint64]) -> Groups:
    """Draw the random events of all shots and put shots with equal events together."""
    return group(bound.run, keys)


def weakly(program: Program, values: Values) -> tuple[Bound, Members]:
    """Return a program with its numbers, and its noise as weak measurements.

    No event of this noise is drawn beforehand: the state decides each, with operators that leave
    little entanglement, so that every trajectory is one of its own.
    """
    blocks = program.compiled.blocks
    rows = np.full(len(blocks.kind), -1, np.int64)
    varying = blocks.varying.copy()
    tables: dict[bool, list[NDArray[np.complex128]]] = {False: [], True: []}
    seen: dict[tuple[int, bool, int], int] = {}
    relaxation = np.asarray(values.relaxation, float)
    for item in np.flatnonzero(np.isin(blocks.kind, (Kind.RELAXATION, Kind.PAULI))).tolist():
        kind, pair, slot = int(blocks.kind[item]), bool(blocks.on[item] >= PAIR), blocks.slot[item]
        key = (kind, pair, int(slot))
        if key not in seen:
            if kind == Kind.RELAXATION:
                silent = bool((relaxation[slot, :2] == 1.0).all())
                members = relaxation_members(relaxation[slot])
            else:
                rates = np.asarray(values.pauli2 if pair else values.pauli1, float)[slot]
                silent, members = bool(rates[0] == 1.0), pauli_members(rates)
            seen[key] = -1 if silent else len(tables[pair])
            tables[pair] += [] if silent else [members]
        rows[item] = seen[key]
    mixed = np.flatnonzero(rows >= 0)
    np.minimum.at(varying, np.searchsorted(blocks.item, mixed, "right") - 1, mixed)
    compiled = replace(program.compiled, blocks=blocks._replace(varying=varying))
    bound = bind(replace(program, compiled=compiled), values)
    cumulative = bound.run.cumulative.copy()
    cumulative[blocks.code[mixed]] = 0.0
    one = np.array(tables[False], np.complex128).reshape(-1, 4, 2, 2)
    two = np.array(tables[True], np.complex128).reshape(-1, 16, 4, 4)
    return replace(bound, run=replace(bound.run, cumulative=cumulative)), _members(rows, one, two)


def drawn() -> Members:
    """Return that all events are drawn beforehand."""
    nothing = np.zeros(0, np.int64)
    one, two = np.zeros((0, 4, 2, 2), np.complex128), np.zeros((0, 16, 4, 4), np.complex128)
    return _members(nothing, one, two)


def _members(
    rows: NDArray[np.int64], one: NDArray[np.complex128], two: NDArray[np.complex128]
) -> Members:
    weights = [np.einsum("...ji,...jk->...ik", k.conj(), k) for k in (one, two)]
    return Members(rows, one, two, *weights)


def circuit(compiled: Compiled, bound: Bound, members: Members, cutoff: float) -> Circuit:
    """Return what the kernels read."""
    block, first, second = np.array(compiled.sites, np.int64).reshape(-1, 3).T
    alone = second < 0
    left = np.where(alone, first, np.minimum(first, second))
    right = np.where(alone, -1, np.maximum(first, second))
    following = np.append(left[1:], 0)[: len(left)]
    qubits = compiled.program.qubits
    of = np.full(len(qubits) + 1, len(block), np.int64)
    real = np.flatnonzero(block >= 0)
    of[block[real]] = real
    return Circuit(
        bound.run.blocks,
        bound.run.numbers,
        members,
        Steps(block.copy(), left, right, (first > second) * ~alone * 1, (following > left) * 1, of),
        np.array(compiled.route.final, np.int64),
        compiled.program.compiled.leaf,
        cutoff,
    )


@dataclass(frozen=True, eq=False)
class Room:
    """States of one thread: the trajectory without events, and one with."""

    trunk: Chain
    state: Chain


def empty(limit: tuple[int, ...], dtype: Any) -> Chain:
    """Return the state |0...0> with room for bonds up to `limit`, shape (n + 1,)."""
    most = np.array(limit, np.int64)
    offset = np.concatenate([[0], np.cumsum(2 * most[:-1] * most[1:])]).astype(np.int64)
    data = np.zeros(offset[-1], dtype)
    data[offset[:-1]] = 1.0
    ones = np.ones(len(most), np.int64)
    free, seen = TRUST * ones, ones.copy()
    return Chain(data, offset, ones, most, free, seen, np.zeros(1, np.int64), np.zeros(4))


def copied(source: Chain, to: Chain) -> None:
    """Copy a state into another of the same room."""
    to.bond[:], to.free[:], to.seen[:] = source.bond, source.free, source.seen
    to.centre[:] = source.centre
    to.account[:] = source.account
    sizes = 2 * source.bond[:-1] * source.bond[1:]
    for first, size in zip(source.offset.tolist(), sizes.tolist(), strict=False):
        to.data[first : first + size] = source.data[first : first + size]


def trajectories(
    circuit: Circuit, groups: Groups, room: Room, share: range, clbits: int
) -> Iterator[tuple[int, Shot]]:
    """Run groups, ascending by first event, and yield each with its shot; `room.state` holds it.

    Until its first event a group follows the trajectory without events, which is run only once.
    """
    steps, n = circuit.steps, len(circuit.site)

    def shot(codes: Any, key: Any, detuning: Any) -> Shot:
        record = np.zeros(max(1, clbits), np.uint8)
        known, leaked = np.zeros((2, n), np.uint8)
        return Shot(codes, key, detuning, known, leaked, record)

    nothing = shot(np.zeros(groups.codes.shape[1], np.uint8), np.uint64(0), np.zeros(n))
    reached = 0
    for g in share:
        fork = int(steps.of[groups.begin[g]])
        advance(circuit, nothing, room.trunk, reached, fork)
        reached = fork
        copied(room.trunk, room.state)
        s = int(groups.members[groups.start[g]])
        row = groups.detuning[min(s, len(groups.detuning) - 1)]
        own = shot(groups.codes[s], groups.keys[s], row)
        advance(circuit, own, room.state, fork, len(steps.block))
        yield g, own


def draw_group(
    circuit: Circuit, state: Chain, shot: Shot, groups: Groups, g: int, bits: NDArray[np.uint8]
) -> None:
    """Write the records of the shots of one group."""
    members = groups.members[groups.start[g] : groups.start[g + 1]]
    item = len(circuit.blocks.kind) + 1 + len(circuit.leaf)
    for first in range(0, len(members), CHUNK):
        some = members[first : first + CHUNK]
        keys, drawn = groups.keys[some], np.zeros((len(some), len(circuit.site)), np.uint8)
        if len(circuit.leaf):
            draw(state, keys, item, drawn)
        read(circuit, shot, keys, drawn, some, bits)


def expect(
    circuit: Circuit,
    state: Chain,
    shot: Shot,
    strings: NDArray[np.uint8],
    maps: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fill `out`, shape (m,), with expectation values; strings and maps are ordered by site."""
    leaked = circuit.site[shot.leaked != 0]
    if len(leaked):  # reads 1 in every basis
        maps = maps.copy()
        maps[leaked] = 0.0, -1.0
    expectations(state, strings, maps, out)


def summed(
    found: NDArray[np.float64], weights: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means over shots and their standard errors, shape (m,).

    Args:
        found: Values of each group, shape (groups, m).
        weights: Shots of each group.
    """
    shots = int(weights.sum())
    mean = weights @ found / shots
    variance = weights @ (found - mean) ** 2 / max(1, shots - 1)
    return mean, np.sqrt(variance / shots)
