"""The names of `import fxtrade as fx`."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest

import fxtrade as fx
from fxtrade import labels
from fxtrade.backtest import engine
from fxtrade.core import stream
from fxtrade.core.config import LabelConfig, ScalerConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Margin
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.types import Bars, Features, Forecast
from fxtrade.market import costs
from fxtrade.models.tcn import TCN
from fxtrade.risk import RULES
from fxtrade.risk.rule import traced
from tests.helpers.bar_files import columns, write
from tests.helpers.book_tables import snapshots


@pytest.fixture(scope="module")
def panel():
    return fx.simulate(bars=300, assets=2, interval="1h")


def test_importing_is_cheap_and_every_name_exists():
    code = (
        "import sys, fxtrade as fx\n"
        "heavy = {'jax', 'numpy', 'polars', 'flax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(getattr(fx, name) is not None for name in dir(fx))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'; it has Panel, backtest, build_features"):
        fx.nothing  # noqa: B018


def test_from_bars_to_a_backtest(panel):
    made = fx.build_features(panel, {"log_return": {"horizons": (1, 5)}})
    assert isinstance(made, Features) and made.names == ("log_return_1", "log_return_5")
    scaled = ScalerConfig(halflife=20.0)
    other = fx.build_features(panel.bars, {"log_return": {"horizons": (1, 5)}}, scaled)
    assert other.ok.any() and not np.array_equal(other.x, made.x) and other.names == made.names
    target = np.sign(made.x[..., 0]) / 2
    result = fx.backtest(panel, target, fee_bps=5, half_spread_bps=2, latency=1)
    same = engine.backtest(panel.bars, target, costs.market(5, 2, 1))
    np.testing.assert_array_equal(result.equity, same.equity)
    for kind in (pd.DataFrame, pl.DataFrame):
        np.testing.assert_array_equal(fx.backtest(panel.bars, kind(target), 5, 2, 1).equity, same.equity)
        frame = kind({"SIM1": target[:, 1], "SIM0": target[:, 0]})  # by name, whatever the order
        np.testing.assert_array_equal(fx.backtest(panel, frame, 5, 2, 1).equity, same.equity)
    r = fx.metrics.returns.returns_from_equity(result.equity)
    assert fx.metrics.summary(r, 365 * 24).total_return == pytest.approx(result.equity[-1] - 1)


def test_files_and_models(tmp_path):
    assert fx.read_bars(write(tmp_path / "A.csv", columns())).symbols == ("A",)
    assert isinstance(fx.build_model("tcn", {"channels": 8}), TCN)


def test_order_books(tmp_path):
    path = write(tmp_path / "A.csv", snapshots(range(0, 4000, 500), range(100, 108)))
    assert fx.read_books(tmp_path, clock="1s").bars.book.bid_price.shape == (4, 1, 2)
    with pytest.raises(DataError, match=f"{path}: it holds an order book, not bars; read it with fxtrade.read_books"):
        fx.read_bars(tmp_path)
    with pytest.raises(DataError, match="B.csv: it has no order book, .*; read bars with fxtrade.read_bars"):
        fx.read_books(write(tmp_path / "B.csv", columns()))


class TestWrongKinds:
    def test_a_panel_in_place_of_bars(self, panel):
        target = np.zeros((300, 2))
        for call in (
            lambda: engine.backtest(panel, target, costs.market(0)),
            lambda: labels.make(panel, LabelConfig()),
            lambda: stream.run(fx.features.build({"log_return": {}}), panel),
        ):
            with pytest.raises(DataError, match="got Panel; .*pass its `.bars`"):
                call()

    @pytest.mark.parametrize("target", ["half", [["a", "b"]], object()])
    def test_targets_that_are_not_weights(self, panel, target):
        with pytest.raises(DataError, match="target must be weights"):
            fx.backtest(panel, target)

    @pytest.mark.parametrize("weight", [40, -1e6])
    def test_percentages_and_units_in_place_of_weights(self, panel, weight):
        target = np.where(np.arange(300)[:, None] == 7, [weight, np.nan], 0.5)
        with pytest.raises(DataError, match="the weights of row 7 sum to .* a weight is a fraction of equity"):
            fx.backtest(panel, target)
        assert fx.backtest(panel, target, max_gross_exposure=np.inf).equity.shape == (300,)

    def test_a_frame_of_other_symbols(self, panel):
        frame = pd.DataFrame({"SIM0": np.zeros(300), "BTC": np.zeros(300)})
        with pytest.raises(DataError, match="the target's columns are SIM0, BTC, the panel's symbols SIM0, SIM1"):
            fx.backtest(panel, frame)

    @pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
    def test_the_index_of_a_pandas_frame_is_that_of_the_bars(self, panel, zone):
        weight = np.random.default_rng(0).uniform(-0.5, 0.5, (300, 2))
        index = pd.DatetimeIndex(panel.times.astype("datetime64[ns]"))
        index = index if zone is None else index.tz_localize("UTC").tz_convert(zone)
        frame = pd.DataFrame(weight, index, ["SIM0", "SIM1"])
        expected = fx.backtest(panel, weight).equity
        np.testing.assert_array_equal(fx.backtest(panel, frame).equity, expected)
        for wrong, row in ((frame[::-1], 0), (frame.shift(freq="1h"), 0), (frame[:-1], 299), (frame.drop(index[7]), 7)):
            with pytest.raises(DataError, match=f"row {row} of the target is .*, that of the bars 2"):
                fx.backtest(panel, wrong)
        np.testing.assert_array_equal(
            fx.backtest(panel.bars, frame[::-1]).equity, fx.backtest(panel, weight[::-1]).equity
        )

    @pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
    def test_a_frame_for_a_part_of_the_bars_is_reindexed_as_the_message_says(self, panel, zone):
        index = pd.DatetimeIndex(panel.times.astype("datetime64[ns]"))
        index = index if zone is None else index.tz_localize("UTC").tz_convert(zone)
        target = pd.DataFrame(0.4, index, ["SIM0", "SIM1"])[100:]
        with pytest.raises(DataError, match="row 0 of the target is .* adds the other bars with NaN") as e:
            fx.backtest(panel, target)
        code = str(e.value).partition("; target.")[2].partition(" adds")[0]
        found = fx.backtest(panel, eval(f"target.{code}", {"pd": pd, "panel": panel, "target": target}))
        expected = fx.backtest(panel, np.where(np.arange(300)[:, None] < 100, np.nan, [0.4, 0.4]))
        np.testing.assert_array_equal(found.equity, expected.equity)
        with pytest.raises(DataError, match="for the other bars add rows of NaN, which keep the position"):
            fx.backtest(panel, target.rename_axis("timestamp").reset_index())

    @pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
    def test_a_column_of_times_is_that_of_the_bars_and_no_weight(self, panel, kind):
        weight = np.full((300, 2), 0.4)
        for times in (panel.times, panel.times.astype("datetime64[ns]"), panel.times // 10**6):
            frame = kind({"timestamp": times, "SIM1": weight[:, 1], "SIM0": weight[:, 0]})
            for bars in (panel, panel.bars):
                np.testing.assert_array_equal(fx.backtest(bars, frame).equity, fx.backtest(panel, weight).equity)
        swapped = kind({"timestamp": np.roll(panel.times, 1), "SIM1": weight[:, 1], "SIM0": weight[:, 0]})
        with pytest.raises(DataError, match="row 0 of the target is .*; give a row for each bar"):
            fx.backtest(panel, swapped)

    @pytest.mark.parametrize("names", [{}, ["log_return"], "log_return"])
    def test_features_without_options_by_name(self, panel, names):
        with pytest.raises(ConfigError, match="features are options by name"):
            fx.build_features(panel, names)

    def test_bars_in_place_of_a_target(self, panel):
        with pytest.raises(DataError, match=r"target must be weights \[N, A\], got Bars"):
            fx.backtest(panel, panel.bars)

    def test_an_unknown_option_of_the_simulation(self):
        with pytest.raises(ConfigError, match="no key 'bar'; did you mean 'bars'"):
            fx.simulate(bar=3)


class TestReprs:
    def test_one_line_each(self, panel):
        result = fx.backtest(panel, np.zeros((300, 2)))
        forecast = Forecast(np.full((300, 2, 2), 0.5), np.ones((300, 2), bool))
        assert repr(panel) == (
            "Panel(simulated, 300 bars of 1h x SIM0, SIM1, 2024-01-01T00:00 to 2024-01-13T11:00, 100.00% ok)"
        )
        assert repr(panel.bars) == "Bars(300 rows x 2 assets, 100.00% ok, with quote_volume, trades, taker_buy)"
        assert repr(result) == "Result(300 x 2 weights, total return 0.00%, costs: fee, half_spread)"
        assert repr(forecast) == "Forecast(300 rows x 2 assets, 100.00% ok, 2 classes)"

    def test_of_one_row_and_of_traced_values(self, panel):
        row = jax.tree.map(lambda a: a[0], panel.bars)
        assert repr(row).startswith("Bars(2 assets")
        seen = []
        jax.eval_shape(lambda bars: seen.append(repr(bars)) or bars.close, panel.bars)
        assert seen == ["Bars(300 rows x 2 assets, with quote_volume, trades, taker_buy)"]
        assert repr(Bars(*[None] * 7))


def test_a_forecast_as_a_frame(panel):
    rng = np.random.default_rng(0)
    prob = rng.dirichlet((1, 1), (300, 2)).astype(np.float32)
    forecast = Forecast(prob, rng.random((300, 2)) < 0.5, mu=rng.normal(size=(300, 2)), sigma=rng.random((300, 2)))
    frame = forecast.to_frame(panel.times, panel.symbols)
    assert frame.columns == ["timestamp", "symbol", "prob_0", "prob_1", "mu", "sigma", "ok"] and len(frame) == 600
    for symbol, a in (("SIM0", 0), ("SIM1", 1)):
        part = frame.filter(pl.col("symbol") == symbol)
        np.testing.assert_array_equal(part["timestamp"].cast(pl.Int64), panel.times)
        np.testing.assert_array_equal(part["prob_1"], prob[:, a, 1])
        np.testing.assert_array_equal(part["mu"], forecast.mu[:, a])
        np.testing.assert_array_equal(part["ok"], forecast.ok[:, a])
    assert forecast.to_frame().columns[:2] == ["row", "asset"]


class TestTradingOnAnyTerms:
    """`fx.backtest` with a market, orders and conditions is the engine's, and `fx.tear_sheet` shows it."""

    def test_everything_reaches_the_engine(self, panel, tmp_path):
        rate = {"timestamp": panel.times[::8] // 10**6, "funding_rate": np.full(len(panel.times[::8]), 1e-4)}
        write(tmp_path / "SIM1.parquet", rate)
        weight = np.where(np.arange(300)[:, None] % 50 == 0, [0.4, -0.6], np.nan)
        order = Order(weight, bracket=Bracket(stop=np.full(weight.shape, 0.02)))
        market = costs.build({"fee": {"rate_bps": 3}})._replace(margin=Margin(np.float64(0.5), np.float64(0.1)))
        conditions = Conditions(fx.read_funding(tmp_path, panel).rates)
        policy = ExecutionPolicy(path="optimistic")
        given = {"market": market, "policy": policy, "conditions": conditions, "capital": 1e4, "record": True}
        found = fx.backtest(panel, order, **given)
        expected = engine.backtest(panel.bars, order, *given.values())
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        assert found.costs["funding"].any() and (found.executions.reason == 1).any()

    def test_a_rule_is_run_by_the_engine(self, panel):
        rule = RULES["sma_cross"](fast=3, slow=9, weight=0.4)
        expected = engine.backtest_rule(panel.bars, rule, costs.market(5, 2, 1), capital=10.0, record=True)
        found = fx.backtest(panel, rule, 5, 2, 1, capital=10.0, record=True)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        assert found.traded.any()

    @pytest.mark.parametrize(
        "given, message",
        [
            ({"market": costs.market(1), "fee_bps": 5}, "give fee_bps, half_spread_bps and latency, or a market"),
            ({"policy": ExecutionPolicy(), "delisted": "close"}, "give zero_volume and delisted, or a policy"),
        ],
    )
    def test_two_that_say_the_same_are_refused(self, panel, given, message):
        with pytest.raises(ConfigError, match=message):
            fx.backtest(panel, np.zeros((300, 2)), **given)

    @pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
    def test_from_a_frame_to_a_tear_sheet(self, panel, tmp_path, kind):
        frame = panel.to_frame()
        again = fx.Panel.from_frame(kind(frame.to_dict(as_series=False)))
        target = np.where(again.bars.close > again.bars.open, 0.5, 0.0)
        result = fx.backtest(again, target, fee_bps=5, record=True)
        sheet = fx.tear_sheet(again, result, tmp_path / "made", title="mine")
        assert sheet.strategy_metrics.total_return == pytest.approx(result.equity[-1] - 1)
        assert sheet.trading_metrics.trades == len(sheet.trades) > 0
        names = {path.name for path in (tmp_path / "made").iterdir()}
        assert names == {"tearsheet.html", "tearsheet.md", "plots", "trades.csv", "trades.parquet"}
        assert (tmp_path / "made" / "tearsheet.md").read_text().startswith("# mine")

    def test_a_tear_sheet_of_traced_rules_says_when_each_bound(self, panel):
        names = ("momentum", "leverage_limit")
        rule = traced(RULES["momentum"](lookback=10), RULES["leverage_limit"](max_gross_exposure=0.5))
        sheet = fx.tear_sheet(panel, fx.backtest(panel, rule, record=True), rules=names)
        assert sheet.bindings is not None and tuple(bound.name for bound in sheet.bindings.rules) == names
        assert sheet.bindings.rules[1].gross_after == pytest.approx(0.5)

    def test_a_result_without_executions_has_no_tear_sheet(self, panel):
        with pytest.raises(DataError, match=r"the result has no executions; make it with backtest\(..., record=True\)"):
            fx.tear_sheet(panel, fx.backtest(panel, np.zeros((300, 2))))
