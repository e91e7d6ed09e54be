"""A Qiskit backend object, live or fake, or anything with a `Target`.

Nothing of Qiskit is imported: the object is asked for what it knows.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.errors import InputError

Json = dict[str, Any]
_DIRECTIVES = frozenset({"delay", "barrier", "if_else", "while_loop", "for_loop"})


def read_ibm_backend(backend: object) -> Calibration:
    """Return the calibration of a Qiskit `BackendV2`.

    Properties and configuration are read where the backend has them. Otherwise its
    `Target` is: durations and errors per instruction, T1, T2 and frequency per qubit,
    without time stamps, so the snapshot time is now.

    Raises:
        InputError: If the object is not a Qiskit backend.
        CalibrationError: With every fault found.
    """
    properties = _dictionary(backend, "properties")
    configuration = _dictionary(backend, "configuration")
    name = str(getattr(backend, "name", type(backend).__name__))
    source = f"Qiskit backend '{name}'"
    if properties is not None:
        return read_ibm(properties, configuration, source)
    target = getattr(backend, "target", None)
    if target is None or not hasattr(target, "operation_names"):
        raise InputError(
            f"A backend must have `properties()` or a `target`, but {backend!r} has "
            "neither. Pass a Qiskit BackendV2, a file or the name of a snapshot."
        )
    properties, configuration = _from_target(name, target)
    return read_ibm(properties, configuration, f"{source}, its Target")


def _dictionary(backend: object, part: str) -> Json | None:
    """Return `backend.part().to_dict()`, None where the backend has no such thing."""
    if not callable(method := getattr(backend, part, None)):
        return None
    answer = method()
    if answer is None or not hasattr(answer, "to_dict"):
        return None
    node: Json = answer.to_dict()
    return node


def _from_target(name: str, target: Any) -> tuple[Json, Json]:
    """Return what a `Target` knows in the form of properties and configuration."""
    n = target.num_qubits
    qubits: list[list[Json]] = [[] for _ in range(n)]
    for records, known in zip(qubits, target.qubit_properties or (), strict=False):
        for field, unit, value in (
            ("T1", "s", getattr(known, "t1", None)),
            ("T2", "s", getattr(known, "t2", None)),
            ("frequency", "Hz", getattr(known, "frequency", None)),
        ):
            if value is not None:
                records.append({"name": field, "unit": unit, "value": value})
    gates = list(_gates(target, qubits))
    pairs = dict.fromkeys(tuple(g["qubits"]) for g in gates if len(g["qubits"]) == 2)
    properties = {
        "backend_name": name,
        "backend_version": "",
        "last_update_date": datetime.now(UTC).replace(microsecond=0),
        "qubits": qubits,
        "gates": gates,
    }
    configuration: Json = {
        "n_qubits": n,
        "basis_gates": list(dict.fromkeys(g["gate"] for g in gates)),
        "coupling_map": [list(pair) for pair in pairs],
    }
    if target.dt:
        configuration["dt"] = target.dt
    return properties, configuration


def _gates(target: Any, qubits: list[list[Json]]) -> Iterator[Json]:
    for name in target.operation_names:
        loci: Mapping[Any, Any] = target[name] or {}
        for locus, known in loci.items():
            if name in _DIRECTIVES or locus is None:
                continue
            parts = (
                ("gate_error", "", getattr(known, "error", None)),
                ("gate_length", "s", getattr(known, "duration", None)),
            )
            records = [
                {"name": field, "unit": unit, "value": value}
                for field, unit, value in parts
                if value is not None
            ]
            if name == "measure":
                fields = {"gate_error": "readout_error", "gate_length": "readout_length"}
                renamed = [{**r, "name": fields[r["name"]]} for r in records]
                qubits[locus[0]].extend(renamed)
            else:
                yield {"gate": name, "qubits": list(locus), "parameters": records}
