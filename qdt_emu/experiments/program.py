"""The circuits of an experiment, and which bits of which circuit answer which question.

Every experiment is three functions: one builds a `Program`; `measure` runs it on a twin, or
`from_counts` takes what a processor counted; one fits the table that comes of it.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu import __version__
from qdt_emu.circuit import Options
from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.experiments.progress import watched
from qdt_emu.result import Counts
from qdt_emu.twin import Twin

EXACT = 2**40
"""Shots of an exact answer: its rounding is far below every other error."""

Event = Literal["match", "even"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Program:
    """Circuits and the table of events that are counted in them.

    Attributes:
        circuits: On the qubits of the device, in its native gates, measured at the end.
        cells: One event per entry: `circuit` (its index), over the table's dimensions; `bits` and
            `expected`, with one more dimension `bit`. A bit of -1 is none. Coordinates and
            further variables go into the result as they are.
        event: 'match': all bits are as expected. 'even': an even number of them differs.
        joint: Whether events need the shots themselves: measurements before the end.
    """

    circuits: tuple[QuantumCircuit, ...]
    cells: xr.Dataset
    event: Event = "match"
    joint: bool = False


def cells_of(
    dims: tuple[str, ...], circuit: Ints, bits: Ints, expected: Ints, coords: Mapping[str, Any]
) -> xr.Dataset:
    """Return the table of events of a `Program`.

    Args:
        dims: Names of the table's dimensions.
        circuit: Index of each event's circuit, over them.
        bits: Which bits are read, with one more dimension; -1 is none.
        expected: What they are expected to be, likewise.
        coords: Of the table.
    """
    whole = (*dims, "bit")
    data = {"circuit": (dims, circuit), "bits": (whole, bits), "expected": (whole, expected)}
    return xr.Dataset(data, dict(coords))


def program(
    name: str,
    device: Device,
    circuits: Sequence[QuantumCircuit],
    cells: xr.Dataset,
    *,
    source: str,
    event: Event = "match",
    joint: bool = False,
    **settings: Any,
) -> Program:
    """Return a program whose table says what it is.

    Args:
        name: Of the experiment.
        device: What it was written for.
        circuits: See `Program`.
        cells: See `Program`.
        source: Publication of the protocol.
        event: See `Program`.
        joint: See `Program`.
        **settings: Numbers and texts that the analysis needs.
    """
    about = {
        "experiment": name,
        "device": device.name,
        "calibration_id": device.calibration_id,
        "calibrated": device.snapshot_time,
        "protocol": source,
        "circuits": len(circuits),
        **settings,
    }
    return Program(tuple(circuits), cells.assign_attrs(about), event, joint)


def measure(
    asked: Program,
    twin: Twin,
    *,
    shots: int | None,
    seed: int,
    engine: Any = "auto",
    joint: bool = False,
    options: Options | None = None,
    date: str = "",
) -> xr.Dataset:
    """Return the table of an experiment done on a twin: `hits` of `shots` in each cell.

    By default the probability of each event is computed exactly, in the light cone of its qubits,
    and the number of hits is drawn from it; events of one circuit are then independent. `joint`
    draws whole bit strings instead, as a processor does, and so does an engine that samples.

    Args:
        asked: The experiment.
        twin: The processor.
        shots: Of each circuit; None gives the probabilities themselves, as 2^40 shots.
        seed: Same seed, same table.
        engine: As in `Twin.run`.
        joint: Draw bit strings.
        options: As in `Twin.run`.
        date: When, ISO; goes into the attributes.

    Raises:
        InputError: `shots` is None, but events have to be drawn.
    """
    hits = np.zeros(asked.cells["circuit"].shape, np.int64)
    flat = hits.reshape(-1)
    events = _Events.of(asked)
    about = {"seed": seed, "engine": str(engine), "origin": "twin", "device_id": twin.device.id}
    twin = _of_one_job(twin, seed)
    label = f"{asked.cells.attrs['experiment']} on {twin.name}"
    p = twin.device.parameters
    drawn = joint or asked.joint
    if engine == "auto" and (p.detuning is not None or p.charge_parity is not None):
        # What differs from shot to shot is cheap to draw, and to integrate on few qubits only.
        engine, drawn = ("density", drawn) if shots is None else (engine, True)
    for k in watched(range(len(asked.circuits)), label):
        mine = np.flatnonzero(events.circuit == k)
        rng = np.random.default_rng([seed, k])
        own = int(rng.integers(2**62))
        circuit = asked.circuits[k]
        chance = None
        if not drawn:
            chance = _chances(events, mine, circuit, twin, own, engine, options)
        if chance is not None:
            flat[mine] = _drawn(chance, shots, rng)
            continue
        if shots is None:
            raise InputError(
                "`shots` must be a number where no engine gives exact probabilities, but is None."
            )
        bits = twin.records(circuit, shots=shots, seed=own, engine=engine, options=options)
        flat[mine] = events.hits(mine, bits, np.ones(len(bits), np.int64))
    return _table(asked, hits, np.full_like(hits, EXACT if shots is None else shots), about, date)


def _of_one_job(twin: Twin, seed: int) -> Twin:
    """Return the twin with parameters that change from job to job drawn once for all circuits."""
    if twin.device.parameters.t1_spread is None:
        return twin
    job = twin.device.draw_job(np.random.default_rng([seed, 2]))
    still = job.with_parameters(replace(job.parameters, t1_spread=None))
    return replace(twin, device=still, _compiled=OrderedDict())


def from_counts(
    asked: Program, counts: Sequence[Counts | Mapping[str, int]], *, date: str = ""
) -> xr.Dataset:
    """Return the table of an experiment done on a processor.

    Args:
        asked: The experiment.
        counts: Of each circuit, leftmost character = highest bit.
        date: When, ISO; goes into the attributes.

    Raises:
        InputError: Not as many counts as circuits, or of another number of bits.
    """
    if len(counts) != len(asked.circuits):
        raise InputError(
            f"`counts` must be one for each of {len(asked.circuits)} circuits, but are "
            f"{len(counts)}. Give them in the order of `circuits`."
        )
    events = _Events.of(asked)
    hits = np.zeros(asked.cells["circuit"].shape, np.int64)
    shots = np.zeros_like(hits)
    for k, (circuit, found) in enumerate(zip(asked.circuits, counts, strict=True)):
        own = found if isinstance(found, Counts) else Counts.from_qiskit(found)
        if own.n_clbits != circuit.num_clbits:
            raise InputError(
                f"Counts must have {circuit.num_clbits} bits as circuit {k}, but have "
                f"{own.n_clbits}. Give them in the order of `circuits`."
            )
        mine = np.flatnonzero(events.circuit == k)
        hits.reshape(-1)[mine] = events.hits(mine, *own.bits())
        shots.reshape(-1)[mine] = own.shots
    return _table(asked, hits, shots, {"origin": "counts"}, date)


@dataclass(frozen=True, eq=False)
class _Events:
    """The cells of a program in one row: circuit (c,), bits and expected (c, k)."""

    circuit: Ints
    bits: Ints
    expected: Ints
    kind: Event

    @classmethod
    def of(cls, asked: Program) -> "_Events":
        dims = asked.cells["circuit"].dims
        table = asked.cells.transpose(*dims, "bit", ...)
        width = table.sizes["bit"]
        bits = table["bits"].values.reshape(-1, width)
        expected = table["expected"].values.reshape(-1, width)
        return cls(table["circuit"].values.reshape(-1), bits, expected, asked.event)

    def hits(self, cells: Ints, records: NDArray[np.uint8], amounts: Ints) -> Ints:
        """Return how many records, each seen `amounts` times, belong to each event."""
        out = np.zeros(len(cells), np.int64)
        for k, cell in enumerate(cells):
            used = self.bits[cell] >= 0
            wrong = records[:, self.bits[cell][used]] ^ self.expected[cell][used].astype(np.uint8)
            right = ~wrong.any(1) if self.kind == "match" else wrong.sum(1) % 2 == 0
            out[k] = amounts[right].sum()
        return out


def _chances(
    events: _Events,
    cells: Ints,
    circuit: QuantumCircuit,
    twin: Twin,
    seed: int,
    engine: Any,
    options: Options | None,
) -> Floats | None:
    """Return the exact probability of each event, or None where the engine samples."""
    qubit = {
        circuit.find_bit(item.clbits[0]).index: circuit.find_bit(item.qubits[0]).index
        for item in circuit.data
        if item.operation.name == "measure"
    }
    terms = [_terms(events, cell) for cell in cells]
    strings = list(dict.fromkeys(subset for term in terms for subset in term if subset))
    labels = [_label([qubit[b] for b in subset], circuit.num_qubits) for subset in strings]
    found = twin.estimate(circuit, labels, seed=seed, engine=engine, options=options)
    if found.stderr.any():
        return None
    value = dict(zip(strings, found.values.tolist(), strict=True)) | {(): 1.0}
    out = [sum(w * value[s] for s, w in term.items()) for term in terms]
    return np.asarray(np.clip(np.array(out), 0.0, 1.0))


def _terms(events: _Events, cell: int) -> dict[tuple[int, ...], float]:
    """Return an event's probability as a sum of means of products of bits' signs."""
    used = events.bits[cell] >= 0
    bits = events.bits[cell][used].tolist()
    signs = dict(zip(bits, (1 - 2 * events.expected[cell][used]).tolist(), strict=True))
    if events.kind == "even":
        return {(): 0.5, tuple(sorted(bits)): 0.5 * np.prod(list(signs.values()))}
    out: dict[tuple[int, ...], float] = {(): 1.0}
    for b in sorted(bits):
        out = {
            subset + extra: weight * (0.5 if not extra else 0.5 * signs[b])
            for subset, weight in out.items()
            for extra in ((), (b,))
        }
    return out


def _label(qubits: Sequence[int], n: int) -> str:
    letters = ["I"] * n
    for q in qubits:
        letters[n - 1 - q] = "Z"
    return "".join(letters)


def _drawn(chance: Floats, shots: int | None, rng: np.random.Generator) -> Ints:
    if shots is None:
        return np.rint(chance * EXACT).astype(np.int64)
    return rng.binomial(shots, chance)


def _table(
    asked: Program, hits: Ints, shots: Ints, about: Mapping[str, Any], date: str
) -> xr.Dataset:
    """Return the cells with what was counted, and its share with a standard error."""
    cells = asked.cells.drop_vars(["bits", "expected", "circuit"])
    dims = asked.cells["circuit"].dims
    table = cells.assign(hits=(dims, hits), shots=(dims, shots))
    table["hits"].attrs = {"units": "1", "long_name": "shots in which the event happened"}
    table["shots"].attrs = {"units": "1", "long_name": "shots"}
    software = f"qdt_emu {__version__}"
    return table.assign_attrs({**about, "date": date, "software": software})


def share(table: xr.Dataset) -> xr.Dataset:
    """Return the share of hits in each cell and its standard error, as two variables.

    The error is that of (hits + 1/2) / (shots + 1), so that no cell is certain.

    Examples:
        >>> table = xr.Dataset({"hits": ("k", [0, 50]), "shots": ("k", [100, 100])})
        >>> share(table)["stderr"].round(4).values.tolist()
        [0.007, 0.0498]
    """
    near = (table["hits"] + 0.5) / (table["shots"] + 1)
    return xr.Dataset(
        {
            "share": table["hits"] / table["shots"],
            "stderr": np.sqrt(near * (1 - near) / (table["shots"] + 1)),
        }
    )
