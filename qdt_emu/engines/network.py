"""The network engine: a state with the shape of the chip, for a hundred qubits and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.network_expect import Loop
from qdt_emu.engines.network_pull import Matrix, pull
from qdt_emu.engines.network_run import (
    FEWER,
    Cut,
    Forked,
    Found,
    conditioned,
    digest,
    follow,
    graph_of,
    groups,
    growth,
    judged,
    listed,
    pulled_values,
)
from qdt_emu.engines.network_shots import Shots
from qdt_emu.engines.network_state import Graph, GraphState
from qdt_emu.engines.refusals import checked_codes, too_wide
from qdt_emu.engines.threads import check_threads, each, single_blas, workers
from qdt_emu.engines.unravel import Bound, Step, bind, program, trajectory
from qdt_emu.errors import InputError
from qdt_emu.kernels.randomness import shot_keys

U = TypeVar("U")
Floats = NDArray[np.float64]

LOOP_PILOTS = 1  # trajectories in which loops are contracted
PILOTS = 4  # trajectories that are run again with half the bond, for the error
CHANGE = 2.0  # in the reported error, of what half the bond changes
LOST = 0.2  # of the root of the discarded weight
LOOPED = 3.0  # of what loops change that are not contracted with the rest
AHEAD = 32  # trajectories whose steps are held at a time
DRAWING = 3  # times the state's bytes, measured 2.3, for boundary and messages of samples
PULLED = 1.5e-3  # s of Python per trajectory, string and thousand operations,
DRAWN = 3e-4  # and per qubit of a sample; threads do not share it
PAULIS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], complex
)

_program = lru_cache(maxsize=64)(program)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A structure and the graph of its couplings."""

    structure: Structure
    graph: Graph


