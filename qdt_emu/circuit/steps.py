"""A Qiskit circuit as a list of steps on physical qubits, with the device's durations."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    CircuitInstruction,
    ClassicalRegister,
    Clbit,
    Delay,
    Gate,
    IfElseOp,
    Measure,
    ParameterExpression,
    Reset,
)
from qiskit.circuit.classical import expr

from qdt_emu.circuit.gates import PARAMETRIC, constant
from qdt_emu.circuit.noisy import Condition
from qdt_emu.device import Device
from qdt_emu.device.device import VIRTUAL
from qdt_emu.errors import InputError, UnsupportedError

NOT_GATES = frozenset({"measure", "reset", "delay", "barrier", "branch"})
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation, before and after it is given a time.

    Attributes:
        name: Gate name, or 'measure', 'reset', 'delay', 'barrier', 'branch'.
        qubits: Physical qubits.
        clbits: Bits written.
        params: Angles: numbers or unbound Qiskit expressions.
        duration: In s.
        row: Row of the device's instruction; -1 without noise of its own.
        operation: Qiskit's operation, for a matrix that has no formula here.
        conditions: What must hold for the step to happen.
        branches: The alternatives of a 'branch', each a sequence of steps timed from its start.
        start: In s.
    """

    name: str
    qubits: tuple[int, ...]
    clbits: tuple[int, ...] = ()
    params: tuple[Any, ...] = ()
    duration: float = 0.0
    row: int = -1
    operation: Any = None
    conditions: tuple[Condition, ...] = ()
    branches: tuple[tuple["Step", ...], ...] = ()
    start: float = 0.0

    @property
    def reads(self) -> tuple[int, ...]:
        """Bits that decide about this step."""
        own = {c for condition in self.conditions for c in condition.clbits}
        inner = {c for branch in self.branches for step in branch for c in step.reads}
        return tuple(sorted(own | inner))

    @property
    def writes(self) -> tuple[int, ...]:
        """Bits that this step, or a branch of it, writes."""
        inner = {c for branch in self.branches for step in branch for c in step.writes}
        return tuple(sorted({*self.clbits} | inner))

    def all(self) -> Iterator["Step"]:
        """Yield this step and everything in its branches."""
        yield self
        for branch in self.branches:
            for step in branch:
                yield from step.all()

    @property
    def noiseless(self) -> bool:
        """Whether it is a gate without a noise model."""
        return self.row < 0 and self.name not in NOT_GATES

    @property
    def virtual(self) -> bool:
        """Whether it is a frame change: no pulse, diagonal."""
        return self.duration == 0.0 and self.name in VIRTUAL


def steps_of(
    circuit: QuantumCircuit, device: Device, *, allow_noiseless: frozenset[str] = frozenset()
) -> tuple[Step, ...]:
    """Return the steps of a circuit whose qubit `i` is the device's qubit `i`.

    Args:
        circuit: In native gates of the device (any gates if `device.open_set`).
        device: Gives durations and instruction rows.
        allow_noiseless: Names of gates that may run without a noise model, perfectly and in no
            time.

    Raises:
        InputError: A gate, coupler or qubit the device does not have.
        UnsupportedError: An operation that has no model here.
    """
    clbits = {bit: k for k, bit in enumerate(circuit.clbits)}
    qubits = {bit: k for k, bit in enumerate(circuit.qubits)}
    if circuit.num_qubits > device.n_qubits:
        raise InputError(
            f"The circuit must fit on the {device.n_qubits} qubits of '{device.name}', but it has "
            f"{circuit.num_qubits}. Choose a larger device."
        )
    reader = _Reader(device, allow_noiseless, qubits, clbits)
    return tuple(step for item in circuit.data for step in reader.read(item, ()))


