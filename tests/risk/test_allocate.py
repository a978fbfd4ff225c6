"""The registry of allocations: batches, gaps, bounds, and errors of bad input."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.risk.allocation_types import Groups
from fxtrade.risk.allocations import ALLOCATIONS, LEAVES_OUT_MISSING, solve, solve_dates
from tests.helpers.optimality import problem

NAN = float("nan")


@pytest.mark.parametrize("name", sorted(ALLOCATIONS.keys() - LEAVES_OUT_MISSING))
def test_dates_are_as_one_by_one_and_a_date_with_gaps_falls_back(name):
    dates = problem(dates=4)
    returns, covariance = dates.returns.copy(), dates.covariance.copy()
    covariance[1, 2, :] = covariance[1, :, 2] = returns[1, :, 2] = NAN
    mean = dates.mean.copy()
    mean[1, 2] = NAN
    bounds = {"lower": dates.lower[0], "upper": dates.upper[0]}  # of all dates
    found = solve_dates(name, dates._replace(returns=returns, covariance=covariance, mean=mean, **bounds))
    assert np.isfinite(found.weight).all() and (np.abs(found.weight.sum(1) - 1) < 1e-10).all()
    assert (found.weight >= 0.02 - 1e-10).all() and (found.weight <= 0.5 + 1e-10).all()
    assert found.ok[[0, 2, 3]].all() and (found.residual[[0, 2, 3]] < 1e-10).all()
    one = problem(dates=4)
    one = one._replace(
        **{field: getattr(one, field)[2] for field in ("covariance", "mean", "returns", "lower", "upper")}
    )
    np.testing.assert_allclose(found.weight[2], solve(name, one).weight, rtol=0, atol=1e-10)
    if not found.ok[1]:
        known = dates._replace(covariance=np.nan_to_num(covariance))
        fallback = solve_dates("inverse_volatility", known).weight[1]
        np.testing.assert_allclose(found.weight[1], fallback, atol=1e-12)


def test_formulas():
    p = problem()._replace(lower=None, upper=None)
    variance = np.diag(p.covariance)
    np.testing.assert_allclose(solve("equal", p).weight, np.full(5, 0.2))
    inverse = 1 / np.sqrt(variance)
    np.testing.assert_allclose(solve("inverse_volatility", p).weight, inverse / inverse.sum())
    np.testing.assert_allclose(solve("inverse_variance", p).weight, inverse**2 / (inverse**2).sum())


def test_bounds_of_formulas_keep_the_proportions_of_the_others():
    p = problem()._replace(covariance=np.diag([1.0, 4, 16, 64, 0]), lower=np.full(5, 0.0), upper=np.full(5, 0.5))
    weight = solve("inverse_volatility", p).weight
    np.testing.assert_allclose(weight, [0.5, 2 / 7, 1 / 7, 1 / 14, 0], atol=1e-15)
    weight = solve("inverse_volatility", p._replace(upper=np.full(5, 0.2))).weight
    np.testing.assert_allclose(weight, np.full(5, 0.2), atol=1e-12)  # the asset without a volatility gets the rest


def changed(**fields):
    return problem()._replace(**fields)


def with_entry(matrix, at, value):
    matrix = matrix.copy()
    matrix[at] = value
    return matrix


GROUP = np.array([[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
S = problem().covariance


@pytest.mark.parametrize(
    ("name", "bad", "error", "message"),
    [
        ("equal", changed(covariance=S[:4]), ConfigError, r"covariance has the shape \[4, 5\]"),
        ("equal", changed(covariance=with_entry(S, (3, 1), NAN)), DataError, "assets 3 and 1 is not finite"),
        ("equal", changed(covariance=with_entry(S, (3, 1), 1.0)), DataError, "not symmetric"),
        ("equal", changed(covariance=S - np.eye(5)), DataError, "indefinite, its smallest eigenvalue is -"),
        ("equal", changed(lower=np.full(5, 0.3)), ConfigError, "lower bounds sum to 1.5"),
        ("equal", changed(upper=np.full(5, 0.1)), ConfigError, "upper bounds sum to 0.5"),
        ("equal", changed(lower=np.array([0, 0, 0.6, 0, 0])), ConfigError, "asset 2 has the lower bound 0.6"),
        ("equal", changed(groups=Groups(GROUP, np.zeros(2), np.ones(2))), ConfigError, r"does not support .*groups"),
        ("minimum_variance", changed(groups=Groups(GROUP, np.full(2, 0.6), np.ones(2))), ConfigError, "missed by"),
        ("minimum_variance", changed(groups=Groups(GROUP, np.ones(2), np.zeros(2))), ConfigError, "group 0 has"),
        ("minimum_variance", changed(groups=Groups(GROUP, np.zeros(3), np.ones(2))), ConfigError, "one limit a group"),
        ("minimum_variance", changed(cost=np.zeros(5)), ConfigError, r"needs problem\.before"),
        ("minimum_variance", changed(cost=-np.ones(5), before=np.ones(5)), ConfigError, "must be at least 0"),
        ("mean_variance", changed(mean=None), ConfigError, r"needs problem\.mean"),
        ("mean_variance", changed(mean=np.array([0, NAN, 0, 0, 0])), DataError, "mean is not finite at position 1"),
        ("mean_variance", changed(mean=np.zeros(4)), ConfigError, r"mean has the shape \[4\]"),
        ("minimum_cvar", changed(returns=None), ConfigError, r"needs problem\.returns"),
        ("minimum_cvar", changed(probability=np.ones(40)), ConfigError, "sums to 40"),
        ("risk_budget", changed(budgets=np.array([1, 1, 0, 1, 1.0])), ConfigError, "budgets of asset 2 is 0"),
        ("risk_budget", changed(covariance=np.diag([1.0, 1, 0, 1, 1])), DataError, "found no solution"),
        ("risk_budget", changed(cost=np.zeros(5)), ConfigError, "does not support"),
        ("maximum_diversification", changed(cost=np.zeros(5)), ConfigError, "does not support"),
        ("minimum_varianse", problem(), ConfigError, "did you mean 'minimum_variance'"),
    ],
)
def test_bad_input_is_one_clear_error(name, bad, error, message):
    with pytest.raises(error, match=message):
        solve(name, bad)


def test_a_field_of_other_dates_is_refused():
    dates = problem(dates=4)
    with pytest.raises(ConfigError, match=r"mean has the shape \[3, 5\]"):
        solve_dates("mean_variance", dates._replace(mean=dates.mean[:3]))
