"""The contraction engine: exact expectation values of light cones, as tensor networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.engines.contraction_network import (
    Reduced,
    generic,
    marginal,
    observable,
    reduce,
)
from qdt_emu.engines.contraction_path import Path, contract, search
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.refusals import checked_codes, drawn, draws, refuse_draws
from qdt_emu.errors import InputError, UnsupportedError

Array = Any
Floats = NDArray[np.float64]

FLOPS = 8e9  # per second, products of large tensors in NumPy on one Zen 3 core
STEP = 2e-5  # s for each pair of tensors, however small
PREPARE = 1e-4  # s per operation and string: fusing, binding, counting what contributes
HELD = 1e-9  # an entry that a compiled network holds at zero may not exceed this
MAX_OPEN = 16  # clbits of a distribution


@dataclass(frozen=True)
class Cost:
    """What one observable costs, known before it is computed.

    Attributes:
        width: log2 of the entries of the largest tensor.
        flops: Multiplications and additions.
        bytes: Peak memory.
        slices: Parts that are summed one after the other to fit into memory.
        tensors: Tensors that are left.
        seconds: Time on one core, without the search for the order; within a factor of 1.3 for nine
            in ten circuits from 1e-4 s to 4e-3 s.
    """

    width: float
    flops: float
    bytes: int
    slices: int
    tensors: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Contraction:
    """Exact expectation values by contraction of the light cone, whatever the number of qubits.

    The cost grows with the light cone's width and depth. Clifford gates at the end cost nothing.

    Attributes:
        max_bytes: Peak memory of a contraction; larger ones are cut into slices.
        max_flops: Contractions that need more are refused, with the numbers.
        device: Platform of JAX, 'cpu' or 'gpu', on which each string is compiled once; None runs
            on NumPy without compilation.
    """

    max_bytes: int = 1 << 30
    max_flops: float = 1e13
    device: str | None = None

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "contraction"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:  # noqa: ARG002
        """Return what preparing `paulis` strings costs.

        Error:
            A lower bound: what the contraction costs depends on the strings. `cost` knows it, and
            `estimate` refuses before working.
        """
        seconds = 1e-3 + max(1, paulis) * PREPARE * len(structure.operations)
        clbits = int((measured_qubits(structure) >= 0).sum())
        refusal = ""
        if not paulis and clbits > MAX_OPEN:
            refusal = (
                f"It samples from the distribution of at most {MAX_OPEN} clbits, but {clbits} are "
                f"written. Use engine='statevector', or ask for expectation values."
            )
        if self.max_bytes > memory:
            refusal = (
                f"`max_bytes` must be at most the {memory} bytes that are available, but is "
                f"{self.max_bytes}. Use `Contraction(max_bytes={memory})`."
            )
        return Plan(seconds, self.max_bytes, refusal=refusal)

    def prepare(self, structure: Structure, /) -> Structure:
        """Return the structure: networks follow from the strings."""
        return structure

    def cost(
        self, structure: Structure, values: Values, pauli: NDArray[np.uint8], readout: Floats
    ) -> Cost:
        """Return what the expectation value of one string, shape (n_qubits,), would cost."""
        if not np.any(pauli):
            return Cost(0.0, 0.0, 0, 1, 0)
        network = observable(structure, tuple(int(c) for c in pauli))
        return self.cost_of(reduce(network, network.entries(np, values, readout)))

    def cost_of(self, reduced: Reduced) -> Cost:
        """Return what contracting a network would cost."""
        path = _path(reduced, self.max_bytes)
        count = len(reduced.inputs)
        seconds = count * path.slices * STEP + path.flops / FLOPS
        return Cost(path.width, path.flops, path.bytes, path.slices, count, seconds)

    def sample(self, state: Structure, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return exact draws from the exact distribution of at most 16 clbits."""
        written = [int(c) for c in np.flatnonzero(measured_qubits(state) >= 0)]
        p = np.maximum(self.marginal(state, values, written).ravel(), 0.0)
        rng = np.random.Generator(np.random.Philox(seed))
        index = np.repeat(np.arange(p.size), rng.multinomial(shots, p / p.sum()))
        rng.shuffle(index)
        bits = np.zeros((shots, state.n_clbits), np.uint8)
        for a, c in enumerate(reversed(written)):
            bits[:, c] = index >> a & 1
        return Records(bits)

    def marginal(self, structure: Structure, values: Values, clbits: Sequence[int]) -> Floats:
        """Return the exact distribution of some clbits, one axis of size 2 for each.

        Raises:
            InputError: More than 16 clbits, a clbit twice, or one that is never written.
            UnsupportedError: It costs more than `max_flops` or `max_bytes`.
        """
        wanted = tuple(int(c) for c in clbits)
        written = measured_qubits(structure) >= 0
        fits = 0 < len(wanted) <= MAX_OPEN and len(set(wanted)) == len(wanted)
        if not fits or not all(0 <= c < len(written) and written[c] for c in wanted):
            raise InputError(
                f"`clbits` must be 1 to {MAX_OPEN} different clbits that are measured, but are "
                f"{wanted}."
            )
        refuse_draws(draws(structure), values, "contraction")
        reduced, entries = distribution(structure, values, wanted)
        path = self._accepted([(reduced, _path(reduced, self.max_bytes))])[0][1]
        return np.asarray(_value(reduced, path, entries), np.float64)

    def estimate(
        self,
        state: Structure,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: NDArray[np.float64],
        /,
        *,
        shots: int,  # noqa: ARG002 - the contract
        seed: int,  # noqa: ARG002 - the contract
    ) -> Expectations:
        """Return exact expectation values, one network for each string.

        Error:
            Rounding, and 1e-13 for each entry of a step that counts as zero.

        Raises:
            UnsupportedError: A string costs more than `max_flops` or `max_bytes`, with the
                numbers, before any is computed; or the circuit has no network.
        """
        codes = checked_codes(paulis, state.n_qubits)
        refuse_draws(draws(state), values, "contraction")
        rows = [tuple(row) for row in codes.tolist()]
        networks = {row: observable(state, row) for row in rows if any(row)}
        ready, entries = {}, {}
        for row, network in networks.items():
            entries[row] = network.entries(np, values, readout)
            reduced = reduce(network, entries[row])
            ready[row] = (reduced, _path(reduced, self.max_bytes))
        self._accepted(list(ready.values()))
        found = {(0,) * state.n_qubits: 1.0}
        for row, (reduced, path) in ready.items():
            if self.device is None:
                found[row] = float(_value(reduced, path, entries[row]))
            else:
                compiled = _compiled(state, ((reduced, path),))
                found[row] = float(_call(compiled, self.device, values, readout)[0])
        out = np.array([found[row] for row in rows])
        paths = [path for _, path in ready.values()]
        details: dict[str, float | int | str] = {
            "width": max((p.width for p in paths), default=0.0),
            "flops": sum(p.flops for p in paths),
            "slices": sum(p.slices for p in paths),
        }
        return Expectations(out, np.zeros(len(out)), details=details)

    def _accepted(self, work: list[tuple[Reduced, Path]]) -> list[tuple[Reduced, Path]]:
        """Return the work, or refuse what is too large."""
        flops = sum(path.flops for _, path in work)
        largest = max((path.bytes for _, path in work), default=0)
        if flops > self.max_flops or largest > self.max_bytes:
            width = max(path.width for _, path in work)
            raise UnsupportedError(
                f"A contraction must need at most {self.max_flops:.2g} operations and "
                f"{self.max_bytes} bytes, but this one needs {flops:.2g} operations (about "
                f"{flops / FLOPS:.2g} s on one core) and {largest} bytes with tensors of "
                f"2^{width:.0f} entries. Raise `max_flops`, or use engine='pauli'."
            )
        return work


