"""Parities of recorded bits that have one value without noise: how often they have it with noise.

The figure of merit of codes and of any Clifford circuit with measurements on the way. A product of
bits that is certain without noise is found from samples of the noiseless circuit, measured as a
share of shots, and predicted without sampling: the circuit is read backwards as Pauli strings,
with amplitude damping, coherent errors, resets and asymmetric misreading as they are, not twirled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import stim
from numpy.typing import NDArray

from qdt_emu.circuit.deferred import deferred
from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.noisy import NoisyCircuit
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.stabilizer_text import write
from qdt_emu.errors import InputError
from qdt_emu.kernels.binary import null_space, reduced

SPARE = 64  # samples beyond the number of bits: a false parity has the chance 2^-64
SEARCHES = 200  # random orders of the bits in which short parities are looked for

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parities:
    """Independent products of recorded bits that are certain without noise.

    Attributes:
        bits: Which clbits each takes, shape (k, n_clbits).
        values: Its sum modulo 2 without noise, shape (k,).
    """

    bits: Bits
    values: Bits

    @property
    def weights(self) -> NDArray[np.int64]:
        """Number of bits of each, shape (k,)."""
        return np.asarray(self.bits.sum(1), np.int64)

    def select(self, chosen: NDArray[np.int64] | Bits) -> "Parities":
        """Return some of them."""
        return Parities(self.bits[chosen], self.values[chosen])


@dataclass(frozen=True, eq=False)
class Agreement:
    """How often each parity has its noiseless value.

    Attributes:
        shares: Shape (k,).
        stderr: Standard error of each share, shape (k,); 0 where nothing was sampled.
        bounds: Stated error of each share from cuts, shape (k,); 0 for a measurement.
        mean_stderr: Standard error of the mean share; parities of one shot are correlated.
    """

    shares: Floats
    stderr: Floats
    bounds: Floats
    mean_stderr: float = 0.0

    @property
    def mean(self) -> float:
        """Mean over the parities."""
        return float(self.shares.mean())


def deterministic_parities(circuit: NoisyCircuit, *, seed: int = 0) -> Parities:
    """Return a basis of short parities that are certain when all noise is taken away.

    All such parities form a vector space over GF(2): the words that are constant on samples of the
    noiseless circuit. Of the words that Gaussian elimination meets in 200 random orders of the
    bits, the shortest that are independent make the basis; of equally short ones those whose bits
    were written close to each other come first.

    Args:
        circuit: Clifford when its noise is taken away.
        seed: Of the samples and the orders.

    Raises:
        UnsupportedError: A gate is not Clifford, or depends on the record other than by a parity.

    Error:
        A parity that is not certain is taken for one with a chance below 2^-64. The basis spans
        all of them; that no shorter one exists is likely, not proven.

    Cost:
        200 eliminations of (parities x bits): 2.5 s for 184 parities of 336 bits.
    """
    bare = noiseless(circuit)
    text = write(bare.structure, bare.values, accept_twirl=False)
    written = np.array([c for c, m in enumerate(text.record) if m >= 0], np.int64)
    if not len(written):
        raise InputError("The circuit must measure something, but writes no bit.")
    columns = np.array([text.record[c] for c in written])
    sampler = stim.Circuit("\n".join(text.lines)).compile_sampler(seed=seed)
    samples = sampler.sample(len(written) + SPARE)[:, columns]
    words = _short(null_space(samples[1:] ^ samples[:1]), columns, seed)
    bits = np.zeros((len(words), len(text.record)), bool)
    bits[:, written] = words
    return Parities(bits, (samples[0] & words).sum(1) % 2 == 1)


def measured_agreement(parities: Parities, counts: Mapping[str, int]) -> Agreement:
    """Return how often parities had their noiseless value in counts.

    Args:
        parities: Of the circuit that was counted.
        counts: Bit string (leftmost = highest bit) to number of shots.

    Raises:
        InputError: The strings have another length, or there are no shots.
    """
    n = parities.bits.shape[1]
    if any(len(key) != n for key in counts) or not (shots := sum(counts.values())):
        raise InputError(f"`counts` must have strings of {n} bits and shots, but have not.")
    raw = np.frombuffer("".join(counts).encode(), np.uint8).reshape(-1, n)[:, ::-1] - ord("0")
    weight = np.array(list(counts.values()), float)
    odd = (raw.astype(np.float32) @ parities.bits.T.astype(np.float32)) % 2 == 1
    held = odd == parities.values
    shares = weight @ held / shots
    each = held.mean(1)
    spread = float(weight @ (each - weight @ each / shots) ** 2 / shots)
    return Agreement(
        shares,
        np.sqrt(shares * (1 - shares) / shots),
        np.zeros(len(shares)),
        float(np.sqrt(spread / shots)),
    )


def predicted_agreement(
    circuit: NoisyCircuit, parities: Parities, *, threshold: float = 1e-4
) -> Agreement:
    """Return how often parities have their noiseless value in a noisy circuit, without sampling.

    Args:
        circuit: Of any size, with measurements and resets on the way.
        parities: Of it.
        threshold: Pauli strings with smaller coefficients are dropped.

    Raises:
        UnsupportedError: Bits decide about operations, or what the engine `pauli` refuses.

    Error:
        `bounds` is half of what the engine states of each mean of signs.

    Cost:
        0.3 s for 40 parities of 78 bits of 21 qubits, 4 s for 184 of 336 bits of 63 qubits, on
        two cores; measurements keep the number of strings in the hundreds.
    """
    work = deferred(circuit)
    lost = parities.bits[:, work.place < 0].any(1)
    if lost.any():
        raise InputError("Parities must take bits that the circuit writes, but one does not.")
    codes = np.zeros((len(parities.bits), work.circuit.structure.n_qubits), np.uint8)
    rows, clbits = np.nonzero(parities.bits)
    codes[rows, work.place[clbits]] = 3
    engine = Pauli(threshold=threshold)
    found = engine.estimate(
        *(engine.prepare(work.circuit.structure), work.circuit.values, codes, work.readout),
        shots=1,
        seed=0,
    )
    signs = np.where(parities.values, -1.0, 1.0)
    bounds = np.zeros(len(codes)) if found.bounds is None else found.bounds / 2
    return Agreement((1 + signs * found.values) / 2, np.zeros(len(codes)), bounds)


def _short(words: Bits, times: NDArray[np.int64], seed: int) -> Bits:
    """Return a basis of the same space from short words: the greedy choice of a matroid."""
    rng = np.random.default_rng([seed, 1])
    found: dict[bytes, tuple[int, int, bytes]] = {}

    def note(some: Bits) -> None:
        for word in some:
            at = times[word]
            key = word.tobytes()
            found[key] = (len(at), int(at.max() - at.min()), key)

    note(words)
    for _ in range(SEARCHES):
        order = rng.permutation(words.shape[1])
        turned = np.empty_like(words)
        turned[:, order] = reduced(words[:, order])
        note(turned)
    ranked = np.array([np.frombuffer(key, bool) for *_, key in sorted(found.values())])
    return _independent(ranked, len(words))


def _independent(words: Bits, rank: int) -> Bits:
    """Return the first `rank` words that do not depend on earlier ones."""
    pivots: list[tuple[int, Bits]] = []
    chosen = []
    for word in words:
        left = word.copy()
        for place, other in pivots:
            if left[place]:
                left ^= other
        if left.any():
            pivots.append((int(left.argmax()), left))
            chosen.append(word)
        if len(chosen) == rank:
            break
    return np.array(chosen, bool).reshape(-1, words.shape[1])
