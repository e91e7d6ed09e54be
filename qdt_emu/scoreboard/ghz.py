"""ibm_marrakesh and ibm_fez, 2025: GHZ states compiled in two equivalent ways."""

from collections.abc import Mapping, Sequence

from qdt_emu.learning.prior import DEFAULT, learnable, prior
from qdt_emu.learning.transfer import transfer
from qdt_emu.scoreboard.board import Board, Task
from qdt_emu.scoreboard.circuits import Case, Circuits, Learned, Learner, circuit_tasks
from qdt_emu.twin import Twin
from qdt_emu.validation import ghz
from qdt_emu.validation.distances import Distribution
from qdt_emu.validation.public_data import sessions
from qdt_emu.validation.value import Value

DATASET = "ibm_ghz_2025"
TRAINING = "15Q"  # the pair that may be learned from
DRAWS, SEED = 40, 2026


def cases() -> Sequence[Case]:
    """Return both variants of both states; the 15-qubit pair is for learning."""
    return tuple(
        Case(run.name, s, run, held_out=TRAINING not in run.name)
        for s in sessions(DATASET)
        for run in s.runs
    )


def figures(_case: Case, counts: Distribution) -> Mapping[str, Value]:
    """Return the population of the two outcomes of a GHZ state."""
    return {"GHZ population": ghz.population(counts)}


def learner() -> Learner:
    """Return the twin of ibm_marrakesh learned from its pair, and what it tells of ibm_fez.

    Both are Heron processors: the shifts that all qubits of the first share are carried over.
    """
    first, second = sorted(sessions(DATASET), key=lambda s: TRAINING not in s.runs[0].name)
    seen = [(run.circuit, run.counts) for run in first.runs]
    posterior = Twin.load(first.calibration).fit(seen).posterior
    if posterior is None:
        raise ValueError("A fit has no posterior.")
    start = learnable(Twin.load(second.calibration).device)
    recipes = [Twin.load(start).compile(run.circuit).recipe for run in second.runs]
    carried = transfer(posterior, prior(start, recipes, learn=DEFAULT))
    found = {
        first.name: (posterior, "learned from this very pair"),
        second.name: (carried, "shared shifts learned from the pair of ibm_marrakesh"),
    }

    def learned(case: Case) -> Learned:
        known, note = found[case.session.name]
        return Learned(known.device, known.draws(DRAWS, seed=SEED), note)

    return learned


def tasks() -> list[Task]:
    """Return what can be worked out."""
    return circuit_tasks(Circuits("ghz", cases, figures, learn=learner))


BOARD = Board(
    name="ghz",
    title="GHZ states of 15 and 10 qubits in two equivalent compilations, October 2025",
    rules=(
        "The calibrations are eight months older. Learned on the 15-qubit pair of ibm_marrakesh; "
        "the 10-qubit pair of ibm_fez is held out."
    ),
    tasks=tasks,
    figure="GHZ population",
    bars="population within 0.03 of both learned variants, and the better one named",
)
