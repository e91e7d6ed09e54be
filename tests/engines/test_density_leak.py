"""Leakage as a flag: exact records equal those without it, closed forms and trajectories."""

from dataclasses import replace

import numpy as np
import pytest

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.circuit.noisy import Operation
from qdt_emu.engines.density_leak import leaks, leaky_probabilities
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import UnsupportedError
from qdt_emu.noise.leakage import leaked_fraction
from qdt_emu.validation.distances import g_test
from tests.engines.density_oracle import distribution, random_structure, random_values


def with_leaks(structure, rng, chance=0.3):
    """Return the structure with a leak of a random qubit after some of its operations."""
    ops = []
    for op in structure.operations:
        if op.kind is Kind.LEAK:  # one on two qubits: never made by `circuit.lower`
            continue
        ops.append(op)
        if rng.random() < chance:
            q = int(rng.integers(structure.n_qubits))
            ops.append(Operation(Kind.LEAK, (q,), int(rng.integers(6)), mechanism="leakage"))
    return replace(structure, operations=tuple(ops))


def still(values):
    """Return values without detuning, which exact leakage does not have."""
    return replace(values, detuning=np.zeros_like(values.detuning))


@pytest.mark.parametrize("seed", range(20))
def test_without_leakage_it_is_kraus_evolution(seed):
    rng = np.random.default_rng(seed)
    structure = with_leaks(random_structure(rng, 4, 4, 45, dynamic=seed % 3 > 0), rng)
    values = still(random_values(rng, 4))
    assert not leaks(structure, values)
    bare = [op for op in structure.operations if op.kind is not Kind.LEAK]
    want = distribution(replace(structure, operations=tuple(bare)), values)
    np.testing.assert_allclose(leaky_probabilities(structure, values), want, atol=1e-12)


@pytest.mark.parametrize("gates", [0, 1, 7, 40])
def test_the_leaked_share_follows_its_closed_form(gates):
    leak, seep = 0.02, 0.05
    ops = [Operation(Kind.LEAK, (0,), 0)] * gates + [Operation(Kind.MEASURE, (0,), 0, 0)]
    values = replace(
        Values.empty(1), leakage=np.array([[leak, seep]]), confusion=np.array([[0.0, 0.0]])
    )
    # What has come back is in |1> half of the time.
    out = float(leaked_fraction(leak, seep, gates))
    back = 0.0
    for k in range(gates):
        back = (1 - leak) * back + seep * float(leaked_fraction(leak, seep, k)) / 2
    p = leaky_probabilities(Structure(tuple(ops), 1, 1, (0,)), values)
    assert p[1] == pytest.approx(out + back, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_trajectories_have_the_same_law(seed):
    """G test of 20,000 shots each; false alarms 1e-4 each."""
    rng = np.random.default_rng(seed)
    structure = with_leaks(random_structure(rng, 3, 3, 30, dynamic=seed % 2 > 0), rng)
    rates = 0.3 * rng.random((6, 2))
    values = replace(still(random_values(rng, 3)), leakage=rates)
    p = leaky_probabilities(structure, values)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    engine = Statevector()
    bits = engine.sample(engine.prepare(structure), values, shots=20_000, seed=seed).bits
    index, counts = np.unique(bits @ (1 << np.arange(3)), return_counts=True)
    seen = {format(int(k), "03b"): int(n) for k, n in zip(index, counts, strict=True)}
    said = {format(k, "03b"): float(x) for k, x in enumerate(p)}
    assert g_test(said, seen).p_value > 1e-4


def test_what_is_too_large_or_unknown_is_refused():
    values = replace(Values.empty(11), leakage=np.array([[0.1, 0.0]]))
    wide = Structure((Operation(Kind.LEAK, (0,), 0),), 11, 0, tuple(range(11)))
    with pytest.raises(UnsupportedError, match=r"at most .* numbers .*11 qubits.*statevector"):
        leaky_probabilities(wide, values)
    drifting = replace(Values.empty(1), dwell=np.ones(1), detuning=np.array([[1e3, 0.0]]))
    dwell = Structure((Operation(Kind.DWELL, (0,), 0),), 1, 0, (0,))
    with pytest.raises(UnsupportedError, match="detuning from shot to shot"):
        leaky_probabilities(dwell, drifting)
