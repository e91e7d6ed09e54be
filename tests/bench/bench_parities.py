"""Whole-chip code circuits against hardware: parities that are certain without noise.

Run `python -m tests.bench.bench_parities [device ...]`; needs the data set
`ibm_matching_code_2021`.

Goals: mean agreement of parities within 0.03 of the measurement from the calibration alone on 3 of
4 processors, and within 0.01 on parities that a factor was not fitted on. One figure per processor
is learned: the mean agreement of one half of its parities fixes the factor on the infidelity of
two-qubit gates, the other half is predicted. Halves are every second parity in order of time, and
the earlier against the later half. The factor of one processor is also tried on the others.
"""

import sys
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit

from qdt_emu.circuit.acquire import acquired_together
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Device, Policy
from qdt_emu.learning.one_figure import FACTORS, Fitted, fit_one_figure
from qdt_emu.twin import Twin
from qdt_emu.validation.parities import (
    Agreement,
    Parities,
    deterministic_parities,
    measured_agreement,
    predicted_agreement,
)
from qdt_emu.validation.public_data import Session, sessions

COARSE = 1e-3  # threshold while fitting
RANGE = (1.0, 40.0)


@dataclass(frozen=True)
class Case:
    """One processor's circuit under one timing."""

    device: Device
    circuit: QuantumCircuit
    parities: Parities
    measured: Agreement

    def shares(
        self, factor: float = 1.0, *, kind: str = "gates", threshold: float = 1e-4
    ) -> np.ndarray:
        device = FACTORS[kind](self.device, factor)
        noisy = Twin(device).compile(self.circuit).bind()
        return predicted_agreement(noisy, self.parities, threshold=threshold).shares


def cases(session: Session) -> dict[str, Case]:
    perfect, resets = (
        Twin.load(session.calibration, policy=Policy(uncalibrated="impute", resets=kind)).device
        for kind in ("perfect", "conditional")
    )
    plain = read_circuit(session.runs[0].circuit)
    parities = deterministic_parities(Twin(perfect).compile(plain).bind())
    last = [int(np.flatnonzero(b).max()) for b in parities.bits]
    parities = parities.select(np.argsort(last, kind="stable"))
    measured = measured_agreement(parities, session.runs[0].counts)
    return {
        "alap, perfect resets": Case(perfect, plain, parities, measured),
        "alap": Case(resets, plain, parities, measured),
        "slots": Case(resets, acquired_together(plain), parities, measured),
    }


def fitted(case: Case, chosen: np.ndarray, counts: dict[str, int], kind: str) -> Fitted:
    figure = measured_agreement(case.parities.select(chosen), counts)
    return fit_one_figure(
        lambda x: float(case.shares(x, kind=kind, threshold=COARSE)[chosen].mean()),
        figure.mean,
        figure.mean_stderr,
        bounds=RANGE,
    )


def learned(case: Case, counts: dict[str, int], kind: str) -> None:
    k = len(case.parities.values)
    halves = {"every second": np.arange(k) % 2 == 0, "earlier": np.arange(k) < k // 2}
    for name, first in halves.items():
        for chosen in (first, ~first) if name == "every second" else (first,):
            found = fitted(case, chosen, counts, kind)
            gap = case.shares(found.value, kind=kind)[~chosen] - case.measured.shares[~chosen]
            rms = np.sqrt(np.mean(gap**2))
            print(
                f"    {kind:8} {name:12} factor {found.value:6.2f} +- {found.stderr:4.2f}   "
                f"held-out half {gap.mean():+.4f}, rms of single parities {rms:.4f}",
                flush=True,
            )


def main(wanted: list[str]) -> None:
    chosen = [s for s in sessions("ibm_matching_code_2021") if not wanted or s.device in wanted]
    factors, slots = {}, {}
    for session in chosen:
        counts = session.runs[0].counts
        for timing, case in cases(session).items():
            gap = case.shares() - case.measured.shares
            weights, short = case.parities.weights, case.parities.weights <= 2
            print(
                f"{session.device:15} {timing:20} {len(weights)} parities ({short.sum()} of one or "
                f"two bits): measured {case.measured.mean:.4f} +- {case.measured.mean_stderr:.4f}, "
                f"calibration only {gap.mean():+.4f} (short ones {gap[short].mean():+.4f}), rms "
                f"{np.sqrt(np.mean(gap**2)):.4f}",
                flush=True,
            )
            if timing == "slots":
                for kind in ("gates", "readout"):
                    learned(case, counts, kind)
                everything = np.ones(len(weights), bool)
                factors[session.device] = fitted(case, everything, counts, "gates").value
                slots[session.device] = case
    print("\nThe factor of a row's processor (from its one mean) on the column's, slots:")
    for row, factor in factors.items():
        gaps = [f"{c.shares(factor).mean() - c.measured.mean:+.4f}" for c in slots.values()]
        print(f"{row:15} factor {factor:5.2f}  ", "  ".join(gaps))


if __name__ == "__main__":
    main(sys.argv[1:])
