from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.core.config import RunConfig, ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.files import to_jsonable
from fxtrade.core.trade_config import BracketConfig, LimitsConfig, MarginConfig, RuleConfig, TradeConfig
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Forecast
from fxtrade.evaluate import trading
from fxtrade.metrics import returns, trades
from fxtrade.pipeline import dataset
from fxtrade.pipeline.market import build_market
from fxtrade.pipeline.strategy import build_rules, build_sizing
from fxtrade.validate import splits

CONFIG = RunConfig(features={"log_return": {"horizons": (1,)}}, scaler=ScalerConfig(20.0))
FREE = TradeConfig(coverage=0.5, costs={})


@pytest.fixture(scope="module")
def data(panel):
    return dataset.prepare(CONFIG, panel)


def guess(data, skill: float, seed: int = 0) -> Forecast:
    """Right with probability (1 + skill) / 2, and surer at random."""
    rng = np.random.default_rng(seed)
    up = np.where(rng.random(data.labels.y.shape) < (1 + skill) / 2, data.labels.y, 1 - data.labels.y) == 1
    edge = 0.5 * rng.random(up.shape)
    p = np.where(up, 0.5 + edge, 0.5 - edge)
    return Forecast(np.stack([1 - p, p], -1).astype(np.float32), np.asarray(data.features.ok))


@pytest.fixture(scope="module")
def foreseen(data):
    return trading.trade(data, guess(data, 1.0), FREE, 1)


