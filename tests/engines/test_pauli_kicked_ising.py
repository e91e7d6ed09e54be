"""The 127-qubit kicked Ising circuit: published exact values, signs, noise laws."""

import numpy as np
import pytest

from qdt_emu.circuit import Kind
from qdt_emu.engines.pauli import Pauli
from tests.bench.bench_pauli import rows
from tests.engines import kicked_ising as ising

ALL_Z = ising.codes(*(f"Z{q}" for q in range(ising.N)))
W = ising.codes(ising.W10, ising.W17)
WX = ising.codes(ising.W17X)
PERFECT = np.tile([1.0, 0.0], (ising.N, 1))


def estimate(engine, structure, values, paulis):
    state = engine.prepare(structure)
    return engine.estimate(state, values, paulis, PERFECT, shots=1, seed=0)


def test_graph():
    degree = np.bincount(np.array(ising.EDGES).ravel(), minlength=ising.N)
    assert len(ising.EDGES) == 144
    assert np.bincount(degree).tolist() == [0, 2, 89, 36]


# <Z62> after 1 to 5 steps at three angles, and the mean of all Z at the first; by light-cone
# statevectors and by an independent code to 1e-13.
EXACT = [
    (1, [0.76484218728449, 0.36235775447667, 0.70710678118655], 0.76484218728449),
    (2, [0.58498357145012, 0.13130314222938, 0.5], 0.75511918987484),
    (3, [0.63310681221713, 0.08891018918879, 0.53033008588991], 0.63774805253996),
    (4, [0.61885383179688, 0.04383447558169, 0.48828125], 0.63720619608671),
    (5, [0.63870894551916, 0.04877182062305, 0.51941101755250], None),
]


@pytest.mark.parametrize(("steps", "z62", "mean"), EXACT)
def test_values_without_truncation(steps, z62, mean):
    structure, engine = ising.structure(steps), Pauli(threshold=0.0)
    angles = (0.7, 1.2, np.pi / 4) if steps < 5 else (0.7,)  # 2e6 strings
    for theta, want in zip(angles, z62, strict=False):
        got = estimate(engine, structure, ising.values(theta), ALL_Z[62:63])
        assert np.isclose(got.values[0], want, rtol=0, atol=1e-10)
        assert got.truncation == 0
    if mean is not None:
        got = estimate(engine, structure, ising.values(0.7), ALL_Z)
        assert np.isclose(got.values.mean(), mean, rtol=0, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_angle_zero_keeps_every_z(steps):
    got = estimate(Pauli(), ising.structure(steps), ising.values(0.0), ALL_Z)
    assert np.allclose(got.values, 1, rtol=0, atol=1e-12)
    assert got.truncation == 0


def test_signs_at_half_pi():
    """Clifford: one string all the way."""
    values = ising.values(np.pi / 2)
    w = estimate(Pauli(), ising.structure(5), values, W)
    wx = estimate(Pauli(), ising.structure(5, last_rx=True), values, WX)
    z = estimate(Pauli(), ising.structure(5), values, ALL_Z)
    assert np.allclose([*w.values, *wx.values], [1, -1, -1], rtol=0, atol=1e-12)
    assert np.allclose(z.values, 0, rtol=0, atol=1e-12)
    assert w.details["pauli terms"] <= 2


# Observable, k of the angle k pi / 32, threshold, value from exact tensor networks (two groups).
TABLE = [
    ("W10", 2, 1e-4, -6.0111001e-04),
    ("W10", 14, 3e-5, 0.7490256994),
    ("W10", 15, 1e-4, 0.9303109906),
    ("W17", 1, 1e-3, 6.1447769e-10),
    ("W17", 15, 1e-4, -0.8863112893),
    ("W17X", 1, 1e-3, 9.2532470e-16),
    ("W17X", 15, 1e-4, -0.8486253586),
]


@pytest.mark.parametrize(("name", "k", "threshold", "want"), TABLE)
def test_published_tables(name, k, threshold, want):
    structure = ising.structure(5, last_rx=name == "W17X")
    paulis = ising.codes(getattr(ising, name))
    got = estimate(Pauli(threshold), structure, ising.values(k * np.pi / 32), paulis)
    assert abs(got.values[0] - want) < 1e-4
    assert abs(got.values[0] - want) <= got.truncation


W10_CURVE = {
    2: -6.0111e-4,
    4: -0.0077148,
    6: -0.0233923,
    8: -0.0128409,
    10: 0.0943015,
    12: 0.3174751,
}


def test_stated_error_holds_where_terms_cancel():
    """W10 changes its sign near pi / 4; a single threshold of 1e-2 is wrong there by half."""
    for k, want in W10_CURVE.items():
        values = ising.values(k * np.pi / 32)
        got = estimate(Pauli(1e-2), ising.structure(5), values, W[:1])
        assert abs(got.values[0] - want) <= got.truncation + 1e-7


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_depolarising_shrinks_z_once_per_step(steps):
    structure = ising.structure(steps, noise=Kind.PAULI)
    got = estimate(Pauli(), structure, ising.values(0.0, damping=0.97), ALL_Z[:5])
    assert np.allclose(got.values, 0.97**steps, rtol=0, atol=1e-12)


def test_relaxation_to_a_warm_state():
    """Z -> e1 Z + (1 - e1)(1 - 2 p): a geometric series over the steps."""
    structure = ising.structure(6, noise=Kind.RELAXATION)
    values = ising.values(0.0, relaxation=(0.9, 0.93, 0.2))
    got = estimate(Pauli(0.0), structure, values, ALL_Z[:3])
    assert np.allclose(got.values, 0.6 + 0.4 * 0.9**6, rtol=0, atol=1e-12)


def test_noise_lets_thresholds_agree():
    """Twenty noisy steps: two thresholds agree within the stated error, which is small."""
    structure = ising.structure(20, noise=Kind.PAULI)
    values = ising.values(0.5, damping=0.97)
    rough, good = (estimate(Pauli(t), structure, values, ALL_Z[62:63]) for t in (1e-3, 2e-4))
    assert abs(rough.values[0] - good.values[0]) <= rough.truncation + good.truncation
    assert good.details["pauli difference"] < 0.02


def test_benchmark_runs():
    found = rows(quick=True)
    assert len({tuple(row) for row in found}) == 1
    assert all(row["benchmark"] == "pauli" for row in found)
