"""Clifford layers of a whole chip with planted noise, and what one would measure on them."""

import numpy as np
import stim

from qdt_emu.learning.pauli_design import Experiment, design
from tests.engines.kicked_ising import EDGES, N


def colours(edges=EDGES):
    """Disjoint layers of edges: each edge in the first layer where both of its qubits are free."""
    layers, busy = [], []
    for a, b in sorted(edges):
        k = next((k for k, used in enumerate(busy) if not {a, b} & used), len(layers))
        if k == len(layers):
            layers.append([])
            busy.append(set())
        layers[k].append((a, b))
        busy[k] |= {a, b}
    return layers


def cnots(pairs, n=N):
    layer = stim.Circuit()
    layer.append("I", [n - 1])
    for a, b in pairs:
        layer.append("CX", [a, b])
    return layer


def measured(layers, support, rates, plan, *, sigma, spam=0.0, seed=0):
    """Experiments with Gaussian noise: `plan` lists (sequence, paulis, gain)."""
    rng = np.random.default_rng(seed)
    flat = [
        Experiment(s, p, np.ones(len(p)), np.full(len(p), max(sigma, 1e-6)), g) for s, p, g in plan
    ]
    found = design(layers, support, flat)
    amplitude = -spam * rng.random(found.spam.shape[1])
    ideal = np.exp(found.exponents(rates, amplitude))
    values = ideal + sigma * rng.standard_normal(len(ideal))
    start, out = 0, []
    for (s, p, g), e in zip(plan, flat, strict=True):
        out.append(Experiment(s, p, values[start : start + len(p)], e.errors, g))
        start += len(p)
    return out, amplitude
