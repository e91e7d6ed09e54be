"""A noisy circuit as instructions of Stim, with an account of what was twirled on the way."""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values
from qdt_emu.engines.stabilizer_clifford import Clifford, clifford
from qdt_emu.errors import UnsupportedError
from qdt_emu.noise import pauli_twirl, relaxation_ptm

ASKED_LIMIT = 0.01  # process infidelity that twirling may cost a gate the user asked for
NOISE_LIMIT = 0.15  # and a coherent error; both angles, 0.2 and 0.8 rad
SAME = 1e-12  # probabilities that differ by less are the same
MAX_CONDITION = 10  # clbits of one condition
INSTEAD = "Use engine='statevector' or 'density'."


@dataclass(frozen=True)
class Text:
    """Instructions of Stim.

    Attributes:
        lines: One instruction each.
        record: Index of the measurement that each clbit holds at the end, -1 if never written.
        misread: (clbit, P(1|0), P(0|1)) still to be applied to the record.
        statements: What was twirled or averaged, one sentence each.
    """

    lines: tuple[str, ...]
    record: tuple[int, ...]
    misread: tuple[tuple[int, float, float], ...]
    statements: tuple[str, ...]


def write(
    structure: Structure, values: Values, *, accept_twirl: bool, average_readout: bool = False
) -> Text:
    """Return the circuit as instructions of Stim.

    Args:
        structure: The circuit.
        values: Its numbers.
        accept_twirl: Replace what is no Pauli channel by its Pauli twirl, and say so.
        average_readout: Write asymmetric and paired misreading as independent symmetric flips too.

    Raises:
        UnsupportedError: Something Stim cannot do, or `accept_twirl` would be needed; with names.
    """
    writer = _Writer(structure, values, average_readout)
    for q, p in enumerate(np.asarray(values.excited, float)):
        writer.line("X_ERROR", [p], (q,))
    for k, op in enumerate(structure.operations):
        writer.write(op, read_later=k in writer.feeding)
    if writer.refused:
        (kind, reason), where = next(iter(writer.refused.items()))
        raise UnsupportedError(
            f"The engine 'stabilizer' must have Clifford gates and Pauli noise, but {kind} "
            f"{reason} ({where[0]} times, first on qubits {where[1]}). {INSTEAD}"
        )
    statements = writer.statements()
    if statements and not accept_twirl:
        raise UnsupportedError(
            f"The engine 'stabilizer' must have Clifford gates and Pauli noise, but this would be "
            f"an approximation: {' '.join(statements)} Accept it with "
            f"`accept_twirl=True`, or use engine='statevector' or 'density'."
        )
    record = [writer.last.get(c, -1) for c in range(structure.n_clbits)]
    misread = tuple((c, *writer.misread[c]) for c in sorted(writer.misread))
    return Text(tuple(writer.lines), tuple(record), misread, tuple(statements))


