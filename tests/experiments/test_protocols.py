"""Each protocol measures what it is meant to, on devices whose answer is known in closed form.

`shots=None` gives probabilities themselves, so that bounds here are those of rounding or of the
protocol, not of statistics.
"""

from dataclasses import replace

import numpy as np
import pytest

from qdt_emu import experiments
from qdt_emu.calibrations import Calibration
from qdt_emu.experiments import layers
from qdt_emu.learning.layers import error_per_layered_gate, losses
from qdt_emu.noise.infidelity import depolarizing_infidelity
from qdt_emu.twin import Twin


def line(qubits: int = 3, **changes) -> Twin:
    numbers = {"t1": 1e-4, "t2": 8e-5, "zz": 5e4} | changes
    return Twin.load(Calibration.uniform("line", qubits=qubits, **numbers))


@pytest.fixture(scope="module")
def twin() -> Twin:
    return line().what_if(t1={1: 5e-5}, t2={2: 1.2e-4})


def depolarizing_only(qubits: int, **changes) -> Twin:
    """A line whose gates depolarise and do nothing else; misreading stays."""
    twin = line(qubits).what_if(t1=np.inf, t2=np.inf, zz=0.0)
    return twin.what_if(depolarizing={"x": 0.0, "sx": 0.0, "cz": 0.0} | changes)


def test_t1_and_echo_are_exact(twin):
    t1 = experiments.t1(twin, shots=None, seed=0)["t1"]
    assert np.allclose(t1, twin.device.parameters.t1[t1["qubit"]], rtol=1e-6)
    for pulses in (1, 4):
        t2 = experiments.t2(twin, pulses=pulses, shots=None, seed=0)["t2"]
        assert np.allclose(t2, twin.device.parameters.t2[t2["qubit"]], rtol=1e-6)


def test_echoes_refocus_what_ramsey_sees(twin):
    slow = twin.what_if(detuning=4e3)
    delays = np.linspace(0, 1e-4, 41)
    star = experiments.ramsey(
        slow, [0], delays=delays, detuning=8e4, gaussian=True, beating=False, shots=2000, seed=1
    )
    # Four standard errors.
    assert abs(star["spread"] - 4e3).item() < 4 * star["spread_stderr"].item()
    echo = experiments.t2(slow, [0], delays=delays[::8], shots=None, seed=1)
    assert np.allclose(echo["t2"], 8e-5, rtol=1e-4)


def test_charge_parity_shows_as_beating(twin):
    split = twin.what_if(charge_parity={0: 3e4})
    delays = np.linspace(0, 8e-5, 41)
    found = experiments.ramsey(split, [0, 2], delays=delays, detuning=9e4, shots=2000, seed=2)
    off = (found["splitting"] - [3e4, 0]) / found["splitting_stderr"].where(
        found["splitting"] > 0, 1.0
    )
    assert (abs(off) < 4).all()
    assert found["splitting"].values[1] == 0


def test_neighbours_in_superposition_split_the_line_by_zz(twin):
    still = twin.what_if(t1=1.0, t2=1e-4)
    delays = np.linspace(0, 8e-5, 41)
    alone, crowd = (
        experiments.ramsey(still, [0, 1], delays=delays, shots=None, seed=3, simultaneous=s)
        for s in (False, True)
    )
    # A neighbour in (|0> + i|1>)/sqrt(2) is as often in 0 as in 1: two lines, zeta apart.
    assert (alone["splitting"] == 0).all()
    assert np.allclose(crowd["splitting"], 5e4, rtol=2e-3)
    assert np.allclose(crowd["frequency"], -2.5e4, rtol=1e-2)


def test_joint_echo_measures_zz_with_its_sign(twin):
    still = twin.what_if(t1=1.0, t2=1e-4, zz={(0, 1): -7e4})
    found = experiments.zz(still, [(0, 1), (2, 1)], shots=None, seed=4)
    assert np.allclose(found["zz"], [-7e4, 5e4], rtol=1e-3)
    noisy = experiments.zz(twin, [(0, 1), (1, 2)], shots=2000, seed=5)
    assert (abs(noisy["zz"] - 5e4) < 4 * noisy["zz_stderr"]).all()
    assert (noisy["zz_stderr"] < 500).all()


