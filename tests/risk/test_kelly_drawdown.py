"""Risk-constrained Kelly bets: conditions of the optimum, SciPy, closed forms, and drawdowns of simulated wealth."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.risk import kelly
from fxtrade.risk.kelly_drawdown import risk_exponent, solve

EVEN = np.array([[2.0, 1.0], [0.0, 1.0]])  # an even bet, and cash
solved = jax.jit(solve)
exact = pytest.mark.usefixtures("in_float64")


@pytest.fixture
def in_float64():
    with compat.float64():
        yield


def problem(seed: int, outcomes: int = 30, assets: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.normal(0.02, 0.25, (outcomes, assets)))
    factors[:, -1] = 1
    return factors, rng.dirichlet(np.ones(outcomes))


@exact
@given(st.integers(0, 10_000), st.floats(0.5, 30))
def test_the_conditions_of_the_optimum_hold(seed, exponent):
    """Computed here from the definition: stationarity, signs, complementarity, feasibility."""
    factors, probability = problem(seed)
    with compat.float64():
        made = jax.tree.map(np.asarray, solved(factors, probability, exponent))
    assert made.ok and made.residual < 1e-12
    bet = made.weight
    wealth = factors @ bet
    tilt = probability * wealth**-exponent
    assert bet.sum() == pytest.approx(1, abs=1e-12) and (bet >= 0).all() and np.log(tilt.sum()) < 1e-9
    gain = factors.T @ (probability / wealth) + made.multiplier * exponent * factors.T @ (tilt / wealth) / tilt.sum()
    slope = gain @ bet  # the multiplier of the sum
    assert (gain <= slope + 1e-8).all()
    np.testing.assert_allclose(bet * (gain - slope), 0, atol=1e-8)
    assert abs(made.multiplier * np.log(tilt.sum())) < 1e-9


@exact
@pytest.mark.parametrize("seed, exponent", [(0, 6.5), (1, 2.0), (2, 20.0)])
def test_equals_scipy(seed, exponent):
    factors, probability = problem(seed)
    got = jax.tree.map(np.asarray, solved(factors, probability, exponent))
    found = optimize.minimize(
        lambda b: -probability @ np.log(factors @ b),
        np.append(np.full(3, 0.05), 0.85),
        jac=lambda b: -factors.T @ (probability / (factors @ b)),
        bounds=[(0, 1)] * 4,
        constraints=[
            {"type": "eq", "fun": lambda b: b.sum() - 1},
            {"type": "ineq", "fun": lambda b: -np.log(probability @ (factors @ b) ** -exponent)},
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert got.growth == pytest.approx(-found.fun, abs=1e-8)
    np.testing.assert_allclose(got.weight, found.x, atol=1e-4)


@exact
def test_a_bound_that_does_not_bind_gives_the_kelly_stake():
    made = solved(EVEN, np.array([0.6, 0.4]), risk_exponent(0.7, 0.99))
    np.testing.assert_allclose(made.weight, [kelly.binary(0.6), 0.8], atol=1e-9)
    assert made.multiplier < 1e-9


@exact
def test_a_binary_bet_is_where_its_risk_is_one():
    exponent = risk_exponent(0.7, 0.1)
    made = solved(EVEN, np.array([0.6, 0.4]), exponent)
    stake = optimize.brentq(lambda f: 0.6 * (1 + f) ** -exponent + 0.4 * (1 - f) ** -exponent - 1, 1e-3, 0.5)
    assert made.weight[0] == pytest.approx(stake, abs=1e-10) and stake < 0.2
    assert made.multiplier > 0


@exact
@pytest.mark.parametrize("p", [0.3, 0.5])
def test_bets_without_gain_stay_in_cash(p):
    made = solved(EVEN, np.array([p, 1 - p]), 6.5)
    np.testing.assert_array_equal(made.weight, [0, 1])
    assert made.ok and made.growth == 0 and made.residual == 0


@exact
def test_drawdowns_of_simulated_wealth_stay_below_the_bound():
    """P(min wealth < 0.7): about 0.4 by Kelly, below 0.1 with the bound (Busseti, Ryu & Boyd 2016, section 5)."""
    factors, probability = problem(7, outcomes=100, assets=6)
    wealth, chance = 0.7, 0.1
    bounded = np.asarray(solved(factors, probability, risk_exponent(wealth, chance)).weight)
    free = np.asarray(solved(factors, probability, 1e-3).weight)
    drawn = np.random.default_rng(0).choice(len(factors), (300, 2_000), p=probability)

    def ever_below(bet: np.ndarray) -> float:
        path = np.cumsum(np.log(factors @ bet)[drawn], 0)
        return float((path.min(0) < np.log(wealth)).mean())

    assert ever_below(free) > 2 * chance
    assert 0.2 * chance < ever_below(bounded) < chance


@exact
def test_problems_are_one_vmap():
    made = [problem(s) for s in range(5)]
    factors, probability = (np.stack(part) for part in zip(*made, strict=True))
    batch = jax.vmap(solve, (0, 0, None))(factors, probability, 6.5)
    for s in range(5):
        # a batched solution by LU is rounded in another way: the oldest JAX ends at a residual of 1e-10
        np.testing.assert_allclose(batch.weight[s], solved(factors[s], probability[s], 6.5).weight, atol=1e-8)
        assert batch.ok[s] and batch.residual[s] < 1e-9


def test_single_precision_is_enough_for_a_bet():
    factors, probability = problem(0)
    single = solved(factors, probability, 6.5)
    assert single.weight.dtype == np.float32 and single.ok and single.residual < 1e-3
    with compat.float64():
        np.testing.assert_allclose(single.weight, solved(factors, probability, 6.5).weight, atol=2e-3)


@exact
def test_impossible_input_is_one_clear_error():
    half = np.array([0.5, 0.5])
    for wealth, chance, name in ((1.2, 0.1, "wealth=1.2"), (0.7, 0.0, "chance=0.0")):
        with pytest.raises(ConfigError, match=name):
            risk_exponent(wealth, chance)
    with pytest.raises(ConfigError, match="exponent=0 bounds nothing"):
        solve(EVEN, half, 0.0)
    with pytest.raises(DataError, match="factor -1 of outcome 0, asset 0"):
        solve(np.array([[-1.0, 1.0], [1.0, 1.0]]), half, 1.0)
    with pytest.raises(DataError, match="last asset must be cash"):
        solve(EVEN[:, ::-1], half, 1.0)
    with pytest.raises(DataError, match="sum 1.2"):
        solve(EVEN, np.array([0.6, 0.6]), 1.0)
