"""Ramsey fringes: frequency, dephasing without refocusing, and beating of two charge parities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qdt_emu.device import Device
from qdt_emu.experiments.curves import fit_oscillation, oscillation
from qdt_emu.experiments.likelihood import Fit
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

SOURCE = "Krantz et al., arXiv:1904.06560, section III.B; beating: Riste et al., arXiv:1212.5459"
POINTS = 61
FRINGES = 12
WORTH = 20.0
"""Fall of chi-square that a second line must bring: 5e-5 of single lines are taken for two."""

Floats = NDArray[np.float64]


def circuits(
    device: Device,
    qubits: Sequence[int] | None = None,
    *,
    delays: ArrayLike | None = None,
    detuning: float | None = None,
    simultaneous: bool = False,
) -> Program:
    """Return the circuits: to the equator, wait, turn the frame, back, read.

    Args:
        device: For which they are written.
        qubits: Which; None takes all that can be read.
        delays: In s; None takes 61 even ones up to twice the median T2.
        detuning: By which the frame turns, in Hz; None takes 12 fringes in all.
        simultaneous: Neighbours share a circuit, so that ZZ shifts and splits the lines.

    Raises:
        InputError: No delays are given, and the device does not dephase.
    """
    times = delays_for(device.parameters.t2, qubits, delays, 2.0)
    if delays is None:
        times = np.linspace(0.0, times[-1], POINTS)
    turn = FRINGES / float(times[-1]) if detuning is None else float(detuning)

    def pulses(pen: Pen, q: int, delay: float) -> None:
        pen.sx(q)
        pen.delay(q, delay)
        pen.rz(q, 2 * np.pi * turn * delay)
        pen.sx(q)

    return trace_program(
        *("ramsey", device, qubits, times, pulses),
        expected=1,
        simultaneous=simultaneous,
        source=SOURCE,
        detuning=turn,
    )


def analyse(
    table: xr.Dataset, *, beating: bool | None = None, gaussian: bool = False
) -> xr.Dataset:
    r"""Return the table with frequency and T2* of each qubit.

    The fit is $b + E(t) (c \cos 2 \pi f t + s \sin 2 \pi f t)$, $E = e^{-t / T_2^*}$.

    Args:
        table: From `measure` or `from_counts`.
        beating: Two lines, at f +- splitting / 2 (charge parity, or a neighbour in a
            superposition); None takes them where chi-square falls by more than 20.
        gaussian: Another factor exp(-2 (pi s t)^2) from a detuning with standard deviation s.

    Returns:
        With `frequency` (that of the qubit less that of its frame), `t2_star`, `splitting` (0
        where there is one line), `spread` (s).

    Error:
        The sign of `frequency` is known as long as it is smaller than the detuning of the frame.
    """
    flat = table.transpose("qubit", "delay")
    t = flat["delay"].values
    data = t, flat["hits"].values.astype(float), flat["shots"].values.astype(float)
    found = fit_oscillation(*data, gaussian=gaussian)
    width = 5 + gaussian
    splitting = np.zeros((2, flat.sizes["qubit"]))
    smooth = fine(flat["delay"].values)
    curve = oscillation(found.values, smooth, beating=False, gaussian=gaussian)[0]
    if beating is not False:
        split = fit_oscillation(*data, gaussian=gaussian, beating=True)
        pick = found.chi2 - split.chi2 > (WORTH if beating is None else -np.inf)
        two = oscillation(split.values, smooth, beating=True, gaussian=gaussian)[0]
        curve = np.where(pick[:, None], two, curve)
        splitting = np.where(pick, [split.values[:, -1], split.stderr[:, -1]], 0.0)
        splitting = np.abs(splitting)
        found = _chosen(found, split, pick, width)
    frequency = found.values[:, 4] - float(table.attrs["detuning"])
    columns = {
        "frequency": (frequency, found.stderr[:, 4], "Hz", "of the qubit less that of its frame"),
        "t2_star": (*lifetimes(found), "s", "dephasing time without refocusing"),
        "splitting": (splitting[0], splitting[1], "Hz", "distance of two lines"),
    }
    if gaussian:
        spread = np.abs(found.values[:, 5]), found.stderr[:, 5]
        columns["spread"] = (
            *(s / (np.pi * np.sqrt(2)) for s in spread),
            *("Hz", "standard deviation of the detuning from shot to shot"),
        )
    columns |= {
        "amplitude": (np.hypot(*found.values[:, 1:3].T), None, "1", "of the fringes at no delay"),
        "rest": (found.values[:, 3], found.stderr[:, 3], "1", "P(1) between the fringes"),
    }
    out = with_fits(table.assign(share(table)), columns, found, FITTED)
    return with_curve(out, curve)


def _chosen(one: Fit, two: Fit, pick: NDArray[np.bool_], width: int) -> Fit:
    """Return one of two fits for each qubit, without the splitting."""
    return Fit(
        np.where(pick[:, None], two.values[:, :width], one.values),
        np.where(pick[:, None, None], two.covariance[:, :width, :width], one.covariance),
        np.where(pick, two.chi2, one.chi2),
        np.where(pick, two.freedom, one.freedom),
    )


def ramsey(
    twin: Twin,
    qubits: Sequence[int] | None = None,
    *,
    delays: ArrayLike | None = None,
    detuning: float | None = None,
    simultaneous: bool = False,
    beating: bool | None = None,
    gaussian: bool = False,
    shots: int | None = 1000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return Ramsey fringes of qubits as measured on a twin.

    Args:
        twin: The processor.
        qubits: See `circuits`.
        delays: See `circuits`.
        detuning: See `circuits`.
        simultaneous: See `circuits`.
        beating: See `analyse`.
        gaussian: See `analyse`.
        shots: Of each circuit; None gives exact curves.
        seed: Same seed, same data.
        **run: `engine`, `joint`, `options`, `date` of `program.measure`.

    Returns:
        As `t1`, with what `analyse` finds in its place.
    """
    asked = circuits(
        twin.device, qubits, delays=delays, detuning=detuning, simultaneous=simultaneous
    )
    table = measure(asked, twin, shots=shots, seed=seed, **run)
    return analyse(table, beating=beating, gaussian=gaussian)
