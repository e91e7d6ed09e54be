from dataclasses import replace

import numpy as np
import pytest

from qdt_emu.circuit import Kind, NoisyCircuit, Operation, Structure, Values
from qdt_emu.engines.density import Density
from qdt_emu.engines.phases import are_diagonal, is_phase, joined, predecessors
from qdt_emu.engines.statevector_blocks import gather
from tests.engines.random_circuits import LATTICES, case
from tests.engines.statevector_oracle import law, random_circuit
from tests.engines.test_mps import phased


def idle(a, b, slot=0):
    return Operation(Kind.UNITARY, (a, b), slot, mechanism="zz")


def brick(n, layers):
    """Pulses on all qubits twice a layer with phases of all couplers between, then gates."""
    operations, pulses = [], [Operation(Kind.UNITARY, (q,), 0) for q in range(n)]
    every = [idle(k, k + 1) for k in range(n - 1)]
    for layer in range(layers):
        gates = [Operation(Kind.UNITARY, (k, k + 1), 1) for k in range(layer % 2, n - 1, 2)]
        operations += [*every, *pulses, *every, *pulses, *every, *gates]
    return Structure(tuple(operations), n, 0, tuple(range(n)))


def blocks(structure, operations):
    return gather(structure, operations, frozenset(range(structure.n_qubits)))


@pytest.mark.parametrize("lattice", LATTICES)
def test_another_order_of_phases_is_the_same_circuit(lattice):
    for seed in range(3):
        c, exact = case(seed, lattice=lattice), Density()
        other = replace(c.structure, operations=tuple(joined(c.structure.operations)))
        assert sorted(map(repr, other.operations)) == sorted(map(repr, c.structure.operations))
        ask = (c.values, c.paulis, c.readout)
        found = [
            exact.estimate(exact.prepare(s), *ask, shots=1, seed=0).values
            for s in (c.structure, other)
        ]
        np.testing.assert_allclose(found[1], found[0], atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_measurements_and_conditions_keep_their_order(seed):
    noisy = phased(random_circuit(seed, n=3, steps=40), seed)
    s = noisy.structure
    other = NoisyCircuit(replace(s, operations=tuple(joined(s.operations))), noisy.values)
    np.testing.assert_allclose(law(other), law(noisy), atol=1e-12)


def test_every_operation_comes_after_its_predecessors():
    operations = phased(random_circuit(3, n=4, steps=80), 3).structure.operations
    place = {id(o): k for k, o in enumerate(joined(operations))}
    before = predecessors(operations)
    assert any(before)
    for o, earlier in zip(operations, before, strict=True):
        assert all(place[id(operations[k])] < place[id(o)] for k in earlier)


def test_phases_of_a_layer_join_the_blocks_around_them():
    # In one order each of 3 sets of phases is a block of its own but for the last. At best the
    # couplers of a gate and those between take turns three times a layer: 1.5 n blocks.
    n, layers = 20, 8
    s = brick(n, layers)
    assert len(blocks(s, s.operations)) > 2.5 * (n - 1) * layers
    assert len(blocks(s, joined(s.operations))) < 1.15 * 1.5 * n * layers


def test_without_phases_the_order_is_kept():
    operations = random_circuit(1).structure.operations
    assert joined(operations) == list(operations)


def test_phases_are_checked_for_what_they_are_called():
    s = Structure((idle(0, 1, 0), idle(0, 1, 1)), 2, 0, (0, 1))
    good = np.stack([np.eye(4), np.diag(np.exp(1j * np.arange(4)))]).astype(complex)
    bad = good.copy()
    bad[1, 1, 2] = 1e-9
    empty = Values.empty(2)
    assert all(map(is_phase, s.operations))
    assert are_diagonal(s, replace(empty, unitaries2=good))
    assert not are_diagonal(s, replace(empty, unitaries2=bad))
    assert are_diagonal(replace(s, operations=()), empty)
