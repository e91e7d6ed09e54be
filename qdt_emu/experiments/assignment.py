"""Readout: confusion of each qubit, correlations of pairs, and measurement in mid-circuit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qdt_emu.device import Device
from qdt_emu.experiments.groups import places
from qdt_emu.experiments.program import Program, cells_of, measure, program, share
from qdt_emu.experiments.pulses import Pen
from qdt_emu.experiments.traces import with_fits
from qdt_emu.twin import Twin

SOURCE = "Bravyi et al., arXiv:2006.14044, section II"
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def patterns(device: Device, qubits: Sequence[int]) -> Ints:
    """Return which bit each qubit is prepared in, shape (circuits, len(qubits)).

    Rows of a Hadamard matrix, with a column for each colour of the coupling graph: each qubit is
    in 0 as often as in 1, and each pair of neighbours equally often in 00, 01, 10 and 11.
    """
    colour: dict[int, int] = {}
    for q in qubits:
        taken = {colour[n] for n in device.neighbours[q] if n in colour}
        colour[q] = next(c for c in range(len(qubits) + 1) if c not in taken)
    columns = max(colour.values()) + 2
    power = int(np.ceil(np.log2(columns)))
    rows = np.arange(2**power)
    column = np.array([colour[q] + 1 for q in qubits])
    parity = np.array([[bin(int(r & c)).count("1") % 2 for c in column] for r in rows])
    return np.asarray(parity, np.int64)


def circuits(device: Device, qubits: Sequence[int] | None = None) -> Program:
    """Return the circuits: prepare a pattern, read every qubit at once.

    Args:
        device: For which they are written.
        qubits: Which; None takes all that can be read. Coupled ones also give pairs.
    """
    chosen = [q for (q,) in places(device, qubits, 1)]
    prepared = patterns(device, chosen)
    written = []
    for row in prepared:
        pen = Pen.new(device, len(chosen), "readout")
        for c, (q, bit) in enumerate(zip(chosen, row.tolist(), strict=True)):
            if bit:
                pen.x(q)
            pen.circuit.measure(q, c)
        written.append(pen.circuit)
    place = {q: c for c, q in enumerate(chosen)}
    pairs = [(a, b) for a, b in device.couplers if a in place and b in place]
    # Cells: for each circuit, each qubit read as 1, then each pair read as 11.
    ones = np.array([[place[q], -1] for q in chosen])
    twos = np.array([[place[a], place[b]] for a, b in pairs]).reshape(-1, 2)
    bits = np.concatenate([ones, twos])
    dims = ("pattern", "asked")
    shape = (len(written), len(bits))
    coords = {
        "qubit": chosen,
        "pair_q0": ("pair", [a for a, _ in pairs]),
        "pair_q1": ("pair", [b for _, b in pairs]),
    }
    every = np.broadcast_to(np.arange(len(written))[:, None], shape)
    whole = (*shape, 2)
    cells = cells_of(dims, every, np.broadcast_to(bits, whole), np.ones(whole, np.int64), coords)
    about = {"units": "1", "long_name": "bit that was prepared"}
    cells["prepared"] = (("pattern", "qubit"), prepared, about)
    return program("readout", device, written, cells, source=SOURCE)


def analyse(table: xr.Dataset) -> xr.Dataset:
    """Return confusion matrices of qubits and pairs with standard errors.

    Returns:
        `confusion` over (qubit, read, prepared): P(read | prepared); `pair_confusion` over (pair,
        pair_read, pair_prepared) with index 2 * first + second; `correlation` of the misreadings
        of a pair (Pearson's, mean over what was prepared). Each with `..._stderr`.
    """
    n = table.sizes["qubit"]
    hits = table["hits"].transpose("pattern", "asked").values
    shots = table["shots"].transpose("pattern", "asked").values
    prepared = table["prepared"].transpose("pattern", "qubit").values
    flips = np.zeros((n, 2))
    trials = np.zeros((n, 2))
    for bit in (0, 1):
        mine = prepared == bit
        wrong = hits[:, :n] if bit == 0 else shots[:, :n] - hits[:, :n]
        flips[:, bit], trials[:, bit] = (wrong * mine).sum(0), (shots[:, :n] * mine).sum(0)
    rate = flips / trials
    confusion = np.stack([1 - rate, rate], axis=1)  # (qubit, read as prepared or not, prepared)
    confusion[:, :, 1] = confusion[:, ::-1, 1]
    error = np.repeat(_error(flips, trials)[:, None], 2, axis=1)
    columns = {"confusion": (confusion, error, "1", "P(read | prepared)")}
    out = with_fits(table, columns, None, ("qubit", "read", "prepared_bit"))
    out = out.assign_coords(read=[0, 1], prepared_bit=[0, 1])
    return _pairs(out, hits, shots, prepared) if table.sizes["pair"] else out


def _pairs(table: xr.Dataset, hits: Ints, shots: Ints, prepared: Ints) -> xr.Dataset:
    """Return the table with the pairs' confusion and correlation."""
    qubit = {int(q): k for k, q in enumerate(table["qubit"].values)}
    ends = np.array([[qubit[int(q)] for q in table[f"pair_q{k}"].values] for k in (0, 1)])
    n, size = len(qubit), table.sizes["pair"]
    counts = np.zeros((size, 4, 4))
    index = 2 * prepared[:, ends[0]] + prepared[:, ends[1]]  # (pattern, pair)
    a, b, both = hits[:, ends[0]], hits[:, ends[1]], hits[:, n:]
    total = shots[:, n:]
    found = np.stack([total - a - b + both, b - both, a - both, both])  # read 00, 01, 10, 11
    for k in range(len(prepared)):
        counts[np.arange(size), :, index[k]] += found[:, k].T
    trials = counts.sum(1, keepdims=True)
    confusion = counts / trials
    columns = {
        "pair_confusion": (confusion, _error(counts, trials), "1", "P(read | prepared), 2 a + b")
    }
    out = with_fits(table, columns, None, ("pair", "pair_read", "pair_prepared"))
    rho, error = _correlation(confusion, trials[:, 0])
    names = {"correlation": (rho, error, "1", "correlation coefficient of misreadings")}
    return with_fits(out, names, None, "pair")


def _correlation(confusion: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Return Pearson's coefficient of "first misread" and "second misread", shape (pair,)."""
    prepared = np.arange(4)
    first = np.arange(4)[:, None] >> 1 != prepared >> 1  # (read, prepared)
    second = (np.arange(4)[:, None] & 1) != (prepared & 1)
    p, q, both = (
        (confusion * wrong).sum(1) for wrong in (first, second, first & second)
    )  # (pair, prepared)
    scale = np.sqrt(p * (1 - p) * q * (1 - q))
    rho = np.divide(both - p * q, scale, out=np.zeros_like(scale), where=scale > 0)
    weight = trials / trials.sum(1, keepdims=True)
    # For rare misreadings the coefficient's own error is 1 / sqrt(trials), as for no correlation.
    return (rho * weight).sum(1), 1 / np.sqrt(trials.sum(1))


def _error(hits: Floats, trials: Floats) -> Floats:
    near = (hits + 0.5) / (trials + 1)
    return np.asarray(np.sqrt(near * (1 - near) / (trials + 1)))


def readout(
    twin: Twin,
    qubits: Sequence[int] | None = None,
    *,
    shots: int = 4000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return confusion of qubits and neighbouring pairs as measured on a twin, all at once.

    Args:
        twin: The processor.
        qubits: See `circuits`.
        shots: Of each circuit.
        seed: Same seed, same data.
        **run: `engine`, `options`, `date` of `program.measure`.

    Returns:
        See `analyse`.
    """
    asked = circuits(twin.device, qubits)
    return analyse(measure(asked, twin, shots=shots, seed=seed, **{"joint": True} | run))


def midcircuit_circuits(device: Device, qubits: Sequence[int] | None = None) -> Program:
    """Return two circuits: prepare 0 or 1, measure twice."""
    chosen = [q for (q,) in places(device, qubits, 1)]
    written = []
    for bit in (0, 1):
        pen = Pen.new(device, 2 * len(chosen), "midcircuit")
        for c, q in enumerate(chosen):
            if bit:
                pen.x(q)
            pen.circuit.measure(q, 2 * c)
            pen.circuit.measure(q, 2 * c + 1)
        written.append(pen.circuit)
    dims = ("qubit", "prepared", "first", "second")
    shape = (len(chosen), 2, 2, 2)
    grid = np.indices(shape)
    bits = np.stack([2 * grid[0], 2 * grid[0] + 1], axis=-1)
    coords = {"qubit": chosen, "prepared": [0, 1], "first": [0, 1], "second": [0, 1]}
    cells = cells_of(dims, grid[1], bits, np.stack([grid[2], grid[3]], axis=-1), coords)
    return program("midcircuit_readout", device, written, cells, source=SOURCE, joint=True)


def midcircuit_readout(
    twin: Twin,
    qubits: Sequence[int] | None = None,
    *,
    shots: int = 4000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return how two measurements in a row agree, as measured on a twin.

    Args:
        twin: The processor.
        qubits: Which; None takes all that can be read.
        shots: Of each of the two circuits.
        seed: Same seed, same data.
        **run: `engine`, `options`, `date` of `program.measure`.

    Returns:
        Over (qubit, prepared, first, second): `hits`, `shots`, `share`, `stderr`; over (qubit,
        prepared, first): `repeated`, P(second = first | first), with its standard error.
    """
    asked = midcircuit_circuits(twin.device, qubits)
    table = measure(asked, twin, shots=shots, seed=seed, **run)
    hits = table["hits"].values.astype(float)
    same = np.stack([hits[..., 0, 0], hits[..., 1, 1]], axis=-1)
    trials = hits.sum(-1)
    chance = np.divide(same, trials, out=np.full(same.shape, np.nan), where=trials > 0)
    columns = {"repeated": (chance, _error(same, trials), "1", "P(second = first | first)")}
    return with_fits(table.assign(share(table)), columns, None, ("qubit", "prepared", "first"))
