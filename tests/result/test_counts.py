import json
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.result import Counts, Provenance, Report

REPORT = Report("density", "exact below 13 qubits", 0.1, 1024, {"bond": 4}, ("t2 was set to 2 t1",))


def origin(seed=1, **changes):
    return replace(Provenance("dev", "cal", "circ", "bell", seed), **changes)


def counts(of, seed=1, **options):
    return Counts(of, REPORT, origin(seed), **options)


@st.composite
def any_counts(draw, seed=1):
    n = draw(st.integers(1, 70))
    keys = draw(st.sets(st.integers(0, 2**n - 1), min_size=1, max_size=12))
    amounts = draw(st.lists(st.integers(1, 10**6), min_size=len(keys), max_size=len(keys)))
    of = {format(k, f"0{n}b"): a for k, a in zip(sorted(keys), amounts, strict=True)}
    cut = draw(st.integers(0, n))
    registers = (("a", cut), ("b", n - cut)) if 0 < cut < n else ()
    return counts(of, seed, registers=registers, truncation=draw(st.floats(0, 1)))


@given(any_counts())
@settings(max_examples=50, deadline=None)
def test_counts_survive_json_xarray_pickle_and_disk(tmp_path_factory, c):
    path = tmp_path_factory.mktemp("counts") / "c.json"
    c.save(path)
    assert Counts.from_json(c.to_json()) == c
    assert Counts.from_xarray(c.to_xarray()) == c
    assert pickle.loads(pickle.dumps(c)) == c
    assert Counts.load(path) == c
    assert [p.name for p in path.parent.iterdir()] == ["c.json"]


@given(any_counts(seed=1), st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_addition_adds_shots_and_commutes(c, seed):
    d = replace(c, provenance=origin(seed))
    both = c + d
    assert both.shots == 2 * c.shots
    assert both.probabilities() == pytest.approx(c.probabilities())
    assert both.counts == (d + c).counts
    assert set(both.provenance.seeds) == {1, seed}
    assert both.report.seconds == 2 * c.report.seconds
    assert both.report.notes == c.report.notes


def test_bits_and_strings_are_each_other_reversed():
    bits = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], np.uint8)
    c = Counts.from_bits(bits, REPORT, origin())
    assert dict(c.counts) == {"001": 2, "100": 1}
    records, amounts = c.bits()
    assert {tuple(r): a for r, a in zip(records.tolist(), amounts.tolist(), strict=True)} == {
        (1, 0, 0): 2,
        (0, 0, 1): 1,
    }


@pytest.mark.parametrize("n", [1, 7, 8, 47, 48, 49, 63, 64, 65, 127])
def test_tally_agrees_with_counting_rows_one_by_one(n):
    rng = np.random.default_rng(n)
    pool = rng.integers(0, 2, (5, n), dtype=np.uint8)
    bits = pool[rng.integers(0, 5, 300)]
    slow = {}
    for row in bits:
        key = "".join(map(str, row[::-1]))
        slow[key] = slow.get(key, 0) + 1
    fast = Counts.from_bits(bits, REPORT, origin()).counts
    assert dict(fast) == slow
    assert list(fast) == sorted(slow)


def test_a_program_without_bits_has_one_outcome():
    c = Counts.from_bits(np.zeros((9, 0), np.uint8), REPORT, origin())
    assert dict(c.counts) == {"": 9}


def test_from_bits_is_fast():
    bits = np.random.default_rng(0).integers(0, 2, (100_000, 15), dtype=np.uint8)
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        Counts.from_bits(bits, REPORT, origin())
        best = min(best, time.process_time() - start)
    assert best < 0.1  # 20 ms on a quiet machine; all 32 768 outcomes occur


def test_marginals_keep_shots_and_order():
    c = counts({"110": 3, "011": 5})
    assert dict(c.marginal([0]).counts) == {"0": 3, "1": 5}
    assert dict(c.marginal([2, 0]).counts) == {"01": 3, "10": 5}
    assert c.marginal([0]).shots == c.shots
    with pytest.raises(InputError, match="settings"):
        c.marginal([0]) + replace(c, provenance=origin(2)).marginal([1])


@given(any_counts())
@settings(max_examples=30, deadline=None)
def test_expectation_of_a_bit_is_that_of_its_marginal(c):
    for bit in {0, c.n_clbits - 1}:
        p = c.marginal([bit]).probabilities()
        assert c.expectation([bit]) == pytest.approx(p.get("0", 0) - p.get("1", 0))


def test_letters_and_bits_name_the_same_observable():
    c = counts({"0110": 3, "0011": 5, "1000": 1})
    assert c.expectation("IZZI") == c.expectation([1, 2])
    assert c.expectation("IIII") == c.expectation([]) == 1.0
    value, stderr = c.estimate(["IZZI"]).values[0], c.estimate(["IZZI"]).stderr[0]
    assert value == c.expectation("IZZI")
    assert stderr == pytest.approx(np.sqrt((1 - value**2) / 9))


