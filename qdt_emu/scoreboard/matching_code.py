"""Four processors, 2021: hexagonal matching codes, scored by parities that ought to be certain.

The processors of 2021 reset a qubit by measuring it and flipping it if it read 1. That they started
acquisitions on the whole chip at once is a hypothesis: no file says it. The twins here do both;
resets that never fail and measurements as late as possible are shown beside them. What is learned
is one number: how often a reset fails that follows a measurement at once. All three choices were
made after these data had been seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.circuit.acquire import acquired_together
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Device, Policy
from qdt_emu.learning.one_figure import Fitted, failing_resets, fit_one_figure
from qdt_emu.scoreboard.board import CALIBRATION, LEARNED, Board, Mark, Row, Task
from qdt_emu.twin import Twin
from qdt_emu.validation.parities import (
    Agreement,
    Parities,
    deterministic_parities,
    measured_agreement,
    predicted_agreement,
)
from qdt_emu.validation.public_data import Session, sessions
from qdt_emu.validation.value import Value

DATASET = "ibm_matching_code_2021"
NAME = "matching_code"
ORDINARY = "calibration, perfect resets"
ALL, HALF = "parity agreement, all", "parity agreement, held-out half"
# Some couplers were not calibrated on the day, but the circuits use them.
POLICY = Policy(uncalibrated="impute")
PERFECT = replace(POLICY, resets="perfect")
COARSE = 1e-3  # dropped strings while fitting; 1e-4 otherwise
RANGE = (0.0, 0.45)  # of the probability that a reset fails
ELSEWHERE = "twin, learned on the other three"


@dataclass(frozen=True, eq=False)
class _Chip:
    """A processor's circuit, its parities and which of them may be learned from."""

    perfect: Device  # its resets never fail
    device: Device
    circuit: QuantumCircuit
    slots: QuantumCircuit
    parities: Parities
    counts: dict[str, int]
    seen: NDArray[np.bool_]

    def agreement(
        self, device: Device, circuit: QuantumCircuit, threshold: float = 1e-4
    ) -> Agreement:
        noisy = Twin(device).compile(circuit).bind()
        return predicted_agreement(noisy, self.parities, threshold=threshold)

    def marks(self, predicted: Agreement, *, learned: bool) -> tuple[Mark, ...]:
        half = _mark(HALF, predicted, measured_agreement(self._rest, self.counts), ~self.seen)
        if learned:
            return (half,)
        everything = np.ones_like(self.seen)
        whole = measured_agreement(self.parities, self.counts)
        return (_mark(ALL, predicted, whole, everything), half)

    @property
    def _rest(self) -> Parities:
        return self.parities.select(~self.seen)


def tasks() -> list[Task]:
    """Return what can be worked out."""
    chips = {session.device: _once(session) for session in sessions(DATASET)}
    fits = {name: _fit_once(chip) for name, chip in chips.items()}
    out = []
    for name, chip in chips.items():
        others = [fit for other, fit in fits.items() if other != name]
        rows: dict[str, Callable[[], Row]] = {
            ORDINARY: partial(_row, ordinary, name, chip),
            CALIBRATION: partial(_row, calibrated, name, chip),
            ELSEWHERE: partial(_transferred, name, chip, others),
            LEARNED: partial(_row, learned, name, chip),
        }
        out += [Task(NAME, name, predictor, row) for predictor, row in rows.items()]
    return out


def _once(session: Session) -> Callable[[], _Chip]:
    return cache(lambda: _chip(session))


def _fit_once(chip: Callable[[], _Chip]) -> Callable[[], Fitted]:
    return cache(lambda: failing(chip(), np.ones_like(chip().seen)))


def _row(work: Callable[[str, _Chip], Row], case: str, chip: Callable[[], _Chip]) -> Row:
    return work(case, chip())


def _transferred(
    case: str, chip: Callable[[], _Chip], others: Sequence[Callable[[], Fitted]]
) -> Row:
    return elsewhere(case, chip(), [fit() for fit in others])


