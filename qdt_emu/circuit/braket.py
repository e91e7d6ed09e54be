"""OpenQASM 3 as Amazon Braket writes it: verbatim boxes, Braket's gate names, feed-forward.

`measure_ff(key) $q` measures a qubit and keeps the outcome under a key; `cc_prx(angle, phase, key)
$q` turns a qubit if that outcome is 1 and waits as long if it is 0. `$q` is the vendor's label of a
qubit, which for IQM starts at 1: the circuit carries it until `by_label` knows the device.

Measurements that follow one another directly are one readout pulse, so they begin together.

Braket returns the result bits only, not the outcomes under keys. An outcome is therefore kept in a
result bit that is written for good later; where none is free, in the register `feedforward`, which
then comes first in the counts (as the highest bits).

Source:
    Amazon Braket SDK, experimental capabilities of IQM (`measure_ff`, `cc_prx`); IQM Pulse,
    `CCPRX_Composite`: outcome 0 is a wait of equal duration; IQM Pulla, `multiplex_readout`.
"""

import ast
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate
from qiskit.circuit.library import RGate, get_standard_gate_name_mapping

from qdt_emu.device import Device
from qdt_emu.errors import InputError, UnsupportedError

PHYSICAL = "physical"  # key in a circuit's metadata: its qubits are the processor's
LABELLED = "labelled"  # ... and its qubit `k` is the one that the vendor calls `k`

# Braket's names where they differ from Qiskit's.
NAMES = {
    "prx": "r", "cnot": "cx", "i": "id", "si": "sdg", "ti": "tdg", "v": "sx", "vi": "sxdg",
    "phaseshift": "p", "cphaseshift": "cp", "xx": "rxx", "yy": "ryy", "zz": "rzz", "ccnot": "ccx",
}  # fmt: skip

_DIALECT = re.compile(r"#pragma\s+braket\b|\b(?:measure_ff|cc_prx|prx)\s*\(")
_OPERAND = re.compile(r"\$(\d+)|([A-Za-z_]\w*)\s*\[\s*(\d+)\s*\]")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?\s+(?=[$A-Za-z_])(.*)", re.DOTALL)
_DECLARED = re.compile(r"(bit|qubit)\s*(?:\[\s*(\d+)\s*\])?\s+([A-Za-z_]\w*)")
_MEASURE = re.compile(r"(\w+)\s*\[\s*(\d+)\s*\]\s*=\s*measure\s+(\S.*)", re.DOTALL)
_WORDS = frozenset(  # of OpenQASM 3 that look like calls of gates
    ("if", "for", "while", "def", "gate", "input", "output", "reset", "delay", "const", "let",
     "cal", "defcal", "int", "float", "angle", "bool", "ctrl", "negctrl", "inv", "pow", "return")
)  # fmt: skip
_SKIPPED = re.compile(r"OPENQASM\s+3(?:\.\d+)?|include\s+\"[^\"]*\"|box")

_ARITHMETIC: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: operator.pow, ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "euler": math.e}


class _Statement(NamedTuple):
    line: int
    name: str  # gate, 'measure', 'measure_ff', 'cc_prx' or 'barrier'
    angles: tuple[float, ...]
    qubits: tuple[int, ...]
    bit: int  # result bit written, -1 if none
    key: int  # feed-forward key, -1 if none


@dataclass
class _Names:
    """What a text has declared so far, and which kind of qubits it uses."""

    bits: dict[str, tuple[int, int]]  # name -> (first, size)
    qubits: dict[str, tuple[int, int]]
    labelled: bool = False


def is_braket(text: str) -> bool:
    """Return whether OpenQASM 3 text uses words that only Amazon Braket has."""
    return bool(_DIALECT.search(text))


