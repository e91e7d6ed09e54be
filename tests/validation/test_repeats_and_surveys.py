"""Repeatability, many circuits, two twins; seeds fixed, false alarms below 1e-4 unless stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, kstest

from qdt_emu.errors import InputError
from qdt_emu.validation import compare
from qdt_emu.validation.change import Change, change
from qdt_emu.validation.distances import exact_floor, total_variation
from qdt_emu.validation.repeatability import overdispersion, repeat_distance
from qdt_emu.validation.significance import benjamini_hochberg, survey
from qdt_emu.validation.verdict import Verdict

KEYS = [format(i, "04b") for i in range(16)]


def table(values):
    return dict(zip(KEYS, np.asarray(values).tolist(), strict=True))


def truth(seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(16))


def drifting(rng, p, shots, concentration):
    """Counts whose probabilities are drawn anew: phi = 1 + (shots - 1) / (concentration + 1)."""
    return table(rng.multinomial(shots, rng.dirichlet(concentration * p)))


def test_steady_repeats_have_no_overdispersion():
    rng = np.random.default_rng(1)
    p = truth()
    found = [
        overdispersion([[table(rng.multinomial(2000, p)) for _ in range(4)]]) for _ in range(200)
    ]
    df = found[0].df
    assert np.mean([f.phi for f in found]) == pytest.approx(1, abs=5 * (2 / df / 200) ** 0.5)
    assert kstest([f.p_value for f in found], "uniform").pvalue > 1e-4


def test_drift_between_repeats_is_measured():
    rng = np.random.default_rng(2)
    groups = [[drifting(rng, truth(k), 2000, 999) for _ in range(8)] for k in range(30)]
    found = overdispersion(groups)
    assert found.phi == pytest.approx(1 + 1999 / 1000, rel=0.15)  # sigma 3 %
    assert found.p_value < 1e-6
    assert found.circuits == 30
    assert found.widening == pytest.approx(found.phi**0.5)


def test_repeats_are_two_floors_apart():
    rng = np.random.default_rng(3)
    p = truth()
    repeats = [table(rng.multinomial(1000, p)) for _ in range(40)]
    assert repeat_distance(repeats) == pytest.approx(2**0.5 * exact_floor(p, 1000), rel=0.05)
    first = repeat_distance(repeats[1:], repeats[0])
    assert first == pytest.approx(np.mean([total_variation(r, repeats[0]) for r in repeats[1:]]))


def test_repeats_that_say_nothing_are_refused():
    with pytest.raises(InputError, match="none of 1"):
        overdispersion([[{"0": 5}, {"0": 7}]])
    with pytest.raises(InputError, match="must be counts"):
        overdispersion([[{"0": 0.5, "1": 0.5}, {"0": 50, "1": 50}]])
    with pytest.raises(InputError, match="at least 2"):
        repeat_distance([{"0": 5}])


def test_repeats_widen_floor_and_bands_only_where_the_processor_drifts():
    rng = np.random.default_rng(4)
    p = truth()
    twin = table(p)
    steady = [table(rng.multinomial(4000, p)) for _ in range(6)]
    loose = [drifting(rng, p, 4000, 400) for _ in range(6)]
    alone = compare(twin, loose[0], seed=1)
    wide = compare(twin, loose[0], repeats=loose[1:], seed=1)
    same = compare(twin, steady[0], repeats=steady[1:], seed=1)
    assert wide.overdispersion > 4
    assert wide.floor > 1.5 * alone.floor
    assert wide.stderr > 1.5 * alone.stderr
    assert not alone.agrees
    assert wide.agrees
    assert same.floor == pytest.approx(compare(twin, steady[0], seed=1).floor, rel=0.25)
    assert "own repeats" in wide.sentence
    assert "hardware repeatability" in str(wide)
    assert wide.repeat_skill == pytest.approx(1 - wide.distance / wide.repeat)
    assert alone.repeat_skill is None
    assert same.repeat_skill > 0  # an exact prediction has no shot noise of its own
    assert Verdict.from_json(wide.to_json()) == wide


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_scipy(p):
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_the_false_discovery_rate_is_kept_and_power_is_not_lost():
    # 60 agreeing and 20 differing circuits: of the calls at most 5 % may be wrong on average.
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(300):
        p = np.concatenate([rng.random(60), rng.random(20) * 1e-3])
        called = benjamini_hochberg(p) <= 0.05
        shares.append(called[:60].sum() / max(1, called.sum()))
        assert called[60:].all()
    assert np.mean(shares) < 0.05 + 5 * np.std(shares) / 300**0.5


def test_p_values_outside_0_1_are_refused():
    with pytest.raises(InputError, match=r"1\.5"):
        benjamini_hochberg([0.1, 1.5])


def verdicts(wrong=0.0, circuits=8, *, of=None, shots=3000, seed=6):
    rng = np.random.default_rng(seed)
    out = []
    for k in range(circuits):
        p, other = truth(k), truth(k + 100)
        measured = table(rng.multinomial(shots, p))
        share = wrong if of is None or k in of else 0.0
        out.append(compare(table((1 - share) * p + share * other), measured, seed=k, draws=200))
    return out


def test_a_survey_names_the_circuits_that_are_off():
    names = [f"c{k}" for k in range(8)]
    found = survey(names, verdicts(0.2, of={2, 5}))
    assert set(found.off) == {"c2", "c5"}
    assert "2 of 8 circuits are off by more than shot noise (c2, c5)" in found.sentence
    assert found.geometric_mean() < found.geometric_mean("uniform")
    with pytest.raises(InputError, match="'magic'"):
        found.geometric_mean("magic")
    with pytest.raises(InputError, match="0 names"):
        survey([], [])


@pytest.mark.parametrize("circuits", [1, 3, 12])
def test_a_change_says_improved_degraded_or_inconclusive(circuits):
    names = [f"c{k}" for k in range(circuits)]
    good, bad = verdicts(0.0, circuits), verdicts(0.3, circuits)
    better = change(names, bad, good, seed=1)
    assert better.decision == "improved"
    assert better.sentence.startswith("Improved: excess distance")
    assert better.ratio < 0.5
    assert better.reduction > 0.7
    worse = change(names, good, bad, seed=1)
    assert worse.decision == "degraded"
    assert worse.ratio == pytest.approx(1 / better.ratio)
    assert change(names, good, good, seed=1).decision == "inconclusive"


def test_equal_twins_are_rarely_said_to_differ():
    # Two samples of the truth as twins, 60 trials of 12 circuits: 5 % promised, sigma 2.8 %.
    called = 0
    for trial in range(60):
        rng = np.random.default_rng(1000 + trial)
        rows = [[], []]
        for k in range(12):
            measured = table(rng.multinomial(1000, truth(k)))
            for row in rows:
                twin = table(rng.multinomial(1000, truth(k)))
                row.append(compare(twin, measured, seed=k, draws=100))
        found = change([str(k) for k in range(12)], *rows, seed=trial, draws=500)
        called += found.decision != "inconclusive"
    assert called / 60 < 0.05 + 5 * 0.028


def test_changes_survive_json_and_belong_to_one_measurement(tmp_path):
    found = change(["a", "b"], verdicts(0.3, 2), verdicts(0.0, 2), seed=1)
    found.save(tmp_path / "change.json")
    assert Change.from_json((tmp_path / "change.json").read_text()) == found
    with pytest.raises(InputError, match="one measurement"):
        change(["a", "b"], verdicts(0.3, 2), verdicts(0.0, 2, shots=100), seed=1)
    with pytest.raises(InputError, match="1 names"):
        change(["a"], verdicts(0.3, 2), verdicts(0.0, 2), seed=1)
