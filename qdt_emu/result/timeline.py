"""A picture of the schedule: what each qubit does, and when it waits."""

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qdt_emu.result import style

if TYPE_CHECKING:  # a picture of a schedule must not load JAX, which the circuit's types need
    from qdt_emu.circuit.noisy import Operation, Structure

LOOK = {
    "one-qubit gate": style.BLUE,
    "two-qubit gate": style.ORANGE,
    "measurement": style.GREEN,
    "reset": style.PURPLE,
    "idle": style.FAINT,
}


# Decimals of a second: frame changes share an instant with the pulse they precede, but a sum of
# durations in another order differs in its last bits.
INSTANT = 13


def timeline(structure: "Structure", *, title: str = "Schedule", ax: Axes | None = None) -> Figure:
    """Draw the schedule of a noisy circuit, one row per qubit, idle times in pale grey.

    Error:
        A step ends where the next one on its qubit begins; gaps that carry no noise (zero rates)
        are not in the circuit and look like part of the step before them.
    """
    unit, per_second = ("us", 1e6) if structure.duration >= 2e-6 else ("ns", 1e9)
    figure, ax = style.canvas(ax, 10.0, max(2.2, 1.5 + 0.3 * structure.n_qubits))
    used: set[str] = set()
    rows = [spans(structure, q) for q in range(structure.n_qubits)]
    ends = {(q, begin): end for q, row in enumerate(rows) for begin, end, _ in row}
    for q, row in enumerate(rows):
        for begin, end, what in row:
            used.add(what)
            idle = what == "idle"
            ax.barh(
                q,
                (end - begin) * per_second,
                left=begin * per_second,
                height=0.16 if idle else 0.62,
                color=LOOK[what],
                edgecolor=style.PAPER,
                linewidth=0.0 if idle else 0.5,
                zorder=1 if idle else 3,
            )
    for op in structure.operations:
        if op.kind.name == "UNITARY" and op.mechanism == "ideal" and len(op.qubits) == 2:
            end = min(ends.get((q, round(op.start, INSTANT)), op.start) for q in op.qubits)
            middle = (op.start + end) / 2 * per_second
            ax.plot([middle] * 2, op.qubits, color=style.ORANGE, lw=1.4, zorder=2)
    ax.set_yticks(range(structure.n_qubits), [f"Q{q}" for q in structure.qubits])
    ax.set_ylim(structure.n_qubits - 0.4, -0.6)
    ax.set_xlim(0, max(structure.duration, 1e-9) * per_second)
    ax.set_xlabel(f"time ({'µs' if unit == 'us' else unit})", color=style.INK)
    style.clean(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    style.title(ax, title, below=True)
    ax.legend(
        handles=[Patch(color=LOOK[what], label=what) for what in LOOK if what in used],
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.99),
        ncols=5,
        frameon=False,
        fontsize=9,
        handlelength=1.0,
        columnspacing=1.4,
    )
    return figure


def spans(structure: "Structure", qubit: int) -> list[tuple[float, float, str]]:
    """Return (begin, end, what) of everything one local qubit does or waits for, in s."""
    steps: dict[float, list[Operation]] = {}
    for op in structure.operations:
        if qubit in op.qubits:
            steps.setdefault(round(op.start, INSTANT), []).append(op)
    begins = sorted(steps)
    ends = [*begins[1:], structure.duration]
    return [
        (begin, end, what)
        for begin, end in zip(begins, ends, strict=True)
        if (what := _what(steps[begin])) and end > begin
    ]


def _what(together: "list[Operation]") -> str:
    if any(op.kind.name == "MEASURE" for op in together):
        return "measurement"
    if any(op.kind.name == "RESET" for op in together):
        return "reset"
    if any(op.mechanism == "relaxation (idle)" for op in together):
        return "idle"  # frame changes take no time, so they may share an instant with a wait
    wide = [len(op.qubits) for op in together if op.mechanism == "ideal"]
    return ("one-qubit gate", "two-qubit gate")[max(wide) - 1] if wide else ""
