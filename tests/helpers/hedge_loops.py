"""The rules `beta_hedge` and `pairs` as plain loops over bars in NumPy float64: their references."""

from __future__ import annotations

import numpy as np

from fxtrade.core.trading_types import Observation
from tests.helpers.kelly_loops import deviation


def beta_hedge(rows: Observation, factors, number, hedge_with, halflife, min_bars, target):
    given = np.asarray(target, np.float64)
    held, made = np.zeros(given.shape[1]), np.array(given)
    instruments = range(given.shape[1]) if hedge_with is None else hedge_with
    for t, (known, sigma) in enumerate(covariances(rows, halflife, min_bars)):
        held = np.where(np.isnan(given[t]), held, given[t])
        if np.isnan(given[t]).all():
            continue
        loadings = np.zeros((len(held), number))
        if known and factors == "market":
            loadings[known, 0] = sigma.mean(1) / sigma.mean()
        elif known:
            values, vectors = np.linalg.eigh(sigma)
            kept = min(number, len(known))
            loadings[known, :kept] = (vectors * np.sqrt(values.clip(0)))[:, ::-1][:, :kept]
        for i in instruments:
            made[t, i] = held[i]
        own = loadings[list(instruments)]
        hedge = np.linalg.lstsq(own.T, -loadings.T @ held, rcond=1e-12)[0]
        for i, h in zip(instruments, hedge, strict=True):
            made[t, i] += h
    return made


def covariances(rows: Observation, halflife, min_bars):
    """Yield the assets with a volatility at each row, and their covariance."""
    ok, close = np.asarray(rows.bars.ok), np.asarray(rows.bars.close, np.float64)
    keep, num_assets = 0.5 ** (1 / halflife), ok.shape[1]
    returns, last, scaled = [[] for _ in range(num_assets)], np.zeros(num_assets), []
    for t in range(len(ok)):
        row = np.zeros(num_assets)
        for a in range(num_assets):
            if ok[t, a] and last[a]:
                returns[a].append(close[t, a] / last[a] - 1)
                row[a] = returns[a][-1] / (deviation(returns[a], keep) or 1)
            last[a] = close[t, a] if ok[t, a] else last[a]
        scaled.append(row)
        known = [a for a in range(num_assets) if len(returns[a]) >= min_bars and deviation(returns[a], keep)]
        ages = keep ** np.arange(len(scaled))[::-1]
        moments = (np.array(scaled)[:, known] * ages[:, None]).T @ np.array(scaled)[:, known]
        scale = np.array([deviation(returns[a], keep) for a in known]) / np.sqrt(np.diag(moments))
        yield known, moments * np.outer(scale, scale)


def pairs(rows: Observation, first, second, ratio, window, drift, entry, exit, stop, weight, target):
    made, ok = np.array(target, np.float64), np.asarray(rows.bars.ok)
    legs = [first, second]
    logs = np.log(np.asarray(rows.bars.close, np.float64)[:, legs])
    both = [t for t in range(len(ok)) if ok[t, legs].all()]
    made[np.ix_([t for t in range(len(ok)) if t not in both], legs)] = np.nan
    fits = (kalman if ratio == "kalman" else rolling)(logs[both] - logs[both[0]], window, drift)
    side, slope, stopped = 0, 0.0, False
    for t, (z, b, ready) in zip(both, fits, strict=True):
        if abs(z) <= exit:
            stopped = False
        if side and -side * z >= stop:
            side, stopped = 0, True
        elif side and -side * z <= exit:
            side = 0
        if ready and not side and not stopped and entry < abs(z) < stop and b > 0:
            side, slope = -np.sign(z), b
        made[t, first] = side * weight / (1 + slope)
        made[t, second] = -side * weight * slope / (1 + slope)
    return made


def rolling(logs, window, drift):
    for t in range(len(logs)):
        if t + 1 < window:
            yield 0.0, 0.0, False
            continue
        y, x = logs[t + 1 - window : t + 1].T
        slope, intercept = np.polyfit(x, y, 1)
        residual = y - intercept - slope * x
        yield residual[-1] / np.sqrt(residual @ residual / (window - 2)), slope, True


def kalman(logs, window, drift):
    """The textbook's filter, the covariance updated in Joseph's form."""
    state, covariance, noise = np.array([0.0, 1.0]), np.eye(2), 1e-4
    for t, (y, x) in enumerate(logs):
        h = np.array([1.0, x])
        covariance = covariance + drift**2 * np.eye(2)
        variance = h @ covariance @ h + noise
        gain = covariance @ h / variance
        error = y - h @ state
        rest = np.eye(2) - np.outer(gain, h)
        state = state + gain * error
        covariance = rest @ covariance @ rest.T + noise * np.outer(gain, gain)
        noise *= 1 + (error**2 / variance - 1) / (min(t + 1, window) + 1)
        yield error / np.sqrt(variance), state[1], t >= window
