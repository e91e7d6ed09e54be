"""Circuit + device -> compiled circuit: transpiled, scheduled, lowered; numbers still free."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, Gate, IfElseOp, Qubit
from qiskit.circuit.classical import expr
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target

from qdt_emu.circuit.braket import by_label
from qdt_emu.circuit.decouple import SEQUENCES, decouple
from qdt_emu.circuit.lower import lower
from qdt_emu.circuit.noisy import NoisyCircuit, Structure
from qdt_emu.circuit.recipe import Recipe
from qdt_emu.circuit.schedule import schedule
from qdt_emu.circuit.steps import Step, steps_of
from qdt_emu.circuit.transpile import (
    fits_open_set,
    is_physical,
    transpile_for,
)
from qdt_emu.device import Device
from qdt_emu.errors import InputError

_STANDARD = frozenset(get_standard_gate_name_mapping())


@dataclass(frozen=True)
class Options:
    """How a circuit is put onto the device; hashable, and part of a result's provenance.

    Attributes:
        layout: Physical qubit of each of the circuit's; None lets Qiskit choose.
        optimization_level: Qiskit's, 0 to 3.
        schedule: 'alap' or 'asap'; None takes the device's.
        decoupling: None, 'XX' or 'XY4'.
        allow_noiseless: Gates that may run without a noise model, perfectly and in no time.
        transpiler_seed: For layout and routing.
    """

    layout: tuple[int, ...] | None = None
    optimization_level: int = 2
    schedule: str | None = None
    decoupling: str | None = None
    allow_noiseless: frozenset[str] = frozenset()
    transpiler_seed: int = 0

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[object, ...]] = {
            "optimization_level": (0, 1, 2, 3),
            "schedule": (None, "alap", "asap"),
            "decoupling": (None, *SEQUENCES),
        }
        for name, choices in allowed.items():
            if (value := getattr(self, name)) not in choices:
                raise InputError(f"`{name}` must be one of {choices}, but is {value!r}.")
        if self.layout is not None:
            layout = tuple(self.layout)
            if not all(isinstance(q, int | np.integer) for q in layout):
                raise InputError(f"`layout` must hold qubit numbers, but is {layout}.")
            object.__setattr__(self, "layout", tuple(int(q) for q in layout))
        object.__setattr__(self, "allow_noiseless", frozenset(self.allow_noiseless))


@dataclass(frozen=True, eq=False)
class Compiled:
    """A circuit on the device's qubits with its noise, before numbers are bound.

    Attributes:
        physical: The circuit as it runs, on physical qubits.
        steps: The schedule.
        structure: The static part of the noisy circuit.
        recipe: How its numbers follow from the device's parameters.
        device: The device it was compiled for.
        registers: (name, size) of the classical registers, from bit 0 up.
        places: Physical qubit of each of the user's qubits at the end.
        as_given: True if the circuit was physical already and was not transpiled.
    """

    physical: QuantumCircuit
    steps: tuple[Step, ...]
    structure: Structure
    recipe: Recipe
    device: Device
    registers: tuple[tuple[str, int], ...]
    places: tuple[int, ...]
    as_given: bool

    def bind(
        self, binding: Mapping[str, float] | None = None, *, device: Device | None = None
    ) -> NoisyCircuit:
        """Return the noisy circuit for these angles and this device's parameters.

        Args:
            binding: A number for each free parameter of the circuit.
            device: With the same topology and mechanisms; the own one if None.
        """
        used = device or self.device
        angles = self.recipe.bind(binding)
        values = self.recipe.values(used.parameters, angles, zz_frame=used.zz_frame)
        return NoisyCircuit(self.structure, values)

    @cached_property
    def circuit_id(self) -> str:
        """SHA-256 over structure and angles, without the device's numbers."""
        return hashlib.sha256(
            (self.structure.id + repr([str(a) for a in self.recipe.angles])).encode()
        ).hexdigest()


