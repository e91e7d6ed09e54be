"""Layer fidelity: what gates do when they run side by side, from what each does alone.

A layer fidelity is measured on a chain of qubits: every second pair is driven at once, then the
others. Published gate errors were measured with fewer neighbours active, so that their product is
too good. Here the layer also pays for its idle qubits, for its single-qubit gates and for the ZZ
coupling between neighbouring pairs, and one factor per kind of coupler scales the error of gates.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import Calibration
from qdt_emu.errors import InputError
from qdt_emu.noise.coherent import zz_process_fidelity
from qdt_emu.noise.infidelity import process_infidelity
from qdt_emu.noise.relaxation import relaxation_process_fidelity

Floats = NDArray[np.float64]
Pair = tuple[int, int]

FITTED_ON = (
    *("ibm_brisbane", "ibm_fez", "ibm_kawasaki", "ibm_kyiv", "ibm_marrakesh", "ibm_quebec"),
    *("ibm_sherbrooke", "ibm_torino"),
)
"""Devices whose measured layer fidelities fix the factors; all others test them."""
PULSES = 2  # sx of a random single-qubit Clifford
FIXED_COUPLERS = frozenset({"ecr", "cx"})
SMALLEST_FIDELITY = 1e-3  # of a gate; a published error of 1 means "not measured"
FACTORS = np.geomspace(0.05, 20, 4001)


@dataclass(frozen=True)
class Losses:
    """What a chain loses in both of its layers: terms of -ln(layer fidelity).

    Attributes:
        gates: Of the two-qubit gates, as published.
        single: Of the single-qubit gates of the benchmark.
        idle: Of qubits that wait.
        zz: Of the coupling between neighbouring pairs.
        imputed: Gates without a usable published error; they got the median of the device.
    """

    gates: float
    single: float
    idle: float
    zz: float
    imputed: int = 0

    def total(self, crosstalk: float) -> float:
        """Return -ln(layer fidelity) when the error of gates is `crosstalk` times as published."""
        return crosstalk * self.gates + self.single + self.idle + self.zz


@dataclass(frozen=True)
class Benchmark:
    """A measured layer fidelity and what the calibration says about its chain.

    Attributes:
        device: Name.
        family: Processor family as the vendor names it.
        couplers: 'fixed' or 'tunable'.
        qubits: Number of qubits of the chain.
        layer_fidelity: Measured process fidelity of both layers.
        losses: Predicted terms; None where the calibration has no gate errors on the chain.
    """

    device: str
    family: str
    couplers: str
    qubits: int
    layer_fidelity: float
    losses: Losses | None

    @property
    def eplg(self) -> float:
        """Measured error per layered gate."""
        return error_per_layered_gate(-math.log(self.layer_fidelity), self.qubits)


@dataclass(frozen=True)
class Crosstalk:
    """A fitted factor on published gate errors.

    Attributes:
        factor: By which the error of a two-qubit gate grows in a full layer.
        spread: Standard deviation of ln(EPLG predicted / measured) over the fitted devices, with
            one degree of freedom taken by the fit.
        devices: Names it was fitted on.
    """

    factor: float
    spread: float
    devices: tuple[str, ...]


@dataclass(frozen=True)
class LayerPrediction:
    """Measured against predicted error per layered gate.

    Attributes:
        benchmark: What was measured.
        eplg: Predicted; NaN where the calibration does not say enough.
        low: Lower end of the 68 % band.
        high: Upper end of the 68 % band.
        product: Predicted by the product of published gate errors alone.
        fitted: Whether the device took part in the fit.
    """

    benchmark: Benchmark
    eplg: float
    low: float
    high: float
    product: float
    fitted: bool

    @property
    def log_ratio(self) -> float:
        """ln(predicted / measured)."""
        return math.log(self.eplg / self.benchmark.eplg)


def error_per_layered_gate(loss: float, qubits: int) -> float:
    """Return EPLG = 1 - LF^(1 / (qubits - 1)) from loss = -ln(LF).

    Source:
        McKay et al., arXiv:2311.05933, equation for EPLG: a process infidelity per gate, 5/4 of
        the average gate infidelity.
    """
    return -math.expm1(-loss / (qubits - 1))


def benchmark(calibration: Calibration) -> Benchmark | None:
    """Return the longest measured chain of a calibration, or None where there is none."""
    if not calibration.has("benchmarks/layer_fidelity"):
        return None
    fidelity = calibration.values("benchmarks/layer_fidelity")
    measured = np.flatnonzero(np.isfinite(fidelity) & (fidelity > 0))
    if not len(measured):
        return None
    group = calibration["benchmarks"]
    row = measured[np.argmax(group["chain_length"].values[measured])]
    length = int(group["chain_length"].values[row])
    chain = [int(q) for q in group["chain"].values[row, :length]]
    if min(chain) < 0:
        return None
    attrs = calibration.tree.attrs
    fixed = FIXED_COUPLERS & set(calibration.native_gates)
    return Benchmark(
        calibration.name,
        str(attrs.get("processor_family", "")),
        "fixed" if fixed else "tunable",
        length,
        float(fidelity[row]),
        losses(calibration, chain),
    )


def losses(calibration: Calibration, chain: Sequence[int]) -> Losses | None:
    """Return what the two layers of a chain lose, by cause; None without any gate error on it.

    Each pair pays its published process infidelity. All pairs of a layer wait for its longest
    gate, and the qubits at the ends for the whole layer; waiting costs T1 and T2. Every qubit does
    a random single-qubit Clifford (two sx pulses), whose cost is bounded by that of its own gate,
    because two-qubit benchmarking contains the same pulses. Between neighbouring pairs the
    published ZZ acts during the whole layer: simultaneous echoes do not refocus it between two
    controls or two targets, and on the devices of the fit what remains of it between a control and
    a target is better taken in full than as zero.

    Error:
        Third-order in the infidelities: losses of one layer add.

    Source:
        Protocol: McKay et al., arXiv:2311.05933, section II.
    """
    gates = _Gates(calibration)
    pairs = list(pairwise(chain))
    if not any(p in gates.infidelity for p in pairs):
        return None
    t1, t2 = _coherence(calibration)
    single = PULSES * process_infidelity(_sx(calibration), 2)
    zz = _zz(calibration)
    sums = dict.fromkeys(("gates", "single", "idle", "zz"), 0.0)
    imputed = 0
    for parity in (0, 1):
        driven, apart = pairs[parity::2], pairs[1 - parity :: 2]
        if not driven:
            continue
        longest = max(gates.duration.get(p, gates.median_duration) for p in driven)
        waiting = dict.fromkeys(chain, longest)
        bound = dict.fromkeys(chain, np.inf)
        for pair in driven:
            imputed += pair not in gates.infidelity
            infidelity = gates.infidelity.get(pair, gates.median_infidelity)
            fidelity = max(1 - float(process_infidelity(infidelity, 4)), SMALLEST_FIDELITY)
            sums["gates"] -= math.log(fidelity)
            for q in pair:
                waiting[q] = longest - gates.duration.get(pair, gates.median_duration)
                bound[q] = -math.log(fidelity)
        for q in chain:
            kept = float(relaxation_process_fidelity(waiting[q], t1[q], t2[q]))
            sums["idle"] -= math.log(kept)
            sums["single"] += min(float(single[q]), bound[q])
        for pair in apart:
            rate = zz.get(frozenset(pair), 0.0)
            sums["zz"] -= math.log(float(zz_process_fidelity(rate, longest, "dressed")))
    return Losses(**sums, imputed=imputed)


def fit_crosstalk(benchmarks: Iterable[Benchmark]) -> Crosstalk:
    """Return the factor with the least squares of ln(EPLG predicted / measured).

    Raises:
        InputError: No benchmark, or none whose losses are known.
    """
    known = [(b, b.losses) for b in benchmarks if b.losses is not None]
    if not known:
        raise InputError("A crosstalk factor needs at least 1 measured layer fidelity, but has 0.")
    residuals = np.array(
        [[_log_ratio(b, terms, f) for f in FACTORS] for b, terms in known]
    )  # shape (devices, factors)
    best = int(np.argmin((residuals**2).sum(0)))
    spread = float(np.sqrt((residuals[:, best] ** 2).sum() / max(1, len(known) - 1)))
    return Crosstalk(float(FACTORS[best]), spread, tuple(b.device for b, _ in known))


def predict_layers(
    calibrations: Mapping[str, Calibration], *, fitted_on: Sequence[str] = FITTED_ON
) -> tuple[LayerPrediction, ...]:
    """Return measured against predicted layer fidelities of every calibration that has one.

    One factor per kind of coupler is fitted on `fitted_on`; all other devices are predicted.

    Raises:
        InputError: A kind of coupler has no device to fit on.
    """
    found = [b for c in calibrations.values() if (b := benchmark(c)) is not None]
    factors = {
        kind: fit_crosstalk(b for b in found if b.couplers == kind and b.device in fitted_on)
        for kind in dict.fromkeys(b.couplers for b in found)
    }
    return tuple(_predicted(b, factors[b.couplers], b.device in fitted_on) for b in found)


def _predicted(measured: Benchmark, crosstalk: Crosstalk, fitted: bool) -> LayerPrediction:
    if measured.losses is None:
        nan = float("nan")
        return LayerPrediction(measured, nan, nan, nan, nan, fitted)
    eplg = error_per_layered_gate(measured.losses.total(crosstalk.factor), measured.qubits)
    band = math.exp(crosstalk.spread)
    product = error_per_layered_gate(measured.losses.gates, measured.qubits)
    return LayerPrediction(measured, eplg, eplg / band, eplg * band, product, fitted)


def _log_ratio(measured: Benchmark, terms: Losses, factor: float) -> float:
    return math.log(error_per_layered_gate(terms.total(factor), measured.qubits) / measured.eplg)


class _Gates:
    """Infidelity and duration of each coupler's gate, in both orders."""

    def __init__(self, calibration: Calibration) -> None:
        names = [str(x) for x in calibration["gates_2q"]["gate_2q"].values]
        kind = next(k for k, name in enumerate(names) if name != "rzz")
        infidelity = calibration.values("gates_2q/infidelity")[kind]
        duration = calibration.values("gates_2q/duration")[kind]
        self.infidelity: dict[Pair, float] = {}
        self.duration: dict[Pair, float] = {}
        for (a, b), error, time in zip(calibration.edges, infidelity, duration, strict=True):
            for pair in ((a, b), (b, a)):
                if np.isfinite(error) and error < 1:
                    self.infidelity.setdefault(pair, float(error))
                if np.isfinite(time):
                    self.duration.setdefault(pair, float(time))

    @cached_property
    def median_infidelity(self) -> float:
        return float(np.median(list(self.infidelity.values())))

    @cached_property
    def median_duration(self) -> float:
        return float(np.median(list(self.duration.values())))


def _coherence(calibration: Calibration) -> tuple[Floats, Floats]:
    t1 = _filled(calibration.values("qubits/t1"))
    t2 = _filled(calibration.values("qubits/t2_echo"))
    return t1, np.minimum(t2, 2 * t1)


def _sx(calibration: Calibration) -> Floats:
    names = [str(x) for x in calibration["gates_1q"]["gate_1q"].values]
    return _filled(calibration.values("gates_1q/infidelity")[names.index("sx")])


def _zz(calibration: Calibration) -> dict[frozenset[int], float]:
    """Return the published ZZ rate of each pair, the device's median where one is missing."""
    if not calibration.has("couplings/zz"):
        return {}
    zz = np.abs(calibration.values("couplings/zz"))
    if not np.isfinite(zz).any():
        return {}
    group = calibration["couplings"]
    ends = zip(group["pair_q0"].values, group["pair_q1"].values, strict=True)
    return {
        frozenset((int(a), int(b))): float(z) for (a, b), z in zip(ends, _filled(zz), strict=True)
    }


def _filled(values: Floats) -> Floats:
    """Return the values with the median where one is missing."""
    return np.where(np.isfinite(values), values, np.nanmedian(values))
