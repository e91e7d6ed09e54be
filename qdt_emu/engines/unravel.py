"""Noisy circuits as trajectories of pure states, for engines whose states are networks.

A trajectory is a short list of matrices: everything that happens in a row to one or two qubits is
multiplied into one unitary, drawn Pauli errors and the shot's own detuning included. Only what the
state itself must decide, the branch of a relaxation event, a measurement, a reset, stands alone,
and relaxation events are rare: they happen with the weight 1 - q of `relaxation_event`.

All random numbers of a trajectory come from its key, so that results depend neither on batches nor
on threads. They are the numbers that the statevector engine draws.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.engines import statevector_run
from qdt_emu.engines.statevector_blocks import Block, gather, last_measurements, observed
from qdt_emu.engines.statevector_order import Layout
from qdt_emu.engines.statevector_program import Program as Compiled
from qdt_emu.engines.statevector_program import flatten
from qdt_emu.engines.statevector_run import DETUNING_ITEM
from qdt_emu.kernels.randomness import draw_codes, draw_detuning, uniform
from qdt_emu.kernels.trajectory import Shot, act, holds
from qdt_emu.noise import relaxation_remainder_kraus

Matrix = NDArray[np.complex128]
NEEDS_STATE = (int(Kind.RELAXATION), int(Kind.MEASURE), int(Kind.RESET), int(Kind.LEAK))


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A unitary on one qubit, shape (2, 2), or two, shape (4, 4), the first most significant."""

    qubits: tuple[int, ...]
    matrix: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """A channel whose branch k happens with probability Tr(K_k rho K_k^dag).

    Attributes:
        qubit: Where.
        kraus: Operators K_k, shape (k, 2, 2).
        u: Uniform number that chooses the branch.
    """

    qubit: int
    kraus: Matrix
    u: float


@dataclass(frozen=True, slots=True)
class Measure:
    """A projection in Z; the caller sends the true bit back.

    Attributes:
        qubit: Where.
        clbit: Where the bit is written, misread or not, by the trajectory itself.
        slot: Row of `Values.confusion`, -1 where another step misreads.
        u: Uniform number: the bit is 1 if u < P(1).
    """

    qubit: int
    clbit: int
    slot: int
    u: float


@dataclass(frozen=True, slots=True)
class Reset:
    """A projection in Z, as by `u` in `Measure`, followed by |excited> in place of the outcome."""

    qubit: int
    excited: int
    u: float


Step = Gate | Event | Measure | Reset


@dataclass(frozen=True, eq=False)
class Program:
    """A structure as blocks on one or two qubits.

    Attributes:
        compiled: Flat arrays; blocks in order of time, no qubit ever leaves the state.
        leaf: Measurements left to be sampled from the final state, in order of time.
    """

    compiled: Compiled
    leaf: tuple[Operation, ...]

    @cached_property
    def qubits(self) -> tuple[tuple[int, ...], ...]:
        """Qubits of each block."""
        rows = self.compiled.blocks.qubits.tolist()
        return tuple((a, b) if b >= 0 else (a,) for a, b in rows)


@dataclass(frozen=True, eq=False)
class Bound:
    """A program with its numbers.

    Attributes:
        program: The program.
        run: Its numbers as the kernels read them.
        values: The numbers themselves.
    """

    program: Program
    run: statevector_run.Bound
    values: Values

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """What each block does without events; meaningless where shots differ."""
        prefix = self.run.numbers.prefix
        return tuple(_gate(q, t) for q, t in zip(self.program.qubits, prefix, strict=True))

    @cached_property
    def identity(self) -> NDArray[np.bool_]:
        """Whether each block does nothing without events, shape (blocks,)."""
        same: NDArray[np.bool_] = (self.run.numbers.prefix == np.eye(4)).all(axis=(1, 2))
        return same

    @cached_property
    def private(self) -> NDArray[np.uint8]:
        """Whether the outcome of each column's event depends on the state, shape (columns,)."""
        kinds = self.program.compiled.columns[:, 0]
        return np.isin(kinds, (Kind.RELAXATION, Kind.LEAK)).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """Classical state at the end of a trajectory, the return value of `trajectory`.

    Attributes:
        record: Classical bits, shape (n_clbits,); leaf measurements are still missing.
        leaked: 1 for a qubit outside of the computational space, shape (n_qubits,); it reads 1.
    """

    record: NDArray[np.uint8]
    leaked: NDArray[np.uint8]


