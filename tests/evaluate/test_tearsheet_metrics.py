from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.evaluate import tearsheet_metrics as metrics
from fxtrade.evaluate import trading
from fxtrade.evaluate.results import AccountMetrics, EquityMetrics
from fxtrade.metrics import drawdown, performance, returns
from fxtrade.validate import significance
from tests.helpers import tearsheet_sample as sample


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


def of_equity(equity, interval=sample.DAY):
    equity = np.asarray(equity, float)
    times = sample.START + interval * np.arange(len(equity))
    curve = metrics.curve(times, equity, 0)
    return metrics.curve_metrics(times, np.append(times[0], times + interval), curve)


def test_drawdowns_by_hand():
    deepest = of_equity([0.9, 1.1, 1.0, 1.05, 1.2, 1.2, 0.6, 0.9]).drawdowns
    day = [(d.peak - sample.START, d.trough - sample.START) for d in deepest]
    assert day == [(6 * sample.DAY, 7 * sample.DAY), (0, sample.DAY), (2 * sample.DAY, 3 * sample.DAY)]
    assert [d.depth for d in deepest] == pytest.approx([-0.5, -0.1, 1 / 1.1 - 1])
    assert [d.days for d in deepest] == [2, 2, 3]
    assert [d.recovery and (d.recovery - sample.START) // sample.DAY for d in deepest] == [None, 2, 5]


def test_a_curve_that_only_rises_has_none():
    rising = of_equity([1.0, 1.1, 1.2])
    assert rising.drawdowns == () and rising.max_drawdown == 0 and np.isnan(rising.calmar)


def test_drawdowns_agree_with_the_metrics_of_returns(sheet):
    made, equity = sheet.strategy_metrics, sheet.strategy.equity[1:]
    assert made.drawdowns[0].depth == made.max_drawdown == drawdown.max_drawdown(equity)
    depths = [d.depth for d in made.drawdowns]
    assert len(depths) <= metrics.DRAWDOWNS and depths == sorted(depths)
    assert made.max_drawdown_days >= max(d.days for d in made.drawdowns)


def test_sharpe_interval_is_about_that_of_independent_days():
    rng = np.random.default_rng(0)
    r = rng.normal(0.001, 0.02, 2000)
    made, moments = of_equity(np.cumprod(1 + r)).sharpe, significance.moments(r)
    assert made.value == pytest.approx(returns.sharpe(r, 365))
    low, high = significance.sharpe_interval(moments)
    assert (made.low, made.high) == pytest.approx((np.sqrt(365) * low, np.sqrt(365) * high), abs=0.15)


def test_sharpe_interval_is_wider_for_dependent_days():
    rng = np.random.default_rng(0)
    r = np.convolve(rng.normal(0.001, 0.02, 2005), np.ones(6) / 6, "valid")
    made = of_equity(np.cumprod(1 + r)).sharpe
    low, high = significance.sharpe_interval(significance.moments(r))
    assert made.high - made.low > 1.5 * np.sqrt(365) * (high - low)


def test_sharpe_interval_is_that_of_all_metrics():
    days = np.random.default_rng(0).normal(0.001, 0.02, 300)
    made = of_equity(np.cumprod(1 + days)).sharpe
    _, low, high = performance.summary_intervals(days, 365, metrics.BLOCK, metrics.SAMPLES)
    assert (made.low, made.high) == pytest.approx((low.sharpe, high.sharpe), rel=1e-9)


def test_shared_metrics_are_those_of_the_summary_of_a_run(sheet):
    data = sheet.panel
    summary = trading.summarize(data.times, sample.result(data), (0.01, -0.02, np.nan), sheet.benchmark.days)
    for group, made in ((EquityMetrics, sheet.strategy_metrics), (AccountMetrics, sheet.trading_metrics)):
        names = [field.name for field in dataclasses.fields(group) if field.name != "sharpe"]
        assert [getattr(made, name) for name in names] == [getattr(summary, name) for name in names]
    assert sheet.strategy_metrics.sharpe.value == pytest.approx(summary.sharpe.value, rel=1e-12)


def test_trading_metrics_are_those_of_the_trades(sheet):
    made, trades = sheet.trading_metrics, sheet.trades
    assert made.trades == len(trades) and made.open_trades == trades.is_open.sum()
    assert made.win_rate == pytest.approx((trades.net > 0).mean())
    assert made.profit_factor == pytest.approx(trades.net[trades.net > 0].sum() / -trades.net[trades.net < 0].sum())
    assert sum(made.costs.values()) == pytest.approx(trades.cost.sum())
    assert made.trials == 4 and 0 < made.dsr < made.psr < 1
    # the benchmark is rebalanced at every bar, so that a bar's returns are those of the mean of both assets
    assert np.isfinite([made.alpha, made.alpha_t, made.beta]).all()
    unknown = sample.sheet(benchmark=None, trials=None).trading_metrics
    assert unknown.trials == 0 and np.isnan([unknown.dsr, unknown.alpha, unknown.beta]).all()
    assert unknown.psr == made.psr


def test_ruin_has_no_ratios():
    ruined = of_equity([1.0, 0.5, -0.1, -0.1])
    assert ruined.total_return == pytest.approx(-1.1) and ruined.max_drawdown == pytest.approx(-1.1)
    assert np.isnan(ruined.sharpe.value)


def test_years_are_those_of_a_plain_loop_and_multiply_to_the_whole():
    rng = np.random.default_rng(0)
    equity = np.cumprod(1 + 0.02 * rng.standard_normal(800))
    found = of_equity(equity).years
    day = (sample.START + sample.DAY * np.arange(800)).astype("M8[ns]").astype("M8[Y]").astype(int) + 1970
    assert [x.year for x in found] == sorted(set(day.tolist())) and len(found) == 3
    assert np.prod([1 + x.total_return for x in found]) == pytest.approx(equity[-1], rel=1e-12)
    daily = np.diff(np.append(1.0, equity)) / np.append(1.0, equity[:-1])
    for year in found:
        own, deepest, peak, level = daily[day == year.year], 0.0, 1.0, 1.0
        for r in own:
            level *= 1 + r
            peak = max(peak, level)
            deepest = min(deepest, level / peak - 1)
        assert year.total_return == pytest.approx(level - 1) and year.max_drawdown == pytest.approx(deepest)
        assert year.sharpe == pytest.approx(own.mean() / own.std(ddof=1) * np.sqrt(365))


def test_a_year_after_ruin_has_no_return():
    years = of_equity(np.concatenate([np.full(500, 0.5), np.zeros(400)])).years
    assert [x.total_return for x in years][-1] == 0 and len(years) >= 3
