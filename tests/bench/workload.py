"""The circuits that every tool is given, and the clock they run against."""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import rustworkx as rx
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qdt_emu import Options, Twin
from qdt_emu.device import Device, Policy
from qdt_emu.errors import InputError


def line(device: Device, n: int, *, induced: bool = False) -> tuple[int, ...]:
    """Return `n` coupled qubits in a line, the first in the order of a depth-first search.

    Args:
        device: The processor.
        n: Number of qubits.
        induced: Whether no coupler may join two of them that are not neighbours in the line, as
            who wants a chain would choose it; otherwise the line may run next to itself.
    """

    def extend(path: list[int]) -> Iterator[list[int]]:
        if len(path) == n:
            yield path
            return
        for q in device.neighbours[path[-1]]:
            if q in path or not _entangler(device, path[-1], q):
                continue
            if not induced or set(path[:-1]).isdisjoint(device.neighbours[q]):
                yield from extend([*path, q])

    for start in range(device.n_qubits):
        if found := next(extend([start]), None):
            return tuple(found)
    raise InputError(f"'{device.name}' has no line of {n} coupled qubits. Ask for fewer.")


def _entangler(device: Device, a: int, b: int) -> tuple[str, tuple[int, int]] | None:
    found = [
        (name, pair)
        for name in ("ecr", "cz", "cx")
        for pair in ((a, b), (b, a))
        if (name, pair) in device.row
    ]
    return found[0] if found else None


def brick(
    twin: Twin, n: int, layers: int, *, seed: int = 1, induced: bool = False
) -> QuantumCircuit:
    """Return a brick circuit on a line of the device in its native gates, all qubits measured.

    Each layer turns every qubit by random angles (rz sx rz sx rz) and entangles every other pair
    with the native two-qubit gate; pairs alternate from layer to layer. Bit k is the k-th qubit of
    the line, see `line` for `induced`.
    """
    rng = np.random.default_rng(seed)
    qubits = line(twin.device, n, induced=induced)
    circuit = QuantumCircuit(twin.n_qubits, n)
    for layer in range(layers):
        for q in qubits:
            first, middle, last = rng.uniform(-np.pi, np.pi, 3)
            circuit.rz(first, q)
            circuit.sx(q)
            circuit.rz(middle, q)
            circuit.sx(q)
            circuit.rz(last, q)
        for k in range(layer % 2, n - 1, 2):
            name, pair = _entangler(twin.device, *qubits[k : k + 2])
            getattr(circuit, name)(*pair)
    circuit.measure(qubits, range(n))
    return circuit


def whole_chip(name: str, *, zz: bool = True) -> Twin:
    """Return a processor with all its couplers: what is not calibrated gets the median."""
    return Twin.load(name, policy=Policy(uncalibrated="impute", zz=zz))


def in_place(device: Device) -> Options:
    """Return options that put qubit k of a circuit on qubit k of the device."""
    return Options(layout=tuple(range(device.n_qubits)))


def kicked(device: Device, steps: int, *, measured: bool) -> QuantumCircuit:
    """Return the kicked Ising circuit on all qubits of a device, its angle `theta` free.

    A step is RX(theta) on all qubits and RZZ(-pi/2) on all couplers, which run in as many layers
    as a qubit has couplers at most (three on heavy-hexagons): the colours of the bipartite graph.
    """
    graph = rx.PyGraph()
    graph.add_nodes_from(range(device.n_qubits))
    graph.add_edges_from([(a, b, None) for a, b in device.couplers])
    colour = rx.graph_bipartite_edge_color(graph)
    order = sorted(range(len(device.couplers)), key=lambda k: colour[k])
    theta, n = Parameter("theta"), device.n_qubits
    circuit = QuantumCircuit(n, n if measured else 0, name=f"kicked_ising_{steps}")
    for _ in range(steps):
        circuit.rx(theta, range(n))
        for k in order:
            circuit.rzz(-np.pi / 2, *device.couplers[k])
    if measured:
        circuit.measure(range(n), range(n))
    return circuit


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def side_by_side(tools: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median wall time of each tool, measured in turns so that all share the weather."""
    taken: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(repeats):
        for name, work in tools.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(times) for name, times in taken.items()}
