"""IQM Garnet, 2025: dynamic circuits with up to four rounds of feed-forward.

Learned in two halves: the tasks at even places of the file predict those at odd places, and the
other way round, so that every task is predicted by a twin that never saw its counts. What is
learned is chosen by physics, not by score: how much faster a qubit relaxes while it is read, which
no calibration contains, and what may have drifted in the 3.5 hours since the calibration.
"""

from collections.abc import Sequence

from qdt_emu.device import Policy
from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, Learned, Learner, circuit_tasks
from qdt_emu.twin import Twin
from qdt_emu.validation.public_data import Session, sessions

DATASET = "iqm_garnet_dynamic_2025"
LEARN = ("readout_relaxation", "t1", "dephasing", "assignment", "depolarizing_2q")
SHOTS = 50_000
# The exact engine, which learning needs, integrates a random detuning of two qubits at most.
EXACT = Policy(slow_dephasing=False)


def cases() -> Sequence[Case]:
    """Return the fourteen tasks."""
    return tuple(Case(run.name, s, run) for s in sessions(DATASET) for run in s.runs)


def half_of(session: Session, half: int) -> Twin:
    """Return the twin learned from the tasks at even (0) or odd (1) places of the file.

    Raises:
        ValueError: The session has no calibration.
    """
    if session.calibration is None:
        raise ValueError(f"Session '{session.name}' has no calibration.")
    seen = [(r.circuit, r.counts) for r in session.runs[half::2]]
    return Twin.load(session.calibration, policy=EXACT).fit(seen, learn=LEARN)


def learner() -> Learner:
    """Return the learned twin of each task: the one of the half that the task is not in."""
    (session,) = sessions(DATASET)
    found: dict[str, Learned] = {}
    for half, other in ((0, "even"), (1, "odd")):
        posterior = half_of(session, half).posterior
        if posterior is None:
            raise ValueError("A fit has no posterior.")
        note = f"learned from the seven tasks at {other} places"
        learned = Learned(posterior.device, note=note)
        found |= dict.fromkeys((r.name for r in session.runs[1 - half :: 2]), learned)
    return lambda case: found[case.name]


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("garnet", cases, learn=learner, shots=SHOTS))


BOARD = Board(
    name="garnet",
    title="14 dynamic circuits with mid-circuit measurement and feed-forward, IQM Garnet, 2025",
    rules=(
        "Calibration 3.5 hours older than the tasks. Learned: the tasks at even places of the "
        "file predict those at odd places, and the other way round."
    ),
    tasks=tasks,
    bars="geometric mean of TVD(ours) / TVD(Aer) at most 0.7",
)
