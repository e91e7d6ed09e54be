"""Pictures of verdicts."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qdt_emu.result import style


def distances(
    twin: tuple[float, float],
    floor: float,
    baselines: Sequence[tuple[str, float, float]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the distance of the twin and of each baseline to the measurement, over the floor.

    Args:
        twin: Distance and its standard error.
        floor: What shot noise alone makes of it.
        baselines: (name, distance, skill of the twin over it).
        title: Above the picture.
        ax: Where to draw; a new figure otherwise.
    """
    distance, stderr = twin
    rows = [("twin", distance, f"{distance:.3f} ± {stderr:.3f}")]
    for name, size, skill in sorted(baselines, key=lambda row: row[1]):
        rows.append((name, size, f"{size:.3f}   skill {skill:+.2f}"))
    figure, ax = style.canvas(ax, 7.0, 1.6 + 0.4 * len(rows))
    places = range(len(rows))[::-1]
    sizes = [size for _, size, _ in rows]
    longest = max([*sizes, floor, 1e-9])
    ax.barh(places, sizes, 0.62, color=[style.BLUE] + ["#aab4be"] * len(baselines), zorder=2)
    ax.errorbar(
        distance, places[0], xerr=stderr, color=style.INK, elinewidth=1.2, capsize=3, zorder=4
    )
    ax.axvline(floor, color=style.RED, lw=1.6, zorder=3)
    ax.text(
        floor,
        len(rows) - 0.45,
        "shot-noise floor",
        color=style.RED,
        fontsize=9,
        ha="center" if floor > 0.1 * longest else "left",
        va="bottom",
    )
    for place, (name, size, text) in zip(places, rows, strict=True):
        edge = size + (stderr if name == "twin" else 0.0) + 0.015 * longest
        ax.text(edge, place, text, va="center", fontsize=9, color=style.INK)
    ax.set_yticks(list(places), [name for name, *_ in rows])
    ax.set_xlim(0, 1.32 * longest)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("total variation distance to the measurement", color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    style.title(ax, title, below=True)
    return figure
