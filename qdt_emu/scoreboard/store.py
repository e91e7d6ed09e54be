"""Rows on disk, written whole after each one, so that a long run can be stopped and resumed."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from qdt_emu.errors import InputError, QdtError
from qdt_emu.result import storage
from qdt_emu.scoreboard.board import Board, Row, Task

FORMAT = "scoreboard"


class Store:
    """The rows in a file.

    Args:
        path: JSON file; made with the first row.

    Raises:
        InputError: The file is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, Row] = {}
        if path.is_file():
            data = storage.read_text(FORMAT, path.read_text(encoding="utf-8"))
            try:
                rows = [Row.from_dict(row) for row in data["rows"]]
            except (KeyError, TypeError) as reason:
                raise InputError(
                    f"'{path}' must be the rows of a scoreboard, but {reason} is wrong. Move the "
                    f"file away to start anew."
                ) from None
            self._rows = {row.key: row for row in rows}

    def __contains__(self, task: Task) -> bool:
        return task.key in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def put(self, row: Row) -> None:
        """Add or replace a row, on disk at once."""
        self._rows[row.key] = row
        self._write()

    def drop(self, board: str, *, skipped_only: bool = False) -> None:
        """Remove the rows of a board, or those of them that hold no prediction."""
        keep = {
            k: r
            for k, r in self._rows.items()
            if r.board != board or (skipped_only and not r.skipped)
        }
        if len(keep) < len(self._rows):
            self._rows = keep
            self._write()

    def _write(self) -> None:
        rows = [row.to_dict() for row in self._rows.values()]
        storage.write_file(self.path, storage.write_text(FORMAT, {"rows": rows}))


def play(
    boards: Iterable[Board], store: Store, *, track: Callable[[list[Task]], Iterable[Task]] = iter
) -> tuple[str, ...]:
    """Work out every row that is not in the store yet.

    Args:
        boards: Which.
        store: Where rows go.
        track: Wraps the list of tasks, for a progress bar.

    Returns:
        Why boards were left out: their data are not at hand.
    """
    left_out, todo = [], []
    for board in boards:
        try:
            todo += [task for task in board.tasks() if task not in store]
        except (QdtError, ImportError) as reason:
            left_out.append(f"{board.name}: {reason}")
    for task in track(todo):
        start = time.monotonic()
        try:
            row = task.run()
        except (QdtError, ImportError, ValueError, ArithmeticError) as reason:
            row = Row(task.board, task.case, task.predictor, note=str(reason), skipped=True)
        store.put(replace(row, seconds=time.monotonic() - start))
    return tuple(left_out)


def text_of(path: Path) -> str:
    """Return the file's rows as indented JSON."""
    return json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=1)
