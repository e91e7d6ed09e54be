"""A number with its standard error."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """A figure of merit estimated from shots.

    Attributes:
        value: Estimate.
        stderr: Its standard error from shot noise; 0 if it follows from exact probabilities.
    """

    value: float
    stderr: float

    def z(self, other: "Value") -> float:
        """Return how many standard errors `other` lies above this one; 0 / 0 is 0."""
        gap = other.value - self.value
        sigma = math.hypot(self.stderr, other.stderr)
        if sigma > 0:
            return gap / sigma
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.stderr:.4f}"
