"""Noisy expectation values without trajectories: operators as graph networks of real Pauli weights.

In the Heisenberg picture each observable starts as a product of Paulis, one tensor per qubit with a
physical index I, X, Y, Z, and goes back through the transfer matrices of its light cone; noise
shrinks what would need wide bonds. In the Schrödinger picture the density operator goes forward,
once for all observables. Either way the value is a contraction with one vector per site.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines import transfer
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.network_evolve import Factors, Work
from qdt_emu.engines.network_evolve import factor as product_factors
from qdt_emu.engines.network_state import Array, Graph, GraphState, product_state
from qdt_emu.engines.network_trace import Value, value
from qdt_emu.engines.pauli_program import refusal as refusal_of
from qdt_emu.engines.refusals import checked_codes, refuse_draws
from qdt_emu.engines.threads import workers
from qdt_emu.errors import InputError

Floats = NDArray[np.float64]
Map = tuple[tuple[int, ...], Array]
Picture = Literal["heisenberg", "schrodinger"]

RANK = 1e-9  # factors of a transfer matrix below this ratio to the largest are left out
CHANGE = 3.0  # in the reported error, of the difference to half the bond
SHARE = {"heisenberg": 0.15, "schrodinger": 0.25}  # as well, of the root of what was cut
ROUNDING = 1e-14  # ratio below which a Pauli weight is rounding
MAP, ENTRY, CUBE = 3e-4, 1.2e-10, 6e-10  # s on one Zen core, half the bond included
SINGULAR = 1e12  # condition number of a matrix that forgets something


@dataclass(frozen=True, eq=False)
class Prepared:
    """A structure as transfer matrices, and the graph of its couplings."""

    transfer: transfer.Transfer
    graph: Graph


@dataclass(frozen=True)
class Found:
    """An expectation value at one bond dimension.

    Attributes:
        value: The number.
        lost: Root of the share that was cut, times the norm of what it was cut from.
        loops: What loops may change where the contraction was not exact.
        bond: Largest bond at the end.
    """

    value: float
    lost: float = 0.0
    loops: float = 0.0
    bond: int = 1


def prepare_density(structure: Structure) -> Prepared:
    """Return what does not depend on the numbers.

    Raises:
        UnsupportedError: An operation depends on measured bits.
    """
    found = transfer.steps(structure)
    pairs = sorted({(min(q), max(q)) for q, _ in found.steps if len(q) == 2})
    return Prepared(found, Graph(structure.n_qubits, tuple(pairs)))


def plan_density(
    structure: Structure,
    /,
    *,
    paulis: int,
    memory: int,
    max_bond: int = 32,
    threads: int | None = None,
) -> Plan:
    """Return what `estimate_density` costs in the Heisenberg picture.

    Error:
        Seconds are those of the whole circuit for each string, with bonds that grow by 4 per map:
        an upper bound, 1.5 to 3 times too high for a string that spreads over the processor and a
        hundred times for one that hardly spreads.
    """
    if why := refusal_of(structure):
        return Plan(0.0, 0, refusal=why)
    state = prepare_density(structure)
    graph, bonds = state.graph, [1] * len(state.graph.edges)
    seconds = 0.0
    for q, _ in state.transfer.steps:
        if len(q) == 1:
            continue
        edge = graph.edge[min(q), max(q)]
        side = 4.0 * bonds[edge]
        around = [float(np.prod([bonds[k] for k in graph.legs[a] if k != edge])) for a in q]
        seconds += MAP + ENTRY * sum(around) * side**2 + CUBE * side**3
        bonds[edge] = min(max_bond, 4 * bonds[edge])
    at_once = workers(threads, paulis)
    sizes = [32.0 * float(np.prod([bonds[k] for k in legs])) for legs in graph.legs]
    size = int(at_once * (sum(sizes) + 8 * max(sizes, default=0.0)))
    refusal = ""
    if size > memory:
        worst = int(np.argmax(sizes))
        refusal = (
            f"`max_bond` must leave the tensors in {memory} bytes, but {max_bond} needs {size}: "
            f"qubit {worst} has {len(graph.legs[worst])} couplers. Give more memory, fewer threads "
            f"or a smaller `max_bond`."
        )
    cut = any(b >= max_bond for b in bonds)
    return Plan(seconds * paulis / at_once, size, truncation=1.0 if cut else 0.0, refusal=refusal)


def estimate_density(
    state: Prepared,
    values: Values,
    paulis: NDArray[np.uint8],
    readout: Floats,
    /,
    *,
    max_bond: int = 32,
    cutoff: float = 1e-6,
    picture: Picture = "heisenberg",
    threads: int | None = None,
) -> Expectations:
    """Return expectation values of the noisy circuit, see `Engine.estimate`; nothing is sampled.

    Args:
        state: From `prepare_density`.
        values: Its numbers.
        paulis: Shape (m, n_qubits).
        readout: Shape (n_qubits, 2).
        max_bond: Largest bond dimension; where that cuts, half of it is run too, for the error.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        picture: 'heisenberg' carries each observable back, 'schrodinger' the state forward.
        threads: Number of threads; results do not depend on it.

    Raises:
        UnsupportedError: Detuning or leakage, which differ from shot to shot.

    Error:
        Exact to rounding and `cutoff` where no bond is full. `bounds` is three times the change
        from half the bond plus a share of the norm that was cut, at most all of that norm; it
        covers the truth in at least 95 % of noisy random circuits, mostly with a wide margin, but
        not where nothing converges: half of all that was cut can still be missing there.

    Cost:
        For each string and two-qubit map on sites of degree z, rank r (4 for ECR, CZ and their
        noise, up to 16): 8 (4 D)**2 D**(z - 1) + 30 (r D)**3 flops.
    """
    graph = state.graph
    paulis = checked_codes(paulis, state.graph.n)
    if picture not in SHARE:
        raise InputError(f"`picture` must be one of {list(SHARE)}, but is {picture!r}.")
    if max_bond < 2:
        raise InputError(f"`max_bond` must be at least 2, but is {max_bond!r}.")
    refuse_draws(state.transfer.draws, values, "density_network")
    maps = transfer.bind(state.transfer, values)
    first = np.asarray(transfer.initial(values), float)
    strings = [_vectors(row, np.asarray(readout, float)) for row in paulis]

    def run(bond: int, k: int) -> list[Found]:
        if picture == "schrodinger":
            return _forward(graph, maps, first, strings, bond, cutoff)
        return [_back(graph, maps, first, strings[k], bond, cutoff)]

    def runs(bond: int, numbers: Sequence[int]) -> list[Found]:
        each = numbers if picture == "heisenberg" else numbers[:1]
        return [found for row in pool.map(lambda k: run(bond, k), each) for found in row]

    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(workers(threads)) as pool,
    ):
        fine = runs(max_bond, range(len(strings)))
        cut = [k for k, found in enumerate(fine) if found.lost > cutoff]
        if picture == "schrodinger" and cut:
            cut = list(range(len(strings)))
        coarse = dict(zip(cut, runs(max_bond // 2, cut), strict=True))
    return _judged(fine, [coarse.get(k, found) for k, found in enumerate(fine)], picture, cutoff)


def evolve_maps(
    graph: Graph,
    vectors: Floats,
    maps: Iterable[Map],
    *,
    max_bond: int,
    cutoff: float,
    unital: bool = False,
) -> GraphState | None:
    """Return a product of site vectors after transfer matrices; None where nothing is left.

    Args:
        graph: Bonds between the sites.
        vectors: Shape (n, 4).
        maps: (sites, matrix), one site (4, 4) or two bonded ones (16, 16).
        max_bond: Largest bond dimension.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        unital: Whether the maps keep the identity, (1, 0, 0, 0) on both sites, and are left out
            where they would act on it alone.
    """
    sizes = np.linalg.norm(vectors, axis=1)
    if not sizes.all():
        return None
    work = Work(product_state(graph, vectors / sizes[:, None]))
    work.log_norm = float(np.log(sizes).sum())
    for sites, matrix in maps:
        if unital and all(_is_identity(work.tensors[q]) for q in sites):
            continue
        if len(sites) == 1:
            work.one(sites[0], matrix)
            if not work.tensors[sites[0]].any():
                return None
            continue
        try:
            with np.errstate(divide="raise", invalid="raise"):
                work.two((sites[0], sites[1]), factors(matrix), max_bond, cutoff)
        except (FloatingPointError, ValueError, np.linalg.LinAlgError):
            if np.linalg.cond(matrix) < SINGULAR:
                raise
            return None  # a map that forgets, as a reset forgets X, met what it forgets
    return work.state()


def _is_identity(tensor: Array) -> bool:
    """Return whether a site is unbonded and a multiple of the identity, up to rounding."""
    if tensor.size != 4:
        return False
    identity, *others = np.abs(tensor.ravel()).tolist()
    return bool(max(others) <= ROUNDING * identity)


def factors(matrix: Array) -> Factors:
    """Return the operator-Schmidt factors of a transfer matrix, tiny ones left out.

    Error:
        The root of the squared sum of what is left out, at most 4e-9 of the matrix.
    """
    matrix = np.ascontiguousarray(matrix, float)
    return _factors(matrix.tobytes())


@lru_cache(maxsize=8192)
def _factors(data: bytes) -> Factors:
    found = product_factors(np.frombuffer(data, float).reshape(16, 16))
    rank = len(found.left)
    size = [
        float(np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(found.left, found.right, strict=True)
    ]
    kept = max(1, sum(x > RANK * size[0] for x in size))

    def some(gram: Array) -> Array:
        return np.ascontiguousarray(gram.reshape(rank, rank, -1)[:kept, :kept].reshape(kept**2, -1))

    return Factors(
        found.left[:kept], found.right[:kept], some(found.left_gram), some(found.right_gram)
    )


def light_cone(maps: Sequence[Map], qubits: Iterable[int]) -> list[Map]:
    """Return the maps that can influence some qubits, latest first."""
    live = set(qubits)
    out = []
    for sites, matrix in reversed(maps):
        if live & set(sites):
            live |= set(sites)
            out.append((sites, matrix))
    return out


def _back(
    graph: Graph, maps: Sequence[Map], first: Floats, string: Floats, bond: int, cutoff: float
) -> Found:
    """Return the value of one observable, carried back to the start."""
    support = np.flatnonzero(string[:, 1:].any(axis=1)).tolist()
    if not support:
        return Found(float(np.prod(string[:, 0])))
    cone = [(sites, matrix.T) for sites, matrix in light_cone(maps, support)]
    state = evolve_maps(graph, string, cone, max_bond=bond, cutoff=cutoff, unital=True)
    if state is None:
        return Found(0.0)
    found = value(state, first)
    number = found.number()
    lost = _lost(state) * exp(min(state.log_norm, 0.0))
    return Found(number, lost, found.loops * abs(number), _widest(state))


def _forward(
    graph: Graph,
    maps: Sequence[Map],
    first: Floats,
    strings: Sequence[Floats],
    bond: int,
    cutoff: float,
) -> list[Found]:
    """Return the values of all observables in the state at the end, over its trace."""
    support = {q for s in strings for q in np.flatnonzero(s[:, 1:].any(axis=1)).tolist()}
    cone = light_cone(maps, support)[::-1]
    state = evolve_maps(graph, first, cone, max_bond=bond, cutoff=cutoff)
    if state is None:
        return [Found(0.0) for _ in strings]
    trace = value(state, np.tile([1.0, 0.0, 0.0, 0.0], (graph.n, 1)))
    out = []
    for string in strings:
        found: Value = value(state, string)
        number = found.number(trace.log) * trace.sign
        loops = (found.loops + trace.loops) * abs(number)
        out.append(Found(number, _lost(state), loops, _widest(state)))
    return out


def _vectors(codes: NDArray[np.uint8], readout: Floats) -> Floats:
    """Return the measured operator of each qubit in the Pauli basis, shape (n, 4)."""
    out = np.zeros((len(codes), 4))
    out[:, 0] = 1.0
    on = np.flatnonzero(codes)
    out[on, 0] = readout[on, 1]
    out[on, codes[on]] = readout[on, 0]
    return out


def _lost(state: GraphState) -> float:
    return float(np.sqrt(max(0.0, -np.expm1(state.log_fidelity))))


def _widest(state: GraphState) -> int:
    return max((len(w) for w in state.weights), default=1)


def _judged(
    fine: Sequence[Found], coarse: Sequence[Found], picture: Picture, cutoff: float
) -> Expectations:
    """Return values and bounds from runs with the whole and with half the bond."""
    number = np.array([f.value for f in fine])
    change = np.abs(number - np.array([f.value for f in coarse]))
    lost = np.array([f.lost for f in fine])
    loops = np.array([f.loops for f in fine])
    # What was cut adds up with random signs, and to no more than a Pauli string can be.
    bounds = np.minimum(CHANGE * change + SHARE[picture] * lost, lost) + cutoff * (lost > 0) + loops
    bounds = np.minimum(bounds, 1 + np.abs(number))
    return Expectations(
        number,
        np.zeros(len(number)),
        float(bounds.max(initial=0.0)),
        {
            "picture": picture,
            "bond": max((f.bond for f in fine), default=1),
            "discarded": float(np.max(lost**2, initial=0.0)),
        },
        bounds,
    )
