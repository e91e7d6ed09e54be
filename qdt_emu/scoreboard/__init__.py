"""Stage after the twin: every twin over every public measurement at hand, beside its rivals."""

from qdt_emu.scoreboard.board import Board as Board
from qdt_emu.scoreboard.board import Mark as Mark
from qdt_emu.scoreboard.board import Row as Row
from qdt_emu.scoreboard.board import Task as Task
from qdt_emu.scoreboard.registry import NAMES as NAMES
from qdt_emu.scoreboard.registry import load_board as load_board
from qdt_emu.scoreboard.store import Store as Store
from qdt_emu.scoreboard.store import play as play
