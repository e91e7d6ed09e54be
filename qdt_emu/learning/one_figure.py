"""One factor fitted to one measured figure: the least a device can be taught."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from types import MappingProxyType

import numpy as np

from qdt_emu.device import Device
from qdt_emu.device.what_if import gate_infidelity
from qdt_emu.errors import InputError

MOST = 50  # predictions; it ends earlier where the figure is met


@dataclass(frozen=True)
class Fitted:
    """A factor that makes a prediction equal to a measurement.

    Attributes:
        value: Of the factor.
        stderr: Its standard error, from that of the measured figure and of the prediction.
        figure: The prediction there.
        slope: Change of the figure with the factor there.
        evaluations: Predictions made.
        bracketed: False if no factor of the range reaches the figure; `value` is then the end of
            the range that comes nearest, and `stderr` is inf.
    """

    value: float
    stderr: float
    figure: float
    slope: float
    evaluations: int
    bracketed: bool


def fit_one_figure(
    predict: Callable[[float], float],
    measured: float,
    stderr: float,
    *,
    bounds: tuple[float, float],
    predicted_stderr: float = 0.0,
) -> Fitted:
    """Return the factor at which a prediction equals one measured figure.

    The secant inside a bracket (regula falsi, Illinois variant) needs no derivative and cannot
    leave the range. It ends when the prediction is within a tenth of the measurement's standard
    error.

    Args:
        predict: From the factor to the figure, monotone in the range. A prediction that samples
            must use the same seed at each call (common random numbers): differences between
            factors are then far less noisy than the figure itself.
        measured: The figure.
        stderr: Its standard error, above 0.
        bounds: Smallest and largest factor.
        predicted_stderr: Standard error of one prediction; its share of the fitted factor's error.

    Raises:
        InputError: A range that is empty, a figure or error that is not finite or not positive.

    Error:
        `stderr` is first order: the standard error of figure and prediction over the slope.

    Source:
        Dowell and Jarratt, BIT 11, 168 (1971), for the Illinois variant.

    Examples:
        >>> found = fit_one_figure(lambda x: 1 - x**2, 0.75, 1e-3, bounds=(0.0, 1.0))
        >>> abs(found.value - 0.5) < 1e-3, 0.9e-3 < found.stderr < 1.1e-3
        (True, True)
    """
    low, high = (float(b) for b in bounds)
    if not low < high or not isfinite(measured) or not 0 < stderr < np.inf:
        raise InputError(
            f"A fit of one figure must have a range, a figure and its standard error above 0, but "
            f"has {bounds}, {measured!r} +- {stderr!r}."
        )
    tried = [(x, predict(x) - measured) for x in (low, high)]
    (_, down), (_, up) = tried
    bracketed = down * up <= 0
    last = 0
    while bracketed and len(tried) < MOST and min(abs(g) for _, g in tried) > stderr / 10:
        middle = (low * up - high * down) / (up - down)
        gap = predict(middle) - measured
        tried.append((middle, gap))
        # The end that stays twice in a row counts half, or it would never move.
        if gap * up > 0:
            high, up = middle, gap
            down = down / 2 if last == 1 else down
            last = 1
        else:
            low, down = middle, gap
            up = up / 2 if last == -1 else up
            last = -1
    (value, gap), (other, far) = sorted(tried, key=lambda t: abs(t[1]))[:2]
    slope = (far - gap) / (other - value)
    noise = float(np.hypot(stderr, predicted_stderr))
    error = noise / abs(slope) if bracketed and slope else np.inf
    return Fitted(value, error, gap + measured, slope, len(tried), bracketed)


def scaled_gates(device: Device, factor: float) -> Device:
    """Return the device with `factor` times the infidelity of every two-qubit gate.

    What is added is depolarising, d / (d - 1) times the added infidelity, and at most what makes
    the gate forget its input; what is taken away leaves relaxation as it is.

    Error:
        Second order in the infidelity of a gate.
    """
    p = device.parameters
    two = np.array([len(i.qubits) == 2 for i in device.instructions])
    old = np.asarray(p.depolarizing, float)
    added = np.where(two, (factor - 1) * gate_infidelity(device) * 4 / 3, 0.0)
    new = np.where(two, np.clip(old + added * (1 - old), 0.0, np.maximum(old, 1.0)), old)
    return device.with_parameters(replace(p, depolarizing=new))


def scaled_readout(device: Device, factor: float) -> Device:
    """Return the device as if every bit were misread and every reset failed `factor` times.

    The contrast 1 - P(1|0) - P(0|1) of each qubit is taken to that power, and so is that of its
    reset; the ratio of the two errors stays.
    """
    p = device.parameters
    wrong = np.asarray(p.assignment, float)
    total = wrong.sum(1, keepdims=True)
    grown = 1 - np.maximum(1 - total, 0.0) ** factor
    share = np.divide(wrong, total, out=np.zeros_like(wrong), where=total > 0)
    reset = np.asarray(p.reset_excitation, float)
    failed = (1 - np.maximum(1 - 2 * reset, 0.0) ** factor) / 2
    return device.with_parameters(
        replace(p, assignment=share * grown, reset_excitation=np.where(reset > 0.5, reset, failed))
    )


def failing_resets(device: Device, probability: float) -> Device:
    """Return the device whose resets fail with a further probability.

    No vendor publishes how often a reset fails that follows a measurement at once: the resonator
    is not empty yet when the qubit is read again, and what is read wrong is flipped.
    """
    old = np.asarray(device.parameters.reset_excitation, float)
    new = old + probability * (1 - 2 * old)
    return device.with_parameters(replace(device.parameters, reset_excitation=new))


def scaled_relaxation(device: Device, factor: float) -> Device:
    """Return the device with `factor` times the rates of relaxation and dephasing.

    Relaxation during gates grows too, on top of their published infidelity.
    """
    p = device.parameters
    return device.with_parameters(
        replace(p, t1=np.asarray(p.t1) / factor, t2=np.asarray(p.t2) / factor)
    )


FACTORS: Mapping[str, Callable[[Device, float], Device]] = MappingProxyType(
    {"gates": scaled_gates, "readout": scaled_readout, "relaxation": scaled_relaxation}
)
"""Factors by name; each is 1 for the device as it is."""
