"""IQM Garnet, 2025: dynamic circuits with up to ten rounds of feed-forward."""

from collections.abc import Sequence

from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, circuit_tasks
from qdt_emu.validation.public_data import sessions

DATASET = "iqm_garnet_dynamic_2025"


def cases() -> Sequence[Case]:
    """Return the fourteen tasks."""
    return tuple(Case(run.name, s, run) for s in sessions(DATASET) for run in s.runs)


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("garnet", cases))


BOARD = Board(
    name="garnet",
    title="14 dynamic circuits with mid-circuit measurement and feed-forward, IQM Garnet, 2025",
    rules="Calibration only, 3.5 hours older than the tasks; nothing is learned.",
    tasks=tasks,
    bars="geometric mean of TVD(ours) / TVD(Aer) at most 0.7",
)
