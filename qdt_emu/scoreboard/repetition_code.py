"""ibm_cairo, 2022: repetition codes on every line of five qubits, learned from four of six jobs."""

from collections.abc import Sequence

from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, circuit_tasks
from qdt_emu.validation.public_data import sessions

DATASET = "ibm_repetition_code_2022"
TRAINING = 4  # the first four jobs


def cases() -> Sequence[Case]:
    """Return the circuits of the two held-out jobs."""
    jobs = sorted(sessions(DATASET), key=lambda s: s.date)
    return tuple(
        Case(f"job {k + 1}, {run.name}", job, run)
        for k, job in enumerate(jobs)
        if k >= TRAINING
        for run in job.runs
    )


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("repetition_code", cases))


BOARD = Board(
    name="repetition_code",
    title="Distance-3 repetition codes with and without decoupling, ibm_cairo, April 2022",
    rules=(
        "Learned on jobs 1 to 4, scored on the 57 circuits of each of jobs 5 and 6, 15 days later."
    ),
    tasks=tasks,
    bars="geometric mean of TVD(learned) / TVD(Aer) at most 0.5",
)
