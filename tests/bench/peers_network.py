"""Tensor-network peers with the settings that suit them best: quimb, Aer's MPS, MQT YAQS.

All are timed in seconds of processor time. quimb is fastest with one BLAS thread (two make its
small factorisations four times slower); Aer's `matrix_product_state` gained nothing from
`max_parallel_shots`, `mps_lapack` or `mps_sample_measure_algorithm`; YAQS takes merged two-qubit
gates, so that it factorises once per gate.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from threadpoolctl import threadpool_limits

from qdt_emu.adapters.aer import readout_for_aer, scheduled_for_aer
from qdt_emu.circuit import Kind, NoisyCircuit, Operation
from tests.bench.peers import Draw
from tests.engines import kicked_ising as ising

Array = NDArray[np.complex128]

MODULES = {"quimb": "quimb", "qiskit-aer": "qiskit_aer", "mqt-yaqs": "mqt.yaqs"}
MISSING = "not installed; pip install qdt-emu[bench]"
AER = {
    "method": "matrix_product_state",
    "max_parallel_threads": 2,
    # Aer 0.18 estimates its memory as if no bond were limited, and refuses. With a high allowance
    # and shots in parallel it returns no data at all.
    "max_memory_mb": 1 << 33,
    "max_parallel_shots": 1,
}


def installed(package: str) -> bool:
    """Return whether a peer is there."""
    try:
        return find_spec(MODULES[package]) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def label(package: str) -> str:
    """Return a peer's name and version."""
    return f"{package} {version(package)}" if installed(package) else package


def quimb_z(
    steps: int,
    theta: float,
    bond: int,
    qubit: int = 62,
    *,
    blas_threads: int = 1,
    **options: Any,
) -> float:
    """Return <Z> of the 127-qubit kicked Ising circuit by quimb's simple update.

    Args:
        steps: RX on all qubits, RZZ(-pi/2) on all couplers.
        theta: Angle of RX.
        bond: Largest bond dimension.
        qubit: Where Z is.
        blas_threads: As many as cores is what a user gets who sets nothing.
        options: Of `CircuitPEPSSimpleUpdate`; `dtype='complex64', cutoff=1e-6` is as fast.
    """
    from quimb.tensor import CircuitPEPSSimpleUpdate  # noqa: PLC0415 - 0.8 s

    with threadpool_limits(limits=blas_threads, user_api="blas"):
        given = {"max_bond": bond, "gate_opts": {"method": "svd:eig"}} | options
        circuit = CircuitPEPSSimpleUpdate(edges=ising.EDGES, **given)
        kick, couple = ising.rx(theta), ising.rzz(-np.pi / 2)
        for _ in range(steps):
            for q in range(ising.N):
                circuit.apply_gate_raw(kick, (q,))
            for edge in ising.EDGES:
                circuit.apply_gate_raw(couple, edge)
        return float(np.real(circuit.local_expectation(np.diag([1.0, -1.0]), qubit)))


def reordered(noisy: NoisyCircuit, order: tuple[int, ...]) -> NoisyCircuit:
    """Return the same circuit with its local qubits in the given order of physical qubits.

    Aer and YAQS keep a state on a line in the order of the qubits' numbers.
    """
    s, v = noisy.structure, noisy.values
    place = {q: k for k, q in enumerate(order)}
    new = [place[q] for q in s.qubits]
    ops = tuple(replace(op, qubits=tuple(new[q] for q in op.qubits)) for op in s.operations)
    excited = np.empty_like(v.excited)
    excited[new] = v.excited
    return NoisyCircuit(
        replace(s, operations=ops, qubits=tuple(order)), replace(v, excited=excited)
    )


def aer_mps(noisy: NoisyCircuit, *, bond: int, threshold: float) -> Draw:
    """Return a function that draws bits with Aer's matrix product states.

    Args:
        noisy: The scheduled circuit, qubits along a line in ascending order.
        bond: Largest bond dimension.
        threshold: Largest discarded weight of a truncation.
    """
    from qiskit_aer import AerSimulator  # noqa: PLC0415

    circuit = scheduled_for_aer(noisy)
    cut = {
        "matrix_product_state_max_bond_dimension": bond,
        "matrix_product_state_truncation_threshold": threshold,
    }
    simulator = AerSimulator(**AER, **cut, noise_model=readout_for_aer(noisy))

    def draw(shots: int, seed: int) -> NDArray[np.uint8]:
        result = simulator.run(circuit, shots=shots, seed_simulator=seed, memory=True).result()
        if not result.success:
            raise RuntimeError(f"Aer failed: {result.status}")
        words = result.get_memory()
        return np.array([[int(b) for b in reversed(word)] for word in words], np.uint8)

    return draw


