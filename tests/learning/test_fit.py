"""Counts teach a twin: planted errors come back, with honest widths, and what is not known is said.

Random seeds are fixed; each statistical bound states its false-alarm rate.
"""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy.stats import chi2

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import what_if
from qdt_emu.errors import InputError
from qdt_emu.learning.fit import fit, scatter
from qdt_emu.learning.model import Width
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.prior import DEFAULT, learnable, prior
from qdt_emu.learning.terms import STEP, Outcomes
from qdt_emu.twin import Twin
from tests.learning.planted import line, measured, planted, random_circuit

LEARN = ("t1", "assignment", "depolarizing_2q", "phase_2q", "over_rotation_2q")


def terms_of(data, device, **settings):
    twin = Twin.load(device)
    return [Outcomes.of(twin.compile(c), n, **settings) for c, n in data]


@pytest.fixture(scope="module")
def learned() -> Twin:
    return Twin.load(line()).fit(measured(planted(), range(12)), learn=LEARN)


def test_planted_parameters_come_back_within_their_widths(learned):
    posterior, truth = learned.posterior, planted().parameters
    model = posterior.model
    wanted = {  # exact unknowns of the planted device
        "over_rotation of cz on 0, 1": 0.05,
        "over_rotation of cz on 1, 2": -0.06,
        "phase on 0 of cz on 0, 1": 0.07,
        "phase on 1 of cz on 0, 1": -0.05,
        "P(read 1 | 0) of qubit 0": 0.03,
        "P(read 0 | 1) of qubit 0": 0.05,
        "P(read 1 | 0) of qubit 1": 0.008,
        "depolarizing of cz on 0, 1": truth.depolarizing[learned.device.require("cz", (0, 1))],
    }
    found = {x.label: x for x in posterior.learned}
    assert set(wanted) <= set(found)
    z = [
        (found[label].value - value) / ((found[label].high - found[label].low) / 2)
        for label, value in wanted.items()
    ]
    assert np.sum(np.square(z)) < chi2.isf(1e-6, len(z))
    assert all(found[label].identified for label in wanted if label.startswith(("phase", "over")))
    assert model.size == len(model.labels) == len(posterior.z)


def test_a_learned_twin_predicts_new_circuits_better(learned):
    new = measured(planted(), range(100, 106), shots=100_000)
    before = [Twin.load(line()).compare(c, n, shots=200_000).excess for c, n in new]
    after = [learned.compare(c, n, shots=200_000).excess for c, n in new]
    assert np.mean(after) < 0.2 * np.mean(before)


def test_the_stated_width_is_the_scatter_of_repeated_fits():
    """36 fits of one unknown to its own model: their chi-square, false alarms 1e-6 in all."""
    truth = Twin.load(what_if(line(2), over_rotation={("cz", (0, 1)): 0.05}))
    circuits, pulls = [random_circuit(s, 2, 4) for s in range(3)], []
    for k in range(36):
        seeds = range(100 * k, 100 * k + 3)
        data = [
            (c, truth.run(c, shots=500, seed=s).counts)
            for c, s in zip(circuits, seeds, strict=True)
        ]
        got = Twin.load(line(2)).fit(data, learn=["over_rotation_2q"]).posterior.learned[0]
        pulls.append((got.value - 0.05) / ((got.high - got.low) / 2))
    low, high = chi2.ppf([5e-7, 1 - 5e-7], len(pulls))
    assert low < np.sum(np.square(pulls)) < high


def test_slopes_by_differences_equal_those_by_jax():
    device = learnable(line(2))
    data = [(random_circuit(3, 2, 2), {"00": 700, "01": 100, "11": 200})]
    by = {}
    for how in ("differences", "jax"):
        terms = terms_of(data, device, how=how)
        model = prior(device, [t.circuit.compiled.recipe for t in terms])
        z = 0.3 * np.random.default_rng(1).standard_normal(model.size)
        at = model.entries(terms[0].circuit.uses)
        by[how] = terms[0].slopes(model, z, at)
    for one, two in zip(*by.values(), strict=True):
        np.testing.assert_allclose(one, two, atol=20 * STEP * max(1, np.abs(two).max()))
    assert np.abs(by["jax"][1]).max() > 0.1


