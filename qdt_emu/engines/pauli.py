"""Expectation values by Pauli propagation: any geometry, any number of qubits."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.pauli_bind import Maps, bind, refuse_draws
from qdt_emu.engines.pauli_program import Program, program, refusal
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.kernels.pauli import Sum, propagate
from qdt_emu.kernels.pauli_strings import cone

Floats = NDArray[np.float64]

SMALLEST_ROOM = 1024  # strings
COARSER = 3.0  # the second threshold is this much higher
SAFETY = 2.0  # in the reported error, of the difference of both thresholds
MANY_STRINGS = 0.3  # in the reported error, of the root of the dropped sum of squares
FEW_STRINGS = 4.0  # as well, over the root of the number of dropped strings
LOOK = 1.5e-9  # s for one string to see that a map does not touch it
BRANCH = 4e-8  # s for one string to branch


@dataclass(frozen=True)
class Propagated:
    """What became of one string at one threshold.

    Attributes:
        value: Its expectation value.
        dropped: Sum of the absolute values of dropped coefficients: a rigorous error bound.
        dropped_squares: Sum of their squares.
        threshold: The last one; larger than asked for when there was no room.
        terms: Most strings at a time.
        updates: Strings changed.
    """

    value: float
    dropped: float = 0.0
    dropped_squares: float = 0.0
    threshold: float = 0.0
    terms: float = 1.0
    updates: float = 0.0


@dataclass(frozen=True)
class Pauli:
    """Noisy Pauli propagation in the Heisenberg picture, for expectation values.

    An observable is carried back through the circuit as a sum of Pauli strings. Noise shrinks the
    coefficients of long strings, and strings below a threshold are dropped, so that the cost grows
    with the noise-free part of the light cone and not with the number of qubits.

    Attributes:
        threshold: Strings with a smaller coefficient are dropped; 0 drops nothing. Every string is
            propagated again at three times the threshold, for the error.
        max_weight: Strings on more qubits are dropped; `None` keeps them.
        max_terms: Strings held at a time; when there are more, the smaller half is dropped.
        threads: Observables propagated at a time; `None` is one for each core.
    """

    threshold: float = 1e-4
    max_weight: int | None = None
    max_terms: int = 2**22
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise InputError(f"`threshold` must be in [0, 1), but is {self.threshold!r}.")
        if self.max_weight is not None and self.max_weight < 1:
            raise InputError(f"`max_weight` must be at least 1 or None, but is {self.max_weight}.")
        if not SMALLEST_ROOM <= self.max_terms < 2**31:
            raise InputError(
                f"`max_terms` must be from {SMALLEST_ROOM} to 2**31 - 1, but is {self.max_terms!r}."
            )
        if self.threads is not None and self.threads < 1:
            raise InputError(f"`threads` must be at least 1 or None, but is {self.threads!r}.")

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
        words = -(-n // 32)
        size = (8 * words + 56) * terms * min(self._threads(), max(paulis, 1))
        # A sum of squares of at most 1 holds at most 1 / threshold^2 strings, usually far fewer.
        likely = min(terms, 10 / self.threshold if self.threshold else terms)
        strings = -(-max(paulis, 1) // self._threads())
        seconds = strings * len(structure.operations) * (1e-6 + likely * (LOOK + 0.05 * BRANCH))
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
        return program(structure)

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
            `bounds` holds for each string twice the difference of both thresholds, plus what
            dropped strings of random signs add up to, and never more than the sum of all that was
            dropped, which is rigorous. It covers the true error in at least 95 % of noisy random
            circuits; half of the bounds are 5 to 40 times too large.
        """
        n = state.n_qubits
        if paulis.ndim != 2 or paulis.shape[1] != n or np.any(paulis > 3):
            raise InputError(
                f"`paulis` must have shape (m, {n}) and codes 0..3, but it has shape "
                f"{paulis.shape}. Give one code per qubit."
            )
        refuse_draws(state, values)
        maps = bind(state, values, np.asarray(readout, float))
        polarization = 1 - 2 * np.asarray(values.excited, float)
        thresholds = [self.threshold, COARSER * self.threshold][: 1 + (self.threshold > 0)]

        def run(job: tuple[int, float]) -> Propagated:
            return self._propagate(maps, paulis[job[0]], polarization, job[1])

        jobs = [(k, t) for t in thresholds for k in range(len(paulis))]
        with ThreadPoolExecutor(self._threads()) as pool:
            done = list(pool.map(run, jobs))
        fine, coarse = done[: len(paulis)], done[-len(paulis) :]
        bounds = np.array([_error(f, c) for f, c in zip(fine, coarse, strict=True)])
        return Expectations(
            np.array([f.value for f in fine]),
            np.zeros(len(paulis)),
            float(bounds.max(initial=0.0)),
            _details(fine, coarse),
            bounds,
        )

    def _propagate(
        self, maps: Maps, codes: NDArray[np.uint8], polarization: Floats, threshold: float
    ) -> Propagated:
        """Return one string's value; only maps and qubits of its light cone take part."""
        if not codes.any():
            return Propagated(1.0)
        inside = (codes > 0).astype(np.uint8)
        kept = cone(maps.where, inside).astype(bool)
        qubits = np.flatnonzero(inside)
        local = np.zeros(len(codes), np.int64)
        local[qubits] = np.arange(len(qubits))
        start = np.zeros(-(-len(qubits) // 32), np.uint64)
        for q, code in zip(local[qubits], codes[qubits], strict=True):
            start[q >> 5] |= np.uint64(int(code) << 2 * (q & 31))
        first, second, row = maps.where[kept].T
        a, b = local[first], local[second]
        pair = first >= 0
        a = np.where(pair, a, b)
        place = np.stack([a >> 5, 2 * (a & 31), 3 * pair, b >> 5, 2 * (b & 31), row], 1)
        heaviest = len(codes) if self.max_weight is None else self.max_weight
        found = propagate(
            start,
            place.astype(np.uint64),
            _groups(maps.forks[kept]),
            maps.tables,
            maps.renames,
            threshold,
            heaviest,
            _workspace(self._room(len(qubits)), len(start)),
            polarization[qubits],
        )
        return Propagated(*(float(x) for x in found))

    def _room(self, n: int) -> int:
        """Return how many strings are held: never more than twice the number that exist."""
        return min(self.max_terms, max(SMALLEST_ROOM, 2 << 2 * min(n, 20)))

    def _threads(self) -> int:
        return self.threads or os.cpu_count() or 1


_NO_SAMPLES = (
    "It gives expectation values only. Use `estimate`, or engine='density' or 'statevector'."
)


def _workspace(room: int, words: int) -> Sum:
    """Return arrays for `room` strings; memory that is never touched costs nothing."""
    entries = 1 << (2 * room - 1).bit_length()
    return (
        np.empty((room, words), np.uint64),
        np.empty(room),
        np.zeros(room, np.uint64),
        np.empty(room, np.uint64),
        np.empty(entries, np.uint64),
    )


def _groups(forks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (first map, one after the last, forks): renaming maps in a row are one group."""
    change = np.flatnonzero(forks[1:] | forks[:-1]) + 1
    begin = np.concatenate([[0], change]) if len(forks) else np.zeros(0, np.int64)
    end = np.concatenate([begin[1:], [len(forks)]]) if len(forks) else begin
    return np.stack([begin, end, forks[begin]], 1).astype(np.int64)


def _error(fine: Propagated, coarse: Propagated) -> float:
    """Return an estimate of the error of the finer run.

    Many dropped strings have random signs and small values, so that their root sum of squares is
    more than enough; (dropped sum)^2 / (sum of squares) counts them, and few do not average out.
    The factors were fitted to noisy random circuits and to circuits on calibrated processors, so
    that the estimate covers at least 98 % of each kind.
    """
    if fine.dropped == 0:
        return 0.0
    rms = float(np.sqrt(fine.dropped_squares))
    spread = rms * (MANY_STRINGS + FEW_STRINGS * rms / fine.dropped)
    return min(fine.dropped, SAFETY * abs(fine.value - coarse.value) + spread)


def _details(fine: list[Propagated], coarse: list[Propagated]) -> dict[str, float | int | str]:
    return {
        "pauli terms": int(max((f.terms for f in fine), default=0)),
        "pauli updates": int(sum(f.updates for f in fine + coarse)),
        "pauli threshold": max((f.threshold for f in fine), default=0.0),
        "pauli coarse threshold": max((c.threshold for c in coarse), default=0.0),
        "pauli dropped": max((f.dropped for f in fine), default=0.0),
        "pauli difference": max(
            (abs(f.value - c.value) for f, c in zip(fine, coarse, strict=True)), default=0.0
        ),
    }