def after_gates(noisy: NoisyCircuit, time: float, t1: float, t2: float) -> NoisyCircuit:
    """Return the ideal gates, merged to one per coupler, each followed by relaxation of its qubits.

    This noise YAQS can express: it has none after single-qubit gates, none in idle times and none
    in readout. Each two-qubit gate takes `time`; all qubits have the same T1 and T2.
    """
    s, v = noisy.structure, noisy.values
    pending = [np.eye(2, dtype=complex) for _ in range(s.n_qubits)]
    ops: list[Operation] = []
    merged: list[Array] = []
    for op in s.operations:
        if op.kind is not Kind.UNITARY or op.mechanism != "ideal":
            continue
        if len(op.qubits) == 1:
            q = op.qubits[0]
            pending[q] = v.unitaries1[op.slot] @ pending[q]
            continue
        a, b = op.qubits
        ops.append(Operation(Kind.UNITARY, op.qubits, len(merged)))
        merged.append(v.unitaries2[op.slot] @ np.kron(pending[a], pending[b]))
        pending[a] = pending[b] = np.eye(2, dtype=complex)
        ops += [Operation(Kind.RELAXATION, (q,), 0, mechanism="relaxation") for q in (a, b)]
    ops += [Operation(Kind.UNITARY, (q,), q) for q in range(s.n_qubits)]
    ops += [Operation(Kind.MEASURE, (q,), 0, q, mechanism="readout") for q in range(s.n_qubits)]
    values = replace(
        type(v).empty(s.n_qubits),
        unitaries1=np.stack(pending),
        unitaries2=np.stack(merged),
        relaxation=np.array([[np.exp(-time / t1), np.exp(-time / t2), 0.0]]),
        confusion=np.zeros((1, 2)),
    )
    return NoisyCircuit(
        replace(s, operations=tuple(ops), n_clbits=s.n_qubits, paired_readout=()), values
    )


def yaqs(noisy: NoisyCircuit, *, bond: int, threshold: float) -> Draw:
    """Return a function that draws bits with YAQS' tensor jumps, a trajectory for each.

    Args:
        noisy: Of `after_gates`; its relaxation becomes the rates of a lowering operator and of a
            dephasing operator after every two-qubit gate, T1 and T2 being the same.
        bond: Largest bond dimension.
        threshold: Largest discarded weight of a truncation.
    """
    from mqt.yaqs import DigitalSimParams, NoiseModel, Simulator, State  # noqa: PLC0415

    s, v = noisy.structure, noisy.values
    circuit = QuantumCircuit(s.n_qubits)
    for op in s.operations:
        if op.kind is Kind.UNITARY:
            table = v.unitaries1 if len(op.qubits) == 1 else v.unitaries2
            circuit.append(UnitaryGate(_turned(table[op.slot])), list(op.qubits))
    lowering, coherence = (-np.log(x) for x in v.relaxation[0, :2])
    rates = {"lowering": lowering, "pauli_z": (coherence - lowering / 2) / 2}
    noise = NoiseModel(
        [
            {"name": name, "sites": [q], "strength": float(rate)}
            for q in range(s.n_qubits)
            for name, rate in rates.items()
        ]
    )
    simulator = Simulator(parallel=False, show_progress=False)

    def draw(shots: int, seed: int) -> NDArray[np.uint8]:
        np.random.seed(seed)  # noqa: NPY002 - its readout draws from the global generator
        settings = DigitalSimParams(
            shots=shots, max_bond_dim=bond, svd_threshold=threshold, random_seed=seed
        )
        start = State(s.n_qubits, initial="zeros")
        counts = simulator.run(start, circuit, settings, noise).counts
        words = [word for word, times in counts.items() for _ in range(times)]
        return np.array([[word >> q & 1 for q in range(s.n_qubits)] for word in words], np.uint8)

    return draw


def _turned(unitary: Array) -> Array:
    """Return a matrix with its first qubit least significant, as in Qiskit."""
    if len(unitary) == 2:
        return unitary
    return unitary.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)


def per_shot(draw: Draw, few: int, more: int, clock: Callable[[], float]) -> float:
    """Return the seconds for one more shot; the fixed cost drops out."""
    taken = []
    for shots in (few, more):
        begin = clock()
        draw(shots, shots)
        taken.append(clock() - begin)
    return (taken[1] - taken[0]) / (more - few)
