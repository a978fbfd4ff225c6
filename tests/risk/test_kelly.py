"""Kelly stakes against published numbers, numerical optima and simulations of what estimates cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.risk import kelly

MEAN = np.array([0.01, 0.02, 0.0, 0.015])


@pytest.fixture(autouse=True)
def in_float64():
    with compat.float64():
        yield


def covariance(assets: int = 4, seed: int = 0) -> np.ndarray:
    root = 0.03 * np.random.default_rng(seed).standard_normal((assets, assets))
    return root @ root.T + 0.01 * np.eye(assets)


@pytest.mark.parametrize(
    "p, odds, stake", [(0.53, 1, 0.06), (0.55, 1.2, 0.175), (0.6, 1, 0.2), (0.5, 1, 0), (0, 1, -1)]
)
def test_stakes_of_binary_bets(p, odds, stake):
    assert kelly.binary(p, odds) == pytest.approx(stake, abs=1e-12)


def test_growth_of_a_binary_bet():
    assert kelly.binary_growth(0.06, 0.53) == pytest.approx(0.001801, abs=5e-7)
    assert kelly.binary_growth(0.0, 0.53) == 0
    assert kelly.binary_growth(1.0, 0.53) == -np.inf
    assert kelly.binary_growth(1.0, 1.0) == pytest.approx(np.log(2))


@given(st.floats(0.05, 0.95), st.floats(0.1, 20))
def test_the_stake_is_where_the_growth_is_largest(p, odds):
    with compat.float64():
        best = float(kelly.binary(p, odds))
        low, high = -1 / odds, 1.0  # beyond which all can be lost
        found = optimize.minimize_scalar(
            lambda f: -float(kelly.binary_growth(f, p, odds)),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert low < best < high
        assert best == pytest.approx(found.x, abs=1e-4 * (high - low))
        assert jax.grad(kelly.binary_growth)(best, p, odds) == pytest.approx(0, abs=1e-9)


def test_continuous_and_multivariate_weights_are_where_the_growth_is_largest():
    sigma, rate = covariance(), 0.003
    weight = kelly.multivariate(MEAN, sigma, rate)
    np.testing.assert_allclose(jax.grad(kelly.growth)(weight, MEAN, sigma, rate), 0, atol=1e-14)
    np.testing.assert_allclose(weight, np.linalg.inv(sigma) @ (MEAN - rate), rtol=1e-10)
    assert kelly.continuous(0.08, 0.04, 0.02) == pytest.approx(1.5)
    one = kelly.multivariate(np.array([0.08]), np.array([[0.04]]), 0.02)
    np.testing.assert_allclose(one, [1.5])


def test_fractions_of_the_weights_have_less_growth_and_twice_them_none():
    sigma = covariance()
    full = kelly.multivariate(MEAN, sigma)
    for c in (0.25, 0.5, 1.0, 2.0):
        share = kelly.growth(c * full, MEAN, sigma) / kelly.growth(full, MEAN, sigma)
        assert share == pytest.approx(float(kelly.fractional_growth(c)), abs=1e-12)
    assert kelly.fractional_growth(0.5) == 0.75 and kelly.fractional_growth(2) == 0


def test_the_stake_of_the_posterior_mean_has_the_largest_expected_growth():
    wins, bets, prior = 58, 100, (2.0, 2.0)
    p = np.random.default_rng(0).beta(prior[0] + wins, prior[1] + bets - wins, 200_000)
    stake = float(kelly.binary(kelly.posterior_probability(wins, bets, prior)))
    growth = [float(np.mean(kelly.binary_growth(f, p))) for f in (0.9 * stake, stake, 1.1 * stake)]
    assert growth[1] == max(growth)
    assert stake < kelly.binary(wins / bets)


def test_shrunk_stakes_grow_faster_where_the_probability_is_an_estimate():
    """Estimates of p = 0.55 from 100 bets: the plain stake loses on average, the shrunk one gains the most of all."""
    p, bets = 0.55, 100
    estimate = np.random.default_rng(1).binomial(bets, p, 20_000) / bets
    plain = np.asarray(kelly.binary(estimate))
    factor = float(kelly.shrinkage(kelly.binary(p), 2 * np.sqrt(p * (1 - p) / bets)))
    assert factor == pytest.approx(0.1**2 / (0.1**2 + 4 * 0.2475 / 100))
    growth = {c: float(np.mean(kelly.binary_growth(c * plain, p))) for c in (0.3, factor, 0.7, 1.0)}
    assert max(growth, key=growth.get) == factor and growth[1.0] < 0 < growth[factor]
    assert kelly.shrinkage(0.0, 0.0) == 1 and kelly.shrinkage(0.0, 1.0) == 0


def test_predictive_and_two_fund_weights_grow_faster_out_of_sample():
    rng, sigma, rows, total = np.random.default_rng(0), covariance(), 120, np.zeros(3)
    rules = jax.jit(
        lambda m, s: jnp.stack([jnp.linalg.solve(s, m), kelly.predictive(m, s, rows), kelly.two_fund(m, s, rows)])
    )
    for _ in range(200):
        sample = rng.multivariate_normal(MEAN, sigma, rows)
        weights = rules(sample.mean(0), np.cov(sample.T, ddof=0))
        total += [float(kelly.growth(w, MEAN, sigma)) for w in weights]
    plain, predicted, shrunk = total / 200
    best = float(kelly.growth(kelly.multivariate(MEAN, sigma), MEAN, sigma))
    assert plain < predicted < shrunk < best


def test_the_predictive_covariance_is_that_of_a_student_distribution():
    """Of draws of the parameters from the posterior, and of a return given them (Zellner & Chetty 1965)."""
    from scipy import stats

    rows, sigma = 30, np.array([[0.04]])
    scale = rows * sigma[0, 0]  # inverse Wishart with rows - 1 degrees of freedom, Jeffreys' prior
    drawn = stats.invgamma.rvs((rows - 1) / 2, scale=scale / 2, size=400_000, random_state=0)
    returns = np.random.default_rng(0).standard_normal(400_000) * np.sqrt(drawn * (1 + 1 / rows))
    ratio = kelly.predictive(np.array([0.01]), sigma, rows) / kelly.multivariate(np.array([0.01]), sigma)
    np.testing.assert_allclose(ratio, [sigma[0, 0] / returns.var()], rtol=0.01)


def test_two_fund_weights_against_the_formula_by_quadrature():
    from scipy import integrate

    rows, sigma = 60, covariance()
    n, square = 4, float(MEAN @ np.linalg.solve(sigma, MEAN))
    end = square / (1 + square)
    beta = integrate.quad(lambda u: u ** (n / 2 - 1) * (1 - u) ** ((rows - n) / 2 - 1), 0, end, epsabs=1e-14)[0]
    known = ((rows - n - 2) * square - n) / rows
    known += 2 * square ** (n / 2) * (1 + square) ** (-(rows - 2) / 2) / (rows * beta)
    c = (rows - n - 1) * (rows - n - 4) / (rows * (rows - 2)) * known / (known + n / rows)
    np.testing.assert_allclose(
        kelly.two_fund(MEAN, sigma, rows), c * np.asarray(kelly.multivariate(MEAN, sigma)), rtol=1e-7
    )
    assert 0 < c < 1


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: kelly.binary(1.2), ConfigError, "probability=1.2 .* share in"),
        (lambda: kelly.binary(np.array([0.5, -0.1])), ConfigError, "probability=-0.1"),
        (lambda: kelly.binary(0.5, 0.0), ConfigError, "odds=0.0 .* positive gain"),
        (lambda: kelly.continuous(0.1, 0.0), ConfigError, "variance=0.0"),
        (lambda: kelly.posterior_probability(5, 4), ConfigError, "wins=5.0"),
        (lambda: kelly.posterior_probability(1, 4, (0.0, 1.0)), ConfigError, "prior="),
        (lambda: kelly.multivariate(np.full(2, 0.1), np.ones((2, 2))), DataError, "not positive definite"),
        (lambda: kelly.multivariate(np.full(2, 0.1), np.diag([1.0, -1])), DataError, "not positive definite"),
        (lambda: kelly.predictive(np.full(2, 0.1), np.eye(2), 4), DataError, "4 observations .* more than 4"),
        (lambda: kelly.two_fund(np.full(2, 0.1), np.eye(2), 6), DataError, "more than 6"),
    ],
)
def test_impossible_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_all_are_one_program():
    p = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(jax.jit(jax.vmap(kelly.binary))(p), kelly.binary(p), rtol=1e-12)
    sigmas = np.stack([covariance(seed=s) for s in range(3)])
    batch = jax.jit(jax.vmap(lambda s: kelly.two_fund(MEAN, s, 100)))(sigmas)
    np.testing.assert_allclose(batch, [kelly.two_fund(MEAN, s, 100) for s in sigmas], rtol=1e-9)
