"""A processor that drifts: what was learned fades at the stated rate, newer counts take over."""

import numpy as np
import pytest

from qdt_emu.device import what_if
from qdt_emu.errors import InputError
from qdt_emu.learning.drift import DRIFT, STRENGTHS, Drift, aged, extended, strength
from qdt_emu.learning.model import Width
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.terms import Outcomes
from qdt_emu.twin import Twin
from tests.learning.planted import line, measured, planted, random_circuit

LEARN = ("t1", "assignment", "depolarizing_2q", "phase_2q", "over_rotation_2q")
FORGETTING = {kind: Drift(0.0, 5.0) for kind in LEARN}


@pytest.fixture(scope="module")
def learned() -> Twin:
    return Twin.load(line()).fit(measured(planted(), range(6)), learn=LEARN)


def test_at_once_nothing_has_changed(learned):
    now = learned.later(0.0).posterior
    np.testing.assert_allclose(now.z, learned.posterior.z)
    np.testing.assert_allclose(now.covariance, learned.posterior.covariance, atol=1e-10)


def test_in_the_end_only_what_lasts_is_left(learned):
    """Uncorrelated with the past, an unknown is as in the calibration."""
    last = aged(learned.posterior, 1e6)
    for family, part in zip(last.model.families, last.model.slices, strict=True):
        lasting = DRIFT[family.kind].lasting
        np.testing.assert_allclose(last.z[part], lasting * learned.posterior.z[part])
    gone = aged(learned.posterior, 1e6, drift=FORGETTING)
    np.testing.assert_allclose(gone.z, 0.0, atol=1e-12)
    np.testing.assert_allclose(gone.covariance, np.eye(len(gone.z)), atol=1e-9)


def test_two_steps_of_forgetting_are_one(learned):
    steps = aged(aged(learned.posterior, 2.0, drift=FORGETTING), 3.0, drift=FORGETTING)
    once = aged(learned.posterior, 5.0, drift=FORGETTING)
    np.testing.assert_allclose(steps.z, once.z)
    np.testing.assert_allclose(steps.covariance, once.covariance, atol=1e-9)


def test_uncertainty_only_grows(learned):
    widths = [np.diag(aged(learned.posterior, h).covariance) for h in (0, 1, 10, 100, 1000)]
    assert (np.diff(widths, axis=0) >= -1e-12).all()


def test_following_at_once_is_one_fit_of_all_counts(learned):
    """Up to the curvature of the first fit, which it keeps as a normal distribution."""
    first, second = measured(planted(), range(6)), measured(planted(), range(6, 12))
    followed = learned.follow(second, hours=0.0).posterior
    whole = Twin.load(line()).fit([*first, *second], learn=LEARN).posterior
    assert followed.model.labels == whole.model.labels
    spread = np.sqrt(np.diag(whole.covariance))
    assert np.abs(followed.z - whole.z).max() < 0.7 * spread.max()
    assert (np.abs(followed.z - whole.z) / spread).mean() < 0.2
    np.testing.assert_allclose(np.sqrt(np.diag(followed.covariance)), spread, rtol=0.35)


def test_newer_counts_of_a_drifted_processor_take_over():
    """T1 and a phase change: the twin that follows is nearer than the old and the new alone."""
    start, truth = line(), planted()
    phase = {("cz", (0, 1)): (0.0, -0.04)}
    changed = what_if(truth, t1=0.7 * truth.parameters.t1, phase=phase)
    new = measured(changed, range(100, 106), shots=100_000)

    def excess(twin):
        return np.mean([twin.compare(c, n, shots=200_000).excess for c, n in new])

    old = Twin.load(start).fit(measured(truth, range(10)), learn=LEARN)
    found = []
    for seed in (20, 30, 40):
        now = measured(changed, range(seed, seed + 2), shots=1000)
        alone = Twin.load(start).fit(now, learn=LEARN)
        found.append([excess(twin) for twin in (old.follow(now, hours=24.0), old, alone)])
    follows, stale, alone = np.mean(found, axis=0)
    assert follows < 0.8 * min(stale, alone)


def test_counts_say_how_much_has_drifted(learned):
    """Of the same processor nothing; of one whose parameters jumped, all that was expected."""
    jumped = what_if(
        planted(),
        t1=0.4 * planted().parameters.t1,
        phase={("cz", (0, 1)): (-0.02, 0.05), ("cz", (1, 2)): (0.06, 0.0)},
        assignment={1: (0.02, 0.08), 2: (0.03, 0.01)},
    )
    shares = []
    for processor in (planted(), jumped):
        now = measured(processor, range(20, 24))
        twin = Twin.load(learned.posterior.model.device)
        terms = [Outcomes.of(twin.compile(c), n) for c, n in now]
        shares.append(strength(learned.posterior, terms, 200.0))
    assert shares[0] <= STRENGTHS[1]
    assert shares[1] == STRENGTHS[-1]


def test_without_any_drift_to_expect_all_shares_are_alike():
    none = {kind: Drift(1.0, 1.0) for kind in DRIFT}
    twin = Twin.load(line()).fit(measured(planted(), range(3)), learn=LEARN)
    seen = Twin.load(twin.posterior.model.device)
    terms = [Outcomes.of(seen.compile(c), n) for c, n in measured(planted(), range(5, 7))]
    assert strength(twin.posterior, terms, 50.0, drift=none) == STRENGTHS[0]


def test_unknowns_of_new_circuits_begin_as_in_the_calibration():
    """The first circuits know two of the three qubits; widths stay those of the first fit."""
    twin = Twin.load(line())
    widths = {"t1": Width(0.2, 0.1)}
    data = [(random_circuit(k, 2), {"00": 700, "11": 300}) for k in range(2)]
    old = twin.fit(data, learn=("t1", "assignment"), widths=widths).posterior
    model, before = extended(old, [twin.compile(random_circuit(9)).recipe])
    new = [k for k, label in enumerate(model.labels) if label not in old.model.labels]
    assert [model.labels[k] for k in new if "t1" in model.labels[k]] == ["t1 of qubit 2"]
    np.testing.assert_array_equal(before.mean[new], 0.0)
    np.testing.assert_array_equal(before.precision[np.ix_(new, new)], np.eye(len(new)))
    t1 = model.families[0]
    np.testing.assert_array_equal(t1.spread, [0.2] * 3)
    known = [model.labels.index(label) for label in old.model.labels]
    np.testing.assert_allclose(before.mean[known], old.z)
    device = model.with_unknowns(before.mean)
    np.testing.assert_allclose(device.parameters.t1[:2], old.device.parameters.t1[:2])


def test_a_followed_posterior_is_saved_whole(learned, tmp_path):
    followed = learned.follow(measured(planted(), range(6, 8)), hours=3.0).posterior
    back = Posterior.load(followed.save(tmp_path / "p.nc"), line())
    np.testing.assert_array_equal(back.z, followed.z)
    np.testing.assert_allclose(back.covariance, followed.covariance)


@pytest.mark.parametrize("hours", [-1.0, np.nan, np.inf])
def test_hours_that_are_none_are_refused(learned, hours):
    with pytest.raises(InputError, match="`hours` must be at least 0 and finite"):
        learned.later(hours)


def test_kinds_that_do_not_exist_are_refused(learned):
    with pytest.raises(InputError, match="has 't3'"):
        learned.later(1.0, drift={"t3": Drift(0.5, 1.0)})


def test_a_twin_that_has_learned_nothing_cannot_follow():
    with pytest.raises(InputError, match="must have learned from counts to follow a processor"):
        Twin.load(line()).follow(measured(planted(), [0]), hours=1.0)