@dataclass(frozen=True)
class Network:
    """Noisy trajectories of a pure state with one tensor per qubit and one bond per coupler.

    For processors with few neighbours per qubit and long loops, as the heavy-hexagon lattice. Only
    gates in an observable's light cone are applied; what is Clifford at its end acts on the
    observable instead.

    Attributes:
        max_bond: Largest bond dimension.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        loops: Whether expectation values are corrected for loops, one at a time.
        message_bond: Bond of what stands for the qubits not yet drawn when bits are drawn. 1 takes
            the rest as a tree: a tenth quicker, and 0.6 instead of 0.97 of the shots count in full
            after five kicked-Ising steps on 127 qubits.
        threads: Number of threads, None for one per core. Results do not depend on it.
        device: None for NumPy; 'cpu' or 'gpu' evolves trajectories of shots in batches with JAX.
    """

    max_bond: int = 16
    cutoff: float = 1e-4
    loops: bool = True
    message_bond: int = 8
    threads: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.max_bond < 2:
            raise InputError(f"`max_bond` must be at least 2, but is {self.max_bond!r}.")
        if not 0 <= self.cutoff < 0.1:
            raise InputError(f"`cutoff` must be in [0, 0.1), but is {self.cutoff!r}.")
        if self.message_bond < 1:
            raise InputError(f"`message_bond` must be at least 1, but is {self.message_bond!r}.")
        if self.device not in (None, "cpu", "gpu"):
            raise InputError(f"`device` must be None, 'cpu' or 'gpu', but is {self.device!r}.")
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "network"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return what `shots` trajectories cost, all qubits in the state.

        Error:
            Seconds within a factor of about 3 upwards: light cones of observables are smaller.
        """
        if refusal := too_wide(structure):
            return Plan(0.0, 0, refusal=refusal)
        graph = graph_of(structure)
        seconds, bonds = growth(graph, _joined(structure), self.max_bond)
        sizes = [
            2 * np.prod([float(bonds[k]) for k in legs]) for legs in graph.legs
        ]  # entries of each site
        threads = self.workers(shots)
        size = int(16 * threads * (sum(sizes) + 8 * max(sizes, default=1)))
        size *= 1 if paulis else DRAWING
        alone = len(structure.operations) / 1e3 * PULLED * max(1, paulis)
        alone += 0.0 if paulis else DRAWN * structure.n_qubits
        seconds = max(1, shots) * (seconds * max(1.0, min(paulis, FEWER)) / threads + alone)
        refusal = ""
        if size > memory:
            worst = max(range(graph.n), key=lambda q: sizes[q])
            refusal = (
                f"`max_bond` must leave the tensors in {memory} bytes, but {self.max_bond} needs "
                f"{size}: qubit {worst} has {len(graph.legs[worst])} couplers. Give more memory, a "
                f"smaller `max_bond`, or use 'mps'."
            )
        cut = any(b == self.max_bond for b in bonds)
        return Plan(seconds, size, truncation=1.0 if cut else 0.0, refusal=refusal)

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the structure with its graph."""
        return Prepared(structure, graph_of(structure))

    def estimate(
        self,
        state: Prepared,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: Floats,
        /,
        *,
        shots: int,
        seed: int,
    ) -> Expectations:
        """Return means over trajectories; without noise there is one.

        Error:
            `stderr` over trajectories; `bounds` from what half the bond, the discarded weight and
            loops change in a few of them, at most 2 sqrt(1 - F) for the cuts. They cover the true
            error of 99 % of the strings of random circuits on chains, trees, rings and grids of
            10 to 12 qubits (93 % of those that loops of 12 qubits or of a grid change most), and
            are 50 times too large at the median.
        """
        strings = _strings(state.structure, paulis, readout)
        kept = tuple(int(q) for q in np.flatnonzero(np.asarray(paulis).any(axis=0)))
        bound = bind(_program(state.structure, kept=kept), values)
        count = 1 if _certain(bound) else shots
        run = _Run(self, state.graph, bound, strings, seed)
        with single_blas():
            found = run.trajectories(count, Cut(self.max_bond, self.cutoff))
        return _summary(found)

    def sample(self, state: Prepared, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return `shots` classical records, each from its own trajectory.

        Error:
            `truncation` estimates the total variation distance from the law of the records: what
            cut bonds may do, and how far the drawing is from the state's own probabilities.
        """
        structure = state.structure
        bound = bind(_program(structure), values)
        cut = Cut(self.max_bond, self.cutoff)
        shares = Shots(cut, self.message_bond, self.workers(shots), self.device)
        with single_blas():
            return shares.records(structure, bound, values, shots=shots, seed=seed)

    def workers(self, tasks: int) -> int:
        """Return the number of threads for so many tasks."""
        return workers(self.threads, tasks)


class _Run:
    """One call of `estimate`."""

    def __init__(
        self,
        engine: Network,
        graph: Graph,
        bound: Bound,
        strings: Sequence[dict[int, Matrix]],
        seed: int,
    ) -> None:
        self.engine, self.graph, self.bound, self.strings = engine, graph, bound, strings
        self.seed = seed
        self.static = not conditioned(bound)
        self.groups: tuple[tuple[int, ...], ...] = (tuple(range(len(strings))),)
        if self.static:
            self.groups = groups(graph, self.steps(0), strings, engine.max_bond)
        self.around: list[tuple[Loop, ...]] = [()] * len(strings)
        self.known: dict[tuple[bytes, bool, bool], list[Found]] = {}

    def key(self, shot: int) -> np.uint64:
        """Return the key of a trajectory's random numbers."""
        return np.uint64(shot_keys(np.uint64(self.seed), shot, 1)[0])

    def steps(self, shot: int) -> list[Step]:
        """Return the steps of a trajectory that no measured bit changes."""
        return listed(trajectory(self.bound, self.key(shot)))[0]

    def trajectories(self, count: int, cut: Cut) -> list[list[Found]]:
        """Return what each string is in each of the first trajectories.

        Loops that change much in the first ones are part of the regions in all others.
        """
        pilots = min(count, LOOP_PILOTS)
        out = self.rows(range(pilots), cut)
        for k in range(len(self.strings)):
            self.around[k] = tuple(dict.fromkeys(loop for row in out for loop in row[k].around))
        for first in range(pilots, count, AHEAD):
            out += self.rows(range(first, min(count, first + AHEAD)), cut)
        return out

    def rows(self, shots: Sequence[int], cut: Cut) -> list[list[Found]]:
        """Return what each string is in some trajectories."""
        out: list[list[Found]] = []
        steps = {s: self.steps(s) for s in shots} if self.static else {}
        tasks = [(s, g, steps.get(s, [])) for s in shots for g in self.groups]
        rows = iter(
            each(lambda task: self.values(task, cut), tasks, self.engine.workers(len(tasks)))
        )
        for _ in shots:
            row: dict[int, Found] = {}
            for group, part in zip(self.groups, islice(rows, len(self.groups)), strict=True):
                row.update(zip(group, part, strict=True))
            out.append([row[k] for k in range(len(self.strings))])
        return out

    def values(self, task: tuple[int, tuple[int, ...], list[Step]], cut: Cut) -> list[Found]:
        """Return the strings of a group in one trajectory; equal trajectories run once."""
        shot, group, steps = task
        strings, around = [self.strings[k] for k in group], [self.around[k] for k in group]
        pilot, loops = shot < PILOTS, self.engine.loops and shot < LOOP_PILOTS
        if not self.static:

            def evolve_to(bond: int) -> GraphState:
                return follow(self.graph, self.bound, self.key(shot), Cut(bond, cut.cutoff))[0]

            forked = Forked(evolve_to(cut.max_bond), lambda: evolve_to(cut.half))
            return judged(forked, strings, around, pilot=pilot, loops=loops)
        rest = pull(steps, strings)
        name = digest(rest)
        if name is not None and (name, pilot, loops) in self.known:
            return self.known[name, pilot, loops]
        found = pulled_values(self.graph, rest, around, cut, pilot=pilot, loops=loops)
        if name is not None:
            self.known[name, pilot, loops] = found
        return found


def _summary(found: list[list[Found]]) -> Expectations:
    """Return means, standard errors and bounds of the truncation."""
    pilots = found[:PILOTS]
    values = np.array([[f.value for f in row] for row in found])
    change = np.array([[f.value - f.half for f in row] for row in pilots])
    loops = np.array([[f.loops for f in row] for row in found[:LOOP_PILOTS]])
    doubt = np.array([[f.doubt for f in row] for row in found[:LOOP_PILOTS]])
    lost = np.array([[-np.expm1(f.log_fidelity) for f in row] for row in found])
    count, m = values.shape
    stderr = values.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(m)
    own = np.sqrt(lost[:PILOTS].clip(0.0))
    cut = np.minimum(2 * own, CHANGE * np.abs(change) + LOST * own)
    bounds = cut.mean(axis=0) + LOOPED * doubt.mean(axis=0)
    return Expectations(
        values.mean(axis=0) + loops.mean(axis=0),
        stderr,
        truncation=float(bounds.max(initial=0.0)),
        details={"trajectories": count, "discarded": float(lost.mean()) if m else 0.0},
        bounds=bounds,
    )


def _strings(
    structure: Structure, paulis: NDArray[np.uint8], readout: Floats
) -> list[dict[int, Matrix]]:
    """Return the measured operators of each string, by qubit."""
    codes = checked_codes(paulis, structure.n_qubits)
    return [
        {
            int(q): readout[q, 0] * PAULIS[row[q]] + readout[q, 1] * PAULIS[0]
            for q in np.flatnonzero(row)
        }
        for row in codes
    ]


def _certain(bound: Bound) -> bool:
    """Return whether all trajectories are the same."""
    drawn = bool(np.any(bound.run.cumulative[:, 15] > 0)) if len(bound.run.cumulative) else False
    return not drawn and not bool(np.any(bound.run.varies))


def _joined(structure: Structure) -> list[tuple[int, ...]]:
    """Return the pairs of two-qubit operations in time order, runs on one pair once."""
    last: dict[int, tuple[int, ...]] = {}
    out: list[tuple[int, ...]] = []
    for op in structure.operations:
        if op.kind is Kind.UNITARY and len(op.qubits) == 2:
            pair = (min(op.qubits), max(op.qubits))
            if not last.get(pair[0]) == last.get(pair[1]) == pair:
                out.append(pair)
            last[pair[0]] = last[pair[1]] = pair
    return out
