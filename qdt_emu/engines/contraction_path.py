"""The order of a contraction: searched once, its cost known before any number is multiplied."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cotengra
import jax
import jax.numpy as jnp
import numpy as np

Array = Any
Legs = tuple[int, ...]

REPEATS = 32  # greedy orders tried
HARD = 1e7  # multiplications from which more of them are tried
HARD_REPEATS = 128
MAX_SLICES = 1 << 16


@dataclass(frozen=True, eq=False)
class Path:
    """An order of pairwise contractions, cut into slices that fit into memory.

    Attributes:
        tree: Cotengra's contraction tree; None where there is nothing to contract.
        width: log2 of the entries of the largest tensor.
        flops: Multiplications and additions of all slices.
        bytes: Peak memory in double precision.
        slices: Number of slices, summed one after the other.
    """

    tree: cotengra.ContractionTree | None
    width: float = 0.0
    flops: float = 0.0
    bytes: int = 0
    slices: int = 1


@lru_cache(maxsize=512)
def search(
    inputs: tuple[Legs, ...], output: Legs, sizes: tuple[tuple[int, int], ...], max_bytes: int
) -> Path:
    """Return an order of contraction, the same for the same network.

    Args:
        inputs: Legs of each tensor; a leg may be on any number of tensors.
        output: Legs that stay.
        sizes: (leg, size) of all legs.
        max_bytes: Peak memory; slices are made until it is kept.

    Cost:
        About 0.2 s for 100 tensors and 4 s for 300.
    """
    if not inputs:
        return Path(None)
    names = [tuple(map(cotengra.get_symbol, legs)) for legs in inputs]
    ends = tuple(map(cotengra.get_symbol, output))
    dims = {cotengra.get_symbol(leg): size for leg, size in sizes}
    tree = _tree(names, ends, dims, REPEATS)
    if tree.contraction_cost() > HARD:
        other = _tree(names, ends, dims, HARD_REPEATS)
        tree = min(tree, other, key=lambda t: float(t.combo_cost()))
    largest = max(int(np.prod([dims[x] for x in legs])) for legs in [*names, ends])
    while 8 * tree.peak_size() > max_bytes and tree.nslices < MAX_SLICES:
        target = int(tree.max_size()) // 2
        if target < largest:  # what the tensors and the answer take cannot be sliced away
            break
        tree.slice_(target_size=target, minimize="combo", allow_outer=False, seed=0)
        tree.subtree_reconfigure_(minimize="combo", seed=0)
    return Path(
        tree,
        float(tree.contraction_width()),
        2 * float(tree.contraction_cost()),
        8 * int(tree.peak_size()),
        int(tree.nslices),
    )


def _tree(
    names: list[tuple[str, ...]], ends: tuple[str, ...], dims: dict[str, int], repeats: int
) -> cotengra.ContractionTree:
    greedy = cotengra.RandomGreedyOptimizer(
        max_repeats=repeats, seed=0, accel=False, parallel=False
    )
    # A single tensor has no pair to begin with, which the search takes the logarithm of.
    order = greedy.ssa_path(names, ends, dims) if len(names) > 1 else ((0,),)
    tree = cotengra.ContractionTree.from_path(names, ends, dims, ssa_path=order)
    tree.subtree_reconfigure_(minimize="combo", seed=0)
    return tree


def contract(path: Path, tensors: Sequence[Array]) -> Array:
    """Return the sum over all legs that do not stay, on NumPy or on JAX arrays.

    Cost:
        `path.flops` and `path.bytes`; under `jax.grad` one slice at a time is kept.
    """
    tree = path.tree
    if tree is None:
        return 1.0
    if path.slices == 1:
        return tree.contract_core(tensors, autojit=False)
    cut = {name: info.size for name, info in tree.sliced_inds.items()}
    axes = [[a for a, name in enumerate(legs) if name in cut] for legs in tree.inputs]
    names = [[legs[a] for a in found] for legs, found in zip(tree.inputs, axes, strict=True)]

    def part(k: Array) -> Array:
        at = dict(zip(cut, _digits(k, list(cut.values())), strict=True))
        sliced = []
        for tensor, found, own in zip(tensors, axes, names, strict=True):
            moved = tensor.transpose([*found, *(a for a in range(tensor.ndim) if a not in found)])
            sliced.append(moved[tuple(at[name] for name in own)] if own else tensor)
        return tree.contract_core(sliced, autojit=False)

    if all(isinstance(t, np.ndarray) for t in tensors):
        return sum(part(k) for k in range(path.slices))
    like = jax.eval_shape(part, 0)
    start = jnp.zeros(like.shape, like.dtype)
    own = jax.checkpoint(part)  # keep one slice at a time for the gradient
    return jax.lax.scan(lambda s, k: (s + own(k), None), start, jnp.arange(path.slices))[0]


def _digits(k: Array, bases: Sequence[int]) -> list[Array]:
    """Return the digits of k in the given bases, last fastest."""
    out = []
    for base in reversed(bases):
        out.append(k % base)
        k = k // base
    return out[::-1]
