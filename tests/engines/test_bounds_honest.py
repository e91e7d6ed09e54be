"""What an engine states about its own error holds: random noisy circuits against the exact engine.

An engine that cuts states a bound on what the cut did; one that samples trajectories states a
standard error. `|value - truth| <= bound + 3 stderr` must hold for at least 95 % of the Pauli
strings. An exact unbiased sampler misses in 0.3 %, so that of 48 strings more than 2 miss with
probability 5e-4 and of 800 more than 40 never. Seeds are fixed, so nothing fails by chance twice.

Samples are tested as distributions of few bits: without cuts a G-test with the stated false-alarm
rate, with cuts a distance of at most what the engine states plus the noise of the shots.
"""

from functools import lru_cache

import numpy as np
import pytest
from scipy.stats import chi2

from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.network import Network
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.statevector import Statevector
from tests.engines.random_circuits import LATTICES, case

SIGMAS = 3.0
FEW, MANY = range(12), range(200)
FALSE_ALARM = 1e-6

# Name, engine with settings that cut, trajectories.
ESTIMATING = {
    "pauli": (Pauli(threshold=1e-2, threads=1), 1),
    "mpo": (Mpo(max_bond=8, threads=1), 1),
    "mps": (MPS(max_bond=4, threads=1), 100),
    "network": (Network(max_bond=4, threads=1), 40),
    "statevector": (Statevector(), 100),
}
# More of them for 200 circuits; engines that hardly cut state small errors, which must hold too.
MORE = {
    "pauli 1e-2": (Pauli(threshold=1e-2, threads=1), 1),
    "pauli 1e-3": (Pauli(threshold=1e-3, threads=1), 1),
    "mpo 8": (Mpo(max_bond=8, threads=1), 1),
    "mpo 8 heisenberg": (Mpo(max_bond=8, picture="heisenberg", threads=1), 1),
    "mpo 24": (Mpo(max_bond=24, threads=1), 1),
    "mps 4": (MPS(max_bond=4, threads=1), 200),
    "mps 12": (MPS(max_bond=12, threads=1), 200),
    "network 4": (Network(max_bond=4, threads=1), 60),
    "network 8": (Network(max_bond=8, threads=1), 60),
    "statevector": (Statevector(), 200),
}


@lru_cache(maxsize=256)
def truth(seed):
    """The case of a seed and its exact values."""
    c, exact = case(seed), Density()
    found = exact.estimate(
        exact.prepare(c.structure), c.values, c.paulis, c.readout, shots=1, seed=0
    )
    return c, found.values


def covered(engine, seeds, shots):
    """True errors, bounds and standard errors of all strings of all seeds, one array each."""
    rows = []
    for seed in seeds:
        c, want = truth(seed)
        found = engine.estimate(
            engine.prepare(c.structure), c.values, c.paulis, c.readout, shots=shots, seed=seed
        )
        bounds = np.full(len(want), found.truncation) if found.bounds is None else found.bounds
        rows.append([np.abs(found.values - want), bounds, found.stderr])
    return np.concatenate(rows, axis=1)


def check(engine, seeds, shots):
    true, bounds, stderr = covered(engine, seeds, shots)
    inside = true <= bounds + SIGMAS * stderr + 1e-9
    assert np.mean(inside) >= 0.95, f"{np.mean(inside):.1%} of {len(true)}"


@pytest.mark.parametrize("name", ESTIMATING)
def test_stated_errors_cover_the_truth(name):
    engine, shots = ESTIMATING[name]
    check(engine, FEW, shots)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_stated_errors_cover_the_truth_of_200_circuits(name):
    engine, shots = MORE[name]
    check(engine, MANY, shots)


def test_exact_engines_agree():
    """Two ways without a cut give the same digits on every lattice."""
    for lattice in LATTICES:
        c, exact, other = case(7, lattice=lattice), Density(), Contraction()
        ask = (c.values, c.paulis, c.readout)
        want = exact.estimate(exact.prepare(c.structure), *ask, shots=1, seed=0).values
        got = other.estimate(other.prepare(c.structure), *ask, shots=1, seed=0).values
        assert np.allclose(got, want, rtol=0, atol=1e-10)


