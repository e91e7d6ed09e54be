"""Choosing engines, splitting circuits into independent parts, accounting for it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qdt_emu import Calibration, Twin
from qdt_emu.circuit import NoisyCircuit
from qdt_emu.device import what_if
from qdt_emu.engines.components import WHOLE_UP_TO, components
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.engine import Expectations, Plan
from qdt_emu.engines.run import estimate, itinerary, prepared, sample
from qdt_emu.engines.run_parts import Limits
from qdt_emu.errors import InputError, UnsupportedError
from tests.circuit.exact import compiled, physical, toy


def exact(noisy: NoisyCircuit) -> np.ndarray:
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def islands(seed: int, *, linked: bool = False) -> QuantumCircuit:
    """Three groups of qubits, (0 1 2), (3 4), (5 6 7), of which a bit may link two."""
    rng = np.random.default_rng(seed)
    circuit = physical(8, 6)
    for group in ((0, 1, 2), (3, 4), (5, 6, 7)):
        for _ in range(8):
            circuit.sx(int(rng.choice(group)))
            circuit.rz(rng.uniform(0, 6), int(rng.choice(group)))
            a = int(rng.choice(group[:-1]))
            circuit.cz(a, a + 1)
    circuit.measure([0, 4], [3, 0])
    if linked:
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(7)
    circuit.measure([1, 5, 7], [1, 2, 5])
    return circuit


def joined(noisy: NoisyCircuit) -> np.ndarray:
    """The distribution of all records from those of the parts."""
    total = np.ones(1 << noisy.structure.n_clbits)
    index = np.arange(len(total))
    written = np.zeros(len(total), int)
    for part in components(noisy.structure):
        if not part.clbits:
            continue
        own = exact(NoisyCircuit(part.structure, part.values(noisy.values)))
        key = sum(((index >> c) & 1) << k for k, c in enumerate(part.clbits))
        total *= own[key]
        written |= sum(1 << c for c in part.clbits)
    return np.where(index & ~written, 0.0, total)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("linked", [False, True])
def test_parts_together_have_the_distribution_of_the_whole(seed, linked):
    device = what_if(toy(8, zz=np.nan), excited=0.01, over_rotation={"sx": 0.05})
    noisy = compiled(islands(seed, linked=linked), device).bind()
    parts = components(noisy.structure)
    assert len(parts) == (2 if linked else 3)
    assert sum(len(p.qubits) for p in parts) == noisy.structure.n_qubits
    np.testing.assert_allclose(joined(noisy), exact(noisy), atol=1e-13)


def test_zz_and_paired_readout_connect_qubits():
    device = toy(8, zz=30e3)
    assert len(components(compiled(islands(0), device).structure)) == 1
    device = toy(8)
    device = replace(
        device,
        readout_pairs=((1, 4), (0, 1)),
        parameters=replace(device.parameters, pair_correlation=np.array([0.2, 0.1])),
    )
    noisy = compiled(islands(0), device).bind()
    parts = components(noisy.structure)
    assert len(parts) == 2
    np.testing.assert_allclose(joined(noisy), exact(noisy), atol=1e-13)


def test_small_circuits_stay_whole():
    circuit = physical(WHOLE_UP_TO, 2)
    circuit.x(range(WHOLE_UP_TO))
    circuit.measure([0, 1], [0, 1])
    structure = compiled(circuit, toy(WHOLE_UP_TO), measured=False).structure
    assert len(components(structure)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_expectation_values_of_parts_multiply(seed):
    circuit = islands(seed)
    circuit.remove_final_measurements()
    noisy = compiled(circuit, toy(8), measured=False).bind()
    rng = np.random.default_rng(seed)
    paulis = rng.integers(0, 4, (12, 8)).astype(np.uint8)
    paulis[0] = 0
    gain = np.stack([rng.uniform(0.9, 1, 8), rng.uniform(-0.05, 0.05, 8)], axis=1)
    values, stderr, account = estimate(noisy, paulis, gain, shots=1, seed=0)
    state = Density().prepare(noisy.structure)
    whole = Density().estimate(state, noisy.values, paulis, gain, shots=1, seed=0).values
    np.testing.assert_allclose(values, whole, atol=1e-13)
    assert values[0] == 1
    assert not stderr.any()
    assert account.details["parts"] == 3


@dataclass(frozen=True)
class Known:
    """An engine that answers 0.5 +- 0.1 to everything."""

    name: str = "known"

    def plan(self, structure, /, *, shots, paulis, memory):
        return Plan(0.0, 10)

    def prepare(self, structure, /):
        return structure

    def estimate(self, state, values, paulis, readout, /, *, shots, seed):
        return Expectations(np.full(len(paulis), 0.5), np.full(len(paulis), 0.1))


def test_errors_of_independent_factors_combine():
    circuit = islands(0)
    circuit.remove_final_measurements()
    noisy = compiled(circuit, toy(8), measured=False).bind()
    codes = np.array([[3, 0, 0, 3, 0, 0, 0, 0], [3, 3, 0, 0, 0, 0, 0, 0]], np.uint8)
    values, stderr, _ = estimate(noisy, codes, np.ones((8, 2)), shots=1, seed=0, engine=Known())
    draws = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((2, 400_000))
    assert values[0] == 0.25
    assert stderr[0] == pytest.approx(draws.prod(axis=0).std(), rel=0.01)
    assert (values[1], stderr[1]) == (0.5, 0.1)  # it lives in one part


def test_equal_parts_draw_their_own_shots():
    circuit = physical(8, 2)
    for a, c in ((0, 0), (5, 1)):
        circuit.sx([a, a + 1, a + 2])
        circuit.cz(a, a + 1)
        circuit.cz(a + 1, a + 2)
        circuit.measure(a + 2, c)
    circuit.x(3)
    noisy = compiled(circuit, toy(8)).bind()
    for engine in ("density", "statevector"):
        bits, _ = sample(noisy, shots=4000, seed=5, engine=engine)
        # Independent fair-ish bits: correlation below 5.3 / sqrt(4000), false alarm 1e-7.
        assert abs(np.corrcoef(bits.T)[0, 1]) < 0.084


def test_unwritten_bits_are_zero():
    circuit = physical(2, 3)
    circuit.x(0)
    circuit.measure(0, 1)
    bits, _ = sample(compiled(circuit, toy(2)).bind(), shots=50, seed=1)
    assert not bits[:, [0, 2]].any()
    assert bits[:, 1].any()


def small(measured: bool = True) -> QuantumCircuit:
    circuit = physical(2, 2)
    circuit.sx([0, 1])
    circuit.cz(0, 1)
    if measured:
        circuit.measure([0, 1], [0, 1])
    return circuit


def ask(noisy: NoisyCircuit, engine="auto", *, paulis=0, shots=100, memory=1 << 30, **limits):
    n = noisy.structure.n_qubits
    codes = np.zeros((paulis, n), np.uint8)
    codes[range(paulis), [k % n for k in range(paulis)]] = 3
    task = Limits(memory, **limits).task(shots, paulis=codes, readout=np.tile([1.0, 0.0], (n, 1)))
    return itinerary(noisy, task, engine)


def test_auto_is_exact_where_exact_is_quick_and_says_why():
    plan = ask(compiled(small(), toy(2)).bind())
    assert plan.chosen.engine.name == "density"
    assert plan.reason.startswith("exact in about")


def test_auto_takes_trajectories_where_shots_differ_or_memory_is_short():
    drawn = compiled(small(), what_if(toy(2), detuning=1e3)).bind()
    assert ask(drawn).chosen.engine.name == "statevector"
    wide = physical(14, 14)
    for q in range(14):
        wide.sx(q)
    for layer in range(6):
        for q in range(layer % 2, 13, 2):
            wide.cz(q, q + 1)
        wide.sx(range(14))
    wide.measure(range(14), range(14))
    noisy = compiled(wide, toy(14)).bind()
    plan = ask(noisy, memory=1 << 26)
    assert plan.chosen.engine.name == "statevector"
    exact = next(c for c in plan.candidates if c.engine.name == "density")
    assert exact.refusal


def test_when_no_engine_can_every_reason_is_named():
    noisy = compiled(small(), toy(2)).bind()
    plan = ask(noisy, paulis=1, memory=1)
    assert plan.chosen is None
    for name in ("density: It needs", "statevector: `memory` must", "pauli: It may need"):
        assert name in plan.reason
    plan = ask(noisy, "density", paulis=1, memory=1)
    assert plan.reason.startswith("Engine 'density' refuses the circuit: It needs")
    with pytest.raises(UnsupportedError, match=r"No engine can run the 2 connected qubits"):
        sample(noisy, shots=1, seed=1, limits=Limits(memory=3))


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match=r"`engine` must be 'auto' or one of .*but is 'magic'"):
        ask(compiled(small(), toy(2)).bind(), "magic")


def test_a_thousand_bindings_cost_one_preparation():
    theta = Parameter("theta")
    circuit = physical(3, 3)
    circuit.sx(range(3))
    circuit.rz(theta, 0)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.sx(range(3))
    circuit.measure(range(3), range(3))
    found = compiled(circuit, toy(3))
    prepared.cache_clear()
    compilations = 0
    for angle in np.linspace(0, 6, 1000):
        _, account = sample(found.bind({"theta": angle}), shots=1, seed=1)
        compilations += account.details["compilations"]
    assert compilations == prepared.cache_info().misses == 1


@pytest.mark.parametrize("shots", [0, -5, 2.5, True, "many", None])
def test_shots_must_be_a_positive_whole_number(shots):
    with pytest.raises(InputError, match=r"`shots` must be a whole number of at least 1"):
        sample(compiled(small(), toy(2)).bind(), shots=shots, seed=1)


def test_shots_that_do_not_fit_name_how_many_do():
    with pytest.raises(InputError, match=r"`shots` must be at most 500 for 2 bits .*in portions"):
        sample(compiled(small(), toy(2)).bind(), shots=501, seed=1, limits=Limits(memory=1000))


def test_a_circuit_that_measures_nothing_has_no_counts():
    circuit = physical(2, 2)  # it has bits, but never writes one
    circuit.x(0)
    with pytest.raises(InputError, match=r"measures nothing.*`estimate`"):
        sample(compiled(circuit, toy(2)).bind(), shots=10, seed=1)


def test_nothing_at_all_has_expectation_values():
    noisy = compiled(physical(2), toy(2), measured=False).bind()
    values, stderr, account = estimate(
        noisy, np.zeros((2, 0), np.uint8), np.zeros((0, 2)), shots=1, seed=0
    )
    assert values.tolist() == [1, 1]
    assert stderr.tolist() == [0, 0]
    assert account.engine == "none"


def test_a_chain_too_large_for_a_state_is_estimated_with_a_bound():
    n = 60
    twin = Twin.load(Calibration.uniform("chain", qubits=n, t1=1e-4, t2=8e-5))
    circuit = QuantumCircuit(n)
    for _ in range(12):
        circuit.sx(range(n))
        for start in (0, 1):
            for a in range(start, n - 1, 2):
                circuit.cz(a, a + 1)
    found = twin.estimate(circuit, ["I" * (n - 1) + "Z", "Z" + "I" * (n - 1)], seed=1)
    assert found.report.engine == "pauli"
    assert found.report.reason.startswith("stated error")
    assert all(b.truncation is not None and b.truncation >= 0 for b in found.budgets)
    assert found.values[0] == pytest.approx(
        found.values[1], abs=1e-9 + 2 * found.budgets[0].truncation
    )
