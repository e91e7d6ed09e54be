"""Boards whose cases are circuits with counts: predicted, judged, beside every trivial rival."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import measured_qubits
from qdt_emu.device import Device
from qdt_emu.engines.run import sample
from qdt_emu.errors import InputError
from qdt_emu.result.bitstrings import strings
from qdt_emu.scoreboard.aer import Aer
from qdt_emu.scoreboard.board import AER, CALIBRATION, LEARNED, LEVEL, Mark, Row, Task
from qdt_emu.twin import Twin
from qdt_emu.validation import compare
from qdt_emu.validation.distances import Distribution
from qdt_emu.validation.public_data import Session
from qdt_emu.validation.runs import Run
from qdt_emu.validation.value import Value

SEED = 2026
SHOTS = 200_000
Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Case:
    """A circuit that ran.

    Attributes:
        name: Unique on the board.
        session: Its session, with the calibration.
        run: Circuit and counts.
        held_out: False if the learned twin saw its counts.
    """

    name: str
    session: Session
    run: Run
    held_out: bool = True


@dataclass(frozen=True)
class Learned:
    """What a learned twin makes of a case.

    Attributes:
        device: The most probable device.
        draws: Devices drawn from the posterior; empty for none.
        note: What was learned from what.
        distribution: Exact, of a circuit, in place of a run of `device`; None for that.
    """

    device: Device
    draws: tuple[Device, ...] = ()
    note: str = ""
    distribution: Callable[[Any], Distribution] | None = None


Figures = Callable[[Case, Distribution], Mapping[str, Value]]
Learner = Callable[[Case], Learned]


def _loaded(session: Session) -> Twin:
    if session.calibration is None:
        raise InputError(f"Session '{session.name}' has no calibration, so that no twin fits it.")
    return Twin.load(session.calibration)


@dataclass(frozen=True)
class Circuits:
    """A data set of circuits and counts.

    Attributes:
        name: Of the board.
        cases: Returns the circuits.
        figures: Figures of merit of a distribution; None for none.
        learn: Fits on the training cases and returns the learned twin of each case; called once,
            and only if a learned row is missing. None: nothing is learned on this data set.
        spectrum: Whether whole distributions are compared; False for records of many bits.
        shots: Of each prediction.
        engine: Of our twins.
        aer: Whether Qiskit Aer is asked too.
        build: Twin of a session from its calibration alone.
    """

    name: str
    cases: Callable[[], Sequence[Case]]
    figures: Figures | None = None
    learn: Callable[[], Learner] | None = None
    spectrum: bool = True
    shots: int = SHOTS
    engine: str = "auto"
    aer: bool = True
    build: Callable[[Session], Twin] = _loaded


@dataclass(frozen=True)
class _Reference:
    """What the trivial rivals know of a case."""

    ideal: Distribution
    confusion: NDArray[np.float64]


def circuit_tasks(plan: Circuits) -> list[Task]:
    """Return one task per circuit and predictor."""
    sessions: dict[str, Session] = {}
    references: dict[str, _Reference] = {}

    @cache
    def twin_of(session: str) -> Twin:
        return plan.build(sessions[session])

    @cache
    def learner() -> Learner:
        if plan.learn is None:
            raise InputError("No learned twin is defined for this data set.")
        return plan.learn()

    def reference(case: Case) -> _Reference:
        if case.name not in references:
            references.clear()  # tasks come case by case
            references[case.name] = _reference(plan, twin_of(case.session.name), case)
        return references[case.name]

    def ours(case: Case) -> Row:
        twin = twin_of(case.session.name)
        counts = twin.run(case.run.circuit, shots=plan.shots, seed=SEED, engine=plan.engine)
        note = f"engine {counts.report.engine}, {plan.shots} shots"
        return _row(plan, case, CALIBRATION, counts, reference, note=note)

    def learned(case: Case) -> Row:
        found = learner()(case)

        def drawn(device: Device) -> Distribution:
            twin, circuit = Twin.load(device), case.run.circuit
            return twin.run(circuit, shots=plan.shots, seed=SEED, engine=plan.engine)

        exact = found.distribution
        first = exact(case.run.circuit) if exact else drawn(found.device)
        draws = [drawn(device) for device in found.draws]
        return _row(plan, case, LEARNED, first, reference, note=found.note, draws=draws)

    @cache
    def rival(session: str) -> Aer:
        return Aer(twin_of(session))

    def aer(case: Case) -> Row:
        asked = rival(case.session.name)
        counts, note = asked.run(case.run.circuit, shots=plan.shots, seed=SEED)
        return _row(plan, case, AER, counts, reference, note=note)

    out = []
    for case in plan.cases():
        sessions[case.session.name] = case.session
        predictors = {CALIBRATION: ours}
        if plan.learn is not None:
            predictors[LEARNED] = learned
        if plan.aer:
            predictors[AER] = aer
        for name, work in predictors.items():
            out.append(Task(plan.name, case.name, name, _bound(work, case)))
    return out


def _bound(work: Callable[[Case], Row], case: Case) -> Callable[[], Row]:
    return lambda: work(case)


def _row(
    plan: Circuits,
    case: Case,
    predictor: str,
    predicted: Distribution,
    reference: Callable[[Case], _Reference],
    *,
    note: str,
    draws: Sequence[Distribution] = (),
) -> Row:
    verdict = None
    if plan.spectrum:
        known = reference(case)
        verdict = compare(
            *(predicted, case.run.counts),
            ideal=known.ideal,
            confusion=known.confusion,
            seed=SEED,
        )
    marks = () if plan.figures is None else _marks(plan.figures, case, predicted, draws)
    held_out = case.held_out or predictor != LEARNED
    return Row(plan.name, case.name, predictor, held_out, verdict, marks, note=note)


def _marks(
    figures: Figures, case: Case, predicted: Distribution, draws: Sequence[Distribution]
) -> tuple[Mark, ...]:
    """Return figures with bands: of the draws where there are some, else of the shots."""
    measured, central = figures(case, case.run.counts), figures(case, predicted)
    others = [figures(case, d) for d in draws]
    out = []
    for name, seen in measured.items():
        if name not in central:
            continue
        value, stderr = central[name].value, central[name].stderr
        spread = np.array([o[name].value for o in others])
        edges = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(spread) else value
        low, high = np.broadcast_to(edges, 2) + np.array([-Z90, Z90]) * stderr
        out.append(Mark(name, seen, value, min(float(low), value), max(float(high), value)))
    return tuple(out)


def _reference(plan: Circuits, twin: Twin, case: Case) -> _Reference:
    """Return the ideal counts and the readout confusion of each classical bit."""
    compiled = twin.compile(case.run.circuit)
    noisy = compiled.bind()
    bits, _ = sample(noiseless(noisy), shots=plan.shots, seed=SEED, engine=plan.engine)
    keys, numbers = np.unique(strings(bits), return_counts=True)
    ideal = {str(k): int(n) for k, n in zip(keys, numbers, strict=True)}
    read_from = measured_qubits(compiled.structure)
    assignment = np.asarray(twin.device.parameters.assignment)
    places = np.array(compiled.structure.qubits)[read_from]
    confusion = np.where(read_from[:, None] >= 0, assignment[places], 0.0)
    return _Reference(ideal, confusion)
