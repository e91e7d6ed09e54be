"""Echoes: T2 of many qubits at once, by one refocusing pulse (Hahn) or several (CPMG)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qdt_emu.device import Device
from qdt_emu.errors import InputError
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

SOURCE = "Meiboom and Gill, Rev. Sci. Instrum. 29, 688 (1958); Hahn, Phys. Rev. 80, 580 (1950)"


def circuits(
    device: Device,
    qubits: Sequence[int] | None = None,
    *,
    pulses: int = 1,
    delays: ArrayLike | None = None,
    simultaneous: bool = False,
) -> Program:
    """Return the circuits: to the equator, wait with refocusing about its direction, back, read.

    The refocusing pulses turn about the axis along which the state lies, so that their own errors
    do not add up.

    Args:
        device: For which they are written.
        qubits: Which; None takes all that can be read.
        pulses: Number of refocusing pulses: 1 is Hahn's echo.
        delays: Whole waiting time in s; None takes 25 up to three times the median T2.
        simultaneous: Neighbours share a circuit; ZZ between them is then not refocused, because
            both turn at the same time.

    Raises:
        InputError: No delays are given and the device does not dephase, or no pulse.
    """
    if pulses < 1:
        raise InputError(f"`pulses` must be at least 1, but is {pulses}. Use `ramsey` for none.")

    def echo(pen: Pen, q: int, delay: float) -> None:
        pen.sx(q)
        for _ in range(pulses):
            pen.delay(q, delay / (2 * pulses))
            pen.y(q)
            pen.delay(q, delay / (2 * pulses))
        pen.sx(q)

    times = delays_for(device.parameters.t2, qubits, delays, 3.0)
    return trace_program(
        *("t2", device, qubits, times, echo),
        expected=1,
        simultaneous=simultaneous,
        source=SOURCE,
        refocusing=pulses,
    )


def analyse(table: xr.Dataset) -> xr.Dataset:
    """Return the table with T2 of each qubit, fitted to b + a exp(-t / T2).

    Error:
        As in `relaxation.analyse`; noise with memory does not decay as an exponential, which shows
        as `chi2` per `freedom` above 1.
    """
    flat = table.transpose("qubit", "delay")
    t = np.broadcast_to(flat["delay"].values, flat["hits"].shape)
    found = fit_decay(t, flat["hits"].values.astype(float), flat["shots"].values.astype(float))
    columns = {
        "t2": (*lifetimes(found), "s", "dephasing time with refocusing"),
        "amplitude": (found.values[:, 1], found.stderr[:, 1], "1", "P(1) at no delay less rest"),
        "rest": (found.values[:, 2], found.stderr[:, 2], "1", "P(1) after a long delay"),
    }
    out = with_fits(table.assign(share(table)), columns, found, FITTED)
    return with_curve(out, decay(found.values, fine(flat["delay"].values))[0])


def t2(
    twin: Twin,
    qubits: Sequence[int] | None = None,
    *,
    pulses: int = 1,
    delays: ArrayLike | None = None,
    simultaneous: bool = False,
    shots: int | None = 1000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return T2 of qubits as an echo measures it on a twin.

    Args:
        twin: The processor.
        qubits: See `circuits`.
        pulses: See `circuits`.
        delays: See `circuits`.
        simultaneous: See `circuits`.
        shots: Of each circuit; None gives exact curves.
        seed: Same seed, same data.
        **run: `engine`, `joint`, `options`, `date` of `program.measure`.

    Returns:
        As `t1`, with `t2` in its place.
    """
    asked = circuits(twin.device, qubits, pulses=pulses, delays=delays, simultaneous=simultaneous)
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