class TestTrade:
    def test_who_knows_the_future_gets_rich_and_who_does_not_pays(self, data, foreseen):
        assert foreseen.strategy.total_return > 1 and foreseen.strategy.sharpe.value > 10
        costly = trading.trade(data, guess(data, 0.0), TradeConfig(coverage=0.5), 1)
        assert costly.strategy.total_return < 0 and costly.strategy.cost > 0
        assert foreseen.strategy.cost == 0

    def test_only_the_test_span_is_traded(self, data, foreseen):
        first = int(data.split.test.argmax())
        assert foreseen.curve.time[0] >= data.panel.times[first]
        # what was forecast before does not matter, but for the threshold on the validation rows
        earlier = guess(data, 1.0)
        other = guess(data, -1.0)
        mixed = np.where(data.split.train[:, None, None], other.prob, earlier.prob)
        again = trading.trade(data, Forecast(mixed, earlier.ok), FREE, 1)
        assert repr(again.strategy) == repr(foreseen.strategy)  # some metrics are NaN

    def test_the_threshold_is_that_of_the_validation_rows(self, data):
        made = guess(data, 0.5)
        outcome = trading.trade(data, made, FREE, 1)
        sure = 2 * np.abs(made.prob[..., 1] - 0.5)
        before = sure[data.split.valid[:, None] & made.ok]
        assert (before >= outcome.threshold).mean() == pytest.approx(FREE.coverage, abs=0.01)
        surer = np.where(data.split.test[:, None, None], np.round(made.prob), made.prob)
        assert trading.trade(data, Forecast(surer, made.ok), FREE, 1).threshold == outcome.threshold

    def test_a_forecast_that_is_not_there_is_not_traded(self, data):
        made = guess(data, 1.0)
        before = np.arange(len(made.ok)) < data.split.test.argmax()
        outcome = trading.trade(data, Forecast(made.prob, made.ok & before[:, None]), FREE, 1)
        assert outcome.strategy.trades == 0 and outcome.strategy.total_return == 0

    def test_the_result_says_when_each_rule_bound(self, data, foreseen):
        rules = (RuleConfig("leverage_limit", {"max_gross_exposure": 0.3}), RuleConfig("kill_switch"))
        limit, switch = trading.trade(data, guess(data, 1.0), dataclasses.replace(FREE, rules=rules), 1).rules
        assert (limit.name, switch.name, switch.episodes) == ("leverage_limit", "kill_switch", 0)
        assert 0 < limit.share <= 1 and limit.gross_before > limit.gross_after == pytest.approx(0.3)
        assert data.panel.times[data.split.test.argmax()] < limit.first < limit.last
        assert foreseen.rules == ()

    def test_long_only(self, data):
        long = trading.trade(data, guess(data, 1.0), dataclasses.replace(FREE, allow_short=False), 1)
        assert 0 < long.strategy.total_return
        assert long.strategy.exposure < trading.trade(data, guess(data, 1.0), FREE, 1).strategy.exposure

    def test_costs_and_delays_of_the_grid(self, data, foreseen):
        grid = {(g.fee_bps, g.latency): g.total_return for g in foreseen.grid}
        assert set(grid) == {(f, n) for f in trading.GRID_FEES for n in trading.GRID_LATENCY}
        assert grid[0, 0] == pytest.approx(foreseen.strategy.total_return, rel=1e-9)
        for latency in trading.GRID_LATENCY:
            falling = [grid[f, latency] for f in trading.GRID_FEES]
            assert falling == sorted(falling, reverse=True)
        # what is known of the next bar is worth nothing five bars later
        assert grid[0, 5] < 0.3 * grid[0, 0]

    def test_buy_and_hold_is_the_market(self, data, foreseen):
        first = int(data.split.test.argmax())
        close = np.asarray(data.panel.bars.close, np.float64)
        opened = np.asarray(data.panel.bars.open, np.float64)[first + 1]
        assert foreseen.buy_and_hold.total_return == pytest.approx((close[-1] / opened).mean() - 1, rel=1e-6)
        assert foreseen.buy_and_hold.trades == data.panel.bars.close.shape[1]

    def test_the_curve_ends_where_the_strategy_does(self, foreseen):
        curve = foreseen.curve
        assert curve.strategy[-1] - 1 == pytest.approx(foreseen.strategy.total_return)
        assert min(curve.strategy_drawdown) == pytest.approx(foreseen.strategy.max_drawdown)
        assert min(curve.buy_and_hold_drawdown) == pytest.approx(foreseen.buy_and_hold.max_drawdown)
        days = np.diff(np.array(curve.time) // 86_400_000_000_000)
        assert (days == 1).all()
        assert len({len(v) for v in dataclasses.asdict(curve).values()}) == 1


class TestSummary:
    def test_numbers_are_those_of_the_metrics(self, data, foreseen):
        day = returns.returns_from_equity(np.array(foreseen.curve.buy_and_hold))
        held, hours = foreseen.buy_and_hold, np.ptp(np.flatnonzero(splits.trading_rows(data.split))) + 1
        days_a_year = len(day) * 365 / (hours / 24)  # the first and the last day are parts
        assert days_a_year > 365
        assert held.sharpe.value == pytest.approx(returns.sharpe(day, days_a_year))
        assert held.sharpe.value == pytest.approx(held.daily_sharpe * np.sqrt(days_a_year))
        assert held.win_rate_day == pytest.approx(trades.win_rate(day))
        assert held.annual_return == pytest.approx((1 + held.total_return) ** (365 * 24 / hours) - 1)
        assert held.calmar == pytest.approx(held.annual_return / -held.max_drawdown)
        assert held.sharpe.low < held.sharpe.value < held.sharpe.high
        assert np.isnan(held.alpha)

    def test_on_an_irregular_clock_time_counts_and_not_the_spacing_of_the_first_rows(self):
        """As of the updates of a book: dense ones first, then sparse ones."""
        seconds = np.concatenate([np.arange(100), 100 + 100 * np.arange(1, 101)])
        equity = np.linspace(1, 2, 200)
        equity[10:70], equity[120:150] = 1.0, 1.2
        traded = np.full((200, 1), 0.01)
        made = Result(equity, np.ones((200, 1)), {}, traded, np.zeros((200, 1)))
        summary = trading.summarize(seconds * 10**9, made)
        assert summary.max_drawdown_days * 86_400 == pytest.approx(seconds[150] - seconds[119])
        elapsed = (seconds[-1] - seconds[0] + np.median(np.diff(seconds))) / 86_400
        turnover = (traded[:, 0] / np.concatenate([[1.0], equity[:-1]])).sum()
        assert summary.turnover_a_year == pytest.approx(turnover / elapsed * 365)

    def test_alpha_and_beta_to_the_market(self, foreseen):
        assert np.isfinite([foreseen.strategy.alpha, foreseen.strategy.alpha_t, foreseen.strategy.beta]).all()

    def test_more_trials_deflate_more(self, data):
        made = guess(data, 0.1)
        rng = np.random.default_rng(0)
        dsr = []
        for trials in (0, 5, 500):
            summary = trading.trade(data, made, FREE, 1, rng.normal(0, 0.3, trials).tolist()).strategy
            assert summary.trials == trials + 1
            dsr.append(summary.dsr)
        assert dsr[0] == pytest.approx(summary.psr, abs=1e-9)
        assert dsr[0] > dsr[1] > dsr[2]

    def test_trials_that_were_ruined_count(self, data):
        """They have no ratio, but the best of three is better by chance than the best of two."""
        without, ruined = (
            trading.trade(data, guess(data, 0.1), FREE, 1, trials).strategy for trials in ((0.1,), (0.1, float("nan")))
        )
        assert (without.trials, ruined.trials) == (2, 3)
        assert 0 < ruined.dsr < without.dsr


def test_a_test_span_of_one_day(data):
    """Too short for anything but the return; nothing breaks."""
    day = data.panel.times // 86_400_000_000_000
    split = data.split.replace(test=day == day[-1])
    outcome = trading.trade(data._replace(split=split), guess(data, 1.0), FREE, 1)
    assert outcome.strategy.total_return > 0
    assert np.isnan(outcome.strategy.sharpe.value) and np.isnan(outcome.strategy.alpha)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sizing": RuleConfig("proportion")}, "trade.sizing: there is no rule 'proportion'; did you mean 'proportio"),
        ({"sizing": RuleConfig("threshold", {"threshold": 0.1})}, "trade.sizing: rule 'threshold' has no option 'thr"),
        ({"sizing": RuleConfig("threshold", {"horizon": 0})}, "trade.sizing: rule 'threshold': option horizon must be"),
        ({"rules": (RuleConfig("only_change"),)}, r"trade.rules\[0\]: there is no rule 'only_change'; did you mean"),
        ({"rules": (RuleConfig("only_changes", {"band": 1}),)}, r"trade.rules\[0\]: rule 'only_changes' has no option"),
        ({"costs": {"fees": {}}}, "trade.costs: there is no cost 'fees'; did you mean 'fee'"),
        ({"costs": {"fee": {"rate": 1}}}, "trade.costs: cost 'fee' has no option 'rate'; did you mean 'rate_bps'"),
        ({"costs": {"fee": {"rate_bps": -1}}}, "trade.costs: cost 'fee': option rate_bps must be at least 0, got -1"),
        ({"costs": {"fee": {"rate_bps": "5"}}}, "trade.costs: cost 'fee': option rate_bps must be float, got '5'"),
    ],
)
def test_rules_and_costs_that_do_not_exist_are_refused_by_key(changes, message):
    def build(config):
        build_sizing(config, 1), build_rules(config), build_market(config)

    build(FREE)
    with pytest.raises(ConfigError, match=f"config.{message}"):
        build(dataclasses.replace(FREE, **changes))


