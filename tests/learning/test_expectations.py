"""Expectation values of Pauli strings teach as counts do, through recorded Pauli paths."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import what_if
from qdt_emu.engines.density import Density
from qdt_emu.errors import InputError
from qdt_emu.learning.fit import fit
from qdt_emu.learning.prior import learnable, prior
from qdt_emu.learning.terms import STEP, Expectations
from qdt_emu.twin import Twin
from tests.learning.planted import line

LEARN = ("depolarizing_2q", "over_rotation_2q")
PAULIS = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [3, 3, 0], [0, 3, 3], [1, 1, 0]], np.uint8)
NOISE = 1e-3


def circuit(turn: float) -> QuantumCircuit:
    out = QuantumCircuit(3, metadata={PHYSICAL: True})
    for _ in range(3):
        for q in range(3):
            out.rz(turn, q)
            out.sx(q)
        out.cz(0, 1)
        out.cz(1, 2)
    return out


def terms(device, truth):
    """Values of the true device with Gaussian noise, as terms on the learned one."""
    rng, out = np.random.default_rng(5), []
    for turn in (0.3, 1.1, 2.0):
        noisy = Twin.load(truth).compile(circuit(turn), measured=False).bind()
        engine, gain = Density(), np.tile([1.0, 0.0], (3, 1))
        exact = engine.estimate(
            engine.prepare(noisy.structure), noisy.values, PAULIS, gain, shots=1, seed=0
        ).values
        values = exact + NOISE * rng.standard_normal(len(exact))
        compiled = Twin.load(device).compile(circuit(turn), measured=False)
        errors = np.full(len(values), NOISE)
        out.append(Expectations.of(compiled, PAULIS, values, errors, threshold=0.0))
    return out


@pytest.fixture(scope="module")
def problem():
    truth = what_if(
        line(), over_rotation={("cz", (0, 1)): 0.05}, infidelity={("cz", (1, 2)): 0.012}
    )
    device = learnable(line(), LEARN)
    found = terms(device, truth)
    model = prior(device, [t.circuit.compiled.recipe for t in found], learn=LEARN)
    return truth, model, found


def test_planted_parameters_come_back_from_expectation_values(problem):
    truth, model, found = problem
    posterior = fit(model, found)
    by = {x.label: x for x in posterior.learned}
    # The sign follows from the device: nothing else turns these qubits coherently.
    turned = by["over_rotation of cz on 0, 1"]
    assert abs(abs(turned.value) - 0.05) < 5 * (turned.high - turned.low) / 2 + 2e-3
    row = truth.require("cz", (1, 2))
    lossy = by["depolarizing of cz on 1, 2"]
    wanted = float(truth.parameters.depolarizing[row])
    assert abs(np.log(lossy.value / wanted)) < 5 * np.log(lossy.high / lossy.low) / 2
    sums = [(c.before, c.after) for c in posterior.circuits]
    assert sum(after for _, after in sums) < 0.1 * sum(before for before, _ in sums)


def test_slopes_are_those_of_the_residuals(problem):
    _, model, found = problem
    z = 0.2 * np.random.default_rng(2).standard_normal(model.size)
    at = model.entries(found[0].circuit.uses)
    here, slopes = found[0].slopes(model, z, at)
    for row, k in enumerate(at):
        moved = z.copy()
        moved[k] += STEP
        numeric = (found[0].residuals(model, moved) - here) / STEP
        np.testing.assert_allclose(slopes[row], numeric, atol=1e-2)
    assert np.abs(slopes).max() > 1


def test_errors_must_be_positive(problem):
    compiled = problem[2][0].circuit.compiled
    with pytest.raises(InputError, match="`stderr` of expectation values must be positive"):
        Expectations.of(compiled, PAULIS, np.zeros(6), np.zeros(6))
