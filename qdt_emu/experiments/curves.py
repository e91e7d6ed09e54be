"""The curves that experiments fit: decays and damped oscillations, with their derivatives."""

from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from qdt_emu.experiments.likelihood import Fit, fit

Floats = NDArray[np.float64]


def fit_decay(
    x: Floats,
    hits: Floats,
    shots: Floats,
    *,
    offset: float | None = None,
    overdispersed: bool = False,
) -> Fit:
    r"""Return fits of $p(x) = b + a e^{-x k}$; parameters (ln k, a, b).

    Args:
        x: Delay or depth, shape (b, m).
        hits: Events, shape (b, m).
        shots: Trials, shape (b, m).
        offset: Known b; None fits it.
        overdispersed: See `likelihood.fit`.

    Returns:
        With two parameters (ln k, a) where the offset is known.
    """
    start = _first_decay(x, hits, shots, offset)
    return fit(partial(decay, x=x, offset=offset), start, hits, shots, overdispersed=overdispersed)


def decay(values: Floats, x: Floats, offset: float | None = None) -> tuple[Floats, Floats]:
    """Return the curves of `fit_decay` and their derivatives, shapes (b, m) and (b, m, p)."""
    rate = np.exp(np.clip(values[:, :1], -700, 700))
    shape = np.exp(-rate * x)
    base = values[:, 2:3] if offset is None else offset
    slopes = [-values[:, 1:2] * rate * x * shape, shape]
    if offset is None:
        slopes.append(np.ones_like(shape))
    return base + values[:, 1:2] * shape, np.stack(slopes, axis=-1)


def _first_decay(x: Floats, hits: Floats, shots: Floats, offset: float | None) -> Floats:
    """Return the best of a grid of rates; amplitude and offset follow by least squares."""
    seen = hits / np.maximum(shots, 1)
    length = np.maximum(x.max(1, keepdims=True), 1e-300)
    out = np.zeros((len(x), 2 if offset is not None else 3))
    least = np.full(len(x), np.inf)
    for turns in np.geomspace(0.01, 100, 41):
        shape = np.exp(-turns * x / length)
        columns = [shape] if offset is not None else [shape, np.ones_like(shape)]
        target = seen - (offset or 0.0)
        basis = np.stack(columns, axis=-1) * (shots > 0)[..., None]
        normal = np.einsum("bmi,bmj->bij", basis, basis) + 1e-12 * np.eye(len(columns))
        right = np.einsum("bmi,bm->bi", basis, target)
        found = np.linalg.solve(normal, right[..., None])[..., 0]
        left = ((target - np.einsum("bmi,bi->bm", basis, found)) ** 2 * (shots > 0)).sum(1)
        better = left < least
        out[better, 0] = np.log(turns / length[better, 0])
        out[better, 1:] = found[better]
        least = np.where(better, left, least)
    return out


def fit_oscillation(
    t: Floats, hits: Floats, shots: Floats, *, beating: bool = False, gaussian: bool = False
) -> Fit:
    r"""Return fits of $p(t) = b + E(t) (c \cos 2 \pi f t + s \sin 2 \pi f t)$.

    All curves share the delays t, shape (m,). The envelope is $E = e^{-k t}$, times
    $e^{-(g t)^2}$ if `gaussian`, times $\cos \pi \zeta t$ if `beating`: two lines at
    $f \pm \zeta / 2$.

    Returns:
        Parameters (ln k, c, s, b, f), then g and zeta where they are part of the model.
    """
    seen = np.asarray(hits) / np.maximum(shots, 1)
    start = _first_oscillation(t, seen, beating=beating, gaussian=gaussian)
    model = partial(oscillation, t=t, beating=beating, gaussian=gaussian)
    return fit(model, start, hits, shots)


def oscillation(
    values: Floats, t: Floats, *, beating: bool, gaussian: bool
) -> tuple[Floats, Floats]:
    """Return the curves of `fit_oscillation` and their derivatives."""
    rate = np.exp(np.clip(values[:, :1], -700, 700))
    c, s, b, f = (values[:, k : k + 1] for k in range(1, 5))
    g = values[:, 5:6] if gaussian else 0.0
    zeta = values[:, 5 + gaussian : 6 + gaussian] if beating else 0.0
    with np.errstate(over="ignore"):  # a step too far is refused, not an error
        envelope = np.exp(-rate * t - (g * t) ** 2)
    swing = np.cos(np.pi * zeta * t)
    cosine, sine = np.cos(2 * np.pi * f * t), np.sin(2 * np.pi * f * t)
    wave, whole = c * cosine + s * sine, envelope * swing
    slopes = [
        *(-rate * t * whole * wave, whole * cosine, whole * sine, np.ones_like(wave)),
        whole * 2 * np.pi * t * (s * cosine - c * sine),
    ]
    if gaussian:
        slopes.append(-2 * g * t**2 * whole * wave)
    if beating:
        slopes.append(-np.pi * t * np.sin(np.pi * zeta * t) * envelope * wave)
    return b + whole * wave, np.stack(slopes, axis=-1)


def _first_oscillation(t: Floats, seen: Floats, *, beating: bool, gaussian: bool) -> Floats:
    """Return the best of a grid of frequencies, envelopes and beats; the rest is linear."""
    length = t[-1] - t[0]
    lines = np.linspace(0.0, 0.5 * (len(t) - 1) / length, 4 * len(t))[1:]
    waves = np.exp(2j * np.pi * lines[:, None] * t)
    rates = np.array([0.4, 2.5]) / length
    widths = np.array([0.5, 2.5]) / length if gaussian else np.zeros(1)
    zetas = np.geomspace(0.3, 0.125 * len(t), 12) / length if beating else np.zeros(1)
    least, out = np.full(len(seen), np.inf), np.zeros((len(seen), 5 + gaussian + beating))
    for rate, g, zeta in product(rates, widths, zetas):
        envelope = np.exp(-rate * t - (g * t) ** 2) * np.cos(np.pi * zeta * t)
        parts = waves.real * envelope, waves.imag * envelope, np.ones_like(waves.real)
        basis = np.stack(parts, axis=1)  # (line, 3, m)
        normal = basis @ basis.swapaxes(1, 2) + 1e-9 * np.eye(3)
        right = basis @ seen.T  # (line, 3, curve)
        found = np.linalg.solve(normal, right)
        gain = (right * found).sum(1)  # what the linear part explains
        best = gain.argmax(0)
        left = (seen**2).sum(1) - gain[best, np.arange(len(seen))]
        better = left < least
        least = np.where(better, left, least)
        linear = found[best, :, np.arange(len(seen))]
        tail = [g] * gaussian + [zeta] * beating
        new = np.column_stack(
            [
                np.full(len(seen), np.log(rate)),
                linear,
                lines[best],
                *([v] * len(seen) for v in tail),
            ]
        )
        out[better] = new[better]
    return out
