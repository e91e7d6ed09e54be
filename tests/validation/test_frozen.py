"""Frozen predictions cannot be changed unnoticed."""

import hashlib
import json

import pytest

from qdt_emu.errors import InputError
from qdt_emu.validation.frozen import Prediction, freeze, thaw

WHEN = "2026-01-01T12:00:00Z"
BELL = Prediction("bell", "OPENQASM 2.0;\nqreg q[2];", "id", "ibm_x", counts={"00": 51, "11": 49})
CURVE = Prediction("curve", "kicked Ising", "id", "ibm_x", values={"W10": (0.5, 0.4, 0.7)})


def test_what_was_frozen_comes_back(tmp_path):
    first = freeze([BELL, CURVE], tmp_path / "f.json", created=WHEN)
    again = thaw(tmp_path / "f.json")
    assert again == first
    assert again.created == WHEN
    assert again.find("bell") == BELL
    assert again.find("other", "  OPENQASM 2.0;\n  qreg q[2];  \n") == BELL
    assert again.find("nothing") is None


def test_the_hash_is_that_of_the_canonical_text(tmp_path):
    found = freeze([BELL], tmp_path / "f.json", created=WHEN)
    body = json.loads((tmp_path / "f.json").read_text())
    assert body.pop("sha256") == found.sha256
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == found.sha256


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"00":51', '"00":52'),
        (WHEN, WHEN.replace("2026", "2025")),
        ("qreg", "greg"),
        ("0.7", "0.8"),
    ],
)
def test_any_change_is_noticed(old, new, tmp_path):
    path = tmp_path / "f.json"
    freeze([BELL, CURVE], path, created=WHEN)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match="it was changed"):
        thaw(path)


def test_frozen_files_are_never_overwritten(tmp_path):
    freeze([BELL], tmp_path / "f.json", created=WHEN)
    with pytest.raises(InputError, match="never overwritten"):
        freeze([CURVE], tmp_path / "f.json", created=WHEN)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p: freeze([], p, created=WHEN), "there are none"),
        (lambda p: freeze([BELL, BELL], p, created=WHEN), "'bell'"),
        (lambda p: freeze([BELL], p, created="soon"), "ISO 8601"),
        (thaw, "does not exist"),
        (lambda _: Prediction("x", "", "", ""), "counts or values"),
        (lambda _: Prediction("x", "", "", "", values={"a": (1, 2, 3)}), "low <= value"),
    ],
)
def test_what_makes_no_sense_is_refused(call, says, tmp_path):
    with pytest.raises(InputError, match=says):
        call(tmp_path / "f.json")


def test_other_files_are_not_taken_for_predictions(tmp_path):
    path = tmp_path / "f.json"
    path.write_text("[]")
    with pytest.raises(InputError, match="must be frozen predictions"):
        thaw(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        thaw(path)
