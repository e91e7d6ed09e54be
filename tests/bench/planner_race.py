"""One circuit of the zoo, by the planner or by one engine: time, answer and stated error.

Every measurement runs in a worker with warm kernels and empty caches, and is ended at the cap of
processor time, or at five times what the best engine so far has taken but not before 2 s. The cap
is at least the planner's own time, so that an engine that misses it is no better than the planner.
Engines are tried at rising settings until they reach the accuracy; the time of the setting that
does counts, without the attempts before. An engine whose plan is far above the cap is not run.
"""

import contextlib
import gc
import json
import multiprocessing
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from qdt_emu.engines import run as runs
from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.density import Density
from qdt_emu.engines.density_network import DensityNetwork
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.network import Network
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.planner import AIM
from qdt_emu.engines.planner_cost import density, stabilizer, statevector
from qdt_emu.engines.planner_pilot import contraction
from qdt_emu.engines.planner_task import SIGMAS
from qdt_emu.engines.run_parts import Limits, sample_parts, value_parts
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.engines.statevector import Statevector
from qdt_emu.errors import QdtError
from tests.bench import zoo

LADDERS = {
    "density": (Density(),),
    "statevector": (Statevector(),),
    "stabilizer": (Stabilizer(),),
    "pauli": tuple(Pauli(threshold=t) for t in (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)),
    "contraction": (Contraction(),),
    "mpo": tuple(Mpo(max_bond=d) for d in (16, 32, 64)),
    "mps": tuple(MPS(max_bond=d) for d in (16, 32, 64, 128)),
    "network": tuple(Network(max_bond=d) for d in (4, 8, 16)),
    "density_network": tuple(DensityNetwork(max_bond=d) for d in (8, 16, 32)),
}
COSTS = {"density": density, "statevector": statevector, "stabilizer": stabilizer}
HOPELESS = 3.0  # a plan above this many caps is believed
LEAST, FAR = 2.0, 5.0  # s, and times the best so far, after which an engine is out of the race
PILOT = 256  # trajectories from which the number that a tolerance takes is known


def measure(name: str, which: str, cap: float):
    """Yield the rows of one engine's ladder, or of the planner, on one circuit."""
    task = next(t for t in zoo.ZOO if t.name == name)
    strings = zoo.paulis(task)
    twin = zoo.twin(task.device)
    noisy, codes, gain = _ready(twin, task, strings)
    if which == "auto":
        yield _planner(task, noisy, codes, gain)
        return
    for engine in LADDERS[which]:
        yield (row := _engine(task, noisy, codes, gain, engine, cap))
        done = row.get("stated", np.inf) <= (task.tolerance or AIM)
        if "refused" in row or done or row.get("cpu", 0.0) > cap / 3:
            break


def _ready(twin, task, strings):
    """Return what an engine is given: the circuit with numbers, codes and readout."""
    if not strings:
        return twin.compile(zoo.circuit(task)).bind(), None, None
    asked = twin._strings(zoo.circuit(task), strings, 0, None, None, readout=True)  # noqa: SLF001
    return asked.noisy, asked.codes, asked.gain


def _planner(task, noisy, codes, gain):
    """Return the planner's row: the time without cross-checks, the answer with them.

    Where a cross-check has made it leave an engine for another, both runs count.
    """
    _forget()
    begin, cpu = time.perf_counter(), time.process_time()
    values = stderr = bits = None
    limits = Limits(tolerance=task.tolerance)

    def ask():
        if codes is None:
            return runs.sample(noisy, shots=zoo.SHOTS, seed=1)
        return runs.estimate(noisy, codes, gain, seed=1, limits=limits)

    try:
        first = _bare(ask)[-1]
        took = _took(begin, cpu)
        *answer, account = ask()
    except QdtError as reason:
        return {"refused": str(reason), **_took(begin, cpu)}
    if account.engine != first.engine:
        took = _took(begin, cpu)
    if codes is None:
        (bits,) = answer
    else:
        values, stderr = answer
    found = {**took, "engine": account.engine, "reason": account.reason}
    found["notes"] = list(account.notes)
    found["chosen"] = [a.settings for a in account.alternatives[:1]]
    found["predicted"] = sum(a.seconds for a in account.alternatives[:1])
    return found | _answer(values, stderr, account.bounds, bits, account.truncation)


