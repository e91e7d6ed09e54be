"""The chain rule of `bind`: from derivatives by step matrices to derivatives by noise amounts."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Values
from qdt_emu.engines.density_bind import (
    Amounts,
    both,
    edges,
    ending,
    factors,
    kept,
    products,
)
from qdt_emu.engines.density_recipe import Group, Index, Recipe

Floats = NDArray[np.float64]


def amount_slopes(
    rec: Recipe,
    values: Values,
    readout: Floats | None,
    offsets: Floats | None,
    amounts: Amounts,
    slopes: dict[int, Floats],
) -> Amounts:
    """Return the derivative of a functional by the amount of each noise.

    Args:
        rec: As in `bind`.
        values: As in `bind`.
        readout: As in `bind`.
        offsets: As in `bind`.
        amounts: Where to differentiate.
        slopes: Derivative by each step's matrix, from `pull_back`.
    """
    ones, twos = factors(np, rec, values, offsets, amounts)
    runs = products(ones, rec.runs)
    pairs = both(np, [runs[rec.pairs[:, 0]], runs[rec.pairs[:, 1]]])
    chain_table = np.concatenate([np.eye(16)[None], twos, pairs])
    starts, reads, _ = edges(np, rec, values, amounts)
    now = readout
    if readout is not None:
        now = np.array([1.0, 0]) + amounts.readout[:, None] * (readout - np.array([1.0, 0]))
    chains, n = products(chain_table, rec.chains), len(amounts.preparation)
    back = _Back(runs, chains, starts, reads, now, readout, n)
    for g in rec.groups:
        back.group(g, np.concatenate([slopes[k] for k, _ in g.steps]))
    d_chain = _products_back(chain_table, rec.chains, back.d_chains)
    d_twos, d_pairs = np.split(d_chain[1:], [len(twos)])
    d_pairs = d_pairs.reshape(-1, 4, 4, 4, 4)
    a, b = rec.pairs.T
    np.add.at(back.d_runs, a, np.einsum("uabcd,ubd->uac", d_pairs, runs[b]))
    np.add.at(back.d_runs, b, np.einsum("uabcd,uac->ubd", d_pairs, runs[a]))
    d_ones = _products_back(ones, rec.runs, back.d_runs)[2:]

    unit = [_linear(rec, values, offsets, replace(amounts, **_filled(amounts, x))) for x in (1, 0)]
    by = [x - y for x, y in zip(*unit, strict=True)]  # every matrix is linear in its amount
    operations, preparation = np.zeros_like(amounts.operations), np.zeros_like(amounts.preparation)
    np.add.at(operations, rec.ones[:, 2], np.einsum("uab,uab->u", d_ones, by[0]))
    np.add.at(operations, rec.twos[:, 2], np.einsum("uab,uab->u", d_twos, by[1]))
    by_start, first = np.einsum("ua,ua->u", back.d_starts, by[2]), rec.starts[:, 1] < 0
    np.add.at(operations, rec.starts[~first, 1], by_start[~first])
    np.add.at(preparation, rec.starts[first, 0], by_start[first])
    by_read = np.einsum("uabc,uabc->u", back.d_reads, by[3])
    np.add.at(operations, rec.reads[:, 1], by_read[2:])
    pair_slopes = np.zeros_like(amounts.pairs)
    for k, row in rec.misreads:
        pair_slopes[row] += np.sum(slopes[k][0] * by[4][row])
    return Amounts(operations, preparation, pair_slopes, back.d_readout)


def _filled(amounts: Amounts, share: float) -> dict[str, Floats]:
    return {name: np.full_like(array, share) for name, array in vars(amounts).items()}


def _linear(
    rec: Recipe, values: Values, offsets: Floats | None, amounts: Amounts
) -> tuple[Floats, ...]:
    """Return everything that is linear in the amounts."""
    ones, twos = factors(np, rec, values, offsets, amounts)
    return (ones[2:], twos, *edges(np, rec, values, amounts))


def _products_back(table: Floats, buckets: list[Index], slopes: Floats) -> Floats:
    """Return the derivative by the table of what `products` made of it."""
    out, at = np.zeros_like(table), 0
    for rows in buckets:
        levels = [table[rows]]
        while (part := levels[-1]).shape[1] > 1:
            levels.append(part[:, 1::2] @ part[:, 0::2])
        d = slopes[at : at + len(rows), None]
        for part in levels[-2::-1]:
            below = np.empty_like(part)
            below[:, 1::2] = d @ np.swapaxes(part[:, 0::2], -1, -2)
            below[:, 0::2] = np.swapaxes(part[:, 1::2], -1, -2) @ d
            d = below
        np.add.at(out, rows, d)
        at += len(rows)
    return out


class _Back:
    """Sums the derivatives of all groups by the tables that the groups read."""

    def __init__(
        self,
        runs: Floats,
        chains: Floats,
        starts: Floats,
        reads: Floats,
        now: Floats | None,
        readout: Floats | None,
        n_qubits: int,
    ) -> None:
        self.runs, self.chains, self.starts, self.reads = runs, chains, starts, reads
        self.now, self.readout = now, readout
        self.d_runs, self.d_chains = np.zeros_like(runs), np.zeros_like(chains)
        self.d_starts, self.d_reads = np.zeros_like(starts), np.zeros_like(reads)
        self.d_readout = np.zeros(n_qubits)

    def group(self, g: Group, slopes: Floats) -> None:
        """Add the derivatives of one group, given those by its matrices."""
        core = (self.runs if g.qubits == 1 else self.chains)[g.core]
        lefts = [self._full(ending(np, g, w, self.reads, self.now), g) for w in range(g.qubits)]
        rights = [
            self._full(None if rows is None else self.starts[rows][:, :, None], g)
            for rows in g.starts
        ]
        left, right = both(np, lefts), both(np, rights)
        d_core = np.swapaxes(left, -1, -2) @ slopes @ np.swapaxes(right, -1, -2)
        np.add.at(self.d_runs if g.qubits == 1 else self.d_chains, g.core, d_core)
        d_left = _split(slopes @ np.swapaxes(core @ right, -1, -2), lefts)
        d_right = _split(np.swapaxes(left @ core, -1, -2) @ slopes, rights)
        for w in range(g.qubits):
            if (rows := g.starts[w]) is not None:
                np.add.at(self.d_starts, rows, d_right[w][:, :, 0])
            self._ending(g, w, d_left[w])

    def _full(self, matrix: Floats | None, g: Group) -> Floats:
        return np.tile(np.eye(4), (len(g.core), 1, 1)) if matrix is None else matrix

    def _ending(self, g: Group, w: int, slopes: Floats) -> None:
        """Add the derivatives by the readings and by the readout map of one wire."""
        rows = g.reads[w]
        keep = self._full(kept(np, g, w, self.now) if g.ends[w] else None, g)
        if rows is not None:
            split = slopes.reshape(len(g.core), -1, 2, 4)
            np.add.at(self.d_reads, rows, np.einsum("ukq,ukri->uqri", keep, split))
            slopes = np.einsum("ukri,uqri->ukq", split, self.reads[rows])
        if g.ends[w] and self.readout is not None:
            line = kept(np, g, w, self.readout) - kept(np, g, w, None)
            np.add.at(self.d_readout, g.homes[w], np.einsum("ukq,ukq->u", slopes, line))


def _split(slopes: Floats, parts: list[Floats]) -> list[Floats]:
    """Return the derivative by each factor of a Kronecker product."""
    if len(parts) == 1:
        return [slopes]
    a, b = parts
    x = slopes.reshape(len(slopes), a.shape[1], b.shape[1], a.shape[2], b.shape[2])
    return [np.einsum("uabcd,ubd->uac", x, b), np.einsum("uabcd,uac->ubd", x, a)]
