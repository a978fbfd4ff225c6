"""The tear sheet of a backtest as a typed value: curves, metrics, drawdowns and attribution of the profit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.errors import DataError
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars
from fxtrade.data.panel import Panel
from fxtrade.evaluate import tearsheet_metrics as metrics
from fxtrade.evaluate.bindings import Bindings, bindings
from fxtrade.evaluate.tearsheet_metrics import Curve, CurveMetrics, TradingMetrics
from fxtrade.metrics import attribution
from fxtrade.metrics.periods import DAY, by_period

WINDOWS = 90, 30, 7  # days of the rolling Sharpe ratio: the first of which twice as many days exist
VOLATILITY_DAYS, VOLATILITY_BARS = 20, 10  # before a bar, over which volatility is measured: days, at least bars


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
        bindings: when which rule bound; None: not recorded, or there are no rules.
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
    bindings: Bindings | None = None

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
    rules: Sequence[str] = (),
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
        rules: names of the rules that `Result.rules` is of, without which their bindings are not shown.

    Raises:
        DataError: the result or the benchmark is not of these bars, or there are not so many rules.
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
        attributions=_attributions(panel, result, trades, capital),
        terms=terms,
        notes=tuple(notes),
        benchmark_name=benchmark_name,
        bindings=bindings(result.rules, rules, closes[1:]) if rules and result.rules is not None else None,
    )


def _attributions(panel: Panel, result: Result, trades: Trades, capital: float) -> tuple[Attribution, ...]:
    """Return the net profit by asset and side, by hour and weekday of the bar's open (UTC), and by volatility.

    The volatility is that of each asset in its own `VOLATILITY_DAYS` before the bar, see `volatility_regime`. It is
    left out where the history is too short for any regime.
    """
    times, interval, pnl = panel.times, panel.interval, result.pnl
    cost = sum(result.costs.values(), np.zeros_like(pnl))
    by_asset = sorted(attribution.by_asset(pnl, cost, panel.symbols), key=lambda part: -part.net)
    sides = tuple(float(trades.net[trades.side == side].sum() / capital) for side in (1, -1))
    found = [_net("asset", by_asset), Attribution("side", ("long", "short"), sides)]
    if interval < DAY:
        found.append(_net("hour", attribution.by_hour(pnl, cost, times)))
    if interval < 7 * DAY:
        days = attribution.by_weekday(pnl, cost, times)
        found.append(_net("weekday", [part._replace(name=part.name[:3]) for part in days]))
    window = max(VOLATILITY_DAYS * DAY // interval, VOLATILITY_BARS)
    if len(times) > 2 * window:
        found.append(_net("volatility", attribution.by_volatility(pnl, cost, _returns(panel.bars), window)))
    return tuple(found)


def _net(name: str, parts: Sequence[attribution.Part]) -> Attribution:
    return Attribution(name, tuple(part.name for part in parts), tuple(part.net for part in parts))


def _returns(bars: Bars) -> Float[np.ndarray, "N A"]:
    """Return the change of each asset's last known price, 0 in a gap; NaN up to its first bar."""
    ok, close = np.asarray(bars.ok), np.asarray(bars.close, np.float64)
    last = np.maximum.accumulate(np.where(ok, np.arange(len(ok))[:, None], 0), 0)
    known = np.take_along_axis(np.where(ok, close, np.nan), last, 0)
    return known / np.concatenate([np.full_like(known[:1], np.nan), known[:-1]]) - 1
