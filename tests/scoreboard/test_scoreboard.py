"""The scoreboard keeps what it worked out, scores only what was held out, and says what it left."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from qdt_emu import Twin
from qdt_emu.errors import InputError
from qdt_emu.scoreboard import NAMES, Board, Mark, Row, Store, Task, load_board, play
from qdt_emu.scoreboard.aer import Aer
from qdt_emu.scoreboard.circuits import Case, Circuits, Learned, circuit_tasks
from qdt_emu.scoreboard.pictures import distances, marks
from qdt_emu.scoreboard.summary import figure_lines, lines, ratios
from qdt_emu.scoreboard.table import markdown, summary_json
from qdt_emu.validation import compare, ghz
from qdt_emu.validation.distances import g_test
from qdt_emu.validation.runs import Run
from qdt_emu.validation.value import Value

GHZ = """OPENQASM 3.0; include "stdgates.inc"; bit[3] c;
rz(pi/2) $0; sx $0; rz(pi/2) $0; cx $0, $1; cx $1, $2; delay[10us] $0;
c[0] = measure $0; c[1] = measure $1; c[2] = measure $2;"""
MIDWAY = """OPENQASM 3.0; include "stdgates.inc"; bit[3] c;
x $0; delay[20us] $0; cx $0, $1; c[0] = measure $1; delay[30us] $1; cx $0, $1;
c[1] = measure $1; c[2] = measure $0;"""
RING = {"name": "rows", "title": "Invented", "rules": "", "tasks": list, "log": False}


@pytest.fixture(scope="module")
def lima():
    return Twin.load("ibmq_lima")


def session(lima, name="invented"):
    return SimpleNamespace(name=name, calibration=lima.calibration, device=lima.name)


def cases(lima):
    out = []
    for k, text in enumerate((GHZ, MIDWAY)):
        counts = dict(lima.run(text, shots=4000, seed=10 + k).counts)
        out.append(Case(f"c{k}", session(lima), Run(f"c{k}", text, counts)))
    return tuple(out)


def verdict(seed, share):
    rng = np.random.default_rng(seed)
    keys = [format(k, "03b") for k in range(8)]
    p, other = rng.dirichlet(np.ones(8), 2)
    measured = dict(zip(keys, rng.multinomial(2000, p).tolist(), strict=True))
    predicted = (1 - share) * p + share * other
    said = dict(zip(keys, predicted.tolist(), strict=True))
    return compare(said, measured, ideal=said, seed=seed, draws=100)


def rows(learned=0.05, calibrated=0.3, aer=0.6):
    out = []
    for k in range(12):
        for name, share in (("learned", learned), ("calibration", calibrated), ("aer", aer)):
            seen = name == "learned" and k < 2
            mark = Mark("f", Value(0.5, 0.01), 0.5 + share, 0.5 + share, 0.5 + share)
            out.append(Row("rows", f"case {k}", name, not seen, verdict(k, share), (mark,)))
    return out


def test_a_twin_of_the_processor_itself_is_at_the_floor(lima):
    figures = {"figures": lambda _, c: {"P": ghz.population(c)}, "aer": False}
    plan = Circuits("own", lambda: cases(lima), shots=20_000, **figures)
    for task in circuit_tasks(plan):
        row = task.run()
        assert row.verdict.p_value > 1e-4, row
        mark = row.marks[0]
        assert abs(mark.predicted - mark.measured.value) < 6 * (mark.measured.stderr + 0.003)
        assert mark.low <= mark.predicted <= mark.high


def test_aer_agrees_where_waiting_costs_nothing_also_on_bits_measured_midway(lima):
    # Aer has no relaxation of qubits that wait without a `delay`, or while others are read.
    pytest.importorskip("qiskit_aer")
    patient = Twin.load(lima.what_if(t1=10.0, t2=10.0).device)
    aer = Aer(patient)
    for text in (GHZ, MIDWAY):
        counts, note = aer.run(text, shots=100_000, seed=1)
        ours = patient.run(text, shots=100_000, seed=2)
        assert g_test(dict(ours.counts), counts).p_value > 1e-4, note
    assert "of 3 qubits" in note  # two, and the copy of a bit


def test_draws_of_a_learned_twin_make_the_band(lima):
    better, worse = (lima.what_if(t1=t, t2=t).device for t in (150e-6, 40e-6))
    found = Learned(lima.device, (better, worse), "invented")
    plan = Circuits(
        *("own", lambda: cases(lima)[1:], lambda _, c: {"P": ghz.parity(c, [2])}),
        learn=lambda: lambda _: found,
        aer=False,
        shots=20_000,
    )
    row = next(t for t in circuit_tasks(plan) if t.predictor == "learned").run()
    assert row.note == "invented"
    assert row.marks[0].high - row.marks[0].low > 0.05


def test_rows_survive_the_disk_and_runs_resume(tmp_path):
    store = Store(tmp_path / "s.json")
    made = []

    def task(case):
        def run():
            made.append(case)
            if case == "bad":
                raise InputError("too large.")
            return Row("rows", case, "calibration", verdict=verdict(1, 0.2), note="x")

        return Task("rows", case, "calibration", run)

    board = Board(**RING | {"tasks": lambda: [task("good"), task("bad")]})
    absent = Board(**RING | {"name": "absent", "tasks": _no_data})
    assert play([board, absent], store) == ("absent: no data.",)
    again = Store(tmp_path / "s.json")
    assert {r.case: r.skipped for r in again} == {"good": False, "bad": True}
    assert next(iter(again)).verdict == verdict(1, 0.2)
    play([board], again)
    assert made == ["good", "bad"]
    again.drop("rows", skipped_only=True)
    play([board], again)
    assert made == ["good", "bad", "bad"]


def test_two_runs_at_once_do_not_lose_each_others_rows(tmp_path):
    first, second = Store(tmp_path / "s.json"), Store(tmp_path / "s.json")
    first.put(Row("rows", "a", "aer", note="1"))
    second.put(Row("rows", "b", "aer"))
    first.put(Row("rows", "a", "aer", note="2"))
    found = {r.case: r.note for r in Store(tmp_path / "s.json")}
    assert found == {"a": "2", "b": ""}


def _no_data():
    raise InputError("no data.")


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"rows": []}))
    with pytest.raises(InputError, match="format"):
        Store(path)


def test_cases_that_were_learned_from_are_scored_for_nobody():
    found = {line.method: line for line in lines(rows(), "rows")}
    assert {line.cases for line in found.values()} == {10}
    order = [found[m].distance for m in ("twin, learned", "twin, calibration only")]
    order.append(found["Aer, from_backend"].distance)
    assert order == sorted(order)
    assert all(line.low <= line.distance <= line.high for line in found.values())
    assert "uniform" in found


def test_ratios_compare_common_cases_with_bands():
    table = rows()
    table = [r for r in table if not (r.predictor == "aer" and r.case == "case 11")]
    first = ratios(table, "rows")[0]
    assert (first.first, first.second, first.cases) == ("twin, learned", "Aer, from_backend", 9)
    assert first.low < first.ratio < first.high < 0.6


def test_figures_of_merit_are_counted_in_their_bands():
    board = Board(**RING)
    by = {x.method: x for x in figure_lines(rows(learned=0.01), board)}
    assert by["twin, learned"].deviation == pytest.approx(0.01)
    assert by["twin, learned"].inside == 10
    assert by["Aer, from_backend"].inside == 0
    ratio = figure_lines(rows(learned=0.05), replace(board, log=True))
    assert min(x.deviation for x in ratio) == pytest.approx(np.log(0.55 / 0.5))


def test_correlations_stand_beside_those_of_the_baselines():
    found = rows()
    table = {x.method: x for x in lines(found, "rows")}
    assert table["uniform"].correlation is None
    verdicts = [r.verdict for r in found if r.predictor == "learned" and r.held_out]
    mean = np.mean([v.correlation for v in verdicts])
    assert table["twin, learned"].correlation == pytest.approx(mean)
    ideal = np.mean([v.skills[1].correlation for v in verdicts])
    assert -1 <= ideal <= 1
    assert "linear correlation" in markdown([Board(**RING)], found)


def test_signs_count_only_where_figures_are_significant():
    effects = [(0.3, 0.1), (-0.2, -0.3), (0.03, -0.1), (-0.3, 0.2)]  # measured, predicted
    found = [
        Row("rows", f"line {k}", "calibration", marks=(Mark("f", Value(m, 0.01), p, p, p),))
        for k, (m, p) in enumerate(effects)
    ]
    board = Board(**RING, figure="f", signed=True)
    (line,) = figure_lines(found, board)
    assert (line.significant, line.right) == (3, 2)
    assert "sign right on 2 of 3 that are significant" in markdown([board], found)
    (line,) = figure_lines(found, replace(board, signed=False))
    assert line.significant == 0


def test_the_page_shows_methods_cases_skips_and_pictures():
    table = [*rows(), Row("rows", "huge", "aer", note="too | large", skipped=True)]
    board = Board(**RING | {"figure": "f", "bars": "beat it"})
    page = markdown([board], table, ["x.png"])
    for text in ("| rows | 10 |", "Bar: beat it.", "![](x.png)", "too", "(learned from it)"):
        assert text in page
    assert summary_json([board], table)["rows"]["skipped"] == 1
    assert distances([board], table) is not None
    assert distances([replace(board, name="empty")], table) is None
    assert marks(board, table) is None  # every measured value is the same


def test_every_board_says_what_it_may_learn_from():
    for name in NAMES:
        board = load_board(name)
        assert board.name == name
        assert board.title
        assert board.rules
    with pytest.raises(InputError, match="'ghost'"):
        load_board("ghost")
