"""Which Pauli errors a Clifford experiment feels: one row of numbers for each measured Pauli.

A measured Pauli is carried back through the layers of its circuit. After each layer it meets the
layer's noise, which damps it by exp(-2 l_k) for every term P_k that anticommutes with it:

    ln <P> = ln A_P - 2 gain sum_k M_k l_k

M_k counts the meetings, and A_P holds what preparation and measurement take away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import stim
from numpy.typing import NDArray
from scipy import sparse

from qdt_emu.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Bits: TypeAlias = NDArray[np.uint8]
Sparse: TypeAlias = Any  # scipy.sparse.csr_array
KEPT = 16  # products of Paulis and terms that are kept at a time
Term: TypeAlias = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Paulis measured at the end of one Clifford circuit, averaged over Pauli twirls.

    Attributes:
        sequence: Layers in time order, by number.
        paulis: Codes 0..3 (I, X, Y, Z) of the measured Paulis, shape (k, n).
        values: Expectation values divided by the ideal ones (+-1), shape (k,).
        errors: Their standard errors, shape (k,).
        gain: Factor by which the noise of every layer was amplified.
    """

    sequence: tuple[int, ...]
    paulis: Bits
    values: Floats
    errors: Floats
    gain: float = 1.0


@dataclass(frozen=True, eq=False)
class Design:
    """The measured values and how they depend on the rates.

    Attributes:
        support: Terms of the noise after each layer, the same for all layers.
        layers: Number of layers with noise of their own.
        meetings: 2 gain M, shape (m, layers * terms), sparse; layer by layer.
        spam: 1 where a value belongs to a pair of prepared and measured Paulis, shape (m, pairs).
        spam_paulis: Codes of the measured Pauli of each pair, shape (pairs, n).
        values: Shape (m,).
        errors: Shape (m,).
    """

    support: tuple[Term, ...]
    layers: int
    meetings: Sparse
    spam: Sparse
    spam_paulis: Bits
    values: Floats
    errors: Floats

    def select(self, rows: NDArray[Any]) -> "Design":
        """Return the design of some of the values, by index or mask; all Paulis keep their place.

        Examples:
            >>> import stim
            >>> one = Experiment((0,), np.array([[3], [1]], np.uint8), np.ones(2), np.ones(2))
            >>> design([stim.Circuit("I 0")], [("X", (0,))], [one]).select([0]).values.shape
            (1,)
        """
        return replace(
            self,
            meetings=self.meetings[rows],
            spam=self.spam[rows],
            values=self.values[rows],
            errors=self.errors[rows],
        )

    def exponents(self, rates: Floats, spam: Floats) -> Floats:
        """Return ln <P>, shape (m,), for rates (layers, terms) and ln A (pairs,)."""
        found: Floats = self.spam @ spam - self.meetings @ rates.ravel()
        return found


