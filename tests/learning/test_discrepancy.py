"""Leanings that were planted come back from residuals, and bands with them cover.

Seeds are fixed; each bound is five standard errors: a false alarm in two million.
"""

from dataclasses import replace

import numpy as np
import pytest

from qdt_emu.learning.discrepancy import Tilt, past_tilt
from qdt_emu.learning.predict import Prediction
from qdt_emu.learning.prior import learnable
from qdt_emu.learning.terms import Circuit
from qdt_emu.twin import Twin
from tests.learning.planted import line, random_circuit

SHOTS, CIRCUITS, N = 4000, 400, 4
# Of an estimated variance: one direction has 400 squares, four have 1600; shots add to each.
STDERR = {"bits": np.sqrt(2 / (CIRCUITS * N)) * 1.5, "contrast": np.sqrt(2 / CIRCUITS) * 1.5}


def past(tilt: Tilt, seed: int = 0):
    """Return (predicted, counts) of circuits whose processor leans away from the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.dirichlet(np.full(2**N, 0.8), CIRCUITS)
    return [(p, rng.multinomial(SHOTS, tilt.lean(p[None], rng)[0])) for p in predicted]


@pytest.mark.parametrize("tilt", [Tilt(0.002, 0.0), Tilt(0.0, 0.003), Tilt(0.001, 0.002)])
def test_planted_leanings_come_back(tilt):
    found = past_tilt(past(tilt), scatter=0.0)
    noise = 2 / SHOTS  # what shots scatter each estimate by, in its own unit
    assert abs(found.bits - tilt.bits) < 5 * STDERR["bits"] * (tilt.bits + noise)
    assert abs(found.contrast - tilt.contrast) < 5 * STDERR["contrast"] * (tilt.contrast + noise)


def test_shots_alone_show_no_leaning():
    found = past_tilt(past(Tilt()), scatter=0.0)
    assert found.bits < 5 * STDERR["bits"] * 2 / SHOTS
    assert found.contrast < 5 * STDERR["contrast"] * 2 / SHOTS


def test_a_fit_has_made_its_own_residuals_smaller():
    data = past(Tilt(0.002, 0.0))
    figures = CIRCUITS * (N + 1)
    plain = past_tilt(data, scatter=0.0)
    fitted = past_tilt(data, scatter=0.0, learned=figures / 2)
    assert fitted.bits > 1.9 * plain.bits


def test_leaning_moves_marginals_and_contrast_and_nothing_else():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(2**N, 0.8))
    none = Tilt().lean(np.tile(p, (3, 1)), rng)
    assert np.array_equal(none, np.tile(p, (3, 1)))
    leaning = Tilt(0.01, 0.01).lean(np.tile(p, (50, 1)), rng)
    assert np.allclose(leaning.sum(axis=1), 1)
    change = np.log(leaning / p)
    k = np.arange(2**N)
    signs = [1.0 - 2.0 * (k >> b & 1) for b in range(N)]
    basis = np.stack([np.ones(2**N), np.log(p), *signs])
    fitted = np.linalg.lstsq(basis.T, change.T, rcond=None)[0]
    assert np.allclose(basis.T @ fitted, change.T, atol=1e-6)


def test_bands_cover_a_processor_that_leans_and_shots_alone_do_not():
    tilt, rng, inside = Tilt(0.002, 0.002), np.random.default_rng(3), {"all": [], "shots": []}
    for p, counts in past(tilt, seed=4)[:300]:
        prediction = Prediction(p, p[None], 0.0, int(rng.integers(1000)), tilt)
        weights = 1.0 - 2.0 * (np.arange(2**N) & 1)
        for name, sources in (("all", ("model", "shots")), ("shots", ("shots",))):
            low, high = prediction.band(weights, SHOTS, sources=sources, count=500)
            inside[name].append(low <= weights @ counts / SHOTS <= high)
    assert abs(np.mean(inside["all"]) - 0.9) < 5 * np.sqrt(0.09 / 300)
    assert np.mean(inside["shots"]) < 0.75


def test_widths_grow_where_a_parameter_moves_what_leans():
    """Misreading moves marginals as leaning bits do; a processor that leans scatters its fits.

    40 fits of two qubits' misreading: the rms pull is 1 within five standard errors of a rms.
    """
    device, rng, pulls, naive = line(2), np.random.default_rng(7), [], []
    circuits = [random_circuit(s, 2, 3) for s in range(8)]
    twin = Twin.load(learnable(device, ["assignment"]))
    truth = [
        Circuit(c := twin.compile(q), c.recipe.bind()).probabilities(device.parameters)
        for q in circuits
    ]
    for _ in range(40):
        data = []
        for circuit, p in zip(circuits, truth, strict=True):
            counts = rng.multinomial(SHOTS, Tilt(0.004, 0.0).lean(p[None], rng)[0])
            data.append((circuit, {format(k, "02b"): int(n) for k, n in enumerate(counts)}))
        posterior = Twin.load(device).fit(data, learn=["assignment"]).posterior
        pulls += list(posterior.z / np.sqrt(np.diag(posterior.covariance)))
        naive += list(posterior.z / np.sqrt(np.diag(replace(posterior, lean=None).covariance)))
    wide, narrow = np.sqrt(np.mean(np.square(pulls))), np.sqrt(np.mean(np.square(naive)))
    assert wide < narrow
    assert wide < 1 + 5 / np.sqrt(2 * 40)
