"""`qdt compare` and `qdt freeze`: the twin against measured counts, also sight unseen."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import console, print_json, progress, say, table
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
from qdt_emu.errors import InputError, QdtError


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
    against: Annotated[
        str | None,
        typer.Option("--against", help="A second twin: is it better or worse than the first?"),
    ] = None,
    frozen: Annotated[
        Path | None,
        typer.Option("--frozen", help="Score predictions of `qdt freeze` instead of a twin."),
    ] = None,
    posterior: PosteriorOption = None,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    shots: Annotated[
        int | None,
        typer.Option("--shots", help="Twin shots; default: 10 times the measured ones."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the twin with measured counts, and with every trivial prediction."""
    from qdt_emu.validation.runs import read_runs

    if frozen and (device or against or posterior):
        raise InputError(
            "`--frozen` has its own twin: leave out `--device`, `--against` and `--posterior`."
        )
    if posterior and against:
        raise InputError(
            "`--posterior` is compared with its own calibration: leave out `--against`."
        )
    runs = read_runs(source, measured)
    numbers: dict[str, Any] = {"seed": seed or 0, "engine": engine}
    if frozen:
        results, about = _thawed(runs, frozen, quiet=as_json, **numbers)
    else:
        results, about = _judged(runs, device, "comparing", quiet=as_json, shots=shots, **numbers)
    second: list[Result] = []
    if posterior:
        numbers["posterior"] = posterior
    if posterior or against:
        name = against or device
        second, _ = _judged(runs, name, "comparing", quiet=as_json, shots=shots, **numbers)
    if as_json:
        print_json(_json(results, second, seed or 0) | {"repeatability": _repeatability(runs)})
    else:
        _show(second if posterior else results, about)
        if steady := _repeatability(runs):
            say(steady["sentence"])
        if second:
            names = ("calibration", "learned") if posterior else (results[0][1], second[0][1])
            say(f"{names[0]} -> {names[1]}: {_change(results, second, seed or 0)}")


