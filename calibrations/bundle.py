"""Rebuilds the snapshots that come with the package: `python -m qdt_emu.calibrations.bundle`.

They are made from an installed qiskit-ibm-runtime (Apache-2.0), which is only read, not
imported. The numbers are those of its files; nothing is repaired or left out.
"""

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.read import SNAPSHOTS, installed
from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.errors import InputError

DEVICES = (
    "lima",
    "cairo",
    "sherbrooke",
    "kyiv",
    "torino",
    "fez",
    "marrakesh",
    "boston",
)

SOURCE = """\
# {name}, {time}

Measured by IBM and published in the package qiskit-ibm-runtime {version}
(https://github.com/Qiskit/qiskit-ibm-runtime, Apache-2.0, Copyright IBM), converted by
`python -m qdt_emu.calibrations.bundle` to SI units and NetCDF. No number was changed.

| file | sha256 |
|---|---|
| `fake_provider/backends/{short}/props_{short}.json` | `{props}` |
| `fake_provider/backends/{short}/conf_{short}.json` | `{conf}` |

{n} qubits, native gates {gates}. Identity of the calibration: `{id}`.
{renamed}
What became of the {fields} fields of the two files: {counts}.

| records | what was filled or flagged, and why |
|---|---|
{gaps}
"""


def build(short: str, root: Path) -> Path:
    """Write the snapshot of one device below `root`; return its folder.

    Raises:
        InputError: If qiskit-ibm-runtime or this device in it is not installed.
    """
    files = installed()
    if short not in files:
        raise InputError(
            f"Device must be one of qiskit-ibm-runtime, but {short!r} is not found. "
            "Install it with `pip install qdt-emu[ibm]`."
        )
    props = files[short]
    conf = props.with_name(f"conf_{short}.json")
    properties = json.loads(props.read_bytes())
    configuration = json.loads(conf.read_bytes())
    published = properties["backend_name"]
    name = published.replace("alt_", "ibm_")  # IBM's alias of one device
    for node in (properties, configuration):
        node["backend_name"] = name
    release = version("qiskit-ibm-runtime")
    calibration = read_ibm(
        properties,
        configuration,
        f"qiskit-ibm-runtime {release}, {props.name} and {conf.name}, Apache-2.0",
        sha256=_sha256(props),
    )
    folder: Path = root / name / str(calibration.snapshot_time)[:10]
    folder.mkdir(parents=True, exist_ok=True)
    calibration.to_netcdf(folder / "values.nc")
    renamed = f"The files call the device `{published}`.\n" if name != published else ""
    text = SOURCE.format(
        name=name,
        time=calibration.tree.attrs["snapshot_time"],
        version=release,
        short=short,
        props=_sha256(props),
        conf=_sha256(conf),
        n=calibration.n_qubits,
        gates=", ".join(calibration.native_gates),
        id=calibration.id,
        renamed=renamed,
        fields=sum(calibration.ledger.counts.values()),
        counts=", ".join(f"{n} {s}" for s, n in calibration.ledger.counts.items()),
        gaps=_gaps(calibration),
    )
    (folder / "source.md").write_text(text)
    return folder


def _gaps(calibration: Calibration) -> str:
    rows = [
        f"| {count} | {reason} |"
        for status, reason, count in calibration.ledger.summary()
        if status == "repaired" or (status == "used" and ";" in reason)
    ]
    return "\n".join(rows) or "| 0 | none |"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Rebuild all bundled snapshots, or those of the devices named."""
    parser = argparse.ArgumentParser(description="Rebuild the bundled snapshots.")
    parser.add_argument("devices", nargs="*", default=DEVICES)
    parser.add_argument("--root", type=Path, default=SNAPSHOTS)
    arguments = parser.parse_args()
    for short in arguments.devices:
        folder = build(short, arguments.root)
        size = (folder / "values.nc").stat().st_size
        print(f"{folder}: {size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