def targets(*given) -> np.ndarray:
    """The targets of the rules in each row."""
    panel, _, strategy = trading.traded(*given)
    return strategy.targets(panel.bars)


class TestRules:
    def test_the_default_trades_the_changes_of_the_sizing(self, data):
        made = guess(data, 1.0)
        for horizon in (1, 8):
            quiet, every = (
                targets(data, made, config, horizon) for config in (FREE, dataclasses.replace(FREE, rules=None))
            )
            kept = np.concatenate([[np.zeros(every.shape[1], bool)], every[1:] == every[:-1]])
            np.testing.assert_array_equal(quiet, np.where(kept, np.nan, every))

    def test_they_are_chained_in_order_and_see_bars(self, data):
        once = dataclasses.replace(FREE, rules=(RuleConfig("only_changes"), RuleConfig("buy_and_hold")))
        held = trading.trade(data, guess(data, 1.0), once, 1, {})
        assert held.strategy.total_return == held.buy_and_hold.total_return

    def test_the_option_horizon_holds_slices_for_longer(self, data):
        longer = dataclasses.replace(FREE, sizing=RuleConfig("threshold", {"horizon": 8}))
        one, two = (targets(data, guess(data, 1.0), *given) for given in ((longer, 1), (FREE, 8)))
        np.testing.assert_array_equal(one, two)


def test_costs_are_those_of_the_config(data):
    made = guess(data, 1.0)
    paid = [
        trading.trade(data, made, dataclasses.replace(FREE, costs=costs), 1, {}).strategy.cost
        for costs in ({}, {"fee": {"rate_bps": 3}}, {"fee": {"rate_bps": 2}, "half_spread": {}})
    ]
    assert paid[0] == 0 < paid[1] == pytest.approx(paid[2], rel=1e-6)


@pytest.fixture(scope="module")
def holed(data):
    """The data with training rows between test rows, and where."""
    rows = np.flatnonzero(data.split.test)
    hole = np.zeros(len(data.split.test), bool)
    hole[rows[100] : rows[180]] = True
    split = data.split.replace(test=data.split.test & ~hole, train=data.split.train | hole)
    return data._replace(split=split), hole


