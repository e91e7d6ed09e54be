"""`qdt layers`: layer fidelities of whole chips, measured against predicted."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import busy, finite, print_json, say, table
from qdt_emu.cli.options import JsonOption, check_folders


def layers(
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw measured against predicted.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the error per layered gate of every device with a measured one.

    One crosstalk factor per kind of coupler is fitted on eight named devices; all others test it.
    """
    from qdt_emu.learning.layers import predict_layers

    check_folders(figure)
    calibrations, note = _calibrations(quiet=as_json)
    found = sorted(
        predict_layers(calibrations), key=lambda p: (p.benchmark.couplers, p.benchmark.eplg)
    )
    scores = _scores(found)
    if figure:
        from qdt_emu.report import save_figure

        save_figure(_draw(found), figure)
    if as_json:
        devices = {p.benchmark.device: _json(p) for p in found}
        drawn = str(figure) if figure else None
        print_json(finite({"devices": devices, **scores, "note": note, "figure": drawn}))
        return
    heads = ["device", "role", "couplers", "N", "measured", "predicted", "68 % band", "ln ratio"]
    table(
        "Error per layered gate (EPLG, in 1e-3) of chains of N qubits",
        [*heads, "product", "ln ratio"],
        [_row(p) for p in found],
    )
    for line in _sentences(scores):
        say(line)
    say(note)
    if figure:
        say(f"written: {figure}")


def _calibrations(*, quiet: bool) -> tuple[dict[str, Any], str]:
    """Return calibrations with layer fidelities, and what to know about the choice."""
    from qdt_emu.calibrations.read import installed
    from qdt_emu.scoreboard.layers import SYNTHETIC, measured_calibrations

    with busy("Reading calibrations", quiet=quiet):
        out = measured_calibrations()
    if names := installed():
        left_out = "; ".join(f"{k} ({why})" for k, why in SYNTHETIC.items() if k in names)
        return out, f"Left out as not measured: {left_out or 'none'}."
    return out, (
        "qiskit-ibm-runtime is not installed: only the bundled snapshots are shown, and the "
        "factors are fitted on those of them that are named for it. `pip install qdt-emu[ibm]` "
        "adds its snapshots."
    )


def _known(found: list[Any], *, fitted: bool) -> list[Any]:
    return [p for p in found if p.fitted == fitted and math.isfinite(p.eplg)]


def _scores(found: list[Any]) -> dict[str, Any]:
    """Return medians of |ln(predicted / measured)|, how often bands hold, and fitted factors."""
    from statistics import median

    from qdt_emu.learning.layers import fit_crosstalk
    from qdt_emu.validation.coverage import wilson

    medians: dict[str, float | None] = {}
    for name, fitted in (("test", False), ("fitted", True)):
        rows = _known(found, fitted=fitted)
        logs = [abs(p.log_ratio) for p in rows]
        products = [abs(math.log(p.product / p.benchmark.eplg)) for p in rows]
        medians[name] = median(logs) if logs else None
        medians[f"{name}_product"] = median(products) if products else None
    rows = _known(found, fitted=False)
    inside = sum(p.low <= p.benchmark.eplg <= p.high for p in rows)
    band = {
        "inside": inside,
        "of": len(rows),
        "wilson": wilson(inside, len(rows)) if rows else None,
    }
    factors = {}
    for kind in dict.fromkeys(p.benchmark.couplers for p in found):
        fit = fit_crosstalk(p.benchmark for p in found if p.fitted and p.benchmark.couplers == kind)
        factors[kind] = {"factor": fit.factor, "spread": fit.spread, "devices": list(fit.devices)}
    return {"median_abs_log": medians, "band_68": band, "crosstalk": factors}


def _json(p: Any) -> dict[str, Any]:
    b = p.benchmark
    return {
        "eplg_measured": b.eplg,
        "eplg_predicted": p.eplg,
        "low": p.low,
        "high": p.high,
        "product": p.product,
        "log_ratio": p.log_ratio,
        "fitted": p.fitted,
        "qubits": b.qubits,
        "couplers": b.couplers,
        "family": b.family,
        "layer_fidelity": b.layer_fidelity,
        "gates_without_error": b.losses.imputed if b.losses else None,
    }


def _row(p: Any) -> list[str]:
    b = p.benchmark
    head = [b.device, "fitted" if p.fitted else "test", b.couplers, str(b.qubits)]
    head.append(f"{1e3 * b.eplg:.2f}")
    if not math.isfinite(p.eplg):
        return [*head, "-", "no gate errors", "", "", ""]
    band = f"{1e3 * p.low:.2f}..{1e3 * p.high:.2f}"
    numbers = [f"{1e3 * p.eplg:.2f}", band, f"{p.log_ratio:+.2f}", f"{1e3 * p.product:.2f}"]
    return [*head, *numbers, f"{math.log(p.product / b.eplg):+.2f}"]


def _sentences(scores: dict[str, Any]) -> list[str]:
    medians, band = scores["median_abs_log"], scores["band_68"]
    out = []
    if medians["test"] is not None:
        out.append(
            f"Test devices: median |ln(predicted / measured)| {medians['test']:.2f}; of the "
            f"product of published gate errors {medians['test_product']:.2f}. The 68 % band holds "
            f"{band['inside']} of {band['of']}."
        )
    if medians["fitted"] is not None:
        out.append(
            f"Fitted devices: median {medians['fitted']:.2f}; product "
            f"{medians['fitted_product']:.2f}."
        )
    for kind, fit in scores["crosstalk"].items():
        out.append(
            f"{kind} couplers: in a full layer gate errors are {fit['factor']:.2f} times as large "
            f"as published (fitted on {', '.join(fit['devices'])})."
        )
    return out


def _draw(found: list[Any]) -> Any:
    from qdt_emu.validation.agreement_plot import Point, agreement

    points = [
        Point(
            p.benchmark.device.removeprefix("ibm_"),
            *(p.benchmark.eplg, p.eplg, p.low, p.high),
            group=f"{p.benchmark.couplers} couplers",
            hollow=p.fitted,
            rival=p.product,
        )
        for p in found
        if math.isfinite(p.eplg)
    ]
    return agreement(
        points,
        quantity="error per layered gate",
        title="Layer fidelity of whole chips, from isolated gate errors",
        rival="product of published gate errors",
        log=True,
    )
