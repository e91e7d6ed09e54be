"""ibm_cairo, 2022: repetition codes on every line of five qubits, learned from four of six jobs."""

from collections.abc import Sequence

from qdt_emu.learning.model import Width
from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, Learned, Learner, circuit_tasks
from qdt_emu.twin import Twin
from qdt_emu.validation.public_data import sessions

DATASET = "ibm_repetition_code_2022"
TRAINING = 4  # the first four jobs
WIDTHS = {"offset": Width(10e3)}


def cases() -> Sequence[Case]:
    """Return the circuits of the two held-out jobs."""
    jobs = sorted(sessions(DATASET), key=lambda s: s.date)
    return tuple(
        Case(f"job {k + 1}, {run.name}", job, run)
        for k, job in enumerate(jobs)
        if k >= TRAINING
        for run in job.runs
    )


def learner() -> Learner:
    """Return the twin learned from the training jobs, on the properties file of the first.

    The properties were stored weeks after the jobs, and idles of 12 us turn a qubit by a radian
    for every 14 kHz: frequencies are given more room than usual.
    """
    jobs = sorted(sessions(DATASET), key=lambda s: s.date)[:TRAINING]
    seen = [(run.circuit, run.counts) for job in jobs for run in job.runs]
    posterior = Twin.load(jobs[0].calibration).fit(seen, widths=WIDTHS, progress=True).posterior
    if posterior is None:
        raise ValueError("A fit has no posterior.")
    note = f"learned from {len(seen)} circuits of jobs 1 to {TRAINING}"
    learned = Learned(posterior.device, note=note)
    return lambda _: learned


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("repetition_code", cases, learn=learner))


BOARD = Board(
    name="repetition_code",
    title="Distance-3 repetition codes with and without decoupling, ibm_cairo, April 2022",
    rules=(
        "Learned on jobs 1 to 4, scored on the 57 circuits of each of jobs 5 and 6, 15 days later."
    ),
    tasks=tasks,
    bars="geometric mean of TVD(learned) / TVD(Aer) at most 0.5",
)
