"""The density network engine: noisy expectation values of whole chips, without trajectories."""

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.network_density import (
    SHARE,
    Picture,
    Prepared,
    estimate_density,
    plan_density,
    prepare_density,
)
from qdt_emu.engines.threads import check_threads
from qdt_emu.errors import InputError, UnsupportedError

_NO_SAMPLES = (
    "It gives expectation values only. Use `estimate`, or engine='network' for samples of a chip."
)


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
        """Return cost and refusal; see `plan_density` for how far the seconds are off."""
        if not paulis:
            return Plan(0.0, 0, refusal=_NO_SAMPLES)
        return plan_density(
            structure, paulis=paulis, memory=memory, max_bond=self.max_bond, threads=self.threads
        )

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the fused maps of a structure and the graph of its couplings."""
        return prepare_density(structure)

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
        """Return expectation values and bounds; see `estimate_density`."""
        return estimate_density(
            *(state, values, paulis, readout),
            max_bond=self.max_bond,
            cutoff=self.cutoff,
            picture=self.picture,
            threads=self.threads,
        )
