"""Where to draw the qubits of a processor, from its coupling graph alone."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Place = tuple[float, float]
Edge = tuple[int, int]


def places(qubits: Iterable[int], edges: Iterable[Edge]) -> dict[int, Place]:
    """Return a place (x, y) for each qubit, y downwards.

    Processors numbered row by row (IBM Eagle and Heron, square grids, chains) come out as their
    data sheet draws them; others by stress majorisation of the graph distances.
    """
    nodes = sorted(set(qubits))
    known = set(nodes)
    pairs = {(min(e), max(e)) for e in edges if e[0] in known and e[1] in known and e[0] != e[1]}
    neighbours: dict[int, list[int]] = {q: [] for q in nodes}
    for a, b in sorted(pairs):
        neighbours[a].append(b)
        neighbours[b].append(a)
    out: dict[int, Place] = {}
    right = 0.0
    for part in _parts(nodes, neighbours):
        drawn = _rows(part, neighbours) or _stress(part, neighbours)
        if np.ptp([y for _, y in drawn.values()]) > 1.2 * np.ptp([x for x, _ in drawn.values()]):
            drawn = {q: (y, x) for q, (x, y) in drawn.items()}  # screens are wider than high
        left = min(x for x, _ in drawn.values())
        top = min(y for _, y in drawn.values())
        out |= {q: (x - left + right, y - top) for q, (x, y) in drawn.items()}
        right = max(x for x, _ in out.values()) + 1.5
    return out


def _parts(nodes: list[int], neighbours: Mapping[int, list[int]]) -> list[list[int]]:
    seen: set[int] = set()
    parts = []
    for first in nodes:
        if first not in seen:
            parts.append(sorted(_distances(first, neighbours)))
            seen |= set(parts[-1])
    return parts


def _distances(first: int, neighbours: Mapping[int, list[int]]) -> dict[int, int]:
    far, queue = {first: 0}, deque([first])
    while queue:
        q = queue.popleft()
        for other in neighbours[q]:
            if other not in far:
                far[other] = far[q] + 1
                queue.append(other)
    return far


def _rows(part: list[int], neighbours: Mapping[int, list[int]]) -> dict[int, Place]:
    """Place consecutive numbers in a row, other neighbours below; empty if that does not fit."""
    at: dict[int, Place] = {part[0]: (0.0, 0.0)}
    queue = deque([part[0]])
    while queue:
        q = queue.popleft()
        for other in neighbours[q]:
            step = other - q
            x, y = at[q]
            place = (x + step, y) if abs(step) == 1 else (x, y + (1 if step > 0 else -1))
            if other not in at:
                at[other] = place
                queue.append(other)
            elif at[other] != place:
                return {}
    return at if len(set(at.values())) == len(at) else {}


def _stress(part: list[int], neighbours: Mapping[int, list[int]]) -> dict[int, Place]:
    r"""Minimise $\sum_{ij} (|x_i - x_j| - d_{ij})^2 / d_{ij}^2$, then turn edges to the axes.

    Source:
        Gansner, Koren, North, Graph Drawing 2004, section 2 (majorisation); started from classical
        scaling, so the result does not depend on a random start.
    """
    n, index = len(part), {q: i for i, q in enumerate(part)}
    if n == 1:
        return {part[0]: (0.0, 0.0)}
    far = np.zeros((n, n))
    for q in part:
        for other, d in _distances(q, neighbours).items():
            far[index[q], index[other]] = d
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ far**2 @ centre)
    x = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-3))
    # Twins of the graph start at one place and would stay there; a spiral parts them.
    spiral = 2.4 * np.arange(n)
    x = x + 0.05 * np.stack([np.cos(spiral), np.sin(spiral)], axis=1)
    weights = 1 / np.where(far > 0, far, np.inf) ** 2
    inverse = np.linalg.pinv(np.diag(weights.sum(1)) - weights)
    for _ in range(200):
        gap = np.linalg.norm(x[:, None] - x[None], axis=-1)
        pull = -weights * far / np.where(gap > 1e-9, gap, np.inf)
        np.fill_diagonal(pull, 0.0)
        np.fill_diagonal(pull, -pull.sum(1))
        x = inverse @ (pull @ x)
    x = _turned(x, [(index[a], index[b]) for a in part for b in neighbours[a] if a < b])
    return {q: (float(x[i, 0]), float(x[i, 1])) for q, i in index.items()}


def _turned(x: NDArray[np.float64], edges: list[Edge]) -> NDArray[np.float64]:
    """Turn so that most edges are parallel to an axis."""
    ends = np.array(edges)
    steps = x[ends[:, 1]] - x[ends[:, 0]]
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turn = -np.angle(np.exp(4j * angles).sum()) / 4
    c, s = np.cos(turn), np.sin(turn)
    turned: NDArray[np.float64] = x @ np.array([[c, s], [-s, c]])
    return turned