@dataclass(frozen=True)
class _Reader:
    device: Device
    allowed: frozenset[str]
    qubits: dict[Any, int]
    clbits: dict[Any, int]

    def read(self, item: CircuitInstruction, when: tuple[Condition, ...]) -> Iterator[Step]:
        operation = item.operation
        on = tuple(self.qubits[q] for q in item.qubits)
        if isinstance(operation, Barrier):
            yield Step("barrier", on)
        elif isinstance(operation, Delay):
            yield Step("delay", on, duration=self.delay(operation))
        elif isinstance(operation, Measure):
            time = self.time(self.device.readout_duration, on[0], "measured")
            bits = tuple(self.clbits[c] for c in item.clbits)
            yield Step("measure", on, bits, duration=time, conditions=when)
        elif isinstance(operation, Reset):
            time = self.time(self.device.reset_duration, on[0], "reset")
            yield Step("reset", on, duration=time, conditions=when)
        elif isinstance(operation, IfElseOp):
            yield self.branch(operation, item, on, when)
        elif isinstance(operation, Gate):
            if on:  # a global phase acts on no qubit, and nobody sees it
                yield self.gate(operation, on, when)
        else:
            raise UnsupportedError(
                f"The operation `{operation.name}` on {list(on)} has no noise model here. Unroll "
                f"loops, replace switches by `if_else`, and remove simulator instructions."
            )

    def gate(self, gate: Gate, on: tuple[int, ...], when: tuple[Condition, ...]) -> Step:
        params = tuple(gate.params)
        if len(on) > 2:
            raise UnsupportedError(
                f"`{gate.name}` acts on {len(on)} qubits; gates of one or two qubits have a model. "
                f"Decompose it first."
            )
        if not self.device.open_set and gate.name not in self.allowed:
            row = self.device.require(gate.name, on)
            duration = self.device.instructions[row].duration
        else:
            row, duration = -1, 0.0
        known = gate.name in PARAMETRIC or constant(gate.name) is not None
        return Step(
            gate.name, on, (), params, duration, row, None if known else gate, conditions=when
        )

    def branch(
        self,
        operation: IfElseOp,
        item: CircuitInstruction,
        on: tuple[int, ...],
        when: tuple[Condition, ...],
    ) -> Step:
        condition = self.condition(operation.condition)
        branches = []
        for block, holds in zip(operation.blocks, (True, False), strict=False):
            inner = _Reader(
                self.device,
                self.allowed,
                {b: self.qubits[o] for b, o in zip(block.qubits, item.qubits, strict=True)},
                {b: self.clbits[o] for b, o in zip(block.clbits, item.clbits, strict=True)}
                | {
                    bit: self.clbits[bit]
                    for register in block.cregs
                    for bit in register
                    if bit in self.clbits
                },
            )
            own = replace(condition, equal=condition.equal == holds)
            steps = tuple(s for x in block.data for s in inner.read(x, (*when, own)))
            branches.append(steps)
        return Step("branch", on, conditions=when, branches=tuple(branches))

    def condition(self, condition: Any) -> Condition:
        if isinstance(condition, expr.Expr):
            return self.expression(condition)
        target, value = condition
        bits = (target,) if isinstance(target, Clbit) else tuple(target)
        return Condition(tuple(self.clbits[b] for b in bits), int(value))

    def expression(self, node: expr.Expr) -> Condition:
        match node:
            case expr.Var(var=Clbit() as bit):
                return Condition((self.clbits[bit],), 1)
            case expr.Unary(op=expr.Unary.Op.LOGIC_NOT | expr.Unary.Op.BIT_NOT, operand=inner):
                found = self.expression(inner)
                return replace(found, equal=not found.equal)
            case expr.Binary(
                op=expr.Binary.Op.EQUAL | expr.Binary.Op.NOT_EQUAL,
                left=expr.Var(var=register),
                right=expr.Value(value=value),
            ):
                bits = tuple(register) if isinstance(register, ClassicalRegister) else (register,)
                equal = node.op is expr.Binary.Op.EQUAL
                return Condition(tuple(self.clbits[b] for b in bits), int(value), equal)
            case expr.Cast(operand=inner):
                return self.expression(inner)
        raise UnsupportedError(
            f"The condition `{node}` has no model here; a bit, `not` bit, and register == number "
            f"have. Rewrite it with nested `if_else`."
        )

    def delay(self, operation: Delay) -> float:
        amount, unit = operation.duration, operation.unit
        if isinstance(amount, ParameterExpression):
            raise InputError(
                f"A delay must have a length in numbers, because it decides about the schedule, "
                f"but is {amount}. Bind the circuit first."
            )
        if unit == "dt":
            if self.device.dt is None:
                raise InputError(
                    f"A delay of {amount} dt needs the time step of '{self.device.name}', which "
                    f"its calibration does not contain. Give the delay in seconds."
                )
            seconds = float(amount) * self.device.dt
        elif unit in UNITS:
            seconds = float(amount) * UNITS[unit]
        else:
            raise UnsupportedError(f"A delay in {unit!r} has no length here. Give it in seconds.")
        if not 0 <= seconds < 1e3:
            raise InputError(f"A delay must lie in [0, 1000] s, but is {amount} {unit}.")
        return seconds

    def time(self, durations: Any, qubit: int, verb: str) -> float:
        if self.device.open_set:
            return 0.0
        duration = float(durations[qubit])
        if verb == "measured" and np.isnan(self.device.parameters.assignment[qubit]).any():
            raise InputError(
                f"Qubit {qubit} of '{self.device.name}' cannot be {verb}: its calibration has no "
                f"readout error. Choose another layout."
            )
        # Old files publish no duration of readout and reset; the device stage says so.
        return 0.0 if np.isnan(duration) else duration
