"""Expectation values by Pauli propagation: any geometry, any number of qubits."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.pauli_bind import bind
from qdt_emu.engines.pauli_error import Ladder, refined, rungs, stated
from qdt_emu.engines.pauli_program import Program, program, refusal
from qdt_emu.engines.pauli_run import SMALLEST_ROOM, Cone, Propagated, bytes_per_string, places
from qdt_emu.engines.refusals import checked_codes, refuse_draws
from qdt_emu.engines.threads import check_threads, workers
from qdt_emu.errors import InputError, UnsupportedError

Floats = NDArray[np.float64]

LOOK = 3e-9  # s for one string to see whether a map touches it
CHANGE = 1.5e-7  # s for one string that a map changes
MAP = 8192  # bytes to bind an operation

_program = lru_cache(maxsize=64)(program)


@dataclass(frozen=True)
class Pauli:
    """Noisy Pauli propagation in the Heisenberg picture, for expectation values.

    An observable is carried back through the circuit as a sum of Pauli strings. Noise shrinks the
    coefficients of long strings, and strings below a threshold are dropped, so that the cost grows
    with the noise-free part of the light cone and not with the number of qubits.

    Attributes:
        threshold: Strings with a smaller coefficient are dropped; 0 drops nothing. Every string is
            propagated again at coarser thresholds, for the error. Of strings that noise will shrink
            before the start of the circuit, more is asked, see `pauli_error.Ladder`.
        tolerance: Start coarse and lower the threshold until the stated error of a string is at
            most this, or `threshold` is reached; `None` uses `threshold` at once.
        max_updates: With a tolerance: changes of strings that one observable may take. What it has
            come to by then is the answer, with its stated error; `None` is any number.
        max_weight: Strings on more qubits are dropped; `None` keeps them.
        max_terms: Strings held at a time; when there are more, the smaller half is dropped.
        threads: Observables propagated at a time; `None` is one for each core.
    """

    threshold: float = 1e-4
    tolerance: float | None = None
    max_updates: int | None = None
    max_weight: int | None = None
    max_terms: int = 2**22
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise InputError(f"`threshold` must be in [0, 1), but is {self.threshold!r}.")
        if self.tolerance is not None and not self.tolerance > 0:
            raise InputError(f"`tolerance` must be above 0 or None, but is {self.tolerance!r}.")
        if self.max_updates is not None and self.max_updates < 1:
            raise InputError(
                f"`max_updates` must be at least 1 or None, but is {self.max_updates!r}."
            )
        if self.max_weight is not None and self.max_weight < 1:
            raise InputError(f"`max_weight` must be at least 1 or None, but is {self.max_weight}.")
        if not SMALLEST_ROOM <= self.max_terms < 2**31:
            raise InputError(
                f"`max_terms` must be from {SMALLEST_ROOM} to 2**31 - 1, but is {self.max_terms!r}."
            )
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "pauli"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:  # noqa: ARG002
        """Return cost and refusal; time and memory are those of full room, an upper bound.

        The number of strings depends on the numbers, which a plan does not see.
        """
        n = structure.n_qubits
        terms = self._room(n)
        size = bytes_per_string(n) * terms * min(workers(self.threads), max(4 * paulis, 1))
        size += MAP * len(structure.operations)
        # A sum of squares of at most 1 holds at most 1 / threshold^2 strings, usually far fewer.
        likely = min(terms, 10 / self.threshold if self.threshold else terms)
        strings = -(-max(paulis, 1) // workers(self.threads))
        seconds = strings * len(structure.operations) * (1e-6 + likely * (LOOK + 0.05 * CHANGE))
        exact = self.threshold == 0 and self.max_weight is None
        why = refusal(structure)
        if not paulis:
            why = _NO_SAMPLES
        elif size > memory and not why:
            why = (
                f"It may need {size} bytes for {terms} Pauli strings, but {memory} bytes are "
                f"available. Give more memory, fewer threads or a smaller `max_terms`."
            )
        return Plan(seconds, size, truncation=0.0 if exact else 1.0, refusal=why)

    def prepare(self, structure: Structure, /) -> Program:
        """Return the maps of a structure, latest first."""
        return _program(structure)

    def sample(self, state: Program, values: Values, /, *, shots: int, seed: int) -> NoReturn:  # noqa: ARG002
        """Refuse: the engine has no state to draw from."""
        raise UnsupportedError(f"Engine 'pauli' refuses to sample. {_NO_SAMPLES}")

    def estimate(
        self,
        state: Program,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: Floats,
        /,
        *,
        shots: int,  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002 - the contract
    ) -> Expectations:
        """Return expectation values with the error that dropped strings may have caused.

        Error:
            `bounds` holds for each string what `pauli_error.stated` makes of runs at several
            thresholds, and never more than the sum of all that was dropped, which is rigorous. It
            covers the true error of at least 95 % of noisy random circuits.
        """
        return answer(self.runs(state, values, paulis, readout))

    def runs(
        self,
        state: Program,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: Floats,
        /,
        known: Sequence[list[Propagated]] = (),
    ) -> list[list[Propagated]]:
        """Return what became of each observable, at several thresholds, finest first.

        `known` is what the same engine has returned with a smaller `max_updates`.
        """
        paulis = checked_codes(paulis, state.n_qubits)
        refuse_draws(state.draws, values, "pauli")
        maps = bind(state, values, np.asarray(readout, float))
        polarization = 1 - 2 * np.asarray(values.excited, float)
        ladder = Ladder(maps, polarization, self.max_weight, self.max_terms)
        strings = [ladder.cone(codes) for codes in paulis]
        with ThreadPoolExecutor(workers(self.threads)) as pool:
            if self.tolerance is None or self.threshold == 0:
                return self._fixed(pool, ladder, strings)
            args = (self.tolerance, self.threshold, self.max_updates)
            before = known or [[] for _ in strings]
            return list(pool.map(lambda s, k: refined(ladder, s, *args, k), strings, before))

    def _fixed(
        self, pool: ThreadPoolExecutor, ladder: Ladder, strings: list[Cone | None]
    ) -> list[list[Propagated]]:
        """Return the runs of each string at the threshold and above, finest first."""
        thresholds = rungs(self.threshold)
        decays = list(pool.map(ladder.scout, strings)) if self.threshold else [0.0] * len(strings)

        def climb(job: tuple[int, int]) -> Propagated:
            rung, k = job
            return ladder.climb(strings[k], thresholds[rung], decays[k], follow=rung == 0)

        done = list(pool.map(climb, product(range(len(thresholds)), range(len(strings)))))
        return [done[k :: len(strings)] for k in range(len(strings))]

    def _room(self, n: int) -> int:
        """Return how many strings are held: never more than twice the number that exist."""
        return min(self.max_terms, places(n))


_NO_SAMPLES = (
    "It gives expectation values only. Use `estimate`, or engine='density' or 'statevector'."
)


def answer(runs: list[list[Propagated]]) -> Expectations:
    """Return values and stated errors from runs at several thresholds, finest first."""
    bounds = np.array([stated(r) for r in runs])
    return Expectations(
        np.array([r[0].value for r in runs]),
        np.zeros(len(runs)),
        float(bounds.max(initial=0.0)),
        _details(runs),
        bounds,
    )


def _details(runs: list[list[Propagated]]) -> dict[str, float | int | str]:
    fine = [r[0] for r in runs]
    return {
        "pauli terms": max((f.terms for f in fine), default=0),
        "pauli updates": sum(f.updates for r in runs for f in r),
        "pauli threshold": max((f.threshold for f in fine), default=0.0),
        "pauli thresholds": max((len(r) for r in runs), default=0),
        "pauli dropped": max((f.dropped for f in fine), default=0.0),
        "pauli difference": max(
            (abs(r[0].value - r[min(1, len(r) - 1)].value) for r in runs), default=0.0
        ),
    }
