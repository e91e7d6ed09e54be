"""`qdt layers`: measured beside predicted, and honest about what is missing."""

import json

import pytest

from qdt_emu.calibrations import read
from qdt_emu.learning.layers import FITTED_ON

KEYS = {"eplg_measured", "eplg_predicted", "low", "high", "product", "fitted", "qubits"}


@pytest.fixture
def bundled_only(monkeypatch):
    monkeypatch.setattr(read, "installed", dict)


@pytest.mark.usefixtures("bundled_only")
def test_bundled_snapshots_are_enough_for_an_answer_that_says_so(qdt, tmp_path):
    code, out, _ = qdt("layers", "--figure", tmp_path / "layers.png", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found["devices"]) == {
        *("ibm_boston", "ibm_fez", "ibm_kyiv", "ibm_marrakesh", "ibm_sherbrooke", "ibm_torino")
    }
    assert all(set(d) >= KEYS for d in found["devices"].values())
    for name, row in found["devices"].items():
        assert row["fitted"] == (name in FITTED_ON)
        assert row["low"] < row["eplg_predicted"] < row["high"]
        assert row["qubits"] == 100
    assert "not installed" in found["note"]
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("bundled_only")
def test_the_table_names_medians_bands_and_factors(qdt):
    code, out, _ = qdt("layers")
    assert code == 0
    assert "median |ln(predicted / measured)|" in out
    assert "68 % band holds" in out
    assert "fixed couplers: in a full layer" in out


@pytest.mark.slow
def test_all_snapshots_that_carry_layer_fidelities_are_shown(qdt):
    if not read.installed():
        pytest.skip("qiskit-ibm-runtime has the snapshots; it is not installed")
    code, out, _ = qdt("layers", "--json")
    found = json.loads(out)
    assert code == 0
    assert len(found["devices"]) >= 18
    assert {n for n, d in found["devices"].items() if d["fitted"]} == set(FITTED_ON)
    assert "nighthawk" in found["note"]
    assert found["devices"]["ibm_kyoto"]["eplg_predicted"] is None  # no gate errors in its file
    assert found["median_abs_log"]["test"] <= 0.20 < found["median_abs_log"]["test_product"]


def test_a_figure_of_an_unknown_folder_is_refused_before_the_work(qdt, tmp_path):
    code, out, err = qdt("layers", "--figure", tmp_path / "nowhere" / "x.png")
    assert code == 2
    assert "nowhere" in out + err
