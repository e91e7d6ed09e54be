"""One line of a benchmark: what we need, what a peer needs, and whether the bar is met."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        benchmark: Name of the benchmark.
        case: What was run.
        ours: The twin's figure.
        peer: The peer's figure; None if it was not run.
        unit: Of both.
        tool: The peer, its version and settings.
        ratio: peer / ours.
        bar: The goal in words.
        verdict: 'met', 'missed' with a number, or empty where there is no bar.
        accuracy: How far the answers are from the truth or from each other.
        note: What else to know.
    """

    benchmark: str
    case: str
    ours: float | None
    peer: float | None
    unit: str
    tool: str = ""
    ratio: float | None = None
    bar: str = ""
    verdict: str = ""
    accuracy: str = ""
    note: str = ""


def faster(benchmark: str, case: str, ours: float, peer: float, bar: float | None, **more: Any):
    """Return the row of a comparison that should be won by the factor `bar`."""
    ratio = peer / ours
    verdict = "" if bar is None else _verdict(ratio >= bar, f"{ratio:.3g} of {bar:g}")
    return _row(
        benchmark, case, ours, peer, ratio=ratio, bar=f">= {bar:g}x" if bar else "",
        verdict=verdict, **more,
    )  # fmt: skip


def within(benchmark: str, case: str, ours: float, bar: float | None, **more: Any):
    """Return the row of a figure that should be at most `bar`, with a peer's beside it or not."""
    peer = more.pop("peer", None)
    verdict = "" if bar is None else _verdict(ours <= bar, f"{ours:.3g} over {bar:g}")
    ratio = None if peer is None or ours == 0 else peer / ours
    unit = more.get("unit", "s")
    text = "" if bar is None else f"<= {bar:g} {unit}"
    return _row(benchmark, case, ours, peer, ratio=ratio, bar=text, verdict=verdict, **more)


def absent(benchmark: str, case: str, tool: str, why: str):
    """Return the row of a peer that is not there."""
    return _row(benchmark, case, None, None, tool=tool, note=why)


def _verdict(met: bool, figures: str) -> str:
    return "met" if met else f"missed: {figures}"


def _row(benchmark: str, case: str, ours, peer, *, unit: str = "s", **more: Any) -> dict[str, Any]:
    row = asdict(Row(benchmark, case, ours, peer, unit, **more))
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}
