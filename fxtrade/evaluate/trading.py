"""Backtest of a forecast over the test span, net of costs, beside buy and hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.market_types import Market
from fxtrade.core.policy_types import Path
from fxtrade.core.trade_config import TradeConfig
from fxtrade.core.trading_types import Observation, Result
from fxtrade.core.types import Array, Bars, Forecast
from fxtrade.data.panel import Panel
from fxtrade.evaluate.account_metrics import account_metrics, equity_metrics, years
from fxtrade.evaluate.bindings import bindings
from fxtrade.evaluate.results import CostCell, EquityCurve, PathCell, TradingResult, TradingSummary
from fxtrade.market import costs
from fxtrade.metrics import drawdown, periods, returns, trades
from fxtrade.pipeline.build import Terms, build_terms
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.strategy import Strategy, build_rule, build_sizing, rule_names
from fxtrade.risk import sizing
from fxtrade.risk.rule import replay
from fxtrade.risk.sizing_checks import check_forecast
from fxtrade.risk.toward import buy_and_hold
from fxtrade.validate import splits

GRID_FEES, GRID_LATENCY = (0, 2, 5, 10, 20), (0, 1, 5)
RANGE: tuple[Path, Path] = ("pessimistic", "optimistic")  # the paths between which results lie


class Traded(NamedTuple):
    """What a forecast trades.

    Attributes:
        panel: the bars of the test span.
        threshold: confidence from which on a forecast is traded.
        strategy: the targets of the sizing in each row, and the rules that change them.
    """

    panel: Panel
    threshold: float
    strategy: Strategy


def trade(
    data: Dataset, forecast: Forecast, config: TradeConfig, horizon: int, trials: Sequence[float] = ()
) -> TradingResult:
    """Backtest from the first test row on, with a threshold that is fixed on the validation rows.

    Args:
        trials: daily Sharpe ratio of every configuration tried on these data before, NaN of one that was ruined,
            which has none but counts; deflates the Sharpe ratio.
    """
    panel, threshold, strategy = traded(data, forecast, config, horizon)
    bars, times, terms = panel.bars, panel.times, build_terms(config, panel)
    made, held = terms.backtest(bars, strategy, record=bool(strategy.names)), hold(panel, terms)
    rules = () if made.rules is None else bindings(made.rules, strategy.names, times + panel.interval).rules
    markets, names = _grid(terms.market)
    grid = terms._replace(market=markets).stress(bars, strategy)
    return TradingResult(
        threshold=threshold,
        strategy=summarize(times, made, trials, periods.by_period(times, held.equity, "day")[1]),
        buy_and_hold=summarize(times, held),
        grid=tuple(_cell(times, *name, equity) for name, equity in zip(names, grid.equity, strict=True)),
        curve=_curve(times, made, held),
        paths=path_range(panel, strategy, terms),
        funding=terms.funding,
        rules=rules,
    )


def trade_alone(data: Dataset, forecast: Forecast, config: TradeConfig, horizon: int) -> TradingSummary:
    """Return the summary of the strategy of `trade`, without benchmark and other trials."""
    panel, _, strategy = traded(data, forecast, config, horizon)
    return summarize(panel.times, build_terms(config, panel).backtest(panel.bars, strategy))


def traded_panel(data: Dataset) -> Panel:
    """Return the bars of the test span, from the first to the last row in which a strategy is tested."""
    rows = np.flatnonzero(splits.trading_rows(data.split))
    return dataclasses.replace(data.panel.rows(slice(rows[0], rows[-1] + 1)), edge=None)


def traded(data: Dataset, forecast: Forecast, config: TradeConfig, horizon: int) -> Traded:
    """Return the bars of the test span, the confidence threshold, and the strategy."""
    panel, rows = traded_panel(data), splits.trading_rows(data.split)
    first = int(rows.argmax())
    span = slice(first, first + len(panel.times))
    # forecasts of rows that the model was fitted to are not traded
    forecast = dataclasses.replace(forecast, ok=forecast.ok & ~data.split.train[:, None])
    check_forecast(forecast, "trading")
    sure = np.asarray(sizing.confidence(forecast))
    threshold = sizing.confidence_threshold(sure, forecast.ok & data.split.valid[:, None], config.coverage)
    target = np.asarray(_sized(Observation(forecast, data.panel.bars), threshold, config, horizon))
    target = np.where(rows[:, None], target, 0)[span]
    seen = jax.tree.map(lambda a: np.asarray(a)[span], forecast)
    return Traded(
        panel, float(threshold), Strategy(build_rule(config, panel.interval, horizon), target, seen, rule_names(config))
    )


def hold(panel: Panel, terms: Terms) -> Result:
    """Return the backtest of buying every asset in equal parts and holding them."""
    return terms.backtest(panel.bars, np.asarray(_buy_and_hold(panel.bars)))


def path_range(panel: Panel, strategy: Strategy, terms: Terms, first: int = 0) -> tuple[PathCell, ...]:
    """Return the results from a row on under two paths; empty where no order depends on the path."""
    if not terms.needs_path(panel.bars, strategy):
        return ()
    made = []
    for path in RANGE:
        result = terms._replace(policy=terms.policy._replace(path=path)).backtest(panel.bars, strategy)
        made.append(PathCell(path, *_return_and_sharpe(panel.times[first:], np.asarray(result.equity)[first:])))
    return tuple(made)


def summarize(
    times: Int[np.ndarray, " N"],
    result: Result,
    trials: Sequence[float] = (),
    benchmark: Float[np.ndarray, " days"] | None = None,
) -> TradingSummary:
    """Return the metrics of one backtest; arguments as in `account_metrics`."""
    closes, cost = _closes(times), sum(result.costs.values(), np.zeros_like(result.pnl))
    counts: dict[str, Any] = {name: int(np.asarray(number)) for name, number in result.counts._asdict().items()}
    profits = trades.trade_returns(result.weight, result.pnl, cost)
    return TradingSummary(
        **vars(equity_metrics(times, closes, np.asarray(result.equity))),
        **vars(account_metrics(times, closes, result, trials, benchmark)),
        win_rate_trade=trades.win_rate(profits),
        trades=len(profits),
        cost=float(cost.sum()),
        **counts,
    )


@partial(jax.jit, static_argnames=("config", "horizon"))
def _sized(rows: Observation, threshold: Array, config: TradeConfig, horizon: int) -> Array:
    """Return the sizing of every row; slices that were opened before the account starts are still held."""
    return replay(build_sizing(config, horizon, threshold), rows)


@jax.jit
def _buy_and_hold(bars: Bars) -> Array:
    return replay(buy_and_hold(), Observation(bars=bars))


def _grid(market: Market) -> tuple[Market, tuple[tuple[float | int, int], ...]]:
    """Return the market with every fee and latency of the grid in place of its costs, and their labels."""
    markets, names = costs.grid(GRID_FEES, GRID_LATENCY)
    others = {"margin": market.margin, "limits": market.limits, "carry": market.carry}
    repeated = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (len(names), *np.shape(leaf))), others)
    return markets._replace(**repeated), names


def _cell(times: np.ndarray, fee_bps: float, latency: int, equity: np.ndarray) -> CostCell:
    return CostCell(float(fee_bps), int(latency), *_return_and_sharpe(times, equity))


def _return_and_sharpe(times: np.ndarray, equity: np.ndarray) -> tuple[float, float]:
    day = periods.by_period(times, equity, "day")[1]
    return float(equity[-1] - 1), returns.sharpe(day, len(day) / years(_closes(times)))


def _closes(times: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N_plus_1"]:
    """Return the start of the account and the closes of all bars, up to the length of one.

    Rows that are updates of a book close at their own times.
    """
    return np.append(times[0] - int(np.median(np.diff(times))), times)


def _curve(times: np.ndarray, strategy: Result, held: Result) -> EquityCurve:
    day = times // 86_400_000_000_000
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    first = np.concatenate([[0], last[:-1] + 1])

    def daily(result: Result) -> tuple[tuple[float, ...], tuple[float, ...]]:
        deepest = np.minimum.reduceat(drawdown.drawdown(result.equity), first)
        return tuple(result.equity[last].tolist()), tuple(deepest.tolist())

    return EquityCurve(tuple(times[last].tolist()), *daily(strategy), *daily(held))
