"""Numbers with standard error, flag and time, and the tree that they are put into."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qdt_emu.calibrations.ledger import Ledger
from qdt_emu.calibrations.schema import (
    BY_PATH,
    CONVENTIONS,
    FLAG_MEANINGS,
    OPTIONAL,
    SCHEMA,
    TIMING,
    Flag,
)

Edges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Measured:
    """The numbers of one quantity; four arrays of one shape, filled by a reader.

    Attributes:
        value: SI values, NaN where there is none.
        stderr: Standard errors in the same unit, NaN where unknown.
        flag: `Flag` of each value.
        measured_at: UTC, NaT where unknown.
    """

    value: NDArray[np.float64]
    stderr: NDArray[np.float64]
    flag: NDArray[np.int8]
    measured_at: NDArray[np.datetime64]

    @classmethod
    def empty(cls, *shape: int) -> Self:
        """Return `shape` missing values, to be filled in place."""
        return cls(
            np.full(shape, np.nan),
            np.full(shape, np.nan),
            np.full(shape, Flag.MISSING, np.int8),
            np.full(shape, "NaT", "datetime64[ns]"),
        )

    @classmethod
    def of(cls, values: NDArray[np.float64], at: np.datetime64) -> Self:
        """Return `values` measured at `at`; NaN counts as missing."""
        new = cls.empty(*values.shape)
        new.value[...] = values
        new.flag[~np.isnan(values)] = Flag.OK
        new.measured_at[~np.isnan(values)] = at
        return new


@dataclass(frozen=True)
class Layout:
    """Labels of all axes: what the numbers of a calibration belong to.

    Attributes:
        qubits: Number of qubits.
        gates_1q: Names of the one-qubit gates.
        gates_2q: Names of the two-qubit gates.
        edges: Ordered qubit pairs of the two-qubit gates.
        pairs: Unordered coupled pairs, smaller qubit first.
        chains: Qubits of each benchmarked chain, by its length.
        positions: (x, y) of each qubit on the chip, or empty.
        labels: The vendor's number of each qubit, or empty if they are 0, 1, ...
    """

    qubits: int
    gates_1q: tuple[str, ...] = ()
    gates_2q: tuple[str, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    chains: Mapping[int, tuple[int, ...]] | None = None
    positions: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape that the quantity at `path` must have."""
        sizes = {
            "qubit": self.qubits,
            "gate_1q": len(self.gates_1q),
            "gate_2q": len(self.gates_2q),
            "edge": len(self.edges),
            "pair": len(self.pairs),
            "prepared": 2,
            "chain_length": len(self.chains or {}),
        }
        return tuple(sizes[dim] for dim in BY_PATH[path].dims)


def variables(path: str, measured: Measured, definition: str = "") -> dict[str, xr.Variable]:
    """Return the variable of the quantity at `path` and its three companions."""
    quantity = BY_PATH[path]
    name, dims = quantity.name, quantity.dims
    parts = ("stderr", "flag", "measured_at")
    attrs = {
        "units": quantity.unit,
        "long_name": quantity.long_name,
        "definition": definition or quantity.long_name,
        "ancillary_variables": " ".join(f"{name}_{part}" for part in parts),
    }
    flags = {
        "flag_values": np.array(list(Flag), np.int8),
        "flag_meanings": FLAG_MEANINGS,
    }
    return {
        name: xr.Variable(dims, measured.value, attrs),
        f"{name}_stderr": xr.Variable(dims, measured.stderr, {"units": quantity.unit}),
        f"{name}_flag": xr.Variable(dims, measured.flag, flags),
        f"{name}_measured_at": xr.Variable(dims, measured.measured_at),
    }


def assemble(
    attrs: Mapping[str, str],
    layout: Layout,
    measured: Mapping[str, Measured],
    *,
    definitions: Mapping[str, str],
    timing: Mapping[str, float],
    ledger: Ledger,
    active: NDArray[np.int8] | None = None,
    directed: NDArray[np.int8] | None = None,
) -> xr.DataTree:
    """Return the canonical tree; quantities that are not in `measured` are missing.

    Args:
        attrs: Root attributes, see `schema.ATTRIBUTES`; absent ones become empty text.
        layout: Labels of all axes.
        measured: Numbers by path, e.g. `'qubits/t1'`.
        definitions: By path, what exactly the vendor's number is.
        timing: Settings of `schema.TIMING` that are known.
        ledger: What became of each vendor field.
        active: Per qubit, whether it can be used; all by default.
        directed: Per two-qubit gate, whether its two orders differ; by default found
            from the numbers.
    """
    data: dict[str, dict[str, xr.Variable]] = {}
    for path, quantity in BY_PATH.items():
        if path in OPTIONAL and path not in measured:
            continue
        part = measured.get(path) or Measured.empty(*layout.shape(path))
        group = data.setdefault(quantity.group, {})
        group.update(variables(path, part, definitions.get(path, "")))
    usable = np.ones(layout.qubits, np.int8) if active is None else active
    data["qubits"]["active"] = xr.Variable(
        "qubit", usable, {"long_name": "whether the vendor lets the qubit be used"}
    )
    if directed is None:
        directed = find_directed(data["gates_2q"], layout.edges)
    data["gates_2q"]["directed"] = xr.Variable(
        "gate_2q", directed, {"long_name": "whether the two orders of a pair differ"}
    )
    data["benchmarks"]["chain"] = _chains(layout)
    coords = _coords(layout)
    nodes = {f"/{g}": xr.Dataset(v, coords.get(g)) for g, v in data.items()}
    scalars = {
        name: xr.Variable((), timing[name], {"units": unit, "long_name": text})
        for name, (unit, text) in TIMING.items()
        if name in timing
    }
    root = xr.Dataset(coords=coords[""], attrs=root_attrs(attrs))
    tail = {"/timing": xr.Dataset(scalars), "/ledger": ledger.to_dataset()}
    return xr.DataTree.from_dict({"/": root, **nodes, **tail})


