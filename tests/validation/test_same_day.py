"""A 66-qubit circuit and its calibration of the same day, through the ordinary public path."""

import numpy as np
import pytest

from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.engines.run import sample
from qdt_emu.result.bitstrings import tally
from qdt_emu.twin import Twin
from qdt_emu.validation import baselines, distances, public_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(public_data.data_folder() is None, reason="no measured data; set QDT_DATA"),
]
SHOTS = 500_000


@pytest.fixture(scope="module")
def case():
    (session,) = public_data.sessions("ibm_same_day_2026")
    return Twin.load(session.calibration), session.runs[0]


def test_it_runs_exactly_and_whole(case):
    twin, run = case
    noisy = twin.compile(run.circuit).bind()
    gates = [op for op in noisy.structure.operations if op.mechanism == "ideal"]
    assert noisy.structure.n_qubits == 66
    assert sum(len(op.qubits) == 2 for op in gates) == 403
    counts = twin.run(run.circuit, shots=100, seed=1)
    assert counts.truncation == 0.0
    assert counts.report.engine == "density"


def test_the_calibration_beats_every_trivial_prediction(case):
    twin, run = case
    verdict = twin.compare(run.circuit, run.counts, seed=1)
    assert {s.baseline for s in verdict.skills} == {
        "uniform", "ideal", "ideal + readout", "ideal + depolarizing"
    }  # fmt: skip
    assert all(s.low > 0 for s in verdict.skills)


def test_its_correlation_is_the_highest(case):
    twin, run = case
    compiled = twin.compile(run.circuit)
    noisy = compiled.bind()
    predicted = tally(sample(noisy, shots=SHOTS, seed=2)[0])
    bits, account = sample(noiseless(noisy), shots=SHOTS, seed=2)
    assert account.truncation == 0.0
    ideal = {key: n / SHOTS for key, n in tally(bits).items()}
    keys, (p, q), _ = distances.align(predicted, run.counts)
    read_from = np.array(compiled.structure.qubits)[measured_qubits(compiled.structure)]
    confusion = np.asarray(twin.device.parameters.assignment)[read_from]
    others = [
        baselines.ideal(ideal, keys),
        baselines.ideal_readout(ideal, confusion, keys),
        baselines.ideal_depolarized(ideal, run.counts, keys)[0],
    ]
    best = max(distances.linear_correlation(x, q, n_bits=10) for x in others)
    assert distances.linear_correlation(p, q, n_bits=10) > best
