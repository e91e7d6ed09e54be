"""What a user of Qiskit Aer would predict: `NoiseModel.from_backend` of the same calibration.

Aer gets its best: asymmetric readout where the calibration has it (from a modern backend Aer takes
the average), and exact mid-circuit measurement by copying the bit to a spare qubit.
"""

import copy
from types import ModuleType
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.providers import BackendV2, Options

from qdt_emu.circuit import read_circuit
from qdt_emu.circuit.braket import by_label
from qdt_emu.errors import UnsupportedError
from qdt_emu.twin import Twin

LARGEST = 12  # qubits of a density matrix, copies included: 256 MB
BRANCHING_SHOTS = 20_000
CONTROL_FLOW = frozenset({"if_else", "switch_case", "for_loop", "while_loop"})
# |control, target>: controlled on the first qubit, which Qiskit puts last in the index.
COPY = np.eye(4)[[0, 3, 2, 1]]


class Aer:
    """Aer with the noise that it reads from the calibration of a twin.

    Args:
        twin: Of the calibration.

    Raises:
        ImportError: Aer is not installed.
    """

    def __init__(self, twin: Twin) -> None:
        self._aer = _aer()
        self._twin = twin
        self._model = _model(twin)

    def run(self, circuit: Any, *, shots: int, seed: int) -> tuple[dict[str, int], str]:
        """Return counts, and how they were made.

        Args:
            circuit: In native gates on physical qubits, as it was executed.
            shots: Number of shots.
            seed: Of the sampling.

        Raises:
            UnsupportedError: The circuit is too large for an exact answer.
        """
        read = _relevant(by_label(read_circuit(circuit), self._twin.device))
        copies: dict[int, int] = {}
        if any(i.operation.name in CONTROL_FLOW for i in read.data):
            shots = min(shots, BRANCHING_SHOTS)  # bits must be known midway: shot by shot
        else:
            read, copies = _deferred(read, self._twin.n_qubits)
        used = {read.find_bit(q).index for i in read.data for q in i.qubits}
        if len(used) > LARGEST:
            more = f", {len(copies)} of them copies of bits measured midway" if copies else ""
            raise UnsupportedError(
                f"Aer's density matrix must have at most {LARGEST} qubits here, but the circuit "
                f"has {len(used)}{more}."
            )
        model = copy.deepcopy(self._model)
        _misread(model, self._twin, copies)
        simulator = self._aer.AerSimulator(
            method="density_matrix", noise_model=model, seed_simulator=seed
        )
        outcome = simulator.run(read, shots=shots).result()
        if not outcome.success:
            raise UnsupportedError(f"Aer refuses the circuit: {outcome.status}.")
        counts = {key.replace(" ", ""): int(n) for key, n in outcome.get_counts().items()}
        version = self._aer.__version__
        return counts, f"Aer {version}, density matrix of {len(used)} qubits, {shots} shots"


def _relevant(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return what can change the record: nothing after the last measurement that it could reach."""
    alive: set[Any] = set()
    kept = []
    for i in reversed(circuit.data):
        counts = bool(i.clbits) or not alive.isdisjoint(i.qubits)
        if counts and i.operation.name != "barrier":
            alive.update(i.qubits)
            kept.append(i)
    out = circuit.copy_empty_like()
    for i in reversed(kept):
        out.append(i)
    return out


def _deferred(circuit: QuantumCircuit, n_qubits: int) -> tuple[QuantumCircuit, dict[int, int]]:
    """Return the circuit with midway measurements copied to spare qubits and read at the end.

    The second value maps each spare qubit to the one it stands for. It is exact: a qubit whose
    bit was copied has lost its coherence as if it were measured, and the copy suffers no noise.
    """
    last = {q: k for k, i in enumerate(circuit.data) for q in i.qubits}
    midway = [
        k
        for k, i in enumerate(circuit.data)
        if i.operation.name == "measure" and last[i.qubits[0]] > k
    ]
    width = max(n_qubits, circuit.num_qubits)
    out = QuantumCircuit(width + len(midway), circuit.num_clbits, name=circuit.name)
    copies: dict[int, int] = {}
    at_the_end: list[tuple[int, int]] = []
    for k, i in enumerate(circuit.data):
        qubits = [circuit.find_bit(q).index for q in i.qubits]
        bits = [circuit.find_bit(c).index for c in i.clbits]
        if k in midway:
            spare = width + len(copies)
            copies[spare] = qubits[0]
            out.append(UnitaryGate(COPY, label="copy of a bit"), [qubits[0], spare])
            at_the_end.append((spare, bits[0]))
        else:
            out.append(i.operation, qubits, bits)
    for spare, bit in at_the_end:
        out.measure(spare, bit)
    return out, copies


def _model(twin: Twin) -> Any:
    """Return the noise that Aer reads from a backend, with asymmetric readout."""
    from qiskit_aer import noise  # noqa: PLC0415 - a comparison tool, not a dependency

    model = noise.NoiseModel.from_backend(_Backend(twin))
    _misread(model, twin, {q: q for q in range(twin.n_qubits)})
    return model


def _misread(model: Any, twin: Twin, places: dict[int, int]) -> None:
    """Give each of the qubits the readout of the physical one that it stands for."""
    from qiskit_aer import noise  # noqa: PLC0415 - a comparison tool, not a dependency

    assignment = np.asarray(twin.device.parameters.assignment, float)
    for q, physical in places.items():
        p01, p10 = assignment[physical].tolist()
        if np.isfinite(p01 + p10):
            error = noise.ReadoutError([[1 - p01, p01], [p10, 1 - p10]])
            model.add_readout_error(error, [q], warnings=False)


def _aer() -> ModuleType:
    try:
        import qiskit_aer  # noqa: PLC0415 - a comparison tool, not a dependency
    except ImportError as reason:
        raise ImportError(
            "Comparing with Qiskit Aer needs `qiskit-aer`. Install it with "
            "`pip install qdt-emu[bench]`."
        ) from reason
    module: ModuleType = qiskit_aer
    return module


class _Backend(BackendV2):  # type: ignore[misc]
    """The calibration as Qiskit's backends present it."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(name=twin.name)
        self._target = twin.target

    @property
    def target(self) -> Any:
        """What is known about the processor."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit."""

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        """Refuse: only what is known about it is of interest."""
        raise NotImplementedError
