"""A small learnable problem for the tests of training: the class of a row is the sign of its first feature."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from fxtrade import models
from fxtrade.core.config import OptimConfig, TrainConfig
from fxtrade.core.types import Output
from fxtrade.train.segments import Plan, Series, plan

N, ASSETS, FEATURES = 240, 2, 3
MODEL = models.build("wavenet", {"channels": 4, "skip_channels": 4, "layers": 2})
REACH = MODEL.receptive_field
TRAIN = TrainConfig(steps=40, batch=4, segment_length=16, steps_per_call=5, eval_every=10, patience=None)
OPTIM = OptimConfig(learning_rate=0.02, schedule="constant", warmup=0, ema_decay=0.9)


class Small(nn.Module):
    """Two layers, row by row: quick to compile, and as nonlinear as need be."""

    @nn.compact
    def __call__(self, x, train=False):
        h = jnp.tanh(nn.Dense(4, use_bias=False, name="inputs")(x))
        return Output(nn.Dense(2, name="head")(h), h)


def series(seed: int = 0, flip: float = 0.0, n: int = N) -> Series:
    """A share `flip` of the labels is wrong; weights are uneven."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, ASSETS, FEATURES)).astype(np.float32)
    y = (x[..., 0] > 0) ^ (rng.random((n, ASSETS)) < flip)
    w = rng.uniform(0.5, 1.5, (n, ASSETS)).astype(np.float32)
    return Series(*(jnp.asarray(a) for a in (x, y.astype(np.int32), x[..., 1], w)))


def within(whole: Series, start: int, stop: int, length: int = TRAIN.segment_length) -> tuple[Series, Plan]:
    """The series with weight in rows start..stop-1 only, and its segments."""
    inside = (np.arange(len(whole.w)) >= start) & (np.arange(len(whole.w)) < stop)
    w = np.where(inside[:, None], whole.w, 0)
    return whole._replace(w=jnp.asarray(w)), plan(w, length, REACH)


def spans(**options) -> tuple[tuple[Series, Plan], tuple[Series, Plan]]:
    """Training rows up to 160, validation rows from there on."""
    whole = series(**options)
    return within(whole, 0, 160), within(whole, 160, N)
