"""Allocations of which a formula gives the weights."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.risk.allocation_types import Allocation, Problem
from fxtrade.risk.feasible import closed_form, in_proportion, inverse_shares, refuse, volatility


def equal(problem: Problem) -> Allocation:
    """The same weight for every asset.

    Supports bounds: weights are equal except for those that a bound holds.

    Raises:
        ConfigError: the problem has groups.
    """
    refuse(problem, "equal", "groups")
    return closed_form(in_proportion(jnp.ones(problem.covariance.shape[0], problem.covariance.dtype), problem))


def inverse_volatility(problem: Problem) -> Allocation:
    """Weights in proportion to 1 / volatility, 0 for an asset whose volatility is 0 or not finite.

    The answer of `risk_budget` where all correlations are the same. Supports bounds, as `equal`.

    Raises:
        ConfigError: the problem has groups.
    """
    refuse(problem, "inverse_volatility", "groups")
    return closed_form(in_proportion(inverse_shares(volatility(problem.covariance)), problem))


def inverse_variance(problem: Problem) -> Allocation:
    """Weights in proportion to 1 / variance, 0 for an asset whose variance is 0 or not finite.

    The answer of `minimum_variance` where all correlations are 0. Supports bounds, as `equal`.

    Raises:
        ConfigError: the problem has groups.
    """
    refuse(problem, "inverse_variance", "groups")
    return closed_form(in_proportion(inverse_shares(jnp.diagonal(problem.covariance)), problem))