def test_only_unknowns_that_matter_for_a_circuit_are_differentiated():
    device = learnable(line(4))
    terms = terms_of([(random_circuit(1, 4), {"0000": 1})], device)
    model = prior(device, [t.circuit.compiled.recipe for t in terms])
    at = set(model.entries(terms[0].circuit.uses).tolist())
    z = np.zeros(model.size)
    base = terms[0].circuit.probabilities(model.parameters(z))
    for k in set(range(model.size)) - at:
        z[k] = 1
        assert np.array_equal(terms[0].circuit.probabilities(model.parameters(z)), base)
        z[k] = 0


def test_the_prior_is_the_calibration():
    device = learnable(line())
    model = prior(device, [Twin.load(device).compile(random_circuit(1)).recipe])
    at_zero = model.parameters(np.zeros(model.size))
    np.testing.assert_allclose(at_zero.t1, device.parameters.t1)
    np.testing.assert_allclose(at_zero.t2, device.parameters.t2)
    np.testing.assert_allclose(at_zero.assignment, device.parameters.assignment)
    z = np.random.default_rng(0).standard_normal(model.size) * 3
    drawn = model.parameters(z)
    assert (drawn.t2 <= 2 * drawn.t1 * (1 + 1e-12)).all()
    assert ((drawn.assignment > 0) & (drawn.assignment < 1)).all()
    rows = [device.require("cz", pair) for pair in ((0, 1), (1, 0))]
    assert drawn.depolarizing[rows[0]] == drawn.depolarizing[rows[1]]
    assert drawn.phase[rows[0]].tolist() == drawn.phase[rows[1]][::-1].tolist()


def test_an_exactly_degenerate_pair_is_reported_as_a_combination():
    """Two phases that follow each other on one qubit: only their sum acts."""
    truth = what_if(line(2), phase={("cz", (0, 1)): (0.08, 0.0)})

    def ramsey(angle: float) -> QuantumCircuit:
        out = QuantumCircuit(2, 1, metadata={PHYSICAL: True})
        out.sx(0)
        for _ in range(4):
            out.cz(0, 1)
        out.rz(angle, 0)
        out.sx(0)
        out.measure(0, 0)
        return out

    data = [
        (c := ramsey(a), Twin.load(truth).run(c, shots=4000, seed=k).counts)
        for k, a in enumerate(np.linspace(0, 2 * np.pi, 6))
    ]
    widths = {"offset": Width(2.6e4)}  # turns the qubit as far as the phases
    twin = Twin.load(line(2)).fit(data, learn=["phase_2q", "offset"], widths=widths)
    by = {x.label: x for x in twin.posterior.learned}
    assert not by["phase on 0 of cz on 0, 1"].identified
    assert not by["offset of qubit 0"].identified
    report = twin.posterior.report()
    assert "only in combination" in report
    assert "phase on 0 of cz on 0, 1  0." not in report


def test_an_unknown_sign_is_said():
    """After one over-rotated pulse the population tells the angle's size, not its sign."""
    c = QuantumCircuit(1, 1, metadata={PHYSICAL: True})
    c.x(0)
    c.x(0)
    c.measure(0, 0)
    truth = what_if(line(1), over_rotation={("x", (0,)): 0.15})
    data = [(c, Twin.load(truth).run(c, shots=50_000, seed=1).counts)]
    widths = {"over_rotation_1q": Width(0.1)}
    start = learnable(line(1), ["over_rotation_1q"])
    terms = terms_of(data, start)
    model = prior(start, [t.circuit.compiled.recipe for t in terms],
                  learn=["over_rotation_1q"], widths=widths)  # fmt: skip
    posterior = fit(model, terms)
    assert abs(posterior.z[0]) < 0.01 or "sign not determined" in posterior.report()


