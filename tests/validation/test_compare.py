"""The verdict keeps what a statistic promises; seeds are fixed, false alarms below 1e-4."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.validation import Verdict, baselines, compare, resampling
from qdt_emu.validation.distances import total_variation

N = 5
KEYS = [format(i, f"0{N}b") for i in range(2**N)]
IDEAL = {"0" * N: 0.5, "1" * N: 0.5}
CONFUSION = np.linspace([0.01, 0.02], [0.03, 0.06], N)


def table(values):
    return dict(zip(KEYS, np.asarray(values).tolist(), strict=True))


def truth():
    p = baselines.ideal_readout(IDEAL, CONFUSION, KEYS)
    tilt = np.random.default_rng(0).dirichlet(np.ones(32))
    return 0.8 * p + 0.2 * tilt


def measured(seed=1, shots=4000):
    return table(np.random.default_rng(seed).multinomial(shots, truth()))


@given(st.lists(st.floats(0, 0.5), min_size=6, max_size=6), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_readout_baseline_is_the_product_of_confusion_matrices(flips, seed):
    flips = np.reshape(flips, (3, 2))
    ideal = np.random.default_rng(seed).dirichlet(np.ones(8))
    keys = [format(i, "03b") for i in range(8)]
    matrices = [np.array([[1 - up, down], [up, 1 - down]]) for up, down in flips]
    whole = np.kron(matrices[2], np.kron(matrices[1], matrices[0]))
    given_ = dict(zip(keys, ideal.tolist(), strict=True))
    assert np.allclose(baselines.ideal_readout(given_, flips, keys), whole @ ideal)


def test_readout_of_wide_records_agrees_with_the_dense_way(monkeypatch):
    dense = baselines.ideal_readout(IDEAL, CONFUSION, KEYS)
    monkeypatch.setattr(baselines, "DENSE_BITS", 0)
    assert np.allclose(baselines.ideal_readout(IDEAL, CONFUSION, KEYS), dense)
    monkeypatch.setattr(baselines, "LARGEST", 1)
    with pytest.raises(InputError, match="too many"):
        baselines.ideal_readout(IDEAL, CONFUSION, KEYS)
    with pytest.raises(InputError, match=r"shape \(5, 2\)"):
        baselines.ideal_readout(IDEAL, CONFUSION[:3], KEYS)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_depolarizing_baseline_finds_its_parameter(fraction):
    p = fraction * baselines.ideal(IDEAL, KEYS) + (1 - fraction) / 32
    shots = np.random.default_rng(1).multinomial(100_000, p)
    found, fitted = baselines.ideal_depolarized(IDEAL, table(shots), KEYS)
    assert fitted == pytest.approx(fraction, abs=0.015)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("shots", [0, 4000])
def test_a_perfect_twin_explains_everything_within_its_error(shots):
    pulls = []
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        twin = table(rng.multinomial(shots, truth()) if shots else truth())
        verdict = compare(
            twin, measured(seed), seed=seed, ideal=IDEAL, confusion=CONFUSION, draws=200
        )
        assert verdict.skills[0].baseline == "uniform"
        pulls.append((verdict.explained - 1) / verdict.explained_stderr)
    assert abs(np.mean(pulls)) < 0.8  # 5 sigma of the mean
    assert np.mean(np.abs(pulls) < 3) > 0.9


@pytest.mark.parametrize("shots", [0, 300])
def test_p_values_hold_even_where_almost_every_outcome_is_new(shots):
    # 512 outcomes, 300 shots: the normal floor is far off here. 100 p values, 10 % expected below
    # 0.1, sigma 3 %.
    rng = np.random.default_rng(9)
    p = rng.dirichlet(np.ones(512))
    below = 0
    for seed in range(100):
        q = rng.multinomial(300, p) / 300
        first = rng.multinomial(shots, p) / shots if shots else p
        null = resampling.null_distances(first, q, shots, 300, draws=99, seed=seed)
        below += (1 + (null >= total_variation(first, q)).sum()) / 100 <= 0.1
    assert below / 100 < 0.1 + 0.13


def test_a_perfect_twin_beats_every_baseline_and_agrees():
    verdict = compare(table(truth()), measured(), seed=1, ideal=IDEAL, confusion=CONFUSION)
    assert [s.baseline for s in verdict.skills] == [
        *("uniform", "ideal", "ideal + readout", "ideal + depolarizing"),
    ]
    assert verdict.sentence.startswith("Better than every baseline")
    assert verdict.agrees
    assert verdict.rms_z < 2
    for s in verdict.skills:
        assert s.low <= s.skill <= s.high
        assert s.skill == pytest.approx(1 - verdict.distance / s.distance)


def test_a_useless_twin_is_called_so():
    wrong = table(np.random.default_rng(5).dirichlet(np.ones(32)))
    verdict = compare(wrong, table(np.full(32, 100)), seed=1)
    assert verdict.sentence.startswith("No better than uniform")
    assert not verdict.agrees
    assert any("uniform is the only baseline" in note for note in verdict.notes)


def test_a_twin_that_ignores_readout_is_worse_than_one_line_of_it():
    verdict = compare(
        {"0" * N: 0.55, "1" * N: 0.45}, measured(), seed=1, ideal=IDEAL, confusion=CONFUSION
    )
    assert verdict.sentence.startswith("Worse than the baseline")


def test_the_ideal_circuit_as_twin_is_undecided_against_itself():
    rng = np.random.default_rng(3)
    sampled = {"0" * N: 5000, "1" * N: 5000}
    hardware = table(rng.multinomial(4000, baselines.ideal(IDEAL, KEYS)))
    hardware = {k: v for k, v in hardware.items() if v}
    verdict = compare(sampled, hardware, seed=1, ideal=IDEAL)
    ideal = next(s for s in verdict.skills if s.baseline == "ideal")
    assert ideal.decision == "undecided"
    assert verdict.explained is None  # the ideal circuit is at the floor itself


def test_sampled_twins_meet_baselines_of_as_many_shots():
    # A twin that equals the ideal circuit, sampled: its own shot noise must not make it worse.
    rng = np.random.default_rng(11)
    p = table(rng.dirichlet(np.ones(32)))
    worse = 0
    for seed in range(20):
        twin = table(rng.multinomial(500, list(p.values())))
        hardware = table(rng.multinomial(500, list(p.values())))
        verdict = compare(twin, hardware, seed=seed, ideal=p, draws=200)
        worse += verdict.skills[1].decision == "worse"
    assert worse <= 4  # 2.5 % expected each


def test_a_sampled_ideal_distribution_is_noted_and_not_made_noisier():
    verdict = compare(table(truth()), measured(), seed=1, ideal={"0" * N: 60, "1" * N: 40})
    ideal = total_variation({"0" * N: 60, "1" * N: 40}, measured())
    assert verdict.skills[1].distance == pytest.approx(ideal)
    assert any("100 shots" in note for note in verdict.notes)


def test_verdicts_are_reproducible_and_survive_json(tmp_path):
    options = {"ideal": IDEAL, "confusion": CONFUSION, "draws": 200}
    first = compare(table(truth()), measured(), seed=7, **options)
    assert compare(table(truth()), measured(), seed=7, **options) == first
    assert compare(table(truth()), measured(), seed=8, **options).floor != first.floor
    first.save(tmp_path / "v.json")
    assert Verdict.load(tmp_path / "v.json") == first
    assert json.loads(first.to_json())["sentence"] == first.sentence


def test_the_table_always_has_the_uniform_baseline():
    text = str(compare(table(truth()), measured(), seed=1))
    assert "skill over uniform" in text
    assert "shot-noise floor" in text
    wide = compare({"0" * 40: 3, "1" * 40: 2}, {"0" * 40: 1, "01" * 20: 1}, seed=1)
    assert wide.skills[0].distance > 0.99
    assert any("z scores" in note for note in wide.notes)
    assert wide.g is None


def test_a_measurement_without_shots_is_refused():
    with pytest.raises(InputError, match="must be counts"):
        compare(table(truth()), table(truth()), seed=1)


def test_a_verdict_draws_twin_and_baselines():
    verdict = compare(table(truth()), measured(), seed=1, ideal=IDEAL, draws=100)
    figure = verdict.plot(title="GHZ")
    names = {t.get_text() for t in figure.axes[0].get_yticklabels()}
    assert names == {"twin", "uniform", "ideal", "ideal + depolarizing"}
