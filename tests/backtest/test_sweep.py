"""A sweep equals one backtest of each set; its online metrics equal those of the whole equity curve."""

import jax
import numpy as np
import pytest

from fxtrade.backtest import engine, grid
from fxtrade.backtest import sweep as sweeps
from fxtrade.backtest.trades import trades
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import Margin
from fxtrade.core.types import Bars
from fxtrade.data.panel import Panel
from fxtrade.market import costs
from fxtrade.risk import exits, toward, trend
from fxtrade.risk.rule import chain

HOUR = 3_600 * 10**9
GRID = grid.make({"fast": (2, 3, 5), "slow": (3, 8, 13)}, ("fast", "slow"))
MARKET = costs.market(10, 2)


def panel_of(bars=200, assets=2, first=5 * HOUR, interval=HOUR, seed=0) -> Panel:
    """Random bars with gaps; the first and the last day are parts of one."""
    rng = np.random.default_rng(seed)
    path = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((bars * 4, assets)), 0)).reshape(bars, 4, assets)
    ok = rng.random((bars, assets)) > 0.05
    columns = (path[:, 0], path.max(1), path.min(1), path[:, 3], np.ones((bars, assets)))
    times = first + np.arange(bars, dtype=np.int64) * interval
    week = (times // 10**9 % 604_800).astype(np.int32)
    made = Bars(*(np.where(ok, a, np.nan).astype(np.float32) for a in columns), ok, week)
    return Panel(made, times, tuple(f"S{k}" for k in range(assets)), interval, "test")


def rule(fast, slow):
    return chain(
        trend.sma_cross(fast=fast, slow=slow, weight=0.4, allow_short=True, max_window=13), toward.only_changes()
    )


def one_by_one(panel, make, sets, market, **options):
    with compat.float64():
        made = [
            engine.run_rule(panel.bars, make(**{k: v[p] for k, v in sets.items()}), market(p), record=True, **options)
            for p in range(len(next(iter(sets.values()))))
        ]
        return jax.device_get(made)


@pytest.mark.parametrize("latency", [0, 2])
def test_every_set_equals_its_own_backtest(latency):
    panel, market = panel_of(), MARKET._replace(latency=np.int32(latency))
    got = sweeps.sweep(panel, rule, GRID, market)
    alone = one_by_one(panel, rule, GRID.sets(), lambda p: market, max_latency=latency)
    day = panel.times // sweeps.DAY
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    for p, result in enumerate(alone):
        np.testing.assert_allclose(got.equity[p], result.equity[last], rtol=1e-12)
        peak = np.maximum.accumulate(np.maximum(result.equity, 1))
        np.testing.assert_allclose(got.max_drawdown[p], (result.equity / peak - 1).min(), rtol=1e-9)
        np.testing.assert_allclose(got.exposure[p], np.abs(result.weight[last]).sum(1).mean(), rtol=1e-9)
        before = np.concatenate([[1.0], result.equity[last][:-1]])
        traded = np.add.reduceat(result.traded.sum(1), np.concatenate([[0], last[:-1] + 1]))
        np.testing.assert_allclose(got.turnover[p], (traded / before).mean(), rtol=1e-9)
        table = trades(result.executions, panel.bars)
        closed = ~table.is_open
        assert got.trades[p] == closed.sum() > 0
    np.testing.assert_array_equal(got.days, np.unique(day) * sweeps.DAY)
    assert got.returns.shape == got.equity.shape


def test_the_win_rate_counts_closed_positions_after_costs():
    panel = panel_of(assets=1)

    def long(fast, slow):
        return chain(trend.sma_cross(fast=fast, slow=slow, max_window=13), toward.only_changes())

    got = sweeps.sweep(panel, long, GRID, MARKET)
    for p, result in enumerate(one_by_one(panel, long, GRID.sets(), lambda p: MARKET)):
        table = trades(result.executions, panel.bars)
        won = table.net[~table.is_open] > 0
        np.testing.assert_allclose(got.win_rate[p], won.mean(), rtol=1e-12)


def test_chunks_change_nothing(monkeypatch):
    panel = panel_of()
    whole = sweeps.sweep(panel, rule, GRID, MARKET)
    monkeypatch.setattr(sweeps, "CHUNK", 2)
    seen = []
    parts = sweeps.sweep(panel, rule, GRID, MARKET, on_progress=seen.append)
    assert sum(seen) == GRID.size and len(seen) > 1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15), whole, parts)
    skipped = [span for _, span in sweeps.run_chunks(panel, rule, GRID, MARKET, skip=lambda span: span[0] == 0)]
    assert skipped[0][0] > 0


