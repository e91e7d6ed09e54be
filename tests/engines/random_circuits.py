"""Random noisy circuits on pieces of a chip, for engines that cut: Clifford to Haar, or kicked.

Noise is what calibrations of superconducting processors publish, at one to ten times its strength:
relaxation with T2 up to 2 T1 and a warm rest state, Pauli channels after gates, idle couplings,
a warm start and misread bits. Everything is drawn from one seed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Operation, Structure, Values

GATE, PULSE = 500e-9, 50e-9  # s

LATTICES = {
    "chain": (10, [(q, q + 1) for q in range(9)]),
    # A plaquette of the heavy-hexagon graph, twelve qubits around, is the smallest loop it has.
    "ring": (12, [(q, (q + 1) % 12) for q in range(12)]),
    # A tree of the heavy-hexagon graph: two junctions with what hangs on them.
    "tree": (11, [(0, 1), (1, 2), (2, 3), (3, 4), (2, 5), (5, 6), (6, 7), (7, 8), (6, 9), (9, 10)]),
    "grid": (12, [(4 * r + c, 4 * r + c + 1) for r in range(3) for c in range(3)]
             + [(4 * r + c, 4 * r + c + 4) for r in range(2) for c in range(4)]),
}  # fmt: skip

_H = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
_S = np.diag([1, 1j])
_ECR = np.array([[0, 0, 1, 1j], [0, 0, 1j, 1], [1, -1j, 0, 0], [-1j, 1, 0, 0]]) / np.sqrt(2)


@dataclass(frozen=True, eq=False)
class Case:
    """A noisy circuit, Pauli strings with their misreading, and what was drawn.

    Attributes:
        structure: Without measurements.
        values: Its numbers.
        paulis: Shape (m, n), weights 1 to 6.
        readout: Shape (n, 2), see `Engine.estimate`.
        label: Seed, lattice, depth, gates, noise.
    """

    structure: Structure
    values: Values
    paulis: NDArray[np.uint8]
    readout: NDArray[np.float64]
    label: str

    def measured(self) -> Structure:
        """Return the circuit with all qubits measured at the end, bit k from qubit k."""
        s, n = self.structure, self.structure.n_qubits
        reads = tuple(Operation(Kind.MEASURE, (q,), q, q, mechanism="readout") for q in range(n))
        return replace(s, operations=s.operations + reads, n_clbits=n)


class _Tables:
    """Rows of `Values` as they are drawn."""

    def __init__(self) -> None:
        self.rows: dict[str, list[NDArray[np.float64]]] = {}
        self.operations: list[Operation] = []

    def add(self, kind: Kind, table: str, qubits: tuple[int, ...], row, mechanism: str) -> None:
        rows = self.rows.setdefault(table, [])
        self.operations.append(Operation(kind, qubits, len(rows), mechanism=mechanism))
        rows.append(np.asarray(row))

    def values(self, n: int) -> Values:
        return replace(Values.empty(n), **{name: np.stack(r) for name, r in self.rows.items()})


def case(seed: int, *, lattice: str | None = None, strings: int = 4) -> Case:
    """Return the random case of a seed.

    Args:
        seed: The whole case follows from it.
        lattice: One of `LATTICES`; None draws it.
        strings: Number of Pauli strings.
    """
    rng = np.random.default_rng([seed, 127])
    name = lattice or str(rng.choice(list(LATTICES), p=[0.4, 0.2, 0.25, 0.15]))
    n, edges = LATTICES[name]
    depth = int(rng.integers(2, 13))
    # 0 is Clifford, 1 is Haar; half of all circuits sit near an end.
    magic = float(rng.choice([0.0, 0.1, 0.5, 1.0]) if rng.random() < 0.5 else rng.random())
    kick = float(rng.uniform(0.1, 1.4)) if rng.random() < 0.33 else None
    strength = float(10 ** rng.uniform(0, 1))
    chip = _Chip(rng, n, strength)
    tables = _Tables()
    for layer in range(depth):
        for q in range(n):
            if rng.random() < 0.7:
                tables.add(Kind.UNITARY, "unitaries1", (q,), _one(rng, magic, kick), "ideal")
                chip.relax(tables, q, PULSE)
                tables.add(Kind.PAULI, "pauli1", (q,), chip.pauli(4, 2e-4), "gate")
        used = _matching(rng, edges, layer)
        for a, b in used:
            tables.add(Kind.UNITARY, "unitaries2", (a, b), _two(rng, magic, kick), "ideal")
            for q in (a, b):
                chip.relax(tables, q, GATE)
            tables.add(Kind.PAULI, "pauli2", (a, b), chip.pauli(16, 5e-3), "gate")
        chip.idle(tables, edges, used)
    values = replace(tables.values(n), excited=chip.excited, confusion=chip.confusion)
    p01, p10 = chip.confusion.T
    return Case(
        Structure(tuple(tables.operations), n, 0, tuple(range(n))),
        values,
        _strings(rng, n, strings),
        np.stack([1 - p01 - p10, p10 - p01], 1),
        f"seed {seed}: {name} of {n}, depth {depth}, noise {strength:.1f}x, "
        + (f"magic {magic:.2f}" if kick is None else f"kicked by {kick:.2f}"),
    )


class _Chip:
    """Noise of a processor's qubits."""

    def __init__(self, rng: np.random.Generator, n: int, strength: float) -> None:
        self.rng, self.strength, self.n = rng, strength, n
        self.t1 = rng.lognormal(np.log(250e-6), 0.4, n) / strength
        self.t2 = self.t1 * rng.uniform(0.1, 2.0, n)  # a third has T2 > 1.37 T1
        self.zz = strength * rng.uniform(0, 60e3)  # Hz
        self.rest = np.where(rng.random(n) < 0.5, 0.0, 0.05 * rng.random(n))
        self.excited = np.where(rng.random(n) < 0.5, 0.0, self.rest)
        self.confusion = np.minimum(0.2, strength * rng.uniform(0.002, 0.03, (n, 2)))

    def relax(self, tables: _Tables, q: int, time: float) -> None:
        row = [np.exp(-time / self.t1[q]), np.exp(-time / self.t2[q]), self.rest[q]]
        tables.add(Kind.RELAXATION, "relaxation", (q,), row, "relaxation")

    def pauli(self, size: int, error: float) -> NDArray[np.float64]:
        """Residual depolarising with an uneven part, of the given total probability."""
        p = self.rng.dirichlet(np.full(size - 1, 2.0)) * error * self.strength
        return np.concatenate([[1 - p.sum()], p])

    def idle(
        self, tables: _Tables, edges: list[tuple[int, int]], used: list[tuple[int, int]]
    ) -> None:
        """Qubits that wait relax and their couplers turn them by ZZ."""
        busy = {q for pair in used for q in pair}
        for q in set(range(self.n)) - busy:
            self.relax(tables, q, GATE)
        if self.rng.random() < 0.5:
            return
        angle = np.pi / 2 * self.zz * GATE
        for a, b in edges:
            if a not in busy and b not in busy:
                tables.add(Kind.UNITARY, "unitaries2", (a, b), _couple(angle), "zz")


