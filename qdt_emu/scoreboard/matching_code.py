"""Four processors, 2021: hexagonal matching codes, scored by parities that ought to be certain.

The processors of 2021 reset a qubit by measuring it and flipping it if it read 1. That they started
acquisitions on the whole chip at once is a hypothesis: no file says it. The twins here do both. The
ordinary path, with resets that never fail and measurements as late as possible, is shown beside
them. Both choices were made after these data had been seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.circuit.acquire import acquired_together
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Device, Policy
from qdt_emu.device.conditional_reset import conditional_resets
from qdt_emu.learning.one_figure import fit_one_figure, scaled_gates
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
COARSE = 1e-3  # dropped strings while fitting; 1e-4 otherwise
RANGE = (1.0, 40.0)


@dataclass(frozen=True, eq=False)
class _Chip:
    """A processor's circuit, its parities and which of them may be learned from."""

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
    out = []
    for session in sessions(DATASET):
        chip = _once(session)
        for predictor, row in ((ORDINARY, ordinary), (CALIBRATION, calibrated), (LEARNED, learned)):
            out.append(Task(NAME, session.device, predictor, _bound(row, session.device, chip)))
    return out


def _once(session: Session) -> Callable[[], _Chip]:
    return cache(lambda: _chip(session))


def _bound(
    row: Callable[[str, _Chip], Row], case: str, chip: Callable[[], _Chip]
) -> Callable[[], Row]:
    return lambda: row(case, chip())


def _chip(session: Session) -> _Chip:
    device = Twin.load(session.calibration, policy=POLICY).device
    circuit = read_circuit(session.runs[0].circuit)
    parities = deterministic_parities(Twin(device).compile(circuit).bind())
    last = [int(np.flatnonzero(bits).max()) for bits in parities.bits]
    parities = parities.select(np.argsort(last, kind="stable"))
    seen = np.arange(len(last)) % 2 == 0
    slots = acquired_together(circuit)
    return _Chip(device, circuit, slots, parities, session.runs[0].counts, seen)


def ordinary(case: str, chip: _Chip) -> Row:
    """Return the row of the twin of the calibration, with perfect resets."""
    found = chip.agreement(chip.device, chip.circuit)
    return Row(NAME, case, ORDINARY, marks=chip.marks(found, learned=False), note=_note(chip))


def calibrated(case: str, chip: _Chip) -> Row:
    """Return the row of the twin of the calibration that resets and measures as the processor."""
    found = chip.agreement(conditional_resets(chip.device), chip.slots)
    return Row(NAME, case, CALIBRATION, marks=chip.marks(found, learned=False), note=_note(chip))


def learned(case: str, chip: _Chip) -> Row:
    """Return the row of the same twin, with one factor learned from one half of the parities."""
    device = conditional_resets(chip.device)
    target = measured_agreement(chip.parities.select(chip.seen), chip.counts)

    def figure(factor: float) -> float:
        found = chip.agreement(scaled_gates(device, factor), chip.slots, COARSE)
        return float(found.shares[chip.seen].mean())

    fit = fit_one_figure(figure, target.mean, target.mean_stderr, bounds=RANGE)
    found = chip.agreement(scaled_gates(device, fit.value), chip.slots)
    note = f"two-qubit gates {fit.value:.2f} ± {fit.stderr:.2f} times as wrong as published"
    return Row(NAME, case, LEARNED, marks=chip.marks(found, learned=True), note=note)


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
        "second parity fixes one factor on the infidelity of two-qubit gates; the other half is "
        "predicted. The bands are the engine's own error only. Aer has no engine for 162 to 780 "
        "bits of 21 to 63 qubits with this noise, and is not asked."
    ),
    tasks=tasks,
    figure=HALF,
    bars=(
        "mean agreement within 0.03 on 3 of 4 processors from the calibration; within 0.01 on "
        "parities that were not learned from"
    ),
)
