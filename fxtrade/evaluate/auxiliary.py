"""What a model says beside the direction, judged on the test rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from fxtrade.core.config import RunConfig
from fxtrade.core.types import Bars, Forecast
from fxtrade.evaluate import accuracy
from fxtrade.labels import horizon
from fxtrade.metrics import classify, distribution
from fxtrade.pipeline import baselines
from fxtrade.pipeline.dataset import Dataset

HALFLIFE = 32  # bars, of the volatility that a forecast has to beat


def judge(config: RunConfig, data: Dataset, made: Forecast) -> dict[str, Any]:
    """`horizons`, a coverage table by further horizon, and `returns`; each is empty if the model does not say it."""
    return {
        "horizons": {} if made.horizon_prob is None else horizons(config, data, made),
        "returns": {} if made.sigma is None else returns(data, made, config.label.horizon),
    }


def horizons(config: RunConfig, data: Dataset, made: Forecast) -> dict[str, list[dict[str, Any]]]:
    """Accuracy at every coverage of each further horizon, as `evaluate.coverage_table`."""
    tables = {}
    for i, bars in enumerate(config.auxiliary.horizons or ()):
        prediction = baselines.decide(made.replace(prob=made.horizon_prob[:, :, i]))
        labels = data.labels.replace(y=data.labels.horizon_y[..., i])
        spans = data.split.valid, data.split.test, data.panel.times
        tables[str(bars)] = accuracy.coverage_table(prediction, labels, *spans, config.report, config.seed)
    return tables


def returns(data: Dataset, made: Forecast, bars: int) -> dict[str, Any]:
    """Scores of mean and deviation of the forward return on the test rows, beside two that need no model.

    "constant" is the root mean square of each asset's training returns, "trailing" the exponentially weighted one of
    its one-bar returns up to the row, times the root of the horizon; both with a mean of zero. Rows are those where all
    three are defined.
    """
    ret = np.asarray(data.labels.ret, np.float64)
    constant = np.broadcast_to(_root_mean_square(ret, data.split.train), ret.shape)
    trailing = trailing_volatility(data.panel.bars) * np.sqrt(bars)
    rows = made.ok & np.isfinite(ret) & data.split.test[:, None] & (constant > 0) & (trailing > 0)
    happened, zero = ret[rows], np.zeros(rows.sum())
    forecasts = {
        "model": (made.mu[rows], made.sigma[rows]),
        "trailing": (zero, trailing[rows]),
        "constant": (zero, constant[rows]),
    }
    return {
        "rows": int(rows.sum()),
        "rank_ic": classify.rank_ic(made.mu[rows], happened),
        "forecasts": {
            name: {
                "log_score": distribution.log_score(mu, sigma, happened),
                "inside_90": distribution.inside(mu, sigma, happened, 0.9),
                "rank_correlation": classify.rank_ic(sigma, np.abs(happened)),
            }
            for name, (mu, sigma) in forecasts.items()
        },
    }


def trailing_volatility(bars: Bars) -> np.ndarray:
    """Root of the exponentially weighted mean square of the closes' log returns `[N, A]`; NaN before the first."""
    squares = pl.DataFrame(horizon.log_ratio(bars.close, -1, 0) ** 2).fill_nan(None)
    mean = squares.select(pl.all().ewm_mean(half_life=HALFLIFE, ignore_nulls=True).forward_fill())
    return np.sqrt(mean.fill_null(np.nan).to_numpy())


def _root_mean_square(ret: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[A]`, NaN where there is no return."""
    known = np.where(np.isfinite(ret) & rows[:, None], ret, 0)
    count = (np.isfinite(ret) & rows[:, None]).sum(0)
    return np.sqrt(np.divide((known**2).sum(0), count, out=np.full(ret.shape[1], np.nan), where=count > 0))