def test_every_set_may_have_its_own_market():
    panel = panel_of()
    fees = np.linspace(0, 20, GRID.size)
    markets = costs.Market({"fee": {"rate_bps": fees}}, np.zeros(GRID.size, np.int32))
    got = sweeps.sweep(panel, rule, GRID, markets)
    alone = one_by_one(panel, rule, GRID.sets(), lambda p: costs.market(fees[p]))
    np.testing.assert_allclose(got.equity[:, -1], [result.equity[-1] for result in alone], rtol=1e-12)
    with pytest.raises(ConfigError, match=f"2 rows, the grid {GRID.size} sets"):
        sweeps.sweep(panel, rule, GRID, jax.tree.map(lambda leaf: leaf[:2], markets))


def test_stops_and_margin_are_swept_too():
    sets = grid.make({"stop": (0.005, 0.02), "target": (0.01, 0.03)})

    def make(stop, target):
        return chain(rule(2, 5), exits.bracket(stop=stop, target=target))

    panel, market = panel_of(), MARKET._replace(margin=Margin(np.float64(0.5), np.float64(0.1)))
    got = sweeps.sweep(panel, make, sets, market, capital=1000.0)
    alone = one_by_one(panel, make, sets.sets(), lambda p: market, capital=1000.0)
    np.testing.assert_allclose(got.equity[:, -1], [result.equity[-1] for result in alone], rtol=1e-12)
    assert len(np.unique(got.equity[:, -1])) == 4


def test_the_future_does_not_reach_the_past():
    panel = panel_of()
    changed = panel.bars.replace(
        close=np.where(np.arange(200)[:, None] > 150, 7.0, panel.bars.close).astype(np.float32)
    )
    changed = changed.replace(low=np.minimum(changed.low, changed.close), high=np.maximum(changed.high, changed.close))
    other = Panel(changed, panel.times, panel.symbols, panel.interval, "test")
    before = (panel.times // sweeps.DAY < panel.times[150] // sweeps.DAY).sum() // 24
    one, two = (sweeps.sweep(p, rule, GRID, MARKET).equity for p in (panel, other))
    np.testing.assert_array_equal(one[:, :before], two[:, :before])
    assert (one[:, -1] != two[:, -1]).any()


def test_days_of_bars():
    times = np.arange(5, 60, dtype=np.int64) * HOUR
    days, blocks = sweeps.split_days(times, HOUR)
    np.testing.assert_array_equal(days, np.arange(3) * sweeps.DAY)
    assert blocks == ((1, 19), (1, 24), (1, 12))
    assert sweeps.split_days(np.arange(10, dtype=np.int64) * sweeps.DAY, sweeps.DAY)[1] == ((10, 1),)
    with pytest.raises(ConfigError, match="no regular clock"):
        sweeps.split_days(np.array([0, 1, 3]) * HOUR, HOUR)


def test_what_cannot_be_swept_is_refused_before_it_starts(monkeypatch):
    panel = panel_of()
    bad = panel.bars.replace(open=-panel.bars.open)
    with pytest.raises(DataError, match="bars.open"):
        sweeps.sweep(Panel(bad, panel.times, panel.symbols, HOUR, "test"), rule, GRID, MARKET)
    monkeypatch.setattr(compat, "free_bytes", lambda: 1000)
    with pytest.raises(ConfigError, match=f"{GRID.size} sets x 9 days"):
        sweeps.sweep(panel, rule, GRID, MARKET)


def test_bars_of_more_than_a_day_and_endless_latencies_are_refused():
    weekly = panel_of(interval=7 * sweeps.DAY)
    with pytest.raises(ConfigError, match="more than a day"):
        sweeps.sweep(weekly, rule, GRID, MARKET)
    with pytest.raises(ConfigError, match="no order arrives"):
        sweeps.sweep(panel_of(), rule, GRID, MARKET._replace(latency=np.int32(10**6)))


def test_positions_of_a_single_bar_count():
    tight = grid.make({"stop": (0.0001,)})

    def make(stop):
        return chain(rule(2, 5), exits.bracket(stop=stop))

    panel = panel_of()
    got = sweeps.sweep(panel, make, tight, MARKET)
    (result,) = one_by_one(panel, make, tight.sets(), lambda p: MARKET)
    table = trades(result.executions, panel.bars)
    assert (table.entry_row == table.exit_row).sum() > 10
    # one that is closed and opened again within a bar counts once
    assert (table.entry_row != table.exit_row).sum() < got.trades[0] <= (~table.is_open).sum()
