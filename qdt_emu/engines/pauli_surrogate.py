"""A circuit's expectation values as a frozen sum of Pauli paths, differentiable in its numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines import transfer
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.pauli_bind import ROUNDING, moving
from qdt_emu.engines.refusals import refuse_draws
from qdt_emu.errors import UnsupportedError
from qdt_emu.kernels import pauli_graph as graph
from qdt_emu.kernels.pauli_strings import cone

Array = Any  # of JAX, or of NumPy where JAX takes either
Floats = NDArray[np.float64]

MAX_EDGES = 2**27
FIRST_ROOM = 2**12


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Expectation values of Pauli strings as sums over paths that were recorded once.

    Attributes:
        plan: Which numbers make each matrix of the circuit.
        readout: Measured operator of each qubit, shape (n_qubits, 2), see `Engine.estimate`.
        edges: (from, to, weight) of the graph, shape (edges, 3), see `kernels.pauli_graph`.
        spans: Edges, nodes and strings at the start up to the end of each observable, shape
            (m + 1, 3).
        ends: Node of each string that is left at the start of the circuit, shape (k,).
        strings: Whether it is Z on a qubit, shape (k, n_qubits).
        reference: The values at the reference numbers, shape (m,).
        bounds: Stated error there, shape (m,).
    """

    plan: transfer.Transfer
    readout: Floats
    edges: NDArray[np.int32]
    spans: NDArray[np.int64]
    ends: NDArray[np.int64]
    strings: NDArray[np.bool_]
    reference: Floats
    bounds: Floats = field(repr=False)

    def values(self, values: Values, readout: Array | None = None) -> Array:
        """Return the expectation values for other numbers of the same structure, shape (m,).

        Pure; `jax.grad`, `jax.jit` and `jax.vmap` apply, by `values` and by `readout`. Inside
        `jax.enable_x64(True)` results are as good as float64.

        Args:
            values: The numbers.
            readout: Replaces the recorded one.

        Error:
            At the reference `bounds`. Which strings are kept stays as it was there: elsewhere
            strings that would have grown are missing, and matrix elements that were 0 at the
            reference stay out; a fresh propagation tells how much that is.

        Cost:
            Two passes over the edges for a value and its gradient, 5 ns each, and the products of
            the matrices.
        """
        weights = self._weights(values, self.readout if readout is None else readout)
        nodes = _nodes(self, weights)
        pole = transfer.initial(values, jnp)[:, 3]
        worth = jnp.prod(jnp.where(self.strings, pole, 1.0), axis=1) * nodes[self.ends]
        owner = np.repeat(np.arange(len(self.spans) - 1), np.diff(self.spans[:, 2]))
        return jax.ops.segment_sum(worth, owner, num_segments=len(self.spans) - 1)

    def _weights(self, values: Values, readout: Array) -> Array:
        ones, twos = transfer.matrices(self.plan, values, jnp)
        return jnp.concatenate([ones.ravel(), _reading(readout).ravel(), twos.ravel()])


def _reading(readout: Array) -> Array:
    """Return P -> r0 P + r1 I of each qubit, shape (n_qubits, 4, 4)."""
    r = jnp.asarray(readout)
    zero, one = jnp.zeros_like(r[:, 0]), jnp.ones_like(r[:, 0])
    pull, gain = r[:, 1], r[:, 0]
    flat = [one, zero, zero, zero, pull, gain, zero, zero]
    flat += [pull, zero, gain, zero, pull, zero, zero, gain]
    return jnp.stack(flat, -1).reshape(-1, 4, 4)


