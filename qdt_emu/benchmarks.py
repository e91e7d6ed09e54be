"""Loads the side-by-side benchmarks, which live with the tests of a checkout."""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import qdt_emu
from qdt_emu.errors import InputError

NAMES = (
    *("exact", "sampling", "fixed_cost", "structure", "memory"),
    *("network", "mps", "pauli", "whole_chip", "planner"),
)


def run_benchmarks(names: Iterable[str] = (), *, quick: bool = False) -> list[dict[str, Any]]:
    """Return one row per measurement of the benchmarks in `tests/bench` of the checkout.

    Args:
        names: Of `NAMES`; none means all of them.
        quick: Smallest sizes: seconds, not minutes, and not a measure of anything.

    Returns:
        Rows with the keys benchmark, case, ours, peer, unit, tool, ratio, bar, verdict, accuracy
        and note, see `tests/bench/row.py`.

    Raises:
        InputError: An unknown name, or the package runs without its checkout.
    """
    wanted = tuple(names) or NAMES
    if unknown := sorted(set(wanted) - set(NAMES)):
        raise InputError(f"A benchmark must be one of {', '.join(NAMES)}, but one is {unknown[0]}.")
    root = Path(qdt_emu.__file__).resolve().parents[1]
    if not (root / "tests" / "bench" / "row.py").is_file():
        raise InputError(
            "The benchmarks come with the source, not with the installed package, and "
            f"'{root / 'tests' / 'bench'}' does not exist. Clone the repository, install its "
            "extra `bench`, and run `qdt bench` there."
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    rows: list[dict[str, Any]] = []
    for name in wanted:
        rows += import_module(f"tests.bench.bench_{name}").rows(quick=quick)
    return rows
