"""The statevector engine: exact noisy trajectories, eight at a time on every core."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.paired_readout import misread_paired
from qdt_emu.engines.refusals import too_wide
from qdt_emu.engines.statevector_program import Program, compile_program
from qdt_emu.engines.statevector_run import (
    Bound,
    bind,
    expected_flops,
    group,
    piece,
    room_bytes,
    rooms,
)
from qdt_emu.engines.threads import check_threads, each, workers
from qdt_emu.errors import InputError
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.kernels.records import estimate_groups, sample_groups
from qdt_emu.kernels.statevector import LANES

FLOPS = 3e10  # per second and thread, 4x4 passes over eight states with bookkeeping, one Zen 3 core
MAX_WIDTH = 30  # active qubits
LATE_BYTES = 1 << 30  # scratch space that sharing a wide final state may take

_compiled = lru_cache(maxsize=64)(compile_program)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A structure compiled twice: measuring early, and sharing one final state.

    Attributes:
        structure: The circuit.
        early: Qubits are measured as soon as they are finished, and leave the state.
        late: The last measurements are sampled from the final state.
    """

    structure: Structure
    early: Program
    late: Program

    def programs(self, real: type[np.floating[Any]]) -> list[Program]:
        """Return the programs to choose from: `late` only where its state is not too large."""
        limit = max(LATE_BYTES, room_bytes(self.early, real, spare=False))
        return [self.early, *[self.late] * (room_bytes(self.late, real, spare=False) <= limit)]


