"""A trained model over a whole history."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fxtrade import models
from fxtrade.core import compat, stream
from fxtrade.core.stream import Stream
from fxtrade.core.types import Features, Forecast
from fxtrade.train import members

SAMPLES = 8192  # in one dispatch on the CPU: the activations of more leave its cache


def forecast_stream(model: nn.Module, params: Any) -> Stream:
    """Features in, class probabilities `[T, A, K]` out."""
    network = models.stream(model, params)
    return Stream(network.init, _probabilities(network.step))


@functools.cache
def _probabilities(network_step: Callable) -> Callable:
    def step(state, rows: Features):
        state, out = network_step(state, rows)
        return state, jax.nn.softmax(out.logits)

    return step


def score(
    model: nn.Module, params: Any, features: Features, tick: Callable[[int], None] = lambda n: None, count: int = 1
) -> Forecast:
    """The forecast of every row, in one pass; ok where the features are and the model has seen its receptive field.

    Of an ensemble of `count` members, whose parameters are stacked, the mean of their probabilities.
    """
    assets = features.x.shape[1]
    chunk = max(SAMPLES // assets, 1) if compat.is_cpu() else SAMPLES
    prob = 0.0
    for i in range(count):
        own = params if count == 1 else members.member(params, i)
        prob += stream.run(forecast_stream(model, own), features, chunk, tick) / count
    ok = np.asarray(features.ok) & (np.arange(len(prob)) >= model.receptive_field - 1)[:, None]
    return Forecast(prob, ok)
