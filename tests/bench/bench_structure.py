"""A thousand parameter sets of one circuit: compiled once, bound a thousand times.

Bar: one compilation. Aer is timed on fewer sets, with its own way for many (`parameter_binds`).
"""

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qdt_emu import Options, Twin
from qdt_emu.adapters.aer import to_noise_model
from tests.bench import peers
from tests.bench.row import absent, within
from tests.bench.workload import line, seconds

NAME = "structure"
PEER_SETS = 5


def ansatz(n: int, layers: int) -> QuantumCircuit:
    """Return turns about y by free angles, and entanglers, layer after layer."""
    angles = ParameterVector("a", n * layers)
    circuit = QuantumCircuit(n)
    for k, angle in enumerate(angles):
        circuit.ry(angle, k % n)
        if k % n == n - 1:
            for q in range(n - 1):
                circuit.cx(q, q + 1)
    return circuit


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    name, n, layers, sets = ("ibmq_lima", 3, 1, 20) if quick else ("ibm_sherbrooke", 6, 2, 1000)
    twin, circuit = Twin.load(name), ansatz(n, layers)
    options = Options(layout=line(twin.device, n))
    table = np.random.default_rng(1).uniform(-np.pi, np.pi, (sets, n * layers))
    energy = [("I" * (n - 2 - k) + "ZZ" + "I" * k) for k in range(n - 1)]
    twin.estimate(ansatz(2, 1).assign_parameters([0.1, 0.2]), ["ZZ"])  # loads the kernels
    compilations = []

    def ours():
        for row in table:
            found = twin.estimate(
                circuit, energy, seed=1, options=options, binding=_named(circuit, row)
            )
            compilations.append(found.report.details["compilations"])

    total = seconds(ours)
    case = f"{name}, {sets} sets of {n * layers} angles, {n} qubits, {n - 1} Pauli strings"
    count = within(
        NAME, f"compilations: {case}", float(sum(compilations)), 1.0, unit="compilations"
    )
    each = {"unit": "s per set", "note": f"twin.estimate, {total:.3g} s in all"}
    if not peers.installed("qiskit-aer"):
        missing = absent(NAME, case, "qiskit-aer", peers.MISSING)
        return [count, within(NAME, case, total / sets, None, **each), missing]
    peer, gap = _aer(twin.what_if(zz=0.0), circuit, options, energy, table[:PEER_SETS])
    tool = f"{peers.label('qiskit-aer')} density_matrix, parameter_binds, {PEER_SETS} sets"
    each["accuracy"] = f"without ZZ and misreading, sums equal to {gap:.1e}"
    return [count, within(NAME, case, total / sets, None, peer=peer, tool=tool, **each)]


def _aer(twin: Twin, circuit: QuantumCircuit, options: Options, energy, table):
    """Return Aer's time per set, and its largest difference to the twin on the same circuit."""
    from qiskit_aer import AerSimulator  # noqa: PLC0415 - a peer may be missing

    native = transpile(
        circuit, target=twin.target, initial_layout=options.layout, scheduling_method="alap",
        seed_transpiler=0, optimization_level=2,
    )  # fmt: skip
    places = native.layout.final_index_layout()
    saving = native.copy()
    saving.save_expectation_value(SparsePauliOp(energy), places)
    simulator = AerSimulator(noise_model=to_noise_model(twin.device), **peers.AER_EXACT)
    binds = [{p: table[:, k].tolist() for k, p in enumerate(circuit.parameters)}]
    done: list[list[float]] = []

    def run():
        result = simulator.run(saving, parameter_binds=binds, shots=1).result()
        done.append([result.data(k)["expectation_value"] for k in range(len(table))])

    taken = seconds(run)
    wide = SparsePauliOp(energy).apply_layout(native.layout)
    ours = [
        twin.estimate(native, wide, readout=False, binding=_named(circuit, row)).values.sum()
        for row in table
    ]
    return taken / len(table), float(np.abs(np.subtract(done[0], ours)).max())


def _named(circuit: QuantumCircuit, row) -> dict[str, float]:
    return dict(zip((p.name for p in circuit.parameters), row.tolist(), strict=True))
