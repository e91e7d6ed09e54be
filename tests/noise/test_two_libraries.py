"""The same functions on NumPy and on JAX: equal values, gradients, batches, jit, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdt_emu import noise
from qdt_emu.noise import channels, dephasing, depolarizing, fluctuation, infidelity, readout
from qdt_emu.noise.arrays import namespace
from qdt_emu.noise.coherent import (
    over_rotation_angle,
    over_rotation_infidelity,
    stochastic_infidelity,
)
from qdt_emu.noise.during_gate import noise_during_gate, relaxation_generator, several_qubits
from qdt_emu.noise.pauli_lindblad import (
    lindblad_fidelities,
    lindblad_probabilities,
    lindblad_rates,
    sampling_overhead,
)

PAIR_T1, PAIR_T2 = np.array([1e-4, 2e-4]), np.array([8e-5, 2.5e-4])
ERRORS = np.array([0.01, 0.05])
RATES = np.linspace(0.0, 0.03, 16)
ZX = channels.pauli_matrices(2)[13]


def cross_resonance(angle, zz, t1, t2):
    xp = namespace(angle, zz, t1, t2)
    extra = xp.asarray(zz)[..., None, None] * channels.pauli_matrices(2)[15]
    ideal = xp.asarray(angle)[..., None, None] * ZX
    return noise_during_gate(ideal, 3e-7, several_qubits(relaxation_generator(t1, t2)), extra)


CASES = {
    "decay_factors": (noise.decay_factors, 1e-6, 1e-4, 8e-5),
    "thermal_relaxation": (noise.thermal_relaxation, 1e-6, 1e-4, 8e-5, 0.02),
    "relaxation_ptm": (noise.relaxation_ptm, 0.9, 0.85, 0.1),
    "relaxation_kraus": (noise.relaxation_kraus, 0.9, 0.85, 0.1),
    "remainder_kraus": (noise.relaxation_remainder_kraus, 0.9, 0.85, 0.1),
    "remainder_long": (noise.relaxation_remainder_kraus, 0.3, 0.2, 0.1),
    "identity_weight": (noise.identity_weight, 0.9, 0.85, 0.1),
    "events": (noise.relaxation_events, 1e-6, 1e-4, 8e-5),
    "relaxation_fidelity": (noise.relaxation_process_fidelity, 1e-6, 1e-4, 8e-5),
    "thermal_population": (noise.thermal_population, 5e9, 0.05),
    "residual": (noise.residual_depolarizing, 0.01, 0.995, 4),
    "anchor": (noise.anchor_scale, 1e-3, 1e-6, PAIR_T1, PAIR_T2),
    "probabilities": (lambda p: noise.depolarizing_probabilities(p, 2), 0.02),
    "clifford": (infidelity.gate_infidelity_of_clifford, 0.02, 1.5),
    "cycle": (infidelity.gate_infidelity_of_cycle, 0.02, 0.001, 0.002),
    "cycle_back": (infidelity.cycle_infidelity, 0.02, 0.001, 0.002),
    "rotation": (lambda a: noise.pauli_rotation("ZX", a), 0.3),
    "over_rotation": (lambda a: over_rotation_infidelity(a, 4), 0.3),
    "over_angle": (lambda r: over_rotation_angle(r, 4), 0.01),
    "stochastic": (lambda u: stochastic_infidelity(u, 4), 0.97),
    "phased_fsim": (noise.phased_fsim, 0.3, 0.2, 0.5, -0.1, 0.7),
    "zz_ground": (noise.zz_unitary, 5e4, 3e-6),
    "zz_dressed": (lambda z, t: noise.zz_unitary(z, t, "dressed"), 5e4, 3e-6),
    "zz_fidelity": (noise.zz_process_fidelity, 5e4, 3e-6),
    "spectator": (lambda z, t: noise.spectator_angle(z, t, 1), 5e4, 3e-6),
    "unitary_ptm": (lambda z, t: noise.unitary_ptm(noise.zz_unitary(z, t)), 5e4, 3e-6),
    "unitarity": (lambda *a: noise.unitarity(noise.thermal_relaxation(*a)), 1e-5, 1e-4, 8e-5),
    "twirl": (lambda *a: noise.pauli_twirl(noise.thermal_relaxation(*a)), 1e-5, 1e-4, 8e-5),
    "choi": (lambda *a: channels.ptm_choi(noise.relaxation_ptm(*a)), 0.9, 0.85, 0.1),
    "chi": (lambda *a: channels.ptm_chi(noise.relaxation_ptm(*a)), 0.9, 0.85, 0.1),
    "spread": (noise.quasi_static_spread, 4e-5, 9e-5),
    "ramsey": (dephasing.ramsey_coherence, 1e-5, 1e-4, 8e-5, 2e4),
    "parity": (dephasing.charge_parity_coherence, 1e-5, 2e4),
    "flicker_ramsey": (dephasing.one_over_f_ramsey, 1e-5, 2e4, 1.0),
    "flicker_echo": (dephasing.one_over_f_echo, 1e-5, 2e4),
    "ou": (dephasing.ornstein_uhlenbeck_coherence, 1e-5, 2e4, 1e-5),
    "ou_slow": (dephasing.ornstein_uhlenbeck_coherence, 1e-5, 2e4, 1e-2),
    "telegraph_fast": (dephasing.telegraph_coherence, 1e-5, 2e4, 1e5),
    "telegraph_slow": (dephasing.telegraph_coherence, 1e-5, 2e5, 1e4),
    "ou_path": (dephasing.ornstein_uhlenbeck_path, np.sin(np.arange(5.0)), 2e4, 1e-5, 3e-6),
    "drawn_t1": (noise.drawn_t1, 0.7, 1e-4, 0.3),
    "shifted_t2": (noise.shifted_t2, 8e-5, 1e-4, 5e-5),
    "next_log_t1": (
        lambda x, n, r, m, s: fluctuation.next_log_t1(x, n, r, median=m, spread=s),
        *(-9.0, 0.3, 0.5, 1e-4, 0.3),
    ),
    "telegraph_step": (fluctuation.telegraph_transition, 1e-3, 3e-3, 200.0),
    "defect": (fluctuation.defect_rate, 1e4, 1e6, 5e5),
    "confusion": (noise.confusion_matrix, 0.01, 0.05),
    "preparation": (
        lambda *a: namespace(*a).stack(noise.divide_out_preparation(*a)[:3]),
        *(0.03, 0.05, 0.01),
    ),
    "pair": (noise.pair_confusion, ERRORS, 2 * ERRORS, 0.2),
    "split_decay": (lambda *a: namespace(*a).stack(noise.split_decay(*a)), 0.05, 1e-6, 1e-4),
    "instrument": (
        lambda a, b, s, e, d: noise.measurement_instrument(
            noise.measurement_joint(a, b, s, excited_population=e, decay=d)
        ),
        *(0.01, 0.05, 0.97, 0.02, 0.01),
    ),
    "leaked": (noise.leaked_fraction, 1e-3, 2e-2, 30.0),
    "lindblad": (lindblad_fidelities, RATES),
    "lindblad_channel": (lindblad_probabilities, RATES),
    "lindblad_inverse": (lambda r: lindblad_rates(1 - r), RATES),
    "overhead": (sampling_overhead, RATES),
    "during_gate": (cross_resonance, 2e6, 1e5, PAIR_T1, PAIR_T2),
}
SLOW = {"during_gate"}  # 8 s of compilation: the Pade approximants of a matrix exponential
ANY_CASE = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES]
)


def scalar(values):
    """A generic real number made of all entries, so that no gradient cancels by symmetry."""
    xp = namespace(values)
    weights = np.cos(1 + np.arange(np.size(values))).reshape(np.shape(values))
    return xp.sum(weights * xp.real(values)) + xp.sum(np.sqrt(2) * weights * xp.imag(values))


@ANY_CASE
def test_jitted_jax_has_the_values_of_numpy_and_the_gradient_of_central_differences(name):
    function, *arguments = CASES[name]
    moving = [k for k, a in enumerate(arguments) if not isinstance(a, int)]

    def at(factors):
        moved = list(arguments)
        for k, factor in zip(moving, factors, strict=True):
            moved[k] = arguments[k] * factor
        values = function(*moved)
        return scalar(values), values

    ones = np.ones(len(moving))
    expected = function(*arguments)
    assert not isinstance(expected, jax.Array)
    with jax.enable_x64(True):  # one compilation for both: it is most of the time of this file
        both = jax.jit(jax.grad(lambda f: at(list(f)), has_aux=True))
        gradient, values = both(jnp.asarray(ones))
    np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-13)
    step = 1e-5
    difference = [
        (at(ones + s)[0] - at(ones - s)[0]) / (2 * step) for s in step * np.eye(len(ones))
    ]
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-8 * scale)


@ANY_CASE
def test_a_batch_is_a_loop(name):
    function, *arguments = CASES[name]
    factors = np.array([1.0, 0.9, 0.97])
    batch = [a if isinstance(a, int) else np.multiply.outer(factors, a) for a in arguments]
    loop = [
        function(*(a if isinstance(a, int) else a * factor for a in arguments))
        for factor in factors
    ]
    together = function(*batch)
    if name in {"preparation", "split_decay"}:  # stacked results come first there
        together = np.moveaxis(together, 0, -1)
    np.testing.assert_allclose(together, np.array(loop), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["thermal_relaxation", "events", "instrument", "anchor", "pair"])
def test_vmap_is_a_batch(name):
    function, *arguments = CASES[name]
    with jax.enable_x64(True):
        batch = [jnp.multiply.outer(jnp.array([1.0, 0.9]), a) for a in arguments]
        found, expected = jax.jit(jax.vmap(function))(*batch), jax.jit(function)(*batch)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (noise.relaxation_kraus, (1.0, 1.0, 0.0)),
        (noise.relaxation_remainder_kraus, (1.0, 1.0, 0.0)),
        (noise.relaxation_remainder_kraus, (0.81, 0.9, 0.0)),
        (noise.relaxation_remainder_kraus, (0.9, 0.9, 0.0)),
        (noise.identity_weight, (1.0, 1.0, 0.0)),
        (noise.thermal_relaxation, (0.0, np.inf, np.inf, 0.0)),
        (noise.quasi_static_spread, (5e-5, 5e-5)),
        (noise.divide_out_preparation, (0.0, 0.0, 0.0)),
        (noise.thermal_population, (5e9, 0.0)),
        (depolarizing.anchor_scale, (0.0, 0.0, np.ones(2), np.ones(2))),
        (dephasing.telegraph_coherence, (1e-6, 1e5, 1e5)),
        (readout.pair_confusion, (np.zeros(2), np.zeros(2), 0.0)),
        (noise.leaked_fraction, (0.0, 0.0, 10.0)),
    ],
)
def test_gradients_are_finite_where_a_formula_is_degenerate(function, arguments):
    def total(*values):
        found = function(*values)
        parts = found[:3] if isinstance(found, tuple) else [found]
        return sum(scalar(part) for part in parts)

    with jax.enable_x64(True):
        values = [jnp.asarray(a, dtype=float) for a in arguments]
        gradients = jax.jit(jax.grad(total, argnums=range(len(values))))(*values)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_single_precision_keeps_six_digits_of_a_short_relaxation():
    exact = noise.thermal_relaxation(10e-9, 100e-6, 80e-6, 0.01)
    single = noise.thermal_relaxation(jnp.float32(10e-9), 100e-6, 80e-6, 0.01)
    assert single.dtype == jnp.float32
    assert abs(float(single[3, 0]) / exact[3, 0] - 1) < 1e-6
    events = noise.relaxation_events(jnp.float32(10e-9), 100e-6, 80e-6)
    np.testing.assert_allclose(
        events[:2], noise.relaxation_events(10e-9, 100e-6, 80e-6)[:2], rtol=1e-6
    )


def test_a_thousand_channels_take_no_time_to_speak_of_on_numpy():
    # One vectorized call, not a thousand dispatches: this is what building a twin needs.
    ptms = noise.thermal_relaxation(np.full(1000, 1e-6), 1e-4, 8e-5, 0.01)
    assert ptms.shape == (1000, 4, 4)
    assert ptms.dtype == np.float64
