"""`qdt explain` and `qdt bench`: where fidelity and time go."""

from pathlib import Path
from typing import Annotated

import typer

from qdt_emu.cli.console import busy, print_json, table, text_of
from qdt_emu.cli.options import (
    DEFAULT_DEVICE,
    DecouplingOption,
    DeviceOption,
    JsonOption,
    LayoutOption,
    PosteriorOption,
    check_folders,
    circuit_options,
    load_twin,
)


def explain(
    circuit: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 file.")],
    device: DeviceOption = DEFAULT_DEVICE,
    posterior: PosteriorOption = None,
    figure: Annotated[
        str,
        typer.Option("--of", help="'fidelity', a Pauli string, or a bit string (its probability)."),
    ] = "fidelity",
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the budget.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which mechanism and which qubit costs how much of a figure."""
    check_folders(picture)
    twin = load_twin(device, posterior)
    with busy("Attributing", quiet=as_json):
        found = twin.explain(Path(circuit), figure, options=circuit_options(layout, decoupling))
    if picture:
        from qdt_emu.report import save_figure

        save_figure(found.plot(), picture)
    if as_json:
        print_json(found.to_dict())
        return
    title = f"{found.figure}: {found.ideal:.4f} ideal, {found.noisy:.4f} on {twin.name}"
    loss = found.noisy - found.ideal
    rows = [
        [name, f"{x:+.5f}", f"{x / loss:.1%}" if loss else ""]
        for name, x in found.by_mechanism.items()
    ]
    table(title, ["mechanism", "contribution", "share"], rows)
    places = [
        [", ".join(map(str, p)), f"{x:+.5f}", f"{x / loss:.1%}" if loss else ""]
        for p, x in list(found.by_place.items())[:10]
    ]
    table("Ten costliest places", ["qubits", "contribution", "share"], places)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which benchmarks; default all.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smallest sizes only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Time the twin beside Qiskit Aer and qsim, in one run."""
    from qdt_emu.benchmarks import run_benchmarks

    rows = run_benchmarks(names or [], quick=quick)
    if as_json:
        print_json({"benchmarks": rows})
        return
    heads = list(dict.fromkeys(key for row in rows for key in row))
    table("Benchmarks", heads, [[text_of(row.get(h, "")) for h in heads] for row in rows])
