"""`qdt fit`: what measured counts teach about a processor, and newer counts as it drifts."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import busy, finite, print_json, progress, say, table
from qdt_emu.cli.options import (
    DEFAULT_DEVICE,
    DecouplingOption,
    JsonOption,
    LayoutOption,
    PosteriorOption,
    SeedOption,
    check_folders,
    circuit_options,
    load_twin,
)
from qdt_emu.errors import InputError


def fit(
    runs: Annotated[Path, typer.Argument(help="Runs file: circuits with measured counts.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="NetCDF file for the posterior.")],
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", help="Default: the one the runs file names."),
    ] = None,
    learn: Annotated[
        list[str] | None,
        typer.Option("--learn", help="Kind of parameter, e.g. t1, zz; may be repeated."),
    ] = None,
    posterior: PosteriorOption = None,
    hours: Annotated[
        float | None,
        typer.Option("--hours", help="With --posterior: time between its counts and these."),
    ] = None,
    hold_out: Annotated[
        int, typer.Option("--hold-out", help="Score on every N-th circuit instead of fitting it.")
    ] = 0,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="File to go on from after an interruption.")
    ] = None,
    seed: SeedOption = 0,
    layout: LayoutOption = None,
    decoupling: DecouplingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a processor's parameters from measured counts, with the calibration as prior.

    With --posterior and --hours, newer counts follow what was learned before as the processor
    drifts.
    """
    from qdt_emu.learning.prior import DEFAULT
    from qdt_emu.validation.runs import read_runs

    check_folders(out, checkpoint)
    if out.suffix != ".nc":
        raise InputError(f"`--out` must end in '.nc', but is '{out}'.")
    if (posterior is None) != (hours is None):
        raise InputError(
            "`--posterior` and `--hours` must be given together: what was learned before, and how "
            "long before these counts."
        )
    if posterior and learn:
        raise InputError("`--learn` is as in the `--posterior`: leave it out.")
    every = read_runs(runs)
    names = dict.fromkeys(filter(None, (device, *(r.device for r in every))))
    twin = load_twin(next(iter(names), DEFAULT_DEVICE), posterior)
    held = every[hold_out - 1 :: hold_out] if hold_out > 0 else ()
    if hold_out < 0 or len(held) == len(every):
        raise InputError(
            f"`--hold-out` must leave circuits to learn from, but {hold_out} of {len(every)} "
            f"leaves {len(every) - len(held)}."
        )
    seen = [r for r in every if r not in held]
    options = circuit_options(layout, decoupling)
    start = time.monotonic()
    with busy(f"Learning from {len(seen)} circuits", quiet=as_json or checkpoint is not None):
        data = [(r.circuit, r.counts) for r in seen]
        how: dict[str, Any] = {
            "options": options,
            "progress": checkpoint is not None and not as_json,
            "checkpoint": checkpoint,
        }
        if hours is not None:
            learned = twin.follow(data, hours=hours, **how)
        else:
            learned = twin.fit(data, learn=tuple(learn) if learn else DEFAULT, **how)
    seconds = time.monotonic() - start
    found: Any = learned.posterior
    found.save(out)
    scores = _score(twin, learned, held, seed or 0, options, quiet=as_json) if held else None
    if as_json:
        facts = {"out": str(out), "device": twin.name, "circuits": len(seen), "seconds": seconds}
        print_json(finite({**facts, **_json(found), "held_out": scores}))
        return
    _show(found)
    if scores:
        say(f"On {scores['circuits']} held-out circuits: {scores['sentence']}")
    say(f"written: {out} ({seconds:.3g} s); use it with `--posterior {out}`")


def _score(
    twin: Any, learned: Any, held: Any, seed: int, options: Any, *, quiet: bool
) -> dict[str, Any]:
    """Return whether the learned twin predicts circuits better that nobody learned from."""
    from qdt_emu.validation.change import change

    pairs = [
        [who.compare(r.circuit, r.counts, seed=seed, options=options) for who in (twin, learned)]
        for r in progress(held, "scoring", quiet=quiet)
    ]
    before, after = zip(*pairs, strict=True)
    found = change([r.name for r in held], before, after, seed=seed)
    numbers = {k: getattr(found, k) for k in ("ratio", "ratio_low", "ratio_high", "reduction")}
    return {
        "circuits": len(held),
        "decision": found.decision,
        "sentence": found.sentence,
        **numbers,
        "excess_before": found.excess_before,
        "excess_after": found.excess_after,
    }


def _json(posterior: Any) -> dict[str, Any]:
    return {
        "unknowns": len(posterior.z),
        "determined": posterior.determined,
        "scatter": posterior.scatter,
        "learned": [
            {
                "label": x.label,
                "calibrated": x.calibrated,
                "value": x.value if x.identified else None,
                "low": x.low if x.identified else None,
                "high": x.high if x.identified else None,
                "identified": x.identified,
                "ambiguous": x.ambiguous,
            }
            for x in posterior.learned
        ],
        "fits": [
            {"name": c.name, "before": c.before, "after": c.after, "cells": c.cells}
            for c in posterior.circuits
        ],
    }


def _show(posterior: Any) -> None:
    rows = [
        [c.name, str(c.shots), f"{c.before:.1f}", f"{c.after:.1f}", f"{c.cells:.0f}"]
        for c in posterior.circuits
    ]
    heads = ["circuit", "shots", "calibration", "learned", "shot noise alone"]
    table("Squared residuals in units of shot noise", heads, rows)
    say(posterior.report())
