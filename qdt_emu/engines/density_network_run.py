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

from qdt_emu.engines.engine import Expectations
from qdt_emu.engines.network_evolve import Factors, Work
from qdt_emu.engines.network_evolve import factor as product_factors
from qdt_emu.engines.network_state import Array, Graph, GraphState, product_state
from qdt_emu.engines.network_trace import Value, value

Floats = NDArray[np.float64]
Map = tuple[tuple[int, ...], Array]
Picture = Literal["heisenberg", "schrodinger"]

RANK = 1e-9  # factors of a transfer matrix below this ratio to the largest are left out
CHANGE = 3.0  # in the reported error, of the difference to half the bond
SHARE = {"heisenberg": 0.15, "schrodinger": 0.25}  # as well, of the root of what was cut
ROUNDING = 1e-14  # ratio below which a Pauli weight is rounding
SINGULAR = 1e12  # condition number of a matrix that forgets something


@dataclass(frozen=True)
class Settings:
    """Where bonds are cut, and which way round; see `DensityNetwork`."""

    max_bond: int
    cutoff: float
    picture: Picture


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


def expectations(
    graph: Graph,
    maps: Sequence[Map],
    first: Floats,
    strings: Sequence[Floats],
    settings: Settings,
    threads: int,
) -> Expectations:
    """Return the values of observables after maps; where the bond cuts, half of it is run too.

    Args:
        graph: Bonds between the sites.
        maps: (sites, transfer matrix) in time order.
        first: Pauli vectors of the sites at the start, shape (n, 4).
        strings: Observables as Pauli vectors of the sites, each of shape (n, 4).
        settings: Where bonds are cut, and which way round.
        threads: Number of threads; results do not depend on it.
    """
    back = settings.picture == "heisenberg"

    def run(bond: int, k: int) -> list[Found]:
        if back:
            return [_back(graph, maps, first, strings[k], bond, settings.cutoff)]
        return _forward(graph, maps, first, strings, bond, settings.cutoff)

    def runs(bond: int, numbers: Sequence[int]) -> list[Found]:
        some = numbers if back else numbers[:1]
        return [found for row in pool.map(lambda k: run(bond, k), some) for found in row]

    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(threads) as pool,
    ):
        fine = runs(settings.max_bond, range(len(strings)))
        cut = [k for k, found in enumerate(fine) if found.lost > settings.cutoff]
        if not back and cut:
            cut = list(range(len(strings)))
        coarse = dict(zip(cut, runs(settings.max_bond // 2, cut), strict=True))
    return _judged(fine, [coarse.get(k, found) for k, found in enumerate(fine)], settings)


def vectors(codes: NDArray[np.uint8], readout: Floats) -> Floats:
    """Return the measured operator of each qubit in the Pauli basis, shape (n, 4)."""
    out = np.zeros((len(codes), 4))
    out[:, 0] = 1.0
    on = np.flatnonzero(codes)
    out[on, 0] = readout[on, 1]
    out[on, codes[on]] = readout[on, 0]
    return out


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
    whole = state.log_norm - 0.5 * state.log_fidelity  # of the norm, had nothing been cut
    lost = _lost(state) * exp(min(whole, 0.0))
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


def _lost(state: GraphState) -> float:
    return float(np.sqrt(max(0.0, -np.expm1(state.log_fidelity))))


def _widest(state: GraphState) -> int:
    return max((len(w) for w in state.weights), default=1)


def _judged(fine: Sequence[Found], coarse: Sequence[Found], settings: Settings) -> Expectations:
    """Return values and bounds from runs with the whole and with half the bond."""
    number = np.array([f.value for f in fine])
    change = np.abs(number - np.array([f.value for f in coarse]))
    lost = np.array([f.lost for f in fine])
    loops = np.array([f.loops for f in fine])
    # What was cut adds up with random signs, and to no more than a Pauli string can be; where
    # nearly all was cut, nothing says that the signs are random.
    share = SHARE[settings.picture] + (1 - SHARE[settings.picture]) * lost**2
    bounds = np.minimum(CHANGE * change + share * lost, lost) + settings.cutoff * (lost > 0) + loops
    bounds = np.minimum(bounds, 1 + np.abs(number))
    return Expectations(
        number,
        np.zeros(len(number)),
        float(bounds.max(initial=0.0)),
        {
            "picture": settings.picture,
            "bond": max((f.bond for f in fine), default=1),
            "discarded": float(np.max(lost**2, initial=0.0)),
        },
        bounds,
    )
