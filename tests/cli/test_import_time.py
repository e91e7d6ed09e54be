"""`qdt --help` stays instant: verbs load the stages only when they run."""

import subprocess
import sys
from pathlib import Path

import qdt_emu

HEAVY = {"jax", "matplotlib", "numba", "numpy", "qiskit", "quimb", "scipy", "stim", "xarray"}


def test_the_command_line_loads_nothing_heavy():
    command = [sys.executable, "-c", "import sys, qdt_emu.cli; print(*sys.modules)"]
    home = Path(qdt_emu.__file__).parents[1]
    loaded = subprocess.check_output(command, cwd=home, text=True).split()
    assert not HEAVY & set(loaded)
