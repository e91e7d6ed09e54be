"""A program gives the same table from the twin's probabilities, its shots, and measured counts."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

from qdt_emu import experiments
from qdt_emu.calibrations import Calibration
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.experiments import assignment, benchmarking, relaxation
from qdt_emu.experiments.program import EXACT, from_counts, measure
from qdt_emu.experiments.pulses import entangler
from qdt_emu.twin import Twin


@pytest.fixture(scope="module")
def twin() -> Twin:
    numbers = {"t1": 1e-4, "t2": 8e-5, "zz": 4e4}
    return Twin.load(Calibration.uniform("line", qubits=4, **numbers))


@pytest.fixture(scope="module")
def asked(twin):
    return relaxation.circuits(twin.device, [0, 1, 3], delays=np.linspace(0, 2e-4, 6))


def test_shots_and_probabilities_agree(twin, asked):
    # False-alarm rate 1e-4.
    exact = measure(asked, twin, shots=None, seed=1)
    assert (exact["shots"] == EXACT).all()
    chance = exact["hits"] / exact["shots"]
    for joint in (False, True):
        drawn = measure(asked, twin, shots=5000, seed=2, joint=joint)
        z2 = ((drawn["hits"] / 5000 - chance) ** 2 / (chance * (1 - chance) / 5000)).sum().item()
        assert z2 < chi2.isf(1e-4, chance.size)


def test_measured_counts_make_the_same_table(twin, asked):
    counts = [twin.run(c, shots=500, seed=k) for k, c in enumerate(asked.circuits)]
    table = from_counts(asked, counts, date="2026-01-01")
    plain = from_counts(asked, [c.counts for c in counts])
    assert table["hits"].equals(plain["hits"])
    for q, place in enumerate((0, 1, 3)):
        for m in range(6):
            cell = asked.cells.isel(qubit=q, delay=m)
            bit = int(cell["bits"].item())
            ones = counts[int(cell["circuit"].item())].marginal([bit]).counts.get("1", 0)
            assert table["hits"].sel(qubit=place).isel(delay=m) == ones
    fitted = relaxation.analyse(table)
    assert fitted.attrs["date"] == "2026-01-01"
    assert fitted.attrs["origin"] == "counts"
    assert np.isfinite(fitted["t1"]).all()


def test_the_same_seed_gives_the_same_table(twin, asked):
    first, second, other = (measure(asked, twin, shots=100, seed=s) for s in (5, 5, 6))
    xr.testing.assert_identical(first, second)
    assert not first["hits"].equals(other["hits"])


def test_an_experiment_is_one_job(twin):
    """T1 that differs from job to job is the same in all circuits of one experiment."""
    wanders = twin.what_if(t1_spread=0.5)
    delays = np.linspace(0, 3e-4, 8)
    fits = [experiments.t1(wanders, [0, 1], delays=delays, shots=None, seed=s) for s in (1, 2)]
    for found in fits:
        assert (found["chi2"] < 20).all()  # one exponential, to twelve digits
    assert not np.allclose(fits[0]["t1"], fits[1]["t1"], rtol=0.01)


def test_a_result_says_what_it_is(twin):
    table = experiments.t1(twin, [2], shots=200, seed=3, date="2026-02-03")
    for name in ("device", "calibration_id", "device_id", "seed", "date", "protocol", "software"):
        assert str(table.attrs[name])
    assert table["delay"].attrs["units"] == table["t1"].attrs["units"] == "s"
    for name, variable in table.data_vars.items():
        assert variable.attrs["units"], name


def test_wrong_arguments_are_refused_with_a_remedy(twin, asked):
    with pytest.raises(InputError, match="one for each of 12 circuits"):
        from_counts(asked, [{"00": 1}])
    with pytest.raises(InputError, match="must have 2 bits"):
        from_counts(asked, [{"000": 1}] * len(asked.circuits))
    with pytest.raises(InputError, match="must be a qubit of 'line'"):
        experiments.t1(twin, [4], seed=0)
    with pytest.raises(InputError, match="must be different"):
        experiments.t1(twin, [1, 1], seed=0)
    with pytest.raises(InputError, match="`delays` must be at least 4 rising"):
        experiments.t1(twin, [1], delays=[3e-6, 1e-6, 2e-6, 4e-6], seed=0)
    with pytest.raises(InputError, match="does not decay"):
        experiments.t1(Twin.ideal(2), seed=0)
    with pytest.raises(InputError, match="must be coupled"):
        experiments.zz(twin, [(0, 2)], seed=0)
    with pytest.raises(InputError, match="`depths` must be at least 2"):
        benchmarking.circuits(twin.device, [0], depths=[3], seed=0)
    with pytest.raises(InputError, match="`shots` must be a number"):
        measure(assignment.midcircuit_circuits(twin.device, [0]), twin, shots=None, seed=0)
    single = tuple(i for i in twin.device.instructions if len(i.qubits) == 1)
    with pytest.raises(UnsupportedError, match="Choose another pair"):
        entangler(replace(twin.device, instructions=single), (0, 1))