def _chip(session: Session) -> _Chip:
    device, perfect = (Twin.load(session.calibration, policy=p).device for p in (POLICY, PERFECT))
    circuit = read_circuit(session.runs[0].circuit)
    parities = deterministic_parities(Twin(device).compile(circuit).bind())
    last = [int(np.flatnonzero(bits).max()) for bits in parities.bits]
    parities = parities.select(np.argsort(last, kind="stable"))
    seen = np.arange(len(last)) % 2 == 0
    slots = acquired_together(circuit)
    return _Chip(perfect, device, circuit, slots, parities, session.runs[0].counts, seen)


def ordinary(case: str, chip: _Chip) -> Row:
    """Return the row of the twin of the calibration, with perfect resets."""
    found = chip.agreement(chip.perfect, chip.circuit)
    return Row(NAME, case, ORDINARY, marks=chip.marks(found, learned=False), note=_note(chip))


def calibrated(case: str, chip: _Chip) -> Row:
    """Return the row of the twin of the calibration that resets and measures as the processor."""
    found = chip.agreement(chip.device, chip.slots)
    return Row(NAME, case, CALIBRATION, marks=chip.marks(found, learned=False), note=_note(chip))


def elsewhere(case: str, chip: _Chip, others: Sequence[Fitted]) -> Row:
    """Return the row of the same twin, with resets that fail as often as on other processors.

    The band is what the smallest and the largest of their probabilities make of it.
    """
    found = [fit.value for fit in others]
    values = (float(np.median(found)), min(found), max(found))
    middle, few, many = (
        chip.marks(chip.agreement(failing_resets(chip.device, x), chip.slots), learned=False)
        for x in values
    )
    marks = tuple(
        replace(m, low=min(a.low, b.low), high=max(a.high, b.high))
        for m, a, b in zip(middle, few, many, strict=True)
    )
    note = f"resets fail with a further {values[0]:.3f}, the median of the other processors"
    return Row(NAME, case, ELSEWHERE, marks=marks, note=note)


def learned(case: str, chip: _Chip) -> Row:
    """Return the row of the same twin, with one number learned from one half of the parities."""
    fit = failing(chip, chip.seen)
    device = failing_resets(chip.device, fit.value)
    found = chip.agreement(device, chip.slots)
    note = f"resets fail with a further {fit.value:.3f} ± {fit.stderr:.3f}"
    return Row(NAME, case, LEARNED, marks=chip.marks(found, learned=True), note=note)


def failing(chip: _Chip, chosen: NDArray[np.bool_]) -> Fitted:
    """Return how often resets fail beyond what the calibration says, from some parities' mean."""
    target = measured_agreement(chip.parities.select(chosen), chip.counts)

    def figure(probability: float) -> float:
        found = chip.agreement(failing_resets(chip.device, probability), chip.slots, COARSE)
        return float(found.shares[chosen].mean())

    return fit_one_figure(figure, target.mean, target.mean_stderr, bounds=RANGE)


def _note(chip: _Chip) -> str:
    return f"{len(chip.parities.values)} parities, predicted without sampling"


def _mark(name: str, predicted: Agreement, measured: Agreement, chosen: NDArray[np.bool_]) -> Mark:
    """Return a mean agreement; the band is what the engine states about its own cuts."""
    value, bound = float(predicted.shares[chosen].mean()), float(predicted.bounds[chosen].mean())
    seen = Value(measured.mean, measured.mean_stderr)
    return Mark(name, seen, value, value - bound, value + bound)


BOARD = Board(
    name=NAME,
    title="Hexagonal matching codes of 27 and 65 qubits, four processors, September 2021",
    rules=(
        "Calibrations 0.5 to 4 hours older than the jobs. Learned: the mean agreement of every "
        "second parity fixes how often a reset fails; the other half is predicted. Learned on the "
        "other three: the same number from all parities of the other processors, their median, the "
        "band from the smallest to the largest. Other bands are the engine's own error only. Aer "
        "has no engine for 162 to 780 bits of 21 to 63 qubits with this noise, and is not asked."
    ),
    tasks=tasks,
    figure=HALF,
    bars=(
        "mean agreement within 0.03 on 3 of 4 processors from the calibration; within 0.01 on "
        "parities that were not learned from"
    ),
)
