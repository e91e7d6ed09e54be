"""Predictions that are fixed before the processor runs: a file whose hash can be published.

The file is canonical JSON (sorted keys, no spaces, shortest floats), and its SHA-256 stands in it,
over everything else. Whoever noted the hash beforehand can tell that nothing was changed later.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.result import storage

FORMAT = "qdt_emu.frozen"
VERSION = 1


@dataclass(frozen=True)
class Prediction:
    """What a twin says about one circuit before it runs.

    Attributes:
        name: Unique within a file.
        circuit: OpenQASM text, or a description where the circuit is not ours to give.
        twin: Identity of the device model (`twin.device.id`).
        device: Processor it is about.
        counts: Predicted outcomes and how often; empty if values are predicted.
        values: Predicted expectation values or figures: name to (value, low, high).
        level: What the bands of `values` promise.
    """

    name: str
    circuit: str
    twin: str
    device: str
    counts: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    level: float = 0.9

    def __post_init__(self) -> None:
        counts = {str(k): int(v) for k, v in self.counts.items()}
        values = {str(k): tuple(float(x) for x in v) for k, v in self.values.items()}
        if not counts and not values:
            raise InputError(f"Prediction '{self.name}' must hold counts or values, but has none.")
        for key, numbers in values.items():
            if len(numbers) != 3 or not numbers[1] <= numbers[0] <= numbers[2]:
                raise InputError(
                    f"Value '{key}' of prediction '{self.name}' must be (value, low, high) with "
                    f"low <= value <= high, but is {numbers}."
                )
        object.__setattr__(self, "counts", MappingProxyType(counts))
        object.__setattr__(self, "values", MappingProxyType(values))

    @property
    def circuit_sha256(self) -> str:
        """Identity of the circuit's text; white space at ends of lines does not count."""
        return _circuit_digest(self.circuit)


@dataclass(frozen=True)
class Frozen:
    """A file of predictions, verified.

    Attributes:
        created: When, as its author wrote it.
        predictions: In the order of the file.
        sha256: Over everything else in the file.
    """

    created: str
    predictions: tuple[Prediction, ...]
    sha256: str

    def find(self, name: str, circuit: str = "") -> Prediction | None:
        """Return the prediction of a circuit, by its text or else by its name."""
        if circuit:
            digest = _circuit_digest(circuit)
            for p in self.predictions:
                if p.circuit_sha256 == digest:
                    return p
        return next((p for p in self.predictions if p.name == name), None)


def freeze(
    predictions: Sequence[Prediction], path: str | os.PathLike[str], *, created: str
) -> Frozen:
    """Write predictions once and for all, and return them with their hash.

    Args:
        predictions: At least one, of different names.
        path: Of the file; an existing one is not overwritten, because that is what freezing means.
        created: Time of freezing, ISO 8601.

    Raises:
        InputError: There is no prediction, two of one name, no valid time, or the file exists.
    """
    names = [p.name for p in predictions]
    if not names or len(set(names)) < len(names):
        twice = next((n for n in names if names.count(n) > 1), None)
        what = f"two are called {twice!r}" if names else "there are none"
        raise InputError(
            f"Frozen predictions must be at least one, of different names, but {what}."
        )
    try:
        np.datetime64(created.removesuffix("Z"))
    except ValueError:
        raise InputError(f"`created` must be a time in ISO 8601, but is {created!r}.") from None
    target = Path(path)
    if target.exists():
        raise InputError(
            f"'{target}' exists, and frozen predictions are never overwritten. Choose another name."
        )
    body = {
        "format": FORMAT,
        "version": VERSION,
        "created": created,
        "predictions": [_plain(p) for p in predictions],
    }
    digest = _digest(body)
    storage.write_file(target, _canonical(body | {"sha256": digest}))
    return Frozen(created, tuple(predictions), digest)


def thaw(path: str | os.PathLike[str]) -> Frozen:
    """Return the predictions of a file, after checking that it is as it was frozen.

    Raises:
        InputError: The file is missing, not one of ours, or was changed.
    """
    source = Path(path)
    try:
        body = json.loads(source.read_bytes())
    except FileNotFoundError:
        raise InputError(f"File '{source}' does not exist. Check the path.") from None
    except ValueError as reason:
        raise InputError(f"File '{source}' is not valid JSON: {reason}.") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT or body.get("version") != VERSION:
        raise InputError(f"File '{source}' must be frozen predictions of version {VERSION}.")
    stated = body.pop("sha256", None)
    if (found := _digest(body)) != stated:
        raise InputError(
            f"The predictions in '{source}' must be as they were frozen, but their SHA-256 is "
            f"{found[:12]}... and the file states {str(stated)[:12]}...: it was changed."
        )
    try:
        predictions = tuple(_prediction(p) for p in body["predictions"])
        return Frozen(str(body["created"]), predictions, found)
    except (KeyError, TypeError) as reason:
        raise InputError(f"File '{source}' lacks a field of a prediction: {reason}.") from None


def _plain(p: Prediction) -> dict[str, Any]:
    return {
        "name": p.name,
        "circuit": p.circuit,
        "circuit_sha256": p.circuit_sha256,
        "twin": p.twin,
        "device": p.device,
        "counts": dict(p.counts),
        "values": {k: list(v) for k, v in p.values.items()},
        "level": p.level,
    }


def _prediction(data: dict[str, Any]) -> Prediction:
    found = {k: v for k, v in data.items() if k != "circuit_sha256"}
    return Prediction(**found)


def _circuit_digest(circuit: str) -> str:
    lines = [line.strip() for line in circuit.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body).encode()).hexdigest()
