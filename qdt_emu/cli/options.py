"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.errors import InputError

DEFAULT_DEVICE = "ibm_marrakesh"

DeviceOption = Annotated[
    str, typer.Option("--device", "-d", help="Bundled snapshot, or a calibration file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Same seed, same counts.")]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, or one engine by name.")]
LayoutOption = Annotated[
    str | None, typer.Option("--layout", help="Physical qubits, e.g. 3,4,5; default: Qiskit.")
]
DecouplingOption = Annotated[
    str | None, typer.Option("--decoupling", help="XX or XY4 pulses in idle times.")
]
PosteriorOption = Annotated[
    Path | None, typer.Option("--posterior", help="What `qdt fit` learned about the device.")
]


def load_twin(device: str, posterior: Path | None = None) -> Any:
    """Return the twin of a device, with what was learned about it."""
    from qdt_emu.twin import Twin

    twin = Twin.load(device)
    if posterior is None:
        return twin
    from qdt_emu.learning.posterior import Posterior

    return twin.learned(Posterior.load(posterior, twin.device))


def check_folders(*paths: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(
                f"The folder of '{path}' must exist, but '{path.parent}' does not. Make it first."
            )


def circuit_options(layout: str | None, decoupling: str | None) -> Any:
    """Return the `Options` that the flags ask for."""
    from qdt_emu.circuit import Options

    places = None
    if layout:
        try:
            places = tuple(int(x) for x in layout.split(","))
        except ValueError:
            raise InputError(f"`--layout` must be like 3,4,5, but is {layout!r}.") from None
    return Options(layout=places, decoupling=decoupling)
