"""How the numbers of a noisy circuit follow from device parameters and gate angles.

A recipe is static: index arrays into the device's parameters. `Recipe.values` is a pure function
of parameters and angles, on NumPy for a run and on JAX for gradients and batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import isfinite
from numbers import Real
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ParameterExpression

from qdt_emu.circuit.gates import PARAMETRIC, constant, first_most_significant
from qdt_emu.circuit.noisy import Kind, Values
from qdt_emu.circuit.steps import Step
from qdt_emu.device import Parameters
from qdt_emu.errors import InputError
from qdt_emu.noise.arrays import Array, namespace
from qdt_emu.noise.coherent import Frame, pauli_rotation, spectator_angle, zz_unitary
from qdt_emu.noise.depolarizing import depolarizing_probabilities
from qdt_emu.noise.flips import flip_probabilities
from qdt_emu.noise.pauli_lindblad import depolarizing_lindblad_probabilities
from qdt_emu.noise.readout import before_projection, pair_confusion
from qdt_emu.noise.relaxation import decay_factors

Ints = NDArray[np.int64]
# In the place of an instruction row: relaxation of a qubit while it is read and used again, before
# the instant at which it is projected, and after it; and dephasing by slow noise alone.
EARLY, LATE, SLOW = -2, -3, -4
# From here on, in the place of whether a gate is crowded: the row is that of a spectator, which is
# flipped, and its neighbour in the gate commutes with the gate in X (2), Y (3) or Z (4).
FLIPPED = 2


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of a unitary table that are built alike.

    Attributes:
        source: 'constant', 'angles', 'over_rotation', 'phase', 'context', 'offset',
            'stark', 'zz' or 'spectator'.
        name: Gate name ('angles') or Pauli label ('over_rotation', 'context').
        index: Rows of the parameters or slots of the angles, shape (k, ...).
        numbers: Matrices ('constant'), times in s ('offset', 'stark') or (free, spectating) times
            in s ('zz' and 'spectator'), shape (k, ...).
    """

    source: str
    name: str
    index: Ints
    numbers: NDArray[Any]

    def build(self, parameters: Parameters, angles: Array, zz_frame: Frame) -> Array:
        """Return the matrices, shape (k, d, d)."""
        match self.source:
            case "angles":
                return PARAMETRIC[self.name][2](angles[self.index])
            case "over_rotation":
                return pauli_rotation(self.name, parameters.over_rotation[self.index])
            case "context":
                turn = parameters.context[self.index[:, 0], self.index[:, 1]]
                return pauli_rotation(self.name, turn)
            case "phase":
                return pauli_rotation("Z", parameters.phase[self.index[:, 0], self.index[:, 1]])
            case "offset" | "stark":
                frequency = getattr(parameters, self.source)[self.index]
                return pauli_rotation("Z", 2 * np.pi * frequency * self.numbers)
            case "zz" | "spectator":
                time = self.numbers[:, 0] + self.numbers[:, 1] * parameters.spectator_zz
                zz = parameters.zz[self.index]
                if self.source == "zz":
                    return zz_unitary(zz, time, frame=zz_frame)
                return pauli_rotation("Z", spectator_angle(zz, time, 0, frame=zz_frame))
        return self.numbers


