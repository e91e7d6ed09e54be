"""Experiment design: which circuits would tell most about what one wants to predict.

What a circuit tells about the unknowns of a twin is its Fisher information, known before it runs.
Added to what is known already it gives the posterior that would follow, and with it the expected
uncertainty of a prediction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qdt_emu.circuit import Options
from qdt_emu.errors import InputError
from qdt_emu.experiments.progress import watched
from qdt_emu.learning.model import Model, Width
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.prior import DEFAULT, learnable, prior
from qdt_emu.learning.terms import MAX_CLBITS, Circuit
from qdt_emu.twin import Twin

SOURCE = "Chaloner and Verdinelli, Statistical Science 10, 273 (1995)"
Criterion = Literal["prediction", "A", "D"]
Figure = str | tuple[int, ...]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NEGLIGIBLE = 1e-12  # share of a circuit's information that is left out


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What is known about the unknowns before the new circuits run.

    Attributes:
        model: The unknowns.
        z: Most probable values, shape (size,).
        covariance: Shape (size, size).
        scatter: See `Posterior.scatter`.
    """

    model: Model
    z: Floats
    covariance: Floats
    scatter: float


def best_circuits(
    twin: Twin,
    candidates: Mapping[str, Any],
    predictions: Sequence[tuple[Any, Figure]] | None = None,
    *,
    shots: int = 4000,
    choose: int = 5,
    criterion: Criterion = "prediction",
    learn: Iterable[str] = DEFAULT,
    widths: Mapping[str, Width] | None = None,
    options: Options | None = None,
) -> xr.Dataset:
    r"""Return the candidates ranked, and a greedy choice of some, by expected posterior variance.

    A circuit of N shots with outcome probabilities p(z) adds
    $N / (1 + N s) \sum_x \nabla p_x \nabla p_x^T / p_x$ to the information, where s is the scatter
    the twin found between model and processor. The best is chosen, the posterior updated by its
    columns, and so on; a circuit may be chosen again, which counts as more shots of it.

    Args:
        twin: Its `posterior` is what is known; without one, the prior around its calibration.
        candidates: Circuits by name, at most 14 bits each.
        predictions: What one wants to know: (circuit, figure), a figure being a bit string (its
            probability) or a tuple of bits (the mean of the product of their signs).
        shots: Of each chosen circuit.
        choose: How many.
        criterion: 'prediction': the sum of the variances of the predictions; 'A': that of all
            unknowns in units of their prior; 'D': the volume of the posterior.
        learn: What is unknown, if the twin has no posterior.
        widths: As given to `Twin.fit`, if any were.
        options: As in `Twin.run`.

    Returns:
        Over `candidate`: `alone`, what is left of the criterion if only that circuit runs, and
        `rank`; over `step` (0 is now): `chosen` and `left`; over `prediction` and `step`: `sd`,
        its expected standard deviation. With criterion A or D `left` is the root mean square or the
        geometric mean width of the unknowns in units of the prior's.

    Raises:
        InputError: No candidates, or predictions that do not fit.

    Error:
        First order in the unknowns around their most probable values, as the posterior itself.

    Source:
        Chaloner and Verdinelli, Statistical Science 10, 273 (1995), sections 2 and 5.
    """
    asked = list(predictions or ())
    if not candidates or choose < 1 or shots < 1:
        raise InputError("A design needs at least 1 candidate, 1 choice and 1 shot.")
    if criterion not in ("A", "D") and not (criterion == "prediction" and asked):
        raise InputError("`criterion` must be 'A' or 'D', or 'prediction' with `predictions`.")
    every = [*candidates.values(), *(circuit for circuit, _ in asked)]
    known, circuits = _knowledge(twin, every, learn, widths, options)
    tried, wanted = circuits[: len(candidates)], circuits[len(candidates) :]
    pairs = zip(wanted, asked, strict=True)
    goals = [_gradient(circuit, known, figure) for circuit, (_, figure) in pairs]
    columns = [_columns(c, known, shots) for c in watched(tried, "design")]
    work = _Work(known.covariance, np.reshape(goals, (-1, known.model.size)), criterion)
    return _table(work, list(candidates), columns, known, shots, choose, asked, twin)


