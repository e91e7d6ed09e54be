"""Which noise costs how much: a figure of merit split exactly over the noise operations."""

from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import NoisyCircuit, Structure, Values
from qdt_emu.engines.density import quadrature
from qdt_emu.engines.density_adjoint import pull_back
from qdt_emu.engines.density_bind import Amounts, bind
from qdt_emu.engines.density_run import Kept, Program, merged, program, run
from qdt_emu.engines.density_slopes import amount_slopes
from qdt_emu.errors import InputError, QdtError

Floats = NDArray[np.float64]

COMPLETE = 1e-9  # contributions must sum to the whole difference this well
MAX_ORDER = 80


@dataclass(frozen=True, eq=False)
class PauliValue:
    """Expectation value of one measured Pauli string in the final state.

    Attributes:
        codes: 0..3 for I, X, Y, Z of each qubit, shape (n_qubits,).
        readout: Measured operator readout[q, 0] * P + readout[q, 1] * I, shape (n_qubits, 2);
            `None` is ideal readout.
    """

    codes: NDArray[np.uint8]
    readout: Floats | None = None


@dataclass(frozen=True)
class Probability:
    """Probability that the record is one of some bit strings, misreading included.

    Attributes:
        strings: Each of n_clbits characters, highest clbit leftmost.
    """

    strings: tuple[str, ...]


@dataclass(frozen=True)
class StateFidelity:
    """Overlap Tr(rho_ideal rho) of the final state with the one of the circuit without noise.

    This is the fidelity when the ideal state is pure: leave final measurements out, because they
    dephase it.
    """


Figure = PauliValue | Probability | StateFidelity


@dataclass(frozen=True, eq=False)
class Attribution:
    """A figure of merit without and with noise, and what each noise contributes.

    The contributions are integrals over the strength s of all noise together, so they sum to
    `noisy - ideal` exactly, interaction between noises included.

    Attributes:
        ideal: Figure at s = 0.
        noisy: Figure at s = 1.
        operations: Contribution of each operation, shape (operations,); 0 for ideal ones. That of
            a measurement is its misreading, that of a reset its excitation.
        preparation: Contribution of each qubit's initial excitation, shape (n_qubits,).
        pairs: Contribution of each correlated misreading, shape (pairs,).
        readout: Contribution of each qubit's `PauliValue.readout`, shape (n_qubits,).
        order: Quadrature nodes that were needed.
    """

    ideal: float
    noisy: float
    operations: Floats
    preparation: Floats
    pairs: Floats
    readout: Floats
    order: int

    def by_mechanism(self, structure: Structure) -> dict[str, float]:
        """Return the contributions summed by mechanism; measurements count as 'readout'."""
        out = {"preparation": float(self.preparation.sum())}
        out["readout"] = float(self.pairs.sum() + self.readout.sum())
        for op, part in zip(structure.operations, self.operations, strict=True):
            kind = {"MEASURE": "readout", "RESET": "reset"}.get(op.kind.name, op.mechanism)
            if part:
                out[kind] = out.get(kind, 0.0) + float(part)
        return out


def uniform(structure: Structure, share: float) -> Amounts:
    """Return amounts where all noise acts with the same share."""
    n = structure.n_qubits
    sizes = (len(structure.operations), n, len(structure.paired_readout), n)
    return Amounts(*(np.full(size, float(share)) for size in sizes))


def sensitivities(
    structure: Structure,
    values: Values,
    figure: Figure,
    *,
    amounts: Amounts | None = None,
    threads: int = 2,
) -> tuple[float, Amounts]:
    """Return a figure and its derivative with respect to the amount of each noise.

    A noise operation N acts as I + s_k (N - I); misreading, preparation and resets likewise.
    One forward and one backward (Heisenberg) sweep give all derivatives at once.

    Args:
        structure: The circuit.
        values: Its numbers.
        figure: A linear functional of the final state or record.
        amounts: Where to differentiate; `None` is s_k = 1 for all k.
        threads: Threads of the kernels.

    Raises:
        InputError: The figure does not fit the circuit.
        UnsupportedError: As `Density`.
    """
    amounts = uniform(structure, 1.0) if amounts is None else amounts
    prog, readout, weights = _functional(structure, values, figure, threads)
    total, slope = 0.0, uniform(structure, 0.0)
    for weight, offsets in quadrature(structure, values):
        bound = bind(np, prog.recipe, values, readout=readout, offsets=offsets, amounts=amounts)
        value, slopes = pull_back(prog, bound, weights, threads)
        context = (prog.recipe, values, readout, offsets, amounts)
        total += weight * value
        slope = _plus(slope, weight, amount_slopes(*context, slopes))
    return total, slope


