"""The heterogeneous autoregressive model (HAR, Corsi 2009) as a baseline for labels of volatility.

A logistic regression of the class on log realised volatility over the label's horizon, a day, a week and a month, each
against the trailing median that defines the label, and on that median. Its seasonal form adds the season of the day of
the last and of the coming bars. Both pool all assets.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from fxtrade import labels
from fxtrade.core.config import RunConfig
from fxtrade.core.types import Array, Bars, Features, Forecast
from fxtrade.data.panel import Panel
from fxtrade.labels import horizon
from fxtrade.pipeline import baselines
from fxtrade.pipeline.dataset import Dataset

DAY = 86_400_000_000_000  # ns
DAYS = (1, 7, 30)


def har(data: Dataset, config: RunConfig) -> Forecast:
    """Return the forecasts of the model for all rows except those of training."""
    return _fit(data, config, volatility_columns(data.panel, config))


def seasonal_har(data: Dataset, config: RunConfig) -> Forecast:
    """Return the forecasts of the model with the season of the day, which is estimated on the training rows."""
    columns = volatility_columns(data.panel, config)
    season = seasons(columns[..., 0], data.panel, data.split.train, config.label.horizon)
    return _fit(data, config, np.concatenate([columns, season], -1))


def volatility_columns(panel: Panel, config: RunConfig) -> Float[np.ndarray, "N A 5"]:
    """Return the volatility of each window against the trailing median, the label's horizon first, and the median.

    In logs, all scaled to the horizon. NaN where the volatility of the last `horizon` bars is not known.
    """
    bars, h = panel.bars, config.label.horizon
    last, above = horizon.log_realised_volatility(bars, h), labels.persistence(bars, config.label)
    median = last - above
    longer = [mean_log_volatility(bars, max(days * DAY // panel.interval, 1)) + np.log(h) / 2 for days in DAYS]
    return np.stack([above, *(x - median for x in longer), median], -1)


def mean_log_volatility(bars: Bars, window: int) -> Float[np.ndarray, "N A"]:
    """Return the log of the root mean square of the one-bar log returns among the last `window` bars; NaN if all are 0.

    It is defined from the second bar on and over gaps, since data may be shorter than a month.
    """
    squares = pl.DataFrame(horizon.log_ratio(bars.close, -1, 0) ** 2).fill_nan(None)
    mean = squares.select(pl.all().rolling_mean(window, min_samples=1)).fill_null(np.nan).to_numpy()
    with np.errstate(divide="ignore"):
        log = 0.5 * np.log(np.maximum(mean, 0))
    return np.where(np.isfinite(log), log, np.nan)


def seasons(
    above: Float[np.ndarray, "N A"], panel: Panel, train: Bool[Array, " N"], bars: int
) -> Float[np.ndarray, "N A 2"]:
    """Return the season of the last and of the coming `bars` bars of each row.

    The season of a time of day is the mean of `above`, the volatility of the bars that end there, over all assets of
    the training rows; that of all times of day where there are none.
    """
    last = panel.times % DAY // panel.interval
    coming = (panel.times + bars * panel.interval) % DAY // panel.interval
    known = np.isfinite(above) & np.asarray(train)[:, None]
    slots = int(max(last.max(), coming.max())) + 1
    count = np.bincount(last, known.sum(1), slots)
    total = np.bincount(last, np.where(known, above, 0).sum(1), slots)
    mean = np.where(count > 0, total, total.sum()) / np.where(count > 0, count, max(count.sum(), 1))
    return np.broadcast_to(np.stack([mean[last], mean[coming]], -1)[:, None], (*above.shape, 2))


def _fit(data: Dataset, config: RunConfig, columns: Float[np.ndarray, "N A F"]) -> Forecast:
    known = np.isfinite(columns.sum(-1))
    x = np.where(known[..., None], columns, 0).astype(np.float32)
    own = Features(x, np.asarray(data.features.ok) & known)
    return baselines.logistic(data._replace(features=own), config.label.classes, config.seed)
