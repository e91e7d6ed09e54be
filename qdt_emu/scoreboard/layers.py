"""Chains of a hundred qubits: error per layered gate, one factor per kind of coupler learned."""

import math
from collections.abc import Callable
from functools import cache

from qdt_emu.calibrations import Calibration, read, read_calibration
from qdt_emu.learning.layers import LayerPrediction, benchmark, predict_layers
from qdt_emu.scoreboard.board import CALIBRATION, LEARNED, Board, Mark, Row, Task
from qdt_emu.validation.value import Value

NAME = "layers"
FIGURE = "EPLG"
SYNTHETIC = {
    "nighthawk": "its layer fidelities are 0.95^N",
    "fractional": "it is a copy of lima",
}
MARK = b'"lf_'  # of a properties file with measured layer fidelities


def measured_calibrations() -> dict[str, Calibration]:
    """Return installed and bundled calibrations with measured layer fidelities, by device."""
    files = {k: p for k, p in read.installed().items() if k not in SYNTHETIC}
    out: dict[str, Calibration] = {}
    for source in (*(str(p) for p in files.values() if MARK in p.read_bytes()), *read.bundled()):
        calibration = read_calibration(source)
        out.setdefault(calibration.name, calibration)
    return {k: c for k, c in out.items() if benchmark(c) is not None}


def tasks() -> list[Task]:
    """Return what can be worked out."""
    calibrations = measured_calibrations()

    @cache
    def predictions() -> dict[str, LayerPrediction]:
        return {p.benchmark.device: p for p in predict_layers(calibrations)}

    return [
        Task(NAME, device, predictor, _bound(device, predictor, predictions))
        for device in calibrations
        for predictor in (CALIBRATION, LEARNED)
    ]


def _bound(
    device: str, predictor: str, predictions: Callable[[], dict[str, LayerPrediction]]
) -> Callable[[], Row]:
    def row() -> Row:
        p = predictions().get(device)
        if p is None or not math.isfinite(p.eplg):
            note = "the calibration has no gate errors on the chain"
            return Row(NAME, device, predictor, note=note, skipped=True)
        learned = predictor == LEARNED
        edges = (p.eplg, p.low, p.high) if learned else (p.product,) * 3
        found = Mark(FIGURE, Value(p.benchmark.eplg, 0.0), *edges)
        note = "68 % band" if learned else "product of published gate errors"
        held_out = not (learned and p.fitted)
        return Row(NAME, device, predictor, held_out, marks=(found,), note=note)

    return row


BOARD = Board(
    name=NAME,
    title="Error per layered gate of chains of 100 qubits, IBM processors, 2024 to 2025",
    rules=(
        "One crosstalk factor per kind of coupler is fitted on eight named devices; all others are "
        "held out. The calibration alone is the product of its gate errors."
    ),
    tasks=tasks,
    figure=FIGURE,
    log=True,
    bars="median |ln(predicted / measured)| over held-out devices at most 0.20",
)
