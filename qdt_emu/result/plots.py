"""Pictures of results. Every function returns a Figure; give `ax` to draw into your own."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qdt_emu.errors import InputError
from qdt_emu.result import style
from qdt_emu.result.budget import Budget
from qdt_emu.result.device_map import device_map
from qdt_emu.result.timeline import timeline

__all__ = ["device_map", "error_budget_bars", "histogram", "timeline", "values"]

# Above this many bits a bitstring is written in hexadecimal: rotated labels stay below 2 cm.
BITS_ON_LABEL = 16


class Sampled(Protocol):
    """Counts, as far as a histogram needs to know them."""

    @property
    def shots(self) -> int:
        """Number of shots."""
        ...

    def probabilities(self) -> dict[str, float]:
        """Return the observed frequency of each outcome."""
        ...


class Estimated(Protocol):
    """Expectation values, as far as a picture needs to know them."""

    @property
    def paulis(self) -> tuple[str, ...]:
        """Names of the values."""
        ...

    @property
    def values(self) -> NDArray[np.float64]:
        """Shape (m,)."""
        ...

    @property
    def stderr(self) -> NDArray[np.float64]:
        """One sigma of sampling, shape (m,)."""
        ...

    @property
    def ideal(self) -> NDArray[np.float64] | None:
        """Values without noise, shape (m,)."""
        ...

    def total(self) -> NDArray[np.float64]:
        """Return one sigma of all known sources, shape (m,)."""
        ...


def histogram(
    distributions: Mapping[str, Sampled | Mapping[str, float]],
    *,
    top: int = 16,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw distributions side by side over their most probable outcomes.

    Args:
        distributions: Name -> counts (bars with shot noise of one sigma) or exact probabilities
            (black ticks without).
        top: How many outcomes, chosen by the largest probability in any distribution; the rest is
            one bar 'other'.
        title: Above the picture.
        ax: Where to draw; a new figure otherwise.

    Raises:
        InputError: There is nothing to draw.
    """
    if not distributions or top < 1:
        raise InputError(
            f"A histogram must have a distribution and `top` >= 1, but there are "
            f"{len(distributions)} and `top` is {top}."
        )
    shares = {name: _probabilities(d) for name, d in distributions.items()}
    chosen = _chosen(list(shares.values()), top)
    rest = any(sum(p.get(key, 0.0) for key in chosen) < 1 - 1e-9 for p in shares.values())
    labels = [_label(key) for key in chosen] + (["other"] if rest else [])
    longest = max(map(len, labels))
    figure, ax = style.canvas(
        ax, min(12.0, max(6.0, 2.0 + 0.5 * len(labels))), 3.8 + 0.075 * longest
    )
    barred = [name for name, d in distributions.items() if not isinstance(d, Mapping)]
    width = 0.78 / max(1, len(barred))
    places = np.arange(len(labels), dtype=float)
    legend: dict[str, Any] = {}
    for name, p in shares.items():
        heights = np.array([p.get(key, 0.0) for key in chosen])
        if rest:
            heights = np.append(heights, max(0.0, 1.0 - heights.sum()))
        given = distributions[name]
        if isinstance(given, Mapping):
            ends = (places - 0.42, places + 0.42)
            legend[name] = ax.hlines(heights, *ends, style.INK, lw=1.6, zorder=4)
            continue
        column = barred.index(name)
        at = places + (column - (len(barred) - 1) / 2) * width
        sigma = np.sqrt(heights * (1 - heights) / given.shots)
        label = f"{name} ({given.shots:,} shots)".replace(",", "\u202f")
        legend[label] = ax.bar(at, heights, width * 0.92, color=style.SERIES[column % 6], zorder=2)
        ax.errorbar(
            at, heights, sigma, fmt="none", ecolor=style.INK, elinewidth=1, capsize=2, zorder=5
        )
    ax.set_xticks(places, labels)
    if longest > 4:
        ax.tick_params(axis="x", labelrotation=90)
    for text in ax.get_xticklabels():
        text.set_fontfamily("monospace")
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_ylabel("probability", color=style.INK)
    style.clean(ax)
    ax.tick_params(axis="x", length=0)
    _legend(ax, legend, title)
    return figure


