"""Rows on disk, written whole after each one, so that a long run can be stopped and resumed."""

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
        self._seen: tuple[int, int] | None = None
        self._rows = self._read()

    def __contains__(self, task: Task) -> bool:
        return task.key in self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def put(self, row: Row) -> None:
        """Add or replace a row, on disk at once; rows that others wrote meanwhile stay."""
        if self._stamp() != self._seen:
            self._rows = self._read() | self._rows
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
        self._seen = self._stamp()

    def _read(self) -> dict[str, Row]:
        self._seen = self._stamp()
        if self._seen is None:
            return {}
        data = storage.read_text(FORMAT, self.path.read_text(encoding="utf-8"))
        try:
            rows = [Row.from_dict(row) for row in data["rows"]]
        except (KeyError, TypeError) as reason:
            raise InputError(
                f"'{self.path}' must be the rows of a scoreboard, but {reason} is wrong. Move the "
                f"file away to start anew."
            ) from None
        return {row.key: row for row in rows}

    def _stamp(self) -> tuple[int, int] | None:
        """Return what tells that somebody else has written the file."""
        if not self.path.is_file():
            return None
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_ino


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
