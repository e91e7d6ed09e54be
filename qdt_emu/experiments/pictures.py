"""Pictures of experiments: traces with their fits, or one number per qubit where there are many."""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qdt_emu.errors import InputError
from qdt_emu.result import style

PANELS = 6  # places that get a panel each
FEW = 40  # places with their names on the axis
TIMES = {"t1": "t1", "t2": "t2", "ramsey": "t2_star"}


def plot(table: xr.Dataset) -> Figure:
    """Draw an experiment: what was measured, what was fitted, and the numbers with their errors.

    Raises:
        InputError: The table is not a result of this stage.
    """
    name = str(table.attrs.get("experiment", ""))
    if name not in _DRAWN:
        raise InputError(f"`plot` draws {', '.join(_DRAWN)}, but the table is {name!r}.")
    return _DRAWN[name](table)


def _traces(table: xr.Dataset) -> Figure:
    """Draw T1, T2 and Ramsey experiments."""
    name = TIMES[table.attrs["experiment"]]
    if table.sizes["qubit"] > PANELS:
        return _numbers(table, name, "qubit", 1e6, "µs")
    figure, axes = _panels(table.sizes["qubit"], table)
    for k, ax in enumerate(axes):
        one = table.isel(qubit=k)
        _points(ax, one["delay"] * 1e6, one["share"], one["stderr"], style.BLUE)
        ax.plot(one["fine"] * 1e6, one["curve"], color=style.RED, lw=1.4, zorder=3)
        text = f"qubit {int(one['qubit'])}    {_value(one, name, 1e6)} µs"
        if name == "t2_star" and float(one["splitting"]) > 0:
            text += f", split {_value(one, 'splitting', 1e-3)} kHz"
        _label(ax, text, "delay (µs)", "P(1)", k, len(axes))
    return figure


def _coupling(table: xr.Dataset) -> Figure:
    if table.sizes["pair"] > PANELS:
        return _numbers(table, "zz", "pair", 1e-3, "kHz")
    figure, axes = _panels(table.sizes["pair"], table)
    for k, ax in enumerate(axes):
        one = table.isel(pair=k)
        for state, colour in ((0, style.BLUE), (1, style.RED)):
            half = one.isel(neighbour=state)
            _points(ax, half["delay"] * 1e6, half["share"], half["stderr"], colour)
            label = f"neighbour from |{state}⟩"
            ax.plot(half["fine"] * 1e6, half["curve"], color=colour, lw=1.2, label=label)
        text = f"{_place(one)}    {_value(one, 'zz', 1e-3)} kHz"
        _label(ax, text, "delay (µs)", "P(1)", k, len(axes))
        if k == 0:
            _legend(ax)
    return figure


def _readout(table: xr.Dataset) -> Figure:
    figure, ax = style.canvas(None, 8.0, 3.4)
    x = np.arange(table.sizes["qubit"])
    for read, prepared, colour in ((1, 0, style.BLUE), (0, 1, style.RED)):
        cell = {"read": read, "prepared_bit": prepared}
        share, error = (table[v].sel(cell) for v in ("confusion", "confusion_stderr"))
        at = x + 0.12 * (prepared - 0.5)
        _points(ax, at, share, error, colour, label=f"P({read} | {prepared})")
    ax.set_yscale("log")
    _axis(ax, [str(q) for q in table["qubit"].values], "qubit")
    ax.set_ylabel("probability", color=style.INK)
    _title(ax, _headline(table))
    return figure


def _midcircuit(table: xr.Dataset) -> Figure:
    figure, ax = style.canvas(None, 8.0, 3.4)
    x = np.arange(table.sizes["qubit"])
    kinds = ((0, 0, style.BLUE), (1, 1, style.RED), (1, 0, style.ORANGE), (0, 1, style.SKY))
    for k, (prepared, first, colour) in enumerate(kinds):
        cell = {"prepared": prepared, "first": first}
        share, error = (1 - table["repeated"].sel(cell), table["repeated_stderr"].sel(cell))
        label = f"prepared {prepared}, first {first}"
        _points(ax, x + 0.12 * (k - 1.5), share, error, colour, label=label)
    _axis(ax, [str(q) for q in table["qubit"].values], "qubit")
    ax.set_ylabel("P(second ≠ first)", color=style.INK)
    _title(ax, _headline(table))
    return figure


