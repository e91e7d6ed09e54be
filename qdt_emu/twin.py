"""The twin: one façade over the stages. It holds a device and delegates; no physics here."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qdt_emu.calibrations import Calibration, read_calibration
from qdt_emu.circuit.compile import (
    Compiled,
    Options,
    compile_circuit,
    fingerprint,
)
from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import NoisyCircuit, measured_qubits
from qdt_emu.circuit.observables import pauli_codes, pauli_labels, readout_map, resting_factor
from qdt_emu.circuit.read import is_text, read_circuit
from qdt_emu.device import Device, Note, Policy, build, ideal, what_if
from qdt_emu.device.target import to_target
from qdt_emu.engines.forecast import Forecast, forecast_samples, forecast_values
from qdt_emu.engines.run import estimate, sample
from qdt_emu.engines.run_parts import Account, Limits
from qdt_emu.errors import InputError
from qdt_emu.learning.drift import Drift, aged, extended, strength
from qdt_emu.learning.fit import fit
from qdt_emu.learning.model import Width
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.predict import Prediction, predict
from qdt_emu.learning.prior import DEFAULT, learnable, prior
from qdt_emu.learning.terms import Outcomes
from qdt_emu.result import Budget, Counts, Estimate, Provenance, Report
from qdt_emu.validation import Verdict, compare
from qdt_emu.validation.explanation import Explanation, explain, needs_record
from qdt_emu.validation.self_check import Check, self_check

KEEP_COMPILED = 256


@dataclass(frozen=True)
class _Strings:
    """Pauli strings on a compiled circuit.

    Attributes:
        compiled: The circuit.
        noisy: With its numbers.
        codes: Strings on the active qubits, shape (m, n_active).
        gain: Readout map of the active qubits, shape (n_active, 2).
        resting: Factor of the qubits that no gate touches, shape (m,).
    """

    compiled: Compiled
    noisy: NoisyCircuit
    codes: np.ndarray
    gain: np.ndarray
    resting: np.ndarray


@dataclass(frozen=True, eq=False)
class Twin:
    r"""A digital twin of one processor.

    Attributes:
        device: The model.
        calibration: What it was built from; None for an ideal twin.
        posterior: What was learned from counts; None for a twin of the calibration alone.

    Examples:
        >>> twin = Twin.ideal(2)
        >>> bell = "OPENQASM 2.0; include \"qelib1.inc\"; qreg q[2]; creg c[2];"
        >>> bell += "h q[0]; cx q[0],q[1]; measure q -> c;"
        >>> sorted(twin.run(bell, shots=100, seed=1).counts)
        ['00', '11']
    """

    device: Device
    calibration: Calibration | None = None
    posterior: Posterior | None = None
    _compiled: "OrderedDict[Any, Compiled]" = field(default_factory=OrderedDict, repr=False)
    _target: Target | None = field(default=None, repr=False)

    @classmethod
    def load(cls, source: Any, *, policy: Policy | None = None) -> Self:
        """Return the twin of a processor.

        Args:
            source: Name of a bundled snapshot ('ibm_sherbrooke'), path of a vendor file or `.nc`
                file, a Qiskit backend, a `Calibration` or a `Device`.
            policy: How gaps and contradictions of the calibration are treated.

        Raises:
            CalibrationError: The file is broken; with all its faults.
            InputError: There is no such snapshot or file.
        """
        if isinstance(source, Device):
            return cls(source)
        calibration = source if isinstance(source, Calibration) else read_calibration(source)
        return cls(build(calibration, policy), calibration)

    @classmethod
    def ideal(cls, n_qubits: int, edges: Sequence[tuple[int, int]] | None = None) -> Self:
        """Return a noiseless twin; `edges` restricts which qubits are coupled."""
        return cls(ideal(n_qubits, list(edges) if edges is not None else None))

    @property
    def name(self) -> str:
        """Name of the processor."""
        return self.device.name

    @property
    def n_qubits(self) -> int:
        """Number of qubits of the processor."""
        return self.device.n_qubits

    @cached_property
    def target(self) -> Target:
        """The device as Qiskit's transpiler sees it."""
        return self._target or to_target(self.device)

    def what_if(self, **changes: Any) -> "Twin":
        """Return a twin with some numbers replaced, see `device.what_if`.

        Circuits keep their layout: Qiskit still sees the errors of this twin, so that only the
        change makes a difference. `Twin.load(twin.device)` lets it choose anew.
        """
        changed = what_if(self.device, **changes)
        return type(self)(changed, self.calibration, _target=self.target)

    def compile(
        self, circuit: Any, *, measured: bool = True, options: Options | None = None
    ) -> Compiled:
        """Return a circuit transpiled, scheduled and given its noise; repeated calls are free.

        Args:
            circuit: A `QuantumCircuit`, OpenQASM text or a path.
            measured: True for counts, False for observables of the final state.
            options: Layout, scheduling, decoupling.
        """
        options = options or Options()
        # Text is its own identity; a file or a circuit object may have changed meanwhile.
        text = circuit if isinstance(circuit, str) and is_text(circuit) else None
        read = read_circuit(circuit) if text is None else None
        key = (text if read is None else fingerprint(read), measured, options)
        if key in self._compiled:
            self._compiled.move_to_end(key)
            return self._compiled[key]
        if read is None:
            read = read_circuit(circuit)
        found = compile_circuit(read, self.device, self.target, options, measured=measured)
        self._compiled[key] = found
        while len(self._compiled) > KEEP_COMPILED:
            self._compiled.popitem(last=False)
        return found

    def run(
        self,
        circuit: Any,
        *,
        shots: int = 1024,
        seed: int | None = None,
        engine: Any = "auto",
        binding: Mapping[str, float] | None = None,
        options: Options | None = None,
        memory: int | None = None,
        seconds: float | None = None,
        tolerance: float | None = None,
    ) -> Counts:
        """Return counts as the processor would give them.

        Args:
            circuit: A `QuantumCircuit`, OpenQASM 2 or 3 text, or a path. One in native gates on
                as many qubits as the device (or with hardware qubits) runs as it is; any other is
                transpiled.
            shots: Number of shots.
            seed: Same seed, same counts; None draws one, which the result records.
            engine: 'auto', the name of one in `engines.run.ENGINES`, or an engine.
            binding: Numbers for the circuit's free parameters.
            options: Layout, scheduling, decoupling.
            memory: Limit in bytes; None is 70 % of the free memory.
            seconds: Limit of the predicted time; None is any.
            tolerance: Largest distance from the exact distribution that cuts may cause; None takes
                the best that is sensible and states its bound.

        Raises:
            InputError: Something about the circuit or an argument, with the remedy.
            UnsupportedError: An operation without a model, or no engine can do it within the
                limits.
        """
        limits = Limits(memory, seconds, tolerance)
        bits, compiled, account, provenance = self._sample(
            circuit, shots, seed, engine, binding, options, limits
        )
        return Counts.from_bits(
            bits,
            self._report(account, compiled),
            provenance,
            truncation=account.truncation,
            registers=compiled.registers,
        )

    def records(
        self,
        circuit: Any,
        *,
        shots: int = 1024,
        seed: int | None = None,
        engine: Any = "auto",
        binding: Mapping[str, float] | None = None,
        options: Options | None = None,
    ) -> np.ndarray:
        """Return the single shots, shape (shots, n_clbits), uint8; bit c in column c."""
        return self._sample(circuit, shots, seed, engine, binding, options, Limits())[0]

    def _sample(
        self,
        circuit: Any,
        shots: int,
        seed: int | None,
        engine: Any,
        binding: Mapping[str, float] | None,
        options: Options | None,
        limits: Limits,
    ) -> tuple[np.ndarray, Compiled, Account, Provenance]:
        seed = _seed(seed)
        compiled = self.compile(circuit, options=options)
        noisy = compiled.bind(binding, device=self._job(seed))
        bits, account = sample(noisy, shots=shots, seed=seed, engine=engine, limits=limits)
        return bits, compiled, account, self._provenance(noisy.id, circuit, compiled, seed)

    def estimate(
        self,
        circuit: Any,
        paulis: Sequence[str] | SparsePauliOp,
        *,
        seed: int | None = None,
        engine: Any = "auto",
        shots: int | None = None,
        binding: Mapping[str, float] | None = None,
        options: Options | None = None,
        readout: bool = True,
        memory: int | None = None,
        seconds: float | None = None,
        tolerance: float | None = None,
    ) -> Estimate:
        """Return expectation values of Pauli strings at the end of the circuit.

        Args:
            circuit: As in `run`; measurements at its end are removed.
            paulis: Strings with one letter per qubit of the circuit, leftmost = highest qubit.
            seed: For engines that sample trajectories.
            engine: 'auto', the name of one in `engines.run.ENGINES`, or an engine.
            shots: Number of trajectories for engines that sample; None is 4096, or what the
                tolerance takes.
            binding: Numbers for the circuit's free parameters.
            options: Layout, scheduling, decoupling.
            readout: True gives what the processor would report, with misread bits; False the
                state's own values.
            memory: Limit in bytes; None is 70 % of the free memory.
            seconds: Limit of the predicted time; None is any.
            tolerance: Largest stated error of a value that is accepted: the bound on cuts plus two
                standard errors. None takes the best answer that is sensible and states its error.

        Returns:
            Values with their standard errors; those of a `SparsePauliOp` in the order of its terms,
            without its coefficients.

        Raises:
            UnsupportedError: No engine can do it within the limits; with the best bound there is.
        """
        labels, trajectories, seed = pauli_labels(paulis), _trajectories(shots), _seed(seed)
        asked = self._strings(circuit, labels, seed, binding, options, readout=readout)
        values, stderr, account = estimate(
            asked.noisy,
            asked.codes,
            asked.gain,
            shots=trajectories,
            seed=seed,
            engine=engine,
            limits=Limits(memory, seconds, tolerance),
        )
        values, compiled = values * asked.resting, asked.compiled
        budgets = tuple(
            Budget(trajectories=float(s), truncation=b, of=f"<{p}>")
            for p, s, b in zip(labels, stderr, account.bounds, strict=True)
        )
        return Estimate(
            tuple(labels),
            values,
            stderr,
            budgets,
            self._report(account, compiled),
            self._provenance(asked.noisy.id, circuit, compiled, seed),
            account.shots if stderr.any() else 0,
        )

    def plan(
        self,
        circuit: Any,
        paulis: Sequence[str] | SparsePauliOp | None = None,
        *,
        shots: int | None = None,
        seed: int = 0,
        engine: Any = "auto",
        binding: Mapping[str, float] | None = None,
        options: Options | None = None,
        readout: bool = True,
        memory: int | None = None,
        seconds: float | None = None,
        tolerance: float | None = None,
    ) -> Forecast:
        """Return what `run`, or `estimate` of some Pauli strings, would cost with every engine.

        Nothing is answered, but pilot runs of a few seconds in all may take place; a run with the
        same arguments does not repeat them.

        Args:
            circuit: As in `run`.
            paulis: As in `estimate`; None asks about counts.
            shots: As in `run` or `estimate`; None is 1024 shots, or 4096 trajectories.
            seed: As in `run`; parameters that change from job to job are drawn with it.
            engine: As in `run`.
            binding: Numbers for the circuit's free parameters.
            options: Layout, scheduling, decoupling.
            readout: As in `estimate`.
            memory: Limit in bytes; None is 70 % of the free memory.
            seconds: Limit of the predicted time; None is any.
            tolerance: As in `run` or `estimate`.
        """
        limits = Limits(memory, seconds, tolerance)
        if paulis is None:
            compiled = self.compile(circuit, options=options)
            noisy = compiled.bind(binding, device=self._job(_seed(seed)))
            return forecast_samples(noisy, shots=shots or 1024, engine=engine, limits=limits)
        labels = pauli_labels(paulis)
        asked = self._strings(circuit, labels, _seed(seed), binding, options, readout=readout)
        return forecast_values(
            *(asked.noisy, asked.codes, asked.gain),
            shots=_trajectories(shots),
            engine=engine,
            limits=limits,
        )

    def _strings(
        self,
        circuit: Any,
        labels: list[str],
        seed: int,
        binding: Mapping[str, float] | None,
        options: Options | None,
        *,
        readout: bool,
    ) -> "_Strings":
        """Return Pauli strings on a circuit's active qubits, ready for an engine."""
        compiled = self.compile(circuit, measured=False, options=options)
        device = self._job(seed)
        codes, full = pauli_codes(labels, compiled, len(compiled.places))
        gain = np.tile([1.0, 0.0], (device.n_qubits, 1))
        if readout:
            gain = readout_map(device, np.any(full, axis=0))
        return _Strings(
            compiled,
            compiled.bind(binding, device=device),
            codes,
            gain[list(compiled.structure.qubits)],
            resting_factor(full, compiled, gain, device),
        )

    def check(self) -> Check:
        """Return how well the twin reproduces its calibration, see `validation.self_check`.

        Raises:
            InputError: The twin was not built from a calibration.
        """
        if self.calibration is None:
            raise InputError(f"'{self.name}' has no calibration to check against.")
        return self_check(self.device, self.calibration, self.target)

    def explain(
        self,
        circuit: Any,
        figure: str = "fidelity",
        *,
        binding: Mapping[str, float] | None = None,
        options: Options | None = None,
    ) -> Explanation:
        """Return how much of a figure's loss is due to each mechanism, qubit and coupler.

        Args:
            circuit: As in `run`.
            figure: 'fidelity' of the final state with the ideal one, a Pauli string (leftmost =
                highest qubit), or a bit string: the probability to read it.
            binding: Numbers for the circuit's free parameters.
            options: Layout, scheduling, decoupling.
        """
        compiled = self.compile(circuit, measured=needs_record(figure), options=options)
        return explain(compiled, compiled.bind(binding), figure, len(compiled.places))

    def fit(
        self,
        measured: Iterable[tuple[Any, Mapping[str, int]]],
        *,
        learn: Sequence[str] = DEFAULT,
        widths: Mapping[str, Width] | None = None,
        options: Options | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
    ) -> "Twin":
        """Return the twin that measured counts teach, with its `posterior`.

        The calibration is the centre of the prior. The new twin is at the most probable
        parameters; `predict` takes their uncertainty into account, `posterior.report()` says what
        was learned and what the counts do not tell.

        Args:
            measured: Circuits that ran on the processor, each with its counts (leftmost character
                = highest classical bit); at most 16 bits, and within reach of the exact engine.
            learn: Kinds of parameters, see `learning.prior.WIDTHS`.
            widths: Prior widths that replace the default ones.
            options: Layout, scheduling, decoupling of all circuits.
            progress: Show a progress bar.
            checkpoint: File to keep the state of the fit in, and to go on from.

        Raises:
            InputError: No circuits, counts that do not fit, or unknown parameters.
        """
        start = learnable(self.device, learn)
        terms = self._terms(start, measured, options)
        recipes = [t.circuit.compiled.recipe for t in terms]
        model = prior(start, recipes, learn=learn, widths=widths)
        found = fit(model, terms, progress=progress, checkpoint=checkpoint)
        return self.learned(found)

    def later(self, hours: float, *, drift: Mapping[str, Drift] | None = None) -> "Twin":
        """Return this twin some hours after its counts were taken, with wider bands.

        What wanders goes back towards the calibration; see `learning.drift`.

        Args:
            hours: Since the counts.
            drift: How kinds of parameters wander, replaces some of `learning.drift.DRIFT`.

        Raises:
            InputError: The twin has not learned anything, or hours below 0.
        """
        return self.learned(aged(self._known("be aged"), hours, drift=drift))

    def follow(
        self,
        measured: Iterable[tuple[Any, Mapping[str, int]]],
        *,
        hours: float,
        drift: Mapping[str, Drift] | None = None,
        options: Options | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
    ) -> "Twin":
        """Return the twin that newer counts teach: the processor has drifted since the last.

        What was learned before, as far as it lasts for that long, is the prior, in place of the
        calibration alone; how much of the expected drift there has been, the counts decide. The
        kinds of parameters stay the same.

        Args:
            measured: As in `fit`.
            hours: Between the earlier counts and these.
            drift: As in `later`.
            options: As in `fit`.
            progress: As in `fit`.
            checkpoint: As in `fit`.

        Raises:
            InputError: The twin has not learned anything, or as in `fit` and `later`.
        """
        known = self._known("follow a processor")
        terms = self._terms(known.model.device, measured, options)
        share = strength(known, terms, hours, drift=drift)
        old = aged(known, hours, drift=drift, strength=share)
        model, before = extended(old, [t.circuit.compiled.recipe for t in terms])
        found = fit(model, terms, before=before, progress=progress, checkpoint=checkpoint)
        return self.learned(replace(found, memory=known.memory.renewed(found.memory)))

    def _known(self, purpose: str) -> Posterior:
        """Return the posterior.

        Raises:
            InputError: There is none.
        """
        if self.posterior is None:
            raise InputError(
                f"'{self.name}' must have learned from counts to {purpose}, but it was not "
                f"fitted. Use `fit` first."
            )
        return self.posterior

    def _terms(
        self,
        device: Device,
        measured: Iterable[tuple[Any, Mapping[str, int]]],
        options: Options | None,
    ) -> list[Outcomes]:
        """Return counts as terms of a fit; every learned mechanism is on the device."""
        seen = type(self)(device, self.calibration, _target=self.target)
        return [
            Outcomes.of(seen.compile(circuit, options=options), counts, name=f"circuit {k}")
            for k, (circuit, counts) in enumerate(measured)
        ]

    def learned(self, posterior: Posterior) -> "Twin":
        """Return this twin at the most probable parameters of a posterior."""
        return type(self)(posterior.device, self.calibration, posterior, _target=self.target)

    def predict(
        self, circuit: Any, *, draws: int = 100, seed: int = 0, options: Options | None = None
    ) -> Prediction:
        """Return the exact distribution of a circuit over what is known of the parameters.

        Where circuits like it have been learned from, the same but for delays and echoes, what the
        model has missed there is added; `run` draws from the model alone.

        Args:
            circuit: As in `run`; at most about 12 active qubits.
            draws: Number of parameter sets.
            seed: Of the draws.
            options: As in `run`.

        Raises:
            InputError: The twin has not learned anything; use `run`.
            UnsupportedError: The circuit is too large for the exact engine.
        """
        if self.posterior is None:
            raise InputError(
                f"'{self.name}' must have a posterior to predict with bands, but it was not "
                f"fitted. Use `fit` first, or `run` for counts of the calibration."
            )
        compiled = self.compile(circuit, options=options)
        return predict(self.posterior, compiled, draws=draws, seed=seed)

    def compare(
        self,
        circuit: Any,
        measured: Counts | Mapping[str, int],
        *,
        shots: int | None = None,
        seed: int = 0,
        engine: Any = "auto",
        options: Options | None = None,
    ) -> Verdict:
        """Return how well the twin predicts measured counts, beside every trivial prediction.

        Args:
            circuit: What ran.
            measured: What was counted, leftmost character = highest classical bit.
            shots: Of the twin; None is 10 times the measured ones, at most 200 000.
            seed: Of the twin and of the bootstrap.
            engine: As in `run`.
            options: As in `run`.
        """
        counted = measured.counts if isinstance(measured, Counts) else measured
        total = shots or min(10 * sum(counted.values()), 200_000)
        compiled = self.compile(circuit, options=options)
        predicted = self.run(circuit, shots=total, seed=seed, engine=engine, options=options)
        clean = noiseless(compiled.bind())
        bits, _ = sample(clean, shots=total, seed=seed, engine=engine)
        ideal_counts = Counts.from_bits(bits, predicted.report, predicted.provenance)
        read_from = measured_qubits(compiled.structure)
        assignment = np.asarray(self.device.parameters.assignment)
        places = np.array(compiled.structure.qubits)[read_from]
        confusion = np.where(read_from[:, None] >= 0, assignment[places], 0.0)
        return compare(predicted, measured, ideal=ideal_counts, confusion=confusion, seed=seed)

    def _job(self, seed: int) -> Device:
        return self.device.draw_job(np.random.default_rng([seed, 1]))

    def _report(self, account: Account, compiled: Compiled) -> Report:
        used = set(compiled.structure.qubits)
        steps = [s for step in compiled.steps for s in step.all()]
        gates = {(s.name, s.qubits) for s in steps}
        notes = [
            f"{n.where}: {n.reason} ({n.case})"
            for n in self.device.notes
            if _concerns(n, gates, used)
        ]
        bare = sorted({s.name for s in steps if s.noiseless})
        if bare and not self.device.open_set:
            notes.append(f"without noise, as allowed: {', '.join(bare)}")
        if not compiled.as_given:
            notes.append(f"transpiled: qubits {list(compiled.places)} of '{self.name}'")
        return Report(
            account.engine,
            account.reason,
            account.seconds,
            account.bytes,
            account.details,
            (*notes, *account.notes),
            account.alternatives,
        )

    def _provenance(self, noisy_id: str, circuit: Any, compiled: Compiled, seed: int) -> Provenance:
        name = circuit.name if isinstance(circuit, QuantumCircuit) else compiled.physical.name
        return Provenance(
            device=self.name,
            calibration_id=self.device.calibration_id,
            circuit_id=noisy_id,
            circuit_name=name,
            seed=seed,
        )

    def __repr__(self) -> str:
        when = f", calibrated {self.device.snapshot_time}" if self.device.snapshot_time else ""
        return f"Twin({self.name!r}, qubits={self.n_qubits}{when})"


def _seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbits(48)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"`seed` must be a whole number in [0, 2**63), but is {seed!r}.")
    return int(seed)


def _trajectories(shots: int | None) -> int | None:
    if shots is None:
        return None
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or shots < 1:
        raise InputError(f"`shots` must be a whole number of at least 1, but is {shots!r}.")
    return int(shots)


def _concerns(
    note: Note, gates: AbstractSet[tuple[str, tuple[int, ...]]], qubits: AbstractSet[int]
) -> bool:
    """Return whether a note is about gates or qubits that a circuit uses."""
    if note.gate and note.qubits:
        return (note.gate, note.qubits) in gates
    if note.gate:
        return any(name == note.gate for name, _ in gates)
    return not note.qubits or bool(qubits & set(note.qubits))
