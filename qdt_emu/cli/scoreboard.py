"""`qdt scoreboard`: twins, Aer and trivial baselines over every public measurement at hand."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qdt_emu.cli.console import finite, print_json, progress, say, table
from qdt_emu.cli.options import JsonOption
from qdt_emu.errors import InputError


def scoreboard(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="One data set; may be repeated.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for scoreboard.md, .json and pictures.")
    ] = Path(),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Work everything out again, also what is in the file.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what was skipped.")] = False,
    predictor: Annotated[
        list[str] | None,
        typer.Option("--predictor", help="calibration, learned or aer; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="At most so many cases of each data set.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score the twins on real hardware data, beside Aer and every trivial prediction.

    Each finished row is on disk at once: an interrupted run goes on where it stopped.
    """
    from qdt_emu.scoreboard import NAMES, Store, load_board, play
    from qdt_emu.scoreboard.table import markdown, summary_json

    if not out.is_dir():
        raise InputError(f"`--out` must be a folder, but '{out}' is none. Make it first.")
    boards = [load_board(name) for name in only or NAMES]
    store = Store(out / "scoreboard.json")
    for board in boards:
        if fresh or retry:
            store.drop(board.name, skipped_only=retry and not fresh)
    left_out = play(
        boards,
        store,
        track=lambda tasks: progress(_chosen(tasks, predictor, limit), "scoring", quiet=as_json),
    )
    rows = list(store)
    every = [load_board(name) for name in NAMES]
    pictures = _draw(every, rows, out)
    page = out / "scoreboard.md"
    from qdt_emu.result.storage import write_file

    write_file(page, markdown(every, rows, pictures))
    if as_json:
        found = summary_json(boards, rows)
        print_json(finite({"boards": found, "left_out": left_out, "page": str(page)}))
        return
    _show(boards, rows)
    for line in left_out:
        say(f"left out: {line}")
    say(f"written: {page}, {store.path}" + (f", {len(pictures)} pictures" if pictures else ""))


def _chosen(tasks: list[Any], predictors: list[str] | None, limit: int | None) -> list[Any]:
    """Return the tasks of some predictors, and of the first cases of each board."""
    seen: dict[str, dict[str, None]] = {}
    out = []
    for task in tasks:
        if predictors and task.predictor not in predictors:
            continue
        cases = seen.setdefault(task.board, {})
        if limit is not None and task.case not in cases and len(cases) >= limit:
            continue
        cases[task.case] = None
        out.append(task)
    return out


def _draw(boards: list[Any], rows: list[Any], out: Path) -> list[str]:
    """Write the pictures, and return their paths relative to the page."""
    from qdt_emu.report import save_figure
    from qdt_emu.scoreboard import pictures

    drawn = {"distances": pictures.distances(boards, rows)}
    drawn |= {board.name: pictures.marks(board, rows) for board in boards}
    folder = out / "scoreboard"
    found = []
    for name, figure in drawn.items():
        if figure is not None:
            folder.mkdir(exist_ok=True)
            save_figure(figure, folder / f"{name}.png")
            found.append(f"scoreboard/{name}.png")
    return found


def _show(boards: list[Any], rows: list[Any]) -> None:
    from qdt_emu.scoreboard.summary import figure_lines, lines, ratios

    for board in boards:
        found = lines(rows, board.name)
        if found:
            body = [
                [x.method, str(x.cases), f"{x.distance:.4f}", f"{x.low:.4f} .. {x.high:.4f}"]
                for x in found
            ]
            table(board.title, ["method", "circuits", "distance", "95 % band"], body)
        for r in ratios(rows, board.name):
            say(f"{board.name}: {r.first} / {r.second} {r.ratio:.3f} [{r.low:.3f}, {r.high:.3f}]")
        for f in figure_lines(rows, board):
            say(f"{board.name}: {f.figure}, {f.method}: off by {f.deviation:.4f} ({f.cases} cases)")
        skipped = [r for r in rows if r.board == board.name and r.skipped]
        for note in dict.fromkeys(r.note for r in skipped):
            count = sum(r.note == note for r in skipped)
            say(f"{board.name}: {count} rows skipped: {note}")
