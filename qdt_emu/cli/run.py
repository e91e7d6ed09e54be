"""`qdt run` and `qdt estimate`: counts and expectation values."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import busy, print_json, say, say_notes, table
from qdt_emu.cli.options import (
    DEFAULT_DEVICE,
    DecouplingOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    LayoutOption,
    PosteriorOption,
    SeedOption,
    check_folders,
    circuit_options,
    load_twin,
)

EXAMPLE = Path(__file__).parents[1] / "examples" / "ghz_8.qasm"


def run(
    circuit: Annotated[
        str | None, typer.Argument(help="OpenQASM 2 or 3 file; default: a bundled GHZ circuit.")
    ] = None,
    device: DeviceOption = DEFAULT_DEVICE,
    posterior: PosteriorOption = None,
    shots: Annotated[int, typer.Option("--shots", "-n", help="Number of shots.")] = 4000,
    seed: SeedOption = None,
    engine: EngineOption = "auto",
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a self-contained HTML page.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Save the counts as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the counts of a circuit on a processor."""
    check_folders(report, out)
    with busy("Loading the twin", quiet=as_json):
        twin = load_twin(device, posterior)
    source = Path(circuit) if circuit else EXAMPLE
    options = circuit_options(layout, decoupling)
    with busy(f"Running {shots} shots on {twin.name}", quiet=as_json):
        counts = twin.run(source, shots=shots, seed=seed, engine=engine, options=options)
    bands, note = _bands(twin, source, shots, seed or 0, options) if posterior else ({}, "")
    if out:
        counts.save(out)
    if report:
        with busy("Writing the report", quiet=as_json):
            from qdt_emu.report import write_report

            write_report(report, twin, source, counts, options)
    if as_json:
        extra = {"bands": bands, "note": note} if posterior else {}
        print_json({**_counts_json(counts), **extra, "saved": str(out) if out else None})
        return
    _show_counts(counts, twin, bands)
    if note:
        say(note)
    for path in (out, report):
        if path:
            say(f"written: {path}")


def estimate(
    circuit: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 file.")],
    paulis: Annotated[list[str], typer.Argument(help="Pauli strings, leftmost = highest qubit.")],
    device: DeviceOption = DEFAULT_DEVICE,
    posterior: PosteriorOption = None,
    seed: SeedOption = None,
    engine: EngineOption = "auto",
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    readout: Annotated[bool, typer.Option(help="Include misread bits.")] = True,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Largest stated error that is accepted.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict expectation values at the end of a circuit."""
    twin = load_twin(device, posterior)
    with busy(f"Estimating on {twin.name}", quiet=as_json):
        found = twin.estimate(
            Path(circuit),
            paulis,
            seed=seed,
            engine=engine,
            options=circuit_options(layout, decoupling),
            readout=readout,
            tolerance=tolerance,
        )
    if as_json:
        print_json(json.loads(found.to_json()))
        return
    cuts = [b.truncation or 0.0 for b in found.budgets]
    rows = [
        [p, f"{v:+.5f}", f"{s:.1g}", f"{c:.1g}"] for (p, v, s), c in zip(found, cuts, strict=True)
    ]
    heads = ["Pauli", "value", "stderr", "cuts"]
    table(f"{twin.name}, engine {found.report.engine}", heads, rows)
    say(f"engine {found.report.engine} ({found.report.reason}); {found.report.seconds:.3g} s")
    say_notes(found.report.notes)


def _counts_json(counts: Any) -> dict[str, Any]:
    whole = json.loads(counts.to_json())
    return {
        "counts": dict(counts.counts),
        "shots": counts.shots,
        **{k: v for k, v in whole.items() if k != "counts"},
    }


def _bands(
    twin: Any, source: Any, shots: int, seed: int, options: Any
) -> tuple[dict[str, list[float]], str]:
    """Return 90 % bands of the frequencies of single outcomes, or why there are none."""
    import numpy as np

    from qdt_emu.errors import UnsupportedError

    try:
        found = twin.predict(source, seed=seed, options=options)
    except UnsupportedError as reason:
        return {}, f"No bands: {reason}"
    drawn = found.frequencies(shots)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    keys = list(found.keyed(-1.0))
    return {
        k: [float(a), float(b)] for k, a, b in zip(keys, low, high, strict=True) if b > 0
    }, "Bands of 90 %: parameters, what the model does not know, shots."


def _show_counts(counts: Any, twin: Any, bands: dict[str, list[float]]) -> None:
    shots = counts.shots
    rows = [
        [key, str(n), f"{n / shots:.4f} ± {(n / shots * (1 - n / shots) / shots) ** 0.5:.4f}"]
        for key, n in counts.top(12)
    ]
    heads = ["outcome", "counts", "frequency"]
    if bands:
        heads.append("90 % band")
        for row in rows:
            row.append("{:.4f} .. {:.4f}".format(*bands.get(row[0], (0.0, 0.0))))
    title = f"{counts.provenance.circuit_name} on {twin.name}, {shots} shots"
    table(title, heads, rows)
    if len(counts.counts) > 12:
        say(f"... and {len(counts.counts) - 12} more outcomes.")
    report = counts.report
    say(
        f"engine {report.engine} ({report.reason}); {report.seconds:.3g} s; seed "
        f"{counts.provenance.seed}"
    )
    say_notes(report.notes)
