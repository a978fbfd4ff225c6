"""Online fine-tuning: forecasts by weights that adapt to the latest known labels.

From the first row after the training rows on, every `every` rows, the trained weights take a few steps of plain
gradient descent on the last `lookback` rows whose labels are known by then. The adapted weights score the rows up to
the next adaptation. Each adaptation starts from the trained weights, so that errors do not accumulate and a forecast
depends on a bounded past. Of several validation blocks only the last one follows all training rows; the weights adapt
there, and the validation rows before it have no forecast.

The best learning rate differs between networks, and too high a rate ruins the weights. Of several rates each member
takes the one with the least log loss on the validation rows; 0 is the plain forecast.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from fxtrade.core.config import AdaptConfig
from fxtrade.core.errors import ConfigError, DataError, TrainingError
from fxtrade.core.types import Array, Forecast, Output, Segment, Split
from fxtrade.labels.weights import known_at
from fxtrade.metrics import classify
from fxtrade.pipeline import predict
from fxtrade.pipeline.dataset import Dataset
from fxtrade.train import meta
from fxtrade.train.members import map_members
from fxtrade.train.segments import Plan, Series, device_series, gather

GROUP = 16  # adaptations in one dispatch; `map_members` may batch them


class Adapted(NamedTuple):
    """A member's forecast and the learning rate of its adaptations; None if weights do not adapt."""

    forecast: Forecast
    rate: float | None


class AdaptationPlan(NamedTuple):
    """The M blocks of rows that adapted weights score, and the segments that these adapt to."""

    begins: Int[np.ndarray, " M"]  # first row of each block; of the first one, `first_scored`
    segments: Plan  # one for each block, of labels that are known when it begins
    every: int  # rows of a block
    choosing: int  # blocks up to the last validation row, by which the learning rate is chosen

    def end(self, block: int) -> int:
        """Return the first row after all blocks before this one."""
        return min(int(self.begins[0]) + self.every * block, self.segments.rows)


def score(
    model: nn.Module,
    loss: Callable[[Output, Segment], Array],
    members: Sequence[Any],
    data: Dataset,
    config: AdaptConfig,
    on_progress: Callable[[int], None] = lambda n: None,
) -> list[Adapted]:
    """Return the forecast of each member; with `config.steps`, weights adapt from the first row after training on.

    Rows are weighted by their labels; rows without a label are ignored. The network's weights do not change if none of
    the `lookback` rows has a label, as after a long gap. Dropout is off.

    Args:
        loss: minimised by the steps.
        members: the trained weights of each, all of the same shape.

    Raises:
        ConfigError: training rows follow test rows or all validation rows.
        DataError: there are fewer than `lookback` known labels, behind a warm-up, before the first of these rows.
        TrainingError: the steps lead to weights that are not finite.
    """
    if config.steps is None:
        return [Adapted(predict.score(model, params, data.features, on_progress), None) for params in members]
    plan = plan_adaptation(data, config, model.receptive_field)
    series = device_series(data.features, data.labels, np.ones(plan.segments.rows, bool), model.head_spec.returns)
    blocks = adapted_blocks(model, loss, config, plan.segments)
    # a threshold of confidence is for forecasts that are made as those of the test rows
    earlier = np.asarray(data.split.valid) & (np.arange(plan.segments.rows) < plan.begins[0])
    adapted = []
    for params in members:
        plain = predict.score(model, params, data.features)
        plain = dataclasses.replace(plain, ok=plain.ok & ~earlier[:, None])
        on_progress(int(plan.begins[0]))
        own = functools.partial(blocks, params, series)
        tried = reforecast(dict.fromkeys(config.learning_rates, plain), own, plan, 0, plan.choosing, on_progress)
        rate = min(tried, key=lambda rate: validation_loss(tried[rate], data))
        made = reforecast({rate: tried[rate]}, own, plan, plan.choosing, len(plan.begins), on_progress)[rate]
        finite = np.isfinite(made.prob).all((1, 2))
        if not finite.all():
            raise TrainingError(
                f"the weights that adapt to the {config.lookback} bars before row {int(finite.argmin())} are not "
                "finite; try lower adapt.learning_rates or look at the data there"
            )
        adapted.append(Adapted(made, rate))
    return adapted


def first_scored(split: Split) -> int:
    """Return the first validation or test row after the training rows: no test row may adapt to later ones.

    Raises:
        ConfigError: training rows follow test rows or all validation rows.
    """
    last = int(np.flatnonzero(split.train)[-1])
    if split.test[:last].any() or not split.valid[last:].any():
        raise ConfigError(
            f"config.adapt.steps: training row {last} follows test rows or all validation rows; weights adapt in order "
            "of time, so use a split whose last rows are of validation and test, such as by_time or by_blocks, or "
            "steps=None"
        )
    return last + int(np.argmax((split.valid | split.test)[last:]))


