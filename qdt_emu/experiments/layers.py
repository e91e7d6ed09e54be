"""Layer fidelity of a chain: what its gates do side by side, and the error per layered gate."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.device import Device
from qdt_emu.engines.stabilizer import Stabilizer
from qdt_emu.errors import InputError
from qdt_emu.experiments.benchmarking import flips
from qdt_emu.experiments.cliffords import (
    LOCAL,
    after,
    group_on,
    inverse,
    local,
    number,
    one,
    write_word,
)
from qdt_emu.experiments.curves import fit_decay
from qdt_emu.experiments.groups import Place
from qdt_emu.experiments.likelihood import Fit
from qdt_emu.experiments.program import Program, cells_of, measure, program, share
from qdt_emu.experiments.pulses import Pen, entangler
from qdt_emu.experiments.traces import with_fits
from qdt_emu.twin import Twin

SOURCE = "McKay et al., arXiv:2311.05933; direct benchmarking: Proctor et al., arXiv:1807.07975"
DEPTHS = (1, 5, 12, 25, 45)
DIMS = ("element", "depth", "sample")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def circuits(
    device: Device,
    chain: Sequence[int],
    *,
    depths: Sequence[int] = DEPTHS,
    samples: int = 8,
    seed: int,
) -> Program:
    """Return the circuits: every second pair of a chain is driven at once, then the others.

    Each starts in a random stabilizer state of each pair, repeats random one-qubit Cliffords and
    the layer of two-qubit gates, and ends with what leads to a known bit string (targets in turn).
    Qubits that a layer leaves out are benchmarked as single qubits.

    Args:
        device: For which they are written.
        chain: Qubits, each coupled to the next by a two-qubit gate.
        depths: Numbers of layers.
        samples: Random sequences of each depth; a multiple of 4 keeps targets balanced.
        seed: Of the sequences.

    Raises:
        InputError: A chain of fewer than two qubits or with a repetition.
        UnsupportedError: Two neighbours of the chain without a two-qubit gate.
    """
    qubits = [int(q) for q in chain]
    if len(qubits) < 2 or len(set(qubits)) < len(qubits):
        raise InputError(f"`chain` must be at least 2 different qubits, but is {qubits}.")
    pairs = [entangler(device, pair)[1] for pair in pairwise(qubits)]
    layers = [_elements(qubits, pairs[parity::2]) for parity in (0, 1)]
    layers = [layer for layer in layers if len(layer[0]) == 2]
    elements = [(k, place) for k, layer in enumerate(layers) for place in layer]
    shape = (len(elements), len(depths), samples)
    index, bits = np.zeros(shape, np.int64), np.full((*shape, 2), -1)
    expected = np.zeros_like(bits)
    written: list[QuantumCircuit] = []
    for k, layer in enumerate(layers):
        first = sum(len(x) for x in layers[:k])
        for m, depth in enumerate(depths):
            for s in range(samples):
                pen = Pen.new(device, len(qubits), "layer_fidelity")
                _sequence(pen, layer, int(depth), s, np.random.default_rng([seed, k, m, s]))
                for e, place in enumerate(layer, first):
                    own = [qubits.index(q) for q in place]
                    pen.circuit.measure(place, own)
                    bits[e, m, s, : len(place)] = own
                    expected[e, m, s, : len(place)] = _target(place, s)
                index[first : first + len(layer), m, s] = len(written)
                written.append(pen.circuit)
    coords = {
        "layer": ("element", [k for k, _ in elements]),
        "q0": ("element", [p[0] for _, p in elements]),
        "q1": ("element", [p[1] if len(p) == 2 else -1 for _, p in elements]),
        "depth": ("depth", [int(m) for m in depths], {"units": "1", "long_name": "layers"}),
    }
    cells = cells_of(DIMS, index, bits, expected, coords)
    about: dict[str, Any] = {"chain": qubits, "sequence_seed": seed}
    return program("layer_fidelity", device, written, cells, source=SOURCE, **about)


def _elements(chain: Sequence[int], pairs: Sequence[tuple[int, int]]) -> list[Place]:
    """Return the pairs of a layer, then the qubits of the chain that it leaves out."""
    driven = {q for pair in pairs for q in pair}
    return [*pairs, *((q,) for q in chain if q not in driven)]


def _target(place: Place, sample: int) -> list[int]:
    return [sample % 2 ** len(place) >> b & 1 for b in range(len(place))]


def _sequence(
    pen: Pen, layer: Sequence[Place], depth: int, sample: int, rng: np.random.Generator
) -> None:
    """Write one sequence; places are in the order of the device's own gates."""
    qubits = [q for place in layer for q in place]
    total: list[Ints] = []
    for place in layer:
        if len(place) == 2:
            group, pair = group_on(pen, (place[0], place[1]))
            word = group.draw(rng)
            write_word(pen, pair, word)
            total.append(group.images(word))
        else:
            index = int(rng.integers(LOCAL))
            pen.clifford(place[0], index)
            total.append(one()[index])
    pen.circuit.barrier(qubits)
    for _ in range(depth):
        for e, place in enumerate(layer):
            draws = rng.integers(LOCAL, size=len(place)).tolist()
            for q, index in zip(place, draws, strict=True):
                pen.clifford(q, index)
            step = local((draws[0], draws[1])) if len(place) == 2 else one()[draws[0]]
            total[e] = after(step, total[e])
        pen.circuit.barrier(qubits)
        for e, place in enumerate(layer):
            if len(place) == 2:
                pen.entangle((place[0], place[1]))
                total[e] = after(group_on(pen, (place[0], place[1]))[0].gate, total[e])
        pen.circuit.barrier(qubits)
    for e, place in enumerate(layer):
        back = after(flips(_target(place, sample)), inverse(total[e]))
        if len(place) == 2:
            group, pair = group_on(pen, (place[0], place[1]))
            write_word(pen, pair, group.word(back))
        else:
            pen.clifford(place[0], number(back))


