"""The rules over a whole history at once, by array operations over all rows: references for the rules, bit for bit."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from fxtrade.core.trading_types import Observation
from fxtrade.core.windows import windowed_sum
from fxtrade.risk import sizing


def threshold(rows: Observation, threshold, horizon, max_gross_exposure, allow_short):
    """A running sum of whole numbers is exact."""
    f = rows.forecast
    decision = jnp.where(sizing.confidence(f) >= threshold, sizing.direction(f), 0)
    decision = decision if allow_short else jnp.maximum(decision, 0)
    opened = jnp.cumsum(decision, axis=0)
    closed = jnp.pad(opened, ((horizon, 0), (0, 0)))[: opened.shape[0]]
    return (opened - closed).astype(float) * (max_gross_exposure / (horizon * decision.shape[1]))


def proportional(rows: Observation, horizon, max_gross_exposure, allow_short):
    f = rows.forecast
    held = jnp.where(f.ok, f.prob[..., -1] - f.prob[..., 0], 0.0)
    held = held if allow_short else jnp.maximum(held, 0)
    past = jnp.pad(held, ((horizon - 1, 0), (0, 0)))
    return windowed_sum(past, horizon) * (max_gross_exposure / (horizon * held.shape[1]))


def buy_and_hold(rows: Observation):
    ok = np.asarray(rows.bars.ok)
    return np.where(ok & (np.cumsum(ok, 0) == 1), np.float32(1 / ok.shape[1]), np.float32(np.nan))


def only_changes(rows: Observation, target):
    """Of targets `[N, A]` that are given."""
    target = np.asarray(target, np.float32)
    same = np.concatenate([np.zeros_like(target[:1], bool), target[1:] == target[:-1]])
    return np.where(same, np.float32(np.nan), target)
