"""Four processors, 2021: hexagonal matching codes, scored by parities that ought to be certain."""

from collections.abc import Callable

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.device import Policy
from qdt_emu.scoreboard.board import CALIBRATION, LEVEL, Board, Mark, Row, Task
from qdt_emu.twin import Twin
from qdt_emu.validation.parities import (
    Agreement,
    deterministic_parities,
    measured_agreement,
    predicted_agreement,
)
from qdt_emu.validation.public_data import Session, sessions
from qdt_emu.validation.runs import Run
from qdt_emu.validation.value import Value

DATASET = "ibm_matching_code_2021"
NAME = "matching_code"
FIGURE = "parity agreement"
# Some couplers were not calibrated on the day, but the circuits use them.
POLICY = Policy(uncalibrated="impute")


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return [
        Task(NAME, session.device, CALIBRATION, _bound(session, run))
        for session in sessions(DATASET)
        for run in session.runs
    ]


def _bound(session: Session, run: Run) -> Callable[[], Row]:
    return lambda: calibrated(session, run)


def calibrated(session: Session, run: Run) -> Row:
    """Return the row of the twin of the calibration alone."""
    twin = Twin.load(session.calibration, policy=POLICY)
    noisy: NoisyCircuit = twin.compile(run.circuit).bind()
    parities = deterministic_parities(noisy)
    measured = measured_agreement(parities, run.counts)
    predicted = predicted_agreement(noisy, parities)
    note = (
        f"{len(parities.bits)} parities of {noisy.structure.n_clbits} bits on "
        f"{noisy.structure.n_qubits} qubits, without sampling; Aer has no engine for them"
    )
    return Row(NAME, session.device, CALIBRATION, marks=(mark(measured, predicted),), note=note)


def mark(measured: Agreement, predicted: Agreement) -> Mark:
    """Return the mean agreement; the band is what the engine states about its cuts."""
    value, bound = predicted.mean, float(predicted.bounds.mean())
    seen = Value(measured.mean, measured.mean_stderr)
    return Mark(FIGURE, seen, value, value - bound, value + bound)


BOARD = Board(
    name=NAME,
    title="Hexagonal matching codes of 27 and 65 qubits, four processors, September 2021",
    rules=(
        f"Calibration only, 0.5 to 4 hours older than the jobs. Bands of {LEVEL:.0%} hold the "
        f"engine's own error, which is small; the calibration states no uncertainty."
    ),
    tasks=tasks,
    figure=FIGURE,
    bars="mean parity agreement within 0.03 on 3 of 4 processors",
)
