"""The most probable parameters of a device, given what was counted, and how sure that is."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from tqdm import tqdm

from qdt_emu.errors import InputError
from qdt_emu.learning.discrepancy import Score, Tilt, beyond, past_tilt
from qdt_emu.learning.memory import LARGEST, Memory, likeness_key, remember
from qdt_emu.learning.model import Belief, Model
from qdt_emu.learning.posterior import Fitted, Posterior
from qdt_emu.learning.terms import Outcomes, Term

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDS = 8  # of estimating how much the data scatter more than shots do
FIRST = 0.1  # of the calibration's scatter in the first round: most of it is to be learned
SETTLED = 0.8  # of the last estimate: above it another round would change little
ITERATIONS = 15
TOLERANCE = 0.05  # nats that another step would gain,
SHARE = 1e-3  # or share of the misfit, if that is more
FRESH = 4  # steps between two exact sets of slopes; Broyden's update between
STRIDE = 2.0  # prior standard deviations that a step may change an unknown by
DAMPING = (1e-6, 1e8)
KICKS = (1.5, -1.5, 4.0, -4.0)  # prior standard deviations
FLAT = 10.0  # information, in units of the prior's, above which the slope is trusted
SIGN = 2.0  # nats that decide a sign
HOPELESS = 50.0  # nats that one step does not regain


def fit(
    model: Model,
    terms: Sequence[Term],
    *,
    before: Belief | None = None,
    rounds: int = ROUNDS,
    iterations: int = ITERATIONS,
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> Posterior:
    r"""Return the maximum a posteriori unknowns with their Laplace covariance.

    $$ \min_z \tfrac12 \sum_c w_c |r_c(z)|^2 + \tfrac12 |z|^2, \quad w_c = 1 / (1 + N_c s), $$

    with the residuals r of each measurement in units of its shot noise, by damped Gauss-Newton
    steps. No model is exact, and with many shots its errors exceed theirs: in the square roots of
    probabilities they have about the same variance s (`scatter`) everywhere, which is estimated
    from the residuals themselves, the unknowns' effective number subtracted. Fit and estimate
    alternate `rounds` times. Angles often enter by their square, so that the slope at zero is zero:
    each round begins by trying them one by one at some distance.

    Args:
        model: What is unknown, from `prior`.
        terms: What was measured.
        before: What was known of the unknowns before; None for the calibration, which is the
            standard normal distribution in the formula.
        rounds: Largest number of weightings; they end when the scatter settles.
        iterations: Limit of steps in each round.
        progress: Show a progress bar.
        checkpoint: File in which the unknowns are kept after every step; if it is there and
            belongs to the same model and data, the fit goes on from it.

    Raises:
        InputError: No terms, or a checkpoint of another fit.

    Error:
        The mode to within 0.05 nats or a thousandth of the misfit; deterministic, so that no
        seed is needed. The posterior is Gaussian around it: see `Posterior.ambiguous` for
        parameters whose sign the data do not tell.

    Cost:
        Every fourth step evaluates every circuit once per unknown it depends on, others once.

    Source:
        Laplace approximation: MacKay, Information Theory, Inference, and Learning Algorithms,
        chapter 27. Secant update of slopes: Broyden, Mathematics of Computation 19, 577 (1965).
    """
    if not terms:
        raise InputError("A fit needs at least 1 measurement, but has 0.")
    work = _Work(model, terms, before or Belief.prior(model.size), checkpoint)
    work.resume()
    with tqdm(total=rounds * iterations, desc="fit", disable=not progress, leave=False) as bar:
        while work.round < rounds:
            found = work.found()
            if work.round > 1 and found >= SETTLED * work.scatter:
                break
            work.weigh(found * (1.0 if work.round else FIRST))
            work.expand()
            work.kick()
            for _ in range(iterations):
                bar.update()
                bar.set_postfix(misfit=f"{work.value:.1f}", scatter=f"{work.scatter:.1e}")
                if work.step() < max(TOLERANCE, SHARE * work.value):
                    break
            work.round += 1
            work.save()
    work.expand()
    counted = _counted(model, terms, work.z)
    past = [(p, t.counts) for t, p in counted]
    tilt = past_tilt(past, scatter=work.scatter, learned=work.learned())
    return Posterior(
        model=model,
        z=work.z,
        fisher=work.fisher + work.before.precision - np.eye(model.size),
        scatter=work.scatter,
        circuits=tuple(_fitted(model, t, work.z) for t in terms),
        ambiguous=tuple(k for k in work.large() if work.turns(k)),
        tilt=tilt,
        lean=work.lean(tilt),
        memory=_memory(counted),
    )


def linearised(
    model: Model, terms: Sequence[Term], before: Belief, *, scatter: float
) -> tuple[Floats, Floats]:
    """Return gradient and information of the data where `before` has its mean.

    Args:
        model: As in `fit`.
        terms: As in `fit`.
        before: Where.
        scatter: That terms are weighted by, of an earlier fit.

    Returns:
        Shapes (size,) and (size, size).
    """
    work = _Work(model, terms, before, None)
    work.weigh(scatter)
    work.expand()
    return work.gradient, work.fisher


def scatter(model: Model, terms: Sequence[Term], z: Floats, learned: float) -> float:
    """Return the variance of 2 sqrt(p) around the predicted one that shots do not explain.

    0 where the data scatter no more than their shots. `learned` unknowns are determined by them.
    """
    cells = np.array([t.cells(model, z) for t in terms])
    sums = np.array([float((t.residuals(model, z) ** 2).sum()) for t in terms])
    share = max(0.1, 1 - learned / cells.sum())  # of the degrees of freedom that are left
    excess = (sums / (cells * share) - 1) / np.array([t.shots for t in terms])
    return max(0.0, float((excess * cells).sum() / cells.sum()))


class _Work:
    """State of a running fit."""

    def __init__(
        self,
        model: Model,
        terms: Sequence[Term],
        before: Belief,
        checkpoint: str | Path | None,
    ) -> None:
        self.model, self.terms, self.before = model, terms, before
        self.z, self.scatter, self.damping, self.round = before.mean.copy(), 0.0, 1e-3, 0
        self.weights = np.ones(len(terms))
        self.at = [model.entries(t.circuit.uses) for t in terms]
        self.residuals: list[Floats] = []
        self.slopes: list[Floats] = []
        self.age = 0
        self.fisher = np.zeros((model.size, model.size))
        self.gradient, self.value = np.zeros(model.size), np.inf
        self.path = Path(checkpoint) if checkpoint is not None else None
        text = model.id + str(before.mean.round(9).tolist()) + "".join(t.id for t in terms)
        self.key = hashlib.sha256(text.encode()).hexdigest()

    def found(self) -> float:
        """Return the scatter of the data at z."""
        return scatter(self.model, self.terms, self.z, self.learned())

    def learned(self) -> float:
        """Return the effective number of unknowns that the data determine."""
        return float(np.trace(np.linalg.solve(self.hessian(), self.fisher)))

    def hessian(self) -> Floats:
        """Return the information of the data and of what was known before."""
        return np.asarray(self.fisher + self.before.precision)

    def weigh(self, scatter: float) -> None:
        """Give every term the weight that the scatter leaves it."""
        self.scatter = scatter
        self.weights = np.array([1 / (1 + t.shots * scatter) for t in self.terms])

    def expand(self) -> None:
        """Compute residuals and slopes at z."""
        pairs = zip(self.terms, self.at, strict=True)
        found = [t.slopes(self.model, self.z, at) for t, at in pairs]
        self.residuals, self.slopes = [r for r, _ in found], [s for _, s in found]
        self.age = 0
        self.collect()

    def collect(self) -> None:
        """Compute value, gradient and information from residuals and slopes."""
        self.value = self.sum(self.residuals, self.z)
        self.gradient, self.fisher = self.before.pull(self.z), np.zeros_like(self.fisher)
        for w, r, s, at in zip(self.weights, self.residuals, self.slopes, self.at, strict=True):
            self.gradient[at] += w * s @ r
            self.fisher[np.ix_(at, at)] += w * s @ s.T

    def sum(self, residuals: Sequence[Floats], z: Floats) -> float:
        """Return the objective in nats."""
        squares = [float(r @ r) for r in residuals]
        return 0.5 * float(self.weights @ squares) + self.before.cost(z)

    def at_point(self, z: Floats) -> list[Floats]:
        """Return the residuals at z."""
        with np.errstate(all="ignore"):  # a step too far is refused, not an error
            return [t.residuals(self.model, z) for t in self.terms]

    def step(self) -> float:
        """Take a damped step; return the nats that an undamped one would have gained."""
        hessian = self.hessian()
        whole = cho_solve(cho_factor(hessian), self.gradient)
        gain = 0.5 * float(self.gradient @ whole)
        while self.damping < DAMPING[1]:
            damped = hessian + self.damping * np.diag(np.diag(self.fisher))
            move = -cho_solve(cho_factor(damped), self.gradient)
            move *= min(1.0, STRIDE / np.abs(move).max())
            residuals = self.at_point(self.z + move)
            value = self.sum(residuals, self.z + move)
            if value < self.value:
                self.damping = max(self.damping / 10, DAMPING[0])
                self.accept(move, residuals)
                self.save()
                return gain
            if self.age:  # old slopes may be to blame
                self.expand()
                return gain
            self.damping *= 10
        self.damping = 1e-3
        return 0.0  # no step improves: rounding

    def accept(self, move: Floats, residuals: list[Floats]) -> None:
        """Go to z + move; slopes follow Broyden's update, exact ones every few steps."""
        self.z = self.z + move
        if self.age + 1 >= FRESH:
            self.expand()
            return
        for k, (old, new, at) in enumerate(zip(self.residuals, residuals, self.at, strict=True)):
            part = move[at]
            if (size := float(part @ part)) > 0:
                wrong = (new - old) - part @ self.slopes[k]
                self.slopes[k] = self.slopes[k] + np.outer(part, wrong) / size
        self.residuals, self.age = residuals, self.age + 1
        self.collect()

    def kick(self) -> None:
        """Leave saddles: change one angle or frequency at a time where that helps at once."""
        residuals = list(self.residuals)
        for family, part in zip(self.model.families, self.model.slices, strict=True):
            if family.scale != "linear":
                continue
            for k in range(part.start, part.start + len(family.labels)):
                if self.fisher[k, k] > FLAT:
                    continue
                self.try_kicks(k, [c for c, at in enumerate(self.at) if k in at], residuals)
        if any(new is not old for new, old in zip(residuals, self.residuals, strict=True)):
            self.expand()

    def try_kicks(self, k: int, near: list[int], residuals: list[Floats]) -> None:
        """Move unknown k to the best of a few places; updates z and the residuals near it."""

        def cost(found: list[Floats], z: Floats) -> float:
            pairs = zip(near, found, strict=True)
            squares = sum(self.weights[c] * (r @ r) for c, r in pairs)
            return float(0.5 * squares + self.before.cost(z))

        best = [residuals[c] for c in near]
        least, start, place = cost(best, self.z) - SIGN, self.z[k], self.z[k]
        for kick in KICKS:
            z = self.z.copy()
            z[k] = start + kick
            with np.errstate(all="ignore"):
                found = [self.terms[c].residuals(self.model, z) for c in near]
            if (value := cost(found, z)) < least:
                best, least, place = found, value, z[k]
        self.z[k] = place
        for c, r in zip(near, best, strict=True):
            residuals[c] = r

    def lean(self, tilt: Tilt) -> Floats:
        """Return what the weights, which take outcomes one by one, leave out; see `beyond`."""
        parameters, scores = self.model.parameters(self.z), []
        for k, (t, at) in enumerate(zip(self.terms, self.at, strict=True)):
            weighted = self.weights[k] * self.slopes[k]
            own = weighted @ self.slopes[k].T
            varies = own
            if isinstance(t, Outcomes):
                p = t.circuit.probabilities(parameters)
                pushes = tilt.directions(p) * 2 * t.shots / np.sqrt(4 * t.shots * p + 1)
                moved = weighted @ pushes.T
                varies = own + moved @ moved.T
            scores.append(Score(at, weighted @ self.residuals[k], own, varies))
        return beyond(scores, self.fisher, self.before.precision)

    def large(self) -> list[int]:
        """Return the angles and frequencies that are known to differ from a centre of zero."""
        spread = np.sqrt(np.diag(np.linalg.inv(self.hessian())))
        return [
            k
            for family, part in zip(self.model.families, self.model.slices, strict=True)
            if family.scale == "linear" and not np.abs(family.centre).max() > 1
            for k in range(part.start, part.start + len(family.labels))
            if abs(self.z[k]) > 2 * spread[k]
        ]

    def turns(self, k: int) -> bool:
        """Whether the opposite sign of an unknown describes the data as well.

        Everything else is adjusted by one Gauss-Newton step where that has a chance.
        """
        z = self.z.copy()
        z[k] = -z[k]
        residuals = list(self.residuals)
        for c, (t, at) in enumerate(zip(self.terms, self.at, strict=True)):
            if k in at:
                residuals[c] = t.residuals(self.model, z)
        worse = self.sum(residuals, z) - self.value
        if not SIGN <= worse < HOPELESS:
            return bool(worse < SIGN)
        gradient, fisher = self.before.pull(z), self.hessian()
        for c, (t, at) in enumerate(zip(self.terms, self.at, strict=True)):
            if k in at:
                residuals[c], slopes = t.slopes(self.model, z, at)
                gradient[at] += self.weights[c] * slopes @ residuals[c]
                own = self.slopes[c]
                fisher[np.ix_(at, at)] += self.weights[c] * (slopes @ slopes.T - own @ own.T)
            else:
                gradient[at] += self.weights[c] * self.slopes[c] @ residuals[c]
        rest = np.delete(np.arange(len(z)), k)
        z[rest] -= np.linalg.solve(fisher[np.ix_(rest, rest)], gradient[rest])
        return bool(self.sum(self.at_point(z), z) - self.value < SIGN)

    def save(self) -> None:
        """Write the unknowns to the checkpoint, atomically."""
        if self.path is None:
            return
        buffer = io.BytesIO()
        np.savez(
            buffer,
            key=np.array(self.key),
            z=self.z,
            round=np.array(self.round),
            scatter=np.array(self.scatter),
        )
        part = self.path.with_name(self.path.name + ".part")
        part.write_bytes(buffer.getvalue())
        part.replace(self.path)

    def resume(self) -> None:
        """Go on from the checkpoint if there is one."""
        if self.path is None or not self.path.exists():
            return
        with np.load(self.path, allow_pickle=False) as saved:
            if str(saved["key"]) != self.key:
                raise InputError(
                    f"The checkpoint '{self.path}' belongs to another model or other data. Remove "
                    f"it, or give another path."
                )
            self.z, self.round = saved["z"], int(saved["round"])
            self.weigh(float(saved["scatter"]))


def _counted(model: Model, terms: Sequence[Term], z: Floats) -> list[tuple[Outcomes, Floats]]:
    """Return the circuits with counts, each with its distribution at z."""
    parameters = model.parameters(z)
    return [(t, t.circuit.probabilities(parameters)) for t in terms if isinstance(t, Outcomes)]


def _memory(counted: Sequence[tuple[Outcomes, Floats]]) -> Memory:
    """Return what the counted circuits are predicted wrong by, those with few outcomes."""
    small = [(t, p) for t, p in counted if len(p) <= LARGEST]
    return remember((likeness_key(t.circuit.compiled), p, t.counts) for t, p in small)


def _fitted(model: Model, term: Term, z: Floats) -> Fitted:
    calibrated = np.zeros_like(z)
    sums = [float((term.residuals(model, at) ** 2).sum()) for at in (calibrated, z)]
    return Fitted(term.name, int(term.shots), sums[0], sums[1], term.cells(model, z))
