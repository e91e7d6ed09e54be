"""Fusion: a noisy circuit becomes few steps on one or two qubit wires.

A wire is one life of a qubit (from its start or a reset to its end) or one version of a classical
bit. A step holds a run of operations on at most two qubit wires, says where a wire begins, which
Pauli components leave it, which bit it writes, and on which bits it depends.
"""

from dataclasses import dataclass, field

from qdt_emu.circuit import Kind, Operation, Structure
from qdt_emu.errors import InputError

MAX_CONTROLS = 4  # fused conditional runs double their matrices per bit
MAX_RUN = 64  # longer runs gain nothing and pad the batched products


@dataclass(frozen=True)
class Test:
    """True when the bits of `records` (first lowest; -1 is a bit still 0) equal `value`, or not."""

    __test__ = False
    records: tuple[int, ...]
    value: int
    equal: bool

    def holds(self, bits: dict[int, int]) -> bool:
        """Return whether the test passes for the given bits."""
        read = sum(bits.get(record, 0) << k for k, record in enumerate(self.records))
        return (read == self.value) is self.equal


@dataclass(frozen=True)
class Factor:
    """An operation inside a step, on its wires, under its tests; `dephase` forgets an outcome."""

    operation: int
    wires: tuple[int, ...]
    tests: tuple[Test, ...] = ()
    dephase: bool = False


@dataclass(frozen=True)
class Read:
    """A measurement that writes `record`; where the tests fail the bit keeps the value of `old`."""

    operation: int
    record: int
    old: int = -1
    tests: tuple[Test, ...] = ()


@dataclass(eq=False)
class Step:
    """A run of operations on one or two wires.

    Attributes:
        wires: Qubit wires, first most significant.
        starts: Where each wire begins: -1 when it comes from an earlier step, the qubit itself, or
            `n_qubits` + index of the `RESET` operation.
        factors: Operations in order.
        controls: Records that the tests read, first most significant.
        reads: Measurement at the end of each wire, if any.
        ends: Pauli components of each wire that are kept at its end; () while it goes on.
        pair: Row of `pair_confusion` when the step only misreads two records (`wires`); else -1.
        total: True when the step only forgets a record (`wires`).
    """

    wires: tuple[int, ...]
    starts: tuple[int, ...]
    factors: list[Factor] = field(default_factory=list)
    controls: tuple[int, ...] = ()
    reads: list[Read | None] = field(default_factory=list)
    ends: list[tuple[int, ...]] = field(default_factory=list)
    pair: int = -1
    total: bool = False

    def inputs(self) -> list[tuple[int, int]]:
        """Return (wire, dimension) of what the matrix of the step acts on."""
        dim = 2 if self.pair >= 0 or self.total else 4
        return [(w, dim) for w, s in zip(self.wires, self.starts, strict=True) if s < 0]

    def outputs(self) -> list[tuple[int, int]]:
        """Return (wire, dimension) of what the matrix of the step yields, in order."""
        if self.total:
            return []
        if self.pair >= 0:
            return [(w, 2) for w in self.wires]
        out = []
        for wire, end, read in zip(self.wires, self.ends, self.reads, strict=True):
            out += [(wire, len(end) or 4)] if len(end) != 1 else []
            out += [(read.record, 2)] if read else []
        return out

    def opens(self, wire: int, controls: tuple[int, ...]) -> bool:
        """Return whether one more operation on `wire` may join this step."""
        return (
            self.reads[self.wires.index(wire)] is None
            and len(self.factors) < MAX_RUN
            and set(controls) <= set(self.controls)
        )


@dataclass(frozen=True)
class Fused:
    """Steps in a valid order, and the wires that are left at the end.

    Attributes:
        steps: Every step after those it depends on.
        final: Wire of each clbit (records wanted) or of each qubit (components wanted); -1: none.
        home: Qubit of each qubit wire.
    """

    steps: tuple[Step, ...]
    final: tuple[int, ...]
    home: dict[int, int]


def fuse(structure: Structure, kept: tuple[tuple[int, ...], ...] | None) -> Fused:
    """Return the steps that lead to the final records, or to Pauli components of the final state.

    Args:
        structure: What to fuse.
        kept: Pauli codes to keep of each qubit; `None` keeps the records and forgets the qubits.

    Returns:
        Steps and final wires; what cannot influence them (the outside of the light cone) is gone.

    Raises:
        InputError: Correlated readout names a clbit that is never measured or is read again.
    """
    tests, records, final, needed = _classical(structure, kept is None)
    walk = _Walk(structure.n_qubits, 1 + max([*records.values(), -1]))
    for k, op in enumerate(structure.operations):
        if k not in tests or op.kind is Kind.LEAK:
            continue
        if op.kind is Kind.MEASURE and records[k] in needed:
            old = _overwritten(op, tests[k], structure, records, k)
            walk.read(op.qubits[0], Read(k, records[k], old, tests[k]))
        elif op.kind is Kind.RESET and not tests[k]:
            walk.restart(op.qubits[0], structure.n_qubits + k)
        else:
            walk.add(k, op, tests[k])
    ends = kept or ((0,),) * structure.n_qubits
    for q, codes in enumerate(ends):
        walk.finish(q, codes)
    steps = _light_cone(walk.steps)
    if kept is None:
        steps += _pairs(structure, final, {r for s in steps for r in s.controls})
    steps += [
        Step((r,), (-1,), total=True)
        for r in sorted({read.record for s in steps for read in s.reads if read} - set(final))
    ]
    return Fused(tuple(steps), tuple(final if kept is None else walk.life), walk.home)


