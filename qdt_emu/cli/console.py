"""What a terminal shows: tables, sentences, progress bars, or one JSON object."""

import json
import math
import sys
from collections.abc import Sequence
from typing import Any


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Print a table to standard output."""
    from rich.table import Table

    grid = Table(title=plain(title), title_justify="left")
    for head in heads:
        grid.add_column(plain(head), overflow="fold")
    for row in rows:
        grid.add_row(*(plain(cell) for cell in row))
    console().print(grid)


def say(text: str) -> None:
    """Print a line as it is."""
    console().print(plain(text), highlight=False, soft_wrap=True)


def console() -> Any:
    """Return a console of the terminal's own width; 120 columns in a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def plain(text: str) -> str:
    """Return text whose square brackets are text, not markup."""
    from rich.markup import escape

    return escape(text)


def busy(text: str, *, quiet: bool) -> Any:
    """Return a context that shows a spinner on a terminal."""
    from contextlib import nullcontext

    from rich.console import Console

    screen = Console(stderr=True)
    return nullcontext() if quiet or not screen.is_terminal else screen.status(plain(text))


def progress(items: Sequence[Any], text: str, *, quiet: bool) -> Any:
    """Return the items, with a progress bar on standard error while they are used."""
    from rich.console import Console
    from rich.progress import track

    return items if quiet else track(items, text, console=Console(stderr=True), transient=True)


def print_json(data: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(data, allow_nan=False, default=str))  # noqa: T201


def say_notes(notes: tuple[str, ...]) -> None:
    """Print the first few notes of a report."""
    for note in notes[:6]:
        say(f"note: {note}")
    if len(notes) > 6:
        say(f"note: {len(notes) - 6} more in the report (--json).")


def text_of(value: object) -> str:
    """Return a cell of a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def json_number(value: float | None) -> float | str | None:
    """Return a number that JSON has: infinities become text, what is no number null."""
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"


def finite(data: Any) -> Any:
    """Return the same with every number as `json_number` writes it."""
    if isinstance(data, dict):
        return {k: finite(v) for k, v in data.items()}
    if isinstance(data, list):
        return [finite(v) for v in data]
    return json_number(data) if isinstance(data, float) else data
