"""A trained model over a whole history."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fxtrade import models
from fxtrade.core import compat, stream
from fxtrade.core.stream import Stream
from fxtrade.core.types import Features, Forecast, Output

SAMPLES = 8192  # in one dispatch on the CPU: the activations of more leave its cache


def forecast_stream(model: nn.Module, params: Any) -> Stream:
    """Features in, rows of a `Forecast` out, whose `ok` is None."""
    network = models.stream(model, params)
    return Stream(network.init, _said(network.step))


@functools.cache
def _said(network_step: Callable) -> Callable:
    def step(state, rows: Features):
        state, out = network_step(state, rows)
        return state, of_output(out)

    return step


def of_output(out: Output) -> Forecast:
    """What trading sees of an output of any leading axes; `ok` is left out."""
    sigma = None if out.log_sigma is None else jnp.exp(out.log_sigma)
    further = None if out.further is None else jax.nn.softmax(out.further)
    return Forecast(jax.nn.softmax(out.logits), None, out.mu, sigma, further)


def score(model: nn.Module, params: Any, features: Features, tick: Callable[[int], None] = lambda n: None) -> Forecast:
    """The forecast of every row, in one pass; ok where the features are and the model has seen its receptive field."""
    chunk = max(SAMPLES // features.x.shape[1], 1) if compat.is_cpu() else SAMPLES
    made = stream.run(forecast_stream(model, params), features, chunk, tick)
    warm = np.arange(len(made.prob)) >= model.receptive_field - 1
    return made.replace(ok=np.asarray(features.ok) & warm[:, None])


def mixture(forecasts: Sequence[Forecast]) -> Forecast:
    """The equal mixture of what several models say: mean probabilities, and mean and deviation of mixed returns; ok
    where all of them are."""
    if len(forecasts) == 1:
        return forecasts[0]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, 0), *(f.replace(ok=None) for f in forecasts))
    mean = mean.replace(ok=np.logical_and.reduce([f.ok for f in forecasts]))
    if mean.sigma is None:
        return mean
    square = np.mean([f.sigma**2 + f.mu**2 for f in forecasts], 0)
    return mean.replace(sigma=np.sqrt(np.maximum(square - mean.mu**2, 0)))
