"""Every experiment can be drawn and kept, with few places and with many."""

import numpy as np
import pytest
import xarray as xr

from qdt_emu import experiments
from qdt_emu.calibrations import Calibration
from qdt_emu.errors import InputError
from qdt_emu.twin import Twin

DELAYS = np.linspace(0, 1e-4, 21)


@pytest.fixture(scope="module")
def tables() -> dict[str, xr.Dataset]:
    uniform = Calibration.uniform("line", qubits=8, t1=1e-4, t2=8e-5, zz=4e4)
    twin = Twin.load(uniform)
    few = {"shots": 300, "seed": 1}
    return {
        "t1": experiments.t1(twin, [0, 3], delays=DELAYS, **few),
        "t1 of many": experiments.t1(twin, delays=DELAYS[::4], **few),
        "t2": experiments.t2(twin, [0], delays=DELAYS[::4], **few),
        "ramsey": experiments.ramsey(twin, [1], delays=DELAYS, detuning=5e4, **few),
        "zz": experiments.zz(twin, [(0, 1)], delays=DELAYS, **few),
        "readout": experiments.readout(twin, [0, 1, 2], **few),
        "midcircuit": experiments.midcircuit_readout(twin, [0], **few),
        "rb": experiments.rb(twin, [0], depths=(1, 20), samples=2, **few),
        "rb of pairs": experiments.rb(
            twin, [(0, 1)], depths=(1, 4), samples=4, interleaved=True, **few
        ),
        "layers": experiments.layer_fidelity(twin, range(3), depths=(1, 6), samples=4, **few),
        "eigenvalues": experiments.aces(twin, range(2), depths=(1, 3), samples=8, **few),
    }


def test_every_experiment_can_be_drawn(tables):
    for name, table in tables.items():
        figure = experiments.plot(table)
        figure.canvas.draw()
        assert any(ax.lines or ax.containers for ax in figure.axes), name
    with pytest.raises(InputError, match="but the table is 'other'"):
        experiments.plot(xr.Dataset(attrs={"experiment": "other"}))


def test_every_experiment_can_be_kept(tables, tmp_path):
    for name, table in tables.items():
        path = tmp_path / "table.nc"
        experiments.save(table, path)
        again = experiments.load(path)
        assert again.equals(table), name
        assert again.attrs == table.attrs, name
        with xr.open_dataset(path, engine="h5netcdf") as other:  # anybody's xarray reads it
            assert other.equals(table), name
        experiments.plot(again)
