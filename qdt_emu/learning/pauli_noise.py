"""Pauli-Lindblad rates learned from Clifford data, with a prior and with what stays unknown.

Rates are log-normal around a prior. The logarithms of rates and SPAM amplitudes are linear in a
latent vector z of independent standard normals, so that rates may share factors (a bad qubit, a
bad day):

    ln l = ln l_prior + B z,        ln A = a + C z

The posterior is Gaussian in z around its mode. Directions that the data do not see keep the width
of the prior; `RatePosterior.learned` says for every rate how much of it is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from qdt_emu.errors import InputError
from qdt_emu.learning.pauli_design import Design, Floats, Sparse, Term
from qdt_emu.learning.pauli_gauss import Block, block, components, newton
from qdt_emu.noise.pauli_lindblad import PauliLindblad, factor_probability

LARGEST_STEP = 3.0  # of a latent variable in one round, in prior standard deviations


@dataclass(frozen=True, eq=False)
class RatePrior:
    """What is known about rates and SPAM amplitudes before the data.

    Attributes:
        rates: Medians, shape (layers, terms); a rate of 0 is absent and stays 0.
        loading: Change of ln(rate) with each latent variable, shape (layers * terms, k), sparse.
        spam: Median of ln(amplitude) of each pair of Paulis, shape (pairs,).
        spam_loading: Change of ln(amplitude), shape (pairs, k), sparse.
    """

    rates: Floats
    loading: Sparse
    spam: Floats
    spam_loading: Sparse


def log_normal_prior(
    rates: Floats, width: Floats | float, design: Design, *, spam_width: float = 0.05
) -> RatePrior:
    """Return a prior in which every rate and every amplitude has a latent variable of its own.

    Args:
        rates: Medians, shape (layers, terms).
        width: Standard deviation of ln(rate), broadcast to the rates.
        design: What was measured.
        spam_width: Standard deviation of ln(amplitude) around 0.
    """
    rates = np.asarray(rates, float)
    if rates.shape != (design.layers, len(design.support)):
        raise InputError(
            f"Prior rates must have shape {(design.layers, len(design.support))}, but have "
            f"{rates.shape}."
        )
    widths, pairs = np.broadcast_to(width, rates.shape).ravel(), design.spam.shape[1]
    return RatePrior(
        rates,
        sparse.csr_array(sparse.hstack([sparse.diags_array(widths), empty(rates.size, pairs)])),
        np.zeros(pairs),
        sparse.csr_array(
            sparse.hstack([empty(pairs, rates.size), spam_width * sparse.eye_array(pairs)])
        ),
    )


def empty(rows: int, columns: int) -> Sparse:
    """Return a sparse array of zeros."""
    return sparse.csr_array((rows, columns))


@dataclass(frozen=True, eq=False)
class RatePosterior:
    """Rates after the data.

    Attributes:
        support: Terms of every layer.
        prior: What was assumed.
        latent: Mode, shape (k,).
        blocks: What the data say about z; variables of different blocks share no data.
        misfit: Sum of squared residuals in standard errors, at the mode.
        rounds: Gauss-Newton rounds it took.
    """

    support: tuple[Term, ...]
    prior: RatePrior
    latent: Floats
    blocks: tuple[Block, ...]
    misfit: float
    rounds: int

    @cached_property
    def rates(self) -> Floats:
        """Rates at the mode (also their posterior medians), shape (layers, terms)."""
        return _rates(self.prior, self.latent)

    @cached_property
    def spam(self) -> Floats:
        """ln(amplitude) at the mode, shape (pairs,)."""
        return _spam(self.prior, self.latent)

    @cached_property
    def log_std(self) -> Floats:
        """Posterior standard deviation of ln(rate), shape (layers, terms)."""
        variance = self._variance(self.prior.loading).reshape(self.rates.shape)
        out: Floats = np.sqrt(np.maximum(variance, 0.0))
        return out

    @cached_property
    def spam_std(self) -> Floats:
        """Posterior standard deviation of ln(amplitude), shape (pairs,)."""
        out: Floats = np.sqrt(np.maximum(self._variance(self.prior.spam_loading), 0.0))
        return out

    @cached_property
    def learned(self) -> Floats:
        """Share of the prior variance of ln(rate) that the data removed, shape (layers, terms)."""
        before = np.asarray(self.prior.loading.multiply(self.prior.loading).sum(1))
        return 1.0 - self.log_std**2 / np.where(before > 0, before, 1.0).reshape(self.rates.shape)

    @cached_property
    def models(self) -> tuple[PauliLindblad, ...]:
        """The noise of each layer with standard errors; those of ln(rate) times the rate."""
        return tuple(
            PauliLindblad(self.support, rates, rates * std)
            for rates, std in zip(self.rates, self.log_std, strict=True)
        )

    def covariance(self, rows: Sequence[int]) -> Floats:
        """Return the posterior covariance of ln(rate), shape (r, r).

        Args:
            rows: Numbers layer * terms + term.
        """
        loading = self.prior.loading[list(rows)]
        out: Floats = (loading @ loading.T).toarray()
        for part in self.blocks:
            out += part.covariance(loading)
        return out

    def deviation(self, slopes: Floats) -> float:
        """Return the posterior standard deviation of a figure with these slopes in ln(rate).

        Args:
            slopes: Derivative of the figure by ln(rate), shape (layers, terms).
        """
        loading = sparse.csr_array(slopes.reshape(1, -1) @ self.prior.loading)
        return float(np.sqrt(max(self._variance(loading)[0], 0.0)))

    def draws(self, count: int, *, seed: int) -> Floats:
        """Return rates drawn from the posterior, shape (count, layers, terms).

        Error:
            Gaussian in ln(rate): what the data fix is fixed to first order only, and a sum of many
            rates that are still wide comes out larger by half their variance. For such figures
            use `deviation`.
        """
        noise = np.random.default_rng(seed).standard_normal((count, self.latent.size))
        latent = self.latent + self.spread(noise)
        return np.stack([_rates(self.prior, z) for z in latent])

    def spread(self, noise: Floats) -> Floats:
        """Return standard normals of the latent space as deviations of the posterior, (..., k)."""
        out = np.array(noise, float)
        for part in self.blocks:
            out[..., part.index] = part.spread(out[..., part.index])
        return out

    def exponents(self, design: Design) -> Floats:
        """Return the predicted ln <P> of an experiment with the same SPAM pairs, shape (m,)."""
        return design.exponents(self.rates, self.spam)

    def _variance(self, loading: Sparse) -> Floats:
        out: Floats = np.asarray(loading.multiply(loading).sum(1), float).ravel()
        for part in self.blocks:
            out = out + part.variance(loading)
        return out


def fit_rates(design: Design, prior: RatePrior, *, rounds: int = 50) -> RatePosterior:
    """Return the posterior of the rates: the mode by Gauss-Newton, the width by Laplace.

    The residuals are those of the expectation values themselves, not of their logarithms, so that
    values near 0 need no cut.

    Args:
        design: What was measured, and how it depends on the rates.
        prior: What was known before.
        rounds: Most Gauss-Newton rounds.

    Raises:
        InputError: A prior of another shape, or more rounds are needed.

    Cost:
        A few seconds for 127 qubits, three layers of 1677 terms and 20,000 values with a prior of
        independent rates; for m values and k latent variables that hang together min(m, k)^3.

    Source:
        van den Berg et al., arXiv:2201.09866, for the model; the prior in place of the assumption
        that a Pauli and its image under the layer are damped alike (Chen et al., arXiv:2206.06362).
    """
    if prior.rates.shape != (design.layers, len(design.support)):
        raise InputError(
            f"The prior must have rates of shape {(design.layers, len(design.support))}, but has "
            f"{prior.rates.shape}."
        )
    latent = np.zeros(prior.loading.shape[1])
    residuals, jacobian = _linear(design, prior, latent)
    blocks = components(jacobian)
    apart = np.diff(prior.loading.tocsc().indptr) == 0
    cost = float(residuals @ residuals + latent @ latent)
    for done in range(1, rounds + 1):
        step = newton(jacobian, residuals - jacobian @ latent, blocks, apart) - latent
        size = float(np.abs(step).max(initial=0.0))
        share = min(1.0, LARGEST_STEP / size) if size else 1.0
        while True:
            trial = latent + share * step
            found = _linear(design, prior, trial)
            new = float(found[0] @ found[0] + trial @ trial)
            if new <= cost * (1 + 1e-12) or share < 1e-6:
                break
            share /= 2
        settled = share * size < 1e-5 or cost - new < 1e-9 * cost
        latent, (residuals, jacobian), cost = trial, found, new
        if settled:
            parts = tuple(block(jacobian, *one, apart) for one in blocks)
            misfit = float(residuals @ residuals)
            return RatePosterior(design.support, prior, latent, parts, misfit, done)
    raise InputError(f"The rates must settle within `rounds`={rounds} rounds. Allow more rounds.")


def process_fidelity(model: PauliLindblad) -> float:
    """Return the probability that none of the layer's terms acts: its process fidelity.

    Error:
        Below the process fidelity 4^-n sum f by the weight of products of terms that are the
        identity, at most sum over triples l_i l_j l_k: 5e-6 for rates of 1e-3 on 127 qubits.
    """
    return float(np.exp(np.log1p(-factor_probability(np.asarray(model.rates))).sum()))


def _rates(prior: RatePrior, latent: Floats) -> Floats:
    out: Floats = prior.rates * np.exp(prior.loading @ latent).reshape(prior.rates.shape)
    return out


def _spam(prior: RatePrior, latent: Floats) -> Floats:
    out: Floats = prior.spam + prior.spam_loading @ latent
    return out


def _linear(design: Design, prior: RatePrior, latent: Floats) -> tuple[Floats, Sparse]:
    """Return (prediction - value) / error and its derivative by the latent variables."""
    rates = _rates(prior, latent)
    predicted = np.exp(design.exponents(rates, _spam(prior, latent)))
    residuals = (predicted - design.values) / design.errors
    weight = sparse.diags_array(predicted / design.errors)
    slope = design.spam @ prior.spam_loading
    slope = slope - design.meetings @ (sparse.diags_array(rates.ravel()) @ prior.loading)
    return residuals, sparse.csr_array(weight @ slope)
