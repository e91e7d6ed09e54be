"""What a device takes from elsewhere than a measured number: assumptions, and what they become."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import Calibration
from qdt_emu.calibrations.schema import BY_PATH, Flag
from qdt_emu.device.device import Note
from qdt_emu.noise.dephasing import quasi_static_spread

FEEDFORWARD_LATENCY = 1e-6
"""In s, for a processor of which nothing is known."""

# IQM's compiler places circuits as soon as possible unless told otherwise (IQM Pulla 15,
# `resolve_circuits`, scheduling_strategy="ASAP"); Qiskit's passes for IBM as late as possible.
SCHEDULES = {"IQM": "asap"}

_DURATIONS = ("gates_1q/duration", "gates_2q/duration", "readout/duration")


def schedule_of(calibration: Calibration) -> str:
    """Return how the vendor's compiler places operations in time: 'alap' or 'asap'."""
    return SCHEDULES.get(str(calibration.tree.attrs["vendor"]), "alap")


def assumptions(calibration: Calibration) -> Iterator[Note]:
    """Yield a note for each quantity that decides about time and was not measured."""
    for path in _DURATIONS:
        flags, values = calibration.flags(path), calibration.values(path)
        imputed = flags == Flag.IMPUTED
        if not imputed.any():
            continue
        definition = str(calibration[path.partition("/")[0]]["duration"].attrs["definition"])
        stated = definition if definition.startswith("assumed") else "put in, not measured"
        where = f"{BY_PATH[path].long_name}, {imputed.sum()} of {imputed.size}"
        yield Note("A", where, None, float(np.median(values[imputed])), stated)
    if (latency := calibration.timing.get("feedforward_latency")) is not None:
        yield Note("A", "feed-forward latency", None, latency, "assumed by the reader of the file")


def shot_to_shot_detuning(
    calibration: Calibration, notes: list[Note]
) -> NDArray[np.float64] | None:
    """Return the spread of each qubit's frequency from shot to shot in Hz, shape (n,), or None.

    Where Ramsey and echo time are both published, the difference is noise that is constant within
    a shot: an echo removes it, a wait does not. None where no qubit has both.
    """
    if not calibration.has("qubits/t2_star"):
        return None
    star, echo = calibration.values("qubits/t2_star"), calibration.values("qubits/t2_echo")
    known = np.isfinite(star) & np.isfinite(echo)
    if not known.any():
        return None
    spread = np.zeros(len(star))
    spread[known] = np.asarray(quasi_static_spread(star[known], echo[known])) / (2 * np.pi)
    notes.append(
        Note(
            "D",
            f"detuning of {known.sum()} of {known.size} qubits",
            None,
            float(np.median(spread[known])),
            "constant within a shot: explains the Ramsey time beside the echo time",
        )
    )
    return spread
