"""From rows to the few numbers that say who predicts better."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qdt_emu.scoreboard.board import AER, CALIBRATION, LEARNED, Board, Mark, Row
from qdt_emu.validation.resampling import mean_band

SEED = 7
SIGNIFICANT = 4.0  # standard errors
TITLES = {CALIBRATION: "twin, calibration only", LEARNED: "twin, learned", AER: "Aer, from_backend"}
RIVALS = ("uniform", "ideal", "ideal + readout", "ideal + depolarizing")
METHODS = (*RIVALS, *(TITLES[p] for p in (AER, CALIBRATION, LEARNED)))


@dataclass(frozen=True, slots=True)
class Line:
    """A method on a board, over the held-out cases that it could predict.

    Attributes:
        method: A predictor or a trivial baseline.
        cases: Number of cases.
        distance: Geometric mean of the total variation distances.
        low: Lower end of its 95 % band over cases and shots.
        high: Upper end.
        excess: Mean distance over the shot-noise floor; None for baselines, which have no shots.
        correlation: Mean Pearson correlation over all outcomes; None where one has none.
    """

    method: str
    cases: int
    distance: float
    low: float
    high: float
    excess: float | None = None
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much closer one method is than another, on the held-out cases that both predict.

    Attributes:
        first: Method.
        second: Method it is compared with.
        cases: Number of common cases.
        ratio: Geometric mean of distance(first) / distance(second).
        low: Lower end of its 95 % band.
        high: Upper end.
    """

    first: str
    second: str
    cases: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FigureLine:
    """A method's figures of merit on a board.

    Attributes:
        method: A predictor.
        figure: Which figure.
        cases: Number of held-out cases.
        deviation: Median |ln(predicted / measured)| on logarithmic boards, else root mean square
            of predicted - measured.
        inside: How many of the measurements lie in the predicted band, widened by their own
            standard errors.
        banded: Whether the predictor states bands at all.
        significant: How many of the measurements differ from zero by more than four standard
            errors; 0 on boards where signs do not count.
        right: How many of these the predictor gives the right sign.
    """

    method: str
    figure: str
    cases: int
    deviation: float
    inside: int
    banded: bool
    significant: int = 0
    right: int = 0


def scored(rows: Iterable[Row], board: str) -> list[Row]:
    """Return the predictions of the cases of a board that nobody learned from."""
    mine = [r for r in rows if r.board == board and not r.skipped]
    learned_from = {r.case for r in mine if not r.held_out}
    return [r for r in mine if r.case not in learned_from]


def name_of(predictor: str) -> str:
    """Return how tables call a predictor."""
    return TITLES.get(predictor, predictor)


def lines(rows: Sequence[Row], board: str) -> tuple[Line, ...]:
    """Return every method's distance, trivial baselines first, then Aer, then ours."""
    found = scored(rows, board)
    out = []
    for method in (*RIVALS, *_order(r.predictor for r in found)):
        table = _distances(found, method)
        if not table:
            continue
        logs, stderr = np.array(list(table.values())).T
        low, high = mean_band(logs, stderr, seed=SEED)
        excess = [r.verdict.excess for r in found if r.predictor == method and r.verdict]
        middle, low, high = (float(np.exp(x)) for x in (logs.mean(), low, high))
        mean = float(np.mean(excess)) if excess else None
        numbers = (middle, low, high, mean, _correlation(found, method))
        out.append(Line(name_of(method), len(table), *numbers))
    return tuple(out)


def ratios(rows: Sequence[Row], board: str) -> tuple[Ratio, ...]:
    """Return learned and calibration-only twins beside each other and beside Aer."""
    found = scored(rows, board)
    out = []
    for first, second in ((LEARNED, AER), (LEARNED, CALIBRATION), (CALIBRATION, AER)):
        one, two = _distances(found, first), _distances(found, second)
        common = sorted(one.keys() & two.keys())
        if not common:
            continue
        a, sa = np.array([one[k] for k in common]).T
        b, sb = np.array([two[k] for k in common]).T
        low, high = mean_band(a - b, np.hypot(sa, sb), seed=SEED)
        numbers = (float(np.exp(x)) for x in ((a - b).mean(), low, high))
        out.append(Ratio(name_of(first), name_of(second), len(common), *numbers))
    return tuple(out)


def figure_lines(rows: Sequence[Row], board: Board) -> tuple[FigureLine, ...]:
    """Return how far predicted figures of merit are off."""
    found = scored(rows, board.name)
    out = []
    for method in _order(r.predictor for r in found):
        marks: dict[str, list[Mark]] = {}
        for row in found:
            if row.predictor == method:
                for m in row.marks:
                    marks.setdefault(m.name, []).append(m)
        for figure, some in marks.items():
            seen = np.array([m.measured.value for m in some])
            said = np.array([m.predicted for m in some])
            off = np.log(said / seen) if board.log else said - seen
            size = np.median(np.abs(off)) if board.log else np.sqrt(np.mean(off**2))
            inside, banded = sum(map(_inside, some)), any(m.high > m.low for m in some)
            numbers = (len(some), float(size), inside, banded)
            stderr = np.array([m.measured.stderr for m in some])
            far = (np.abs(seen) > SIGNIFICANT * stderr) & board.signed
            signs = int(far.sum()), int((np.sign(seen) == np.sign(said))[far].sum())
            out.append(FigureLine(name_of(method), figure, *numbers, *signs))
    return tuple(out)


def _inside(m: Mark) -> bool:
    margin = 1.645 * m.measured.stderr
    return m.low - margin <= m.measured.value <= m.high + margin


def _order(predictors: Iterable[str]) -> list[str]:
    """Return predictors once each: those of others first, ours last."""
    last = (AER, CALIBRATION, LEARNED)
    known = dict.fromkeys(predictors)
    return [p for p in known if p not in last] + [p for p in last if p in known]


def _correlation(rows: Sequence[Row], method: str) -> float | None:
    """Return a method's mean linear correlation with what was measured."""
    found: dict[str, float | None] = {}
    for r in rows:
        if (v := r.verdict) is None:
            continue
        if r.predictor == method:
            found[r.case] = v.correlation
        elif method in RIVALS:
            found[r.case] = next((s.correlation for s in v.skills if s.baseline == method), None)
    known = [x for x in found.values() if x is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def _distances(rows: Sequence[Row], method: str) -> dict[str, tuple[float, float]]:
    """Return the logarithm of a method's distance and its standard error, by case.

    Distances below one shot cannot be told apart: they count as one, or a baseline that was fitted
    to two outcomes would have a mean of zero.
    """
    out: dict[str, tuple[float, float]] = {}
    for r in rows:
        if (v := r.verdict) is None:
            continue
        if method not in RIVALS:
            found = v.distance if r.predictor == method else None
        elif r.case not in out or r.predictor == CALIBRATION:
            found = next((s.distance for s in v.skills if s.baseline == method), None)
        else:
            found = None
        if found is not None:
            size = max(found, 1 / v.measured_shots)
            out[r.case] = (math.log(size), min(1.0, v.stderr / size))
    return out
