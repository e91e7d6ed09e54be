import numpy as np
import pytest

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines.attribution import (
    PauliValue,
    Probability,
    StateFidelity,
    attribute,
    sensitivities,
    uniform,
)
from qdt_emu.engines.density import Density, probabilities
from tests.engines.density_oracle import random_structure, random_values

N = 4


def figures(rng):
    codes = rng.integers(0, 4, N).astype(np.uint8)
    return [
        PauliValue(codes, 1 - 0.1 * rng.random((N, 2))),
        Probability(("0000", "1010")),
        StateFidelity(),
    ]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("seed", range(3))
def test_contributions_sum_to_the_whole_difference(seed, which):
    rng = np.random.default_rng(seed)
    s, v = random_structure(rng, N, N, 30, dynamic=which < 2), random_values(rng, N)
    if which == 2:
        s = random_structure(rng, N, N, 30, dynamic=False, terminal=False)
    found = attribute(NoisyCircuit(s, v), figures(rng)[which])
    parts = (found.operations, found.preparation, found.pairs, found.readout)
    assert abs(sum(p.sum() for p in parts) - (found.noisy - found.ideal)) < 1e-8
    assert np.isclose(sum(found.by_mechanism(s).values()), found.noisy - found.ideal)


def test_figures_are_what_the_engine_says():
    rng = np.random.default_rng(5)
    s, v = random_structure(rng, N, N, 30), random_values(rng, N)
    state = Density().prepare(s)
    pauli, strings, _ = figures(rng)
    want = Density().estimate(state, v, pauli.codes[None], pauli.readout, shots=1, seed=0).values[0]
    assert np.isclose(sensitivities(s, v, pauli)[0], want, atol=1e-12)
    p = probabilities(state, v)
    assert np.isclose(sensitivities(s, v, strings)[0], p[0b0000] + p[0b1010], atol=1e-12)


def test_sensitivities_equal_central_differences():
    rng = np.random.default_rng(8)
    s, v = random_structure(rng, N, N, 40), random_values(rng, N)
    figure = Probability(("0000", "0110", "1111"))
    _, slope = sensitivities(s, v, figure)
    noisy = [k for k in range(len(s.operations)) if slope.operations[k]]
    assert len(noisy) > 5
    for k in noisy[:12]:
        sides = []
        for h in (1e-5, -1e-5):
            amounts = uniform(s, 1.0)
            amounts.operations[k] += h
            sides.append(sensitivities(s, v, figure, amounts=amounts)[0])
        assert np.isclose(slope.operations[k], (sides[0] - sides[1]) / 2e-5, rtol=1e-5, atol=1e-9)


def test_noise_free_circuit_has_perfect_fidelity():
    rng = np.random.default_rng(2)
    s, v = random_structure(rng, N, N, 20, dynamic=False, terminal=False), random_values(rng, N)
    found = attribute(NoisyCircuit(s, v), StateFidelity())
    assert np.isclose(found.ideal, 1, atol=1e-12)
    assert found.noisy < 1
