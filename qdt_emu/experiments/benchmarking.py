"""Randomised benchmarking of one and two qubits, interleaved or not, on many places at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qdt_emu.device import Device
from qdt_emu.errors import InputError
from qdt_emu.experiments.cliffords import (
    LOCAL,
    after,
    group_on,
    inverse,
    number,
    one,
    write_word,
)
from qdt_emu.experiments.curves import fit_decay
from qdt_emu.experiments.groups import Place, groups, places
from qdt_emu.experiments.program import Program, cells_of, measure, program, share
from qdt_emu.experiments.pulses import Pen, driven_pairs
from qdt_emu.experiments.traces import with_fits
from qdt_emu.noise.infidelity import depolarizing_infidelity, gate_infidelity_of_clifford
from qdt_emu.twin import Twin

SOURCE = "Magesan et al., arXiv:1009.3639; interleaved: arXiv:1203.4550; random target: 1901.00535"
DEPTHS = {1: (1, 50, 100, 200, 350, 600, 1000), 2: (1, 5, 10, 20, 35, 60, 100)}
GATES = {1: 2.0, 2: 1.5}  # sx of a one-qubit Clifford; two-qubit gates of a two-qubit one
DIMS = ("place", "variant", "depth", "sample")
Ints = NDArray[np.int64]


def circuits(
    device: Device,
    places_: Sequence[int | tuple[int, int]] | None = None,
    *,
    size: int = 1,
    depths: Sequence[int] | None = None,
    samples: int = 8,
    interleaved: bool = False,
    simultaneous: bool = False,
    seed: int,
) -> Program:
    """Return the circuits: random Cliffords, then what takes the state to a known bit string.

    The target is drawn in turn from all bit strings, so that the decay ends at 1/d exactly and a
    misreading cannot bend it. Every one-qubit Clifford takes two `sx`; two-qubit Cliffords take
    1.5 two-qubit gates in the mean.

    Args:
        device: For which they are written.
        places_: Qubits or pairs; None takes all that can be read.
        size: 1 for qubits, 2 for pairs.
        depths: Numbers of Cliffords; None takes 7 up to 1000, or 100 on pairs.
        samples: Random sequences of each depth; a multiple of d keeps targets balanced.
        interleaved: Also run sequences with `sx`, or the two-qubit gate, after each Clifford.
        simultaneous: Neighbours share a circuit.
        seed: Of the sequences.

    Raises:
        InputError: Places, depths or samples that are no such numbers.
    """
    if size not in (1, 2) or samples < 1:
        raise InputError(f"`size` must be 1 or 2 and `samples` at least 1: {size}, {samples}.")
    asked = driven_pairs(device) if places_ is None and size == 2 else places_
    chosen = places(device, asked, size)
    lengths = _lengths(DEPTHS[size] if depths is None else depths)
    variants = ["reference", "interleaved"] if interleaved else ["reference"]
    shape = (len(chosen), len(variants), len(lengths), samples)
    index, bits = np.zeros(shape, np.int64), np.zeros((*shape, size), np.int64)
    expected = np.zeros_like(bits)
    written: list[QuantumCircuit] = []
    for group in groups(device, chosen, simultaneous=simultaneous):
        for cell in np.ndindex(shape[1:]):
            pen = Pen.new(device, size * len(group), "rb")
            for k, place in enumerate(group):
                rng = np.random.default_rng([seed, place, *cell])
                target = cell[2] % 2**size
                _sequence(pen, chosen[place], lengths[cell[1]], cell[0] == 1, target, rng)
                own = range(size * k, size * (k + 1))
                pen.circuit.measure(chosen[place], own)
                index[place, *cell], bits[place, *cell] = len(written), own
                expected[place, *cell] = [target >> b & 1 for b in range(size)]
            written.append(pen.circuit)
    coords = {
        **{f"q{k}": ("place", [p[k] for p in chosen]) for k in range(size)},
        "variant": variants,
        "depth": ("depth", lengths, {"units": "1", "long_name": "Cliffords"}),
    }
    cells = cells_of(DIMS, index, bits, expected, coords)
    about: dict[str, Any] = {"sequence_seed": seed, "simultaneous": int(simultaneous)}
    return program("rb", device, written, cells, source=SOURCE, size=size, **about)


def _lengths(depths: Sequence[int]) -> list[int]:
    lengths = [int(m) for m in depths]
    if len(lengths) < 2 or min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise InputError(f"`depths` must be at least 2 different numbers from 1, are {lengths}.")
    return lengths


def _sequence(
    pen: Pen,
    place: Place,
    depth: int,
    extra: bool,
    target: int,
    rng: np.random.Generator,
) -> None:
    """Write `depth` random Cliffords and the one that leads to the target."""
    if len(place) == 1:
        _sequence_1q(pen, place[0], depth, extra, target, rng)
        return
    group, pair = group_on(pen, (place[0], place[1]))
    total = np.arange(1, 17)
    for _ in range(depth):
        word = group.draw(rng)
        write_word(pen, pair, word)
        total = after(group.images(word), total)
        pen.circuit.barrier(pair)
        if extra:
            pen.entangle(pair)
            pen.circuit.barrier(pair)
            total = after(group.gate, total)
    # Bit 0 of the target belongs to place[0], wherever the gate's order puts it.
    bits = [target >> place.index(q) & 1 for q in pair]
    write_word(pen, pair, group.word(after(flips(bits), inverse(total))))


def _sequence_1q(
    pen: Pen,
    q: int,
    depth: int,
    extra: bool,
    target: int,
    rng: np.random.Generator,
) -> None:
    total = np.arange(1, 5)
    quarter = np.array([1, 2, 4, -3])  # sx: X -> X, Y -> Z, Z -> -Y
    for index in rng.integers(LOCAL, size=depth).tolist():
        pen.clifford(q, index)
        total = after(one()[index], total)
        pen.circuit.barrier(q)
        if extra:
            pen.sx(q)
            pen.circuit.barrier(q)
            total = after(quarter, total)
    pen.clifford(q, number(after(flips([target]), inverse(total))))


def flips(bits: Sequence[int]) -> Ints:
    """Return the images under X on the qubits to be flipped."""
    signs = np.ones(1, np.int64)
    for bit in bits:
        signs = np.kron(signs, [1, 1, -1, -1] if bit else [1, 1, 1, 1])
    return np.asarray(signs * np.arange(1, len(signs) + 1))


def analyse(table: xr.Dataset) -> xr.Dataset:
    r"""Return the table with decays and infidelities of each place.

    The survival is fitted to $1/d + a \\alpha^m$; then $r = (1 - \\alpha)(d - 1)/d$ per Clifford,
    $1 - (1 - r)^{1/n}$ per gate, with n = 2 `sx` or 1.5 two-qubit gates (whose single-qubit gates
    are then part of it), and $(d - 1)/d \\, (1 - \\alpha_{int}/\\alpha_{ref})$ interleaved.

    Error:
        Standard errors contain the spread over sequences (White's sandwich). Noise that depends on
        the gate makes decays exponential only up to second order in it, and the interleaved figure
        uncertain by up to the error of the reference itself.
    """
    flat = table.transpose(*DIMS)
    n, variants, m, samples = flat["hits"].shape
    dim = 2 ** int(table.attrs["size"])
    # Sequences with all targets count as one: misreadings cancel in their sum.
    block = dim if samples % dim == 0 else 1
    hits, shots = (
        flat[k].values.astype(float).reshape(n * variants, m * samples // block, block).sum(-1)
        for k in ("hits", "shots")
    )
    x = np.broadcast_to(np.repeat(flat["depth"].values, samples // block), hits.shape)
    found = fit_decay(x, hits, shots, offset=1 / dim, overdispersed=True)
    rate = np.exp(found.values[:, 0])
    alpha = np.exp(-rate).reshape(n, variants)
    alpha_error = (np.exp(-rate) * rate * found.stderr[:, 0]).reshape(n, variants)
    loss = -np.expm1(-rate).reshape(n, variants)
    epc = depolarizing_infidelity(loss, dim)
    epc_error = depolarizing_infidelity(alpha_error, dim)
    amplitude, amplitude_error = (
        s[:, 1].reshape(n, variants) for s in (found.values, found.stderr)
    )
    dims = ("place", "variant")
    each: dict[str, tuple[Any, Any, str, str]] = {
        "alpha": (alpha, alpha_error, "1", "decay per Clifford"),
        "epc": (epc, epc_error, "1", "average infidelity per step: Clifford, and gate"),
        "amplitude": (amplitude, amplitude_error, "1", "survival at depth 0 less 1/d"),
        "chi2": (found.chi2.reshape(n, variants), None, "1", "Pearson chi-square"),
        "freedom": (found.freedom.reshape(n, variants), None, "1", "degrees of freedom"),
    }
    out = with_fits(table.assign(share(table)), each, None, dims)
    gates = GATES[int(table.attrs["size"])]
    per_gate = gate_infidelity_of_clifford(epc[:, 0], gates)
    one_gate: dict[str, tuple[Any, Any, str, str]] = {
        "epg": (per_gate, epc_error[:, 0] / gates, "1", "average infidelity per gate of a Clifford")
    }
    if variants == 2:
        ratio = alpha[:, 1] / alpha[:, 0]
        spread = ratio * np.hypot(*(alpha_error / alpha).T)
        one_gate["gate_infidelity"] = (
            *((dim - 1) / dim * s for s in (1 - ratio, spread)),
            *("1", "average infidelity of the interleaved gate"),
        )
    return with_fits(out, one_gate, None, "place")


def rb(
    twin: Twin,
    places_: Sequence[int | tuple[int, int]] | None = None,
    *,
    size: int | None = None,
    depths: Sequence[int] | None = None,
    samples: int = 8,
    interleaved: bool = False,
    simultaneous: bool = False,
    shots: int | None = 1000,
    seed: int,
    **run: Any,
) -> xr.Dataset:
    """Return randomised benchmarking of qubits or pairs as measured on a twin.

    Args:
        twin: The processor.
        places_: Qubits, or pairs.
        size: 1 or 2; None follows `places_`.
        depths: See `circuits`.
        samples: See `circuits`.
        interleaved: See `circuits`.
        simultaneous: See `circuits`.
        shots: Of each circuit; None gives exact survival probabilities.
        seed: Of sequences and shots.
        **run: `engine`, `joint`, `options`, `date` of `program.measure`. With many simultaneous
            pairs take `engine=Stabilizer(accept_twirl=True)`, which needs shots.

    Returns:
        Over `place`, `variant`, `depth`, `sample`: `hits`, `shots`, `share` and its `stderr`; over
        `place` and `variant`: `alpha`, `epc`, `amplitude`; over `place`: `epg` and, interleaved,
        `gate_infidelity`.
    """
    if size is None:
        size = 1 if not places_ or not isinstance(places_[0], Sequence) else len(places_[0])
    asked = circuits(
        twin.device,
        places_,
        size=size,
        depths=depths,
        samples=samples,
        interleaved=interleaved,
        simultaneous=simultaneous,
        seed=seed,
    )
    return analyse(measure(asked, twin, shots=shots, seed=seed, **run))
