"""`python -m qdt_emu.cli` is `qdt`."""

from qdt_emu.cli.program import main

main()
