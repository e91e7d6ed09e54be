"""Trajectories of a noisy circuit as copies of a graph tensor network, evolved together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines import unravel
from qdt_emu.engines.network_batch import Batch, evolve
from qdt_emu.engines.network_batch_plan import Step
from qdt_emu.engines.unravel import Bound, Ending, Gate, Measure, Reset, trajectory


def trajectories(
    batch: Batch,
    bound: Bound,
    keys: Sequence[int] | NDArray[np.uint64],
    *,
    max_bond: int,
    cutoff: float = 1e-12,
) -> tuple[Batch, list[Ending]]:
    """Return the final states of one trajectory in each copy, and how their records stand.

    Sites are the qubits of the program. Branches are chosen by the uniform numbers of the steps, so
    a trajectory depends on its key alone, up to rounding.

    Args:
        batch: The copies at the start.
        bound: Program and numbers of all trajectories.
        keys: Random key of each copy.
        max_bond: As in `evolve`.
        cutoff: As in `evolve`.
    """
    walks = [trajectory(bound, key) for key in keys]
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


def _operator(step: unravel.Step) -> Step:
    """Return a step of a trajectory as `evolve` takes it; outcome 0 of a projection is |1>."""
    if isinstance(step, Gate):
        return step.qubits, step.matrix
    kraus = step.kraus if isinstance(step, unravel.Event) else np.zeros((2, 2, 2), complex)
    if isinstance(step, Measure):
        kraus[0, 1, 1] = kraus[1, 0, 0] = 1
    elif isinstance(step, Reset):
        kraus[0, step.excited, 1] = kraus[1, step.excited, 0] = 1
    return (step.qubit,), kraus, step.u
