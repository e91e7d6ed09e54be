"""Many trajectories of a graph tensor network at a time, by JAX, on CPU or GPU.

The copies of a graph are one graph of many parts: a layer of disjoint edges, in whichever copies,
is a few batched products, one batched Cholesky and one batched Hermitian eigenproblem. Bonds are
padded to one dimension with zero weights, so that shapes repeat; singular values are never asked
for, which on a GPU would take a thousand times longer than everything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from qdt_emu.engines import network_batch_kernels as kernels
from qdt_emu.engines.network_batch_plan import (
    Event,
    Layer,
    Layout,
    Pairs,
    Room,
    Round,
    Step,
    Turn,
    edge_of,
    filled,
    full_room,
    layer,
    layout,
    pair_arrays,
    room,
    rounds,
)
from qdt_emu.engines.network_batch_state import Batch, leg_rows, on_device, power_of_two
from qdt_emu.engines.network_state import Array

Edge = tuple[int, int, int]
"""Copy, site and the edge that leads on from it."""

SETTLED = 1e-12  # change of a bond's density matrix at which re-gauging stops; or the cutoff


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
        As `network_evolve.evolve` and `Work.settle`, but for Schmidt coefficients below the cutoff.

    Cost:
        For each gate on sites of degree z at padded bond D, physical dimension d, rank r: 16
        (d D)**2 D**(z - 1) flops twice, a Cholesky and an eigenproblem of size r D.
    """
    todo, rest = rounds(batch.graph, circuits)
    size = room(layout(batch.graph), [now.pairs for now in todo], 4)
    batch, outcomes = play(batch, todo, size, max_bond=max_bond, cutoff=cutoff)
    with on_device(batch):
        return _alone(batch, layout(batch.graph), rest), outcomes


def play(
    batch: Batch, todo: Iterable[Round], size: Room, *, max_bond: int, cutoff: float
) -> tuple[Batch, list[dict[int, int]]]:
    """Return the copies after rounds; see `evolve`.

    Args:
        batch: The copies before.
        todo: What happens, in order.
        size: Sizes that layers are filled up to.
        max_bond: As in `evolve`.
        cutoff: As in `evolve`.
    """
    plan = layout(batch.graph)
    seen: dict[bytes, Layer] = {}
    outcomes: list[dict[int, int]] = [{} for _ in range(batch.copies)]
    with on_device(batch):
        for now in todo:
            if len(now.matrices):
                key = np.stack(now.pairs).tobytes()
                if key not in seen:
                    seen[key] = jax.tree.map(jnp.asarray, layer(plan, now.pairs, size))
                batch = _gates(batch, now.pairs, now.matrices, seen[key], max_bond, cutoff)
            queues: dict[int, list[Event | Turn]] = {}
            for item in now.after:
                queues.setdefault(item.copy, []).append(item)
            while queues:
                one = [queue.pop(0) for queue in queues.values()]
                queues = {copy: queue for copy, queue in queues.items() if queue}
                batch = _some(batch, plan, one, max_bond, cutoff, outcomes)
    return batch, outcomes


def _some(
    batch: Batch,
    plan: Layout,
    items: list[Event | Turn],
    max_bond: int,
    cutoff: float,
    outcomes: list[dict[int, int]],
) -> Batch:
    """Return the batch after an event or a gate in each of some copies."""
    events = [item for item in items if isinstance(item, Event)]
    gates = [item for item in items if isinstance(item, Turn) and len(item.sites) == 2]
    batch = _alone(batch, plan, [i for i in items if isinstance(i, Turn) and len(i.sites) == 1])
    if gates:
        pairs = pair_arrays([(c, edge_of(batch.graph, a, b), int(a > b)) for c, (a, b), _ in gates])
        rows = jax.tree.map(jnp.asarray, layer(plan, pairs, full_room(plan, batch.copies)))
        matrices = np.array([item.matrix for item in gates])
        batch = _gates(batch, pairs, matrices, rows, max_bond, cutoff)
    if events:
        batch = _fire(batch, plan, events, outcomes)
        batch = _settle(batch, plan, [(event.copy, event.site) for event in events], cutoff)
    return batch


def _gates(
    batch: Batch, pairs: Pairs, given: Array, rows: Layer, max_bond: int, cutoff: float
) -> Batch:
    """Return the batch after one layer of gates; bonds grow when they must."""
    m, d = len(rows.edges), batch.stacks[0].shape[-1]
    matrices = np.zeros((m, d * d, d * d), np.result_type(given.dtype, np.float64))
    matrices[: len(given)] = given
    left, right, most = kernels.factors(matrices)
    rank = power_of_two(int(most))
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


def _fire(batch: Batch, plan: Layout, now: list[Event], outcomes: list[dict[int, int]]) -> Batch:
    """Return the batch after one event in each of some copies; adds to `outcomes`."""
    stacks = list(batch.stacks)
    most = power_of_two(max(len(event.kraus) for event in now))
    for k, stack in enumerate(stacks):
        mine = [event for event in now if plan.stack[event.site] == k]
        if not mine:
            continue
        size, d = power_of_two(len(mine)), stack.shape[-1]
        kraus = np.zeros((size, most, d, d), np.complex128)
        uniform = np.zeros(size)
        for i, event in enumerate(mine):
            kraus[i, : len(event.kraus)], uniform[i] = event.kraus, event.uniform
        copies, sites = (np.array([event[j] for event in mine], np.int32) for j in (0, 1))
        stacks[k], chosen = kernels.fire(
            stack,
            batch.weights,
            filled(plan.rows(copies, sites), size),
            filled(leg_rows(plan, copies, sites), size),
            jnp.asarray(kraus).astype(stack.dtype),
            jnp.asarray(uniform, batch.weights.dtype),
        )
        for event, which in zip(mine, np.asarray(chosen).tolist(), strict=False):
            outcomes[event.copy][event.number] = which
    return replace(batch, stacks=tuple(stacks))


def _settle(batch: Batch, plan: Layout, sites: list[tuple[int, int]], cutoff: float) -> Batch:
    """Return the batch in Vidal gauge again, after operators on one site of each of some copies.

    Goes outwards from the sites as far as the change reaches, edge by edge in each copy, as
    `network_evolve.Work.settle` does.
    """
    graph, d = batch.graph, batch.stacks[0].shape[-1]
    size = full_room(plan, batch.copies)
    tolerance = max(SETTLED, cutoff, 30 * float(np.finfo(batch.weights.dtype).eps))
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


def _alone(batch: Batch, plan: Layout, rest: list[Turn]) -> Batch:
    """Return the batch after operators on single sites, each once."""
    stacks = list(batch.stacks)
    for k, stack in enumerate(stacks):
        mine = [item for item in rest if plan.stack[item.sites[0]] == k]
        if not mine:
            continue
        size, d = power_of_two(len(mine)), stack.shape[-1]
        copies = np.array([item.copy for item in mine], np.int32)
        sites = np.array([item.sites[0] for item in mine], np.int32)
        matrices = np.zeros((size, d, d), stack.dtype)
        matrices[: len(mine)] = [item.matrix for item in mine]
        stacks[k] = kernels.rotate(stack, filled(plan.rows(copies, sites), size), matrices)
    return replace(batch, stacks=tuple(stacks))


def _padded(bond: int, max_bond: int) -> int:
    """Return the dimension that bonds are padded to: 1, 4, 16, ... up to the last power of two."""
    power = power_of_two(bond)
    return min(power << (power.bit_length() - 1) % 2, max(power_of_two(max_bond), power))
