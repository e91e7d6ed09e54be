"""The measured numbers of IBM's properties: qubits, gates, couplings, layer fidelities."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdt_emu.calibrations.measured import Layout, Measured
from qdt_emu.calibrations.readers import ibm_rules as rules
from qdt_emu.calibrations.readers.reading import Reading, Rule, count_leaves
from qdt_emu.calibrations.schema import Flag

Json = Mapping[str, Any]
Texts = defaultdict[str, list[int]]
RECORD = frozenset({"date", "name", "unit", "value"})


@dataclass
class Values:
    """The numbers of one file while they are read."""

    reading: Reading
    layout: Layout
    of: dict[str, Measured] = field(default_factory=dict)
    seen: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)

    def at(self, path: str) -> Measured:
        """Return the numbers at `path`, empty at first."""
        if path not in self.of:
            self.of[path] = Measured.empty(*self.layout.shape(path))
        return self.of[path]

    def read(
        self,
        record: Json,
        target: tuple[str, Rule, tuple[int, ...]],
        *,
        where: str,
        name: str,
        what: str,
        leaves: int | None = None,
    ) -> None:
        """Read one {date, name, unit, value} into its place and write the ledger.

        Args:
            record: The vendor's record.
            target: Path, rule and index of the number.
            where: JSON pointer of the record.
            name: Vendor's field name for the ledger.
            what: Name of the number in fault messages.
            leaves: Fields of the file it stands for; by default those of the record.
        """
        path, rule, index = target
        reading = self.reading
        leaves = self.account(record, where) if leaves is None else leaves
        if "value" not in record:
            reading.faults.append(f"{what} has no `value`. Add it or drop the record.")
            return
        if (path, index) in self.seen:
            reading.faults.append(f"{what} is listed twice. Keep one of the two.")
            return
        self.seen.add((path, index))
        factor = reading.factor(record.get("unit", ""), what, rule)
        if np.isnan(factor):
            return
        value = reading.number(record["value"], what, factor, rule)
        at = reading.time(record.get("date"), what)
        flag, why = reading.store(self.at(path), index, value, rule=rule, at=at)
        new = float(self.at(path).value[index])
        reason = f"{path}; {flag.name.lower()}: {why}" if why else path
        if np.isnan(value):
            reading.draft.add(where, name, "ignored", "null value", leaves=leaves)
        elif np.isnan(new):
            old = float(record["value"])
            reading.draft.add(where, name, "repaired", reason, leaves=leaves, old=old, new=new)
        else:
            reading.draft.add(where, name, "used", reason, leaves=leaves)

    def account(self, record: Json, where: str, known: frozenset[str] = RECORD) -> int:
        """Put unknown keys of a record into the ledger; return its other leaves."""
        if record.keys() <= known:
            return len(record) if known is RECORD else count_leaves(record)
        for key in record.keys() - known:
            self.ignore(f"{where}/{escape(key)}", key, record[key], "unknown field")
        return sum(count_leaves(record[key]) for key in record.keys() & known)

    def ignore(self, where: str, name: str, node: object, reason: str) -> None:
        """Put a subtree that is not used into the ledger."""
        if leaves := count_leaves(node):
            self.reading.draft.add(where, name, "ignored", reason, leaves=leaves)


def escape(key: str) -> str:
    """Return `key` as one part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def read_qubits(values: Values, qubits: list[list[Json]]) -> None:
    """Read T1, T2, frequencies and readout of every qubit."""
    for q, records in enumerate(qubits):
        for k, record in enumerate(records):
            where, name = f"/properties/qubits/{q}/{k}", str(record.get("name"))
            if name not in rules.QUBIT:
                values.ignore(where, name, record, "unknown qubit parameter")
                continue
            path, rule = rules.QUBIT[name]
            index = (q, rules.PREPARED[name]) if name in rules.PREPARED else (q,)
            what = f"`{name}` of qubit {q}"
            values.read(record, (path, rule, index), where=where, name=name, what=what)


