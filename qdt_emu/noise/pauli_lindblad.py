"""Pauli-Lindblad noise: L(rho) = sum_k l_k (P_k rho P_k - rho), with rates l_k >= 0 per layer.

    f_Q = exp(-2 sum of l_k over the P_k that anticommute with Q)

Rates of successive layers add, a gain multiplies them, and the channel is a product of
independent Paulis with probability (1 - exp(-2 l_k)) / 2 each. Dense rates have shape (..., 4^k);
their first entry (the identity) has no meaning and is ignored. A chip has a sparse model: all
Paulis of weight 1, and those of weight 2 on coupled pairs, 3 n + 9 E rates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeAlias

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.noise.arrays import Array, namespace
from qdt_emu.noise.channels import commutation_signs, pauli_probabilities

Term: TypeAlias = tuple[str, tuple[int, ...], float]
"""A Pauli string, its qubits (letter i acts on qubit i of the tuple) and the rate."""


def lindblad_fidelities(rates: Array) -> Array:
    """The Pauli fidelities of dense rates.

    Args:
        rates: Rates of shape (..., 4^k), the first ignored.

    Returns:
        Fidelities of shape (..., 4^k); the first is 1.

    Error:
        Rounding; exact as a channel, not to first order.

    Source:
        van den Berg et al., arXiv:2201.09866.

    Examples:
        >>> lindblad_fidelities(np.array([0.0, 0.1, 0.0, 0.0])).round(6).tolist()
        [1.0, 1.0, 0.818731, 0.818731]
    """
    xp = namespace(rates)
    return xp.exp(-2 * (rates @ _anticommute(rates.shape[-1])))


def lindblad_probabilities(rates: Array) -> Array:
    """The Pauli probabilities of the channel with these dense rates, shape (..., 4^k)."""
    return pauli_probabilities(lindblad_fidelities(rates))


def depolarizing_lindblad_probabilities(parameter: Array, rates: Array) -> Array:
    """The Pauli probabilities of depolarising noise followed by Pauli-Lindblad noise.

    Args:
        parameter: Depolarising parameter p of rho -> (1 - p) rho + p I/d, shape (...).
        rates: Rates of the 4^k - 1 Paulis but the identity, shape (..., 4^k - 1).

    Returns:
        Array of shape (..., 4^k), identity first.

    Examples:
        >>> depolarizing_lindblad_probabilities(0.4, np.zeros(3)).round(12).tolist()
        [0.7, 0.1, 0.1, 0.1]
    """
    xp = namespace(parameter, rates)
    rates = xp.asarray(rates)
    shrink = 1 - xp.asarray(parameter)[..., None]
    kept = xp.exp(-2 * (rates @ _anticommute(rates.shape[-1] + 1)[1:, 1:])) * shrink
    return pauli_probabilities(xp.concatenate([xp.ones_like(kept[..., :1]), kept], axis=-1))


def lindblad_rates(fidelities: Array) -> Array:
    """The dense rates of given Pauli fidelities: the inverse of `lindblad_fidelities`.

    Args:
        fidelities: Positive Pauli fidelities of shape (..., 4^k), the first 1.

    Returns:
        Rates of shape (..., 4^k), the first 0. Negative rates mean that the channel is not of this
        form, although it may be a channel.
    """
    xp = namespace(fidelities)
    rates = pauli_probabilities(xp.log(fidelities))
    return rates * (np.arange(fidelities.shape[-1]) > 0)


def factor_probability(rate: Array) -> Array:
    """The probability (1 - exp(-2 l)) / 2 of one Pauli of the product, shape (...)."""
    return -namespace(rate).expm1(-2 * rate) / 2


def sampling_overhead(rates: Array) -> Array:
    """The cost exp(2 sum l) of probabilistic error cancellation; variance grows by its square.

    Args:
        rates: Rates without the identity, shape (..., terms).

    Returns:
        Overhead gamma of shape (...).

    Source:
        van den Berg et al., arXiv:2201.09866.
    """
    xp = namespace(rates)
    return xp.exp(2 * xp.sum(xp.asarray(rates), axis=-1))


def sparse_support(
    qubits: int, edges: Iterable[tuple[int, int]]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The 3 n + 9 E Paulis of weight 1, and of weight 2 on these undirected edges.

    Examples:
        >>> len(sparse_support(3, [(0, 1), (1, 2), (1, 0)]))
        27
    """
    pairs = sorted({(min(edge), max(edge)) for edge in edges})
    single = [(letter, (qubit,)) for qubit in range(qubits) for letter in "XYZ"]
    double = [(a + b, pair) for pair in pairs for a, b in product("XYZ", repeat=2)]
    return (*single, *double)


