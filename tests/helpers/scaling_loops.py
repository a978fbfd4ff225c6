"""The rules that size and limit targets as plain loops in float64 over whole slices of the past: their references."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from fxtrade.core.trading_types import Account, Observation


def volatility_target(
    rows: Observation, target, annual_volatility, max_leverage, bars_per_year, estimator, halflife, min_bars,
    har_windows, horizon,
):  # fmt: skip
    sigma = volatility_of(rows, estimator, halflife, min_bars, har_windows, horizon)
    factor = np.minimum(annual_volatility / (sigma * math.sqrt(bars_per_year)), max_leverage)
    return as_given(target) * np.where(np.isnan(sigma), 0, factor)


def inverse_volatility(rows: Observation, target, estimator, halflife, min_bars, har_windows, horizon):
    sigma = volatility_of(rows, estimator, halflife, min_bars, har_windows, horizon)
    out = as_given(target)
    for t, row in enumerate(out):
        gross = np.nansum(np.abs(row))
        divided = np.where(np.isnan(sigma[t]), 0 * row, row / sigma[t])
        total = np.nansum(np.abs(divided))
        out[t] = divided * (gross / total if total > 0 else 0.0)
    return out


def portfolio_volatility(
    rows: Observation, target, annual_volatility, max_gross_exposure, max_scale, bars_per_year, halflife,
    correlation_halflife, min_bars,
):  # fmt: skip
    ok, sigma, ret = np.asarray(rows.bars.ok), ew_volatility(rows, halflife, min_bars), returns(rows)
    scaled = np.nan_to_num(ret / ew_volatility(rows, halflife, 1))
    out = as_given(target)
    for t in range(len(ok)):
        weights = 0.5 ** (np.arange(t, -1, -1) / correlation_halflife)
        products = (scaled[: t + 1] * weights[:, None]).T @ scaled[: t + 1]
        known = ~np.isnan(sigma[t])
        out[t] = np.where(known | np.isnan(out[t]), out[t], 0.0)
        held = np.nan_to_num(out[t])[known]
        own = np.sqrt(np.diag(products)[known])
        covariance = products[np.ix_(known, known)] / np.outer(own, own) * np.outer(sigma[t][known], sigma[t][known])
        risk, gross = math.sqrt(held @ covariance @ held * bars_per_year), np.abs(held).sum()
        if gross > 0:
            out[t] *= min(annual_volatility / risk, max_gross_exposure / gross, max_scale)
    return out


def fixed_weight(rows: Observation, target, weight):
    return np.sign(as_given(target)) * weight


def fixed_risk(rows: Observation, target, risk, multiple, window, max_leverage):
    size = risk / (multiple * relative_range(rows, window))
    return np.sign(as_given(target)) * np.where(np.isnan(size), 0, np.minimum(size, max_leverage))


def cap(rows: Observation, target, max_weight, max_gross_exposure, max_net_exposure):
    out = as_given(target)
    for t, row in enumerate(out):
        row = np.clip(row, -max_weight, max_weight)
        gross = np.nansum(np.abs(row))
        row = row * min(1.0, max_gross_exposure / gross) if gross > 0 else row
        long, short = row[row > 0].sum(), -row[row < 0].sum()
        if long - short > max_net_exposure:
            row[row > 0] *= (short + max_net_exposure) / long
        elif short - long > max_net_exposure:
            row[row < 0] *= (long + max_net_exposure) / short
        out[t] = row
    return out


def whole_lots(rows: Observation, target, account: Account, lot, rounding):
    """Weights and units side by side, as the leaves of the order."""
    units, mark = np.asarray(account.units, float), np.asarray(account.mark, float)
    equity = float(account.cash) + (units * mark).sum()
    lots = as_given(target) * equity / mark / lot
    whole = np.trunc(lots + np.sign(lots) * 1e-9) if rounding == "down" else np.rint(lots)
    return np.concatenate([np.full_like(lots, np.nan), whole * lot], -1)


def bet_size(rows: Observation, form, power, scale, threshold, horizon, max_gross_exposure, allow_short):
    prob, ok = np.asarray(rows.forecast.prob), np.asarray(rows.forecast.ok)
    n, assets, classes = prob.shape
    slices = np.zeros((n, assets))
    for t, a in np.argwhere(ok):
        down, up = prob[t, a, 0], prob[t, a, -1]
        sure = 2 * abs(up - np.float32(0.5)) if classes == 2 else abs(up - down)
        edge = abs(float(up) - float(down))
        if sure < np.float32(threshold) or (up < down and not allow_short):
            continue
        size = edge
        if form == "normal":
            p = (1 + edge) / 2  # of the direction, as if there were two classes
            size = 2 * NormalDist().cdf((p - 0.5) / math.sqrt(p * (1 - p))) - 1
        slices[t, a] = float(np.sign(up - down)) * min(scale * size**power, 1.0)
    return mean_of_slices(slices, horizon) * max_gross_exposure / assets


def mean_variance(rows: Observation, risk_aversion, horizon, max_gross_exposure, allow_short):
    f = rows.forecast
    mu, sigma = np.asarray(f.mu, float), np.asarray(f.sigma, float)
    weight = np.where(f.ok, mu / (risk_aversion * sigma**2), 0)
    weight = weight if allow_short else np.maximum(weight, 0)
    gross = np.abs(weight).sum(1, keepdims=True)
    weight *= np.minimum(1, max_gross_exposure / np.where(gross > 0, gross, 1))
    return mean_of_slices(weight, horizon)


def mean_of_slices(slices: np.ndarray, horizon: int) -> np.ndarray:
    return np.array([slices[max(t - horizon + 1, 0) : t + 1].sum(0) / horizon for t in range(len(slices))])


def as_given(target) -> np.ndarray:
    return np.asarray(target, np.float64).copy()


def volatility_of(rows: Observation, estimator, halflife, min_bars, har_windows, horizon) -> np.ndarray:
    if estimator == "ew":
        return ew_volatility(rows, halflife, min_bars)
    if estimator == "har":
        return har_volatility(rows, halflife, min_bars, har_windows)
    return np.where(rows.forecast.ok, np.asarray(rows.forecast.sigma, float), np.nan) / math.sqrt(horizon)


def returns(rows: Observation) -> np.ndarray:
    """Simple returns from the asset's last bar, NaN where there is none."""
    close, out = np.asarray(rows.bars.close, float), np.full(rows.bars.close.shape, np.nan)
    for a in range(close.shape[1]):
        own = np.flatnonzero(rows.bars.ok[:, a])
        out[own[1:], a] = close[own[1:], a] / close[own[:-1], a] - 1
    return out


