"""The stated error of the `mpo` engine covers the true one: chains, heavy-hex patches, grids."""

from dataclasses import replace

import numpy as np
import pytest

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mpo_evolve import bound, state
from qdt_emu.engines.mpo_program import recorded
from tests.engines.density_oracle import random_unitary

HEX = [(k, (k + 1) % 10) for k in range(10)] + [(2, 10), (7, 11)]
GRID = [(4 * r + c, 4 * r + c + 1) for r in range(3) for c in range(3)]
GRID += [(4 * r + c, 4 * r + c + 4) for r in range(2) for c in range(4)]


class Writer:
    """Collects operations with their numbers; noise of a given strength around every gate."""

    def __init__(self, rng, n, noise):
        self.rng, self.n, self.noise = rng, n, noise
        self.ops = []
        self.tables = {
            k: [] for k in ("unitaries1", "unitaries2", "relaxation", "pauli1", "pauli2")
        }

    def add(self, kind, table, qubits, numbers):
        self.ops.append(Operation(kind, qubits, len(self.tables[table])))
        self.tables[table].append(numbers)

    def gate(self, qubits, matrix):
        k = len(qubits)
        self.add(Kind.UNITARY, f"unitaries{k}", qubits, matrix)
        for q in qubits:
            e = np.exp(-0.01 * self.noise * self.rng.random())
            self.add(Kind.RELAXATION, "relaxation", (q,), [e, e ** self.rng.uniform(0.6, 2), 0.02])
        p = self.noise * (0.002, 0.015)[k - 1] * self.rng.random(4**k) / 4**k
        p[0] = 1 - p[1:].sum()
        self.add(Kind.PAULI, f"pauli{k}", qubits, p)

    def circuit(self):
        reads = tuple(Operation(Kind.MEASURE, (q,), q, q) for q in range(self.n))
        values = replace(
            Values.empty(self.n),
            excited=np.full(self.n, 0.01),
            confusion=np.zeros((self.n, 2)),
            **{name: np.array(rows) for name, rows in self.tables.items() if rows},
        )
        structure = Structure(tuple(self.ops), self.n, 0, tuple(range(self.n)))
        read = replace(structure, operations=structure.operations + reads, n_clbits=self.n)
        return structure, read, values


def random_circuit(seed):
    """A chain of 10 to 12, a heavy-hex patch of 12, or a grid of 3 x 4; four kinds of gates."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 13)) if seed % 3 == 0 else 12
    edges = [(k, k + 1) for k in range(n - 1)] if seed % 3 == 0 else HEX if seed % 3 == 1 else GRID
    kind = rng.choice(["haar", "cx", "kicked", "ising"])
    write = Writer(rng, n, rng.choice([0.3, 1, 3, 10]))
    theta, angle = rng.uniform(0.2, 1.4), rng.uniform(0.1, 0.8)
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    couple = {
        "cx": np.eye(4)[[0, 1, 3, 2]],
        "kicked": np.diag(np.exp(-0.25j * np.pi * np.array([1, -1, -1, 1]))),
        "ising": np.diag(np.exp(-1j * angle * np.array([1, -1, -1, 1]))),
    }
    for layer in range(int(rng.integers(3, 15))):
        for q in range(n):
            plain = kind in ("kicked", "ising")
            turn = np.array([[c, -1j * s], [-1j * s, c]]) if plain else random_unitary(rng, 2)
            write.gate((q,), turn)
        free = set(range(n))
        order = range(layer % 2, n - 1, 2) if seed % 3 == 0 else rng.permutation(len(edges))
        for a, b in (edges[k] for k in order):
            if {a, b} <= free:
                free -= {a, b}
                write.gate((a, b), random_unitary(rng, 4) if kind == "haar" else couple[kind])
    return (*write.circuit(), rng)


def errors(picture, bond, seeds):
    """True errors and stated bounds of one string for each circuit."""
    true, stated = [], []
    for seed in seeds:
        structure, _, values, rng = random_circuit(seed)
        n = structure.n_qubits
        paulis = np.zeros((1, n), np.uint8)
        weight = rng.integers(1, 5)
        paulis[0, rng.choice(n, weight, replace=False)] = rng.integers(1, 4, weight)
        readout = np.stack([1 - 0.1 * rng.random(n), 0.05 * rng.normal(size=n)], 1)
        want, found = (
            e.estimate(e.prepare(structure), values, paulis, readout, shots=1, seed=0)
            for e in (Density(threads=1), Mpo(bond, picture=picture, threads=1))
        )
        true.append(abs(found.values - want.values)[0])
        stated.append(found.bounds[0])
    return np.array(true), np.array(stated)


@pytest.mark.parametrize(
    ("picture", "bond", "count"),
    [
        ("schroedinger", 8, 6),
        ("heisenberg", 8, 6),
        pytest.param("schroedinger", 16, 200, marks=pytest.mark.slow),
        pytest.param("heisenberg", 16, 200, marks=pytest.mark.slow),
        pytest.param("schroedinger", 32, 200, marks=pytest.mark.slow),
        pytest.param("heisenberg", 32, 200, marks=pytest.mark.slow),
    ],
)
def test_stated_error_covers_the_true_one(picture, bond, count):
    """In at least 95 % of circuits; fixed seeds, which the factors have not seen."""
    true, stated = errors(picture, bond, range(10_000, 10_000 + count))
    assert np.mean(true > 1e-7) > 0.4  # the bond did cut
    assert np.mean(true <= stated + 1e-12) >= 0.95


@pytest.mark.parametrize(("bond", "count"), [(8, 6), pytest.param(16, 60, marks=pytest.mark.slow)])
def test_stated_distance_of_samples_covers_the_true_one(bond, count):
    """Total variation distance of the sampled law, all bits, in at least 95 % of circuits."""
    covered = []
    for seed in range(10_000, 10_000 + count):
        _, structure, values, _ = random_circuit(seed)
        n = structure.n_qubits
        engine = Mpo(bond, threads=1)
        found = engine.sample(engine.prepare(structure), values, shots=1024, seed=0)
        want = probabilities(Density(threads=1).prepare(structure), values, threads=1)
        want = want.reshape((2,) * n).transpose(range(n)[::-1])
        law = dense(engine, structure, values).transpose(recorded(structure)[0].final)
        covered.append(abs(law - want).sum() / 2 <= found.truncation)
    assert np.mean(covered) >= 0.95


def dense(engine, structure, values):
    """The law that `sample` draws from, axes in the order of the sites."""
    prog, _ = recorded(structure)
    n = structure.n_qubits
    train, _ = state(bound(prog, values), np.ones(n, bool), engine.max_bond, engine.cutoff)
    law = np.ones((1, 1))
    for tensor in train.tensors:
        bits = np.stack([tensor[:, 0] + tensor[:, 3], tensor[:, 0] - tensor[:, 3]], 1) / np.sqrt(2)
        law = np.tensordot(law, bits, axes=1).reshape(-1, tensor.shape[2])
    return law.reshape((2,) * n)
