"""The keys of `config.trade` reach the engine: market, policy, conditions and orders of a config."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry, Conditions, ExecutionPolicy, Margin, OrderLimits
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trade_config import SpreadConfig, TradeConfig
from fxtrade.data.panel import Panel
from fxtrade.features.spread import ESTIMATORS
from fxtrade.market import carry, costs, fees
from fxtrade.pipeline import build
from fxtrade.pipeline.market import build_costs, build_market
from fxtrade.pipeline.strategy import Strategy, build_rule
from fxtrade.runs import provenance
from tests.helpers import markets
from tests.helpers.bar_files import START, write

HOUR = 3600 * 10**9
N, SYMBOLS = 300, ("BTC", "PERP")


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel(markets.bars(N), START * 10**9 + HOUR * np.arange(N), SYMBOLS, HOUR, "random")


def equal(one, other) -> bool:
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other))
    )


def test_the_defaults_are_the_engine_s_and_leave_the_hash_of_a_config_as_it_was(panel):
    config = TradeConfig()
    terms = build.build_terms(config, panel)
    assert equal(terms.market, costs.market(10, 1)) and terms.policy == ExecutionPolicy()
    assert terms[2:] == (Conditions(), 1.0, "")
    assert provenance.config_hash(RunConfig(features={"log_return": {}})) == "6fbb6c328d8db853"  # of version 0.1.0
    assert hash(config) == hash(TradeConfig())


def test_every_group_becomes_its_part_of_the_market():
    config = TradeConfig(
        costs={"fee": {"rate_bps": 10.0}, "slippage": {"rate_bps": 2.0}},
        fee_schedule="binance_usdt_futures",
        margin={"initial": 0.1, "maintenance": 0.05, "collateral": 0.9, "fee_bps": 50.0},
        limits={"lot": 0.001, "participation": 0.1},
        carry={"borrow": 0.0365, "interest": 0.073, "derivative": True},
    )
    market = build_market(config, HOUR)
    assert market.costs.keys() == {"tiered_fee", "slippage"}
    assert market.fees is fees.SCHEDULES["binance_usdt_futures"]
    assert market.margin == Margin(0.1, 0.05, 0.9, 50.0)
    assert market.limits == OrderLimits(lot=0.001, participation=0.1)
    assert market.carry == Carry(carry.per_bar(0.0365, HOUR), carry.per_bar(0.073, HOUR), 1.0)
    assert market.carry.borrow == pytest.approx(1e-4 / 24)
    assert build_market(TradeConfig(carry={"borrow": 0.1}), HOUR).carry.interest == 0


def test_the_policy_has_every_choice():
    given = ExecutionPolicy("fill", "haircut", 0.3, "random", 7, "next_bar")
    assert build.build_policy(TradeConfig(**given._asdict())) == given


def test_a_bracket_is_attached_to_every_order(panel):
    target = np.where(np.arange(N)[:, None] % 9 == 0, 0.4, np.nan) * [1, -1]
    config = TradeConfig(rules=None, bracket={"stop": 0.01, "target": 0.02})
    strategy = Strategy(build_rule(config), target)
    order = strategy.targets(panel.bars)
    assert order.bracket.trailing is order.bracket.break_even is None
    whole = np.full(target.shape, 1.0)
    by_hand = Order(target, bracket=Bracket(0.01 * whole, 0.02 * whole))
    terms = build.build_terms(TradeConfig(), panel)
    found, expected = (terms.backtest(panel.bars, x, record=True) for x in (strategy, by_hand))
    np.testing.assert_array_equal(found.equity, expected.equity)
    assert {1, 2} <= set(found.executions.reason[found.executions.units != 0].tolist())  # stops and targets were hit


@pytest.mark.parametrize("given", [{"symbols": ("PERP",)}, {"files": {"PERP": "BTC"}}, {}])
def test_funding_is_that_of_the_files(panel, tmp_path, given):
    name = "BTC" if given.get("files") else "PERP"
    hours = np.arange(0, N, 8)
    write(tmp_path / f"{name}.parquet", {"timestamp": START + 3600 * hours, "funding_rate": 1e-4 * (1 + hours % 3)})
    config = TradeConfig(funding={"path": str(tmp_path), **given}, costs={})
    terms = build.build_terms(config, panel)
    rate = np.zeros((N, 2))
    rate[hours, 1] = 1e-4 * (1 + hours % 3)
    np.testing.assert_array_equal(terms.conditions.funding.at_open, rate)
    assert terms.funding == str(tmp_path)
    target = np.full((N, 2), 0.5)
    paid = terms.backtest(panel.bars, target).costs["funding"]
    assert paid[:, 1].sum() > 0 and not paid[:, 0].any()
    by_hand = engine.backtest(panel.bars, target, costs.build({}), conditions=terms.conditions)
    np.testing.assert_array_equal(paid, by_hand.costs["funding"])


def test_the_quoted_spread_is_that_of_the_last_book_before_the_bar(panel):
    book = panel.bars.book
    gap = np.arange(N) % 7 == 3
    bid, ask = (np.where(gap[:, None, None], np.float32(np.nan), x) for x in (book.bid_price, book.ask_price))
    bars = panel.bars.replace(book=book.replace(bid_price=bid, ask_price=ask))
    config = TradeConfig(costs={"quoted_spread": {}})
    found = build.build_conditions(config, dataclasses.replace(panel, bars=bars))[0].spread
    expected, last = np.full((N, 2), np.nan), np.full(2, np.nan)
    for row in range(N):
        expected[row] = last
        mid = (np.float64(bid[row, :, 0]) + ask[row, :, 0]) / 2
        last = np.where(np.isnan(mid), last, (np.float64(ask[row, :, 0]) - bid[row, :, 0]) / mid)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[0]).all() and np.isfinite(found[1:]).all()
    with pytest.raises(ConfigError, match="quoted_spread needs order books, .* use half_spread"):
        build.build_conditions(config, dataclasses.replace(panel, bars=panel.bars.replace(book=None)))


def test_the_quoted_spread_of_the_costs_of_each_asset(panel):
    costs, target = {"quoted_spread": {}}, np.tile([[0.5, 0.1]], (N, 1))
    own = TradeConfig(costs={}, assets={symbol: {"costs": costs} for symbol in SYMBOLS})
    terms = (build.build_terms(config, panel) for config in (own, TradeConfig(costs=costs)))
    found, expected = (made.backtest(panel.bars, target) for made in terms)
    np.testing.assert_array_equal(found.costs["quoted_spread"], expected.costs["quoted_spread"])
    assert found.costs["quoted_spread"].any()
    with pytest.raises(ConfigError, match="config.trade.assets.BTC.costs: quoted_spread needs order books"):
        build.build_conditions(own, dataclasses.replace(panel, bars=panel.bars.replace(book=None)))


@pytest.mark.parametrize("estimator", ["roll", "corwin_schultz", "abdi_ranaldo", "edge"])
def test_the_estimated_spread_is_that_of_the_bars_before(panel, estimator):
    config = TradeConfig(costs={"quoted_spread": {}}, spread=SpreadConfig(estimator, window=16))
    found = build.build_conditions(config, panel)[0].spread
    assert np.isnan(found[:16]).all() and np.isfinite(found[16:]).all() and (found[16:] >= 0).all()
    prices = [np.asarray(x, np.float64) for x in (panel.bars.open, panel.bars.high, panel.bars.low, panel.bars.close)]
    with compat.float64():
        for row in (16, 40, N - 1):
            square = ESTIMATORS[estimator](*(price[row - 16 : row] for price in prices), 16)
            np.testing.assert_allclose(found[row], np.sqrt(np.maximum(square[0], 0)), rtol=1e-6, atol=1e-9)
    later = panel.bars.replace(close=np.where(np.arange(N)[:, None] >= 40, panel.bars.high, panel.bars.close))
    changed = build.build_conditions(config, dataclasses.replace(panel, bars=later))[0].spread
    np.testing.assert_array_equal(changed[:41], found[:41])
    charged = (
        build.build_terms(config, panel).backtest(panel.bars, np.tile([[0.5, 0.1]], (N, 1))).costs["quoted_spread"]
    )
    assert charged.sum() > 0


def test_the_loss_pays_the_first_tier_of_a_schedule():
    def cost(**trade):
        return costs.cost_per_value(build_costs(TradeConfig(**trade)))

    assert cost(fee_schedule="binance_usdt_futures") == pytest.approx(
        cost(costs={"fee": {"rate_bps": 5}, "half_spread": {}})
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"fee_schedule": "binance"}, "fee_schedule: there is no schedule 'binance'; did you mean 'binance_spot'"),
        (
            {"fee_schedule": "binance_spot", "costs": {"fee": {"rate_bps": 5}}},
            "costs.fee must be left out beside fee_sch",
        ),
        ({"costs": {"tiered_fee": {}}}, "tiered_fee needs config.trade.fee_schedule"),
        (
            {"margin": {"initial": 0.1, "maintenance": 0.2}},
            r"margin.initial must be at least maintenance \(0.2\), got 0.1",
        ),
        ({"margin": {"collateral": 2.0}}, "collateral must be at least 0 and at most 1"),
        ({"limits": {"lot": 0.0}}, "lot must be above 0 or None"),
        ({"carry": {"borrow": 0.1}}, "config.trade.carry: annual rates need the interval"),
        ({"funding": {"symbols": ("A",), "files": {"A": "B"}}}, "symbols must be None beside files"),
        ({"bracket": {"stop": 1.5}}, "stop must be above 0 and below 1 or None, got 1.5"),
        ({"delisted": "sell"}, "delisted must be 'mark', 'close', 'haircut' or 'zero', got 'sell'"),
        ({"path": "best"}, "path must be 'pessimistic', .* got 'best'"),
        ({"haircut": 1.5}, "haircut must be"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_market(TradeConfig(**changes))