def read_braket(text: str, where: str) -> QuantumCircuit:
    """Return the circuit in OpenQASM 3 text of Amazon Braket.

    Args:
        text: With hardware qubits (`$3`) or one or more declared registers, not both.
        where: Name of the text in messages.

    Raises:
        InputError: A syntax error, an unknown gate, or a key that nothing was measured into.
        UnsupportedError: Other pragmas than `verbatim`, and other statements.
    """
    names = _Names({}, {})
    statements = list(_statements(text, where, names))
    sizes = {name: size for name, (_, size) in names.bits.items()}
    if names.labelled:
        if names.qubits:
            raise InputError(
                f"{where} must use hardware qubits or declared ones, but uses both. Choose one."
            )
        n = 1 + max(q for s in statements for q in s.qubits)
        circuit = QuantumCircuit(n, metadata={PHYSICAL: True, LABELLED: True})
    else:
        circuit = QuantumCircuit()
        for name, (_, size) in names.qubits.items():
            circuit.add_register(QuantumRegister(size, name))
    for name, size in sizes.items():
        circuit.add_register(ClassicalRegister(size, name))
    places = _feedforward(statements, sum(sizes.values()), where)
    if extra := max([0, *(1 + c - circuit.num_clbits for c in places.values())]):
        circuit.add_register(ClassicalRegister(extra, "feedforward"))
    for readout, group in itertools.groupby(
        enumerate(statements), lambda x: x[1].name == "measure"
    ):
        members = list(group)
        if readout and names.labelled and len(members) > 1:
            circuit.barrier(sorted({q for _, s in members for q in s.qubits}))
        for k, statement in members:
            _append(circuit, statement, places.get(k, -1))
    return circuit


def by_label(circuit: QuantumCircuit, device: Device) -> QuantumCircuit:
    """Return a circuit on the vendor's labels as one on the device's qubits 0..n-1.

    A circuit without labels, and one for a device whose labels are 0, 1, ..., comes back as it is.

    Raises:
        InputError: The device has no qubit of that label.
    """
    if not (circuit.metadata or {}).get(LABELLED) or not device.labels:
        return circuit
    place = {label: q for q, label in enumerate(device.labels)}
    used = {q: k for k, q in enumerate(circuit.qubits)}
    out = QuantumCircuit(device.n_qubits, name=circuit.name, metadata={PHYSICAL: True})
    for register in circuit.cregs:
        out.add_register(register)
    for item in circuit.data:
        labels = [used[q] for q in item.qubits]
        if unknown := [k for k in labels if k not in place]:
            raise InputError(
                f"'{device.name}' has no qubit ${unknown[0]}; its qubits are ${device.labels[0]} "
                f"to ${device.labels[-1]}. Check the labels."
            )
        out.append(item.operation, [out.qubits[place[k]] for k in labels], item.clbits)
    return out


def _statements(text: str, where: str, names: _Names) -> Iterator[_Statement]:
    blank = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
    text = blank.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for pragma in re.finditer(r"^\s*#pragma\s+(.*)$", text, re.MULTILINE):
        if pragma[1].split() != ["braket", "verbatim"]:
            raise UnsupportedError(
                f"The pragma `{pragma[1].strip()}` has no model here; `braket verbatim` has. "
                f"Remove it from {where}."
            )
    text = re.sub(r"^\s*#pragma[^\n]*$", "", text, flags=re.MULTILINE)
    for match in re.finditer(r"[^;{}]+(;?)|[{}]", text):
        found = match[0].rstrip(";").strip()
        if not found or found in "{}" or _SKIPPED.fullmatch(found):
            continue
        line = 1 + text.count("\n", 0, match.start() + len(match[0]) - len(match[0].lstrip()))
        place = f"line {line} of {where}"
        if not match[1]:
            raise InputError(f"A statement must end in ';', but {found!r} does not ({place}).")
        if declared := _DECLARED.fullmatch(found):
            table = names.bits if declared[1] == "bit" else names.qubits
            first = sum(size for _, size in table.values())
            table[declared[3]] = (first, int(declared[2] or 1))
        else:
            yield _statement(found, line, place, names)


def _statement(text: str, line: int, place: str, names: _Names) -> _Statement:
    if measure := _MEASURE.fullmatch(text):
        bit = _index(names.bits, measure[1], int(measure[2]), place)
        return _Statement(line, "measure", (), _operands(measure[3], place, names), bit, -1)
    call = _CALL.fullmatch(text)
    if not call or call[1] in _WORDS:
        raise UnsupportedError(
            f"The statement {text[:60]!r} ({place}) has no reader here; gates, `measure`, "
            f"`measure_ff`, `cc_prx` and `barrier` have."
        )
    name, inside, operands = call.groups()
    angles = tuple(_number(a, place) for a in inside.split(",")) if inside else ()
    qubits, key = _operands(operands, place, names), -1
    if name in ("measure_ff", "cc_prx"):
        wanted = 1 if name == "measure_ff" else 3
        if len(angles) != wanted or angles[-1] != int(angles[-1]) or len(qubits) != 1:
            raise InputError(
                f"`{name}` must have {wanted} argument(s), the last a whole number, and one qubit, "
                f"but is {text!r} ({place})."
            )
        *rest, last = angles
        angles, key = tuple(rest), int(last)
    elif name != "barrier":
        _gate(name, angles, qubits, place)
    return _Statement(line, name, angles, qubits, -1, key)


