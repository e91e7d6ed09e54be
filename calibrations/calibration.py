"""The calibration: what was measured about one processor at one time."""

import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qdt_emu.calibrations.faults import faults
from qdt_emu.calibrations.ledger import Ledger
from qdt_emu.calibrations.measured import Layout, Measured, assemble
from qdt_emu.calibrations.schema import ATTRIBUTES, BY_PATH, Flag
from qdt_emu.calibrations.selection import selected
from qdt_emu.calibrations.storage import read_tree, write_tree
from qdt_emu.errors import CalibrationError, InputError

# Where a calibration came from is not part of what it says.
_PROVENANCE = {"source", "source_sha256", "Conventions"}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Checked measurements of one processor at one time.

    Building one checks everything, so a `Calibration` in hand has every quantity of
    `schema.QUANTITIES` in SI units, within its range, with a flag that says how far each
    number can be trusted. Numbers are as published: a T2 above 2 T1 is flagged here and
    repaired by the device stage. Arrays are read-only; `select` and `with_values` return
    a new calibration. Two calibrations are equal when their `id` is.

    Attributes:
        tree: The canonical tree, see `schema`; a private copy of what was passed.

    Raises:
        CalibrationError: With every fault found, not only the first.

    Examples:
        >>> toy = Calibration.uniform("toy", qubits=2, t1=100e-6, t2=80e-6)
        >>> toy.values("qubits/t1").tolist()
        [0.0001, 0.0001]
        >>> toy.edges
        ((0, 1), (1, 0))
    """

    tree: xr.DataTree

    def __post_init__(self) -> None:
        if found := tuple(faults(self.tree)):
            raise CalibrationError(str(self.tree.attrs.get("device", "?")), found)
        object.__setattr__(self, "tree", _read_only(self.tree))

    @classmethod
    def uniform(
        cls,
        name: str,
        *,
        qubits: int,
        t1: float,
        t2: float,
        edges: Sequence[tuple[int, int]] | None = None,
        infidelity_1q: float = 2e-4,
        infidelity_2q: float = 5e-3,
        duration_1q: float = 40e-9,
        duration_2q: float = 300e-9,
        assignment: tuple[float, float] = (0.01, 0.02),
        readout_duration: float = 1e-6,
        zz: float = np.nan,
        gate_2q: str = "cz",
    ) -> Self:
        """Return an invented calibration with the same numbers on every qubit.

        Args:
            name: Device name.
            qubits: Number of qubits.
            t1: Relaxation time in s.
            t2: Hahn-echo time in s.
            edges: Ordered pairs with a two-qubit gate; by default a line, both orders.
            infidelity_1q: Average gate infidelity of sx and x (rz is virtual).
            infidelity_2q: Average gate infidelity of `gate_2q`.
            duration_1q: Duration of sx and x in s.
            duration_2q: Duration of `gate_2q` in s.
            assignment: Probability of misreading a prepared 0 and a prepared 1.
            readout_duration: In s.
            zz: Residual ZZ shift of each coupled pair in Hz, NaN if unknown.
            gate_2q: Name of the two-qubit gate.
        """
        if edges is None:
            line = [(q, q + 1) for q in range(qubits - 1)]
            edges = sorted(line + [(b, a) for a, b in line])
        pairs = tuple(sorted({(min(e), max(e)) for e in edges}))
        gates = ("rz", "sx", "x")
        layout = Layout(qubits, gates, (gate_2q,), tuple(edges), pairs)
        virtual = np.array([0.0, 1.0, 1.0])[:, None]
        numbers: dict[str, ArrayLike] = {
            "qubits/t1": t1,
            "qubits/t2_echo": t2,
            "gates_1q/infidelity": infidelity_1q * virtual,
            "gates_1q/duration": duration_1q * virtual,
            "gates_2q/infidelity": infidelity_2q,
            "gates_2q/duration": duration_2q,
            "readout/assignment": np.array(assignment),
            "readout/readout_error": float(np.mean(assignment)),
            "readout/duration": readout_duration,
            "reset/duration": readout_duration,
            "couplings/zz": zz,
        }
        day = np.datetime64("2026-01-01T00:00:00", "ns")
        measured = {
            path: Measured.of(np.broadcast_to(number, layout.shape(path)), day)
            for path, number in numbers.items()
        }
        attrs = {
            "device": name,
            "snapshot_time": "2026-01-01T00:00:00Z",
            "source": "invented: uniform",
            "native_gates": json.dumps([*gates, gate_2q]),
        }
        tree = assemble(attrs, layout, measured, definitions={}, timing={}, ledger=Ledger.empty())
        return cls(tree)

    @property
    def name(self) -> str:
        """Device name, e.g. `'ibm_sherbrooke'`."""
        return str(self.tree.attrs["device"])

    @property
    def n_qubits(self) -> int:
        """Number of qubits; they are numbered 0..n-1."""
        return int(self.tree.sizes["qubit"])

    @property
    def snapshot_time(self) -> np.datetime64:
        """When the vendor put these numbers together (UTC)."""
        return np.datetime64(self.tree.attrs["snapshot_time"].removesuffix("Z"), "ns")

    @property
    def native_gates(self) -> tuple[str, ...]:
        """Names of the gates the vendor calls native."""
        return tuple(json.loads(self.tree.attrs["native_gates"]))

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Ordered qubit pairs of the two-qubit gates, in the vendor's order."""
        group = self.tree["gates_2q"]
        ends = (group.coords[end].values.tolist() for end in ("q0", "q1"))
        return tuple(zip(*ends, strict=True))

    @property
    def vendor_qubits(self) -> tuple[int, ...]:
        """Index on the chip of each qubit; differs from 0.. after `select`."""
        return tuple(self.tree.coords["vendor_qubit"].values.tolist())

    @cached_property
    def components(self) -> tuple[tuple[int, ...], ...]:
        """Sets of qubits that are connected; more than one where the device is split."""
        parts = {q: {q} for q in range(self.n_qubits)}
        for a, b in self.edges:
            if parts[a] is not parts[b]:
                parts[a] |= parts[b]
                parts.update(dict.fromkeys(parts[b], parts[a]))
        unique = {id(part): tuple(sorted(part)) for part in parts.values()}
        return tuple(sorted(unique.values()))

    @cached_property
    def ledger(self) -> Ledger:
        """What became of each field of the vendor's file."""
        return Ledger.from_dataset(self.tree.children["ledger"].to_dataset(inherit=False))

    @cached_property
    def timing(self) -> dict[str, float]:
        """Settings of the control system that are known, see `schema.TIMING`."""
        scalars = self.tree["timing"].data_vars
        return {str(name): scalar.item() for name, scalar in scalars.items()}

    @cached_property
    def id(self) -> str:
        """SHA-256 over every number and label, in hexadecimal."""
        digest = hashlib.sha256()
        for key in sorted(set(ATTRIBUTES) - _PROVENANCE):
            digest.update(f"{key}={self.tree.attrs[key]}\0".encode())
        for node in sorted(self.tree.subtree, key=lambda node: node.path):
            if node.path == "/ledger":
                continue
            variables = node.to_dataset(inherit=False).variables
            for name in sorted(variables, key=str):
                digest.update(f"{node.path}/{name}{variables[name].dims}".encode())
                digest.update(_bytes(variables[name].values))
        return digest.hexdigest()

    def __getitem__(self, group: str) -> xr.Dataset:
        """Return one group as a dataset of its own, e.g. `calibration['qubits']`."""
        if group not in self.tree.children:
            raise InputError(
                f"Group must be one of {sorted(self.tree.children)}, but is {group!r}."
            )
        data = self.tree.children[group].to_dataset()
        if "qubit" not in data.dims:
            return data
        inherited = {k: v for k, v in self.tree.coords.items() if k not in data.coords}
        return data.assign_coords(inherited)

    def values(self, path: str) -> NDArray[np.float64]:
        """Return the SI numbers of one quantity, e.g. `'qubits/t1'`, read-only."""
        return self._array(path)

    def flags(self, path: str) -> NDArray[np.int8]:
        """Return the `Flag` of each number of one quantity, read-only."""
        return np.asarray(self._array(path, "_flag"), np.int8)

    def stderr(self, path: str) -> NDArray[np.float64]:
        """Return the standard error of each number, NaN where unknown, read-only."""
        return self._array(path, "_stderr")

    def has(self, path: str) -> bool:
        """Return whether the calibration holds the quantity at `path` at all."""
        group, _, name = path.partition("/")
        return group in self.tree.children and name in self.tree[group].data_vars

    def select(self, qubits: Sequence[int]) -> Self:
        """Return the calibration of these qubits, renumbered 0.. in this order.

        Coordinate `vendor_qubit` keeps the numbers on the chip. Edges, pairs and
        benchmarked chains that leave the selection are dropped.

        Raises:
            InputError: For an unknown or repeated qubit.
        """
        return type(self)(selected(self.tree, qubits))

    def with_values(self, path: str, values: ArrayLike) -> Self:
        """Return a calibration with other numbers at `path`, flagged `imputed`.

        Args:
            path: Quantity, e.g. `'qubits/t1'`.
            values: SI numbers, broadcast to its shape; only those that differ from the
                present ones are flagged. NaN is flagged `missing`.
        """
        old = self.values(path)
        new = np.broadcast_to(np.asarray(values, np.float64), old.shape)
        changed = ~((old == new) | (np.isnan(old) & np.isnan(new)))
        flag = np.where(np.isnan(new), Flag.MISSING, Flag.IMPUTED)
        quantity, tree = BY_PATH[path], self.tree.copy()
        group, name = tree.children[quantity.group], quantity.name
        node = group.to_dataset(inherit=False)
        replaced: dict[str, NDArray[np.generic]] = {
            name: new,
            f"{name}_flag": np.where(changed, flag, self.flags(path)).astype(np.int8),
            f"{name}_stderr": np.where(changed, np.nan, self.stderr(path)),
        }
        data = {key: node[key].copy(data=array) for key, array in replaced.items()}
        group.dataset = node.assign(data)
        return type(self)(tree)

    def to_netcdf(self, path: str | Path) -> None:
        """Write one NetCDF-4 file; it appears complete or not at all."""
        write_tree(self.tree, Path(path))

    @classmethod
    def from_netcdf(cls, path: str | Path) -> Self:
        """Return the calibration in a file written by `to_netcdf`.

        Raises:
            CalibrationError: If the file is not a sound calibration.
        """
        return cls(read_tree(Path(path)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Calibration):
            return NotImplemented
        return self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return (
            f"Calibration({self.name!r}, qubits={self.n_qubits}, "
            f"snapshot_time={self.tree.attrs['snapshot_time']}, id={self.id[:8]})"
        )

    def _repr_html_(self) -> str:
        tree: str = self.tree._repr_html_()  # type: ignore[no-untyped-call]
        return f"<p><code>{html.escape(repr(self))}</code></p>{tree}"

    def _array(self, path: str, part: str = "") -> NDArray[np.float64]:
        if not self.has(path):
            known = [known for known in BY_PATH if self.has(known)]
            raise InputError(f"Quantity must be one of {known}, but is {path!r}.")
        group, _, name = path.partition("/")
        return np.asarray(self.tree[group].variables[name + part].values)


def _read_only(tree: xr.DataTree) -> xr.DataTree:
    copy = tree.copy(deep=True)
    for node in copy.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            if name not in node.indexes:  # an index is immutable already
                variable.values.setflags(write=False)
    return copy


def _bytes(array: NDArray[np.generic]) -> bytes:
    if array.dtype.kind == "f":
        canonical = np.where(np.isnan(array), np.nan, array) + 0.0  # one NaN, no -0.0
        return np.ascontiguousarray(canonical, "<f8").tobytes()
    if array.dtype.kind == "M":
        return np.ascontiguousarray(array.astype("datetime64[ns]"), "<M8[ns]").tobytes()
    if array.dtype.kind in "iu":
        return np.ascontiguousarray(array, "<i8").tobytes()
    return "\0".join(map(str, array.ravel().tolist())).encode()
