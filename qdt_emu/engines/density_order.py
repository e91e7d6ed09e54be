"""Order of the fused steps and the memory layout of each: small arrays first, large ones briefly.

A qubit joins an array at its first step and leaves it at its last one. Executing the past cone of
one qubit after another, instead of time order, keeps arrays small: for a brick circuit on 12
qubits with 10 layers the work falls to an eighth of 55 passes over 4^12 numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.density_fuse import Fused, Step

LANES = 128  # two buffers of 16 x 128 numbers fill a 32 kB cache
MAX_TARGETS = 16
MAX_ENTRIES = 1 << 34  # 128 GiB in double precision: beyond this no order is looked for
KEEP = 1 << 18

Axes = tuple[tuple[int, int], ...]
"""(wire, dimension) of each axis, slowest first."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Where the numbers of one step lie.

    Attributes:
        outer: Block positions in input and output, shape (2, blocks).
        rows: Row positions in the output, shape (control values, rows).
        cols: Column positions in the input, shape (control values, cols).
        lanes: Lane positions in input and output, shape (2, n).
    """

    outer: NDArray[np.int64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    lanes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Move:
    """One step on real memory.

    Attributes:
        step: Index of the step in `Fused.steps`.
        sources: Arrays that are multiplied together (outer product, in this order) and consumed.
        target: Array that results.
        axes_in: Axes of the product of the sources.
        axes_out: Axes of the target.
        inputs: Wires that the matrix acts on, first most significant.
        outputs: Wires that it yields, first most significant.
        controls: Control wires; the matrix of control value v is the v-th of the step.
    """

    step: int
    sources: tuple[int, ...]
    target: int
    axes_in: Axes
    axes_out: Axes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    controls: tuple[int, ...]

    @property
    def in_place(self) -> bool:
        """Whether input and output positions agree."""
        return self.axes_in == self.axes_out and self.inputs == self.outputs

    @property
    def flops(self) -> float:
        """Multiplications and additions."""
        rows = volume((w, d) for w, d in self.axes_out if w in self.outputs)
        return 2.0 * volume(self.axes_in) * rows

    @property
    def positions(self) -> Positions:
        """Where the numbers lie; kept for small arrays only, as it takes 1 % of their memory."""
        return self._kept if volume(self.axes_in) <= KEEP else _positions(self)

    @cached_property
    def _kept(self) -> Positions:
        return _positions(self)


def volume(axes: Iterable[tuple[int, int]]) -> int:
    """Return the number of entries of an array with these axes."""
    size = 1
    for _, dim in axes:
        size *= dim
    return size


def order(fused: Fused) -> list[int]:
    """Return the steps in an order of low cost: repeatedly the cheapest past cone of an ending.

    The order ends early where every continuation needs an array of more than 2^34 numbers.

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
        if best is None or best[0] == np.inf:
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
        cost = sizes.apply(steps[k])
        total += cost
        if cost > MAX_ENTRIES:
            return np.inf, [], sizes
        done.append(k)
        for child in children.get(k, ()):
            missing[child] -= 1
            if not missing[child]:
                ready[child] = 0.0
    return total, done, sizes


def layout(steps: tuple[Step, ...], sequence: list[int]) -> list[Move]:
    """Return the steps on real arrays; new axes go in front, so that lanes stay long."""
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
        inputs, outputs = tuple(ins), tuple(w for w, _ in outs)
        ends = (axes_in, axes_out, inputs, outputs, step.controls)
        moves.append(Move(k, tuple(sources), target, *ends))
    return moves


def _positions(move: Move) -> Positions:
    """Return the positions of blocks, rows, columns and lanes of one step."""
    at_in, at_out = _strides(move.axes_in), _strides(move.axes_out)
    dim_in, dim_out = dict(move.axes_in), dict(move.axes_out)
    n = 2 ** len(move.controls)
    cols = _offsets([(at_in[w], dim_in[w]) for w in (*move.controls, *move.inputs)])
    rows = _offsets([(at_out[w], dim_out[w]) for w in (*move.controls, *move.outputs)])
    rest: list[tuple[int, int, int]] = []
    for w, d in move.axes_in:
        if w not in move.inputs and w not in move.controls:
            split = [(2, 2), (1, 2)] if d == 4 else [(1, d)]  # so lanes may end inside an axis
            rest += [(at_in[w] * f, at_out[w] * f, size) for f, size in split]
    cut, lanes = len(rest), 1
    while cut and lanes * rest[cut - 1][2] <= LANES:
        cut -= 1
        lanes *= rest[cut][2]
    both = [
        np.stack([_offsets([(r[side], r[2]) for r in part]) for side in (0, 1)])
        for part in (rest[:cut], rest[cut:])
    ]
    return Positions(both[0], rows.reshape(n, -1), cols.reshape(n, -1), both[1])


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
