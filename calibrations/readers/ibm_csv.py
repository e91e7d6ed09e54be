"""The calibration table that the IBM platform exports as CSV, in all its variants.

One row per qubit. Columns come and go between exports and change their order; a column
of a two-qubit gate holds `14:0.0168;2:0.0051` (partner and number, from the row's qubit)
or `0_14:0.0168`. Device and time stand in the file's name only. No number has a time of
its own, so `measured_at` is unknown throughout.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.measured import Layout, assemble
from qdt_emu.calibrations.readers import ibm_rules as rules
from qdt_emu.calibrations.readers.ibm_values import Values, check_physics
from qdt_emu.calibrations.readers.reading import Reading, Rule
from qdt_emu.calibrations.readers.shots import infer_readout_stderr
from qdt_emu.errors import CalibrationError

_NAME = re.compile(r"(?P<device>.+?)_calibrations_(?P<time>\d{4}-\d\d-\d\dT[\d_:]+)Z?")
_EMPTY = frozenset({"", "undefined", "null", "none"})
_YES, _NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})

_PER_QUBIT = {
    "t1": "T1",
    "t2": "T2",
    "frequency": "frequency",
    "anharmonicity": "anharmonicity",
    "readout assignment error": "readout_error",
    "prob meas0 prep1": "prob_meas0_prep1",
    "prob meas1 prep0": "prob_meas1_prep0",
    "readout length": "readout_length",
}
_ONE_QUBIT = {
    "id error": "id",
    "rx error": "rx",
    "z-axis rotation (rz) error": "rz",
    "√x (sx) error": "sx",
    "pauli-x error": "x",
}
_LENGTH_1Q = "single-qubit gate length"
_LENGTH_2Q = frozenset({"gate time", "gate length"})
_UNIT = re.compile(r"(.*?)\s*\((s|ms|us|ns|[kMG]?Hz)\)")


@dataclass(frozen=True)
class Table:
    """A CSV table with its headers split into name and unit."""

    headers: tuple[str, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_ibm_csv(path: str | Path) -> Calibration:
    """Return the calibration in a CSV export of the IBM platform.

    The name of the file gives device and time: `ibm_fez_calibrations_2026-01-13T19_27_55Z.csv`.

    Raises:
        CalibrationError: With every fault found.
    """
    path = Path(path)
    raw = path.read_bytes()
    reading = Reading(np.datetime64("NaT", "ns"))
    device = _device(path, reading)
    table = _table(raw.decode("utf-8-sig", errors="replace"), reading)
    if reading.faults or table is None:
        raise CalibrationError(path.name, tuple(reading.faults))
    layout = _layout(table, reading)
    if reading.faults:
        raise CalibrationError(path.name, tuple(reading.faults))
    values = Values(reading, layout)
    active = _read_rows(values, table)
    check_physics(values)
    if reading.faults:
        raise CalibrationError(path.name, tuple(reading.faults))
    infer_readout_stderr(values.of)
    attrs = {
        "device": device,
        "vendor": "IBM",
        "snapshot_time": f"{np.datetime_as_string(reading.snapshot, unit='s')}Z",
        "source": path.name,
        "source_sha256": hashlib.sha256(raw).hexdigest(),
        "native_gates": json.dumps([*layout.gates_1q, *layout.gates_2q]),
    }
    tree = assemble(
        attrs,
        layout,
        values.of,
        definitions=rules.DEFINITIONS,
        timing={},
        ledger=reading.draft.ledger(),
        active=active,
    )
    return Calibration(tree)


def _device(path: Path, reading: Reading) -> str:
    """Return the device; set the snapshot's time."""
    if not (match := _NAME.match(path.name)):
        reading.faults.append(
            "The file's name must give device and time like "
            f"'ibm_fez_calibrations_2026-01-13T19_27_55Z.csv', but is '{path.name}'. "
            "Rename it."
        )
        return path.stem
    time = match["time"].replace("_", ":")
    reading.snapshot = reading.time(f"{time}+00:00", "the file's name")
    return match["device"]


def _table(text: str, reading: Reading) -> Table | None:
    """Return the table below the first line that starts with `Qubit`."""
    lines = list(csv.reader(io.StringIO(text)))
    start = next((k for k, row in enumerate(lines) if row[:1] == ["Qubit"]), None)
    if start is None:
        reading.faults.append("No line starts with `Qubit`. Export the table of the device again.")
        return None
    for k in range(start):
        reading.draft.add(f"/lines/{k}", "title", "ignored", "line above the table")
    headers = tuple(" ".join(header.split()) for header in lines[start])
    split = [_UNIT.fullmatch(header) for header in headers]
    names = tuple(
        (match[1] if match else header).lower()
        for match, header in zip(split, headers, strict=True)
    )
    units = tuple(match[2] if match else "" for match in split)
    rows = tuple(tuple(cell.strip() for cell in row) for row in lines[start + 1 :] if row)
    for k, row in enumerate(rows):
        if len(row) != len(headers):
            reading.faults.append(
                f"Row {k} has {len(row)} cells, but there are {len(headers)} columns. "
                "The file is cut off or edited; export it again."
            )
    return Table(headers, names, units, rows)


