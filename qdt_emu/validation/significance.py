"""Many circuits at once: which of them does the twin really get wrong?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.validation.distances import Array
from qdt_emu.validation.verdict import Verdict

FDR = 0.05


def benjamini_hochberg(p_values: Sequence[float]) -> Array:
    r"""Return the adjusted p value ("q value") of each test.

    Calling those below $\alpha$ significant makes at most a share $\alpha$ of such calls wrong on
    average: $q_{(k)} = \min_{j \ge k} m\, p_{(j)} / j$.

    Raises:
        InputError: A value outside 0..1.

    Error:
        Holds for independent tests, and for positively correlated ones.

    Source:
        Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289 (1995); Benjamini and Yekutieli, Ann.
        Stat. 29, 1165 (2001).

    Examples:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p values must lie in 0..1, but one is {p[~((p >= 0) & (p <= 1))][0]}.")
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum.accumulate(p[order] * len(p) / ranks)
    return q


@dataclass(frozen=True, slots=True)
class Survey:
    """The verdicts on many circuits.

    Attributes:
        names: Of the circuits.
        verdicts: One per circuit.
        q_values: Adjusted p value of each: of the G test, which is not limited by a number of
            permutations, or of the distance where there is no G test.
        fdr: Share of wrong calls that is accepted.
    """

    names: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    q_values: tuple[float, ...]
    fdr: float = FDR

    @property
    def off(self) -> tuple[str, ...]:
        """Names of the circuits that the twin gets significantly wrong."""
        return tuple(n for n, q in zip(self.names, self.q_values, strict=True) if q <= self.fdr)

    def geometric_mean(self, baseline: str | None = None) -> float:
        """Return the geometric mean distance of the twin, or of one of its baselines.

        Raises:
            InputError: Not every circuit has this baseline.
        """
        if baseline is None:
            return geometric_mean(max(v.distance, 1e-12) for v in self.verdicts)
        found = [s.distance for v in self.verdicts for s in v.skills if s.baseline == baseline]
        if len(found) != len(self.verdicts):
            raise InputError(
                f"Every circuit must have the baseline {baseline!r}, but {len(found)} of "
                f"{len(self.verdicts)} do."
            )
        return geometric_mean(max(d, 1e-12) for d in found)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        wrong, total = self.off, len(self.names)
        beaten = sum(all(s.decision == "better" for s in v.skills) for v in self.verdicts)
        shown = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        found = f"{len(wrong)} of {total} circuits are off by more than shot noise" + (
            f" ({shown})" if wrong else ""
        )
        return (
            f"{found}, at a false discovery rate of {self.fdr:.0%}; the twin beats every baseline "
            f"on {beaten} of {total}, at a mean distance of {self.geometric_mean():.4f} "
            f"(geometric)."
        )


def survey(names: Sequence[str], verdicts: Sequence[Verdict], *, fdr: float = FDR) -> Survey:
    """Return which of many circuits the twin gets significantly wrong.

    Raises:
        InputError: No verdict, or names and verdicts of different number.
    """
    if not verdicts or len(names) != len(verdicts):
        raise InputError(
            f"A survey must have a name per verdict and at least one, but has {len(names)} names "
            f"and {len(verdicts)} verdicts."
        )
    p = [v.p_value if v.g is None else v.g.p_value for v in verdicts]
    q = tuple(float(x) for x in benjamini_hochberg(p))
    return Survey(tuple(names), tuple(verdicts), q, fdr)