def _knowledge(
    twin: Twin,
    circuits: Sequence[Any],
    learn: Iterable[str],
    widths: Mapping[str, Width] | None,
    options: Options | None,
) -> tuple[Knowledge, list[Circuit]]:
    """Return what is known about everything that the circuits depend on, and the circuits."""
    posterior = twin.posterior
    names = tuple(learn) if posterior is None else posterior.model.learn
    centre = learnable(twin.device, names) if posterior is None else posterior.model.device
    carrier = Twin(centre, twin.calibration, _target=twin.target)
    compiled = [carrier.compile(c, options=options) for c in circuits]
    for c in compiled:
        if c.structure.n_clbits > MAX_CLBITS:
            raise InputError(
                f"Circuits of a design must have at most {MAX_CLBITS} bits, but one has "
                f"{c.structure.n_clbits}. Measure fewer qubits."
            )
    model = prior(centre, [c.recipe for c in compiled], learn=names, widths=widths)
    known = Knowledge(model, np.zeros(model.size), np.eye(model.size), 0.0)
    if posterior is not None:
        known = _transferred(posterior, model)
    return known, [Circuit(c, c.recipe.bind()) for c in compiled]


def _transferred(posterior: Posterior, model: Model) -> Knowledge:
    """Return a posterior's knowledge about another set of unknowns; new ones have their prior."""
    place = {label: k for k, label in enumerate(posterior.model.labels)}
    new = [k for k, label in enumerate(model.labels) if label in place]
    old = [place[model.labels[k]] for k in new]
    z, covariance = np.zeros(model.size), np.eye(model.size)
    z[new] = posterior.z[old]
    covariance[np.ix_(new, new)] = posterior.covariance[np.ix_(old, old)]
    return Knowledge(model, z, covariance, posterior.scatter)


def _slopes(circuit: Circuit, known: Knowledge) -> tuple[Floats, Floats, Ints]:
    at = known.model.entries(circuit.uses)
    p, by = circuit.slopes(known.model, known.z, at, "differences")
    return p, by, at


def _gradient(circuit: Circuit, known: Knowledge, figure: Figure) -> Floats:
    """Return the derivative of a figure by every unknown, shape (size,)."""
    p, by, at = _slopes(circuit, known)
    out = np.zeros(known.model.size)
    out[at] = by @ _weights(figure, len(p).bit_length() - 1)
    return out


def _weights(figure: Figure, bits: int) -> Floats:
    """Return what each record counts in a figure, shape (2**bits,)."""
    record = np.arange(2**bits)
    if isinstance(figure, str):
        if len(figure) != bits or set(figure) - {"0", "1"}:
            raise InputError(f"A bit string to predict must have {bits} bits, but is {figure!r}.")
        return np.asarray(record == int(figure or "0", 2), float)
    if not figure or not all(0 <= b < bits for b in figure):
        raise InputError(f"Bits to predict must lie in 0 to {bits - 1}, but are {figure}.")
    parity = sum(record >> b & 1 for b in figure)
    return np.asarray(1.0 - 2.0 * (parity % 2))


def _columns(circuit: Circuit, known: Knowledge, shots: int) -> Floats:
    """Return L with L L^T the Fisher information of one shot, shape (size, rank).

    As the fit does, outcomes that are expected less than once weigh less.
    """
    p, by, at = _slopes(circuit, known)
    rows = by / np.sqrt(p + 1 / (4 * shots))
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    kept = singular**2 > NEGLIGIBLE * max(float(singular[0] ** 2), 1e-300)
    out = np.zeros((known.model.size, int(kept.sum())))
    out[at] = left[:, kept] * singular[kept]
    return out


