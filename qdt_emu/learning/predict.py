"""What a learned twin expects of a circuit, and how far off it may be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdt_emu.circuit.compile import Compiled
from qdt_emu.errors import InputError
from qdt_emu.learning.discrepancy import NO_TILT, Tilt
from qdt_emu.learning.memory import likeness_key
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.terms import Circuit
from qdt_emu.result import Budget

Floats = NDArray[np.float64]

DRAWS = 100
SOURCES = ("parameters", "model", "shots")


@dataclass(frozen=True, eq=False)
class Prediction:
    """Distributions of a circuit's record, one per draw of the parameters.

    Attributes:
        probabilities: At the most probable parameters, shape (2**n,); bit c is clbit c.
        draws: Of the posterior, shape (k, 2**n).
        scatter: Variance of 2 sqrt(p) around the predicted one, from past residuals.
        seed: Of the draws.
        tilt: How outcomes are wrong together, from past residuals.
    """

    probabilities: Floats
    draws: Floats
    scatter: float
    seed: int
    tilt: Tilt = NO_TILT

    @property
    def n_bits(self) -> int:
        """Number of classical bits."""
        return int(math.log2(len(self.probabilities)))

    def keyed(self, least: float = 0.0) -> Mapping[str, float]:
        """Return the probabilities above `least` by bit string, highest bit leftmost."""
        n = self.n_bits
        return {
            format(k, f"0{n}b") if n else "": float(p)
            for k, p in enumerate(self.probabilities)
            if p > least
        }

    def frequencies(
        self, shots: int, *, sources: Sequence[str] = SOURCES, count: int = 1000
    ) -> Floats:
        """Return frequencies that a run of the processor could give, shape (count, 2**n).

        Args:
            shots: Of the run.
            sources: What varies: 'parameters' (posterior draws), 'model' (what the model does not
                know: outcomes lean together by `tilt`, and a Dirichlet draw gives square roots
                the variance `scatter`), 'shots'.
            count: Number of runs.

        Raises:
            InputError: An unknown source.
        """
        if unknown := set(sources) - set(SOURCES):
            raise InputError(f"`sources` must be among {SOURCES}, but has {unknown.pop()!r}.")
        rng = np.random.default_rng([self.seed, 5])
        p = np.tile(self.probabilities, (count, 1))
        if "parameters" in sources:
            p = self.draws[rng.integers(len(self.draws), size=count)]
        p = p / p.sum(1, keepdims=True)
        if "model" in sources:
            p = self.tilt.lean(p, rng)
        if "model" in sources and self.scatter > 0:
            p = rng.gamma(np.maximum(p / self.scatter, 1e-9))
            p /= p.sum(1, keepdims=True)
        return rng.multinomial(shots, p) / shots if "shots" in sources else p

    def band(
        self,
        weights: ArrayLike,
        shots: int,
        *,
        level: float = 0.9,
        sources: Sequence[str] = SOURCES,
        count: int = 1000,
    ) -> tuple[float, float]:
        """Return the central interval of sum w_x f_x for the frequencies f of a run.

        Args:
            weights: Of each record, shape (2**n,): an indicator of outcomes, a parity, a cost.
            shots: Of the run.
            level: Probability that the interval contains the measured value.
            sources: As in `frequencies`.
            count: Number of draws.
        """
        values = self.frequencies(shots, sources=sources, count=count) @ np.asarray(weights, float)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def budget(self, shots: int) -> Budget:
        """Return the expected total variation distance that each source alone would make."""

        def distance(source: str) -> float:
            found = self.frequencies(shots, sources=(source,), count=200)
            return float(np.abs(found - self.probabilities).sum(1).mean() / 2)

        return Budget(
            shots=distance("shots"),
            trajectories=0.0,
            truncation=0.0,
            parameters=distance("parameters"),
            model=distance("model"),
            of="total variation distance",
        )


def predict(
    posterior: Posterior, compiled: Compiled, *, draws: int = DRAWS, seed: int = 0
) -> Prediction:
    """Return the distributions of a circuit over the posterior.

    The circuit is prepared once; each draw costs one run of the exact engine. What circuits like
    it were predicted wrong by, see `Memory.corrected`, is added.

    Args:
        posterior: What was learned.
        compiled: The circuit, compiled on `posterior.model.device` (or a device with the same
            mechanisms).
        draws: Number of parameter sets.
        seed: Of the draws.

    Raises:
        UnsupportedError: What the exact engine refuses.
    """
    circuit = Circuit(compiled, compiled.recipe.bind())
    model, memory = posterior.model, posterior.memory
    drawn = [
        np.clip(circuit.probabilities(model.parameters(z)), 0, None)
        for z in posterior.unknowns(draws, seed=seed)
    ]
    best = circuit.probabilities(model.parameters(posterior.z))
    key = likeness_key(compiled) if memory.circuits else ""
    best, some = (memory.corrected(key, p, posterior.scatter) for p in (best, np.array(drawn)))
    return Prediction(best, some, posterior.scatter, seed, posterior.tilt)
