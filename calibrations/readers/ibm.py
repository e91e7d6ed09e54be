"""IBM's backend properties and configuration, of every age since 2019, as JSON.

Which value counts as a filler and which is kept with a flag stands in `ibm_rules`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.measured import Layout, assemble
from qdt_emu.calibrations.readers.ibm_configuration import read_configuration, timing_of
from qdt_emu.calibrations.readers.ibm_rules import DEFINITIONS, SPECIAL, VIRTUAL
from qdt_emu.calibrations.readers.ibm_shape import shape_faults
from qdt_emu.calibrations.readers.ibm_values import (
    Values,
    check_physics,
    read_gates,
    read_general,
    read_qubits,
)
from qdt_emu.calibrations.readers.reading import Reading
from qdt_emu.calibrations.readers.shots import infer_readout_stderr
from qdt_emu.errors import CalibrationError

Json = Mapping[str, Any]

NOT_IN_PROPERTIES = frozenset({"reset", "delay", "measure"}) | VIRTUAL
"""Native operations that need no entry: older files do not list them."""


def read_ibm(
    properties: Json,
    configuration: Json | None = None,
    source: str = "IBM properties",
    *,
    sha256: str = "",
) -> Calibration:
    """Return the calibration in IBM's `properties` and `configuration`.

    Without a configuration, the coupled pairs are those that a two-qubit gate is listed
    for, and timing, positions and processor type are unknown.

    Args:
        properties: `BackendProperties` as JSON.
        configuration: `BackendConfiguration` as JSON, if there is one.
        source: Where the two come from, for people.
        sha256: Digest of the properties file; by default of its parsed content.

    Raises:
        CalibrationError: With every fault found; each names the value and the fix.
    """
    name = str(properties.get("backend_name", "?"))
    if found := tuple(shape_faults(properties, configuration)):
        raise CalibrationError(name, found)
    configuration = configuration or {}
    reading = Reading(np.datetime64("NaT", "ns"))
    reading.snapshot = reading.time(properties["last_update_date"], "the file")
    layout = _layout(properties, configuration, reading)
    if reading.faults:  # numbers cannot be placed on a wrong layout
        raise CalibrationError(name, tuple(reading.faults))
    values = Values(reading, layout)
    _read_head(values, properties)
    read_qubits(values, properties["qubits"])
    read_gates(values, properties["gates"])
    read_general(values, properties)
    read_configuration(values, configuration)
    timing = timing_of(configuration, reading)
    _missing_gates(properties, configuration, reading)
    check_physics(values)
    if reading.faults:
        raise CalibrationError(name, tuple(reading.faults))
    infer_readout_stderr(values.of)
    attrs = _attrs(properties, configuration, reading)
    attrs |= {"source": source, "source_sha256": sha256 or _digest(properties)}
    tree = assemble(
        attrs,
        layout,
        values.of,
        definitions=DEFINITIONS,
        timing=timing,
        ledger=reading.draft.ledger(),
    )
    return Calibration(tree)


def _layout(properties: Json, configuration: Json, reading: Reading) -> Layout:
    """Return the labels of all axes; note a fault for each impossible one."""
    n = len(properties["qubits"])
    edges: dict[tuple[int, int], None] = {}
    for pair in configuration.get("coupling_map") or ():
        if _sound(pair, n, "Pair of `coupling_map`", reading):
            edges[pair[0], pair[1]] = None
    names: tuple[dict[str, None], dict[str, None]] = ({}, {})
    loci: Counter[tuple[str, tuple[int, ...]]] = Counter()
    for gate in properties["gates"]:
        name, qubits = str(gate["gate"]), tuple(gate["qubits"])
        loci[name, qubits] += 1
        sound = _sound(qubits, n, f"Gate {name}", reading)
        if not sound or name in SPECIAL or len(qubits) not in (1, 2):
            continue
        names[len(qubits) - 1][name] = None
        if len(qubits) == 2:
            edges[qubits[0], qubits[1]] = None
    for (name, qubits), count in loci.items():
        if count > 1:
            reading.faults.append(
                f"Gate {name} on qubits {list(qubits)} is listed {count} times. Keep one."
            )
    return Layout(
        n,
        tuple(names[0]),
        tuple(names[1]),
        tuple(edges),
        tuple(sorted({(min(e), max(e)) for e in edges})),
        _chains(properties, n, reading),
        tuple((float(x), float(y)) for x, y in configuration.get("coords") or ()),
    )


def _sound(qubits: Any, n: int, what: str, reading: Reading) -> bool:
    """Return whether `qubits` are different integers of 0..n-1; note a fault if not."""
    qubits = list(qubits)
    if any(not isinstance(q, int) or not 0 <= q < n for q in qubits):
        rule = f"must name qubits of 0..{n - 1}"
    elif len(set(qubits)) < len(qubits):
        rule = "must name different qubits (one is duplicated)"
    else:
        return True
    reading.faults.append(f"{what} {rule}, but names {qubits}. Correct it.")
    return False


def _chains(properties: Json, n: int, reading: Reading) -> dict[int, tuple[int, ...]]:
    """Return the qubits of each benchmarked chain by its length, () if unknown."""
    chains: dict[int, tuple[int, ...]] = {}
    for record in properties.get("general") or ():
        length = _length(record)
        if length is not None:
            chains[length] = ()
    for record in properties.get("general_qlists") or ():
        length, qubits = _length(record), record.get("qubits") or ()
        if length in chains and _sound(qubits, n, f"Chain lf_{length}", reading):
            chains[length] = tuple(qubits)
    return dict(sorted(chains.items()))


def _length(record: Json) -> int | None:
    """Return N of a record named `lf_N`, None for another name."""
    kind, _, number = str(record.get("name")).partition("_")
    return int(number) if kind == "lf" and number.isdigit() else None


def _missing_gates(properties: Json, configuration: Json, reading: Reading) -> None:
    listed = {gate["gate"] for gate in properties["gates"]} | NOT_IN_PROPERTIES
    for name in configuration.get("basis_gates") or ():
        if name not in listed:
            reading.faults.append(
                f"Gate {name} is in `basis_gates` of the configuration, but the "
                "properties do not list it. Add its error and length, or drop it."
            )


def _read_head(values: Values, properties: Json) -> None:
    known = {
        "backend_name": "attribute device",
        "backend_version": "attribute backend_version",
        "last_update_date": "attribute snapshot_time",
        "calibration_id": "attribute operating_point",
    }
    parts = {"qubits", "gates", "general", "general_qlists"}
    for key, node in properties.items():
        where = f"/properties/{key}"
        if key in known:
            values.reading.draft.add(where, key, "used", known[key])
        elif key not in parts:
            values.ignore(where, key, node, "unknown field")


def _attrs(properties: Json, configuration: Json, reading: Reading) -> dict[str, str]:
    processor = configuration.get("processor_type") or {}
    native = configuration.get("basis_gates") or _gates_of(properties)
    point = properties.get("calibration_id") or configuration.get("calibration_id")
    return {
        "device": str(properties["backend_name"]),
        "vendor": "IBM",
        "backend_version": str(properties["backend_version"]),
        "snapshot_time": f"{np.datetime_as_string(reading.snapshot, unit='s')}Z",
        "processor_family": str(processor.get("family", "")),
        "processor_revision": str(processor.get("revision", "")),
        "operating_point": str(point or ""),
        "native_gates": json.dumps(list(native)),
    }


def _gates_of(properties: Json) -> list[str]:
    names = dict.fromkeys(str(gate["gate"]) for gate in properties["gates"])
    return [name for name in names if name not in SPECIAL]


def _digest(properties: Json) -> str:
    text = json.dumps(properties, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
