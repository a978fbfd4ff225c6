"""Evaluation of a model's auxiliary heads on the test span."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from fxtrade.core.config import RunConfig
from fxtrade.core.types import Array, Bars, Forecast
from fxtrade.evaluate import accuracy
from fxtrade.evaluate.results import AuxiliaryResult, CoverageTable, ReturnScores, ReturnsResult
from fxtrade.labels import horizon
from fxtrade.metrics import classify, distribution
from fxtrade.pipeline.dataset import Dataset

HALFLIFE = 32  # bars, of the trailing volatility


def auxiliary(config: RunConfig, data: Dataset, forecast: Forecast, blocks: Int[np.ndarray, " N"]) -> AuxiliaryResult:
    """Return the results of the heads that the forecast has.

    Args:
        blocks: of `accuracy.bootstrap_blocks`.
    """
    return AuxiliaryResult(
        horizons=horizons(config, data, forecast, blocks),
        returns=returns(data, forecast, config.label.horizon),
    )


def horizons(
    config: RunConfig, data: Dataset, forecast: Forecast, blocks: Int[np.ndarray, " N"]
) -> dict[int, CoverageTable]:
    """Return the accuracy at every coverage, by further horizon; empty for a forecast without such heads."""
    prob, y, tables = forecast.horizon_prob, data.labels.horizon_y, {}
    if prob is None or y is None:
        return tables
    for i, bars in enumerate(config.auxiliary.horizons or ()):
        made = dataclasses.replace(forecast, prob=prob[:, :, i])
        labels = dataclasses.replace(data.labels, y=y[..., i])
        rows = accuracy.gather(made, labels, data.split, blocks, config.report.coverages)
        tables[bars] = accuracy.coverage_table(rows, config.report, config.seed)
    return tables


def returns(data: Dataset, forecast: Forecast, bars: int) -> ReturnsResult | None:
    """Return scores of mean and deviation of the forward return, beside two forecasts without a model.

    "constant" is the root mean square of each asset's training returns, "trailing" the exponentially weighted one of
    its one-bar returns up to the row, times the root of the horizon; both have a mean of zero. Rows are those where all
    three are defined. None for a forecast without such heads.
    """
    if forecast.mu is None or forecast.sigma is None:
        return None
    ret = np.asarray(data.labels.ret, np.float64)
    constant = np.broadcast_to(_root_mean_square(ret, data.split.train), ret.shape)
    trailing = trailing_volatility(data.panel.bars) * np.sqrt(bars)
    rows = forecast.ok & np.isfinite(ret) & data.split.test[:, None] & (constant > 0) & (trailing > 0)
    happened, zero, mu = ret[rows], np.zeros(rows.sum()), np.asarray(forecast.mu)[rows]

    def scores(mu: np.ndarray, sigma: np.ndarray) -> ReturnScores:
        return ReturnScores(
            log_score=distribution.log_score(mu, sigma, happened),
            inside_90=distribution.inside(mu, sigma, happened, 0.9),
            rank_correlation=classify.rank_ic(sigma, np.abs(happened)),
        )

    return ReturnsResult(
        rows=int(rows.sum()),
        rank_ic=classify.rank_ic(mu, happened),
        model=scores(mu, np.asarray(forecast.sigma)[rows]),
        trailing=scores(zero, trailing[rows]),
        constant=scores(zero, constant[rows]),
    )


def trailing_volatility(bars: Bars) -> Float[np.ndarray, "N A"]:
    """Return the root of the exponentially weighted mean square of the closes' log returns; NaN before the first."""
    squares = pl.DataFrame(horizon.log_ratio(bars.close, -1, 0) ** 2).fill_nan(None)
    mean = squares.select(pl.all().ewm_mean(half_life=HALFLIFE, ignore_nulls=True).forward_fill())
    return np.sqrt(mean.fill_null(np.nan).to_numpy())


def _root_mean_square(ret: Float[np.ndarray, "N A"], rows: Bool[Array, " N"]) -> Float[np.ndarray, " A"]:
    """Return the root mean square by asset; NaN where there is no return."""
    known = np.isfinite(ret) & rows[:, None]
    count = known.sum(0)
    return np.sqrt(
        np.divide((np.where(known, ret, 0) ** 2).sum(0), count, out=np.full(ret.shape[1], np.nan), where=count > 0)
    )
