"""Exact noisy probabilities of brick circuits: goals of the `density` engine.

Run `python -m tests.bench.bench_density`. Goals, two threads, float64: 12 qubits x 10 brick layers
(each gate followed by relaxation on both qubits and a Pauli channel, noisy single-qubit gates and
idles on every qubit) in 0.45 s, 10 qubits in 0.05 s, and less than 2 ms for small circuits.
"""

import time

import numpy as np

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.engines.density import Density, probabilities

GOALS = {3: 2e-3, 5: 2e-3, 10: 0.05, 12: 0.45}  # s


def brick(n, layers, seed=0):
    """A noisy brick circuit, built from the tables directly."""
    rng = np.random.default_rng(seed)
    ops = []
    count = dict.fromkeys(["unitaries1", "unitaries2", "relaxation", "pauli1", "pauli2"], 0)

    def add(kind, table, qubits, mechanism):
        ops.append(Operation(kind, qubits, count[table], mechanism=mechanism))
        count[table] += 1

    def relax(q):
        add(Kind.RELAXATION, "relaxation", (q,), "relaxation")

    for layer in range(layers):
        for q in range(n):
            add(Kind.UNITARY, "unitaries1", (q,), "ideal")
            relax(q)
            add(Kind.PAULI, "pauli1", (q,), "gate")
        for a in range(layer % 2, n - 1, 2):
            add(Kind.UNITARY, "unitaries2", (a, a + 1), "ideal")
            relax(a)
            relax(a + 1)
            add(Kind.PAULI, "pauli2", (a, a + 1), "gate")
        for q in range(n):
            relax(q)
    ops += [Operation(Kind.MEASURE, (q,), q, q, mechanism="readout") for q in range(n)]
    return Structure(tuple(ops), n, n, tuple(range(n))), values(rng, n, count)


def values(rng, n, count):
    """Random unitaries, 0.5 to 2 % relaxation, 0.5 % Pauli errors, 3 % misreading."""

    def unitaries(k, d):
        z = rng.normal(size=(k, d, d)) + 1j * rng.normal(size=(k, d, d))
        return np.linalg.qr(z)[0]

    def paulis(k, size):
        p = 0.01 * rng.random((k, size)) / size
        p[:, 0] = 1 - p[:, 1:].sum(1)
        return p

    empty = vars(Values.empty(n))
    k = count["relaxation"]
    decay = np.exp(-0.02 * rng.random(k))
    tables = {
        "excited": np.full(n, 0.01),
        "unitaries1": unitaries(count["unitaries1"], 2),
        "unitaries2": unitaries(count["unitaries2"], 4),
        "relaxation": np.stack([decay, decay**0.9, np.full(k, 0.01)], -1),
        "pauli1": paulis(count["pauli1"], 4),
        "pauli2": paulis(count["pauli2"], 16),
        "confusion": 0.03 * rng.random((n, 2)),
    }
    return Values(**{**empty, **tables})


def timed(work, repeat):
    """The shortest of some runs in s."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def report(n, repeat=7):
    """Print time, goal and what the program looks like."""
    structure, numbers = brick(n, 10)
    engine = Density()
    prepare = timed(lambda: engine.prepare(structure), 1)
    state = engine.prepare(structure)
    one = timed(lambda: probabilities(state, numbers, threads=1), repeat)
    two = timed(lambda: probabilities(state, numbers, threads=2), repeat)
    sample = timed(lambda: engine.sample(state, numbers, shots=1024, seed=0), repeat)
    prog = state.records
    print(
        f"{n:2d} qubits: prepare {prepare * 1e3:6.1f} ms, probabilities {one * 1e3:6.1f} ms on one "
        f"thread, {two * 1e3:6.1f} ms on two, sample {sample * 1e3:6.1f} ms, goal "
        f"{GOALS.get(n, np.nan) * 1e3:.0f} ms; {len(prog.moves)} steps, {prog.flops / 1e9:.2f} "
        f"Gflop, {prog.bytes / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    for size in GOALS:
        report(size)