@dataclass
class _Writer:
    structure: Structure
    values: Values
    average: bool
    lines: list[str] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)  # measurement that a clbit holds
    misread: dict[int, tuple[float, float]] = field(default_factory=dict)
    twirled: dict[str, list[float]] = field(default_factory=dict)  # statement -> what was lost
    refused: dict[tuple[str, str], tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    measured: int = 0

    def __post_init__(self) -> None:
        self.feeding = _feeding(self.structure)
        self.paired = {c: (k, j) for k, p in enumerate(self.structure.paired_readout)
                       for j, c in enumerate(p)}  # fmt: skip
        self.known: dict[tuple[int, int], Clifford | None] = {}

    def write(self, op: Operation, *, read_later: bool) -> None:
        """Write one operation."""
        control = self.control(op.conditions)
        if control == (False, ()):
            return
        match op.kind:
            case Kind.UNITARY:
                self.unitary(op, control)
            case Kind.PAULI:
                table = self.values.pauli1 if len(op.qubits) == 1 else self.values.pauli2
                self.noise(op, table[op.slot], control)
            case Kind.RELAXATION:
                ptm = np.asarray(relaxation_ptm(*self.values.relaxation[op.slot]))
                if abs(ptm[3, 0]) > SAME:
                    text = f"relaxation of '{op.mechanism}' forgets its pull to equilibrium"
                    self.twirled.setdefault(text, []).append(float(abs(ptm[3, 0])))
                self.noise(op, pauli_twirl(ptm), control)
            case Kind.DWELL:
                turned = np.abs(self.values.detuning[op.qubits[0]]).sum()
                if turned * abs(self.values.dwell[op.slot]) > 0:
                    self.refuse(op, "turns by a random angle that stays for the whole shot")
            case Kind.LEAK:
                if np.any(self.values.leakage[op.slot]):
                    self.refuse(op, "leaves the two levels")
            case _ if control is None or control[1]:
                self.refuse(op, "depends on the record")
            case Kind.RESET:
                self.line("R", [], op.qubits)
                self.line("X_ERROR", [self.values.reset_excitation[op.slot]], op.qubits)
            case Kind.MEASURE:
                self.measure(op, read_later=read_later)

    def unitary(self, op: Operation, control: tuple[bool, tuple[int, ...]] | None) -> None:
        key = (len(op.qubits), op.slot)
        if key not in self.known:
            table = self.values.unitaries1 if len(op.qubits) == 1 else self.values.unitaries2
            self.known[key] = clifford(table[op.slot])
        found = self.known[key]
        lost = 1.0 if found is None else 1 - float(found.errors[0])
        if found is None or lost > (ASKED_LIMIT if op.mechanism == "ideal" else NOISE_LIMIT):
            return self.refuse(op, "is not near to a Clifford gate")
        if control is None or (control[1] and found.pauli < 0):
            return self.refuse(op, "depends on the record other than as one flip by its parity")
        if not found.exact:
            text = f"unitaries of '{op.mechanism}' become a Clifford gate and random Paulis"
            self.twirled.setdefault(text, []).append(lost)
        constant, records = control
        if constant:
            for name, targets in found.gates:
                self.line(name, [], tuple(op.qubits[t] for t in targets))
        for m in records:
            codes = [found.pauli] if len(op.qubits) == 1 else [found.pauli >> 2, found.pauli & 3]
            for q, code in zip(op.qubits, codes, strict=True):
                if code:
                    self.lines.append(f"C{'IXYZ'[code]} rec[{m - self.measured}] {q}")
        if not found.exact:
            self.noise(op, found.errors, control)
        return None

    def noise(
        self, op: Operation, p: NDArray[np.float64], control: tuple[bool, tuple[int, ...]] | None
    ) -> None:
        """Write a Pauli channel."""
        p = np.maximum(np.asarray(p, float), 0.0)
        if (p[1:] <= SAME).all():
            return
        if control is None or control[1]:
            self.refuse(op, "is noise that depends on the record")
        self.line(f"PAULI_CHANNEL_{len(op.qubits)}", list(p[1:] / p.sum()), op.qubits)

    def measure(self, op: Operation, *, read_later: bool) -> None:
        p01, p10 = (float(x) for x in self.values.confusion[op.slot])
        self.misread.pop(op.clbit, None)
        if op.clbit in self.paired:
            p01 = p10 = 0.0
            if self.average:
                p01, p10 = self.marginal(op.clbit)
        if abs(p01 - p10) > SAME:
            if read_later or self.average:
                text = "misreading becomes as likely for 0 as for 1"
                self.twirled.setdefault(text, []).append(abs(p01 - p10) / 2)
                p01 = p10 = (p01 + p10) / 2
            else:
                self.misread[op.clbit] = (p01, p10)
                p01 = 0.0
        self.lines.append(f"M({p01!r}) {op.qubits[0]}" if p01 else f"M {op.qubits[0]}")
        self.last[op.clbit] = self.measured
        self.measured += 1

    def marginal(self, clbit: int) -> tuple[float, float]:
        """Return P(1|0) and P(0|1) of one bit of a pair, the other bit being random."""
        k, j = self.paired[clbit]
        table = np.asarray(self.values.pair_confusion[k], float).reshape(2, 2, 2, 2)
        own = table.sum(1 - j).mean(2 - j)  # [read, true]
        lost = float(np.abs(table.reshape(4, 4) - _product(table)).max())
        if lost > SAME:
            self.twirled.setdefault("correlated misreading becomes independent", []).append(lost)
        return float(own[1, 0]), float(own[0, 1])

    def control(self, conditions: tuple[Condition, ...]) -> tuple[bool, tuple[int, ...]] | None:
        """Return (constant, records) whose parity says whether it happens; None if none does."""
        bits = sorted({c for t in conditions for c in t.clbits if c in self.last})
        if len(bits) > MAX_CONDITION:
            return None

        def holds(ones: frozenset[int]) -> bool:
            return all(
                (sum((c in ones) << k for k, c in enumerate(t.clbits)) == t.value) == t.equal
                for t in conditions
            )

        constant = holds(frozenset())
        flips = {c for c in bits if holds(frozenset({c})) != constant}
        for chosen in product((0, 1), repeat=len(bits)):
            ones = frozenset(c for c, b in zip(bits, chosen, strict=True) if b)
            if holds(ones) != constant ^ (len(ones & flips) % 2):
                return None
        return constant, tuple(self.last[c] for c in bits if c in flips)

    def line(self, name: str, arguments: list[float], qubits: tuple[int, ...]) -> None:
        """Add an instruction with all digits; noise of probability 0 is left out."""
        if arguments and not any(arguments):
            return
        inside = f"({','.join(repr(float(x)) for x in arguments)})" if arguments else ""
        self.lines.append(f"{name}{inside} {' '.join(map(str, qubits))}")

    def refuse(self, op: Operation, reason: str) -> None:
        key = (f"an operation {op.kind.name} of '{op.mechanism}'", reason)
        count, first = self.refused.get(key, (0, op.qubits))
        self.refused[key] = (count + 1, first)

    def statements(self) -> list[str]:
        """Return one sentence for each sort of approximation."""
        return [
            f"{text[0].upper()}{text[1:]}: {len(lost)} times, losing at most {max(lost):.2g}."
            for text, lost in self.twirled.items()
        ]


def _product(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the product of the two marginals of a pair confusion (2, 2, 2, 2), as (4, 4)."""
    first, second = table.sum(1).mean(2), table.sum(0).mean(1)
    return np.kron(first, second)


@lru_cache(maxsize=64)
def _feeding(structure: Structure) -> frozenset[int]:
    """Return the places of the measurements that a later condition reads."""
    last: dict[int, int] = {}
    out = set()
    for k, op in enumerate(structure.operations):
        out |= {last[c] for t in op.conditions for c in t.clbits if c in last}
        if op.kind is Kind.MEASURE:
            last[op.clbit] = k
    return frozenset(out)
