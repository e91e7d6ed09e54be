"""Predicted beside measured: one mark per figure, with bands, around the line of agreement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from qdt_emu.result import style


@dataclass(frozen=True, slots=True)
class Point:
    """A measured figure and what was predicted for it.

    Attributes:
        name: Written beside the mark; empty for none.
        measured: Value.
        predicted: Value.
        low: Lower end of the prediction's band.
        high: Upper end.
        group: Decides the colour.
        hollow: True for figures that took part in a fit.
        rival: What a simpler prediction says; None for none.
    """

    name: str
    measured: float
    predicted: float
    low: float
    high: float
    group: str = ""
    hollow: bool = False
    rival: float | None = None


def agreement(
    points: Sequence[Point],
    *,
    quantity: str,
    title: str = "",
    rival: str = "",
    hollow: str = "took part in the fit",
    log: bool = False,
    colours: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw predictions against measurements.

    Args:
        points: What to draw.
        quantity: Name of the figure, for both axes.
        title: Above the picture.
        rival: Name of the simpler prediction, drawn as small crosses.
        hollow: What hollow marks mean.
        log: Logarithmic axes.
        colours: Of groups; the others take those of the style in turn.
        ax: Where to draw; a new figure otherwise.
    """
    figure, ax = style.canvas(ax, 6.6, 6.2)
    names = list(dict.fromkeys(p.group for p in points))
    groups = dict(zip(names, cycle(style.SERIES), strict=False)) | dict(colours or {})
    for p in points:
        colour = groups[p.group]
        ax.plot([p.measured, p.measured], [p.low, p.high], color=colour, lw=1.4, alpha=0.55)
        if p.rival is not None:
            ax.plot(p.measured, p.rival, "x", color=style.MUTED, ms=5, mew=1.1, zorder=2)
        face = style.PAPER if p.hollow else colour
        ax.plot(p.measured, p.predicted, "o", ms=7, mfc=face, mec=colour, mew=1.6, zorder=4)
    _limits(ax, points, log=log)
    _names(ax, points)
    for label, shape in _legend(points, {n: groups[n] for n in names}, rival, hollow):
        ax.plot([], [], label=label, **shape)
    ax.set_xlabel(f"measured {quantity}", color=style.INK)
    ax.set_ylabel(f"predicted {quantity}", color=style.INK)
    style.clean(ax)
    ax.grid(visible=True, axis="x", color=style.FAINT, linewidth=0.8)
    ax.legend(frameon=False, fontsize=9, labelcolor=style.INK, loc="best")
    style.title(ax, title)
    return figure


def _limits(ax: Axes, points: Sequence[Point], *, log: bool) -> None:
    """Give both axes the same range and draw the line of agreement."""
    seen = [x for p in points for x in (p.measured, p.predicted, p.low, p.high, p.rival)]
    values = [x for x in seen if x is not None and (x > 0 or not log)]
    low, high = min(values), max(values)
    if log:
        low, high = low / 1.25, high * 1.25
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_formatter(NullFormatter())
    else:
        margin = 0.06 * (high - low or 1.0)
        low, high = low - margin, high + margin
    ax.plot([low, high], [low, high], color=style.INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")


def _names(ax: Axes, points: Sequence[Point]) -> None:
    """Write each name on the side of its mark where no other mark is near."""
    to_screen = ax.transData.transform
    places = [to_screen((p.measured, p.predicted)) for p in points]
    taken: list[tuple[float, float, float, float]] = [
        (x - 6, y - 6, x + 6, y + 6) for x, y in places
    ]
    for p, (x, y) in zip(points, places, strict=True):
        if not p.name:
            continue
        width, height = 6.2 * len(p.name), 12.0
        sides = [
            *((10, -4, "left"), (-10, -4, "right"), (10, 9, "left"), (10, -16, "left")),
            *((-10, 9, "right"), (-10, -16, "right"), (0, 14, "center"), (0, -24, "center")),
        ]
        boxes = []
        for dx, dy, side in sides:
            left = x + dx - {"left": 0.0, "right": width, "center": width / 2}[side]
            boxes.append((left, y + dy, left + width, y + dy + height))
        best = min(range(len(sides)), key=lambda k: sum(_overlap(boxes[k], t) for t in taken))
        dx, dy, side = sides[best]
        taken.append(boxes[best])
        scale = 72 / ax.figure.dpi
        ax.annotate(
            p.name,
            (p.measured, p.predicted),
            (dx * scale, dy * scale),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=7.5,
            color=style.INK,
            zorder=5,
        )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _legend(
    points: Sequence[Point], groups: Mapping[str, str], rival: str, hollow: str
) -> list[tuple[str, dict[str, Any]]]:
    out: list[tuple[str, dict[str, Any]]] = []
    for group, colour in groups.items():
        if group:
            out.append((group, {"marker": "o", "ls": "", "color": colour, "ms": 7}))
    if any(p.hollow for p in points):
        shape = {"marker": "o", "ls": "", "mfc": style.PAPER, "mec": style.MUTED, "ms": 7}
        out.append((hollow, {**shape, "mew": 1.6}))
    if rival and any(p.rival is not None for p in points):
        out.append((rival, {"marker": "x", "ls": "", "color": style.MUTED, "ms": 5}))
    return out
