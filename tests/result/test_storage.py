import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qdt_emu
from qdt_emu.errors import InputError
from qdt_emu.result import Counts, Estimate, storage


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1"),
        ("[]", "format 'qdt_emu.counts', but it is None"),
        ('{"format": "qdt_emu.estimate"}', "qdt_emu.estimate"),
        ('{"format": "qdt_emu.counts", "version": 99}', "version 1, but it is 99"),
    ],
)
def test_foreign_text_is_refused_with_a_reason(text, says):
    with pytest.raises(InputError, match=says):
        Counts.from_json(text)
    if "counts" not in text:
        return
    with pytest.raises(InputError, match=r"qdt_emu\.estimate"):
        Estimate.from_json(text)


def test_numbers_that_json_lacks_survive_in_json_that_everybody_reads():
    text = storage.write_text("x", {"a": np.array([np.nan, 1.0]), "b": -np.inf})
    assert "NaN" not in text
    assert "Infinity" not in text
    data = storage.read_text("x", text)
    assert np.isnan(data["a"][0])
    assert data["b"] == -np.inf


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    storage.write_file(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        storage.write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_results_load_nothing_heavy():
    command = [sys.executable, "-c", "import sys, qdt_emu.result; print(*sys.modules)"]
    home = Path(qdt_emu.__file__).parents[1]
    loaded = set(subprocess.check_output(command, cwd=home, text=True).split())
    assert not loaded & {"jax", "matplotlib", "numba", "qiskit", "scipy", "xarray"}
