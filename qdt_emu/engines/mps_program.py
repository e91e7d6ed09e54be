"""Circuits laid out on a chain: which steps, how large the bonds may become, and what it costs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qdt_emu.circuit import Kind, Structure
from qdt_emu.engines.chain import Chain, Route, arrange, couplings, route
from qdt_emu.engines.statevector_blocks import Block
from qdt_emu.engines.unravel import Program, blocks_of, flat

LARGEST = 40  # log2 of bonds, to keep bounds finite
TRAJECTORY, STEP = 4e-4, 3e-5  # s
FLOP = 1 / 1.2e10  # s, one Zen core
GENERIC, NATIVE, WEAK = 2.0, 1.0, 0.05
"""log2 of how a bond grows: by any two-qubit unitary at most, by CX, CZ and ECR, by idle ZZ."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A circuit on a chain.

    Attributes:
        structure: The circuit.
        program: Its blocks, in order of execution.
        chain: Qubits in a row.
        route: Blocks and swaps; blocks numbered as in `program`.
        limit: Most Schmidt coefficients at each bond, the ends included, shape (n + 1,).
        likely: log2 of the bonds (left, middle, right) before each step, if every two-qubit
            unitary has rank 2.
        crowded: Share of the steps on two sites that meet a bond as large as asked for.
        exact: Whether no bond can become larger than asked for.
    """

    structure: Structure
    program: Program
    chain: Chain
    route: Route
    limit: tuple[int, ...]
    likely: tuple[tuple[float, float, float], ...]
    crowded: float
    exact: bool


def compile_chain(structure: Structure, kept: tuple[int, ...], max_bond: int) -> Compiled:
    """Return a circuit laid out on a chain; see `unravel.blocks_of` for `kept`."""
    blocks, leaf = blocks_of(structure, kept)
    chain = arrange(structure.n_qubits, couplings(blocks))
    path = route(blocks, chain)
    executed = [k for k, _ in path.steps if k >= 0]
    number = {k: new for new, k in enumerate(executed)}
    steps = tuple((number.get(k, -1), site) for k, site in path.steps)
    ordered = [blocks[k] for k in executed]
    program = flat(structure, ordered, leaf)
    renumbered = Route(steps, path.start, path.final)
    most, _ = growth(ordered, renumbered, (GENERIC, {}), None)
    idle = {
        op.slot: WEAK
        for op in structure.operations
        if op.mechanism == "zz" and len(op.qubits) == 2 and op.kind is Kind.UNITARY
    }
    _, likely = growth(ordered, renumbered, (NATIVE, idle), np.log2(max_bond))
    limit = tuple(min(max_bond, 1 << min(LARGEST, m)) for m in most)
    full = np.log2(max_bond)
    pairs = [middle >= full - 1e-9 for _, middle, right in likely if right >= 0]
    crowded = sum(pairs) / max(1, len(pairs))
    exact = max(most) <= full
    return Compiled(structure, program, chain, renumbered, limit, likely, crowded, exact)


def growth(
    blocks: list[Block],
    path: Route,
    ranks: tuple[float, dict[int, float]],
    most: float | None,
) -> tuple[list[int], tuple[tuple[float, float, float], ...]]:
    """Return log2 of the largest dimension of each bond, and of the bonds before each step.

    Args:
        blocks: In order of execution.
        path: The steps.
        ranks: log2 of the operator-Schmidt rank of a two-qubit unitary, and of some slots.
        most: log2 of the largest bond; None for no limit but 2**40.
    """
    n = len(path.start)
    ends = [min(k, n - k) for k in range(n + 1)]
    cap = LARGEST if most is None else most
    bond: list[float] = [0.0] * (n + 1)
    peak: list[float] = [0.0] * (n + 1)
    seen = []
    for block, k in path.steps:
        alone = block >= 0 and len(blocks[block].qubits) == 1
        seen.append((bond[k], bond[k + 1], -1.0 if alone else bond[k + 2]))
        if alone:
            continue
        gates = () if block < 0 else blocks[block].items
        pairs = (i.slot for i in gates if i.kind == Kind.UNITARY and len(i.qubits) == 2)
        grows = 2.0 if block < 0 else min(2.0, sum(ranks[1].get(s, ranks[0]) for s in pairs))
        around = min(bond[k] + 1, bond[k + 2] + 1, ends[k + 1], cap)
        bond[k + 1] = min(around, bond[k + 1] + grows)
        peak[k + 1] = max(peak[k + 1], bond[k + 1])
    return [int(np.ceil(p)) for p in peak], tuple(seen)


def cost(compiled: Compiled, paulis: int) -> float:
    """Return seconds of one trajectory with one sample, or with `paulis` expectation values.

    Error:
        A factor of 2 on the machine of the constants, where no work is shared and no bond small.
    """
    bonds = 2.0 ** np.array(compiled.likely, float).reshape(-1, 3)
    pair = bonds[:, 2] > 0.6
    left, middle, right = bonds[pair].T
    flops = 32 * left * right * (2 * middle + 4) + 200 * np.minimum(left, right) ** 3
    seconds = TRAJECTORY + STEP * len(bonds) + FLOP * float(flops.sum())
    most = np.minimum(np.array(compiled.limit, float), 2 * middle.max(initial=1.0))
    sweep = float((most[:-1] ** 2 * most[1:]).sum())
    return seconds + FLOP * sweep * (40 + 3 * paulis)


def room_bytes(compiled: Compiled, dtype: Any) -> int:
    """Return the bytes of one thread: two states and the largest product of two sites, thrice."""
    bonds = np.array(compiled.limit, np.int64)
    size = 2 * 2 * int(bonds[:-1] @ bonds[1:]) + 6 * 4 * int(bonds.max(initial=1)) ** 2
    return int(size * np.dtype(dtype).itemsize)
