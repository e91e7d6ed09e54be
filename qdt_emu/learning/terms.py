"""What was measured, as functions of the unknowns: residuals in units of shot noise, and slopes.

Counts are compared as square roots (Freeman-Tukey), where shot noise is the same for every
outcome and the error of a model about the same, so that neither rare nor frequent outcomes rule
the fit. Slopes of small circuits are forward differences through the compiled exact engine, or
exact forward-mode derivatives of its JAX form; those of Pauli values on large chips are JAX
gradients of recorded Pauli paths.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.compile import Compiled
from qdt_emu.circuit.noisy import Values
from qdt_emu.device import Parameters
from qdt_emu.engines.density import Density, Prepared, probabilities
from qdt_emu.engines.density_jax import probabilities_jax
from qdt_emu.engines.pauli_surrogate import Surrogate, surrogate
from qdt_emu.errors import InputError
from qdt_emu.learning.model import Model
from qdt_emu.learning.prior import uses
from qdt_emu.result import bitstrings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Slopes = Literal["differences", "jax"]

STEP = 1e-5  # of an unknown, whose prior width is 1: truncation 1e-5, rounding 1e-10
ROUNDING = 1e-6
NUDGES = {  # of the reference of recorded paths, in rad and Hz
    **dict.fromkeys(("over_rotation", "phase", "context"), 0.01),
    **dict.fromkeys(("offset", "stark", "zz"), 2e3),
}
GOLDEN = 0.6180339887498949
MAX_CLBITS = 16


class Term(Protocol):
    """One measurement."""

    @property
    def name(self) -> str:
        """What was measured."""
        ...

    @property
    def circuit(self) -> "Circuit":
        """What ran."""
        ...

    @property
    def shots(self) -> float:
        """Number of shots behind it."""
        ...

    @property
    def id(self) -> str:
        """SHA-256 of circuit and data."""
        ...

    def residuals(self, model: Model, z: Floats) -> Floats:
        """Return (measured - predicted) / shot noise, shape (m,); inf where z is unphysical."""
        ...

    def slopes(self, model: Model, z: Floats, at: Ints) -> tuple[Floats, Floats]:
        """Return the residuals and their derivatives by some unknowns, shape (len(at), m)."""
        ...

    def cells(self, model: Model, z: Floats) -> float:
        """Return the sum of squared residuals that shot noise alone would leave."""
        ...


@dataclass(frozen=True, eq=False)
class Circuit:
    """A circuit ready to be evaluated at many sets of parameters.

    Attributes:
        compiled: On a device with every learned mechanism present.
        angles: Gate angles, shape (a,).
    """

    compiled: Compiled
    angles: Floats

    @cached_property
    def uses(self) -> Mapping[str, set[int]]:
        """Positions of `Parameters` it depends on."""
        return uses(self.compiled.recipe)

    def values(self, parameters: Parameters) -> Values:
        """Return the circuit's numbers."""
        frame = self.compiled.device.zz_frame
        return self.compiled.recipe.values(parameters, self.angles, zz_frame=frame)

    @cached_property
    def prepared(self) -> Prepared:
        """For the exact engine."""
        return Density().prepare(self.compiled.structure)

    def probabilities(self, parameters: Parameters) -> Floats:
        """Return the distribution of the record, shape (2**n_clbits,); bit c is clbit c."""
        return probabilities(self.prepared, self.values(parameters), threads=1)

    def slopes(self, model: Model, z: Floats, at: Ints, how: Slopes) -> tuple[Floats, Floats]:
        """Return the distribution and its derivative by some unknowns, shape (len(at), outcomes).

        Error:
            'differences': relative 1e-5; 'jax': rounding.
        """
        if how == "jax":
            return self._jax_slopes(model, z, at)
        p = self.probabilities(model.parameters(z))
        out = np.empty((len(at), len(p)))
        for row, k in enumerate(at):
            moved = z.copy()
            moved[k] += STEP
            out[row] = (self.probabilities(model.parameters(moved)) - p) / STEP
        return p, out

    def _jax_slopes(self, model: Model, z: Floats, at: Ints) -> tuple[Floats, Floats]:
        with jax.enable_x64(True):
            value, push = self._jax(model)
            tangents = np.zeros((len(at), len(z)))
            tangents[np.arange(len(at)), at] = 1
            x = jnp.asarray(z)
            return np.asarray(value(x)), np.asarray(push(x, jnp.asarray(tangents)))

    def _jax(self, model: Model) -> Any:
        if model not in self._compiled_for:
            run = probabilities_jax(self.compiled.structure)

            def value(z: Any) -> Any:
                return run(self.values(model.parameters(z)))

            def push(z: Any, tangents: Any) -> Any:
                return jax.vmap(lambda t: jax.jvp(value, (z,), (t,))[1])(tangents)

            self._compiled_for[model] = jax.jit(value), jax.jit(push)
        return self._compiled_for[model]

    @cached_property
    def _compiled_for(self) -> dict[Model, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Counts of a circuit with at most 16 classical bits.

    Attributes:
        name: What was measured.
        circuit: What ran.
        counts: Shots of each record, shape (2**n_clbits,).
        how: How derivatives are computed.
    """

    name: str
    circuit: Circuit
    counts: Floats
    how: Slopes = "differences"

    @classmethod
    def of(
        cls,
        compiled: Compiled,
        counts: Mapping[str, int],
        *,
        name: str = "",
        how: Slopes = "differences",
    ) -> "Outcomes":
        """Return the term of a compiled circuit and its counts.

        Raises:
            InputError: More than 16 bits, no shots, or bit strings of another length.
        """
        n = compiled.structure.n_clbits
        if n > MAX_CLBITS:
            raise InputError(
                f"Counts to learn from must have at most {MAX_CLBITS} bits, but {name or 'they'} "
                f"have {n}. Learn from expectation values instead."
            )
        joined = {key.replace(" ", ""): number for key, number in counts.items()}
        if not joined or bitstrings.check_keys(joined) != n:
            raise InputError(
                f"Counts of {name or 'a circuit'} must be bit strings of its {n} classical bits."
            )
        dense = np.zeros(2**n)
        for key, number in joined.items():
            dense[int(key or "0", 2)] += number
        if not dense.sum() > 0:
            raise InputError(f"Counts of {name or 'a circuit'} must hold at least 1 shot.")
        return cls(name, Circuit(compiled, compiled.recipe.bind()), dense, how)

    @property
    def shots(self) -> float:
        """Number of shots."""
        return float(self.counts.sum())

    @cached_property
    def id(self) -> str:
        """SHA-256 of circuit and counts."""
        digest = hashlib.sha256(self.circuit.compiled.structure.id.encode())
        digest.update(self.circuit.angles.tobytes())
        digest.update(self.counts.tobytes())
        return digest.hexdigest()

    def residuals(self, model: Model, z: Floats) -> Floats:
        r"""Return $\sqrt{n} + \sqrt{n + 1} - \sqrt{4 N p + 1}$ of each record.

        Source:
            Freeman and Tukey, Annals of Mathematical Statistics 21, 607 (1950): variance 1 and
            mean 0 within 6 % from one expected shot on.
        """
        p = self.circuit.probabilities(model.parameters(z))
        if not abs(p.sum() - 1) < ROUNDING:  # the engine cut negative entries: no channel
            return np.full(len(p), np.inf)
        return self._residuals(p)

    def _residuals(self, p: Floats) -> Floats:
        n = self.counts
        return np.sqrt(n) + np.sqrt(n + 1) - np.sqrt(4 * self.shots * p + 1)

    def slopes(self, model: Model, z: Floats, at: Ints) -> tuple[Floats, Floats]:
        """Return the residuals and their derivatives."""
        p, by = self.circuit.slopes(model, z, at, self.how)
        return self._residuals(p), -2 * self.shots * by / np.sqrt(4 * self.shots * p + 1)

    def cells(self, model: Model, z: Floats) -> float:
        """Return the sum of min(1, 2 N p), what shot noise leaves to within 10 %."""
        p = self.circuit.probabilities(model.parameters(z))
        return float(np.minimum(1.0, 2 * self.shots * p).sum())


def _nudged(parameters: Parameters) -> Parameters:
    """Return the parameters with every coherent mechanism a little different from zero.

    Recorded paths keep what is zero at the reference zero, but it is to be learned.
    """
    changed = {}
    for name, size in NUDGES.items():
        leaf = getattr(parameters, name)
        if leaf is not None:
            generic = 1 + np.modf(GOLDEN * np.arange(np.size(leaf)))[0]
            changed[name] = leaf + size * generic.reshape(np.shape(leaf))
    return replace(parameters, **changed)


@dataclass(frozen=True, eq=False)
class Expectations:
    """Expectation values of Pauli strings on a circuit of any size.

    Attributes:
        name: What was measured.
        circuit: What ran.
        paths: Recorded Pauli paths, see `engines.pauli_surrogate`.
        measured: Values, shape (m,).
        stderr: Their standard errors, shape (m,).
    """

    name: str
    circuit: Circuit
    paths: Surrogate
    measured: Floats
    stderr: Floats

    @classmethod
    def of(
        cls,
        compiled: Compiled,
        paulis: NDArray[np.uint8],
        measured: Floats,
        stderr: Floats,
        *,
        readout: Floats | None = None,
        threshold: float = 1e-5,
        name: str = "",
    ) -> "Expectations":
        """Return the term of a compiled circuit and measured values.

        Args:
            compiled: The circuit, without final measurements.
            paulis: Codes 0..3 on the active qubits, shape (m, n_active).
            measured: Values, shape (m,).
            stderr: Standard errors, shape (m,).
            readout: Measured operator of each qubit, see `Engine.estimate`; None is ideal.
            threshold: Pauli paths with smaller weight are dropped.
            name: What was measured.
        """
        if not (np.asarray(stderr) > 0).all():
            raise InputError(f"`stderr` of {name or 'expectation values'} must be positive.")
        circuit = Circuit(compiled, compiled.recipe.bind())
        gain = np.tile([1.0, 0.0], (compiled.structure.n_qubits, 1)) if readout is None else readout
        values = circuit.values(_nudged(compiled.device.parameters))
        paths = surrogate(compiled.structure, values, paulis, gain, threshold)
        return cls(name, circuit, paths, np.asarray(measured, float), np.asarray(stderr, float))

    @cached_property
    def id(self) -> str:
        """SHA-256 of circuit and values."""
        digest = hashlib.sha256(self.circuit.compiled.structure.id.encode())
        for array in (self.circuit.angles, self.measured, self.stderr):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def shots(self) -> float:
        """Shots that would scatter as much, on average over the values."""
        return float(np.mean((1 - np.minimum(self.measured**2, 0.99)) / self.stderr**2))

    def residuals(self, model: Model, z: Floats) -> Floats:
        """Return (measured - predicted) / stderr of each value."""
        with jax.enable_x64(True):
            found = np.asarray(self._run(model)[0](jnp.asarray(z)))
        return np.asarray((self.measured - found) / self.stderr)

    def slopes(self, model: Model, z: Floats, at: Ints) -> tuple[Floats, Floats]:
        """Return the residuals and their derivatives, one backward pass per value."""
        with jax.enable_x64(True):
            value, pull_back = self._run(model)
            x = jnp.asarray(z)
            found = np.asarray(value(x))
            rows = [np.asarray(pull_back(x, e))[at] for e in np.eye(len(found))]
        return (self.measured - found) / self.stderr, -np.array(rows).T / self.stderr

    def cells(self, model: Model, z: Floats) -> float:  # noqa: ARG002 - the same for all z
        """Return the number of values."""
        return float(len(self.measured))

    def _run(self, model: Model) -> Any:
        if model not in self._compiled_for:

            def value(z: Any) -> Any:
                return self.paths.values(self.circuit.values(model.parameters(z)))

            def pull_back(z: Any, weights: Any) -> Any:
                return jax.vjp(value, z)[1](weights)[0]

            self._compiled_for[model] = jax.jit(value), jax.jit(pull_back)
        return self._compiled_for[model]

    @cached_property
    def _compiled_for(self) -> dict[Model, Any]:
        return {}
