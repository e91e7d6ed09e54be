"""`qdt scoreboard` writes a page, its numbers and pictures, and goes on where it stopped."""

import json

import pytest

from qdt_emu.calibrations import read


@pytest.fixture
def bundled_only(monkeypatch):
    monkeypatch.setattr(read, "installed", dict)


@pytest.mark.usefixtures("bundled_only")
def test_a_board_is_played_written_and_not_played_again(qdt, tmp_path):
    command = ("scoreboard", "--only", "layers", "--out", tmp_path)
    code, out, _ = qdt(*command, "--limit", 2, "--json")
    assert code == 0
    assert len(json.loads((tmp_path / "scoreboard.json").read_text())["rows"]) == 4
    code, out, _ = qdt(*command, "--json")
    found = json.loads(out)["boards"]["layers"]
    assert code == 0
    assert {x["method"] for x in found["figures"]} == {"twin, calibration only", "twin, learned"}
    page = (tmp_path / "scoreboard.md").read_text()
    assert "## layers" in page
    assert "![](scoreboard/layers.png)" in page
    assert (tmp_path / "scoreboard" / "layers.png").read_bytes().startswith(b"\x89PNG")
    before = (tmp_path / "scoreboard.json").read_bytes()
    code, out, _ = qdt(*command)
    assert code == 0
    assert "layers: EPLG, twin, learned" in out
    assert (tmp_path / "scoreboard.json").read_bytes() == before


def test_data_that_are_not_at_hand_are_named(qdt, tmp_path, monkeypatch):
    monkeypatch.setenv("QDT_DATA", str(tmp_path))
    code, out, _ = qdt("scoreboard", "--only", "same_day", "--out", tmp_path, "--json")
    left_out = json.loads(out)["left_out"]
    assert code == 0
    assert len(left_out) == 1
    assert left_out[0].startswith("same_day: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--only", "ghost"], "'ghost'"), (["--out", "nowhere"], "'nowhere'")],
)
def test_bad_input_is_one_sentence(arguments, says, qdt, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = qdt("scoreboard", *arguments)
    assert code == 2
    assert says in " ".join((out + err).split())
    assert not list(tmp_path.iterdir())