@dataclass(frozen=True, eq=False)
class Recipe:
    """Index arrays that turn `Parameters` and angles into `Values`.

    Attributes:
        active: Physical qubit of each local one, shape (n,).
        unitaries: Groups of the one-qubit and of the two-qubit table.
        relaxation: (qubit, instruction row, -1, `EARLY` or `LATE` in a readout, or `SLOW`), shape
            (k, 2).
        relaxation_time: In s, shape (k,); of the whole readout; of slow noise, less the echoes.
        pauli: Per table, (instruction row, crowded) or (spectator row, `FLIPPED` or above),
            shape (k, 2).
        confusion: Qubits, shape (k,).
        confusion_time: Duration of the readout in s of a qubit that is used again, else 0, shape
            (k,).
        pairs: Rows of `pair_correlation` and the two qubits, shape (k, 3).
        reset: Qubits, shape (k,).
        dwell: In s, shape (k,).
        leakage: Instruction rows, shape (k,).
        angles: Gate angles: numbers, or expressions of the circuit's free parameters.
    """

    active: Ints
    unitaries: tuple[tuple[Group, ...], tuple[Group, ...]]
    relaxation: Ints
    relaxation_time: NDArray[np.float64]
    pauli: tuple[Ints, Ints]
    confusion: Ints
    confusion_time: NDArray[np.float64]
    pairs: Ints
    reset: Ints
    dwell: NDArray[np.float64]
    leakage: Ints
    angles: tuple[Any, ...]

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the circuit's free parameters, sorted."""
        found = {
            p.name for a in self.angles if isinstance(a, ParameterExpression) for p in a.parameters
        }
        return tuple(sorted(found))

    def bind(self, binding: Mapping[str, float] | None = None) -> NDArray[np.float64]:
        """Return all angles as numbers, shape (a,).

        Args:
            binding: A number for each name in `free`.

        Raises:
            InputError: A free parameter without a value, an unknown one, or a value that is not a
                finite number.
        """
        binding = dict(binding or {})
        if unknown := [name for name in binding if name not in self.free]:
            raise InputError(
                f"`binding` must name free parameters of the circuit ({', '.join(self.free)}), but "
                f"names {unknown[0]!r}."
            )
        for name, value in binding.items():
            if not isinstance(value, Real) or not isfinite(value):
                raise InputError(f"`binding` must hold finite numbers, but {name} is {value!r}.")
        if missing := [name for name in self.free if name not in binding]:
            raise InputError(
                f"The circuit's parameter(s) {missing} have no value. Bind the circuit or pass "
                f"`binding`."
            )
        out = np.empty(len(self.angles))
        for k, angle in enumerate(self.angles):
            if isinstance(angle, ParameterExpression):
                out[k] = float(angle.bind({p: binding[p.name] for p in angle.parameters}))
            else:
                out[k] = angle
        if not np.isfinite(out).all():
            raise InputError(f"Gate angles must be finite, but {out[~np.isfinite(out)][0]} is not.")
        return out

    def values(self, parameters: Parameters, angles: Array, *, zz_frame: Frame) -> Values:
        """Return the numbers of the noisy circuit; pure, and differentiable in both arguments."""
        p = parameters
        xp = namespace(*jax.tree.leaves(p), angles)  # one traced leaf is enough
        one, two = ([g.build(p, angles, zz_frame) for g in groups] for groups in self.unitaries)
        qubits = self.relaxation[:, 0]
        factors = self._decay(p, xp)
        n = len(self.active)
        zero = np.zeros(n)
        sigma = zero if p.detuning is None else p.detuning[self.active]
        parity = zero if p.charge_parity is None else p.charge_parity[self.active]
        return Values(
            excited=p.excited[self.active],
            unitaries1=xp.concatenate(one) if one else np.zeros((0, 2, 2), complex),
            unitaries2=xp.concatenate(two) if two else np.zeros((0, 4, 4), complex),
            relaxation=xp.concatenate([factors, p.excited[qubits][:, None]], axis=1),
            pauli1=self._pauli(p, 1),
            pauli2=self._pauli(p, 2),
            confusion=xp.stack(_readout(p, self.confusion, self.confusion_time)[1:], axis=1),
            pair_confusion=self._pairs(p),
            reset_excitation=p.reset_excitation[self.reset],
            dwell=self.dwell,
            leakage=np.zeros((0, 2)) if p.leakage is None else p.leakage[self.leakage],
            detuning=xp.stack([sigma, parity], axis=1),
        )

    def _decay(self, p: Parameters, xp: Any) -> Array:
        """Return the factors of population and coherence of each relaxation, shape (k, 2)."""
        qubits, rows = self.relaxation.T
        times = self._times(p, xp)
        factors = decay_factors(times, p.t1[qubits], p.t2[qubits])
        if p.slow_dephasing is None:
            return factors
        left = xp.exp(-((times * p.slow_dephasing[qubits]) ** 2))
        slow = xp.stack([xp.ones_like(left), left], axis=1)
        return xp.where((rows == SLOW)[:, None], slow, factors)

    def _times(self, p: Parameters, xp: Any) -> Array:
        """Return the time of each relaxation in s: a share of a gate, a part of a readout."""
        qubits, rows = self.relaxation.T
        scale = xp.concatenate([p.relaxation_scale, xp.ones(1)])  # row -1: the whole duration
        times = self.relaxation_time * scale[np.maximum(rows, -1)]
        read = np.flatnonzero((rows == EARLY) | (rows == LATE))
        if not len(read):
            return times
        whole = _driven(p, qubits[read], self.relaxation_time[read])
        early = _readout(p, qubits[read], self.relaxation_time[read])[0]
        parts = xp.where(rows[read] == EARLY, early, whole - early)
        order = np.arange(len(rows))
        order[read] = len(rows) + np.arange(len(read))
        return xp.concatenate([times, parts])[order]

    def _pauli(self, p: Parameters, qubits: int) -> Array:
        rows, kind = self.pauli[qubits - 1].T
        flips = kind >= FLIPPED
        gates = self._gate_errors(p, rows[~flips], kind[~flips], qubits)
        if not flips.any():
            return gates
        beside = p.spectator_flips[rows[flips]]
        found = flip_probabilities(beside[:, 0], beside[:, 1], kind[flips] - FLIPPED + 1)
        order = np.where(flips, len(rows) - flips.sum() + np.cumsum(flips), np.cumsum(~flips)) - 1
        return namespace(gates, found).concatenate([gates, found])[order]

    @staticmethod
    def _gate_errors(p: Parameters, rows: Ints, crowded: Ints, qubits: int) -> Array:
        worse = 1 + crowded * (p.crosstalk - 1)
        depolarizing = p.depolarizing[rows] * worse
        if p.pauli_rates is None:
            return depolarizing_probabilities(depolarizing, qubits)
        rates = p.pauli_rates[rows, : 4**qubits - 1] * worse[:, None]
        return depolarizing_lindblad_probabilities(depolarizing, rates)

    def _pairs(self, p: Parameters) -> Array:
        if not len(self.pairs):
            return np.zeros((0, 4, 4))
        row, a, b = self.pairs.T
        return pair_confusion(p.assignment[a], p.assignment[b], p.pair_correlation[row])


