"""Run `qdt` inside the test."""

import signal
import sys

import pytest

from qdt_emu import cli


@pytest.fixture
def qdt(monkeypatch, capsys):
    """Run `qdt` in this process: (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["qdt", *map(str, arguments)])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out = capsys.readouterr()
        return stop.value.code or 0, out.out, out.err

    return run
