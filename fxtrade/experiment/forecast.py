"""A trained model over a whole history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fxtrade import models
from fxtrade.core import stream
from fxtrade.core.stream import Stream
from fxtrade.core.types import Features, Forecast

CHUNK = 8192  # bars a dispatch; larger ones leave the CPU's cache


def forecast_stream(model: nn.Module, params: Any) -> Stream:
    """Features in, class probabilities `[T, A, K]` out."""
    network = models.stream(model, params)

    def step(state, rows: Features):
        state, out = network.step(state, rows)
        return state, jax.nn.softmax(out.logits)

    return Stream(network.init, step)


def score(model: nn.Module, params: Any, features: Features, tick: Callable[[int], None] = lambda n: None) -> Forecast:
    """The forecast of every row, in one pass; ok where the features are and the model has seen its receptive field."""
    prob = stream.run(forecast_stream(model, params), features, CHUNK, tick)
    ok = np.asarray(features.ok) & (np.arange(len(prob)) >= model.receptive_field - 1)[:, None]
    return Forecast(prob, ok)
