"""Trading where it pays: the gate on forecasts with a known edge, and the aim portfolio against its own objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Forecast
from fxtrade.data import synth
from fxtrade.market import costs
from fxtrade.risk import cost_aware, sizing
from fxtrade.risk.rule import chain, replay
from tests.helpers.markets import bars
from tests.helpers.refusals import refused

MARKET = costs.market(fee_bps=10, half_spread_bps=1)
COST = costs.cost_per_value(MARKET)


@pytest.fixture(scope="module")
def market():
    return synth.simulate(synth.SynthSpec(bars=3_000, assets=2, half_spread=0.0))


def forecast_of(market) -> Forecast:
    """What the simulation knows of the next bar: the probability exactly, and the mean return by the usual size."""
    up = np.asarray(market.edge, np.float32)
    mean = (2 * up - 1) * market.spec.volatility * np.float32(np.sqrt(2 / np.pi))
    return Forecast(np.stack([1 - up, up], -1), np.ones(up.shape, bool), mean, np.full_like(mean, 0.008))


@pytest.mark.parametrize("gain", ["edge", "mu"])
def test_a_gate_trades_less_and_earns_more_after_costs(market, gain):
    forecast = forecast_of(market)

    def backtest(margin):
        keep = jnp.where(margin < 0, jnp.inf, 0.0)
        gate = cost_aware.cost_gate(cost_per_value=COST, margin=margin, keep_margin=keep, gain=gain)
        result = engine.run_rule(market.bars, chain(sizing.proportional(), gate), MARKET, forecast=forecast)
        return result.traded.sum(), result.equity[-1]

    turnover, equity = jax.jit(jax.vmap(backtest))(jnp.array([-1e9, 0.5, 1.0, 2.0]))  # the first lets all through
    assert (turnover[1:] < 0.95 * turnover[:-1]).all() and turnover[1] > 0
    assert max(equity[1:]) > equity[0]


def test_the_gate_passes_what_gains_more_than_the_round_trip_and_no_more():
    """Targets of 1 and means about the level, held nothing; then a position that shrinks and one that reverses."""
    mean = np.array([0.0021, 0.0023, -0.0023, 0.003])[:, None]
    seen = Forecast(np.full((4, 1, 2), 0.5), np.ones((4, 1), bool), mean, 0.01 + 0 * mean)
    target = np.array([1.0, 1.0, 0.4, -0.5])[:, None]
    rule = cost_aware.cost_gate(cost_per_value=0.0011, gain="mu")
    still = bars(4, 1, volatility=0.0)
    result = engine.backtest_rule(still, rule, costs.market(0), forecast=seen, target=target)
    # 0.0021 < 0.0022; then it buys; the forecast turns against it, so that it sells a part; the reversal does not pay
    np.testing.assert_allclose(result.weight[:, 0], [0, 0, 1.0, 0.4], atol=1e-9)


def test_a_position_is_kept_while_the_forecast_is_not_against_it():
    mean = np.array([0.01, 0.0005, 0.0005, -0.0001, 0.0])[:, None]
    ok = np.array([1, 1, 1, 1, 0], bool)[:, None]
    seen = Forecast(np.full((5, 1, 2), 0.5), ok, mean, 0.01 + 0 * mean)
    target = np.array([1.0, 0.0, 0.0, 0.0, 0.0])[:, None]
    still = bars(5, 1, volatility=0.0)

    def weights(**options):
        rule = cost_aware.cost_gate(gain="mu", **options)
        return engine.backtest_rule(still, rule, costs.market(0), forecast=seen, target=target).weight[:, 0]

    np.testing.assert_allclose(weights(keep_margin=0.0), [0, 1, 1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(weights(keep_margin=0.2), [0, 1, 1, 1, 0], atol=1e-9)
    np.testing.assert_allclose(weights(keep_margin=0.3), [0, 1, 0, 0, 0], atol=1e-9)


def test_what_the_gate_needs_is_named():
    seen = Observation(Forecast(np.full((4, 1, 2), 0.5), np.ones((4, 1), bool)), bars(4, 1))
    with pytest.raises(ConfigError, match="no forecast with mu"):
        replay(cost_aware.cost_gate(gain="mu"), seen)
    with pytest.raises(ConfigError, match="no forecast with edge"):
        replay(cost_aware.cost_gate(), Observation(bars=bars(4, 1)))
    with pytest.raises(ConfigError, match="reads the account"):
        replay(cost_aware.cost_gate(), seen)
    for options, message in (
        ({"cost_per_value": np.nan}, "cost_per_value=nan"),
        ({"keep_margin": -1.0}, "keep_margin=-1.0"),
        ({"gain": "profit"}, "gain='profit'"),
        ({"horizon": 0}, "horizon=0"),
    ):
        with refused(ConfigError, message):
            cost_aware.cost_gate(**options)


@pytest.mark.parametrize("discount", [0.0, 0.02])
def test_the_trading_rate_is_the_fixed_point_of_the_value_function(discount):
    for cost in (0.0, 1e-6, 0.5, 30.0, 1e5):
        rate = float(cost_aware.trading_rate(1.5, cost, discount))
        slope = (1 - discount) * (1.5 + rate * cost)
        np.testing.assert_allclose(rate, slope / (cost + slope), rtol=2e-5)


def utility(rate_scale: float, front_scale: float) -> float:
    """Mean utility of the paper's objective per bar, of a signal that decays by half in 8 bars, by simulation."""
    rng, g, cost, halflife, variance = np.random.default_rng(0), 2.0, 20.0, 8.0, 1.0
    keep = 0.5 ** (1 / halflife)
    rate = float(cost_aware.trading_rate(g, cost, 0.0))
    front = 1 / (1 + (1 - keep) * rate * cost / g)
    signal, held, total = np.zeros(2_000), np.zeros(2_000), 0.0
    for t in range(400):
        signal = keep * signal + rng.standard_normal(2_000)
        markowitz = signal / (g * variance)
        after = held + rate * rate_scale * (front * front_scale * markowitz - held)
        gained = after * signal - g / 2 * after**2 * variance - cost / 2 * (after - held) ** 2 * variance
        held, total = after, total + gained.mean() * (t >= 100)
    return total / 300


def test_the_rate_and_the_aim_maximise_the_objective():
    best = utility(1.0, 1.0)
    for rate, front in ((0.7, 1.0), (1.4, 1.0), (1.0, 0.75), (1.0, 1.3), (0.7, 1.3)):
        assert utility(rate, front) < best


def test_the_aim_reaches_a_constant_target_that_lasts():
    market = bars(200, 1, volatility=1e-6)
    rule = cost_aware.aim(cost=10.0, signal_halflife=1e9)
    weight = engine.backtest_rule(market, rule, costs.market(0), target=np.full((200, 1), 0.5)).weight[:, 0]
    rate = float(cost_aware.trading_rate(1.0, 10.0, 0.0))
    np.testing.assert_allclose(weight, 0.5 * (1 - (1 - rate) ** np.arange(200)), atol=1e-4)
