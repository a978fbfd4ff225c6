"""The tails of return series, `[..., N]` with time last: historical value at risk, expected shortfall, tail ratio."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fxtrade.metrics.series import Metric, Rows, Series, check_level, of_returns, ratio


def var(r: Series, level: float = 0.95) -> Metric:
    """Return the historical value at risk: the 1 - level quantile of the returns (negative for a loss)."""
    return var_and_cvar(r, level)[0]


def cvar(r: Series, level: float = 0.95) -> Metric:
    """Return the historical expected shortfall: mean of the worst 1 - level share, the last return counted in part."""
    return var_and_cvar(r, level)[1]


def var_and_cvar(r: Series, level: float = 0.95) -> tuple[Metric, Metric]:
    """Return `var` and `cvar` for the price of one."""
    value, shortfall = np.moveaxis(_tail(r, check_level(level)), -1, 0)
    return (value, shortfall) if value.ndim else (float(value), float(shortfall))


@of_returns
def tail_ratio(r: Rows, level: float = 0.95) -> Float[np.ndarray, " rows"]:
    """Return the size of the `level` quantile of the returns over that of the 1 - level quantile."""
    high, low = np.abs(np.quantile(r, [check_level(level), 1 - level], axis=-1))
    return ratio(high, low)


@of_returns
def _tail(r: Rows, level: float) -> Float[np.ndarray, "rows 2"]:
    """Return the 1 - level quantile and the mean of the returns below it, from the order statistics around it."""
    bars = r.shape[-1]
    place, count = (1 - level) * (bars - 1), (1 - level) * bars
    below = int(place)
    above = min(below + 1, bars - 1)
    worst = np.partition(r, (below, above), -1)[:, : above + 1]  # count lies within below .. below + 2
    share = np.clip(count - np.arange(above + 1), 0, 1)
    quantile = worst[:, below] + (place - below) * (worst[:, above] - worst[:, below])
    tail = np.stack([quantile, (worst * share).sum(-1) / share.sum()], -1)
    return np.where(np.isnan(r).any(-1, keepdims=True), np.nan, tail)
