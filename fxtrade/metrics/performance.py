"""`summary`: the performance of return series in one value, and its intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import DataError
from fxtrade.metrics import bootstrap, drawdown, returns, tail, trades
from fxtrade.metrics.series import Metric, Rows, Series, as_series, of_returns, ratio

LOWEST = 0.3  # a series whose worst period gains more is an equity curve
UNITS = {"max_drawdown_duration": " periods"}


class Summary(NamedTuple):
    """Metrics of simple returns, floats of one series and `[...]` of a batch; conventions: docs/metrics.md."""

    total_return: Metric
    annual_return: Metric
    annual_volatility: Metric
    sharpe: Metric
    sortino: Metric
    calmar: Metric
    max_drawdown: Metric
    max_drawdown_duration: Metric  # in periods
    ulcer_index: Metric
    cdar: Metric  # at 95 %
    win_rate: Metric
    profit_factor: Metric
    payoff_ratio: Metric
    expectancy: Metric
    var: Metric  # at 95 %
    cvar: Metric
    tail_ratio: Metric

    def __str__(self) -> str:
        """Return a table with a line for each metric; of a batch the medians."""
        return "\n".join(f"{k:21s} {np.median(v):12.4f}{UNITS.get(k, '')}" for k, v in self._asdict().items())


class SummaryIntervals(NamedTuple):
    """The metrics of one series, and the ends of their intervals."""

    value: Summary
    low: Summary
    high: Summary

    def __str__(self) -> str:
        """Return a table with a line for each metric: value, low and high."""
        rows = zip(Summary._fields, *self, strict=True)
        return "\n".join(f"{k:21s} {v:12.4f} [{low:12.4f}, {high:12.4f}]{UNITS.get(k, '')}" for k, v, low, high in rows)


def summary(r: Series, periods: float = 365.0) -> Summary:
    """Return the metrics of the simple returns `r [..., N]`, of which there are `periods` in a year.

    Raises:
        DataError: `r` is a frame, or an equity curve in place of its returns.
    """
    r = as_series("r", r)
    lowest = r.min(-1).max(initial=-np.inf) if r.shape[-1] > 1 else 0
    if lowest > LOWEST:
        raise DataError(
            f"summary: every value is above {LOWEST:g}, the lowest {lowest:g}: give returns, of an equity curve "
            "returns.returns_from_equity(equity)"
        )
    values = np.moveaxis(_metrics(r, periods), -1, 0)
    return Summary(*(values if r.ndim > 1 else map(float, values)))


def summary_intervals(
    r: Series,
    periods: float = 365.0,
    block: int | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SummaryIntervals:
    """Return the metrics of one series with their percentile intervals by the circular block bootstrap.

    Extremes, such as the maximum drawdown and its duration, depend on the order of blocks: their intervals say how far
    they vary among histories made of the same blocks, and need not cover the value itself.

    Args:
        r, periods: as in `summary`, `r [N]`.
        block: bars of a block, longer than the dependence; None is `bootstrap.block_length`.
        samples: number of resamples.
        level: share of resamples within an interval.
        seed: of the generator.

    Returns:
        Intervals NaN if there are fewer than two bars, or where no resample has the metric.

    Raises:
        DataError: more than one series, or as in `summary`. ConfigError: block, samples or level out of range.
    """
    r = as_series("r", r)
    if r.ndim != 1:
        raise DataError(f"summary_intervals: r must be one series [N], got shape {r.shape}; call it for each")
    bootstrap.check(samples, level)
    value = summary(r, periods)
    if r.size < 2:
        return SummaryIntervals(value, *(Summary(*[np.nan] * len(value)),) * 2)
    block = bootstrap.block_length(r.size) if block is None else block
    drawn = [_metrics(r[bars], periods) for bars in bootstrap.resampled_bars(r.size, block, samples, seed)]
    ends = (bootstrap.percentiles(column, level) for column in np.concatenate(drawn).T)
    low, high = zip(*ends, strict=True)
    return SummaryIntervals(value, Summary(*low), Summary(*high))


@of_returns
def _metrics(r: Rows, periods: float) -> Float[np.ndarray, "rows metrics"]:
    """Return the fields of `Summary`; the drawdown and the tail, which are dear, are computed once."""
    wealth = returns.equity_from_returns(r)
    below = drawdown.below_peak(wealth)
    growth, deepest = returns.annual_return(r, periods), below.min(-1)
    var, cvar = tail.var_and_cvar(r)
    made = Summary(
        total_return=wealth[:, -1] - 1,
        annual_return=growth,
        annual_volatility=returns.annual_volatility(r, periods),
        sharpe=returns.sharpe(r, periods),
        sortino=returns.sortino(r, periods),
        calmar=ratio(growth, -deepest),
        max_drawdown=deepest,
        max_drawdown_duration=drawdown.longest_below(below, np.arange(r.shape[-1] + 1)),
        ulcer_index=drawdown.root_mean_square(below),
        cdar=tail.cvar(below),
        win_rate=trades.win_rate(r),
        profit_factor=trades.profit_factor(r),
        payoff_ratio=trades.payoff_ratio(r),
        expectancy=trades.expectancy(r),
        var=var,
        cvar=cvar,
        tail_ratio=tail.tail_ratio(r),
    )
    return np.stack(made, -1)
