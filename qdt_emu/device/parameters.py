"""Every number of a device that can be learned, as one pytree."""

from dataclasses import dataclass, field, fields
from typing import Any

import jax
import numpy as np

# NumPy arrays on the CPU path, JAX arrays or tracers under `jit` and `grad`.
Leaf = Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Parameters:
    """Physical rates of a device: differentiable leaves over a static topology.

    `n` is the number of qubits, `G` the number of instructions of the device, `E` the number of
    couplers, `P` the number of qubit pairs with correlated readout. A leaf that is None is a
    mechanism the device does not have; engines then skip it.

    Attributes:
        t1: Energy relaxation time in s, shape (n,); inf means none.
        t2: Total dephasing time (echo) in s, shape (n,), at most 2 * t1.
        excited: Population of |1> in equilibrium, shape (n,).
        depolarizing: Residual depolarising parameter of each instruction, shape (G,): what is left
            of the published infidelity after relaxation during the gate.
        relaxation_scale: Share of the instruction's duration during which its own relaxation acts,
            shape (G,); below 1 only where relaxation alone exceeds the published infidelity.
        assignment: (P(read 1 | 0), P(read 0 | 1)), shape (n, 2).
        reset_excitation: P(1) after a reset, shape (n,).
        zz: Residual ZZ rate zeta of each coupler in Hz, shape (E,).
        crosstalk: Factor on `depolarizing` and `pauli_rates` of a two-qubit instruction that
            overlaps in time with another one on a neighbouring coupler, shape ().
        spectator_zz: Share of `zz` that acts between a two-qubit gate and its idle neighbour,
            shape ().
        over_rotation: Coherent error about the instruction's own generator in rad, shape (G,).
        phase: Coherent Z error after the instruction on each of its qubits in rad, shape (G, 2).
        detuning: Standard deviation of the shot-to-shot detuning in Hz, shape (n,).
        charge_parity: Splitting of the two parity bands in Hz, shape (n,).
        t1_spread: Standard deviation of ln(t1) from job to job, shape (n,).
        leakage: (leakage, seepage) probability of each instruction, shape (G, 2).
        pair_correlation: Correlation coefficient of the misreadings of a pair, shape (P,).
        offset: Constant detuning of each qubit from its frame in Hz, shape (n,).
        pauli_rates: Pauli-Lindblad rates of each instruction on top of `depolarizing`, shape
            (G, 15): IX, IY, ..., ZZ of two qubits; X, Y, Z in the first three columns of one.
        stark: Shift of a qubit's frequency while a two-qubit gate runs on a neighbouring coupler
            in Hz, shape (S,), rows as in `Device.spectators`.
        context: Rotation in rad that a two-qubit gate adds in a context, shape (C, 3), rows as in
            `Device.contexts`: about its generator, and about the Pauli that commutes with it on
            its lower and on its higher qubit.
        readout_relaxation: Factor on the relaxation of a qubit during its own readout, shape (n,):
            the drive opens decay channels (Slichter et al., PRL 109, 153601, 2012).
        spectator_flips: Probability that a two-qubit gate flips a qubit next to it, shape (S, 2),
            rows as in `Device.spectators`: by itself, and together with the Pauli of its neighbour
            in the gate that commutes with the gate. A cross-resonance drive does so where the
            frequency of its target is that of another neighbour.
        slow_dephasing: Rate g of dephasing by slow noise in 1/s, shape (n,): a time t, less what
            echoes undo, multiplies the coherence by exp(-(g t)**2), on top of `t2`.
    """

    t1: Leaf
    t2: Leaf
    excited: Leaf
    depolarizing: Leaf
    relaxation_scale: Leaf
    assignment: Leaf
    reset_excitation: Leaf
    zz: Leaf
    crosstalk: Leaf = field(default_factory=lambda: np.ones(()))
    spectator_zz: Leaf = field(default_factory=lambda: np.ones(()))
    over_rotation: Leaf = None
    phase: Leaf = None
    detuning: Leaf = None
    charge_parity: Leaf = None
    t1_spread: Leaf = None
    leakage: Leaf = None
    pair_correlation: Leaf = None
    offset: Leaf = None
    pauli_rates: Leaf = None
    stark: Leaf = None
    context: Leaf = None
    readout_relaxation: Leaf = None
    slow_dephasing: Leaf = None
    spectator_flips: Leaf = None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Names of the optional mechanisms that are present."""
        return tuple(
            f.name for f in fields(self) if f.default is None and getattr(self, f.name) is not None
        )
