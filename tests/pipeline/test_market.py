"""Terms of trade that differ from asset to asset: the market of a config against the same one built by hand."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.codec import from_jsonable
from fxtrade.core.config import RunConfig
from fxtrade.core.config_dict import freeze, to_config_dict
from fxtrade.core.errors import ConfigError
from fxtrade.core.files import to_jsonable
from fxtrade.core.market_types import Carry, Margin, Market, OrderLimits
from fxtrade.core.trade_config import AssetConfig, TradeConfig
from fxtrade.data.panel import Panel
from fxtrade.evaluate import trading
from fxtrade.market import carry, fees
from fxtrade.pipeline.build import build_terms
from fxtrade.pipeline.market import build_market
from fxtrade.runs import provenance
from tests.helpers import markets
from tests.helpers.bar_files import START

HOUR = 3600 * 10**9
N, SYMBOLS = 300, ("SPOT", "PERP")
HEDGE = TradeConfig(
    costs={"fee": {"rate_bps": 10.0, "maker_bps": 8.0}, "half_spread": {"rate_bps": 1.0}},
    margin={"initial": 0, "collateral": 0},
    limits={"lot": 0.001, "min_notional": 1},
    capital=1e4,
    carry={"borrow": 0.1, "interest": 0.05},
    assets={
        "PERP": {
            "costs": {"fee": {"rate_bps": 5, "maker_bps": 2}},
            "margin": {"initial": 0.2, "maintenance": 0.05, "collateral": 1, "fee_bps": 50},
            "limits": {"lot": 0.01},
            "carry": {"derivative": True},
        }
    },
)


def by_hand() -> Market:
    return Market(
        {
            "fee": {"rate_bps": np.array([10.0, 5.0]), "maker_bps": np.array([8.0, 2.0])},
            "half_spread": {"rate_bps": np.float64(1)},
        },
        np.int32(0),
        Margin(np.array([0.0, 0.2]), np.array([0.0, 0.05]), np.array([0.0, 1.0]), np.array([0.0, 50.0])),
        OrderLimits(lot=np.array([0.001, 0.01]), min_notional=np.float64(1)),
        Carry(
            carry.per_bar(np.float64(0.1), HOUR), carry.per_bar(np.float64(0.05), HOUR), derivative=np.array([0.0, 1.0])
        ),
    )


def panel(symbols: tuple[str, ...] = SYMBOLS) -> Panel:
    return Panel(markets.bars(N), START * 10**9 + HOUR * np.arange(N), symbols, HOUR, "random")


def same(one: Market, other: Market) -> bool:
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        np.shape(a) == np.shape(b) and np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def test_the_market_is_that_built_by_hand():
    assert same(build_market(HEDGE, HOUR, SYMBOLS), by_hand())
    swapped = build_market(HEDGE, HOUR, SYMBOLS[::-1])
    np.testing.assert_array_equal(swapped.costs["fee"]["rate_bps"], [5, 10])


def test_a_backtest_is_that_of_the_market_built_by_hand():
    bars = panel()
    target = np.where(np.arange(N)[:, None] % 9 == 0, [[0.4, -0.5]], np.nan) * np.sign(np.sin(np.arange(N)))[:, None]
    terms = build_terms(HEDGE, bars)
    made, expected = terms.backtest(bars.bars, target), engine.backtest(bars.bars, target, by_hand(), capital=1e4)
    np.testing.assert_array_equal(made.equity, expected.equity)
    common = build_terms(TradeConfig(costs=HEDGE.costs, capital=1e4), bars).backtest(bars.bars, target)
    paid = made.costs["fee"].sum(0) / made.traded.sum(0) * 1e4
    assert paid == pytest.approx([10, 5], rel=1e-3)
    assert common.costs["fee"].sum(0) / common.traded.sum(0) * 1e4 == pytest.approx([10, 10], rel=1e-3)
    assert made.costs["borrow"][:, 0].sum() > 0 and not made.costs["borrow"][:, 1].any()


def test_terms_that_are_those_of_all_change_nothing():
    plain = TradeConfig(margin={"initial": 0.1}, limits={"lot": 1}, carry={"borrow": 0.1}, fee_schedule="binance_spot")
    again = {"margin": {"initial": 0.1}, "limits": {"lot": 1}, "carry": {"borrow": 0.1}, "fee_schedule": "binance_spot"}
    named = TradeConfig(**again, assets={"SPOT": again, "PERP": {}})
    assert same(build_market(named, HOUR, SYMBOLS), build_market(plain, HOUR))


def test_without_maintenance_margin_no_asset_is_liquidated():
    assets = {"PERP": {"margin": {"initial": 0.2}}}
    found = build_market(TradeConfig(margin={"initial": 0}, assets=assets), HOUR, SYMBOLS)
    assert found.margin.maintenance is None
    np.testing.assert_array_equal(found.margin.initial, [0, 0.2])


def test_each_asset_has_its_schedule():
    names = {"SPOT": "binance_spot", "PERP": "binance_usdt_futures"}
    config = TradeConfig(assets={symbol: {"fee_schedule": name} for symbol, name in names.items()})
    market = build_market(config, HOUR, SYMBOLS)
    assert market.costs.keys() == {"tiered_fee", "half_spread"}
    expected = fees.per_asset([fees.SCHEDULES[name] for name in names.values()])
    assert all(map(np.array_equal, market.fees, expected))
    bars = panel()
    made = build_terms(config, bars).backtest(bars.bars, np.full((N, 2), [0.3, -0.3]))
    assert made.costs["tiered_fee"].sum(0) / made.traded.sum(0) * 1e4 == pytest.approx([10, 5], rel=1e-3)


def test_other_fees_and_latencies_keep_the_terms_of_each_asset():
    grid, names = trading._grid(build_market(HEDGE, HOUR, SYMBOLS))
    assert grid.margin.initial.shape == (len(names), 2) and grid.carry.interest.shape == (len(names),)
    bars = panel()
    target = np.full((N, 2), [0.3, -0.3])
    made = engine.stress(bars.bars, target, grid, capital=1e4)
    free = by_hand()._replace(costs={"fee": {"rate_bps": np.float64(0)}})
    np.testing.assert_allclose(
        made.equity[names.index((0, 0))], engine.backtest(bars.bars, target, free, capital=1e4).equity, rtol=1e-12
    )


def test_the_config_goes_through_json_and_a_config_dict():
    config = RunConfig(features={"log_return": {}}, trade=HEDGE)
    text = json.dumps(to_jsonable(config))
    assert freeze(json.loads(text)) == config and freeze(to_config_dict(config)) == config
    assert from_jsonable(TradeConfig, to_jsonable(HEDGE), "trade") == HEDGE
    assert from_jsonable(TradeConfig, {}, "trade").assets == {}  # of earlier versions
    assert HEDGE.assets["PERP"].margin["initial"] == 0.2 and isinstance(HEDGE.assets["PERP"], AssetConfig)
    assert hash(HEDGE) is not None and HEDGE != TradeConfig()
    plain = RunConfig(features={"log_return": {}})
    assert provenance.config_hash(config) != provenance.config_hash(plain)


@pytest.mark.parametrize(
    "assets, message",
    [
        ({"PERPS": {}}, "config.trade.assets: there is no symbol 'PERPS'; did you mean 'PERP'"),
        ({"PERP": {"cost": {}}}, "assets.PERP has no key 'cost'; did you mean 'costs'"),
        ({"PERP": {"margin": {"initail": 0.1}}}, "assets.PERP.margin has no key 'initail'; did you mean 'initial'"),
        ({"PERP": {"margin": {"initial": -1}}}, "assets.PERP.margin.initial must be at least 0 or None, got -1"),
        (
            {"PERP": {"margin": {"initial": 0.1, "maintenance": 0.2}}},
            r"assets.PERP.margin.initial must be at least maintenance \(0.2\), got 0.1",
        ),
        ({"PERP": {"costs": {"fees": {}}}}, "config.trade.assets.PERP.costs: there is no cost 'fees'; did you mean"),
        ({"PERP": {"costs": {"fee": {"rate": 5}}}}, "assets.PERP.costs: cost 'fee' has no option 'rate'; did you mean"),
        ({"PERP": {"costs": {"fee": 5}}}, "assets.PERP.costs.fee must be a group of keys, got 5"),
        ({"PERP": {"fee_schedule": "binance"}}, "assets.PERP.fee_schedule: there is no schedule 'binance'; did you"),
        (
            {"PERP": {"fee_schedule": "binance_spot", "costs": {"fee": {"rate_bps": 5}}}},
            "assets.PERP.costs.fee must be left out beside fee_schedule",
        ),
        (
            {"PERP": {"fee_schedule": "binance_spot", "costs": {"fee": {"rate_bps": 10.0}}}},
            "assets.PERP.costs.fee must be left out beside fee_schedule = 'binance_spot', got {'rate_bps': 10.0}",
        ),
        ({"PERP": {"carry": {"interest": 0.1}}}, "assets.PERP.carry must not have interest, which is on the account's"),
        ({"PERP": {"carry": {"derivate": 1}}}, "assets.PERP.carry has no key 'derivate'; did you mean 'derivative'"),
        (
            {"PERP": {"margin": {"initial": 0.1}}},
            "config.trade.margin.initial: SPOT has none, but other assets have; give config.trade.margin.initial, which"
            " is that of all assets without their own, or config.trade.assets.SPOT.margin.initial",
        ),
        ({"SPOT": {"limits": {"lot": 0.1}}}, "config.trade.limits.lot: PERP has none"),
        ({"SPOT": {"costs": {"slippage": {}}}}, "config.trade.costs.slippage: PERP has none"),
        ({"SPOT": {"costs": {"fee": {"maker_bps": 1}}}}, "config.trade.costs.fee.maker_bps: PERP has none"),
        ({"SPOT": {"fee_schedule": "binance_spot"}}, "config.trade.fee_schedule: PERP has none"),
    ],
)
def test_what_does_not_fit_is_named(assets, message):
    with pytest.raises(ConfigError, match=message):
        build_market(TradeConfig(assets=assets), HOUR, SYMBOLS)


def test_a_fee_of_all_assets_is_named_where_it_stands():
    assets = {symbol: {"fee_schedule": "binance_spot"} for symbol in SYMBOLS}
    message = "^costs.fee must be left out beside assets.SPOT.fee_schedule = 'binance_spot', got {'rate_bps': 5.0}"
    with pytest.raises(ConfigError, match=message):
        TradeConfig(costs={"fee": {"rate_bps": 5.0}}, assets=assets)


def test_terms_by_asset_need_symbols():
    with pytest.raises(ConfigError, match="terms by asset need the symbols of the bars; give Panel.symbols"):
        build_market(HEDGE, HOUR)