def surrogate(
    structure: Structure,
    values: Values,
    paulis: NDArray[np.uint8],
    readout: Floats,
    threshold: float,
) -> Surrogate:
    """Return the graph of Pauli paths that stay above a threshold at the reference numbers.

    Args:
        structure: The circuit.
        values: Reference numbers; elements of its matrices that are 0 stay out of the graph.
        paulis: Codes 0..3 of the observables, shape (m, n_qubits).
        readout: Measured operator of each qubit, shape (n_qubits, 2), see `Engine.estimate`.
        threshold: Strings with smaller coefficients are dropped.

    Raises:
        UnsupportedError: What the engine `pauli` refuses, or more than 2^27 edges.
    """
    plan = transfer.steps(structure)
    refuse_draws(plan.draws, values, "pauli")
    n = structure.n_qubits
    engine = Pauli(threshold=threshold)
    fresh = engine.estimate(
        engine.prepare(structure), values, paulis, readout, shots=1, seed=0
    )  # checks `paulis` as well
    recorder = _Recorder(plan, values, np.asarray(readout, float))
    parts = [recorder.record(codes, threshold) for codes in paulis]
    base, edges, ends, strings, spans = 0, [], [], [], [[0, 0, 0]]
    for e, nodes, last, kept in parts:
        edges.append(e + np.array([base, base, 0], np.int32))
        ends.append(last + base)
        strings.append(kept)
        base += nodes
        spans.append([spans[-1][0] + len(e), base, spans[-1][2] + len(last)])
    bounds = np.zeros(0) if fresh.bounds is None else fresh.bounds
    found = Surrogate(
        plan,
        np.asarray(readout, float),
        np.concatenate(edges) if edges else np.zeros((0, 3), np.int32),
        np.array(spans, np.int64),
        np.concatenate(ends) if ends else np.zeros(0, np.int64),
        np.concatenate(strings) if strings else np.zeros((0, n), bool),
        np.zeros(len(paulis)),
        np.zeros(len(paulis)),
    )
    with jax.enable_x64(True):
        reference = np.asarray(found.values(values))
    return replace(found, reference=reference, bounds=bounds + np.abs(reference - fresh.values))


