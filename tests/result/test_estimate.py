import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.errors import InputError
from qdt_emu.result import Budget, Estimate, Provenance, Report, versions

REPORT = Report("mps")


def estimate(values, stderr, *, seed=1, shots=0, ideal=None):
    paulis = tuple(f"{'Z' * (i + 1):I>5}" for i in range(len(values)))
    budgets = tuple(Budget(shots=s, truncation=0.0, of=p) for p, s in zip(paulis, stderr))  # noqa: B905
    origin = Provenance("dev", "cal", "circ", "name", seed)
    return Estimate(paulis, values, stderr, budgets, REPORT, origin, shots, ideal)


def same(a, b):
    assert a.paulis == b.paulis
    assert np.array_equal(a.values, b.values)
    assert np.array_equal(a.stderr, b.stderr)
    assert (a.ideal is None and b.ideal is None) or np.array_equal(a.ideal, b.ideal)
    for name in ("budgets", "report", "provenance", "shots"):
        assert getattr(a, name) == getattr(b, name)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.booleans())
@settings(max_examples=30, deadline=None)
def test_estimates_survive_json_xarray_pickle_and_disk(tmp_path_factory, values, ideal):
    e = estimate(values, [0.1] * len(values), ideal=values if ideal else None, shots=7)
    path = tmp_path_factory.mktemp("estimate") / "e.json"
    e.save(path)
    same(e, Estimate.from_json(e.to_json()))
    same(e, Estimate.from_xarray(e.to_xarray()))
    same(e, pickle.loads(pickle.dumps(e)))
    same(e, Estimate.load(path))


def test_known_shots_weigh_the_mean():
    a, b = estimate([0.2], [0.1], shots=100), estimate([0.5], [0.05], seed=2, shots=400)
    both = a + b
    assert both.values[0] == pytest.approx(0.44)
    assert both.stderr[0] == pytest.approx(1 / np.sqrt(1 / 0.1**2 + 1 / 0.05**2))
    assert both.budgets[0].shots == pytest.approx(both.stderr[0])
    assert both.shots == 500


def test_a_standard_error_that_is_zero_by_chance_does_not_win():
    # Ten trajectories that happen to agree must not beat a thousand that do not.
    lucky, sound = estimate([1.0], [0.0], shots=10), estimate([0.9], [0.01], seed=2, shots=990)
    assert (lucky + sound).values[0] == pytest.approx(0.901)


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_without_shots_the_weights_are_inverse_variances(s, t, x, y):
    both = estimate([x], [s]) + estimate([y], [t], seed=2)
    assert both.values[0] == pytest.approx((x / s**2 + y / t**2) / (1 / s**2 + 1 / t**2), abs=1e-9)
    assert both.stderr[0] == pytest.approx(1 / np.sqrt(1 / s**2 + 1 / t**2))


def test_exact_estimates_add_to_themselves():
    both = estimate([0.5], [0.0]) + estimate([0.5], [0.0], seed=2)
    assert both.values[0] == 0.5
    assert both.stderr[0] == 0.0


def test_different_paulis_seeds_and_programs_do_not_add():
    e = estimate([0.5, 0.1], [0.1, 0.1])
    with pytest.raises(InputError, match="same Pauli strings"):
        e + estimate([0.5], [0.1], seed=2)
    with pytest.raises(InputError, match="seed 1"):
        e + e
    other = replace(e, provenance=replace(e.provenance, seed=2, circuit_id="x"))
    with pytest.raises(InputError, match="circuit_id"):
        e + other


def test_shapes_and_names_are_checked():
    with pytest.raises(InputError, match="shape"):
        Estimate(("Z",), [0.1, 0.2], [0.1], (Budget(),), REPORT, Provenance())
    with pytest.raises(InputError, match="budgets"):
        Estimate(("Z",), [0.1], [0.1], (), REPORT, Provenance())
    e = estimate([0.5], [0.1])
    assert e["IIIIZ"] == 0.5
    with pytest.raises(InputError, match="XXXXX"):
        e["XXXXX"]
    with pytest.raises(ValueError, match="read-only"):
        e.values[0] = 1


def test_sources_enter_the_total():
    e = estimate([0.5, 0.1], [0.03, 0.03]).with_sources(parameters=[0.04, 0.0])
    assert e.total() == pytest.approx([0.05, 0.03])
    assert "IIIIZ" in repr(e)
    assert "0.05" in e._repr_html_()


def test_a_budget_tells_unknown_from_zero():
    assert Budget().total is None
    assert Budget(shots=0.0).total == 0.0
    text = str(Budget(shots=0.3, truncation=0.4, of="x"))
    assert "not estimated" in text
    assert "0.5 (lower bound: trajectories, parameters, model not estimated)" in text


@given(*[st.none() | st.floats(0, 1)] * 2)
def test_merged_budgets_are_cautious(x, y):
    merged = Budget(model=x).merge(Budget(model=y)).model
    assert merged == (None if x is None or y is None else max(x, y))


def test_versions_name_what_decides_the_numbers():
    assert set(versions()) == {"qdt-emu", "numpy", "numba", "jax", "qiskit"}
    assert versions() is versions()
    assert Provenance().created.endswith("+00:00")


def test_merged_provenance_keeps_both_versions():
    a = Provenance(seed=1, versions={"jax": "1"}, created="2026-01-01T00:00:00+00:00")
    b = Provenance(seed=2, versions={"jax": "2"}, created="2026-01-02T00:00:00+00:00")
    assert a.merge(b).versions == {"jax": "1 | 2"}
    assert a.merge(b).created == b.created
    assert Report("e", details={"x": 1}).merge(Report("e", details={"x": 2})).details == {
        "x": "1 | 2"
    }
