"""Allocations by the interior point: conditions of the optimum in NumPy, and SciPy's optimisers as references."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.risk.allocation_types import Groups
from fxtrade.risk.allocations import ALLOCATIONS, solve
from tests.helpers.optimality import cvar, drawdowns, problem, violation

ASSETS = 5
GROUPS = Groups(np.array([[1.0, 1, 1, 0, 0], [0, 0, 1, 1, 0]]), np.array([0.3, 0.4]), np.array([0.5, 0.4]))
BEFORE = np.array([0.3, 0.1, 0.1, 0.3, 0.2])


def solved(name, problem, **options):
    found = solve(name, problem, options)
    assert found.residual < 1e-10
    return np.asarray(found.weight)


@st.composite
def matrices(draw):
    """Covariances of any rank: identical assets, an asset without variance, variances of very different size."""
    rank, seed = draw(st.integers(0, ASSETS)), draw(st.integers(0, 2**31))
    root = np.random.default_rng(seed).standard_normal((ASSETS, rank)) * draw(st.sampled_from([1e-3, 1e-2, 1.0]))
    root = root * np.array([1, 1, draw(st.sampled_from([1, 30])), 1, 1])[:, None]
    if draw(st.booleans()):
        root[1] = root[0]
    if draw(st.booleans()):
        root[2] = 0
    return root @ root.T


@st.composite
def bounds(draw):
    """Bounds around some weights of sum 1, all of them equal to these in the extreme."""
    weight = np.random.default_rng(draw(st.integers(0, 2**31))).dirichlet(np.ones(ASSETS))
    widths = np.array(
        draw(st.lists(st.sampled_from([0, 1e-6, 0.05, 0.3, 2]), min_size=2 * ASSETS, max_size=2 * ASSETS))
    )
    return weight - widths[:ASSETS], weight + widths[ASSETS:]


@given(matrices(), bounds(), st.sampled_from([0, 1e-6, 1e-3]), st.integers(0, 9))
def test_the_conditions_of_the_optimum_hold(covariance, bounds, size, seed):
    lower, upper = bounds
    mean = np.random.default_rng(seed).standard_normal(ASSETS) * size
    weight = solved("mean_variance", problem()._replace(covariance=covariance, mean=mean, lower=lower, upper=upper))
    assert violation(covariance, -mean, weight, lower, upper) < 1e-10


@given(matrices(), st.sampled_from([0, 1e-6, 1e-3, 10.0]))
def test_the_conditions_hold_with_groups_and_costs(covariance, cost):
    p = problem()._replace(covariance=covariance, groups=GROUPS, before=BEFORE, cost=np.full(ASSETS, cost))
    weight = solved("mean_variance", p, risk_aversion=2.0, turnover_penalty=1e-7)
    charge = p.cost + 1e-7
    assert violation(2 * covariance, -p.mean, weight, p.lower, p.upper, *GROUPS, BEFORE, charge) < 1e-10


def test_least_variance_has_its_closed_form_without_bounds():
    p = problem()
    free = np.full(ASSETS, np.inf)
    inverse = np.linalg.solve(p.covariance, np.ones(ASSETS))
    weight = solved("minimum_variance", p._replace(lower=-free, upper=free))
    np.testing.assert_allclose(weight, inverse / inverse.sum(), rtol=0, atol=1e-12)


def test_prohibitive_costs_keep_what_was_held():
    p = problem()._replace(before=BEFORE, cost=np.full(ASSETS, 1.0))
    np.testing.assert_allclose(solved("minimum_variance", p), BEFORE, atol=1e-11)
    np.testing.assert_allclose(solved("minimum_cvar", p, alpha=0.9), BEFORE, atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_greatest_diversification(seed):
    """At the optimum of the ratio, w is that of the quadratic objective with its own ratio as the weight of risk."""
    p = problem(seed)._replace(groups=GROUPS)
    weight = solved("maximum_diversification", p)
    sigma = np.sqrt(np.diag(p.covariance))
    aversion = sigma @ weight / (weight @ p.covariance @ weight)
    assert violation(aversion * p.covariance, -sigma, weight, p.lower, p.upper, *GROUPS) < 1e-10


def test_greatest_diversification_of_uncorrelated_assets_is_inverse_volatility():
    p = problem()
    p = p._replace(covariance=np.diag(np.diag(p.covariance)), lower=np.zeros(ASSETS), upper=np.ones(ASSETS))
    expected = solved("inverse_volatility", p)
    np.testing.assert_allclose(solved("maximum_diversification", p), expected, atol=1e-11)


@given(matrices(), st.lists(st.floats(0.05, 1), min_size=ASSETS, max_size=ASSETS))
def test_risks_are_the_budgets(root, budgets):
    covariance = root + np.diag(np.full(ASSETS, 1e-3 * np.trace(root) + 1e-8))
    p = problem()._replace(covariance=covariance, budgets=np.array(budgets), lower=None, upper=None)
    weight = solved("risk_budget", p)
    risk = weight * (covariance @ weight)
    np.testing.assert_allclose(risk / risk.sum(), p.budgets / p.budgets.sum(), rtol=0, atol=1e-10)
    assert weight.min() > 0 and abs(weight.sum() - 1) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_risks_within_bounds_are_in_proportion_to_budgets(seed):
    p = problem(seed)._replace(budgets=np.arange(1.0, 6))
    p = p._replace(lower=np.full(ASSETS, 0.15), upper=np.full(ASSETS, 0.25))
    weight = solved("risk_budget", p)
    share = weight * (p.covariance @ weight) / p.budgets
    low, high = weight < 0.15 + 1e-9, weight > 0.25 - 1e-9
    free = share[~low & ~high]
    assert len(free) and (low.any() or high.any())
    np.testing.assert_allclose(free, free[0], rtol=1e-10)
    assert (share[low] >= free[0]).all() and (share[high] <= free[0]).all()
    assert abs(weight.sum() - 1) < 1e-10


@pytest.mark.parametrize("name", ["minimum_cvar", "minimum_cdar"])
@pytest.mark.parametrize("seed", range(2))
def test_tail_risk_is_that_of_a_linear_program(name, seed):
    """The optimum of HiGHS, with one variable for each scenario and for each peak of the path."""
    from scipy.optimize import linprog

    p, alpha = problem(seed)._replace(groups=GROUPS, before=BEFORE, cost=np.full(ASSETS, 1e-4)), (0.9, 0.88)[seed]
    found = solve(name, p, {"alpha": alpha})
    residual, error = ((1e-7, 1e-7), (1e-10, 1e-9))[seed]  # with 0.9 the optimum is a face
    assert found.residual < residual
    weight, r, (rows, assets) = found.weight, p.returns, p.returns.shape
    measure = cvar(-r @ weight, alpha) if name == "minimum_cvar" else cvar(drawdowns(r @ weight), alpha)
    # variables: weights, level, excess and peak of each row, bought and sold
    eye, none = np.eye(rows), np.zeros((rows, rows))
    trades = np.zeros((rows, 2 * assets))
    column = -np.ones((rows, 1))
    if name == "minimum_cvar":
        over = [np.hstack([-r, column, -eye, none, trades])]
    else:
        path = np.cumsum(r, 0)
        over = [np.hstack([-path, column, -eye, eye, trades]), np.hstack([path, 0 * column, none, -eye, trades]),
                np.hstack([0 * r, 0 * column, none, np.eye(rows, k=-1) - eye, trades])]  # fmt: skip
    groups = np.hstack([GROUPS.member, np.zeros((2, 1 + 2 * rows + 2 * assets))])
    further = 1 + 2 * rows + 2 * assets
    trade = np.hstack([np.eye(assets), np.zeros((assets, 1 + 2 * rows)), -np.eye(assets), np.eye(assets)])
    price = [np.zeros(assets), [1], np.full(rows, 1 / ((1 - alpha) * rows)), np.zeros(rows), np.full(2 * assets, 1e-4)]
    best = linprog(
        np.concatenate(price),
        A_ub=np.vstack([*over, groups, -groups]),
        b_ub=np.concatenate([np.zeros(rows * len(over)), GROUPS.upper, -GROUPS.lower]),
        A_eq=np.vstack([np.concatenate([np.ones(assets), np.zeros(further)])[None], trade]),
        b_eq=np.concatenate([[1], BEFORE]),
        bounds=[*zip(p.lower, p.upper, strict=True), (None, None), *[(0, None)] * (further - 1)],
    )
    assert measure + 1e-4 * np.abs(weight - BEFORE).sum() == pytest.approx(best.fun, rel=error)


@pytest.mark.parametrize(
    "name", ["mean_variance", "maximum_diversification", "risk_budget", "minimum_cvar", "minimum_cdar"]
)
def test_gradients_are_those_of_differences(name):
    p = problem(3)._replace(budgets=np.arange(1.0, 6)) if name == "risk_budget" else problem(3)
    if name in ("mean_variance", "minimum_cvar"):
        p = p._replace(before=BEFORE, cost=np.full(ASSETS, 1e-5), groups=GROUPS)
    rng = np.random.default_rng(0)
    change = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape) * np.abs(leaf).mean() / 100, p)
    change = change._replace(covariance=change.covariance + change.covariance.T)
    if p.groups is not None:
        change = change._replace(groups=Groups(0 * GROUPS.member, 0 * GROUPS.lower, 0 * GROUPS.upper))
    along = rng.standard_normal(ASSETS)
    with compat.float64():
        value = jax.jit(lambda p: ALLOCATIONS[name](p).weight @ along)
        at = jax.tree.map(jnp.asarray, p)
        up, down = (value(jax.tree.map(lambda a, b, h=h: jnp.asarray(a + h * b), p, change)) for h in (1e-4, -1e-4))
        expected = pytest.approx((float(up) - float(down)) / 2e-4, rel=1e-5, abs=1e-9)
        if name == "minimum_cdar" and jax.__version_info__ < (0, 6):  # which cannot reverse its scans
            assert jax.jvp(value, (at,), (jax.tree.map(jnp.asarray, change),))[1] == expected
            return
        gradient = jax.jit(jax.grad(value))(at)
        parts = [np.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(change), strict=True)]
        assert sum(parts) == expected


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mean_variance", {"risk_aversion": 0.0}, "risk_aversion=0.0"),
        ("minimum_variance", {"turnover_penalty": -1.0}, "turnover_penalty=-1.0"),
        ("minimum_variance", {"turnover_penalty": 1.0}, "needs problem.before"),
        ("minimum_cvar", {"alpha": 1.0}, "alpha=1.0"),
        ("minimum_cvar", {"alpha": 0.99}, "at least 100 rows"),
        ("minimum_cdar", {"alpha": 0.99}, "at least 100 rows"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        solve(name, problem(), options)
