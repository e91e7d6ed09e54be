"""The device: topology, instructions and the parameters that go with them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from qdt_emu.device.parameters import Parameters
from qdt_emu.errors import InputError
from qdt_emu.noise.coherent import Frame
from qdt_emu.noise.fluctuation import drawn_t1, shifted_t2

# Exchanging the qubits of these gates changes nothing: both orders are one physical gate.
SYMMETRIC = frozenset({"cz", "rzz", "swap", "iswap", "cp"})
VIRTUAL = frozenset({"rz", "z", "s", "sdg", "t", "tdg", "p", "u1", "global_phase"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One native operation on one locus.

    Attributes:
        name: The vendor's name, e.g. 'cz'.
        qubits: Ordered physical qubits; ('cx', (0, 1)) and ('cx', (1, 0)) are two instructions.
        duration: In s; 0.0 for a frame change.
        infidelity: Published average gate infidelity; None where nothing was published.
    """

    name: str
    qubits: tuple[int, ...]
    duration: float
    infidelity: float | None

    def __str__(self) -> str:
        return f"{self.name} on {', '.join(map(str, self.qubits))}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something the device stage changed or left out, and why.

    Attributes:
        case: Short code of the rule, see `device.build`.
        where: The quantity and its place, e.g. 't2 of qubit 3'.
        old: The value in the calibration; None where it was missing.
        new: The value in use; None where the thing was left out.
        reason: One sentence.
        qubits: The qubits it concerns; empty for the whole device.
        gate: The instruction it concerns; empty if none. Without qubits: wherever it runs.
    """

    case: str
    where: str
    old: float | None
    new: float | None
    reason: str
    qubits: tuple[int, ...] = ()
    gate: str = ""


@dataclass(frozen=True, eq=False)
class Device:
    """A model of one processor: static topology and instructions, learnable parameters.

    Attributes:
        name: Processor name.
        calibration_id: Identity of the calibration it was built from.
        n_qubits: Number of physical qubits.
        instructions: Every usable native operation; row `i` owns `parameters.depolarizing[i]`.
        readout_duration: In s per qubit, shape (n,); NaN where the qubit cannot be measured.
        reset_duration: In s per qubit, shape (n,); NaN where the qubit cannot be reset.
        couplers: Unordered neighbour pairs (a < b); row `i` owns `parameters.zz[i]`.
        readout_pairs: Pairs with correlated readout; row `i` owns `parameters.pair_correlation[i]`.
        parameters: The numbers.
        dt: Time step of the control electronics in s, or None.
        feedforward_latency: Time between the end of a measurement and the first operation that
            depends on it, in s. No vendor's file contains it.
        zz_frame: 'neighbour_ground' (frames calibrated with the neighbour in |0>) or 'dressed'.
        excluded: Operations that exist but may not be used, with the reason.
        notes: What was repaired, imputed, anchored or left out while building.
        positions: Place of each qubit in a drawing, shape (n, 2), or None.
        snapshot_time: When the calibration was taken, ISO UTC.
        open_set: True for an ideal device that takes any one- or two-qubit gate.
        labels: The vendor's number of each qubit, empty if they are 0, 1, ... Only circuits that
            name qubits as the vendor does use it, see `circuit.braket`.
        schedule: How the vendor's compiler places operations in time, 'alap' or 'asap'.
    """

    name: str
    calibration_id: str
    n_qubits: int
    instructions: tuple[Instruction, ...]
    readout_duration: np.ndarray
    reset_duration: np.ndarray
    couplers: tuple[tuple[int, int], ...]
    parameters: Parameters
    readout_pairs: tuple[tuple[int, int], ...] = ()
    dt: float | None = None
    feedforward_latency: float = 1e-6
    zz_frame: Frame = "neighbour_ground"
    excluded: Mapping[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    positions: np.ndarray | None = None
    snapshot_time: str = ""
    open_set: bool = False
    labels: tuple[int, ...] = ()
    schedule: str = "alap"

    def __post_init__(self) -> None:
        object.__setattr__(self, "excluded", MappingProxyType(dict(self.excluded)))
        object.__setattr__(self, "parameters", _read_only(self.parameters))
        for name in ("readout_duration", "reset_duration"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    @cached_property
    def row(self) -> Mapping[tuple[str, tuple[int, ...]], int]:
        """Row of an instruction from its name and qubits."""
        return MappingProxyType({(i.name, i.qubits): k for k, i in enumerate(self.instructions)})

    @cached_property
    def native_gates(self) -> frozenset[str]:
        """Names of the instructions."""
        return frozenset(i.name for i in self.instructions)

    @cached_property
    def coupler_row(self) -> Mapping[tuple[int, int], int]:
        """Row of a coupler from its qubits in either order."""
        rows = {pair: k for k, pair in enumerate(self.couplers)}
        return MappingProxyType(rows | {(b, a): k for (a, b), k in rows.items()})

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Coupled qubits of each qubit."""
        out: list[list[int]] = [[] for _ in range(self.n_qubits)]
        for a, b in self.couplers:
            out[a].append(b)
            out[b].append(a)
        return tuple(tuple(sorted(x)) for x in out)

    @cached_property
    def spectators(self) -> tuple[tuple[tuple[int, int], int], ...]:
        """Couplers, each with a qubit next to it; row `i` owns `parameters.stark[i]`."""
        return tuple(
            (pair, q)
            for pair in self.couplers
            for q in sorted({n for p in pair for n in self.neighbours[p]} - set(pair))
        )

    @cached_property
    def contexts(self) -> tuple[tuple[tuple[int, int], tuple[int, int] | None], ...]:
        """Couplers, alone and beside each neighbouring one; row `i` owns `parameters.context[i]`.

        Couplers are neighbours if an edge joins them and they share no qubit, so that gates on
        both can run at once.
        """
        alone = [(pair, None) for pair in self.couplers]
        beside = [
            (pair, other)
            for pair in self.couplers
            for other in sorted(
                {
                    (min(n, m), max(n, m))
                    for p in pair
                    for n in self.neighbours[p]
                    for m in self.neighbours[n]
                    if not {n, m} & set(pair)
                }
            )
        ]
        return (*alone, *beside)

    @cached_property
    def context_row(self) -> Mapping[Any, int]:
        """Row of a context."""
        return MappingProxyType({context: row for row, context in enumerate(self.contexts)})

    @cached_property
    def spectator_rows(self) -> Mapping[tuple[int, int], tuple[tuple[int, int], ...]]:
        """(row, qubit) of the spectators of a coupler (a < b)."""
        out: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row, (pair, q) in enumerate(self.spectators):
            out.setdefault(pair, []).append((row, q))
        return MappingProxyType({pair: tuple(found) for pair, found in out.items()})

    @cached_property
    def id(self) -> str:
        """SHA-256 over the static part and every parameter, in hexadecimal."""
        digest = hashlib.sha256()
        static = (
            self.name,
            self.calibration_id,
            self.n_qubits,
            self.dt,
            self.instructions,
            self.couplers,
            self.readout_pairs,
            self.readout_duration.tolist(),
            self.reset_duration.tolist(),
            self.feedforward_latency,
            self.zz_frame,
        )
        digest.update(repr(static).encode())
        for f in fields(self.parameters):
            leaf = getattr(self.parameters, f.name)
            digest.update(f.name.encode())
            if leaf is not None:
                digest.update(np.ascontiguousarray(leaf, float).tobytes())
        return digest.hexdigest()

    def with_parameters(self, parameters: Parameters, *notes: Note) -> "Device":
        """Return the same device with other numbers."""
        return replace(self, parameters=parameters, notes=(*self.notes, *notes))

    def draw_job(self, rng: np.random.Generator) -> "Device":
        """Return the device of one job: T1 drawn around its mean, pure dephasing unchanged.

        ln(t1) is normal with standard deviation `t1_spread`; without that mechanism the device
        itself is returned.
        """
        spread = self.parameters.t1_spread
        if spread is None:
            return self
        p = self.parameters
        t1 = drawn_t1(rng.standard_normal(self.n_qubits), p.t1, spread)
        return self.with_parameters(replace(p, t1=t1, t2=shifted_t2(p.t2, p.t1, t1)))

    def require(self, name: str, qubits: tuple[int, ...]) -> int:
        """Return the row of an instruction, or say by name why it cannot be used.

        Raises:
            InputError: The device has no such instruction, or it is excluded.
        """
        found = self.row.get((name, qubits))
        if found is not None:
            return found
        where = ", ".join(map(str, qubits))
        if reason := self.excluded.get((name, qubits)):
            raise InputError(
                f"`{name}` on {where} of '{self.name}' must not be used: {reason}. Choose another "
                f"layout, or transpile for the device."
            )
        if name not in self.native_gates:
            raise InputError(
                f"`{name}` on {where} is not native to '{self.name}' (native: "
                f"{', '.join(sorted(self.native_gates))}). Transpile the circuit for the device."
            )
        near = [i.qubits for i in self.instructions if i.name == name and qubits[0] in i.qubits]
        raise InputError(
            f"'{self.name}' has no `{name}` on {where}; with qubit {qubits[0]} it has {near}. "
            f"Choose another layout, or transpile for the device."
        )

    def __repr__(self) -> str:
        return (
            f"Device({self.name!r}, qubits={self.n_qubits}, couplers={len(self.couplers)}, "
            f"instructions={len(self.instructions)}, notes={len(self.notes)}, id={self.id[:8]})"
        )


def _read_only(parameters: Parameters) -> Parameters:
    leaves = {f.name: getattr(parameters, f.name) for f in fields(parameters)}
    return Parameters(**{name: _frozen(leaf) for name, leaf in leaves.items()})


def _frozen(leaf: Any) -> Any:
    """Return a read-only view of an array; JAX's are immutable already."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    view = leaf.view()
    view.setflags(write=False)
    return view