def read_gates(values: Values, gates: list[Json]) -> None:
    """Read errors and durations of gates, readouts and resets."""
    layout = values.layout
    rows = {(name, 1): k for k, name in enumerate(layout.gates_1q)}
    rows |= {(name, 2): k for k, name in enumerate(layout.gates_2q)}
    rows |= {(name, 1): -1 for name in rules.SPECIAL}
    place = {edge: k for k, edge in enumerate(layout.edges)}
    own = frozenset({"gate", "name", "qubits"})
    all_known = own | {"parameters"}
    for i, gate in enumerate(gates):
        name, qubits = str(gate["gate"]), tuple(gate["qubits"])
        where = f"/properties/gates/{i}"
        row = rows.get((name, len(qubits)))
        if row is None:
            reason = f"gate on {len(qubits)} qubits has no place in the schema"
            values.ignore(where, name, gate, reason)
            continue
        head = {key: node for key, node in gate.items() if key != "parameters"}
        leaves = values.account(head, where, all_known)
        values.reading.draft.add(where, name, "used", "label of a gate", leaves=leaves)
        for k, record in enumerate(gate.get("parameters") or ()):
            part = str(record.get("name"))
            pointer, label = f"{where}/parameters/{k}", f"{name} {part}"
            target = _gate_target(name, part, len(qubits))
            if target is None:
                values.ignore(pointer, label, record, "unknown gate parameter")
                continue
            path, rule = target
            what = f"`{part}` of {name} on {list(qubits)}"
            if len(qubits) == 2:
                index: tuple[int, ...] = (row, place[qubits[0], qubits[1]])
            else:
                index = (qubits[0],) if name in rules.SPECIAL else (row, qubits[0])
            if name == "measure" and (path, index) in values.seen:
                _compare_measure(values, record, path, index[0], pointer)
                continue
            values.read(record, (path, rule, index), where=pointer, name=label, what=what)


def _gate_target(name: str, part: str, qubits: int) -> tuple[str, Rule] | None:
    """Return path and rule of a gate's parameter, None if it is unknown."""
    if name in rules.SPECIAL:
        return rules.SPECIAL[name].get(part)
    group = "gates_1q" if qubits == 1 else "gates_2q"
    virtual = name in rules.VIRTUAL
    if part == "gate_error":
        physical = rules.ERROR_1Q if qubits == 1 else rules.ERROR_2Q
        return f"{group}/infidelity", rules.ERROR_VIRTUAL if virtual else physical
    if part == "gate_length":
        return f"{group}/duration", rules.FREE_LENGTH if virtual else rules.LENGTH
    return None


def _compare_measure(values: Values, record: Json, path: str, qubit: int, where: str) -> None:
    """Gate `measure` repeats the qubit's readout; flag the number if it differs."""
    measured, name = values.at(path), f"measure {record.get('name')}"
    rule = rules.QUBIT["readout_error" if path.endswith("error") else "readout_length"][1]
    what = f"`{record.get('name')}` of measure on [{qubit}]"
    factor = values.reading.factor(record.get("unit", ""), what, rule)
    value = values.reading.number(record.get("value"), what, factor, rule)
    leaves = values.account(record, where)
    reason = f"repeats {path}"
    if abs(value - measured.value[qubit]) > 1e-6 * abs(value):
        reason = f"differs from {path}, which is kept and flagged conflicting"
        if measured.flag[qubit] in (Flag.OK, Flag.STALE):
            measured.flag[qubit] = Flag.CONFLICTING
    values.reading.draft.add(where, name, "ignored", reason, leaves=leaves)


