"""Do bands hold what they promise? Promise against finding, and where the truth falls in them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qdt_emu.result import style
from qdt_emu.validation.coverage import BINS, Coverage, wilson


def coverage_figure(found: Mapping[str, Coverage], *, title: str = "") -> Figure:
    """Draw, side by side, the fraction inside against the level, and the PIT histogram.

    Args:
        found: Coverage by name, e.g. 'shots only' and 'shots + parameters + model'.
        title: Above the picture.
    """
    figure = style.new_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    for k, (name, coverage) in enumerate(found.items()):
        colour = style.SERIES[k % len(style.SERIES)]
        _levels(left, name, coverage, colour, shift=0.008 * (k - (len(found) - 1) / 2))
        _histogram(right, coverage, colour)
    trials = max(c.trials for c in found.values())
    low, high = wilson(round(trials / BINS), trials)
    right.axhspan(low * BINS, high * BINS, color=style.FAINT, zorder=0, lw=0)
    right.axhline(1.0, color=style.INK, lw=1.0, ls=(0, (4, 3)))
    left.set(xlim=(0.4, 1.0), ylim=(0.0, 1.02))
    left.set_xlabel("promised by the band", color=style.INK)
    left.set_ylabel("fraction of measurements inside", color=style.INK)
    right.set(xlim=(0, 1), ylim=(0, None))
    right.set_xlabel("place of the measurement in its prediction (PIT)", color=style.INK)
    right.set_ylabel("density, 1 if honest", color=style.INK)
    for ax in (left, right):
        style.clean(ax)
    left.legend(frameon=False, fontsize=9, labelcolor=style.INK, loc="upper left")
    style.title(left, title)
    return figure


def _levels(ax: Axes, name: str, found: Coverage, colour: str, *, shift: float) -> None:
    levels = np.array([x.level for x in found.levels]) + shift
    inside = np.array([x.inside for x in found.levels])
    edges = np.array([[x.low, x.high] for x in found.levels]).T
    error = np.abs(edges - inside)
    ax.errorbar(
        *(levels, inside),
        yerr=error,
        fmt="o",
        ms=6,
        capsize=3,
        color=colour,
        label=f"{name} ({found.trials} measurements)",
    )


def _histogram(ax: Axes, found: Coverage, colour: str) -> None:
    heights, edges = np.histogram(found.pit, BINS, (0.0, 1.0), density=True)
    ax.stairs(heights, edges, color=colour, lw=1.8)
    ax.stairs(heights, edges, color=colour, fill=True, alpha=0.12)
