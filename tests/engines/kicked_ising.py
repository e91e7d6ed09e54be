"""The kicked Ising circuit on the 127-qubit heavy-hexagon graph, from tables directly."""

from dataclasses import replace

import numpy as np

from qdt_emu.circuit import Kind, Operation, Structure, Values

ROWS = [(0, 13), (18, 32), (37, 51), (56, 70), (75, 89), (94, 108), (113, 126)]
LINKS = """0 14 18  4 15 22  8 16 26  12 17 30  20 33 39  24 34 43  28 35 47  32 36 51  37 52 56
41 53 60  45 54 64  49 55 68  58 71 77  62 72 81  66 73 85  70 74 89  75 90 94  79 91 98  83 92 102
87 93 106  96 109 114  100 110 118  104 111 122  108 112 126"""
_TRIPLES = np.array(LINKS.split(), int).reshape(-1, 3).tolist()
EDGES = [(a, a + 1) for low, high in ROWS for a in range(low, high)]
EDGES += [pair for a, m, b in _TRIPLES for pair in ((a, m), (m, b))]
N = 127

W10 = "X13 X29 X31 Y9 Y30 Z8 Z12 Z17 Z28 Z32"
W17 = "X37 X41 X52 X56 X57 X58 X62 X79 Y75 Z38 Z40 Z42 Z63 Z72 Z80 Z90 Z91"
W17X = "X37 X41 X52 X56 X57 X58 X62 X79 Y38 Y40 Y42 Y63 Y72 Y80 Y90 Y91 Z75"


def codes(*strings):
    """Pauli codes of strings such as 'X13 Z8', shape (m, 127)."""
    out = np.zeros((len(strings), N), np.uint8)
    for k, string in enumerate(strings):
        for item in string.split():
            out[k, int(item[1:])] = "IXYZ".index(item[0])
    return out


def rx(theta):
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    return np.array([[c, -1j * s], [-1j * s, c]])


def rzz(theta):
    return np.diag(np.exp(-0.5j * theta * np.array([1, -1, -1, 1])))


def structure(steps, *, last_rx=False, noise=None):
    """`steps` times RX on all qubits and RZZ on all edges, noise on all qubits after each step.

    Args:
        steps: Number of steps.
        last_rx: Another RX layer at the end.
        noise: A kind of single-qubit noise, slot 0.
    """
    ops = []
    for _ in range(steps):
        ops += [Operation(Kind.UNITARY, (q,), 0) for q in range(N)]
        ops += [Operation(Kind.UNITARY, edge, 0) for edge in EDGES]
        if noise is not None:
            ops += [Operation(noise, (q,), 0, mechanism="gate") for q in range(N)]
    if last_rx:
        ops += [Operation(Kind.UNITARY, (q,), 0) for q in range(N)]
    return Structure(tuple(ops), N, 0, tuple(range(N)))


def values(theta, *, damping=1.0, relaxation=(1.0, 1.0, 0.0)):
    """Numbers of a circuit whose single-qubit depolarising shrinks X, Y, Z by `damping`."""
    p = (1 - damping) / 4
    return replace(
        Values.empty(N),
        unitaries1=rx(theta)[None],
        unitaries2=rzz(-np.pi / 2)[None],
        pauli1=np.array([[1 - 3 * p, p, p, p]]),
        relaxation=np.array([relaxation]),
    )