def _operands(text: str, place: str, names: _Names) -> tuple[int, ...]:
    out = []
    for part in text.split(","):
        match = _OPERAND.fullmatch(part.strip())
        if not match:
            raise InputError(f"A qubit must read like `$3` or `q[3]`, but is {part!r} ({place}).")
        if match[1]:
            names.labelled = True
            out.append(int(match[1]))
        else:
            out.append(_index(names.qubits, match[2], int(match[3]), place))
    return tuple(out)


def _index(registers: Mapping[str, tuple[int, int]], name: str, k: int, place: str) -> int:
    first, size = registers.get(name, (0, 0))
    if k >= size:
        raise InputError(f"`{name}[{k}]` must be declared before it is used ({place}).")
    return first + k


def _number(text: str, place: str) -> float:
    """Return the value of an expression of numbers and constants."""

    def value(node: ast.AST) -> float:
        match node:
            case ast.Expression(body=inner):
                return value(inner)
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.UnaryOp(op=op, operand=inner) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](value(inner))
            case ast.BinOp(left=a, op=op, right=b) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](value(a), value(b))
        raise ValueError

    try:
        return float(value(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError):
        raise InputError(
            f"An angle must be a number or an expression of numbers and pi, but is {text!r} "
            f"({place})."
        ) from None


def _gate(name: str, angles: Sequence[float], qubits: Sequence[int], place: str) -> Gate:
    standard: Any = get_standard_gate_name_mapping().get(NAMES.get(name, name))
    if not isinstance(standard, Gate):
        raise InputError(f"The gate `{name}` ({place}) is unknown. Write it in other gates.")
    if len(standard.params) != len(angles) or standard.num_qubits != len(qubits):
        raise InputError(
            f"`{name}` must have {len(standard.params)} angle(s) and {standard.num_qubits} "
            f"qubit(s), but has {len(angles)} and {len(qubits)} ({place})."
        )
    if len(set(qubits)) < len(qubits):
        raise InputError(f"`{name}` must act on different qubits, but does not ({place}).")
    return type(standard)(*angles) if angles else standard


def _feedforward(statements: Sequence[_Statement], n_bits: int, where: str) -> dict[int, int]:
    """Return the classical bit of each statement that has a key, by its index.

    Among the result bits that are written only later, the one free for longest is taken, so that
    results of different qubits wait for one another as little as possible.
    """
    last: dict[int, int] = {}  # measurement -> its last use
    reads: dict[int, int] = {}  # conditional gate -> its measurement
    current: dict[int, int] = {}
    for k, s in enumerate(statements):
        if s.name == "measure_ff":
            current[s.key], last[k] = k, k
        elif s.name == "cc_prx":
            if s.key not in current:
                raise InputError(
                    f"`cc_prx` with key {s.key} must follow `measure_ff({s.key})`, but none "
                    f"precedes line {s.line} of {where}."
                )
            reads[k], last[current[s.key]] = current[s.key], k
    written: dict[int, int] = {}
    for k, s in enumerate(statements):
        if s.bit >= 0:
            written.setdefault(s.bit, k)
    free = dict.fromkeys(range(n_bits), -1)  # bit -> end of its last use
    places: dict[int, int] = {}
    for k, end in last.items():
        fit = [c for c, f in free.items() if f < k and (c >= n_bits or written.get(c, -1) > end)]
        bit = min(fit, key=lambda c: (free[c], c), default=len(free))
        free[bit], places[k] = end, bit
    return places | {k: places[source] for k, source in reads.items()}


def _append(circuit: QuantumCircuit, s: _Statement, bit: int) -> None:
    qubits = [circuit.qubits[q] for q in s.qubits]
    match s.name:
        case "measure":
            circuit.measure(qubits[0], circuit.clbits[s.bit])
        case "measure_ff":
            circuit.measure(qubits[0], circuit.clbits[bit])
        case "cc_prx":
            body = QuantumCircuit(1)
            body.append(RGate(*s.angles), [0])
            circuit.if_test((circuit.clbits[bit], 1), body, qubits, [])
        case "barrier":
            circuit.barrier(qubits)
        case _:
            circuit.append(_gate(s.name, s.angles, s.qubits, f"line {s.line}"), qubits)
