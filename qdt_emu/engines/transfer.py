"""A noisy circuit as few real Pauli transfer matrices on one or two qubits, in time order."""

from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines import density_tables as tables
from qdt_emu.engines.density_bind import products
from qdt_emu.engines.pauli_program import PAIR, SWAPPED, Index, Link, program, refusal
from qdt_emu.engines.refusals import Draws
from qdt_emu.errors import UnsupportedError

Array = Any
Links = tuple[Link, ...]


@dataclass(frozen=True, eq=False)
class Transfer:
    """Which factors make each matrix, and where the matrices act: everything but the numbers.

    Single-qubit products are part of a two-qubit matrix wherever the qubit has one, so that a
    matrix on one qubit is left only for a qubit that never meets another. Matrices with equal
    factors share a row.

    Attributes:
        n_qubits: Number of qubits.
        steps: (qubits, row) in time order. Rows count the single-qubit products for steps on one
            qubit, the two-qubit products for steps on two.
        runs: Factors of each single-qubit product as (block, slot, 0), earliest first.
        ones: Rows of `runs` that are steps.
        pairs: Rows of `runs` on the first and the second qubit of a pair, shape (k, 2).
        chains: Factors of each two-qubit product, earliest first.
        draws: Where numbers may ask for a draw per shot.
    """

    n_qubits: int
    steps: tuple[tuple[tuple[int, ...], int], ...]
    runs: tuple[Links, ...]
    ones: Index
    pairs: Index
    chains: tuple[Links, ...]
    draws: Draws


def steps(structure: Structure) -> Transfer:
    """Return the transfer matrices of a structure without their numbers.

    A measurement is the loss of coherence that it causes, on average over its outcomes.

    Raises:
        UnsupportedError: An operation depends on measured bits.
    """
    if why := refusal(structure):
        raise UnsupportedError(f"The circuit has no fixed transfer matrices: {why}")
    prog = program(structure)
    build = _Absorb(prog.runs)
    for first, second, row, _ in prog.maps[::-1].tolist():
        if first < 0:
            build.alone(second, row)
        else:
            build.both(first, second, prog.chains[row - len(prog.runs)], prog.pairs)
    done, ones, chains = build.finish()
    return Transfer(
        structure.n_qubits,
        tuple(done),
        tuple(build.runs),
        np.array(ones, np.int64),
        np.array(list(build.pairs), np.int64).reshape(-1, 2),
        tuple(chains),
        prog.draws,
    )


class _Absorb:
    """Puts single-qubit products into the two-qubit product before them, or else behind them."""

    def __init__(self, runs: tuple[Links, ...]) -> None:
        self.old = runs
        self.runs: dict[Links, int] = {}
        self.pairs: dict[tuple[int, int], int] = {}
        self.made: list[tuple[tuple[int, int], list[Link], list[list[Link]]]] = []
        self.last: dict[int, int] = {}
        self.waiting: dict[int, list[Link]] = {}

    def alone(self, q: int, row: int) -> None:
        """Take a single-qubit product."""
        if (k := self.last.get(q)) is None:
            self.waiting.setdefault(q, []).extend(self.old[row])
        else:
            qubits, _, after = self.made[k]
            after[qubits.index(q)].extend(self.old[row])

    def both(self, a: int, b: int, chain: Links, pairs: Index) -> None:
        """Take a two-qubit product, whose pairs are rows of `pairs`."""
        links = self._pair(self.waiting.pop(a, []), self.waiting.pop(b, []))
        for block, slot, swapped in chain:
            if block == PAIR:
                i, j = pairs[slot].tolist()
                links += self._pair(list(self.old[i]), list(self.old[j]))
            else:
                links.append((block, slot, swapped))
        self.last[a] = self.last[b] = len(self.made)
        self.made.append(((a, b), links, [[], []]))

    def finish(self) -> tuple[list[tuple[tuple[int, ...], int]], list[int], list[Links]]:
        """Return steps, rows of `runs` that are steps, and two-qubit products."""
        ones: dict[int, int] = {}
        chains: dict[Links, int] = {}
        done: list[tuple[tuple[int, ...], int]] = []
        for q, links in self.waiting.items():
            row = self.runs.setdefault(tuple(links), len(self.runs))
            done.append(((q,), ones.setdefault(row, len(ones))))
        for qubits, links, after in self.made:
            whole = tuple(links + self._pair(*after))
            done.append((qubits, chains.setdefault(whole, len(chains))))
        return done, list(ones), list(chains)

    def _pair(self, first: list[Link], second: list[Link]) -> list[Link]:
        if not first and not second:
            return []
        rows = [self.runs.setdefault(tuple(x), len(self.runs)) for x in (first, second)]
        return [(PAIR, self.pairs.setdefault((rows[0], rows[1]), len(self.pairs)), 0)]


