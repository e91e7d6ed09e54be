"""ibm_cairo, 2022: repetition codes fifteen days after the last counts that were learned from."""

from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Circuits, Learner, circuit_tasks
from qdt_emu.scoreboard.repetition_code import cases, expected, fitted, hours

TRAINING = (1, 2, 3, 4)
HELD = (5, 6)


def learner() -> Learner:
    """Return the twin learned on the first day, as it is expected to have drifted."""
    twin = fitted(TRAINING).later(hours(TRAINING[-1], HELD[0]))
    learned = expected(twin, "learned from jobs 1 to 4, drift of 15 days expected")
    return lambda _: learned


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("repetition_code_later", lambda: cases(HELD), learn=learner))


BOARD = Board(
    name="repetition_code_later",
    title="The same repetition codes, 15 days after the last counts that were learned from",
    rules=(
        "Learned on jobs 1 to 4, scored on the 57 circuits of each of jobs 5 and 6. What was "
        "missed on circuits that differ in delays and echoes alone is remembered."
    ),
    tasks=tasks,
    bars="geometric mean of TVD(learned) / TVD(Aer) at most 0.5",
)