class _Work:
    """The covariance that is expected after what was chosen so far."""

    def __init__(self, covariance: Floats, goals: Floats, criterion: Criterion) -> None:
        self.covariance, self.goals, self.criterion = covariance.copy(), goals, criterion
        self.size = max(1, len(covariance))

    def sd(self) -> Floats:
        """Return the standard deviation of each prediction."""
        found = np.einsum("ki,ij,kj->k", self.goals, self.covariance, self.goals)
        return np.asarray(np.sqrt(np.maximum(found, 0.0)))

    def left(self) -> float:
        """Return the criterion: root of the sum of variances, or a mean width of the unknowns."""
        if self.criterion == "prediction":
            return float(np.sqrt((self.sd() ** 2).sum()))
        if self.criterion == "A":
            return float(np.sqrt(np.trace(self.covariance) / self.size))
        return float(np.exp(np.linalg.slogdet(self.covariance)[1] / (2 * self.size)))

    def after(self, columns: Floats, amount: float) -> float:
        """Return the criterion if a circuit with information `amount` L L^T were added."""
        spread, seen = self._seen(columns, amount)
        if self.criterion == "D":
            volume = np.linalg.slogdet(seen)[1]
            return float(self.left() * np.exp(-volume / (2 * self.size)))
        towards = self.goals @ spread if self.criterion == "prediction" else spread
        gain = float(np.sum(towards * np.linalg.solve(seen, towards.T).T))
        count = 1 if self.criterion == "prediction" else self.size
        return float(np.sqrt(max(0.0, self.left() ** 2 - gain / count)))

    def add(self, columns: Floats, amount: float) -> None:
        """Update the covariance (Woodbury)."""
        spread, seen = self._seen(columns, amount)
        self.covariance = self.covariance - spread @ np.linalg.solve(seen, spread.T)
        self.covariance = (self.covariance + self.covariance.T) / 2

    def _seen(self, columns: Floats, amount: float) -> tuple[Floats, Floats]:
        own = np.sqrt(amount) * columns
        spread = self.covariance @ own
        return spread, np.eye(own.shape[1]) + own.T @ spread


def _amount(times: int, shots: int, scatter: float) -> float:
    """Return by how much the information grows when a circuit runs for the `times`-th time."""

    def worth(total: int) -> float:
        return total / (1 + total * scatter)

    return worth(times * shots) - worth((times - 1) * shots)


def _table(
    work: _Work,
    names: list[str],
    columns: Sequence[Floats],
    known: Knowledge,
    shots: int,
    choose: int,
    asked: Sequence[tuple[Any, Figure]],
    twin: Twin,
) -> xr.Dataset:
    first = _amount(1, shots, known.scatter)
    alone = np.array([work.after(c, first) for c in columns])
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(alone, kind="stable")] = np.arange(1, len(names) + 1)
    times = [0] * len(names)
    chosen, left, sd = [""], [work.left()], [work.sd()]
    for _ in range(choose):
        amounts = [_amount(n + 1, shots, known.scatter) for n in times]
        best = int(np.argmin([work.after(c, a) for c, a in zip(columns, amounts, strict=True)]))
        work.add(columns[best], amounts[best])
        times[best] += 1
        chosen.append(names[best])
        left.append(work.left())
        sd.append(work.sd())
    about = {"long_name": "expected standard deviation of the prediction", "units": "1"}
    return xr.Dataset(
        {
            "alone": ("candidate", alone, {"long_name": "criterion after this circuit alone"}),
            "rank": ("candidate", rank, {"long_name": "by `alone`, 1 is best"}),
            "times": ("candidate", times, {"long_name": "how often it was chosen"}),
            "chosen": ("step", np.array(chosen, object)),
            "left": ("step", np.array(left), {"long_name": f"criterion '{work.criterion}'"}),
            "sd": (("prediction", "step"), np.stack(sd, axis=1), about),
        },
        {
            "candidate": np.array(names, object),
            "step": np.arange(choose + 1),
            "prediction": np.array([f"{k}: {f}" for k, (_, f) in enumerate(asked)], object),
        },
        {
            "experiment": "design",
            "device": twin.name,
            "device_id": twin.device.id,
            "criterion": work.criterion,
            "shots": shots,
            "unknowns": known.model.size,
            "scatter": known.scatter,
            "protocol": SOURCE,
        },
    )
