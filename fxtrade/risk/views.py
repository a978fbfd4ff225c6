"""Views on returns: what an investor expects, combined with what the data say, as inputs of any allocation.

Black-Litterman combines a prior of expected returns with views that may be uncertain; entropy pooling finds the
probabilities of scenarios, the nearest to equal ones, in which views hold.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Number
from fxtrade.risk.allocation_types import Problem
from fxtrade.risk.interior_point import tolerance

MAX_ITERATIONS = 100


class Views(NamedTuple):
    """Views on expected returns of portfolios: `portfolios @ mean = expected`, with errors of variance `uncertainty`.

    Attributes:
        portfolios: one a row, such as 1 for an asset, or 1 and -1 for a difference of two.
        uncertainty: 0 for a view that is certain; None: that of the prior, `tau * portfolio' S portfolio`.
    """

    portfolios: Float[Array, "views A"]
    expected: Float[Array, " views"]
    uncertainty: Float[Array, " views"] | None = None


def equilibrium_mean(covariance: Float[Array, "A A"], weight: Float[Array, " A"], risk_aversion: Number) -> Array:
    """Return the expected returns `risk_aversion * S w` at which mean-variance holds the weights `w`, the market's."""
    return jnp.asarray(risk_aversion, covariance.dtype) * covariance @ weight


def black_litterman(problem: Problem, views: Views, *, tau: Number = 0.05) -> Problem:
    """Return the problem with the mean and the covariance of the posterior.

    With the prior mean m, such as `equilibrium_mean`, M = tau S, and views P, q, Omega: K = M P' (P M P' + Omega)^-1,
    mean = m + K (q - P m), covariance = S + M - K P M (He & Litterman 1999, SSRN 334304, equations 8 to 10). Without
    the uncertainty of views, Omega = diag(P M P').

    Raises:
        ConfigError: the problem has no `mean`; the views do not fit the assets.
    """
    covariance = jnp.asarray(problem.covariance)
    if problem.mean is None:
        raise ConfigError("black_litterman needs problem.mean, the prior, such as `equilibrium_mean` of market weights")
    portfolios, expected = (jnp.asarray(leaf, covariance.dtype) for leaf in views[:2])
    if portfolios.shape != (*expected.shape, len(covariance)):
        raise ConfigError(
            f"views of {expected.shape} returns on portfolios {portfolios.shape}, for {len(covariance)} assets; "
            "give one portfolio [A] and one expected return for each view"
        )
    prior = jnp.asarray(tau, covariance.dtype) * covariance
    spread = portfolios @ prior @ portfolios.T
    uncertainty = jnp.diagonal(spread) if views.uncertainty is None else jnp.asarray(views.uncertainty, spread.dtype)
    gain = jnp.linalg.solve(spread + jnp.diag(uncertainty), portfolios @ prior).T
    market = jnp.asarray(problem.mean, covariance.dtype)
    mean = market + gain @ (expected - portfolios @ market)
    posterior = covariance + prior - gain @ portfolios @ prior
    return problem._replace(mean=mean, covariance=(posterior + posterior.T) / 2)


class ScenarioViews(NamedTuple):
    """Views on expectations over scenarios: `lower <= sum_t probability[t] values[t] <= upper`.

    Attributes:
        values: a function of each scenario, one a column: returns for a view on a mean, squares of deviations for one
            on a variance, products of two for one on a correlation.
        lower, upper: equal for an exact view, infinite for a side without a limit.
    """

    values: Float[Array, "T views"]
    lower: Float[Array, " views"]
    upper: Float[Array, " views"]


class Pooled(NamedTuple):
    """Probabilities of scenarios, and how well they keep the views.

    Attributes:
        residual: largest violation of a view, relative to the spread of its values.
        effective: exp(entropy), the number of equally probable scenarios with the same entropy.
        ok: the residual is below the tolerance; otherwise the views exclude each other, or no scenario is beyond one.
    """

    probability: Float[Array, " T"]
    residual: Float[Array, ""]
    effective: Float[Array, ""]
    iterations: Float[Array, ""]
    ok: Bool[Array, ""]


class _Sides(NamedTuple):
    """Views as one-sided limits `values' probability >= limit`, scaled to values of spread 1."""

    values: Float[Array, "T sides"]
    limit: Float[Array, " sides"]


def mean_views(returns: Float[Array, "T A"], lower: Float[Array, " A"], upper: Float[Array, " A"]) -> ScenarioViews:
    """Return views on the mean of each asset; infinite limits for assets without a view."""
    return ScenarioViews(returns, lower, upper)


def volatility_views(
    returns: Float[Array, "T A"], lower: Float[Array, " A"], upper: Float[Array, " A"]
) -> ScenarioViews:
    """Return views on the volatility of each asset around its mean of equal probabilities.

    Join `mean_views` with `lower = upper = returns.mean(0)`, so that the means stay where deviations are taken from.
    """
    square = jnp.square(returns - returns.mean(0)[None])
    return ScenarioViews(square, lower * jnp.abs(lower), jnp.square(upper))


def join_views(*views: ScenarioViews) -> ScenarioViews:
    """Return all views as one."""
    return ScenarioViews(*(jnp.concatenate(leaves, -1) for leaves in zip(*views, strict=True)))


