"""Peak memory, each tool in a process of its own.

Bar: an exact run of 13 qubits below 2 GiB. The peak is the kernel's (`VmHWM`, reset after a small
warm run), less what the process held then; the peers run one layer, which needs the same memory.
"""

import json
import subprocess
import sys
from pathlib import Path

from qdt_emu import Twin
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.errors import UnsupportedError
from tests.bench import peers
from tests.bench.row import absent, within
from tests.bench.workload import brick

NAME = "memory"
ROOT = Path(__file__).resolve().parents[2]
GIB = 2.0**30


def rows(*, quick: bool = False):
    """Return the rows of this benchmark; Linux only."""
    if not Path("/proc/self/clear_refs").exists():
        return [absent(NAME, "peak memory", "", "needs Linux: /proc/self/clear_refs")]
    if quick:  # one process: each costs seconds of imports
        ours, _ = _measured("our_exact", 8, 2, 1)
        return [within(NAME, "exact, 8 qubits x 2 layers", ours, 2.0, unit="GiB"), _refusal()]
    out = _pair("exact", "exact, 13 qubits x 10 layers", 13, 10, 1, 2.0, "qiskit-aer")
    for package in ("qiskit-aer", "qsimcirq"):
        out += _pair("samples", "samples, 20 qubits x 10 layers", 20, 10, 64, None, package)
    return [*out, _refusal()]


def _pair(what: str, case: str, n: int, layers: int, shots: int, bar, package: str):
    ours, all_of_it = _measured(f"our_{what}", n, layers, shots)
    note = f"whole process {all_of_it:.2f} GiB"
    if not peers.installed(package):
        own = within(NAME, case, ours, bar, unit="GiB", note=note)
        return [own, absent(NAME, case, package, peers.MISSING)]
    function = f"{'aer' if package == 'qiskit-aer' else 'qsim'}_{what}"
    peer, _ = _measured(function, n, 1, 1)
    tool = peers.label(package)
    return [within(NAME, case, ours, bar, peer=peer, tool=tool, unit="GiB", note=note)]


def _measured(function: str, n: int, layers: int, shots: int) -> tuple[float, float]:
    """Return peak less start, and peak, of a process that calls one of the functions below."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.bench import bench_memory as m\nm.child(m.{function}, {n}, {layers}, {shots})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    start, peak = json.loads(done.stdout.splitlines()[-1])
    return (peak - start) / GIB, peak / GIB


def child(function, n: int, layers: int, shots: int) -> None:
    """Print the memory in bytes before the work and at its peak; runs in a process of its own."""
    twin = Twin.load("ibm_sherbrooke")
    function(twin, brick(twin, 3, 1), 1)  # imports and compiled code are not the run's
    # `ru_maxrss` would not do: a child inherits that of its parent.
    Path("/proc/self/clear_refs").write_text("5")
    start = _status("VmRSS")
    function(twin, brick(twin, n, layers), shots)
    print(json.dumps([start, _status("VmHWM")]))


def _status(field: str) -> int:
    """Return a line of Linux's /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def our_exact(twin: Twin, circuit, shots: int) -> None:  # noqa: ARG001 - one form for all
    noisy = twin.compile(circuit).bind()
    probabilities(Density().prepare(noisy.structure), noisy.values)


def our_samples(twin: Twin, circuit, shots: int) -> None:
    twin.records(circuit, shots=shots, seed=1, engine="statevector")


def aer_exact(twin: Twin, circuit, shots: int) -> None:  # noqa: ARG001
    peers.aer_probabilities(twin.compile(circuit).bind())()


def aer_samples(twin: Twin, circuit, shots: int) -> None:
    peers.aer_shots(twin.compile(circuit).bind())(shots, 1)


def qsim_samples(twin: Twin, circuit, shots: int) -> None:
    peers.qsim_shots(twin.compile(circuit).bind())(shots, 1)


def _refusal():
    twin = Twin.load("ibm_sherbrooke")
    message = "20 qubits ran"
    try:
        twin.run(brick(twin, 20, 10), shots=1, seed=1, engine="density", memory=2**31)
    except UnsupportedError as reason:
        message = str(reason)
    return within(
        NAME, "20 qubits in engine 'density', 2 GiB allowed", 0.0, None, unit="GiB", note=message
    )