def _plus(total: Amounts, weight: float, part: Amounts) -> Amounts:
    summed: Amounts = jax.tree.map(lambda a, b: a + weight * b, total, part)
    return summed


def attribute(circuit: NoisyCircuit, figure: Figure, *, order: int = 5) -> Attribution:
    r"""Return what each noise contributes to the change of a figure, by integrating over strength.

    $$ f(1) - f(0) = \sum_k \int_0^1 \partial f / \partial s_k (s, ..., s) ds $$

    Args:
        circuit: The noisy circuit.
        figure: What to explain.
        order: Gauss-Legendre nodes to begin with; doubled until the sum is complete.

    Error:
        The sum of the contributions misses `noisy - ideal` by less than 1e-9.

    Source:
        Integrated gradients: Sundararajan, Taly and Yan, arXiv:1703.01365, section 3.
    """
    s, v = circuit.structure, circuit.values
    ideal, noisy = _value(s, v, figure, 0.0), _value(s, v, figure, 1.0)
    while order <= MAX_ORDER:
        nodes, weights = np.polynomial.legendre.leggauss(order)
        total = uniform(s, 0.0)
        for x, w in zip((nodes + 1) / 2, weights / 2, strict=True):
            _, slope = sensitivities(s, v, figure, amounts=uniform(s, x))
            total = _plus(total, w, slope)
        if abs(sum(a.sum() for a in jax.tree.leaves(total)) - (noisy - ideal)) < COMPLETE:
            parts = (total.operations, total.preparation, total.pairs, total.readout)
            return Attribution(ideal, noisy, *parts, order)
        order *= 2
    raise QdtError(
        f"Contributions must sum to noisy - ideal = {noisy - ideal:.3e}, but {MAX_ORDER} nodes are "
        f"not enough. Split the circuit."
    )


def _value(structure: Structure, values: Values, figure: Figure, share: float) -> float:
    """Return the figure when all noise acts with the same share."""
    prog, readout, weights = _functional(structure, values, figure, 2)
    amounts, total = uniform(structure, share), 0.0
    for weight, offsets in quadrature(structure, values):
        bound = bind(np, prog.recipe, values, readout=readout, offsets=offsets, amounts=amounts)
        arrays = run(prog, bound, 2)
        total += weight * float(weights @ merged([arrays[k] for k in prog.arrays]))
    return total


def _functional(
    structure: Structure, values: Values, figure: Figure, threads: int
) -> tuple[Program, Floats | None, Floats]:
    """Return program, readout map and weights of the final arrays' outer product."""
    n = structure.n_qubits
    match figure:
        case PauliValue(codes, readout):
            if len(codes) != n:
                raise InputError(f"`codes` must have {n} entries, but it has {len(codes)}.")
            return program(structure, tuple((int(c),) for c in codes)), readout, np.ones(1)
        case Probability(strings):
            prog = program(structure)
            return prog, None, _string_weights(structure, prog, strings)
        case StateFidelity():
            kept: Kept = ((0, 1, 2, 3),) * n
            prog = program(structure, kept)
            bound = bind(np, prog.recipe, values, amounts=uniform(structure, 0.0))
            arrays = run(prog, bound, threads)
            return prog, None, merged([arrays[k] for k in prog.arrays]) / 2**n


def _string_weights(structure: Structure, prog: Program, strings: tuple[str, ...]) -> Floats:
    """Return 1 at the records in `strings`, 0 elsewhere, over the merged final arrays."""
    wires = [axis for k in prog.arrays for axis in prog.arrays[k]]
    written = [prog.fused.final.index(w) for w, _ in wires]
    weights = np.zeros(2 ** len(wires))
    for string in set(strings):
        if len(string) != structure.n_clbits or set(string) - {"0", "1"}:
            raise InputError(
                f"`strings` must hold bit strings of {structure.n_clbits} characters, but "
                f"{string!r} is not one."
            )
        bits = [int(b) for b in string[::-1]]
        if not any(b for c, b in enumerate(bits) if c not in written):
            weights[sum(bits[c] << (len(written) - 1 - a) for a, c in enumerate(written))] = 1.0
    return weights
