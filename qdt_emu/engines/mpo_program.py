"""The program of the `mpo` engine: transfer matrices on neighbouring sites of a line."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines import transfer
from qdt_emu.engines.chain import arrange, couplings, route
from qdt_emu.engines.statevector_blocks import Block
from qdt_emu.engines.transfer import Transfer

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

SWAP, ONE = -1, 0
"""In `Program.moves`: the row of a swap; the third column of a map on one qubit."""


@dataclass(frozen=True, eq=False)
class Program:
    """Maps in order of execution, each on one site or on two neighbours.

    Attributes:
        transfer: The matrices without their numbers.
        moves: (left site, row or SWAP, kind), shape (k, 3); the kind is ONE for a map on one site,
            1 for a map whose first qubit is the left one, -1 for one whose first is the right.
        start: Site of each qubit at the beginning.
        final: Site of each qubit at the end.
    """

    transfer: Transfer
    moves: Index
    start: tuple[int, ...]
    final: tuple[int, ...]

    @property
    def swaps(self) -> int:
        """Number of swaps."""
        return int(np.count_nonzero(self.moves[:, 1] == SWAP))


@lru_cache(maxsize=64)
def program(structure: Structure) -> Program:
    """Return the program of a structure.

    Raises:
        UnsupportedError: An operation depends on measured bits.
    """
    found = transfer.steps(structure)
    blocks: list[Block] = []
    last: dict[int, int] = {}
    for k, (qubits, _) in enumerate(found.steps):
        blocks.append(Block(qubits, before={last[q] for q in qubits if q in last}))
        last.update(dict.fromkeys(qubits, k))
    path = route(blocks, arrange(structure.n_qubits, couplings(blocks)))
    order = [int(q) for q in np.argsort(path.start)]
    moves = np.zeros((len(path.steps), 3), np.int64)
    for k, (block, site) in enumerate(path.steps):
        if block < 0:
            moves[k] = site, SWAP, 1
            order[site : site + 2] = order[site + 1], order[site]
            continue
        qubits, row = found.steps[block]
        kind = ONE if len(qubits) == 1 else 1 if order[site] == qubits[0] else -1
        moves[k] = site, row, kind
    return Program(found, moves, path.start, path.final)


@lru_cache(maxsize=64)
def recorded(structure: Structure) -> tuple[Program, Index]:
    """Return the program that leads to the record, and (qubit, confusion slot) of each clbit.

    Raises:
        UnsupportedError: See `transfer.steps` and `transfer.recorded`.
    """
    body, read = transfer.recorded(structure)
    return program(body), read


def placed(prog: Program, ones: Floats, twos: Floats) -> list[Floats]:
    """Return the matrix of each move, (4, 4) or (16, 16), the left site most significant.

    Args:
        prog: The moves.
        ones: Matrices of the rows on one qubit, see `transfer.matrices`.
        twos: Those on two qubits.
    """
    turned = twos[:, tables.SWAP][:, :, tables.SWAP]
    exchange = np.eye(16)[tables.SWAP]
    out: list[Floats] = []
    for _, row, kind in prog.moves.tolist():
        if row == SWAP:
            out.append(exchange)
        else:
            out.append((ones if kind == ONE else twos if kind > 0 else turned)[row])
    return out


def cone(prog: Program, support: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which moves can change an observable with the given support at the end.

    All maps preserve the trace, so whatever lies outside of the backward light cone leaves exactly
    1 on every observable in it.

    Args:
        prog: The moves.
        support: Which sites the observable acts on, shape (n,).
    """
    live = support.copy()
    kept = np.zeros(len(prog.moves), bool)
    for k in range(len(prog.moves) - 1, -1, -1):
        site, row, kind = prog.moves[k].tolist()
        if kind == ONE:
            kept[k] = live[site]
            continue
        pair = live[site : site + 2]
        kept[k] = pair.any()
        live[site : site + 2] = pair[::-1].copy() if row == SWAP else pair.any()
    return kept


def felt(prog: Program, supports: NDArray[np.bool_], cuts: Floats) -> Floats:
    """Return the sum of the cuts that can matter to observables, shape (m,).

    A cut that leaves all operators on either side of its bond as they are cannot change an
    observable whose light cone, at that time, is on one side.

    Args:
        prog: The moves.
        supports: Which sites each observable acts on at the end, shape (m, n).
        cuts: Of each move, shape (k,).
    """
    live = supports.copy()
    n = live.shape[1]
    low = np.where(live.any(1), live.argmax(1), n)
    high = np.where(live.any(1), n - 1 - live[:, ::-1].argmax(1), -1)
    out = np.zeros(len(live))
    for k in range(len(prog.moves) - 1, -1, -1):
        site, _, kind = prog.moves[k].tolist()
        if kind == ONE:
            continue
        out += cuts[k] * ((low <= site) & (site < high))
        met = live[:, site] | live[:, site + 1]
        live[:, site : site + 2] = met[:, None]
        low = np.where(met, np.minimum(low, site), low)
        high = np.where(met, np.maximum(high, site + 1), high)
    return out


def bonds(prog: Program, kept: NDArray[np.bool_], cap: int) -> tuple[list[tuple[int, int]], int]:
    """Return the outer bonds (left, right) that each kept move may meet, and the largest bond.

    A bond is at most four times its neighbours, and after a truncation at most `cap`.
    """
    n = len(prog.start)
    bond = [1] * (n + 1)
    met, largest = [], 1
    for site, _, kind in prog.moves[kept].tolist():
        if kind == ONE:
            continue
        left, right = bond[site], bond[site + 2]
        met.append((left, right))
        largest = max(largest, 4 * min(left, right))
        bond[site + 1] = min(16 * bond[site + 1], 4 * left, 4 * right, cap)
    return met, largest


def mean_field(prog: Program, matrices: list[Floats], start: Floats) -> tuple[Floats, Floats]:
    """Return the Pauli vectors of the sites before each move, (k, 2, 4), and at the end, (n, 4).

    Every site is kept as a product with the others; what a map correlates is forgotten.

    Args:
        prog: The moves.
        matrices: Their matrices, see `placed`.
        start: Tr(P rho) of each site, shape (n, 4).
    """
    bloch = np.array(start, float)
    before = np.zeros((len(matrices), 2, 4))
    for k, (site, _, kind) in enumerate(prog.moves.tolist()):
        if kind == ONE:
            before[k, 0] = bloch[site]
            bloch[site] = matrices[k] @ bloch[site]
            continue
        before[k] = bloch[site : site + 2]
        after = (matrices[k] @ np.outer(*before[k]).ravel()).reshape(4, 4)
        bloch[site], bloch[site + 1] = after[:, 0], after[0]
    return before, bloch