def _overwritten(
    op: Operation,
    tests: tuple[Test, ...],
    structure: Structure,
    records: dict[int, int],
    index: int,
) -> int:
    """Return the record that `op` overwrites when its tests may fail; -1 when the bit is 0."""
    if not tests:
        return -1
    before = [
        records[k] for k in records if k < index and structure.operations[k].clbit == op.clbit
    ]
    return before[-1] if before else -1


def _classical(
    structure: Structure, wanted: bool
) -> tuple[dict[int, tuple[Test, ...]], dict[int, int], list[int], set[int]]:
    """Return tests per live operation, record per measurement, final records, needed records."""
    now = [-1] * structure.n_clbits
    tests: dict[int, tuple[Test, ...]] = {}
    records: dict[int, int] = {}
    needed: set[int] = set()
    for k, op in enumerate(structure.operations):
        asked = [Test(tuple(now[c] for c in t.clbits), t.value, t.equal) for t in op.conditions]
        settled = [t for t in asked if set(t.records) <= {-1}]
        if not all(t.holds({}) for t in settled):
            continue  # tests bits that are never written before: can never be true
        tests[k] = tuple(t for t in asked if t not in settled)
        needed |= {r for t in tests[k] for r in t.records if r >= 0}
        if op.kind is Kind.MEASURE:
            if tests[k] and now[op.clbit] >= 0:
                needed.add(now[op.clbit])
            records[k] = now[op.clbit] = len(records)
    final = now if wanted else []
    return tests, records, final, needed | {r for r in final if r >= 0}


def _controls(tests: tuple[Test, ...]) -> tuple[int, ...]:
    return tuple(sorted({r for t in tests for r in t.records if r >= 0}))


class _Walk:
    """Collects operations into steps while going through the circuit once."""

    def __init__(self, n_qubits: int, first_wire: int) -> None:
        self.steps: list[Step] = []
        self.life = [first_wire + q for q in range(n_qubits)]
        self.start = list(range(n_qubits))
        self.last: list[Step | None] = [None] * n_qubits
        self.next_wire = first_wire + n_qubits
        self.home = {wire: q for q, wire in enumerate(self.life)}

    def add(self, k: int, op: Operation, tests: tuple[Test, ...]) -> None:
        """Append an operation to an open step, or open one."""
        wires = tuple(self.life[q] for q in op.qubits)
        controls, lasts = _controls(tests), [self.last[q] for q in op.qubits]
        step = lasts[0]
        if (
            step is None
            or any(other is not step for other in lasts)
            or not all(step.opens(w, controls) for w in wires)
        ):
            step = self._open(op.qubits, controls)
        step.factors.append(Factor(k, wires, tests, dephase=op.kind is Kind.MEASURE))

    def read(self, qubit: int, read: Read) -> None:
        """Append a measurement whose bit is needed later; nothing follows it in its step."""
        old = (read.old,) if read.old >= 0 else ()
        controls = tuple(sorted({*_controls(read.tests), *old}))
        step, wire = self.last[qubit], self.life[qubit]
        if step is None or not step.opens(wire, controls):
            step = self._open((qubit,), controls)
        step.reads[step.wires.index(wire)] = read

    def restart(self, qubit: int, start: int) -> None:
        """End the qubit's wire and begin a new one."""
        self.finish(qubit, (0,))
        self.life[qubit], self.start[qubit], self.last[qubit] = self.next_wire, start, None
        self.home[self.next_wire] = qubit
        self.next_wire += 1

    def finish(self, qubit: int, codes: tuple[int, ...]) -> None:
        """Keep only some Pauli components of the qubit's wire from here on."""
        step = self.last[qubit]
        if step is None and codes != (0,):
            step = self._open((qubit,), ())
        if step is not None:
            step.ends[step.wires.index(self.life[qubit])] = codes

    def _open(self, qubits: tuple[int, ...], controls: tuple[int, ...]) -> Step:
        """Open a step on the qubits; absorb the single-qubit steps just before it."""
        factors: list[Factor] = []
        starts: list[int] = []
        for q in qubits:
            last = self.last[q]
            both = {*controls, *(last.controls if last else ())}
            starts.append(self.start[q] if last is None else -1)
            if last and len(last.wires) == 1 and len(qubits) == 2 and last.reads[0] is None:
                if len(both) > max(MAX_CONTROLS, len(controls)):
                    continue
                starts[-1], controls = last.starts[0], tuple(sorted(both))
                factors += last.factors
                self.steps.remove(last)
        wires = tuple(self.life[q] for q in qubits)
        n = len(wires)
        step = Step(wires, tuple(starts), factors, controls, [None] * n, [()] * n)
        self.steps.append(step)
        for q in qubits:
            self.last[q] = step
        return step


def _light_cone(steps: list[Step]) -> list[Step]:
    """Drop steps of which nothing is kept: trace-preserving maps do not change a trace."""
    forgotten: set[int] = set()
    kept: list[Step] = []
    for step in reversed(steps):
        step.ends = [
            (0,) if w in forgotten else end for w, end in zip(step.wires, step.ends, strict=True)
        ]
        if any(step.reads) or any(end != (0,) for end in step.ends):
            forgotten -= set(step.wires)
            kept.append(step)
        else:
            forgotten |= set(step.wires)
    return kept[::-1]


def _pairs(structure: Structure, final: list[int], tested: set[int]) -> list[Step]:
    """Return the steps that misread pairs of bits together."""
    steps = []
    for k, pair in enumerate(structure.paired_readout):
        wires = (final[pair[0]], final[pair[1]])
        if -1 in wires or tested & set(wires):
            raise InputError(
                f"`paired_readout[{k}]` must name two clbits that are measured last, but {pair} "
                f"holds one that is never measured or is tested later. Remove the pair."
            )
        steps.append(Step(wires, (-1, -1), pair=k))
    return steps
