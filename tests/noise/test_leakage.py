"""The leakage flag."""

import numpy as np

from qdt_emu.noise import leaked_fraction, leaked_path
from qdt_emu.noise.leakage import leakage_transition

LEAK, SEEP = 2e-3, 5e-2


def test_the_occupation_is_the_power_of_the_transition():
    step = leakage_transition(LEAK, SEEP)
    for gates in (0, 1, 7, 200):
        occupied = np.linalg.matrix_power(step, gates)[1, 0]
        assert abs(leaked_fraction(LEAK, SEEP, gates) - occupied) < 1e-15


def test_small_rates_have_the_exponential_limit():
    leak, seep, gates = 1e-6, 3e-6, 1e5
    total = leak + seep
    exponential = leak / total * (1 - np.exp(-total * gates))
    assert abs(leaked_fraction(leak, seep, gates) / exponential - 1) < 1e-5


def test_drawn_paths_follow_the_occupation():
    shots, gates = 20_000, 60
    path = leaked_path(np.random.default_rng(0).random((shots, gates)), LEAK, SEEP)
    expected = leaked_fraction(LEAK, SEEP, np.arange(1, gates + 1))
    bound = 6 * np.sqrt(expected / shots)  # false alarm 1e-7 over all 60
    assert (abs(path.mean(0) - expected) < bound).all()


def test_without_rates_no_flag_is_ever_set():
    uniform = np.random.default_rng(1).random((50, 30))
    uniform[0, 0] = 0.0
    assert not leaked_path(uniform, 0.0, 0.0).any()
    assert leaked_fraction(0.0, 0.0, 100) == 0


def test_a_leaked_start_seeps_back():
    path = leaked_path(np.array([0.5, 0.01, 0.5]), 0.0, 0.1, start=True)
    assert path.tolist() == [True, False, False]


def test_one_rate_per_qubit():
    path = leaked_path(np.full((4, 3, 10), 0.5), np.array([0.0, 0.6, 1.0]), 0.0)
    assert path[:, :, -1].tolist() == [[False, True, True]] * 4
