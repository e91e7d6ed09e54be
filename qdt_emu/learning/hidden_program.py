"""A scheduled circuit and the physics of the moment -> a program of qutrit steps.

Every gate acts at the middle of its time. Between, each qubit decays and turns with its detuning,
and each coupler turns by its ZZ: apart, beside a gate with a third qubit, or not at all in its own
gate, whose ZZ is part of the gate. rz moves into the next pulse. A measured qubit stands still from
the beginning of its readout; published and true readout errors contain what happens meanwhile.

Error: decay and ZZ between two gates act one after the other, O(zeta t * t / T1) per gap. Qubits
without a gate are taken to be in |0>.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.compile import Compiled
from qdt_emu.circuit.steps import Step
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.kernels.qutrit import DIAGONAL, ONE, TWO, Program
from qdt_emu.learning.hidden_channels import cz, decay, frame, pulse
from qdt_emu.learning.hidden_physics import Physics

MOST_QUBITS = 10  # 3^10 amplitudes
_SAME = 1e-12  # s


@dataclass(frozen=True, eq=False)
class Prepared:
    """A program and what its qutrits are.

    Attributes:
        program: For the kernel.
        qubits: Qubit of the device of each qutrit.
        readout: (qubit of the device, classical bit) of each measurement.
        n_clbits: Number of classical bits.
    """

    program: Program
    qubits: tuple[int, ...]
    readout: tuple[tuple[int, int], ...]
    n_clbits: int


def prepare(compiled: Compiled, physics: Physics) -> Prepared:
    """Return the program of a compiled circuit.

    Raises:
        InputError: More than ten qubits, or none measured.
        UnsupportedError: Reset, conditions, or a gate on a measured qubit.
    """
    steps = [s for s in compiled.steps if s.name not in ("delay", "barrier")]
    for s in steps:
        if s.name in ("reset", "branch") or s.conditions:
            raise UnsupportedError(
                f"A hidden device measures at the end only, but the circuit has a '{s.name}' that "
                f"resets or depends on a bit. Leave it out."
            )
    qubits = tuple(sorted({q for s in steps for q in s.qubits}))
    readout = tuple((s.qubits[0], s.clbits[0]) for s in steps if s.name == "measure")
    if not readout or len(qubits) > MOST_QUBITS:
        raise InputError(
            f"A circuit on a hidden device must measure and use at most {MOST_QUBITS} qubits, but "
            f"it uses {len(qubits)} and has {len(readout)} measurements."
        )
    if len({c for _, c in readout}) < len(readout):
        raise UnsupportedError("A classical bit must be written once only on a hidden device.")
    work = _Builder(physics, qubits, _driven(steps))
    moments = sorted(steps, key=_moment)
    for _, together in groupby(moments, key=lambda s: round(_moment(s) / _SAME)):
        work.moment(list(together))
    return Prepared(work.program(), qubits, readout, compiled.physical.num_clbits)


def _moment(step: Step) -> float:
    return step.start if step.name == "measure" else step.start + step.duration / 2


@dataclass(frozen=True)
class _Driven:
    """A two-qubit gate in time."""

    begin: float
    end: float
    qubits: tuple[int, ...]


def _driven(steps: Iterable[Step]) -> tuple[_Driven, ...]:
    return tuple(
        _Driven(s.start, s.start + s.duration, s.qubits) for s in steps if len(s.qubits) == 2
    )


@dataclass
class _Builder:
    physics: Physics
    qubits: tuple[int, ...]
    driven: tuple[_Driven, ...]
    last: dict[int, float] = field(default_factory=dict)  # moment of a qubit's last step
    turned: dict[int, float] = field(default_factory=dict)  # rz not yet applied
    phased: dict[int, float] = field(default_factory=dict)  # ZZ of a coupler applied until
    frozen: set[int] = field(default_factory=set)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    waits: list[tuple[int, float]] = field(default_factory=list)
    gates1: list[NDArray[np.complex128]] = field(default_factory=list)
    gates2: list[NDArray[np.complex128]] = field(default_factory=list)
    zz: list[list[tuple[int, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = {q: k for k, q in enumerate(self.qubits)}
        self.row = {pair: k for k, pair in enumerate(self.physics.couplers)}
        self.near: dict[int, list[int]] = {q: [] for q in self.qubits}
        for k, (a, b) in enumerate(self.physics.couplers):
            if a in self.place and b in self.place:
                self.near[a].append(k)
                self.near[b].append(k)

    def moment(self, steps: Sequence[Step]) -> None:
        """Add the steps of one moment, after what their qubits have gone through until then."""
        now = _moment(steps[0])
        for s in steps:
            if moved := self.frozen.intersection(s.qubits):
                raise UnsupportedError(
                    f"A hidden device measures at the end only, but qubit {min(moved)} has a "
                    f"'{s.name}' after its measurement. Leave it out."
                )
        gates = [s for s in steps if s.name not in ("rz", "measure")]
        self.couple(sorted({k for s in gates for q in s.qubits for k in self.near[q]}), now)
        for s in steps:
            self.step(s, now)

    def step(self, s: Step, now: float) -> None:
        q = s.qubits[0]
        match s.name:
            case "rz":
                self.turned[q] = self.turned.get(q, 0.0) + float(s.params[0])
            case "measure":
                self.one(q, now, np.eye(3, dtype=complex), 0.0)
                self.frozen.add(q)
            case "sx" | "x":
                kind = int(s.name == "x")
                self.one(q, now, self.pulse(q, kind), float(self.physics.pulse_pauli[q]))
            case "cz":
                self.cz(s, now)
            case _:
                raise UnsupportedError(f"A hidden device has rz, sx, x and cz, but no '{s.name}'.")

    def pulse(self, q: int, kind: int) -> NDArray[np.complex128]:
        p = self.physics
        return pulse(
            (np.pi / 2, np.pi)[kind] + p.angle[q, kind],
            tilt=p.tilt[q],
            phase=p.pulse_phase[q, kind],
            leakage=p.pulse_leakage[q],
        )

    def one(self, q: int, now: float, gate: NDArray[np.complex128], pauli: float) -> None:
        """Let a qubit wait until now, turn by its frame changes, and do a gate."""
        wait = now - self.last.get(q, now)  # before its first step it is at rest
        self.gates1.append(gate @ frame(self.turned.pop(q, 0.0)))
        self.waits.append((q, wait))
        stride, local = 3 ** self.place[q], self.place[q]
        row = len(self.gates1) - 1
        self.rows.append((ONE, stride, 0, row, len(self.waits) - 1, local, wait, pauli))
        self.last[q] = now

    def cz(self, s: Step, now: float) -> None:
        for q in s.qubits:
            self.one(q, now, np.eye(3, dtype=complex), 0.0)
        pair = (min(s.qubits), max(s.qubits))
        row = self.row[pair]
        pauli = float(self.physics.cz_pauli[row])
        if self.crowded(s):
            pauli = min(1.0, pauli * self.physics.crowding)
        self.gates2.append(cz(self.physics, row) * np.sqrt(1 - pauli))
        first, second = (3 ** self.place[q] for q in pair)
        self.rows.append((TWO, first, second, len(self.gates2) - 1, 0, 0, 0.0, pauli))

    def crowded(self, s: Step) -> bool:
        """Whether a neighbouring coupler is driven at the same time."""
        around = {q for k in self.near_all(s.qubits) for q in self.physics.couplers[k]}
        around -= set(s.qubits)
        end = s.start + s.duration
        return any(
            around.intersection(g.qubits) and g.begin < end - _SAME and s.start < g.end - _SAME
            for g in self.driven
            if not set(g.qubits) & set(s.qubits)
        )

    def near_all(self, qubits: Iterable[int]) -> set[int]:
        return {k for q in qubits for k in self.near[q]}

    def couple(self, couplers: Iterable[int], now: float) -> None:
        """Apply what the ZZ of these couplers has collected until now."""
        angles = []
        for k in couplers:
            since, self.phased[k] = self.phased.get(k, 0.0), now
            if turns := self.turns(k, since, now):
                angles.append((k, -2 * np.pi * turns))
        if angles:
            self.zz.append(angles)
            self.rows.append((DIAGONAL, 0, 0, len(self.zz) - 1, 0, 0, 0.0, 0.0))

    def turns(self, coupler: int, since: float, now: float) -> float:
        """Return the turns of |11> between two times: ZZ apart, beside a gate, or in its own."""
        pair = self.physics.couplers[coupler]
        gates = [
            g for g in self.driven if set(g.qubits) & set(pair) and g.begin < now and g.end > since
        ]
        edges = {since, now} | {t for g in gates for t in (g.begin, g.end) if since < t < now}
        ordered, out = sorted(edges), 0.0
        for begin, end in pairwise(ordered):
            middle = (begin + end) / 2
            there = [g for g in gates if g.begin < middle < g.end]
            if not any(set(g.qubits) == set(pair) for g in there):
                out += (end - begin) * (self.physics.zz_beside[coupler] if there else 1.0)
        return float(out * self.physics.zz[coupler])

    def program(self) -> Program:
        """Return the arrays."""
        rows = np.array(self.rows, float)
        # Rows of a contiguous array: the kernel is compiled for one layout.
        kind, first, second, gate, waited, local = np.ascontiguousarray(rows[:, :6].T, np.int64)
        return Program(
            kind=kind,
            stride=np.stack([first, second], axis=1),
            gate=gate,
            decay=waited,
            qutrit=local,
            dwell=np.ascontiguousarray(rows[:, 6]),
            pauli=np.ascontiguousarray(rows[:, 7]),
            gates1=np.array(self.gates1),
            gates2=np.array(self.gates2, complex).reshape(-1, 9, 9),
            diagonals=self.diagonals(),
            decays=self.decays(),
        )

    def diagonals(self) -> NDArray[np.complex128]:
        n = len(self.qubits)
        levels = np.arange(3**n)[:, None] // 3 ** np.arange(n) % 3
        pairs = [tuple(self.place.get(q, 0) for q in pair) for pair in self.physics.couplers]
        both = np.array([levels[:, a] * levels[:, b] for a, b in pairs], float).reshape(-1, 3**n)
        angles = np.zeros((len(self.zz), len(pairs)))
        for row, found in enumerate(self.zz):
            for k, angle in found:
                angles[row, k] = angle
        return np.asarray(np.exp(1j * (angles @ both)))

    def decays(self) -> NDArray[np.complex128]:
        p, out = self.physics, np.zeros((len(self.waits), 9, 3, 3), complex)
        qubits, times = np.array([q for q, _ in self.waits]), np.array([t for _, t in self.waits])
        for q in self.qubits:
            own = qubits == q
            out[own] = decay(times[own], p.t1[q], p.ladder[q], p.t_phi[q], p.excited[q])
        return out
