"""What experiments with a delay have in common: one trace per qubit, one circuit per delay."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit

from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.experiments.groups import groups, places
from qdt_emu.experiments.likelihood import Fit
from qdt_emu.experiments.program import Program, cells_of, program
from qdt_emu.experiments.pulses import Pen

POINTS = 25
FINE = 301
FITTED = "qubit"
Pulses = Callable[[Pen, int, float], None]
Columns = Mapping[str, tuple[Any, Any, str, str]]


def delays_for(
    times: Any, qubits: Sequence[int] | None, delays: ArrayLike | None, reach: float
) -> NDArray[np.float64]:
    """Return delays in s: those given, or more of them early, up to `reach` median times.

    Raises:
        InputError: Delays that are no times, or none where the device does not decay.
    """
    if delays is not None:
        out = np.asarray(delays, float)
        if out.ndim != 1 or len(out) < 4 or not (np.diff(out) > 0).all() or out[0] < 0:
            raise InputError("`delays` must be at least 4 rising numbers of seconds, from 0 up.")
        return out
    known = np.asarray(times, float)
    known = known if qubits is None else known[[q for q in qubits if 0 <= q < len(known)]]
    bad = qubits is not None and not len(known)  # `places` says why
    known = np.ones(1) if bad else known[np.isfinite(known)]
    if not len(known):
        raise InputError("`delays` must be given in s where the device does not decay.")
    return np.asarray(reach * np.median(known) * np.linspace(0, 1, POINTS) ** 1.5)


def trace_program(
    name: str,
    device: Device,
    qubits: Sequence[int] | None,
    delays: NDArray[np.float64],
    pulses: Pulses,
    *,
    expected: int,
    simultaneous: bool,
    source: str,
    **settings: Any,
) -> Program:
    """Return a program that does `pulses` on each qubit for each delay, then reads it.

    Args:
        name: Of the experiment.
        device: For which it is written.
        qubits: Which; None takes all that can be read.
        delays: In s, shape (m,).
        pulses: Writes one qubit's pulses for one delay.
        expected: The bit that is counted.
        simultaneous: Whether neighbours share a circuit.
        source: Publication of the protocol.
        **settings: Attributes of the table.
    """
    chosen = places(device, qubits, 1)
    index = np.zeros((len(chosen), len(delays)), np.int64)
    bits = np.zeros_like(index)
    circuits: list[QuantumCircuit] = []
    for group in groups(device, chosen, simultaneous=simultaneous):
        for k, delay in enumerate(delays.tolist()):
            pen = Pen.new(device, len(group), name)
            for c, place in enumerate(group):
                (q,) = chosen[place]
                pulses(pen, q, delay)
                pen.circuit.measure(q, c)
                index[place, k], bits[place, k] = len(circuits), c
            circuits.append(pen.circuit)
    dims = ("qubit", "delay")
    coords = {"qubit": [q for (q,) in chosen], "delay": ("delay", delays, {"units": "s"})}
    wanted = np.full((*index.shape, 1), expected)
    cells = cells_of(dims, index, bits[..., None], wanted, coords)
    settings["simultaneous"] = int(simultaneous)
    return program(name, device, circuits, cells, source=source, **settings)


def with_fits(
    table: xr.Dataset, columns: Columns, found: Fit | None, dims: str | tuple[str, ...]
) -> xr.Dataset:
    """Return the table with fitted numbers over `dims`: value, standard error, unit, meaning."""
    out = dict[str, Any]()
    for name, (value, stderr, units, meaning) in columns.items():
        out[name] = (dims, value, {"units": units, "long_name": meaning})
        if stderr is not None:
            about = {"units": units, "long_name": f"standard error of {name}"}
            out[f"{name}_stderr"] = (dims, stderr, about)
    if found is not None:
        out["chi2"] = (dims, found.chi2, {"units": "1", "long_name": "Pearson chi-square"})
        out["freedom"] = (dims, found.freedom, {"units": "1", "long_name": "degrees of freedom"})
    return table.assign(out)


def fine(delays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return delays close enough to draw a fitted curve."""
    return np.linspace(delays[0], delays[-1], FINE)


def with_curve(
    table: xr.Dataset, curve: NDArray[np.float64], dims: tuple[str, ...] = ("qubit",)
) -> xr.Dataset:
    """Return the table with the fitted curve at `fine` delays."""
    about = {"units": "1", "long_name": "fitted share"}
    times = ("fine", fine(table["delay"].values), {"units": "s"})
    return table.assign(curve=((*dims, "fine"), curve, about)).assign_coords(fine=times)


def lifetimes(found: Fit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return decay times from the logarithms of rates, with their errors; both may be infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.exp(-found.values[:, 0])
        error = value * found.stderr[:, 0]
    return value, np.where(np.isnan(error), np.inf, error)
