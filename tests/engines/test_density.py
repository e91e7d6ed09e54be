import numpy as np
import pytest

from qdt_emu.circuit import Structure
from qdt_emu.engines.density import Density, probabilities
from tests.engines.density_oracle import (
    distribution,
    expectation,
    random_structure,
    random_values,
)

ENGINE = Density()


@pytest.mark.parametrize("seed", range(50))
def test_equals_kraus_evolution(seed):
    rng = np.random.default_rng(seed)
    n = 4 + (seed % 5 == 0) + (seed % 10 == 0)
    structure = random_structure(rng, n, 4, 45, dynamic=seed % 3 > 0)
    v = random_values(rng, n)
    got = probabilities(ENGINE.prepare(structure), v)
    assert np.allclose(got, distribution(structure, v), rtol=0, atol=1e-12)
    paulis = rng.integers(0, 4, (3, n)).astype(np.uint8)
    readout = 1 - 0.2 * rng.random((n, 2))
    found = ENGINE.estimate(ENGINE.prepare(structure), v, paulis, readout, shots=1, seed=0)
    want = [expectation(structure, v, codes, readout) for codes in paulis]
    assert np.allclose(found.values, want, rtol=0, atol=1e-12)
    assert not found.stderr.any()


@pytest.mark.parametrize("seed", range(5))
def test_pairs_of_bits_are_misread_together(seed):
    rng = np.random.default_rng(seed)
    v = random_values(rng, 4)
    s = random_structure(rng, 4, 4, 20, dynamic=False)
    s = Structure(s.operations, 4, 4, s.qubits, paired_readout=((2, 0), (1, 3)))
    got = probabilities(ENGINE.prepare(s), v)
    assert np.allclose(got, distribution(s, v), rtol=0, atol=1e-12)
