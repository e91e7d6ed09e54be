"""ibm_cairo, 2022: repetition codes on lines of five qubits, learned from four of six jobs."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdt_emu.learning.model import Width
from qdt_emu.learning.prior import DEFAULT
from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, Learned, Learner, circuit_tasks
from qdt_emu.twin import Twin
from qdt_emu.validation.public_data import Session, sessions

DATASET = "ibm_repetition_code_2022"
FIRST = (1, 3, 4)  # jobs learned from on the first day,
NEWER = (5,)  # and fifteen days later
HELD = (2, 6)  # the second job of each day
# Half of the jobs idle without echoes; frequencies of neighbours nearly collide.
LEARN = (*DEFAULT, "slow_dephasing", "spectator_flips")
WIDTHS: Mapping[str, Width] = {
    "t1": Width(0.5, 0.3),
    "dephasing": Width(0.7, 0.5),
    "assignment": Width(0.6, 0.3),
    "offset": Width(20e3),
    "zz": Width(25e3),
    "stark": Width(80e3),
    "over_rotation_1q": Width(0.02),
    "over_rotation_2q": Width(0.06),
    "phase_2q": Width(0.08),
}
"""Prior widths of a calibration that was stored weeks after the jobs: about twice the usual ones,
and ten times for frequencies, which an idle of 12 us turns into a radian for every 14 kHz."""


def jobs() -> list[Session]:
    """Return the six jobs by date."""
    return sorted(sessions(DATASET), key=lambda s: s.date)


def seen(numbers: Sequence[int]) -> list[tuple[object, Mapping[str, int]]]:
    """Return circuits and counts of some jobs, counted from 1."""
    every = jobs()
    return [(run.circuit, run.counts) for k in numbers for run in every[k - 1].runs]


def hours(first: int, second: int) -> float:
    """Return the time between two jobs."""
    every = jobs()
    passed = np.datetime64(every[second - 1].date) - np.datetime64(every[first - 1].date)
    return float(passed / np.timedelta64(1, "h"))


def fitted(numbers: Sequence[int]) -> Twin:
    """Return the twin of the first job's calibration that has learned from some jobs."""
    twin = Twin.load(jobs()[0].calibration)
    return twin.fit(seen(numbers), learn=LEARN, widths=WIDTHS, progress=True)


def cases(numbers: Sequence[int]) -> Sequence[Case]:
    """Return the circuits of some jobs."""
    every = jobs()
    return tuple(
        Case(f"job {k}, {run.name}", every[k - 1], run)
        for k in numbers
        for run in every[k - 1].runs
    )


def learner() -> Learner:
    """Return the twin learned on the first day for its job, and the one that followed for later."""
    first = fitted(FIRST)
    later = first.follow(seen(NEWER), hours=hours(FIRST[-1], NEWER[0]), progress=True)
    learned = {
        HELD[0]: expected(first, f"learned from jobs {_listed(FIRST)}"),
        HELD[1]: expected(later, f"learned from jobs {_listed(FIRST)}, then {_listed(NEWER)}"),
    }
    return lambda case: learned[int(case.name.split(",")[0].removeprefix("job "))]


def expected(twin: Twin, note: str) -> Learned:
    """Return what a learned twin expects, what it missed on like circuits included."""

    def distribution(circuit: object) -> Mapping[str, float]:
        return twin.predict(circuit, draws=1).keyed()

    return Learned(twin.device, note=note, distribution=distribution)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("repetition_code", lambda: cases(HELD), learn=learner))


BOARD = Board(
    name="repetition_code",
    title="Distance-3 repetition codes with and without decoupling, ibm_cairo, April 2022",
    rules=(
        "Scored on the 57 circuits of the second job of each day, 2 and 6. Job 2 is predicted by "
        "the twin learned on jobs 1, 3 and 4 of the same two hours, job 6 by that twin after it "
        "has followed the processor with job 5, 15 days later. What was missed on circuits that "
        "differ in delays and echoes alone is remembered. The properties file is weeks younger "
        "than all of them."
    ),
    tasks=tasks,
    bars="geometric mean of TVD(learned) / TVD(Aer) at most 0.5",
)