def root_attrs(attrs: Mapping[str, str]) -> dict[str, str]:
    """Return `attrs` with the schema's own entries and empty text for absent ones."""
    empty = dict.fromkeys(
        ("vendor", "backend_version", "processor_family", "processor_revision"), ""
    )
    empty |= dict.fromkeys(("source", "source_sha256", "operating_point"), "")
    fixed = {"schema": SCHEMA, "Conventions": CONVENTIONS}
    return {**fixed, **empty, "native_gates": json.dumps([]), **attrs}


def find_directed(gates_2q: Mapping[str, xr.Variable], edges: Edges) -> NDArray[np.int8]:
    """Return per gate 0 if each pair has both orders with equal numbers, else 1."""
    place = {edge: k for k, edge in enumerate(edges)}
    back = np.array([place.get((b, a), -1) for a, b in edges], np.int64)
    infidelity, duration = gates_2q["infidelity"], gates_2q["duration"]
    directed = np.zeros(infidelity.shape[0], np.int8)
    for gate in range(len(directed)):
        listed = infidelity_or_flag(gates_2q, gate)
        same = back >= 0
        same &= listed[back]
        for numbers in (infidelity.values[gate], duration.values[gate]):
            reverse = numbers[back]
            same &= (numbers == reverse) | (np.isnan(numbers) & np.isnan(reverse))
        directed[gate] = not np.all(same | ~listed)
    return directed


def infidelity_or_flag(gates_2q: Mapping[str, xr.Variable], gate: int) -> NDArray[np.bool_]:
    """Return on which edges the file lists the gate, with whatever number."""
    rows = [gates_2q[f"{v}_flag"].values[gate] for v in ("infidelity", "duration")]
    return np.asarray((rows[0] != Flag.MISSING) | (rows[1] != Flag.MISSING))


def _coords(layout: Layout) -> dict[str, dict[str, xr.Variable]]:
    root = {
        "qubit": xr.Variable("qubit", np.arange(layout.qubits)),
        "vendor_qubit": xr.Variable(
            "qubit",
            np.array(layout.labels or range(layout.qubits), np.int64),
            {"long_name": "index on the chip"},
        ),
    }
    if layout.positions:
        x, y = np.array(layout.positions, np.float64).T
        root |= {"x": xr.Variable("qubit", x), "y": xr.Variable("qubit", y)}
    return {
        "": root,
        "gates_1q": {"gate_1q": _names("gate_1q", layout.gates_1q)},
        "gates_2q": {
            "gate_2q": _names("gate_2q", layout.gates_2q),
            **_ends("edge", layout.edges, ("q0", "q1")),
        },
        "readout": {"prepared": xr.Variable("prepared", np.arange(2))},
        "couplings": _ends("pair", layout.pairs, ("pair_q0", "pair_q1")),
        "benchmarks": {
            "chain_length": xr.Variable(
                "chain_length", np.array(list(layout.chains or {}), np.int64)
            )
        },
    }


def _names(dim: str, names: Iterable[str]) -> xr.Variable:
    return xr.Variable(dim, np.array(list(names), np.dtypes.StringDType()).astype(object))


def _ends(dim: str, edges: Edges, names: tuple[str, str]) -> dict[str, xr.Variable]:
    ends = np.array(edges, np.int64).reshape(-1, 2).T
    return {name: xr.Variable(dim, end) for name, end in zip(names, ends, strict=True)}


def _chains(layout: Layout) -> xr.Variable:
    chains = list((layout.chains or {}).values())
    padded = np.full((len(chains), max(map(len, chains), default=0)), -1, np.int64)
    for row, chain in zip(padded, chains, strict=True):
        row[: len(chain)] = chain
    attrs = {"long_name": "qubits of the chain, padded with -1"}
    return xr.Variable(("chain_length", "position"), padded, attrs)
