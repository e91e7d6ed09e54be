"""Predictions of the kicked Ising experiment at angles where it was not looked at, with bands.

Unmitigated expectation values at noise gain 1, without readout error. Every band is the sum of
squares of what is known about its parts: the learned rates and amplitudes, what the prior leaves
open, drift of the device, the misfit of held-out depths, and the truncation of the engine.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from qdt_emu.calibrations import read_calibration
from qdt_emu.device import build
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.pauli_surrogate import Surrogate, surrogate
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.learning.kicked_ising import Learned, learn, noisy_structure, noisy_values, scores
from qdt_emu.learning.pauli_design import Bits, Floats
from qdt_emu.result import style
from qdt_emu.validation.public_data import KickedIsing, kicked_ising

ANGLES = np.arange(17) * np.pi / 32
DRIFT, COMMON_DRIFT = 0.3, 0.1
"""Standard deviations of ln(rate) from day to day, of one qubit or coupler and of all: the usual
spread of ln(T1) on superconducting processors."""
COVERED = 2.0  # standard deviations that the stated error of the engine stands for
Z90 = 1.6449
GRADIENT_THRESHOLDS = (1e-3, 4e-3, 1.6e-2)  # the first whose graph fits


@dataclass(frozen=True)
class Observable:
    """What is predicted.

    Attributes:
        paulis: Pauli strings such as 'X13 Z8'; their mean is the observable.
        steps: Trotter steps.
        last_rx: Whether another RX layer follows.
        threshold: Coefficients below it are dropped.
        tolerance: Stated error at which the threshold is low enough.
    """

    paulis: tuple[str, ...]
    steps: int
    last_rx: bool = False
    threshold: float = 3e-5
    tolerance: float = 3e-3

    def codes(self, n: int) -> Bits:
        """Return the Pauli codes, shape (m, n)."""
        out = np.zeros((len(self.paulis), n), np.uint8)
        for row, text in zip(out, self.paulis, strict=True):
            for item in text.split():
                row[int(item[1:])] = "IXYZ".index(item[0])
        return out


W17 = "X37 X41 X52 X56 X57 X58 X62 X79 Y75 Z38 Z40 Z42 Z63 Z72 Z80 Z90 Z91"
W17X = "X37 X41 X52 X56 X57 X58 X62 X79 Y38 Y40 Y42 Y63 Y72 Y80 Y90 Y91 Z75"
OBSERVABLES: Mapping[str, Observable] = MappingProxyType(
    {
        "M_z": Observable(tuple(f"Z{q}" for q in range(127)), 5, False, 3e-4, 3e-2),
        "W10": Observable(("X13 X29 X31 Y9 Y30 Z8 Z12 Z17 Z28 Z32",), 5),
        "W17": Observable((W17,), 5, tolerance=6e-3),
        "W17x": Observable((W17X,), 5, last_rx=True, tolerance=6e-3),
        "Z62_9": Observable(("Z62",), 9),
        "Z62_20": Observable(("Z62",), 20),
    }
)


@dataclass(frozen=True)
class Prediction:
    """One predicted expectation value.

    Attributes:
        observable: Key of `OBSERVABLES`.
        theta_h: Angle in rad.
        value: Prediction.
        low: Lower end of the 90 % band.
        high: Upper end.
        rates: Standard deviation from the rates after learning, prior width included.
        amplitude: From the amplitudes that are fitted at theta_h = 0.
        drift: From changes of the device since.
        discrepancy: From the misfit at held-out depths.
        truncation: From the strings that the engine dropped.
    """

    observable: str
    theta_h: float
    value: float
    low: float
    high: float
    rates: float
    amplitude: float
    drift: float
    discrepancy: float
    truncation: float


def discrepancy(
    learned: Learned, data: KickedIsing, depths: Sequence[int] = (12, 20)
) -> tuple[float, float]:
    """Return the relative error of one qubit's decay at held-out depths, and the one of all.

    Measured minus predicted ln <Z> over the predicted one; what the standard error of the data
    explains is taken off the first.
    """
    ratio, weight = [], []
    for depth in depths:
        predicted = learned.predict(depth)
        measured = data.values[data.depths == depth][0][:, data.gains == 1.0].ravel()
        decay = -np.log(predicted)
        ratio.append(np.log(np.maximum(measured, learned.error) / predicted) / -decay)
        weight.append((decay * predicted / learned.error) ** 2)
    r, w = np.concatenate(ratio), np.concatenate(weight)
    common = float(np.average(r, weights=w))
    single = float(np.average((r - common) ** 2, weights=w) - len(r) / w.sum())
    return float(np.sqrt(max(single, 0.0))), abs(common)


class Model:
    """One observable at one angle: its value and its slopes in ln(rate)."""

    def __init__(self, learned: Learned, name: str, theta: float) -> None:
        item, chip = OBSERVABLES[name], learned.chip
        self.learned, self.theta, self.item = learned, theta, item
        self.structure = noisy_structure(chip, item.steps, last_rx=item.last_rx)
        self.codes = item.codes(chip.n_qubits)
        self.perfect = np.tile([1.0, 0.0], (chip.n_qubits, 1))
        spam = learned.amplitudes
        self.amplitude = np.exp([spam[row > 0].sum() for row in self.codes])
        self.rates = learned.posterior.rates
        self.graph = self._record()
        # Not compiled as a whole: that takes longer than the few evaluations of a band.
        self.evaluate = jax.value_and_grad(self._mean)

    def _record(self) -> Surrogate:
        values = noisy_values(self.learned.chip, self.theta, self.rates)
        for threshold in GRADIENT_THRESHOLDS[:-1]:
            with suppress(UnsupportedError):
                return surrogate(self.structure, values, self.codes, self.perfect, threshold)
        return surrogate(self.structure, values, self.codes, self.perfect, GRADIENT_THRESHOLDS[-1])

    def _mean(self, log_rates: Any) -> Any:
        values = noisy_values(self.learned.chip, self.theta, jnp.exp(log_rates))
        return jnp.mean(self.graph.values(values) * self.amplitude)

    def slopes(self) -> Floats:
        """Return the derivative of the observable by ln(rate), shape (layers, terms)."""
        with jax.enable_x64(True):
            return np.asarray(self.evaluate(np.log(self.rates))[1])

    def value(self) -> tuple[float, float, Floats]:
        """Return the value at the mode, its stated error, and the value of each string."""
        engine = Pauli(threshold=self.item.threshold, tolerance=self.item.tolerance)
        found = engine.estimate(
            *(
                engine.prepare(self.structure),
                noisy_values(self.learned.chip, self.theta, self.rates),
            ),
            *(self.codes, self.perfect),
            shots=1,
            seed=0,
        )
        bounds = np.zeros(len(self.codes)) if found.bounds is None else found.bounds
        each = found.values * self.amplitude
        return float(each.mean()), float((bounds * self.amplitude).mean()), each


def predict(learned: Learned, misfit: tuple[float, float], name: str, theta: float) -> Prediction:
    """Return one prediction with its band.

    Args:
        learned: The model.
        misfit: What `discrepancy` found.
        name: Key of `OBSERVABLES`.
        theta: Angle in rad.

    Error:
        The band is linear in ln(rate) and Gaussian.

    Cost:
        Seconds, for `M_z` near a minute.
    """
    if name not in OBSERVABLES:
        raise InputError(f"Observable must be one of {list(OBSERVABLES)}, but is {name!r}.")
    model = Model(learned, name, theta)
    value, bound, each = model.value()
    slopes = model.slopes()
    spread = learned.posterior.spam_std[learned.spam_order]
    touched = (model.codes > 0) * (each / len(each))[:, None]
    parts = {
        "rates": learned.posterior.deviation(slopes),
        "amplitude": float(np.sqrt(((touched.sum(0) * spread) ** 2).sum())),
        "drift": _shared(slopes, learned, DRIFT, COMMON_DRIFT),
        "discrepancy": _shared(slopes, learned, *misfit),
        "truncation": bound / COVERED,
    }
    total = Z90 * float(np.sqrt(sum(part**2 for part in parts.values())))
    return Prediction(name, float(theta), value, value - total, value + total, **parts)


def predictions(
    learned: Learned,
    data: KickedIsing,
    *,
    names: Sequence[str] = tuple(OBSERVABLES),
    angles: Sequence[float] = tuple(ANGLES.tolist()),
    progress: Callable[[Prediction], None] | None = None,
) -> tuple[Prediction, ...]:
    """Return all predictions, observable by observable.

    Args:
        learned: The model.
        data: Measurements at theta_h = 0, whose held-out depths give the misfit.
        names: Keys of `OBSERVABLES`.
        angles: theta_h in rad.
        progress: Called after each.

    Cost:
        A quarter of an hour for everything on two cores.
    """
    misfit, out = discrepancy(learned, data), []
    for name in names:
        for theta in angles:
            out.append(predict(learned, misfit, name, theta))
            if progress is not None:
                progress(out[-1])
    return tuple(out)


def _shared(slopes: Floats, learned: Learned, single: float, common: float) -> float:
    """Return the deviation when all terms of a qubit or coupler change together, and all of all."""
    n = learned.chip.n_qubits
    by_term = slopes.sum(0)
    place = np.concatenate(
        [by_term[: 3 * n].reshape(-1, 3).sum(1), by_term[3 * n :].reshape(-1, 9).sum(1)]
    )
    return float(np.sqrt((single * place) @ (single * place) + (common * place.sum()) ** 2))


def freeze(predictions: Sequence[Prediction], path: Path, *, about: Mapping[str, Any]) -> str:
    """Write predictions to a JSON file and return the SHA-256 of the predictions in it.

    Args:
        predictions: In any order.
        path: The file.
        about: What they were made from, and when they were frozen.
    """
    rows = [
        {k: v if isinstance(v, str) else float(f"{v:.6g}") for k, v in asdict(p).items()}
        for p in predictions
    ]
    text = json.dumps(rows, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    head = json.dumps({**about, "sha256_of_predictions": digest}, indent=1)[1:-2]
    path.write_text(f'{{{head},\n "predictions": [\n  {lines}\n ]\n}}\n')
    return digest


def frozen(path: Path) -> tuple[Prediction, ...]:
    """Return the predictions in a file of `freeze`.

    Raises:
        InputError: The predictions are not those that were frozen.
    """
    data = json.loads(path.read_text())
    text = json.dumps(data["predictions"], separators=(",", ":"))
    if hashlib.sha256(text.encode()).hexdigest() != data["sha256_of_predictions"]:
        raise InputError(f"'{path}' must hold the predictions that were frozen, but was changed.")
    return tuple(Prediction(**row) for row in data["predictions"])


def plot(predictions: Sequence[Prediction], ideal: Mapping[str, tuple[Floats, Floats]]) -> Figure:
    """Draw the bands of each observable over the angle.

    Args:
        predictions: What is predicted.
        ideal: Angles and noiseless values by observable, where they are known.
    """
    names = list(dict.fromkeys(p.observable for p in predictions))
    figure = style.new_figure(10.5, 3.1 * -(-len(names) // 3))
    for ax, name in zip(figure.subplots(-(-len(names) // 3), 3).flat, names, strict=False):
        rows = sorted((p for p in predictions if p.observable == name), key=lambda p: p.theta_h)
        theta = [p.theta_h for p in rows]
        ax.axhline(0.0, color=style.FAINT, lw=0.8)
        if name in ideal:
            ax.plot(*ideal[name], color=style.MUTED, lw=1.0, ls="--", label="noiseless")
        low, high = ([getattr(p, end) for p in rows] for end in ("low", "high"))
        ax.fill_between(theta, low, high, color=style.SKY, alpha=0.5, lw=0, label="90 % band")
        values = [p.value for p in rows]
        ax.plot(theta, values, color=style.BLUE, marker="o", ms=3, lw=1.4, label="prediction")
        ax.set_xlabel("theta_h (rad)", color=style.INK)
        style.clean(ax)
        style.title(ax, name)
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Learn from theta_h = 0, print how well held-out data are met, write the predictions."""
    parser = argparse.ArgumentParser(description="Predict the 127-qubit kicked Ising experiment.")
    parser.add_argument("path", type=Path, help="JSON file to write; a picture goes beside it")
    parser.add_argument("--device", default="ibm_kyiv", help="calibration that shapes the prior")
    given = parser.parse_args()
    data, device = kicked_ising(), build(read_calibration(given.device))
    learned = learn(data, device)
    found = scores(learned, data)
    for (depth, gain), rms in found.items():
        print(f"theta_h = 0, depth {depth:2d}, gain {gain}: rms {rms:.4f}")  # noqa: T201
    ready = predictions(learned, data, progress=lambda p: print(p, flush=True))  # noqa: T201
    about = {
        "what": "unmitigated expectation values, gain 1, twirled, without readout error",
        "learned_from": "theta_h = 0, gain 1, depths 4, 8 and 16 of ibm_kicked_ising_2023",
        "prior": f"medians of {device.name}, {device.snapshot_time}",
        "band": "90 %: rates, amplitude, drift, discrepancy and truncation in squares",
        "theta_h_0_rms": {f"depth {d}, gain {g:g}": round(r, 5) for (d, g), r in found.items()},
        "prediction frozen at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    digest = freeze(ready, given.path, about=about)
    ideal = {name: (data.angles, values) for name, values in data.exact.items()}
    plot(ready, ideal).savefig(given.path.with_suffix(".png"))
    print(f"'{given.path}': {len(ready)} predictions, SHA-256 {digest}")  # noqa: T201


if __name__ == "__main__":
    main()
