"""The tear sheet of a backtest as a typed value: curves, metrics, drawdowns and attribution of the profit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.errors import DataError
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array
from fxtrade.data.panel import Panel
from fxtrade.evaluate import tearsheet_metrics as metrics
from fxtrade.evaluate.tearsheet_metrics import Curve, CurveMetrics, TradingMetrics
from fxtrade.metrics.periods import DAY, HOUR, by_period

WINDOWS = 90, 30, 7  # days of the rolling Sharpe ratio: the first of which twice as many days exist
WEEKDAYS = "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Net profit by group, in units of the starting capital; by side, that of the trades."""

    name: str
    groups: tuple[str, ...]
    profit: tuple[float, ...]


@dataclasses.dataclass(frozen=True, repr=False)
class TearSheet:
    """Everything that a tear sheet shows.

    Attributes:
        panel: the bars that were traded.
        trades, capital: in the account's currency; everything else is in units of the capital at the start.
        closes: `[N + 1]` times of the start of the account and of the close of each bar.
        day_starts: `[D]` times. month_starts: `[M]` times, with the returns `month_returns` of the strategy.
        warnings, notes: what the reader has to know, and what explains the numbers.
        window: days of the rolling Sharpe ratio, 0 where the history is too short for one.
    """

    title: str
    warnings: tuple[str, ...]
    panel: Panel
    trades: Trades
    capital: float
    closes: Int[np.ndarray, " closes"]
    day_starts: Int[np.ndarray, " D"]
    month_starts: Int[np.ndarray, " M"]
    month_returns: Float[np.ndarray, " M"]
    window: int
    strategy: Curve
    benchmark: Curve | None
    strategy_metrics: CurveMetrics
    benchmark_metrics: CurveMetrics | None
    trading_metrics: TradingMetrics
    attributions: tuple[Attribution, ...]
    terms: str = ""
    notes: tuple[str, ...] = ()
    benchmark_name: str = "benchmark"

    def __repr__(self) -> str:
        return f"TearSheet({self.title!r}, {self.panel!r}, {self.trades!r})"


def tear_sheet(
    panel: Panel,
    result: Result,
    trades: Trades,
    capital: float = 1.0,
    benchmark: Float[Array, " N"] | None = None,
    title: str = "Backtest",
    warnings: Sequence[str] = (),
    trials: Sequence[float] | None = None,
    terms: str = "",
    notes: Sequence[str] = (),
    benchmark_name: str = "benchmark",
) -> TearSheet:
    """Return the tear sheet of one backtest.

    Args:
        panel: the bars that were traded, N rows.
        result: of `backtest`, in units of the starting capital.
        trades: those of its executions (`backtest.trades`), in the account's currency.
        capital: of the account at the start, as it was given to the backtest.
        benchmark: equity of another account over the same bars, such as buy and hold.
        warnings: what the reader has to know, shown on top.
        trials: daily Sharpe ratio of every configuration tried before, NaN of one that was ruined; deflates the Sharpe
            ratio. None: not known.
        terms: costs and other terms of trade, in words.
        notes: what explains the numbers, such as what was left out.
        benchmark_name: its heading.

    Raises:
        DataError: the result or the benchmark is not of these bars.
    """
    times, shape = panel.times, panel.bars.ok.shape
    for name, x in (("equity", result.equity), ("benchmark", benchmark)):
        if x is not None and np.shape(x) != shape[:1]:
            raise DataError(f"tear sheet: {name} has shape {np.shape(x)}, the panel {shape}; give those of its bars")
    if result.weight.shape != shape or (len(trades) and trades.exit_row.max() >= len(times)):
        raise DataError(f"tear sheet: weights {result.weight.shape} or trades are not of the panel's bars {shape}")
    closes = np.append(times[0], times + panel.interval)
    starts = by_period(times, result.equity, "day")[0]
    window = next((days for days in WINDOWS if len(starts) >= 2 * days), 0)
    month_starts, month_returns = by_period(times, result.equity, "month")
    strategy = metrics.curve(times, np.asarray(result.equity, np.float64), window)
    held = None if benchmark is None else metrics.curve(times, np.asarray(benchmark, np.float64), window)
    net = np.asarray(result.pnl, np.float64) - sum(result.costs.values(), np.zeros(shape))
    return TearSheet(
        title=title,
        warnings=tuple(warnings),
        panel=panel,
        trades=trades,
        capital=capital,
        closes=closes,
        day_starts=starts,
        month_starts=month_starts,
        month_returns=month_returns,
        window=window,
        strategy=strategy,
        benchmark=held,
        strategy_metrics=metrics.curve_metrics(times, closes, strategy),
        benchmark_metrics=None if held is None else metrics.curve_metrics(times, closes, held),
        trading_metrics=metrics.trading_metrics(times, closes, result, trades, trials, held),
        attributions=_attributions(panel, net, trades, capital),
        terms=terms,
        notes=tuple(notes),
        benchmark_name=benchmark_name,
    )


def _attributions(
    panel: Panel, net: Float[np.ndarray, "N A"], trades: Trades, capital: float
) -> tuple[Attribution, ...]:
    """Return the net profit by asset, by side, and by hour and weekday (UTC) in which the bar opens."""
    by_asset, by_bar = net.sum(0), net.sum(1)
    order = np.argsort(-by_asset, kind="stable")
    symbols = tuple(panel.symbols[a] for a in order)
    sides = tuple(float(trades.net[trades.side == side].sum() / capital) for side in (1, -1))
    found = [
        Attribution("asset", symbols, tuple(by_asset[order].tolist())),
        Attribution("side", ("long", "short"), sides),
    ]
    if panel.interval < DAY:
        hours = np.bincount(panel.times // HOUR % 24, by_bar, 24)
        found.append(Attribution("hour", tuple(f"{hour:02d}" for hour in range(24)), tuple(hours.tolist())))
    if panel.interval < 7 * DAY:
        weekdays = np.bincount((panel.times // DAY + 3) % 7, by_bar, 7)  # 1970-01-01 was a Thursday
        found.append(Attribution("weekday", WEEKDAYS, tuple(weekdays.tolist())))
    return tuple(found)
