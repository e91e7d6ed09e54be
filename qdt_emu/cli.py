"""The command `qdt`: one verb per question.

Exit codes: 0 done, 1 a check failed, 2 wrong input, 130 interrupted. Every verb takes `--json`,
which prints one JSON object and nothing else.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.errors import InputError, QdtError

# Modules of the package are imported inside the verbs, so that `qdt --help` is instant.
app = typer.Typer(
    help="A digital twin of quantum processors: predict counts before you run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXAMPLE = Path(__file__).parent / "examples" / "ghz_8.qasm"
DEFAULT_DEVICE = "ibm_marrakesh"
INTERRUPTED = "interrupted; nothing was written."
PATIENCE = 5.0  # s between Ctrl-C and the end, at the latest

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


class _Interrupted(BaseException):
    """Ctrl-C; not a KeyboardInterrupt, which typer versions turn into different exit codes."""


def _interrupt(_signal: int, _frame: object) -> None:
    _report(INTERRUPTED, 130, as_json="--json" in sys.argv)
    # An exception raised inside a finaliser is swallowed, and running kernels are waited for; the
    # timer ends the program anyhow.
    last_resort = threading.Timer(PATIENCE, os._exit, (130,))
    last_resort.daemon = True
    last_resort.start()
    raise _Interrupted


def main() -> None:
    """Run the command line; errors become one sentence and an exit code."""
    as_json = "--json" in sys.argv
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except _Interrupted:
        sys.exit(130)
    except QdtError as reason:
        _complain(str(reason), 2, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as reason:
        where = f": '{reason.filename}'" if reason.filename else ""
        _complain(f"{reason.strerror or reason}{where}.", 2, as_json=as_json)


def _complain(message: str, code: int, *, as_json: bool) -> None:
    _report(message, code, as_json=as_json)
    sys.exit(code)


def _report(message: str, code: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}), flush=True)  # noqa: T201
    else:
        from rich.console import Console

        text = f"[bold red]Error:[/] {_plain(message)}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)


@app.command()
def run(
    circuit: Annotated[
        str | None, typer.Argument(help="OpenQASM 2 or 3 file; default: a bundled GHZ circuit.")
    ] = None,
    device: DeviceOption = DEFAULT_DEVICE,
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
    from qdt_emu.twin import Twin

    _check_folders(report, out)
    with _busy("Loading the twin", quiet=as_json):
        twin = Twin.load(device)
    source = Path(circuit) if circuit else EXAMPLE
    options = _options(layout, decoupling)
    with _busy(f"Running {shots} shots on {twin.name}", quiet=as_json):
        counts = twin.run(source, shots=shots, seed=seed, engine=engine, options=options)
    if out:
        counts.save(out)
    if report:
        with _busy("Writing the report", quiet=as_json):
            from qdt_emu.report import write_report

            write_report(report, twin, source, counts, options)
    if as_json:
        _print_json({**_counts_json(counts), "saved": str(out) if out else None})
        return
    _show_counts(counts, twin)
    for path in (out, report):
        if path:
            _say(f"written: {path}")


@app.command()
def estimate(
    circuit: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 file.")],
    paulis: Annotated[list[str], typer.Argument(help="Pauli strings, leftmost = highest qubit.")],
    device: DeviceOption = DEFAULT_DEVICE,
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
    from qdt_emu.twin import Twin

    twin = Twin.load(device)
    with _busy(f"Estimating on {twin.name}", quiet=as_json):
        found = twin.estimate(
            Path(circuit),
            paulis,
            seed=seed,
            engine=engine,
            options=_options(layout, decoupling),
            readout=readout,
            tolerance=tolerance,
        )
    if as_json:
        _print_json(json.loads(found.to_json()))
        return
    cuts = [b.truncation or 0.0 for b in found.budgets]
    rows = [
        [p, f"{v:+.5f}", f"{s:.1g}", f"{c:.1g}"] for (p, v, s), c in zip(found, cuts, strict=True)
    ]
    heads = ["Pauli", "value", "stderr", "cuts"]
    _table(f"{twin.name}, engine {found.report.engine}", heads, rows)
    _say(f"engine {found.report.engine} ({found.report.reason}); {found.report.seconds:.3g} s")
    _notes(found.report.notes)


@app.command()
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
    with _busy(f"Planning for {twin.name}", quiet=as_json):
        found = twin.plan(
            Path(circuit),
            pauli or None,
            shots=shots,
            engine=engine,
            options=_options(layout, decoupling),
            memory=None if memory is None else int(memory * 2**30),
            seconds=seconds,
            tolerance=tolerance,
        )
    if as_json:
        _print_json(_finite(found.to_dict()))
    else:
        heads = ["", "engine", "settings", "seconds", "MiB", "error", "how known", "why"]
        qubits = [part.qubits for part in found.parts]
        title = f"{Path(circuit).stem} on {twin.name}: {qubits[0] if qubits else 0} qubits"
        more = f" (the largest of {len(qubits)} independent parts)" if len(qubits) > 1 else ""
        _table(title + more, heads, [_plan_row(a) for a in found.alternatives])
        _say(found.refusal or f"{found.engine}: {found.reason}")
    if found.refusal:
        raise typer.Exit(2)


def _plan_row(a: Any) -> list[str]:
    asked = a.seconds > 0 or not a.refused
    figures = [f"{a.seconds:.2g}", f"{a.bytes / 2**20:.3g}", f"{a.truncation:.2g}"]
    if a.standard_error:
        figures[2] += f" ± {a.standard_error:.2g}"
    shown = figures if asked else ["", "", ""]
    return ["->" if a.chosen else "", a.engine, a.settings, *shown, a.source, a.why]


def _finite(data: Any) -> Any:
    """Return the same with infinite numbers as text: JSON has none."""
    if isinstance(data, dict):
        return {k: _finite(v) for k, v in data.items()}
    if isinstance(data, list):
        return [_finite(v) for v in data]
    return _num(data) if isinstance(data, float) else data


@app.command()
def devices(as_json: JsonOption = False) -> None:
    """List the processors that can be loaded by name."""
    from qdt_emu.calibrations.read import bundled, installed, read_calibration

    rows = []
    for name in bundled():
        calibration = read_calibration(name)
        rows.append(
            {
                "name": name,
                "qubits": calibration.n_qubits,
                "snapshot_time": calibration.tree.attrs["snapshot_time"],
                "family": calibration.tree.attrs["processor_family"],
                "native_gates": list(calibration.native_gates),
            }
        )
    more = sorted(installed())
    if as_json:
        _print_json({"bundled": rows, "installed": more})
        return
    _table(
        "Bundled calibrations",
        ["name", "qubits", "calibrated", "family", "native gates"],
        [
            [*(str(r[k]) for k in ("name", "qubits", "snapshot_time", "family")), gates]
            for r in rows
            for gates in [" ".join(r["native_gates"])]
        ],
    )
    if more:
        _say(f"From the installed qiskit-ibm-runtime, as `{more[0]}`: {len(more)} more.")


@app.command()
def inspect(
    device: Annotated[str, typer.Argument(help="Bundled snapshot, or a calibration file.")],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw a map of the errors (PNG, SVG, PDF).")
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="What became of every field of the file.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a calibration says, and what the twin had to repair."""
    import numpy as np

    from qdt_emu.twin import Twin

    _check_folders(picture)
    twin = Twin.load(device)
    facts = _facts(twin)
    cases: dict[str, int] = {}
    for note in twin.device.notes:
        cases[note.case] = cases.get(note.case, 0) + 1
    fields = twin.calibration.ledger.summary() if twin.calibration else ()
    if picture:
        from qdt_emu.report import error_map, save_figure

        save_figure(error_map(twin), picture)
    if as_json:
        repaired = [_note_json(n) for n in twin.device.notes]
        summary = [{"status": s, "reason": r, "fields": k} for s, r, k in fields]
        _print_json({**facts, "repaired": repaired, "ledger": summary})
        return
    _table(f"{twin.name}", ["quantity", "median", "10 %", "90 %"], _quantiles(twin, np))
    rows = [
        [c, str(k), next(n.reason for n in twin.device.notes if n.case == c)]
        for c, k in cases.items()
    ]
    _table("Repaired or left out", ["case", "values", "for example"], rows)
    if ledger:
        _table(
            "Ledger of the file's fields",
            ["status", "fields", "reason"],
            [[s, str(k), r] for s, r, k in fields],
        )
    if picture:
        _say(f"written: {picture}")


