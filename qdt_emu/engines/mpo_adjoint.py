"""Gradients of expectation values by both pictures at once, without differentiating a truncation.

An expectation value is linear in every map: d<O>/dM_k is the state before map k beside the
observable behind it, with the two sites of the map left open. Both are trains of bounded bonds, so
that a gradient is as good as the two pictures are, and it is exact where nothing is cut. What a
derivative of a truncated decomposition would need (gaps between singular values) never appears.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines import transfer
from qdt_emu.engines.mpo_evolve import Bound, observable, state, with_matrices
from qdt_emu.engines.mpo_measure import ROOT
from qdt_emu.engines.mpo_program import ONE, SWAP, Program, program
from qdt_emu.engines.mpo_train import Train
from qdt_emu.engines.refusals import checked_codes, drawn

Array = Any
Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


def expectation(
    structure: Structure, paulis: Codes, *, max_bond: int = 64, cutoff: float = 1e-9
) -> Callable[[Values, Array], Array]:
    """Return a function (values, readout) -> expectation values, shape (m,), to differentiate.

    It may be jitted, differentiated in reverse mode and mapped (one entry after the other); the
    trains themselves run in NumPy on the host. Around `jax.grad` switch 64-bit JAX on with
    `jax.enable_x64(True)`.

    Args:
        structure: The circuit.
        paulis: Shape (m, n_qubits), codes 0..3.
        max_bond: Largest bond of the state and of every observable.
        cutoff: Relative Hilbert-Schmidt norm that a truncation may drop although there is room.

    Error:
        That of both pictures at this bond; rounding where nothing is cut. NaN where values hold
        leakage or a random detuning: under `jit` nothing can be refused.

    Raises:
        UnsupportedError: An operation depends on measured bits.
    """
    codes = checked_codes(paulis, structure.n_qubits)
    prog = program(structure)
    core = _core(prog, codes, max_bond, cutoff)

    def value(values: Values, readout: Array) -> Array:
        with jax.enable_x64(True):
            ones, twos = transfer.matrices(prog.transfer, values, jnp)
            start = transfer.initial(values, jnp)
            found = core(ones, twos, start, jnp.asarray(readout, jnp.float64))
            return jnp.where(drawn(prog.transfer.draws, values, jnp), jnp.nan, found)

    return value


def _core(prog: Program, codes: Codes, cap: int, cutoff: float) -> Callable[..., Array]:
    """Return (ones, twos, start, readout) -> values, with its reverse rule."""
    m = len(codes)

    def plain(*args: Array) -> tuple[Floats, ...]:
        run, on_sites = _bound(prog, *args)
        with threadpool_limits(limits=1, user_api="blas"):
            found = [observable(run, c, on_sites, cap, cutoff)[0] for c in _sited(prog, codes)]
        return (np.array(found),)

    def sloped(*args: Array) -> tuple[Floats, ...]:
        with threadpool_limits(limits=1, user_api="blas"):
            return slopes(prog, codes, cap, cutoff, *args)

    @jax.custom_vjp
    def value(ones: Array, twos: Array, start: Array, readout: Array) -> Array:
        return _on_host(plain, [(m,)], ones, twos, start, readout)[0]

    def forward(*args: Array) -> tuple[Array, tuple[Array, ...]]:
        found, *slopes = _on_host(sloped, [(m,), *((m, *a.shape) for a in args)], *args)
        return found, tuple(slopes)

    def backward(slopes: tuple[Array, ...], bar: Array) -> tuple[Array, ...]:
        return tuple(jnp.tensordot(bar, s, axes=1) for s in slopes)

    value.defvjp(forward, backward)
    return value


def _on_host(
    work: Callable[..., tuple[Floats, ...]], shapes: list[tuple[int, ...]], *args: Array
) -> list[Array]:
    """Return what `work` makes of NumPy arrays, from inside of JAX.

    Numbers travel as pairs of 32-bit words: the thread of a callback does not know that 64-bit JAX
    is on and would round them.
    """

    def words(*packed: Array) -> list[NDArray[np.uint32]]:
        plain = [np.ascontiguousarray(p, np.uint32).view(np.float64)[..., 0] for p in packed]
        return [np.ascontiguousarray(x)[..., None].view(np.uint32) for x in work(*plain)]

    wanted = [jax.eval_shape(lambda s=s: jnp.zeros((*s, 2), jnp.uint32)) for s in shapes]
    sent = [jax.lax.bitcast_convert_type(a, jnp.uint32) for a in args]
    found = jax.pure_callback(words, wanted, *sent, vmap_method="sequential")
    return [jax.lax.bitcast_convert_type(x, jnp.float64) for x in found]


def _bound(
    prog: Program, ones: Array, twos: Array, start: Array, readout: Array
) -> tuple[Bound, Floats]:
    arrays = [np.asarray(a, np.float64) for a in (ones, twos, start, readout)]
    return with_matrices(prog, *arrays[:3]), arrays[3][np.argsort(prog.final)]


def _sited(prog: Program, codes: Codes) -> Codes:
    return codes[:, np.argsort(prog.final)]


def slopes(
    prog: Program, codes: Codes, cap: int, cutoff: float, *args: Array
) -> tuple[Floats, ...]:
    """Return values and their derivatives by each of `args`, strings first.

    Args:
        prog: The moves.
        codes: Shape (m, n_qubits).
        cap: Largest bond.
        cutoff: Relative Hilbert-Schmidt norm that may be cut at each step.
        *args: `transfer.matrices`, on one and on two qubits; `transfer.initial`; readout.

    Cost:
        The state once, and for each string its observable and, for each map in its light cone, the
        overlap of both trains where they changed; the state before every map is held in memory.
    """
    run, on_sites = _bound(prog, *args)
    sited = _sited(prog, codes)
    states: dict[int, list[Floats]] = {}
    union = np.asarray((sited > 0).any(axis=0), np.bool_)
    final, _ = state(run, union, cap, cutoff, lambda k, train: _keep(states, k, train))
    found = np.zeros(len(codes))
    out = [np.zeros((len(codes), *np.shape(a))) for a in args]
    for s, row in enumerate(sited):
        beside = _Beside()
        ones, twos, start, readout = (slope[s] for slope in out)

        def watch(k: int, train: Train, beside: "_Beside" = beside, ones: Floats = ones,
                  twos: Floats = twos) -> None:  # fmt: skip
            site, index, kind = prog.moves[k].tolist()
            if index == SWAP:
                return
            if kind == ONE:
                ones[index] += beside.opened(states[k], train.tensors, site, site)
            else:
                both = beside.opened(states[k], train.tensors, site, site + 1)
                twos[index] += both if kind > 0 else both[tables.SWAP][:, tables.SWAP]

        found[s], train = observable(run, row, on_sites, cap, cutoff, watch)
        start[np.argsort(prog.start)] = _opened(train.tensors, run.start)
        ends = ROOT * _opened(final.tensors, ROOT * _read(row, on_sites))
        qubits = np.argsort(prog.final)
        acts = np.flatnonzero(row)
        readout[qubits[acts], 0] = ends[acts, row[acts]]
        readout[qubits[acts], 1] = ends[acts, 0]
    return (found, *out)


def _keep(states: dict[int, list[Floats]], k: int, train: Train) -> None:
    """Remember the tensors before a move; tensors are replaced, never changed."""
    states[k] = list(train.tensors)


def _read(codes: Codes, readout: Floats) -> Floats:
    """Return the measured operator of each site as a Pauli vector, shape (n, 4)."""
    out = np.zeros((len(codes), 4))
    out[range(len(codes)), codes] = np.where(codes > 0, readout[:, 0], 1.0)
    out[:, 0] += np.where(codes > 0, readout[:, 1], 0.0)
    return out


def _opened(tensors: list[Floats], vectors: Floats) -> Floats:
    """Return the train contracted with a vector on every site but one, for each site: (n, 4)."""
    n = len(tensors)
    closed = [np.einsum("lpr,p->lr", t, v) for t, v in zip(tensors, vectors, strict=True)]
    right = [np.ones(1)] * (n + 1)
    for k in range(n - 1, -1, -1):
        right[k] = closed[k] @ right[k + 1]
    left, out = np.ones(1), np.zeros((n, 4))
    for k in range(n):
        out[k] = np.einsum("l,lpr,r->p", left, tensors[k], right[k + 1])
        left = left @ closed[k]
    return out


@dataclass
class _Beside:
    """A state beside an observable, with what lies left and right of some sites remembered."""

    left: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)
    right: list[tuple[Floats, Floats, Floats]] = field(default_factory=list)

    def opened(self, low: list[Floats], high: list[Floats], first: int, last: int) -> Floats:
        """Return sum over all other sites, rows of the observable, columns of the state."""
        left = self._side(self.left, low[:first], high[:first], turned=False)
        right = self._side(self.right, low[:last:-1], high[:last:-1], turned=True)
        a, b = low[first], high[first]
        if last > first:
            a, b = (
                np.tensordot(x[first], x[last], axes=1).reshape(len(x[first]), 16, -1)
                for x in (low, high)
            )
        inner = np.tensordot(left, a, axes=(0, 0))  # observable's bond, Pauli, state's bond
        inner = inner @ right
        scale = ROOT ** (1 + last - first)
        slope: Floats = scale * np.tensordot(b, inner, axes=((0, 2), (0, 2)))
        return slope

    @staticmethod
    def _side(
        known: list[tuple[Floats, Floats, Floats]],
        low: list[Floats],
        high: list[Floats],
        *,
        turned: bool,
    ) -> Floats:
        """Return the contraction of some sites; what has not changed since is not repeated."""
        found = np.ones((1, 1))
        for k, (a, b) in enumerate(zip(low, high, strict=True)):
            if k < len(known) and known[k][0] is a and known[k][1] is b:
                found = known[k][2]
                continue
            del known[k:]
            if turned:
                half = ROOT * np.tensordot(a, found, axes=(2, 0))
                found = np.tensordot(half, b, axes=((1, 2), (1, 2)))
            else:
                half = ROOT * np.tensordot(found, a, axes=(0, 0))
                found = np.tensordot(half, b, axes=((0, 1), (0, 1)))
            known.append((a, b, found))
        return found
