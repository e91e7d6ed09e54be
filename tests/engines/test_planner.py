"""Laws of the planner: limits are kept, answers are the chosen engine's, checks have teeth."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit
from scipy.stats import chi2

from qdt_emu import Calibration, Estimate, Twin
from qdt_emu.circuit import NoisyCircuit
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.engines import planner, planner_pilot, run
from qdt_emu.engines.cone import cone, influence, narrowest
from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.crosscheck import Check, crosscheck
from qdt_emu.engines.density import Density
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.forecast import forecast_values
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.planner import plan_run
from qdt_emu.engines.planner_cost import noiseless, statevector
from qdt_emu.engines.planner_task import SIGMAS, Candidate, Task
from qdt_emu.engines.run import estimate, sample
from qdt_emu.engines.run_parts import Limits
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.result import Alternative, Report
from tests.circuit.exact import compiled, physical, toy


def brick(n, layers, seed=0, *, measured=False) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    circuit = physical(n, n if measured else 0)
    for layer in range(layers):
        for q in range(n):
            circuit.rz(rng.uniform(0, 6), q)
            circuit.sx(q)
        for a in range(layer % 2, n - 1, 2):
            circuit.cz(a, a + 1)
    if measured:
        circuit.sx(range(n))
        circuit.measure(range(n), range(n))
    return circuit


def noisy(n, layers, *, measured=False, **changes) -> NoisyCircuit:
    return compiled(
        brick(n, layers, measured=measured), toy(n, **changes), measured=measured
    ).bind()


def strings(n, *supports) -> np.ndarray:
    out = np.zeros((len(supports), n), np.uint8)
    for row, support in zip(out, supports, strict=True):
        row[list(support)] = 3
    return out


def gain(n) -> np.ndarray:
    return np.tile([1.0, 0.0], (n, 1))


def stated(stderr, account) -> float:
    return float((np.array(account.bounds) + SIGMAS * stderr).max())


CASES = {n: noisy(n, 4) for n in (4, 9, 14, 20)}
MEASURED = {n: noisy(n, 4, measured=True) for n in (4, 13)}


@given(memory=st.integers(8, 34), n=st.sampled_from([4, 9, 14]), values=st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_is_chosen_fits_into_memory(memory, n, values):
    circuit = CASES[n] if values else MEASURED[4 if n < 14 else 13]
    size = circuit.structure.n_qubits
    what = {"paulis": strings(size, (0,), (1, 2)), "readout": gain(size)} if values else {}
    task = Limits(1 << memory).task(200, **what)
    plan = plan_run(circuit, task)
    if plan.chosen is None:
        assert "No engine can run" in plan.reason
    else:
        assert plan.chosen.bytes <= 1 << memory
        assert not plan.chosen.refusal


@pytest.mark.parametrize("seconds", [1e-6, 1e-2, 1.0])
def test_what_is_chosen_is_planned_within_the_seconds(seconds):
    task = Limits(seconds=seconds).task(1000, paulis=strings(20, (10,)), readout=gain(20))
    plan = plan_run(CASES[20], task)
    assert plan.chosen is None or plan.chosen.seconds <= seconds
    if plan.chosen is None:
        assert "`seconds`" in plan.reason or "No engine" in plan.reason


@pytest.mark.parametrize("tolerance", [0.3, 0.05, 0.01, 1e-3, 1e-6])
@pytest.mark.parametrize("n", [9, 14, 20])
def test_an_answer_at_a_tolerance_states_no_more_than_it(n, tolerance):
    limits = Limits(tolerance=tolerance, seconds=20)
    ask = (CASES[n], strings(n, (n // 2,), (n // 2, n // 2 + 1)), gain(n))
    try:
        values, stderr, account = estimate(*ask, seed=1, limits=limits)
    except UnsupportedError as refused:
        reason = str(refused)
    else:
        assert len(values) == 2
        assert stated(stderr, account) <= tolerance
        return
    assert "`tolerance`" in reason
    assert "best bound" in reason or "states" in reason


def test_stated_errors_at_a_tolerance_hold():
    """16 circuits of 12 qubits against the exact engine."""
    for seed in range(16):
        circuit = compiled(brick(12, 5, seed), toy(12), measured=False).bind()
        codes = strings(12, (5,), (5, 6), (3, 8))
        limits = Limits(tolerance=0.03)
        values, stderr, account = estimate(circuit, codes, gain(12), seed=seed, limits=limits)
        truth, _, _ = estimate(circuit, codes, gain(12), seed=0, engine="density")
        assert np.all(np.abs(values - truth) <= np.array(account.bounds) + 5 * stderr + 1e-5)


def test_a_tolerance_out_of_reach_is_refused_with_the_best_bound_and_the_remedy():
    circuit = noisy(40, 12)
    limits = Limits(1 << 27, tolerance=1e-7, seconds=1.0)
    with pytest.raises(UnsupportedError) as caught:
        estimate(circuit, strings(40, (20,)), gain(40), seed=1, limits=limits)
    text = str(caught.value)
    assert "1e-07" in text
    assert re.search(r"best bound is [\d.e-]+, by '\w+'", text)
    assert "Raise `tolerance`" in text
    assert "leave it out" in text


@pytest.mark.parametrize("name", ["memory", "seconds", "tolerance"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_limits_must_be_positive(name, value):
    with pytest.raises(InputError, match=f"`{name}` must be above 0 or None, but is"):
        Limits(**{name: value})


@pytest.mark.parametrize("n", [4, 9, 14, 20])
def test_auto_gives_what_the_named_engine_gives_with_the_same_seed(n):
    codes = strings(n, (1,), (2, 3))
    auto = estimate(CASES[n], codes, gain(n), seed=7, shots=300)
    limits = Limits().now()
    plan = forecast_values(CASES[n], codes, gain(n), shots=300, engine="auto", limits=limits)
    engine = plan.parts[0].chosen.engine
    named = estimate(CASES[n], codes, gain(n), seed=7, shots=300, engine=engine)
    assert auto[2].engine == engine.name
    np.testing.assert_array_equal(auto[0], named[0])
    np.testing.assert_array_equal(auto[1], named[1])
    assert auto[2].bounds == named[2].bounds


@pytest.mark.parametrize("n", [4, 13])
def test_auto_draws_what_the_named_engine_draws(n):
    bits, account = sample(MEASURED[n], shots=300, seed=3)
    again, _ = sample(MEASURED[n], shots=300, seed=3, engine=account.engine)
    np.testing.assert_array_equal(bits, again)


def test_a_plan_is_the_same_every_time_and_changes_nothing():
    task = Limits(1 << 33, tolerance=0.02).task(None, paulis=strings(20, (10,)), readout=gain(20))
    first = plan_run(CASES[20], task).alternatives
    planner._planned.cache_clear()  # noqa: SLF001
    assert plan_run(CASES[20], task).alternatives == first
    with_plan = estimate(CASES[20], strings(20, (10,)), gain(20), seed=2)[0]
    planner._planned.cache_clear()  # noqa: SLF001
    np.testing.assert_array_equal(
        estimate(CASES[20], strings(20, (10,)), gain(20), seed=2)[0], with_plan
    )


def test_a_small_circuit_asks_no_pilot_run(monkeypatch):
    monkeypatch.setattr(planner_pilot.Pauli, "estimate", None)
    task = Limits().task(100, paulis=strings(4, (1,)), readout=gain(4))
    assert [c.engine.name for c in plan_run(CASES[4], task).candidates] == ["density"]


def candidate(name, seconds, truncation=0.0, stderr=0.0, **more) -> Candidate:
    return Candidate(Named(name), seconds, 100, truncation, stderr, **more)


@dataclass(frozen=True)
class Named:
    name: str


def chosen(*candidates, **task):
    plan = planner._choose(list(candidates), Task(1000, 1 << 30, **task), 20)  # noqa: SLF001
    return plan.chosen.engine.name if plan.chosen else plan.reason


def test_the_cheapest_that_is_good_enough_is_chosen():
    exact, sampled = candidate("exact", 5.0), candidate("sampled", 2.0, stderr=0.004)
    rough = candidate("rough", 0.1, truncation=0.2)
    assert chosen(exact, sampled, rough, tolerance=0.01) == "sampled"
    assert chosen(exact, sampled, rough, tolerance=0.005) == "exact"
    assert chosen(exact, sampled, rough, tolerance=0.3) == "rough"
    assert "best bound is 0.008, by 'sampled'" in chosen(sampled, rough, tolerance=0.001)
    assert chosen(rough) == "rough"  # no tolerance: the best there is
    assert chosen(replace(exact, seconds=2.5), sampled) == "exact"  # worth a second more
    assert chosen(exact, sampled, seconds=3.0, tolerance=0.005).startswith("`tolerance` must")


def test_an_answer_that_a_pilot_run_has_given_costs_nothing_more():
    done = Expectations(np.zeros(1), np.zeros(1))
    pilot = candidate("pilot", 3.0, truncation=0.009, outcome=done)
    assert chosen(pilot, candidate("other", 1.0, truncation=0.001), tolerance=0.01) == "pilot"


def test_nothing_above_the_memory_is_chosen_even_if_its_engine_does_not_refuse():
    greedy = replace(candidate("greedy", 0.1), bytes=1 << 40)
    assert chosen(greedy, candidate("modest", 9.0)) == "modest"
    assert "greedy: It needs" in chosen(greedy)


def test_the_cone_of_strings_gives_their_exact_values():
    for seed in range(4):
        circuit = brick(9, 3, seed)
        noisy_circuit = compiled(circuit, toy(9, zz=20e3), measured=False).bind()
        codes = strings(9, (4,), (0, 1), (8,))[seed % 3 : seed % 3 + 1]
        part = cone(noisy_circuit.structure, codes)
        inside = list(part.qubits)
        values = [
            Density()
            .estimate(Density().prepare(s), v, c, gain(c.shape[1]), shots=1, seed=0)
            .values[0]
            for s, v, c in (
                (noisy_circuit.structure, noisy_circuit.values, codes),
                (part.structure, part.values(noisy_circuit.values), codes[:, inside]),
            )
        ]
        assert values[0] == pytest.approx(values[1], abs=1e-13)


def test_the_cone_follows_measured_bits_and_ends_at_resets():
    circuit = physical(8, 1)
    circuit.sx(range(8))
    circuit.cz(0, 1)
    circuit.measure(1, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(6)
    circuit.sx(1)
    circuit.cz(6, 7)
    circuit.cz(3, 4)
    circuit.reset(3)
    circuit.cz(2, 3)
    structure = compiled(circuit, toy(8), measured=False).bind().structure
    assert set(cone(structure, strings(8, (7,))).qubits) == {0, 1, 6, 7}
    assert set(cone(structure, strings(8, (2,))).qubits) == {2, 3}


@pytest.mark.parametrize("layers", range(1, 9))
def test_no_order_holds_fewer_qubits_than_the_narrowest_influence(layers):
    circuit = noisy(14, layers, measured=True)
    low = narrowest(circuit.structure)
    assert low == max(1, min(m.bit_count() for m in influence(circuit.structure)) - 2)
    found = statevector(circuit, Limits(1 << 34).task(100))
    state = Statevector().prepare(circuit.structure)
    assert low <= max(1, state.early.layout.peak)
    assert not found.refusal


def test_a_circuit_is_noiseless_where_nothing_can_be_drawn():
    def ideal(circuit, n):
        return compiled(circuit, Twin.ideal(n, [(k, k + 1) for k in range(n - 1)]).device).bind()

    assert noiseless(ideal(brick(4, 3, measured=True), 4))
    assert not noiseless(MEASURED[4])
    again = brick(4, 3, measured=True)
    again.sx(0)
    again.measure(0, 1)
    assert not noiseless(ideal(again, 4))
    reset = physical(2, 2)
    reset.sx([0, 1])
    reset.cz(0, 1)
    reset.sx(0)
    reset.reset(0)
    reset.cz(0, 1)
    reset.measure([0, 1], [0, 1])
    assert not noiseless(ideal(reset, 2))


@dataclass(frozen=True)
class Biased:
    """An engine that is off by `bias` and states `bound`."""

    bias: float
    bound: float = 0.0
    name: str = "biased"

    def plan(self, structure, /, *, shots, paulis, memory):
        return Plan(0.01, 10)

    def prepare(self, structure, /):
        return Density().prepare(structure)

    def estimate(self, state, values, paulis, readout, /, *, shots, seed):
        if state.structure.n_qubits > 12:
            return Expectations(np.zeros(len(paulis)), np.zeros(len(paulis)), self.bound)
        found = Density().estimate(state, values, paulis, readout, shots=shots, seed=seed)
        return replace(found, values=found.values + self.bias, truncation=self.bound)

    def sample(self, state, values, /, *, shots, seed):
        if state.structure.n_qubits > 12:
            return Records(np.zeros((shots, state.structure.n_clbits), np.uint8), self.bound)
        found = Density().sample(state, values, shots=shots, seed=seed)
        flip = np.random.default_rng(seed).random(found.bits.shape) < self.bias / 2
        return replace(found, bits=found.bits ^ flip, truncation=self.bound)


WIDE = noisy(16, 3)


def test_a_cross_check_beyond_the_stated_bound_widens_it_by_the_excess():
    ask = (WIDE, strings(16, (2, 8, 13)), gain(16))
    honest = estimate(*ask, seed=1, engine=Biased(0.05, bound=0.1))[2]
    assert honest.bounds == (0.1,)
    lying = estimate(*ask, seed=1, engine=Biased(0.05, bound=0.01))[2]
    assert lying.bounds[0] == pytest.approx(0.05, abs=1e-4)
    assert "widened" in lying.notes[0]
    assert re.search(
        r"cross-check: on \d+ qubits of this circuit .* differs .* by 0.05", lying.notes[0]
    )


def test_a_cross_check_that_breaks_the_tolerance_refuses_the_answer():
    engine = Biased(0.05, bound=0.01)
    with pytest.raises(UnsupportedError, match=r"0\.03 was missed: 'biased' states 0\.05"):
        estimate(
            *(WIDE, strings(16, (2, 8, 13)), gain(16)),
            seed=1,
            engine=engine,
            limits=Limits(tolerance=0.03),
        )


def test_an_engine_that_fails_its_cross_check_is_left_for_another(monkeypatch):
    ask = (CASES[20], strings(20, (10,)), gain(20))
    limits = Limits(tolerance=0.05)
    first, _, account = estimate(*ask, seed=1, limits=limits)
    failed = account.engine

    def doubting(ran, *_):
        return Check(6, 0.5, 0.01) if ran.engine.name == failed else None

    monkeypatch.setattr(run, "crosscheck", doubting)
    values, stderr, account = estimate(*ask, seed=1, limits=limits)
    assert account.engine != failed
    assert stated(stderr, account) <= 0.05
    assert account.notes[0].startswith(f"'{failed}' was left for '{account.engine}': cross-check")
    assert abs(values - first) <= 0.1
    with pytest.raises(UnsupportedError, match=rf"'{failed}' states 0\.4"):
        estimate(*ask, seed=1, limits=limits, engine=failed)


def test_an_engine_that_states_more_than_its_pilot_run_promised_is_left_for_another(monkeypatch):
    ask = (CASES[20], strings(20, (10,)), gain(20))
    limits = Limits(tolerance=0.05)
    failed = estimate(*ask, seed=1, limits=limits)[2].engine
    honest = run._run  # noqa: SLF001

    def worse(chosen, *rest):
        found = honest(chosen, *rest)
        if chosen.engine.name != failed:
            return found
        return replace(found, bounds=np.full(len(found.values), 0.07), truncation=0.07)

    monkeypatch.setattr(run, "_run", worse)
    _, stderr, account = estimate(*ask, seed=1, limits=limits)
    assert stated(stderr, account) <= 0.05
    assert account.notes[0].startswith(
        f"'{failed}' was left for '{account.engine}': it states 0.07"
    )


def test_a_cross_check_of_samples_finds_a_biased_law():
    circuit = noisy(16, 3, measured=True)
    bad = sample(circuit, shots=4000, seed=1, engine=Biased(0.5))[1]
    good = sample(circuit, shots=4000, seed=1, engine=Biased(0.0))[1]
    assert bad.truncation > 0.02
    assert good.truncation == 0


@pytest.mark.parametrize("engine", [Pauli(), Statevector()])
def test_engines_pass_the_cross_check(engine):
    task = Limits().task(400, paulis=strings(16, (8,), (7, 8, 9)), readout=gain(16))
    ran = Candidate(engine, 0.1, 100, shots=400)
    check = crosscheck(ran, WIDE, task, seed=4)
    assert check.qubits >= 6
    assert check.excess == 0


def test_the_exact_engine_and_small_circuits_need_no_cross_check():
    task = Limits().task(400, paulis=strings(16, (8,)), readout=gain(16))
    assert crosscheck(Candidate(Density(), 0.1, 1), WIDE, task, seed=4) is None
    task = Limits().task(400, paulis=strings(9, (8,)), readout=gain(9))
    assert crosscheck(Candidate(Pauli(), 0.1, 1), CASES[9], task, seed=4) is None


@pytest.fixture(scope="module")
def chain():
    return Twin.load(Calibration.uniform("chain", qubits=20, t1=1e-4, t2=8e-5))


def test_reports_hold_what_the_others_would_have_cost(chain):
    circuit = brick(20, 4)
    found = chain.estimate(circuit, ["IIZIIIIIIZIIIIIIZIII"], seed=1, tolerance=0.1)
    names = {a.engine for a in found.report.alternatives}
    assert {"density", "statevector", "pauli", "contraction", "mps", "mpo", "network"} <= names
    assert found.report.alternatives[0].chosen
    assert found.report.alternatives[0].engine == found.report.engine
    assert sum(a.chosen for a in found.report.alternatives) == 1
    assert all(a.why for a in found.report.alternatives)
    assert (
        any("cross-check" in note for note in found.report.notes)
        or found.report.engine == "density"
    )
    assert Estimate.from_json(found.to_json()).report == found.report


def test_reports_of_two_runs_keep_the_alternatives():
    row = Alternative("density", seconds=1.0, chosen=True)
    report = Report("density", alternatives=(row,))
    assert report.merge(Report("density")).alternatives == (row,)


def test_a_twin_plans_without_running(chain, monkeypatch):
    circuit = brick(20, 3, measured=True)
    monkeypatch.setattr(Statevector, "sample", None)
    plan = chain.plan(circuit, shots=500)
    assert plan.engine
    assert plan.seconds > 0
    assert plan.refusal == ""
    assert {a.engine for a in plan.alternatives} >= {"density", "statevector", "mps"}
    assert chain.plan(circuit, shots=500).to_dict() == plan.to_dict()
    assert "statevector" in str(plan)
    tight = chain.plan(circuit, shots=500, memory=1000)
    assert tight.engine == ""
    assert "No engine can run" in tight.refusal


def test_a_few_bits_of_a_wide_circuit_are_drawn_from_their_exact_distribution():
    """Trajectories of 36 qubits would take hours for so many shots; false alarms 1e-6."""
    n, kept, shots = 36, (8, 17, 26), 1_000_000
    circuit = brick(n, 7)
    circuit.add_register(ClassicalRegister(len(kept)))
    circuit.barrier()
    circuit.measure(kept, range(len(kept)))
    given = compiled(circuit, toy(n)).bind()
    bits, account = sample(given, shots=shots, seed=1)
    assert account.engine == "contraction"
    written = np.flatnonzero(measured_qubits(given.structure) >= 0)
    exact = Contraction().marginal(given.structure, given.values, written).ravel()
    found = np.bincount(bits[:, written] @ (1 << np.arange(len(written))[::-1]), minlength=8)
    statistic = ((found - shots * exact) ** 2 / (shots * exact)).sum()
    assert statistic < chi2.isf(1e-6, 7)
