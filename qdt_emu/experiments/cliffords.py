"""The Clifford groups of one and two qubits, as signed permutations of Paulis, in native gates.

A Clifford takes each Pauli to a Pauli with a sign: entry k of `images` is +-(1 + index), with index
0 for the identity. One-qubit Cliffords are numbered as `pulses.quarter_turns`. A two-qubit Clifford
is written in layers of them with the device's own gate between, 0 to 3 times, which is its class. A
class is one double coset of the local group, so that random local Cliffords on both sides of its
representative draw from it uniformly.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit.library import get_standard_gate_name_mapping

from qdt_emu.experiments.pulses import Pen, entangler, one_qubit_unitaries
from qdt_emu.noise.channels import unitary_ptm

Ints = NDArray[np.int64]
LOCAL = 24
SHARES = np.array([1, 9, 9, 1]) / 20  # of the classes with 0 to 3 entangling gates


def images_of(unitary: NDArray[np.complex128]) -> Ints:
    """Return the images of the Paulis under a Clifford unitary, shape (4^k,)."""
    ptm = np.rint(unitary_ptm(unitary)).astype(np.int64)
    index = np.abs(ptm).argmax(0)
    return np.asarray((index + 1) * ptm[index, np.arange(len(ptm))])


def after(second: Ints, first: Ints) -> Ints:
    """Return the images under `first`, then `second`."""
    return np.asarray(np.sign(first) * second[np.abs(first) - 1])


def inverse(images: Ints) -> Ints:
    """Return the images under the inverse."""
    out = np.zeros_like(images)
    out[np.abs(images) - 1] = np.sign(images) * np.arange(1, len(images) + 1)
    return out


def both(first: Ints, second: Ints) -> Ints:
    """Return the images of two one-qubit Cliffords side by side, shape (16,)."""
    index = 4 * (np.abs(first)[:, None] - 1) + np.abs(second)[None, :] - 1
    return np.asarray(((index + 1) * np.sign(first)[:, None] * np.sign(second)).reshape(-1))


@cache
def one() -> Ints:
    """Return the images of the 24 one-qubit Cliffords, shape (24, 4)."""
    return np.array([images_of(u) for u in one_qubit_unitaries()])


@cache
def which() -> dict[bytes, int]:
    """Return the number of a one-qubit Clifford by its images."""
    return {images.tobytes(): k for k, images in enumerate(one())}


def number(images: Ints) -> int:
    """Return which one-qubit Clifford has these images."""
    return which()[np.ascontiguousarray(images, np.int64).tobytes()]


@dataclass(frozen=True)
class Word:
    """A two-qubit Clifford in gates: local layers with an entangling gate between each two.

    Attributes:
        layers: Number of the Clifford on the first and the second qubit, from first to last.
    """

    layers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class TwoQubit:
    """The two-qubit Clifford group over a given entangling gate.

    Attributes:
        gate: Images under the entangling gate, shape (16,).
        middles: Local layers inside the representative of each class.
        table: First and last layer of a word for each Clifford, with its class, by its images.
    """

    gate: Ints
    middles: tuple[tuple[tuple[int, int], ...], ...]
    table: dict[bytes, tuple[int, int, int]]

    def draw(self, rng: np.random.Generator) -> Word:
        """Return a Clifford drawn uniformly from all 11520."""
        kind = int(rng.choice(4, p=SHARES))
        a, b, c, d = rng.integers(LOCAL, size=4).tolist()
        return self._word(kind, (a, b), (c, d))

    def word(self, images: Ints) -> Word:
        """Return the Clifford with these images."""
        kind, first, last = self.table[np.ascontiguousarray(images, np.int64).tobytes()]
        return self._word(kind, divmod(first, LOCAL), divmod(last, LOCAL))

    def _word(self, kind: int, first: tuple[int, int], last: tuple[int, int]) -> Word:
        return Word((last,)) if kind == 0 else Word((first, *self.middles[kind], last))

    def images(self, word: Word) -> Ints:
        """Return the images of the Paulis under a word, shape (16,)."""
        out = local(word.layers[0])
        for layer in word.layers[1:]:
            out = after(local(layer), after(self.gate, out))
        return out


def local(layer: tuple[int, int]) -> Ints:
    """Return the images under a pair of one-qubit Cliffords, shape (16,)."""
    return both(one()[layer[0]], one()[layer[1]])


@cache
def two_qubit(name: str) -> TwoQubit:
    """Return the group over the gate `name` ('cz', 'ecr' or 'cx'), first qubit first.

    Cost:
        0.2 s at the first call.
    """
    matrix = np.asarray(get_standard_gate_name_mapping()[name].to_matrix())
    # Qiskit's first qubit is the least significant index; ours is the most significant.
    gate = images_of(matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4))
    locals_ = [local(divmod(k, LOCAL)) for k in range(LOCAL**2)]
    table: dict[bytes, tuple[int, int, int]] = {}
    middles: list[tuple[tuple[int, int], ...]] = []
    for kind in range(4):
        inside = _representative(gate, locals_, table, middles)
        middles.append(inside)
        _enter(gate, inside, locals_, table, kind)
    return TwoQubit(gate, tuple(middles), table)


def _representative(
    gate: Ints,
    locals_: list[Ints],
    table: dict[bytes, tuple[int, int, int]],
    middles: list[tuple[tuple[int, int], ...]],
) -> tuple[tuple[int, int], ...]:
    """Return the local layers of the last class with one more that leads to a new one."""
    kind = len(middles)
    if kind < 2:
        return ()
    before = [local(pair) for pair in middles[-1]]
    for k, layer in enumerate(locals_):
        if _core(gate, [*before, layer], kind).tobytes() not in table:
            return (*middles[-1], divmod(k, LOCAL))
    raise AssertionError  # every entangling Clifford gate reaches all four classes


def _core(gate: Ints, inside: list[Ints], kind: int) -> Ints:
    out = np.arange(1, 17)
    for k in range(kind):
        out = after(gate, out)
        if k < len(inside):
            out = after(inside[k], out)
    return out


def _enter(
    gate: Ints,
    inside: tuple[tuple[int, int], ...],
    locals_: list[Ints],
    table: dict[bytes, tuple[int, int, int]],
    kind: int,
) -> None:
    """Add the class: last layers on the representative, for first layers that give new ones."""
    core = _core(gate, [local(layer) for layer in inside], kind)
    lasts = np.array(locals_)
    for first, layer in enumerate(locals_ if kind else locals_[:1]):
        images = after(core, layer) if kind else np.arange(1, 17)
        if kind and images.tobytes() in table:
            continue
        found = np.sign(images) * lasts[:, np.abs(images) - 1]
        for last, row in enumerate(found):
            table.setdefault(row.tobytes(), (kind, first, last))


def write_word(pen: Pen, pair: tuple[int, int], word: Word) -> None:
    """Write a two-qubit Clifford; `pair` is in the order of the device's own gate."""
    for k, layer in enumerate(word.layers):
        if k:
            pen.entangle(pair)
        for q, index in zip(pair, layer, strict=True):
            pen.clifford(q, index)


def group_on(pen: Pen, pair: tuple[int, int]) -> tuple[TwoQubit, tuple[int, int]]:
    """Return the group over a pair's own gate, and the pair in that gate's order."""
    name, qubits = entangler(pen.device, pair)
    return two_qubit(name), qubits
