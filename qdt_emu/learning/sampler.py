"""The posterior of a few unknowns by sampling, where a Gaussian around the mode is not enough."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.density_jax import probabilities_jax
from qdt_emu.errors import InputError
from qdt_emu.learning.posterior import Posterior
from qdt_emu.learning.terms import Outcomes

Floats = NDArray[np.float64]

MOST = 40  # unknowns


def sample_unknowns(
    posterior: Posterior,
    terms: Sequence[Outcomes],
    *,
    draws: int = 500,
    warmup: int = 300,
    chains: int = 2,
    seed: int = 0,
    progress: bool = False,
) -> Floats:
    """Return draws of the unknowns by the No-U-Turn sampler, shape (chains * draws, size).

    Each chain starts at a draw of the Gaussian posterior, in whose coordinates it moves. Where
    the sign of an angle is not determined (`Posterior.ambiguous`), chains may stay on one side.

    Args:
        posterior: From `fit`.
        terms: What it was fitted to.
        draws: Kept draws of each chain.
        warmup: Draws of each chain that adapt the step and are thrown away.
        chains: Number of chains, one after the other.
        seed: Of everything.
        progress: Show a progress bar.

    Raises:
        InputError: More than 40 unknowns.
        ImportError: numpyro is not installed.

    Source:
        Hoffman and Gelman, Journal of Machine Learning Research 15, 1593 (2014).
    """
    size = len(posterior.z)
    if size > MOST:
        raise InputError(
            f"Sampling takes at most {MOST} unknowns, but the model has {size}. Learn fewer kinds "
            f"of parameters, or use the Gaussian posterior."
        )
    infer = _numpyro()
    with jax.enable_x64(True):
        centre, root = (
            jnp.asarray(posterior.z),
            jnp.asarray(np.linalg.cholesky(posterior.covariance)),
        )
        energy = _energy(posterior, terms)
        kernel = infer.NUTS(potential_fn=lambda y: energy(centre + root @ y))
        sampler = infer.MCMC(
            kernel,
            num_warmup=warmup,
            num_samples=draws,
            num_chains=chains,
            chain_method="sequential",
            progress_bar=progress,
        )
        first = np.random.default_rng([seed, 6]).standard_normal((chains, size))
        start = jnp.asarray(first if chains > 1 else first[0])
        sampler.run(jax.random.PRNGKey(seed), init_params=start)
        found = np.asarray(sampler.get_samples())
    return np.asarray(posterior.z + found @ np.asarray(root).T)


def _energy(posterior: Posterior, terms: Sequence[Outcomes]) -> Any:
    """Return the function z -> -ln posterior."""
    model = posterior.model
    runs = [probabilities_jax(t.circuit.compiled.structure) for t in terms]

    def energy(z: Any) -> Any:
        parameters = model.parameters(z)
        total = 0.5 * (z @ z)
        for t, run in zip(terms, runs, strict=True):
            p = run(t.circuit.values(parameters))
            n = t.counts
            pull = np.sqrt(n) + np.sqrt(n + 1) - jnp.sqrt(4 * t.shots * p + 1)
            total = total + 0.5 / (1 + t.shots * posterior.scatter) * (pull @ pull)
        return total

    return jax.jit(energy)


def _numpyro() -> Any:
    try:
        from numpyro import infer  # noqa: PLC0415 - an extra
    except ImportError as reason:
        raise ImportError(
            "Sampling the posterior needs `numpyro`. Install it with `pip install qdt-emu[sample]`."
        ) from reason
    return infer
