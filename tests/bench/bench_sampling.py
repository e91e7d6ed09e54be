"""Samples of circuits too wide for a density matrix, against Aer's statevector and qsim.

Bars: 20 qubits x 10 brick layers, per shot of 1000, 100 times faster than Aer and 3 times faster
than qsim. The peers are timed on fewer shots; their fixed cost is subtracted, ours is not.
"""

import numpy as np

from qdt_emu import Twin
from qdt_emu.engines.density import Density, probabilities
from tests.bench import peers
from tests.bench.row import absent, faster
from tests.bench.workload import brick, seconds, side_by_side

NAME = "sampling"
PEERS = {"qiskit-aer": (peers.aer_shots, 100.0), "qsimcirq": (peers.qsim_shots, 3.0)}


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    twin = Twin.load("ibmq_lima" if quick else "ibm_sherbrooke")
    n, layers, shots = (4, 3, 100) if quick else (20, 10, 1000)
    some = {"qiskit-aer": (2, 6), "qsimcirq": (4, 24)}
    twin.records(brick(twin, 3, 2), shots=8, seed=1, engine="statevector")
    out = _speed(twin, n, layers, shots, some)
    return out + _accuracy(twin, *((4, 2, 200) if quick else (8, 10, 20_000)))


def _speed(twin: Twin, n: int, layers: int, shots: int, some: dict[str, tuple[int, int]]):
    case = f"{n} qubits x {layers} layers, per shot of {shots}"
    circuit = brick(twin, n, layers)
    first = seconds(lambda: _ours(twin, circuit, shots, 1))
    noisy, out = twin.compile(circuit).bind(), []
    for package, (draws, bar) in PEERS.items():
        if not peers.installed(package):
            out.append(absent(NAME, case, package, peers.MISSING))
            continue
        draw, (few, more) = draws(noisy), some[package]
        taken = side_by_side(
            {
                "ours": lambda: _ours(twin, circuit, shots, 2),
                "few": lambda draw=draw, few=few: draw(few, 1),
                "more": lambda draw=draw, more=more: draw(more, 2),
            },
            3,
        )
        peer = (taken["more"] - taken["few"]) / (more - few)
        options = peers.AER_SHOTS if package == "qiskit-aer" else peers.QSIM
        row = faster(
            NAME, case, taken["ours"] / shots, peer, None if shots < 1000 else bar,
            tool=f"{peers.label(package)}, {peers.settings(options)}",
            note=f"twin.records whole, {taken['ours']:.3g} s; the first time {first:.3g} s; peer "
            f"timed on {more} - {few} shots",
        )  # fmt: skip
        out.append(row)
    return out


def _ours(twin: Twin, circuit, shots: int, seed: int):
    return twin.records(circuit, shots=shots, seed=seed, engine="statevector")


def distance(bits, truth) -> float:
    """Return the total variation distance of sampled bits to a distribution."""
    index = bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))
    return float(np.abs(np.bincount(index, minlength=len(truth)) / len(bits) - truth).sum() / 2)


def floor(truth, shots: int) -> float:
    """Return the expected distance of perfect samples, in the normal limit (rare outcomes less)."""
    return float(np.sqrt(truth * (1 - truth)).sum() / np.sqrt(2 * np.pi * shots))


def _accuracy(twin: Twin, n: int, layers: int, shots: int):
    circuit = brick(twin, n, layers)
    noisy = twin.compile(circuit).bind()
    truth = probabilities(Density().prepare(noisy.structure), noisy.values)
    case = f"accuracy, {n} qubits x {layers} layers, {shots} shots"
    mine = distance(_ours(twin, circuit, shots, 3), truth)
    perfect = np.random.default_rng(1).multinomial(shots, truth / truth.sum(), 20) / shots
    expected = float(np.abs(perfect - truth).sum(axis=1).mean() / 2)
    out = []
    for package, (draws, _) in PEERS.items():
        if not peers.installed(package):
            out.append(absent(NAME, case, package, peers.MISSING))
            continue
        theirs = distance(draws(noisy)(shots, 3), truth)
        text = f"TVD to exact; perfect samples: {expected:.4f}"
        row = faster(NAME, case, mine, theirs, None, unit="TVD", tool=package, accuracy=text)
        out.append(row)
    return out