def plan_adaptation(data: Dataset, config: AdaptConfig, receptive_field: int) -> AdaptationPlan:
    """Return the blocks of `every` rows from the first row after training on.

    Raises:
        ConfigError: training rows follow test rows or all validation rows.
        DataError: fewer than `lookback` labels are known before it, behind a warm-up.
    """
    rows, valid, warmup = len(data.features.x), data.split.valid, receptive_field - 1
    begins = np.arange(first_scored(data.split), rows, config.every)
    known = np.maximum.accumulate(known_at(data.labels.end))  # of all rows up to each
    starts = np.searchsorted(known, begins) - config.lookback
    if starts[0] < warmup:
        raise DataError(
            f"adapt.lookback = {config.lookback}: before the validation rows there are {starts[0] + config.lookback} "
            f"bars with known labels, {warmup} of which are the model's warm-up; use a shorter lookback or more data"
        )
    choosing = int(np.searchsorted(begins, rows - np.argmax(valid[::-1])))
    return AdaptationPlan(begins, Plan(starts, config.lookback, warmup, rows), config.every, choosing)


def reforecast(
    forecasts: dict[float, Forecast],
    blocks: Callable[[Array, Array, float], Forecast],
    plan: AdaptationPlan,
    low: int,
    high: int,
    on_progress: Callable[[int], None],
) -> dict[float, Forecast]:
    """Replace blocks low .. high - 1 of the forecast of each learning rate by those of weights that adapt at that rate.

    Args:
        blocks: of the weights of one member, see `adapted_blocks`.
    """
    begin, end = plan.end(low), plan.end(high)
    parts = {rate: [] for rate in forecasts if rate}
    for g in range(low, high, GROUP):
        group = np.minimum(np.arange(g, g + GROUP), high - 1)  # the last group is padded
        starts, begins, left = plan.segments.starts[group], plan.begins[group], end - plan.begins[g]
        for rate in parts:
            made = blocks(jnp.asarray(starts), jnp.asarray(begins), rate)
            parts[rate].append(jax.tree.map(lambda a, n=left: np.asarray(a).reshape(-1, *a.shape[2:])[:n], made))
        on_progress(min(left, GROUP * plan.every))
    return forecasts | {rate: _splice(forecasts[rate], new, begin, end) for rate, new in parts.items()}


def _splice(old: Forecast, new: list[Forecast], begin: int, end: int) -> Forecast:
    """Return the forecast with the rows begin .. end - 1 replaced by those of `new`, in order; `ok` stays."""

    def splice(old: np.ndarray, *new: np.ndarray) -> np.ndarray:
        return np.concatenate([old[:begin], *new, old[end:]])

    return dataclasses.replace(jax.tree.map(splice, dataclasses.replace(old, ok=None), *new), ok=old.ok)


def validation_loss(forecast: Forecast, data: Dataset) -> float:
    """Return the log loss on the validation rows; infinite if a probability is not finite."""
    if not np.isfinite(forecast.prob).all():
        return np.inf
    _, prob, y = predict.labelled(forecast, data.labels, data.split.valid)
    return classify.log_loss(prob, y)


def adapted_blocks(model: nn.Module, loss: Callable, config: AdaptConfig, plan: Plan) -> Callable:
    """Return the compiled `(params, series, starts [G], begins [G], rate) -> Forecast [G, every, ...]`.

    It forecasts each block of `every` rows from row `begins` on, by the weights adapted to the segment of the plan from
    `starts` on. Rows beyond the end of the series repeat its last one.
    """
    steps = config.steps
    assert steps is not None, "called only where weights adapt"

    @jax.jit
    def blocks(params: Any, series: Series, starts: Array, begins: Array, rate: float) -> Forecast:
        def block(pair):
            start, begin = pair
            known = gather(series, start[None], plan)

            def value(p, _):
                return loss(model.apply({"params": p}, known.x), known)

            own, *_ = meta.descend(meta.Descent(value, steps, rate, config.trainable), params)
            at = jnp.minimum(begin - plan.warmup + jnp.arange(plan.warmup + config.every), plan.rows - 1)
            forecast = predict.forecast_of_output(cast(Output, model.apply({"params": own}, series.x[at][None])))
            return jax.tree.map(lambda a: a[0, plan.warmup :], forecast)

        return map_members(block, (starts, begins))

    return blocks
