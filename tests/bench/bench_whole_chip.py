"""All 127 qubits of a calibrated processor: noisy expectation values and noisy samples.

Kicked Ising circuits on the snapshots of ibm_kyiv and ibm_sherbrooke, transpiled, scheduled and
given their noise by the twin. Bars: <Z62> after 20 steps with its error in 5 s per angle and core;
one sample a second on two cores after 5 steps at bond 16; memory as planned.

Processor time, because it does not depend on what else the machine does: a bar of one sample a
second on two cores is 2 s of processor time for a sample.
"""

import time
from pathlib import Path

import numpy as np

from qdt_emu.engines.network import Network
from qdt_emu.engines.pauli import Pauli
from tests.bench.row import absent, within
from tests.bench.workload import in_place, kicked, whole_chip

NAME = "whole_chip"
GIB = 2.0**30
ANGLES = (0.2, 0.4, 0.6, 0.8)
QUBIT = 62


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    names = ["ibmq_lima"] if quick else ["ibm_kyiv", "ibm_sherbrooke"]
    steps, few, angles, shots = (2, 2, (0.4,), 4) if quick else (20, 5, ANGLES, 40)
    out = []
    for name in names:
        twin = whole_chip(name)
        out += _values(twin, steps, angles, quick=quick)
        out += _samples(twin, few, 0.6, shots, quick=quick)
    return out


def _values(twin, steps, angles, *, quick):
    """<Z> of one qubit at every angle; the circuit is compiled once."""
    begin = time.process_time()
    circuit = kicked(twin.device, steps, measured=False)
    compiled = twin.compile(circuit, measured=False, options=in_place(twin.device))
    engine = Pauli(threads=1)
    state = engine.prepare(compiled.structure)
    before = time.process_time() - begin
    n = compiled.structure.n_qubits
    paulis, readout = np.zeros((1, n), np.uint8), np.tile([1.0, 0.0], (n, 1))
    paulis[0, min(QUBIT, n - 1)] = 3
    warm = compiled.bind({"theta": 0.0}).values
    engine.estimate(state, warm, paulis, readout, shots=1, seed=0)
    out = []
    for theta in angles:
        begin = time.process_time()
        values = compiled.bind({"theta": theta}).values
        found = engine.estimate(state, values, paulis, readout, shots=1, seed=0)
        taken = time.process_time() - begin
        out.append(
            within(
                NAME, f"{twin.name}, noisy <Z{min(QUBIT, n - 1)}>, {n} qubits x {steps} steps, "
                f"angle {theta}", taken, None if quick else 5.0, unit="CPU s",
                accuracy=f"{found.values[0]:.5f} +- {found.truncation:.1e}",
                note=f"one thread; compiled and prepared once in {before:.2g} s; at most "
                f"{found.details['pauli terms']} strings",
            )
        )  # fmt: skip
    return out


def _samples(twin, steps, theta, shots, *, quick):
    """Bits of all qubits, with the certificate of how far they are from the state's own."""
    circuit = kicked(twin.device, steps, measured=True)
    noisy = twin.compile(circuit, options=in_place(twin.device)).bind({"theta": theta})
    engine = Network(max_bond=16)
    plan = engine.plan(noisy.structure, shots=shots, paulis=0, memory=1 << 33)
    state = engine.prepare(noisy.structure)
    engine.sample(state, noisy.values, shots=2, seed=1)
    start = _peak(reset=True)
    wall, begin = time.perf_counter(), time.process_time()
    records = engine.sample(state, noisy.values, shots=shots, seed=2)
    wall, taken = time.perf_counter() - wall, time.process_time() - begin
    n = noisy.structure.n_qubits
    case = f"{twin.name}, samples of {n} qubits x {steps} steps, angle {theta}, bond 16"
    share = records.details.get("network effective share", float("nan"))
    out = [
        within(
            NAME, f"{case}, per shot of {shots}", taken / shots, None if quick else 2.0,
            unit="CPU s",
            accuracy=f"effective share of p/q {share:.2f}, stated TVD {records.truncation:.2g}, "
            f"discarded weight {records.details.get('discarded', 0.0):.1e}",
            note=f"{shots / wall:.2g} shots/s of wall time, two threads; planned "
            f"{plan.seconds / shots:.2g} s",
        )
    ]  # fmt: skip
    if start is None:
        return [*out, absent(NAME, f"{case}: memory", "", "needs Linux: /proc/self/clear_refs")]
    used = _peak() - start
    out.append(
        within(
            NAME, f"{case}: memory", used / GIB, None if quick else plan.bytes / GIB, unit="GiB",
            note=f"peak less what the process held before; planned {plan.bytes / 2**20:.3g} MiB",
        )
    )  # fmt: skip
    return out


def _peak(*, reset: bool = False):
    """Return the process' peak memory in bytes (what it holds now, when reset), or None."""
    switch, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not switch.exists():
        return None
    if reset:
        switch.write_text("5")
    field = "VmRSS" if reset else "VmHWM"
    line = next(x for x in status.read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    for row in rows():
        print(row)