def distribution(
    structure: Structure, values: Values, clbits: tuple[int, ...]
) -> tuple[Reduced, Any]:
    """Return the network of the distribution of some clbits, and its entries."""
    network = marginal(structure, clbits)
    entries = network.entries(np, values, np.tile([1.0, 0.0], (structure.n_qubits, 1)))
    return reduce(network, entries), entries


def expectation(
    structure: Structure,
    paulis: NDArray[np.uint8],
    *,
    like: tuple[Values, Floats] | None = None,
    max_bytes: int = 1 << 30,
    device: str | None = None,
) -> Callable[[Values, Array], Array]:
    """Return a function (values, readout) -> expectation values, shape (m,), compiled once.

    It may be differentiated and mapped over batches of both arguments; around `jax.grad` and
    `jax.vmap` switch 64-bit JAX on with `jax.enable_x64(True)`.

    Args:
        structure: The circuit.
        paulis: Shape (m, n_qubits), codes 0..3; every string is its own network.
        like: Values and readout map whose zeros all later ones have, for example the same circuit
            at another angle: the network gets much smaller. Entries that are zero there are
            constants: with the angle of a gate at a Clifford point the derivative by that angle is
            lost. None keeps everything.
        max_bytes: Peak memory of a contraction; larger ones are cut into slices.
        device: Platform of JAX; None is its choice.

    Error:
        Rounding. NaN where values break a zero of `like` by more than 1e-9, or hold leakage or a
        random detuning: under `jit` nothing can be refused.
    """
    codes = checked_codes(paulis, structure.n_qubits)
    rows = tuple(tuple(row) for row in codes.tolist())

    @lru_cache(maxsize=8)
    def built(shapes: tuple[tuple[int, ...], ...]) -> Callable[..., Array]:
        if like is None:
            blank = Values(*(np.zeros(s, complex if len(s) == 3 else float) for s in shapes))
            example, gain = generic(blank)
        else:
            example, gain = like
        work = []
        for row in rows:
            network = observable(structure, row)
            reduced = reduce(network, network.entries(np, example, gain)) if any(row) else None
            work.append((reduced, _path(reduced, max_bytes) if reduced else Path(None)))
        return _compiled(structure, tuple(work))

    def value(values: Values, readout: Array) -> Array:
        shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(values))
        return _call(built(shapes), device, values, readout)

    return value