def _benchmarking(table: xr.Dataset) -> Figure:
    number = "gate_infidelity" if "gate_infidelity" in table else "epg"
    if table.sizes["place"] > PANELS:
        return _numbers(table, number, "place", 1.0, "1")
    figure, axes = _panels(table.sizes["place"], table)
    dim = 2 ** int(table.attrs["size"])
    for k, ax in enumerate(axes):
        one = table.isel(place=k)
        for v, colour in zip(range(one.sizes["variant"]), (style.BLUE, style.RED), strict=False):
            part = one.isel(variant=v)
            _decay(ax, part, 1 / dim, colour, str(part["variant"].item()))
        what = "per gate" if number == "epg" else "of the gate"
        text = f"{_place(one)}    {_value(one, number, 1.0)} {what}"
        _label(ax, text, "Cliffords", "survival", k, len(axes))
        if one.sizes["variant"] > 1 and k == 0:
            _legend(ax)
    return figure


def _decay(ax: Axes, part: xr.Dataset, end: float, colour: str, label: str) -> None:
    """Draw single sequences, their mean and the fit."""
    depth = part["depth"].values
    many = np.repeat(depth[:, None], part.sizes["sample"], axis=1)
    ax.plot(many, part["share"].transpose("depth", "sample"), ".", ms=3, color=colour, alpha=0.35)
    ax.plot(depth, part["share"].mean("sample"), "o", ms=4.5, color=colour, zorder=4)
    fine = np.linspace(0, depth.max(), 200)
    curve = end + float(part["amplitude"]) * float(part["alpha"]) ** fine
    ax.plot(fine, curve, color=colour, lw=1.4, zorder=3, label=label)


def _layers(table: xr.Dataset) -> Figure:
    figure, ax = style.canvas(None, 8.0, 3.4)
    names = [_place(table.isel(element=k)) for k in range(table.sizes["element"])]
    loss, error = 1 - table["fidelity"].values, table["fidelity_stderr"].values
    layer = table["layer"].values
    for which, colour in ((0, style.BLUE), (1, style.RED)):
        mine = np.flatnonzero(layer == which)
        _points(ax, mine, loss[mine], error[mine], colour, label=f"layer {which + 1}")
    _axis(ax, names, "pair, or idle qubit")
    ax.set_ylabel("process infidelity", color=style.INK)
    ax.set_ylim(bottom=0)
    head = f"layer fidelity {_value(table, 'layer_fidelity', 1.0)}"
    _title(ax, f"{table.attrs['device']}: {head}, EPLG {_value(table, 'eplg', 1.0)}")
    return figure


def _eigenvalues(table: xr.Dataset) -> Figure:
    figure, ax = style.canvas(None, 8.0, 3.4)
    known = table["identifiable"].values == 1
    gates = table["gate"].values.astype(str)
    keys = [(g, int(a), int(b)) for g, a, b in zip(gates, table["q0"], table["q1"], strict=True)]
    rows = list(dict.fromkeys(keys))
    kinds = list(dict.fromkeys(gates))
    for kind, colour in zip(kinds, style.SERIES, strict=False):
        mine = np.flatnonzero((gates == kind) & known)
        x = np.array([rows.index(keys[k]) for k in mine], float)
        for row in np.unique(x):  # spread the Paulis of a gate over its place
            own = np.flatnonzero(x == row)
            x[own] += np.linspace(-0.3, 0.3, len(own)) if len(own) > 1 else 0.0
        loss, error = 1 - table["lambda_"].values[mine], table["lambda__stderr"].values[mine]
        _points(ax, x, loss, error, colour, label=kind)
    names = [f"{a}" if b < 0 else f"{a}-{b}" for _, a, b in rows]
    _axis(ax, names, "qubits of the gate")
    ax.set_ylabel("1 - Pauli eigenvalue", color=style.INK)
    ax.axhline(0, color=style.MUTED, lw=0.8)
    _title(ax, _headline(table))
    return figure


def _design(table: xr.Dataset) -> Figure:
    figure = style.new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    best = table.sortby("rank").isel(candidate=slice(0, 12))
    y = np.arange(best.sizes["candidate"])[::-1]
    left.barh(y, best["alone"], 0.6, color=style.BLUE)
    left.axvline(float(table["left"][0]), color=style.RED, lw=1.4)
    left.set_yticks(y, [str(c) for c in best["candidate"].values])
    left.set_xlabel("left after this circuit alone (line: before)", color=style.INK)
    style.clean(left, grid="x")
    style.title(left, "best candidates", below=True)
    steps = table["step"].values
    lines = table["sd"].values if table.sizes["prediction"] else table["left"].values[None]
    names = [str(p) for p in table["prediction"].values] or [f"width ({table.attrs['criterion']})"]
    for line, name, colour in zip(lines, names, style.SERIES, strict=False):
        right.plot(steps, line, "o-", color=colour, ms=4.5, lw=1.4, label=name)
    right.set_xticks(steps, ["now", *(f"+ {c}" for c in table["chosen"].values[1:])], rotation=30)
    for tick in right.get_xticklabels():
        tick.set_ha("right")
    right.set_ylim(bottom=0)
    right.set_ylabel("expected standard deviation", color=style.INK)
    style.clean(right)
    _title(right, f"greedy choice, {table.attrs['shots']} shots each")
    return figure


