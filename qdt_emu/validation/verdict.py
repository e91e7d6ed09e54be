"""The verdict: is the twin better than what anybody could have said without it?"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qdt_emu.result import storage
from qdt_emu.validation.distances import GTest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Skill:
    """The twin against one baseline.

    Attributes:
        baseline: Name.
        distance: Total variation distance of the baseline to the measurement, at the number of
            shots of the twin.
        skill: 1 - D_twin / D_baseline: 1 perfect, 0 no better, negative worse.
        low: Lower end of its 95 % bootstrap band.
        high: Upper end.
        fitted: The parameter that was fitted to the measurement, if the baseline has one.
        correlation: Pearson correlation of the baseline with the measurement over all outcomes;
            None if one is uniform.
    """

    baseline: str
    distance: float
    skill: float
    low: float
    high: float
    fitted: float | None = None
    correlation: float | None = None

    @property
    def decision(self) -> str:
        """'better' or 'worse' if the band excludes 0, else 'undecided'."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a prediction describes a measurement, and what that is worth.

    Attributes:
        distance: Total variation distance.
        floor: Its mean if both were one distribution and only the shots differed.
        p_value: P(a distance as large by chance alone).
        stderr: Bootstrap standard error of `distance`.
        hellinger: Hellinger distance.
        fidelity: Classical fidelity, (1 - H^2)^2.
        correlation: Pearson correlation over all outcomes; NaN if one is uniform.
        log_score: Mean log-likelihood per shot; None for sampled predictions.
        g: G test; None if there are not two cells with 5 expected counts.
        worst_z: The largest |z| of all <Z_i> and <Z_i Z_j>.
        worst_bits: The classical bits it belongs to.
        rms_z: Root mean square of these z; 1 if the two agree.
        skills: Against each baseline; 'uniform' always first.
        explained: 1 - (D - floor) / (D_ideal - floor); None without an ideal distribution or if
            that is at the floor itself.
        explained_stderr: Bootstrap standard error of `explained`.
        shots: Behind the prediction; 0 if exact.
        measured_shots: Behind the measurement.
        outcomes: Distinct outcomes of both.
        n_bits: Length of the bitstrings.
        repeat: Mean distance of the processor's own repeats to the measurement, at its number of
            shots; None without repeats. No twin can be expected to be much closer.
        overdispersion: chi-squared / df of those repeats; above 1 it widens floor and bands.
        seed: Of permutations and bootstrap.
        draws: Number of permutations and of bootstrap samples.
        notes: What limits these numbers.
    """

    distance: float
    floor: float
    p_value: float
    stderr: float
    hellinger: float
    fidelity: float
    correlation: float
    log_score: float | None
    g: GTest | None
    worst_z: float
    worst_bits: tuple[int, ...]
    rms_z: float
    skills: tuple[Skill, ...]
    explained: float | None
    explained_stderr: float | None
    shots: int
    measured_shots: int
    outcomes: int
    n_bits: int
    seed: int
    draws: int
    notes: tuple[str, ...] = ()
    repeat: float | None = None
    overdispersion: float | None = None

    @property
    def excess(self) -> float:
        """Distance beyond the shot-noise floor."""
        return self.distance - self.floor

    @property
    def repeat_skill(self) -> float | None:
        """1 - D / D of the processor's own repeats: 0 is as good as running it again.

        Repeats carry the shot noise of both runs; a prediction with fewer shots carries more.
        """
        return None if not self.repeat else 1 - self.distance / self.repeat

    @property
    def agrees(self) -> bool:
        """True if chance alone makes such a distance in more than 5 % of cases."""
        return self.p_value > 0.05

    @property
    def sentence(self) -> str:
        """The verdict in words, every number of it."""
        by = {kind: [s for s in self.skills if s.decision == kind] for kind in _KINDS}
        numbers = f"distance {self.distance:.4f} ± {self.stderr:.4f}, floor {self.floor:.4f}"
        if self.skills[0].decision != "better":
            lead = f"No better than uniform ({_skill(self.skills[0])}"
        elif len(by["better"]) == len(self.skills):
            least = min(self.skills, key=lambda s: s.skill)
            lead = f"Better than every baseline (closest: {least.baseline}, {_skill(least)}"
        elif by["worse"]:
            worst = min(by["worse"], key=lambda s: s.skill)
            lead = f"Worse than the baseline {worst.baseline} ({_skill(worst)}"
        else:
            open_ = by["undecided"][0]
            lead = f"Inconclusive against {open_.baseline} ({_skill(open_)}"
        tail = (
            f"it agrees with the measurement within shot noise (p = {self.p_value:.2g})"
            if self.agrees
            else f"it differs from the measurement by more than shot noise (p = {self.p_value:.2g})"
        )
        if self.repeat is not None:
            numbers += f", the processor's own repeats {self.repeat:.4f}"
        return f"{lead}; {numbers}); {tail}."

    def to_json(self) -> str:
        """Return everything, the sentence included, as JSON text."""
        fields_ = cast("dict[str, object]", storage.plain(self))
        return storage.write_text("verdict", fields_ | {"sentence": self.sentence})

    @classmethod
    def from_json(cls, text: str) -> "Verdict":
        """Return the verdict that `to_json` wrote."""
        data = storage.read_text("verdict", text)
        data.pop("sentence", None)
        data["g"] = None if data["g"] is None else GTest(**data["g"])
        data["skills"] = tuple(Skill(**skill) for skill in data["skills"])
        data["worst_bits"], data["notes"] = tuple(data["worst_bits"]), tuple(data["notes"])
        return cls(**data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, in one step."""
        storage.write_file(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Verdict":
        """Return the verdict saved at `path`."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (quantity, value, remark) of every number, for tables."""
        g = self.g
        out = [
            ("total variation", f"{self.distance:.4f} ± {self.stderr:.4f}", ""),
            ("shot-noise floor", f"{self.floor:.4f}", f"p = {self.p_value:.3g}"),
            ("excess over floor", f"{self.excess:+.4f}", ""),
            ("Hellinger distance", f"{self.hellinger:.4f}", ""),
            ("classical fidelity", f"{self.fidelity:.4f}", ""),
            ("linear correlation", f"{self.correlation:.4f}", f"over 2^{self.n_bits} outcomes"),
            ("log score", "-" if self.log_score is None else f"{self.log_score:.4f}", "per shot"),
            (
                "G test",
                "-" if g is None else f"{g.g:.1f}",
                "too few shots" if g is None else f"df = {g.df}, p = {g.p_value:.3g}",
            ),
            ("rms z of ⟨Z⟩, ⟨ZZ⟩", f"{self.rms_z:.2f}", "1 if they agree"),
            ("largest |z|", f"{self.worst_z:.2f}", "bits " + ", ".join(map(str, self.worst_bits))),
        ]
        if self.explained is not None:
            text = f"{self.explained:.3f} ± {self.explained_stderr:.3f}"
            out.append(("explained fraction", text, "of ideal's excess"))
        if self.repeat is not None:
            parts = [] if self.repeat_skill is None else [f"skill {self.repeat_skill:+.3f}"]
            if self.overdispersion is not None:
                parts.append(f"overdispersion {self.overdispersion:.2f}")
            out.append(("hardware repeatability", f"{self.repeat:.4f}", ", ".join(parts)))
        for s in self.skills:
            fitted = "" if s.fitted is None else f", fitted {s.fitted:.3f}"
            remark = f"{s.decision} [{s.low:+.3f}, {s.high:+.3f}], D = {s.distance:.4f}{fitted}"
            out.append((f"skill over {s.baseline}", f"{s.skill:+.3f}", remark))
        return out

    def __str__(self) -> str:
        rows = self.rows()
        left, middle = (max(len(row[i]) for row in rows) for i in (0, 1))
        shots = f"{self.shots} shots" if self.shots else "exact prediction"
        lines = [f"  {a:<{left}}  {b:>{middle}}  {c}".rstrip() for a, b, c in rows]
        foot = f"  ({shots} against {self.measured_shots} shots, {self.outcomes} outcomes)"
        return "\n".join([self.sentence, *lines, foot, *(f"  note: {n}" for n in self.notes)])

    def plot(self, *, title: str = "", ax: "Axes | None" = None) -> "Figure":
        """Draw the twin's distance beside those of the baselines, over the shot-noise floor."""
        from qdt_emu.validation import plots  # noqa: PLC0415 - matplotlib costs 0.35 s

        baselines = [(s.baseline, s.distance, s.skill) for s in self.skills]
        twin = (self.distance, self.stderr)
        return plots.distances(twin, self.floor, baselines, title=title, ax=ax)


_KINDS = ("better", "worse", "undecided")


def _skill(skill: Skill) -> str:
    return f"skill {skill.skill:+.3f} [{skill.low:+.3f}, {skill.high:+.3f}]"