def at_bars(rows: Observation, asset: int, values: list[float]) -> np.ndarray:
    """Values of the bars of an asset, carried on where it has none; NaN before the first."""
    out, last, given = [], math.nan, iter(values)
    for ok in rows.bars.ok[:, asset]:
        last = next(given) if ok else last
        out.append(last)
    return np.array(out)


def ew_volatility(rows: Observation, halflife, min_bars) -> np.ndarray:
    ret, out = returns(rows), []
    for a in range(ret.shape[1]):
        own, values = ret[rows.bars.ok[:, a], a][1:], []
        for n in range(len(own) + 1):
            weights = 0.5 ** (np.arange(n, 0, -1) / halflife)
            known = n >= min_bars and np.any(own[:n])
            values.append(math.sqrt((weights * own[:n] ** 2).sum() / weights.sum()) if known else math.nan)
        out.append(at_bars(rows, a, values))
    return np.stack(out, 1)


def har_volatility(rows: Observation, halflife, min_bars, windows) -> np.ndarray:
    """At every bar the regression over all bars before it, by weighted least squares on the stacked rows."""
    ret, out = returns(rows), []
    opened, high, low, close = (np.asarray(getattr(rows.bars, k), float) for k in ("open", "high", "low", "close"))
    for a in range(ret.shape[1]):
        own = rows.bars.ok[:, a]
        o, h, b, c, r = (x[own, a] for x in (opened, high, low, close, ret))
        jump = np.append(0.0, np.log(o[1:] / c[:-1]))[: len(o)]
        raw = np.log(h / b) ** 2 / (4 * math.log(2)) + jump**2
        v = np.array([max(x, 0.01 * raw[: i + 1].mean(), 1e-14) for i, x in enumerate(raw)])
        longest, values, predicted = max(windows), [], np.full(len(v), np.nan)
        x = np.array([[math.log(v[max(t - w + 1, 0) : t + 1].mean()) for w in windows] for t in range(len(v))])
        base = x[longest - 1].max() if len(v) >= longest else math.nan
        z = np.concatenate([np.ones((len(v), 1)), x - base], 1)
        for t in range(len(v)):
            if t < longest - 1:
                values.append(math.nan)
                continue
            pairs = np.arange(longest - 1, t)  # rows whose outcome is known
            weights = 0.5 ** ((t - 1 - pairs) / halflife)
            y = np.log(v[pairs + 1]) - x[pairs].mean(1)
            design = np.concatenate([z[pairs] * np.sqrt(weights)[:, None], np.eye(4)])
            beta = np.linalg.lstsq(design, np.append(y * np.sqrt(weights), np.zeros(4)), rcond=None)[0]
            predicted[t] = math.exp(x[t].mean() + z[t] @ beta)
            ratio = (weights * r[pairs + 1] ** 2).sum() / max((weights * predicted[pairs]).sum(), 1e-300)
            values.append(math.sqrt(predicted[t] * ratio) if len(pairs) >= max(min_bars, 1) else math.nan)
        out.append(at_bars(rows, a, values))
    return np.stack(out, 1)


def relative_range(rows: Observation, window) -> np.ndarray:
    """Wilder's average true range over the last close, NaN before a full window."""
    high, low, close = (np.asarray(getattr(rows.bars, k), float) for k in ("high", "low", "close"))
    out = []
    for a in range(close.shape[1]):
        own = rows.bars.ok[:, a]
        h, b, c = high[own, a], low[own, a], close[own, a]
        before = np.append(c[:1], c[:-1])
        ranges, values = np.maximum(h, before) - np.minimum(b, before), []
        for t in range(len(c)):
            average = ranges[:window].mean() if t < window else average + (ranges[t] - average) / window  # noqa: F821
            values.append(average / c[t] if t + 1 >= window else math.nan)
        out.append(at_bars(rows, a, values))
    return np.stack(out, 1)
