"""Trajectories of a graph tensor network, from the steps to numbers."""

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from qdt_emu.circuit import Kind, Structure
from qdt_emu.engines.network_bp import propagate
from qdt_emu.engines.network_evolve import Work, factor
from qdt_emu.engines.network_expect import (
    TOLERANCE,
    Estimate,
    Loop,
    expectation,
    plaquettes,
)
from qdt_emu.engines.network_gates import Row, apply, tabled
from qdt_emu.engines.network_merge import merged
from qdt_emu.engines.network_pull import Matrix, Pulled, kraus, pull
from qdt_emu.engines.network_state import Graph, GraphState, product_state
from qdt_emu.engines.unravel import Bound, Ending, Gate, Measure, Reset, Step, trajectory

FEWER = 2.0  # how much more work strings may cost one by one than together
SETTLED = 1e-12  # change of a bond's density matrix at which re-gauging after an event stops
NOTHING = 1e-13  # discarded weight that is rounding
LEFT = 0.07  # of the root of the discarded weight, about what cuts change: so much loops may, too
BP_TOLERANCE, BP_SWEEPS = 1e-6, 50


@dataclass(frozen=True)
class Cut:
    """Where bonds are cut.

    Attributes:
        max_bond: Largest bond dimension.
        cutoff: Ratio of Schmidt coefficients to the largest below which they are dropped.
    """

    max_bond: int
    cutoff: float

    @property
    def half(self) -> int:
        """Half the largest bond dimension, with which a pilot is run again."""
        return max(1, self.max_bond // 2)


@dataclass(frozen=True)
class Found:
    """One string in one trajectory.

    Attributes:
        value: Expectation value with messages around the region of the support.
        log_fidelity: Of the state it was taken from.
        loops: What further loops change in it; 0.0 where that was not asked for.
        doubt: Sum of the absolute values of these changes.
        half: The value with half the bond; the same where nothing was cut or it was not asked for.
        around: Loops in the region.
    """

    value: float
    log_fidelity: float
    loops: float
    doubt: float
    half: float
    around: tuple[Loop, ...] = ()


@lru_cache(maxsize=64)
def graph_of(structure: Structure) -> Graph:
    """Return the graph of all pairs that an operation joins."""
    pairs = {tuple(sorted(op.qubits)) for op in structure.operations if len(op.qubits) == 2}
    return Graph(structure.n_qubits, tuple(sorted((a, b) for a, b in pairs)))


@lru_cache(maxsize=64)
def zeros(graph: Graph) -> GraphState:
    """Return all qubits in |0>."""
    return product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))


def advance(work: Work, step: Step, cut: Cut) -> int | None:
    """Apply one step; what the state decides is decided by the step's uniform number.

    Returns:
        The bit where it was measured.
    """
    if isinstance(step, Gate):
        if len(step.qubits) == 1:
            work.one(step.qubits[0], step.matrix)
        else:
            a, b = step.qubits
            work.two((a, b), factor(step.matrix), cut.max_bond, cut.cutoff)
        return None
    branches = kraus(step)
    rho = work.reduced(step.qubit)
    p = np.array([np.trace(k @ rho @ k.conj().T).real for k in branches]).clip(0.0)
    # Branch 1 for u < P(1), as everywhere; events draw from the first branch on.
    u = 1 - step.u if isinstance(step, Measure | Reset) else step.u
    chosen = min(int(np.searchsorted(np.cumsum(p), u * p.sum(), "right")), len(p) - 1)
    while p[chosen] == 0.0:
        chosen -= 1
    work.one(step.qubit, branches[chosen])
    work.settle(step.qubit, cut.cutoff, max(SETTLED, cut.cutoff))
    return chosen if isinstance(step, Measure) else None


def conditioned(bound: Bound) -> bool:
    """Return whether a measured bit decides what happens later."""
    return len(bound.program.compiled.blocks.conditioned) > 0


def follow(graph: Graph, bound: Bound, key: np.uint64, cut: Cut) -> tuple[GraphState, Ending]:
    """Return the state and the classical bits at the end of a trajectory."""
    work, bit = Work(zeros(graph)), None
    walk = trajectory(bound, key)
    if not conditioned(bound) and not measures(bound):
        steps, ending = listed(walk)
        return evolved(graph, steps, cut), ending
    while True:
        try:
            step = walk.send(bit)
        except StopIteration as end:
            return work.state(), end.value
        bit = advance(work, step, cut)


