"""ibm_fez, 2026: 66 qubits and 403 CZ gates, calibrated 19 minutes before; nothing is learned."""

from collections.abc import Sequence

from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, circuit_tasks
from qdt_emu.validation.public_data import sessions

DATASET = "ibm_same_day_2026"


def cases() -> Sequence[Case]:
    """Return the circuit."""
    return tuple(Case(run.name, s, run) for s in sessions(DATASET) for run in s.runs)


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("same_day", cases))


BOARD = Board(
    name="same_day",
    title="66 qubits, 403 CZ, depth 445, 10 of them measured, ibm_fez, 2026-01-13",
    rules="Calibration only, 19 minutes older than the job; nothing is learned.",
    tasks=tasks,
    bars="linear correlation and TVD of the 10-bit distribution beat every baseline",
)
