"""Matrix product states: trajectories of many qubits in a row, few of them strongly entangled."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.mps_program import Compiled, compile_chain, cost, room_bytes
from qdt_emu.engines.mps_run import (
    Account,
    Room,
    circuit,
    draw_group,
    drawn,
    empty,
    expect,
    groups_of,
    summed,
    trajectories,
    weakly,
)
from qdt_emu.engines.paired_readout import misread_paired
from qdt_emu.engines.phases import are_diagonal
from qdt_emu.engines.refusals import too_wide
from qdt_emu.engines.statevector_run import piece
from qdt_emu.engines.threads import check_threads, each, workers
from qdt_emu.engines.unravel import Bound, bind
from qdt_emu.errors import InputError
from qdt_emu.kernels.ensemble import Groups
from qdt_emu.kernels.mps_run import Circuit
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.kernels.trajectory import Shot

CROWDED = 0.2
"""Share of steps on full bonds from which less entanglement is worth more than shared work."""

_compiled = lru_cache(maxsize=64)(compile_chain)


@dataclass(frozen=True)
class MPS:
    """Noisy trajectories of matrix product states.

    Every trajectory applies the exact channels: branches are drawn with their probabilities in the
    state, which the orthogonality centre gives. What is cut are Schmidt coefficients, and the
    discarded weight is known. Gates between qubits that stand apart on the chain bring them
    together by swaps; idle ZZ between them acts in one sweep without any.

    Attributes:
        max_bond: Most Schmidt coefficients kept at a cut.
        cutoff: Weight that a truncation may discard to keep fewer.
        unravelling: 'events' draws errors beforehand, and shots with equal errors share their
            work; 'low_entanglement' lets the state decide with operators that entangle less, which
            bitstrings get for free and expectation values pay for with variance; 'auto' does so
            for samples of circuits that fill their bonds.
        precision: 'double' (complex128) or 'single' (complex64), which halves memory.
        threads: Number of threads, None for one per core. Results do not depend on it.
    """

    max_bond: int = 64
    cutoff: float = 1e-10
    unravelling: Literal["auto", "events", "low_entanglement"] = "auto"
    precision: Literal["single", "double"] = "double"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.max_bond < 1:
            raise InputError(f"`max_bond` must be at least 1, but is {self.max_bond!r}.")
        if not 0 <= self.cutoff < 1:
            raise InputError(f"`cutoff` must be in [0, 1), but is {self.cutoff!r}.")
        if self.unravelling not in ("auto", "events", "low_entanglement"):
            raise InputError(
                f"`unravelling` must be 'auto', 'events' or 'low_entanglement', but is "
                f"{self.unravelling!r}."
            )
        if self.precision not in ("single", "double"):
            raise InputError(
                f"`precision` must be 'single' or 'double', but is {self.precision!r}."
            )
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "mps"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return what `shots` trajectories cost, with bonds as large as the circuit can make them.

        Error:
            Seconds within a factor of about 3 upwards: how much work shots share and how many
            Schmidt coefficients are small depends on the values, and is left out.
        """
        if why := too_wide(structure):
            return Plan(0.0, 0, refusal=why)
        kept = range(structure.n_qubits) if paulis else ()
        compiled = _compiled(structure, tuple(kept), self.max_bond)
        threads = workers(self.threads, shots)
        seconds = cost(compiled, paulis) * max(1, shots) / threads
        size = threads * room_bytes(compiled, self._dtype)
        why = ""
        if size > memory:
            why = (
                f"`memory` must hold {2 * threads} states of {structure.n_qubits} qubits with "
                f"bonds of {max(compiled.limit)}, {size} bytes, but is {memory}. Give more memory, "
                f"fewer threads or a smaller `max_bond`."
            )
        exact = compiled.exact and self.cutoff <= 1e-12
        return Plan(seconds, size, truncation=0.0 if exact else 1.0, refusal=why)

    def prepare(self, structure: Structure, /) -> Compiled:
        """Return the circuit on a chain, as it is sampled."""
        return _compiled(structure, (), self.max_bond)

    def sample(self, state: Compiled, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return `shots` classical records.

        Error:
            `truncation` bounds the total variation distance from the law of the records, see
            `Account.likely`; in 'single' precision rounding adds about 1e-3.
        """
        state, structure = self._checked(state, values), state.structure
        weak = self.unravelling == "auto" and state.crowded > CROWDED
        bound, fixed = self._bind(state, values, weak=weak)
        bits = np.zeros((shots, structure.n_clbits), np.uint8)
        account, size = Account(), piece(bound.run)
        for first in range(0, shots, size):
            keys = shot_keys(np.uint64(seed), first, min(size, shots - first))
            groups = groups_of(bound, keys)
            part = bits[first : first + size]

            def finish(
                g: int, shot: Shot, room: Room, groups: Groups = groups, out: Any = part
            ) -> None:
                draw_group(fixed, room.state, shot, groups, g, out)

            accounts = self._run(state, fixed, groups, finish)
            account = account.plus(accounts, np.diff(groups.start))
        misread_paired(bits, structure, values, seed)
        return Records(bits, truncation=account.likely, details=account.details())

    def estimate(
        self,
        state: Compiled,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: NDArray[np.float64],
        /,
        *,
        shots: int,
        seed: int,
    ) -> Expectations:
        """Return means over trajectories; every trajectory gives the exact value of its state.

        Error:
            The standard error over trajectories, in `stderr`; zero if all shots share one.
            Events that were not drawn are not in it: one of probability 1 / shots moves a value by
            at most 2 / shots.
            `truncation` bounds what the cuts add, see `Account.likely`.
        """
        strings = np.asarray(paulis, np.uint8)
        kept = tuple(int(q) for q in np.flatnonzero(strings.any(axis=0)))
        compiled = self._checked(_compiled(state.structure, kept, self.max_bond), values)
        bound, fixed = self._bind(compiled, values, weak=False)
        order = np.argsort(compiled.route.final)  # qubit on each site
        codes = np.ascontiguousarray(strings[:, order])
        maps = np.ascontiguousarray(np.asarray(readout, np.float64)[order])
        account, size = Account(), piece(bound.run)
        values_, weights = [], []
        for first in range(0, shots, size):
            keys = shot_keys(np.uint64(seed), first, min(size, shots - first))
            groups = groups_of(bound, keys)
            found = np.zeros((len(groups.begin), len(codes)))

            def finish(g: int, shot: Shot, room: Room, out: NDArray[np.float64] = found) -> None:
                expect(fixed, room.state, shot, codes, maps, out[g])

            accounts = self._run(compiled, fixed, groups, finish)
            account = account.plus(accounts, np.diff(groups.start))
            values_.append(found)
            weights.append(np.diff(groups.start))
        mean, error = summed(np.concatenate(values_), np.concatenate(weights))
        bounds = np.where(strings.any(axis=1), min(2.0, 2.0 * account.likely), 0.0)
        return Expectations(
            mean, error, truncation=float(bounds.max(initial=0.0)), details=account.details(),
            bounds=bounds,
        )  # fmt: skip

    def _checked(self, compiled: Compiled, values: Values) -> Compiled:
        """Return the circuit on a chain, without what relies on diagonal phases if they are not."""
        if compiled.trusting and not are_diagonal(compiled.structure, values):
            return _compiled(compiled.structure, compiled.kept, self.max_bond, trusting=False)
        return compiled

    def _bind(self, compiled: Compiled, values: Values, *, weak: bool) -> tuple[Bound, Circuit]:
        """Return the program with its numbers, for the drawing of events and for the kernels."""
        if weak or self.unravelling == "low_entanglement":
            bound, members = weakly(compiled.program, values)
        else:
            bound, members = bind(compiled.program, values), drawn()
        return bound, circuit(compiled, bound, members, self.cutoff)

    def _run(
        self,
        compiled: Compiled,
        fixed: Circuit,
        groups: Groups,
        finish: Callable[[int, Shot, Room], None],
    ) -> NDArray[np.float64]:
        """Run all groups and finish each; return (account, largest bond), shape (groups, 5)."""
        n = len(groups.begin)
        threads, clbits = workers(self.threads, n), compiled.structure.n_clbits
        accounts = np.zeros((n, 5))

        def work(k: int) -> None:
            room = Room(empty(compiled.limit, self._dtype), empty(compiled.limit, self._dtype))
            for g, shot in trajectories(fixed, groups, room, range(k, n, threads), clbits):
                accounts[g] = *room.state.account, room.state.bond.max()
                finish(g, shot, room)

        with threadpool_limits(limits=1, user_api="blas"):  # the threads are these
            each(work, range(threads), threads)
        return accounts

    @property
    def _dtype(self) -> type[np.complexfloating[Any, Any]]:
        return np.complex64 if self.precision == "single" else np.complex128
