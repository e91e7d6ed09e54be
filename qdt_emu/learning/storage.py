"""A posterior on disk: NetCDF-4 with numbers and JSON only, complete or absent."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qdt_emu.calibrations.storage import write_tree
from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.learning.posterior import Fitted, Posterior
from qdt_emu.learning.prior import Family, Model, learnable

FORMAT = "qdt_emu.posterior.1"


def save(posterior: Posterior, path: Path) -> Path:
    """Write a posterior; returns the path."""
    model = posterior.model
    data = xr.Dataset(
        {
            "z": ("unknown", posterior.z, {"long_name": "most probable unknowns"}),
            "fisher": (("unknown", "unknown_"), posterior.fisher),
        },
        attrs={
            "format": FORMAT,
            "device": model.device.name,
            "calibration_id": model.device.calibration_id,
            "scatter": posterior.scatter,
            "learn": json.dumps(model.learn),
            "families": json.dumps([_family(f) for f in model.families]),
            "circuits": json.dumps([asdict(c) for c in posterior.circuits]),
            "ambiguous": json.dumps(posterior.ambiguous),
        },
    )
    write_tree(xr.DataTree(data), path)
    return path


def load(path: Path, device: Device) -> Posterior:
    """Return a saved posterior; see `Posterior.load`."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as found:
            data = found.load()
    except FileNotFoundError:
        raise InputError(f"File '{path}' does not exist. Check the path.") from None
    except (OSError, ValueError) as reason:
        raise InputError(f"File '{path}' cannot be read: {reason}.") from None
    if data.attrs.get("format") != FORMAT:
        raise InputError(
            f"File '{path}' must be a posterior of format '{FORMAT}', but its format is "
            f"{data.attrs.get('format')!r}."
        )
    if data.attrs["calibration_id"] != device.calibration_id:
        raise InputError(
            f"The posterior '{path}' was learned on another calibration of "
            f"'{data.attrs['device']}' than this one of '{device.name}'. Load that one, or fit "
            f"anew."
        )
    learn = tuple(json.loads(data.attrs["learn"]))
    families = tuple(
        Family(
            **{k: f[k] for k in ("leaf", "scale", "shared", "kind")},
            labels=tuple(f["labels"]),
            spread=np.array(f["spread"], float),
            index=np.array(f["index"], np.int64),
            owner=np.array(f["owner"], np.int64),
            centre=np.array(f["centre"], float),
        )
        for f in json.loads(data.attrs["families"])
    )
    return Posterior(
        model=Model(learnable(device, learn), families, learn),
        z=data["z"].values,
        fisher=data["fisher"].values,
        scatter=float(data.attrs["scatter"]),
        circuits=tuple(Fitted(**c) for c in json.loads(data.attrs["circuits"])),
        ambiguous=tuple(json.loads(data.attrs["ambiguous"])),
    )


def _family(family: Family) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(family).items()}
