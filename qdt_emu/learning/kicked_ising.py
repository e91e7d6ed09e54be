"""The 127-qubit kicked Ising experiment: a Pauli-Lindblad model of three gate layers, learned.

At theta_h = 0 the circuit is Clifford and every Z_q stays Z_q, so that the data determine what
damps Z: for each qubit one rate per step, the sum of all terms with X or Y there. How that splits
over layers and terms, and everything that damps X and Y, comes from a prior in the shape of a
calibration, with its width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
import stim
from numpy.typing import NDArray
from scipy import sparse, stats

from qdt_emu.circuit import Kind, Operation, Structure, Values
from qdt_emu.device import Device
from qdt_emu.learning.pauli_design import Design, Experiment, Floats, design
from qdt_emu.learning.pauli_noise import RatePosterior, RatePrior, empty, fit_rates
from qdt_emu.noise import average_gate_fidelity, relaxation_process_fidelity, residual_depolarizing
from qdt_emu.noise.pauli_lindblad import lindblad_probabilities, sparse_support
from qdt_emu.validation.public_data import KickedIsing

PULSES = 2  # sx of each qubit and layer
CROSSTALK = 0.1  # rate of an idle coupler's terms, in those of a driven one
DEVICE, TYPE, PLACE, TERM, LAYER = 0.4, 0.5, 0.5, 0.5, 0.2
"""Standard deviations of ln(rate) that are common to the device, to the terms without X and Y, to
all layers' terms on one qubit or coupler, to one term in all layers, and its own: a snapshot of
another year, of which only the medians are used."""
COMMON_SPAM = 0.01  # standard deviation of the ln(amplitude) of all qubits together
NODES = 100  # of scales and of precisions
TAIL, MIXTURE_ROUNDS = 3.0, 8  # degrees of freedom; it settles to 1e-3 of a width


@dataclass(frozen=True, eq=False)
class Chip:
    """The graph of the experiment and its layers.

    Attributes:
        n_qubits: Number of qubits.
        edges: Couplers (a < b), sorted.
        layers: Edges of each layer of gates; every edge is in one.
    """

    n_qubits: int
    edges: tuple[tuple[int, int], ...]
    layers: tuple[tuple[tuple[int, int], ...], ...]

    @cached_property
    def support(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The 3 n + 9 E terms of a layer's noise."""
        return sparse_support(self.n_qubits, self.edges)

    @cached_property
    def cliffords(self) -> tuple[stim.Circuit, ...]:
        """The layers at theta_h = 0 in Stim's language: RZZ(-pi/2) on every edge."""
        out = []
        for edges in self.layers:
            layer = stim.Circuit(f"I {self.n_qubits - 1}")
            layer.append("SQRT_ZZ_DAG", [q for edge in edges for q in edge])
            out.append(layer)
        return tuple(out)


def chip(edges: Sequence[tuple[int, int]]) -> Chip:
    """Return a graph with its edges coloured: each goes to the first layer that has room."""
    pairs = sorted({(min(edge), max(edge)) for edge in edges})
    layers: list[list[tuple[int, int]]] = []
    for a, b in pairs:
        free = (k for k in layers if not any({a, b} & set(other) for other in k))
        layer = next(free, None)
        if layer is None:
            layers.append(layer := [])
        layer.append((a, b))
    return Chip(1 + max(map(max, pairs)), tuple(pairs), tuple(map(tuple, layers)))


def experiments(
    data: KickedIsing, layers: int, *, depths: Sequence[int], gains: Sequence[float], error: float
) -> list[Experiment]:
    """Return some of the measured circuits as Clifford experiments, one for each depth and gain.

    Args:
        data: The measured values.
        layers: Gate layers of one step.
        depths: Numbers of steps.
        gains: Noise gains.
        error: Standard error of every value.
    """
    n, out = data.values.shape[1], []
    for depth in depths:
        for gain in gains:
            row = data.values[data.depths == depth][0][:, data.gains == gain].ravel()
            out.append(
                Experiment(tuple(range(layers)) * depth, _every_z(n), row, np.full(n, error), gain)
            )
    return out


