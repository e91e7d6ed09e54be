"""What like circuits have missed is remembered: which are alike, and how much it helps."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import what_if
from qdt_emu.learning.memory import LIKENESS, Memory, likeness_key, remember
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.transfer import transfer
from qdt_emu.twin import Twin
from tests.learning.planted import line

OUTCOMES = 16


def echoed(delay: float = 1.0, *, echo: bool = False, first: bool = False, turned: bool = False):
    """Three qubits in a row, the middle one waits in between."""
    c = QuantumCircuit(3, 3, metadata={PHYSICAL: True})
    c.sx([0, 1])
    if turned:
        c.x(2)
    if first:
        c.delay(300, 2, unit="ns")
    c.cz(0, 1)
    c.barrier()
    if echo:
        for q in (0, 1, 2):
            c.x(q)
            c.delay(delay, q, unit="us")
            c.x(q)
    else:
        c.delay(delay, 1, unit="us")
    c.barrier()
    c.cz(1, 2)
    c.sx(1)
    c.measure(range(3), range(3))
    return c


def test_circuits_are_alike_up_to_delays_and_pulses_that_undo_each_other():
    twin = Twin.load(line(3))
    key = likeness_key(twin.compile(echoed()))
    for other in (echoed(5.0), echoed(echo=True), echoed(first=True)):
        assert likeness_key(twin.compile(other)) == key
    swapped = echoed()
    swapped.data[-1], swapped.data[-2] = swapped.data[-2], swapped.data[-1]
    assert likeness_key(twin.compile(swapped)) == key
    assert likeness_key(twin.compile(echoed(turned=True))) != key
    elsewhere = QuantumCircuit(3, 3, metadata={PHYSICAL: True})
    elsewhere.compose(echoed(), clbits=[1, 0, 2], inplace=True)
    assert likeness_key(twin.compile(elsewhere)) != key


def planted_errors(rng, *, groups, each, likeness, scatter, shots):
    """Counts of groups of like circuits whose roots of probabilities err together."""
    past, truth = [], []
    for g in range(groups):
        p = rng.dirichlet(np.full(OUTCOMES, 5.0))
        common = rng.normal(size=OUTCOMES) * np.sqrt(likeness * scatter / 4)
        for _ in range(each + 1):
            own = rng.normal(size=OUTCOMES) * np.sqrt((1 - likeness) * scatter / 4)
            f = np.maximum(np.sqrt(p) + common + own, 0) ** 2
            truth.append((str(g), p, f / f.sum()))
        *seen, _ = truth[-each - 1 :]
        past += [(key, p, rng.multinomial(shots, f).astype(float)) for key, p, f in seen]
    return past, truth[each :: each + 1]


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.9])
def test_the_likeness_is_the_correlation_of_what_was_missed(likeness):
    rng = np.random.default_rng(3)
    past, _ = planted_errors(rng, groups=200, each=3, likeness=likeness, scatter=2e-3, shots=20_000)
    found = remember(past)
    assert found.pairs == 600
    # Normalising couples the outcomes; 200 groups of 16 outcomes tell to 0.03 at one sigma.
    assert found.likeness == pytest.approx(likeness, abs=0.1)


@pytest.mark.parametrize("shots", [300, 20_000])
def test_what_is_added_is_the_best_share_of_what_was_missed(shots):
    """No other share of the mean error is nearer to the truth, few shots or many."""
    rng = np.random.default_rng(5)
    scatter = 2e-3
    past, new = planted_errors(rng, groups=400, each=2, likeness=0.6, scatter=scatter, shots=shots)
    memory = remember(past)

    def missed(likeness: float) -> float:
        m = Memory(memory.circuits, likeness)
        distances = [np.sqrt(m.corrected(k, p, scatter)) - np.sqrt(f) for k, p, f in new]
        return float(np.mean(np.square(distances)))

    found = missed(memory.likeness)
    assert found < missed(0.0)
    assert found <= 1.02 * min(missed(c) for c in np.linspace(0, 0.95, 20))


def test_nothing_is_added_where_nothing_is_known():
    p = np.full(8, 1 / 8)
    assert Memory().likeness == LIKENESS
    for memory in (Memory(), remember([("a", p, 100 * p)])):
        assert memory.corrected("b", p, 1e-3) is p
    assert remember([("a", p, 100 * p)]).corrected("a", p, 0.0) is p


def test_newer_circuits_replace_like_ones_and_pairs_add_up():
    p, q = np.array([0.5, 0.5]), np.array([0.6, 0.4])
    old = remember([("a", p, 1e4 * q), ("a", p, 1e4 * q), ("b", p, 1e4 * q)])
    new = remember([("a", p, 1e6 * p)])
    both = old.renewed(new)
    assert both.circuits["a"][0].shots == 1e6
    assert both.circuits["b"] == old.circuits["b"]
    assert both.pairs == 1
    assert both.likeness == pytest.approx(old.likeness)


def test_a_twin_predicts_a_like_circuit_better_than_its_parameters_do(tmp_path):
    """Errors of gates that were not among what could be learned."""
    truth = what_if(line(3), phase={("cz", (0, 1)): (0.0, 0.4)}, over_rotation={"sx": 0.1})
    processor = Twin.load(truth)
    data = [
        (c, processor.run(c, shots=50_000, seed=k).counts)
        for k, c in enumerate([echoed(), echoed(2.0), echoed(echo=True)])
    ]
    learned = Twin.load(line(3)).fit(data, learn=["t1", "assignment"])
    new = echoed(3.0, echo=True)
    seen = processor.run(new, shots=200_000, seed=9).counts
    f = np.array([seen.get(format(k, "03b"), 0) for k in range(8)]) / 200_000
    prediction = learned.predict(new, draws=2)
    bare = np.array([learned.run(new, shots=200_000, seed=4).counts.get(format(k, "03b"), 0)
                     for k in range(8)]) / 200_000  # fmt: skip
    with_memory, without = (np.abs(x - f).sum() / 2 for x in (prediction.probabilities, bare))
    assert with_memory < 0.6 * without
    kept = Posterior.load(learned.posterior.save(tmp_path / "p.nc"), learned.device)
    again = Twin.load(line(3)).learned(kept).predict(new, draws=2)
    np.testing.assert_allclose(again.probabilities, prediction.probabilities, atol=1e-12)
    assert kept.memory.likeness == learned.posterior.memory.likeness


def test_another_device_does_not_remember():
    """Its qubits have the same numbers, but it has never been measured."""
    device = line(3)
    learned = Twin.load(device).fit(
        [(echoed(), {"000": 600, "011": 400})], learn=["crosstalk", "t1"]
    )
    assert learned.posterior.memory.circuits
    assert not transfer(learned.posterior, learned.posterior.model).memory.circuits
