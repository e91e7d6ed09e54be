"""The sampler agrees with the Gaussian posterior where that is exact, and is refused elsewhere."""

import numpy as np
import pytest

from qdt_emu.device import what_if
from qdt_emu.errors import InputError
from qdt_emu.learning.fit import fit
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.prior import learnable, prior
from qdt_emu.learning.sampler import sample_unknowns
from qdt_emu.learning.terms import Outcomes
from qdt_emu.twin import Twin
from tests.learning.planted import line, random_circuit

pytest.importorskip("numpyro")
LEARN = ("over_rotation_2q", "assignment")


def fitted() -> tuple[Posterior, list[Outcomes]]:
    truth = Twin.load(what_if(line(2), over_rotation={("cz", (0, 1)): 0.05}))
    device = learnable(line(2), LEARN)
    twin = Twin.load(device)
    circuit = random_circuit(1, 2, 2)
    counts = truth.run(circuit, shots=20_000, seed=1).counts
    terms = [Outcomes.of(twin.compile(circuit), counts)]
    model = prior(device, [terms[0].circuit.compiled.recipe], learn=LEARN)
    return fit(model, terms), terms


@pytest.mark.slow
def test_sampling_agrees_with_the_gaussian_posterior():
    """Means within 5 standard errors of 400 draws (of effective size 100), widths within 30 %."""
    posterior, terms = fitted()
    draws = sample_unknowns(posterior, terms, draws=200, warmup=150, seed=3)
    spread = np.sqrt(np.diag(posterior.covariance))
    assert draws.shape == (400, len(posterior.z))
    assert (np.abs(draws.mean(0) - posterior.z) < 5 * spread / 10 + 0.1 * spread).all()
    assert np.allclose(draws.std(0) / spread, 1, atol=0.3)


def test_too_many_unknowns_are_refused():
    device = learnable(line(6))
    model = prior(device, [Twin.load(device).compile(random_circuit(1, 6)).recipe])
    size = model.size
    posterior = Posterior(model, np.zeros(size), np.zeros((size, size)), 0.0)
    with pytest.raises(InputError, match=f"at most 40 unknowns, but the model has {size}"):
        sample_unknowns(posterior, [])
