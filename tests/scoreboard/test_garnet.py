"""The fourteen tasks with feed-forward on IQM Garnet: calibration, learning, Aer."""

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration
from qdt_emu.device import Policy, build
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.scoreboard.aer import Aer
from qdt_emu.scoreboard.garnet import DATASET, EXACT, LEARN, half_of, learner
from qdt_emu.twin import Twin
from qdt_emu.validation import public_data

QUBIT = 1  # Braket's qubit 2, which the feed-forward of six tasks is about


@pytest.fixture(scope="module")
def session():
    if public_data.data_folder() is None:
        pytest.skip("no measured data beside the checkout; set QDT_DATA")
    return public_data.sessions(DATASET)[0]


def naive(calibration: Calibration) -> Twin:
    """A twin of the published fidelities alone: no time, so no relaxation and no dephasing."""
    for path in ("gates_1q/duration", "gates_2q/duration", "readout/duration"):
        calibration = calibration.with_values(path, 0.0)
    return Twin.load(build(calibration, Policy(slow_dephasing=False, feedforward_latency=0.0)))


def exact(twin, circuit):
    noisy = twin.compile(circuit).bind()
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def distances(session, predict):
    """Total variation distance of each task."""
    out = []
    for run in session.runs:
        p = predict(run)
        q = np.zeros(len(p))
        for key, number in run.counts.items():
            q[int(key, 2)] += number
        out.append(abs(p - q / q.sum()).sum() / 2)
    return np.array(out)


def geometric_mean(ratios):
    return float(np.exp(np.log(ratios).mean()))


@pytest.mark.parametrize("task", ["0_2", "1_6"])
def test_published_fidelities_alone_are_aers_noise_model(session, task):
    pytest.importorskip("qiskit_aer")
    (run,) = (r for r in session.runs if r.name == task)
    expected = exact(naive(session.calibration), run.circuit)
    counts, _ = Aer(naive(session.calibration)).run(run.circuit, shots=20_000, seed=1)
    found = np.zeros(len(expected))
    for key, number in counts.items():
        found[int(key, 2)] = number / 20_000
    # 5 sigma of each outcome: a false alarm in 3e5 runs at most.
    assert (abs(found - expected) < 5 * np.sqrt((expected + 1e-4) / 20_000)).all()


def test_timing_predicts_better_than_published_fidelities_alone(session):
    twin, rival = Twin.load(session.calibration, policy=EXACT), naive(session.calibration)
    ours = distances(session, lambda run: exact(twin, run.circuit))
    theirs = distances(session, lambda run: exact(rival, run.circuit))
    assert geometric_mean(ours / theirs) < 0.9


@pytest.mark.slow
def test_a_twin_learned_from_half_of_the_tasks_predicts_the_other_half(session):
    learned, rival = learner(), naive(session.calibration)
    devices = {run.name: learned(run).device for run in session.runs}
    ours = distances(session, lambda run: exact(Twin.load(devices[run.name]), run.circuit))
    theirs = distances(session, lambda run: exact(rival, run.circuit))
    assert geometric_mean(ours / theirs) <= 0.7


@pytest.mark.slow
def test_both_halves_teach_the_same_readout_relaxation(session):
    found = []
    for half in (0, 1):
        posterior = half_of(session, half).posterior
        (x,) = (x for x in posterior.learned if x.label == f"{LEARN[0]} of qubit {QUBIT}")
        found.append(x)
    first, second = found
    assert first.identified
    assert second.identified
    assert first.low < second.value < first.high
    assert second.low < first.value < second.high
    assert min(first.low, second.low) > 2  # a readout that destroys what it measures
