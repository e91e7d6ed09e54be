"""The engine 'density_network': its contract."""

import numpy as np
import pytest

from qdt_emu.engines.density import Density
from qdt_emu.engines.density_network import DensityNetwork
from qdt_emu.engines.run import named
from qdt_emu.errors import InputError, UnsupportedError
from tests.engines.random_circuits import case


@pytest.mark.parametrize("picture", ["heisenberg", "schrodinger"])
def test_bounds_hold_beside_the_exact_engine(picture):
    given = case(5, lattice="chain")
    ask = {"shots": 1, "seed": 0}
    exact, found = (
        e.estimate(e.prepare(given.structure), given.values, given.paulis, given.readout, **ask)
        for e in (Density(), DensityNetwork(picture=picture))
    )
    assert np.all(np.abs(found.values - exact.values) <= found.bounds + 1e-9)
    assert not found.stderr.any()


def test_it_is_called_by_name_and_says_that_it_cannot_sample():
    engine = named("density_network")
    assert engine == DensityNetwork()
    given = case(5, lattice="chain")
    plan = engine.plan(given.structure, shots=10, paulis=0, memory=1 << 30)
    assert "engine='network'" in plan.refusal
    with pytest.raises(UnsupportedError, match="expectation values only"):
        engine.sample(engine.prepare(given.structure), given.values, shots=1, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_bond": 1}, "`max_bond` must be at least 2, but is 1"),
        ({"cutoff": 0.5}, "`cutoff` must be in"),
        ({"picture": "dirac"}, "`picture` must be one of"),
        ({"threads": 0}, "`threads` must be at least 1"),
    ],
)
def test_bad_settings_are_named(wrong, message):
    with pytest.raises(InputError, match=message):
        DensityNetwork(**wrong)
