"""Many trajectories of a graph tensor network at a time, by JAX, on CPU or GPU.

The copies of a graph are one graph of many parts: a layer of disjoint edges, in whichever copies,
is a few batched products, one batched Cholesky and one batched Hermitian eigenproblem. Bonds are
padded to one dimension with zero weights, so that shapes repeat; singular values are never asked
for, which on a GPU would take a thousand times longer than everything else.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines import network_batch_kernels as kernels
from qdt_emu.engines.network_batch_plan import (
    Event,
    Layer,
    Layout,
    Pairs,
    Round,
    Step,
    filled,
    full_room,
    layer,
    layout,
    room,
    rounds,
)
from qdt_emu.engines.network_state import Array, Graph, GraphState
from qdt_emu.errors import InputError, UnsupportedError

Precision = Literal["double", "single"]
Edge = tuple[int, int, int]
"""Copy, site and the edge that leads on from it."""

SETTLED = 1e-10  # deviation from an isometry at which re-gauging stops, in double precision


@dataclass(frozen=True, eq=False)
class Batch:
    """Copies of a graph with tensors in Vidal form, padded.

    Beyond its own dimension a bond has zero weights, and the tensors on it zeros.

    Attributes:
        stacks: For each degree of `layout(graph)`, tensors of shape
            (copies * sites, bond, ..., bond, physical), copy by copy.
        weights: Shape (copies * edges, bond), rows of norm 1, descending.
        log_norm: As in `GraphState`, shape (copies,).
        log_fidelity: As in `GraphState`, shape (copies,).
        graph: Of every copy.
        bounds: Upper bound of the dimension of each edge's bond over all copies, shape (edges,).
    """

    stacks: tuple[Array, ...]
    weights: Array
    log_norm: Array
    log_fidelity: Array
    graph: Graph
    bounds: NDArray[np.int64]

    @property
    def copies(self) -> int:
        """Number of copies."""
        return int(self.log_norm.shape[0])

    @property
    def bond(self) -> int:
        """Dimension that every bond is padded to."""
        return int(self.weights.shape[-1])


def pick(device: str | None) -> Any:
    """Return the first JAX device of a platform, 'cpu' or 'gpu'; JAX's choice for `None`.

    Raises:
        UnsupportedError: There is none.
    """
    if device not in (None, "cpu", "gpu"):
        raise InputError(f"`device` must be None, 'cpu' or 'gpu', but is {device!r}.")
    try:
        return jax.devices(device)[0]
    except RuntimeError:
        raise UnsupportedError(
            f"`device` must be present, but JAX finds no {device!r} here. Use device='cpu', or "
            f"install `pip install qdt-emu[cuda12]` on a machine with a GPU."
        ) from None


def pack(
    states: Sequence[GraphState],
    *,
    precision: Precision = "double",
    device: str | None = None,
) -> Batch:
    """Return states of one graph as a batch.

    Real tensors (density operators) stay real. In single precision Schmidt coefficients below 7e-4
    of the largest are lost, in double precision those below 3e-8.
    """
    graph = states[0].graph
    plan = layout(graph)
    bond = _power(max(len(w) for s in states for w in s.weights) if graph.edges else 1)
    full = np.result_type(np.float32, *(t.dtype for t in states[0].tensors))
    if precision == "single":
        full = np.dtype(np.complex64 if full.kind == "c" else np.float32)
    real = np.zeros(0, full).real.dtype
    stacks = []
    for k, degree in enumerate(plan.degrees):
        sites = np.flatnonzero(plan.stack == k).tolist()
        d = states[0].tensors[sites[0]].shape[-1]
        out = np.zeros((len(states) * len(sites), *(bond,) * degree, d), full)
        for c, state in enumerate(states):
            for i, q in enumerate(sites):
                tensor = state.tensors[q]
                place: Any = (c * len(sites) + i, *map(slice, tensor.shape))
                out[place] = tensor
        stacks.append(out)
    weights = np.zeros((len(states), len(graph.edges), bond), real)
    for c, state in enumerate(states):
        for e, w in enumerate(state.weights):
            weights[c, e, : len(w)] = w
    bounds = np.count_nonzero(weights, axis=2).max(axis=0, initial=1)
    logs = [np.array([getattr(s, n) for s in states], real) for n in ("log_norm", "log_fidelity")]
    with jax.enable_x64(True):
        host = (tuple(stacks), weights.reshape(-1, bond), *logs)
        tensors, rows, norms, fidelities = jax.device_put(host, pick(device))
    return Batch(tensors, rows, norms, fidelities, graph, bounds)


def unpack(batch: Batch) -> tuple[GraphState, ...]:
    """Return the copies as states with NumPy arrays, without padding."""
    graph, plan, n = batch.graph, layout(batch.graph), len(batch.graph.edges)
    stacks = [np.asarray(s) for s in batch.stacks]
    out = []
    for c in range(batch.copies):
        weights = np.asarray(batch.weights)[c * n : (c + 1) * n]
        size = np.maximum(1, (weights > 0).sum(1)).tolist()
        tensors = []
        for q, legs in enumerate(graph.legs):
            tensor = stacks[plan.stack[q]][c * plan.sizes[plan.stack[q]] + plan.place[q]]
            tensors.append(tensor[tuple(slice(size[e]) for e in legs)])
        kept = tuple(w[:s] for w, s in zip(weights, size, strict=True))
        logs = float(batch.log_norm[c]), float(batch.log_fidelity[c])
        out.append(GraphState(graph, tuple(tensors), kept, *logs))
    return tuple(out)


def evolve(
    batch: Batch,
    circuits: Sequence[Iterable[Step]],
    *,
    max_bond: int,
    cutoff: float = 1e-12,
) -> tuple[Batch, list[dict[int, int]]]:
    """Return the copies after a circuit each, and which operator each copy's events took.

    Args:
        batch: The copies before; its memory is reused, so it must not be used again.
        circuits: For each copy, in time order, (sites, matrix) with a matrix on one site or on two
            bonded sites (first site most significant), or (site, operators, uniform): Kraus
            operators, shape (k, d, d), one of which is applied with its probability in the state,
            chosen by a number in [0, 1). One-site matrices must be unitary.
        max_bond: Largest bond dimension kept.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped; at least 3e-8
            in double precision and 7e-4 in single precision.

    Error:
        As `network_evolve.evolve` and `regauge`, but for Schmidt coefficients below the cutoff.

    Cost:
        For each gate on sites of degree z at padded bond D, physical dimension d, rank r: 16
        (d D)**2 D**(z - 1) flops twice, a Cholesky and an eigenproblem of size r D.
    """
    plan = layout(batch.graph)
    todo, rest = rounds(batch.graph, circuits)
    patterns = [r.arrays() for r in todo]
    size = room(plan, patterns, 4)
    seen: dict[bytes, Layer] = {}
    outcomes: list[dict[int, int]] = [{} for _ in circuits]
    with _on(batch):
        for now, pairs in zip(todo, patterns, strict=True):
            if now.pairs:
                key = np.stack(pairs).tobytes()
                if key not in seen:
                    seen[key] = jax.tree.map(jnp.asarray, layer(plan, pairs, size))
                batch = _gates(batch, now, pairs, seen[key], max_bond, cutoff)
            if now.events:
                batch = _events(batch, plan, now.events, cutoff, outcomes)
        return _alone(batch, plan, rest), outcomes


def reduced(batch: Batch) -> NDArray[Any]:
    """Return the one-site density matrices of the gauge, shape (copies, n, d, d), trace 1."""
    plan, d = layout(batch.graph), batch.stacks[0].shape[-1]
    out = np.zeros((batch.copies, batch.graph.n, d, d), batch.stacks[0].dtype)
    with _on(batch):
        for k, stack in enumerate(batch.stacks):
            sites = np.flatnonzero(plan.stack == k)
            legs = _legs(
                plan, np.arange(batch.copies).repeat(len(sites)), np.tile(sites, batch.copies)
            )
            rho = np.asarray(kernels.reduced(stack, batch.weights, legs))
            out[:, sites] = rho.reshape(batch.copies, len(sites), d, d)
    return out


@contextmanager
def _on(batch: Batch) -> Iterator[None]:
    """Work with 64-bit types on the device of a batch."""
    device = next(iter(batch.weights.devices()))
    with jax.enable_x64(True), jax.default_device(device):
        yield


def _gates(
    batch: Batch, now: Round, pairs: Pairs, rows: Layer, max_bond: int, cutoff: float
) -> Batch:
    """Return the batch after one layer of gates; bonds grow when they must."""
    m, d = len(rows.edges), batch.stacks[0].shape[-1]
    matrices = np.zeros((m, d * d, d * d), np.result_type(now.matrices[0], np.float64))
    matrices[: len(now.matrices)] = now.matrices
    left, right, most = kernels.factors(matrices)
    rank = _power(int(most))
    bounds = batch.bounds.copy()
    np.maximum.at(bounds, pairs[1], np.minimum(rank * batch.bounds[pairs[1]], max_bond))
    batch = _grow(replace(batch, bounds=bounds), _padded(int(bounds.max()), max_bond))
    sides = jnp.concatenate([left[:, :rank], right[:, :rank]])
    return _update(batch, rows, sides, max_bond, cutoff, None)[0]


def _update(
    batch: Batch,
    rows: Layer,
    sides: Array,
    max_bond: int,
    cutoff: float,
    tolerance: float | None,
) -> tuple[Batch, Array]:
    """Return the batch after a layer of operators, and which pairs it changed."""
    real, full = batch.weights.dtype, batch.stacks[0].dtype
    floor = max(cutoff**2, 4 * float(np.finfo(real).eps))
    limits = jnp.asarray(max_bond), jnp.asarray(floor, real), jnp.asarray(tolerance or 0.0, real)
    stacks, weights, norm, share, moved = kernels.update(
        batch.stacks,
        batch.weights,
        rows,
        sides.astype(full),
        limits,
        checked=tolerance is not None,
    )
    log_norm = batch.log_norm.at[rows.copies].add(jnp.log(norm), mode="drop")
    log_fidelity = batch.log_fidelity.at[rows.copies].add(jnp.log(share), mode="drop")
    out = replace(
        batch, stacks=stacks, weights=weights, log_norm=log_norm, log_fidelity=log_fidelity
    )
    return out, moved


def _grow(batch: Batch, bond: int) -> Batch:
    """Return the batch with bonds padded to at least `bond`."""
    more = bond - batch.bond
    if more <= 0:
        return batch
    stacks = tuple(jnp.pad(s, [(0, 0), *[(0, more)] * (s.ndim - 2), (0, 0)]) for s in batch.stacks)
    return replace(batch, stacks=stacks, weights=jnp.pad(batch.weights, [(0, 0), (0, more)]))


def _events(
    batch: Batch, plan: Layout, events: list[Event], cutoff: float, outcomes: list[dict[int, int]]
) -> Batch:
    """Return the batch after events, of one copy one after the other; adds to `outcomes`."""
    waiting: dict[int, list[Event]] = {}
    for event in events:
        waiting.setdefault(event.copy, []).append(event)
    while waiting:
        now = [queue.pop(0) for queue in waiting.values()]
        waiting = {copy: queue for copy, queue in waiting.items() if queue}
        batch = _fire(batch, plan, now, outcomes)
        batch = _settle(batch, plan, [(event.copy, event.site) for event in now], cutoff)
    return batch


def _fire(batch: Batch, plan: Layout, now: list[Event], outcomes: list[dict[int, int]]) -> Batch:
    """Return the batch after one event in each of some copies; adds to `outcomes`."""
    stacks = list(batch.stacks)
    most = _power(max(len(event.kraus) for event in now))
    for k, stack in enumerate(stacks):
        mine = [event for event in now if plan.stack[event.site] == k]
        if not mine:
            continue
        size, d = _power(len(mine)), stack.shape[-1]
        kraus = np.zeros((size, most, d, d), np.complex128)
        uniform = np.zeros(size)
        for i, event in enumerate(mine):
            kraus[i, : len(event.kraus)], uniform[i] = event.kraus, event.uniform
        copies, sites = (np.array([event[j] for event in mine], np.int32) for j in (0, 1))
        stacks[k], chosen = kernels.fire(
            stack,
            batch.weights,
            filled(plan.rows(copies, sites), size),
            filled(_legs(plan, copies, sites), size),
            jnp.asarray(kraus).astype(stack.dtype),
            jnp.asarray(uniform, batch.weights.dtype),
        )
        for event, which in zip(mine, np.asarray(chosen).tolist(), strict=False):
            outcomes[event.copy][event.index] = which
    return replace(batch, stacks=tuple(stacks))


def _settle(batch: Batch, plan: Layout, sites: list[tuple[int, int]], cutoff: float) -> Batch:
    """Return the batch in Vidal gauge again, after operators on one site of each of some copies.

    Goes outwards from the sites as far as the change reaches, edge by edge in each copy, as
    `network_evolve.regauge` does.
    """
    graph, d = batch.graph, batch.stacks[0].shape[-1]
    size = full_room(plan, batch.copies)
    tolerance = max(SETTLED, 30 * float(np.finfo(batch.weights.dtype).eps))
    front = [(copy, site, edge) for copy, site in sites for edge in graph.legs[site]]
    seen = {(copy, edge) for copy, _, edge in front}
    while front:
        now, later = list[Edge](), list[Edge]()
        busy = set[tuple[int, int]]()
        for item in front:
            copy, here, edge = item
            ends = {(copy, here), (copy, graph.neighbour(here, edge))}
            if ends & busy:
                later.append(item)
            else:
                now.append(item)
            busy |= ends  # those behind must wait as well, to keep their order
        copies, heres, edges = np.array(now, np.int32).T
        pairs = (copies, edges, (plan.ends[edges, 0] != heres).astype(np.int32))
        rows = jax.tree.map(jnp.asarray, layer(plan, pairs, size))
        unit = jnp.broadcast_to(jnp.eye(d), (2 * len(rows.edges), 1, d, d))
        batch, moved = _update(batch, rows, unit, batch.bond, cutoff, tolerance)
        front = later
        for (copy, here, edge), went in zip(now, np.asarray(moved).tolist(), strict=False):
            there = graph.neighbour(here, edge)
            fresh = [e for e in graph.legs[there] if (copy, e) not in seen]
            if went:
                front += [(copy, there, e) for e in fresh]
                seen |= {(copy, e) for e in fresh}
    return batch


def _alone(batch: Batch, plan: Layout, rest: list[tuple[int, int, Array]]) -> Batch:
    """Return the batch after operators on single sites."""
    stacks = list(batch.stacks)
    for k, stack in enumerate(stacks):
        mine = [item for item in rest if plan.stack[item[1]] == k]
        if not mine:
            continue
        size, d = _power(len(mine)), stack.shape[-1]
        copies, sites = (np.array([item[j] for item in mine], np.int32) for j in (0, 1))
        matrices = np.zeros((size, d, d), stack.dtype)
        matrices[: len(mine)] = [matrix for _, _, matrix in mine]
        stacks[k] = kernels.rotate(stack, filled(plan.rows(copies, sites), size), matrices)
    return replace(batch, stacks=tuple(stacks))


def _legs(plan: Layout, copies: Any, sites: Any) -> NDArray[np.int32]:
    """Return the rows of the weights of sites of one degree, shape (m, degree)."""
    degree = plan.degrees[plan.stack[sites[0]]]
    legs: NDArray[np.int32] = copies[:, None] * len(plan.graph.edges) + plan.bonds[sites, :degree]
    return legs


def _padded(bond: int, max_bond: int) -> int:
    """Return the dimension that bonds are padded to: 1, 4, 16, ... up to the last power of two."""
    power = _power(bond)
    return min(power << (power.bit_length() - 1) % 2, max(_power(max_bond), power))


def _power(n: int) -> int:
    """Return the smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()