@app.command()
def check(
    device: Annotated[
        str | None, typer.Argument(help="Bundled snapshot, or a calibration file.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All bundled and installed snapshots.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the twin as a laboratory would: does it give back its calibration?"""
    from qdt_emu.calibrations.read import bundled, installed
    from qdt_emu.twin import Twin

    if not everything and device is None:
        raise InputError("`qdt check` needs a device, or --all. See `qdt devices`.")
    names = [device] if device else []
    if everything:
        files = {**dict.fromkeys(bundled()), **{f"fake_{k}": p for k, p in installed().items()}}
        names = [str(path or name) for name, path in files.items()]
    checks, failed = {}, {}
    for name in _progress(names, "checking", quiet=as_json or len(names) == 1):
        try:
            checks[_short(name)] = Twin.load(name).check()
        except QdtError as reason:
            failed[_short(name)] = str(reason)
    worst = max((c.max_deviation for c in checks.values()), default=0.0)
    passed = not failed and all(c.passed for c in checks.values())
    if as_json:
        _print_json(
            {
                "max_deviation": worst,
                "passed": passed,
                "snapshots": {name: _check_json(c) for name, c in checks.items()},
                "repaired": [
                    {"snapshot": name, **_note_json(n)}
                    for name, c in checks.items()
                    for n in c.repaired
                ],
                "failed": failed,
            }
        )
    else:
        rows = [_check_row(name, c) for name, c in checks.items()]
        heads = ["snapshot", "values", "largest deviation", "repaired", "shifted by repair", ""]
        _table("Published numbers against the compiled twin", heads, rows)
        for name, c in checks.items():
            for d in (*c.unexplained, *(c.explained if len(checks) == 1 else ())):
                _say(
                    f"{name}: {d.quantity} of {d.place}: published {d.published:.6g}, twin "
                    f"{d.twin:.6g} ({d.cause or 'no known cause'})"
                )
        for name, message in failed.items():
            _say(f"{name}: {message}")
    if not passed:
        raise typer.Exit(1)


@app.command(name="import")
def import_(
    file: Annotated[str, typer.Argument(help="IBM properties JSON or CSV export.")],
    out: Annotated[Path, typer.Option("--out", help="NetCDF file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Read a vendor's calibration file, check it, and store it in canonical form."""
    from qdt_emu.calibrations import read_calibration

    _check_folders(out)
    if out.suffix != ".nc":
        raise InputError(f"`--out` must end in '.nc', but is '{out}'.")
    calibration = read_calibration(file)
    calibration.to_netcdf(out)
    summary = [{"status": s, "reason": r, "fields": k} for s, r, k in calibration.ledger.summary()]
    if as_json:
        facts = {"device": calibration.name, "qubits": calibration.n_qubits, "id": calibration.id}
        _print_json({**facts, "out": str(out), "ledger": summary})
        return
    _table(
        f"{calibration!r}",
        ["status", "fields", "reason"],
        [[status, str(fields), reason] for status, reason, fields in calibration.ledger.summary()],
    )
    _say(f"written: {out}")


@app.command()
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
    for item in _progress(runs, "comparing", quiet=as_json or len(runs) == 1):
        name = device or item.device or DEFAULT_DEVICE
        twin = twins.setdefault(name, twins.get(name) or Twin.load(name))
        verdict = twin.compare(
            item.circuit, item.counts, shots=shots, seed=seed or 0, engine=engine
        )
        results.append((item.name, twin.name, verdict))
    if as_json:
        verdicts = [{"name": n, "device": d, **json.loads(v.to_json())} for n, d, v in results]
        _print_json({"runs": verdicts})
        return
    if len(results) == 1:
        _console().print(str(results[0][2]), markup=False, highlight=False)
        return
    names = [skill.baseline for skill in results[0][2].skills]
    rows = [_verdict_row(n, v, names) for n, _, v in results]
    _table(
        f"Twin of {', '.join(dict.fromkeys(d for _, d, _ in results))} against measured counts "
        f"(total variation distance)",
        ["circuit", "twin", "shot floor", *names, "explained"],
        [*rows, _geometric_means(rows)],
    )


@app.command()
def explain(
    circuit: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 file.")],
    device: DeviceOption = DEFAULT_DEVICE,
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
    from qdt_emu.twin import Twin

    _check_folders(picture)
    twin = Twin.load(device)
    with _busy("Attributing", quiet=as_json):
        found = twin.explain(Path(circuit), figure, options=_options(layout, decoupling))
    if picture:
        from qdt_emu.report import save_figure

        save_figure(found.plot(), picture)
    if as_json:
        _print_json(found.to_dict())
        return
    title = f"{found.figure}: {found.ideal:.4f} ideal, {found.noisy:.4f} on {twin.name}"
    loss = found.noisy - found.ideal
    rows = [
        [name, f"{x:+.5f}", f"{x / loss:.1%}" if loss else ""]
        for name, x in found.by_mechanism.items()
    ]
    _table(title, ["mechanism", "contribution", "share"], rows)
    places = [
        [", ".join(map(str, p)), f"{x:+.5f}", f"{x / loss:.1%}" if loss else ""]
        for p, x in list(found.by_place.items())[:10]
    ]
    _table("Ten costliest places", ["qubits", "contribution", "share"], places)


@app.command()
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
        _print_json({"benchmarks": rows})
        return
    heads = list(dict.fromkeys(key for row in rows for key in row))
    _table("Benchmarks", heads, [[_text(row.get(h, "")) for h in heads] for row in rows])


def _check_folders(*paths: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(
                f"The folder of '{path}' must exist, but '{path.parent}' does not. Make it first."
            )


def _options(layout: str | None, decoupling: str | None) -> Any:
    from qdt_emu.circuit import Options

    places = None
    if layout:
        try:
            places = tuple(int(x) for x in layout.split(","))
        except ValueError:
            raise InputError(f"`--layout` must be like 3,4,5, but is {layout!r}.") from None
    return Options(layout=places, decoupling=decoupling)


def _counts_json(counts: Any) -> dict[str, Any]:
    whole = json.loads(counts.to_json())
    return {
        "counts": dict(counts.counts),
        "shots": counts.shots,
        **{k: v for k, v in whole.items() if k != "counts"},
    }


def _geometric_means(rows: list[list[str]]) -> list[str]:
    from statistics import geometric_mean

    columns = list(zip(*rows, strict=True))[1:-1]
    means = [f"{geometric_mean(map(float, c)):.4f}" if all(c) else "" for c in columns]
    return ["geometric mean", *means, ""]


def _check_row(name: str, check: Any) -> list[str]:
    word = "ok" if check.passed else f"{len(check.unexplained)} unexplained"
    numbers = [len(check.repaired), len(check.explained)]
    values = sum(check.compared.values())
    return [name, str(values), f"{check.max_deviation:.1e}", *map(str, numbers), word]


def _check_json(check: Any) -> dict[str, Any]:
    return {
        "device": check.device,
        "max_deviation": check.max_deviation,
        "passed": check.passed,
        "compared": check.compared,
        "largest": check.largest,
        "repaired": len(check.repaired),
        "unexplained": [
            {"quantity": d.quantity, "place": d.place, "published": d.published, "twin": d.twin}
            for d in check.unexplained
        ],
    }


def _note_json(note: Any) -> dict[str, Any]:
    numbers = {"old": _num(note.old), "new": _num(note.new)}
    return {"case": note.case, "where": note.where, **numbers, "reason": note.reason}


def _num(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return value if value is None or abs(value) != float("inf") else "inf"


def _facts(twin: Any) -> dict[str, Any]:
    device = twin.device
    return {
        "device": twin.name,
        "qubits": twin.n_qubits,
        "couplers": len(device.couplers),
        "snapshot_time": device.snapshot_time,
        "native_gates": sorted(device.native_gates),
        "calibration_id": device.calibration_id,
        "device_id": device.id,
        "dt": device.dt,
    }


def _quantiles(twin: Any, np: Any) -> list[list[str]]:
    p, device = twin.device.parameters, twin.device
    columns = {
        "T1 (us)": np.asarray(p.t1) * 1e6,
        "T2 echo (us)": np.asarray(p.t2) * 1e6,
        "P(1|0)": np.asarray(p.assignment)[:, 0],
        "P(0|1)": np.asarray(p.assignment)[:, 1],
        "|ZZ| (kHz)": np.abs(np.asarray(p.zz)) / 1e3,
    }
    for name in sorted(device.native_gates):
        r = [i.infidelity for i in device.instructions if i.name == name and i.duration > 0]
        if r:
            columns[f"{name} infidelity"] = np.array(r)
    return [
        [name, *(f"{x:.4g}" for x in np.nanquantile(values, [0.5, 0.1, 0.9]))]
        for name, values in columns.items()
        if len(values)
    ]


def _verdict_row(name: str, verdict: Any, baselines: list[str]) -> list[str]:
    by = {skill.baseline: f"{skill.distance:.4f}" for skill in verdict.skills}
    explained = "" if verdict.explained is None else f"{verdict.explained:.0%}"
    head = [name, f"{verdict.distance:.4f}", f"{verdict.floor:.4f}"]
    return [*head, *(by.get(b, "") for b in baselines), explained]


def _short(name: str) -> str:
    return Path(name).stem.replace("props_", "fake_")


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _show_counts(counts: Any, twin: Any) -> None:
    shots = counts.shots
    rows = [
        [key, str(n), f"{n / shots:.4f} ± {(n / shots * (1 - n / shots) / shots) ** 0.5:.4f}"]
        for key, n in counts.top(12)
    ]
    title = f"{counts.provenance.circuit_name} on {twin.name}, {shots} shots"
    _table(title, ["outcome", "counts", "frequency"], rows)
    if len(counts.counts) > 12:
        _say(f"... and {len(counts.counts) - 12} more outcomes.")
    report = counts.report
    _say(
        f"engine {report.engine} ({report.reason}); {report.seconds:.3g} s; seed "
        f"{counts.provenance.seed}"
    )
    _notes(report.notes)


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes[:6]:
        _say(f"note: {note}")
    if len(notes) > 6:
        _say(f"note: {len(notes) - 6} more in the report (--json).")


def _table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    table = Table(title=_plain(title), title_justify="left")
    for head in heads:
        table.add_column(_plain(head), overflow="fold")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    _console().print(table)


def _say(text: str) -> None:
    _console().print(_plain(text), highlight=False, soft_wrap=True)


def _console() -> Any:
    """A terminal's own width; 120 columns in a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def _plain(text: str) -> str:
    """Square brackets are text here, not markup."""
    from rich.markup import escape

    return escape(text)


def _busy(text: str, *, quiet: bool) -> Any:
    from contextlib import nullcontext

    from rich.console import Console

    console = Console(stderr=True)
    return nullcontext() if quiet or not console.is_terminal else console.status(_plain(text))


def _progress(items: Sequence[Any], text: str, *, quiet: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    return items if quiet else track(items, text, console=Console(stderr=True), transient=True)


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, allow_nan=False, default=str))  # noqa: T201


if __name__ == "__main__":
    main()
