"""Noisy Pauli propagation on 127 qubits: goals of the `pauli` engine.

Run `python -m tests.bench.bench_pauli`. Goal: <Z62> after 20 steps of the kicked Ising circuit,
every factor that is not I damped by 0.97 a step, at threshold 1e-4 and with its error (a second run
at 3e-4) in 5 s per angle on one core for angles up to 0.8.
"""

import time

import numpy as np

from qdt_emu.circuit import Kind
from qdt_emu.engines.pauli import Pauli
from tests.engines import kicked_ising as ising

GOAL = 5.0  # s per angle


def report(steps=20, thetas=(0.2, 0.4, 0.589, 0.7, 0.8), threshold=1e-4):
    """Print and return the CPU seconds for each angle."""
    structure = ising.structure(steps, noise=Kind.PAULI)
    paulis, readout = ising.codes("Z62"), np.tile([1.0, 0.0], (ising.N, 1))
    engine = Pauli(threshold=threshold, threads=1)
    state, out = engine.prepare(structure), []
    for theta in thetas:
        values = ising.values(theta, damping=0.97)
        start = time.process_time()
        found = engine.estimate(state, values, paulis, readout, shots=1, seed=0)
        out.append(time.process_time() - start)
        rate = found.details["pauli updates"] / out[-1] / 1e6
        print(
            f"theta {theta:.3f}: <Z62> = {found.values[0]:.5f} +- {found.truncation:.5f} in "
            f"{out[-1]:.2f} s, goal {GOAL} s; {rate:.1f} M strings/s, at most "
            f"{found.details['pauli terms']} strings"
        )
    return out


if __name__ == "__main__":
    report(steps=2, thetas=(0.5,))  # compile
    report()
