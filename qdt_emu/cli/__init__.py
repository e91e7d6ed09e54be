"""The command `qdt`: one verb per question, one file per verb or two.

Exit codes: 0 done, 1 a check failed, 2 wrong input, 130 interrupted. Every verb takes `--json`,
which prints one JSON object and nothing else.
"""

from qdt_emu.cli.program import main as main
