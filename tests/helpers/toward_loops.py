"""The rules that trade toward a target as plain loops in float64, for an account that stays the same."""

from __future__ import annotations

import math

import numpy as np

from fxtrade.core.trading_types import Account, Observation
from tests.helpers.scaling_loops import as_given, ew_volatility


def no_trade_band(rows: Observation, target, account: Account, band):
    held, out = weights_of(account), as_given(target)
    return np.where(np.abs(out - held) > band, out, np.nan)


def buffer(rows: Observation, target, account: Account, width):
    held, out = weights_of(account), as_given(target)
    for t, a in np.ndindex(out.shape):
        own = width if out[t, a] else 0.0
        low, high = out[t, a] - own, out[t, a] + own
        out[t, a] = low if held[a] < low else high if held[a] > high else np.nan
    return out


def turnover_limit(rows: Observation, target, account: Account, max_turnover):
    held, out = weights_of(account), as_given(target)
    for t, row in enumerate(out):
        turnover = np.nansum(np.abs(row - held))
        if turnover > max_turnover:
            out[t] = held + (row - held) * max_turnover / turnover
    return out


def cost_gate(
    rows: Observation, target, account: Account, cost_per_value, margin, keep_margin, gain, horizon, halflife, min_bars
):
    held, out, forecast = weights_of(account), as_given(target), rows.forecast
    sigma = ew_volatility(rows, halflife, min_bars)
    for t, a in np.ndindex(out.shape):
        ret = 0.0
        if forecast.ok[t, a]:
            edge = float(forecast.prob[t, a, -1]) - float(forecast.prob[t, a, 0])
            spread = 0.0 if np.isnan(sigma[t, a]) else sigma[t, a] * math.sqrt(horizon * 2 / math.pi)
            ret = float(forecast.mu[t, a]) if gain == "mu" else edge * spread
        new, old = out[t, a], held[a]
        gained = ret * np.sign(new - old)
        if abs(new) < abs(old) and new * old >= 0:
            passes = not -gained > 2 * cost_per_value * keep_margin
        else:
            passes = gained > 2 * cost_per_value * margin
        out[t, a] = new if passes else np.nan
    return out


def aim(rows: Observation, target, account: Account, risk_aversion, cost, signal_halflife, discount):
    """The rate is that of the fixed point of the value function, iterated bar by bar from the end."""
    held, value = weights_of(account), 0.0
    for _ in range(10_000):
        slope = (1 - discount) * (risk_aversion + value)
        value = cost * slope / (cost + slope)
    rate = value / cost
    front = as_given(target) / (1 + (1 - 0.5 ** (1 / signal_halflife)) * value / risk_aversion)
    return held + rate * (front - held)


def weights_of(account: Account) -> np.ndarray:
    value = np.asarray(account.units, float) * np.asarray(account.mark, float)
    return value / (float(account.cash) + value.sum())
