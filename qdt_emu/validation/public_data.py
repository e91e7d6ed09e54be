"""Public measurements of processors: where they are, whether they are intact, and what they hold.

The files are looked for in the folder that the environment variable `QDT_DATA` names, then in
`shared/data` beside a checkout. Those that their authors publish in this very form are downloaded
on demand (extra `data`) and kept in a cache; the others are collections, repackaged from many
files, and are refused with the name of their source. Every known file has a SHA-256.
"""

import hashlib
import importlib
import json
import lzma
import os
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.validation.public_sources import CHECKSUMS, DATASETS, DOWNLOADS, Dataset
from qdt_emu.validation.runs import Run, read_runs

VARIABLE = "QDT_DATA"
ISING = "ibm_kicked_ising_2023"


@dataclass(frozen=True)
class Session:
    """Circuits that ran on one processor under one calibration.

    Attributes:
        name: Unique within the data set.
        device: Processor, as the file names it.
        date: When the first circuit ran, UTC as far as the file says.
        calibration: The nearest calibration at hand, or None.
        runs: Circuits and counts.
        averages: Figures over the whole chip that the authors noted at the time.
    """

    name: str
    device: str
    date: np.datetime64
    calibration: Calibration | None
    runs: tuple[Run, ...]
    averages: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        return f"Session({self.name!r}, {self.device!r}, {self.date}, runs={len(self.runs)})"


