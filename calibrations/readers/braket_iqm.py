"""Device files of IQM's processors as Amazon Braket publishes them.

One JSON object with the schema `braket.device_schema.iqm.iqm_device_capabilities` (some are JSON
inside a JSON string). The numbers stand twice: under `provider` with IQM's names, and under
`standardized` with Braket's; the first is read, the second is compared with it and fills its gaps.
Qubits are Braket's labels 1, 2, ..., kept as `vendor_qubit`. IQM's `prx` is Qiskit's `r`.

The file has no name of the processor, no durations and no time per value. The name is taken from
the file's own; durations are assumed, flagged `imputed` and noted in the ledger, see `ASSUMED`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.measured import Layout, assemble
from qdt_emu.calibrations.readers.ibm_values import Values, check_physics, escape
from qdt_emu.calibrations.readers.reading import Filler, Reading, Rule, count_leaves
from qdt_emu.calibrations.readers.shots import infer_readout_stderr
from qdt_emu.calibrations.schema import Flag
from qdt_emu.errors import CalibrationError

Json = Mapping[str, Any]

SCHEMA = "braket.device_schema.iqm.iqm_device_capabilities"
MACHINES = {20: "garnet", 54: "emerald"}  # qubits of IQM's processors on Braket
ONE_QUBIT, TWO_QUBIT = "r", "cz"

ASSUMED: Mapping[str, tuple[float, str]] = {
    "gates_1q/duration": (
        20e-9,
        "prx of IQM's own simulated Garnet (iqm-client 36, IQMFakeGarnet)",
    ),
    "gates_2q/duration": (40e-9, "cz of IQM's own simulated Garnet (iqm-client 36, IQMFakeGarnet)"),
    # Decay during readout makes P(0|1) - P(1|0) about t / (2 T1): over the qubits of Garnet,
    # the ratio of the means gives 0.77 us (2025-07-06) and 0.88 us (2025-08-14).
    "readout/duration": (0.8e-6, "from P(0|1) - P(1|0) = t / (2 T1) over the qubits of Garnet"),
}
"""Durations in s that no IQM file contains, and where they come from."""

# IQM's software drives instruments of Zurich Instruments (`iqm.pulse.playlist.channel`), whose own
# timing model (zhinst-timing-models 24.4, SHFQA to SHFSG through a PQSC, 0.3 to 0.8 us of
# integration) gives 0.37 to 0.38 us from the end of integration to the first pulse.
FEEDFORWARD_LATENCY = 0.38e-6
"""In s, assumed likewise."""

_ZERO = Filler(0.0, 0.0, Flag.SENTINEL, "0 instead of a measurement", kept=False)
_ONE = Filler(1.0, 1.0, Flag.SENTINEL, "fidelity 0: not measured", kept=False)
_DEAD = Filler(0.5, 1.0, Flag.SENTINEL, "at least 0.5: the readout is dead", kept=True)
_COHERENCE = Rule("time", 1e-7, 2e-2, (_ZERO,))
_INFIDELITY = Rule("probability", 0.0, 1.0, (_ZERO, _ONE))
_MISREAD = Rule("probability", 0.0, 1.0, (_DEAD,))


@dataclass(frozen=True)
class _Field:
    """A field of the file: where its number goes, and whether it is 1 minus that number."""

    path: str
    rule: Rule
    index: tuple[int, ...] = ()
    fidelity: bool = False


_QUBIT: Mapping[str, _Field] = {
    "T1": _Field("qubits/t1", _COHERENCE),
    "T2": _Field("qubits/t2_star", _COHERENCE),
    "T2_echo": _Field("qubits/t2_echo", _COHERENCE),
    "f1Q_simultaneous_RB": _Field("gates_1q/infidelity", _INFIDELITY, (0,), fidelity=True),
    "readout_error_0_to_1": _Field("readout/assignment", _MISREAD, (0,)),
    "readout_error_1_to_0": _Field("readout/assignment", _MISREAD, (1,)),
    "fRO": _Field("readout/readout_error", _MISREAD, fidelity=True),
}
_PAIR: Mapping[str, _Field] = {
    "fCZ": _Field("gates_2q/infidelity", _INFIDELITY, (0,), fidelity=True)
}
_STANDARD = {  # Braket's names of the same numbers
    "SIMULTANEOUS_RANDOMIZED_BENCHMARKING": "f1Q_simultaneous_RB",
    "READOUT_ERROR_0_TO_1": "readout_error_0_to_1",
    "READOUT_ERROR_1_TO_0": "readout_error_1_to_0",
    "READOUT": "fRO",
    "CZ": "fCZ",
}
_UNUSED = {
    "f2Q_simultaneous_RB_Clifford": "fidelity per two-qubit Clifford, not per gate",
    "f2Q_simultaneous_RB_Clifford_std_err": "fidelity per two-qubit Clifford, not per gate",
}

DEFINITIONS = {
    "qubits/t1": "energy relaxation time",
    "qubits/t2_star": "Ramsey coherence time (IQM's T2, Braket's standardized T2)",
    "qubits/t2_echo": "Hahn-echo coherence time",
    "gates_1q/infidelity": "average infidelity of prx (Qiskit's r), randomised benchmarking on all "
    "qubits simultaneously",
    "gates_1q/duration": f"assumed: {ASSUMED['gates_1q/duration'][1]}",
    "gates_2q/infidelity": "average gate infidelity, interleaved randomised benchmarking, "
    "simultaneously with other pairs",
    "gates_2q/duration": f"assumed: {ASSUMED['gates_2q/duration'][1]}",
    "readout/assignment": "frequency of reading the other value, state preparation included",
    "readout/readout_error": "1 - fRO, the mean of the two assignment probabilities",
    "readout/duration": f"assumed: {ASSUMED['readout/duration'][1]}",
}


def is_braket(node: Json) -> bool:
    """Return whether a JSON object is a device file of Amazon Braket."""
    return str(_schema(node)).startswith("braket.device_schema.")


def _schema(node: Json) -> object:
    header = node.get("braketSchemaHeader")
    return header.get("name") if isinstance(header, Mapping) else None


def read_braket_iqm(data: Json, *, source: str, sha256: str) -> Calibration:
    """Return the calibration in Braket's device file of an IQM processor.

    Args:
        data: The file as JSON.
        source: Name of the file; the word after the last vendor word names the device, e.g.
            `'calibration_garnet_2025-08-14.json.xz'` gives `'iqm_garnet'`.
        sha256: Digest of the file's bytes.

    Raises:
        CalibrationError: With every fault found; also for a file of another vendor.
    """
    if (schema := _schema(data)) != SCHEMA:
        fault = f"Of Braket's device files those of IQM can be read, but this is '{schema}'."
        raise CalibrationError(source, (fault,))
    reading = Reading(np.datetime64("NaT", "ns"))
    labels, layout = _layout(data, reading)
    if reading.faults:  # numbers cannot be placed on a wrong layout
        raise CalibrationError(source, tuple(reading.faults))
    values = Values(reading, layout)
    _read_head(values, data)
    properties = data["provider"]["properties"]
    places = {str(label): (q,) for q, label in enumerate(labels)}
    _read_block(values, properties["one_qubit"], places, _QUBIT, "one_qubit")
    pairs = {f"{labels[a]}-{labels[b]}": (k,) for k, (a, b) in enumerate(layout.edges)}
    _read_block(values, properties["two_qubit"], pairs, _PAIR, "two_qubit")
    _read_standardized(values, data.get("standardized") or {}, places, pairs)
    check_physics(values)
    if reading.faults:
        raise CalibrationError(source, tuple(reading.faults))
    infer_readout_stderr(values.of)
    _assume_durations(values)
    attrs = {
        "device": _device(source, len(labels)),
        "vendor": "IQM",
        "snapshot_time": f"{np.datetime_as_string(reading.snapshot, unit='s')}Z",
        "source": source,
        "source_sha256": sha256,
        "native_gates": json.dumps(list(data["paradigm"]["nativeGateSet"])),
    }
    tree = assemble(
        attrs,
        layout,
        values.of,
        definitions=DEFINITIONS,
        timing={"feedforward_latency": FEEDFORWARD_LATENCY},
        ledger=reading.draft.ledger(),
    )
    return Calibration(tree)


def _device(source: str, qubits: int) -> str:
    match = re.search("|".join(MACHINES.values()), source.lower())
    return f"iqm_{match[0] if match else MACHINES.get(qubits, f'{qubits}q')}"


def _layout(data: Json, reading: Reading) -> tuple[tuple[int, ...], Layout]:
    """Return Braket's qubit labels and the axes; note a fault for each impossible one."""
    try:
        properties, paradigm = data["provider"]["properties"], data["paradigm"]
        qubits, pairs = properties["one_qubit"], properties["two_qubit"]
        graph, count = paradigm["connectivity"]["connectivityGraph"], paradigm["qubitCount"]
        _ = (paradigm["nativeGateSet"], data["service"]["updatedAt"])
    except (KeyError, TypeError) as missing:
        reading.faults.append(f"The file has no {missing}. Download it again.")
        return (), Layout(0)
    reading.snapshot = reading.time(data["service"]["updatedAt"], "the file")
    wrong = [label for label in qubits if not str(label).isdigit()]
    if wrong:
        reading.faults.append(f"Qubits must be whole numbers, but one is {wrong[0]!r}. Correct it.")
        return (), Layout(0)
    labels = tuple(sorted(map(int, qubits)))
    if len(labels) != count:
        reading.faults.append(
            f"`qubitCount` must be the number of qubits in `one_qubit`, {len(labels)}, but is "
            f"{count}. Download the file again."
        )
    place = {str(label): q for q, label in enumerate(labels)}
    named = [(f"`{name}` of `two_qubit`", str(name).split("-")) for name in pairs]
    named += [
        (f"Coupling {a}-{b}", [str(a), str(b)]) for a, around in graph.items() for b in around
    ]
    edges: dict[tuple[int, int], None] = {}
    for k, (what, ends) in enumerate(named):
        if len(ends) != 2 or not set(ends) <= set(place) or ends[0] == ends[1]:
            reading.faults.append(
                f"{what} must join two different qubits of {labels[0]}..{labels[-1]}. Correct it."
            )
            continue
        a, b = place[ends[0]], place[ends[1]]
        if k < len(pairs) or not {(a, b), (b, a)} & set(edges):
            edges[a, b] = None
    coupled = tuple(sorted({(min(e), max(e)) for e in edges}))
    layout = Layout(len(labels), (ONE_QUBIT,), (TWO_QUBIT,), tuple(edges), coupled, labels=labels)
    return labels, layout