def _engine(task, noisy, codes, gain, engine, cap: float, shots: int = zoo.SHOTS):
    """Return time, answer and stated error of one engine at one setting."""
    _forget()
    parts = (
        sample_parts(noisy, shots=shots, limits=Limits().now())
        if codes is None
        else list(value_parts(noisy, codes, gain, shots=PILOT, limits=Limits().now()))
    )
    plan = 0.0
    for part in parts:
        cost = COSTS.get(engine.name)
        if engine.name == "contraction" and part.task.strings:
            found = contraction(part.circuit, part.task, patience=cap)
        elif cost:
            found = cost(part.circuit, part.task)
        else:
            asked = {"shots": part.task.shots, "paulis": part.task.strings}
            found = engine.plan(part.circuit.structure, **asked, memory=part.task.memory)
        if found.refusal:
            return {"refused": found.refusal, "seconds": 0.0}
        plan += found.seconds
    if plan > HOPELESS * cap and engine.name not in ("pauli", "contraction"):
        return {"refused": f"planned {plan:.3g} s", "seconds": 0.0}
    _forget()
    begin, cpu = time.perf_counter(), time.process_time()
    try:
        if codes is None:
            bits, account = _bare(runs.sample, noisy, shots=shots, seed=1, engine=engine)
            values = stderr = None
        else:
            bits = None
            values, stderr, account = _bare(
                runs.estimate, noisy, codes, gain, shots=PILOT, seed=1, engine=engine
            )
            bound = max(account.bounds, default=0.0)
            if task.tolerance and stderr.any() and bound < task.tolerance:
                needed = (SIGMAS * stderr.max() / (task.tolerance - bound)) ** 2 * PILOT
                took = _took(begin, cpu)
                scale = max(1.0, needed / PILOT)
                took = {k: v * scale for k, v in took.items()}  # trajectories are all alike
                answer = _answer(values, stderr, account.bounds, None, account.truncation)
                answer["stated"] = float(task.tolerance) if scale > 1 else answer["stated"]
                return {**took, "settings": repr(engine), "plan": plan * scale, **answer}
    except (QdtError, np.linalg.LinAlgError) as reason:
        return {"refused": str(reason), "seconds": 0.0}
    return {
        **_took(begin, cpu),
        "settings": repr(engine),
        "plan": plan,
        **_answer(values, stderr, account.bounds, bits, account.truncation),
    }


def _bare(work, *args, **kwargs):
    """Run without the cross-check, which has a budget of its own."""
    kept, runs.crosscheck = runs.crosscheck, lambda *_: None
    try:
        return work(*args, **kwargs)
    finally:
        runs.crosscheck = kept


def _took(begin: float, cpu: float):
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


def _answer(values, stderr, bounds, bits, truncation: float):
    if bits is not None:
        means = 1 - 2 * bits.astype(float)
        pairs = (means[:, :-1] * means[:, 1:]).mean(0)
        figures = [*means.mean(0).tolist(), *pairs.tolist()]
        return {"samples": figures, "stated": float(truncation), "shots": len(bits)}
    stated = float((np.array(bounds) + SIGMAS * stderr).max())
    return {
        "values": values.tolist(),
        "stderr": stderr.tolist(),
        "bounds": list(bounds),
        "stated": stated,
    }


def _forget() -> None:
    """Empty every cache of the engines."""
    for name, module in list(sys.modules.items()):
        if name.startswith("qdt_emu.engines"):
            for item in vars(module).values():
                if hasattr(item, "cache_clear"):
                    item.cache_clear()
    gc.collect()


