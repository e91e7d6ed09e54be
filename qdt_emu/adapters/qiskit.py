"""The twin inside Qiskit: a backend for existing programs, and primitives of its own.

`TwinBackend` takes the place of a processor everywhere Qiskit takes a backend: `transpile`,
`BackendSamplerV2`, `BackendEstimatorV2`, and the local mode of IBM's `SamplerV2`, `EstimatorV2`,
`Session` and `Batch`. `TwinSampler` and `TwinEstimator` do more for less: they compile a circuit
once for all its parameter sets, and the estimator contracts instead of sampling.
"""

import math
import secrets
from collections.abc import Iterable, Sequence
from itertools import count, groupby
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import (
    BaseEstimatorV2,
    BaseSamplerV2,
    BitArray,
    DataBin,
    PrimitiveJob,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2, JobStatus, JobV1
from qiskit.providers import Options as RunOptions
from qiskit.quantum_info import SparseObservable, SparsePauliOp
from qiskit.result import Result
from qiskit.transpiler import Target

from qdt_emu.circuit import Options
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.result import bitstrings
from qdt_emu.twin import Twin


class TwinJob(JobV1):  # type: ignore[misc] # Qiskit is untyped
    """A finished run: the twin answers before `run` returns."""

    def __init__(self, backend: "TwinBackend", result: Result) -> None:
        super().__init__(backend, result.job_id)
        self._result = result

    def submit(self) -> None:
        """Do nothing: the job ran when it was made."""

    def status(self) -> JobStatus:
        """Return that the job is done."""
        return JobStatus.DONE

    def result(self) -> Result:
        """Return the result."""
        return self._result


class TwinBackend(BackendV2):  # type: ignore[misc] # Qiskit is untyped
    """A twin as a Qiskit backend.

    Circuits in the device's native gates on as many qubits as it has, as `transpile` returns them,
    run as they are; any other is transpiled first.

    IBM's client-side primitives (`qiskit_ibm_runtime.executor_sampler`, `executor_estimator`) do
    not ask a local backend: they build Qiskit Aer's noise from its target, without schedule. Use
    `TwinSampler` and `TwinEstimator` in their place.

    Args:
        twin: The twin.
        engine: 'auto', 'density', 'statevector', or an engine.
        compilation: Layout, scheduling, decoupling of circuits.

    Examples:
        >>> circuit = QuantumCircuit(1)
        >>> circuit.x(0) and circuit.measure_all()
        >>> TwinBackend(Twin.ideal(1)).run(circuit, shots=5).result().get_counts()
        {'1': 5}
    """

    def __init__(
        self, twin: Twin, *, engine: Any = "auto", compilation: Options | None = None
    ) -> None:
        version = twin.device.calibration_id or "0"
        super().__init__(
            name=twin.name, description=f"Digital twin of {twin.name}", backend_version=version
        )
        self.twin = twin
        self._engine, self._compilation = engine, compilation

    def __deepcopy__(self, memo: dict[int, Any]) -> "TwinBackend":
        """Return the backend itself: IBM's local mode copies it, and a twin never changes."""
        return self

    @property
    def target(self) -> Target:
        """What the transpiler and the scheduler know about the device."""
        return self.twin.target

    @property
    def max_circuits(self) -> None:
        """No limit on the circuits of one job."""
        return

    @classmethod
    def _default_options(cls) -> RunOptions:
        return RunOptions(shots=1024, seed_simulator=None, memory=False)

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        *,
        shots: int | None = None,
        seed_simulator: int | None = None,
        memory: bool | None = None,
        meas_level: int = 2,
        **unknown: Any,
    ) -> TwinJob:
        """Return the finished job of one circuit or of several.

        Args:
            run_input: One circuit or a sequence of circuits.
            shots: Per circuit; None takes the backend's option, 1024 at first.
            seed_simulator: The first circuit uses this seed, as `twin.run` would; the others use
                independent ones that follow from it. None draws one.
            memory: Whether the result lists every shot.
            meas_level: 2; there are no other levels here.
            **unknown: Refused.

        Raises:
            InputError: An option that does not exist here, or something about a circuit.
            UnsupportedError: An operation without a model, or no engine can do it.
        """
        _refuse(unknown, meas_level)
        given = self.options
        shots = given.shots if shots is None else shots
        seed = given.seed_simulator if seed_simulator is None else seed_simulator
        memory = given.memory if memory is None else memory
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        done = [
            self._one(circuit, shots, own, memory=memory)
            for circuit, own in zip(circuits, _seeds(seed, len(circuits)), strict=True)
        ]
        result = {
            "backend_name": self.name,
            "backend_version": self.backend_version,
            "qobj_id": "",
            "job_id": uuid4().hex,
            "success": True,
            "results": done,
        }
        return TwinJob(self, Result.from_dict(result))

    def _one(
        self, circuit: QuantumCircuit, shots: int, seed: int, *, memory: bool
    ) -> dict[str, Any]:
        records = self.twin.records(
            circuit, shots=shots, seed=seed, engine=self._engine, options=self._compilation
        )
        data: dict[str, Any] = {
            "counts": {hex(int(k, 2)): n for k, n in bitstrings.tally(records).items()}
        }
        if memory:
            data["memory"] = [hex(int(k, 2)) for k in bitstrings.strings(records)]
        header = {
            "name": circuit.name,
            "memory_slots": circuit.num_clbits,
            "metadata": circuit.metadata or {},
        }
        if [bit for register in circuit.cregs for bit in register] == circuit.clbits:
            header["creg_sizes"] = [[r.name, r.size] for r in circuit.cregs]
        return {
            "success": True,
            "status": "DONE",
            "shots": shots,
            "seed_simulator": seed,
            "header": header,
            "data": data,
        }


