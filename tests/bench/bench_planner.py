"""The planner against every engine, on the zoo: goals of `engine='auto'`.

Run `python -m tests.bench.bench_planner --store results.json [--cap 30] [start of a name ...]`.
What is in the store already is not run again; `--report` prints what is there.

Goals: within twice the time of the best engine that reaches the same stated error, planning and
pilot runs included, on at least 90 % of the circuits; and no stated error exceeded. Cross-checks
have a budget of their own (0.25 s, or a tenth of the run) and are left out of these times. How they
are measured: see `planner_race`.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from qdt_emu.engines.planner import AIM
from tests.bench import zoo
from tests.bench.planner_race import LADDERS, collect, measure
from tests.bench.row import within

NAME = "planner"
SMALL = ("auto", "density", "statevector")
WITHIN, SHARE = 2.0, 0.9  # the goal
ROUNDING = 1e-4  # of answers that are compared
QUICK = 0.1  # s; below, factors of two are not what anybody waits for


def judge(task, rows, clock: str = "seconds"):
    """Return (ratio, best engine, its time, planner's time, excess of stated errors)."""
    auto = rows["auto"][-1]
    aim = task.tolerance or AIM
    asked = max(aim, auto["stated"]) if "stated" in auto else aim
    times = {
        name: min(
            (r[clock] for r in rows[name] if "refused" not in r and r["stated"] <= asked),
            default=np.inf,
        )
        for name in LADDERS
        if name in rows
    }
    best = min(times, key=times.get, default="")
    found = times.get(best, np.inf)
    if "refused" in auto:
        ratio = np.inf if np.isfinite(found) else 1.0
        return ratio, best, found, auto[clock], _excess(rows)
    ratio = max(auto[clock], QUICK) / max(found, QUICK)
    return (ratio if np.isfinite(found) else 1.0), best, found, auto[clock], _excess(rows)


def _excess(rows) -> float:
    """Return by how much the planner's answer is farther from another's than both say.

    Negative is good; NaN where no other engine's answer is at least as good as the planner's.
    """
    auto = rows["auto"][-1]
    done = [r for name in rows if name != "auto" for r in rows[name] if "refused" not in r]
    if "refused" in auto or not done:
        return np.nan
    if "values" in auto:

        def error(r):  # four standard errors: one false alarm in 16,000
            return np.array(r["bounds"]) + 4 * np.array(r["stderr"])

        truth = min(done, key=lambda r: error(r).max())
        if error(truth).max() > max(error(auto).max(), ROUNDING):
            return np.nan
        away = np.abs(np.array(auto["values"]) - truth["values"])
        return float((away - error(auto) - error(truth)).max())
    truth = min(done, key=lambda r: r["stated"])
    if truth["stated"] > max(auto["stated"], AIM):
        return np.nan
    away = np.abs(np.array(auto["samples"]) - truth["samples"])
    noise = 5 * np.sqrt(2 / auto["shots"])
    return float(away.max()) - 2 * (auto["stated"] + truth["stated"]) - noise


def report(data: dict, clock: str = "seconds") -> float:
    """Print every circuit's verdict and return the share within twice the best.

    The clock may be 'cpu', processor time, where other programs share the machine.
    """
    ratios, compared, checked = [], 0, 0
    for task in zoo.ZOO:
        rows = data.get(task.name, {})
        if "auto" not in rows or len(rows) < 2:
            continue
        ratio, best, found, auto, excess = judge(task, rows, clock)
        ratios.append(ratio)
        compared += bool(np.isfinite(found))
        checked += not np.isnan(excess)
        engine = rows["auto"][-1].get("engine", "refused")
        flag = "" if ratio <= WITHIN else "  MISS"
        flag += f"  EXCESS {excess:.2g}" if excess > ROUNDING else ""
        print(
            f"{task.name:44} auto {engine:12} {auto:8.2f} s   best {best:12} {found:8.2f} s   "
            f"x{ratio:5.2f}{flag}"
        )
    share = float(np.mean(np.array(ratios) <= WITHIN)) if ratios else 0.0
    print(f"{len(ratios)} circuits, within x{WITHIN:g} on {share:.0%}; goal {SHARE:.0%}")
    print(f"another engine finished on {compared}; stated errors checked on {checked}")
    return share


def rows(*, quick: bool = False):
    """Return a row for each circuit of the zoo, by processor time, and one for the share."""
    if quick:
        data = {
            task.name: {which: list(measure(task.name, which, 1.0)) for which in SMALL}
            for task in zoo.ZOO
            if task.name.startswith(("00", "28"))
        }
    else:
        with TemporaryDirectory() as folder:
            data = collect(Path(folder) / "zoo.json", (), 10.0)
    out, ratios = [], []
    for task in zoo.ZOO:
        if task.name not in data:
            continue
        ratio, best, found, auto, excess = judge(task, data[task.name], "cpu")
        ratios.append(ratio)
        last = data[task.name]["auto"][-1]
        peer = found if np.isfinite(found) else None
        out.append(
            within(
                NAME, task.name, auto, None if peer is None else WITHIN * max(QUICK, peer),
                peer=peer, unit="CPU s", tool=f"engine '{best}'" if peer else "none within 10 s",
                accuracy=f"stated {last.get('stated', np.nan):.2g}, error less stated {excess:.2g}",
                note=last.get("engine", last.get("refused", "")),
            )
        )  # fmt: skip
    share = float(np.mean(np.array(ratios) <= WITHIN))
    case = f"circuits of {len(ratios)} slower than twice the best engine"
    goal = None if quick else 1 - SHARE
    return [*out, within(NAME, case, 1 - share, goal, unit="of circuits")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--cap", type=float, default=30.0)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--engines", default=",".join(["auto", *LADDERS]))
    parser.add_argument("--clock", choices=["seconds", "cpu"], default="seconds")
    parser.add_argument("--again", default="", help="Measure these anew, as 'auto,mps'.")
    given = parser.parse_args()
    if given.again and given.store.exists():
        known = json.loads(given.store.read_text())
        kept = {n: {k: v for k, v in r.items() if k not in given.again.split(",")}
                for n, r in known.items()}  # fmt: skip
        given.store.write_text(json.dumps(kept))
    if not given.report:
        collect(given.store, given.names, given.cap, given.engines.split(","))
    report(json.loads(given.store.read_text()), given.clock)