@dataclass(frozen=True, eq=False)
class KickedIsing:
    """The 127-qubit kicked Ising experiment at theta_h = 0, where every ideal value is 1.

    Attributes:
        values: Unmitigated, twirled <Z_q> without readout error, shape (5, 127, 3): depth, qubit
            0 to 126, noise gain.
        depths: Steps of the circuit, shape (5,).
        gains: Factor by which the noise was amplified, shape (3,).
        angles: theta_h of the exact curves in rad, shape (17,).
        exact: Noiseless values on `angles` of `M_z`, `W10`, `W17`, `W17x` and `Z62_9`.
    """

    values: NDArray[np.float64]
    depths: NDArray[np.int64]
    gains: NDArray[np.float64]
    angles: NDArray[np.float64]
    exact: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class CountSeries:
    """The same circuits, repeated for days.

    Attributes:
        name: Kind of circuit and device.
        device: Processor.
        dates: Start of each repetition, shape (r,).
        counts: Shape (r, steps, 2^bits), index = the record read as a number.
    """

    name: str
    device: str
    dates: NDArray[np.datetime64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Survival:
    """How often sequences of a benchmark returned what they should.

    Attributes:
        device: Processor.
        date: Day of the measurement.
        experiment: `TQ_RB`, `Memory_RB` or `SPAM`.
        shots: Repetitions of each sequence.
        survival: Survivals by qubits (`'0'` or `'0, 1'`), then by length (for SPAM: by the state
            prepared), one for each sequence.
    """

    device: str
    date: np.datetime64
    experiment: str
    shots: int
    survival: Mapping[str, Mapping[int, tuple[int, ...]]]


def datasets() -> Mapping[str, Dataset]:
    """Return the known data sets by name, present or not."""
    return DATASETS


def data_folder() -> Path | None:
    """Return the folder with the data, or None where there is none.

    Raises:
        InputError: If the environment variable `QDT_DATA` names no folder.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_dir():
            raise InputError(f"`{VARIABLE}` must name a folder, but is '{named}'.")
        return Path(named)
    root = Path(__file__).resolve().parents[2]
    beside = root.parent / "shared" / "data"
    return beside if (root / "setup.cfg").is_file() and beside.is_dir() else None


def find(relative: str) -> Path:
    """Return the path of a data file, downloaded if it is published as it is.

    Args:
        relative: Path below the data folder, e.g. `'ibm_ghz_2025/runs.json.xz'`.

    Raises:
        InputError: An unknown file, or one that is not here and cannot be downloaded.
        UnsupportedError: A download is needed and `pooch` is not installed.
    """
    if relative not in CHECKSUMS:
        raise InputError(
            f"A data file must be one of the {len(CHECKSUMS)} in `CHECKSUMS`, but is '{relative}'."
        )
    folder = data_folder()
    if folder is not None and (folder / relative).is_file():
        return folder / relative
    if relative not in DOWNLOADS:
        raise InputError(
            f"'{relative}' is repackaged and cannot be downloaded. Set `{VARIABLE}` to a folder "
            f"that has it; its source is {DATASETS[relative.partition('/')[0]].source}."
        )
    return _download(relative)


def verify(dataset: str | None = None) -> tuple[str, ...]:
    """Return the files of the data folder that are not what they were, one sentence each.

    Args:
        dataset: Name of a data set; `None` checks all. Files that are missing are reported too.
    """
    folder, found = data_folder(), []
    for relative, known in CHECKSUMS.items():
        if dataset is not None and relative.partition("/")[0] != _known(dataset).name:
            continue
        path = None if folder is None else folder / relative
        if path is None or not path.is_file():
            found.append(f"'{relative}' is missing.")
        elif (got := hashlib.sha256(path.read_bytes()).hexdigest()) != known:
            found.append(f"'{relative}' must have SHA-256 {known[:12]}..., but has {got[:12]}....")
    return tuple(found)


def sessions(dataset: str) -> tuple[Session, ...]:
    """Return circuits, counts and calibrations of one data set, in order of time.

    Raises:
        InputError: An unknown data set, one without circuits, or one that is not here.
    """
    name = _known(dataset).name
    files = sorted(path for path in CHECKSUMS if path.startswith(f"{name}/") and "runs." in path)
    if not files:
        known = sorted({path.partition("/")[0] for path in CHECKSUMS if "runs." in path})
        raise InputError(
            f"Data set must be one with circuits ({', '.join(known)}), but is '{dataset}'."
        )
    found = [session for path in files for session in _read_sessions(path)]
    return tuple(sorted(found, key=lambda session: session.date))


def kicked_ising() -> KickedIsing:
    """Return the 127-qubit kicked Ising data at theta_h = 0 and the exact curves.

    Source:
        Kim et al., Nature 618, 500 (2023), figure 2; exact values: Begusic and Chan,
        arXiv:2308.05077.
    """
    text = find(f"{ISING}/fig2bc_experiment_unmit.txt").read_text()
    values = np.array(text.split(","), float).reshape(5, 127, 3)
    labels = find(f"{ISING}/fig2bc_paulis.txt").read_text().split(",")
    order = [label.strip().index("Z") for label in labels]  # leftmost letter = qubit 0 here
    by_qubit = np.empty_like(values)
    by_qubit[:, order] = values
    table = np.loadtxt(find(f"{ISING}/exact_begusic_chan.csv"), delimiter=",", skiprows=1)
    names = ("M_z", "W10", "W17", "W17x", "Z62_9")
    return KickedIsing(
        by_qubit,
        np.array([4, 8, 12, 16, 20]),
        np.array([1.0, 1.2, 1.6]),
        table[:, 0],
        MappingProxyType(dict(zip(names, table[:, 1:].T, strict=True))),
    )


def count_series() -> tuple[CountSeries, ...]:
    """Return the series of `ibm_count_series_2021`; their qubits are not recorded."""
    return tuple(
        _read_series(path) for path in CHECKSUMS if path.startswith("ibm_count_series_2021/")
    )


def calibration_series(device: str) -> tuple[Calibration, ...]:
    """Return the exports of one IBM device's calibration over time, oldest first.

    Args:
        device: `ibm_sherbrooke`, `ibm_torino`, `ibm_osaka` or `ibm_kyoto`.

    Cost:
        About 0.1 s for each.
    """
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(find("ibm_calibration_series/csv.tar.xz")) as archive:
            members = [m for m in archive if m.name.startswith(f"{device}_calibrations")]
            if not members:
                known = sorted({n.partition("_calibrations")[0] for n in archive.getnames()})
                raise InputError(f"Device must be one of {known}, but is {device!r}.")
            archive.extractall(folder, members, filter="data")
        names = sorted(member.name for member in members)
        return tuple(read_calibration(Path(folder) / name) for name in names)


def quantinuum() -> tuple[Survival, ...]:
    """Return the benchmark counts of Quantinuum's processors, by device and date."""
    path = "vendor_calibrations/quantinuum_rb_spam_survival_timeseries.json.xz"
    return tuple(_read_survival(key, entry) for key, entry in _json(path).items())


def _known(dataset: str) -> Dataset:
    if dataset not in DATASETS:
        raise InputError(f"Data set must be one of {list(DATASETS)}, but is {dataset!r}.")
    return DATASETS[dataset]


def _download(relative: str) -> Path:
    try:
        pooch = importlib.import_module("pooch")
    except ImportError:
        raise UnsupportedError(
            f"Downloading '{relative}' needs `pooch`. Install it with `pip install qdt-emu[data]`, "
            f"or set `{VARIABLE}` to a folder that has the file."
        ) from None
    path = Path(relative)
    return Path(
        pooch.retrieve(
            DOWNLOADS[relative],
            known_hash=f"sha256:{CHECKSUMS[relative]}",
            fname=path.name,
            path=Path(pooch.os_cache("qdt_emu")) / path.parent,
        )
    )


def _json(relative: str) -> Any:
    return json.loads(lzma.decompress(find(relative).read_bytes()))


def _read_sessions(relative: str) -> list[Session]:
    """Return the sessions in one file: one for each device and time of a calibration."""
    path, head = find(relative), _json(relative)
    groups: dict[tuple[str, str], list[tuple[Run, Mapping[str, Any]]]] = {}
    for run, entry in zip(read_runs(path), head["runs"], strict=True):
        day = "" if "date" in head else str(entry["date"])[:10]
        groups.setdefault((run.device, day), []).append((run, entry))
    out = []
    for (device, _), members in groups.items():
        name = path.name.removesuffix(".json.xz").removesuffix("runs").rstrip(".")
        if not name:
            name = members[0][0].name.partition("/")[0] if len(groups) > 1 else path.parent.name
        dates = [str(entry.get("date", head.get("date"))) for _, entry in members]
        summary = members[0][1].get("calibration_summary", {})
        averages = {k: float(v) for k, v in summary.items() if isinstance(v, int | float)}
        date = np.datetime64(min(dates).replace(" ", "T").removesuffix("Z"), "s")
        calibration = _calibration(relative, device, head)
        runs = tuple(run for run, _ in members)
        out.append(Session(name, device, date, calibration, runs, MappingProxyType(averages)))
    return out


def _calibration(relative: str, device: str, head: Mapping[str, Any]) -> Calibration | None:
    folder, beside = relative.partition("/")[0], head.get("calibration")
    if folder == "iqm_garnet_dynamic_2025":
        return read_calibration(find(f"vendor_calibrations/{beside}.xz"))
    if beside is None:
        return read_calibration(f"{device}/2025-02-26")
    return read_calibration(find(f"{folder}/{beside}"))


def _read_series(relative: str) -> CountSeries:
    data = _json(relative)
    runs = data["runs"]
    size = 1 + max(int(key, 16) for run in runs for r in run["results"] for key in r["counts"])
    counts = np.zeros((len(runs), len(runs[0]["results"]), 2 ** (size - 1).bit_length()), np.int64)
    for k, run in enumerate(runs):
        for result in run["results"]:
            for key, number in result["counts"].items():
                counts[k, result["step"] - 1, int(key, 16)] = number
    dates = np.array([run["date"].replace(" ", "T") for run in runs], "datetime64[s]")
    name = Path(relative).name.removesuffix(".json.xz")
    return CountSeries(name, data["backend"], dates, counts)


def _read_survival(key: str, entry: Mapping[str, Any]) -> Survival:
    device, day, file = key.split("/")
    found = {
        qubits.strip("()"): MappingProxyType(
            {
                int(length): tuple(int(n) for n in sequences.values())
                if isinstance(sequences, dict)
                else (int(sequences),)
                for length, sequences in by_length.items()
            }
        )
        for qubits, by_length in entry["survival"].items()
    }
    experiment = file.removesuffix(".json").replace("spam", "SPAM")
    date = np.datetime64(day.replace("_", "-"))
    return Survival(device, date, experiment, int(entry["shots"]), MappingProxyType(found))
