"""A map of the processor: qubits and couplers coloured by what they are worth."""

from collections.abc import Collection, Iterable, Mapping
from math import hypot

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qdt_emu.errors import InputError
from qdt_emu.result import style
from qdt_emu.result.layout import Edge, Place, places


def device_map(
    edges: Iterable[Edge],
    *,
    qubits: Mapping[int, float] | None = None,
    couplers: Mapping[Edge, float] | None = None,
    coordinates: Mapping[int, Place] | None = None,
    highlight: Collection[int] = (),
    title: str = "",
    qubit_label: str = "",
    coupler_label: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw a processor; grey stands for 'no value', a ring for a highlighted qubit.

    Args:
        edges: Every coupler, as a pair of qubits.
        qubits: Value of each qubit; a missing or NaN value is drawn grey.
        couplers: Value of each coupler; both directions of a pair are averaged.
        coordinates: Place (x, y) of each qubit, y downwards, in any unit; computed from `edges`
            otherwise.
        highlight: Qubits to ring.
        title: Above the picture.
        qubit_label: Quantity and unit of `qubits`.
        coupler_label: Quantity and unit of `couplers`.
        ax: Where to draw; a new figure otherwise.

    Raises:
        InputError: There are no qubits, or a qubit has no coordinates.
    """
    pairs = sorted({(min(e), max(e)) for e in edges})
    nodes = sorted({q for e in pairs for q in e} | set(qubits or {}) | set(coordinates or {}))
    if not nodes:
        raise InputError("A device map must have qubits, but there are neither edges nor values.")
    at = places(nodes, pairs) if coordinates is None else dict(coordinates)
    if lost := [q for q in nodes if q not in at]:
        raise InputError(f"`coordinates` must hold every qubit, but {len(lost)} miss: {lost[0]}.")
    at = _scaled(at, pairs)
    width, height = (
        max(p[i] for p in at.values()) - min(p[i] for p in at.values()) for i in (0, 1)
    )
    size = min(0.72, 11.0 / (width + 1.4))  # inches from one qubit to the next
    bars = 0.7 if qubits or couplers else 0.0
    figure, ax = style.canvas(
        ax, max(4.8, size * (width + 1.2) + 0.2), size * (height + 1.2) + bars + 0.5 * bool(title)
    )
    ax.set_aspect("equal")
    ax.set_axis_off()
    side = max(0.6, (4.6 / size - width) / 2)  # colour bars need 4.6 inches
    ax.set_xlim(min(p[0] for p in at.values()) - side, max(p[0] for p in at.values()) + side)
    ax.set_ylim(max(p[1] for p in at.values()) + 0.6, min(p[1] for p in at.values()) - 0.6)
    _draw_couplers(
        ax, at, pairs, _undirected(couplers or {}), size, coupler_label, shared=bool(qubits)
    )
    _draw_qubits(ax, at, nodes, _finite(qubits or {}), size, qubit_label, set(highlight))
    style.title(ax, title)
    return figure


def _scaled(at: Mapping[int, Place], pairs: list[Edge]) -> dict[int, Place]:
    """Return places in units of the median coupler, for whatever unit they came in."""
    lengths = sorted(hypot(at[a][0] - at[b][0], at[a][1] - at[b][1]) for a, b in pairs)
    unit = (lengths[len(lengths) // 2] if lengths else 1.0) or 1.0
    return {q: (x / unit, y / unit) for q, (x, y) in at.items()}


def _draw_couplers(
    ax: Axes,
    at: Mapping[int, Place],
    pairs: list[Edge],
    values: Mapping[Edge, float],
    size: float,
    label: str,
    *,
    shared: bool,
) -> None:
    norm, colours = style.scale(list(values.values())), style.colours(style.COUPLERS)
    valued = [e for e in pairs if e in values]
    plain = [e for e in pairs if e not in values]
    for listed, coloured in ((plain, False), (valued, True)):
        ax.add_collection(
            LineCollection(
                [(at[a], at[b]) for a, b in listed],
                linewidths=15 * size if coloured else 5 * size,
                colors=[colours(norm(values[e])) for e in listed] if coloured else style.FAINT,
                linestyles="solid",
                zorder=1,
            )
        )
    if values:
        _bar(ax, norm, style.COUPLERS, label or "couplers", int(shared), size)


def _draw_qubits(
    ax: Axes,
    at: Mapping[int, Place],
    nodes: list[int],
    values: Mapping[int, float],
    size: float,
    label: str,
    rings: set[int],
) -> None:
    norm, colours = style.scale(list(values.values())), style.colours(style.QUBITS)
    diameter = 72 * size * 0.66
    fills = [colours(norm(values[q])) if q in values else to_rgba(style.FAINT) for q in nodes]
    ax.scatter(
        [at[q][0] for q in nodes],
        [at[q][1] for q in nodes],
        s=diameter**2,
        color=fills,
        edgecolors=[style.RED if q in rings else style.PAPER for q in nodes],
        linewidths=[4.5 * size if q in rings else 1.2 for q in nodes],
        zorder=2,
    )
    for q, (red, green, blue, _) in zip(nodes, fills, strict=True):
        bright = 0.299 * red + 0.587 * green + 0.114 * blue
        ax.text(
            *at[q],
            str(q),
            ha="center",
            va="center_baseline",
            fontsize=min(9.0, 0.42 * diameter),
            color=style.INK if bright > 0.55 else style.PAPER,
            zorder=4,
        )
    if values:
        _bar(ax, norm, style.QUBITS, label or "qubits", 0, size)


def _bar(ax: Axes, norm: Normalize, name: str, label: str, column: int, size: float) -> None:
    """Put a colour bar under `ax`: qubits to the left, couplers to the right, 0.14 inch high."""
    low, high = ax.get_ylim()
    inch = 1 / (abs(high - low) * size)
    place = ax.inset_axes((0.03 + 0.52 * column, -0.25 * inch, 0.42, 0.14 * inch))
    bar = ax.figure.colorbar(
        ScalarMappable(norm, style.colours(name)), cax=place, orientation="horizontal"
    )
    # Few round numbers, also on a logarithmic scale, whose own labels overlap below two decades.
    wide = isinstance(norm, LogNorm) and (norm.vmax or 1.0) > 300 * (norm.vmin or 1.0)
    subs = (1.0,) if wide else (1.0, 2.0, 5.0)
    bar.locator = (
        LogLocator(subs=subs) if isinstance(norm, LogNorm) else MaxNLocator(4, steps=[1, 2, 5, 10])
    )
    bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
    bar.set_label(label, color=style.INK, fontsize=9)
    bar.ax.tick_params(colors=style.MUTED, labelcolor=style.INK, labelsize=8, length=2)


def _finite(values: Mapping[int, float]) -> dict[int, float]:
    return {q: float(v) for q, v in values.items() if v == v}  # noqa: PLR0124 - NaN is unlike itself


def _undirected(values: Mapping[Edge, float]) -> dict[Edge, float]:
    listed: dict[Edge, list[float]] = {}
    for (a, b), value in values.items():
        if value == value:  # noqa: PLR0124 - NaN is unlike itself
            listed.setdefault((min(a, b), max(a, b)), []).append(float(value))
    return {edge: sum(found) / len(found) for edge, found in listed.items()}