def design(
    layers: Sequence[stim.Circuit], support: Sequence[Term], experiments: Sequence[Experiment]
) -> Design:
    """Return how measured Paulis depend on the noise rates of each layer.

    Args:
        layers: Clifford layers in Stim's language; the noise of a layer acts after it.
        support: Terms that the noise of every layer may have, e.g. `sparse_support(n, edges)`.
        experiments: What was measured.

    Raises:
        InputError: Shapes that do not agree, unknown layers, errors that are not positive.

    Cost:
        For 127 qubits, 1677 terms and as many Paulis 0.1 s for each different layer of a circuit,
        10 ms for one that repeats.
    """
    if not experiments:
        raise InputError("At least one experiment is needed, but there is none.")
    n = experiments[0].paulis.shape[1]
    images = [_backward(layer, n) for layer in layers]
    term_x, term_z = _term_bits(support, n)
    meetings, keys = [], []
    known: dict[bytes, NDArray[np.float32]] = {}  # repeated layers ask the same again
    for number, experiment in enumerate(experiments):
        _check(experiment, number, n, len(layers))
        x, z = _bits(experiment.paulis)
        counts: dict[int, NDArray[np.float32]] = {}
        last = np.hstack([x, z])
        for layer in reversed(experiment.sequence):
            both = np.hstack([x, z])
            if (name := both.tobytes()) not in known:
                if len(known) == KEPT:
                    known.clear()
                known[name] = (x @ term_z + z @ term_x) % 2
            counts[layer] = counts[layer] + known[name] if layer in counts else known[name]
            moved = both @ images[layer] % 2
            x, z = moved[:, :n], moved[:, n:]
        keys.append(np.hstack([last, x, z]).astype(bool))
        blank = sparse.csr_array((len(x), len(support)))
        rows = [sparse.csr_array(counts[k]) if k in counts else blank for k in range(len(layers))]
        meetings.append(2.0 * experiment.gain * sparse.hstack(rows, dtype=float))
    pairs, owner = np.unique(np.packbits(np.concatenate(keys), axis=1), axis=0, return_inverse=True)
    m = owner.size
    spam = sparse.csr_array((np.ones(m), (np.arange(m), owner.ravel())), (m, len(pairs)))
    first = np.unpackbits(pairs, axis=1)[:, : 2 * n]
    return Design(
        tuple(support),
        len(layers),
        sparse.csr_array(sparse.vstack(meetings)),
        spam,
        _codes(first[:, :n], first[:, n:]),
        np.concatenate([np.asarray(e.values, float) for e in experiments]),
        np.concatenate([np.asarray(e.errors, float) for e in experiments]),
    )


def weight_paulis(support: Sequence[Term], n: int) -> Bits:
    """Return the codes of Paulis given as terms, shape (len(support), n).

    Examples:
        >>> weight_paulis([("XZ", (0, 2))], 3).tolist()
        [[1, 0, 3]]
    """
    codes = np.zeros((len(support), n), np.uint8)
    for row, (letters, qubits) in zip(codes, support, strict=True):
        row[list(qubits)] = ["IXYZ".index(letter) for letter in letters]
    return codes


def _check(experiment: Experiment, number: int, n: int, layers: int) -> None:
    k = len(experiment.paulis)
    if experiment.paulis.shape != (k, n) or {len(experiment.values), len(experiment.errors)} != {k}:
        raise InputError(
            f"Experiment {number} must have one value and one error for each of its {k} Paulis on "
            f"{n} qubits, but has {len(experiment.values)} and {len(experiment.errors)}."
        )
    if unknown := [layer for layer in experiment.sequence if not 0 <= layer < layers]:
        raise InputError(
            f"Layers must be 0 to {layers - 1}, but experiment {number} has {unknown[0]}."
        )
    if not np.all(np.asarray(experiment.errors) > 0):
        raise InputError(f"Standard errors must be above 0, but experiment {number} has others.")


def _backward(layer: stim.Circuit, n: int) -> NDArray[np.float32]:
    """Return the symplectic matrix that takes (x, z) after the layer to before it, (2n, 2n)."""
    if layer.num_qubits > n:
        raise InputError(f"A layer must act on at most {n} qubits, but has {layer.num_qubits}.")
    tableau = stim.Tableau(n)
    tableau.append(stim.Tableau.from_circuit(layer), list(range(layer.num_qubits)))
    x2x, x2z, z2x, z2z, *_ = tableau.inverse(unsigned=True).to_numpy()
    return np.block([[x2x, x2z], [z2x, z2z]]).astype(np.float32)


def _term_bits(support: Sequence[Term], n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the X and the Z parts of the terms, each (n, terms)."""
    x, z = _bits(weight_paulis(support, n))
    return np.ascontiguousarray(x.T), np.ascontiguousarray(z.T)


def _bits(codes: Bits) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the X and the Z parts of Paulis; in float32, whose products are the fastest."""
    x, z = (codes == 1) | (codes == 2), codes >= 2
    return x.astype(np.float32), z.astype(np.float32)


def _codes(x: Bits, z: Bits) -> Bits:
    return np.where(x == 1, 1 + z, 3 * z).astype(np.uint8)
