"""One number for a gate, whatever it is called; the rest of it; relaxation that is too strong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.noise import (
    anchor_scale,
    assert_cptp,
    average_gate_fidelity,
    channel_process_fidelity,
    depolarizing_probabilities,
    pauli_ptm,
    pauli_rotation,
    relaxation_process_fidelity,
    residual_depolarizing,
    tensor,
    thermal_relaxation,
    unitary_ptm,
)
from qdt_emu.noise.infidelity import (
    average_infidelity,
    cycle_infidelity,
    depolarizing_infidelity,
    depolarizing_parameter,
    gate_infidelity_of_clifford,
    gate_infidelity_of_cycle,
    process_fidelity,
    process_infidelity,
)

DIMS = pytest.mark.parametrize("dim", [2, 4, 8])


def infidelity_of(ptm):
    dim = int(ptm.shape[-1] ** 0.5)
    return 1 - average_gate_fidelity(channel_process_fidelity(ptm), dim)


@DIMS
@given(st.floats(0, 0.6))
def test_the_round_trip_of_definitions_returns_the_number(dim, r):
    e_p = process_infidelity(r, dim)
    p = depolarizing_parameter(average_infidelity(e_p, dim), dim)
    assert abs(p * (dim**2 - 1) / dim**2 - e_p) < 1e-15
    assert abs(depolarizing_infidelity(p, dim) - r) < 1e-15
    assert abs(1 - average_gate_fidelity(1 - e_p, dim) - r) < 1e-15
    assert abs(process_fidelity(1 - r, dim) - (1 - e_p)) < 1e-15


@pytest.mark.parametrize("qubits", [1, 2, 3])
@pytest.mark.parametrize("p", [1e-6, 0.01, 1.0])
def test_a_depolarising_channel_has_the_infidelity_of_its_parameter(qubits, p):
    probabilities = depolarizing_probabilities(p, qubits)
    ptm = pauli_ptm(probabilities)
    np.testing.assert_allclose(np.diagonal(ptm)[1:], 1 - p, atol=1e-14)
    assert abs(infidelity_of(ptm) - depolarizing_infidelity(p, 2**qubits)) < 1e-14
    assert abs(probabilities.sum() - 1) < 1e-15


def test_single_qubit_errors_are_counted_once_per_cycle():
    one, other, gate = (pauli_ptm(depolarizing_probabilities(p, 1)) for p in (0.002, 0.003, 0.01))
    two = tensor(gate, gate)
    cycle = 1 - channel_process_fidelity(two @ tensor(one, other))
    parts = [1 - channel_process_fidelity(ptm) for ptm in (two, one, other)]
    assert abs(gate_infidelity_of_cycle(cycle, *parts[1:]) - parts[0]) < 1e-4
    assert abs(gate_infidelity_of_cycle(cycle_infidelity(*parts), *parts[1:]) - parts[0]) < 1e-15


def test_the_error_per_gate_has_the_first_order_limit():
    assert abs(gate_infidelity_of_clifford(1e-7, 1.5) / (1e-7 / 1.5) - 1) < 1e-6


def known_channels(count, seed):
    """Relaxation of both qubits after a coherent error, the first-order known part of a gate."""
    rng = np.random.default_rng(seed)
    t1 = rng.uniform(50, 300, (count, 2))
    relaxed = thermal_relaxation(0.5, t1, t1 * rng.uniform(0.3, 2, (count, 2)), 0.02)
    axes = rng.choice(["XI", "ZZ", "YX", "IZ"], count)
    angles = rng.normal(0, 0.05, count)
    turned = np.stack([pauli_rotation(a, b) for a, b in zip(axes, angles, strict=True)])
    return tensor(relaxed[:, 0], relaxed[:, 1]) @ unitary_ptm(turned)


def test_residual_and_known_part_reproduce_the_infidelity_in_both_orders():
    known = known_channels(50, 3)
    f_b = 1 - infidelity_of(known)
    r = (1 - f_b) * 1.7
    p = residual_depolarizing(r, f_b, 4)
    rest = pauli_ptm(depolarizing_probabilities(p, 2))
    assert_cptp(rest @ known)
    np.testing.assert_allclose(infidelity_of(rest @ known), r, atol=1e-12)
    np.testing.assert_allclose(infidelity_of(known @ rest), r, atol=1e-12)


def test_the_residual_is_raw():
    assert residual_depolarizing(0.001, 0.99, 4) < 0
    assert residual_depolarizing(0.9, 1.0, 4) > 16 / 15
    assert np.isnan(residual_depolarizing(0.01, 0.25, 4))
    assert residual_depolarizing(0.01, 0.99, 4) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("qubits", [1, 2])
def test_the_anchored_relaxation_has_the_published_infidelity(qubits):
    rng = np.random.default_rng(4)
    t1 = 10 ** rng.uniform(-5, -3, (2000, qubits))
    t2 = t1 * rng.uniform(0.05, 2, t1.shape)
    time = t1.min(-1) * 10 ** rng.uniform(-5, 1.3, 2000)

    def relaxed(scale):
        f_p = relaxation_process_fidelity((scale * time)[:, None], t1, t2).prod(-1)
        return 1 - average_gate_fidelity(f_p, 2**qubits)

    r = relaxed(1.0) * 10 ** rng.uniform(-4, -0.01, 2000)
    scale = anchor_scale(r, time, t1, t2)
    assert ((scale > 0) & (scale < 1)).all()
    np.testing.assert_allclose(relaxed(scale), r, rtol=0, atol=1e-14)
    assert (anchor_scale(1.3 * relaxed(1.0), time, t1, t2) == 1).all()


def test_the_anchor_has_its_limits():
    t = np.array([1e-4, 1e-4])
    assert anchor_scale(0.0, 1e-6, t, t) == 0
    assert anchor_scale(0.01, 1e-6, t * np.inf, t * np.inf) == 1
    small = anchor_scale(1e-9, 1e-6, t, t)
    # First order: r = s (1 - F_B) with 1 - F_B = 4/5 * 2 qubits * 3/4 * t/T = 0.012.
    assert abs(small / (1e-9 / 0.012) - 1) < 1e-5
