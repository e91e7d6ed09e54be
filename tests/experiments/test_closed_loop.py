"""Experiments on a twin return what its calibration says, on bundled snapshots.

Each test sums the squared deviations in units of the stated standard errors over all qubits and
numbers: under a right twin and honest errors that is chi-square, so that one bound serves the whole
family. Two-sided false-alarm rate per test: 1e-3, with fixed seeds.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2

from qdt_emu import experiments
from qdt_emu.circuit import Options
from qdt_emu.twin import Twin

PERFECT = Options(allow_noiseless=frozenset({"x", "sx"}))
SNAPSHOTS = {
    "ibmq_lima": range(5),
    "ibm_cairo": (0, 1, 4, 7, 10, 12),
    "ibm_sherbrooke": (0, 14, 18, 60, 61, 126),
}


@cache
def twin_of(name: str) -> Twin:
    return Twin.load(name)


def published(twin: Twin, path: str, qubits) -> np.ndarray:
    return twin.calibration.values(path)[list(qubits)]


def sound(twin: Twin, qubits) -> list[int]:
    """Qubits whose times were taken over without repair."""
    changed = {q for n in twin.device.notes if n.where.startswith(("t1", "t2")) for q in n.qubits}
    return [q for q in qubits if q not in changed]


def agrees(z) -> None:
    z = np.concatenate([np.ravel(x) for x in z])
    low, high = chi2.ppf(5e-4, len(z)), chi2.isf(5e-4, len(z))
    assert low < (z**2).sum() < high, f"sum of {len(z)} squared deviations: {(z**2).sum():.1f}"


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_times_come_back_within_their_errors(name):
    twin = twin_of(name)
    qubits = sound(twin, SNAPSHOTS[name])
    t1 = experiments.t1(twin, qubits, shots=4000, seed=11)
    t2 = experiments.t2(twin, qubits, shots=4000, seed=12)
    agrees(
        [
            (t1["t1"] - published(twin, "qubits/t1", qubits)) / t1["t1_stderr"],
            (t2["t2"] - published(twin, "qubits/t2_echo", qubits)) / t2["t2_stderr"],
        ]
    )
    agrees([(t1["chi2"] - t1["freedom"]) / np.sqrt(2 * t1["freedom"])])
    assert (t1["t1_stderr"] / t1["t1"]).max() < 0.05


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_readout_comes_back_within_its_errors(name):
    twin = twin_of(name)
    qubits = list(SNAPSHOTS[name])
    found = experiments.readout(twin, qubits, shots=20_000, seed=13, options=PERFECT)
    wanted = published(twin, "readout/assignment", qubits)
    z = []
    for bit in (0, 1):
        cell = {"read": 1 - bit, "prepared_bit": bit}
        z.append(
            (found["confusion"].sel(cell) - wanted[:, bit]) / found["confusion_stderr"].sel(cell)
        )
    agrees(z)


@pytest.mark.parametrize(
    ("name", "qubits"),
    [
        ("ibmq_lima", (0, 3)),
        pytest.param("ibm_cairo", (0, 4, 10), marks=pytest.mark.slow),
        pytest.param("ibm_sherbrooke", (0, 60, 126), marks=pytest.mark.slow),
    ],
)
def test_benchmarking_returns_the_published_infidelity_of_pulses(name, qubits):
    twin = twin_of(name)
    found = experiments.rb(twin, qubits, depths=(1, 60, 250), samples=4, shots=8000, seed=14)
    wanted = [twin.device.instructions[twin.device.row["sx", (q,)]].infidelity for q in qubits]
    agrees([(found["epg"] - wanted) / found["epg_stderr"]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("ibmq_lima", ((0, 1), (3, 4))),
        ("ibm_cairo", ((1, 2), (8, 11))),
        ("ibm_sherbrooke", ((1, 0), (61, 60))),
    ],
)
def test_interleaved_benchmarking_returns_the_published_infidelity_of_pairs(name, pairs):
    # ZZ acts between the pulses of a pair, and is no part of the published infidelity.
    twin = twin_of(name).what_if(zz=0.0)
    found = experiments.rb(
        twin, pairs, depths=(1, 10, 25), samples=16, interleaved=True, shots=4000, seed=15
    )
    wanted = []
    for pair in pairs:
        gates = [i for i in twin.device.instructions if set(i.qubits) == set(pair)]
        wanted.append(next(i.infidelity for i in gates if i.name in ("cz", "ecr", "cx")))
    agrees([(found["gate_infidelity"] - wanted) / found["gate_infidelity_stderr"]])
