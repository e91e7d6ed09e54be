"""Both pictures of a noisy circuit as trains of Pauli tensors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Values
from qdt_emu.engines import transfer
from qdt_emu.engines.mpo_measure import ROOT, overlap
from qdt_emu.engines.mpo_program import ONE, Program, cone, mean_field, placed
from qdt_emu.engines.mpo_train import Train
from qdt_emu.engines.refusals import refuse_draws

Floats = NDArray[np.float64]
Watch = Callable[[int, Train], None]


@dataclass(frozen=True, eq=False)
class Bound:
    """A program with its numbers.

    Attributes:
        program: The moves.
        matrices: The matrix of each move.
        start: Tr(P rho) of each site at the beginning, shape (n, 4).
        before: Mean-field vectors of the sites of each move before it, shape (k, 2, 4).
        end: Mean-field vectors of each site at the end, shape (n, 4).
    """

    program: Program
    matrices: list[Floats]
    start: Floats
    before: Floats
    end: Floats


def bound(program: Program, values: Values) -> Bound:
    """Return the program with numbers.

    Raises:
        UnsupportedError: Shot-to-shot detuning, or leakage.
    """
    refuse_draws(program.transfer.draws, values, "mpo")
    ones, twos = transfer.matrices(program.transfer, values)
    return with_matrices(program, ones, twos, np.asarray(transfer.initial(values), float))


def with_matrices(program: Program, ones: Floats, twos: Floats, initial: Floats) -> Bound:
    """Return the program with its matrices and the initial Pauli vector of each qubit, (n, 4)."""
    matrices = placed(program, ones, twos)
    start = initial[np.argsort(program.start)]
    return Bound(program, matrices, start, *mean_field(program, matrices, start))


def state(
    run: Bound,
    support: NDArray[np.bool_],
    cap: int,
    cutoff: float,
    watch: Watch | None = None,
) -> tuple[Train, Floats]:
    """Return the final density operator in the basis P / sqrt(2), and the cut of each move.

    Schroedinger picture. Its marginal on the sites of `support` is the one of the circuit; other
    sites may lack maps that cannot change it. The trace and all operators on one side of a bond
    survive the cut of this bond exactly.

    Args:
        run: The program with numbers.
        support: Sites that will be looked at, shape (n,).
        cap: Largest bond.
        cutoff: Relative Hilbert-Schmidt norm that may be cut at each step.
        watch: Called with each move and the train before it acts.
    """
    trace = np.zeros((len(run.start), 4))
    trace[:, 0] = ROOT
    train = Train.product(run.start / ROOT, trace, cap, cutoff)
    cuts = np.zeros(len(run.matrices))
    chosen = np.flatnonzero(cone(run.program, support)).tolist()
    sites = run.program.moves[chosen, 0].tolist()
    for k, site, then in zip(chosen, sites, [*sites[1:], len(run.start)], strict=False):
        if watch:
            watch(k, train)
        if run.program.moves[k, 2] == ONE:
            train.apply_one(site, run.matrices[k])
        else:
            train.apply_two(site, run.matrices[k], rightwards=then > site)
            cuts[k] = train.cuts[-1]
    return train, cuts


def observable(
    run: Bound,
    codes: NDArray[np.uint8],
    readout: Floats,
    cap: int,
    cutoff: float,
    watch: Watch | None = None,
) -> tuple[float, Train]:
    """Return the expectation value of one string, and its observable at the start.

    Heisenberg picture: the string as it is read is carried back through the maps of its light
    cone, in the basis of unnormalised Paulis. What each cut keeps exactly is the expectation value
    in the mean-field state at that time: near the beginning that is the state itself, deep in a
    noisy circuit the totally mixed one.

    Args:
        run: The program with numbers.
        codes: 0..3 on each site at the end, shape (n,).
        readout: (scale, shift) of each site, shape (n, 2).
        cap: Largest bond.
        cutoff: Relative Hilbert-Schmidt norm that may be cut at each step.
        watch: Called with each move and the train before it acts.
    """
    n = len(codes)
    vectors = np.zeros((n, 4))
    vectors[range(n), codes] = np.where(codes > 0, readout[:, 0], 1.0)
    vectors[:, 0] += np.where(codes > 0, readout[:, 1], 0.0)
    train = Train.product(vectors, run.end, cap, cutoff)
    chosen = np.flatnonzero(cone(run.program, codes > 0))[::-1].tolist()
    sites = run.program.moves[chosen, 0].tolist()
    for k, site, then in zip(chosen, sites, [*sites[1:], n], strict=False):
        if watch:
            watch(k, train)
        if run.program.moves[k, 2] == ONE:
            train.probe[site] = run.before[k, 0]
            train.apply_one(site, run.matrices[k].T)
        else:
            train.probe[site : site + 2] = run.before[k]
            train.apply_two(site, run.matrices[k].T, rightwards=then > site)
    return overlap(train.tensors, run.start), train