def compile_circuit(
    circuit: QuantumCircuit, device: Device, target: Target, options: Options, *, measured: bool
) -> Compiled:
    """Return the circuit compiled for the device.

    Args:
        circuit: In native gates on the device's qubits (taken as it is), or any circuit.
        device: The device.
        target: Its `Target`.
        options: How.
        measured: True for counts; False for observables of the final state, where measurements at
            the end are removed first.

    Raises:
        InputError: The circuit does not fit the device or the options.
        UnsupportedError: An operation that has no model here.
    """
    circuit = by_label(circuit, device)
    _check_angles(circuit)
    if not measured and "measure" in circuit.count_ops():
        circuit = _without_final_measurements(circuit)
    as_given = options.layout is None and (
        is_physical(circuit, device) or fits_open_set(circuit, device)
    )
    if as_given:
        physical, places = circuit, tuple(range(circuit.num_qubits))
    else:
        physical = transpile_for(
            circuit,
            target,
            layout=options.layout,
            optimization_level=options.optimization_level,
            seed=options.transpiler_seed,
        )
        found = physical.layout  # None where the target leaves nothing to choose
        places = tuple(
            range(circuit.num_qubits)
            if found is None
            else found.final_index_layout(filter_ancillas=True)
        )
    steps = steps_of(physical, device, allow_noiseless=options.allow_noiseless)
    method = options.schedule or device.schedule
    timed, duration = schedule(steps, latency=device.feedforward_latency, method=method)
    if options.decoupling:
        timed = decouple(timed, duration, device, options.decoupling)
    structure, recipe = lower(
        timed, duration, device, n_clbits=physical.num_clbits, measured=measured
    )
    registers = tuple((r.name, r.size) for r in physical.cregs)
    if sum(size for _, size in registers) != physical.num_clbits:
        registers = ()
    return Compiled(
        physical, timed, structure, recipe, device, registers, places, as_given=as_given
    )


def fingerprint(circuit: QuantumCircuit) -> str:
    """Return a SHA-256 of everything in a circuit that its compilation depends on.

    Two circuits with the same fingerprint compile to the same thing; the object may have been
    rebuilt or changed in place meanwhile.
    """
    digest = hashlib.sha256()
    head = (circuit.num_qubits, circuit.num_clbits, circuit.metadata, circuit.layout is None)
    digest.update(repr((head, [(r.name, r.size) for r in circuit.cregs])).encode())
    digest.update("\n".join(_rows(circuit)).encode())
    return digest.hexdigest()


def _rows(circuit: QuantumCircuit) -> Iterator[str]:
    qubits = {b: k for k, b in enumerate(circuit.qubits)}
    clbits = {b: k for k, b in enumerate(circuit.clbits)}
    for item in circuit.data:
        operation = item.operation
        places = [qubits[q] for q in item.qubits], [clbits[c] for c in item.clbits]
        if isinstance(operation, IfElseOp):
            yield f"if {_condition(operation.condition, clbits)} {places}"
            for block in operation.blocks:
                yield "block"
                yield from _rows(block)
            continue
        params = [
            p.tobytes().hex() if isinstance(p, np.ndarray) else str(p) for p in operation.params
        ]
        yield f"{operation.name} {params} {getattr(operation, 'unit', '')} {places}"
        own = isinstance(operation, Gate) and operation.name not in _STANDARD
        if own and operation.definition is not None:  # the name does not say what it does
            yield "definition"
            yield from _rows(operation.definition)


def _condition(condition: Any, clbits: Mapping[Clbit, int]) -> str:
    if isinstance(condition, expr.Expr):
        return repr(condition)
    target, value = condition
    bits = (target,) if isinstance(target, Clbit) else tuple(target)
    return f"{[clbits.get(b, b) for b in bits]} == {int(value)}"


def _without_final_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit without measurements and barriers that nothing follows.

    Qiskit's own removal looks at qubits only, and drops a measurement that a later gate depends on.
    """
    kept: list[CircuitInstruction] = []
    busy: set[Qubit] = set()
    read: set[Clbit] = set()
    for item in reversed(circuit.data):
        name, qubits = item.operation.name, set(item.qubits)
        free = not qubits & busy
        if free and (name == "barrier" or (name == "measure" and not set(item.clbits) & read)):
            continue
        kept.append(item)
        if name != "barrier":
            busy |= qubits
            read |= set(item.clbits)
    out = circuit.copy_empty_like()
    for item in reversed(kept):
        out.append(item)
    return out


def _check_angles(circuit: QuantumCircuit) -> None:
    """Refuse angles that are no numbers before Qiskit's transpiler meets them."""
    for item in circuit.data:
        for angle in item.operation.params:
            if isinstance(angle, float) and not np.isfinite(angle):
                raise InputError(
                    f"Gate angles must be finite, but `{item.operation.name}` has {angle}."
                )
