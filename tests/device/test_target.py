"""The Qiskit target holds the device's own numbers, and Qiskit can work with it."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.device import build, ideal, what_if
from qdt_emu.device.target import to_target
from qdt_emu.device.what_if import gate_infidelity


@pytest.fixture(scope="module")
def torino():
    return build(read_calibration("torino"))


def test_durations_errors_and_coherence_times_are_the_devices(torino):
    target = to_target(torino)
    for i, r in zip(torino.instructions, gate_infidelity(torino), strict=True):
        assert target[i.name][i.qubits].duration == i.duration
        assert target[i.name][i.qubits].error == r
    assert target.num_qubits == torino.n_qubits
    assert target.dt == torino.dt
    for q, properties in enumerate(target.qubit_properties):
        assert properties.t1 == torino.parameters.t1[q]
        assert properties.t2 == torino.parameters.t2[q]
        if not np.isnan(torino.readout_duration[q]):
            assert target["measure"][q,].duration == torino.readout_duration[q]


def test_excluded_instructions_are_not_offered(torino):
    target = to_target(torino)
    assert torino.excluded
    assert not any(name in target and qubits in target[name] for name, qubits in torino.excluded)


def test_qiskit_lays_a_circuit_out_on_it(torino):
    ghz = QuantumCircuit(6)
    ghz.h(0)
    for q in range(5):
        ghz.cx(q, q + 1)
    ghz.measure_all()
    out = transpile(ghz, target=to_target(torino), seed_transpiler=1)
    places = {q: k for k, q in enumerate(out.qubits)}
    for item in out.data:
        if item.operation.name not in ("measure", "barrier"):
            assert torino.require(item.operation.name, tuple(places[q] for q in item.qubits)) >= 0


def test_infinite_times_are_left_out():
    target = to_target(what_if(ideal(2), t1={0: 1e-5}))
    assert target.qubit_properties is None or target.qubit_properties[1].t1 is None
    device = build(Calibration.uniform("toy", qubits=2, t1=1e-4, t2=1e-4))
    device = what_if(device, t1={0: np.inf}, t2={0: np.inf})
    assert to_target(device).qubit_properties[0].t1 is None


def test_the_ideal_target_couples_every_pair_unless_told_otherwise():
    assert len(to_target(ideal(4))["cx"]) == 12
    assert sorted(to_target(ideal(4, [(0, 1)]))["cx"]) == [(0, 1), (1, 0)]
    assert "cx" not in to_target(ideal(1)).operation_names
