"""`qdt devices`, `qdt inspect` and `qdt import`: what is known about processors."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import json_number, print_json, say, table
from qdt_emu.cli.options import JsonOption, check_folders
from qdt_emu.errors import InputError


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
        print_json({"bundled": rows, "installed": more})
        return
    table(
        "Bundled calibrations",
        ["name", "qubits", "calibrated", "family", "native gates"],
        [
            [*(str(r[k]) for k in ("name", "qubits", "snapshot_time", "family")), gates]
            for r in rows
            for gates in [" ".join(r["native_gates"])]
        ],
    )
    if more:
        say(f"From the installed qiskit-ibm-runtime, as `{more[0]}`: {len(more)} more.")


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

    check_folders(picture)
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
        repaired = [note_json(n) for n in twin.device.notes]
        summary = [{"status": s, "reason": r, "fields": k} for s, r, k in fields]
        print_json({**facts, "repaired": repaired, "ledger": summary})
        return
    table(f"{twin.name}", ["quantity", "median", "10 %", "90 %"], _quantiles(twin, np))
    rows = [
        [c, str(k), next(n.reason for n in twin.device.notes if n.case == c)]
        for c, k in cases.items()
    ]
    table("Repaired or left out", ["case", "values", "for example"], rows)
    if ledger:
        table(
            "Ledger of the file's fields",
            ["status", "fields", "reason"],
            [[s, str(k), r] for s, r, k in fields],
        )
    if picture:
        say(f"written: {picture}")


def import_(
    file: Annotated[str, typer.Argument(help="IBM properties JSON or CSV export.")],
    out: Annotated[Path, typer.Option("--out", help="NetCDF file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Read a vendor's calibration file, check it, and store it in canonical form."""
    from qdt_emu.calibrations import read_calibration

    check_folders(out)
    if out.suffix != ".nc":
        raise InputError(f"`--out` must end in '.nc', but is '{out}'.")
    calibration = read_calibration(file)
    calibration.to_netcdf(out)
    summary = [{"status": s, "reason": r, "fields": k} for s, r, k in calibration.ledger.summary()]
    if as_json:
        facts = {"device": calibration.name, "qubits": calibration.n_qubits, "id": calibration.id}
        print_json({**facts, "out": str(out), "ledger": summary})
        return
    table(
        f"{calibration!r}",
        ["status", "fields", "reason"],
        [[status, str(fields), reason] for status, reason, fields in calibration.ledger.summary()],
    )
    say(f"written: {out}")


def note_json(note: Any) -> dict[str, Any]:
    """Return a repair as JSON-able values."""
    numbers = {"old": json_number(note.old), "new": json_number(note.new)}
    return {"case": note.case, "where": note.where, **numbers, "reason": note.reason}


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
