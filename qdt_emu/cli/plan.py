"""`qdt plan`: which engine, and what it would cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import busy, finite, print_json, say, table
from qdt_emu.cli.options import (
    DEFAULT_DEVICE,
    DecouplingOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    LayoutOption,
    circuit_options,
)


def plan(
    circuit: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 file.")],
    device: DeviceOption = DEFAULT_DEVICE,
    shots: Annotated[
        int | None,
        typer.Option("--shots", "-n", help="Shots; with --pauli: trajectories. Default 1024."),
    ] = None,
    pauli: Annotated[
        list[str] | None,
        typer.Option("--pauli", help="Ask about expectation values instead; may be repeated."),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Largest stated error that is accepted.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Limit of the predicted time.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", help="Limit in GiB; default: 70 % of what is free.")
    ] = None,
    engine: EngineOption = "auto",
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which engine would run a circuit, why, and what every other one would cost."""
    from qdt_emu.twin import Twin

    twin = Twin.load(device)
    with busy(f"Planning for {twin.name}", quiet=as_json):
        found = twin.plan(
            Path(circuit),
            pauli or None,
            shots=shots,
            engine=engine,
            options=circuit_options(layout, decoupling),
            memory=None if memory is None else int(memory * 2**30),
            seconds=seconds,
            tolerance=tolerance,
        )
    if as_json:
        print_json(finite(found.to_dict()))
    else:
        heads = ["", "engine", "settings", "seconds", "MiB", "error", "how known", "why"]
        qubits = [part.qubits for part in found.parts]
        title = f"{Path(circuit).stem} on {twin.name}: {qubits[0] if qubits else 0} qubits"
        more = f" (the largest of {len(qubits)} independent parts)" if len(qubits) > 1 else ""
        table(title + more, heads, [_plan_row(a) for a in found.alternatives])
        say(found.refusal or f"{found.engine}: {found.reason}")
    if found.refusal:
        raise typer.Exit(2)


def _plan_row(a: Any) -> list[str]:
    asked = a.seconds > 0 or not a.refused
    figures = [f"{a.seconds:.2g}", f"{a.bytes / 2**20:.3g}", f"{a.truncation:.2g}"]
    if a.standard_error:
        figures[2] += f" ± {a.standard_error:.2g}"
    shown = figures if asked else ["", "", ""]
    return ["->" if a.chosen else "", a.engine, a.settings, *shown, a.source, a.why]
