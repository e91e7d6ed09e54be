"""Pictures are looked at by people; the tests hold what must be true of them."""

import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from qdt_emu.circuit.noisy import Kind, Operation, Structure
from qdt_emu.errors import InputError
from qdt_emu.result import Budget, Counts, Estimate, Provenance, Report, html, layout, plots
from qdt_emu.result.timeline import spans

COUNTS = Counts(
    {"00": 60, "01": 25, "11": 15},
    Report("density", notes=("t2 of qubit 3 was <set> to 2 t1",)),
    Provenance("dev & co", "cal", "circ", "bell", 1),
)


def heavy_hex(rows, long):
    edges, q, above = [], 0, []
    for r in range(rows):
        row = list(range(q, q + long))
        q += long
        edges += pairwise(row)
        edges += [(c, row[x]) for c, x in above]
        above = []
        if r < rows - 1:
            for x in range(3 if r % 2 == 0 else 1, long, 4):
                edges.append((row[x], q))
                above.append((q, x))
                q += 1
    return edges


def texts(figure):
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_a_heron_is_drawn_as_its_data_sheet_draws_it():
    edges = heavy_hex(8, 16)
    at = layout.places(range(156), edges)
    assert at[0] == (0, 0)
    assert at[15] == (15, 0)
    assert at[16] == (3, 1)
    assert at[155] == (15, 14)
    assert len(set(at.values())) == 156
    for a, b in edges:
        assert np.hypot(*np.subtract(at[a], at[b])) == 1


@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=25))
@settings(max_examples=30, deadline=None)
def test_any_graph_gets_a_layout_without_coincidences(edges):
    at = layout.places(range(13), edges)
    assert set(at) == set(range(13))
    points = np.array(list(at.values()))
    assert np.isfinite(points).all()
    apart = np.linalg.norm(points[:, None] - points, axis=-1) + 9 * np.eye(13)
    assert apart.min() > 0.05


def test_a_device_map_names_every_qubit_and_greys_the_unknown():
    edges = heavy_hex(3, 8)
    n = 1 + max(map(max, edges))
    values = {q: 1e-4 * (1 + q) for q in range(n)} | {2: np.nan}
    figure = drawn(
        plots.device_map(edges, qubits=values, couplers=dict.fromkeys(edges, 0.01), highlight=[1])
    )
    assert set(texts(figure)) >= {str(q) for q in range(n)}
    assert len(figure.axes[0].child_axes) == 2  # two colour bars
    with pytest.raises(InputError, match="neither edges"):
        plots.device_map([])
    with pytest.raises(InputError, match="every qubit, but 1 miss: 1"):
        plots.device_map([(0, 1)], coordinates={0: (0, 0)})


def test_a_histogram_shows_what_it_leaves_out():
    labels = lambda f: [t.get_text() for t in f.axes[0].get_xticklabels()]  # noqa: E731
    assert labels(drawn(COUNTS.plot())) == ["00", "01", "11"]
    assert labels(drawn(COUNTS.plot(top=2))) == ["00", "01", "other"]
    figure = drawn(COUNTS.plot(beside={"hardware": COUNTS, "ideal": {"00": 0.5, "11": 0.5}}))
    legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert [name.split(" (")[0] for name in legend] == ["twin", "hardware", "ideal"]
    with pytest.raises(InputError, match="add up to 1"):
        COUNTS.plot(beside={"raw": {"00": 3, "11": 4}})
    with pytest.raises(InputError, match="`top`"):
        COUNTS.plot(top=0)


def test_long_bitstrings_are_labelled_in_hexadecimal():
    wide = Counts({"1" * 20: 1}, COUNTS.report, COUNTS.provenance)
    assert [t.get_text() for t in drawn(wide.plot()).axes[0].get_xticklabels()] == ["0xfffff"]


def test_pictures_go_where_they_are_told_and_pyplot_keeps_none():
    figure, ax = plt.subplots()
    assert COUNTS.plot(ax=ax) is figure
    plt.close(figure)
    COUNTS.plot()
    assert not plt.get_fignums()


def test_a_budget_never_draws_the_unknown_as_zero():
    figure = drawn(plots.error_budget_bars(Budget(shots=0.3, truncation=0.0)))
    assert texts(figure).count("not estimated") == 3
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names[0] == "total (lower bound)"
    drawn(plots.error_budget_bars({"readout": 0.1, "gates": None}, unit="infidelity"))


def schedule():
    gate, idle = "relaxation (gate)", "relaxation (idle)"
    return Structure(
        (
            Operation(Kind.UNITARY, (0,), 0, start=0.0),
            Operation(Kind.RELAXATION, (0,), 0, mechanism=gate, start=0.0),
            Operation(Kind.UNITARY, (1,), 0, start=0.0),
            Operation(Kind.RELAXATION, (1,), 0, mechanism=idle, start=50e-9),
            Operation(Kind.UNITARY, (0,), 0, start=100e-9 * (1 + 1e-15)),  # a frame change
            Operation(Kind.UNITARY, (0, 1), 0, start=100e-9),
            Operation(Kind.MEASURE, (0,), 0, clbit=0, start=400e-9, mechanism="readout"),
            Operation(Kind.RESET, (1,), 0, start=400e-9, mechanism="reset"),
        ),
        n_qubits=2,
        n_clbits=1,
        qubits=(7, 9),
        duration=1e-6,
    )


def test_a_schedule_fills_the_time_of_each_qubit_without_gaps():
    for q, kinds in enumerate(
        (
            ["one-qubit gate", "two-qubit gate", "measurement"],
            ["one-qubit gate", "idle", "two-qubit gate", "reset"],
        )
    ):
        row = spans(schedule(), q)
        assert [what for *_, what in row] == kinds
        assert [end for _, end, _ in row[:-1]] == [begin for begin, *_ in row[1:]]
        assert (row[0][0], row[-1][1]) == (0.0, 1e-6)
    figure = drawn(plots.timeline(schedule()))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["Q7", "Q9"]


class Page(HTMLParser):
    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.sections = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.sections.append(data)


def read(text):
    page = Page()
    page.feed(text)
    assert not page.open
    return page


def test_a_page_is_whole_escaped_and_loads_nothing():
    text = html.render(
        COUNTS,
        circuit_text="q_0: <H>",
        device_facts={"median T1": "160 us", "none": None},
        figures=[("Schedule", plots.timeline(schedule()))],
        tables={"Where": (("mechanism", "loss"), [("readout", 0.08), ("model", None)])},
    )
    page = read(text)
    assert page.sections == [
        *("Result", "Error budget", "Schedule", "Where", "Device", "Program"),
        *("Repaired, assumed, ignored", "Engine", "Provenance"),
    ]
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"https?://|<script|@import|url\(", text)
    assert "&lt;set&gt;" in text
    assert "dev &amp; co" in text


def test_a_page_of_an_estimate_lists_every_value():
    e = Estimate(
        ("ZZ", "XX"),
        [0.9, -0.1],
        [0.01, 0.02],
        (Budget(shots=0.01), Budget()),
        COUNTS.report,
        COUNTS.provenance,
        ideal=[1.0, 0.0],
    )
    drawn(e.plot(title="values"))
    text = html.render(e)
    assert "Values" in read(text).sections
    assert "+0.90000" in text
    assert "not estimated" in text
