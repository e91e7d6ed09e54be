"""Pauli propagation on 127 qubits: against Qiskit's `pauli-prop`, and <Z62> on calibrated chips.

Bars: twice as fast as `pauli-prop` (Rust) on the same kicked Ising circuit with the same
depolarising noise and threshold, one thread each, its Clifford gates moved to the front beforehand;
<Z62> after 20 steps with the noise, idles and crosstalk of a calibration, error stated to be at
most 0.01, in 5 s per angle on one core. All in seconds of processor time.
"""

import os
import time
import warnings
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import PauliList, SparsePauliOp

from qdt_emu.circuit import Kind
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.pauli_bind import bind
from qdt_emu.engines.pauli_error import Ladder
from tests.bench.peers import MISSING
from tests.bench.row import absent, faster, within
from tests.bench.workload import in_place, kicked, whole_chip
from tests.engines import kicked_ising as ising

NAME = "pauli"
PEER = "pauli-prop"
GOAL = 5.0  # s per angle
TOLERANCE = 0.01
BAR = 2.0
ROOM = 2**20
PERFECT = np.tile([1.0, 0.0], (ising.N, 1))
CASES = [("Z62", 20, 0.2, 0.97), ("Z62", 20, 0.6, 0.97), ("Z62", 20, 0.2, 1.0), ("W17", 5, 1.4, 1)]


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    threshold = 1e-2 if quick else 1e-4
    out = []
    for name, steps, theta, damping in CASES[:1] if quick else CASES:
        out.append(_against_peer(name, 3 if quick else steps, theta, damping, threshold, quick))
    chips = ["ibm_kyiv"] if quick else ["ibm_kyiv", "ibm_sherbrooke"]
    for chip in chips:
        out += _on_chip(chip, 2 if quick else 20, [8] if quick else range(17), quick=quick)
    return [*out, _all_z(2 if quick else 5, quick=quick)]


def _against_peer(name, steps, theta, damping, threshold, quick):
    noise = "no noise" if damping == 1 else f"factors damped by {damping} a step"
    case = f"<{name}>, {steps} steps, theta {theta}, {noise}, threshold {threshold:g}"
    if find_spec("pauli_prop") is None:
        return absent(NAME, case, PEER, MISSING)
    structure = ising.structure(steps, noise=None if damping == 1 else Kind.PAULI)
    codes = ising.codes(getattr(ising, name, name))[0]
    engine = Pauli()
    state, values = engine.prepare(structure), ising.values(theta, damping=damping)

    def ours():
        ladder = Ladder(bind(state, values, PERFECT), np.ones(ising.N), None, ROOM)
        return ladder.climb(ladder.cone(codes), threshold, 0.0, follow=False)

    theirs = _pauli_prop(codes, steps, theta, damping, threshold)
    ours()  # compile
    taken, found = {"ours": [], "peer": []}, {}
    for _ in range(1 if quick else 2):
        for who, work in (("ours", ours), ("peer", theirs)):
            begin = time.process_time()
            found[who] = work()
            taken[who].append(time.process_time() - begin)
    gap = found["ours"].value - found["peer"]
    return faster(
        NAME, case, min(taken["ours"]), min(taken["peer"]), None if quick else BAR, unit="CPU s",
        tool=f"{PEER} {version(PEER)}, one thread, Clifford gates moved to the front beforehand",
        accuracy=f"{found['ours'].value:.6f}, peer {gap:+.1e} from it",
        note=f"ours: {found['ours'].terms} strings; binding included, one threshold, no error",
    )  # fmt: skip


def _pauli_prop(codes, steps, theta, damping, threshold):
    """Return what propagates by the peer and gives the value; Clifford gates are done already."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    import pauli_prop  # noqa: PLC0415 - a peer that may be missing
    from qiskit_aer.noise import PauliLindbladError  # noqa: PLC0415

    rate = -np.log(damping) / 4  # two of three generators anticommute with each Pauli
    error = PauliLindbladError(PauliList(["X", "Y", "Z"]), [rate] * 3)
    circuit = QuantumCircuit(ising.N)
    for _ in range(steps):
        circuit.rx(theta, range(ising.N))
        for a, b in ising.EDGES:
            circuit.rzz(-np.pi / 2, a, b)
        if damping < 1:
            for q in range(ising.N):
                circuit.append(error, [q])
    clifford, rest = pauli_prop.evolve_through_cliffords(circuit)
    gates = pauli_prop.circuit_to_rotation_gates(rest)
    label = "".join("IXYZ"[c] for c in codes[::-1])

    def work():
        with warnings.catch_warnings():  # it drops imaginary parts that are 0
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            found, _ = pauli_prop.propagate_through_rotation_gates(
                SparsePauliOp(label), gates, max_terms=ROOM, atol=threshold, frame="h"
            )
        back = found.paulis.evolve(clifford, frame="h")
        signs = 1 - 2 * (back.phase // 2)
        return float(np.sum((found.coeffs.real * signs)[~back.x.any(1)]))

    return work


def _on_chip(name, steps, angles, *, quick):
    twin = whole_chip(name)
    engine = Pauli(threshold=1e-6, tolerance=TOLERANCE, threads=1)
    compiled = twin.compile(
        kicked(twin.device, steps, measured=False), measured=False, options=in_place(twin.device)
    )
    state = engine.prepare(compiled.structure)
    codes = np.zeros((1, compiled.structure.n_qubits), np.uint8)
    codes[0, compiled.structure.qubits.index(compiled.places[62])] = 3
    readout, out = np.tile([1.0, 0.0], (codes.shape[1], 1)), []
    (free,) = compiled.recipe.free
    for k in angles:
        values = compiled.bind({free: k * np.pi / 32}).values
        if not out:  # compile
            engine.estimate(state, values, codes, readout, shots=1, seed=0)
        begin = time.process_time()
        found = engine.estimate(state, values, codes, readout, shots=1, seed=0)
        taken = time.process_time() - begin
        stated = found.truncation
        met = stated <= TOLERANCE
        out.append(
            within(
                NAME, f"<Z62>, {name}, {steps} steps, theta {k} pi/32", taken,
                None if quick or not met else GOAL, unit="CPU s",
                accuracy=f"{found.values[0]:.4f} +- {stated:.4f} (tolerance {TOLERANCE})",
                note=f"at most {found.details['pauli terms']} strings, one thread"
                + ("" if met else "; tolerance missed"),
            )
        )  # fmt: skip
    return out


def _all_z(steps, *, quick):
    structure = ising.structure(steps)
    paulis = ising.codes(*(f"Z{q}" for q in range(ising.N)))
    engine = Pauli(threshold=1e-3 if quick else 1e-4, threads=1)
    state, values = engine.prepare(structure), ising.values(0.7)
    begin = time.process_time()
    found = engine.estimate(state, values, paulis, PERFECT, shots=1, seed=0)
    return within(
        NAME, f"127 <Z_q>, {steps} steps, theta 0.7, no noise", time.process_time() - begin, None,
        unit="CPU s", accuracy=f"mean {found.values.mean():.8f} (5 steps: 0.58247561), each stated "
        f"to {found.truncation:.1e}",
    )  # fmt: skip
