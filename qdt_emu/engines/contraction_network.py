"""A noisy circuit as a tensor network in the real Pauli basis, reduced to what can contribute.

Between two steps a qubit carries up to four numbers, the weights of I, X, Y and Z. From the end
only some of them can reach the observable, from the start only some can be non-zero; a leg keeps
what both allow. An observable that Clifford gates map to one Pauli string thus runs over legs of
size one, which are no legs at all: that, and the light cone, come out of the same count.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.density_bind import bind
from qdt_emu.engines.density_fuse import Fused, fuse
from qdt_emu.engines.density_recipe import Recipe, recipe

Array = Any
Bools = NDArray[np.bool_]

ZERO = 1e-13  # an entry of a step below this in the pattern's values is left out


@dataclass(frozen=True, eq=False)
class Node:
    """One step as a tensor, with axes [controls, outputs, inputs].

    Attributes:
        step: Index of the step.
        shape: Sizes of all axes, in full.
        legs: Leg of each axis; -1 is summed at once.
    """

    step: int
    shape: tuple[int, ...]
    legs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """The tensors of one observable, or of the distribution of some bits.

    Attributes:
        nodes: One for each step.
        sizes: Full size of each leg.
        open: Legs that are not summed, in order.
        recipe: How values become the matrices of the steps.
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    open: tuple[int, ...]
    recipe: Recipe

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each tensor, without the legs that are summed at once."""
        return tuple(
            tuple(size for size, leg in zip(node.shape, node.legs, strict=True) if leg >= 0)
            for node in self.nodes
        )

    def entries(
        self, xp: ModuleType, values: Values, readout: Array, offsets: Array | None = None
    ) -> Array:
        """Return the entries of all tensors in full, one after the other, shape (k,)."""
        matrices = bind(xp, self.recipe, values, readout=readout, offsets=offsets)
        out = []
        for node in self.nodes:
            tensor = matrices[node.step].reshape(node.shape)
            summed = tuple(a for a, leg in enumerate(node.legs) if leg < 0)
            out.append((tensor.sum(summed) if summed else tensor).ravel())
        return xp.concatenate(out)


@dataclass(frozen=True, eq=False)
class Reduced:
    """A network whose legs hold only what can contribute.

    Attributes:
        network: The network in full.
        possible: Which entries of the full tensors are not zero by construction, shape (k,).
        inputs: Legs of size above one or open, of each tensor that has any.
        sizes: Size of these legs.
        chosen: For each of these tensors, its entries among those in full, in its shape.
        factors: Entries of the tensors without a leg.
        zero: True where nothing contributes: the answer is 0.
    """

    network: Network
    possible: Bools
    inputs: tuple[tuple[int, ...], ...]
    sizes: tuple[tuple[int, int], ...]
    chosen: tuple[NDArray[np.int32], ...]
    factors: NDArray[np.int32]
    zero: bool

    def tensors(self, entries: Array) -> list[Array]:
        """Return the tensors with legs, cut to what they keep."""
        return [entries[chosen] for chosen in self.chosen]


@lru_cache(maxsize=256)
def observable(structure: Structure, codes: tuple[int, ...]) -> Network:
    """Return the network of a product of measured Paulis, codes 0..3 for each qubit."""
    return _network(structure, fuse(structure, tuple((c,) for c in codes)), ())


@lru_cache(maxsize=64)
def marginal(structure: Structure, clbits: tuple[int, ...]) -> Network:
    """Return the network of the distribution of some clbits, first slowest."""
    return _network(structure, fuse(structure, None), clbits)


def _network(structure: Structure, fused: Fused, clbits: tuple[int, ...]) -> Network:
    leg: dict[int, int] = {}  # of each wire, as far as the circuit has come
    sizes: list[int] = []
    legs: list[tuple[int, list[int], list[int]]] = []
    for k, step in enumerate(fused.steps):
        if step.total:
            continue
        before = [leg[w] for w in step.controls] + [leg[w] for w, _ in step.inputs()]
        after = []
        for wire, dim in step.outputs():
            leg[wire] = len(sizes)
            after.append(leg[wire])
            sizes.append(dim)
        at = len(step.controls)
        legs.append((k, before[:at] + after + before[at:], after))
    chosen = tuple(leg[fused.final[c]] for c in clbits)
    read = {x for _, used, after in legs for x in set(used) - set(after)} | set(chosen)
    nodes = [
        Node(k, tuple(sizes[x] for x in used), tuple(x if x in read else -1 for x in used))
        for k, used, _ in legs
    ]
    return Network(tuple(nodes), tuple(sizes), chosen, recipe(structure, fused))


def generic(values: Values) -> tuple[Values, Array]:
    """Return values and a readout map without a zero that their form does not demand."""
    rng = np.random.default_rng(0)

    def drawn(table: Array) -> Array:
        return rng.uniform(0.2, 0.8, np.shape(table))

    unitaries = {
        name: drawn(getattr(values, name)) + 1j * drawn(getattr(values, name))
        for name in ("unitaries1", "unitaries2")
    }
    unitaries = {name: np.linalg.qr(u)[0] if len(u) else u for name, u in unitaries.items()}
    names = ("excited", "relaxation", "pauli1", "pauli2", "confusion", "pair_confusion")
    tables = {name: drawn(getattr(values, name)) for name in (*names, "reset_excitation")}
    return replace(values, **unitaries, **tables), drawn(values.detuning)


def reduce(network: Network, entries: NDArray[np.float64]) -> Reduced:
    """Return the network with legs cut to what these entries let contribute.

    Error:
        Entries of a step below 1e-13 count as zero.
    """
    return _reduce(network, np.packbits(np.abs(entries) > ZERO).tobytes())


@lru_cache(maxsize=256)
def _reduce(network: Network, packed: bytes) -> Reduced:
    ends = np.cumsum([int(np.prod(shape)) for shape in network.shapes])
    possible = np.unpackbits(np.frombuffer(packed, np.uint8), count=ends[-1]).astype(bool)
    parts = np.split(possible, ends[:-1])
    legs = [tuple(leg for leg in node.legs if leg >= 0) for node in network.nodes]
    work = [(x, p.reshape(s)) for x, p, s in zip(legs, parts, network.shapes, strict=True)]
    live = [np.ones(size, bool) for size in network.sizes]
    for _ in range(2):
        for sweep in (work, work[::-1]):
            for used, pattern in sweep:
                _narrow(used, pattern, live)
    for leg in network.open:
        live[leg] = np.ones(network.sizes[leg], bool)
    kept = [np.flatnonzero(x) for x in live]
    inputs, chosen, factors = [], [], []
    for (used, pattern), end in zip(work, ends, strict=True):
        left = tuple(leg for leg in used if len(kept[leg]) > 1)
        full = np.arange(end - pattern.size, end, dtype=np.int32).reshape(pattern.shape)
        own = full[np.ix_(*(kept[leg] for leg in used))]
        if left:
            inputs.append(left)
            chosen.append(own.reshape([len(kept[leg]) for leg in left]))
        else:
            factors.append(own.ravel())
    sizes = tuple((leg, len(kept[leg])) for leg in sorted({leg for x in inputs for leg in x}))
    zero = any(len(kept[leg]) == 0 for used in legs for leg in used) or not all(map(np.any, parts))
    every = np.concatenate([*factors, np.zeros(0, np.int32)])
    return Reduced(network, possible, tuple(inputs), sizes, tuple(chosen), every, zero)


def _narrow(legs: tuple[int, ...], pattern: Bools, live: list[Bools]) -> None:
    """Drop from the legs of a tensor what none of its possible entries uses."""
    left = pattern
    for axis, leg in enumerate(legs):
        left = left & live[leg].reshape([-1 if a == axis else 1 for a in range(len(legs))])
    for axis, leg in enumerate(legs):
        others = tuple(a for a in range(len(legs)) if a != axis)
        live[leg] = np.asarray(left.any(others))
