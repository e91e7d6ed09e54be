"""Records of shots, each drawn from the final state of its own trajectory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Records
from qdt_emu.engines.network_batch_run import trajectories
from qdt_emu.engines.network_batch_state import pack, unpack
from qdt_emu.engines.network_run import Cut, follow, graph_of, zeros
from qdt_emu.engines.network_sample import certificate, draw
from qdt_emu.engines.network_state import GraphState
from qdt_emu.engines.paired_readout import misread_paired
from qdt_emu.engines.statevector_run import group, piece
from qdt_emu.engines.threads import each
from qdt_emu.engines.unravel import Bound, Ending
from qdt_emu.kernels.ensemble import Groups
from qdt_emu.kernels.network_records import read_leaf, uniforms
from qdt_emu.kernels.randomness import shot_keys

DRAW_ITEM = 1 << 42
"""Item of random numbers that belong to no operation; circuits are shorter."""
AHEAD = 32  # trajectories evolved before their shots are drawn; on a device, together


@dataclass(frozen=True)
class Shots:
    """How shots are drawn.

    Attributes:
        cut: Where bonds are cut.
        message_bond: See `network_sample.draw`.
        threads: Number of threads.
        device: None for NumPy, otherwise where JAX evolves trajectories in batches.
    """

    cut: Cut
    message_bond: int
    threads: int
    device: str | None

    def records(
        self, structure: Structure, bound: Bound, values: Values, *, shots: int, seed: int
    ) -> Records:
        """Return `shots` records; shots with the same events share a state."""
        bits = np.zeros((shots, structure.n_clbits), np.uint8)
        ratios, lost, count = np.full(shots, np.nan), np.zeros(shots), 0
        size = piece(bound.run)
        for first in range(0, shots, size):
            part = slice(first, min(shots, first + size))
            keys = shot_keys(np.uint64(seed), first, part.stop - first)
            groups = group(bound.run, keys)
            count += len(groups.begin)
            self._piece(structure, bound, groups, bits[part], ratios[part], lost[part])
        misread_paired(bits, structure, values, seed)
        return Records(bits, *_account(ratios, lost, count))

    def _piece(
        self,
        structure: Structure,
        bound: Bound,
        groups: Groups,
        bits: NDArray[np.uint8],
        ratios: NDArray[np.float64],
        lost: NDArray[np.float64],
    ) -> None:
        """Fill the rows of some shots."""
        graph, total = graph_of(structure), len(groups.begin)
        leaf = bound.program.compiled.leaf
        qubits = tuple(leaf[:, 0].tolist())
        item = len(bound.program.compiled.blocks.kind)
        inside = max(1, self.threads // total)

        def work(g: int, found: tuple[GraphState, Ending] | None = None) -> None:
            members = groups.members[groups.start[g] : groups.start[g + 1]]
            keys = groups.keys[members]
            state, ending = found or follow(graph, bound, keys[0], self.cut)
            numbers = uniforms(keys, DRAW_ITEM, graph.n)
            drawn = draw(state, qubits, numbers, message_bond=self.message_bond, threads=inside)
            own = np.tile(ending.record[: bits.shape[1]], (len(members), 1))
            confusion = bound.run.numbers.confusion
            read_leaf(drawn.bits, leaf, ending.leaked, confusion, keys, item, own)
            bits[members], ratios[members] = own, drawn.log_ratio
            lost[members] = -np.expm1(state.log_fidelity)

        if self.device is not None:
            for g, found in enumerate(self._batches(structure, bound, groups)):
                work(g, found)
        else:
            each(work, range(total), 1 if total == 1 else self.threads)

    def _batches(
        self, structure: Structure, bound: Bound, groups: Groups
    ) -> Iterator[tuple[GraphState, Ending]]:
        """Yield the final state of each group, evolved on the device."""
        start = zeros(graph_of(structure))
        firsts = groups.keys[groups.members[groups.start[:-1]]]
        for k in range(0, len(firsts), AHEAD):
            keys = firsts[k : k + AHEAD]
            batch, endings = trajectories(
                pack([start] * len(keys), device=self.device),
                bound,
                keys,
                max_bond=self.cut.max_bond,
                cutoff=self.cut.cutoff,
            )
            yield from zip(unpack(batch), endings, strict=True)


def _account(
    ratios: NDArray[np.float64], lost: NDArray[np.float64], count: int
) -> tuple[float, dict[str, float | int | str]]:
    """Return a bound on the total variation distance of the law of the records, and details.

    Cut bonds add at most sqrt(1 - F) to the distance, drawing what its certificate says.
    """
    details: dict[str, float | int | str] = {
        "trajectories": count,
        "discarded": float(lost.mean()),
    }
    truncation = float(np.sqrt(lost.clip(0.0)).mean())
    if len(ratios) > 1 and np.ptp(ratios) > 0:
        drawn = certificate(ratios)
        details["network effective share"] = drawn.effective
        truncation += drawn.bound
    return min(1.0, truncation), details
