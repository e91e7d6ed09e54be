"""127 qubits, 2023: how Z decays at the Clifford point, at depths and noise gains not learned."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import read_calibration
from qdt_emu.device import build
from qdt_emu.learning import kicked_ising as model
from qdt_emu.learning.pauli_design import Experiment, design
from qdt_emu.scoreboard.board import CALIBRATION, LEARNED, Board, Mark, Row, Task
from qdt_emu.validation.public_data import KickedIsing, kicked_ising
from qdt_emu.validation.value import Value

NAME = "kicked_ising"
SNAPSHOT = "ibm_kyiv"
TRAINING = (4, 8, 16)  # depths at gain 1
DECAYS = "qubit decays"
RMS = "rms deviation of <Z_q>"
MEAN = "mean <Z_q>"

Floats = NDArray[np.float64]
Predict = Callable[[int, float], Floats]


def tasks() -> list[Task]:
    """Return what can be worked out."""
    data = kicked_ising()

    @cache
    def learned() -> model.Learned:
        return model.learn(data, build(read_calibration(SNAPSHOT)), depths=TRAINING)

    @cache
    def calibrated() -> Predict:
        return _calibrated()

    predictors: dict[str, Callable[[], Predict]] = {
        CALIBRATION: calibrated,
        LEARNED: lambda: learned().predict,
        DECAYS: lambda: _decays(data),
    }
    out = []
    for depth in data.depths.tolist():
        for gain in data.gains.tolist():
            if gain == 1.0 and depth in TRAINING:
                continue
            for name, prepare in predictors.items():
                out.append(
                    Task(NAME, _case(depth, gain), name, _bound(data, depth, gain, name, prepare))
                )
    return out


def _case(depth: int, gain: float) -> str:
    return f"depth {depth}, gain {gain:g}"


def _bound(
    data: KickedIsing, depth: int, gain: float, name: str, prepare: Callable[[], Predict]
) -> Callable[[], Row]:
    def row() -> Row:
        values = data.values[data.depths == depth][0][:, data.gains == gain].ravel()
        found = prepare()(depth, gain)
        rms = float(np.sqrt(np.mean((found - values) ** 2)))
        mean = float(found.mean())
        marks = (
            Mark(MEAN, Value(float(values.mean()), 0.0), mean, mean, mean),
            Mark(RMS, Value(0.0, 0.0), rms, rms, rms),
        )
        return Row(NAME, _case(depth, gain), name, marks=marks, note="127 qubits")

    return row


def _calibrated() -> Predict:
    """Return values of the medians of a snapshot that is two years younger."""
    device = build(read_calibration(SNAPSHOT))
    chip = model.chip(device.couplers)
    rates = model.prior_rates(chip, device)

    def predict(depth: int, gain: float) -> Floats:
        paulis, ones = np.diag(np.full(chip.n_qubits, 3, np.uint8)), np.ones(chip.n_qubits)
        one = Experiment((0, 1, 2) * depth, paulis, ones, ones, gain)
        found = design(chip.cliffords, chip.support, [one])
        return np.asarray(np.exp(-found.meetings @ rates.ravel()))

    return predict


def _decays(data: KickedIsing) -> Predict:
    """Return A exp(-gain gamma depth) of each qubit, from straight lines through ln <Z>."""
    rows = np.isin(data.depths, TRAINING)
    values = data.values[rows][:, :, data.gains == 1.0][:, :, 0]
    slope, offset = np.polyfit(data.depths[rows], np.log(values), 1)
    return lambda depth, gain: np.asarray(np.exp(offset + gain * slope * depth))


BOARD = Board(
    name=NAME,
    title="127-qubit kicked Ising circuit at the Clifford point, 2023",
    rules=(
        "Learned on gain 1 at depths 4, 8 and 16; scored on gain 1 at depths 12 and 20 and on all "
        "depths at gains 1.2 and 1.6. Only medians of the snapshot, two years younger, are used."
    ),
    tasks=tasks,
    figure=RMS,
    bars="rms over 127 qubits at most 0.02, and below that of single-qubit decays",
)
