"""The graph of kept Pauli strings: recorded once, evaluated and differentiated for new matrices.

A node is a string at one time; an edge (from, to, weight) adds `weight * value` of one node to
another. Edges stand in the order of action, so one pass over them evaluates the graph and one pass
back differentiates it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.pauli_strings import (
    Bytes,
    Ints,
    Places,
    Words,
    code_at,
    gathered,
    outside,
    touched,
    weight,
)

Floats = NDArray[np.float64]
Edges = NDArray[np.int32]

NODES, EDGES, LIVE = 0, 1, 2
FULL = -1


@njit(cache=True, nogil=True, error_model="numpy")
def record(
    keys: Words,
    coefs: Floats,
    node: Places,
    place: Words,
    width: Ints,
    matrices: Floats,
    moving: Bytes,
    weights: Ints,
    threshold: float,
    edges: Edges,
    count: Ints,
) -> float:
    """Carry a string back through all maps and record what is kept.

    Args:
        keys: Strings, shape (room, words); the first is the observable.
        coefs: Coefficients, shape (room,).
        node: Node of each string, shape (room,). Node 0 is the identity.
        place: Where each map acts, latest map first, shape (maps, 6), see `code_at`.
        width: Rows of each map's own matrix, 4 or 16, shape (maps,).
        matrices: From code to code, shape (rows, 16, 16).
        moving: Whether a code takes part, shape (rows, 16).
        weights: Place of each row's own matrix among the weights, shape (rows,).
        threshold: Strings with smaller coefficients are dropped.
        edges: Overwritten from `count[EDGES]` on: from, to, weight; shape (room for edges, 3).
        count: Nodes, edges and live strings; raised. Edges become `FULL` when there is no room.

    Returns:
        The sum of |c| dropped.
    """
    room, words = keys.shape
    todo, heads = np.empty(room + 1, np.int32), np.empty(room, np.int32)
    links = np.empty(room, np.int32)
    table = np.zeros(1 << 1 + int(np.ceil(np.log2(room))), np.uint64)
    clear, out = np.empty(words, np.uint64), np.empty(16)
    base, lost = np.empty(words, np.uint64), 0.0
    for m in range(place.shape[0]):
        where, row = place[m], np.int64(place[m, 5])
        changed = touched(keys, count[LIVE], where, moving, todo)
        if changed == 0:
            continue
        outside(where, clear)
        groups = gathered(keys, todo, changed, clear, m + 1, heads, links, table)
        before = count[LIVE]
        if before + 16 * groups > room or count[EDGES] + 16 * changed > edges.shape[0]:
            count[EDGES] = FULL
            return lost
        for g in range(groups):
            out[:] = 0.0
            for w in range(words):
                base[w] = keys[todo[heads[g]], w] & clear[w]
            t = np.int64(heads[g])
            while t >= 0:
                code = np.int64(code_at(keys, todo[t], where))
                for j in range(16):
                    out[j] += coefs[todo[t]] * matrices[row, code, j]
                t = np.int64(links[t])
            empty = weight(base) == 0
            for j in range(16):
                if out[j] == 0.0:
                    continue
                if abs(out[j]) < threshold and not (empty and j == 0):
                    lost += abs(out[j])
                    continue
                target = 0
                if not (empty and j == 0):
                    i = count[LIVE]
                    target = count[NODES]
                    count[LIVE] += 1
                    count[NODES] += 1
                    coefs[i], node[i] = out[j], target
                    for w in range(words):
                        keys[i, w] = base[w]
                    keys[i, where[0]] |= np.uint64(j >> 2) << where[1]
                    keys[i, where[3]] |= np.uint64(j & 3) << where[4]
                t = np.int64(heads[g])
                while t >= 0:
                    code = np.int64(code_at(keys, todo[t], where))
                    if matrices[row, code, j] != 0.0:
                        e = count[EDGES]
                        edges[e, 0], edges[e, 1] = node[todo[t]], target
                        edges[e, 2] = weights[row] + width[m] * code + j
                        count[EDGES] += 1
                    t = np.int64(links[t])
        for t in range(changed):  # type: ignore[assignment]
            coefs[todo[t]] = 0.0
        kept = 0
        for i in range(count[LIVE]):
            if coefs[i] != 0.0:
                coefs[kept], node[kept] = coefs[i], node[i]
                for w in range(words):
                    keys[kept, w] = keys[i, w]
                kept += 1
        count[LIVE] = kept
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(edges: Edges, weights: Floats, nodes: Floats) -> None:
    """Add up the values of all nodes; those of observables are 1 on entry, all others 0."""
    for e in range(edges.shape[0]):
        nodes[edges[e, 1]] += nodes[edges[e, 0]] * weights[edges[e, 2]]


@njit(cache=True, nogil=True, error_model="numpy")
def differentiate(
    edges: Edges, weights: Floats, nodes: Floats, slopes: Floats, out: Floats
) -> None:
    """Add derivatives by the weights, from those by the nodes at the end of the graph.

    Args:
        edges: Of the graph.
        weights: As in `evaluate`.
        nodes: What `evaluate` made.
        slopes: Derivative by each node where it ends, changed in place.
        out: Derivative by each weight, raised.
    """
    for k in range(edges.shape[0]):
        e = edges.shape[0] - 1 - k
        source, slope = edges[e, 0], slopes[edges[e, 1]]
        out[edges[e, 2]] += nodes[source] * slope
        slopes[source] += slope * weights[edges[e, 2]]
