"""Experiments on disk: one NetCDF-4 file each, written in one step."""

import os
from pathlib import Path

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
    return read_tree(Path(path)).to_dataset()
