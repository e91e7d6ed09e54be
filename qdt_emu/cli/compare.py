"""`qdt compare`: the twin against measured counts."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import console, print_json, progress, table
from qdt_emu.cli.options import DEFAULT_DEVICE, EngineOption, JsonOption, SeedOption


def compare(
    source: Annotated[
        str, typer.Argument(help="OpenQASM file, or a runs file with circuits and counts.")
    ],
    measured: Annotated[
        Path | None, typer.Argument(help="JSON file of measured counts, if SOURCE is a circuit.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", help="Default: the one the runs file names."),
    ] = None,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    shots: Annotated[
        int | None, typer.Option("--shots", help="Twin shots; default: as many as measured.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the twin with measured counts, and with every trivial prediction."""
    from qdt_emu.twin import Twin
    from qdt_emu.validation.runs import read_runs

    runs = read_runs(source, measured)
    twins: dict[str, Twin] = {}
    results = []
    for item in progress(runs, "comparing", quiet=as_json or len(runs) == 1):
        name = device or item.device or DEFAULT_DEVICE
        twin = twins.setdefault(name, twins.get(name) or Twin.load(name))
        verdict = twin.compare(
            item.circuit, item.counts, shots=shots, seed=seed or 0, engine=engine
        )
        results.append((item.name, twin.name, verdict))
    if as_json:
        verdicts = [{"name": n, "device": d, **json.loads(v.to_json())} for n, d, v in results]
        print_json({"runs": verdicts})
        return
    if len(results) == 1:
        console().print(str(results[0][2]), markup=False, highlight=False)
        return
    names = [skill.baseline for skill in results[0][2].skills]
    rows = [_verdict_row(n, v, names) for n, _, v in results]
    table(
        f"Twin of {', '.join(dict.fromkeys(d for _, d, _ in results))} against measured counts "
        f"(total variation distance)",
        ["circuit", "twin", "shot floor", *names, "explained"],
        [*rows, _geometric_means(rows)],
    )


def _geometric_means(rows: list[list[str]]) -> list[str]:
    from statistics import geometric_mean

    columns = list(zip(*rows, strict=True))[1:-1]
    means = [f"{geometric_mean(map(float, c)):.4f}" if all(c) else "" for c in columns]
    return ["geometric mean", *means, ""]


def _verdict_row(name: str, verdict: Any, baselines: list[str]) -> list[str]:
    by = {skill.baseline: f"{skill.distance:.4f}" for skill in verdict.skills}
    explained = "" if verdict.explained is None else f"{verdict.explained:.0%}"
    head = [name, f"{verdict.distance:.4f}", f"{verdict.floor:.4f}"]
    return [*head, *(by.get(b, "") for b in baselines), explained]
