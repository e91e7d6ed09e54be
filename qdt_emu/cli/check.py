"""`qdt check`: does a twin give back its calibration?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import print_json, progress, say, table
from qdt_emu.cli.devices import note_json
from qdt_emu.cli.options import JsonOption
from qdt_emu.errors import InputError, QdtError


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
    for name in progress(names, "checking", quiet=as_json or len(names) == 1):
        try:
            checks[_short(name)] = Twin.load(name).check()
        except QdtError as reason:
            failed[_short(name)] = str(reason)
    worst = max((c.max_deviation for c in checks.values()), default=0.0)
    passed = not failed and all(c.passed for c in checks.values())
    if as_json:
        print_json(
            {
                "max_deviation": worst,
                "passed": passed,
                "snapshots": {name: _check_json(c) for name, c in checks.items()},
                "repaired": [
                    {"snapshot": name, **note_json(n)}
                    for name, c in checks.items()
                    for n in c.repaired
                ],
                "failed": failed,
            }
        )
    else:
        rows = [_check_row(name, c) for name, c in checks.items()]
        heads = ["snapshot", "values", "largest deviation", "repaired", "shifted by repair", ""]
        table("Published numbers against the compiled twin", heads, rows)
        for name, c in checks.items():
            for d in (*c.unexplained, *(c.explained if len(checks) == 1 else ())):
                say(
                    f"{name}: {d.quantity} of {d.place}: published {d.published:.6g}, twin "
                    f"{d.twin:.6g} ({d.cause or 'no known cause'})"
                )
        for name, message in failed.items():
            say(f"{name}: {message}")
    if not passed:
        raise typer.Exit(1)


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


def _short(name: str) -> str:
    return Path(name).stem.replace("props_", "fake_")
