"""The program `qdt`: its verbs, its exit codes, and how it ends."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable

import typer

from qdt_emu.cli.check import check
from qdt_emu.cli.compare import compare, freeze
from qdt_emu.cli.console import plain
from qdt_emu.cli.devices import devices, import_, inspect
from qdt_emu.cli.explain import bench, explain
from qdt_emu.cli.fit import fit
from qdt_emu.cli.layers import layers
from qdt_emu.cli.plan import plan
from qdt_emu.cli.run import estimate, run
from qdt_emu.cli.scoreboard import scoreboard
from qdt_emu.errors import QdtError

# Verbs import the stages that they need when they run, so that `qdt --help` is instant.
app = typer.Typer(
    help="A digital twin of quantum processors: predict counts before you run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
VERBS: dict[str, Callable[..., None]] = {
    "run": run,
    "estimate": estimate,
    "plan": plan,
    "devices": devices,
    "inspect": inspect,
    "check": check,
    "import": import_,
    "compare": compare,
    "freeze": freeze,
    "fit": fit,
    "explain": explain,
    "layers": layers,
    "scoreboard": scoreboard,
    "bench": bench,
}
for _name, _verb in VERBS.items():
    app.command(name=_name)(_verb)

INTERRUPTED = "interrupted; nothing was written."
PATIENCE = 5.0  # s between Ctrl-C and the end, at the latest


class _Interrupted(BaseException):
    """Ctrl-C; not a KeyboardInterrupt, which typer versions turn into different exit codes."""


def _interrupt(_signal: int, _frame: object) -> None:
    _report(INTERRUPTED, 130, as_json="--json" in sys.argv)
    # An exception raised inside a finaliser is swallowed, and running kernels are waited for; the
    # timer ends the program anyhow.
    last_resort = threading.Timer(PATIENCE, os._exit, (130,))
    last_resort.daemon = True
    last_resort.start()
    raise _Interrupted


def main() -> None:
    """Run the command line; errors become one sentence and an exit code."""
    as_json = "--json" in sys.argv
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except _Interrupted:
        sys.exit(130)
    except QdtError as reason:
        _complain(str(reason), 2, as_json=as_json)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as reason:
        where = f": '{reason.filename}'" if reason.filename else ""
        _complain(f"{reason.strerror or reason}{where}.", 2, as_json=as_json)


def _complain(message: str, code: int, *, as_json: bool) -> None:
    _report(message, code, as_json=as_json)
    sys.exit(code)


def _report(message: str, code: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}), flush=True)  # noqa: T201
    else:
        from rich.console import Console

        text = f"[bold red]Error:[/] {plain(message)}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)
