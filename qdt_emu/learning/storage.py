"""Arrays and JSON in one NetCDF-4 file, complete or absent; nothing in it is executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qdt_emu.calibrations.storage import write_tree
from qdt_emu.errors import InputError


def write(
    path: Path, kind: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, object]
) -> Path:
    """Write arrays and JSON-able facts; returns the path."""
    data = {
        name: (tuple(f"{name}_{axis}" for axis in range(array.ndim)), array)
        for name, array in arrays.items()
    }
    attrs = {"format": f"qdt_emu.{kind}.1", "facts": json.dumps(facts, default=_plain)}
    write_tree(xr.DataTree(xr.Dataset(data, attrs=attrs)), path)
    return path


def read(path: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays and facts of a file.

    Raises:
        InputError: No such file, or one of another kind.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as found:
            data = found.load()
    except FileNotFoundError:
        raise InputError(f"File '{path}' does not exist. Check the path.") from None
    except (OSError, ValueError) as reason:
        raise InputError(f"File '{path}' cannot be read: {reason}.") from None
    if (found_format := data.attrs.get("format")) != f"qdt_emu.{kind}.1":
        raise InputError(
            f"File '{path}' must be of format 'qdt_emu.{kind}.1', but its format is "
            f"{found_format!r}."
        )
    arrays = {str(name): np.asarray(values.values) for name, values in data.data_vars.items()}
    return arrays, json.loads(data.attrs["facts"])


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value)} has no JSON form")
