"""Results as text: JSON in, JSON out, files replaced in one step."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from qdt_emu.errors import InputError

VERSION = 1


def plain(value: object) -> object:
    """Return `value` in JSON types: dataclasses and mappings as objects, arrays as lists.

    JSON has no NaN and no infinity; they become {"float": "nan"}, which every parser reads.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def write_text(kind: str, value: object) -> str:
    """Return `value` as JSON that says what it is."""
    body = cast("dict[str, object]", plain(value))
    return json.dumps({"format": f"qdt_emu.{kind}", "version": VERSION} | body, allow_nan=False)


def read_text(kind: str, text: str) -> dict[str, Any]:
    """Return the fields of the JSON written by `write_text(kind, ...)`.

    Raises:
        InputError: The text is not JSON, of another kind, or of a later version.
    """
    try:
        data = json.loads(text, object_hook=_number)
    except json.JSONDecodeError as fault:
        raise InputError(
            f"A saved result must be JSON, but at line {fault.lineno}, column {fault.colno}: "
            f"{fault.msg}. The file is damaged or not one of ours."
        ) from fault
    found = data.pop("format", None) if isinstance(data, dict) else None
    if found != f"qdt_emu.{kind}":
        raise InputError(
            f"The saved result must be of format 'qdt_emu.{kind}', but it is {found!r}. "
            f"Load it with the class that saved it."
        )
    if (version := data.pop("version", None)) != VERSION:
        raise InputError(
            f"The saved result must be of version {VERSION}, but it is {version!r}. "
            f"Read it with the version of qdt-emu that wrote it."
        )
    return dict(data)


def _number(found: dict[str, Any]) -> object:
    return float(found["float"]) if found.keys() == {"float"} else found


def write_file(path: str | os.PathLike[str], text: str) -> None:
    """Put `text` at `path` in one step: a reader sees the old file or the new one, never half."""
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)  # mkstemp lets only the owner read
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