def entropy_pooling(views: ScenarioViews) -> Pooled:
    """Return the probabilities of least relative entropy to equal ones that keep the views (Meucci 2008, SSRN 1213325).

    They are `softmax(sides @ multiplier)`, so that Newton's method in the multipliers of the sides, a primal-dual
    interior point, has a system of twice the number of views, whatever the number of scenarios. Where the views cannot
    be kept, probabilities are equal and `ok` is False.
    """
    values = jnp.asarray(views.values)
    rows = len(values)
    center = values.mean(0)
    spread = values.std(0)
    spread = jnp.where(spread > 0, spread, 1)
    values = (values - center[None]) / spread[None]
    lower, upper = ((jnp.asarray(limit, center.dtype) - center) / spread for limit in views[1:])
    limit = jnp.concatenate([lower, -upper])
    there = jnp.isfinite(limit)
    sides = _Sides(jnp.where(there[None], jnp.concatenate([values, -values], 1), 0), jnp.where(there, limit, -1))
    multiplier, _, iterations = _multipliers(sides)
    probability = jax.nn.softmax(sides.values @ multiplier)
    residual = jnp.maximum(sides.limit - probability @ sides.values, 0).max()
    ok = jnp.isfinite(multiplier).all() & (residual < tolerance(center.dtype))
    probability = jnp.where(ok, probability, 1 / rows)
    entropy = -(probability * jnp.log(jnp.maximum(probability, jnp.finfo(center.dtype).tiny))).sum()
    return Pooled(probability, residual, jnp.exp(entropy), iterations, ok)


def with_probability(problem: Problem, probability: Float[Array, " T"]) -> Problem:
    """Return the problem with the mean, the covariance and the scenarios of these probabilities of its `returns`.

    Raises:
        ConfigError: the problem has no returns.
    """
    if problem.returns is None:
        raise ConfigError("with_probability needs problem.returns, the scenarios whose probabilities they are")
    returns = jnp.asarray(problem.returns, probability.dtype)
    mean = probability @ returns
    apart = returns - mean[None]
    scaled = apart * jnp.sqrt(probability)[:, None]
    covariance = scaled.T @ scaled
    return problem._replace(mean=mean, covariance=(covariance + covariance.T) / 2, probability=probability)


@jax.custom_jvp
def _multipliers(sides: _Sides) -> tuple[Array, Array, Array]:
    """Return the multiplier of each side, its slack, and the number of iterations."""
    goal = 1e-3 * tolerance(sides.limit.dtype)

    def unfinished(carry):
        multiplier, slack, iterations = carry
        gap, _ = _moments(sides, multiplier, slack)
        worst = jnp.maximum(jnp.abs(gap), multiplier * slack).max()
        return (iterations < MAX_ITERATIONS) & (worst > goal)

    def advance(carry):
        multiplier, slack, iterations = carry
        gap, covariance = _moments(sides, multiplier, slack)
        product = multiplier * slack
        target = jnp.maximum(0.1 * product.mean(), 0.1 * goal)
        change = _cho_solve(covariance + jnp.diag(slack / multiplier), -gap + (target - product) / multiplier)
        slack_change = (target - product - slack * change) / multiplier
        ends = -jnp.minimum((change / multiplier).min(), (slack_change / slack).min())
        turn = jnp.abs(sides.values @ change).max()  # of the logarithms of probabilities
        part = 1 / jnp.maximum(jnp.maximum(ends / 0.95, turn / 2), 1)
        return multiplier + part * change, slack + part * slack_change, iterations + 1

    one = jnp.ones_like(sides.limit)
    return jax.lax.while_loop(unfinished, advance, (0.1 * one, one, jnp.zeros((), one.dtype)))


@_multipliers.defjvp
def _multipliers_jvp(primals, tangents):
    (sides,) = primals
    multiplier, slack, iterations = _multipliers(sides)
    _, covariance = _moments(sides, multiplier, slack)
    _, gap = jax.jvp(lambda data: _moments(data, multiplier, slack)[0], primals, tangents)
    change = _cho_solve(covariance + jnp.diag(slack / multiplier), -gap)
    slack_change = -slack * change / multiplier
    return (multiplier, slack, iterations), (change, slack_change, jnp.zeros_like(iterations))


def _moments(
    sides: _Sides, multiplier: Array, slack: Array
) -> tuple[Float[Array, " sides"], Float[Array, "sides sides"]]:
    """Return by how much the mean of each side differs from its limit and slack, and the covariance of the sides."""
    probability = jax.nn.softmax(sides.values @ multiplier)
    mean = probability @ sides.values
    apart = sides.values - mean[None]
    width = 1e-2 * tolerance(mean.dtype)  # equal limits leave an interior
    return mean - sides.limit + width - slack, (apart * probability[:, None]).T @ apart


def _cho_solve(matrix: Float[Array, "n n"], right: Float[Array, " n"]) -> Float[Array, " n"]:
    return jax.scipy.linalg.cho_solve(
        (jax.lax.linalg.cholesky(jnp.asarray(matrix), symmetrize_input=False), True), right
    )