def analyse(table: xr.Dataset) -> xr.Dataset:
    r"""Return the table with the process fidelity of each element, layer fidelity and EPLG.

    $F = (1 + (d^2 - 1) \alpha) / d^2$ of each pair and idle qubit from its decay $1/d + a
    \alpha^m$; LF is their product over both layers, EPLG $= 1 - LF^{1/n}$ with n two-qubit gates:
    a process infidelity, 5/4 of an average one. One-qubit gates and waiting are part of it.

    Error:
        Standard errors contain the spread over sequences and treat elements as independent.
    """
    flat = table.transpose(*DIMS)
    n, samples = flat.sizes["element"], flat.sizes["sample"]
    dims = np.where(flat["q1"].values >= 0, 4, 2)
    alpha, error = np.zeros(n), np.zeros(n)
    chi2, freedom = np.zeros(n), np.zeros(n, np.int64)
    for dim in (2, 4):
        mine = np.flatnonzero(dims == dim)
        if not len(mine):
            continue
        found = _decays(flat, mine, dim, samples)
        rate = np.exp(found.values[:, 0])
        alpha[mine], error[mine] = np.exp(-rate), np.exp(-rate) * rate * found.stderr[:, 0]
        chi2[mine], freedom[mine] = found.chi2, found.freedom
    fidelity = (1 + (dims**2 - 1) * alpha) / dims**2
    spread = (dims**2 - 1) / dims**2 * error
    columns = {
        "alpha": (alpha, error, "1", "decay per layer"),
        "fidelity": (fidelity, spread, "1", "process fidelity in the layer"),
        "chi2": (chi2, None, "1", "Pearson chi-square"),
        "freedom": (freedom, None, "1", "degrees of freedom"),
    }
    out = with_fits(table.assign(share(table)), columns, None, "element")
    loss = -np.log(fidelity).sum()
    loss_error = np.sqrt(((spread / fidelity) ** 2).sum())
    gates = int((dims == 4).sum())
    lf = np.exp(-loss)
    eplg = -np.expm1(-loss / gates)
    whole = {
        "layer_fidelity": (lf, lf * loss_error, "1", "process fidelity of both layers"),
        "eplg": (eplg, (1 - eplg) * loss_error / gates, "1", "error per layered gate (process)"),
    }
    return with_fits(out, whole, None, ())


def _decays(flat: xr.Dataset, mine: Ints, dim: int, samples: int) -> Fit:
    """Return the fits of elements of one size; sequences with all targets count as one."""
    block = dim if samples % dim == 0 else 1
    hits, shots = (
        flat[k].values[mine].astype(float).reshape(len(mine), -1, block).sum(-1)
        for k in ("hits", "shots")
    )
    x = np.broadcast_to(np.repeat(flat["depth"].values, samples // block), hits.shape)
    return fit_decay(x, hits, shots, offset=1 / dim, overdispersed=True)


def layer_fidelity(
    twin: Twin,
    chain: Sequence[int],
    *,
    depths: Sequence[int] = DEPTHS,
    samples: int = 8,
    shots: int | None = 1000,
    seed: int,
    engine: Any = None,
    **run: Any,
) -> xr.Dataset:
    """Return the layer fidelity of a chain as measured on a twin.

    Args:
        twin: The processor.
        chain: See `circuits`.
        depths: See `circuits`.
        samples: See `circuits`.
        shots: Of each circuit; None needs an exact engine, on short chains.
        seed: Of sequences and shots.
        engine: None takes the stabilizer engine, with relaxation and ZZ replaced by their Pauli
            twirl, which the random Cliffords do anyway: any number of qubits. Otherwise as in
            `Twin.run`.
        **run: `joint`, `options`, `date` of `program.measure`.

    Returns:
        Over `element` (coordinates layer, q0, q1; q1 = -1 for an idle qubit), `depth`, `sample`:
        `hits`, `shots`, `share`, `stderr`; over `element`: `alpha`, `fidelity`; and
        `layer_fidelity`, `eplg`, each with its standard error.
    """
    asked = circuits(twin.device, chain, depths=depths, samples=samples, seed=seed)
    if engine is None:
        run = {"engine": Stabilizer(accept_twirl=True), "joint": True} | run
    else:
        run = {"engine": engine} | run
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