def _refuse(unknown: dict[str, Any], meas_level: int) -> None:
    if "noise_model" in unknown:
        raise InputError(
            "`noise_model` is not an option here: a twin's noise follows from its calibration. "
            "Change it with `twin.what_if(...)`."
        )
    if unknown:
        raise InputError(
            f"The option(s) {sorted(unknown)} do not exist here; `shots`, `seed_simulator` and "
            f"`memory` do. Remove them."
        )
    if meas_level != 2:
        raise UnsupportedError(
            f"`meas_level` must be 2 (bits), but is {meas_level}: the twin has no model of the "
            f"readout signal."
        )


def _seeds(seed: int | None, amount: int) -> list[int]:
    """Return independent seeds; the first is `seed` itself."""
    first = secrets.randbits(48) if seed is None else int(seed)
    drawn = np.random.SeedSequence([first, 2]).generate_state(amount, np.uint64) >> np.uint64(1)
    return [first, *drawn[1:].tolist()][:amount]


def _bindings(pub: SamplerPub | EstimatorPub) -> list[dict[str, float]]:
    """Return one mapping from parameter names to numbers for each parameter set of a PUB."""
    names = [p.name for p in pub.circuit.parameters]
    table = pub.parameter_values.as_array(pub.circuit.parameters)
    rows = table.reshape(math.prod(table.shape[:-1]), len(names)).tolist()
    return [dict(zip(names, row, strict=True)) for row in rows]


class TwinSampler(BaseSamplerV2):  # type: ignore[misc] # Qiskit is untyped
    """Qiskit's sampler on a twin: a circuit is compiled once for all its parameter sets.

    Args:
        twin: The twin.
        default_shots: Where neither `run` nor the PUB gives a number.
        seed: Same seed, same shots; None draws a new one in each run.
        engine: 'auto', 'density', 'statevector', or an engine.
        options: Layout, scheduling, decoupling of circuits.

    Examples:
        >>> circuit = QuantumCircuit(1)
        >>> circuit.x(0) and circuit.measure_all()
        >>> TwinSampler(Twin.ideal(1)).run([circuit], shots=5).result()[0].data.meas.get_counts()
        {'1': 5}
    """

    def __init__(
        self,
        twin: Twin,
        *,
        default_shots: int = 1024,
        seed: int | None = None,
        engine: Any = "auto",
        options: Options | None = None,
    ) -> None:
        self.twin, self.default_shots, self.seed = twin, default_shots, seed
        self._settings = {"engine": engine, "options": options}

    def run(
        self, pubs: Iterable[Any], *, shots: int | None = None
    ) -> PrimitiveJob[PrimitiveResult[SamplerPubResult]]:
        """Return the job of PUBs (circuit, parameter values, shots).

        Raises:
            InputError: A circuit has no classical register.
        """
        wanted = self.default_shots if shots is None else shots
        coerced = [SamplerPub.coerce(pub, wanted) for pub in pubs]
        for pub in coerced:
            if not pub.circuit.cregs:
                raise InputError(
                    f"Circuit '{pub.circuit.name}' must have a classical register to be sampled, "
                    f"but has none. Add measurements, or use `TwinEstimator`."
                )
        job = PrimitiveJob(self._run, coerced)
        job._submit()  # noqa: SLF001 - what every Qiskit primitive does
        return job

    def _run(self, pubs: list[SamplerPub]) -> PrimitiveResult[SamplerPubResult]:
        seeds = _seeds(self.seed, len(pubs))
        results = [self._one(pub, seed) for pub, seed in zip(pubs, seeds, strict=True)]
        return PrimitiveResult(results, metadata={"version": 2})

    def _one(self, pub: SamplerPub, seed: int) -> SamplerPubResult:
        circuit, bindings = pub.circuit, _bindings(pub)
        bits = np.zeros((len(bindings), pub.shots, circuit.num_clbits), np.uint8)
        seeds = _seeds(seed, len(bindings))
        for k, (binding, own) in enumerate(zip(bindings, seeds, strict=True)):
            bits[k] = self.twin.records(
                circuit, shots=pub.shots, seed=own, binding=binding, **self._settings
            )
        shaped = bits.reshape(*pub.shape, *bits.shape[1:])
        place = {bit: k for k, bit in enumerate(circuit.clbits)}
        data = {
            register.name: BitArray.from_bool_array(
                shaped[..., [place[bit] for bit in register]], order="little"
            )
            for register in circuit.cregs
        }
        metadata = {"shots": pub.shots, "circuit_metadata": circuit.metadata, "seed": seed}
        return SamplerPubResult(DataBin(**data, shape=pub.shape), metadata=metadata)


