"""Averaged circuit eigenvalue sampling: Pauli eigenvalues of all gates of a processor at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.device import Device
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.errors import InputError
from qdt_emu.experiments.benchmarking import flips
from qdt_emu.experiments.cliffords import LOCAL, after, number, one
from qdt_emu.experiments.eigenvalue_tracks import Layout, Track, layout, track
from qdt_emu.experiments.program import Program, cells_of, measure, program
from qdt_emu.experiments.pulses import Pen
from qdt_emu.experiments.traces import with_fits
from qdt_emu.twin import Twin

SOURCE = "Flammia, arXiv:2108.05803; Hockings et al., arXiv:2404.06545"
DEPTHS = (1, 2, 4, 7)
WEIGHT = 8  # qubits of a measured string, at most
CLEAR = 0.1  # eigenvalues below are left out: their logarithm says little
SOUND = 1e-6
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def circuits(
    device: Device,
    qubits: Sequence[int],
    *,
    depths: Sequence[int] = DEPTHS,
    samples: int = 16,
    seed: int,
) -> Program:
    """Return random Clifford circuits and, for each, Pauli strings whose fate is known.

    A circuit prepares a random Pauli basis, does `depth` times one layer of two-qubit gates (all
    of one colour of the coupling graph, drawn at random, or none) and random one-qubit Cliffords,
    and reads in a basis that fits many propagated strings of one or two qubits. Each is done with
    a random pattern of final flips and with its complement, so that misreadings cancel.

    Args:
        device: For which they are written.
        qubits: Which take part; gates between them do.
        depths: Numbers of layers.
        samples: Circuits of each depth.
        seed: Of everything random.

    Raises:
        InputError: No gate between the qubits.
    """
    plan = layout(device, [int(q) for q in qubits])
    written: list[QuantumCircuit] = []
    rows: list[Track] = []
    index: list[int] = []
    patterns: list[Ints] = []
    for m, depth in enumerate(depths):
        for s in range(samples):
            rng = np.random.default_rng([seed, m, s])
            steps = rng.integers(LOCAL, size=(depth + 1, len(plan.qubits)))
            layers = rng.integers(-1, len(plan.layers), size=depth)
            kept, last = _measurable(plan, steps, layers, rng)
            pattern = rng.integers(2, size=len(plan.qubits))
            index += [len(written)] * len(kept)
            written += [
                _written(device, plan, steps, layers, last, flip) for flip in (pattern, 1 - pattern)
            ]
            rows += kept
            patterns += [pattern] * len(kept)
    if not rows:
        raise InputError("`depths` and `samples` must give strings that can be read, but give 0.")
    cells = _cells(rows, index, patterns)
    cells["design"] = (("string", "parameter"), np.array([plan.row(r) for r in rows]))
    cells = cells.assign_coords(
        gate=("parameter", [p.gate for p in plan.parameters]),
        q0=("parameter", [p.qubits[0] for p in plan.parameters]),
        q1=("parameter", [p.qubits[-1] if len(p.qubits) == 2 else -1 for p in plan.parameters]),
        pauli=("parameter", [p.pauli for p in plan.parameters]),
    )
    about: dict[str, Any] = {"qubits": list(plan.qubits), "sequence_seed": seed}
    return program("eigenvalues", device, written, cells, source=SOURCE, event="even", **about)


def _cells(rows: Sequence[Track], index: Sequence[int], patterns: Sequence[Ints]) -> xr.Dataset:
    """Return the table of events: a string holds if an even number of bits is unexpected."""
    bits = np.full((len(rows), 2, WEIGHT), -1)
    expected = np.zeros_like(bits)
    for r, (row, pattern) in enumerate(zip(rows, patterns, strict=True)):
        support = np.flatnonzero(row.out)
        bits[r, :, : len(support)] = support
        for k, flip in enumerate((pattern, 1 - pattern)):
            expected[r, k, : len(support)] = flip[support]
        expected[r, :, 0] ^= row.sign < 0
    circuit = np.array(index)[:, None] + np.arange(2)
    return cells_of(("string", "flip"), circuit, bits, expected, {})


def _measurable(
    plan: Layout, steps: Ints, layers: Ints, rng: np.random.Generator
) -> tuple[list[Track], Ints]:
    """Return strings that one basis can read, and the last one-qubit Cliffords that read it.

    Single qubits and coupled pairs are propagated and taken in random order as long as their ends
    agree with the basis so far.
    """
    n = len(plan.qubits)
    starts = [(q,) for q in range(n)] + [pair for layer in plan.layers for pair in layer]
    basis = np.zeros(n, np.int64)
    chosen = []
    for k in rng.permutation(len(starts)):
        start = np.zeros(n, np.int64)
        start[list(starts[k])] = 3
        found = track(plan, start, steps, layers, None)
        on = found.out > 0
        if on.sum() <= WEIGHT and not ((basis != found.out) & on & (basis > 0)).any():
            basis[on] = found.out[on]
            chosen.append(start)
    last = np.array([_reader(int(code), rng) for code in basis])
    return [track(plan, start, steps, layers, last) for start in chosen], last


def _reader(code: int, rng: np.random.Generator) -> int:
    """Return a random one-qubit Clifford that takes a Pauli to +-Z; any, if there is none."""
    fits = np.flatnonzero(np.abs(one()[:, code]) == 4) if code else np.arange(LOCAL)
    return int(rng.choice(fits))


def _written(
    device: Device, plan: Layout, steps: Ints, layers: Ints, last: Ints, flip: Ints
) -> QuantumCircuit:
    n = len(plan.qubits)
    pen = Pen.new(device, n, "eigenvalues")

    def local(step: Ints) -> None:
        for q, index in zip(plan.qubits, step.tolist(), strict=True):
            pen.clifford(q, index)
        pen.circuit.barrier(plan.qubits)

    for k, step in enumerate(steps):
        local(step)
        if k < len(layers) and layers[k] >= 0:
            for a, b in plan.layers[layers[k]]:
                pen.entangle((plan.qubits[a], plan.qubits[b]))
            pen.circuit.barrier(plan.qubits)
    final = [number(after(flips([bit]), one()[k])) for k, bit in zip(last, flip, strict=True)]
    local(np.array(final))
    pen.circuit.measure(plan.qubits, range(n))
    return pen.circuit


def analyse(table: xr.Dataset) -> xr.Dataset:
    r"""Return the table with the Pauli eigenvalues of each gate.

    The eigenvalue of a string in a circuit is the product of those of the gates it meets, so that
    $\ln \Lambda = A \ln \lambda$, solved by weighted least squares with weights
    $N \Lambda^2 / (1 - \Lambda^2)$.

    Returns:
        Over `string`: `eigenvalue` $\Lambda$; over `parameter` (coordinates gate, q0, q1, pauli):
        `lambda_` and its standard error. NaN stands for what these circuits cannot tell apart from
        others; `identifiable` says so. Over `element` (coordinates element_gate, element_q0,
        element_q1): `fidelity`, the process fidelity of each gate.

    Error:
        Strings of one circuit are correlated, which the standard errors leave out; they are
        widened by chi-square per degree of freedom where it is above 1. Noise is taken as Pauli
        noise of each gate in its layer; coherent parts enter as their twirl in the mean.

    Source:
        Flammia, arXiv:2108.05803, section III; the bias of a logarithm is removed to first order.
    """
    hits = table["hits"].sum("flip").values.astype(float)
    shots = table["shots"].sum("flip").values.astype(float)
    value = 2 * hits / shots - 1
    variance = np.maximum(1 - value**2, 2 / shots) / shots
    used = value > np.maximum(CLEAR, 4 * np.sqrt(variance))
    design = table["design"].values.astype(float)
    log = np.log(value, where=used, out=np.zeros_like(value)) + variance / (2 * value**2)
    scale = np.where(used, np.abs(value) / np.sqrt(variance), 0.0)
    found, covariance, known = solve(design * scale[:, None], log * scale)
    chi2 = float((((log - design @ found) * scale) ** 2).sum())
    rank = int(np.linalg.matrix_rank(design[used]))
    freedom = int(used.sum()) - rank
    widen = np.sqrt(max(1.0, chi2 / max(freedom, 1)))
    eigen = np.where(known, np.exp(found), np.nan)
    columns = {
        "lambda_": (
            *(eigen, eigen * np.sqrt(np.diag(covariance)) * widen),
            *("1", "Pauli eigenvalue of the gate's noise"),
        ),
        "identifiable": (known.astype(int), None, "1", "whether these circuits tell it"),
    }
    out = table.assign(
        eigenvalue=("string", value, {"units": "1", "long_name": "circuit eigenvalue"}),
        eigenvalue_stderr=("string", np.sqrt(variance), {"units": "1"}),
    )
    out = _fidelities(with_fits(out, columns, None, "parameter"), covariance * widen**2)
    return out.assign_attrs(chi2=chi2, freedom=freedom, rank=rank)


def _fidelities(table: xr.Dataset, covariance: Floats) -> xr.Dataset:
    """Return the table with the process fidelity of each gate, the mean of its eigenvalues.

    Args:
        table: With eigenvalues over `parameter`.
        covariance: Of their logarithms.
    """
    names = ("gate", "q0", "q1")
    keys = list(zip(*(table[name].values.tolist() for name in names), strict=True))
    rows = [key for key in dict.fromkeys(keys) if key[0] != "readout"]
    value, error = np.zeros(len(rows)), np.zeros(len(rows))
    for k, key in enumerate(rows):
        mine = np.array([n for n, other in enumerate(keys) if other == key])
        paulis = 16 if key[2] >= 0 else 4
        slope = table["lambda_"].values[mine] * (paulis - 1) / len(mine) / paulis
        value[k] = 1 / paulis + slope.sum()
        error[k] = np.sqrt(slope @ covariance[np.ix_(mine, mine)] @ slope)
    columns = {"fidelity": (value, error, "1", "process fidelity of the gate")}
    ends = {f"element_{n}": ("element", [row[k] for row in rows]) for k, n in enumerate(names)}
    return with_fits(table, columns, None, "element").assign_coords(ends)


def solve(design: Floats, target: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the least-squares solution of least norm, its covariance, and what is determined.

    Args:
        design: Rows divided by their standard errors, shape (m, p).
        target: Likewise, shape (m,).
    """
    _, singular, right = np.linalg.svd(design, full_matrices=False)
    kept = singular > 1e-10 * singular.max()
    right, singular = right[kept], singular[kept]
    inverse = right.T / singular
    resolved = (right**2).sum(0)  # diagonal of the resolution matrix
    covariance = inverse @ inverse.T
    found = covariance @ (design.T @ target)
    return found, covariance, resolved > 1 - SOUND


def aces(
    twin: Twin,
    qubits: Sequence[int],
    *,
    depths: Sequence[int] = DEPTHS,
    samples: int = 16,
    shots: int | None = 1000,
    seed: int,
    engine: Any = None,
    **run: Any,
) -> xr.Dataset:
    """Return the Pauli eigenvalues of all gates between some qubits as measured on a twin.

    Args:
        twin: The processor.
        qubits: See `circuits`; 20 and more are no problem.
        depths: See `circuits`.
        samples: See `circuits`.
        shots: Of each circuit; None takes exact values, with the `pauli` engine.
        seed: Of circuits and shots.
        engine: None takes the stabilizer engine, with relaxation and ZZ as their Pauli twirl.
        **run: `joint`, `options`, `date` of `program.measure`.

    Returns:
        See `analyse`.
    """
    asked = circuits(twin.device, qubits, depths=depths, samples=samples, seed=seed)
    if engine is None and shots is None:
        engine = "pauli"
    if engine is None:
        run = {"engine": Stabilizer(accept_twirl=True), "joint": True} | run
    else:
        run = {"engine": engine} | run
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
