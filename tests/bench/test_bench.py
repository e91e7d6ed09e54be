"""The peers are given the same circuit: their answers equal ours. And every benchmark runs."""

from itertools import pairwise

import numpy as np
import pytest

from qdt_emu import Twin
from qdt_emu.benchmarks import NAMES, run_benchmarks
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.errors import InputError
from tests.bench import peers
from tests.bench.bench_sampling import distance
from tests.bench.workload import brick, line


@pytest.fixture(scope="module")
def twin():
    return Twin.load("ibm_sherbrooke")


@pytest.fixture(scope="module")
def noisy(twin):
    return twin.compile(brick(twin, 4, 4)).bind()


@pytest.fixture(scope="module")
def truth(noisy):
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def test_the_line_is_coupled_and_never_returns(twin):
    found = line(twin.device, 20)
    assert len(set(found)) == 20
    assert all(b in twin.device.neighbours[a] for a, b in pairwise(found))
    with pytest.raises(InputError, match="line of 5"):
        line(Twin.ideal(4, [(0, 1), (1, 2), (2, 3)]).device, 5)


def test_aer_is_given_the_same_distribution(noisy, truth):
    pytest.importorskip("qiskit_aer", reason=peers.MISSING)
    p = peers.misread_vector(peers.aer_probabilities(noisy)(), noisy)
    assert np.allclose(p, truth, rtol=0, atol=1e-6)


@pytest.mark.parametrize("package", ["qiskit-aer", "qsimcirq"])
def test_peers_sample_the_same_distribution(package, noisy, truth):
    if not peers.installed(package):
        pytest.skip(f"{package} {peers.MISSING}")
    shots = 300
    draw = {"qiskit-aer": peers.aer_shots, "qsimcirq": peers.qsim_shots}[package](noisy)
    # Moving one shot moves the distance by 1/shots at most: McDiarmid gives exp(-2 t^2 shots).
    mean = np.sqrt(truth * (1 - truth)).sum() / np.sqrt(2 * np.pi * shots)
    assert distance(draw(shots, 7), truth) < mean + np.sqrt(np.log(1e6) / (2 * shots))


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_runs_at_its_smallest_size(name):
    rows = run_benchmarks([name], quick=True)
    assert rows
    assert len({tuple(row) for row in rows}) == 1
    assert {row["benchmark"] for row in rows} == {name}


def test_an_unknown_benchmark_is_named():
    with pytest.raises(InputError, match="but one is speed"):
        run_benchmarks(["speed"])
