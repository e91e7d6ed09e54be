"""A qubit that relaxes faster while it is read: measurement that is not quite non-demolition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu.device import what_if
from qdt_emu.errors import InputError
from qdt_emu.twin import Twin
from tests.circuit.exact import RO, compiled, distribution, physical, quiet

T1 = 20e-6


def twice(read: int = 0) -> QuantumCircuit:
    """Prepare 1 on both qubits, measure one of them midway, then both."""
    circuit = physical(2, 3)
    circuit.x([0, 1])
    circuit.measure(read, 0)
    circuit.barrier()
    circuit.measure([0, 1], [1, 2])
    return circuit


def device(factor=None):
    plain = quiet(2, t1=T1, t2=2 * T1, infidelity_1q=0.01)
    return plain if factor is None else what_if(plain, readout_relaxation=factor)


def survival(factor, bit):
    p = distribution(twice(), device(factor))
    return sum(v for k, v in enumerate(p) if k >> bit & 1)


@pytest.mark.parametrize("factor", [0.0, 1.0, 7.5])
def test_the_factor_multiplies_the_decay_during_the_readout_only(factor):
    none = survival({0: 0.0}, 1)
    assert survival({0: factor}, 1) == pytest.approx(none * np.exp(-factor * RO / T1), abs=1e-12)
    assert survival({0: factor}, 2) == pytest.approx(
        survival(None, 2), abs=1e-12
    )  # the other waits


def test_a_factor_of_one_changes_nothing():
    plain, driven = distribution(twice(), device()), distribution(twice(), device(1.0))
    np.testing.assert_array_equal(plain, driven)
    assert device().parameters.readout_relaxation is None


def test_a_readout_at_the_end_is_not_affected():
    circuit = physical(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    one, many = (distribution(circuit, device(f)) for f in (1.0, 50.0))
    np.testing.assert_array_equal(one, many)


def test_values_agree_between_numpy_and_jax_and_have_the_closed_slope():
    found = compiled(twice(), device(3.0))
    p = found.device.parameters

    def keep(factor):
        driven = p.__class__(**{**vars(p), "readout_relaxation": jnp.full(2, factor)})
        values = found.recipe.values(driven, jnp.zeros(0), zz_frame="neighbour_ground")
        return values.relaxation

    with jax.enable_x64(True):
        numbers = np.asarray(found.bind().values.relaxation)
        np.testing.assert_allclose(np.asarray(keep(3.0)), numbers, rtol=1e-12)
        slope = np.asarray(jax.jacfwd(keep)(3.0))
    row = int(np.argmax(abs(slope[:, 0])))
    assert abs(slope[row, 0]) == pytest.approx(RO / T1 * np.exp(-3.0 * RO / T1), rel=1e-9)


def test_counts_teach_the_factor_of_each_qubit():
    truth = Twin.load(what_if(device(), readout_relaxation={0: 6.0, 1: 1.0}))
    circuits = [twice(0), twice(1)]
    seen = [(c, truth.run(c, shots=20_000, seed=k).counts) for k, c in enumerate(circuits)]
    learned = Twin.load(device()).fit(seen, learn=("readout_relaxation",))
    factors = np.asarray(learned.device.parameters.readout_relaxation)
    # Shot noise of the survival, 20 000 shots: 0.003 / (0.05 * 0.7) = 0.1; 5 sigma, fixed seeds.
    assert factors == pytest.approx([6.0, 1.0], abs=0.5)


def test_negative_factors_are_refused():
    with pytest.raises(InputError, match="readout_relaxation"):
        what_if(device(), readout_relaxation=-1.0)
