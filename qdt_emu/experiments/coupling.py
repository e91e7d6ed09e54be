"""ZZ coupling of pairs by joint amplification (JAZZ): both qubits of an echo turn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from qiskit import QuantumCircuit

from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.experiments.coupling_fringes import ZETA, fit_fringes, fringes
from qdt_emu.experiments.groups import groups, places
from qdt_emu.experiments.program import Program, cells_of, measure, program, share
from qdt_emu.experiments.pulses import Pen
from qdt_emu.experiments.traces import fine, lifetimes, with_curve, with_fits
from qdt_emu.twin import Twin

SOURCE = "Garbow et al., Chem. Phys. Lett. 93, 504 (1982); Ku et al., arXiv:2003.02775"
POINTS = 41
FRINGES = 8
DIMS = ("pair", "neighbour", "delay")


def circuits(
    device: Device,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    delays: ArrayLike | None = None,
    detuning: float | None = None,
) -> Program:
    """Return the circuits: an echo on the first qubit, in whose middle both qubits turn.

    The echo removes everything that turns the first qubit alone; ZZ stays, because both factors
    change sign. Each is done with the second qubit in |0> and in |1> at first.

    Args:
        device: For which they are written.
        pairs: Coupled pairs (measured, neighbour); None takes every coupler.
        delays: Whole waiting time in s; None takes 41 up to the median T2.
        detuning: By which the frame turns, in Hz, above half of the largest ZZ; None takes that of
            8 fringes in all.

    Raises:
        InputError: No delays are given and the device does not dephase, or a pair has no coupler.
    """
    chosen = places(device, pairs, 2)
    known = np.asarray(device.parameters.t2, float)
    if delays is None and not np.isfinite(known).any():
        raise InputError("`delays` must be given in s where the device does not decay.")
    length = float(np.median(known[np.isfinite(known)])) if delays is None else 0.0
    times = np.linspace(0.0, length, POINTS) if delays is None else np.asarray(delays, float)
    turn = FRINGES / float(times[-1]) if detuning is None else float(detuning)
    index = np.zeros((len(chosen), 2, len(times)), np.int64)
    bits = np.zeros_like(index)
    written: list[QuantumCircuit] = []
    for group in groups(device, chosen, simultaneous=False):
        for state in (0, 1):
            for k, delay in enumerate(times.tolist()):
                pen = Pen.new(device, len(group), "zz")
                for c, place in enumerate(group):
                    _echo(pen, chosen[place], state, delay, 2 * np.pi * turn * delay)
                    pen.circuit.measure(chosen[place][0], c)
                    index[place, state, k], bits[place, state, k] = len(written), c
                written.append(pen.circuit)
    first, second = np.array(chosen).T
    coords = {
        "pair_q0": ("pair", first),
        "pair_q1": ("pair", second),
        "neighbour": [0, 1],
        "delay": ("delay", times, {"units": "s"}),
    }
    cells = cells_of(DIMS, index, bits[..., None], np.ones_like(bits)[..., None], coords)
    t1 = np.asarray(device.parameters.t1)[second]
    cells["neighbour_t1"] = ("pair", t1, {"units": "s", "long_name": "T1 of the neighbour"})
    return program("zz", device, written, cells, source=SOURCE, detuning=turn)


def _echo(pen: Pen, pair: Sequence[int], state: int, delay: float, turn: float) -> None:
    q, other = pair
    if state:
        pen.x(other)
    pen.circuit.barrier(q, other)
    pen.sx(q)
    pen.delay(q, delay / 2)
    pen.circuit.barrier(q, other)
    pen.y(q)
    pen.x(other)
    pen.circuit.barrier(q, other)
    pen.delay(q, delay / 2)
    pen.rz(q, turn)
    pen.sx(q)


def analyse(table: xr.Dataset) -> xr.Dataset:
    """Return the table with the ZZ rate of each pair, fitted to both of its traces.

    Error:
        Standard errors are those of shot noise. That the neighbour relaxes during the echo is part
        of the model (`coupling_fringes`), with the T1 that the table gives for it. A processor's
        neighbour decays at any time; in a twin it may do so at the end of each waiting time.
        What fits better is taken for all pairs, and said in `late`.
    """
    flat = table.transpose(*DIMS)
    hits, shots = (flat[k].values.astype(float) for k in ("hits", "shots"))
    fits = [
        fit_fringes(
            flat["delay"].values,
            hits,
            shots,
            turn=float(table.attrs["detuning"]),
            neighbour_t1=flat["neighbour_t1"].values,
            late=late,
        )
        for late in (False, True)
    ]
    late = int(fits[1].chi2.sum() < fits[0].chi2.sum())
    found = fits[late]
    values, stderr = found.values, found.stderr
    columns = {
        "zz": (values[:, ZETA], stderr[:, ZETA], "Hz", "E11 - E10 - E01 + E00"),
        "frequency": (values[:, 6], stderr[:, 6], "Hz", "of the fringes without ZZ"),
        "t2": (*lifetimes(found), "s", "decay of the echo"),
    }
    out = with_fits(table.assign(share(table)), columns, found, "pair").assign_attrs(late=late)
    smooth = fine(flat["delay"].values)
    curve, _ = fringes(values, smooth, flat["neighbour_t1"].values, late=bool(late))
    return with_curve(out, curve.reshape(len(values), 2, -1), ("pair", "neighbour"))


def zz(
    twin: Twin,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    delays: ArrayLike | None = None,
    detuning: float | None = None,
    shots: int | None = 1000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return ZZ rates of pairs as measured on a twin.

    Args:
        twin: The processor.
        pairs: See `circuits`.
        delays: See `circuits`.
        detuning: See `circuits`.
        shots: Of each circuit; None gives exact curves.
        seed: Same seed, same data.
        **run: `engine`, `joint`, `options`, `date` of `program.measure`.

    Returns:
        Over `pair`, `neighbour` (its state at first) and `delay`: `hits`, `shots`, `share`,
        `stderr`; over `pair`: `zz` and `zz_stderr`.
    """
    asked = circuits(twin.device, pairs, delays=delays, detuning=detuning)
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
