"""Forecasts of a trained model over a whole history."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from fxtrade import models
from fxtrade.core import compat, stream
from fxtrade.core.stream import Stream
from fxtrade.core.types import Array, Features, Forecast, Labels, Output

SAMPLES = 8192  # at most in one dispatch on the CPU: the activations of more exceed its cache
NOT_KNOWN: Any = None  # `ok` of a forecast whose rows are not known


def forecast_stream(model: nn.Module, params: Any) -> Stream:
    """Return the stream from `Features` to rows of a `Forecast`.

    It is ok where the features are and the model has seen its whole receptive field.
    """
    network = models.stream(model, params)

    def init(rows: Features):
        return jnp.zeros((), jnp.int32), network.init(rows)

    return Stream(init, _forecast_step(network.step, model.receptive_field))


@functools.cache  # the same function for equal networks, so that `jit` compiles it once
def _forecast_step(network_step: Callable, receptive_field: int) -> Callable:
    def step(state, rows: Features):
        seen, state = state
        state, out = network_step(state, rows)
        warm = seen + jnp.arange(len(rows.ok)) >= receptive_field - 1
        seen = jnp.minimum(seen + len(rows.ok), receptive_field)
        return (seen, state), dataclasses.replace(forecast_of_output(out), ok=rows.ok & warm[:, None])

    return step


def forecast_of_output(out: Output) -> Forecast:
    """Return the forecast of an output with any leading axes; its `ok` is None."""
    sigma = None if out.log_sigma is None else jnp.exp(out.log_sigma)
    horizon_prob = None if out.horizon_logits is None else jax.nn.softmax(out.horizon_logits)
    return Forecast(jax.nn.softmax(out.logits), NOT_KNOWN, out.mu, sigma, horizon_prob)


def score(
    model: nn.Module, params: Any, features: Features, on_progress: Callable[[int], None] = lambda n: None
) -> Forecast:
    """Return the forecast of every row, in one pass."""
    chunk = max(SAMPLES // features.x.shape[1], 1) if compat.is_cpu() else SAMPLES
    return stream.run(forecast_stream(model, params), features, chunk, on_progress)


def among_all(forecast: Forecast, rows: Int[np.ndarray, " M"], count: int) -> Forecast:
    """Return the probabilities of the rows `rows` among all `count` rows.

    Elsewhere the forecast is not ok, with the same probability for every class.
    """
    _, assets, classes = forecast.prob.shape
    prob, ok = np.full((count, assets, classes), 1 / classes, np.float32), np.zeros((count, assets), bool)
    prob[rows], ok[rows] = forecast.prob, forecast.ok
    return Forecast(prob, ok)


def labelled(forecast: Forecast, labels: Labels, rows: Bool[Array, " N"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of a span that have both a forecast and a label, with their probabilities and classes.

    Args:
        rows: the span.

    Returns:
        `[N, A]` bool; of these M entries the probabilities `[M, K]` float64, which sum to one, and the classes `[M]`.
    """
    chosen = np.asarray(forecast.ok) & (labels.y >= 0) & rows[:, None]
    prob = np.asarray(forecast.prob)[chosen].astype(np.float64)
    return chosen, prob / prob.sum(-1, keepdims=True), np.asarray(labels.y)[chosen]
