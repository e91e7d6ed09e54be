"""What is known of a processor some hours later: parameters wander around the calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from qdt_emu.circuit.recipe import Recipe
from qdt_emu.errors import InputError
from qdt_emu.learning.fit import linearised
from qdt_emu.learning.model import Belief, Model, Width, listed_as
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.prior import prior
from qdt_emu.learning.terms import Term


@dataclass(frozen=True)
class Drift:
    """How one kind of unknown wanders: a part stays for good, the rest is forgotten.

    Attributes:
        lasting: Share of the prior variance that never changes.
        hours: Time after which the rest has lost all but 1/e of its correlation.
    """

    lasting: float
    hours: float

    def correlation(self, hours: float) -> float:
        """Return the correlation of an unknown with itself some hours later."""
        return float(self.lasting + (1 - self.lasting) * np.exp(-hours / self.hours))


DRIFT: Mapping[str, Drift] = MappingProxyType(
    {
        **dict.fromkeys(("t1", "dephasing", "slow_dephasing"), Drift(0.5, 6.0)),
        **dict.fromkeys(("zz", "spectator_zz", "spectator_flips", "crosstalk"), Drift(0.95, 150.0)),
        **dict.fromkeys(("assignment", "readout_relaxation"), Drift(0.6, 100.0)),
        **dict.fromkeys(("excited", "reset_excitation"), Drift(0.7, 100.0)),
        **dict.fromkeys(("depolarizing_1q", "depolarizing_2q", "leakage"), Drift(0.6, 150.0)),
        **dict.fromkeys(("pauli_rates_1q", "pauli_rates_2q"), Drift(0.6, 150.0)),
        **dict.fromkeys(("over_rotation_1q", "over_rotation_2q"), Drift(0.3, 150.0)),
        **dict.fromkeys(("phase_1q", "phase_2q", "stark", "context"), Drift(0.3, 150.0)),
        "offset": Drift(0.5, 24.0),
    }
)
"""How parameters of transmons wander.

T1 and T2 follow two-level defects, which come and go within hours (Klimov et al., PRL 121, 090502,
2018; Burnett et al., npj Quantum Information 5, 54, 2019); angles of pulses are set anew by
calibrations, daily to weekly; couplings are built in.
"""


STRENGTHS = (0.0, 0.03, 0.1, 0.3, 1.0)
"""Shares of the table's drift among which new counts choose."""


def aged(
    posterior: Posterior,
    hours: float,
    *,
    drift: Mapping[str, Drift] | None = None,
    strength: float = 1.0,
) -> Posterior:
    r"""Return what is known some hours after the data of a posterior were taken.

    Every unknown is a stationary process of variance 1 around the calibration. With the
    correlations r on the diagonal of R,

    $$ m' = R m, \quad C' = R C R + 1 - R^2, \quad 1 - r \propto \text{strength}. $$

    Args:
        posterior: Mean m and covariance C.
        hours: Since the data were taken, at least 0.
        drift: Replaces some of `DRIFT`.
        strength: 1 for what the table says, 0 for no drift.

    Raises:
        InputError: Negative hours, or an unknown kind.

    Error:
        The kinds' correlation times are of transmons in general; see `DRIFT`. Step by step, what
        lasts is forgotten faster than in one step over the same hours.

    Source:
        Prediction step of a Kalman filter with Ornstein-Uhlenbeck processes: Särkkä, Bayesian
        Filtering and Smoothing, section 4.3.
    """
    if not 0 <= hours < np.inf:
        raise InputError(f"`hours` must be at least 0 and finite, but is {hours!r}.")
    if unknown := set(drift or {}) - set(DRIFT):
        raise InputError(f"`drift` must be for some of {sorted(DRIFT)}, but has {unknown.pop()!r}.")
    table, model = {**DRIFT, **(drift or {})}, posterior.model
    r = np.concatenate([np.full(f.size, table[f.kind].correlation(hours)) for f in model.families])
    r = 1 - strength * (1 - r)
    covariance = r[:, None] * posterior.covariance * r + np.diag(1 - r**2)
    fisher = np.linalg.inv(covariance) - np.eye(model.size)
    return replace(
        posterior, z=r * posterior.z, fisher=fisher, circuits=(), ambiguous=(), lean=None
    )


def extended(posterior: Posterior, recipes: Sequence[Recipe]) -> tuple[Model, Belief]:
    """Return the unknowns of a posterior and of further circuits, and what is known of them.

    Args:
        posterior: What is known; unknowns that only the circuits have are as in the calibration.
        recipes: Of the circuits.
    """
    old = posterior.model
    also: dict[str, set[int]] = {}
    for family in old.families:
        also.setdefault(listed_as(family.leaf), set()).update(family.index.tolist())
    widths = {f.kind: Width(float(np.median(f.spread)), f.shared) for f in old.families}
    model = prior(old.device, recipes, learn=old.learn, widths=widths, also=also)
    place = {label: k for k, label in enumerate(old.labels)}
    both = np.array([(k, place[x]) for k, x in enumerate(model.labels) if x in place])
    to, from_ = both.T
    mean, precision = np.zeros(model.size), np.eye(model.size)
    mean[to] = posterior.z[from_]
    # What is not carried over is integrated out.
    precision[np.ix_(to, to)] = np.linalg.inv(posterior.covariance[np.ix_(from_, from_)])
    return model, Belief(mean, precision)


def strength(
    posterior: Posterior,
    terms: Sequence[Term],
    hours: float,
    *,
    drift: Mapping[str, Drift] | None = None,
) -> float:
    r"""Return the share of the expected drift that new counts speak for, one of `STRENGTHS`.

    The most probable by its evidence, in the linear model around the old parameters,

    $$ \ln Z = -\min_z q(z) - \tfrac12 \ln\det(F + P) + \tfrac12 \ln\det P, $$

    with the precision P of the aged posterior, the information F of the counts, and the misfit q
    of both, counts weighted by the scatter of the old fit.

    Source:
        MacKay, Information Theory, Inference, and Learning Algorithms, chapters 27 and 28.
    """
    recipes = [t.circuit.compiled.recipe for t in terms]
    model, now = extended(posterior, recipes)
    gradient, fisher = linearised(model, terms, now, scatter=posterior.scatter)
    found: list[float] = []
    for share in STRENGTHS:
        _, before = extended(aged(posterior, hours, drift=drift, strength=share), recipes)
        pull, hessian = gradient + before.pull(now.mean), fisher + before.precision
        least = before.cost(now.mean) - 0.5 * pull @ np.linalg.solve(hessian, pull)
        volume = np.linalg.slogdet(before.precision)[1] - np.linalg.slogdet(hessian)[1]
        found.append(float(0.5 * volume - least))
    return STRENGTHS[int(np.argmax(found))]
