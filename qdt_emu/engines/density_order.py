"""Order of the fused steps and the memory layout of each: small arrays first, large ones briefly.

A qubit joins an array at its first step and leaves it at its last one. Executing the past cone of
one qubit after another, instead of time order, keeps arrays small: for a brick circuit on 12
qubits with 10 layers the work falls to an eighth of 55 passes over 4^12 numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.density_fuse import Fused, Step

LANES = 128  # two buffers of 16 x 128 numbers fill a 32 kB cache
MAX_TARGETS = 16

Axes = tuple[tuple[int, int], ...]
"""(wire, dimension) of each axis, slowest first."""


@dataclass(frozen=True, eq=False)
class Move:
    """One step on real memory.

    Attributes:
        step: Index of the step in `Program.steps`.
        sources: Arrays that are multiplied together (outer product, in this order) and consumed.
        target: Array that results.
        axes_in: Axes of the product of the sources.
        axes_out: Axes of the target.
        inputs: Wires that the matrix acts on, first most significant.
        outputs: Wires that it yields, first most significant.
        controls: Control wires; the matrix of control value v is the v-th of the step.
        outer: Block positions in input and output, shape (2, blocks).
        rows: Row positions in the output, shape (control values, rows).
        cols: Column positions in the input, shape (control values, cols).
        lanes: Lane positions in input and output, shape (2, n).
        in_place: Input and output positions agree.
    """

    step: int
    sources: tuple[int, ...]
    target: int
    axes_in: Axes
    axes_out: Axes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    controls: tuple[int, ...]
    outer: NDArray[np.int64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    lanes: NDArray[np.int64]
    in_place: bool


def volume(axes: Iterable[tuple[int, int]]) -> int:
    """Return the number of entries of an array with these axes."""
    size = 1
    for _, dim in axes:
        size *= dim
    return size


def order(fused: Fused) -> list[int]:
    """Return the steps in an order of low cost: repeatedly the cheapest past cone of an ending.

    Cost:
        Simulated sizes only; about 2 us * endings^2 * steps / 2.
    """
    parents = _parents(fused.steps)
    past = [0] * len(parents)
    for k, above in enumerate(parents):
        past[k] = 1 << k
        for p in above:
            past[k] |= past[p]
    targets = [k for k, s in enumerate(fused.steps) if len(s.outputs()) < 2 or _ends(s)]
    left, sizes = (1 << len(parents)) - 1, _Sizes({}, {})
    done: list[int] = []
    while left:
        targets = [k for k in targets if left >> k & 1]
        near = sorted(targets, key=lambda k: (past[k] & left).bit_count())[:MAX_TARGETS]
        best: tuple[float, list[int], _Sizes] | None = None
        for k in near or [left.bit_length() - 1]:
            found = _cone(fused.steps, parents, past[k] & left, sizes)
            if best is None or found[0] < best[0]:
                best = found
        if best is None:
            break
        done += best[1]
        sizes = best[2]
        for k in best[1]:
            left &= ~(1 << k)
    return done


def _ends(step: Step) -> bool:
    return step.total or step.pair >= 0 or any(step.ends)


def _parents(steps: tuple[Step, ...]) -> list[set[int]]:
    """Return what each step waits for: the last steps on its wires, the writers of its records."""
    last: dict[int, int] = {}
    users: dict[int, set[int]] = {}
    parents: list[set[int]] = []
    for k, step in enumerate(steps):
        above = {last[w] for w in (*step.wires, *step.controls) if w in last}
        if step.total or step.pair >= 0:
            for w in step.wires:
                above |= users.get(w, set())
        parents.append(above)
        for w in step.controls:
            users.setdefault(w, set()).add(k)
        for w, _ in step.outputs():
            last[w] = k
    return parents


@dataclass
class _Sizes:
    """Which wires share an array, and how large the arrays are: the state of the simulation."""

    group: dict[int, int]
    axes: dict[int, dict[int, int]]

    def copy(self) -> "_Sizes":
        return _Sizes(dict(self.group), {k: dict(v) for k, v in self.axes.items()})

    def after(self, step: Step) -> tuple[set[int], dict[int, int], float]:
        """Return arrays joined by a step, axes of the result, and its cost in entries moved."""
        wires = (*(w for w, _ in step.inputs()), *step.controls)
        joined = {self.group[w] for w in wires}
        axes = {w: d for g in joined for w, d in self.axes[g].items()}
        before = volume(axes.items())
        gone = {w for w, _ in step.inputs()}
        axes = {w: d for w, d in axes.items() if w not in gone} | dict(step.outputs())
        return joined, axes, max(before, volume(axes.items())) * (1 + 0.5 * (len(joined) > 1))

    def apply(self, step: Step) -> float:
        """Carry out a step and return its cost."""
        joined, axes, cost = self.after(step)
        for g in joined:
            del self.axes[g]
        new = max([*self.axes, *joined, -1]) + 1
        self.axes[new] = axes
        for w, _ in step.inputs():
            self.group.pop(w, None)
        for w in axes:
            self.group[w] = new
        return cost


def _cone(
    steps: tuple[Step, ...], parents: list[set[int]], cone: int, sizes: _Sizes
) -> tuple[float, list[int], _Sizes]:
    """Return cost, order and sizes after the steps of `cone`, always the smallest result next."""
    sizes, total, done = sizes.copy(), 0.0, []
    waiting = [k for k in range(cone.bit_length()) if cone >> k & 1]
    inside = set(waiting)
    missing = {k: len(parents[k] & inside) for k in waiting}
    children: dict[int, list[int]] = {}
    for k in waiting:
        for p in parents[k] & inside:
            children.setdefault(p, []).append(k)
    ready = {k: 0.0 for k in waiting if not missing[k]}
    while ready:
        ready = {k: sizes.after(steps[k])[2] for k in ready}
        k = min(ready, key=lambda k: (ready[k], k))
        del ready[k]
        total += sizes.apply(steps[k])
        done.append(k)
        for child in children.get(k, ()):
            missing[child] -= 1
            if not missing[child]:
                ready[child] = 0.0
    return total, done, sizes


def layout(steps: tuple[Step, ...], sequence: list[int]) -> list[Move]:
    """Return where every number of every step lies; new axes go in front, so lanes stay long."""
    arrays: dict[int, Axes] = {}
    moves: list[Move] = []
    for target, k in enumerate(sequence):
        step = steps[k]
        ins, outs = dict(step.inputs()), step.outputs()
        touched = {*ins, *step.controls}
        sources = [a for a, axes in arrays.items() if touched & {w for w, _ in axes}]
        sources.sort(key=lambda a: volume(arrays[a]))
        axes_in = tuple(axis for a in sources for axis in arrays.pop(a))
        stay = {w for w, _ in axes_in}
        renamed = dict(outs)
        axes_out = tuple(axis for axis in outs if axis[0] not in stay) + tuple(
            (w, renamed.get(w, d)) for w, d in axes_in if w not in ins or w in renamed
        )
        arrays[target] = axes_out
        moves.append(_move(k, step, tuple(sources), target, axes_in, axes_out))
    return moves


def _move(
    k: int, step: Step, sources: tuple[int, ...], target: int, axes_in: Axes, axes_out: Axes
) -> Move:
    """Return the positions of blocks, rows, columns and lanes of one step."""
    at_in, at_out = _strides(axes_in), _strides(axes_out)
    ins, outs = step.inputs(), step.outputs()
    local = {w for w, _ in ins} | set(step.controls)
    control = [(w, 2) for w in step.controls]
    cols = _offsets([(at_in[w], d) for w, d in [*control, *ins]]).reshape(2 ** len(control), -1)
    rows = _offsets([(at_out[w], d) for w, d in [*control, *outs]]).reshape(2 ** len(control), -1)
    rest: list[tuple[int, int, int]] = []
    for w, d in axes_in:
        if w not in local:  # dimension 4 counts as 2 x 2, so that lanes may end inside an axis
            split = [(2, 2), (1, 2)] if d == 4 else [(1, d)]
            rest += [(at_in[w] * f, at_out[w] * f, n) for f, n in split]
    cut, n = len(rest), 1
    while cut and n * rest[cut - 1][2] <= LANES:
        cut -= 1
        n *= rest[cut][2]
    both = [
        np.stack([_offsets([(r[s], r[2]) for r in part]) for s in (0, 1)])
        for part in (rest[:cut], rest[cut:])
    ]
    return Move(
        step=k,
        sources=sources,
        target=target,
        axes_in=axes_in,
        axes_out=axes_out,
        inputs=tuple(w for w, _ in ins),
        outputs=tuple(w for w, _ in outs),
        controls=step.controls,
        outer=both[0],
        rows=rows,
        cols=cols,
        lanes=both[1],
        in_place=axes_in == axes_out and ins == outs,
    )


def _strides(axes: Axes) -> dict[int, int]:
    out, stride = {}, 1
    for wire, dim in reversed(axes):
        out[wire] = stride
        stride *= dim
    return out


def _offsets(pairs: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Return sum of index * stride over all indices, first axis slowest."""
    out = np.zeros(1, np.int64)
    for stride, dim in pairs:
        out = (out[:, None] + stride * np.arange(dim)).ravel()
    return out
