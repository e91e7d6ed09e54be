"""The JSON types that IBM's files must have, so that reading them cannot stumble."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]

# A type or several, [shape of each item], or {key: shape}; other keys are free.
_TEXT, _TIME, _NUMBER = (str,), (str, datetime), (float, int)
_RECORD = {"name": _TEXT}
_GATE = {"gate": _TEXT, "qubits": [(int,)], "parameters": [_RECORD]}
_PROPERTIES = {
    "backend_name": _TEXT,
    "last_update_date": _TIME,
    "qubits": [[_RECORD]],
    "gates": [_GATE],
    "general": [_RECORD],
    "general_qlists": [{**_RECORD, "qubits": [(int,)]}],
}
_CONFIGURATION = {
    "n_qubits": (int,),
    "basis_gates": [_TEXT],
    "coupling_map": [[(int,)]],
    "coords": [[_NUMBER]],
    "dt": _NUMBER,
    "default_rep_delay": _NUMBER,
    "timing_constraints": dict.fromkeys(
        ("acquire_alignment", "granularity", "min_length", "pulse_alignment"), (int,)
    ),
    "processor_type": {},
}
_REQUIRED = ("backend_name", "backend_version", "last_update_date", "qubits", "gates")
_WORDS = {_TEXT: "text", _TIME: "a time", _NUMBER: "a number", (int,): "an integer"}


def shape_faults(properties: Json, configuration: Json | None) -> Iterator[str]:
    """Yield what keeps the two files from being read at all."""
    for key in _REQUIRED:
        if properties.get(key) is None:
            yield (
                f"`{key}` is missing. The file is not a complete IBM properties file; "
                "download it again."
            )
    found = [*_mismatches(properties, _PROPERTIES, "/properties")]
    found += _mismatches(configuration or {}, _CONFIGURATION, "/configuration")
    yield from found
    if not found:
        yield from _sizes(properties, configuration or {})


def _mismatches(node: object, shape: Any, where: str) -> Iterator[str]:
    if isinstance(shape, dict):
        if not isinstance(node, Mapping):
            yield _fault(where, "an object", node)
            return
        for key, inner in shape.items():
            if node.get(key) is not None:
                yield from _mismatches(node[key], inner, f"{where}/{key}")
    elif isinstance(shape, list):
        if not isinstance(node, list | tuple):
            yield _fault(where, "a list", node)
            return
        for k, item in enumerate(node):
            yield from _mismatches(item, shape[0], f"{where}/{k}")
    elif not isinstance(node, shape) or isinstance(node, bool):
        yield _fault(where, _WORDS[shape], node)


def _fault(where: str, wanted: str, node: object) -> str:
    text = repr(node)
    short = text if len(text) < 40 else f"{text[:36]}..."
    return f"`{where}` must be {wanted}, but is {short}. Correct it or download the file again."


def _sizes(properties: Json, configuration: Json) -> Iterator[str]:
    n = len(properties.get("qubits") or ())
    if properties.get("qubits") is not None and n == 0:
        yield "`qubits` is empty. A device has at least one qubit."
    known = configuration.get("n_qubits")
    if known is not None and n and known != n:
        yield (
            f"The configuration has {known} qubits, but the properties list {n}. "
            "Use two files of one device."
        )
    for i, gate in enumerate(properties.get("gates") or ()):
        if gate.get("gate") is None or not gate.get("qubits"):
            yield f"Entry {i} of `gates` must have `gate` and `qubits`. Add them."
    for pair in configuration.get("coupling_map") or ():
        if len(pair) != 2:
            yield f"Entries of `coupling_map` must be pairs, but one is {list(pair)}."
    coords = configuration.get("coords") or ()
    if coords and (len(coords) != n or any(len(place) != 2 for place in coords)):
        yield f"`coords` must be {n} pairs (x, y), one per qubit. Correct or drop it."
