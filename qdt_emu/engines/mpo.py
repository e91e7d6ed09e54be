"""Density operators and observables of noisy lines, as Pauli-basis matrix product operators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines import mpo_measure as measure
from qdt_emu.engines import transfer
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.mpo_evolve import Bound, bound, observable, state
from qdt_emu.engines.mpo_program import Program, bonds, cone, felt, program, recorded
from qdt_emu.engines.mpo_train import Train
from qdt_emu.engines.refusals import checked_codes
from qdt_emu.engines.threads import check_threads, each, workers
from qdt_emu.errors import InputError, UnsupportedError

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]
Job = TypeVar("Job")
Done = TypeVar("Done")

COARSER_BOND = 2  # the second run has half the bond,
COARSER_CUTOFF = 4.0  # and four times the cutoff
SAFETY = 3.0  # in the stated error
STEEPEST = 3.0  # the error falls at least as fast as the root of the cut weight over this
LIKE = 8  # other strings on the same qubits that show how far both runs are apart
CUT_STRINGS = 2e-3, 5e-2  # error of a string for the root of a small and of a large cut weight
CUT_STRINGS_BACK = 3e-3, 2.5e-2  # the same, Heisenberg picture
CUT_SAMPLES = 2e-2, 5e-2  # total variation distance, in the same way
WORTH = 4.0  # times the work that the Heisenberg picture, which is more accurate, may take
CERTIFIED = 1024  # samples whose probability is compared between both runs
PILOT = 24  # strings whose light cones are counted before a picture is chosen
OVERHEAD = 5e-4  # s for a map, in each of both runs, with its share of what is read
FLOPS = 1.2e10  # per second in products
FLOPS_SVD = 2.5e9  # per second in full decompositions


@dataclass(frozen=True)
class Prepared:
    """A structure with the program of its final state."""

    structure: Structure
    program: Program


@dataclass(frozen=True, eq=False)
class Evolved:
    """The final state of a circuit with its numbers, from which any number of shots is drawn.

    Attributes:
        structure: The circuit.
        sites: Sites that are read, ascending.
        fine: The density operator at the full bond, and what each of its truncations cut.
        coarse: The same at the smaller bond.
    """

    structure: Structure
    sites: tuple[int, ...]
    fine: tuple[Train, Floats]
    coarse: tuple[Train, Floats]


@dataclass(frozen=True)
class Mpo:
    """Matrix product operators in the real Pauli basis, for noisy circuits on or near a line.

    Deterministic: noise enters as it is, not by trajectories, and the more noise the smaller the
    bonds. The Schroedinger picture carries the density operator forward once, for samples and any
    number of strings; the Heisenberg picture carries one string back through its light cone.

    Attributes:
        max_bond: Largest bond dimension. Every run is repeated at half of it, for the error.
        cutoff: Relative Hilbert-Schmidt norm that a truncation may drop although there is room.
        picture: 'schroedinger', 'heisenberg', or 'auto' for the Heisenberg picture
            where the light cones of the strings take at most four times the work.
        threads: Runs at a time; `None` is one for each core.
    """

    max_bond: int = 64
    cutoff: float = 1e-9
    picture: Literal["auto", "schroedinger", "heisenberg"] = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.max_bond < 4:
            raise InputError(f"`max_bond` must be at least 4, but is {self.max_bond!r}.")
        if not 0 <= self.cutoff < 1:
            raise InputError(f"`cutoff` must be in [0, 1), but is {self.cutoff!r}.")
        if self.picture not in ("auto", "schroedinger", "heisenberg"):
            raise InputError(
                f"`picture` must be 'auto', 'schroedinger' or 'heisenberg', but is "
                f"{self.picture!r}."
            )
        check_threads(self.threads)

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "mpo"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return cost and refusal; time and memory are those of full bonds, an upper bound.

        The bonds that are needed depend on the numbers, and the light cones on the strings: a plan
        sees neither.
        """
        if why := self._refusal(structure, sampled=not paulis):
            return Plan(0.0, 0, refusal=why)
        prog = program(structure) if paulis else recorded(structure)[0]
        n, every = structure.n_qubits, np.ones(len(prog.moves), bool)
        seconds = self._seconds(prog, every)
        runs = workers(self.threads) if paulis and self.picture == "heisenberg" else 1
        if paulis and self.picture == "heisenberg":
            seconds *= -(-paulis // runs)
        _, largest = bonds(prog, every, self.max_bond)
        bond = min(self.max_bond, largest)
        if not paulis:
            seconds += shots * n * (4 * bond**2 / FLOPS + 1e-7)
        size = runs * 8 * (n * 4 * bond**2 + 8 * (4 * bond) ** 2)
        size += shots * (2 * n + 48) + 24 * measure.CHUNK if not paulis else 0
        if size > memory:
            why = (
                f"It may need {size} bytes for bonds of {bond}, but {memory} bytes are available. "
                f"Give more memory or a smaller `max_bond`."
            )
        exact = largest <= self.max_bond and self.cutoff <= 1e-8
        return Plan(seconds, size, truncation=0.0 if exact else 1.0, refusal=why)

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the structure with the order of its maps on the line."""
        return Prepared(structure, program(structure))

    def evolve(self, state: Prepared, values: Values, /) -> Evolved:
        """Return the final state, which `sample` takes in place of what `prepare` returns."""
        if why := self._refusal(state.structure, sampled=True):
            raise UnsupportedError(f"Engine 'mpo' refuses to sample. {why}")
        prog, read = recorded(state.structure)
        run = bound(prog, values)
        sites = np.unique(np.array(prog.final)[read[read[:, 0] >= 0, 0]]).tolist()
        fine, coarse = self._states(run, np.isin(np.arange(len(run.start)), sites))
        return Evolved(state.structure, tuple(sites), fine, coarse)

    def sample(
        self, state: Prepared | Evolved, values: Values, /, *, shots: int, seed: int
    ) -> Records:
        """Return `shots` records drawn qubit by qubit from the final density operator.

        Error:
            `truncation` estimates the total variation distance to the true law: three times
            the distance between the laws of both bonds, measured on the samples, plus what the cut
            weight suggests. It covers the true distance in at least 95 % of noisy random circuits.
        """
        final = state if isinstance(state, Evolved) else self.evolve(state, values)
        fine, coarse, sites = final.fine, final.coarse, list(final.sites)
        prog, read = recorded(state.structure)
        written = read[:, 0] >= 0
        at = np.array(prog.final)[read[written, 0]]
        rng = np.random.Generator(np.random.Philox(seed))
        drawn = measure.sample(fine[0].tensors, sites, rng.random((shots, len(sites))))
        bits = np.zeros((shots, state.structure.n_clbits), np.uint8)
        bits[:, written] = drawn.bits[:, np.searchsorted(sites, at)]
        some = slice(0, CERTIFIED)
        other = measure.probability(coarse[0].tensors, sites, drawn.bits[some])
        ratios = np.abs(1 - other / drawn.chance[some])
        distance = float(ratios.mean() + ratios.std() / np.sqrt(len(ratios))) / 2
        dropped = float(fine[1].sum())
        truncation = min(1.0, float(_stated(distance, dropped, coarse[1].sum(), CUT_SAMPLES)))
        details = {
            **_details("schroedinger", prog, [fine[0]], dropped),
            "mpo trace drift": abs(measure.overlap(fine[0].tensors, fine[0].probe) - 1),
            "mpo difference": distance,
            "mpo clamped": drawn.clamped,
            "mpo lowest conditional": drawn.deepest,
        }
        read_bits = transfer.misread(bits, state.structure, values, read, rng)
        return Records(read_bits, truncation, details)

    def estimate(
        self,
        state: Prepared,
        values: Values,
        paulis: Codes,
        readout: Floats,
        /,
        *,
        shots: int,  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002 - the contract
    ) -> Expectations:
        """Return expectation values with the error that truncation may have caused.

        Error:
            `bounds` holds for each string 3 times the difference of both bonds (in the
            Schroedinger picture also that of other strings on the same qubits), plus what the cut
            weight inside of its light cone suggests. It covers the true error in at least 95 % of
            noisy random circuits and is typically 10 to 30 times too large. A string whose light
            cone no cut has touched has a bound of 0, rigorously.
        """
        paulis = checked_codes(paulis, state.structure.n_qubits)
        prog = state.program
        run = bound(prog, values)
        codes = paulis[:, np.argsort(prog.final)]
        sites = np.asarray(readout, float)[np.argsort(prog.final)]
        picture = self._picture(prog, codes)
        work = self._forward if picture == "schroedinger" else self._backward
        found, bounds, details = work(run, codes, sites)
        bounds = np.minimum(bounds, 1 + np.abs(found))
        return Expectations(
            found, np.zeros(len(codes)), float(bounds.max(initial=0.0)), details, bounds
        )

    def _forward(
        self, run: Bound, codes: Codes, readout: Floats
    ) -> tuple[Floats, Floats, dict[str, float | int | str]]:
        """Return values, bounds and details from one evolution of the density operator."""
        fine, coarse = self._states(run, _union(codes))
        found = measure.strings(fine[0].tensors, codes, readout)
        apart = np.abs(found - measure.strings(coarse[0].tensors, codes, readout))
        supports, which = np.unique(codes > 0, axis=0, return_inverse=True)
        dropped, more = (felt(run.program, supports, cuts) for _, cuts in (fine, coarse))
        rng = np.random.Generator(np.random.Philox(0))
        squares = np.zeros(len(supports))
        for _ in range(LIKE):
            like = np.where(supports, rng.integers(1, 4, supports.shape), 0).astype(np.uint8)
            one, two = (measure.strings(t[0].tensors, like, readout) for t in (fine, coarse))
            squares += (one - two) ** 2 / LIKE
        which = which.reshape(-1)
        spread = np.maximum(apart, np.sqrt(squares)[which])
        bounds = _stated(spread, dropped[which], more[which], CUT_STRINGS)
        details = {
            **_details("schroedinger", run.program, [fine[0]], float(dropped.max(initial=0.0))),
            "mpo trace drift": abs(measure.overlap(fine[0].tensors, fine[0].probe) - 1),
            "mpo difference": float(apart.max(initial=0.0)),
        }
        return found, bounds, details

    def _backward(
        self, run: Bound, codes: Codes, readout: Floats
    ) -> tuple[Floats, Floats, dict[str, float | int | str]]:
        """Return values, bounds and details from one evolution of each string."""

        def work(job: tuple[int, bool]) -> tuple[float, Train]:
            cap, cutoff = self._settings(coarse=job[1])
            value, train = observable(run, codes[job[0]], readout, cap, cutoff)
            train.tensors.clear()
            return value, train

        jobs = [(k, coarse) for coarse in (False, True) for k in range(len(codes))]
        done = self._pooled(work, jobs)
        fine, coarse = done[: len(codes)], done[len(codes) :]
        found = np.array([value for value, _ in fine])
        apart = np.abs(found - np.array([value for value, _ in coarse]))
        dropped, more = (np.array([sum(t.cuts) for _, t in runs]) for runs in (fine, coarse))
        bounds = _stated(apart, dropped, more, CUT_STRINGS_BACK)
        details = {
            **_details(
                "heisenberg", run.program, [t for _, t in fine], float(dropped.max(initial=0.0))
            ),
            "mpo difference": float(apart.max(initial=0.0)),
        }
        return found, bounds, details

    def _states(self, run: Bound, support: NDArray[np.bool_]) -> list[tuple[Train, Floats]]:
        """Return the final density operator at the full and at the smaller bond."""
        return self._pooled(
            lambda coarse: state(run, support, *self._settings(coarse=coarse)), [False, True]
        )

    def _pooled(self, work: Callable[[Job], Done], jobs: Sequence[Job]) -> list[Done]:
        """Return the work of each job; one BLAS thread each, because the matrices are small."""
        with threadpool_limits(limits=1, user_api="blas"):
            return each(work, jobs, workers(self.threads))

    def _settings(self, *, coarse: bool) -> tuple[int, float]:
        if not coarse:
            return self.max_bond, self.cutoff
        return self.max_bond // COARSER_BOND, min(0.5, COARSER_CUTOFF * self.cutoff)

    def _picture(self, prog: Program, codes: Codes) -> str:
        """Return the picture that takes less work, with some patience for the more accurate."""
        if self.picture != "auto":
            return self.picture
        forward = self._seconds(prog, cone(prog, _union(codes)))
        pilot = codes[:: max(1, len(codes) // PILOT)]
        backward = sum(self._seconds(prog, cone(prog, row > 0)) for row in pilot)
        backward *= len(codes) / max(len(pilot), 1)
        return "heisenberg" if backward <= WORTH * forward else "schroedinger"

    def _seconds(self, prog: Program, kept: NDArray[np.bool_]) -> float:
        """Return the time of the kept moves with full bonds, both runs together."""
        met, _ = bonds(prog, kept, self.max_bond)
        if not met:
            return OVERHEAD
        left, right = 4.0 * np.array(met).T
        rank = self.max_bond + 8.0
        small = np.minimum(left, right) <= rank
        ranged = left * right * (8 * rank + 32) + (left + right) * rank * (0.5 * rank + 8 * rank)
        decomposed = 20 * np.minimum(left, right) ** 2 * np.maximum(left, right)
        seconds = np.where(small, decomposed / FLOPS_SVD, ranged / FLOPS)
        return float(2 * OVERHEAD * len(met) + 1.15 * seconds.sum())

    def _refusal(self, structure: Structure, *, sampled: bool) -> str:
        try:
            if sampled:
                recorded(structure)
            else:
                program(structure)
        except UnsupportedError as refused:
            return str(refused)
        return ""


def _stated(apart: Any, dropped: Any, more: Any, rates: tuple[float, float]) -> Any:
    """Return an estimate of the error of the finer run.

    The factors were fitted to 300 noisy random circuits on 10 to 12 qubits (chains, heavy-hex
    patches, grids; four kinds of gates, noise over a factor of 30), bonds of 4 to 32. Where the cut
    weight approaches 1, both runs may have lost the same correlations and agree on a wrong value:
    there, the error of 95 % of all circuits for their cut weight is added.

    Args:
        apart: How far both runs are apart.
        dropped: Sum of the squared relative norms that the finer run cut.
        more: The same of the coarser run.
        rates: Error for the root of what was cut: beside the difference, and by itself.
    """
    root = np.sqrt(dropped)
    finer = root / np.sqrt(np.maximum(more, 1e-300))
    spread = SAFETY * (apart * np.minimum(1.0, STEEPEST * finer) + rates[0] * root)
    return spread + rates[1] * root * np.minimum(1.0, dropped)


def _union(codes: Codes) -> NDArray[np.bool_]:
    """Return where any string acts."""
    return np.asarray((codes > 0).any(axis=0), np.bool_)


def _details(
    picture: str, prog: Program, trains: list[Train], dropped: float
) -> dict[str, float | int | str]:
    return {
        "mpo picture": picture,
        "mpo bond": max((t.widest for t in trains), default=1),
        "mpo swaps": prog.swaps,
        "mpo dropped": dropped,
    }
