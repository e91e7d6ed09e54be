"""Circuits laid out on a chain: which steps, how large the bonds may become, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.engines.chain import Chain, Pair, Route, arrange, route
from qdt_emu.engines.phases import is_phase, joined, pair_of
from qdt_emu.engines.statevector_blocks import Block, gather
from qdt_emu.engines.unravel import Program, flat, parted

Sites = tuple[int, int, int]
Growth = tuple[float, float, float, float]

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
        kept: Qubits whose final state is asked for.
        program: Its blocks, in order of execution.
        chain: Qubits in a row.
        route: Blocks and swaps; blocks numbered as in `program`.
        sites: Where each step acts, see `placed`.
        limit: Most Schmidt coefficients at each bond, the ends included, shape (n + 1,).
        likely: log2 of the bonds (left, middle, right) before each step, and by how much it makes
            the middle one grow, if every two-qubit unitary has rank 2; of each bond in turn for a
            step from afar.
        crowded: Share of the steps on two sites that meet a bond as large as asked for.
        exact: Whether no bond can become larger than asked for.
        trusting: Whether idle phases must be diagonal.
    """

    structure: Structure
    kept: tuple[int, ...]
    program: Program
    chain: Chain
    route: Route
    sites: tuple[Sites, ...]
    limit: tuple[int, ...]
    likely: tuple[Growth, ...]
    crowded: float
    exact: bool
    trusting: bool


def compile_chain(
    structure: Structure, kept: tuple[int, ...], max_bond: int, *, trusting: bool = True
) -> Compiled:
    """Return a circuit laid out on a chain.

    Args:
        structure: The circuit.
        kept: Qubits whose final state is asked for, see `unravel.parted`.
        max_bond: Most Schmidt coefficients kept at a cut.
        trusting: Whether idle phases are diagonal. They are then joined to larger blocks, and
            those between qubits that stand apart on the chain act from afar.
    """
    operations, leaf, wanted = parted(structure, kept)
    chain = arrange(structure.n_qubits, _entangling(operations, trusting=trusting))
    blocks = gather(
        structure,
        joined(operations) if trusting else operations,
        wanted,
        apart=lambda op: trusting and is_phase(op) and _distance(chain.site, op) > 1,
    )
    path = route(blocks, chain)
    executed = [k for k, _ in path.steps if k >= 0]
    number = {k: new for new, k in enumerate(executed)}
    steps = tuple((number.get(k, -1), site) for k, site in path.steps)
    ordered = [blocks[k] for k in executed]
    program = flat(structure, ordered, leaf)
    renumbered = Route(steps, path.start, path.final)
    sites = placed(ordered, renumbered)
    n = structure.n_qubits
    most, _ = growth(ordered, sites, n=n, ranks=(GENERIC, {}))
    idle = {op.slot: WEAK for op in structure.operations if is_phase(op)}
    _, likely = growth(ordered, sites, n=n, ranks=(NATIVE, idle), most=np.log2(max_bond))
    limit = tuple(min(max_bond, 1 << min(LARGEST, m)) for m in most)
    full = np.log2(max_bond)
    pairs = [middle >= full - 1e-9 for _, middle, right, _ in likely if right >= 0]
    crowded = sum(pairs) / max(1, len(pairs))
    exact = max(most) <= full
    return Compiled(
        structure, kept, program, chain, renumbered, sites, limit, likely, crowded, exact, trusting
    )


def _entangling(operations: list[Operation], *, trusting: bool) -> dict[Pair, float]:
    """Return log2 of the rank of all that happens to each pair of qubits."""
    out: dict[Pair, float] = {}
    for op in operations:
        if len(op.qubits) == 2:
            weight = WEAK if trusting and is_phase(op) else NATIVE
            out[pair_of(op)] = out.get(pair_of(op), 0.0) + weight
    return out


def _distance(site: tuple[int, ...], op: Operation) -> int:
    a, b = op.qubits
    return abs(site[a] - site[b])


