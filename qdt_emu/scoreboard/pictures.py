"""The scoreboard as pictures for a talk."""

from collections.abc import Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from qdt_emu.result import style
from qdt_emu.scoreboard.board import AER, CALIBRATION, LEARNED, Board, Mark, Row
from qdt_emu.scoreboard.summary import METHODS, Line, lines, name_of
from qdt_emu.validation.agreement_plot import Point, agreement

COLOURS = {
    name_of(LEARNED): style.BLUE,
    name_of(CALIBRATION): style.SKY,
    name_of(AER): style.RED,
}
OTHERS = (style.MUTED, style.GREEN, style.PURPLE)  # of predictors that one board has
NAMED = 24  # cases up to which points have names


def distances(boards: Sequence[Board], rows: Sequence[Row]) -> Figure | None:
    """Draw every method's distance on every board that has distributions, side by side."""
    found = [(b, lines(rows, b.name)) for b in boards]
    shown = [(b, table) for b, table in found if table]
    if not shown:
        return None
    known = {x.method for _, table in shown for x in table}
    methods = [m for m in METHODS if m in known]
    figure = style.new_figure(2.0 + 2.9 * len(shown), 1.7 + 0.36 * len(methods))
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, (board, table) in zip(axes, shown, strict=True):
        _panel(ax, board, table, methods)
    axes[0].set_yticks(range(len(methods))[::-1], methods)
    figure.supxlabel(
        "total variation distance to the measurement (geometric mean over held-out circuits)",
        fontsize=9,
        color=style.INK,
    )
    return figure


def _panel(ax: Axes, board: Board, table: Sequence[Line], methods: Sequence[str]) -> None:
    longest = max(x.high for x in table)
    cases = max(x.cases for x in table)
    for x in table:
        place = len(methods) - 1 - methods.index(x.method)
        colour = COLOURS.get(x.method, style.MUTED)
        ax.barh(place, x.distance, 0.62, color=colour, alpha=0.9 if x.method in COLOURS else 0.45)
        ax.plot([x.low, x.high], [place, place], color=style.INK, lw=1.2)
        ax.text(
            x.high + 0.03 * longest,
            place,
            f"{x.distance:.3f}" + (f" ({x.cases} only)" if x.cases < cases else ""),
            va="center",
            fontsize=8.5,
            color=style.INK,
        )
    ax.set_xlim(0, 1.3 * longest)
    ax.set_ylim(-0.6, len(methods) - 0.4)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    label = "circuit" if cases == 1 else "circuits"
    ax.set_title(
        f"{board.name.replace('_', ' ')}\n{cases} {label}",
        loc="left",
        fontsize=9.5,
        fontweight="bold",
        color=style.INK,
    )


def marks(board: Board, rows: Sequence[Row]) -> Figure | None:
    """Draw a board's figure of merit; None where it has none, or fewer than two cases.

    Measured figures stand against predicted ones; deviations, whose measured value is 0, by case.
    """
    found = [
        (row, m)
        for predictor in _ours_last(board, rows)
        for row in rows
        if row.board == board.name and row.predictor == predictor and not row.skipped
        for m in row.marks
        if m.name == board.figure
    ]
    title = f"{board.figure}: {board.name.replace('_', ' ')}"
    if len({row.case for row, _ in found}) < 2:
        return None
    if all(m.measured.value == 0 for _, m in found):
        return _deviations(found, title)
    if len({m.measured.value for _, m in found}) < 2:
        return None
    named = len({row.case for row, _ in found}) <= NAMED
    last = found[-1][0].predictor
    others = dict.fromkeys(n for row, _ in found if (n := name_of(row.predictor)) not in COLOURS)
    colours = dict(zip(others, cycle(OTHERS), strict=False)) | COLOURS
    points = [
        Point(
            _short(row.case) if named and row.predictor == last else "",
            *(m.measured.value, m.predicted, m.low, m.high),
            group=name_of(row.predictor),
            hollow=not row.held_out,
        )
        for row, m in found
    ]
    return agreement(points, quantity=board.figure, title=title, log=board.log, colours=colours)


def _deviations(found: Sequence[tuple[Row, Mark]], title: str) -> Figure:
    """Draw one line per case, one dot per predictor."""
    cases = list(dict.fromkeys(row.case for row, _ in found))
    predictors = list(dict.fromkeys(row.predictor for row, _ in found))
    figure, ax = style.canvas(None, 7.4, 1.6 + 0.3 * len(cases))
    for predictor in predictors:
        mine = [(row, m) for row, m in found if row.predictor == predictor]
        ax.plot(
            [m.predicted for _, m in mine],
            [len(cases) - 1 - cases.index(row.case) for row, _ in mine],
            "o",
            ms=7,
            color=COLOURS.get(name_of(predictor), style.MUTED),
            label=name_of(predictor),
        )
    ax.set_yticks(range(len(cases))[::-1], [_short(c) for c in cases])
    sizes = [m.predicted for _, m in found]
    if min(sizes) > 0 and max(sizes) > 8 * min(sizes):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(left=0)
    ax.set_xlabel("deviation, 0 = perfect", color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    ax.legend(
        frameon=False, fontsize=9, ncols=len(predictors), loc="lower left", bbox_to_anchor=(0, 1.0)
    )
    style.title(ax, title, below=True)
    return figure


def _short(case: str) -> str:
    return case.removeprefix("ibmq_").removeprefix("ibm_")


def _ours_last(board: Board, rows: Sequence[Row]) -> list[str]:
    """Return the predictors of a board so that ours are drawn on top."""
    found = dict.fromkeys(r.predictor for r in rows if r.board == board.name and r.marks)
    last = [p for p in (AER, CALIBRATION, LEARNED) if p in found]
    return [p for p in found if p not in last] + last
