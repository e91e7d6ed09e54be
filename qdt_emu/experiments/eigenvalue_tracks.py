"""The fate of Pauli strings in layered Clifford circuits: which eigenvalues they meet.

The unknowns are 15 eigenvalues of each two-qubit gate, three of each qubit that waits while a layer
runs, one of the `sx` of each qubit and one of its readout. If `sx` had three, no circuit could tell
them from those of other gates: scaling X and Y against Z everywhere changes no outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.experiments.cliffords import TwoQubit, one, two_qubit
from qdt_emu.experiments.pulses import entangler

LETTERS = "IXYZ"
ANY = "XYZ"  # one eigenvalue for all three
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Parameter:
    """One unknown eigenvalue.

    Attributes:
        gate: 'sx', 'idle' (while a layer runs), 'readout', or the two-qubit gate.
        qubits: Of the device.
        pauli: After the gate, first qubit first.
        layer: Layer of an idle; -1 otherwise.
    """

    gate: str
    qubits: tuple[int, ...]
    pauli: str
    layer: int = -1


@dataclass(frozen=True, eq=False)
class Layout:
    """Qubits, layers of gates (pairs of local indices, in the gate's own order), unknowns."""

    qubits: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]
    layers: tuple[tuple[tuple[int, int], ...], ...]

    @cached_property
    def groups(self) -> tuple[tuple[TwoQubit, ...], ...]:
        """The Clifford group over each gate."""
        return tuple(tuple(two_qubit(name) for name in layer) for layer in self.names)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every unknown."""
        out = []
        for layer, (pairs, names) in enumerate(zip(self.layers, self.names, strict=True)):
            for (a, b), name in zip(pairs, names, strict=True):
                on = self.qubits[a], self.qubits[b]
                codes = list(product(LETTERS, repeat=2))[1:]
                out += [Parameter(name, on, "".join(code)) for code in codes]
            driven = {q for pair in pairs for q in pair}
            for q in sorted(set(range(len(self.qubits))) - driven):
                out += [Parameter("idle", (self.qubits[q],), p, layer) for p in "XYZ"]
        out += [Parameter("sx", (q,), ANY) for q in self.qubits]
        return tuple(out + [Parameter("readout", (q,), "Z") for q in self.qubits])

    @cached_property
    def place(self) -> dict[Parameter, int]:
        """Column of each unknown."""
        return {p: k for k, p in enumerate(self.parameters)}

    def row(self, track: "Track") -> Ints:
        """Return how often a string meets each eigenvalue, shape (parameters,)."""
        out = np.zeros(len(self.parameters), np.int64)
        for met in track.met:
            out[self.place[met]] += 1
        return out


def layout(device: Device, qubits: Sequence[int]) -> Layout:
    """Return the gates between some qubits in layers, by greedy colouring of couplers.

    Raises:
        InputError: No gate between them, a qubit twice, or one that does not exist.
    """
    place = {q: k for k, q in enumerate(qubits)}
    if len(place) < len(qubits) or not all(0 <= q < device.n_qubits for q in place):
        raise InputError(f"`qubits` must be different qubits of '{device.name}': {list(qubits)}.")
    layers: list[list[tuple[int, int]]] = []
    names: list[list[str]] = []
    for a, b in device.couplers:
        if a not in place or b not in place:
            continue
        name, (first, second) = entangler(device, (a, b))
        pair = place[first], place[second]
        free = (k for k, x in enumerate(layers) if not set(pair) & {q for p in x for q in p})
        k = next(free, len(layers))
        if k == len(layers):
            layers.append([])
            names.append([])
        layers[k].append(pair)
        names[k].append(name)
    if not layers:
        raise InputError(f"`qubits` must contain coupled ones, but {list(qubits)} have no gate.")
    return Layout(tuple(qubits), tuple(tuple(x) for x in names), tuple(tuple(x) for x in layers))


@dataclass(frozen=True, eq=False)
class Track:
    """A string on its way.

    Attributes:
        out: Pauli codes at the end, shape (n,).
        sign: +1 or -1.
        met: Eigenvalues on the way, with repetitions.
    """

    out: Ints
    sign: int
    met: tuple[Parameter, ...]


def track(plan: Layout, start: Ints, steps: Ints, layers: Ints, last: Ints | None) -> Track:
    """Return the fate of a product of Z at the start of a circuit.

    Args:
        plan: Qubits and layers.
        start: Pauli codes, shape (n,).
        steps: One-qubit Cliffords before each layer and after the last, shape (depth + 1, n).
        layers: Which layer follows, shape (depth,); -1 is none. Without such, one-qubit Cliffords
            and layers would be equally many, and their eigenvalues not to be told apart.
        last: The Cliffords before the readout; None stops before them.
    """
    codes, sign = start.copy(), 1
    met: list[Parameter] = []
    for k, step in enumerate(steps):
        sign *= _local(plan, codes, step, met)
        if k < len(layers) and layers[k] >= 0:
            sign *= _layer(plan, codes, int(layers[k]), met)
    if last is not None:
        sign *= _local(plan, codes, last, met)
        met += [Parameter("readout", (plan.qubits[q],), "Z") for q in np.flatnonzero(codes)]
    return Track(codes, sign, tuple(met))


def _local(plan: Layout, codes: Ints, step: Ints, met: list[Parameter]) -> int:
    sign = 1
    for q in np.flatnonzero(codes):
        image = int(one()[step[q], codes[q]])
        met += [Parameter("sx", (plan.qubits[q],), ANY)] * 2  # the pulses of any Clifford
        sign *= int(np.sign(image))
        codes[q] = abs(image) - 1
    return sign


def _layer(plan: Layout, codes: Ints, layer: int, met: list[Parameter]) -> int:
    sign = 1
    driven: set[int] = set()
    for pair, name, group in zip(
        plan.layers[layer], plan.names[layer], plan.groups[layer], strict=True
    ):
        driven.update(pair)
        a, b = pair
        if codes[a] or codes[b]:
            image = int(group.gate[4 * codes[a] + codes[b]])
            sign *= int(np.sign(image))
            codes[a], codes[b] = divmod(abs(image) - 1, 4)
            on = plan.qubits[a], plan.qubits[b]
            met.append(Parameter(name, on, LETTERS[codes[a]] + LETTERS[codes[b]]))
    waiting = [q for q in np.flatnonzero(codes).tolist() if q not in driven]
    met += [Parameter("idle", (plan.qubits[q],), LETTERS[codes[q]], layer) for q in waiting]
    return sign
