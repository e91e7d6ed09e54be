"""Scheduled steps + device -> noisy circuit: where every noise operation is placed.

Order on each qubit, all of it exact in the schedule's own times:

- a gap before a step: relaxation for exactly that gap, none before a qubit's first step, because
  its starting state is stationary;
- a gate: the ideal unitary, its coherent error, relaxation of its qubits for its duration (times
  the anchoring scale), its residual Pauli channel;
- ZZ of a coupler: collected over the time both qubits are free (or one is spectator of a gate) and
  applied before the next pulse on either, so that echoes refocus it. In the frame 'dressed' a
  neighbour that still waits in |0> turns the qubit too; in 'neighbour_ground' it does not;
- detuning, constant, from shot to shot, or by gates next to the qubit: collected likewise;
- dephasing by slow noise: its time is collected with a sign that pulses turn, through every gate
  that maps Z to plus or minus Z on the qubit, and acts before the first that does not;
- flips of qubits next to a two-qubit gate: after it, before whatever those qubits do next;
- a measurement: projection, and misreading of the record only. Published readout errors contain
  the decay during the readout, so that nothing is added where the qubit is not used again; where it
  is, half of the relaxation comes before the projection and is taken out of the published errors,
  half after it (times a factor while the readout drives it);
- a branch: its alternatives under their conditions, then relaxation for the whole block.

Error: a gap's relaxation comes before its phases. They commute but for ZZ and the energy relaxation
of the neighbour, which costs O(zeta t * t / T1) per gap.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qdt_emu.circuit.gates import GENERATOR
from qdt_emu.circuit.noisy import Kind, Operation, Structure
from qdt_emu.circuit.recipe import EARLY, FLIPPED, LATE, SLOW, Recipe, Tables
from qdt_emu.circuit.steps import Step
from qdt_emu.device import Device
from qdt_emu.errors import UnsupportedError

# Gates that commute with Z on both qubits: phases need not be flushed before them.
DIAGONAL = frozenset({"cz", "rzz", "cp", "id"})
# Echoed cross-resonance gates: the echo refocuses the control's ZZ with its spectators, rotary
# tones the target's, to leading order (Sundaresan et al., PRX Quantum 1, 020318, 2020).
ECHOED = frozenset({"ecr", "cx"})
# Gates that leave Z of their first qubit as it is, or turn its sign, so that phases that were
# collected before them go on, or backwards.
CARRIES = {"x": -1, "y": -1, "cx": 1, "ecr": -1}


def lower(
    steps: Sequence[Step], duration: float, device: Device, *, n_clbits: int, measured: bool
) -> tuple[Structure, Recipe]:
    """Return the noisy circuit's structure and the recipe of its values.

    Args:
        steps: Scheduled, see `schedule`.
        duration: Length of the schedule in s.
        device: Where the mechanisms come from.
        n_clbits: Number of classical bits.
        measured: True if the result is the classical record; False if observables of the state
            at the end of the schedule are wanted: then all qubits idle until the end.
    """
    touched = frozenset(q for s in steps if s.name not in ("delay", "barrier") for q in s.qubits)
    work = _Lowering(device, _zz_partners(touched, device), touched)
    crowded, midway = _crowded(steps, device), _midway(steps, measured=measured)
    for k, step in enumerate(steps):
        work.step(step, beside=crowded.get(k, ()), midway=k in midway)
    if not measured:
        for q in sorted(work.last):
            work.flush(q, duration)
            work.slow_noise(q, duration, 0)
            work.idle(q, duration)
    operations = _live(work.operations) if measured else work.operations
    return work.finish(operations, duration, n_clbits)


@dataclass
class _Busy:
    """The last gate on a qubit: for how long it blocks, and how its ZZ counts meanwhile."""

    until: float = 0.0
    partner: int = -1
    weight: float = 1.0


@dataclass
class _Phase:
    """ZZ time a coupler has collected and not applied yet, in s."""

    begin: float
    since: float
    free: float = 0.0
    spectating: float = 0.0


@dataclass
class _Shift:
    """A gate next to a qubit, as far as its phase is not applied yet."""

    row: int
    begin: float
    end: float


@dataclass
class _Lowering:
    device: Device
    partners: dict[int, list[int]]
    touched: frozenset[int]  # qubits that do more than wait
    operations: list[Operation] = field(default_factory=list)
    tables: Tables = field(default_factory=Tables)
    last: dict[int, float] = field(default_factory=dict)  # end of a touched qubit's last step
    busy: dict[int, _Busy] = field(default_factory=dict)
    phased: dict[tuple[int, int], _Phase] = field(default_factory=dict)
    dwelt: dict[int, float] = field(default_factory=dict)  # detuning collected until
    shifted: dict[int, list[_Shift]] = field(default_factory=dict)  # by gates next to it
    slowed: dict[int, tuple[float, float]] = field(default_factory=dict)  # signed time, until

    def __post_init__(self) -> None:
        p = self.device.parameters
        self.detuned = p.detuning is not None or p.charge_parity is not None
        self.offset = p.offset is not None
        self.slow = p.slow_dephasing is not None
        self.stable = np.isinf(np.asarray(p.t1)) & np.isinf(np.asarray(p.t2))

    def step(self, step: Step, *, beside: Sequence[tuple[int, int]], midway: bool) -> None:
        if step.name in ("delay", "barrier"):
            return
        for q in step.qubits:
            if q not in self.last:
                self.touch(q, step.start)
            self.idle(q, step.start)
        if not self.is_diagonal(step):
            # A one-qubit pulse acts at its middle; phases before and after it count halves.
            middle = step.start + (step.duration / 2 if len(step.qubits) == 1 else 0.0)
            for k, q in enumerate(step.qubits):
                self.flush(q, middle)
                self.slow_noise(q, middle, 0 if k or step.conditions else CARRIES.get(step.name, 0))
        elif step.row >= 0 and len(step.qubits) == 2:
            for q in step.qubits:  # from here on it is in a gate, and its ZZ counts differently
                for pair in self.pairs(q):
                    self.collect(pair, step.start)
        match step.name:
            case "measure":
                self.measure(step, midway=midway)
            case "reset":
                slot = self.tables.row("reset", step.qubits[0])
                self.add(Kind.RESET, step.qubits, slot, step, "reset")
                self.relax(step.qubits[0], step.duration, -1, step)
            case "branch":
                self.branch(step)
            case _:
                self.gate(step, beside=beside)
        end = step.start + step.duration
        for q in step.qubits:
            self.last[q] = end
            if step.row >= 0 and len(step.qubits) == 2 and step.duration > 0:
                partner = step.qubits[1] if q == step.qubits[0] else step.qubits[0]
                self.busy[q] = _Busy(end, partner, 0.0 if step.name in ECHOED else 1.0)

    @staticmethod
    def is_diagonal(step: Step) -> bool:
        return step.virtual or step.name in DIAGONAL or step.name == "measure"

    def touch(self, q: int, start: float) -> None:
        """Let the qubit begin: until now it has waited in |0>."""
        for other in self.partners.get(q, ()):
            pair = (min(q, other), max(q, other))
            if pair in self.phased:
                self.collect(pair, start)
                self.apply(pair)
            elif other in self.last or self.device.zz_frame == "dressed":
                self.phased[pair] = _Phase(start, start)
        self.last[q] = self.dwelt[q] = start
        self.slowed[q] = 0.0, start

    def idle(self, q: int, until: float) -> None:
        """Relax `q` from its last step until now."""
        self.relax(q, until - self.last[q], -1, None, start=self.last[q])
        self.last[q] = max(until, self.last[q])

    def relax(
        self, q: int, duration: float, row: int, step: Step | None, *, start: float = 0.0
    ) -> None:
        if self.stable[q] or duration < 1e-15:  # a rounding error, not a gap
            return
        slot = self.tables.row("relaxation", (q, round(duration, 15), row))
        mechanism = "relaxation (idle)" if step is None else "relaxation (gate)"
        begin = start if step is None else step.start
        self.operations.append(Operation(Kind.RELAXATION, (q,), slot, -1, (), mechanism, begin))

    def add(
        self, kind: Kind, qubits: tuple[int, ...], slot: int, step: Step, mechanism: str
    ) -> None:
        clbit = step.clbits[0] if kind is Kind.MEASURE else -1
        self.operations.append(
            Operation(kind, qubits, slot, clbit, step.conditions, mechanism, step.start)
        )

    def gate(self, step: Step, *, beside: Sequence[tuple[int, int]]) -> None:
        self.add(Kind.UNITARY, step.qubits, self.tables.gate(step), step, "ideal")
        if step.row < 0 or step.virtual:
            return
        self.coherent(step)
        if self.device.parameters.context is not None and step.name in GENERATOR:
            self.context(step, beside)
        if self.device.parameters.stark is not None and len(step.qubits) == 2:
            pair = (min(step.qubits), max(step.qubits))
            for row, q in self.device.spectator_rows.get(pair, ()):
                shift = _Shift(row, step.start, step.start + step.duration)
                self.shifted.setdefault(q, []).append(shift)
        if not step.conditions:  # a conditional gate's time is that of its branch
            for q in step.qubits:
                self.relax(q, step.duration, step.row, step)
        table = f"pauli{len(step.qubits)}"
        slot = self.tables.row(table, (step.row, bool(beside)))
        self.add(Kind.PAULI, step.qubits, slot, step, "gate")
        if self.device.parameters.spectator_flips is not None and step.name in GENERATOR:
            self.flip_spectators(step)
        if self.device.parameters.leakage is not None:
            slot = self.tables.row("leakage", step.row)
            for q in step.qubits:
                self.add(Kind.LEAK, (q,), slot, step, "leakage")

    def coherent(self, step: Step) -> None:
        p = self.device.parameters
        table = f"unitaries{len(step.qubits)}"
        if p.over_rotation is not None and step.name in GENERATOR:
            slot = self.tables.row(table, ("over_rotation", GENERATOR[step.name], step.row))
            self.add(Kind.UNITARY, step.qubits, slot, step, "coherent")
        if p.phase is not None:
            for k, q in enumerate(step.qubits):
                slot = self.tables.row("unitaries1", ("phase", k, step.row))
                self.add(Kind.UNITARY, (q,), slot, step, "coherent")

    def context(self, step: Step, beside: Sequence[tuple[int, int]]) -> None:
        """Add the rotations of a two-qubit gate alone and beside each gate around it."""
        if len(step.qubits) != 2:
            return
        pair = (min(step.qubits), max(step.qubits))
        letters = GENERATOR[step.name]
        for other in (None, *beside):
            row = self.device.context_row[pair, other]
            slot = self.tables.row("unitaries2", ("context", letters, row, 0))
            self.add(Kind.UNITARY, step.qubits, slot, step, "context")
            for letter, q in zip(letters, step.qubits, strict=True):
                slot = self.tables.row("unitaries1", ("context", letter, row, 1 + pair.index(q)))
                self.add(Kind.UNITARY, (q,), slot, step, "context")

    def flip_spectators(self, step: Step) -> None:
        """Add the flips of the qubits next to a two-qubit gate."""
        if len(step.qubits) != 2:
            return
        letter = dict(zip(step.qubits, GENERATOR[step.name], strict=True))
        for row, q in self.device.spectator_rows.get((min(step.qubits), max(step.qubits)), ()):
            if q not in self.touched:
                continue
            if q not in self.last:
                self.touch(q, step.start)
            near = next(p for p in step.qubits if p in self.device.neighbours[q])
            slot = self.tables.row("pauli2", (row, FLIPPED + "XYZ".index(letter[near])))
            self.add(Kind.PAULI, (near, q), slot, step, "spectator flip")

    def measure(self, step: Step, *, midway: bool) -> None:
        q = step.qubits[0]
        time = round(step.duration, 15) if midway and not self.stable[q] else 0.0
        self.relax(q, time, EARLY, step)
        slot = self.tables.row("confusion", (q, time))
        self.add(Kind.MEASURE, step.qubits, slot, step, "readout")
        self.relax(q, time, LATE, step)
        self.slowed[q] = 0.0, step.start + step.duration  # no coherence is left

    def branch(self, step: Step) -> None:
        """Place the alternatives, each under its condition, then relax for the whole block."""
        self.place_branch(step)
        for q in step.qubits:
            self.relax(q, step.duration, -1, step)

    def place_branch(self, step: Step) -> None:
        first = len(self.operations)
        for alternative in step.branches:
            for s in alternative:
                self.place_conditional(replace(s, start=step.start + s.start))
        _refuse_moving_conditions(self.operations[first:], len(step.conditions))

    def place_conditional(self, step: Step) -> None:
        if step.name == "measure":
            slot = self.tables.row("confusion", (step.qubits[0], 0.0))
            self.add(Kind.MEASURE, step.qubits, slot, step, "readout")
        elif step.name == "reset":
            slot = self.tables.row("reset", step.qubits[0])
            self.add(Kind.RESET, step.qubits, slot, step, "reset")
        elif step.branches:
            self.place_branch(step)
        elif step.name not in ("delay", "barrier"):
            self.gate(step, beside=())

    def flush(self, q: int, now: float) -> None:
        """Apply the phases collected by `q` with its neighbours and by its detuning until now."""
        begin = self.dwelt[q]
        if (self.detuned or self.offset) and now - begin > 1e-15:
            time = round(now - begin, 15)
            if self.detuned:
                slot = self.tables.row("dwell", time)
                self.operations.append(Operation(Kind.DWELL, (q,), slot, -1, (), "detuning", begin))
            if self.offset:
                slot = self.tables.row("unitaries1", ("offset", q, time))
                self.operations.append(Operation(Kind.UNITARY, (q,), slot, -1, (), "offset", begin))
            self.dwelt[q] = now
        self.shift(q, now)
        for pair in self.pairs(q):
            self.collect(pair, now)
            self.apply(pair)

    def slow_noise(self, q: int, now: float, sign: int) -> None:
        """Collect the time of slow noise on `q` until now; apply it where nothing carries it on.

        Args:
            q: Physical qubit.
            now: In s.
            sign: What the next gate makes of Z: the same (1), its opposite (-1), or neither (0).
        """
        if not self.slow:
            return
        time, since = self.slowed[q]
        time += now - since
        if not sign and abs(time) > 1e-15:
            slot = self.tables.row("relaxation", (q, round(abs(time), 15), SLOW))
            noise = Operation(Kind.RELAXATION, (q,), slot, -1, (), "slow dephasing", since)
            self.operations.append(noise)
        self.slowed[q] = sign * time, now

    def shift(self, q: int, now: float) -> None:
        """Apply what gates next to `q` have turned it by until now."""
        left = []
        for gate in self.shifted.pop(q, []):
            until = min(gate.end, now)
            if until - gate.begin > 1e-15:
                key = ("stark", gate.row, round(until - gate.begin, 15))
                slot = self.tables.row("unitaries1", key)
                self.operations.append(
                    Operation(Kind.UNITARY, (q,), slot, -1, (), "stark", gate.begin)
                )
                gate.begin = until
            if gate.begin < gate.end:
                left.append(gate)
        if left:
            self.shifted[q] = left

    def pairs(self, q: int) -> list[tuple[int, int]]:
        """Return the pairs of `q` that collect ZZ."""
        found = ((min(q, other), max(q, other)) for other in self.partners.get(q, ()))
        return [pair for pair in found if pair in self.phased]

    def collect(self, pair: tuple[int, int], now: float) -> None:
        """Count the ZZ time of a pair until now."""
        phase = self.phased[pair]
        if now <= phase.since:  # counted already, up to the middle of a later pulse
            return
        free, spectating = self.overlap(*pair, phase.since, now)
        phase.free += free
        phase.spectating += spectating
        phase.since = now

    def apply(self, pair: tuple[int, int]) -> None:
        """Apply the ZZ a coupler has collected."""
        phase = self.phased[pair]
        if phase.free <= 1e-15 and phase.spectating <= 1e-15:
            return
        begun = tuple(q for q in pair if q in self.last)
        # A neighbour that has not begun is in |0>: what is left of ZZ is Z.
        source = "zz" if len(begun) == 2 else "spectator"
        times = round(phase.free, 15), round(phase.spectating, 15)
        slot = self.tables.row(
            f"unitaries{len(begun)}", (source, self.device.coupler_row[pair], *times)
        )
        self.operations.append(Operation(Kind.UNITARY, begun, slot, -1, (), "zz", phase.begin))
        self.phased[pair] = _Phase(phase.since, phase.since)

    def overlap(self, a: int, b: int, since: float, now: float) -> tuple[float, float]:
        """Return the time in which a and b are both free, and that with one in a gate."""
        ends = [min(self.busy[q].until, now) if q in self.busy else since for q in (a, b)]
        edges = sorted({since, now, *(t for t in ends if since < t < now)})
        free = spectating = 0.0
        for begin, end in itertools.pairwise(edges):
            weight, gates = 1.0, 0
            for q, other in ((a, b), (b, a)):
                state = self.busy.get(q)
                if state is not None and begin < state.until:
                    weight *= 0.0 if state.partner == other else state.weight
                    gates += 1
            if gates:
                spectating += weight * (end - begin)
            else:
                free += end - begin
        return free, spectating

    def finish(
        self, operations: list[Operation], duration: float, n_clbits: int
    ) -> tuple[Structure, Recipe]:
        """Number the qubits that are left and freeze the tables."""
        active = sorted({q for op in operations for q in op.qubits})
        local = {q: k for k, q in enumerate(active)}
        order = self.tables.order()
        compact = tuple(
            Operation(
                op.kind,
                tuple(local[q] for q in op.qubits),
                order(op.kind, len(op.qubits), op.slot),
                op.clbit,
                op.conditions,
                op.mechanism,
                op.start,
            )
            for op in operations
        )
        pairs, rows = _readout_pairs(compact, active, self.device)
        structure = Structure(compact, len(active), n_clbits, tuple(active), pairs, duration)
        return structure, self.tables.freeze(active, rows)


def _refuse_moving_conditions(operations: Sequence[Operation], depth: int) -> None:
    """Refuse a branch that changes its own condition (place `depth` among those of an operation).

    The processor decides once per branch; here each operation reads the bits anew.
    """
    written: set[int] = set()
    for op in operations:
        if changed := written.intersection(op.conditions[depth].clbits):
            raise UnsupportedError(
                f"A branch on classical bit {min(changed)} measures into that bit before its last "
                f"operation, which has no model here. Measure into another bit."
            )
        if op.kind is Kind.MEASURE:
            written.add(op.clbit)


def _live(operations: list[Operation]) -> list[Operation]:
    """Drop what cannot reach the record: trace-preserving operations on qubits never read again."""
    live: set[int] = set()
    out = []
    for op in reversed(operations):
        if op.kind is Kind.MEASURE:
            live.update(op.qubits)
        elif not live.intersection(op.qubits):
            continue
        else:
            live.update(op.qubits)
        out.append(op)
        if op.kind is Kind.RESET and not op.conditions:
            live.difference_update(op.qubits)
    return out[::-1]


def _zz_partners(touched: frozenset[int], device: Device) -> dict[int, list[int]]:
    """Return the coupled qubits with a ZZ rate, among those the circuit touches."""
    resting = device.zz_frame == "dressed"  # there, neighbours that are never touched count too
    rates = np.asarray(device.parameters.zz)
    out: dict[int, list[int]] = {}
    for a in sorted(touched):
        found = [
            b
            for b in device.neighbours[a]
            if (resting or b in touched) and rates[device.coupler_row[a, b]]
        ]
        if found:
            out[a] = found
    return out


def _crowded(steps: Sequence[Step], device: Device) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return the neighbouring couplers in use while a two-qubit gate runs, by its place."""
    on: dict[int, list[tuple[float, float, tuple[int, int]]]] = {}
    for step in steps:
        if len(step.qubits) == 2 and step.row >= 0:
            pair = (min(step.qubits), max(step.qubits))
            for q in pair:
                on.setdefault(q, []).append((step.start, step.start + step.duration, pair))
    out = {}
    for k, step in enumerate(steps):
        if len(step.qubits) != 2 or step.row < 0:
            continue
        around = {n for q in step.qubits for n in device.neighbours[q]} - set(step.qubits)
        end = step.start + step.duration
        found = {
            pair
            for n in around
            for begin, stop, pair in on.get(n, ())
            if begin < end - 1e-15 and step.start < stop - 1e-15
        }
        if found:
            out[k] = tuple(sorted(found))
    return out


def _midway(steps: Sequence[Step], *, measured: bool) -> set[int]:
    """Return the measurements whose qubit matters afterwards."""
    later: set[int] = set()
    out = set()
    for k, step in reversed(list(enumerate(steps))):
        if step.name in ("delay", "barrier"):
            continue
        if step.name == "measure" and (not measured or step.qubits[0] in later):
            out.add(k)
        later.update(step.qubits)
    return out


def _readout_pairs(
    operations: Sequence[Operation], active: list[int], device: Device
) -> tuple[tuple[tuple[int, int], ...], list[tuple[int, int, int]]]:
    """Return the clbit pairs read together, and (device row, qubit, qubit) of each."""
    if device.parameters.pair_correlation is None:
        return (), []
    bit_of = {active[op.qubits[0]]: op.clbit for op in operations if op.kind is Kind.MEASURE}
    found = [
        ((bit_of[a], bit_of[b]), (row, a, b))
        for row, (a, b) in enumerate(device.readout_pairs)
        if a in bit_of and b in bit_of
    ]
    return tuple(bits for bits, _ in found), [row for _, row in found]
