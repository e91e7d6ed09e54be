"""Dense references for graph tensor networks: whole vectors, a few sites."""

import numpy as np

from qdt_emu.engines.network_state import Graph

RING = Graph(12, tuple(sorted((min(k, (k + 1) % 12), max(k, (k + 1) % 12)) for k in range(12))))
TREE = Graph(10, ((0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6), (6, 7), (6, 8), (8, 9)))
PAULIS = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], complex
)


def random_unitary(rng, d):
    q, r = np.linalg.qr(rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)))
    return q * (np.diagonal(r) / abs(np.diagonal(r)))


def random_gates(rng, graph, layers, *, strength=1.0):
    """Random one-qubit gates and exp(-i strength random ZZ-like) on all edges, per layer."""
    gates = []
    for _ in range(layers):
        gates += [((q,), random_unitary(rng, 2)) for q in range(graph.n)]
        for edge in graph.edges:
            angle = strength * rng.uniform(0.2, 1.0)
            u = np.kron(random_unitary(rng, 2), random_unitary(rng, 2))
            zz = np.diag(np.exp(-0.5j * angle * np.array([1, -1, -1, 1])))
            gates.append((edge if rng.random() < 0.5 else edge[::-1], u @ zz @ u.conj().T))
    return gates


def vector(state):
    """All amplitudes, shape (physical,) * n, axis q is site q."""
    n = state.graph.n
    operands = []
    for q, tensor in enumerate(state.tensors):
        operands += [tensor, [*(n + k for k in state.graph.legs[q]), q]]
    edges = len(state.weights)
    # A weight joins both ends of its bond: absorbed at the lower site.
    for k, (a, _) in enumerate(state.graph.edges):
        axis = state.graph.legs[a].index(k)
        shape = [1] * operands[2 * a].ndim
        shape[axis] = -1
        operands[2 * a] = operands[2 * a] * state.weights[k].reshape(shape)
    assert n + edges < 52
    out = np.einsum(*operands, list(range(n)), optimize="greedy")
    return out * np.exp(state.log_norm)


def apply(psi, sites, matrix):
    """A dense vector after an operator; the first site is the most significant."""
    d, k = psi.shape[0], len(sites)
    out = np.tensordot(matrix.reshape((d,) * (2 * k)), psi, (list(range(k, 2 * k)), list(sites)))
    return np.moveaxis(out, list(range(k)), list(sites))


def run(n, gates, d=2):
    psi = np.zeros((d,) * n, complex)
    psi[(0,) * n] = 1
    for sites, matrix in gates:
        psi = apply(psi, sites, matrix)
    return psi


def mean(psi, operators):
    """Expectation value of a product of one-site operators."""
    other = psi
    for q, matrix in operators.items():
        other = apply(other, (q,), matrix)
    return (np.vdot(psi, other) / np.vdot(psi, psi)).real
