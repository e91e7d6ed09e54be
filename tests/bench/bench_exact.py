"""Exact distributions: brick circuits on an Eagle's line, against Aer's density matrix.

Bar: 25 times faster than Aer on the same scheduled circuit with the same channels, and equal to
1e-6. The published ZZ couples neighbours all the time, which doubles the two-qubit operations;
the second case leaves it out, as Aer's own noise models do.
"""

import numpy as np
from qiskit import QuantumCircuit

from qdt_emu import Twin
from qdt_emu.engines.density import Density, probabilities
from tests.bench import peers
from tests.bench.row import absent, faster
from tests.bench.workload import brick, seconds, side_by_side

NAME = "exact"
ENOUGH = 30.0  # s; a peer that takes longer is timed once
BAR = 25.0


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    twin = Twin.load("ibmq_lima" if quick else "ibm_sherbrooke")
    twins = {"ZZ as published": twin, "no ZZ": twin.what_if(zz=0.0)}
    sizes = [(4, 4)] if quick else [(10, 10), (12, 10)]
    warm = twin.compile(brick(twin, 3, 2)).bind()  # kernels are loaded once per process
    probabilities(Density().prepare(warm.structure), warm.values)
    return [
        row
        for n, layers in sizes
        for what, twin in twins.items()
        for row in _one(
            twin,
            brick(twin, n, layers),
            f"{n} qubits x {layers} layers, {what}",
            None if quick else BAR,
        )
    ]


def _one(twin: Twin, circuit: QuantumCircuit, case: str, bar: float | None):
    engine = Density(threads=peers.THREADS)
    compiling = seconds(lambda: twin.compile(circuit))
    compiled = twin.compile(circuit)
    noisy = compiled.bind()
    preparing = seconds(lambda: engine.prepare(compiled.structure))
    state = engine.prepare(compiled.structure)

    def ours():
        return probabilities(state, compiled.bind().values, threads=peers.THREADS)

    if not peers.installed("qiskit-aer"):
        return [absent(NAME, case, "qiskit-aer", peers.MISSING)]
    truth, once, out = ours(), compiling + preparing, []
    tools = {"same scheduled circuit": peers.aer_probabilities(noisy)}
    if not np.any(twin.device.parameters.zz):
        tools["noise model and delays"] = peers.aer_by_instruction(twin, circuit)
    for way, theirs in tools.items():
        begin: dict[str, np.ndarray] = {}
        first = seconds(lambda theirs=theirs, begin=begin: begin.update(p=theirs()))
        gap = float(np.abs(peers.misread_vector(begin["p"], noisy) - truth).max())
        if first > ENOUGH:
            taken = side_by_side({"ours": ours}, 5) | {"peer": first}
        else:
            taken = side_by_side({"ours": ours, "peer": theirs}, 3)
        row = faster(
            NAME, case, taken["ours"], taken["peer"], bar,
            tool=f"{peers.label('qiskit-aer')}, {way}, {peers.settings(peers.AER_EXACT)}",
            accuracy=f"max |dp| = {gap:.1e} of p <= {truth.max():.1e}",
            note=f"once before: {compiling:.2g} s compile, {preparing:.2g} s prepare; with them "
            f"{taken['peer'] / (taken['ours'] + once):.3g}x",
        )  # fmt: skip
        out.append(row)
    return out
