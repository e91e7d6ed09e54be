"""Stage five: engines run noisy circuits; `run` chooses among them and refuses before working.

    density      exact, in the real Pauli basis; samples and expectation values; JAX for gradients
    statevector  trajectories of exact Kraus operators; samples and expectation values
    pauli        noisy Pauli propagation of expectation values, any size, with a bound
    contraction  exact light cones as tensor networks; expectation values
    stabilizer   Clifford circuits under Pauli noise, through Stim

Each file keeps one engine or one part of it, so importing one does not compile another.
"""
