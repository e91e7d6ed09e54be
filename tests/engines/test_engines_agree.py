"""Trajectories and the exact density matrix are one theory: z-scores are standard normal."""

import numpy as np
from qiskit import QuantumCircuit
from scipy import stats

from qdt_emu import Calibration, Twin


def noisy_circuit(rng, n=4, layers=3):
    circuit = QuantumCircuit(n)
    for _ in range(layers):
        for q in range(n):
            circuit.rz(rng.uniform(0, 2 * np.pi), q)
            circuit.sx(q)
        for a in range(rng.integers(2), n - 1, 2):
            circuit.cz(a, a + 1)
        circuit.delay(rng.uniform(0, 2e-6), rng.integers(n), unit="s")
    return circuit


def test_200_random_observables_of_trajectories_agree_with_the_exact_engine():
    """One observable per circuit and seed, so that the 200 z-scores are independent.

    Kolmogorov-Smirnov at 1e-3; the seeds are fixed.
    """
    rng = np.random.default_rng(20)
    z = []
    for k in range(200):
        t1 = rng.uniform(10e-6, 40e-6)
        calibration = Calibration.uniform(
            "line", qubits=4, t1=t1, t2=rng.uniform(0.2, 2) * t1, infidelity_2q=0.03, zz=60e3
        )
        twin = Twin.load(calibration)
        circuit = noisy_circuit(rng)
        pauli = "".join(rng.choice(list("IXYZ"), 4, p=[0.4, 0.2, 0.2, 0.2]))
        if pauli == "IIII":
            pauli = "ZZII"
        exact = twin.estimate(circuit, [pauli], engine="density").values[0]
        drawn = twin.estimate(circuit, [pauli], engine="statevector", shots=400, seed=k)
        if drawn.stderr[0] > 1e-6:
            z.append((drawn.values[0] - exact) / drawn.stderr[0])
    assert len(z) > 150
    assert stats.kstest(z, "norm").pvalue > 1e-3