def test_a_model_that_lacks_a_mechanism_admits_scatter():
    full = fit_scatter(LEARN)
    poor = fit_scatter(["assignment"])
    assert poor > 5 * full
    assert poor > 1e-4


def fit_scatter(learn):
    return Twin.load(line()).fit(measured(planted(), range(6)), learn=learn).posterior.scatter


def test_data_of_the_model_itself_have_no_scatter():
    device = learnable(line())
    terms = terms_of(measured(line(), range(6)), device)
    model = prior(device, [t.circuit.compiled.recipe for t in terms])
    found = scatter(model, terms, np.zeros(model.size), learned=0.0)
    assert found < 0.1 / 20_000  # a tenth of shot noise: 5 sigma of 48 cells would be 0.7


def test_bands_of_new_circuits_contain_what_is_counted(learned):
    inside = 0
    new = measured(planted(), range(200, 230), shots=2000)
    for k, (circuit, counts) in enumerate(new):
        prediction = learned.predict(circuit, draws=50, seed=k)
        weights = np.arange(8) == int(max(counts, key=counts.get), 2)
        low, high = prediction.band(weights, 2000, level=0.9)
        inside += low <= max(counts.values()) / 2000 <= high
    assert inside >= 21  # P(at most 20 of 30 | 0.9) = 5e-4
    budget = prediction.budget(2000)
    assert budget.shots > budget.parameters > 0


def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    data, path = measured(planted(), range(3), shots=2000), tmp_path / "fit.npz"
    whole = Twin.load(line()).fit(data, learn=LEARN, checkpoint=path).posterior
    again = Twin.load(line()).fit(data, learn=LEARN, checkpoint=path).posterior
    np.testing.assert_allclose(whole.z, again.z, atol=1e-9)
    np.testing.assert_allclose(whole.fisher, again.fisher, rtol=1e-6)
    assert again.scatter == whole.scatter
    with pytest.raises(InputError, match="belongs to another model or other data"):
        Twin.load(line()).fit(data, learn=["t1"], checkpoint=path)


def test_a_posterior_survives_its_file(learned, tmp_path):
    path = learned.posterior.save(tmp_path / "posterior.nc")
    back = Posterior.load(path, line())
    assert back.report() == learned.posterior.report()
    assert back.device.id == learned.device.id
    twin = Twin.load(line()).learned(back)
    circuit = random_circuit(5)
    assert np.array_equal(twin.predict(circuit).draws, learned.predict(circuit).draws)
    with pytest.raises(InputError, match="learned on another calibration"):
        Posterior.load(path, line(4))
    with pytest.raises(InputError, match="does not exist"):
        Posterior.load(tmp_path / "none.nc", line())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measured": []}, "needs at least 1 measurement"),
        ({"measured": [(random_circuit(1), {"00": 5})]}, "bit strings of its 3 classical bits"),
        ({"measured": [(random_circuit(1), {"000": 5})], "learn": ["t3"]}, "names 't3'"),
    ],
)
def test_bad_data_are_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        Twin.load(line()).fit(**arguments)
    assert "t1" in DEFAULT


def test_a_twin_without_counts_says_how_to_learn():
    with pytest.raises(InputError, match="Use `fit` first"):
        Twin.load(line()).predict(random_circuit(1))


def test_leakage_comes_back_within_its_width():
    """Counts of trajectories with leakage, learned by the exact engine; false alarms 1e-6."""
    pair, rates = ("cz", (0, 1)), (0.01, 0.04)
    start = what_if(line(2), leakage={pair: (2e-4, 0.04)})
    truth = Twin.load(what_if(line(2), leakage={pair: rates}))
    data = []
    for k in range(4):
        circuit = QuantumCircuit(2, 2)
        circuit.metadata = {PHYSICAL: True}
        for q in range(2):
            if k >> q & 1:
                circuit.x(q)
        for _ in range(12):
            circuit.cz(0, 1)
        circuit.measure([0, 1], [0, 1])
        data.append((circuit, truth.run(circuit, shots=20_000, seed=k).counts))
    (found,) = Twin.load(start).fit(data, learn=["leakage"]).posterior.learned
    assert found.label == "leakage of cz on 0, 1"
    assert found.identified
    width = np.log(found.high / found.low) / 2
    assert abs(np.log(found.value / rates[0])) < 4.9 * width
    assert width < 0.1


