"""The rule `funding_carry`: when it enters and leaves, its margin in a rally, the legs of the account, bad input."""

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry, Conditions, Funding, Margin, Market
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Bars
from fxtrade.market import costs
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay

N, EVERY = 480, 8
OPTIONS = {"spot": (0,), "perpetual": (1,), "halflife": 48.0, "holding_bars": 240.0}
carry = RULES["funding_carry"]
RULE = carry(**OPTIONS)


def bars_of(price: np.ndarray) -> Bars:
    """A coin and its perpetual at the same price, which moves from open to close."""
    close = np.stack([price, price], 1).astype(np.float32)
    opened = np.concatenate([close[:1], close[:-1]])
    columns = opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones_like(close)
    return Bars(*columns, np.ones(close.shape, bool), (3600 * np.arange(len(close)) % 604_800).astype(np.int32))


def paid(bps: np.ndarray | float, n: int = N) -> np.ndarray:
    """Rates of the perpetual, in basis points each 8 hours."""
    rates = np.zeros((n, 2))
    rates[::EVERY, 1] = 1e-4 * np.broadcast_to(bps, n)[::EVERY]
    return rates


def held(rates: np.ndarray, **options) -> np.ndarray:
    """Weights of the coin of every row, NaN while it is held."""
    rows = Observation(bars=bars_of(np.full(len(rates), 100.0)), funding=rates)
    made = np.asarray(replay(carry(**OPTIONS | options), rows))
    np.testing.assert_array_equal(made[:, 0], -made[:, 1])
    return made[:, 0]


def test_it_enters_where_the_forecast_pays_the_round_trip_and_the_margin():
    """30 settlements of 1 bp in 240 bars: more than 24 + 5 bp, less than 24 + 12, also right after a settlement."""
    for margin, enters in ((5.0, True), (12.0, False)):
        made = held(paid(1.0), entry_margin_bps=margin)
        assert (made == 0.5).sum() == int(enters)
        assert (made[:47] == 0).all()  # no forecast before the half-life has passed


def test_it_stays_until_the_forecast_falls_below_the_exit():
    rates = paid(np.where(np.arange(N) < 200, 2.0, np.where(np.arange(N) < 300, 0.2, -2.0)))
    made = held(rates)
    last = np.flatnonzero(np.isnan(made))[-1]
    assert (made == 0.5).sum() == 1 and 300 < last < 380 and (made[last + 1 :] == 0).all()
    early = np.flatnonzero(np.isnan(held(rates, exit_bps=30.0)))[-1]
    assert 200 < early < 300


def test_more_frequent_settlements_of_the_same_sum_give_the_same_forecast():
    slow, fast = paid(2.0), np.zeros((N, 2))
    fast[:, 1] = 2e-4 / EVERY
    entries = [np.flatnonzero(held(rates) == 0.5)[0] for rates in (slow, fast)]
    assert abs(entries[0] - entries[1]) < EVERY


def terms(weight_of_cash: float = 0.2) -> Market:
    """The coin is paid in full and backs nothing; the perpetual has a maintenance margin of 5 %."""
    margin = Margin(np.array([0.0, weight_of_cash]), np.array([0.0, 0.05]), np.array([0.0, 1.0]), np.array([0.0, 50.0]))
    return costs.market(6, 0)._replace(margin=margin, carry=Carry(derivative=np.array([0.0, 1.0])))


def traded(rule, price: np.ndarray, rates: np.ndarray):
    conditions = Conditions(Funding(rates, np.zeros_like(rates)))
    return engine.backtest_rule(bars_of(price), rule, terms(), conditions=conditions, capital=1e6, record=True)


def test_a_flat_market_pays_the_funding_less_the_costs():
    result = traded(RULE, np.full(N, 100.0), paid(2.0))
    settled = np.flatnonzero(paid(2.0)[:, 1])
    entry = np.flatnonzero(result.traded.sum(1))[0]
    expected = 0.5 * 2e-4 * (settled > entry).sum() - 2 * 0.5 * 6e-4
    assert result.equity[-1] - 1 == pytest.approx(expected, rel=2e-3)
    assert np.count_nonzero(result.traded) == 2


RALLY = 100 * np.exp(np.clip((np.arange(N) - 100) / 150, 0, 1) * np.log(3.0))  # to three times the price


def test_a_rally_does_not_liquidate_a_pair_that_is_rebalanced():
    """What the coin gains the short loses; without rebalancing the cash is gone before the price has doubled."""
    result = traded(RULE, RALLY, paid(2.0))
    assert result.counts.liquidated == 0 and result.equity[-1] > 1
    assert np.abs(result.weight.sum(1)).max() < 1e-3 and result.weight[:, 0].max() < 0.5 * 1.3
    alone = traded(carry(**OPTIONS, rebalance=100.0), RALLY, paid(2.0))
    assert alone.counts.liquidated == 1


def test_a_liquidated_leg_is_set_again():
    result = traded(carry(**OPTIONS, rebalance=100.0), RALLY, paid(2.0))
    at = int(np.flatnonzero(result.costs["liquidation"].sum(1))[0])
    assert result.weight[at, 1] == 0 and result.weight[at, 0] > 0.5  # unhedged to the end of the bar
    np.testing.assert_allclose(result.weight[at + 1], [0.5, -0.5], atol=0.02)


def test_nothing_before_a_row_depends_on_rates_after_it():
    rates, later = paid(2.0), paid(2.0)
    later[250:] = -5e-3
    before, after = (traded(RULE, RALLY, r) for r in (rates, later))
    for a, b in zip(*(jax.tree.leaves(r._replace(counts=None)) for r in (before, after)), strict=True):
        np.testing.assert_array_equal(a[:250], b[:250])
    assert after.weight[-1, 0] == 0 < before.weight[-1, 0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"spot": (0, 1), "perpetual": (1,)}, "as many different indices"),
        ({"perpetual": (0,)}, "as many different indices"),
        ({"perpetual": (5,)}, "beyond the 2 assets"),
        ({"spot": (), "perpetual": ()}, "there are no pairs; name perpetuals"),
        ({"halflife": 0.0}, "halflife=0.0"),
        ({"weight": -0.5}, "weight=-0.5"),
        ({"exit_bps": 40.0}, "closed when it is opened"),
    ],
)
def test_impossible_options_are_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message):
        held(paid(1.0), **options)


def test_bars_without_funding_are_one_clear_error():
    with pytest.raises(ConfigError, match=r"funding_carry: the rule reads bars and funding rates"):
        engine.backtest_rule(bars_of(RALLY), RULE, terms())
