"""Noisy trajectories of a brick circuit: 20 qubits x 10 layers, 1000 shots, <= 12 ms per shot.

Run with `python tests/bench/bench_statevector.py [qubits] [layers] [shots]`.
"""

import sys
import time

import numpy as np

from qdt_emu.circuit import Kind, NoisyCircuit, Operation, Structure, Values
from qdt_emu.engines.statevector import Statevector
from qdt_emu.engines.statevector_run import bind


def random_unitaries(rng, count, size):
    """Return Haar random matrices, shape (count, size, size)."""
    z = rng.normal(size=(count, size, size)) + 1j * rng.normal(size=(count, size, size))
    q, r = np.linalg.qr(z)
    d = np.diagonal(r, axis1=1, axis2=2)
    return q * (d / abs(d))[:, None, :]


def workload(n=20, layers=10, *, seed=1, t1=280e-6, t2=150e-6, layer=0.6e-6, p1=3e-4, p2=8e-3):
    """Return an Eagle-like noisy brick circuit on a line, all qubits measured at the end.

    Each layer has two random one-qubit gates per qubit with depolarising `p1`, echoed cross
    resonance gates on every other pair with depolarising `p2`, and relaxation of every qubit.
    """
    rng = np.random.default_rng(seed)
    x, y = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]])
    ecr = (np.kron(np.eye(2), x) - np.kron(x, y)) / np.sqrt(2)
    operations = []
    for k in range(layers):
        for q in range(n):
            for r in range(2):
                operations.append(Operation(Kind.UNITARY, (q,), (k * n + q) * 2 + r))
                operations.append(Operation(Kind.PAULI, (q,), 0, mechanism="gate"))
        for a in range(k % 2, n - 1, 2):
            operations.append(Operation(Kind.UNITARY, (a, a + 1), 0))
            operations.append(Operation(Kind.PAULI, (a, a + 1), 0, mechanism="gate"))
        rest = (Operation(Kind.RELAXATION, (q,), 0, mechanism="relaxation") for q in range(n))
        operations += rest
    operations += [Operation(Kind.MEASURE, (q,), 0, clbit=q) for q in range(n)]
    values = Values(
        excited=np.zeros(n),
        unitaries1=random_unitaries(rng, 2 * n * layers, 2),
        unitaries2=ecr[None].astype(complex),
        relaxation=np.array([[np.exp(-layer / t1), np.exp(-layer / t2), 0.01]]),
        pauli1=np.array([[1 - p1, p1 / 3, p1 / 3, p1 / 3]]),
        pauli2=np.array([[1 - p2] + [p2 / 15] * 15]),
        confusion=np.array([[0.01, 0.02]]),
        pair_confusion=np.zeros((0, 4, 4)),
        reset_excitation=np.zeros(0),
        dwell=np.zeros(0),
        leakage=np.zeros((0, 2)),
        detuning=np.zeros((n, 2)),
    )
    return NoisyCircuit(Structure(tuple(operations), n, n, tuple(range(n))), values)


def main():
    """Print the time per shot, measuring early and late, and what the passes reach."""
    n, layers, shots = (int(a) for a in [*sys.argv[1:], 20, 10, 1000][:3])
    noisy = workload(n, layers)
    engine = Statevector()
    begin = time.perf_counter()
    state = engine.prepare(noisy.structure)
    print(f"prepare {time.perf_counter() - begin:.3f} s")
    for program in (state.early, state.late):
        layout, bound = program.layout, bind(program, noisy.values, np.float32)
        few = shots if layout.peak < 16 else min(shots, 64)
        print(f"{layout.work / 1e6:.1f} Mflop per trajectory, {layout.peak} active qubits")
        for repeat in range(3):
            begin = time.perf_counter()
            records = engine.sample_bound(
                noisy.structure, bound, noisy.values, shots=few, seed=repeat
            )
            taken = time.perf_counter() - begin
            rate = records.details["trajectories"] * layout.work / taken / 1e9
            print(f"  {1e3 * taken / few:.3f} ms per shot, {rate:.0f} GFLOP/s without sharing")


if __name__ == "__main__":
    main()