def test_the_same_error_under_two_names_is_refused():
    with pytest.raises(InputError, match=r"one of 'depolarizing_2q' and 'pauli_rates_2q'"):
        learnable(line(), ("depolarizing_2q", "pauli_rates_2q"))


def test_rates_of_paulis_start_as_the_calibrated_depolarising_error():
    start, learn = line(), ("pauli_rates_1q", "pauli_rates_2q")
    device = learnable(start, learn)
    before, after = (Twin.load(d).compile(random_circuit(1)).bind().values for d in (start, device))
    np.testing.assert_allclose(after.pauli2, before.pauli2, atol=1e-12)
    np.testing.assert_allclose(after.pauli1, before.pauli1, atol=1e-12)
    again = learnable(device, learn).parameters
    np.testing.assert_array_equal(again.pauli_rates, device.parameters.pauli_rates)


def test_part_of_what_is_read_of_zero_becomes_population():
    device = learnable(line(), ("excited",))
    p, published = device.parameters, np.asarray(line().parameters.assignment)
    assert (np.asarray(p.excited) > 0).all()
    up = p.excited * (1 - p.assignment[:, 1]) + (1 - p.excited) * p.assignment[:, 0]
    np.testing.assert_allclose(up, published[:, 0], atol=1e-12)


def test_slow_noise_is_told_from_fast_by_echoes():
    """Fringes with and without an echo: both dephasing times come back; false alarms 1e-6."""
    fast, slow = 60e-6, 1 / 25e-6
    truth = what_if(line(1), t2={0: fast}, slow_dephasing={0: slow})
    twin, data = Twin.load(truth), []
    for k, delay in enumerate((5, 10, 20, 30)):
        for echo in (False, True):
            c = QuantumCircuit(1, 1, metadata={PHYSICAL: True})
            c.sx(0)
            c.delay(delay // (1 + echo), 0, unit="us")
            if echo:
                c.x(0)
                c.delay(delay // 2, 0, unit="us")
            c.sx(0)
            c.measure(0, 0)
            data.append((c, twin.run(c, shots=20_000, seed=2 * k + echo).counts))
    learned = Twin.load(line(1)).fit(data, learn=["dephasing", "slow_dephasing"]).posterior.learned
    wanted = (1 / fast - 0.5 / truth.parameters.t1[0], slow)
    for x, value in zip(learned, wanted, strict=True):
        width = np.log(x.high / x.low) / 2
        assert x.identified
        assert abs(np.log(x.value / value)) < 4.9 * width


def test_flips_of_a_neighbour_are_told_from_errors_of_the_gate():
    """Chain 0-1-2: both kinds come back; false alarms 1e-6."""
    calibrated = line(3)
    truth = what_if(calibrated, spectator_flips={((0, 1), 2): (0.004, 0.03)})
    twin, data = Twin.load(truth), []
    for k in range(6):
        c = QuantumCircuit(3, 3, metadata={PHYSICAL: True})
        if k % 2:
            c.x(2)
        c.barrier()
        for _ in range(1 + k // 2):
            c.sx(1)
            c.cz(0, 1)
            c.sx(1)
            c.barrier()
        c.measure(range(3), range(3))
        data.append((c, twin.run(c, shots=40_000, seed=k).counts))
    learn = ["depolarizing_2q", "t1", "spectator_flips"]
    found = {x.label: x for x in Twin.load(calibrated).fit(data, learn=learn).posterior.learned}
    x = found["flip (joint) of qubit 2 by 0, 1"]
    assert x.identified
    assert abs(np.log(x.value / 0.03)) < 4.9 * np.log(x.high / x.low) / 2
    y = found["flip (alone) of qubit 2 by 0, 1"]
    assert abs(np.log(y.value / 0.004)) < 4.9 * np.log(y.high / y.low) / 2
