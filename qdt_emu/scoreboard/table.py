"""The scoreboard as a page of Markdown."""

from collections.abc import Sequence
from dataclasses import asdict

from qdt_emu.scoreboard.board import Board, Mark, Row
from qdt_emu.scoreboard.summary import (
    METHODS,
    RIVALS,
    Line,
    figure_lines,
    lines,
    name_of,
    ratios,
    scored,
)

LISTED = 20  # cases of a board up to which each is shown


def markdown(boards: Sequence[Board], rows: Sequence[Row], figures: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        boards: In the order of the page.
        rows: What was worked out.
        figures: Paths of pictures, relative to the page.
    """
    parts = [
        "# Scoreboard: predictions against measured counts of real processors",
        "Made by `qdt scoreboard`; every number comes from running the code on public data. Only "
        "held-out measurements are scored. Distances are total variation distances to what was "
        "measured (0 equal, 1 disjoint), geometric means over circuits with 95 % bands over "
        "circuits and shots.",
        _overview(boards, rows),
        *(f"![]({path})" for path in figures),
        *(_section(board, rows) for board in boards if any(r.board == board.name for r in rows)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(boards: Sequence[Board], rows: Sequence[Row]) -> str:
    found = {b.name: {line.method: line for line in lines(rows, b.name)} for b in boards}
    shown = [b for b in boards if found[b.name]]
    if not shown:
        return ""
    heads = ["data set", "circuits", *METHODS]
    body = []
    for board in shown:
        mine = found[board.name]
        best = min(mine.values(), key=lambda line: line.distance).method
        cells = [_distance(mine.get(m), bold=m == best) for m in METHODS]
        body.append([board.name, str(max(x.cases for x in mine.values())), *cells])
    return _grid(heads, body)


def _distance(line: Line | None, *, bold: bool) -> str:
    if line is None:
        return ""
    text = f"{line.distance:.3f}"
    return f"**{text}**" if bold else text


def _section(board: Board, rows: Sequence[Row]) -> str:
    mine = [r for r in rows if r.board == board.name]
    parts = [f"## {board.name}", f"{board.title}. {board.rules}"]
    if board.bars:
        parts.append(f"Bar: {board.bars}.")
    if table := lines(rows, board.name):
        heads = ["method", "circuits", "distance", "95 % band", "mean excess over floor"]
        compared = any(x.correlation is not None for x in table if x.method in RIVALS)
        heads += ["linear correlation"] if compared else []
        parts.append(_grid(heads, [_line(x, correlation=compared) for x in table]))
    if found := ratios(rows, board.name):
        parts.append(
            "\n".join(
                f"- distance of {r.first} / {r.second}: {r.ratio:.3f} [{r.low:.3f}, {r.high:.3f}] "
                f"({r.cases} circuits)"
                for r in found
            )
        )
    parts += [_figures(board, rows), _cases(mine), _marks(mine), _skipped(mine)]
    return "\n\n".join(part for part in parts if part)


def _line(x: Line, *, correlation: bool) -> list[str]:
    excess = "" if x.excess is None else f"{x.excess:+.4f}"
    band = f"{x.low:.4f} to {x.high:.4f}"
    last = ["" if x.correlation is None else f"{x.correlation:.3f}"] if correlation else []
    return [x.method, str(x.cases), f"{x.distance:.4f}", band, excess, *last]


def _figures(board: Board, rows: Sequence[Row]) -> str:
    what = "median abs ln(predicted / measured)" if board.log else "rms of predicted - measured"
    out = []
    for x in figure_lines(rows, board):
        band = f"; {x.inside} in the band" if x.banded else ""
        if board.signed:
            band += f"; sign right on {x.right} of {x.significant} that are significant"
        out.append(
            f"- {x.figure}, {x.method}: {what} {x.deviation:.4f} over {x.cases} held-out "
            f"cases{band}"
        )
    return "\n".join(out)


def _cases(rows: Sequence[Row]) -> str:
    """Return the distances case by case, where they are few."""
    judged = [r for r in rows if r.verdict is not None]
    cases = list(dict.fromkeys(r.case for r in judged))
    if not 1 < len(cases) <= LISTED:
        return ""
    predictors = list(dict.fromkeys(r.predictor for r in judged))
    by = {(r.case, r.predictor): r for r in judged}
    body = []
    for case in cases:
        first = next(r for r in judged if r.case == case)
        floor = "" if first.verdict is None else f"{first.verdict.floor:.3f}"
        cells = [_cell(by.get((case, p))) for p in predictors]
        body.append([case, floor, _best_rival(first), *cells])
    return _grid(["case", "shot floor", "best baseline", *map(name_of, predictors)], body)


def _best_rival(row: Row) -> str:
    if row.verdict is None:
        return ""
    best = min(row.verdict.skills, key=lambda s: s.distance)
    return f"{best.distance:.3f} ({best.baseline})"


def _cell(row: Row | None) -> str:
    if row is None or row.verdict is None:
        return ""
    seen = "" if row.held_out else " (learned from it)"
    return f"{row.verdict.distance:.3f} ± {row.verdict.stderr:.3f}{seen}"


def _marks(rows: Sequence[Row]) -> str:
    """Return figures of merit case by case."""
    marked = [(r, m) for r in rows for m in r.marks]
    if not marked:
        return ""
    predictors = list(dict.fromkeys(r.predictor for r, _ in marked))
    by = {(r.case, m.name, r.predictor): (r, m) for r, m in marked}
    keys = list(dict.fromkeys((r.case, m.name) for r, m in marked))
    body = []
    for case, figure in keys:
        first = next(m for r, m in marked if (r.case, m.name) == (case, figure))
        cells = [_mark(by.get((case, figure, p))) for p in predictors]
        seen = f"{first.measured.value:.4g}"
        if first.measured.stderr:
            seen += f" ± {first.measured.stderr:.2g}"
        body.append([case, figure, seen, *cells])
    return _grid(["case", "figure", "measured", *map(name_of, predictors)], body)


def _mark(found: tuple[Row, Mark] | None) -> str:
    if found is None:
        return ""
    row, m = found
    band = f" [{m.low:.4g}, {m.high:.4g}]" if m.high > m.low else ""
    return f"{m.predicted:.4g}{band}" + ("" if row.held_out else " (learned from it)")


def _skipped(rows: Sequence[Row]) -> str:
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in rows:
        if r.skipped:
            reasons.setdefault((r.predictor, r.note), []).append(r.case)
    return "\n".join(
        f"- not predicted by {name_of(predictor)}: {_some(cases)}: {note}"
        for (predictor, note), cases in reasons.items()
    )


def _some(cases: Sequence[str]) -> str:
    shown = ", ".join(cases[:3])
    return shown + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return "\n".join([line(heads), line(["---"] * len(heads)), *(line(r) for r in rows)])


def summary_json(boards: Sequence[Board], rows: Sequence[Row]) -> dict[str, object]:
    """Return the same numbers as JSON-able values."""
    return {
        b.name: {
            "title": b.title,
            "cases": len({r.case for r in scored(rows, b.name)}),
            "distances": [asdict(x) for x in lines(rows, b.name)],
            "ratios": [asdict(x) for x in ratios(rows, b.name)],
            "figures": [asdict(x) for x in figure_lines(rows, b)],
            "skipped": sum(r.skipped for r in rows if r.board == b.name),
        }
        for b in boards
    }
