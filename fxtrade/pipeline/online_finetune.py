"""Online fine-tuning: forecasts by weights that adapt to the latest known labels.

From the first validation or test row on, every `every` rows, the trained weights take a few steps of plain gradient
descent on the last `lookback` rows whose labels are known by then. The adapted weights score the rows up to the next
adaptation. Each adaptation starts from the trained weights, so that errors do not accumulate and a forecast depends on
a bounded past.

The best learning rate differs between networks, and too high a rate ruins the weights. Of several rates each member
takes the one with the least log loss on the validation rows; 0 is the plain forecast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.config import AdaptConfig
from fxtrade.core.errors import DataError, TrainingError
from fxtrade.core.types import Array, Forecast, Output, Segment
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


def score(
    model: nn.Module,
    loss: Callable[[Output, Segment], Array],
    members: Sequence[Any],
    data: Dataset,
    config: AdaptConfig,
    on_progress: Callable[[int], None] = lambda n: None,
) -> list[Adapted]:
    """Return the forecast of each member; with `config.steps`, weights adapt from the first validation or test row on.

    Rows are weighted by their labels; rows without a label are ignored. The network's weights do not change if none of
    the `lookback` rows has a label, as after a long gap. Dropout is off.

    Args:
        loss: minimised by the steps.
        members: the trained weights of each, all of the same shape.

    Raises:
        DataError: there are fewer than `lookback` known labels between the warm-up and the first of these rows.
        TrainingError: the steps lead to weights that are not finite.
    """
    if config.steps is None:
        return [Adapted(predict.score(model, params, data.features, on_progress), None) for params in members]
    rows, valid = len(data.features.x), data.split.valid
    first, warmup = int(np.argmax(valid | data.split.test)), model.receptive_field - 1
    begins = np.arange(first, rows, config.every)
    known = np.maximum.accumulate(known_at(data.labels.end))  # of all rows up to each
    starts = np.searchsorted(known, begins) - config.lookback
    if starts[0] < warmup:
        raise DataError(
            f"adapt.lookback = {config.lookback}: before the validation rows there are {starts[0] + config.lookback} "
            f"bars with known labels, {warmup} of which are the model's warm-up; use a shorter lookback or more data"
        )
    series = device_series(data.features, data.labels, np.ones(rows, bool), model.head_spec.returns)
    blocks = adapted_blocks(model, loss, config, Plan(starts, config.lookback, warmup, rows))
    choosing = int(np.searchsorted(begins, rows - np.argmax(valid[::-1])))  # blocks up to the last validation row

    def reforecast(old: dict[float, Forecast], params: Any, low: int, high: int) -> dict[float, Forecast]:
        """Replace blocks low .. high - 1 of the forecast of each rate by those of weights that adapt at that rate."""
        begin, end = (min(first + config.every * block, rows) for block in (low, high))
        parts = {rate: [] for rate in old if rate}
        for g in range(low, high, GROUP):
            group = np.minimum(np.arange(g, g + GROUP), high - 1)  # the last group is padded
            left = end - begins[g]
            for rate in parts:
                made = blocks(params, series, jnp.asarray(starts[group]), jnp.asarray(begins[group]), rate)
                parts[rate].append(jax.tree.map(lambda a, n=left: np.asarray(a).reshape(-1, *a.shape[2:])[:n], made))
            on_progress(min(left, GROUP * config.every))

        def spliced(old: np.ndarray, *new: np.ndarray) -> np.ndarray:
            return np.concatenate([old[:begin], *new, old[end:]])

        def replaced(old: Forecast, new: list[Forecast]) -> Forecast:
            return dataclasses.replace(jax.tree.map(spliced, dataclasses.replace(old, ok=None), *new), ok=old.ok)

        return old | {rate: replaced(old[rate], new) for rate, new in parts.items()}

    def validated(made: Forecast) -> float:
        if not np.isfinite(made.prob).all():
            return np.inf
        _, prob, y = predict.labelled(made, data.labels, valid)
        return classify.log_loss(prob, y)

    def of_member(params: Any) -> Adapted:
        plain = predict.score(model, params, data.features)
        on_progress(first)
        tried = reforecast(dict.fromkeys(config.learning_rates, plain), params, 0, choosing)
        rate = min(tried, key=lambda rate: validated(tried[rate]))
        made = reforecast({rate: tried[rate]}, params, choosing, len(begins))[rate]
        finite = np.isfinite(made.prob).all((1, 2))
        if not finite.all():
            raise TrainingError(
                f"the weights that adapt to the {config.lookback} bars before row {int(finite.argmin())} are not "
                "finite; try lower adapt.learning_rates or look at the data there"
            )
        return Adapted(made, rate)

    return [of_member(params) for params in members]


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
