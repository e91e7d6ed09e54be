"""Noisy Pauli propagation on 127 qubits: goals of the `pauli` engine.

Run `python -m tests.bench.bench_pauli`. Goal: <Z62> after 20 steps of the kicked Ising circuit,
every factor that is not I damped by 0.97 a step, at threshold 1e-4 in 5 s per angle on one core for
angles up to 0.8; the estimate runs once more at a third of the threshold for its error.
"""

import time

import numpy as np

from qdt_emu.circuit import Kind
from qdt_emu.engines.pauli import Pauli
from tests.engines import kicked_ising as ising

GOAL = 5.0  # s per angle at a single threshold


def report(steps=20, thetas=(0.2, 0.4, 0.589, 0.7, 0.8), threshold=1e-4):
    """Print and return CPU seconds at a single threshold, for each angle."""
    structure = ising.structure(steps, noise=Kind.PAULI)
    paulis, readout = ising.codes("Z62"), np.tile([1.0, 0.0], (ising.N, 1))
    out = []
    for theta in thetas:
        values = ising.values(theta, damping=0.97)
        seconds = []
        for t in (threshold, 3 * threshold):  # the finer run of 3 t is at t
            engine = Pauli(threshold=t, threads=1)
            state = engine.prepare(structure)
            start = time.process_time()
            found = engine.estimate(state, values, paulis, readout, shots=1, seed=0)
            seconds.append(time.process_time() - start)
        single = seconds[1]
        out.append(single)
        rate = found.details["pauli updates"] / single
        print(
            f"theta {theta:.3f}: <Z62> = {found.values[0]:.5f} +- {found.truncation:.5f} from "
            f"{threshold:g} and {3 * threshold:g} in {single:.2f} s, goal {GOAL} s; "
            f"{rate / 1e6:.1f} M strings/s, at most {found.details['pauli terms']}; "
            f"from {threshold / 3:.2g} and {threshold:g} in {seconds[0]:.2f} s"
        )
    return out


if __name__ == "__main__":
    report(steps=2)  # compile
    report()
