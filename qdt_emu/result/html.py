"""One self-contained HTML page about a result: no scripts, nothing loaded from elsewhere."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from qdt_emu.result import plots
from qdt_emu.result.budget import Budget
from qdt_emu.result.counts import Counts
from qdt_emu.result.estimate import Estimate

Row = Sequence[object]

STYLE = """
:root { --ink: #1f2933; --muted: #6b7785; --line: #dde2e7; --paper: #ffffff; --card: #f6f8fa;
  --accent: #0072b2; --warn: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --muted: #9aa7b4; --line: #37424d;
  --paper: #14191e; --card: #1c232a; --accent: #56b4e9; --warn: #e69f00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 1.4rem 4rem; max-width: 64rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { border-bottom: 2px solid var(--accent); margin-bottom: 1.4rem; padding-bottom: .8rem; }
h1 { font-size: 1.55rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.sub, caption { color: var(--muted); } .sub { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .7rem .9rem; }
.card b { display: block; font-size: 1.05rem; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.card span { color: var(--muted); font-size: .85rem; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 8px;
  padding: .6rem; overflow-x: auto; text-align: center; }
figure img { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { text-align: left; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } table.facts th { width: 14rem; font-weight: 400; color: var(--muted); }
code, pre, .mono { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .87em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  overflow-x: auto; line-height: 1.25; }
.notes li { margin: .2rem 0; } .notes { border-left: 3px solid var(--warn); padding-left: 1.4rem; }
@media print { body { max-width: none; padding: 0; font-size: 11px; }
  h2 { break-after: avoid; } figure, .card, tr { break-inside: avoid; }
  pre { white-space: pre-wrap; } }
"""


def render(
    result: Counts | Estimate,
    *,
    circuit_text: str = "",
    device_facts: Mapping[str, object] | None = None,
    figures: Sequence[tuple[str, Figure]] = (),
    tables: Mapping[str, tuple[Row, Sequence[Row]]] | None = None,
) -> str:
    """Return a page that tells the whole story of a result and can be mailed as one file.

    Args:
        result: What was run.
        circuit_text: A drawing or the source of the program.
        device_facts: Name -> value, about the processor.
        figures: (title, picture) to show after the result's own: device map, timeline, ...
        tables: Title -> (head, rows).
    """
    name = result.provenance.circuit_name or "Program"
    where = result.provenance.device or "unnamed device"
    pictures = [("Result", _own_picture(result)), ("Error budget", _budget_picture(result))]
    body = [
        f"<header><h1>{escape(name)}</h1><p class='sub'>on {escape(where)}, emulated by "
        f"<code>{escape(result.report.engine)}</code>, {escape(_moment(result))}</p>"
        "</header>",
        _cards(result),
        *(_section(title, _picture(title, figure)) for title, figure in [*pictures, *figures]),
    ]
    if isinstance(result, Estimate):
        body.append(_section("Values", _value_table(result)))
    for title, (head, rows) in (tables or {}).items():
        body.append(_section(title, _table(head, rows)))
    if device_facts:
        body.append(_section("Device", _facts(device_facts)))
    if circuit_text:
        body.append(_section("Program", f"<pre>{escape(circuit_text)}</pre>"))
    body += [
        _section("Repaired, assumed, ignored", _notes(result)),
        _section("Engine", _facts(_engine(result))),
        _section("Provenance", _facts(_origin(result))),
    ]
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(name)} on {escape(where)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _moment(result: Counts | Estimate) -> str:
    return result.provenance.created[:16].replace("T", " ") + " UTC"


def _own_picture(result: Counts | Estimate) -> Figure:
    return plots.histogram({"twin": result}) if isinstance(result, Counts) else result.plot()


def _budget(result: Counts | Estimate) -> Budget:
    if isinstance(result, Counts):
        return result.budget
    return max(result.budgets, key=lambda b: b.total or 0.0, default=Budget())


def _budget_picture(result: Counts | Estimate) -> Figure:
    return plots.error_budget_bars(_budget(result), title="")


def _cards(result: Counts | Estimate) -> str:
    budget = _budget(result)
    if isinstance(result, Counts):
        (key, number), *_ = result.top(1)
        share = number / result.shots
        sigma = (share * (1 - share) / result.shots) ** 0.5
        head = [
            (f"{share:.4f}\u202f±\u202f{sigma:.4f}", f"most frequent outcome, {key}"),
            (f"{len(result.counts)}", f"distinct outcomes of {result.n_clbits} bits"),
        ]
        shots = result.shots
    else:
        head = [(f"{v:+.4f}\u202f±\u202f{s:.2g}", f"⟨{p}⟩") for p, v, s in list(result)[:2]]
        shots = result.shots
    total = "not estimated" if budget.total is None else f"{budget.total:.3g}"
    bound = ", lower bound" if budget.missing else ""
    head += [
        (f"{shots:,}".replace(",", "\u202f") if shots else "exact", "shots"),
        (total, f"error ({budget.of or 'largest value'}){bound}"),
        (f"{result.report.seconds:.3g} s", f"engine {result.report.engine}"),
    ]
    cards = "".join(
        f"<div class='card'><b>{escape(big)}</b><span>{escape(small)}</span></div>"
        for big, small in head
    )
    return f"<div class='cards'>{cards}</div>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _picture(title: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, facecolor="white")
    data = b64encode(buffer.getvalue()).decode()
    return f"<figure><img alt='{escape(title)}' src='data:image/png;base64,{data}'></figure>"


def _table(head: Row, rows: Sequence[Row]) -> str:
    top = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _facts(facts: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_text(value))}</td></tr>"
        for name, value in facts.items()
        if value not in (None, "", ())
    )
    return f"<table class='facts'>{rows}</table>"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "not estimated" if value is None else str(value)


def _value_table(result: Estimate) -> str:
    ideal = [None] * len(result) if result.ideal is None else result.ideal.tolist()
    rows = [
        (p, f"{v:+.5f}", f"{s:.2g}", "" if i is None else f"{i:+.5f}", *b.parts.values())
        for (p, v, s), i, b in zip(result, ideal, result.budgets, strict=True)
    ]
    return _table(("Pauli", "value", "stderr", "ideal", *Budget().parts), rows)


def _notes(result: Counts | Estimate) -> str:
    notes = [*result.report.notes, *filter(None, [_budget(result).note])]
    if not notes:
        return "<p class='sub'>Nothing was repaired, assumed or ignored.</p>"
    return "<ul class='notes'>" + "".join(f"<li>{escape(n)}</li>" for n in notes) + "</ul>"


def _engine(result: Counts | Estimate) -> dict[str, object]:
    report = result.report
    return {
        "engine": report.engine,
        "chosen because": report.reason,
        "wall time": f"{report.seconds:.3g} s",
        "memory": f"{report.bytes / 2**20:.3g} MiB" if report.bytes else "",
        **report.details,
    }


def _origin(result: Counts | Estimate) -> dict[str, object]:
    origin = result.provenance
    return {
        "device": origin.device,
        "calibration": origin.calibration_id,
        "program": origin.circuit_id,
        "seed": ", ".join(map(str, origin.seeds)),
        "settings": ", ".join(f"{k} = {v}" for k, v in origin.settings.items()),
        "created": origin.created,
        "versions": ", ".join(f"{k} {v}" for k, v in origin.versions.items()),
    }
