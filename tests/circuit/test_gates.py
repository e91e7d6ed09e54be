"""Gate matrices: Qiskit's own, with the first qubit most significant."""

import numpy as np
import pytest
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, average_gate_fidelity

from qdt_emu.circuit.gates import GENERATOR, PARAMETRIC, constant, first_most_significant
from qdt_emu.noise.coherent import pauli_rotation

STANDARD = get_standard_gate_name_mapping()


@pytest.mark.parametrize("name", PARAMETRIC)
def test_every_gate_with_angles_equals_qiskits(name):
    qubits, count, build = PARAMETRIC[name]
    rng = np.random.default_rng(len(name))
    angles = rng.uniform(-7, 7, (5, count))
    gates = [type(STANDARD[name])(*row) for row in angles]
    assert {g.num_qubits for g in gates} == {qubits}
    expected = np.array([first_most_significant(g) for g in gates])
    np.testing.assert_allclose(build(angles), expected, atol=1e-14)


@pytest.mark.parametrize("name", ["x", "sx", "cx", "ecr", "cz", "swap", "iswap", "csx"])
def test_the_first_qubit_is_the_most_significant(name):
    gate = STANDARD[name]
    found = constant(name)
    if gate.num_qubits == 2:
        swap = np.eye(4)[[0, 2, 1, 3]]
        found = swap @ found @ swap
    np.testing.assert_allclose(found, Operator(gate).data, atol=1e-15)


def test_what_is_no_constant_gate_of_two_qubits_has_no_matrix():
    assert constant("rx") is None
    assert constant("ccx") is None
    assert constant("measure") is None
    assert constant("nonsense") is None


@pytest.mark.parametrize("name", GENERATOR)
def test_generators_act_on_as_many_qubits_as_their_gate(name):
    if name not in STANDARD:
        pytest.skip("a vendor's gate without a Qiskit class")
    assert len(GENERATOR[name]) == STANDARD[name].num_qubits
    small = Operator(pauli_rotation(GENERATOR[name], 0.02))
    assert average_gate_fidelity(small) < 1
