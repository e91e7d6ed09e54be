"""The fringes of an echo in which the neighbour turns too, and may relax meanwhile."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from qdt_emu.experiments.likelihood import Fit, fit

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
ZETA = 7  # place of the coupling among the parameters


def fit_fringes(
    t: Floats, hits: Floats, shots: Floats, *, turn: float, neighbour_t1: Floats, late: bool
) -> Fit:
    r"""Return fits of both traces of each pair, with the neighbour in |0> and in |1> at first.

    $p_s(t) = b + e^{-k t} \mathrm{Re}[(c_s - i d_s) e^{2 \pi i f t} \chi_s(t)]$, where $\chi_s$ is
    what the neighbour does to the coherence, see `neighbour_factor`.

    Args:
        t: Whole delays in s, shape (m,).
        hits: Shape (b, 2, m).
        shots: Shape (b, 2, m).
        turn: Expected f in Hz.
        neighbour_t1: T1 of the neighbour in s, shape (b,).
        late: See `neighbour_factor`.

    Returns:
        Parameters (ln k, c_0, d_0, c_1, d_1, b, f, zeta).

    Error:
        T1 of the neighbour is taken as known; an error of it moves zeta only in second order of
        1 / (2 pi zeta T1).
    """
    decay = 1 / neighbour_t1
    seen = hits / np.maximum(shots, 1)
    start = np.stack([_first(t, seen[k], turn, decay[k], late=late) for k in range(len(hits))])
    model = partial(fringes, t=t, neighbour_t1=neighbour_t1, late=late)
    return fit(model, start, hits.reshape(len(hits), -1), shots.reshape(len(hits), -1))


def fringes(
    values: Floats, t: Floats, neighbour_t1: Floats, *, late: bool
) -> tuple[Floats, Floats]:
    """Return the curves of `fit_fringes` and their derivatives, (b, 2 m) and (b, 2 m, 8)."""
    rate = np.exp(np.clip(values[:, 0], -700, 700))[:, None, None]
    b, f, zeta = (values[:, k, None, None] for k in (5, 6, ZETA))
    factor, slope = neighbour_factor(t, zeta[:, 0], 1 / neighbour_t1[:, None], late=late)
    carrier = np.exp((2j * np.pi * f - rate) * t)
    parts = [values[:, 1] - 1j * values[:, 2], values[:, 3] - 1j * values[:, 4]]
    amplitude = np.stack(parts, axis=1)[..., None]
    wave = carrier * factor
    whole = amplitude * wave
    slopes = np.zeros((*whole.shape, 8))
    slopes[..., 0] = (-rate * t * whole).real
    for s in (0, 1):
        slopes[:, s, :, 1 + 2 * s] = wave[:, s].real
        slopes[:, s, :, 2 + 2 * s] = wave[:, s].imag
    slopes[..., 5] = 1.0
    slopes[..., 6] = (2j * np.pi * t * whole).real
    slopes[..., ZETA] = (amplitude * carrier * slope).real
    chance = b + whole.real
    return chance.reshape(len(values), -1), slopes.reshape(len(values), -1, 8)


def neighbour_factor(
    t: Floats, zeta: Floats, decay: Floats, *, late: bool
) -> tuple[Complex, Complex]:
    r"""Return what a relaxing neighbour does to the echo's coherence, and its slope in zeta.

    In half the time h a neighbour in |1> keeps its excitation with $E = e^{(i w - g) h}$,
    $w = -2 \pi \zeta$; a decay on the way adds $D = g (1 - E) / (g - i w)$, the mean of the phase
    gathered before it. From |0> the neighbour is excited in the second half only:
    $\chi_0 = E + D$. From |1>, $\chi_1 = E^* + D^* (E + D)$.

    Args:
        t: Whole delays in s, shape (m,).
        zeta: Coupling in Hz, shape (..., 1).
        decay: 1 / T1 of the neighbour, shape (..., 1).
        late: All decays of a waiting time come at its end, as in models that place relaxation
            after phases: $\chi_0 = e^{i w h}$, $\chi_1 = \chi_0^* (e^{-g h} + (1 - e^{-g h})
            \chi_0)$.

    Returns:
        Both of shape (..., 2, m).
    """
    w, h = -2 * np.pi * zeta, t / 2
    if late:
        both = np.exp(1j * w * h)
        both_slope, left = 1j * h * both, np.exp(-decay * h)
        rest = left + (1 - left) * both
        second = both.conj() * rest
        second_slope = both_slope.conj() * rest + both.conj() * (1 - left) * both_slope
    else:
        pole = decay - 1j * w + 1e-30
        kept = np.exp((1j * w - decay) * h)
        kept_slope = 1j * h * kept
        lost = decay * (1 - kept) / pole
        lost_slope = (-decay * kept_slope + 1j * lost) / pole
        both, both_slope = kept + lost, kept_slope + lost_slope
        second = kept.conj() + lost.conj() * both
        second_slope = kept_slope.conj() + lost_slope.conj() * both + lost.conj() * both_slope
    slope = -2 * np.pi * np.stack([both_slope, second_slope], axis=-2)
    return np.stack([both, second], axis=-2), np.asarray(slope, complex)


def _first(t: Floats, seen: Floats, turn: float, decay: float, *, late: bool) -> Floats:
    """Return the best of a grid of couplings and rates; the rest is linear."""
    length = t[-1]
    widest = 2 * max(0.5 * (len(t) - 1) / length - turn, 1 / length)
    zetas = np.linspace(-widest, widest, int(8 * widest * length) + 1)
    rates = np.full((len(zetas), 1), decay)
    factor, _ = neighbour_factor(t, zetas[:, None], rates, late=late)
    least, out = np.inf, np.zeros(8)
    for rate in (0.3 / length, 1 / length, 4 / length):
        wave = factor * np.exp((2j * np.pi * turn - rate) * t)
        basis = np.zeros((len(zetas), 2, len(t), 5))
        for s in (0, 1):
            basis[:, s, :, 2 * s], basis[:, s, :, 2 * s + 1] = wave[:, s].real, wave[:, s].imag
        basis[..., 4] = 1.0
        normal = np.einsum("zsmi,zsmj->zij", basis, basis) + 1e-9 * np.eye(5)
        right = np.einsum("zsmi,sm->zi", basis, seen)
        found = np.linalg.solve(normal, right[..., None])[..., 0]
        left = (seen**2).sum() - np.einsum("zi,zi->z", right, found)
        k = int(np.argmin(left))
        if left[k] < least:
            least = float(left[k])
            out[0], out[1:6], out[6], out[ZETA] = np.log(rate), found[k], turn, zetas[k]
    return out
