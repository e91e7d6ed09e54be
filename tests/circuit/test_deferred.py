"""The record as qubits: products of its bits have the same means as in the circuit itself."""

import numpy as np
import pytest

from qdt_emu.circuit.deferred import deferred
from qdt_emu.engines.pauli import Pauli
from qdt_emu.errors import UnsupportedError
from tests.circuit.exact import compiled, distribution, physical, toy

NOISY = toy(3, assignment=(0.03, 0.11), zz=9e4)


def random_circuit(seed, depth=14, bits=6):
    """Gates that are not Clifford, resets, and measurements on the way into six bits."""
    rng = np.random.default_rng(seed)
    circuit = physical(3, bits)
    left = list(range(bits))
    for _ in range(depth):
        q = int(rng.integers(3))
        match rng.integers(5):
            case 0:
                circuit.rz(float(rng.uniform(0, 6)), q)
                circuit.sx(q)
            case 1 | 2:
                a = int(rng.integers(2))
                circuit.cz(a, a + 1)
                circuit.sx(a)
            case 3:
                circuit.reset(q)
            case 4 if left:
                circuit.measure(q, left.pop(0))
    for c in left[:3]:
        circuit.measure(c % 3, c)
    return circuit


def parity_means(p, masks):
    index = np.arange(len(p))
    return [p @ (1 - 2.0 * (np.bitwise_count(index & m) % 2)) for m in masks]


@pytest.mark.parametrize("seed", range(8))
def test_every_product_of_bits_has_its_mean(seed):
    circuit = random_circuit(seed)
    work = deferred(compiled(circuit, NOISY).bind())
    written = np.flatnonzero(work.place >= 0)
    masks = [m for m in range(64) if all(c in written for c in range(6) if m >> c & 1)]
    codes = np.zeros((len(masks), work.circuit.structure.n_qubits), np.uint8)
    for row, m in zip(codes, masks, strict=True):
        row[[work.place[c] for c in range(6) if m >> c & 1]] = 3
    engine = Pauli(threshold=0.0)
    found = engine.estimate(
        *(engine.prepare(work.circuit.structure), work.circuit.values, codes, work.readout),
        shots=1,
        seed=0,
    )
    exact = parity_means(distribution(circuit, NOISY), masks)
    assert found.values == pytest.approx(exact, abs=1e-10)


def test_the_last_measurement_into_a_bit_counts():
    circuit = physical(3, 1)
    circuit.measure(0, 0)
    circuit.x(1)
    circuit.measure(1, 0)
    work = deferred(compiled(circuit, NOISY).bind())
    assert work.place.tolist() == [work.circuit.structure.n_qubits - 1]
    assert len(work.readout) == work.circuit.structure.n_qubits


def test_a_condition_is_refused_by_name():
    circuit = physical(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 0)
    with pytest.raises(UnsupportedError, match="depends on clbit 0"):
        deferred(compiled(circuit, NOISY).bind())
