"""Trajectories of a noisy circuit as copies of a graph tensor network, evolved together."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind
from qdt_emu.engines import unravel
from qdt_emu.engines.network_batch import evolve, play
from qdt_emu.engines.network_batch_plan import (
    Event,
    Pairs,
    Round,
    Step,
    Turn,
    edge_of,
    layout,
    room,
)
from qdt_emu.engines.network_batch_state import Batch
from qdt_emu.engines.network_state import Graph
from qdt_emu.engines.unravel import Bound, Ending, Gate, Measure, Reset, Walk, trajectory


def trajectories(
    batch: Batch,
    bound: Bound,
    keys: Sequence[int] | NDArray[np.uint64],
    *,
    max_bond: int,
    cutoff: float = 1e-5,
) -> tuple[Batch, list[Ending]]:
    """Return the final states of one trajectory in each copy, and how their records stand.

    Sites are the qubits of the program. Branches are chosen by the uniform numbers of the steps, so
    a trajectory depends on its key alone, up to rounding.

    Args:
        batch: The copies at the start.
        bound: Program and numbers of all trajectories.
        keys: Random key of each copy.
        max_bond: As in `evolve`.
        cutoff: As in `evolve`; re-gauging after an event stops where a bond's density matrix
            changes by less.

    Cost:
        As `evolve`; planning takes Python 3 us per block and copy where nothing is measured on the
        way, and a call of `evolve` per measurement otherwise.
    """
    blocks = bound.program.compiled.blocks
    asks = np.isin(blocks.kind, (Kind.MEASURE, Kind.LEAK)).any() or len(blocks.conditioned)
    if asks:
        return _answered(batch, [trajectory(bound, key) for key in keys], max_bond, cutoff)
    walks = [Walk(bound, np.uint64(key)) for key in keys]
    plan = layout(batch.graph)
    layers = _layers(bound)
    shapes = [_pairs(batch.graph, bound, layer, len(walks)) for layer in layers]
    size = room(plan, shapes, 4)
    todo = _rounds(bound, walks, layers, shapes)
    batch, _ = play(batch, todo, size, max_bond=max_bond, cutoff=cutoff)
    return batch, [Ending(walk.shot.record, walk.shot.leaked) for walk in walks]


def _layers(bound: Bound) -> list[list[int]]:
    """Return the blocks at each depth, as early as possible; blocks on one qubit add no depth."""
    depth: dict[int, int] = {}
    out: list[list[int]] = [[]]
    for k, qubits in enumerate(bound.program.qubits):
        at = max(depth.get(q, 0) for q in qubits) + (len(qubits) == 2)
        depth.update(dict.fromkeys(qubits, at))
        if at == len(out):
            out.append([])
        out[at].append(k)
    return out


def _pairs(graph: Graph, bound: Bound, layer: Sequence[int], copies: int) -> Pairs:
    """Return the pairs of a layer in all copies, copy by copy."""
    both = [q for q in (bound.program.qubits[k] for k in layer) if len(q) == 2]
    edges = np.array([edge_of(graph, a, b) for a, b in both], np.int32)
    turned = np.array([a > b for a, b in both], np.int32)
    each = np.arange(copies, dtype=np.int32).repeat(len(both))
    return each, np.tile(edges, copies), np.tile(turned, copies)


def _rounds(
    bound: Bound, walks: Sequence[Walk], layers: Sequence[Sequence[int]], shapes: Sequence[Pairs]
) -> Iterator[Round]:
    """Yield the rounds of all copies.

    The first gate of a block is part of the layer; what comes after an event in it comes after the
    layer, in the copies that have the event.
    """
    quiet = np.stack([~walk.drawn & ~bound.run.varies for walk in walks])
    events = [0] * len(walks)
    for layer, pairs in zip(layers, shapes, strict=True):
        both = [k for k in layer if len(bound.program.qubits[k]) == 2]
        base = np.array([bound.gates[k].matrix for k in both]).reshape(1, -1, 4, 4)
        matrices = np.repeat(base, len(walks), axis=0)
        after: list[Event | Turn] = []
        for k in layer:
            place = both.index(k) if k in both else -1
            if place < 0 and not bound.identity[k]:
                after += [
                    Turn(c, bound.gates[k].qubits, bound.gates[k].matrix)
                    for c in np.flatnonzero(quiet[:, k]).tolist()
                ]
            for c in np.flatnonzero(~quiet[:, k]).tolist():
                steps = list(walks[c].block(k))
                if place >= 0:
                    matrices[c, place] = np.eye(4)
                    if steps and isinstance(first := steps[0], Gate):
                        matrices[c, place], steps = first.matrix, steps[1:]
                for step in steps:
                    if isinstance(step, Gate):
                        after.append(Turn(c, step.qubits, step.matrix))
                    else:
                        (site,), kraus, u = _operator(step)
                        after.append(Event(c, site, kraus, u, events[c]))
                        events[c] += 1
        yield Round(pairs, matrices.reshape(-1, 4, 4), tuple(after))


def _answered(
    batch: Batch,
    walks: Sequence[Generator[unravel.Step, int | None, Ending]],
    max_bond: int,
    cutoff: float,
) -> tuple[Batch, list[Ending]]:
    """Return the same where the trajectories wait for the bits that they measure."""
    endings: list[Ending | None] = [None] * len(walks)
    bits: list[int | None] = [None] * len(walks)
    while any(ending is None for ending in endings):
        circuits: list[list[Step]] = []
        asked = []
        for c, walk in enumerate(walks):
            circuit: list[Step] = []
            waits = False
            while endings[c] is None and not waits:
                try:
                    step = walk.send(bits[c])
                except StopIteration as end:
                    endings[c] = end.value
                    break
                bits[c], waits = None, isinstance(step, Measure)
                circuit.append(_operator(step))
            circuits.append(circuit)
            asked.append(waits)
        batch, outcomes = evolve(batch, circuits, max_bond=max_bond, cutoff=cutoff)
        for c, waits in enumerate(asked):
            bits[c] = 1 - outcomes[c][max(outcomes[c])] if waits else None
    return batch, [ending for ending in endings if ending is not None]


def _operator(step: unravel.Step) -> Any:
    """Return a step of a trajectory as `evolve` takes it; outcome 0 of a projection is |1>."""
    if isinstance(step, Gate):
        return step.qubits, step.matrix
    kraus = step.kraus if isinstance(step, unravel.Event) else np.zeros((2, 2, 2), complex)
    if isinstance(step, Measure):
        kraus[0, 1, 1] = kraus[1, 0, 0] = 1
    elif isinstance(step, Reset):
        kraus[0, step.excited, 1] = kraus[1, step.excited, 0] = 1
    return (step.qubit,), kraus, step.u
