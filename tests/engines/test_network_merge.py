"""Trajectories with small couplings gathered, and in normal form: the same state."""

import numpy as np
import pytest

from qdt_emu.engines.network_merge import merged
from qdt_emu.engines.network_normal import normal, split
from qdt_emu.engines.network_state import Graph
from qdt_emu.engines.unravel import Event, Gate
from tests.engines.network_oracle import random_unitary, run

GRAPH = Graph(5, ((0, 1), (1, 2), (1, 3), (3, 4)))
ECR = np.array([[0, 0, 1, 1j], [0, 0, 1j, 1], [1, -1j, 0, 0], [-1j, 1, 0, 0]]) / np.sqrt(2)


def zz(angle):
    return np.diag(np.exp(-0.5j * angle * np.array([1, -1, -1, 1])))


def crosstalk(rng, size, layers=4):
    """Echoed cross-resonance gates, pulses, and small ZZ on all couplers between them."""
    steps = []
    for _ in range(layers):
        edge = GRAPH.edges[int(rng.integers(4))]
        steps.append(Gate(edge if rng.random() < 0.5 else edge[::-1], ECR))
        for _ in range(3):
            steps += [Gate((q,), random_unitary(rng, 2)) for q in range(5) if rng.random() < 0.6]
            for a, b in GRAPH.edges:
                pulses = np.kron(random_unitary(rng, 2), random_unitary(rng, 2))
                small = zz(size * rng.normal()) @ (pulses if rng.random() < 0.3 else np.eye(4))
                steps.append(Gate((b, a) if rng.random() < 0.5 else (a, b), small))
    return steps


def state(steps):
    return run(5, [(s.qubits, s.matrix) for s in steps])


def pairs(steps):
    return sum(len(s.qubits) == 2 for s in steps)


@pytest.mark.parametrize("seed", range(5))
def test_without_tolerance_nothing_changes(seed):
    steps = crosstalk(np.random.default_rng(seed), 0.01)
    found, passed = merged(GRAPH, steps, 0.0)
    assert passed == 0
    assert np.abs(state(found) - state(steps)).max() < 1e-12


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_gathered_couplings_change_the_state_as_little_as_reported(size):
    for seed in range(5):
        steps = crosstalk(np.random.default_rng(seed), size)
        found, passed = merged(GRAPH, steps, 1e-3)
        assert pairs(found) < 0.6 * pairs(steps)
        # Signs of the exchanged products are not the same: their squares add up.
        assert np.linalg.norm(state(found) - state(steps)) < 3 * np.sqrt(passed)
        assert passed < 1000 * size**4


def test_what_the_state_decides_waits_for_all_before_it_on_its_qubit():
    rng = np.random.default_rng(1)
    first, second = crosstalk(rng, 0.01, 2), crosstalk(rng, 0.01, 2)
    event = Event(1, np.array([np.diag([1, 0.5]), [[0, 0.75**0.5], [0, 0]]], complex), 0.3)
    found, _ = merged(GRAPH, [*first, event, *second], 1e-3)
    at = found.index(event)

    def projected(before, after):
        psi = run(5, [(s.qubits, s.matrix) for s in before] + [((1,), event.kraus[0])])
        for s in after:
            psi = _apply(psi, s)
        return psi

    assert np.linalg.norm(projected(found[:at], found[at + 1 :]) - projected(first, second)) < 1e-3


def _apply(psi, step):
    k = len(step.qubits)
    out = np.tensordot(step.matrix.reshape((2,) * (2 * k)), psi, (range(k, 2 * k), step.qubits))
    return np.moveaxis(out, range(k), step.qubits)


def test_gates_of_rank_two_have_a_diagonal_core():
    rng = np.random.default_rng(2)
    for core in (zz(np.pi / 2), zz(1e-3), zz(0.7), ECR, np.diag([1, 1, 1, -1]).astype(complex)):
        a, b = (np.kron(random_unitary(rng, 2), random_unitary(rng, 2)) for _ in range(2))
        matrix = a @ core @ b
        u, v, d, w, x = split(matrix)
        assert np.abs(np.kron(u, v) @ np.diag(d) @ np.kron(w, x) - matrix).max() < 1e-12
    assert split(np.eye(4)[[0, 2, 1, 3]]) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_normal_form_is_the_same_state(seed):
    steps = crosstalk(np.random.default_rng(seed), 0.3)
    found = normal(steps)
    assert np.abs(state(found) - state(steps)).max() < 1e-11
    twice = [Gate((0, 1), zz(0.3)), Gate((0,), np.array([[0, 1], [1, 0]])), Gate((1, 0), zz(0.3))]
    assert pairs(normal(twice)) == 1