@lru_cache(maxsize=256)
def _compiled(
    structure: Structure, work: tuple[tuple[Reduced | None, Path], ...]
) -> Callable[..., Array]:
    """Return the jitted (values, readout) -> values of these networks."""
    where = draws(structure)

    def value(values: Values, readout: Array) -> Array:
        out = []
        for reduced, path in work:
            if reduced is None:
                out.append(jnp.ones(()))
                continue
            entries = reduced.network.entries(jnp, values, readout)
            broken = jnp.any(jnp.where(reduced.possible, 0.0, jnp.abs(entries)) > HELD)
            out.append(jnp.where(broken, jnp.nan, _value(reduced, path, entries)))
        return jnp.where(drawn(where, values, jnp), jnp.nan, jnp.stack(out))

    return jax.jit(value)


def _call(compiled: Callable[..., Array], device: str | None, *args: Array) -> Array:
    where = jax.devices(device)[0] if device else None
    with jax.enable_x64(True), jax.default_device(where):
        cast = [
            jax.tree.map(
                lambda a: jnp.asarray(a, jnp.complex128 if jnp.iscomplexobj(a) else jnp.float64), x
            )
            for x in args
        ]
        return compiled(*cast)


def _path(reduced: Reduced, max_bytes: int) -> Path:
    if reduced.zero:
        return Path(None)
    return search(reduced.inputs, reduced.network.open, reduced.sizes, max_bytes)


def _value(reduced: Reduced, path: Path, entries: Array) -> Array:
    """Return the contraction of a network from the entries of its tensors."""
    if reduced.zero:
        return 0.0 * entries[0]
    return entries[reduced.factors].prod() * contract(path, reduced.tensors(entries))
