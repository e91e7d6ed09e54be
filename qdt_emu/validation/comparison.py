"""Compare a prediction with a measurement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdt_emu.errors import InputError
from qdt_emu.validation import baselines, distances, repeatability, resampling
from qdt_emu.validation.distances import Distribution, GTest
from qdt_emu.validation.verdict import Skill, Verdict

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Baseline:
    name: str
    p: Array
    shots: int = 0  # how many samples of `p` are as noisy as the twin; 0 takes `p` as it is
    fitted: float | None = None


def compare(
    predicted: Distribution,
    measured: Distribution,
    *,
    seed: int,
    ideal: Distribution | None = None,
    confusion: ArrayLike | None = None,
    repeats: Sequence[Distribution] = (),
    draws: int | None = None,
) -> Verdict:
    """Return how well `predicted` describes `measured`, and whether a baseline does better.

    Args:
        predicted: Of the twin: counts, or exact probabilities (then without its shot noise).
        measured: Counts of the processor.
        seed: Of the permutations and the bootstrap.
        ideal: Of the circuit without noise, best as exact probabilities; without it 'uniform' is
            the only baseline.
        confusion: (P(read 1 | 0), P(read 0 | 1)) of each classical bit, shape (n, 2).
        repeats: Further counts of the same circuit on the processor: how well it repeats itself is
            reported, and where that is worse than shot noise, floor and bands widen by it.
        draws: Number of permutations and of bootstrap samples; 1000 if that takes below 2 s,
            never below 100, otherwise.

    Raises:
        InputError: `measured` is not counts, or the bitstrings differ in length.

    Error:
        p values are at best 1 / (draws + 1). A sampled prediction carries its own shot noise; the
        baselines are then given the same number of shots, so that skill compares like with like.

    Cost:
        About 4 * draws * outcomes binomial samples: 50 ms for 64 outcomes, 2 s for 16 000.

    Examples:
        >>> verdict = compare({"0": 0.9, "1": 0.1}, {"0": 890, "1": 110}, seed=1)
        >>> verdict.agrees, [skill.decision for skill in verdict.skills]
        (True, ['better'])
    """
    keys, (p, q), (n1, n2) = distances.align(predicted, measured)
    if not n2:
        raise InputError(
            "The measurement must be counts, but it is probabilities, whose shot noise is unknown. "
            "Give whole numbers of shots."
        )
    against, notes = _baselines(measured, ideal, confusion, keys, n1)
    draws = draws or int(np.clip(4e6 // len(keys), 100, 1000))
    repeat, phi = _repeated(measured, repeats)
    # Counts whose variance is phi times larger are as good as n2 / phi shots.
    worth = n2 if phi is None else max(1, round(n2 / max(1.0, phi)))
    null = resampling.null_distances(p, q, n1, worth, draws=draws, seed=seed)
    distance, floor = float(distances.total_variation(p, q)), float(null.mean())
    spread = _bootstrap(p, q, n1, worth, against, draws=draws, seed=seed + 1)
    skills = tuple(
        replace(
            _skill(b, distance, spread, _reference(b, q, seed + 2)),
            correlation=_correlation(b.p, q, len(keys[0])),
        )
        for b in against
    )
    explained, explained_stderr = _explained(distance, floor, skills, spread)
    z, bits, rms = _worst(predicted, measured)
    if (rare := float(q[q * n2 < 3.5].sum())) > 0.5:
        notes.append(
            f"{rare:.0%} of the shots fell on outcomes seen fewer than 4 times: distances are near "
            f"their floor whatever the twin says; trust the z scores"
        )
    return Verdict(
        distance=distance,
        floor=floor,
        p_value=float((1 + (null >= distance - 1e-12).sum()) / (1 + draws)),
        stderr=float(spread["twin"].std()),
        hellinger=float(distances.hellinger_distance(p, q)),
        fidelity=float(distances.classical_fidelity(p, q)),
        correlation=float(distances.linear_correlation(p, q, n_bits=len(keys[0]))),
        log_score=None if n1 else distances.log_score(dict(zip(keys, p, strict=True)), measured),
        g=_g_test(predicted, measured),
        worst_z=z,
        worst_bits=bits,
        rms_z=rms,
        skills=skills,
        explained=explained,
        explained_stderr=explained_stderr,
        shots=n1,
        measured_shots=n2,
        outcomes=len(keys),
        n_bits=len(keys[0]),
        seed=seed,
        draws=draws,
        notes=tuple(notes),
        repeat=repeat,
        overdispersion=phi,
    )


def _repeated(
    measured: Distribution, repeats: Sequence[Distribution]
) -> tuple[float | None, float | None]:
    """Return the distance of repeats to the measurement and their overdispersion, if any."""
    if not repeats:
        return None, None
    try:
        phi = repeatability.overdispersion([(measured, *repeats)]).phi
    except InputError:  # one outcome only, or too few shots for two cells
        phi = None
    return repeatability.repeat_distance(repeats, measured), phi


def _baselines(
    measured: Distribution,
    ideal: Distribution | None,
    confusion: ArrayLike | None,
    keys: list[str],
    n1: int,
) -> tuple[list[_Baseline], list[str]]:
    out, notes = [_Baseline("uniform", baselines.uniform(keys), n1)], []
    if ideal is None:
        return out, ["no ideal distribution was given: uniform is the only baseline"]
    if sampled := distances.probabilities(ideal)[1]:
        n1 = 0  # it carries shot noise already
        notes.append(
            f"the ideal distribution is {sampled} shots: its own noise enters its baselines"
        )
    out.append(_Baseline("ideal", baselines.ideal(ideal, keys), n1))
    if confusion is None:
        notes.append("no readout confusion was given: the baseline ideal + readout is missing")
    else:
        p = baselines.ideal_readout(ideal, np.asarray(confusion, dtype=float), keys)
        out.append(_Baseline("ideal + readout", p, n1))
    p, fraction = baselines.ideal_depolarized(ideal, measured, keys)
    out.append(_Baseline("ideal + depolarizing", p, n1, fraction))
    return out, notes


def _bootstrap(
    p: Array, q: Array, n1: int, n2: int, against: list[_Baseline], *, draws: int, seed: int
) -> dict[str, Array]:
    """Return redrawn distances of the twin and of each baseline, paired draw by draw."""
    rng = np.random.default_rng([seed, 1])
    found: dict[str, list[Array]] = {name: [] for name in ("twin", *(b.name for b in against))}
    for first, second in resampling.redrawn(p, q, n1, n2, draws=draws, seed=seed):
        found["twin"].append(distances.total_variation(first, second))
        for b in against:
            sampled = resampling.sample(rng, b.p, b.shots, len(second)) if b.shots else b.p[None]
            found[b.name].append(distances.total_variation(sampled, second))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def _reference(baseline: _Baseline, q: Array, seed: int) -> float:
    """Return the distance of a baseline, with as many shots as the twin had (mean of 50 draws)."""
    if not baseline.shots:
        return float(distances.total_variation(baseline.p, q))
    sampled = resampling.sample(np.random.default_rng(seed), baseline.p, baseline.shots, 50)
    return float(distances.total_variation(sampled, q).mean())


def _skill(
    baseline: _Baseline, distance: float, spread: dict[str, Array], reference: float
) -> Skill:
    if reference < 1e-12:  # nothing left to explain
        return Skill(baseline.name, reference, 0.0, 0.0, 0.0, baseline.fitted)
    # Redrawn distances are biased upwards, so only their spread around their mean is used.
    twin = distance + spread["twin"] - spread["twin"].mean()
    other = reference + spread[baseline.name] - spread[baseline.name].mean()
    low, high = np.quantile(1 - twin / np.maximum(other, 1e-12), [0.025, 0.975])
    skill = 1 - distance / reference
    return Skill(baseline.name, reference, skill, float(low), float(high), baseline.fitted)


def _correlation(p: Array, q: Array, n_bits: int) -> float | None:
    found = float(distances.linear_correlation(p, q, n_bits=n_bits))
    return found if np.isfinite(found) else None


def _explained(
    distance: float, floor: float, skills: tuple[Skill, ...], spread: dict[str, Array]
) -> tuple[float | None, float | None]:
    found = [s for s in skills if s.baseline == "ideal"]
    if not found or (gap := found[0].distance - floor) < 3 * spread["ideal"].std():
        return None, None
    share = (distance - floor) / gap
    stderr = np.std(spread["twin"] - share * spread["ideal"]) / gap
    return 1 - share, float(stderr)


def _g_test(predicted: Distribution, measured: Distribution) -> GTest | None:
    try:
        return distances.g_test(predicted, measured)
    except InputError:  # too few shots for two cells: the verdict says so by None
        return None


def _worst(predicted: Distribution, measured: Distribution) -> tuple[float, tuple[int, ...], float]:
    z = distances.z_scores(predicted, measured)
    if not z.size:
        return 0.0, (), 0.0
    upper = np.triu(np.abs(z))
    i, j = np.unravel_index(int(upper.argmax()), z.shape)
    rms = float(np.sqrt(np.mean(z[np.triu_indices(len(z))] ** 2)))
    return float(upper.max()), (int(i),) if i == j else (int(i), int(j)), rms