def _read_head(values: Values, data: Json) -> None:
    """Write the ledger of everything but the numbers."""
    used = {
        ("braketSchemaHeader",): "kind of the file",
        ("service", "updatedAt"): "attribute snapshot_time",
        ("paradigm", "connectivity", "connectivityGraph"): "gates_2q edges",
        ("paradigm", "qubitCount"): "number of qubits, checked",
        ("paradigm", "nativeGateSet"): "attribute native_gates",
    }
    numbers = {("provider", "properties", "one_qubit"), ("provider", "properties", "two_qubit")}
    for path, node in _parts(data, (), set(used) | numbers | {("standardized",)}):
        where, name = "/" + "/".join(map(escape, path)), path[-1]
        if path in used:
            leaves = count_leaves(node)
            values.reading.draft.add(where, name, "used", used[path], leaves=leaves)
        elif path not in numbers and path != ("standardized",):
            values.ignore(where, name, node, "not a measurement")


def _parts(
    node: Json, above: tuple[str, ...], known: set[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the known places and the largest subtrees that hold none of them."""
    for key, child in node.items():
        path = (*above, str(key))
        inside = any(place[: len(path)] == path and place != path for place in known)
        if inside and isinstance(child, Mapping):
            yield from _parts(child, path, known)
        else:
            yield path, child


def _read_block(
    values: Values,
    block: Json,
    places: Mapping[str, tuple[int, ...]],
    fields: Mapping[str, _Field],
    name: str,
) -> None:
    """Read the numbers of all qubits, or of all pairs, with their standard errors."""
    for label, record in block.items():
        where = f"/provider/properties/{name}/{escape(label)}"
        for key, raw in record.items():
            base = key.removesuffix("_std_err")
            pointer, what = f"{where}/{escape(key)}", f"`{key}` of {label}"
            if base not in fields:
                values.ignore(pointer, key, raw, _UNUSED.get(key, "unknown field"))
            elif key == base:
                _read(values, fields[key], places[label], raw, pointer, key, what)
            else:
                _read_stderr(values, fields[base], places[label], raw, pointer, key, what)


def _at(field: _Field, place: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index of a number: (qubit,), (qubit, prepared), (gate, qubit) or (gate, edge)."""
    return (*field.index, *place) if field.path.startswith("gates") else (*place, *field.index)


def _read(
    values: Values,
    field: _Field,
    place: tuple[int, ...],
    raw: object,
    where: str,
    name: str,
    what: str,
) -> None:
    target = (field.path, field.rule, _at(field, place))
    unit = "s" if field.rule.dimension == "time" else "1"
    if field.fidelity and isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = 1.0 - raw
    values.read({"value": raw, "unit": unit}, target, where=where, name=name, what=what, leaves=1)


def _read_stderr(
    values: Values,
    field: _Field,
    place: tuple[int, ...],
    raw: object,
    where: str,
    name: str,
    what: str,
) -> None:
    number = values.reading.number(raw, what, 1.0, Rule("probability", 0.0, 1.0, ages=False))
    values.at(field.path).stderr[_at(field, place)] = number
    values.reading.draft.add(where, name, "used", f"{field.path}_stderr")


def _read_standardized(
    values: Values,
    block: Json,
    qubits: Mapping[str, tuple[int, ...]],
    pairs: Mapping[str, tuple[int, ...]],
) -> None:
    """Compare Braket's copy of the numbers; take what the first copy lacks."""
    for key, node in block.items():
        where = f"/standardized/{escape(key)}"
        if key not in ("oneQubitProperties", "twoQubitProperties"):
            values.ignore(where, key, node, "not a measurement")
            continue
        places, fields = (qubits, _QUBIT) if key[0] == "o" else (pairs, _PAIR)
        for label, record in node.items():
            if label not in places:
                reason = "not a qubit or pair of `provider`"
                values.ignore(f"{where}/{escape(label)}", label, record, reason)
                continue
            for pointer, name, copy in _copies(record, f"{where}/{escape(label)}"):
                _compare(values, fields.get(name), places[label], copy, pointer, name, label)


def _copies(record: Json, where: str) -> Iterator[tuple[str, str, Json]]:
    """Yield (pointer, IQM's name, {value, standardError, ...}) of each copied number."""
    for key, node in record.items():
        if isinstance(node, list):
            for k, item in enumerate(node):
                kind = item.get("gateName") or item["fidelityType"]["name"]
                copy = {"value": item.get("fidelity"), "unit": "1", **item}
                yield f"{where}/{escape(key)}/{k}", _STANDARD.get(kind, kind), copy
        elif isinstance(node, Mapping):
            yield f"{where}/{escape(key)}", key, node
        else:
            yield f"{where}/{escape(key)}", key, {"other": node}


def _compare(
    values: Values,
    field: _Field | None,
    place: tuple[int, ...],
    copy: Json,
    where: str,
    name: str,
    label: str,
) -> None:
    leaves = count_leaves(copy) - 2 * ("fidelity" in copy)  # `value` and `unit` were added
    draft = values.reading.draft
    if field is None or "value" not in copy:
        if leaves:
            draft.add(where, name, "ignored", "no field of `provider`", leaves=leaves)
        return
    index, measured = _at(field, place), values.at(field.path)
    if (field.path, index) not in values.seen:
        record = {"value": copy["value"], "unit": str(copy.get("unit", "1")).lower()}
        if field.fidelity and isinstance(record["value"], int | float):
            record["value"] = 1.0 - record["value"]
        target, what = (field.path, field.rule, index), f"`{name}` of {label} in `standardized`"
        values.read(record, target, where=where, name=name, what=what, leaves=leaves)
    else:
        raw = copy["value"]
        number = 1.0 - raw if field.fidelity and isinstance(raw, int | float) else raw
        reason = f"repeats {field.path}"
        if number != measured.value[index] and measured.flag[index] == Flag.OK:
            reason = f"differs from {field.path}, which is kept and flagged conflicting"
            measured.flag[index] = Flag.CONFLICTING
        draft.add(where, name, "ignored", reason, leaves=leaves)
    if np.isnan(measured.stderr[index]) and copy.get("standardError") is not None:
        measured.stderr[index] = float(copy["standardError"])


def _assume_durations(values: Values) -> None:
    """Put in what the file does not contain, flagged and noted."""
    for path, (seconds, reason) in ASSUMED.items():
        measured = values.at(path)
        measured.value[...], measured.flag[...] = seconds, Flag.IMPUTED
        values.reading.draft.add(
            f"/assumed/{path}", path, "repaired", f"not in the file; assumed: {reason}",
            leaves=0, new=seconds,
        )  # fmt: skip
    reason = "not in the file; assumed: the timing model of Zurich Instruments"
    values.reading.draft.add(
        "/assumed/timing/feedforward_latency", "timing/feedforward_latency", "repaired", reason,
        leaves=0, new=FEEDFORWARD_LATENCY,
    )  # fmt: skip
