"""The exact engine: the density operator as a real vector of Pauli components."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines.density_bind import bind
from qdt_emu.engines.density_jax import expectation, probabilities_jax
from qdt_emu.engines.density_leak import leaks, leaky_probabilities
from qdt_emu.engines.density_order import Axes
from qdt_emu.engines.density_run import Kept, Program, merged, program, run
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.refusals import checked_codes
from qdt_emu.errors import UnsupportedError

Floats = NDArray[np.float64]

MAX_CLBITS = 26  # a dense probability vector of 2^26 numbers is half a gigabyte
MAX_DETUNED = 2  # qubits whose random detuning is integrated exactly
FLOPS = 1e10  # per second and thread, measured on an AVX2 core with 12 qubits
STEP = 3e-5  # s, the fixed cost of a step


@dataclass(frozen=True)
class Prepared:
    """A structure with its program for the records."""

    structure: Structure
    records: Program


def probabilities(state: Prepared, values: Values, *, threads: int = 2) -> Floats:
    """Return the exact distribution of the records, shape (2**n_clbits,); bit c is clbit c.

    Error:
        Rounding, about 1e-15; entries that rounding made negative are set to 0.

    Raises:
        UnsupportedError: More than 26 clbits; `sample` has no such limit. With leakage, see
            `leaky_probabilities`.
    """
    if leaks(state.structure, values):
        return leaky_probabilities(state.structure, values)
    n = state.structure.n_clbits
    if n > MAX_CLBITS:
        raise UnsupportedError(
            f"A dense distribution must have at most {MAX_CLBITS} clbits, but there are {n}. "
            f"Use `sample`."
        )
    out = np.ones((1,) * n)
    shape = (2,) * n
    for axes, array in final_records(state, values, threads):
        bits = [state.records.fused.final.index(w) for w, _ in axes]
        order = sorted(range(len(bits)), key=lambda a: -bits[a])
        view = array.reshape((2,) * len(bits)).transpose(order)
        out = out * view.reshape([2 if n - 1 - a in bits else 1 for a in range(n)])
    dense = np.zeros(shape)
    dense[tuple(slice(0, d) for d in out.shape)] = out
    return np.maximum(dense.ravel(), 0.0)


def final_records(state: Prepared, values: Values, threads: int) -> list[tuple[Axes, Floats]]:
    """Return the independent parts of the record distribution, with their wires."""
    prog = state.records
    draws = quadrature(state.structure, values)
    if draws == [(1.0, None)]:
        arrays = run(prog, bind(np, prog.recipe, values), threads)
        return [(prog.arrays[k], arrays[k]) for k in prog.arrays]
    # One shot's detuning acts on all parts, so only their product may be averaged.
    total = np.zeros(1)
    for weight, offsets in draws:
        arrays = run(prog, bind(np, prog.recipe, values, offsets=offsets), threads)
        total = total + weight * merged([arrays[k] for k in prog.arrays])
    return [(tuple(axis for k in prog.arrays for axis in prog.arrays[k]), total)]


def quadrature(structure: Structure, values: Values) -> list[tuple[float, Floats | None]]:
    """Return (weight, detuning of each qubit in Hz) over the shot's random detuning.

    Gauss-Hermite nodes for the Gaussian part and both signs of the charge parity.

    Error:
        Below 1e-12: the number of nodes follows the largest phase 2 pi sigma t.

    Raises:
        UnsupportedError: Leakage, more than two detuned qubits, or a phase above 6 rad.
    """
    if leaks(structure, values):
        raise UnsupportedError(
            "`leakage` must be 0 in the engine 'density', which has no third level, but a rate "
            "is not. Use engine='statevector'."
        )
    dwell: dict[int, float] = {}
    for op in structure.operations:
        if op.kind is Kind.DWELL and np.any(values.detuning[op.qubits[0]]):
            q = op.qubits[0]
            dwell[q] = dwell.get(q, 0.0) + abs(float(values.dwell[op.slot]))
    dwell = {q: t for q, t in dwell.items() if t > 0}
    if not dwell:
        return [(1.0, None)]
    if len(dwell) > MAX_DETUNED:
        raise UnsupportedError(
            f"`detuning` must be 0 on all but {MAX_DETUNED} qubits in the engine 'density', but "
            f"{len(dwell)} qubits drift from shot to shot. Use engine='statevector'."
        )
    per_qubit = []
    for q, time in dwell.items():
        sigma, splitting = (float(x) for x in values.detuning[q])
        nodes, weights = _hermite(2 * np.pi * sigma * time, q)
        per_qubit.append(
            [
                (0.5 * w, sigma * x + sign * splitting / 2)
                for x, w in zip(nodes, weights, strict=True)
                for sign in (1, -1)
            ]
        )
    out: list[tuple[float, Floats | None]] = []
    for draws in product(*per_qubit):
        offsets = np.zeros(structure.n_qubits)
        offsets[list(dwell)] = [f for _, f in draws]
        out.append((float(np.prod([w for w, _ in draws])), offsets))
    return out


def _hermite(phase: float, qubit: int) -> tuple[Floats, Floats]:
    """Return nodes and weights of N(0, 1) good for E exp(i k phase x), k <= 1, to 1e-12."""
    if phase > 6:
        raise UnsupportedError(
            f"`detuning` must turn a qubit by less than 6 rad (sigma * total dwell) in the engine "
            f"'density', but qubit {qubit} turns by {phase:.1f} rad. Use engine='statevector'."
        )
    count = 1 if phase == 0 else int(14 + 8 * phase)
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


@dataclass(frozen=True)
class Density:
    """Exact simulation of the density operator, up to about 13 qubits at once.

    Attributes:
        precision: "double"; the JAX backend also takes "single".
        threads: Threads of the kernels; `None` is 2.
        backend: "numba", or "jax" for accelerators (see `density_jax`).
        device: JAX device of the "jax" backend.
    """

    precision: Literal["double", "single"] = "double"
    threads: int | None = None
    backend: Literal["numba", "jax"] = "numba"
    device: str | None = None

    def __post_init__(self) -> None:
        if self.backend == "numba" and (self.precision != "double" or self.device is not None):
            raise UnsupportedError(
                f"backend='numba' must keep precision='double' and device=None, but they are "
                f"{self.precision!r} and {self.device!r}. Use backend='jax'."
            )

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "density"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return cost and refusal, from the sizes of the real steps.

        `paulis` > 0 asks for expectation values and keeps every component of the final state.
        """
        kept: Kept = ((0, 1, 2, 3),) * structure.n_qubits if paulis else None
        prog = program(structure, kept)
        seconds = 1e-3 + STEP * len(prog.moves) + 3e-8 * shots
        seconds += prog.flops / (FLOPS * min(self.threads or 2, 2))
        if prog.bytes > memory:
            return Plan(
                seconds,
                prog.bytes,
                refusal=f"It needs {prog.bytes} bytes for the density operator of up to "
                f"{structure.n_qubits} qubits, but {memory} bytes are available. "
                f"Use engine='statevector' or give more memory.",
            )
        return Plan(seconds, prog.bytes)

    def prepare(self, structure: Structure, /) -> Prepared:
        """Return the structure with its program: fusion, order and layout."""
        return Prepared(structure, program(structure))

    def sample(self, state: Prepared, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return exact draws from the exact distribution of the records."""
        bits = np.zeros((shots, state.structure.n_clbits), np.uint8)
        rng = np.random.Generator(np.random.Philox(seed))
        for axes, array in self._records(state, values):
            p = np.maximum(array, 0.0)
            index = np.repeat(np.arange(p.size), rng.multinomial(shots, p / p.sum()))
            rng.shuffle(index)
            for a, (wire, _) in enumerate(axes):
                clbit = state.records.fused.final.index(wire)
                bits[:, clbit] = index >> (len(axes) - 1 - a) & 1
        return Records(bits)

    def _records(self, state: Prepared, values: Values) -> list[tuple[Axes, Floats]]:
        if self.backend == "numba":
            return final_records(state, values, self.threads or 2)
        self._refuse_draws(state, values)
        final = state.records.fused.final
        compiled = probabilities_jax(state.structure, precision=self.precision, device=self.device)
        dense = np.asarray(compiled(values), np.float64).reshape((2,) * len(final))
        unwritten = tuple(0 if w < 0 else slice(None) for w in final[::-1])
        return [(tuple((w, 2) for w in final[::-1] if w >= 0), dense[unwritten].ravel())]

    def _refuse_draws(self, state: Prepared, values: Values) -> None:
        if quadrature(state.structure, values) != [(1.0, None)]:
            raise UnsupportedError(
                "`detuning` must be 0 with backend='jax', but a qubit drifts from shot to shot. "
                "Use backend='numba' or engine='statevector'."
            )

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
        """Return exact expectation values; one run serves all strings."""
        n = state.structure.n_qubits
        checked_codes(paulis, n)
        if self.backend == "jax":
            self._refuse_draws(state, values)
            f = expectation(state.structure, precision=self.precision, device=self.device)
            found = np.asarray(f(values, paulis, readout), np.float64)
            return Expectations(found, np.zeros(len(paulis)))
        kept = tuple(tuple(sorted({int(c) for c in paulis[:, q]})) for q in range(n))
        prog = program(state.structure, kept)
        total = np.zeros(len(paulis))
        for weight, offsets in quadrature(state.structure, values):
            matrices = bind(np, prog.recipe, values, readout=readout, offsets=offsets)
            arrays = run(prog, matrices, self.threads or 2)
            total += weight * _entries(prog, arrays, kept, paulis)
        return Expectations(total, np.zeros(len(paulis)))


def _entries(
    prog: Program, arrays: dict[int, Floats], kept: Kept, paulis: NDArray[np.uint8]
) -> Floats:
    """Return the component of each string: one entry of each independent array."""
    out = np.ones(len(paulis))
    home = prog.fused.home
    for k, array in arrays.items():
        index = np.zeros(len(paulis), np.int64)
        for wire, dim in prog.arrays[k]:
            q = home[wire]
            index = index * dim + np.searchsorted((kept or ())[q], paulis[:, q])
        out *= array[index]
    return out
