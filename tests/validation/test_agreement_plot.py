"""Predicted against measured: every point is drawn once, in its colour, around the diagonal."""

import pytest

from qdt_emu.result import style
from qdt_emu.validation.agreement_plot import Point, agreement

POINTS = [
    Point("first", 0.01, 0.012, 0.01, 0.014, group="a", rival=0.006),
    Point("second", 0.02, 0.018, 0.015, 0.021, group="b", hollow=True),
    Point("", 0.04, 0.05, 0.045, 0.055, group="a"),
]


@pytest.mark.parametrize("log", [False, True])
def test_points_bands_names_and_legend_are_drawn(log):
    figure = agreement(
        POINTS,
        quantity="error",
        title="Errors",
        rival="product",
        log=log,
        colours={"b": style.RED},
    )
    ax = figure.axes[0]
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["a", "b", "took part in the fit", "product"]
    assert [t.get_text() for t in ax.texts] == ["first", "second"]
    assert ax.get_xlim() == ax.get_ylim()
    low, high = ax.get_xlim()
    assert low < 0.006
    assert high > 0.055
    marks = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [m.get_markerfacecolor() for m in marks][1] == style.PAPER
    assert [m.get_markeredgecolor() for m in marks][1] == style.RED
    assert ax.get_xscale() == ("log" if log else "linear")