class TwinEstimator(BaseEstimatorV2):  # type: ignore[misc] # Qiskit is untyped
    """Qiskit's estimator on a twin: values are contracted, not sampled, where the engine is exact.

    A circuit is compiled once, and all observables of a parameter set share one run.

    Args:
        twin: The twin.
        default_precision: Standard error of a Pauli string where the engine samples trajectories,
            if neither `run` nor the PUB gives one; exact engines ignore it.
        seed: For engines that sample; None draws a new one in each run.
        engine: 'auto', 'density', 'statevector', or an engine.
        options: Layout, scheduling, decoupling of circuits.
        readout: True gives what the processor would report, with misread bits; False the state's
            own values.

    Error:
        `stds` is sum_k |c_k| s_k over the terms c_k P_k with their standard errors s_k: exact for
        one term and an upper bound for several, which share their trajectories. It is 0 where the
        engine is exact.

    Examples:
        >>> circuit = QuantumCircuit(1)
        >>> _ = circuit.x(0)
        >>> float(TwinEstimator(Twin.ideal(1)).run([(circuit, "Z")]).result()[0].data.evs)
        -1.0
    """

    def __init__(
        self,
        twin: Twin,
        *,
        default_precision: float = 1 / 64,
        seed: int | None = None,
        engine: Any = "auto",
        options: Options | None = None,
        readout: bool = True,
    ) -> None:
        self.twin, self.default_precision, self.seed = twin, default_precision, seed
        self._settings = {"engine": engine, "options": options, "readout": readout}

    def run(
        self, pubs: Iterable[Any], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Return the job of PUBs (circuit, observables, parameter values, precision).

        Raises:
            InputError: A precision that is not positive.
        """
        wanted = self.default_precision if precision is None else precision
        coerced = [EstimatorPub.coerce(pub, wanted) for pub in pubs]
        for pub in coerced:
            if not pub.precision > 0:
                raise InputError(f"`precision` must be positive, but is {pub.precision}.")
        job = PrimitiveJob(self._run, coerced)
        job._submit()  # noqa: SLF001 - what every Qiskit primitive does
        return job

    def _run(self, pubs: list[EstimatorPub]) -> PrimitiveResult[PubResult]:
        seeds = _seeds(self.seed, len(pubs))
        results = [self._one(pub, seed) for pub, seed in zip(pubs, seeds, strict=True)]
        return PrimitiveResult(results, metadata={"version": 2})

    def _one(self, pub: EstimatorPub, seed: int) -> PubResult:
        bindings, seeds = _bindings(pub), _seeds(seed, pub.parameter_values.size)
        shots = math.ceil(1 / pub.precision**2)
        flat = pub.observables.ravel()
        observables = [_pauli_terms(flat[k], pub.circuit.num_qubits) for k in range(flat.size)]
        which, of = np.broadcast_arrays(
            np.arange(len(bindings)).reshape(pub.parameter_values.shape),
            np.arange(len(observables)).reshape(pub.observables.shape),
        )
        evs, stds = np.zeros(which.size), np.zeros(which.size)
        todo = sorted(zip(which.flat, of.flat, count(), strict=False))
        for k, group in groupby(todo, key=lambda entry: int(entry[0])):
            places = [(int(j), place) for _, j, place in group]
            labels = list(dict.fromkeys(x for j, _ in places for x in observables[j][0]))
            found = self.twin.estimate(
                pub.circuit,
                labels,
                seed=seeds[k],
                shots=shots,
                binding=bindings[k],
                **self._settings,
            )
            row = {label: r for r, label in enumerate(labels)}
            for j, place in places:
                names, weights = observables[j]
                rows = [row[x] for x in names]
                evs[place] = weights @ found.values[rows]
                stds[place] = np.abs(weights) @ found.stderr[rows]
        metadata = {
            "target_precision": pub.precision,
            "circuit_metadata": pub.circuit.metadata,
            "seed": seed,
        }
        data = DataBin(
            evs=evs.reshape(which.shape), stds=stds.reshape(which.shape), shape=which.shape
        )
        return PubResult(data, metadata=metadata)


def _pauli_terms(observable: Any, n_qubits: int) -> tuple[list[str], NDArray[np.float64]]:
    """Return an observable as Pauli strings and real weights; projectors become Paulis."""
    sparse = SparseObservable.from_list(list(observable.items()), num_qubits=n_qubits)
    op = SparsePauliOp.from_sparse_observable(sparse).simplify()
    return op.paulis.to_labels(), np.real(op.coeffs).astype(float)