def read_couplings(values: Values, general: list[Json]) -> Iterator[tuple[int, Json]]:
    """Read `jq_ab` and `zz_ab`; yield the other records with their index."""
    forward, backward = _pair_texts(values.layout)
    for i, record in enumerate(general):
        name = str(record.get("name"))
        match = re.fullmatch(r"(jq|zz)_(\d+|\d+_\d+)", name)
        if not match:
            yield i, record
            continue
        where, (kind, text) = f"/properties/general/{i}", match.groups()
        found = forward[text] or backward[text]
        if len(found) != 1:
            reason = "indices fit several coupled pairs" if found else "not a coupled pair"
            values.ignore(where, f"{kind}_ab", record, reason)
            continue
        path, rule = rules.COUPLING[kind]
        target, what = (path, rule, (found[0],)), f"`{name}`"
        values.read(record, target, where=where, name=f"{kind}_ab", what=what)


def _pair_texts(layout: Layout) -> tuple[Texts, Texts]:
    """Return the pairs by the text of their indices, smaller first and larger first.

    IBM writes `jq_7273` for 72 and 73; `jq_112` may be (1, 12) or (11, 2), and only one
    of the two is coupled. The order of the two decides where both are.
    """
    forward: Texts = defaultdict(list)
    backward: Texts = defaultdict(list)
    for k, (a, b) in enumerate(layout.pairs):
        for separator in ("", "_"):
            forward[f"{a}{separator}{b}"].append(k)
            backward[f"{b}{separator}{a}"].append(k)
    return forward, backward


def read_general(values: Values, properties: Json) -> None:
    """Read couplings and layer fidelities, and pass over what else there is."""
    rows = {length: k for k, length in enumerate(values.layout.chains or {})}
    for i, record in read_couplings(values, properties.get("general") or []):
        where, name = f"/properties/general/{i}", str(record.get("name"))
        match = re.fullmatch(r"lf_(\d+)", name)
        if not match or int(match[1]) not in rows:
            values.ignore(where, name, record, "unknown general parameter")
            continue
        row = (rows[int(match[1])],)
        target = ("benchmarks/layer_fidelity", rules.LAYER_FIDELITY, row)
        values.read(record, target, where=where, name="lf_N", what=f"`{name}`")
    for i, record in enumerate(properties.get("general_qlists") or []):
        where, name = f"/properties/general_qlists/{i}", str(record.get("name"))
        if re.fullmatch(r"lf_\d+", name):
            leaves = count_leaves(record)
            draft = values.reading.draft
            draft.add(where, "lf_N qubits", "used", "benchmarks/chain", leaves=leaves)
        else:
            values.ignore(where, name, record, "unknown list of qubits")


def check_physics(values: Values) -> None:
    """Flag T2 > 2 T1, and a readout error that is not the mean of its two parts."""
    t1, t2 = values.at("qubits/t1"), values.at("qubits/t2_echo")
    bad = t2.value > 2 * t1.value
    if bad.sum() > max(3, len(bad) / 2):  # at most 19 % on any published device
        values.reading.faults.append(
            f"`T2` must be at most 2 `T1`, but is larger on {bad.sum()} of {len(bad)} qubits. "
            "The two look swapped, or one has a wrong unit; correct the file."
        )
    t2.flag[bad] = Flag.UNPHYSICAL
    for q in np.flatnonzero(bad).tolist():
        where = f"/derived/qubits/{q}"
        reason = "qubits/t2_echo; unphysical: T2 > 2 T1, kept as measured"
        values.reading.draft.add(where, "T2", "used", reason, leaves=0)
    error, parts = values.at("readout/readout_error"), values.at("readout/assignment")
    differs = np.abs(error.value - parts.value.mean(axis=1)) > 1e-4
    differs &= (error.flag == Flag.OK) | (error.flag == Flag.STALE)
    error.flag[differs] = Flag.CONFLICTING
    for q in np.flatnonzero(differs).tolist():
        where = f"/derived/qubits/{q}"
        reason = "readout/readout_error; conflicting: not the mean of its two parts"
        values.reading.draft.add(where, "readout_error", "used", reason, leaves=0)