@dataclass(frozen=True)
class PauliLindblad:
    """A sparse Pauli-Lindblad model of one layer of gates.

    Attributes:
        support: Pauli strings and the qubits they act on, letter by letter.
        rates: Rates, shape (..., terms); a NumPy or a JAX array.
        rate_errors: Standard errors of the rates, of the same shape, or None.
    """

    support: tuple[tuple[str, tuple[int, ...]], ...]
    rates: Array
    rate_errors: Array | None = None

    def with_gain(self, gain: float) -> "PauliLindblad":
        """The model with all rates multiplied: amplified noise for extrapolation."""
        errors = None if self.rate_errors is None else self.rate_errors * gain
        return replace(self, rates=self.rates * gain, rate_errors=errors)

    def fidelity(self, pauli: Mapping[int, str]) -> Array:
        """The factor by which the layer damps a Pauli given as {qubit: letter}, shape (...).

        Examples:
            >>> model = PauliLindblad((("X", (0,)),), np.array([0.1]))
            >>> round(float(model.fidelity({0: "Z"})), 6)
            0.818731
        """
        xp = namespace(self.rates)
        hits = np.array([_anticommutes(term, pauli) for term in self.support], dtype=float)
        return xp.exp(-2 * (self.rates @ hits))

    def dense_rates(self, qubits: Sequence[int]) -> Array:
        """Dense rates (..., 4^k) of the channel on some qubits, the others traced out.

        A term that reaches beyond the qubits acts on them as its restriction.
        """
        place = {qubit: 4 ** (len(qubits) - 1 - k) for k, qubit in enumerate(qubits)}
        target = [
            sum("IXYZ".index(p) * place.get(q, 0) for p, q in zip(pauli, on, strict=True))
            for pauli, on in self.support
        ]
        return self.rates @ np.eye(4 ** len(qubits))[target]

    def terms(self) -> list[dict[str, object]]:
        """The exchange form: one {pauli, qubits, rate, rate_std} per term, for JSON.

        `[(t["pauli"], t["qubits"], t["rate"]) for t in terms]` is what Qiskit's
        `PauliLindbladMap.from_sparse_list` reads.

        Examples:
            >>> PauliLindblad((("X", (0,)),), np.array([0.1])).terms()
            [{'pauli': 'X', 'qubits': [0], 'rate': 0.1, 'rate_std': None}]
        """
        rates = np.asarray(self.rates)
        errors = [None] * len(rates) if self.rate_errors is None else np.asarray(self.rate_errors)
        return [
            {
                "pauli": pauli,
                "qubits": list(on),
                "rate": float(rate),
                "rate_std": None if error is None else float(error),
            }
            for (pauli, on), rate, error in zip(self.support, rates, errors, strict=True)
        ]


def read_terms(terms: Iterable[Mapping[str, object] | Term]) -> PauliLindblad:
    """The model of an exchanged list: dicts of `PauliLindblad.terms`, or (pauli, qubits, rate).

    Args:
        terms: The list. Equal Paulis are kept apart; their rates act together.

    Raises:
        InputError: A term is malformed, has a negative rate, or names a qubit twice.

    Examples:
        >>> read_terms([("ZX", (3, 1), 1e-3)]).support
        (('ZX', (3, 1)),)
    """
    support, rates, errors = [], [], []
    for number, term in enumerate(terms):
        if isinstance(term, Mapping):
            pauli, qubits = term.get("pauli"), term.get("qubits")
            rate, error = term.get("rate"), term.get("rate_std")
        else:
            (pauli, qubits, rate), error = term, None
        support.append(_checked_support(number, pauli, qubits))
        if not isinstance(rate, int | float) or not 0 <= rate < np.inf:
            raise InputError(
                f"The rate of a Pauli-Lindblad term must be a finite number >= 0, but it is "
                f"{rate!r} in term {number}. Fit with non-negative least squares, or leave it out."
            )
        rates.append(float(rate))
        errors.append(float(error) if isinstance(error, int | float) else np.nan)
    known = None if np.isnan(errors).all() else np.array(errors)
    return PauliLindblad(tuple(support), np.array(rates), known)


def combined(first: PauliLindblad, second: PauliLindblad) -> PauliLindblad:
    """The model of one layer after the other, where no gate stands between: rates add.

    Standard errors add in squares; they are kept only if both models have them.
    """
    index = {_canonical(term): k for k, term in enumerate(first.support)}
    for term in second.support:
        index.setdefault(_canonical(term), len(index))
    support = tuple((pauli, qubits) for pauli, qubits in index)
    first_place, second_place = (
        np.eye(len(support))[[index[_canonical(term)] for term in model.support]]
        for model in (first, second)
    )
    errors = None
    if first.rate_errors is not None and second.rate_errors is not None:
        squares = first.rate_errors**2 @ first_place + second.rate_errors**2 @ second_place
        errors = squares**0.5
    return PauliLindblad(support, first.rates @ first_place + second.rates @ second_place, errors)


def _canonical(term: tuple[str, tuple[int, ...]]) -> tuple[str, tuple[int, ...]]:
    """The same Pauli with its qubits in order and without identities."""
    pairs = sorted((q, p) for p, q in zip(*term, strict=True) if p != "I")
    return "".join(p for _, p in pairs), tuple(q for q, _ in pairs)


def _checked_support(number: int, pauli: object, qubits: object) -> tuple[str, tuple[int, ...]]:
    letters = isinstance(pauli, str) and pauli != "" and set(pauli) <= set("IXYZ")
    numbers = isinstance(qubits, Sequence) and all(isinstance(q, int) and q >= 0 for q in qubits)
    if isinstance(pauli, str) and isinstance(qubits, Sequence) and letters and numbers:
        on = tuple(int(qubit) for qubit in qubits)
        if len(on) == len(pauli) == len(set(on)):
            return pauli, on
    raise InputError(
        f"A Pauli-Lindblad term must have letters of IXYZ and one distinct qubit for each, but "
        f"term {number} has {pauli!r} on {qubits!r}. Letter i acts on qubit i of the list."
    )


def _anticommute(count: int) -> Array:
    """1 where two Paulis anticommute, shape (4^k, 4^k)."""
    return (1 - commutation_signs((count.bit_length() - 1) // 2)) // 2


def _anticommutes(term: tuple[str, tuple[int, ...]], pauli: Mapping[int, str]) -> int:
    clashes = (p != "I" and pauli.get(q, "I") not in {"I", p} for p, q in zip(*term, strict=True))
    return sum(clashes) % 2