def _legend(ax: Axes, entries: Mapping[str, Any], title: str) -> None:
    style.title(ax, title, below=len(entries) > 1)
    if len(entries) > 1:
        ax.legend(
            list(entries.values()),
            list(entries),
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.99),
            ncols=len(entries),
            frameon=False,
            fontsize=9,
            handlelength=1.2,
            columnspacing=1.4,
        )


def _probabilities(distribution: Sampled | Mapping[str, float]) -> dict[str, float]:
    if not isinstance(distribution, Mapping):
        return distribution.probabilities()
    total = math.fsum(distribution.values())
    if abs(total - 1) > 1e-6:
        raise InputError(
            f"Probabilities must add up to 1, but they add up to {total:.6g}. "
            f"Wrap measured counts with `Counts.from_qiskit`."
        )
    return dict(distribution)


def _chosen(shares: list[dict[str, float]], top: int) -> list[str]:
    peak: dict[str, float] = {}
    for p in shares:
        for key, value in p.items():
            peak[key] = max(value, peak.get(key, 0.0))
    return sorted(sorted(peak, key=lambda key: (-peak[key], key))[:top])


def _label(key: str) -> str:
    if len(key) <= BITS_ON_LABEL:
        return key
    return f"0x{int(key, 2):0{-(-len(key) // 4)}x}"


def values(estimate: Estimated, *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw expectation values with one sigma (thick: sampling; thin: all known sources)."""
    m = len(estimate.paulis)
    figure, ax = style.canvas(ax, 7.0, max(2.4, 1.2 + 0.34 * m))
    rows = np.arange(m)[::-1]
    ax.axvline(0, color=style.MUTED, lw=0.8)
    total = np.nan_to_num(estimate.total())
    ax.errorbar(
        estimate.values, rows, xerr=total, fmt="none", ecolor=style.SKY, elinewidth=1.2, capsize=3
    )
    legend: dict[str, Any] = {
        "twin": ax.errorbar(
            estimate.values,
            rows,
            xerr=estimate.stderr,
            fmt="o",
            color=style.BLUE,
            elinewidth=3.2,
            ms=5,
            zorder=4,
        )
    }
    if estimate.ideal is not None:
        legend["ideal"] = ax.scatter(
            estimate.ideal, rows, marker="|", s=190, color=style.INK, lw=1.8, zorder=3
        )
    ax.set_yticks(rows, estimate.paulis, family="monospace")
    ax.set_ylim(-0.7, m - 0.3)
    ax.set_xlabel("expectation value", color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    _legend(ax, legend, title)
    return figure


def error_budget_bars(
    parts: Mapping[str, float | None] | Budget,
    *,
    title: str = "Error budget",
    unit: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the parts of an error budget, largest on top; a part that is None reads 'not estimated'.

    Args:
        parts: Source -> size (same unit), or a `Budget`, whose total stands below.
        title: Above the picture.
        unit: Of the sizes.
        ax: Where to draw; a new figure otherwise.
    """
    listed = parts.parts if isinstance(parts, Budget) else parts
    ordered = sorted(listed.items(), key=lambda item: -1.0 if item[1] is None else item[1])
    colours = [style.BLUE] * len(ordered)
    if isinstance(parts, Budget) and parts.total is not None:
        known = "total (lower bound)" if parts.missing else "total"
        ordered, colours = [(known, parts.total), *ordered], [style.INK, *colours]
    figure, ax = style.canvas(ax, 7.0, 1.4 + 0.36 * len(ordered))
    sizes = [0.0 if size is None else size for _, size in ordered]
    ax.barh(range(len(sizes)), sizes, 0.62, color=colours, zorder=2)
    longest = max(sizes) or 1.0
    for row, (_, size) in enumerate(ordered):
        ax.text(
            (size or 0.0) + 0.012 * longest,
            row,
            "not estimated" if size is None else f"{size:.3g}",
            va="center",
            fontsize=9,
            color=style.MUTED if size is None else style.INK,
            style="italic" if size is None else "normal",
            zorder=4,
        )
    ax.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    ax.set_xlim(0, 1.12 * longest)
    ax.set_ylim(-0.6, len(ordered) - 0.4)
    ax.set_xlabel(parts.of if isinstance(parts, Budget) else unit, color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    style.title(ax, title)
    return figure