def prior_rates(chip: Chip, device: Device) -> Floats:
    """Return median rates of each layer, shape (layers, terms), from the medians of a device.

    Relaxation of every qubit during the layer, twirled; the rest of the gate's infidelity as 15
    equal rates on a driven coupler, a tenth of it on an idle one; two single-qubit pulses.
    """
    p = device.parameters
    gates = {k: [i for i in device.instructions if len(i.qubits) == k] for k in (1, 2)}
    pulses = [i for i in gates[1] if i.name == "sx" and i.infidelity is not None]
    length = float(np.median([i.duration for i in gates[2]]))
    pulse = float(np.median([i.duration for i in pulses]))
    t1, t2 = float(np.median(p.t1)), float(np.median(p.t2))
    known = float(average_gate_fidelity(relaxation_process_fidelity(length, t1, t2) ** 2, 4))
    wrong = float(np.median([i.infidelity for i in gates[2] if i.infidelity is not None]))
    rest = -np.log1p(-max(float(residual_depolarizing(wrong, known, 4)), 0.0)) / 16
    time = length + PULSES * pulse
    flip, dephase = time / (4 * t1), time / (2 * t2) - time / (4 * t1)
    small = PULSES * float(np.median([i.infidelity for i in pulses])) / 2  # r = 2 l for one qubit
    single = np.tile([flip + small, flip + small, dephase + small], (chip.n_qubits, 1))
    out = []
    for edges in chip.layers:
        ones = single.copy()
        ones[[q for edge in edges for q in edge]] += rest
        driven = np.isin(np.arange(len(chip.edges)), [chip.edges.index(e) for e in edges])
        twos = np.repeat(np.where(driven, rest, CROSSTALK * rest), 9)
        out.append(np.concatenate([ones.ravel(), twos]))
    return np.array(out)


def prior(chip: Chip, rates: Floats, design: Design, *, spam: Floats | float) -> RatePrior:
    """Return the hierarchical prior around median rates.

    Args:
        chip: Graph and layers.
        rates: Medians, shape (layers, terms).
        design: Where the SPAM amplitudes belong.
        spam: Standard deviation of the ln(amplitude) of each pair, one or shape (pairs,).
    """
    layers, terms, pairs = *rates.shape, design.spam.shape[1]
    passive = np.array([set(pauli) == {"Z"} for pauli, _ in chip.support], float)
    qubits = np.repeat(np.arange(chip.n_qubits), 3)
    couplers = chip.n_qubits + np.repeat(np.arange(len(chip.edges)), 9)
    place = np.concatenate([qubits, couplers])
    shared = sparse.hstack(
        [
            sparse.csr_array(DEVICE * np.ones((terms, 1))),
            sparse.csr_array(TYPE * passive[:, None]),
            sparse.csr_array((np.full(terms, PLACE), (np.arange(terms), place))),
            TERM * sparse.eye_array(terms),
        ]
    )
    own = LAYER * sparse.eye_array(layers * terms)
    loading = sparse.hstack([sparse.vstack([shared] * layers), own])
    widths = sparse.diags_array(np.broadcast_to(spam, pairs).astype(float))
    amplitudes = sparse.hstack([sparse.csr_array(COMMON_SPAM * np.ones((pairs, 1))), widths])
    return RatePrior(
        rates,
        sparse.csr_array(sparse.hstack([loading, empty(loading.shape[0], pairs + 1)])),
        np.zeros(pairs),
        sparse.csr_array(sparse.hstack([empty(pairs, loading.shape[1]), amplitudes])),
    )


@dataclass(frozen=True, eq=False)
class Learned:
    """The model of the experiment after some of its data.

    Attributes:
        chip: Graph and layers.
        posterior: Rates of the three layers.
        spam_order: Number of each qubit's SPAM pair in the posterior, shape (n,).
        error: Standard error of one measured value, estimated from the data fitted.
        spam: Standard deviation of ln(amplitude) from qubit to qubit, likewise.
    """

    chip: Chip
    posterior: RatePosterior
    spam_order: NDArray[np.int64]
    error: float
    spam: float

    @property
    def amplitudes(self) -> Floats:
        """ln(amplitude) of each qubit, shape (n,)."""
        out: Floats = self.posterior.spam[self.spam_order]
        return out

    def predict(self, depth: int, gain: float = 1.0) -> Floats:
        """Return <Z_q> at theta_h = 0, shape (n,)."""
        n = self.chip.n_qubits
        sequence = tuple(range(len(self.chip.layers))) * depth
        one = Experiment(sequence, _every_z(n), np.ones(n), np.ones(n), gain)
        found = design(self.chip.cliffords, self.chip.support, [one])
        out: Floats = np.exp(self.amplitudes - found.meetings @ self.posterior.rates.ravel())
        return out