@dataclass(frozen=True)
class Statevector:
    """Noisy trajectories of pure states.

    Attributes:
        precision: 'single' (complex64, 8 bytes per amplitude) or 'double'.
        threads: Number of threads, None for one per core. Results do not depend on it.
    """

    precision: Literal["single", "double"] = "single"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in ("single", "double"):
            raise InputError(
                f"`precision` must be 'single' or 'double', but is {self.precision!r}."
            )
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "statevector"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return what `shots` samples, or `shots` trajectories of `paulis` strings, cost.

        Error:
            Seconds within a factor of about 3 upwards: how much work shots share depends on the
            values, and is left out.
        """
        if refusal := too_wide(structure):
            return Plan(0.0, 0, refusal=refusal)
        if paulis:
            programs = [_compiled(structure, early=True, kept=frozenset(range(structure.n_qubits)))]
        else:
            programs = self.prepare(structure).programs(self._real)
        best = min(programs, key=lambda p: p.layout.work)
        threads = self.workers(shots)
        scan = 30.0 * (paulis + 1) * 2.0 ** best.layout.widths[-1]
        flops = max(1, shots) * (best.layout.work + scan)
        size = threads * max(room_bytes(p, self._real, spare=paulis > 0) for p in programs)
        refusal = ""
        if best.layout.peak > MAX_WIDTH or size > memory:
            refusal = (
                f"`memory` must hold {threads} x 8 states of {best.layout.peak} active qubits (at "
                f"most {MAX_WIDTH}), "
                f"{size} bytes, but is {memory}. Give more memory, fewer threads or a shallower "
                f"circuit."
            )
        return Plan(flops / (FLOPS * threads), size, refusal=refusal)

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the compiled circuit; about 0.5 ms per two-qubit gate in Python."""
        early, late = (_compiled(structure, early=early) for early in (True, False))
        return Prepared(structure, early, late)

    def sample(self, state: Prepared, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return `shots` classical records.

        Error:
            The law of the records is exact up to the rounding of the state, about 1e-6 relative
            in single precision.

        Cost:
            The cheaper of measuring early (every shot by itself, in a narrow state) and late
            (shots with the same events share the state).
        """
        bounds = [bind(p, values, self._real) for p in state.programs(self._real)]
        bound = min(bounds, key=lambda b: expected_flops(b, shots))
        return self.sample_bound(state.structure, bound, values, shots=shots, seed=seed)

    def sample_bound(
        self, structure: Structure, bound: Bound, values: Values, /, *, shots: int, seed: int
    ) -> Records:
        """Return `shots` records of a program with its numbers; see `sample`."""
        bits = np.zeros((shots, structure.n_clbits), np.uint8)
        trajectories, size = 0, piece(bound)
        for first in range(0, shots, size):
            keys = shot_keys(np.uint64(seed), first, min(size, shots - first))
            trajectories += self._sample_piece(bound, keys, bits[first : first + size])
        misread_paired(bits, structure, values, seed)
        return Records(
            bits, details={"trajectories": trajectories, "width": bound.program.layout.peak}
        )

    def _sample_piece(self, bound: Bound, keys: NDArray[np.uint64], bits: NDArray[np.uint8]) -> int:
        """Fill the records of some shots and return the number of trajectories."""
        groups = group(bound, keys)
        threads = self.workers(len(groups.begin))
        space = rooms(bound.program, groups, self._real, threads, spare=False)
        rows = 1 << bound.program.layout.widths[-1]
        fixed = (bound.blocks, bound.numbers, bound.quiet, groups, bound.program.leaf, rows)

        def work(k: int) -> None:
            sample_groups(*fixed, space[k], k, threads, bound.program.qubits, bits)

        each(work, range(threads), threads)
        return len(groups.begin)

    def estimate(
        self,
        state: Prepared,
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
            at most 2 / shots. In single precision rounding adds about 1e-6.
        """
        kept = frozenset(int(q) for q in np.flatnonzero(np.asarray(paulis).any(axis=0)))
        program = _compiled(state.structure, early=True, kept=kept)
        bound = bind(program, values, self._real)
        order, bases, setting = settings(np.asarray(paulis, np.uint8))
        total, square = np.zeros(len(order)), np.zeros(len(order))
        trajectories, size = 0, piece(bound)
        origin: NDArray[np.float64] | None = None
        for first in range(0, shots, size):
            keys = shot_keys(np.uint64(seed), first, min(size, shots - first))
            groups = group(bound, keys)
            found = self._estimate_groups(
                bound, groups, np.asarray(paulis, np.uint8)[order], bases, setting, readout
            )
            weights = np.diff(groups.start)
            origin = found[0].copy() if origin is None else origin
            total += weights @ (found - origin)
            square += weights @ (found - origin) ** 2
            trajectories += len(found)
        mean = total / shots
        variance = np.maximum(square / shots - mean**2, 0.0) * shots / max(1, shots - 1)
        out, error = np.empty(len(order)), np.empty(len(order))
        out[order] = mean + (0.0 if origin is None else origin)
        error[order] = np.sqrt(variance / shots)
        details: dict[str, float | int | str] = {"trajectories": trajectories}
        return Expectations(out, error, details=details | {"width": program.layout.peak})

    def _estimate_groups(
        self,
        bound: Bound,
        groups: Any,
        paulis: NDArray[np.uint8],
        bases: NDArray[np.uint8],
        setting: NDArray[np.int64],
        readout: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the value of every string in every group, shape (groups, m)."""
        found = np.zeros((len(groups.begin), len(paulis)))
        threads = self.workers(len(groups.begin))
        space = rooms(bound.program, groups, self._real, threads, spare=True)
        layout = bound.program.layout
        fixed = (bound.blocks, bound.numbers, bound.quiet, groups, np.array(layout.final, np.int64))
        strings = (paulis, bases, setting, np.ascontiguousarray(readout, np.float64))

        def work(k: int) -> None:
            rows, clbits = 1 << layout.widths[-1], bound.program.clbits
            estimate_groups(*fixed, rows, *strings, space[k], k, threads, clbits, found)

        each(work, range(threads), threads)
        return found

    @property
    def _real(self) -> type[np.floating[Any]]:
        return np.float32 if self.precision == "single" else np.float64

    def workers(self, trajectories: int) -> int:
        """Return the number of threads for so many trajectories, which run eight at a time."""
        return workers(self.threads, -(-trajectories // LANES))


def settings(
    paulis: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Group strings that share a basis on every qubit.

    Args:
        paulis: Shape (m, n_qubits).

    Returns:
        Order of the strings by group, the basis of each group (groups, n_qubits), and the first
        string of each group in that order (groups + 1,).

    Examples:
        >>> order, bases, first = settings(np.array([[3, 0], [1, 1], [0, 3]], np.uint8))
        >>> order.tolist(), bases.tolist(), first.tolist()
        ([0, 2, 1], [[3, 3], [1, 1]], [0, 2, 3])
    """
    bases: list[NDArray[np.uint8]] = []
    members: list[list[int]] = []
    for k, pauli in enumerate(paulis):
        for basis, group_ in zip(bases, members, strict=True):
            if not ((pauli != basis) & (pauli > 0) & (basis > 0)).any():
                np.copyto(basis, pauli, where=pauli > 0)
                group_.append(k)
                break
        else:
            bases.append(pauli.copy())
            members.append([k])
    first = np.cumsum([0, *(len(m) for m in members)]).astype(np.int64)
    order = np.array([k for m in members for k in m], np.int64)
    return order, np.array(bases, np.uint8).reshape(-1, paulis.shape[1]), first
