"""The boards there are, loaded one by one: each needs other parts of the package."""

from importlib import import_module

from qdt_emu.errors import InputError
from qdt_emu.scoreboard.board import Board

NAMES = (
    *("same_day", "ghz", "repetition_code", "repetition_code_later", "decoupling"),
    *("matching_code", "garnet", "kicked_ising", "layers"),
)


def load_board(name: str) -> Board:
    """Return a board by name.

    Raises:
        InputError: There is no such board.
    """
    if name not in NAMES:
        raise InputError(f"A board must be one of {', '.join(NAMES)}, but is {name!r}.")
    board: Board = import_module(f"qdt_emu.scoreboard.{name}").BOARD
    return board
