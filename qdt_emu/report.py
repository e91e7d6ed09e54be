"""Pictures and the HTML page of a run: the result, where it ran, and what was repaired."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qdt_emu.circuit import Compiled, Options, read_circuit
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import InputError, QdtError
from qdt_emu.result import Counts
from qdt_emu.result.device_map import device_map
from qdt_emu.result.html import render
from qdt_emu.result.storage import write_file
from qdt_emu.result.timeline import timeline
from qdt_emu.twin import Twin


def error_map(twin: Twin, highlight: tuple[int, ...] = ()) -> Figure:
    """Return a map of the processor: mean readout error and two-qubit gate infidelity."""
    device = twin.device
    infidelity = gate_infidelity(device)
    couplers = {
        i.qubits: float(r)
        for i, r in zip(device.instructions, infidelity, strict=True)
        if len(i.qubits) == 2
    }
    readout = np.asarray(device.parameters.assignment).mean(axis=1)
    places = device.positions
    return device_map(
        device.couplers,
        qubits={q: float(r) for q, r in enumerate(readout)},
        couplers=couplers,
        coordinates=None if places is None else {q: (x, y) for q, (x, y) in enumerate(places)},
        highlight=highlight,
        title=f"{twin.name}, calibrated {device.snapshot_time}",
        qubit_label="readout error",
        coupler_label="two-qubit gate infidelity",
    )


def write_report(
    path: Path, twin: Twin, circuit: Any, counts: Counts, options: Options | None = None
) -> None:
    """Write a self-contained HTML page about a run, complete or not at all."""
    compiled = twin.compile(circuit, options=options)
    used = compiled.structure.qubits
    figures = [
        ("Qubits used", error_map(twin, used)),
        ("Schedule", timeline(compiled.structure, title="")),
    ]
    tables: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]] = {}
    try:
        found = twin.explain(circuit, _main_outcome(counts), options=options)
        figures.append(("Where the error comes from", found.plot()))
        parts = found.by_mechanism.items()
        rows: list[tuple[str, ...]] = [(name, f"{x:+.5f}") for name, x in parts]
        tables[f"{found.figure}: {found.ideal:.4f} ideal, {found.noisy:.4f} on the twin"] = (
            ("mechanism", "contribution"),
            rows,
        )
    except QdtError as reason:
        tables["Where the error comes from"] = (("not available",), [(str(reason),)])
    device = twin.device
    facts = {
        "device": twin.name,
        "calibrated": device.snapshot_time,
        "qubits": f"{len(used)} of {twin.n_qubits}: {', '.join(map(str, used))}",
        "schedule": f"{compiled.structure.duration * 1e6:.2f} us",
        "gates": _gates(compiled),
        "repaired values of the calibration": len(device.notes),
    }
    text = str(read_circuit(circuit).draw("text", fold=120, idle_wires=False))
    write_file(
        path,
        render(counts, circuit_text=text, device_facts=facts, figures=figures, tables=tables),
    )


def _gates(compiled: Compiled) -> str:
    """Return what runs, decoupling pulses included, most frequent first."""
    names = Counter(s.name for step in compiled.steps for s in step.all())
    shown = [(k, v) for k, v in names.most_common() if k not in ("barrier", "delay", "branch")]
    return ", ".join(f"{k} {v}" for k, v in shown)


def _main_outcome(counts: Counts) -> str:
    return counts.top(1)[0][0]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture, complete or not at all; the ending gives the format.

    Raises:
        InputError: An ending matplotlib does not know.
    """
    known = figure.canvas.get_supported_filetypes()
    kind = path.suffix.lower().removeprefix(".")
    if kind not in known:
        raise InputError(f"A picture must end in .png, .svg or .pdf, but is '{path}'.")
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format=kind, dpi=150, bbox_inches="tight")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
