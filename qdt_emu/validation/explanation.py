"""Which mechanism and which qubit costs how much of a figure of merit."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from qdt_emu.circuit import Compiled, NoisyCircuit
from qdt_emu.circuit.observables import pauli_codes
from qdt_emu.engines.attribution import (
    Attribution,
    Figure,
    PauliValue,
    Probability,
    StateFidelity,
    attribute,
)
from qdt_emu.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Places = Mapping[tuple[int, ...], float]


@dataclass(frozen=True)
class Explanation:
    """A figure of merit without and with noise, and what each cause contributes.

    The contributions are exact integrals over a common noise strength (`engines.attribution`), so
    they sum to `noisy - ideal`; causes that only act together share what they do together.

    Attributes:
        figure: 'fidelity', a Pauli string or 'P(bit string)'.
        ideal: Its value without noise.
        noisy: Its value on the twin.
        by_mechanism: Contribution of each mechanism, largest loss first.
        by_place: Contribution of each physical qubit or coupler, largest loss first.
        device: Processor name.
    """

    figure: str
    ideal: float
    noisy: float
    by_mechanism: Mapping[str, float]
    by_place: Places
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values; places are strings such as '3' or '3, 4'."""
        return {
            "figure": self.figure,
            "device": self.device,
            "ideal": self.ideal,
            "noisy": self.noisy,
            "by_mechanism": dict(self.by_mechanism),
            "by_place": {", ".join(map(str, k)): v for k, v in self.by_place.items()},
        }

    def plot(self, *, ax: "Axes | None" = None) -> Any:
        """Draw the contributions of the mechanisms as bars; returns the figure."""
        from qdt_emu.result import plots  # noqa: PLC0415 - matplotlib costs 0.35 s

        title = f"{self.figure} on {self.device}: {self.ideal:.3f} ideal, {self.noisy:.3f} noisy"
        losses = {name: abs(x) for name, x in self.by_mechanism.items()}
        return plots.error_budget_bars(losses, title=title, ax=ax)

    def __repr__(self) -> str:
        parts = ", ".join(f"{k} {v:+.4f}" for k, v in list(self.by_mechanism.items())[:4])
        return f"Explanation({self.figure}: {self.ideal:.4f} -> {self.noisy:.4f}; {parts})"


def explain(compiled: Compiled, noisy: NoisyCircuit, figure: str, n_qubits: int) -> Explanation:
    """Return the attribution of one figure.

    Args:
        compiled: Of the state (`measured=False`) for 'fidelity' and Pauli strings, of the record
            for a bit string.
        noisy: The same, with numbers.
        figure: 'fidelity', a Pauli string (leftmost = highest qubit) or a bit string.
        n_qubits: Qubits of the user's circuit.

    Raises:
        InputError: Something else.
        UnsupportedError: The circuit is too large for the exact engine.
    """
    found = attribute(noisy, _figure(compiled, figure, n_qubits))
    name = f"P({figure})" if set(figure) <= {"0", "1"} else figure
    return Explanation(
        name,
        found.ideal,
        found.noisy,
        MappingProxyType(_sorted(found.by_mechanism(noisy.structure))),
        MappingProxyType(_sorted(_by_place(found, noisy))),
        compiled.device.name,
    )


def needs_record(figure: str) -> bool:
    """Return whether a figure is about the classical record."""
    return bool(figure) and set(figure) <= {"0", "1"}


def _figure(compiled: Compiled, figure: str, n_qubits: int) -> Figure:
    if figure == "fidelity":
        return StateFidelity()
    if needs_record(figure):
        if len(figure) != compiled.structure.n_clbits:
            raise InputError(
                f"A bit string must have {compiled.structure.n_clbits} characters, but is "
                f"{figure!r}."
            )
        return Probability((figure,))
    codes, _ = pauli_codes([figure], compiled, n_qubits)
    assignment = np.asarray(compiled.device.parameters.assignment)[list(compiled.structure.qubits)]
    p01, p10 = assignment.T
    return PauliValue(codes[0], np.stack([1 - p01 - p10, p10 - p01], axis=1))


def _by_place(found: Attribution, noisy: NoisyCircuit) -> dict[tuple[int, ...], float]:
    physical = noisy.structure.qubits
    out: dict[tuple[int, ...], float] = {}

    def add(qubits: tuple[int, ...], part: float) -> None:
        key = tuple(sorted(physical[q] for q in qubits))
        out[key] = out.get(key, 0.0) + part

    for op, part in zip(noisy.structure.operations, found.operations, strict=True):
        add(op.qubits, float(part))
    for q in range(noisy.structure.n_qubits):
        add((q,), float(found.preparation[q] + found.readout[q]))
    return {key: part for key, part in out.items() if part}


def _sorted(parts: Mapping[Any, float]) -> dict[Any, float]:
    return dict(sorted(((k, v) for k, v in parts.items() if v), key=lambda item: item[1]))
