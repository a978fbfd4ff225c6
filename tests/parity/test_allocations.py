"""Allocations against cvxpy, skfolio and PyPortfolioOpt, which solve the same problems by other solvers."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.risk.allocation_types import Groups
from fxtrade.risk.allocations import solve
from tests.helpers.optimality import cvar, problem

ASSETS = 8
EXACT = {"tol_gap_abs": 1e-14, "tol_gap_rel": 1e-14, "tol_feas": 1e-14}
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def cvxpy():
    return pytest.importorskip("cvxpy")


@pytest.fixture
def posed():
    p = problem(1, ASSETS, 120)
    member = np.array([[1.0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]])
    before, cost = np.full(ASSETS, 1 / ASSETS), np.linspace(1e-6, 1e-4, ASSETS)
    groups = Groups(member, np.array([0.2, 0.3]), np.array([0.5, 0.6]))
    return p._replace(upper=np.full(ASSETS, 0.3), groups=groups, before=before, cost=cost)


def limits(cvxpy, w, p):
    sums = p.groups.member @ w
    return [cvxpy.sum(w) == 1, w >= p.lower, w <= p.upper, sums >= p.groups.lower, sums <= p.groups.upper]


def test_mean_variance_with_groups_and_costs(cvxpy, posed):
    w = cvxpy.Variable(ASSETS)
    risk = cvxpy.quad_form(w, cvxpy.psd_wrap(posed.covariance))
    objective = 1e3 * (2 * risk - posed.mean @ w + posed.cost @ cvxpy.abs(w - posed.before))
    cvxpy.Problem(cvxpy.Minimize(objective), limits(cvxpy, w, posed)).solve(solver="CLARABEL", **EXACT)
    np.testing.assert_allclose(solve("mean_variance", posed, {"risk_aversion": 4.0}).weight, w.value, atol=1e-6)


def test_cvar_with_groups_and_costs(cvxpy, posed):
    w, v = cvxpy.Variable(ASSETS), cvxpy.Variable()
    tail = cvxpy.sum(cvxpy.pos(-posed.returns @ w - v)) / (0.1 * 120)
    objective = cvxpy.Minimize(100 * (v + tail + posed.cost @ cvxpy.abs(w - posed.before)))
    value = cvxpy.Problem(objective, limits(cvxpy, w, posed)).solve(solver="CLARABEL", **EXACT)
    weight = solve("minimum_cvar", posed, {"alpha": 0.9}).weight
    ours = cvar(-posed.returns @ weight, 0.9) + posed.cost @ np.abs(weight - posed.before)
    assert 100 * ours == pytest.approx(value, rel=1e-8)


def test_skfolio():
    pytest.importorskip("skfolio")
    import pandas as pd
    from skfolio import RiskMeasure
    from skfolio.optimization import MaximumDiversification, MeanRisk, RiskBudgeting

    p = problem(2, ASSETS, 120)._replace(upper=np.full(ASSETS, 0.3))
    rows = pd.DataFrame(p.returns)
    p = p._replace(covariance=np.cov(p.returns.T))
    bounds = {"min_weights": 0.02, "max_weights": 0.3, "solver_params": EXACT}
    for name, model in {
        "minimum_variance": MeanRisk(risk_measure=RiskMeasure.VARIANCE, **bounds),
        "minimum_cvar": MeanRisk(risk_measure=RiskMeasure.CVAR, cvar_beta=0.9, **bounds),
        "minimum_cdar": MeanRisk(risk_measure=RiskMeasure.CDAR, cdar_beta=0.9, **bounds),
        "maximum_diversification": MaximumDiversification(**bounds),
    }.items():
        options = {"alpha": 0.9} if name in ("minimum_cvar", "minimum_cdar") else {}
        expected = model.fit(rows).weights_
        weight = solve(name, p, options).weight
        np.testing.assert_allclose(weight, expected, atol=1e-5, err_msg=name)  # its weights are exact to about 1e-6
        if name == "minimum_variance":
            assert weight @ p.covariance @ weight <= expected @ p.covariance @ expected
    budgets = np.arange(1.0, ASSETS + 1)
    model = RiskBudgeting(risk_measure=RiskMeasure.VARIANCE, risk_budget=budgets, solver_params=EXACT)
    weight = solve("risk_budget", p._replace(lower=None, upper=None, budgets=budgets)).weight
    np.testing.assert_allclose(weight, model.fit(rows).weights_, atol=1e-6)


def test_pypfopt():
    pytest.importorskip("pypfopt")
    from pypfopt import BlackLittermanModel, EfficientFrontier

    from fxtrade.core import compat
    from fxtrade.risk.views import Views, black_litterman

    p = problem(3, ASSETS, 120)
    frontier = EfficientFrontier(None, p.covariance, weight_bounds=(0.02, 0.5), solver="CLARABEL")
    frontier.min_volatility()
    np.testing.assert_allclose(solve("minimum_variance", p).weight, frontier.weights, atol=1e-4)  # its tolerance
    views = Views(np.eye(ASSETS)[:2] - np.eye(ASSETS)[2:4], np.array([1e-3, -1e-3]))
    with compat.float64():
        found = black_litterman(p, views, tau=0.05)
    peer = BlackLittermanModel(p.covariance, pi=p.mean, Q=views.expected, P=views.portfolios, tau=0.05)
    np.testing.assert_allclose(found.mean, peer.bl_returns(), rtol=1e-9)
    np.testing.assert_allclose(found.covariance, peer.bl_cov(), rtol=1e-9)
