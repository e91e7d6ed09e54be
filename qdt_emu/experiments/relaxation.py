"""Energy relaxation: T1 of many qubits at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qdt_emu.device import Device
from qdt_emu.experiments.curves import decay, fit_decay
from qdt_emu.experiments.program import Program, measure, share
from qdt_emu.experiments.pulses import Pen
from qdt_emu.experiments.traces import (
    FITTED,
    delays_for,
    fine,
    lifetimes,
    trace_program,
    with_curve,
    with_fits,
)
from qdt_emu.twin import Twin

SOURCE = "Krantz et al., arXiv:1904.06560, section III.B"


def circuits(
    device: Device,
    qubits: Sequence[int] | None = None,
    *,
    delays: ArrayLike | None = None,
    simultaneous: bool = False,
) -> Program:
    """Return the circuits: excite, wait, read.

    Args:
        device: For which they are written.
        qubits: Which; None takes all that can be read.
        delays: In s; None takes 25 up to four times the median T1 of the device.
        simultaneous: Excite neighbours in the same circuit; otherwise in different ones.

    Raises:
        InputError: No delays are given, and the device does not relax.
    """

    def pulses(pen: Pen, q: int, delay: float) -> None:
        pen.x(q)
        pen.delay(q, delay)

    times = delays_for(device.parameters.t1, qubits, delays, 4.0)
    return trace_program(
        *("t1", device, qubits, times, pulses),
        expected=1,
        simultaneous=simultaneous,
        source=SOURCE,
    )


def analyse(table: xr.Dataset) -> xr.Dataset:
    """Return the table with T1 of each qubit, fitted to b + a exp(-t / T1).

    Error:
        Standard errors are those of shot noise. A T1 that fluctuates meanwhile, or a neighbour that
        pulls the qubit, shows as `chi2` per `freedom` above 1.
    """
    flat = table.transpose("qubit", "delay")
    t = np.broadcast_to(flat["delay"].values, flat["hits"].shape)
    found = fit_decay(t, flat["hits"].values.astype(float), flat["shots"].values.astype(float))
    columns = {
        "t1": (*lifetimes(found), "s", "energy relaxation time"),
        "amplitude": (found.values[:, 1], found.stderr[:, 1], "1", "P(1) at no delay less rest"),
        "rest": (found.values[:, 2], found.stderr[:, 2], "1", "P(1) after a long delay"),
    }
    out = with_fits(table.assign(share(table)), columns, found, FITTED)
    return with_curve(out, decay(found.values, fine(flat["delay"].values))[0])


def t1(
    twin: Twin,
    qubits: Sequence[int] | None = None,
    *,
    delays: ArrayLike | None = None,
    simultaneous: bool = False,
    shots: int | None = 1000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return T1 of qubits as measured on a twin.

    Args:
        twin: The processor.
        qubits: See `circuits`.
        delays: See `circuits`.
        simultaneous: See `circuits`.
        shots: Of each circuit; None gives exact curves.
        seed: Same seed, same data.
        **run: `engine`, `joint`, `options`, `date` of `program.measure`.

    Returns:
        Over `qubit` and `delay`: `hits`, `shots`, `share` of |1> and its `stderr`; over `qubit`:
        `t1`, `amplitude`, `rest` with `..._stderr`, `chi2`, `freedom`.
    """
    asked = circuits(twin.device, qubits, delays=delays, simultaneous=simultaneous)
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
