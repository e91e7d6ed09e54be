"""Experiments on disk: one NetCDF-4 file each, written in one step."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from qdt_emu.calibrations.storage import read_tree, write_tree


def save(table: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write an experiment to a `.nc` file, complete or not at all."""
    write_tree(xr.DataTree(table), Path(path))


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the experiment saved at `path`, in memory.

    Raises:
        CalibrationError: The file is not NetCDF-4, or not complete.
    """
    table = read_tree(Path(path)).to_dataset()
    # NetCDF knows arrays only; an attribute of one entry was a number.
    table.attrs = {name: _plain(value) for name, value in table.attrs.items()}
    return table


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        listed = value.tolist()
        return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    return value