def placed(blocks: list[Block], path: Route) -> tuple[Sites, ...]:
    """Return (block, site of its first qubit, site of its second) of each step.

    The second is -1 for a block on one qubit; a swap is block -1 and has its left site first.
    """
    at = list(path.start)
    on = {site: q for q, site in enumerate(at)}
    out = []
    for k, left in path.steps:
        if k < 0:
            a, b = on[left], on[left + 1]
            on[left], on[left + 1], at[a], at[b] = b, a, left + 1, left
            out.append((k, left, left + 1))
        else:
            first, second = (*(at[q] for q in blocks[k].qubits), -1)[:2]
            out.append((k, first, second))
    return tuple(out)


def growth(
    blocks: list[Block],
    sites: Sequence[Sites],
    *,
    n: int,
    ranks: tuple[float, dict[int, float]],
    most: float = LARGEST,
) -> tuple[list[int], tuple[Growth, ...]]:
    """Return log2 of the largest dimension of each bond, and what each step meets and adds.

    Args:
        blocks: In order of execution.
        sites: See `placed`.
        n: Number of sites.
        ranks: log2 of the operator-Schmidt rank of a two-qubit unitary, and of some slots.
        most: log2 of the largest bond.
    """
    bond: list[float] = [0.0] * (n + 1)
    peak: list[float] = [0.0] * (n + 1)
    seen = []
    for block, a, b in sites:
        if b < 0:
            seen.append((bond[a], bond[a + 1], -1.0, 0.0))
            continue
        gates = () if block < 0 else blocks[block].items
        pairs = (i.slot for i in gates if i.kind == Kind.UNITARY and len(i.qubits) == 2)
        grows = 2.0 if block < 0 else min(2.0, sum(ranks[1].get(s, ranks[0]) for s in pairs))
        for k in range(min(a, b), max(a, b)):
            seen.append((bond[k], bond[k + 1], bond[k + 2], grows))
            around = min(bond[k] + 1, bond[k + 2] + 1) if abs(a - b) == 1 else most
            bond[k + 1] = min(around, k + 1, n - k - 1, most, bond[k + 1] + grows)
            peak[k + 1] = max(peak[k + 1], bond[k + 1])
    return [int(np.ceil(p)) for p in peak], tuple(seen)


def cost(compiled: Compiled, paulis: int) -> float:
    """Return seconds of one trajectory with one sample, or with `paulis` expectation values.

    Error:
        A factor of 2 on the machine of the constants, where no work is shared and no bond small.
    """
    likely = np.array(compiled.likely, float).reshape(-1, 4)
    pair = likely[:, 2] >= 0
    left, middle, right = 2.0 ** likely[pair, :3].T
    weak = likely[:, 3] < NATIVE
    flops = 32 * left * right * (2 * middle + 4)
    flops += 200 * np.where(weak[pair], 0.0, np.minimum(left, right) ** 3)
    seconds = TRAJECTORY + STEP * float(np.where(weak, 0.5, 1.0).sum()) + FLOP * float(flops.sum())
    most = np.minimum(np.array(compiled.limit, float), 2 * middle.max(initial=1.0))
    sweep = float((most[:-1] ** 2 * most[1:]).sum())
    return seconds + FLOP * sweep * (40 + 3 * paulis)


def room_bytes(compiled: Compiled, dtype: Any) -> int:
    """Return the bytes of one thread.

    Two states, the largest product of two sites, six times, and a matrix for each bond that a step
    from afar crosses.
    """
    bonds = np.array(compiled.limit, np.int64)
    size = 2 * 2 * int(bonds[:-1] @ bonds[1:]) + 6 * 4 * int(bonds.max(initial=1)) ** 2
    if any(abs(a - b) > 1 for _, a, b in compiled.sites if b >= 0):
        size += int(bonds @ bonds)
    return int(size * np.dtype(dtype).itemsize)
