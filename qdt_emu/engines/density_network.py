"""The density network engine: noisy expectation values of whole chips, without trajectories."""

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines import transfer
from qdt_emu.engines.density_network_run import SHARE, Picture, Settings, expectations, vectors
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.network_state import Graph
from qdt_emu.engines.pauli_program import refusal as refusal_of
from qdt_emu.engines.refusals import checked_codes, refuse_draws
from qdt_emu.engines.threads import check_threads, workers
from qdt_emu.errors import InputError, UnsupportedError

_NO_SAMPLES = (
    "It gives expectation values only. Use `estimate`, or engine='network' for samples of a chip."
)


MAP, ENTRY, CUBE = 3e-4, 1.2e-10, 6e-10  # s on one Zen core, half the bond included


@dataclass(frozen=True, eq=False)
class Prepared:
    """A structure as transfer matrices, and the graph of its couplings."""

    transfer: transfer.Transfer
    graph: Graph


@dataclass(frozen=True)
class DensityNetwork:
    """Observables of a noisy circuit as a real Pauli-basis network in the shape of the chip.

    Each Pauli string is carried back through the noisy circuit; noise keeps the bonds small. Best
    where `network` would need many trajectories and `pauli` many strings: shallow circuits and
    those with the noise of today's processors. Useless for deep circuits with little noise, where
    its bounds say so.

    Attributes:
        max_bond: Largest bond dimension.
        cutoff: Schmidt coefficients below this ratio to the largest are dropped.
        picture: 'heisenberg' carries each observable back; 'schrodinger' carries the state forward,
            once for all observables.
        threads: Number of threads, None for one per core. Results do not depend on it.
    """

    max_bond: int = 32
    cutoff: float = 1e-6
    picture: Picture = field(default="heisenberg")
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.max_bond < 2:
            raise InputError(f"`max_bond` must be at least 2, but is {self.max_bond!r}.")
        if not 0 <= self.cutoff < 0.1:
            raise InputError(f"`cutoff` must be in [0, 0.1), but is {self.cutoff!r}.")
        if self.picture not in SHARE:
            raise InputError(f"`picture` must be one of {list(SHARE)}, but is {self.picture!r}.")
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "density_network"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:  # noqa: ARG002
        """Return cost and refusal, in the Heisenberg picture.

        Error:
            Seconds are those of the whole circuit for each string, with bonds that grow by 4 per
            map: an upper bound, 1.5 to 3 times too high for a string that spreads over the
            processor and a hundred times for one that hardly spreads.
        """
        if why := refusal_of(structure) if paulis else _NO_SAMPLES:
            return Plan(0.0, 0, refusal=why)
        state = self.prepare(structure)
        graph, bonds = state.graph, [1] * len(state.graph.edges)
        seconds = 0.0
        for q, _ in state.transfer.steps:
            if len(q) == 1:
                continue
            edge = graph.edge[min(q), max(q)]
            side = 4.0 * bonds[edge]
            around = [float(np.prod([bonds[k] for k in graph.legs[a] if k != edge])) for a in q]
            seconds += MAP + ENTRY * sum(around) * side**2 + CUBE * side**3
            bonds[edge] = min(self.max_bond, 4 * bonds[edge])
        at_once = workers(self.threads, paulis)
        sizes = [32.0 * float(np.prod([bonds[k] for k in legs])) for legs in graph.legs]
        size = int(at_once * (sum(sizes) + 8 * max(sizes, default=0.0)))
        why = ""
        if size > memory:
            worst = int(np.argmax(sizes))
            why = (
                f"`max_bond` must leave the tensors in {memory} bytes, but {self.max_bond} needs "
                f"{size}: qubit {worst} has {len(graph.legs[worst])} couplers. Give more memory, "
                f"fewer threads or a smaller `max_bond`."
            )
        cut = any(b >= self.max_bond for b in bonds)
        return Plan(seconds * paulis / at_once, size, truncation=float(cut), refusal=why)

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the fused maps of a structure and the graph of its couplings.

        Raises:
            UnsupportedError: An operation depends on measured bits.
        """
        found = transfer.steps(structure)
        pairs = sorted({(min(q), max(q)) for q, _ in found.steps if len(q) == 2})
        return Prepared(found, Graph(structure.n_qubits, tuple(pairs)))

    def sample(self, state: Prepared, values: Values, /, *, shots: int, seed: int) -> NoReturn:  # noqa: ARG002
        """Refuse: observables are carried back, so that there is no state to draw from."""
        raise UnsupportedError(f"Engine 'density_network' refuses to sample. {_NO_SAMPLES}")

    def estimate(
        self,
        state: Prepared,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: NDArray[np.float64],
        /,
        *,
        shots: int,  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002 - the contract
    ) -> Expectations:
        """Return expectation values with bounds; nothing is sampled.

        Raises:
            UnsupportedError: Detuning or leakage, which differ from shot to shot.

        Error:
            Exact to rounding and `cutoff` where no bond is full. `bounds` is three times the change
            from half the bond plus a share of the norm that was cut, at most all of that norm; it
            covers the truth in at least 95 % of noisy random circuits, mostly with a wide margin.
            Where nothing converges it is all that was cut, up to 1; without noise, on a loop that
            the light cone goes around several times, one value in five is farther off than that.

        Cost:
            For each string and two-qubit map on sites of degree z, rank r (4 for ECR, CZ and their
            noise, up to 16): 8 (4 D)**2 D**(z - 1) + 30 (r D)**3 flops.
        """
        codes = checked_codes(paulis, state.graph.n)
        refuse_draws(state.transfer.draws, values, self.name)
        return expectations(
            state.graph,
            transfer.bind(state.transfer, values),
            np.asarray(transfer.initial(values), float),
            [vectors(row, np.asarray(readout, float)) for row in codes],
            Settings(self.max_bond, self.cutoff, self.picture),
            workers(self.threads),
        )