def _driven(p: Parameters, qubits: Ints, time: NDArray[np.float64]) -> Array:
    """Return times of readouts in s, longer where the drive makes qubits relax faster."""
    return time if p.readout_relaxation is None else time * p.readout_relaxation[qubits]


def _readout(p: Parameters, qubits: Ints, time: NDArray[np.float64]) -> tuple[Array, Array, Array]:
    """Return the time before the projection and the errors of the projection of some readouts."""
    p01, p10 = p.assignment[qubits].T
    whole = _driven(p, qubits, time)
    return before_projection(p01, p10, whole, p.t1[qubits], p.excited[qubits])


@dataclass
class Tables:
    """Rows collected while lowering; equal rows are stored once."""

    rows: dict[str, dict[Any, int]] = field(default_factory=dict)
    angles: list[Any] = field(default_factory=list)
    matrices: list[NDArray[np.complex128]] = field(default_factory=list)

    def row(self, table: str, key: Any) -> int:
        """Return the row of `key` in `table`, a new one if it is new."""
        rows = self.rows.setdefault(table, {})
        return rows.setdefault(key, len(rows))

    def gate(self, step: Step) -> int:
        """Return the row of a gate's ideal unitary."""
        table = f"unitaries{len(step.qubits)}"
        if step.name in PARAMETRIC:
            first = len(self.angles)
            self.angles += step.params
            return self.row(table, ("angles", step.name, first, len(step.params)))
        if constant(step.name) is not None:
            return self.row(table, ("constant", step.name))
        if any(isinstance(p, ParameterExpression) and p.parameters for p in step.params):
            raise InputError(
                f"`{step.name}` has a free parameter and no formula here. Transpile or bind it."
            )
        self.matrices.append(first_most_significant(step.operation))
        return self.row(table, ("matrix", len(self.matrices) - 1))

    def order(self) -> Callable[[Kind, int, int], int]:
        """Return the map from (kind, qubits, row while collecting) to the final row."""
        final = {
            k: {old: new for new, (_, old) in enumerate(self._sorted(f"unitaries{k}"))}
            for k in (1, 2)
        }

        def place(kind: Kind, n_qubits: int, row: int) -> int:
            return final[n_qubits][row] if kind is Kind.UNITARY else row

        return place

    def freeze(self, active: Sequence[int], pair_rows: Sequence[Sequence[int]]) -> Recipe:
        """Return the recipe."""
        relaxation = list(self.rows.get("relaxation", {}))
        readout = list(self.rows.get("confusion", {}))
        return Recipe(
            active=np.array(active, np.int64),
            unitaries=(self._groups("unitaries1"), self._groups("unitaries2")),
            relaxation=_ints([(q, row) for q, _, row in relaxation], 2),
            relaxation_time=np.array([t for _, t, _ in relaxation], float),
            pauli=(
                _ints(list(self.rows.get("pauli1", {})), 2),
                _ints(list(self.rows.get("pauli2", {})), 2),
            ),
            confusion=_ints([q for q, _ in readout]),
            confusion_time=np.array([t for _, t in readout], float),
            pairs=_ints(list(pair_rows), 3),
            reset=_ints(list(self.rows.get("reset", {}))),
            dwell=np.array(list(self.rows.get("dwell", {})), float),
            leakage=_ints(list(self.rows.get("leakage", {}))),
            angles=tuple(self.angles),
        )

    def _sorted(self, table: str) -> list[tuple[Any, int]]:
        return sorted(self.rows.get(table, {}).items(), key=lambda item: _group_key(item[0]))

    def _groups(self, table: str) -> tuple[Group, ...]:
        keys = [key for key, _ in self._sorted(table)]
        return tuple(
            self._group(source, name, list(members))
            for (source, name), members in groupby(keys, key=_group_key)
        )

    def _group(self, source: str, name: str, keys: list[Any]) -> Group:
        none = np.zeros(0)
        match source:
            case "angles":
                index = [list(range(first, first + count)) for _, _, first, count in keys]
                return Group(source, name, np.array(index, np.int64), none)
            case "over_rotation":
                return Group(source, name, _ints([row for _, _, row in keys]), none)
            case "context":
                return Group(source, name, _ints([(row, k) for _, _, row, k in keys], 2), none)
            case "phase":
                return Group(source, name, _ints([(row, k) for _, k, row in keys], 2), none)
            case "offset" | "stark":
                times = np.array([time for _, _, time in keys])
                return Group(source, name, _ints([q for _, q, _ in keys]), times)
            case "zz" | "spectator":
                times = np.array([(free, spectating) for _, _, free, spectating in keys])
                return Group(source, name, _ints([row for _, row, _, _ in keys]), times)
        matrices = [constant(k[1]) if k[0] == "constant" else self.matrices[k[1]] for k in keys]
        return Group("constant", name, _ints([]), np.array(matrices))


def _group_key(key: Any) -> tuple[str, str]:
    source = key[0]
    if source in ("angles", "over_rotation", "context"):
        return source, key[1]
    return ("constant", "") if source == "matrix" else (source, "")


def _ints(values: Sequence[Any], width: int | None = None) -> Ints:
    shape = (len(values),) if width is None else (len(values), width)
    return np.array(values, np.int64).reshape(shape)
