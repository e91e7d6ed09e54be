"""Layer fidelities follow from what gates do alone, idles, ZZ and one fitted factor."""

import math

import numpy as np
import pytest

from qdt_emu.calibrations import Calibration
from qdt_emu.calibrations.read import installed, read_calibration
from qdt_emu.errors import InputError
from qdt_emu.learning.layers import (
    FITTED_ON,
    Benchmark,
    error_per_layered_gate,
    fit_crosstalk,
    losses,
    predict_layers,
)

ETERNAL = 1e9  # s


def invented(**changes):
    numbers = {"qubits": 6, "t1": ETERNAL, "t2": ETERNAL, "infidelity_1q": 0.0, **changes}
    return Calibration.uniform("invented", **numbers)


def measured(terms, factor, name="d"):
    fidelity = math.exp(-terms.total(factor))
    return Benchmark(name, "", "tunable", 6, fidelity, terms)


def test_without_idles_pulses_and_zz_the_gates_multiply():
    terms = losses(invented(infidelity_2q=4e-3), range(6))
    assert terms.gates == pytest.approx(-5 * math.log(1 - 1.25 * 4e-3), rel=1e-12)
    assert terms.single == 0
    assert terms.idle == pytest.approx(0, abs=1e-12)
    assert terms.zz == 0
    eplg = error_per_layered_gate(terms.total(1.0), 6)
    assert eplg == pytest.approx(1.25 * 4e-3, rel=1e-12)


def test_qubits_that_wait_pay_t1_and_t2():
    terms = losses(invented(t1=100e-6, t2=80e-6, duration_2q=500e-9), range(6))
    kept = 1 + (2 * math.expm1(-500 / 80_000) + math.expm1(-500 / 100_000)) / 4
    # The second layer of six qubits drives two pairs; both ends wait.
    assert terms.idle == pytest.approx(-2 * math.log(kept), rel=1e-9)


def test_zz_acts_between_neighbouring_pairs_of_both_layers():
    terms = losses(invented(zz=60e3, duration_2q=500e-9), range(6))
    between = -math.log(math.cos(math.pi * 60e3 * 500e-9 / 2) ** 2)
    assert terms.zz == pytest.approx(5 * between, rel=1e-9)


def test_pulses_never_cost_more_than_the_gate_that_contains_them():
    terms = losses(invented(infidelity_1q=0.1, infidelity_2q=4e-3), range(4))
    gate = -math.log(1 - 1.25 * 4e-3)
    ends = 2 * 2 * 1.5 * 0.1  # of the second layer, which has no gate to compare with
    assert terms.single == pytest.approx(6 * gate + ends, rel=1e-9)


def test_the_direction_of_a_chain_does_not_matter():
    calibration = invented(t1=90e-6, t2=70e-6, zz=50e3, infidelity_1q=3e-4)
    assert losses(calibration, range(6)) == losses(calibration, range(5, -1, -1))


def test_a_planted_factor_is_found():
    terms = losses(invented(t1=90e-6, t2=70e-6, infidelity_1q=3e-4), range(6))
    found = fit_crosstalk([measured(terms, 1.7, "a"), measured(terms, 1.7, "b")])
    assert found.factor == pytest.approx(1.7, rel=2e-3)  # the grid's step
    assert found.spread < 2e-3
    assert found.devices == ("a", "b")


def test_a_chain_without_gate_errors_is_not_predicted():
    calibration = invented().with_values("gates_2q/infidelity", np.nan)
    assert losses(calibration, range(6)) is None
    with pytest.raises(InputError, match="at least 1 measured"):
        fit_crosstalk([])


def test_real_devices_outside_of_the_fit_are_predicted_better_than_by_the_product():
    names = installed()
    if not names:
        pytest.skip("qiskit-ibm-runtime has the snapshots; it is not installed")
    synthetic = ("nighthawk", "fractional")  # 0.95^N, and a copy of lima
    chosen = [n for n in names if n not in synthetic and b'"lf_' in names[n].read_bytes()]
    found = predict_layers({n: read_calibration(str(names[n])) for n in chosen})
    assert {p.benchmark.device for p in found if p.fitted} == set(FITTED_ON)
    tested = [p for p in found if not p.fitted and np.isfinite(p.eplg)]
    assert len(tested) >= 10
    assert np.median([abs(p.log_ratio) for p in tested]) <= 0.20
    product = [abs(math.log(p.product / p.benchmark.eplg)) for p in tested]
    assert np.median(product) > 0.4
