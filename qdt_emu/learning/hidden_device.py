"""A processor whose physics is richer than the twin's, to test learning on: `HiddenDevice`.

It publishes calibrations and returns counts, as a processor does, and never shows its numbers to
what is tested; `truth` is for the test that compares afterwards. Its physics (`hidden_physics`):
three levels per qubit with leakage through imperfect gates and faster decay of |2>; always-on ZZ
with another strength beside gates; 1/f detuning and defects in T1 that come and go; coherent gate
errors with phases, axes and exchange; crowded gates; correlated readout that depends on neighbours;
a warm rest state; drift of everything slow from job to job.

Circuits run as trajectories of a qutrit state vector. What is slower than 10 Hz is constant for 64
consecutive shots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qdt_emu.calibrations import Calibration
from qdt_emu.circuit.compile import Compiled, Options, compile_circuit
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Device, Parameters, build
from qdt_emu.device.target import to_target
from qdt_emu.errors import InputError
from qdt_emu.kernels.qutrit import sample
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.learning import hidden_calibration
from qdt_emu.learning.hidden_clock import at, detuning
from qdt_emu.learning.hidden_physics import Physics, chain
from qdt_emu.learning.hidden_program import Prepared, prepare
from qdt_emu.result import Counts, Provenance, Report

BLOCK = 64
SHOT_PERIOD = 500e-6  # s from shot to shot
MINUTE = 60.0  # slower detuning is an offset to `truth`, faster detuning a spread


@dataclass(frozen=True, eq=False)
class HiddenDevice:
    """A simulated processor to test calibration and learning on.

    Attributes:
        physics: The true numbers on average. Hidden from what is tested.
        seed: Decides about everything that happens in time.

    Examples:
        >>> hidden = HiddenDevice.random(n_qubits=4, seed=3)
        >>> hidden.calibration().values("qubits/t1").shape
        (4,)
    """

    physics: Physics
    seed: int

    @classmethod
    def random(
        cls, n_qubits: int = 6, *, seed: int, couplers: Sequence[tuple[int, int]] | None = None
    ) -> Self:
        """Return a device with numbers as transmons have them; same seed, same device.

        Args:
            n_qubits: Number of qubits; circuits may use up to ten.
            seed: Decides about everything.
            couplers: Pairs of neighbours; a chain if None (see also `hidden_physics.ring`).
        """
        pairs = chain(n_qubits) if couplers is None else couplers
        return cls(Physics.typical(n_qubits, pairs, np.random.default_rng([seed, 0])), seed)

    @property
    def name(self) -> str:
        """Name of the processor."""
        return f"hidden_{self.seed}"

    @property
    def n_qubits(self) -> int:
        """Number of qubits."""
        return self.physics.n_qubits

    @property
    def couplers(self) -> tuple[tuple[int, int], ...]:
        """Pairs of neighbours."""
        return self.physics.couplers

    @cached_property
    def _device(self) -> Device:
        return build(self.calibration())

    @cached_property
    def target(self) -> Target:
        """The device as Qiskit's transpiler sees it, with the calibration of time 0."""
        return to_target(self._device)

    def calibration(self, time: float = 0.0) -> Calibration:
        """Return what is published at a time (in s), see `hidden_calibration.measured`."""
        return hidden_calibration.measured(self.physics, self.seed, time, self.name)

    def truth(self, time: float = 0.0) -> Parameters:
        """Return the true parameters in the twin's terms, for tests only.

        In the order of `build(hidden.calibration())`, see `hidden_calibration.true_parameters`.
        """
        now = at(self.physics, self.seed, time)
        off = detuning(now, self.seed, time + np.linspace(0.0, MINUTE, 256))
        return hidden_calibration.true_parameters(now, self._device, off)

    def run(
        self,
        circuit: Any,
        *,
        shots: int = 4000,
        time: float = 0.0,
        seed: int = 0,
        options: Options | None = None,
    ) -> Counts:
        """Return measured counts of a circuit.

        Args:
            circuit: In native gates (rz, sx, x, cz) on as many qubits as the device, then it runs
                as it is, scheduled as late as possible; any other circuit or OpenQASM text, then it
                is transpiled to `target`; or a `Compiled` of a device with the same couplers.
            shots: Number of shots.
            time: When the job begins, in s; jobs of the same time see the same slow noise.
            seed: Of the shots; same seed and time, same counts.
            options: Layout and scheduling.

        Raises:
            InputError: Too many qubits, or no measurement.
            UnsupportedError: Reset, conditions, gates after a measurement.

        Cost:
            Measured on one core: 0.4 s for 6 qubits, depth 10 and 4000 shots; 10 times that for 8.
        """
        if not isinstance(shots, int | np.integer) or shots < 1:
            raise InputError(f"`shots` must be a whole number of at least 1, but is {shots!r}.")
        compiled = self._compile(circuit, options)
        now = at(self.physics, self.seed, time)
        prepared = prepare(compiled, now)
        rng = np.random.default_rng([self.seed, 1, seed])
        levels = self._levels(prepared, now, shots, time, rng)
        bits = read(levels, prepared, now, rng)
        return Counts.from_bits(
            bits,
            Report("hidden device"),
            Provenance(self.name, "", compiled.circuit_id, compiled.physical.name, seed),
            registers=compiled.registers,
        )

    def run_all(
        self, circuits: Sequence[Any], *, shots: int = 4000, time: float = 0.0, seed: int = 0
    ) -> tuple[Counts, ...]:
        """Return counts of circuits that run one after the other, as one job does."""
        return tuple(
            self.run(c, shots=shots, time=time + k * shots * SHOT_PERIOD, seed=seed + 7919 * k)
            for k, c in enumerate(circuits)
        )

    def _compile(self, circuit: Any, options: Options | None) -> Compiled:
        if not isinstance(circuit, Compiled):
            read_in = circuit if isinstance(circuit, QuantumCircuit) else read_circuit(circuit)
            return compile_circuit(
                read_in, self._device, self.target, options or Options(), measured=True
            )
        known = {*self.couplers, *((b, a) for a, b in self.couplers)}
        for step in circuit.steps:
            if step.name == "cz" and step.qubits not in known:
                raise InputError(
                    f"'{self.name}' has no coupler {step.qubits}, which the compiled circuit uses. "
                    f"Compile it for this device."
                )
        return circuit

    def _levels(
        self, prepared: Prepared, now: Physics, shots: int, time: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        qubits = list(prepared.qubits)
        blocks = -(-shots // BLOCK)
        times = np.asarray(time + SHOT_PERIOD * BLOCK * (np.arange(blocks) + 0.5), np.float64)
        start = rng.random((shots, len(qubits))) < now.excited[qubits]
        keys = shot_keys(rng.integers(2**64, dtype=np.uint64), np.int64(0), np.int64(shots))
        off = np.ascontiguousarray(detuning(now, self.seed, times)[:, qubits])
        return np.asarray(sample(prepared.program, off, BLOCK, keys, start.astype(np.uint8)))


def read(
    levels: NDArray[np.uint8], prepared: Prepared, physics: Physics, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the bits that are read from the levels of all qutrits, shape (shots, n_clbits).

    The probability of a misreading is multiplied by one log-normal factor per shot, common to all
    qubits, and by 1 + c or 1 - c for each neighbour in |1> or not.
    """
    shots, place = len(levels), {q: k for k, q in enumerate(prepared.qubits)}
    spread = physics.readout_common
    common = np.exp(spread * rng.standard_normal(shots) - spread**2 / 2)
    bits = np.zeros((shots, prepared.n_clbits), np.uint8)
    for q, clbit in prepared.readout:
        own = levels[:, place[q]]
        p01, p10 = physics.assignment[q]
        wrong = np.array([p01, p10, 1 - physics.leaked_as_one[q]])[own] * common
        for (a, b), share in zip(physics.couplers, physics.readout_crosstalk, strict=True):
            if q in (a, b):
                other = place.get(b if q == a else a)
                excited = levels[:, other] > 0 if other is not None else np.zeros(shots, bool)
                wrong = wrong * (1 + share * np.where(excited, 1.0, -1.0))
        bits[:, clbit] = (own > 0) ^ (rng.random(shots) < wrong)
    return bits


def random_circuits(
    device: HiddenDevice | Device,
    count: int,
    *,
    seed: int,
    qubits: tuple[int, int] = (4, 8),
    depth: tuple[int, int] = (2, 10),
) -> tuple[QuantumCircuit, ...]:
    """Return random circuits in native gates on the device's qubits, all used ones measured.

    Each layer turns three quarters of the qubits by random angles and drives a random set of
    disjoint couplers; the rest waits.

    Args:
        device: Gives qubits and couplers.
        count: How many circuits.
        seed: Same seed, same circuits.
        qubits: Smallest and largest number of (connected) qubits, at most those of the device.
        depth: Smallest and largest number of layers.
    """
    rng = np.random.default_rng([seed, 2])
    return tuple(_random_circuit(device, rng, qubits, depth, k) for k in range(count))


def _random_circuit(
    device: HiddenDevice | Device,
    rng: np.random.Generator,
    qubits: tuple[int, int],
    depth: tuple[int, int],
    number: int,
) -> QuantumCircuit:
    size = int(rng.integers(qubits[0], min(qubits[1], device.n_qubits) + 1))
    used = _connected(device, size, rng)
    couplers = [pair for pair in device.couplers if set(pair) <= set(used)]
    circuit = QuantumCircuit(device.n_qubits, size, name=f"random_{number}")
    layers = int(rng.integers(depth[0], depth[1] + 1))
    for layer in range(layers + 1):
        for q in used:
            if layer in (0, layers) or rng.random() < 0.75:
                _turn(circuit, q, rng.uniform(0, 2 * np.pi, 3))
        free = set(used)
        for k in rng.permutation(len(couplers)) if layer < layers else ():
            if set(couplers[k]) <= free and rng.random() < 0.75:
                circuit.cz(*couplers[k])
                free -= set(couplers[k])
    circuit.measure(used, range(size))
    return circuit


def _turn(circuit: QuantumCircuit, q: int, angles: NDArray[np.float64]) -> None:
    circuit.rz(angles[0], q)
    circuit.sx(q)
    circuit.rz(angles[1], q)
    circuit.sx(q)
    circuit.rz(angles[2], q)


def _connected(device: HiddenDevice | Device, size: int, rng: np.random.Generator) -> list[int]:
    """Return the qubits of a random connected piece of the device, sorted."""
    start = int(rng.integers(device.n_qubits))
    found = {start}
    while len(found) < size:
        border = [
            b if a in found else a for a, b in device.couplers if (a in found) != (b in found)
        ]
        if not border:
            raise InputError(
                f"A circuit of {size} qubits needs a connected piece of that size, but qubit "
                f"{start} reaches {len(found)}."
            )
        found.add(int(rng.choice(border)))
    return sorted(found)
