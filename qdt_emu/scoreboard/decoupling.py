"""ibm_cairo, 2022: what decoupling pulses change in repetition codes, line by line."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import NoisyCircuit
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.learning.terms import Outcomes
from qdt_emu.scoreboard.board import CALIBRATION, LEARNED, Board, Mark, Row, Task
from qdt_emu.scoreboard.repetition_code import fitted, jobs
from qdt_emu.twin import Twin
from qdt_emu.validation.runs import Run
from qdt_emu.validation.value import Value

NAME = "decoupling"
PAIRS = {"short idles": (1, 2), "long idles": (3, 4)}  # jobs with and without pulses
STATES = 3  # circuits in a row on the same line: prepared in 0, 1 and +
FIGURE = "effect on the error-free share"

Floats = NDArray[np.float64]


def tasks() -> list[Task]:
    """Return what can be worked out."""
    out = []
    for name, pair in PAIRS.items():
        (other,) = (p for p in PAIRS.values() if p != pair)
        twins: dict[str, Callable[[], Twin]] = {
            CALIBRATION: cache(lambda: Twin.load(jobs()[0].calibration)),
            LEARNED: cache(partial(fitted, other)),
        }
        lines = len(jobs()[pair[0] - 1].runs) // STATES
        for line in range(lines):
            for predictor, twin in twins.items():
                case = f"{name}, line {line}"
                work = partial(_row, case, predictor, pair, line, twin)
                out.append(Task(NAME, case, predictor, work))
    return out


def _row(
    case: str, predictor: str, pair: tuple[int, int], line: int, twin: Callable[[], Twin]
) -> Row:
    place = slice(STATES * line, STATES * (line + 1))
    found = [[_share(twin(), run) for run in jobs()[k - 1].runs[place]] for k in pair]
    predicted, measured, variance = np.mean(found, axis=1).T
    stderr = float(np.sqrt(variance.sum() / STATES))
    effect = float(predicted[0] - predicted[1])
    seen = Value(float(measured[0] - measured[1]), stderr)
    mark = Mark(FIGURE, seen, effect, effect, effect)
    return Row(NAME, case, predictor, marks=(mark,))


def _share(twin: Twin, run: Run) -> tuple[float, float, float]:
    """Return the share of records without error: predicted, measured, and its variance."""
    compiled = twin.compile(run.circuit)
    seen = Outcomes.of(compiled, run.counts)
    noisy = compiled.bind()
    free = int(_exact(noiseless(noisy)).argmax())  # the only outcome without errors
    predicted, measured = float(_exact(noisy)[free]), float(seen.counts[free] / seen.shots)
    return predicted, measured, measured * (1 - measured) / seen.shots


def _exact(noisy: NoisyCircuit) -> Floats:
    return probabilities(Density().prepare(noisy.structure), noisy.values)


BOARD = Board(
    name=NAME,
    title="What X-X decoupling changes in the repetition codes of ibm_cairo",
    rules=(
        "Jobs 1 and 2 differ in the pulses alone, and so do 3 and 4, which idle longer; three "
        "prepared states of a line are averaged. The effect is the share of records without error "
        "with pulses, less that without. Each pair is predicted by the twin that learned "
        "from the other pair."
    ),
    tasks=tasks,
    figure=FIGURE,
    bars="the right sign on every line where the measured effect is significant",
    signed=True,
)
