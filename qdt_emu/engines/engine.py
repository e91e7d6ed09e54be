"""The one contract every engine keeps."""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values

State = TypeVar("State")


@dataclass(frozen=True)
class Plan:
    """What a run would cost, asked before paying for it.

    Attributes:
        seconds: Estimated wall time on this machine.
        bytes: Estimated peak memory.
        truncation: Upper bound on the error the engine's own cuts add; 0.0 means exact.
        refusal: Why this engine will not run the circuit; empty when it will.
    """

    seconds: float
    bytes: int
    truncation: float = 0.0
    refusal: str = ""


@dataclass(frozen=True)
class Records:
    """Sampled classical records.

    Attributes:
        bits: Shape (shots, n_clbits), uint8; a bit that is never written is 0.
        truncation: Upper bound on the error added by cuts (0.0 for exact engines).
        details: What the engine wants to say about the run (JSON-able values).
    """

    bits: NDArray[np.uint8]
    truncation: float = 0.0
    details: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expectations:
    """Expectation values of Pauli strings.

    Attributes:
        values: Shape (m,).
        stderr: Standard error from sampling trajectories, shape (m,); 0 for exact engines.
        truncation: Upper bound on the error added by cuts (0.0 for exact engines).
        details: What the engine wants to say about the run (JSON-able values).
        bounds: The truncation of each string, shape (m,); None where it is the same for all.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    truncation: float = 0.0
    details: dict[str, float | int | str] = field(default_factory=dict)
    bounds: NDArray[np.float64] | None = None


class Engine(Protocol[State]):
    """Runs noisy circuits: four pure functions and a name.

    `prepare` does all work that depends on the structure alone (fusion, ordering, compilation), so
    that a thousand sets of values cost one preparation. `sample` and `estimate` are pure functions
    of their arguments: the same seed gives the same answer, on one thread or many. Equal settings
    make equal engines, so that preparations can be cached by them.
    """

    def __hash__(self) -> int:
        """Equal engines have equal hashes."""
        ...

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        ...

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return what `shots` samples or `paulis` expectation values cost within `memory` bytes."""
        ...

    def prepare(self, structure: Structure, /) -> State:
        """Return everything about the run that does not depend on values, shots or seed."""
        ...

    def sample(self, state: State, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return `shots` classical records, misreading included."""
        ...

    def estimate(
        self,
        state: State,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: NDArray[np.float64],
        /,
        *,
        shots: int,
        seed: int,
    ) -> Expectations:
        """Return expectation values of products of measured Paulis in the final state.

        `paulis` has shape (m, n_qubits) with codes 0..3 for I, X, Y, Z; `readout` has shape
        (n_qubits, 2): where string k has P != I on qubit q, the measured operator of that qubit is
        readout[q, 0] * P + readout[q, 1] * I, which is what a misread bit makes of P. Ideal readout
        is (1, 0). `shots` is the number of trajectories; an exact engine ignores it.
        """
        ...
