"""From a name, a file or a backend to a `Calibration`."""

import difflib
import gzip
import hashlib
import json
import lzma
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qdt_emu.calibrations.calibration import Calibration
from qdt_emu.calibrations.readers.braket_iqm import is_braket, read_braket_iqm
from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.calibrations.readers.ibm_backend import read_ibm_backend
from qdt_emu.calibrations.readers.ibm_csv import read_ibm_csv
from qdt_emu.errors import CalibrationError, InputError

SNAPSHOTS = Path(__file__).parent / "snapshots"
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
}
_FILES = (".nc", ".json", ".csv", *_UNPACK)


def read_calibration(source: object) -> Calibration:
    """Return a calibration from wherever it is.

    Args:
        source: One of
            the name of a bundled snapshot (`'ibm_sherbrooke'`, `'sherbrooke'`,
            `'fake_sherbrooke'`, or with a date `'sherbrooke/2025-02-26'`), or of one in
            an installed qiskit-ibm-runtime;
            the path of a `.nc` file written by `Calibration.to_netcdf`, of IBM
            properties in JSON (`.json`, `.json.xz`, `.json.gz`; the configuration is
            found beside it as `conf_...` or `....configuration...`), of Amazon Braket's device
            file of an IQM processor (JSON likewise), or of a `.csv` export of the IBM platform;
            a Qiskit backend object.

    Raises:
        InputError: For a name or file that does not exist.
        CalibrationError: For a file with faults, all of them named.

    Examples:
        >>> read_calibration("lima").n_qubits
        5
    """
    if not isinstance(source, str | Path):
        return read_ibm_backend(source)
    path = Path(source)
    if path.suffix.lower() in _FILES:
        if not path.is_file():
            raise InputError(f"File '{path}' does not exist. Check the path.")
        return _read_file(path)
    if path.is_file():
        raise InputError(
            f"A calibration file must end in {', '.join(_FILES)}, but is '{path}'. IBM properties "
            f"are .json, exports of the IBM platform .csv."
        )
    return _read_name(str(source))


def bundled() -> tuple[str, ...]:
    """Return the names of the snapshots that come with the package."""
    return tuple(sorted({path.parents[1].name for path in SNAPSHOTS.glob("*/*/*.nc")}))


def installed() -> dict[str, Path]:
    """Return the properties files in an installed qiskit-ibm-runtime, by short name.

    The package is located but not imported; without it the answer is empty.
    """
    if (spec := find_spec("qiskit_ibm_runtime")) is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "fake_provider" / "backends"
    files = sorted(folder.glob("*/props_*.json"))
    return {path.stem.removeprefix("props_"): path for path in files}


def _read_name(name: str) -> Calibration:
    short, _, date = name.lower().partition("/")
    for prefix in ("fake_", "ibmq_", "ibm_"):
        short = short.removeprefix(prefix)
    by_short = {_short(known): known for known in bundled()}
    if short in by_short:
        files = sorted(SNAPSHOTS.glob(f"{by_short[short]}/{date or '*'}/values.nc"))
        if files:
            return Calibration.from_netcdf(files[-1])
    elsewhere = installed()
    if short in elsewhere and not date:
        return _read_file(elsewhere[short])
    names = [*by_short, *(other for other in elsewhere if other not in by_short)]
    near = difflib.get_close_matches(short, names, n=3)
    guess = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InputError(
        f"Calibration must be a snapshot or a file, but {name!r} is neither.{guess} "
        f"Bundled snapshots: {', '.join(bundled())}."
    )


def _short(name: str) -> str:
    return name.removeprefix("ibmq_").removeprefix("ibm_")


def _read_file(path: Path) -> Calibration:
    if path.suffix == ".nc":
        return Calibration.from_netcdf(path)
    if path.suffix == ".csv":
        return read_ibm_csv(path)
    raw = path.read_bytes()
    node, sha256 = _json(path, raw), hashlib.sha256(raw).hexdigest()
    if is_braket(node):
        return read_braket_iqm(node, source=path.name, sha256=sha256)
    configuration = _configuration_of(path)
    return read_ibm(
        node,
        _json(configuration, configuration.read_bytes()) if configuration else None,
        source=path.name,
        sha256=sha256,
    )


def _configuration_of(path: Path) -> Path | None:
    """Return the configuration that belongs to a properties file, if it is there."""
    for old, new in (("props_", "conf_"), (".properties.", ".configuration.")):
        other = path.with_name(path.name.replace(old, new))
        if other.name != path.name and other.is_file():
            return other
    return None


def _json(path: Path, raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a file, unpacked where it is packed."""
    try:
        text = _UNPACK.get(path.suffix, bytes)(raw)
        node = json.loads(text)
        if isinstance(node, str):  # Braket's client writes JSON inside a JSON string
            node = json.loads(node)
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        fault = f"File '{path}' is not complete JSON: {error}. Download it again."
        raise CalibrationError(path.name, (fault,)) from error
    if not isinstance(node, dict):
        fault = f"File '{path}' must hold a JSON object, but holds a {type(node).__name__}."
        raise CalibrationError(path.name, (fault,))
    return node
