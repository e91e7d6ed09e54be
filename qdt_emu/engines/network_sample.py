"""Bits drawn from a graph tensor network, each shot with the weight that corrects it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from qdt_emu.engines.network_boundary import no_rest, packed, rest, swept
from qdt_emu.engines.network_state import GraphState
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.kernels.boundary import amplitudes
from qdt_emu.kernels.boundary import draw as draw_bits

Floats = NDArray[np.float64]

LEVELS = 4  # states of a bond that messages of rank above 1 resolve
DRAWN = 1e-4  # share of the boundary's squared norm that one cut may leave out while drawing
WEIGHED = 1e-8  # the same while the probability of what was drawn is computed
FINER = 4  # how much larger the boundary's bond may be then


@dataclass(frozen=True, eq=False)
class Drawn:
    """Bits and what they are worth.

    Attributes:
        bits: Shape (shots, k), uint8.
        log_ratio: log p(x) / q(x) of all qubits, shape (shots,): p is the squared amplitude of the
            state's tensors without its `log_norm`, q the probability it was drawn with. NaN where
            no weights were asked for.
        truncation: Sum over the cuts of the boundary of the share of its squared norm left out
            while p was computed, shape (shots,).
    """

    bits: NDArray[np.uint8]
    log_ratio: Floats
    truncation: Floats


@dataclass(frozen=True)
class Certificate:
    """How far the drawing probabilities q are from the state's own p.

    Attributes:
        shots: Number of shots it is based on.
        effective: Effective share of the shots, 1 / E[w**2] with w = p / q.
        spread: Standard deviation of log w.
        total_variation: Estimate of the total variation distance, E|w - 1| / 2.
        bound: Upper estimate of it, from the variance of w with its statistical error.
    """

    shots: int
    effective: float
    spread: float
    total_variation: float
    bound: float


def draw(
    state: GraphState,
    qubits: tuple[int, ...],
    uniforms: Floats,
    *,
    message_bond: int = 1,
    projected_bond: int = 32,
    levels: int = LEVELS,
    weigh: bool = True,
    threads: int = 1,
) -> Drawn:
    """Return measured bits of some qubits, one row per row of random numbers.

    One qubit after the other is drawn with its probability given the bits before it. The qubits
    already drawn are a state on the bonds to the others, a matrix product whose small Schmidt
    coefficients are cut. The others enter by their messages. A qubit that is not asked for is drawn
    and forgotten, which leaves the law of the others as it is.

    Args:
        state: Amplitudes, in Vidal gauge or nearly so.
        qubits: Which bits to return, in this order.
        uniforms: Random numbers in [0, 1), shape (shots, n): one column for each qubit of the
            state. A qubit reads 1 where its number is below the chance of 1.
        message_bond: Bond of the matrix product of operators that stands for the qubits not yet
            drawn; 1 is a product of one message per bond, as in belief propagation.
        projected_bond: Largest bond of the drawn part; weights are computed with up to 4 times it.
        levels: States of each bond that messages of bond above 1 resolve.
        weigh: Whether to compute `log_ratio`.
        threads: Number of threads; results do not depend on it.

    Raises:
        InputError: A size that does not fit.
        UnsupportedError: The state is not one of amplitudes.

    Error:
        Exact on chains and trees, whatever `message_bond`. On graphs with loops see `certificate`.

    Cost:
        See the table in `tests/bench/RESULTS.md`.

    Source:
        arXiv:2507.11424; Ferris and Vidal, PRB 85, 165146 (2012), for chains and trees.
    """
    n = state.graph.n
    _check(state, qubits, uniforms, message_bond, projected_bond, levels)
    shots = len(uniforms)
    bits = np.zeros((shots, n), np.uint8)
    log_q, log_p = np.zeros(shots), np.full(shots, np.nan)
    lost = np.zeros(shots)
    uniforms = np.ascontiguousarray(uniforms, np.float64)
    with threadpool_limits(limits=1, user_api="blas"):
        ready = swept(state)
        sites = packed(ready)
        others = no_rest(n) if message_bond == 1 else rest(ready, message_bond, levels)

        def work(part: slice) -> None:
            draw_bits(sites, others, uniforms[part], DRAWN, projected_bond, bits[part], log_q[part])
            if weigh:
                most = FINER * projected_bond
                amplitudes(sites, bits[part], WEIGHED, most, log_p[part], lost[part])

        count = max(1, min(threads, shots))
        parts = [slice(k * shots // count, (k + 1) * shots // count) for k in range(count)]
        if count == 1:
            work(parts[0])
        else:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(work, parts))
    columns = np.array(qubits, np.int64)
    return Drawn(np.ascontiguousarray(bits[:, columns]), log_p - log_q, lost)


def _check(
    state: GraphState,
    qubits: tuple[int, ...],
    uniforms: Floats,
    message_bond: int,
    projected_bond: int,
    levels: int,
) -> None:
    n = state.graph.n
    if any(np.shape(t)[-1] != 2 for t in state.tensors):
        raise UnsupportedError(
            "Bits are drawn from amplitudes, physical dimension 2, but the state has another "
            "dimension. Draw from trajectories of pure states."
        )
    for q in qubits:
        if not 0 <= q < n:
            raise InputError(f"`qubits` must be sites 0 .. {n - 1}, but one is {q}.")
    if np.ndim(uniforms) != 2 or np.shape(uniforms)[1] != n:
        raise InputError(
            f"`uniforms` must have shape (shots, {n}), but has {np.shape(uniforms)}. Give one "
            f"column for each site, measured or not."
        )
    sizes = {"message_bond": message_bond, "projected_bond": projected_bond, "levels": levels}
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"`{name}` must be at least 1, but is {value!r}.")


def certificate(log_ratio: Floats, *, confidence: float = 0.95) -> Certificate:
    """Return how far the drawing probabilities are from the state's own, from log p / q of shots.

    Only differences of `log_ratio` count. With one shot per trajectory of a noisy circuit the
    distance is the mean over trajectories; that their norms differ a little then only adds to it.

    Args:
        log_ratio: Shape (shots,), at least 2.
        confidence: Of the statistical part of the bound.

    Raises:
        InputError: Fewer than two finite numbers.

    Error:
        E|w - 1| / 2 <= sqrt(E(w - 1)**2) / 2 holds exactly; the expectation is a mean over shots,
        raised by its standard error. Outcomes that p has and q almost never draws are seen by
        neither: such a gap shows first as single large weights.
    """
    log_ratio = np.asarray(log_ratio, float)
    shots = log_ratio.size
    if shots < 2 or not np.isfinite(log_ratio).any() or np.isnan(log_ratio).any():
        raise InputError(
            f"`log_ratio` must hold at least two shots' numbers, but holds {shots} with "
            f"{int(np.isnan(log_ratio).sum())} missing. Draw more shots, with weights."
        )
    w = np.exp(log_ratio - log_ratio.max())
    first, second = w.sum(), (w * w).sum()
    effective = float(first**2 / second / shots)
    # Jackknife of log E[w**2] / E[w]**2, which is nearer to normal than the ratio itself.
    others, squares = np.maximum(first - w, 1e-300), np.maximum(second - w * w, 1e-300)
    left_out = np.log(squares / others**2 * (shots - 1))
    error = float(np.sqrt((shots - 1) / shots * ((left_out - left_out.mean()) ** 2).sum()))
    unbiased = max(0.0, 1 / effective - 1) * shots / (shots - 1)
    high = (1 + unbiased) * np.exp(NormalDist().inv_cdf(confidence) * error) - 1
    return Certificate(
        shots,
        effective,
        float(log_ratio[np.isfinite(log_ratio)].std()),
        float(0.5 * np.abs(w * shots / first - 1).mean()),
        float(min(1.0, 0.5 * np.sqrt(high))),
    )
