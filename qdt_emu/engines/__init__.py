"""Stage five: engines run noisy circuits; `run` plans, refuses before working, checks afterwards.

    density      exact, in the real Pauli basis; samples and expectation values; JAX for gradients
    statevector  trajectories of exact Kraus operators; samples and expectation values
    pauli        noisy Pauli propagation of expectation values, any size, with a bound
    contraction  exact light cones as tensor networks; expectation values
    stabilizer   Clifford circuits under Pauli noise, through Stim
    mps          trajectories of matrix product states, for weakly entangled chains
    mpo          noisy chains as matrix product operators, without trajectories
    network      trajectories with the chip's own geometry, for heavy hexagons
    density_network  noisy observables in the chip's own geometry, without trajectories

`planner` predicts cost and error of each and chooses; `cone` cuts a circuit to what matters;
`crosscheck` compares an answer beyond exact size with the exact engine on a piece of the circuit.
Each file keeps one engine or one part of it, so importing one does not compile another.
"""
