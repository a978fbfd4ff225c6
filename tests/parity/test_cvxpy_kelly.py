"""Bets with a bound on the risk of drawdown against CVXPY, in which the paper's authors solve them."""

import jax
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.risk.kelly_drawdown import risk_exponent, solve

cp = pytest.importorskip("cvxpy", reason="needs cvxpy: pip install -e '.[parity]'")


@pytest.mark.parametrize("wealth, chance", [(0.7, 0.1), (0.9, 0.01), (0.5, 0.5)])
@pytest.mark.parametrize("outcomes, assets", [(20, 2), (100, 10), (500, 20)])
def test_bets_and_growth_equal_those_of_cvxpy(outcomes, assets, wealth, chance):
    rng = np.random.default_rng(outcomes)
    factors = np.exp(rng.normal(0.02, 0.25, (outcomes, assets)))
    factors[:, -1] = 1
    probability, exponent = rng.dirichlet(np.full(outcomes, 5.0)), risk_exponent(wealth, chance)
    with compat.float64():
        got = jax.tree.map(np.asarray, jax.jit(solve)(factors, probability, exponent))
    bet = cp.Variable(assets)
    log_wealth = cp.log(factors @ bet)
    risk = cp.log_sum_exp(np.log(probability) - exponent * log_wealth)
    problem = cp.Problem(cp.Maximize(probability @ log_wealth), [risk <= 0, cp.sum(bet) == 1, bet >= 0])
    problem.solve(solver="CLARABEL")
    assert got.ok and got.residual < 1e-11
    assert got.growth == pytest.approx(problem.value, abs=1e-7)
    np.testing.assert_allclose(got.weight, bet.value, atol=2e-4)