def _numbers(table: xr.Dataset, name: str, dim: str, factor: float, units: str) -> Figure:
    """Draw one number per place, with its error."""
    figure, ax = style.canvas(None, 8.0, 3.4)
    x = np.arange(table.sizes[dim])
    value, error = table[name].values * factor, table[f"{name}_stderr"].values * factor
    _points(ax, x, value, error, style.BLUE)
    _axis(ax, [_place(table.isel({dim: k}), short=True) for k in x], dim)
    about = str(table[name].attrs.get("long_name", name))
    ax.set_ylabel(about if units == "1" else f"{about} ({units})", color=style.INK, fontsize=9)
    style.title(ax, _headline(table))
    return figure


def _points(
    ax: Axes, x: object, y: object, error: object, colour: str, *, label: str | None = None
) -> None:
    look = {"fmt": "o", "ms": 3.5, "elinewidth": 1.0, "capsize": 0, "zorder": 2}
    ax.errorbar(x, y, yerr=error, color=colour, label=label, **look)  # type: ignore[arg-type]


def _panels(count: int, table: xr.Dataset) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = style.new_figure(max(5.0, 3.4 * columns), 0.5 + 2.5 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in grid.ravel()[count:]:
        ax.set_visible(False)
    figure.suptitle(_headline(table), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure, list(grid.ravel()[:count])


def _label(ax: Axes, text: str, across: str, up: str, k: int, count: int) -> None:
    style.clean(ax)
    ax.set_title(text, loc="left", fontsize=9, color=style.INK)
    columns = min(count, 3)
    if k + columns >= count:
        ax.set_xlabel(across, color=style.INK)
        ax.tick_params(labelbottom=True)
    if k % columns == 0:
        ax.set_ylabel(up, color=style.INK)


def _axis(ax: Axes, names: list[str], label: str) -> None:
    style.clean(ax)
    count = len(names)
    every = max(1, -(-count // FEW))
    wide = max(map(len, names), default=0) > 3 and count > 10
    ax.set_xticks(range(0, count, every), names[::every], rotation=60 if wide else 0)
    ax.set_xlabel(label, color=style.INK)
    ax.set_xlim(-0.7, count - 0.3)


def _title(ax: Axes, text: str) -> None:
    """Put a title above and a legend below it."""
    look = {"frameon": False, "fontsize": 8, "ncols": 4, "borderaxespad": 0.2}
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), **look)
    style.title(ax, text, below=True)


def _legend(ax: Axes) -> None:
    """Put the legend of one of several panels beside the headline."""
    cast("Figure", ax.figure).legend(
        *ax.get_legend_handles_labels(),
        frameon=False,
        fontsize=9,
        ncols=4,
        loc="outside upper right",
    )


def _headline(table: xr.Dataset) -> str:
    names = {"rb": "randomised benchmarking", "zz": "ZZ", "t1": "T1", "t2": "T2"}
    name = str(table.attrs["experiment"])
    return f"{table.attrs['device']}: {names.get(name, name.replace('_', ' '))}"


def _place(one: xr.Dataset, *, short: bool = False) -> str:
    """Return which qubit or pair a row is."""
    for first, second in (("pair_q0", "pair_q1"), ("q0", "q1")):
        if second in one.coords and int(one[second]) >= 0:
            return f"{int(one[first])}-{int(one[second])}"
        if first in one.coords:
            return f"{int(one[first])}" if short else f"qubit {int(one[first])}"
    return f"{int(one['qubit'])}"


def _value(one: xr.Dataset, name: str, factor: float) -> str:
    """Return a number with two digits of its error."""
    value, error = float(one[name]) * factor, float(one[f"{name}_stderr"]) * factor
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    places = max(0, 1 - int(np.floor(np.log10(error))))
    if places > 4:
        return f"({value * 1e3:.{max(places - 3, 0)}f} ± {error * 1e3:.{max(places - 3, 0)}f})e-3"
    return f"{value:.{places}f} ± {error:.{places}f}"


_DRAWN: Mapping[str, Callable[[xr.Dataset], Figure]] = {
    "t1": _traces,
    "t2": _traces,
    "ramsey": _traces,
    "zz": _coupling,
    "readout": _readout,
    "midcircuit_readout": _midcircuit,
    "rb": _benchmarking,
    "layer_fidelity": _layers,
    "eigenvalues": _eigenvalues,
    "design": _design,
}
