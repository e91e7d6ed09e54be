"""What a scoreboard is made of: boards give tasks, tasks give rows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from qdt_emu.result import storage
from qdt_emu.validation import Verdict
from qdt_emu.validation.value import Value

CALIBRATION, LEARNED, AER = "calibration", "learned", "aer"
PREDICTORS = (CALIBRATION, LEARNED, AER)
LEVEL = 0.9  # of bands of predicted figures


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure of merit, measured and predicted.

    Attributes:
        name: What it is.
        measured: With its standard error from shots.
        predicted: Of the predictor.
        low: Lower end of its 90 % band.
        high: Upper end.
    """

    name: str
    measured: Value
    predicted: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One predictor on one case.

    Attributes:
        board: Name of the data set's board.
        case: Name within the board.
        predictor: 'calibration', 'learned', 'aer' or another that the board has.
        held_out: False where the predictor has seen this very measurement.
        verdict: Of the distribution; None where outcomes are too many to count.
        marks: Figures of merit.
        seconds: Wall-clock time.
        note: How it was predicted, or why it was not.
        skipped: True if there is no prediction.
    """

    board: str
    case: str
    predictor: str
    held_out: bool = True
    verdict: Verdict | None = None
    marks: tuple[Mark, ...] = ()
    seconds: float = 0.0
    note: str = ""
    skipped: bool = False

    @property
    def key(self) -> str:
        """Unique on the scoreboard."""
        return f"{self.board}/{self.case}/{self.predictor}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-able values."""
        body = storage.plain(self)
        return dict(body) if isinstance(body, dict) else {}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Row":
        """Return the row that `to_dict` wrote."""
        marks = tuple(
            Mark(**{**m, "measured": Value(**m["measured"])}) for m in data.get("marks", ())
        )
        verdict = data.get("verdict")
        found = (
            None if verdict is None else Verdict.from_json(storage.write_text("verdict", verdict))
        )
        return cls(**{**data, "marks": marks, "verdict": found})


@dataclass(frozen=True)
class Task:
    """A row that can be worked out.

    Attributes:
        board: As in `Row`.
        case: As in `Row`.
        predictor: As in `Row`.
        run: Works it out; may raise a `QdtError`, which becomes a skipped row.
    """

    board: str
    case: str
    predictor: str
    run: Callable[[], Row]

    @property
    def key(self) -> str:
        """That of its row."""
        return Row(self.board, self.case, self.predictor).key


@dataclass(frozen=True)
class Board:
    """Everything about one data set.

    Attributes:
        name: Short.
        title: What was measured, on what, when.
        rules: What the learned twin may see, and what it is scored on.
        tasks: Returns what can be worked out; raises `InputError` where the data are not at hand.
        figure: Name of the figure of merit that stands beside the distributions; empty for none.
        bars: What would count as a success, in words.
        log: Whether figures are compared by their ratio instead of their difference.
        signed: Whether it counts how often figures have the right sign, where they are
            significant.
    """

    name: str
    title: str
    rules: str
    tasks: Callable[[], Iterable[Task]] = field(repr=False)
    figure: str = ""
    bars: str = ""
    log: bool = False
    signed: bool = False
