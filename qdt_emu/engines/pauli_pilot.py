"""Short runs of Pauli propagation that tell what finer thresholds will cost and give."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Values
from qdt_emu.engines.pauli_bind import bind, refuse_draws
from qdt_emu.engines.pauli_error import COARSER, RUNGS, Ladder, stated
from qdt_emu.engines.pauli_program import Program
from qdt_emu.engines.pauli_run import Propagated

COARSEST = 0.1
FINEST = 1e-9
ROOM = 2**20  # strings
AHEAD = 3  # thresholds beyond the last one tried
STEEPEST = 2.0  # growth of the cost: threshold ** -this


@dataclass(frozen=True)
class Forecast:
    """What one answer at a threshold costs and gives.

    Attributes:
        threshold: Of the engine.
        seconds: Processor time of all strings, binding included, on one core.
        terms: Most Pauli strings held at a time.
        error: Stated error, the largest of all strings.
        tried: False where it is extrapolated from the two thresholds before.
    """

    threshold: float
    seconds: float
    terms: int
    error: float
    tried: bool


def pilot(
    state: Program,
    values: Values,
    paulis: NDArray[np.uint8],
    readout: NDArray[np.float64],
    seconds: float,
) -> list[Forecast]:
    """Return forecasts from coarse to fine, some tried within `seconds`, then a few extrapolated.

    Args:
        state: What `Pauli.prepare` returns.
        values: The numbers.
        paulis: Codes 0..3, shape (m, n_qubits).
        readout: See `Engine.estimate`.
        seconds: Processor time; the next threshold starts only if it should fit.

    Error:
        Extrapolated by power laws through the last two; errors that do not fall stay as they are.
    """
    refuse_draws(state, values)
    begin = time.thread_time()
    maps = bind(state, values, np.asarray(readout, float))
    ladder = Ladder(maps, 1 - 2 * np.asarray(values.excited, float), None, ROOM)
    parts = [ladder.cone(codes) for codes in paulis]
    decays = [ladder.scout(part) for part in parts]
    fixed = time.thread_time() - begin
    runs: list[list[Propagated]] = [[] for _ in parts]
    costs: list[float] = []
    out: list[Forecast] = []
    threshold = COARSEST
    while threshold >= FINEST:
        spent = time.thread_time() - begin
        if len(out) > 1 and spent + _further(costs[-2], costs[-1], STEEPEST) > seconds:
            break
        start = time.thread_time()
        for done, part, decay in zip(runs, parts, decays, strict=True):
            done.insert(0, ladder.climb(part, threshold, decay))
        costs.append(time.thread_time() - start)
        error = max((stated(done) for done in runs), default=0.0)
        terms = max((done[0].terms for done in runs), default=1)
        out.append(Forecast(threshold, fixed + sum(costs[-RUNGS:]), terms, error, tried=True))
        if error == 0 or spent > seconds:
            return out
        threshold /= COARSER
    return out + _extrapolated(out)


def _further(before: float, last: float, steepest: float) -> float:
    """Return the next number of a geometric series that grows at most as given."""
    growth = min(max(last / max(before, 1e-9), 1.0), COARSER**steepest)
    return float(last * growth)


def _extrapolated(tried: list[Forecast]) -> list[Forecast]:
    out = list(tried)
    if len(out) < 2:
        return []
    for _ in range(AHEAD):
        a, b = out[-2:]
        out.append(
            Forecast(
                b.threshold / COARSER,
                _further(a.seconds, b.seconds, STEEPEST),
                int(min(_further(a.terms, b.terms, STEEPEST), ROOM)),
                b.error * min(1.0, b.error / max(a.error, 1e-300)),
                tried=False,
            )
        )
    return out[len(tried) :]
