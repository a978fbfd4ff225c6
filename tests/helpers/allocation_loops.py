"""The rules of allocation and of the universe as loops over rows: their references in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core import compat
from fxtrade.core.trading_types import Observation
from fxtrade.risk.covariance import COVARIANCES
from tests.helpers import hierarchy_loops


def allocation(
    rows: Observation, method, method_options, covariance, covariance_options, window, every, weight, cost, target
):
    """Of methods with a loop of their name; the estimators have references of their own."""
    bars, num = rows.bars, rows.bars.ok.shape[1]
    target = np.asarray(target, np.float64)
    last, returns, made = np.full(num, np.nan), np.full((window, num), np.nan), np.full(target.shape, np.nan)
    for t in range(len(target)):
        ok, close = np.asarray(bars.ok[t]), np.asarray(bars.close[t], np.float64)
        returns = np.concatenate([returns[1:], np.where(ok, close / last - 1, np.nan)[None]])
        last = np.where(ok, close, last)
        made[t, target[t] == 0] = 0
        if t % every:
            continue
        made[t] = 0
        takes_part = ok & (target[t] != 0) & (np.isfinite(returns).sum(0) >= max(-(-window // 2), 2))
        if takes_part.any():
            past = np.where(takes_part[None], returns, np.nan)
            with compat.float64():
                matrix = np.asarray(COVARIANCES[covariance](jnp.asarray(past)))[np.ix_(takes_part, takes_part)]
            made[t, takes_part] = weight * getattr(hierarchy_loops, method)(matrix)
    return made


def liquid_universe(rows: Observation, size, window, every, min_bars, target):
    bars, target = rows.bars, np.asarray(target, np.float64)
    made, member, past = target.copy(), set(), [[] for _ in range(target.shape[1])]
    for t in range(len(target)):
        for a, volumes in enumerate(past):
            if bars.ok[t, a]:
                volumes.append(float(bars.quote_volume[t, a]))
        if t % every == 0:
            able = [a for a, volumes in enumerate(past) if bars.ok[t, a] and len(volumes) >= min_bars]
            member = set(sorted(able, key=lambda a: -np.mean(past[a][-window:]))[:size])
        made[t, [a for a in range(target.shape[1]) if a not in member]] = 0
    return made
