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


def score(model: nn.Module, params: Any, features: Features, tick: Callable[[int], None] = lambda n: None) -> Forecast:
    """The forecast of every row, in one pass; ok where the features are and the model has seen its receptive field."""
    assets = features.x.shape[1]
    chunk = max(SAMPLES // assets, 1) if compat.is_cpu() else SAMPLES
    prob = stream.run(forecast_stream(model, params), features, chunk, tick)
    ok = np.asarray(features.ok) & (np.arange(len(prob)) >= model.receptive_field - 1)[:, None]
    return Forecast(prob, ok)