def freeze(
    circuits: Annotated[list[str], typer.Argument(help="OpenQASM 2 or 3 files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, never overwritten.")],
    device: DeviceOption = DEFAULT_DEVICE,
    posterior: PosteriorOption = None,
    shots: Annotated[int, typer.Option("--shots", "-n", help="Shots of each prediction.")] = 100000,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fix predictions before the processor runs, with a hash that proves it later."""
    from qdt_emu.validation.frozen import Prediction
    from qdt_emu.validation.frozen import freeze as write

    check_folders(out)
    if out.exists():
        raise InputError(f"'{out}' exists, and frozen predictions are never overwritten.")
    twin, options = load_twin(device, posterior), circuit_options(layout, decoupling)
    found = []
    for path in progress([Path(c) for c in circuits], "predicting", quiet=as_json):
        counts = twin.run(path, shots=shots, seed=seed or 0, engine=engine, options=options)
        identity = twin.device.id
        found.append(
            Prediction(path.stem, path.read_text(), identity, twin.name, counts=counts.counts)
        )
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    frozen = write(found, out, created=now)
    if as_json:
        names = [p.name for p in frozen.predictions]
        facts = {"created": now, "predictions": names, "twin": twin.device.id}
        print_json({"out": str(out), "sha256": frozen.sha256, **facts})
        return
    say(f"written: {out}")
    say(f"SHA-256 {frozen.sha256}")
    say(f"Publish or note this hash; `qdt compare RUNS --frozen {out}` checks and scores it.")


Result = tuple[str, str, Any]  # name of the circuit, of the twin, verdict


def _judged(
    runs: Sequence[Any],
    device: str | None,
    text: str,
    *,
    shots: int | None,
    seed: int,
    engine: str,
    quiet: bool,
    posterior: Path | None = None,
) -> tuple[list[Result], str]:
    """Return the verdicts on runs, each with the twin named or that of its own device."""
    twins: dict[str, Any] = {}
    out: list[Result] = []
    for item in progress(runs, text, quiet=quiet or len(runs) == 1):
        name = device or item.device or DEFAULT_DEVICE
        if name not in twins:
            twins[name] = load_twin(name, posterior)
        twin = twins[name]
        verdict = twin.compare(item.circuit, item.counts, shots=shots, seed=seed, engine=engine)
        out.append((item.name, twin.name, verdict))
    return out, f"Twin of {', '.join(dict.fromkeys(d for _, d, _ in out))}"


def _thawed(
    runs: Sequence[Any], path: Path, *, seed: int, engine: str, quiet: bool
) -> tuple[list[Result], str]:
    """Return the verdicts on frozen predictions."""
    from qdt_emu.validation import compare as judge
    from qdt_emu.validation.frozen import thaw

    frozen = thaw(path)
    out: list[Result] = []
    for item in progress(runs, "comparing", quiet=quiet or len(runs) == 1):
        prediction = frozen.find(item.name, item.circuit)
        if prediction is None or not prediction.counts:
            raise InputError(
                f"'{path}' must hold predicted counts of run '{item.name}', but has none. It "
                f"holds: {', '.join(p.name for p in frozen.predictions)}."
            )
        ideal = _ideal(item.circuit, sum(prediction.counts.values()), seed, engine)
        verdict = judge(dict(prediction.counts), item.counts, ideal=ideal, seed=seed)
        out.append((item.name, prediction.device, verdict))
    return out, f"Predictions frozen {frozen.created} (SHA-256 {frozen.sha256[:12]}, unchanged)"


def _ideal(circuit: str, shots: int, seed: int, engine: str) -> Any:
    """Return counts of a circuit without noise, or None where no engine can make them."""
    from qdt_emu.circuit import read_circuit
    from qdt_emu.twin import Twin

    read = read_circuit(circuit)
    try:
        return Twin.ideal(read.num_qubits).run(read, shots=shots, seed=seed, engine=engine)
    except QdtError:
        return None


def _change(first: list[Result], second: list[Result], seed: int) -> Any:
    from qdt_emu.validation.change import change

    names = [name for name, _, _ in first]
    return change(names, [v for *_, v in first], [v for *_, v in second], seed=seed)


def _repeatability(runs: Sequence[Any]) -> dict[str, Any] | None:
    """Return how well the processor repeats circuits that are in the file more than once."""
    from statistics import fmean

    from qdt_emu.validation.repeatability import overdispersion, repeat_distance

    groups: dict[tuple[str, str], list[Any]] = {}
    for item in runs:
        groups.setdefault((item.device, item.circuit), []).append(item.counts)
    repeated = [counts for counts in groups.values() if len(counts) > 1]
    if not repeated:
        return None
    distance = fmean(repeat_distance(counts) for counts in repeated)
    try:
        found = overdispersion(repeated)
    except InputError:  # every circuit has one outcome, or too few shots
        return {
            "distance": distance,
            "sentence": f"The processor's repeats are {distance:.4f} apart.",
        }
    return {
        "distance": distance,
        "overdispersion": found.phi,
        "p_value": found.p_value,
        "sentence": (
            f"The processor's own repeats of {len(repeated)} circuits are {distance:.4f} apart, "
            f"with {found.phi:.2f} times the variance of shot noise (p = {found.p_value:.2g})."
        ),
    }


def _json(first: list[Result], second: list[Result], seed: int) -> dict[str, Any]:
    def rows(results: list[Result]) -> list[dict[str, Any]]:
        return [{"name": n, "device": d, **json.loads(v.to_json())} for n, d, v in results]

    survey = _survey(first)
    found = {
        "runs": rows(first),
        "survey": {"sentence": survey.sentence, "off": survey.off, "q_values": survey.q_values},
    }
    if second:
        found["against"] = rows(second)
        found["change"] = json.loads(_change(first, second, seed).to_json())
    return found


def _survey(results: list[Result]) -> Any:
    from qdt_emu.validation.significance import survey

    return survey([name for name, _, _ in results], [v for *_, v in results])


def _show(results: list[Result], about: str) -> None:
    if len(results) == 1:
        say(about)
        console().print(str(results[0][2]), markup=False, highlight=False)
        return
    found = _survey(results)
    names = [skill.baseline for skill in results[0][2].skills]
    rows = [
        _verdict_row(n, v, names, off=q <= found.fdr)
        for (n, _, v), q in zip(results, found.q_values, strict=True)
    ]
    table(
        f"{about} against measured counts (total variation distance)",
        ["circuit", "twin", "shot floor", *names, "explained", "off"],
        [*rows, _geometric_means(rows)],
    )
    say(found.sentence)


def _geometric_means(rows: list[list[str]]) -> list[str]:
    from statistics import geometric_mean

    columns = list(zip(*rows, strict=True))[1:-2]
    means = [
        f"{geometric_mean(max(float(x), 1e-12) for x in c):.4f}" if all(c) else "" for c in columns
    ]
    return ["geometric mean", *means, "", ""]


def _verdict_row(name: str, verdict: Any, baselines: list[str], *, off: bool) -> list[str]:
    by = {skill.baseline: f"{skill.distance:.4f}" for skill in verdict.skills}
    explained = "" if verdict.explained is None else f"{verdict.explained:.0%}"
    head = [name, f"{verdict.distance:.4f}", f"{verdict.floor:.4f}"]
    return [*head, *(by.get(b, "") for b in baselines), explained, "x" if off else ""]