class _Recorder:
    """Numbers of a circuit in the order in which observables meet its maps."""

    def __init__(self, plan: transfer.Transfer, values: Values, readout: Floats) -> None:
        ones, twos = transfer.matrices(plan, values)
        with jax.enable_x64(True):
            reading = np.asarray(_reading(readout))
        single = np.concatenate([ones, reading])
        self.matrices = np.zeros((len(single) + len(twos), 16, 16))
        self.matrices[: len(single), :4, :4] = single
        self.matrices[len(single) :] = twos
        self.matrices[np.abs(self.matrices) < ROUNDING] = 0.0
        self.moving = moving(self.matrices)
        sizes = np.concatenate([np.full(len(single), 16), np.full(len(twos), 256)])
        self.weights = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        where = [(-1, q, len(ones) + q) for q in range(plan.n_qubits)]
        for qubits, row in reversed(plan.steps):
            pair = len(qubits) == 2
            where.append((qubits[0] if pair else -1, qubits[-1], row + pair * len(single)))
        self.where = np.array(where, np.int64).reshape(-1, 3)

    def record(
        self, codes: NDArray[np.uint8], threshold: float
    ) -> tuple[NDArray[np.int32], int, NDArray[np.int64], NDArray[np.bool_]]:
        """Return edges, number of nodes, and nodes and Z masks of what is left at the start."""
        if not codes.any():
            return (
                np.zeros((0, 3), np.int32), 2, np.ones(1, np.int64),
                np.zeros((1, len(codes)), bool),
            )  # fmt: skip
        inside = (codes > 0).astype(np.uint8)
        where = self.where[cone(self.where, inside).astype(bool)]
        a = np.where(where[:, 0] >= 0, where[:, 0], where[:, 1])
        pair, b = where[:, 0] >= 0, where[:, 1]
        place = np.stack([a >> 5, 2 * (a & 31), 3 * pair, b >> 5, 2 * (b & 31), where[:, 2]], 1)
        width, room = np.where(pair, 16, 4), FIRST_ROOM
        while True:
            keys = np.zeros((room, -(-len(codes) // 32)), np.uint64)
            for q in np.flatnonzero(codes).tolist():
                keys[0, q >> 5] |= np.uint64(int(codes[q]) << 2 * (q & 31))
            coefs, node = np.zeros(room), np.zeros(room, np.int32)
            coefs[0], node[0] = 1.0, 1
            edges, count = np.empty((16 * room, 3), np.int32), np.array([2, 0, 1])
            graph.record(
                *(keys, coefs, node, place.astype(np.uint64), width, self.matrices, self.moving),
                *(self.weights, threshold, edges, count),
            )
            if count[graph.EDGES] != graph.FULL:
                break
            room *= 4
            if 16 * room > MAX_EDGES:
                raise UnsupportedError(
                    f"A surrogate may have at most {MAX_EDGES} edges, but one observable has more "
                    f"at threshold {threshold:g}. Raise the threshold."
                )
        live = int(count[graph.LIVE])
        at = np.arange(len(codes))
        left = keys[:live, at >> 5] >> (2 * (at & 31)).astype(np.uint64) & np.uint64(3)
        kept = np.flatnonzero(np.all((left == 0) | (left == 3), axis=1))
        ends = np.concatenate([[0], node[kept]]).astype(np.int64)
        strings = np.concatenate([np.zeros((1, len(codes)), bool), left[kept] == 3])
        return edges[: count[graph.EDGES]].copy(), int(count[graph.NODES]), ends, strings


def _nodes(model: Surrogate, weights: Array) -> Array:
    """Return the value of every node, differentiable in the weights."""
    size, starts = int(model.spans[-1, 1]), model.spans[:-1, 1] + 1
    kind = np.dtype(weights.dtype)

    def forward(w: Any) -> NDArray[np.uint32]:
        nodes = np.zeros(size)
        nodes[starts] = 1.0
        graph.evaluate(model.edges, _numbers(w, kind), nodes)
        return _words(nodes, kind)

    def backward(w: Any, nodes: Any, slopes: Any) -> NDArray[np.uint32]:
        given = _numbers(w, kind)
        out, g = np.zeros(given.size), _numbers(slopes, kind).copy()
        graph.differentiate(model.edges, given, _numbers(nodes, kind), g, out)
        return _words(out, kind)

    @jax.custom_vjp
    def run(w: Array) -> Array:
        return _called(forward, size, kind, w)

    def ahead(w: Array) -> tuple[Array, tuple[Array, Array]]:
        nodes = run(w)
        return nodes, (w, nodes)

    def back(kept: tuple[Array, Array], slopes: Array) -> tuple[Array]:
        w, nodes = kept
        return (_called(backward, w.shape[0], kind, w, nodes, slopes),)

    run.defvjp(ahead, back)
    return run(weights)


def _called(
    work: Callable[..., NDArray[np.uint32]], size: int, kind: np.dtype[Any], *args: Array
) -> Array:
    """Return what a NumPy function makes of arrays, shape (size,).

    Numbers travel as 32-bit words: a callback runs on a thread of its own, where `enable_x64` does
    not hold and JAX would round float64 to float32.
    """
    words = kind.itemsize // 4
    sent = [jax.lax.bitcast_convert_type(x, jnp.uint32) for x in args]
    shape = jax.eval_shape(lambda: jnp.zeros((size, 2)[:words], jnp.uint32))
    back = jax.pure_callback(work, shape, *sent, vmap_method="sequential")
    return jax.lax.bitcast_convert_type(back, kind)


def _numbers(words: Any, kind: np.dtype[Any]) -> Floats:
    plain = np.ascontiguousarray(np.asarray(words)).view(kind).ravel()
    return plain.astype(np.float64)


def _words(numbers: Floats, kind: np.dtype[Any]) -> NDArray[np.uint32]:
    words = numbers.astype(kind).view(np.uint32)
    return words.reshape(-1, 2) if kind.itemsize == 8 else words