def _matching(
    rng: np.random.Generator, edges: list[tuple[int, int]], layer: int
) -> list[tuple[int, int]]:
    """Return couplers that share no qubit, in a drawn direction, most but not all of them."""
    order = rng.permutation(len(edges)) if layer % 2 else np.arange(len(edges))
    busy: set[int] = set()
    out = []
    for k in order:
        a, b = edges[k]
        if a in busy or b in busy or rng.random() < 0.2:
            continue
        busy |= {a, b}
        out.append((a, b) if rng.random() < 0.5 else (b, a))
    return out


def _haar(rng: np.random.Generator, d: int) -> NDArray[np.complex128]:
    return np.linalg.qr(rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)))[0]


def _rotation(angle: float) -> NDArray[np.complex128]:
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[c, -1j * s], [-1j * s, c]])


def _couple(angle: float) -> NDArray[np.complex128]:
    return np.diag(np.exp(-0.5j * angle * np.array([1, -1, -1, 1])))


def _one(rng: np.random.Generator, magic: float, kick: float | None) -> NDArray[np.complex128]:
    """Return RX(kick), or a Haar gate with probability `magic`, else a Clifford gate."""
    if kick is not None:
        return _rotation(kick)
    if rng.random() < magic:
        return _haar(rng, 2)
    gate = np.eye(2, dtype=complex)
    for _ in range(rng.integers(1, 5)):
        gate = (_H if rng.random() < 0.5 else _S) @ gate
    return gate


def _two(rng: np.random.Generator, magic: float, kick: float | None) -> NDArray[np.complex128]:
    """Return CZ, ECR or, with probability `magic`, RZZ by any angle or a Haar gate."""
    if kick is not None:
        return _couple(-np.pi / 2)
    if rng.random() >= magic:
        return np.diag([1, 1, 1, -1]).astype(complex) if rng.random() < 0.5 else _ECR
    return _couple(rng.uniform(-np.pi, np.pi)) if rng.random() < 0.5 else _haar(rng, 4)


def _strings(rng: np.random.Generator, n: int, count: int) -> NDArray[np.uint8]:
    """Return Pauli strings of weight 1 to 6; every other one of Z alone, as counts give them."""
    out = np.zeros((count, n), np.uint8)
    for k, row in enumerate(out):
        weight = int(rng.integers(1, 7))
        where = rng.choice(n, weight, replace=False)
        row[where] = 3 if k % 2 else rng.integers(1, 4, weight)
    return out
