"""Sixty circuits: 4 to 156 qubits, chains, heavy hexagons, grids; Clifford to Haar; noisy or not.

Every circuit is in native gates on the device's own qubits, so that no transpiler takes part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from qiskit import QuantumCircuit

from qdt_emu import Calibration, Policy, Twin
from tests.bench.workload import line

SHOTS = 1000
TWO_QUBIT = ("ecr", "cz", "cx")


@dataclass(frozen=True)
class Task:
    """One circuit and what is asked of it.

    Attributes:
        name: Unique.
        device: Key of `DEVICES`.
        shape: 'line', or 'patch' for the qubits nearest to the middle of the device.
        n: Qubits.
        layers: Layers of two-qubit gates; of 'ising': steps over all couplers.
        kind: 'haar', 'clifford', 'near' (Clifford with a few T), 'ising', 'weak' (ising with small
            angles) or 'ghz'.
        asks: 'samples', or 'z', 'zz', 'six' or 'many': one Z, two neighbouring, six, or Z on every
            third qubit by itself.
        tolerance: Of expectation values.
    """

    name: str
    device: str
    shape: str
    n: int
    layers: int
    kind: str
    asks: str = "samples"
    tolerance: float | None = None


def grid(rows: int, columns: int) -> list[tuple[int, int]]:
    """Return the couplers of a square lattice, row by row."""
    right = [
        (r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)
    ]
    down = [
        (r * columns + c, r * columns + c + columns)
        for r in range(rows - 1)
        for c in range(columns)
    ]
    return right + down


def uniform(n: int, edges: list[tuple[int, int]] | None, infidelity: float, t1: float) -> Twin:
    both = None if edges is None else sorted([*edges, *((b, a) for a, b in edges)])
    return Twin.load(
        Calibration.uniform("made_up", qubits=n, t1=t1, t2=t1, edges=both, infidelity_2q=infidelity)
    )


DEVICES: dict[str, Callable[[], Twin]] = {
    "sherbrooke": lambda: Twin.load("ibm_sherbrooke"),
    "kyiv": lambda: Twin.load("fake_kyiv", policy=Policy(uncalibrated="impute")),
    "boston": lambda: Twin.load("ibm_boston"),
    "fez": lambda: Twin.load("ibm_fez"),
    "chain": lambda: uniform(64, None, 5e-3, 1e-4),
    "noisy chain": lambda: uniform(64, None, 3e-2, 2e-5),
    "grid": lambda: uniform(36, grid(6, 6), 5e-3, 1e-4),
    "ideal chain": lambda: Twin.ideal(100, [(k, k + 1) for k in range(99)]),
    "ideal grid": lambda: Twin.ideal(36, grid(6, 6)),
}

S, V = "samples", 0.02
ZOO = tuple(
    Task(f"{k:02d} {d} {s} {n}x{layers} {kind} {asks}", d, s, n, layers, kind, asks, tolerance)
    for k, (d, s, n, layers, kind, asks, tolerance) in enumerate(
        [
            ("sherbrooke", "line", 4, 4, "haar", S, None),
            ("sherbrooke", "line", 8, 8, "haar", S, None),
            ("boston", "line", 10, 10, "haar", S, None),
            ("kyiv", "line", 12, 6, "haar", S, None),
            ("sherbrooke", "line", 14, 8, "haar", S, None),
            ("fez", "line", 16, 10, "haar", S, None),
            ("sherbrooke", "patch", 18, 6, "haar", S, None),
            ("kyiv", "patch", 20, 5, "haar", S, None),
            ("boston", "line", 24, 4, "near", S, None),
            ("sherbrooke", "line", 30, 3, "near", S, None),
            ("fez", "line", 40, 1, "ghz", S, None),
            ("boston", "line", 60, 1, "ghz", S, None),
            ("sherbrooke", "patch", 127, 2, "haar", S, None),
            ("fez", "patch", 156, 1, "haar", S, None),
            ("ideal grid", "patch", 25, 10, "clifford", S, None),
            ("ideal chain", "line", 60, 20, "clifford", S, None),
            ("ideal chain", "line", 20, 10, "haar", S, None),
            ("ideal grid", "patch", 16, 8, "haar", S, None),
            ("ideal chain", "line", 50, 6, "haar", S, None),
            ("ideal chain", "line", 100, 5, "weak", S, None),
            ("noisy chain", "line", 40, 6, "haar", S, None),
            ("noisy chain", "line", 30, 20, "haar", S, None),
            ("grid", "patch", 12, 6, "haar", S, None),
            ("grid", "patch", 20, 4, "near", S, None),
            ("chain", "line", 26, 6, "ising", S, None),
            ("sherbrooke", "patch", 60, 3, "near", S, None),
            ("boston", "line", 5, 30, "haar", "z", V),
            ("sherbrooke", "line", 8, 10, "haar", "zz", V),
            ("fez", "line", 10, 8, "haar", "six", V),
            ("kyiv", "patch", 12, 8, "near", "z", V),
            ("sherbrooke", "line", 14, 6, "haar", "zz", V),
            ("boston", "line", 16, 8, "near", "z", V),
            ("fez", "patch", 18, 5, "haar", "z", 0.05),
            ("sherbrooke", "line", 20, 6, "haar", "zz", 0.05),
            ("boston", "line", 24, 6, "near", "many", V),
            ("sherbrooke", "line", 40, 8, "haar", "z", 0.05),
            ("sherbrooke", "line", 60, 10, "haar", "zz", 0.1),
            ("kyiv", "patch", 127, 3, "ising", "z", V),
            ("sherbrooke", "patch", 127, 5, "ising", "z", V),
            ("sherbrooke", "patch", 127, 10, "weak", "z", V),
            ("boston", "patch", 150, 5, "weak", "many", V),
            ("fez", "patch", 156, 3, "near", "six", V),
            ("sherbrooke", "patch", 127, 8, "clifford", "six", V),
            ("boston", "line", 100, 20, "clifford", "zz", V),
            ("chain", "line", 30, 20, "weak", "z", V),
            ("chain", "line", 60, 10, "ising", "zz", V),
            ("noisy chain", "line", 30, 20, "haar", "z", V),
            ("noisy chain", "line", 60, 30, "ising", "z", V),
            ("noisy chain", "line", 20, 10, "haar", "many", V),
            ("grid", "patch", 9, 8, "haar", "zz", V),
            ("grid", "patch", 16, 5, "near", "z", V),
            ("grid", "patch", 25, 4, "ising", "z", V),
            ("grid", "patch", 36, 6, "weak", "z", V),
            ("ideal grid", "patch", 16, 6, "haar", "z", V),
            ("ideal grid", "patch", 36, 3, "ising", "z", V),
            ("ideal grid", "patch", 36, 12, "near", "six", V),
            ("ideal chain", "line", 20, 12, "haar", "zz", V),
            ("ideal chain", "line", 60, 6, "haar", "z", V),
            ("ideal chain", "line", 100, 8, "weak", "many", V),
            ("ideal chain", "line", 26, 8, "near", "six", V),
        ]
    )
)


@cache
def twin(name: str) -> Twin:
    """Return a device of the zoo."""
    return DEVICES[name]()


def qubits(task: Task) -> tuple[int, ...]:
    """Return the physical qubits of a task."""
    device = twin(task.device).device
    if task.shape == "line":
        if not device.instructions:  # an ideal device knows couplers, not gates
            return tuple(range(task.n))
        return line(device, task.n)
    start = device.n_qubits // 2
    found = [start]
    for q in found:
        found += [b for b in sorted(device.neighbours[q]) if b not in found and _usable(device, b)]
    return tuple(found[: task.n])


def circuit(task: Task) -> QuantumCircuit:
    """Return the circuit of a task; measured where samples are asked for."""
    device, places = twin(task.device).device, qubits(task)
    rng = np.random.default_rng(int(task.name[:2]))
    inside = set(places)
    pairs = [p for p in device.couplers if inside.issuperset(p) and _native(device, *p)]
    if task.shape == "line":
        steps = {frozenset(p) for p in pairwise(places)}
        pairs = [p for p in pairs if frozenset(p) in steps]
    colours = _coloured(pairs)
    out = QuantumCircuit(device.n_qubits, len(places))
    if task.kind == "ghz":
        _turn(out, places[0], "h", rng)
        for a, b in pairwise(places):
            _turn(out, b, "h", rng)
            _entangle(out, device, a, b)
            _turn(out, b, "h", rng)
    for layer in range(0 if task.kind == "ghz" else task.layers):
        for q in places:
            _turn(out, q, task.kind, rng)
        whole = task.kind in ("ising", "weak")
        for group in colours if whole else [colours[layer % len(colours)]]:
            for a, b in group:
                _entangle(out, device, a, b)
    if task.asks == "samples":
        for q in places if task.kind != "ghz" else ():
            _turn(out, q, task.kind, rng)
        out.measure(places, range(len(places)))
    return out


def paulis(task: Task) -> list[str]:
    """Return the strings of a task, none for samples."""
    places = qubits(task)
    middle = len(places) // 2 if task.shape == "line" else 0
    near = places[middle : middle + 6] if task.shape == "line" else places[:6]
    chosen = {
        "samples": [],
        "z": [near[:1]],
        "zz": [near[:2]],
        "six": [near],
        "many": [(q,) for q in places[::3]],
    }[task.asks]
    n = twin(task.device).n_qubits
    return ["".join("Z" if q in some else "I" for q in reversed(range(n))) for some in chosen]


def _usable(device, q: int) -> bool:
    return device.open_set or ("sx", (q,)) in device.row


def _coloured(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    groups: list[list[tuple[int, int]]] = []
    for pair in sorted(pairs):
        for group in groups:
            if not any(set(pair) & set(other) for other in group):
                group.append(pair)
                break
        else:
            groups.append([pair])
    return groups


def _turn(out: QuantumCircuit, q: int, kind: str, rng: np.random.Generator) -> None:
    """Add rz sx rz sx rz: the first and last angle turn about Z, the middle one is the rotation."""
    first, middle, last = {
        "haar": lambda: rng.uniform(-np.pi, np.pi, 3),
        "clifford": lambda: rng.integers(0, 4, 3) * np.pi / 2,
        "near": lambda: rng.integers(0, 4, 3) * np.pi / 2 + (rng.random(3) < 0.05) * np.pi / 4,
        "ising": lambda: (0.0, np.pi - 0.6, 0.0),
        "weak": lambda: (0.0, np.pi - 0.15, 0.0),
        "h": lambda: (0.0, np.pi / 2, 0.0),
    }[kind]()
    for angle in (first, middle):
        out.rz(float(angle), q)
        out.sx(q)
    out.rz(float(last), q)


def _native(device, a: int, b: int) -> tuple[str, tuple[int, int]] | None:
    if device.open_set:
        return "cz", (a, b)
    both = [(name, pair) for name in TWO_QUBIT for pair in ((a, b), (b, a))]
    return next((found for found in both if found in device.row), None)


def _entangle(out: QuantumCircuit, device, a: int, b: int) -> None:
    name, pair = _native(device, a, b)
    getattr(out, name)(*pair)
