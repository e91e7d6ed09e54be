"""Noisy samples of 40 qubits in a row against Aer's matrix product states and MQT YAQS.

Bars: 20 times faster than Aer and 5 times faster than YAQS, per shot at the same limit on bonds
and the same discarded weight. Seconds of processor time; the fixed cost of the peers is
subtracted, ours is not. Aer gets the same scheduled circuit with every channel in its place; YAQS
has noise after two-qubit gates only, so that it is compared on a circuit with nothing else:
merged gates, each followed by relaxation of its two qubits, which YAQS applies to first order
(one jump at most).

With ZZ as published there are two lines: one without a coupler between qubits that are not
neighbours on it, and one that runs next to itself, where ZZ joins two qubits 19 sites apart. Aer
swaps them together and back.
"""

import time

from qdt_emu.circuit import NoisyCircuit
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.engines.mps import MPS
from tests.bench import peers_network as peers
from tests.bench.bench_sampling import distance, floor
from tests.bench.row import absent, faster
from tests.bench.workload import brick, line, whole_chip

NAME = "mps"
THRESHOLD = 1e-10  # discarded weight of one truncation
GATE, T1, T2 = 533e-9, 278e-6, 170e-6  # s, medians of the snapshot
BARS = {"qiskit-aer": 20.0, "mqt-yaqs": 5.0}


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    n, layers, shots = (6, 3, 50) if quick else (40, 10, 200)
    # Without ZZ a bond of 32 cuts nothing, and with it on an induced line hardly anything.
    settings = [(False, False, 32), (True, True, 32), (True, False, 16), (True, False, 32)]
    if quick:
        settings = [(False, False, 4), (True, True, 4)]
    out = []
    for zz, induced, bond in settings:
        noisy = scheduled(n, layers, zz=zz, induced=induced)
        noise = ("ZZ, induced line" if induced else "ZZ, line next to itself") if zz else "no ZZ"
        case = f"{n} qubits x {layers} layers, {noise}, bond {bond}, per shot of {shots}"
        out.append(_row(case, "qiskit-aer", peers.aer_mps, noisy, bond, shots, quick))
    common = peers.after_gates(scheduled(n, layers, zz=False), GATE, T1, T2)
    bond = settings[0][2]
    case = f"{n} qubits x {layers} layers, noise after gates, bond {bond}, per shot of {shots}"
    out.append(_row(case, "mqt-yaqs", peers.yaqs, common, bond, shots, quick))
    return out if quick else [*out, _accuracy()]


def scheduled(n: int, layers: int, *, zz: bool, induced: bool = False) -> NoisyCircuit:
    """Return the noisy brick circuit with its qubits in the order of the line."""
    twin = whole_chip("ibm_sherbrooke", zz=zz)
    noisy = twin.compile(brick(twin, n, layers, induced=induced)).bind()
    return peers.reordered(noisy, line(twin.device, n, induced=induced))


def ours(noisy: NoisyCircuit, bond: int, shots: int, seed: int):
    """Return the records of the `mps` engine, preparation included."""
    engine = MPS(max_bond=bond, cutoff=THRESHOLD)
    state = engine.prepare(noisy.structure)
    return engine.sample(state, noisy.values, shots=shots, seed=seed)


def _row(case, package, peer, noisy, bond, shots, quick):
    if not peers.installed(package):
        return absent(NAME, case, package, peers.MISSING)
    ours(noisy, bond, 2, 0)  # compile
    begin = time.process_time()
    records = ours(noisy, bond, shots, 1)
    mine = (time.process_time() - begin) / shots
    draw = peer(noisy, bond=bond, threshold=THRESHOLD)
    theirs = peers.per_shot(draw, 1, 2 if quick else 4, time.process_time)
    return faster(
        NAME, case, mine, theirs, None if quick else BARS[package], unit="CPU s",
        tool=f"{peers.label(package)}, same bond, discarded weight {THRESHOLD:g}",
        note=f"ours with preparation; peer's fixed cost subtracted; truncation stated "
        f"{records.truncation:.1e}",
    )  # fmt: skip


def _accuracy(n: int = 8, layers: int = 10, shots: int = 4000):
    """Both against the exact distribution, without a cut."""
    noisy = scheduled(n, layers, zz=False)
    truth = probabilities(Density().prepare(noisy.structure), noisy.values)
    mine = distance(ours(noisy, 16, shots, 3).bits, truth)
    case = f"accuracy, {n} qubits x {layers} layers, {shots} shots"
    if not peers.installed("qiskit-aer"):
        return absent(NAME, case, "qiskit-aer", peers.MISSING)
    theirs = distance(peers.aer_mps(noisy, bond=16, threshold=THRESHOLD)(shots // 4, 3), truth)
    text = f"TVD to exact; expected of perfect samples: {floor(truth, shots):.4f}, of a quarter "
    return faster(
        NAME, case, mine, theirs, None, unit="TVD", tool=peers.label("qiskit-aer"),
        accuracy=text + f"{floor(truth, shots // 4):.4f}", note=f"peer {shots // 4} shots",
    )  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(row)