def measures(bound: Bound) -> bool:
    """Return whether a measurement lies inside of the circuit."""
    return bool(np.any(bound.program.compiled.blocks.kind == Kind.MEASURE))


def listed(walk: Generator[Step, int | None, Ending]) -> tuple[list[Step], Ending]:
    """Return the steps of a trajectory that no measured bit changes, and its end."""
    steps: list[Step] = []
    while True:
        try:
            steps.append(next(walk))
        except StopIteration as end:
            return steps, end.value


@dataclass(frozen=True)
class Forked:
    """A state after steps that no measured bit changes, and the way to the same with smaller bonds.

    Attributes:
        state: The state.
        coarse: Returns the state with smaller bonds; only what differs is run again.
    """

    state: GraphState
    coarse: Callable[[], GraphState]


def evolved(graph: Graph, steps: Sequence[Step], cut: Cut) -> GraphState:
    """Return the state after steps that no measured bit changes."""
    return forked(graph, steps, cut, None).state


def forked(graph: Graph, steps: Sequence[Step], cut: Cut, half: int | None) -> Forked:
    """Return the state after steps, with bonds up to `cut.max_bond`, and the way to `half`.

    Small couplings are gathered as far as that changes less than dropping a Schmidt coefficient at
    the cutoff does.
    """
    fewer, passed = merged(graph, steps, cut.cutoff)
    parts = [_part(graph, own) for _, own in groupby(fewer, lambda s: isinstance(s, Gate))]
    work = Work(zeros(graph))
    work.log_fidelity -= passed
    at = _walk(work, parts, cut, (0, 0), stop=half)
    trunk = work.copy()
    _walk(work, parts, cut, at)

    def coarse() -> GraphState:
        other = trunk.copy()
        _walk(other, parts, Cut(half or cut.max_bond, cut.cutoff), at)
        return other.state()

    return Forked(work.state(), coarse)


def _part(graph: Graph, steps: Iterable[Step]) -> Row | list[Step]:
    """Return steps between events as tables, other steps as they are."""
    own = list(steps)
    gates = [step for step in own if isinstance(step, Gate)]
    return tabled(graph, gates) if gates else own


def _walk(
    work: Work,
    parts: Sequence[Row | list[Step]],
    cut: Cut,
    at: tuple[int, int],
    *,
    stop: int | None = None,
) -> tuple[int, int]:
    """Apply parts of a trajectory from a place on; return where a bond would pass `stop`."""
    part, first = at
    while part < len(parts):
        own = parts[part]
        if isinstance(own, Row):
            first = apply(
                work, own, max_bond=cut.max_bond, cutoff=cut.cutoff, first=first, stop=stop
            )
            if first < len(own.gates.kind):
                break
        else:
            for step in own:
                advance(work, step, cut)
        part, first = part + 1, 0
    return part, first


def evaluate(
    state: GraphState,
    strings: Sequence[Mapping[int, Matrix]],
    around: Sequence[Collection[Loop]],
    *,
    loops: bool = False,
) -> list[Estimate]:
    """Return each string in a state, given loops of its region; and what other loops change."""
    open_edges = frozenset(k for k, w in enumerate(state.weights) if len(w) > 1)
    loops = loops and bool(plaquettes(state.graph, open_edges))
    tolerance = max(TOLERANCE, LEFT * np.sqrt(-np.expm1(min(0.0, state.log_fidelity))))
    found = [
        expectation(state, string, loops=loops, tolerance=tolerance, looks=0) for string in strings
    ]
    # The gauge's own messages are near enough to the fixed point as long as loops are small.
    far = [bool(a) or f.rough for a, f in zip(around, found, strict=True)]
    if any(far):
        messages = propagate(state, tolerance=BP_TOLERANCE, max_sweeps=BP_SWEEPS)
    return [
        expectation(state, string, messages, loops=loops, around=held, tolerance=tolerance)
        if is_far
        else f
        for string, held, f, is_far in zip(strings, around, found, far, strict=True)
    ]


