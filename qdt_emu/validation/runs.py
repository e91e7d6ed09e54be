"""Files of measured runs: a circuit, what the processor counted, and how often it was run."""

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdt_emu.errors import InputError


@dataclass(frozen=True)
class Run:
    """One circuit that ran on a processor.

    Attributes:
        name: Its name in the file.
        circuit: OpenQASM text, on physical qubits or not.
        counts: Bit string (leftmost = highest bit) to count.
        device: Processor it ran on, as the file names it; empty if it does not.
    """

    name: str
    circuit: str
    counts: dict[str, int]
    device: str = ""


def read_runs(source: str | Path, measured: Path | None = None) -> tuple[Run, ...]:
    """Return the runs in a file.

    Args:
        source: A runs file (JSON or .json.xz: {"runs": [{"name", "circuit", "counts"}]}), or an
            OpenQASM file if `measured` is given.
        measured: JSON file of counts, plain or as saved by `Counts.save`.

    Raises:
        InputError: A file that is missing, broken or of another form.
    """
    path = Path(source)
    if measured is not None:
        counts = _json(measured)
        found = counts.get("counts", counts) if isinstance(counts, dict) else counts
        return (Run(path.stem, _bytes(path).decode(), _counts(found, str(measured))),)
    data = _json(path)
    if not isinstance(data, dict) or not isinstance(data.get("runs"), list):
        raise InputError(
            f"'{path}' must be a runs file with a list `runs`, or an OpenQASM file together with a "
            f"file of counts."
        )
    out = []
    for k, run in enumerate(data["runs"]):
        if not isinstance(run, dict) or not {"circuit", "counts"} <= set(run):
            raise InputError(f"Run {k} of '{path}' must have `circuit` and `counts`.")
        name = str(run.get("name", k))
        counts = _counts(run["counts"], f"run '{name}' of '{path}'")
        out.append(Run(name, run["circuit"], counts, run.get("device") or data.get("device", "")))
    if not out:
        raise InputError(f"'{path}' has no runs.")
    return tuple(out)


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return lzma.decompress(raw) if path.suffix == ".xz" else raw
    except FileNotFoundError:
        raise InputError(f"File '{path}' does not exist. Check the path.") from None
    except (OSError, lzma.LZMAError) as reason:
        raise InputError(f"File '{path}' cannot be read: {reason}.") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except ValueError as reason:
        raise InputError(f"File '{path}' is not valid JSON: {reason}.") from None


def _counts(counts: Any, where: str) -> dict[str, int]:
    if not isinstance(counts, dict) or not counts:
        raise InputError(f"The counts of {where} must be a mapping from bit strings to numbers.")
    for key, number in counts.items():
        if set(key) - {"0", "1", " "} or not isinstance(number, int) or number < 0:
            raise InputError(
                f"The counts of {where} must map bit strings to whole numbers, but have "
                f"{key!r}: {number!r}."
            )
    return {key.replace(" ", ""): number for key, number in counts.items()}