# Name, engine, shots; without a cut, or with one that the records must state.
SAMPLING = {
    "statevector": (Statevector(), 2000),
    "mps": (MPS(max_bond=64, threads=1), 500),
    "mps 4": (MPS(max_bond=4, threads=1), 200),
    "mpo": (Mpo(max_bond=64, threads=1), 2000),
    "mpo 8": (Mpo(max_bond=8, threads=1), 1000),
    "network 8": (Network(max_bond=8, threads=1), 100),
}


def marginal(p, n, bits):
    """Distribution of some bits from that of all, index bit k of the result = bits[k]."""
    axes = tuple(n - 1 - b for b in bits)
    rest = tuple(a for a in range(n) if a not in axes)
    kept = p.reshape((2,) * n).sum(rest)
    order = np.argsort(np.argsort(axes))  # axes left, slowest first
    return kept.transpose([int(order[k]) for k in reversed(range(len(bits)))]).ravel()


def compared(name, seed, groups=4):
    """For some groups of 1 to 3 bits: counts and true distribution; and the stated truncation."""
    engine, shots = SAMPLING[name]
    c = case(seed)
    n, rng = c.structure.n_qubits, np.random.default_rng([seed, 5])
    s = c.measured()
    p = probabilities(Density().prepare(s), c.values)
    records = engine.sample(engine.prepare(s), c.values, shots=shots, seed=seed)
    out = []
    for _ in range(groups):
        bits = rng.choice(n, rng.integers(1, 4), replace=False)
        index = records.bits[:, bits].astype(int) @ (1 << np.arange(len(bits)))
        out.append((np.bincount(index, minlength=2 ** len(bits)), marginal(p, n, bits)))
    return out, records.truncation


def test_marginals_of_a_known_distribution():
    """The index of the marginal: bit k of it is the k-th bit asked for."""
    p = np.random.default_rng(0).random(16)
    x = np.arange(16)
    want = np.bincount((x >> 3 & 1) + 2 * (x >> 1 & 1), weights=p)
    assert np.allclose(marginal(p, 4, (3, 1)), want)


@pytest.mark.parametrize("name", SAMPLING)
def test_samples_follow_the_distribution(name):
    """G-test of each group of bits where nothing was cut; false-alarm rate 1e-6 in all."""
    tests = [pair for seed in FEW for pair in _whole(name, seed)]
    level = FALSE_ALARM / max(1, len(tests))
    for counts, p in tests:
        assert g_test(counts, p) > level


def _whole(name, seed):
    pairs, truncation = compared(name, seed)
    return pairs if truncation < 1e-9 else []


def g_test(counts, p):
    """P-value of a G-test; cells with fewer than 5 expected counts are joined."""
    expected = p * counts.sum()
    order = np.argsort(expected)
    small = order[np.cumsum(expected[order]) < 5]
    o = np.append(np.delete(counts, small), counts[small].sum())
    e = np.append(np.delete(expected, small), expected[small].sum())
    if np.any(o[e <= 0]):
        return 0.0
    o, e = o[e > 0], e[e > 0]
    seen = o > 0
    g = 2 * np.sum(o[seen] * np.log(o[seen] / e[seen]))
    return chi2.sf(g, max(1, len(o) - 1))


@pytest.mark.parametrize("name", SAMPLING)
def test_samples_are_as_near_as_stated(name):
    """TVD <= truncation + mean + sqrt(log(1/a) / (2 shots)) by McDiarmid; a = 1e-6 in all."""
    level = FALSE_ALARM / (4 * len(FEW))
    near = []
    for seed in FEW:
        pairs, truncation = compared(name, seed)
        for counts, p in pairs:
            shots = counts.sum()
            noise = np.sqrt(p * (1 - p) / shots).sum() / 2 + np.sqrt(-np.log(level) / (2 * shots))
            near.append(np.abs(counts / shots - p).sum() / 2 <= truncation + noise)
    assert np.mean(near) >= 0.95