def blocks_of(
    structure: Structure, kept: Sequence[int] = ()
) -> tuple[list[Block], list[Operation]]:
    """Return the blocks of a circuit in order of time, and the measurements left to the end.

    See `parted` for the arguments.
    """
    operations, final, wanted = parted(structure, kept)
    return gather(structure, operations, wanted), final


def parted(
    structure: Structure, kept: Sequence[int] = ()
) -> tuple[list[Operation], list[Operation], frozenset[int]]:
    """Return a circuit's operations, the measurements left to the end, and the qubits in the end.

    Args:
        structure: The circuit.
        kept: Qubits whose final state is asked for. Without any, the last measurements are left
            to be sampled together; with some, every measurement is among the operations.
    """
    wanted = frozenset(int(q) for q in kept)
    operations = observed(structure, wanted)
    final = [] if wanted else last_measurements(operations)
    skipped = {id(op) for op in final}
    wanted |= {op.qubits[0] for op in final}
    return [op for op in operations if id(op) not in skipped], final, wanted


def flat(structure: Structure, blocks: Sequence[Block], leaf: Sequence[Operation]) -> Program:
    """Return the program of blocks in the given order, which must keep the dependencies."""
    inside = tuple((0, 1, 0, 1) if len(b.qubits) == 2 else (0, -1, 0, -1) for b in blocks)
    layout = Layout(
        order=tuple(range(len(blocks))),
        bits=inside,
        widths=(structure.n_qubits,) * (len(blocks) + 1),
        final=tuple(range(structure.n_qubits)),
    )
    rows = _leaf_rows(structure, leaf)
    return Program(flatten(structure, list(blocks), layout, rows), tuple(leaf))


def _leaf_rows(structure: Structure, leaf: Sequence[Operation]) -> NDArray[np.int64]:
    """Return (qubit, qubit, clbit, slot) of each final measurement, slot -1 in a pair."""
    paired = {c for pair in structure.paired_readout for c in pair}
    rows = [
        (op.qubits[0], op.qubits[0], op.clbit, -1 if op.clbit in paired else op.slot) for op in leaf
    ]
    return np.array(rows, np.int64).reshape(-1, 4)


def program(structure: Structure, *, kept: Sequence[int] = ()) -> Program:
    """Return the trajectory program of a circuit; see `blocks_of` for `kept`."""
    return flat(structure, *blocks_of(structure, kept))


def bind(program: Program, values: Values) -> Bound:
    """Return the program with its numbers."""
    return Bound(program, statevector_run.bind(program.compiled, values, np.float64), values)


def trajectory(bound: Bound, key: int | np.uint64) -> Generator[Step, int | None, Ending]:
    """Yield the steps of one trajectory; after a `Measure`, send the true bit.

    Args:
        bound: The program with its numbers.
        key: Key of the trajectory's random numbers, see `shot_keys`.

    Returns:
        The classical state at the end, as the value of StopIteration.

    Error:
        None: the average over keys and branches is the circuit's channel, to rounding.

    Cost:
        About 0.3 us per block in Python, and 10 us for a block in which something happens.
    """
    walk = Walk(bound, np.uint64(key))
    quiet = ~walk.drawn & ~bound.run.varies
    for k, gate in enumerate(bound.gates):
        if quiet[k] and not walk.any_leaked:
            if not bound.identity[k]:
                yield gate
        else:
            yield from walk.block(k)
    return Ending(walk.shot.record, walk.shot.leaked)


