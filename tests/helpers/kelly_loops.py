"""The sizing `kelly` as a plain loop over bars in NumPy float64: its reference."""

from __future__ import annotations

import numpy as np

from fxtrade.core.trading_types import Observation


def kelly(
    rows: Observation, fraction, observations, halflife, shrinkage, min_bars, horizon, max_gross_exposure, allow_short
):
    """Weights of every row; moments are sums over all of an asset's returns so far, newest first."""
    forecast, ok = rows.forecast, np.asarray(rows.bars.ok)
    close = np.asarray(rows.bars.close, np.float64)
    num_rows, num_assets = ok.shape
    returns = [[] for _ in range(num_assets)]  # of each asset on its own
    last, scaled, made = np.zeros(num_assets), [], []
    keep = 0.5 ** (1 / halflife)
    for t in range(num_rows):
        row = np.zeros(num_assets)
        for a in range(num_assets):
            if ok[t, a] and last[a]:
                returns[a].append(close[t, a] / last[a] - 1)
                row[a] = returns[a][-1] / (deviation(returns[a], keep) or 1)
            last[a] = close[t, a] if ok[t, a] else last[a]
        scaled.append(row)
        made.append(weights(forecast, t, returns, np.array(scaled), keep, min_bars, horizon, shrinkage, observations))
        made[-1] *= fraction
        if not allow_short:
            made[-1] = np.maximum(made[-1], 0)
        gross = np.abs(made[-1]).sum()
        if gross > max_gross_exposure:
            made[-1] *= max_gross_exposure / gross
    past = np.concatenate([np.zeros((horizon - 1, num_assets)), np.array(made)])
    return np.array([past[t : t + horizon].mean(0) for t in range(num_rows)])


def weights(forecast, t, returns, scaled, keep, min_bars, horizon, shrinkage, observations):
    num_assets = len(returns)
    known, ratio, size = [], np.zeros(num_assets), np.ones(num_assets)
    for a in range(num_assets):
        if not forecast.ok[t, a] or len(returns[a]) < min_bars or not deviation(returns[a], keep):
            continue
        known.append(a)
        if forecast.mu is None:
            down, *_, up = (float(p) for p in forecast.prob[t, a])
            ratio[a] = np.sqrt(2 / np.pi) * (up - down)
            size[a] = deviation(returns[a], keep) * np.sqrt(horizon)
        else:
            size[a] = float(forecast.sigma[t, a])
            ratio[a] = float(forecast.mu[t, a]) / size[a]
        ratio[a] *= ratio[a] ** 2 / (ratio[a] ** 2 + 1 / observations) if ratio[a] else 0
    made = np.zeros(num_assets)
    if known:
        ages = keep ** np.arange(len(scaled))[::-1]
        moments = (scaled * ages[:, None]).T @ scaled
        scale = np.sqrt(np.diag(moments))
        correlation = min(1 - shrinkage, 1 - 1e-6) * moments / scale[:, None].clip(1e-300) / scale.clip(1e-300)
        np.fill_diagonal(correlation, 1)
        made[known] = np.linalg.inv(correlation[np.ix_(known, known)]) @ ratio[known] / size[known]
    return made


def deviation(returns, keep):
    """Exponentially weighted root mean square."""
    ages = keep ** np.arange(len(returns))[::-1]
    return np.sqrt((ages * np.square(returns)).sum() / ages.sum())
