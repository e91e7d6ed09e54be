"""Public data: found in order, intact, complete; what cannot be had is refused by name."""

import hashlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.validation import public_data as public

needs_data = pytest.mark.skipif(
    public.data_folder() is None, reason="no measured data; set QDT_DATA to its folder"
)
ISING = "ibm_kicked_ising_2023/exact_begusic_chan.csv"


@pytest.fixture
def empty(monkeypatch, tmp_path):
    monkeypatch.setenv("QDT_DATA", str(tmp_path))
    return tmp_path


def test_every_file_belongs_to_a_data_set_with_source_and_licence():
    assert {path.partition("/")[0] for path in public.CHECKSUMS} == set(public.datasets())
    assert all(d.source.startswith("https://") and d.licence for d in public.datasets().values())
    assert set(public.DOWNLOADS) <= set(public.CHECKSUMS)
    assert not any("reserved" in path for path in public.CHECKSUMS)


def test_downloads_are_pinned_to_a_commit():
    for url in public.DOWNLOADS.values():
        commit = url.split("/")[5]
        assert len(commit) == 40
        assert int(commit, 16)


def test_the_variable_comes_first_and_must_name_a_folder(monkeypatch, empty):
    assert public.data_folder() == empty
    monkeypatch.setenv("QDT_DATA", str(empty / "nowhere"))
    with pytest.raises(InputError, match=r"QDT_DATA.*must name a folder.*nowhere"):
        public.data_folder()


@pytest.mark.usefixtures("empty")
def test_what_is_repackaged_is_refused_with_variable_and_source():
    with pytest.raises(InputError, match=r"QDT_DATA.*execution-structure-conditioning"):
        public.find("ibm_ghz_2025/runs.json.xz")
    with pytest.raises(InputError, match="must be one of"):
        public.find("reserved.bin")


@pytest.mark.usefixtures("empty")
def test_a_download_without_pooch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(UnsupportedError, match=r"pip install qdt-emu\[data\]"):
        public.find(ISING)


def test_a_download_asks_for_the_pinned_address_and_its_checksum(monkeypatch, empty):
    asked = {}

    def retrieve(url, known_hash, fname, path):
        asked.update(url=url, known_hash=known_hash)
        return str(path / fname)

    fake = SimpleNamespace(retrieve=retrieve, os_cache=lambda name: empty / name)
    monkeypatch.setitem(sys.modules, "pooch", fake)
    assert public.find(ISING) == empty / "qdt_emu" / ISING
    assert asked == {
        "url": public.DOWNLOADS[ISING],
        "known_hash": "sha256:" + public.CHECKSUMS[ISING],
    }


def test_verify_names_the_missing_and_the_changed(empty):
    text = b"theta_h"
    (empty / ISING).parent.mkdir()
    (empty / ISING).write_bytes(text)
    found = public.verify("ibm_kicked_ising_2023")
    assert len(found) == 4
    assert sum("missing" in line for line in found) == 3
    assert any(ISING in line and hashlib.sha256(text).hexdigest()[:12] in line for line in found)
    with pytest.raises(InputError, match="ibm_ghz_2025"):
        public.verify("ibm_ghz")


@needs_data
def test_the_files_here_are_what_they_were():
    assert public.verify() == ()


@needs_data
@pytest.mark.parametrize(
    ("dataset", "n_sessions", "n_runs", "shots"),
    [
        ("ibm_same_day_2026", 1, 1, 8192),
        ("ibm_ghz_2025", 2, 4, None),
        ("ibm_repetition_code_2022", 6, 6 * 57, 100_000),
        ("ibm_matching_code_2021", 4, 4, 8192),
        ("iqm_garnet_dynamic_2025", 1, 14, None),
    ],
)
def test_sessions_hold_circuits_counts_and_calibration(dataset, n_sessions, n_runs, shots):
    found = public.sessions(dataset)
    assert len(found) == len({s.name for s in found}) == n_sessions
    assert sum(len(s.runs) for s in found) == n_runs
    assert sorted(s.date for s in found) == [s.date for s in found]
    for session in found:
        assert session.device
        assert all(run.circuit.startswith("OPENQASM") for run in session.runs)
        assert all(run.device == session.device for run in session.runs)
        if shots is not None:
            assert {sum(run.counts.values()) for run in session.runs} == {shots}
        assert session.calibration.name == session.device.lower().replace(" ", "_")


@needs_data
def test_the_ghz_pairs_keep_the_averages_of_their_day():
    marrakesh, fez = public.sessions("ibm_ghz_2025")
    assert (marrakesh.device, fez.device) == ("ibm_marrakesh", "ibm_fez")
    assert [run.name.split("/")[1] for run in fez.runs] == ["baseline", "conditioned"]
    assert marrakesh.averages["avg_t1_us"] == 195.92
    assert str(marrakesh.calibration.snapshot_time)[:10] == "2025-02-26"


@needs_data
def test_data_without_circuits_is_refused():
    with pytest.raises(InputError, match=r"ibm_ghz_2025.*vendor_calibrations"):
        public.sessions("vendor_calibrations")


@needs_data
def test_kicked_ising_has_the_published_means_and_the_last_entry_first():
    data = public.kicked_ising()
    assert data.values.shape == (data.depths.size, 127, data.gains.size)
    raw = public.find("ibm_kicked_ising_2023/fig2bc_experiment_unmit.txt").read_text().split(",")
    assert data.values[0, 126].tolist() == [float(x) for x in raw[:3]]
    means = [0.85496, 0.74432, 0.65491, 0.57926, 0.51539]
    assert np.allclose(data.values[:, :, 0].mean(1), means, atol=5e-6)
    assert np.allclose(data.angles, np.arange(17) * np.pi / 32)
    assert np.isclose(data.exact["W10"][14], 0.7490256994, atol=1e-9)
    assert np.isclose(data.exact["Z62_9"][6], 0.7442229390, atol=1e-9)


@needs_data
def test_count_series_hold_all_shots():
    found = {series.name: series for series in public.count_series()}
    shots = {"ramsey__ibmq_rome": 8000, "walkerSlow__ibmq_quito": 1000}
    for name, number in shots.items():
        assert np.all(found[name].counts.sum(-1) == number)
        assert np.all(np.diff(found[name].dates) >= np.timedelta64(0, "s"))
    assert found["walkerSimple__ibmq_belem"].counts.shape == (250, 10, 16)


@needs_data
def test_quantinuum_counts_survive_at_most_all_shots():
    found = public.quantinuum()
    assert {s.experiment for s in found} == {"TQ_RB", "Memory_RB", "SPAM"}
    for series in found:
        numbers = [n for q in series.survival.values() for k in q.values() for n in k]
        assert 0 < min(numbers) <= max(numbers) <= series.shots


@needs_data
def test_calibrations_over_time_are_in_order():
    found = public.calibration_series("ibm_kyoto")
    assert len(found) == 7
    times = [c.snapshot_time for c in found]
    assert times == sorted(times)
    with pytest.raises(InputError, match=r"ibm_osaka.*ibm_lima"):
        public.calibration_series("ibm_lima")
