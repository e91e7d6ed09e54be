"""The stabilizer engine: Clifford circuits under Pauli noise on any number of qubits, by Stim."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import stim
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, NoisyCircuit, Structure, Values
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.stabilizer_text import Text, write
from qdt_emu.engines.statevector import settings
from qdt_emu.errors import InputError

WRITING = 4e-5  # s per operation, on one Zen 3 core
FRAME = 2e-9  # s per operation and shot
PORTION = 1 << 27  # bytes of measurements held at once
TURN = {1: "H", 2: "SQRT_X"}  # take X and Y to Z


@dataclass(frozen=True)
class Stabilizer:
    """Sampling of Clifford circuits under Pauli noise.

    Attributes:
        accept_twirl: Replace relaxation and small coherent errors by their Pauli twirl, and say in
            `details["twirled"]` what was replaced. Otherwise they are refused. The twirl keeps the
            process fidelity of each operation; how far a result moves is not bounded.
    """

    accept_twirl: bool = False

    @property
    def name(self) -> str:
        """Name used in results and in errors."""
        return "stabilizer"

    def plan(self, structure: Structure, /, *, shots: int, paulis: int, memory: int) -> Plan:
        """Return cost and refusal; gates and noise are judged when numbers are known."""
        n = len(structure.operations)
        runs = max(1, paulis)
        seconds = 1e-3 + runs * (WRITING * n + FRAME * shots * n)
        reads = structure.n_qubits if paulis else 0
        row = reads + sum(op.kind is Kind.MEASURE for op in structure.operations)
        size = min(shots * row, PORTION + row) + shots * (8 if paulis else structure.n_clbits)
        refusal = ""
        if size > memory:
            refusal = (
                f"It needs {size} bytes for {shots} shots, but {memory} bytes are available. "
                f"Run in portions."
            )
        return Plan(seconds, size, refusal=refusal)

    def prepare(self, structure: Structure, /) -> Structure:
        """Return the structure: what is Clifford shows with the numbers only."""
        return structure

    def sample(self, state: Structure, values: Values, /, *, shots: int, seed: int) -> Records:
        """Return `shots` classical records.

        Error:
            The law of the records is exact for Clifford gates and Pauli noise, any misreading.
        """
        text = write(state, values, accept_twirl=self.accept_twirl)
        written = [c for c in range(state.n_clbits) if text.record[c] >= 0]
        columns = [text.record[c] for c in written]
        bits = np.zeros((shots, state.n_clbits), np.uint8)
        for first, part in _portions(text.lines, shots, seed):
            bits[first : first + len(part), written] = part[:, columns]
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
        for c, p01, p10 in text.misread:
            bits[:, c] ^= rng.random(shots) < np.where(bits[:, c] == 1, p10, p01)
        for (a, b), table in zip(state.paired_readout, values.pair_confusion, strict=False):
            below = np.cumsum(np.asarray(table), axis=0)[:3, 2 * bits[:, a] + bits[:, b]]
            read = (rng.random(shots) >= below).sum(0)
            bits[:, a], bits[:, b] = read >> 1, read & 1
        return Records(bits, details=_details(text))

    def estimate(
        self,
        state: Structure,
        values: Values,
        paulis: NDArray[np.uint8],
        readout: NDArray[np.float64],
        /,
        *,
        shots: int,
        seed: int,
    ) -> Expectations:
        """Return means over `shots` samples of each group of strings that share a basis.

        Error:
            The standard error over the samples, in `stderr`.
        """
        codes = np.asarray(paulis, np.uint8)
        if codes.ndim != 2 or codes.shape[1] != state.n_qubits or np.any(codes > 3):
            raise InputError(
                f"`paulis` must have shape (m, {state.n_qubits}) and codes 0..3, but it has shape "
                f"{codes.shape}. Give one code per qubit."
            )
        text = write(state, values, accept_twirl=self.accept_twirl)
        order, bases, first = settings(codes)
        mean, error = np.zeros(len(codes)), np.zeros(len(codes))
        for k, basis in enumerate(bases):
            members = order[first[k] : first[k + 1]]
            read = np.flatnonzero(basis)
            turns = [f"{TURN[int(basis[q])]} {q}" for q in read if int(basis[q]) in TURN]
            lines = (*text.lines, *turns, *(f"M {q}" for q in read))
            total, square = np.zeros(len(members)), np.zeros(len(members))
            origin: NDArray[np.float64] = np.zeros(0)
            for _, part in _portions(lines, shots, seed + k * 0x9E3779B97F4A7C15):
                signs = 1.0 - 2.0 * part[:, part.shape[1] - len(read) :]
                found = readout[read, 0] * signs + readout[read, 1]
                each = np.stack([found[:, codes[j][read] > 0].prod(1) for j in members], 1)
                origin = origin if len(origin) else each[0]
                total += (each - origin).sum(0)
                square += ((each - origin) ** 2).sum(0)
            spread = np.maximum(square - total**2 / shots, 0.0) / max(1, shots - 1)
            mean[members] = total / shots + origin
            error[members] = np.sqrt(spread / shots)
        return Expectations(mean, error, details=_details(text))


def export_stim(circuit: NoisyCircuit, *, accept_twirl: bool) -> tuple[str, tuple[str, ...]]:
    """Return the circuit as the text of a .stim file, and what was approximated.

    Measurement k of the file writes the clbit named in its comment; a file holds no other
    processing, so that misreading enters as a symmetric flip of each measurement.

    Args:
        circuit: Clifford gates and Pauli noise.
        accept_twirl: Replace the rest by its Pauli twirl, asymmetric misreading by its mean.

    Returns:
        The text, with all digits, and one sentence for each sort of approximation; without any
        sentence Stim samples the same law.

    Raises:
        UnsupportedError: Something that Stim cannot do, or `accept_twirl` would be needed.
    """
    structure = circuit.structure
    text = write(structure, circuit.values, accept_twirl=accept_twirl, average_readout=True)
    head = [f"# approximated: {line}" for line in text.statements]
    head += [f"# qubit {k} is qubit {q} of the processor" for k, q in enumerate(structure.qubits)]
    head += [
        f"# clbit {c} is measurement {m}, counted from 0" if m >= 0 else f"# clbit {c} is 0"
        for c, m in enumerate(text.record)
    ]
    return "\n".join([*head, *text.lines, ""]), text.statements


def _portions(
    lines: tuple[str, ...], shots: int, seed: int
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Return (first shot, measurements) in portions that fit into memory."""
    circuit = stim.Circuit("\n".join(lines))
    sampler = circuit.compile_sampler(seed=seed % 2**63)
    size = max(1, PORTION // max(1, circuit.num_measurements))
    return ((first, sampler.sample(min(size, shots - first))) for first in range(0, shots, size))


def _details(text: Text) -> dict[str, float | int | str]:
    return {"twirled": " ".join(text.statements)} if text.statements else {}
