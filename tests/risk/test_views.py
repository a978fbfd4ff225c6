"""Views: formulas in another form, SciPy's optimiser, and planted views."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.risk.allocation_types import Problem
from fxtrade.risk.allocations import solve
from fxtrade.risk.views import (
    Views,
    black_litterman,
    entropy_pooling,
    equilibrium_mean,
    join_views,
    mean_views,
    volatility_views,
    with_probability,
)
from tests.helpers.optimality import problem

FREE = np.full(5, np.inf)


def test_black_litterman_is_the_posterior_of_precisions():
    """The mean of He & Litterman 1999, equation 8, with inverses of the prior's and the views' covariance."""
    p, tau = problem(), 0.1
    views = Views(np.array([[1.0, 0, -1, 0, 0], [0, 1, 0, 0, 0]]), np.array([1e-3, -2e-3]), np.array([1e-6, 4e-6]))
    with compat.float64():
        mean = np.asarray(equilibrium_mean(jnp.asarray(p.covariance), jnp.full(5, 0.2), 2.5))
        found = jax.tree.map(np.asarray, black_litterman(p._replace(mean=mean), views, tau=tau))
    prior, doubt = np.linalg.inv(tau * p.covariance), np.diag(1 / views.uncertainty)
    spread = np.linalg.inv(prior + views.portfolios.T @ doubt @ views.portfolios)
    expected = spread @ (prior @ mean + views.portfolios.T @ doubt @ views.expected)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, p.covariance + spread, rtol=1e-9)


def test_black_litterman_holds_views_that_are_certain_and_the_market_without_any():
    p = problem()
    market = np.array([0.3, 0.2, 0.1, 0.3, 0.1])
    with compat.float64():
        p = p._replace(mean=equilibrium_mean(jnp.asarray(p.covariance), market, 3.0), lower=-FREE, upper=FREE)
        views = Views(np.eye(5)[:1], np.array([0.01]), np.zeros(1))
        assert black_litterman(p, views).mean[0] == pytest.approx(0.01)
    np.testing.assert_allclose(solve("mean_variance", p, {"risk_aversion": 3.0}).weight, market, atol=1e-9)


def test_probabilities_are_the_nearest_to_equal_ones_that_keep_the_views():
    """The dual of Meucci 2008, minimised by SciPy with the signs that inequality views ask for."""
    from scipy.optimize import minimize

    r = problem().returns
    mean, sigma = r.mean(0), r.std(0)
    lower, upper = mean.copy(), mean.copy()
    lower[0] = upper[0] = mean[0] + sigma[0] / 5
    lower[1], upper[1] = -np.inf, mean[1] - sigma[1] / 4
    wide = FREE.copy()
    wide[2] = 1.1 * sigma[2]
    narrow = -FREE.copy()
    narrow[2] = wide[2]
    with compat.float64():
        arrays = [jnp.asarray(x) for x in (r, lower, upper, narrow, wide)]
        views = join_views(mean_views(*arrays[:3]), volatility_views(arrays[0], *arrays[3:]))
        found = jax.tree.map(np.asarray, jax.jit(entropy_pooling)(views))
        moments = jax.tree.map(np.asarray, with_probability(Problem(jnp.eye(5), returns=arrays[0]), found.probability))
    assert found.ok and found.residual < 1e-10
    np.testing.assert_allclose(moments.mean[[0, 2, 3, 4]], lower[[0, 2, 3, 4]], atol=1e-11)
    assert moments.mean[1] == pytest.approx(upper[1])  # the limit binds
    assert np.sqrt(moments.covariance[2, 2]) == pytest.approx(1.1 * sigma[2])

    values = np.hstack([(r - mean) / sigma, ((r - mean)[:, 2:3] / sigma[2]) ** 2])
    target = np.array([0.2, -0.25, 0, 0, 0, 1.21])

    def dual(x):
        weight = np.exp(values @ x)
        return np.log(weight.mean()) - x @ target, weight @ values / weight.sum() - target

    best = minimize(dual, np.zeros(6), jac=True, bounds=[(None, 0 if i == 1 else None) for i in range(6)], tol=1e-15)
    weight = np.exp(values @ best.x)
    np.testing.assert_allclose(found.probability, weight / weight.sum(), atol=1e-6)


def test_views_that_no_scenario_reaches_leave_equal_probabilities():
    r = jnp.asarray(problem().returns, float)
    found = entropy_pooling(mean_views(r, jnp.full(5, 1.0), jnp.full(5, jnp.inf)))
    assert not found.ok and np.ptp(found.probability) == 0


def test_probabilities_weigh_the_scenarios_of_tail_risk():
    """A scenario of twice the probability counts as one that is there twice."""
    p = problem(rows=20)
    twice = np.concatenate([p.returns, p.returns[:5]])
    weighed = p._replace(probability=np.where(np.arange(20) < 5, 2, 1) / 25)
    expected = solve("minimum_cvar", p._replace(returns=twice), {"alpha": 0.8}).weight
    np.testing.assert_allclose(solve("minimum_cvar", weighed, {"alpha": 0.8}).weight, expected, atol=1e-9)


def test_what_is_missing_is_named():
    p = problem()
    views = Views(np.eye(5)[:1], np.array([0.01]))
    with pytest.raises(ConfigError, match="the prior"):
        black_litterman(p._replace(mean=None), views)
    with pytest.raises(ConfigError, match="for 5 assets"):
        black_litterman(p, Views(np.eye(4)[:1], np.array([0.01])))
    with pytest.raises(ConfigError, match=r"problem\.returns"):
        with_probability(p._replace(returns=None), jnp.ones(3))
