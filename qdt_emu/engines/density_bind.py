"""Binding: numbers enter the fused steps as one matrix each, by few batched products."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import numpy as np

from qdt_emu.circuit import Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines.density_recipe import RESET, Group, Index, Recipe

Array = Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Amounts:
    """How much of each noise acts: 1 is all of it, 0 the ideal circuit (see `attribution`).

    A noise operation N becomes I + s (N - I); misreading, preparation and resets likewise.

    Attributes:
        operations: Shape (operations,).
        preparation: Shape (n_qubits,).
        pairs: Shape (paired readouts,).
        readout: Shape (n_qubits,), of the map that `estimate` is given.
    """

    operations: Array
    preparation: Array
    pairs: Array
    readout: Array


def bind(
    xp: ModuleType,
    rec: Recipe,
    values: Values,
    *,
    readout: Array | None = None,
    offsets: Array | None = None,
    amounts: Amounts | None = None,
) -> dict[int, Array]:
    """Return the matrix of each step, shape (control values, rows, columns).

    Args:
        xp: `numpy` or `jax.numpy`.
        rec: What to multiply.
        values: The numbers.
        readout: Measured operator of each qubit, shape (n_qubits, 2); `None` is (1, 0).
        offsets: Detuning of each qubit in Hz, shape (n_qubits,); `None` is no detuning.
        amounts: How much of each noise acts; `None` is all of it.
    """
    ones, twos = factors(xp, rec, values, offsets, amounts)
    if readout is not None and amounts is not None:
        readout = np.array([1.0, 0]) + amounts.readout[:, None] * (readout - np.array([1.0, 0]))
    runs = products(ones, rec.runs, xp)
    pairs = both(xp, [runs[rec.pairs[:, 0]], runs[rec.pairs[:, 1]]])
    chains = products(xp.concatenate([xp.eye(16)[None], twos, pairs]), rec.chains, xp)
    starts, reads, misreads = edges(xp, rec, values, amounts)
    out: dict[int, Array] = {}
    for g in rec.groups:
        units = _assemble(
            xp, g, (runs if g.qubits == 1 else chains)[g.core], starts, reads, readout
        )
        at = 0
        for k, n in g.steps:
            out[k] = units[at : at + n]
            at += n
    for k, row in rec.misreads:
        out[k] = misreads[row][None]
    return out


def factors(
    xp: ModuleType, rec: Recipe, values: Values, offsets: Array | None, amounts: Amounts | None
) -> tuple[Array, Array]:
    """Return the matrices of [identity, dephasing, single-qubit factors], and of the others."""
    offsets = xp.zeros(values.excited.shape[0]) if offsets is None else xp.asarray(offsets)
    angles = 2 * np.pi * offsets[rec.dwells[:, 1]] * values.dwell[rec.dwells[:, 0]]
    table, first = tables.one_qubit(xp, values, angles)
    block, slot, op = rec.ones.T
    ones = table[np.array(first, np.int32)[block] + slot]
    pairs, first = tables.two_qubit(xp, values)
    block2, slot2, op2, swapped = rec.twos.T
    twos = pairs[np.array(first, np.int32)[block2] + slot2]
    if amounts is not None:
        ideal = xp.where((block == RESET)[:, None, None], tables.reset(xp, xp.zeros(1)), np.eye(4))
        ones = _mix(xp, ideal, ones, amounts.operations[op], rec.noisy[op] | (block == RESET))
        twos = _mix(xp, np.eye(16), twos, amounts.operations[op2], rec.noisy[op2])
    turned = twos[:, tables.SWAP][:, :, tables.SWAP]
    twos = xp.where((swapped == 1)[:, None, None], turned, twos)
    return xp.concatenate([table[:2], ones]), twos


def edges(
    xp: ModuleType, rec: Recipe, values: Values, amounts: Amounts | None
) -> tuple[Array, Array, Array]:
    """Return first states (k, 4), readings (k, 4, 2, 4) and pair confusion (k, 4, 4)."""
    slot, op = rec.starts.T
    both = xp.concatenate([values.excited, values.reset_excitation])
    excited = both[np.where(op < 0, slot, slot + values.excited.shape[0])]
    read_slot, read_op = rec.reads.T
    confusion = xp.concatenate([values.confusion, xp.zeros((1, 2))])[read_slot]
    misreads = values.pair_confusion
    if amounts is not None:
        share = xp.concatenate([amounts.operations, amounts.preparation])
        excited = excited * share[np.where(op < 0, slot + len(rec.noisy), op)]
        confusion = confusion * amounts.operations[read_op][:, None]
        misreads = misreads[: amounts.pairs.shape[0]] - np.eye(4)
        misreads = np.eye(4) + amounts.pairs[:, None, None] * misreads
    keep = np.zeros((2, 4, 2, 4))
    keep[0, :, 0], keep[1, :, 1] = np.eye(4), np.eye(4)
    reads = xp.concatenate([xp.asarray(keep), tables.reading(xp, confusion)])
    return tables.state(xp, excited), reads, misreads


def _mix(xp: ModuleType, ideal: Array, noisy: Array, share: Array, noise: Array) -> Array:
    """Return ideal + share * (noisy - ideal) where the operation is noise."""
    mixed = ideal + share[:, None, None] * (noisy - ideal)
    return xp.where(noise[:, None, None], mixed, noisy)


def products(table: Array, buckets: list[Index], xp: ModuleType = np) -> Array:
    """Return the products of the rows of each key, first row rightmost, by a tree."""
    done = [table[:0]]
    for rows in buckets:
        part = table[rows]
        while part.shape[1] > 1:
            part = part[:, 1::2] @ part[:, 0::2]
        done.append(part[:, 0])
    return xp.concatenate(done)


def _assemble(
    xp: ModuleType, g: Group, core: Array, starts: Array, reads: Array, readout: Array | None
) -> Array:
    """Return the core with first states, kept components and measurements attached."""
    lefts = [ending(xp, g, w, reads, readout) for w in range(g.qubits)]
    rights = [None if rows is None else starts[rows][:, :, None] for rows in g.starts]
    if any(m is not None for m in lefts):
        core = both(xp, lefts) @ core
    if any(m is not None for m in rights):
        core = core @ both(xp, rights)
    return core


def both(xp: ModuleType, parts: Sequence[Array | None]) -> Array:
    """Return the Kronecker product of one matrix per wire; None is the identity."""
    full = [xp.eye(4)[None] if m is None else m for m in parts]
    if len(full) == 1:
        return full[0]
    a, b = full
    units = max(a.shape[0], b.shape[0])
    size = (units, a.shape[1] * b.shape[1], a.shape[2] * b.shape[2])
    return (a[:, :, None, :, None] * b[:, None, :, None, :]).reshape(size)


def ending(xp: ModuleType, g: Group, w: int, reads: Array, readout: Array | None) -> Array | None:
    """Return what ends a wire, shape (units, rows, 4), or None where it just goes on."""
    rows = g.reads[w]
    keep = kept(xp, g, w, readout) if g.ends[w] else None
    if rows is None:
        return keep
    left = reads[rows]
    if keep is not None:
        left = xp.einsum("ukq,uqri->ukri", keep, left)
    return left.reshape(len(g.core), -1, 4)


def kept(xp: ModuleType, g: Group, w: int, readout: Array | None) -> Array:
    """Return the kept components of a wire as measured, shape (units, components, 4)."""
    codes = np.array(g.ends[w])
    rows = xp.zeros((len(g.core), len(codes), 4)) + np.eye(4)[codes]
    if readout is None:
        return rows
    scale = xp.asarray(readout)[g.homes[w]]
    measured = scale[:, :1, None] * rows + scale[:, 1:, None] * np.eye(4)[0]
    return xp.where((codes > 0)[None, :, None], measured, rows)