def test_pulses_that_depolarise_give_their_infidelity_exactly():
    twin = depolarizing_only(2, sx=4e-3)
    found = experiments.rb(
        twin, [0, 1], depths=(1, 30), samples=2, interleaved=True, shots=None, seed=6
    )
    pulse = depolarizing_infidelity(4e-3, 2)
    clifford = depolarizing_infidelity(1 - (1 - 4e-3) ** 2, 2)
    assert np.allclose(found["epc"].sel(variant="reference"), clifford, rtol=1e-6)
    assert np.allclose(found["gate_infidelity"], pulse, rtol=1e-5)
    assert np.allclose(found["epg"], pulse, rtol=3e-3)  # fidelities multiply to first order


def test_layers_of_depolarising_gates_have_the_product_of_their_fidelities():
    twin = depolarizing_only(4, cz=0.02)
    found = experiments.layer_fidelity(
        twin, range(4), depths=(1, 30), samples=4, shots=None, seed=7, engine="auto"
    )
    gate = 1 - 0.02 * 15 / 16
    pairs = found["q1"].values >= 0
    # The random ends contain gates too, at most three: they scatter about the decay.
    assert np.allclose(found["fidelity"].values[pairs], gate, atol=1.5e-3)
    assert np.allclose(found["fidelity"].values[~pairs], 1.0, atol=1e-6)
    assert found["layer_fidelity"].item() == pytest.approx(gate**3, abs=2.5e-3)
    fixed = 1 - found["layer_fidelity"].item() ** (1 / 3)
    assert found["eplg"].item() == pytest.approx(fixed)


@pytest.mark.slow
def test_layer_fidelity_of_a_twin_is_what_its_calibration_predicts():
    twin = Twin.load("ibm_fez")
    chain = range(6)
    found = experiments.layer_fidelity(twin, chain, samples=8, shots=2000, seed=8)
    told = error_per_layered_gate(losses(twin.calibration, chain).total(1.0), 6)
    # The prediction adds losses to first order: 5 %; and four standard errors.
    assert abs(found["eplg"] - told) < 0.05 * told + 4 * found["eplg_stderr"]


def test_simultaneous_layers_keep_every_pair_apart():
    asked = layers.circuits(line(5).device, range(5), depths=(2, 3), samples=1, seed=9)
    for circuit in asked.circuits:
        driven = [
            {circuit.find_bit(q).index for q in item.qubits}
            for item in circuit.data
            if item.operation.name == "cz"
        ]
        assert {frozenset(p) for p in driven} <= {
            frozenset(p) for p in ((0, 1), (2, 3), (1, 2), (3, 4))
        }
    assert asked.cells["layer"].values.tolist() == [0, 0, 0, 1, 1, 1]


def test_readout_shows_correlations_of_pairs():
    plain = line(3)
    parameters = replace(plain.device.parameters, pair_correlation=np.array([0.4]))
    device = replace(plain.device, readout_pairs=((0, 1),), parameters=parameters)
    found = experiments.readout(Twin.load(device), shots=40_000, seed=10)
    z = found["correlation"] / found["correlation_stderr"]
    assert found["correlation"].values[0] == pytest.approx(0.4, abs=0.05)
    assert abs(z.values[1]) < 4
    assert np.allclose(found["confusion"].sum("read"), 1)
    assert np.allclose(found["pair_confusion"].sum("pair_read"), 1)


def test_a_second_measurement_repeats_the_first(twin):
    found = experiments.midcircuit_readout(twin, [0, 2], shots=20_000, seed=11)
    repeated = found["repeated"]
    assert (repeated.sel(prepared=0, first=0) > 0.97).all()
    # A misread bit is wrong in the record only: the state is not.
    assert (repeated.sel(prepared=0, first=1) < 0.2).all()
    assert (found["hits"].sum(("first", "second")) == 20_000).all()