def _warm(which: str) -> None:
    """Load and compile the kernels of an engine, or of all."""
    small = replace(zoo.ZOO[0], name="00 warm", n=4)
    for asks in ("samples", "zz"):
        task = replace(small, asks=asks, tolerance=None if asks == "samples" else 0.5)
        noisy, codes, gain = _ready(zoo.twin(task.device), task, zoo.paulis(task))
        for ladder in LADDERS.values() if which == "auto" else [LADDERS[which]]:
            _engine(task, noisy, codes, gain, ladder[0], 1e9, shots=20)
        if which == "auto":
            _planner(task, noisy, codes, gain)


def _worker(pipe) -> None:
    warm = set[str]()
    pipe.send("ready")
    with contextlib.suppress(EOFError):  # the parent is done
        while True:
            asked = pipe.recv()
            if asked[1] not in warm:
                _warm(asked[1])
                warm.add(asked[1])
            pipe.send("warm")
            try:
                for row in measure(*asked):
                    pipe.send(row)
            except Exception as fault:  # one engine's fault does not end the others
                pipe.send({"refused": f"FAILED: {fault!r}", "seconds": 0.0, "cpu": 0.0})
            pipe.send(None)


class Worker:
    """A process that measures, and is replaced when it takes too long."""

    def __init__(self) -> None:
        self.process, self.spent = None, 0.0

    def __call__(self, name: str, which: str, cap: float, patience: float):
        """Return the rows that arrive within `patience` seconds of processor time."""
        if self.process is not None:
            self.process.join(0.1)  # one that has just died is replaced
        if self.process is None or not self.process.is_alive():
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=_worker, args=(other,), daemon=True)
            self.process.start()
            self.pipe.recv()
        self.pipe.send((name, which, cap))
        self.pipe.recv()
        rows, begin = [], self._spent()
        while self._spent() - begin < patience:
            if not self.pipe.poll(0.2):
                continue
            try:
                if (row := self.pipe.recv()) is None:
                    return rows
            except EOFError:
                return [*rows, {"refused": "died", "seconds": 0.0, "cpu": 0.0}]
            rows.append(row)
        self.process.kill()
        self.process.join()
        late = {"refused": f"longer than {patience:g} s", "seconds": patience, "cpu": patience}
        return [*rows, late]

    def _spent(self) -> float:
        """Return the processor time of the process; other programs may share the machine."""
        with contextlib.suppress(psutil.Error):
            self.spent = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        return self.spent


def collect(store: Path, names, cap: float, engines=("auto", *LADDERS)) -> dict:
    """Run what is missing, save after each measurement, return everything."""
    data = json.loads(store.read_text()) if store.exists() else {}
    work = Worker()
    for task in zoo.ZOO:
        if names and not any(task.name.startswith(part) for part in names):
            continue
        rows = data.setdefault(task.name, {})
        for which in engines:
            if which in rows:
                continue
            own = max(cap, planned(rows))  # no engine is out of the race before the planner
            patience = 30 * cap if which == "auto" else min(own, _enough(task, rows))
            rows[which] = work(task.name, which, min(own, patience), patience)
            store.write_text(json.dumps(data))
            last = rows[which][-1]
            print(f"{task.name:44} {which:12} {_short(last)}", flush=True)
    return data


def planned(rows) -> float:
    """Return the processor time of the planner, 0 where it has not run."""
    return rows["auto"][-1].get("cpu", 0.0) if "auto" in rows else 0.0


def _enough(task, rows) -> float:
    """Return the seconds after which an engine is out of the race."""
    aim = task.tolerance or AIM
    done = [r for name in rows for r in rows[name] if r.get("stated", np.inf) <= aim]
    return max(LEAST, FAR * min((r["cpu"] for r in done), default=np.inf))


def _short(row) -> str:
    if "refused" in row:
        return f"{row['seconds']:8.2f} s  refused: {row['refused'][:90]}"
    return f"{row['seconds']:8.2f} s  stated {row['stated']:.2g}  {row.get('engine', '')}"