def test_budget_of_shots_is_the_mean_distance():
    # 2000 samples of a known distribution: the mean distance is known to 0.5 %.
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(32))
    samples = rng.multinomial(4000, p, 2000)
    mean = 0.5 * np.abs(samples / 4000 - p).sum(1).mean()
    budgets = [
        counts({format(i, "05b"): int(a) for i, a in enumerate(s)}).budget for s in samples[:50]
    ]
    assert np.mean([b.shots for b in budgets]) == pytest.approx(mean, rel=0.03)
    assert not budgets[0].note


def test_budget_says_when_it_is_only_a_lower_bound():
    rng = np.random.default_rng(5)
    sparse = Counts.from_bits(rng.integers(0, 2, (1000, 30)), REPORT, origin()).budget
    assert 0.99 < sparse.shots <= 1.0  # the true distance is 1 - 1000 / 2^30
    assert "lower bound" in sparse.note


def test_more_sources_make_a_larger_budget():
    c = counts({"0": 500, "1": 500})
    more = c.with_sources(parameters=0.03, model=0.04)
    assert c.budget.missing == ("trajectories", "parameters", "model")
    assert more.budget.total == pytest.approx(np.hypot(0.05, c.budget.shots))
    assert more.provenance == c.provenance


def test_qiskit_counts_have_spaces_between_registers():
    c = counts({"110": 3, "011": 5}, registers=(("a", 1), ("b", 2)))
    there = c.to_qiskit()
    assert dict(there) == {"11 0": 3, "01 1": 5}
    assert there.shots() == 8
    back = Counts.from_qiskit(there)
    assert dict(back.counts) == dict(c.counts)
    assert [size for _, size in back.registers] == [1, 2]


def test_counts_are_a_dict_of_their_own_in_a_frozen_result():
    given = {"0": 1}
    c = counts(given)
    given["0"] = 5
    assert json.loads(json.dumps(c.counts)) == {"0": 1}
    with pytest.raises(AttributeError):
        c.truncation = 1.0


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({}, "at least one outcome"),
        ({"0": 0}, "positive"),
        ({"0": -1}, "positive"),
        ({"0": 0.5, "1": 0.5}, "whole"),
        ({"0": 1, "01": 1}, "'0' and '01'"),
        ({"0x1": 4}, "'0x1'"),
        ({"0 1": 4}, "from_qiskit"),
    ],
)
def test_malformed_counts_are_refused_with_a_reason(of, says):
    with pytest.raises(InputError, match=says):
        counts(of)


def test_wrong_registers_and_records_are_refused():
    with pytest.raises(InputError, match="add up to 2 bits"):
        counts({"01": 1}, registers=(("c", 3),))
    with pytest.raises(InputError, match="zeros and ones"):
        Counts.from_bits(np.full((2, 2), 2), REPORT, origin())
    with pytest.raises(InputError, match="shots >= 1"):
        Counts.from_bits(np.zeros((0, 2)), REPORT, origin())
    for bad, says in (
        ("ZZZ", "2 letters"),
        ("XZ", "rotating"),
        ([5], "0..1"),
        ([0, 0], "distinct"),
    ):
        with pytest.raises(InputError, match=says):
            counts({"01": 1}).expectation(bad)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"provenance": origin(1)}, "seed 1"),
        ({"provenance": origin(2, circuit_id="other")}, "circuit_id"),
        ({"provenance": origin(2, device="other")}, "device"),
        ({"provenance": origin(2, calibration_id="other")}, "calibration_id"),
        ({"provenance": origin(2, settings={"bond": 8})}, "settings"),
        ({"provenance": origin(None)}, "hardware"),
        ({"provenance": origin(2), "report": Report("mps")}, "'density' and 'mps'"),
        ({"provenance": origin(2), "registers": (("c", 1),)}, "same bits"),
    ],
)
def test_only_independent_runs_of_the_same_thing_add(change, says):
    c = counts({"0": 1, "1": 2})
    with pytest.raises(InputError, match=says):
        c + replace(c, **change)


def test_a_sum_does_not_take_back_what_it_contains():
    c = counts({"0": 1})
    both = c + replace(c, provenance=origin(2))
    with pytest.raises(InputError, match="seed 2"):
        both + replace(c, provenance=origin(2))
    hardware = Counts.from_qiskit({"0": 1})
    with pytest.raises(InputError, match="to itself"):
        hardware + hardware


def test_repr_is_short_and_html_is_escaped():
    c = Counts.from_bits(
        np.random.default_rng(0).integers(0, 2, (500, 8)),
        REPORT,
        origin(device="<script>"),
    )
    assert len(repr(c)) < 150
    assert "shots=500" in repr(c)
    assert "<script>" not in c._repr_html_()
    assert c.top(3) == sorted(c.counts.items(), key=lambda kv: (-kv[1], kv[0]))[:3]
