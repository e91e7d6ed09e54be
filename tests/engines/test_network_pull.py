"""Strings pulled back through a trajectory give the same expectation values."""

import numpy as np
import pytest

from qdt_emu.engines.network_pull import kraus, pull
from qdt_emu.engines.unravel import Event, Gate, Measure, Reset
from tests.engines.network_oracle import PAULIS, TREE, apply, random_unitary

CZ = np.diag([1, 1, 1, -1]).astype(complex)
H = np.array([[1, 1], [1, -1]], complex) / np.sqrt(2)


def density(n, steps):
    """The density tensor of all steps, channels where a step draws, axes (ket, bra)."""
    rho = np.zeros((2,) * (2 * n), complex)
    rho[(0,) * (2 * n)] = 1
    for step in steps:
        qubits = step.qubits if isinstance(step, Gate) else (step.qubit,)
        operators = (step.matrix,) if isinstance(step, Gate) else kraus(step)
        both = [apply(rho, qubits, k) for k in operators]
        bras = tuple(n + q for q in qubits)
        rho = sum(apply(r, bras, k.conj()) for r, k in zip(both, operators, strict=True))
    return rho.reshape(2**n, 2**n)


def value(rho, operators, n):
    whole = np.eye(1)
    for q in range(n):
        whole = np.kron(whole, operators.get(q, np.eye(2)))
    return np.trace(rho @ whole).real


def random_steps(rng, n, edges):
    steps = []
    for _ in range(2):
        steps += [Gate((q,), random_unitary(rng, 2)) for q in range(n)]
        for edge in edges:
            local = np.kron(random_unitary(rng, 2), random_unitary(rng, 2))
            steps.append(Gate(edge, local @ CZ if rng.random() < 0.7 else random_unitary(rng, 4)))
        q = int(rng.integers(n))
        damp = np.array([[[1, 0], [0, 0.8]], [[0, 0.6], [0, 0]]], complex)
        steps += [Event(q, damp, 0.5), Measure((q + 1) % n, 0, -1, 0.5), Reset((q + 2) % n, 1, 0.5)]
    for edge in edges:
        steps.append(Gate(edge, CZ))
    return steps


@pytest.mark.parametrize("seed", range(8))
def test_what_is_absorbed_changes_no_expectation_value(seed):
    rng = np.random.default_rng(seed)
    n, edges = 4, [(0, 1), (1, 2), (3, 2)]
    steps = random_steps(rng, n, edges)
    strings = [{0: PAULIS[3]}, {1: PAULIS[1], 3: PAULIS[2]}, {2: 0.9 * PAULIS[3] + 0.1 * np.eye(2)}]
    rho = density(n, steps)
    for some in (strings, strings[:1], strings[1:2]):
        found = pull(steps, some)
        small = density(n, found.steps)
        for string, operators, factor in zip(some, found.operators, found.factors, strict=True):
            exact = value(rho, string, n)
            assert factor * value(small, operators, n) == pytest.approx(exact, abs=1e-12)
            assert all(np.abs(o - o.conj().T).max() < 1e-12 for o in operators.values())


def test_clifford_gates_at_the_end_are_absorbed():
    steps = [Gate((q,), H) for q in range(TREE.n)]
    steps += [Gate(edge, CZ) for edge in TREE.edges]
    found = pull(steps, [{3: PAULIS[1]}, {0: PAULIS[3], 1: PAULIS[3]}])
    assert found.steps == ()
    assert sorted(found.operators[0]) == [1, 3, 4, 5]


def test_diagonal_gates_do_not_reach_a_misread_z():
    step = Gate((0, 1), np.diag(np.exp(1j * np.arange(4) ** 2)))
    misread = {0: 0.9 * PAULIS[3] - 0.05 * np.eye(2)}
    assert pull([step], [misread]).steps == ()
    assert len(pull([step], [{0: PAULIS[1]}]).steps) == 1


def test_what_lies_outside_of_the_light_cone_is_dropped():
    swap = np.eye(4)[[0, 2, 1, 3]].astype(complex)
    cone = [Gate((0, 1), swap @ np.diag([1, 1j, 1, 1])), Gate((1, 2), CZ @ swap @ np.kron(H, H))]
    found = pull([*cone, Gate((0, 3), CZ), Reset(3, 0, 0.1)], [{2: PAULIS[3]}])
    assert all(step in cone for step in found.steps)


def test_a_string_of_identities_is_a_number():
    found = pull([Gate((0, 1), CZ)], [{}, {0: 0.5 * np.eye(2)}])
    assert found.operators[0] == {}
    assert pull([Reset(0, 1, 0.1)], [{0: PAULIS[3]}]).factors[0] == -1


def test_a_commuting_layer_extends_the_cone_by_one_qubit_only():
    # Turned by the gates' own pulses, the layer of diagonal gates along the chain is in order.
    rng = np.random.default_rng(3)
    n = 6
    zz = np.diag(np.exp(-0.3j * np.array([1, -1, -1, 1])))
    turn = [random_unitary(rng, 2) for _ in range(n)]
    layer = [Gate((q, q + 1), zz) for q in reversed(range(1, n - 1))]
    layer = [Gate((0, 1), zz @ np.kron(turn[0], turn[1])), *layer[::-1]]
    first = [Gate((q, q + 1), zz @ np.kron(turn[2], turn[3])) for q in range(n - 1)]
    steps = [*first, *(Gate((q,), turn[q]) for q in range(2, n)), *layer]
    found = pull(steps, [{2: PAULIS[1]}])
    pairs = [s.qubits for s in found.steps if len(s.qubits) == 2]
    assert pairs[-2:] == [(1, 2), (2, 3)]
    assert (3, 4) in pairs[:-2]
    assert pairs.count((3, 4)) == 1
    rho, small = density(n, steps), density(n, found.steps)
    exact = value(rho, {2: PAULIS[1]}, n)
    assert value(small, found.operators[0], n) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_dropping_commuting_gates_changes_no_expectation_value(seed):
    rng = np.random.default_rng(100 + seed)
    n, edges = 4, [(0, 1), (2, 1), (2, 3)]
    steps = []
    for _ in range(3):
        turned = [random_unitary(rng, 2) for _ in range(n)]
        for a, b in edges:
            zz = np.diag(np.exp(-0.5j * rng.normal() * np.array([1, -1, -1, 1])))
            local = np.kron(turned[a], turned[b]) if rng.random() < 0.6 else np.eye(4)
            controlled = np.eye(4, dtype=complex)
            controlled[2:, 2:] = random_unitary(rng, 2)
            steps.append(Gate((a, b), (zz if rng.random() < 0.6 else controlled) @ local))
        steps.append(Gate((1,), np.diag([1, 1j])))
    strings = [{1: PAULIS[3]}, {0: PAULIS[1], 3: PAULIS[3]}, {2: 0.9 * PAULIS[3] + 0.1 * np.eye(2)}]
    rho = density(n, steps)
    for some in (strings, strings[:1], strings[1:2], strings[2:]):
        found = pull(steps, some)
        small = density(n, found.steps)
        for string, operators, factor in zip(some, found.operators, found.factors, strict=True):
            exact = value(rho, string, n)
            assert factor * value(small, operators, n) == pytest.approx(exact, abs=1e-12)