class TestHoles:
    """Test rows in two parts, training rows between them."""

    def test_nothing_is_traded_between_the_parts(self, data, holed):
        holed, hole = holed
        made = guess(data, 1.0)
        before = np.arange(len(hole)) < np.argmax(data.split.test) - 8  # of which nothing is still held
        inside = Forecast(made.prob, made.ok & (hole | data.split.valid & before)[:, None])
        for horizon in (1, 8):
            assert trading.trade(holed, inside, FREE, horizon, {}).strategy.trades == 0
        assert trading.trade(data, inside, FREE, 1).strategy.trades > 0

    def test_what_is_forecast_there_does_not_matter(self, data, holed):
        holed, hole = holed
        made, other = guess(data, 1.0), guess(data, -1.0)
        mixed = Forecast(np.where(hole[:, None, None], other.prob, made.prob), made.ok)
        for horizon in (1, 8):
            one, two = (trading.trade(holed, f, FREE, horizon, {}).strategy for f in (made, mixed))
            assert to_jsonable(one) == to_jsonable(two)
            assert one.exposure < trading.trade(data, made, FREE, horizon, {}).strategy.exposure

    def test_it_ends_with_the_last_test_row(self, data, holed):
        rows = np.flatnonzero(data.split.test)
        tail = np.arange(len(data.split.test)) >= rows[200]
        split = data.split.replace(test=data.split.test & ~tail, train=data.split.train | tail)
        curve = trading.trade(data._replace(split=split), guess(data, 1.0), FREE, 1).curve
        assert curve.time[-1] <= data.panel.times[rows[200]]


def test_the_policies_of_the_config_reach_the_backtest(data):
    """Bars without trades in the whole test span; then an asset that ends in the middle of it."""
    made, bars = guess(data, 1.0), data.panel.bars
    quiet = data._replace(panel=dataclasses.replace(data.panel, bars=bars.replace(volume=np.zeros_like(bars.volume))))
    fill = dataclasses.replace(FREE, zero_volume="fill")
    assert trading.trade(quiet, made, FREE, 1, {}).strategy.trades == 0
    assert trading.trade(quiet, made, fill, 1, {}).strategy.trades > 0
    ok = np.array(bars.ok)
    ok[np.flatnonzero(data.split.test)[100] :, 0] = False
    short = data._replace(panel=dataclasses.replace(data.panel, bars=bars.replace(ok=ok)))
    costly = dataclasses.replace(FREE, costs={"fee": {"rate_bps": 100.0}})
    marked = trading.trade(short, made, costly, 1, {}).buy_and_hold
    closed = trading.trade(short, made, dataclasses.replace(costly, delisted="close"), 1, {}).buy_and_hold
    assert marked.delisted == closed.delisted == 1 and closed.cost > marked.cost


class TestPaths:
    """A stop or a target that lies within a bar: results under both orders of its extremes."""

    TIGHT = dataclasses.replace(FREE, bracket=BracketConfig(stop=0.004, target=0.004))

    def test_the_pessimistic_and_the_optimistic_one_are_two_backtests(self, data):
        made = guess(data, 0.5)
        outcome = trading.trade(data, made, self.TIGHT, 8)
        assert [cell.path for cell in outcome.paths] == ["pessimistic", "optimistic"]
        worse, better = outcome.paths
        assert worse.total_return < better.total_return and worse.sharpe < better.sharpe
        for cell in outcome.paths:
            alone = trading.trade_alone(data, made, dataclasses.replace(self.TIGHT, path=cell.path), 8)
            assert (alone.total_return, alone.sharpe.value) == (cell.total_return, pytest.approx(cell.sharpe))
        assert outcome.strategy.total_return == worse.total_return
        assert outcome.strategy.ambiguous > 0 == outcome.buy_and_hold.ambiguous

    def test_the_grid_has_the_same_orders(self, data):
        outcome = trading.trade(data, guess(data, 0.5), self.TIGHT, 8)
        free = next(cell for cell in outcome.grid if (cell.fee_bps, cell.latency) == (0, 0))
        assert free.total_return == pytest.approx(outcome.strategy.total_return, rel=1e-9)

    def test_without_prices_there_is_nothing_to_bracket(self, foreseen):
        assert foreseen.paths == () and foreseen.funding == ""


def test_margin_and_limits_are_those_of_the_config_in_strategy_and_grid(data):
    made = guess(data, 1.0)
    strict = dataclasses.replace(FREE, margin=MarginConfig(initial=4.0), limits=LimitsConfig(min_notional=0.01))
    outcome = trading.trade(data, made, strict, 1)
    assert outcome.strategy.cut > 0 and outcome.strategy.liquidated == 0
    assert outcome.strategy.exposure < trading.trade(data, made, FREE, 1).strategy.exposure
    free = next(cell for cell in outcome.grid if (cell.fee_bps, cell.latency) == (0, 0))
    assert free.total_return == pytest.approx(outcome.strategy.total_return, rel=1e-9)
