"""Circuits from objects, OpenQASM text and files, with one clear error each."""

import re
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, qasm2, qasm3

from qdt_emu.circuit import braket
from qdt_emu.errors import InputError

PHYSICAL = braket.PHYSICAL


def read_circuit(source: Any) -> QuantumCircuit:
    """Return the circuit in `source`.

    OpenQASM 3 with hardware qubits (`$3`) gives a circuit on qubits 0 to the highest one, marked
    as physical: it is never laid out anew. Text with the words of Amazon Braket (`#pragma braket`,
    `measure_ff`, `cc_prx`) is read by `circuit.braket`.

    Args:
        source: A `QuantumCircuit`, OpenQASM 2 or 3 text, or a path of a file that holds it.

    Raises:
        InputError: Not a circuit, an empty or unreadable file, or a syntax error (with its place).

    Examples:
        >>> read_circuit("OPENQASM 3.0; qubit[2] q; bit[2] c; c = measure q;").num_qubits
        2
    """
    if isinstance(source, QuantumCircuit):
        return source
    if isinstance(source, Path):
        circuit = _parse(_text_of(source), f"'{source}'")
        circuit.name = source.stem
        return circuit
    if not isinstance(source, str):
        raise InputError(
            f"A circuit must be a QuantumCircuit, OpenQASM text or a path, but is a "
            f"{type(source).__name__}."
        )
    if is_text(source):
        return _parse(source, "the text given")
    return read_circuit(Path(source))


def is_text(source: str) -> bool:
    """Return whether a string is OpenQASM text rather than a path."""
    return "OPENQASM" in source or "\n" in source or ";" in source


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"The circuit file '{path}' does not exist. Give a path of an OpenQASM 2 or 3 file."
        ) from None
    except (OSError, UnicodeDecodeError) as reason:
        raise InputError(f"The circuit file '{path}' cannot be read: {reason}.") from None


def _parse(text: str, where: str) -> QuantumCircuit:
    version = re.search(r"^\s*OPENQASM\s+(\d+)", text, re.MULTILINE)
    if not version:
        raise InputError(
            f"{where} must start with 'OPENQASM 2.0;' or 'OPENQASM 3.0;', but starts with "
            f"{text.strip()[:40]!r}."
        )
    if version.group(1) == "2":
        return _parse2(text, where)
    if version.group(1) == "3" and braket.is_braket(text):
        return braket.read_braket(text, where)
    if version.group(1) == "3":
        return _parse3(text, where)
    raise InputError(f"{where} is OpenQASM {version.group(1)}; versions 2 and 3 can be read.")


def _parse2(text: str, where: str) -> QuantumCircuit:
    try:
        return qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    except qasm2.QASM2ParseError as reason:
        raise InputError(f"{where} is not valid OpenQASM 2: {_short(reason)}") from None


def _parse3(text: str, where: str) -> QuantumCircuit:
    try:
        # The parser also prints what it raises.
        with redirect_stderr(StringIO()):
            circuit = qasm3.loads(text)
    except qasm3.QASM3ImporterError as reason:
        raise InputError(f"{where} cannot be read as OpenQASM 3: {_short(reason)}") from None
    except Exception as reason:
        # The importer's parser lets errors of its own and of its grammar through.
        raise InputError(f"{where} is not valid OpenQASM 3: {_syntax(reason)}") from None
    if re.search(r"\$\d", re.sub(r"//.*", "", text)):
        circuit.metadata = {**(circuit.metadata or {}), PHYSICAL: True}
    return circuit


def _syntax(reason: BaseException) -> str:
    """Return what is wrong, and where: the parser's own exception holds nothing but its cause."""
    cancelled = reason.__context__
    recognition = cancelled.args[0] if cancelled is not None and cancelled.args else None
    token = getattr(recognition, "offendingToken", None)
    if token is None:
        return f"{type(reason).__name__}: {_short(reason)}"
    found = "the end of the text" if token.text == "<EOF>" else repr(token.text)
    return f"line {token.line}, column {token.column + 1}: unexpected {found}."


def _short(reason: BaseException) -> str:
    text = " ".join(str(reason).split()).strip("'\"") or type(reason).__name__
    # Both parsers write 'line,column: ...', with columns from 0.
    if place := re.match(r"(?:<input>:)?(\d+),(\d+):\s*", text):
        line, column = place.group(1), int(place.group(2)) + 1
        text = f"line {line}, column {column}: {text[place.end() :]}"
    return text if len(text) <= 300 else f"{text[:300]}..."
