"""The density engine as pure JAX functions: differentiable, batchable, on any device."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.engines.density_bind import bind
from qdt_emu.engines.density_order import Move
from qdt_emu.engines.density_run import Program, program
from qdt_emu.engines.refusals import drawn, draws
from qdt_emu.errors import InputError

Array = Any
Matrices = dict[int, Array]

MAX_CLBITS = 26


def expectation(
    structure: Structure,
    *,
    precision: Literal["double", "single"] = "double",
    device: str | None = None,
) -> Callable[[Values, NDArray[np.uint8], Array], Array]:
    """Return a function (values, paulis, readout) -> expectation values, shape (m,).

    It may be differentiated with respect to `values` and `readout`, and mapped over a batch of
    them with `jax.vmap`. `paulis` must be a NumPy array: each set of strings is compiled once.
    Double precision switches 64-bit JAX on for the call; around `jax.grad` or `jax.vmap` do it
    yourself with `jax.enable_x64(True)`.

    Args:
        structure: The circuit.
        precision: "double" or "single" (error about 1e-6).
        device: JAX platform, for example "cpu" or "gpu"; `None` is JAX's choice.

    Error:
        NaN where `Values` hold leakage, or a detuning of a qubit that dwells: under `jit` nothing
        can be refused, and a random phase is not a channel.
    """

    def value(values: Values, paulis: NDArray[np.uint8], readout: Array) -> Array:
        codes = np.asarray(paulis)
        if codes.ndim != 2 or codes.shape[1] != structure.n_qubits:
            raise InputError(
                f"`paulis` must have shape (m, {structure.n_qubits}), but it has {codes.shape}."
            )
        compiled = _expectation(structure, tuple(map(tuple, codes.tolist())))
        return _call(compiled, precision, device, values, readout)

    return value


def probabilities_jax(
    structure: Structure,
    *,
    precision: Literal["double", "single"] = "double",
    device: str | None = None,
) -> Callable[[Values], Array]:
    """Return a function values -> exact distribution of the records, shape (2**n_clbits,).

    Bit c of the index is clbit c. Everything else as in `expectation`.

    Raises:
        InputError: More than 26 clbits.
    """
    if structure.n_clbits > MAX_CLBITS:
        raise InputError(
            f"A dense distribution must have at most {MAX_CLBITS} clbits, but there are "
            f"{structure.n_clbits}. Use `Density.sample`."
        )
    compiled = _probabilities(structure)
    return lambda values: _call(compiled, precision, device, values)


def _call(
    compiled: Callable[..., Array], precision: str, device: str | None, *args: Array
) -> Array:
    """Call in the asked precision on the asked device."""
    real, full = (
        (jnp.float64, jnp.complex128) if precision == "double" else (jnp.float32, jnp.complex64)
    )
    with jax.enable_x64(precision == "double"), jax.default_device(_device(device)):
        cast = [
            jax.tree.map(lambda a: jnp.asarray(a, full if jnp.iscomplexobj(a) else real), arg)
            for arg in args
        ]
        return compiled(*cast)


def _device(name: str | None) -> Array:
    return jax.devices(name)[0] if name else None


@lru_cache(maxsize=64)
def _expectation(
    structure: Structure, strings: tuple[tuple[int, ...], ...]
) -> Callable[..., Array]:
    codes = np.array(strings, np.int32).reshape(-1, structure.n_qubits)
    kept = tuple(tuple(sorted(set(codes[:, q].tolist()))) for q in range(structure.n_qubits))
    prog, where = program(structure, kept), draws(structure)

    def value(values: Values, readout: Array) -> Array:
        arrays = _run(prog, bind(jnp, prog.recipe, values, readout=readout))
        out = jnp.where(drawn(where, values, jnp), jnp.nan, 1.0)
        for k, array in arrays.items():
            index = np.zeros(len(codes), np.int32)
            for wire, dim in prog.arrays[k]:
                q = prog.fused.home[wire]
                index = index * dim + np.searchsorted(kept[q], codes[:, q]).astype(np.int32)
            out = out * array.ravel()[index]
        return jnp.broadcast_to(out, (len(codes),))

    return jax.jit(value)


@lru_cache(maxsize=64)
def _probabilities(structure: Structure) -> Callable[..., Array]:
    prog, n, where = program(structure), structure.n_clbits, draws(structure)

    def value(values: Values) -> Array:
        arrays = _run(prog, bind(jnp, prog.recipe, values))
        out = jnp.where(drawn(where, values, jnp), jnp.nan, jnp.ones((1,) * n))
        for k, array in arrays.items():
            bits = [prog.fused.final.index(w) for w, _ in prog.arrays[k]]
            order = sorted(range(len(bits)), key=lambda a: -bits[a])
            shape = [2 if n - 1 - a in bits else 1 for a in range(n)]
            out = out * array.transpose(order).reshape(shape)
        return jnp.pad(out, [(0, 2 - d) for d in out.shape]).ravel()

    return jax.jit(value)


def _run(prog: Program, matrices: Matrices) -> dict[int, Array]:
    """Return the final arrays, one axis per wire; about sqrt(steps) states are kept for `grad`."""
    moves = prog.moves
    stride = max(1, round(len(moves) ** 0.5))
    arrays: dict[int, Array] = {}
    for first in range(0, len(moves), stride):
        part = moves[first : first + stride]
        needed = {m.step: matrices[m.step] for m in part if m.step in matrices}
        arrays = jax.checkpoint(lambda a, m, part=part: _advance(part, m, a))(arrays, needed)
    return arrays


def _advance(
    moves: tuple[Move, ...], matrices: Matrices, arrays: dict[int, Array]
) -> dict[int, Array]:
    arrays = dict(arrays)
    for move in moves:
        x = jnp.ones(())
        for source in move.sources:
            x = jnp.multiply.outer(x, arrays.pop(source))
        arrays[move.target] = _step(move, matrices.get(move.step), x)
    return arrays


def _step(move: Move, matrix: Array | None, x: Array) -> Array:
    """Apply the matrices of a step; without one the step forgets a record."""
    wires = [w for w, _ in move.axes_in]
    acted = [wires.index(w) for w in (*move.controls, *move.inputs)]
    rest = [a for a in range(len(wires)) if a not in acted]
    moved = x.transpose(acted + rest)
    kept = moved.shape[len(acted) :]
    n = 2 ** len(move.controls)
    cols = 1
    for w in move.inputs:
        cols *= dict(move.axes_in)[w]
    y = moved.reshape(n, cols, -1)
    y = y.sum(1, keepdims=True) if matrix is None else matrix @ y
    dims = dict(move.axes_out)
    labels = [*move.controls, *move.outputs]
    y = y.reshape([dims[w] for w in labels] + list(kept))
    labels += [wires[a] for a in rest]
    return y.transpose([labels.index(w) for w, _ in move.axes_out])