def judged(
    forked: Forked,
    strings: Sequence[Mapping[int, Matrix]],
    around: Sequence[Collection[Loop]],
    *,
    pilot: bool,
    loops: bool,
) -> list[Found]:
    """Return strings of a state; of a pilot, with what loops and half the bond change."""
    state = forked.state
    found = evaluate(state, strings, around, loops=pilot and loops)
    halves = [f.value for f in found]
    if pilot and state.log_fidelity < -NOTHING:
        coarse = evaluate(forked.coarse(), strings, [f.around for f in found])
        halves = [f.value for f in coarse]
    return [
        Found(f.value, state.log_fidelity, f.loops, f.doubt, half, f.around)
        for f, half in zip(found, halves, strict=True)
    ]


def pulled_values(
    graph: Graph,
    rest: Pulled,
    around: Sequence[Collection[Loop]],
    cut: Cut,
    *,
    pilot: bool,
    loops: bool,
) -> list[Found]:
    """Return strings of one trajectory that were pulled back through its end."""
    both = forked(graph, rest.steps, cut, cut.half if pilot else None)
    found = judged(both, rest.operators, around, pilot=pilot, loops=loops)
    return [
        replace(
            f, value=by * f.value, loops=by * f.loops, doubt=abs(by) * f.doubt, half=by * f.half
        )
        for f, by in zip(found, rest.factors.tolist(), strict=True)
    ]


def digest(rest: Pulled) -> bytes | None:
    """Return an identity of what is left of a trajectory, or None where its state decides."""
    hashed = hashlib.blake2b(rest.factors.tobytes())
    for step in rest.steps:
        if not isinstance(step, Gate):
            return None
        hashed.update(bytes(repr(step.qubits), "ascii") + step.matrix.tobytes())
    for string in rest.operators:
        hashed.update(b"|")
        for q in sorted(string):
            hashed.update(bytes(str(q), "ascii") + string[q].astype(complex).tobytes())
    return hashed.digest()


def groups(
    graph: Graph, steps: Sequence[Step], strings: Sequence[Mapping[int, Matrix]], max_bond: int
) -> tuple[tuple[int, ...], ...]:
    """Return which strings share a state.

    Strings with one support do; all do where their light cones one by one would cost more than
    `FEWER` times the state of all. One by one is more accurate: less is in the state.
    """
    by_support: dict[tuple[int, ...], list[int]] = {}
    for k, string in enumerate(strings):
        by_support.setdefault(tuple(sorted(string)), []).append(k)
    single = tuple(tuple(members) for members in by_support.values())
    if len(single) == 1:
        return single
    limit = FEWER * work_of(graph, pull(steps, strings).steps, max_bond)
    total = 0.0
    for members in single:
        total += work_of(graph, pull(steps, [strings[k] for k in members]).steps, max_bond)
        if total > limit:
            return (tuple(range(len(strings))),)
    return single


def work_of(graph: Graph, steps: Iterable[Step], max_bond: int) -> float:
    """Return seconds of an evolution whose bonds grow by two with every two-qubit gate."""
    pairs = (step.qubits for step in steps if isinstance(step, Gate) and len(step.qubits) == 2)
    return growth(graph, pairs, max_bond)[0]


def growth(
    graph: Graph, pairs: Iterable[tuple[int, ...]], max_bond: int
) -> tuple[float, list[int]]:
    """Return seconds of two-qubit gates in order, and the bonds at the end.

    Error:
        Within a factor of two on one Zen core; others as fast as their matrix products.
    """
    bonds = [1] * len(graph.edges)
    seconds = 0.0
    for a, b in pairs:
        edge = graph.edge[min(a, b), max(a, b)]
        d = bonds[edge]
        for site in (a, b):
            others = 1
            for k in graph.legs[site]:
                others *= bonds[k] if k != edge else 1
            seconds += 1.25e-10 * others * (2 * d) ** 2 * 2
        seconds += 1.5e-5 + 2.5e-9 * (2 * d) ** 3
        bonds[edge] = min(max_bond, 2 * d)
    return seconds, bonds
