"""The look of our pictures: figures nobody else keeps, colours everybody can tell apart."""

import sys
from typing import Literal, cast

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure

# Okabe and Ito (2008): distinguishable with every form of colour blindness and in grey.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
INK, MUTED, FAINT, PAPER = "#1f2933", "#6b7785", "#dde2e7", "#ffffff"
SERIES = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
QUBITS, COUPLERS = "viridis", "plasma"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that belongs to the caller alone.

    It is not registered with pyplot, so a thousand of them do not fill the memory, and threads do
    not share one. Jupyter shows it when it is the value of a cell.
    """
    if "IPython" in sys.modules:  # Jupyter learns to show figures when pyplot makes its first one
        from matplotlib import pyplot as plt  # noqa: PLC0415 - only Jupyter needs pyplot

        plt.close(plt.figure())
    figure = Figure(figsize=(width, height), dpi=120, facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    return figure


def canvas(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """Return the axes given with their figure, or new ones."""
    if ax is not None:
        return cast("Figure", ax.figure), ax
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def clean(ax: Axes, *, grid: Literal["x", "y"] = "y") -> None:
    """Keep the left and bottom line, a faint grid behind, muted ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, width=0.8)
    ax.set_axisbelow(True)
    ax.grid(visible=True, axis=grid, color=FAINT, linewidth=0.8)


def title(ax: Axes, text: str, *, below: bool = False) -> None:
    """Put a left-aligned title above `ax`; leave room for a legend `below` it."""
    if text:
        ax.set_title(
            text, loc="left", fontsize=12, fontweight="bold", color=INK, pad=24 if below else 8
        )


def scale(values: list[float]) -> Normalize:
    """Return a colour scale over `values`; logarithmic where they span more than a factor 20."""
    if not values:
        return Normalize(0.0, 1.0)
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        return LogNorm(low, high)
    if low == high:
        return Normalize(low - abs(low or 1) * 0.1, high + abs(high or 1) * 0.1)
    return Normalize(low, high)


def colours(name: str) -> Colormap:
    """Return a perceptually uniform colour map without its ends, which are too dark or too pale."""
    return colormaps[name].resampled(256)