def _layout(table: Table, reading: Reading) -> Layout:
    n = len(table.rows)
    labels = [row[0] for row in table.rows]
    for label, count in Counter(labels).items():
        if count > 1:
            reading.faults.append(f"Qubit {label} is listed {count} times. Keep one row.")
    if len(set(labels)) == n and labels != [str(q) for q in range(n)]:
        reading.faults.append(f"Rows must be qubits 0..{n - 1} in order. Sort the table.")
    gates = {name: gate for name in table.names if (gate := _gate_2q(name))}
    edges: dict[tuple[int, int], None] = {}
    for column, name in enumerate(table.names):
        if name not in gates and name not in _LENGTH_2Q:
            continue
        for q, row in enumerate(table.rows):
            for pair, _ in _entries(row[column], q, table.headers[column], reading):
                if max(pair) >= n or pair[0] == pair[1]:
                    reading.faults.append(
                        f"`{table.headers[column]}` of qubit {q} names the pair {pair}, "
                        f"but must join two different qubits of 0..{n - 1}. Correct it."
                    )
                else:
                    edges[pair] = None
    return Layout(
        n,
        tuple(_ONE_QUBIT[name] for name in table.names if name in _ONE_QUBIT),
        tuple(gates.values()),
        tuple(edges),
        tuple(sorted({(min(e), max(e)) for e in edges})),
    )


def _gate_2q(name: str) -> str | None:
    match = re.fullmatch(r"(ecr|cz|cx|rzz) error", name)
    return match[1] if match else None


def _entries(
    cell: str, qubit: int, header: str, reading: Reading
) -> list[tuple[tuple[int, int], str]]:
    """Return pairs and numbers of a cell like `14:0.0168;2:0.0051`."""
    found = []
    for item in re.split(r"\s*;\s*", cell):
        if item.lower() in _EMPTY:
            continue
        if match := re.fullmatch(r"(?:(\d+)_)?(\d+):(\S+)", item):
            first = qubit if match[1] is None else int(match[1])
            found.append(((first, int(match[2])), match[3]))
        else:
            reading.faults.append(
                f"`{header}` of qubit {qubit} must read like '14:0.0168', but reads "
                f"{item!r}. Correct it."
            )
    return found


def _read_rows(values: Values, table: Table) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Read all cells; return which qubits are operational."""
    active = np.ones(len(table.rows), np.int8)
    virtual = [g for g in values.layout.gates_1q if g in rules.VIRTUAL]
    for q, row in enumerate(table.rows):
        for column, cell in enumerate(row):
            where = f"/rows/{q}/{table.headers[column].replace('/', '~1')}"
            if cell.lower() in _EMPTY:
                header = table.headers[column]
                values.reading.draft.add(where, header, "ignored", "empty cell")
            elif table.names[column] == "operational":
                active[q] = _operational(values, cell, q, where)
            else:
                _read_cell(values, table, (q, column), where)
        for gate in virtual:  # its duration has no column
            place = (values.layout.gates_1q.index(gate), q)
            values.reading.store(
                values.at("gates_1q/duration"),
                place,
                0.0,
                rule=rules.FREE_LENGTH,
                at=np.datetime64("NaT", "ns"),
            )
    return active


def _operational(values: Values, cell: str, qubit: int, where: str) -> int:
    if cell.lower() not in _YES | _NO:
        values.reading.faults.append(
            f"`Operational` of qubit {qubit} must be Yes or No, but is {cell!r}."
        )
    values.reading.draft.add(where, "Operational", "used", "qubits/active")
    return int(cell.lower() in _YES)


def _read_cell(values: Values, table: Table, cell: tuple[int, int], where: str) -> None:
    q, column = cell
    name, header = table.names[column], table.headers[column]
    text, gates_1q = table.rows[q][column], values.layout.gates_1q
    targets: list[tuple[tuple[str, Rule, tuple[int, ...]], str]] = []
    if name in _PER_QUBIT:
        field = _PER_QUBIT[name]
        path, rule = rules.QUBIT[field]
        index = (q, rules.PREPARED[field]) if field in rules.PREPARED else (q,)
        targets = [((path, rule, index), text)]
    elif name in _ONE_QUBIT:
        gate = _ONE_QUBIT[name]
        rule = rules.ERROR_VIRTUAL if gate in rules.VIRTUAL else rules.ERROR_1Q
        targets = [(("gates_1q/infidelity", rule, (gates_1q.index(gate), q)), text)]
    elif name == _LENGTH_1Q:
        rows = [k for k, gate in enumerate(gates_1q) if gate not in rules.VIRTUAL]
        targets = [(("gates_1q/duration", rules.LENGTH, (k, q)), text) for k in rows]
    elif (gate_2q := _gate_2q(name)) or name in _LENGTH_2Q:
        targets = _pair_targets(values, gate_2q, text, q, header)
    if name == "qubit":
        values.reading.draft.add(where, header, "used", "label of the row")
    elif name == "measure error":
        reason = "repeats readout/readout_error"
        values.reading.draft.add(where, header, "ignored", reason)
    elif not targets:
        values.reading.draft.add(where, header, "ignored", "unknown column")
    for k, (target, number) in enumerate(targets):
        what = f"`{header}` of qubit {q}"
        record = {"value": number, "unit": table.units[column]}
        leaves = int(k == 0)  # one cell, however many numbers it holds
        values.read(record, target, where=where, name=header, what=what, leaves=leaves)


def _pair_targets(
    values: Values, gate: str | None, text: str, qubit: int, header: str
) -> list[tuple[tuple[str, Rule, tuple[int, ...]], str]]:
    """Return the places of a pair column: one gate's errors, or all gates' lengths."""
    layout = values.layout
    place = {edge: k for k, edge in enumerate(layout.edges)}
    path = "gates_2q/infidelity" if gate else "gates_2q/duration"
    rule = rules.ERROR_2Q if gate else rules.LENGTH
    gates = [gate] if gate else layout.gates_2q
    return [
        ((path, rule, (layout.gates_2q.index(g), place[pair])), number)
        for pair, number in _entries(text, qubit, header, values.reading)
        if pair in place
        for g in gates
    ]
