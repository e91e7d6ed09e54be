"""Copies of a graph tensor network on a device, with padded bonds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines import network_batch_kernels as kernels
from qdt_emu.engines.network_batch_plan import Layout, layout
from qdt_emu.engines.network_state import Array, Graph, GraphState
from qdt_emu.errors import InputError, UnsupportedError

Precision = Literal["double", "single"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Copies of a graph with tensors in Vidal form, padded.

    Beyond its own dimension a bond has zero weights, and the tensors on it zeros.

    Attributes:
        stacks: For each degree of `layout(graph)`, tensors of shape
            (copies * sites, bond, ..., bond, physical), copy by copy.
        weights: Shape (copies * edges, bond), rows of norm 1, descending.
        log_norm: As in `GraphState`, shape (copies,).
        log_fidelity: As in `GraphState`, shape (copies,).
        graph: Of every copy.
        bounds: Upper bound of the dimension of each edge's bond over all copies, shape (edges,).
    """

    stacks: tuple[Array, ...]
    weights: Array
    log_norm: Array
    log_fidelity: Array
    graph: Graph
    bounds: NDArray[np.int64]

    @property
    def copies(self) -> int:
        """Number of copies."""
        return int(self.log_norm.shape[0])

    @property
    def bond(self) -> int:
        """Dimension that every bond is padded to."""
        return int(self.weights.shape[-1])


def pick(device: str | None) -> Any:
    """Return the first JAX device of a platform, 'cpu' or 'gpu'; JAX's choice for `None`.

    Raises:
        UnsupportedError: There is none.
    """
    if device not in (None, "cpu", "gpu"):
        raise InputError(f"`device` must be None, 'cpu' or 'gpu', but is {device!r}.")
    try:
        return jax.devices(device)[0]
    except RuntimeError:
        raise UnsupportedError(
            f"`device` must be present, but JAX finds no {device!r} here. Use device='cpu', or "
            f"install `pip install qdt-emu[cuda12]` on a machine with a GPU."
        ) from None


def pack(
    states: Sequence[GraphState],
    *,
    precision: Precision = "double",
    device: str | None = None,
) -> Batch:
    """Return states of one graph as a batch.

    Real tensors (density operators) stay real. In single precision Schmidt coefficients below 7e-4
    of the largest are lost, in double precision those below 3e-8.
    """
    graph = states[0].graph
    plan = layout(graph)
    bond = power_of_two(max(len(w) for s in states for w in s.weights) if graph.edges else 1)
    full = np.result_type(np.float32, *(t.dtype for t in states[0].tensors))
    if precision == "single":
        full = np.dtype(np.complex64 if full.kind == "c" else np.float32)
    real = np.zeros(0, full).real.dtype
    stacks = []
    for k, degree in enumerate(plan.degrees):
        sites = np.flatnonzero(plan.stack == k).tolist()
        d = states[0].tensors[sites[0]].shape[-1]
        out = np.zeros((len(states) * len(sites), *(bond,) * degree, d), full)
        for c, state in enumerate(states):
            for i, q in enumerate(sites):
                tensor = state.tensors[q]
                place: Any = (c * len(sites) + i, *map(slice, tensor.shape))
                out[place] = tensor
        stacks.append(out)
    weights = np.zeros((len(states), len(graph.edges), bond), real)
    for c, state in enumerate(states):
        for e, w in enumerate(state.weights):
            weights[c, e, : len(w)] = w
    bounds = np.count_nonzero(weights, axis=2).max(axis=0, initial=1)
    logs = [np.array([getattr(s, n) for s in states], real) for n in ("log_norm", "log_fidelity")]
    with jax.enable_x64(True):
        host = (tuple(stacks), weights.reshape(-1, bond), *logs)
        tensors, rows, norms, fidelities = jax.device_put(host, pick(device))
    return Batch(tensors, rows, norms, fidelities, graph, bounds)


def unpack(batch: Batch) -> tuple[GraphState, ...]:
    """Return the copies as states with NumPy arrays, without padding."""
    graph, plan, n = batch.graph, layout(batch.graph), len(batch.graph.edges)
    stacks = [np.asarray(s) for s in batch.stacks]
    out = []
    for c in range(batch.copies):
        weights = np.asarray(batch.weights)[c * n : (c + 1) * n]
        size = np.maximum(1, (weights > 0).sum(1)).tolist()
        tensors = []
        for q, legs in enumerate(graph.legs):
            tensor = stacks[plan.stack[q]][c * plan.sizes[plan.stack[q]] + plan.place[q]]
            tensors.append(tensor[tuple(slice(size[e]) for e in legs)])
        kept = tuple(w[:s] for w, s in zip(weights, size, strict=True))
        logs = float(batch.log_norm[c]), float(batch.log_fidelity[c])
        out.append(GraphState(graph, tuple(tensors), kept, *logs))
    return tuple(out)


def reduced(batch: Batch) -> NDArray[Any]:
    """Return the one-site density matrices of the gauge, shape (copies, n, d, d), trace 1."""
    plan, d = layout(batch.graph), batch.stacks[0].shape[-1]
    out = np.zeros((batch.copies, batch.graph.n, d, d), batch.stacks[0].dtype)
    with on_device(batch):
        for k, stack in enumerate(batch.stacks):
            sites = np.flatnonzero(plan.stack == k)
            legs = leg_rows(
                plan, np.arange(batch.copies).repeat(len(sites)), np.tile(sites, batch.copies)
            )
            rho = np.asarray(kernels.reduced(stack, batch.weights, legs))
            out[:, sites] = rho.reshape(batch.copies, len(sites), d, d)
    return out


@contextmanager
def on_device(batch: Batch) -> Iterator[None]:
    """Work with 64-bit types on the device of a batch."""
    device = next(iter(batch.weights.devices()))
    with jax.enable_x64(True), jax.default_device(device):
        yield


def leg_rows(plan: Layout, copies: Any, sites: Any) -> NDArray[np.int32]:
    """Return the rows of the weights of sites of one degree, shape (m, degree)."""
    degree = plan.degrees[plan.stack[sites[0]]]
    legs: NDArray[np.int32] = copies[:, None] * len(plan.graph.edges) + plan.bonds[sites, :degree]
    return legs


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()
