"""Slow noise: coherence falls as a Gaussian of the time, and echoes bring it back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu.circuit.recipe import SLOW
from qdt_emu.device import what_if
from qdt_emu.twin import Twin
from tests.circuit.exact import SX, compiled, distribution, physical, quiet

G = 1 / 30e-6  # 1/s
SIGMA = G * np.sqrt(2) / (2 * np.pi)  # Hz, of a detuning that does the same in a free time


def fringe(*delays: int, pulse: str = "x") -> QuantumCircuit:
    """Delays in us with a pulse between each two of them, between half turns of one qubit."""
    circuit = physical(1, 1)
    circuit.sx(0)
    for k, delay in enumerate(delays):
        if k:
            getattr(circuit, pulse)(0)
        circuit.delay(delay, 0, unit="us")
    circuit.sx(0)
    circuit.measure(0, 0)
    return circuit


def contrast(circuit: QuantumCircuit, **mechanisms) -> float:
    """Return how far P(1) is from a half, of all that it can be."""
    device = what_if(quiet(circuit.num_qubits), **mechanisms)
    return abs(2 * distribution(circuit, device)[1] - 1)


@pytest.mark.parametrize("delay", [1, 20, 60])
def test_coherence_is_a_gaussian_of_the_time(delay):
    free = contrast(fringe(delay), slow_dephasing={0: 0.0})
    time = delay * 1e-6 + SX  # pulses act at their middles
    found = contrast(fringe(delay), slow_dephasing={0: G})
    assert free == pytest.approx(1.0, abs=1e-9)
    assert found == pytest.approx(np.exp(-((G * time) ** 2)), rel=5e-3)


def test_an_echo_restores_what_slow_noise_took():
    assert contrast(fringe(40), slow_dephasing={0: G}) < 0.2
    assert contrast(fringe(20, 20), slow_dephasing={0: G}) == pytest.approx(1.0, abs=1e-9)
    uneven = contrast(fringe(30, 10), slow_dephasing={0: G})
    assert uneven == pytest.approx(contrast(fringe(20), slow_dephasing={0: G}), rel=1e-2)


@pytest.mark.parametrize("delays", [(15,), (15, 15), (25, 5), (10, 20, 10), (10, 30, 5)])
def test_it_is_the_mean_over_a_constant_detuning(delays):
    """The exact engine integrates over detunings from shot to shot; here one channel does it."""
    mean = contrast(fringe(*delays), detuning={0: SIGMA})
    assert contrast(fringe(*delays), slow_dephasing={0: G}) == pytest.approx(mean, abs=1e-6)


def between_gates(qubit: int) -> QuantumCircuit:
    """A fringe of the control (0) or the target (1) of two gates that undo each other."""
    circuit = physical(2, 1)
    circuit.sx(qubit)
    for _ in range(2):
        circuit.delay(10, qubit, unit="us")
        circuit.cx(0, 1)
    circuit.delay(10, qubit, unit="us")
    circuit.sx(qubit)
    circuit.measure(qubit, 0)
    return circuit


def test_the_control_of_a_gate_carries_its_phase_through_and_the_target_does_not():
    def left(qubit, **mechanisms):
        device = what_if(quiet(2, gate_2q="cx"), **mechanisms)
        return abs(2 * distribution(between_gates(qubit), device)[1] - 1)

    mean = left(0, detuning={0: SIGMA})
    assert left(0, slow_dephasing={0: G}) == pytest.approx(mean, abs=1e-6)
    alone = np.exp(-3 * (G * 10e-6) ** 2)  # three stretches, each forgets the one before
    assert left(1, slow_dephasing={1: G}) == pytest.approx(alone, rel=0.05)


def test_a_measurement_ends_what_was_collected():
    circuit = physical(1, 2)
    circuit.sx(0)
    circuit.delay(10, 0, unit="us")
    circuit.measure(0, 0)
    circuit.sx(0)
    circuit.delay(20, 0, unit="us")
    circuit.sx(0)
    circuit.measure(0, 1)
    device = what_if(quiet(1), slow_dephasing={0: G})
    p = distribution(circuit, device).reshape(2, 2)
    time = 20e-6 + SX
    expected = np.exp(-((G * time) ** 2))
    conditional = p[:, 0] / p[:, 0].sum()  # rows: second bit
    assert abs(conditional[1] - conditional[0]) == pytest.approx(expected, rel=1e-2)


def test_values_agree_between_numpy_and_jax_and_have_the_closed_slope():
    device = what_if(quiet(1, t1=50e-6, t2=40e-6), slow_dephasing={0: G})
    circuit = compiled(fringe(20), device)
    plain = circuit.bind().values.relaxation

    def rows(g):
        p = device.parameters
        changed = type(p)(**{**vars(p), "slow_dephasing": g})
        return circuit.recipe.values(changed, jnp.zeros(0), zz_frame=device.zz_frame).relaxation

    with jax.enable_x64(True):
        g = jnp.array([G])
        np.testing.assert_allclose(rows(g), plain, atol=1e-12)
        slope = jax.jacobian(lambda x: rows(x)[:, 1].sum())(g)
    time = circuit.recipe.relaxation_time[circuit.recipe.relaxation[:, 1] == SLOW]
    np.testing.assert_allclose(time.max(), 20e-6 + SX)
    expected = (-2 * G * time**2 * np.exp(-((G * time) ** 2))).sum()
    np.testing.assert_allclose(slope, [expected], rtol=1e-9)


def test_without_the_mechanism_nothing_is_added():
    twin = Twin.load(quiet(1))
    assert twin.device.parameters.slow_dephasing is None
    assert all(
        op.mechanism != "slow dephasing" for op in twin.compile(fringe(5)).structure.operations
    )
