from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from qdt_emu.circuit import Kind, NoisyCircuit, Operation
from qdt_emu.engines.density import Density
from qdt_emu.engines.statevector import Statevector
from qdt_emu.engines.unravel import Event, Gate, Measure, Reset, bind, program, trajectory
from qdt_emu.kernels.randomness import shot_keys
from tests.engines.statevector_oracle import PAULIS, embed, expectation, random_circuit


def play(bound, key, psi):
    """Run one trajectory on a dense state; qubit 0 is the most significant index."""
    n = int(np.log2(len(psi)))
    steps, bit = trajectory(bound, key), None
    while True:
        try:
            step = steps.send(bit)
        except StopIteration as end:
            return psi, end.value
        bit = None
        if isinstance(step, Gate):
            psi = embed(step.matrix, step.qubits, n) @ psi
        elif isinstance(step, Event):
            branches = [embed(k, (step.qubit,), n) @ psi for k in step.kraus]
            weights = np.cumsum([np.vdot(b, b).real for b in branches])
            assert weights[-1] == pytest.approx(1, abs=1e-10)
            psi = branches[min(int(np.searchsorted(weights, step.u * weights[-1], "right")), 2)]
        else:
            one = embed(np.diag([0.0, 1.0]), (step.qubit,), n) @ psi
            bit = int(step.u < np.vdot(one, one).real)
            psi = one if bit else psi - one
            if isinstance(step, Reset) and bit != step.excited:
                psi = embed(PAULIS[1], (step.qubit,), n) @ psi
        psi = psi / np.linalg.norm(psi)


def scores(noisy, paulis, shots, seed):
    """Return mean over trajectories in units of its standard error from the exact value."""
    n = noisy.structure.n_qubits
    bound = bind(program(noisy.structure, kept=range(n)), noisy.values)
    operators = [np.array([[1.0]])] * len(paulis)
    for q in range(n):
        operators = [np.kron(o, PAULIS[p[q]]) for o, p in zip(operators, paulis, strict=True)]
    found = np.empty((shots, len(paulis)))
    zero = np.zeros(2**n, complex)
    zero[0] = 1
    for k, key in enumerate(shot_keys(np.uint64(seed), 0, shots)):
        psi, _ = play(bound, key, zero)
        found[k] = [np.vdot(psi, o @ psi).real for o in operators]
    return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(shots)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.0])
def test_the_average_of_trajectories_is_the_channel(ratio):
    # Kolmogorov-Smirnov at 1e-5, three times: false alarm 3e-5.
    z = []
    for seed in range(6):
        noisy = random_circuit(seed, n=3, steps=18, ratio=ratio, dynamic=seed % 2 == 0)
        structure = replace(noisy.structure, operations=noisy.structure.operations[:-3])
        noisy = NoisyCircuit(structure, noisy.values)
        paulis = np.random.default_rng(seed).integers(0, 4, (2, 3))
        paulis[:, 0] |= 1
        mean, error = scores(noisy, paulis, 200, seed)
        exact = np.array([expectation(noisy, p, np.tile([1.0, 0.0], (3, 1))) for p in paulis])
        drawn = error > 1e-9
        np.testing.assert_allclose(mean[~drawn], exact[~drawn], atol=1e-9)
        z += list((mean - exact)[drawn] / error[drawn])
    assert kstest(z, "norm").pvalue > 1e-5


def extended(seed):
    """A circuit with dwells and leakage as well."""
    noisy = random_circuit(seed, n=3, steps=18)
    rng, operations = np.random.default_rng(seed), []
    for op in noisy.structure.operations:
        operations.append(op)
        kind = (Kind.DWELL, Kind.LEAK)[int(rng.integers(2))]
        if rng.random() < 0.4 and op.kind is not Kind.MEASURE:
            operations.append(Operation(kind, op.qubits[:1], 0))
    values = replace(
        noisy.values,
        dwell=np.array([1e-6]),
        leakage=np.array([[0.2, 0.3]]),
        detuning=np.tile([[1e5, 2e5]], (3, 1)),
    )
    return NoisyCircuit(replace(noisy.structure, operations=tuple(operations)), values)


def test_the_records_follow_the_law_of_the_statevector_engine_with_dwells_and_leakage():
    for seed in range(4):
        noisy = extended(seed)
        structure = noisy.structure
        bound = bind(program(structure, kept=range(3)), noisy.values)
        zero = np.eye(8, dtype=complex)[0]
        shots = 500
        found = np.array(
            [play(bound, k, zero)[1].record for k in shot_keys(np.uint64(seed), 0, shots)]
        )
        engine = Statevector("double")
        other = engine.sample(
            engine.prepare(structure), noisy.values, shots=20 * shots, seed=seed + 1
        ).bits
        # Means of the bits within 5.5 standard deviations, 16 of them: false alarm 1e-6.
        mean = other.mean(axis=0)
        error = np.sqrt(mean * (1 - mean) * 1.05 / shots)
        assert (np.abs(found.mean(axis=0) - mean) <= 5.5 * error + 1e-12).all()


def test_a_quiet_circuit_is_a_few_unitaries():
    noisy = random_circuit(3, n=3, noise=0.0, dynamic=False)
    structure = replace(noisy.structure, operations=noisy.structure.operations[:-3])
    bound = bind(program(structure, kept=range(3)), noisy.values)
    steps = list(trajectory(bound, 1))
    assert all(isinstance(s, Gate) for s in steps)
    assert len(steps) < sum(op.kind is Kind.UNITARY for op in structure.operations)
    for s in steps:
        np.testing.assert_allclose(s.matrix.conj().T @ s.matrix, np.eye(len(s.matrix)), atol=1e-12)


def test_events_are_channels_and_rare():
    noisy = random_circuit(5, n=3, steps=60, noise=0.03, dynamic=False)
    bound = bind(program(noisy.structure), noisy.values)
    assert {op.kind for op in bound.program.leaf} == {Kind.MEASURE}
    relaxations = sum(op.kind is Kind.RELAXATION for op in noisy.structure.operations)
    events = 0
    for key in shot_keys(np.uint64(0), 0, 200):
        for step in trajectory(bound, key):
            assert not isinstance(step, Measure | Reset)
            if isinstance(step, Event):
                events += 1
                total = np.einsum("kij,kil->jl", step.kraus.conj(), step.kraus)
                np.testing.assert_allclose(total, np.eye(2), atol=1e-12)
    assert 0 < events < 0.05 * 200 * relaxations


def test_a_trajectory_depends_on_its_key_alone():
    noisy = random_circuit(7, n=3)
    bound = bind(program(noisy.structure, kept=range(3)), noisy.values)
    zero = np.eye(8, dtype=complex)[0]
    keys = shot_keys(np.uint64(4), 0, 5)
    once = [play(bound, k, zero)[0] for k in keys]
    again = [play(bound, k, zero)[0] for k in keys[::-1]][::-1]
    np.testing.assert_array_equal(once, again)


def test_the_density_engine_agrees():
    noisy = random_circuit(11, n=3, noise=0.5, dynamic=False)
    structure = replace(noisy.structure, operations=noisy.structure.operations[:-3])
    noisy = NoisyCircuit(structure, noisy.values)
    paulis = np.array([[3, 0, 0], [1, 2, 0], [3, 3, 3]], np.uint8)
    engine = Density()
    exact = engine.estimate(
        engine.prepare(structure), noisy.values, paulis, np.array([[1.0, 0]] * 3), shots=1, seed=0
    ).values
    mean, error = scores(noisy, paulis, 800, 5)
    assert (np.abs(mean - exact) < 5.5 * error + 1e-9).all()  # false alarm 1e-7