class Walk:
    """The classical side of one trajectory on its way through the blocks."""

    def __init__(self, bound: Bound, key: np.uint64) -> None:
        run, compiled = bound.run, bound.program.compiled
        n, columns = compiled.qubits, len(run.cumulative)
        keys = np.array([key], np.uint64)
        codes = np.zeros((1, columns), np.uint8)
        live = np.flatnonzero(run.cumulative[:, 15] > 0)
        digests, firsts = np.zeros(1, np.uint64), np.zeros(1, np.int64)
        draw_codes(
            keys, live, compiled.numbers, run.cumulative, bound.private, codes, digests, firsts
        )
        detuning = np.zeros((1, n))
        if len(run.detuning):
            detuning = draw_detuning(keys, run.detuning, DETUNING_ITEM)
        known, leaked = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        record = np.zeros(max(1, compiled.clbits), np.uint8)
        self.bound = bound
        self.shot = Shot(codes[0], key, detuning[0], known, leaked, record)
        self.drawn = np.zeros(len(compiled.blocks.groups), np.bool_)
        self.drawn[compiled.owner[:-1][codes[0] > 0]] = True
        self.any_leaked = False

    def block(self, k: int) -> Generator[Step, int | None, None]:
        """Yield the steps of one block."""
        blocks, numbers = self.bound.run.blocks, self.bound.run.numbers
        qubits, rho = self.bound.program.qubits[k], np.zeros((4, 4), np.complex128)
        t, touched = np.eye(4, dtype=np.complex128), False
        for item in range(int(blocks.item[k]), int(blocks.item[k + 1])):
            if not holds(blocks, item, self.shot.record):
                continue
            if int(blocks.kind[item]) not in NEEDS_STATE:
                act(blocks, numbers, self.shot, k, item, item + 1, rho, t)
                touched = True
                continue
            step = self.step(item, qubits[int(blocks.on[item])])
            if step is None:
                continue
            if touched:
                yield _gate(qubits, t)
                t, touched = np.eye(4, dtype=np.complex128), False
            bit = yield step
            if isinstance(step, Measure):
                self.write(item, step, int(bit or 0))
        if touched:
            yield _gate(qubits, t)

    def step(self, item: int, qubit: int) -> Step | None:
        """Return what the state must decide, after updating leakage, or None."""
        blocks, shot = self.bound.run.blocks, self.shot
        kind, slot, column = (int(a[item]) for a in (blocks.kind, blocks.slot, blocks.code))
        code = int(shot.codes[column]) if column >= 0 else 0
        u = uniform(shot.key, item, 1)
        if kind == Kind.MEASURE:
            return Measure(qubit, int(blocks.clbit[item]), slot, u)
        if kind == Kind.RESET:
            shot.leaked[qubit] = 0
            self.any_leaked = bool(shot.leaked.any())
            return Reset(qubit, code, u)
        if kind == Kind.LEAK:
            return self.leak(item, qubit, code, u)
        if not code or shot.leaked[qubit]:
            return None
        e1, e2, p = np.asarray(self.bound.values.relaxation, float)[slot]
        kraus = np.asarray(relaxation_remainder_kraus(e1, e2, p), np.complex128)
        return Event(qubit, kraus, u)

    def leak(self, item: int, qubit: int, code: int, u: float) -> Step | None:
        """Leave (codes 1 and 2) or come back to a random bit (codes 1 and 3)."""
        shot = self.shot
        if not shot.leaked[qubit] and code in (1, 2):
            shot.leaked[qubit] = 1
            self.any_leaked = True
        elif shot.leaked[qubit] and code in (1, 3):
            shot.leaked[qubit] = 0
            self.any_leaked = bool(shot.leaked.any())
            return Reset(qubit, 1 if uniform(shot.key, item, 2) < 0.5 else 0, u)
        return None

    def write(self, item: int, step: Measure, bit: int) -> None:
        """Write a measured bit to the record as the processor reads it."""
        shot, confusion = self.shot, self.bound.run.numbers.confusion
        if shot.leaked[step.qubit]:
            bit = 1 if step.slot >= 0 else 3  # as in the kernel: a pair's misreading sees the 2
        elif step.slot >= 0 and uniform(shot.key, item, 2) < confusion[step.slot, bit]:
            bit = 1 - bit
        shot.record[step.clbit] = bit


def _gate(qubits: tuple[int, ...], t: Matrix) -> Gate:
    """Return a block's matrix as a gate; on one qubit it is (matrix) x I."""
    return Gate(qubits, t if len(qubits) == 2 else np.ascontiguousarray(t[::2, ::2]))
