"""What a small circuit costs on a large processor: two qubits of 156.

Bars: 10 ms for a warm `twin.run`, 0.5 s to build the twin from its bundled snapshot.
"""

import statistics

from qiskit import QuantumCircuit, transpile

from qdt_emu import Twin
from tests.bench import peers
from tests.bench.row import absent, within
from tests.bench.workload import seconds

NAME = "fixed_cost"
FAKE = {"ibmq_lima": "FakeLimaV2", "ibm_fez": "FakeFez", "ibm_boston": "FakeBoston"}
SHOTS = 1000


def bell() -> QuantumCircuit:
    """Return two qubits, one entangler, both measured."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    names, repeats = (["ibmq_lima"], 5) if quick else (["ibm_fez", "ibm_boston"], 50)
    return [row for name in names for row in _one(name, repeats)]


def _one(name: str, repeats: int):
    Twin.load(name)  # files and code are in memory from here on
    building = statistics.median(seconds(lambda: Twin.load(name)) for _ in range(3))
    twin, circuit = Twin.load(name), bell()
    first = seconds(lambda: twin.run(circuit, shots=SHOTS, seed=1))
    warm = statistics.median(
        seconds(lambda k=k: twin.run(circuit, shots=SHOTS, seed=k)) for k in range(repeats)
    )
    run_case, build_case = f"2 qubits of {name}, {SHOTS} shots, warm", f"build {name}"
    first_note = f"twin.run; the first time, with transpilation, {first:.2g} s"
    ours = {"unit": "s", "note": first_note}
    try:
        built, ran = _aer(name)
    except ImportError as reason:
        return [
            within(NAME, run_case, warm, 0.010, **ours),
            within(NAME, build_case, building, 0.5),
            absent(NAME, run_case, "qiskit-aer", f"{reason.name} {peers.MISSING}"),
        ]
    tool = f"{peers.label('qiskit-aer')} NoiseModel.from_backend({FAKE[name]})"
    return [
        within(NAME, run_case, warm, 0.010, peer=ran, tool=tool, **ours),
        within(NAME, build_case, building, 0.5, peer=built, tool=tool, note="from its snapshot"),
    ]


def _aer(name: str) -> tuple[float, float]:
    """Return Aer's time to build the noise model and to run the transpiled circuit."""
    from qiskit_aer import AerSimulator  # noqa: PLC0415 - a peer may be missing
    from qiskit_aer.noise import NoiseModel  # noqa: PLC0415
    from qiskit_ibm_runtime import fake_provider  # noqa: PLC0415

    backend = getattr(fake_provider, FAKE[name])()
    models = []
    built = seconds(lambda: models.append(NoiseModel.from_backend(backend)))
    circuit = transpile(bell(), backend, seed_transpiler=0)
    simulator = AerSimulator(noise_model=models[0], max_parallel_threads=peers.THREADS)
    run = [seconds(lambda: simulator.run(circuit, shots=SHOTS).result()) for _ in range(3)]
    return built, statistics.median(run)
