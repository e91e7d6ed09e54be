"""Single-qubit pulses and the two-qubit gate of a device, written into a circuit."""

from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.circuit.read import PHYSICAL
from qdt_emu.device import Device
from qdt_emu.errors import UnsupportedError

ENTANGLERS = ("cz", "ecr", "cx")
FRAMED = frozenset({"rz", "sx"})  # enough for every pulse, with `x` where there is one
TURNS = ("r", "prx")  # a pulse with a free phase; frames are kept by the pen

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Pen:
    """Writes pulses into a circuit on a device's qubits, in its native gates.

    A device with `rz` and `sx` gets them. One whose only pulse is `r(theta, phase)` gets pulses
    with shifted phases: the pen keeps the frame of each qubit, which its `cz` does not change.

    Attributes:
        device: The device.
        circuit: What has been written.
        frame: Angle of Z rotations not written yet, in rad, by qubit.
    """

    device: Device
    circuit: QuantumCircuit
    frame: dict[int, float] = field(default_factory=dict)

    @classmethod
    def new(cls, device: Device, clbits: int = 0, name: str = "") -> "Pen":
        """Return a pen on an empty circuit over all qubits of the device.

        Raises:
            UnsupportedError: The device has no pulses of a known kind.
        """
        circuit = QuantumCircuit(device.n_qubits, clbits, name=name, metadata={PHYSICAL: True})
        gates = device.native_gates
        if not (device.open_set or gates >= FRAMED or gates & set(TURNS)):
            raise UnsupportedError(
                f"Experiments need `rz` and `sx`, or `r`, but '{device.name}' has "
                f"{', '.join(sorted(gates))}. Write the circuits by hand."
            )
        return cls(device, circuit)

    @property
    def framed(self) -> bool:
        """Whether Z rotations are gates of the circuit."""
        return self.device.open_set or self.device.native_gates >= FRAMED

    def rz(self, q: int, angle: float) -> None:
        """Turn the frame of qubit `q`; no pulse."""
        if not self.framed:
            self.frame[q] = self.frame.get(q, 0.0) + angle
        elif angle % (2 * np.pi):
            self.circuit.rz(angle, q)

    def sx(self, q: int) -> None:
        """Rotate qubit `q` by a quarter turn about X."""
        if self.framed:
            self.circuit.sx(q)
        else:
            self.circuit.r(np.pi / 2, -self.frame.get(q, 0.0), q)

    def x(self, q: int) -> None:
        """Rotate qubit `q` by half a turn about X."""
        if not self.framed:
            self.circuit.r(np.pi, -self.frame.get(q, 0.0), q)
        elif self.device.open_set or ("x", (q,)) in self.device.row:
            self.circuit.x(q)
        else:
            self.sx(q)
            self.sx(q)

    def y(self, q: int) -> None:
        """Rotate qubit `q` by half a turn about Y."""
        self.rz(q, -np.pi / 2)
        self.x(q)
        self.rz(q, np.pi / 2)

    def clifford(self, q: int, index: int) -> None:
        """Apply the single-qubit Clifford `index` of `cliffords.ONE`: two pulses for each."""
        first, second, third = quarter_turns()[index]
        self.rz(q, first * np.pi / 2)
        self.sx(q)
        self.rz(q, second * np.pi / 2)
        self.sx(q)
        self.rz(q, third * np.pi / 2)

    def entangle(self, pair: tuple[int, int]) -> None:
        """Apply the device's own gate on a pair, as `entangler` gives it."""
        name, qubits = entangler(self.device, pair)
        getattr(self.circuit, name)(*qubits)

    def delay(self, q: int, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            self.circuit.delay(float(seconds), q, unit="s")


def entangler(device: Device, pair: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """Return the name and the qubits, in its own order, of the two-qubit gate on a pair.

    Raises:
        UnsupportedError: There is none, or none that is a Clifford gate.
    """
    a, b = pair
    if device.open_set:
        return "cz", (a, b)
    for name in ENTANGLERS:
        for qubits in ((a, b), (b, a)):
            if (name, qubits) in device.row:
                return name, qubits
    raise UnsupportedError(
        f"Experiments need one of {', '.join(ENTANGLERS)} on {a}, {b} of '{device.name}', but "
        f"there is none. Choose another pair."
    )


def driven_pairs(device: Device) -> list[tuple[int, int]]:
    """Return the couplers on which there is such a gate."""
    usable = {frozenset(i.qubits) for i in device.instructions if i.name in ENTANGLERS}
    return [p for p in device.couplers if device.open_set or frozenset(p) in usable]


@cache
def quarter_turns() -> tuple[tuple[int, int, int], ...]:
    """Return (a, b, c) of each of the 24 Cliffords: rz(a) sx rz(b) sx rz(c) in quarter turns.

    In the order of `cliffords.ONE`: by the first triple that makes each.
    """
    return tuple(_one_qubit())


def one_qubit_unitaries() -> Floats:
    """Return the unitaries of `quarter_turns`, shape (24, 2, 2)."""
    return np.array(list(_one_qubit().values()))


@cache
def _one_qubit() -> dict[tuple[int, int, int], Floats]:
    sx = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
    found: dict[tuple[int, int, int], Floats] = {}
    for i, j, k in product(range(4), repeat=3):
        turns = i, j, k
        a, b, c = (np.diag([1, 1j**n]) for n in turns)
        unitary = c @ sx @ b @ sx @ a
        if not any(abs(np.trace(unitary.conj().T @ u)) > 1.99 for u in found.values()):
            found[turns] = unitary
    return found