def matrices(transfer: Transfer, values: Values, xp: ModuleType = np) -> tuple[Array, Array]:
    """Return R[i, j] = Tr(P_i E(P_j)) / d of every row, shapes (rows, 4, 4) and (rows, 16, 16).

    Pure in `values` and without branches on them: with `xp=jax.numpy` it can be jitted, batched and
    differentiated. Index 4 * Pa + Pb for the first qubit a and the second qubit b of a step.

    Args:
        transfer: Which factors make each matrix.
        values: The numbers.
        xp: `numpy` or `jax.numpy`.

    Error:
        Rounding.
    """
    table, first = tables.one_qubit(xp, values, xp.zeros(0))
    runs = _product(table, first, transfer.runs, xp)
    two, _ = tables.two_qubit(xp, values)
    turned = two[:, tables.SWAP][:, :, tables.SWAP]
    a, b = (runs[transfer.pairs[:, k].astype(np.int32)] for k in (0, 1))
    pairs = xp.einsum("kij,kab->kiajb", a, b).reshape(-1, 16, 16)
    k, n = values.unitaries2.shape[0], two.shape[0]
    starts = [0, 1, 1 + k, 1 + n, 1 + n + k, 1 + 2 * n]
    table = xp.concatenate([xp.eye(16)[None], two, turned, pairs])
    return runs[transfer.ones.astype(np.int32)], _product(table, starts, transfer.chains, xp)


def bind(
    transfer: Transfer, values: Values, xp: ModuleType = np
) -> list[tuple[tuple[int, ...], Array]]:
    """Return (qubits, matrix) in time order; (4, 4) on one qubit, (16, 16) on two.

    See `matrices`; the first qubit is the most significant index.
    """
    ones, twos = matrices(transfer, values, xp)
    return [(q, (ones if len(q) == 1 else twos)[row]) for q, row in transfer.steps]


def initial(values: Values, xp: ModuleType = np) -> Array:
    """Return Tr(P rho) of each qubit at the start, shape (n_qubits, 4)."""
    return tables.state(xp, values.excited)


def recorded(structure: Structure) -> tuple[Structure, Index]:
    """Return what leads to the record, and which qubit is read into which bit.

    Returns:
        The structure without operations that cannot change the record and without the measurements
        themselves; (qubit, confusion slot) of each clbit, shape (n_clbits, 2), -1 for a bit that is
        never written. Reading these qubits in Z in the final state gives the record.

    Raises:
        UnsupportedError: A bit is read from a qubit that is used further on.
    """
    read = np.full((structure.n_clbits, 2), -1, np.int64)
    live: set[int] = set()
    kept = []
    for op in reversed(structure.operations):
        if op.kind is Kind.MEASURE and read[op.clbit, 0] < 0:
            q = op.qubits[0]
            if q in live:
                raise UnsupportedError(
                    f"Every recorded measurement must be the last of what happens to its qubit, "
                    f"but clbit {op.clbit} is read from qubit {q}, which is used further on. "
                    f"Use engine='mps' or 'statevector'."
                )
            read[op.clbit] = q, op.slot
            live.add(q)
        elif live & set(op.qubits):
            live |= set(op.qubits)
            kept.append(op)
    return replace(structure, operations=tuple(kept[::-1])), read


def misread(
    bits: NDArray[np.uint8],
    structure: Structure,
    values: Values,
    read: Index,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return records with reading errors, pairs together.

    Args:
        bits: True outcomes, shape (shots, n_clbits).
        structure: Names the pairs with correlated errors.
        values: Holds the probabilities.
        read: (qubit, confusion slot) of each clbit, see `recorded`.
        rng: Where uniforms come from, one for each bit.
    """
    out = bits.copy()
    uniforms = rng.random(bits.shape)
    paired = {c for pair in structure.paired_readout for c in pair}
    for c in np.flatnonzero(read[:, 0] >= 0).tolist():
        if c not in paired:
            chance = np.asarray(values.confusion)[read[c, 1]]
            out[:, c] ^= uniforms[:, c] < chance[bits[:, c]]
    for (a, b), table in zip(structure.paired_readout, values.pair_confusion, strict=False):
        below = np.cumsum(np.asarray(table), axis=0)[:3].T  # of [read], by true
        true = 2 * bits[:, a].astype(np.int64) + bits[:, b]
        found = (uniforms[:, a, None] >= below[true]).sum(1)
        out[:, a], out[:, b] = found >> 1, found & 1
    return out


def _product(table: Array, starts: list[int], rows: tuple[Links, ...], xp: ModuleType) -> Array:
    """Return the product of each row's factors, the first factor rightmost."""
    sizes = np.array([1 << max(len(links) - 1, 0).bit_length() for links in rows], np.int64)
    order = np.argsort(sizes, kind="stable")
    cuts = [0, *(np.flatnonzero(np.diff(sizes[order])) + 1).tolist(), len(rows)]
    buckets = []
    for begin, end in pairwise(cuts):
        if begin == end:
            continue
        members = order[begin:end]
        index = np.zeros((len(members), sizes[members[0]]), np.int32)  # row 0 is the identity
        for i, k in enumerate(members.tolist()):
            for j, (block, slot, swapped) in enumerate(rows[k]):
                shift = SWAPPED * swapped if block != PAIR else 0
                index[i, j] = starts[block + shift] + slot
        buckets.append(index)
    return products(table, buckets, xp)[np.argsort(order).astype(np.int32)]