def scatter(
    data: KickedIsing, *, depths: Sequence[int]
) -> tuple[float, float, NDArray[np.float64]]:
    """Return the standard error of a value, and spread and values of ln(amplitude) of the qubits.

    Of each qubit's ln <Z> at three depths or more, a straight line is fitted. What is left gives
    the error; the scale of Student's t that makes the offsets most likely, given the error, the
    spread. A few odd qubits therefore do not widen it.
    """
    rows = np.isin(data.depths, depths)
    values = data.values[rows][:, :, data.gains == 1.0][:, :, 0]
    line = np.stack([np.ones(rows.sum()), data.depths[rows]], 1)
    misfit, freedom, offsets, noise = 0.0, 0, [], []
    for v in values.T:
        scaled = line * v[:, None]  # weights: an error of v is an error of ln v times v
        inverse = np.linalg.inv(scaled.T @ scaled)
        best = inverse @ (scaled.T @ (np.log(v) * v))
        misfit += float(((np.log(v) * v - scaled @ best) ** 2).sum())
        freedom += len(v) - 2
        offsets.append(best[0])
        noise.append(inverse[0, 0])
    error, found = float(np.sqrt(misfit / freedom)), np.array(offsets)
    # Student's t is a mixture of normal distributions, whose precision is gamma distributed.
    share = (np.arange(NODES) + 0.5) / NODES
    mixture = stats.gamma.ppf(share, TAIL / 2, scale=2 / TAIL)
    scales = np.geomspace(1e-3, 0.3, NODES)
    variance = scales[:, None] ** 2 / mixture + error**2 * np.array(noise)[:, None, None]
    each = np.exp(-(found[:, None, None] ** 2) / (2 * variance)) / np.sqrt(variance)
    likelihood = np.log(each.mean(2)).sum(0)
    return error, float(scales[likelihood.argmax()]), found


def learn(data: KickedIsing, device: Device, *, depths: Sequence[int] = (4, 8, 16)) -> Learned:
    """Return the model learned from theta_h = 0 at noise gain 1.

    The amplitudes have a prior with heavy tails (Student's t), as a mixture of normal ones: most
    qubits are near 1 and help to tell their decay, a few are far off and are let go.

    Args:
        data: The measured values.
        device: Of the same kind and topology; its medians shape the prior.
        depths: Numbers of steps to learn from.
    """
    graph = chip(device.couplers)
    error, spam, offsets = scatter(data, depths=depths)
    rows = experiments(data, len(graph.layers), depths=depths, gains=[1.0], error=error)
    found = design(graph.cliffords, graph.support, rows)
    qubit = found.spam_paulis.argmax(1)
    rates, amplitudes = prior_rates(graph, device), offsets[qubit]
    for _ in range(MIXTURE_ROUNDS):
        widths = spam * np.sqrt((TAIL + (amplitudes / spam) ** 2) / (TAIL + 1))
        posterior = fit_rates(found, prior(graph, rates, found, spam=widths))
        amplitudes = posterior.spam
    return Learned(graph, posterior, qubit.argsort(), error, spam)


def scores(learned: Learned, data: KickedIsing) -> dict[tuple[int, float], float]:
    """Return the rms over qubits of predicted less measured <Z>, by depth and noise gain."""
    return {
        (depth, gain): float(
            np.sqrt(np.mean((learned.predict(depth, gain) - data.values[i, :, k]) ** 2))
        )
        for k, gain in enumerate(data.gains.tolist())
        for i, depth in enumerate(data.depths.tolist())
    }


def _every_z(n: int) -> NDArray[np.uint8]:
    return np.diag(np.full(n, 3, np.uint8))


def noisy_structure(chip: Chip, steps: int, *, last_rx: bool = False) -> Structure:
    """Return the noisy circuit: in each step RX on all qubits, then every layer with its noise."""
    n, pairs = chip.n_qubits, len(chip.edges)
    turn = [Operation(Kind.UNITARY, (q,), 0) for q in range(n)]
    step = list(turn)
    for k, edges in enumerate(chip.layers):
        step += [Operation(Kind.UNITARY, edge, 0) for edge in edges]
        step += [Operation(Kind.PAULI, (q,), k * n + q, mechanism="gate") for q in range(n)]
        step += [
            Operation(Kind.PAULI, edge, k * pairs + i, mechanism="gate")
            for i, edge in enumerate(chip.edges)
        ]
    operations = step * steps + (turn if last_rx else [])
    return Structure(tuple(operations), n, 0, tuple(range(n)))


def noisy_values(chip: Chip, theta: float, rates: Any) -> Values:
    """Return the numbers of `noisy_structure`, differentiable in the rates (layers, terms)."""
    n, layers = chip.n_qubits, len(chip.layers)
    xp = np if isinstance(rates, np.ndarray) else jnp
    ones = rates[:, : 3 * n].reshape(layers * n, 3)
    twos = rates[:, 3 * n :].reshape(layers * len(chip.edges), 3, 3)
    pauli1 = lindblad_probabilities(xp.pad(ones, ((0, 0), (1, 0))))
    pauli2 = lindblad_probabilities(xp.pad(twos, ((0, 0), (1, 0), (1, 0))).reshape(-1, 16))
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    return replace(
        Values.empty(n),
        unitaries1=np.array([[[c, -1j * s], [-1j * s, c]]]),
        unitaries2=np.diag(np.exp(0.25j * np.pi * np.array([1, -1, -1, 1])))[None],
        pauli1=pauli1,
        pauli2=pauli2,
    )
