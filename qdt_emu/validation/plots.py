"""Pictures of verdicts."""

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qdt_emu.result import style

if TYPE_CHECKING:
    from qdt_emu.validation.verdict import Verdict


def distances(verdict: "Verdict", *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw the distance of the twin and of each baseline to the measurement, over the floor."""
    rows = [("twin", verdict.distance), *((s.baseline, s.distance) for s in verdict.skills)]
    rows = [rows[0], *sorted(rows[1:], key=lambda row: row[1])]
    figure, ax = style.canvas(ax, 7.0, 1.6 + 0.4 * len(rows))
    places = range(len(rows))[::-1]
    sizes = [size for _, size in rows]
    colours = [style.BLUE] + ["#aab4be"] * (len(rows) - 1)
    ax.barh(places, sizes, 0.62, color=colours, zorder=2)
    ax.errorbar(
        sizes[0],
        places[0],
        xerr=verdict.stderr,
        color=style.INK,
        elinewidth=1.2,
        capsize=3,
        zorder=4,
    )
    longest = max([*sizes, verdict.floor, 1e-9])
    ax.axvline(verdict.floor, color=style.RED, lw=1.6, zorder=3)
    ax.text(
        verdict.floor,
        len(rows) - 0.45,
        "shot-noise floor",
        color=style.RED,
        fontsize=9,
        ha="center" if verdict.floor > 0.1 * longest else "left",
        va="bottom",
    )
    remark = {s.baseline: f"{s.distance:.3f}   skill {s.skill:+.2f}" for s in verdict.skills}
    for place, (name, size) in zip(places, rows, strict=True):
        edge = size + (verdict.stderr if name == "twin" else 0.0)
        text = remark.get(name, f"{size:.3f} ± {verdict.stderr:.3f}")
        ax.text(edge + 0.015 * longest, place, text, va="center", fontsize=9, color=style.INK)
    ax.set_yticks(list(places), [name for name, _ in rows])
    ax.set_xlim(0, 1.32 * longest)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("total variation distance to the measurement", color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    style.title(ax, title, below=True)
    return figure
