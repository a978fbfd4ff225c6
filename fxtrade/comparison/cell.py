"""How a comparison judges: the same rows, labels and days for every forecast of a market."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from fxtrade import labels
from fxtrade.core.config import RunConfig
from fxtrade.core.types import Forecast, Labels
from fxtrade.data.bars import Panel, format_interval, parse_interval
from fxtrade.evaluate import accuracy, trading
from fxtrade.pipeline import baselines, dataset, online_finetune
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.build import build_loss
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.online_finetune import Adapted
from fxtrade.train import members

LEAD = 4  # receptive fields that a model reads before rows that are judged; recurrent models remember beyond one
SCORES = ("log_loss", "brier", "ece", "mcc", "ic", "rank_ic")
EARNED = ("sharpe", "daily_sharpe", "total_return", "max_drawdown")


class Setting(NamedTuple):
    """What all forecasts of a market are trained and judged on.

    Attributes:
        config: of its data, features, label and report.
        training: the data with fewer validation rows, for the evaluations during training.
        labels: by name, that of the config first, on which forecasts are judged.
        day: `[N]` int64, block of the bootstrap within the test span, 0..G-1; -1 outside.
    """

    name: str
    config: RunConfig
    data: Dataset
    training: Dataset
    labels: dict[str, Labels]
    day: np.ndarray


class Sums(NamedTuple):
    """What is summed within each block of the test span.

    Attributes:
        right, count: right forecasts and all forecasts that count, by label and coverage, `[L, C, G]`.
        surprise, rows: -log p of the classes of the first label, and forecasts that have one, `[G]`; None of a
            `Prediction`, which has no probabilities.
    """

    right: np.ndarray
    count: np.ndarray
    surprise: np.ndarray | None = None
    rows: np.ndarray | None = None


def make_setting(
    name: str, config: RunConfig, panel: Panel, valid_rows: int, tick: Callable[[int], None] = lambda n: None
) -> Setting:
    """Features, labels and spans of a market; `tick(rows)` reports progress."""
    data = dataset.prepare(config, panel, tick)
    judged = {config.label.name: data.labels}
    for kind, other in labels.alternatives(config.label).items():
        if kind not in judged:
            judged[kind] = labels.make(panel.bars, other)
    day = np.full(len(panel.times), -1)
    test = data.split.test
    day[test] = np.unique(panel.times[test] // parse_interval(config.report.bootstrap_block), return_inverse=True)[1]
    thinner = data.split.replace(valid=thin_validation(data, config.train.segment_length, valid_rows))
    return Setting(name, config, data, data._replace(split=thinner), judged, day)


def thin_validation(data: Dataset, length: int, most: int) -> np.ndarray:
    """Stretches of `length` rows, evenly spread over the validation rows, with at most `most` bars of single symbols
    but at least one stretch; `[N]` bool."""
    valid = data.split.valid
    usable = (np.asarray(data.features.ok) & (data.labels.y >= 0)).any(1) & valid
    stretch = (np.arange(len(valid)) - usable.argmax()) // length
    used = np.unique(stretch[usable])
    count = min(max(most // (length * data.labels.y.shape[1]), 1), len(used))
    chosen = used[np.arange(count) * len(used) // count]
    return valid & np.isin(stretch, chosen)


def forecasts(config: RunConfig, model: nn.Module, params: Any, data: Dataset) -> list[Adapted]:
    """The forecast of each member for the validation and test rows; elsewhere not ok.

    Only these rows are read, and `LEAD` receptive fields before each, past what lies between: for a model that sees no
    further the forecasts are those of one pass over everything. Weights that adapt read on from shortly before the
    first of them.
    """
    wanted, features = data.split.valid | data.split.test, data.features
    lead = LEAD * model.receptive_field
    if config.adapt.steps is not None:
        read = np.arange(
            max(int(wanted.argmax()) - lead - config.adapt.lookback - LEAD * config.label.horizon, 0), len(wanted)
        )
    else:
        read = np.flatnonzero(with_lead(wanted, lead))
    part = rows_of(data, read)
    each = members.unstack(params, config.train.ensemble.size)
    made = []
    for scored, rate in online_finetune.score(model, build_loss(config), each, part, config.adapt):
        prob = np.full((*features.ok.shape, scored.prob.shape[-1]), 1 / scored.prob.shape[-1], np.float32)
        ok = np.zeros(features.ok.shape, bool)
        prob[read], ok[read] = scored.prob, scored.ok
        made.append(Adapted(Forecast(prob, ok & wanted[:, None]), rate))
    return made


def rows_of(data: Dataset, read: np.ndarray) -> Dataset:
    """The data of the rows `read`, in order, without panel; a label that ends between them ends with the next."""
    features, made, split = jax.tree.map(lambda a: np.asarray(a)[read], (data.features, data.labels, data.split))
    end = np.minimum(np.searchsorted(read, made.end), len(read) - 1)
    return Dataset(None, features, made.replace(end=end), split)


def with_lead(wanted: np.ndarray, lead: int) -> np.ndarray:
    """The rows `wanted` `[N]` bool and the `lead` rows before each."""
    place = np.arange(len(wanted))
    following = np.append(np.flatnonzero(wanted), len(wanted) + lead)
    return following[np.searchsorted(following, place)] - place <= lead


def evaluate_cell(market: Setting, made: Forecast | Prediction) -> tuple[dict[str, Any], Sums]:
    """Accuracy at every coverage on every label and, of a `Forecast`, scores and earnings; and the sums by day."""
    probable = isinstance(made, Forecast)
    prediction = baselines.decide(made) if probable else made
    split, times, c = market.data.split, market.data.panel.times, market.config
    outcome: dict[str, Any] = {
        "accuracy": {
            kind: accuracy.coverage_table(prediction, judged, split.valid, split.test, times, c.report, c.seed)
            for kind, judged in market.labels.items()
        }
    }
    sums = by_day(market, prediction)
    if probable:
        own = market.data.labels
        scores = accuracy.scores(made, own, split.test)
        spread = accuracy.score_intervals(made, own, split.test, times, c.report, c.seed)
        outcome["scores"] = {key: scores[key] for key in SCORES}
        outcome["intervals"] = {key: spread[key] for key in SCORES}
        sums = sums._replace(**surprise_by_day(market, made))
        if labels.spec(c.label).directional:
            earned = trading.net(market.data, made, c.trade, c.label.horizon)
            outcome["trading"] = {key: earned[key] for key in EARNED}
    return outcome, sums


def accuracies(sums: Sums) -> np.ndarray:
    """Share of right forecasts on every label at every coverage, `[L, C]`; NaN where none counts."""
    right, count = (s.sum(-1) for s in (sums.right, sums.count))
    return np.where(count > 0, right, np.nan) / np.maximum(count, 1)


def evaluate_member(market: Setting, made: Forecast) -> dict[str, Any]:
    """Of one seed of several: accuracies by label, one for each coverage, and the log loss."""
    values = accuracies(by_day(market, baselines.decide(made))).tolist()
    loss = accuracy.log_loss(made, market.data.labels, market.data.split.test)
    return {"accuracy": dict(zip(market.labels, values, strict=True)), "log_loss": loss}


def setting_facts(market: Setting) -> dict[str, Any]:
    """What was read, for the report."""
    data, c = market.data, market.config
    return {
        "source": data.panel.source,
        "symbols": data.panel.symbols,
        "interval": format_interval(data.panel.interval),
        "columns": data.features.names,
        "spans": {span: dataset.span_of(data, span) for span in ("train", "valid", "test")},
        "zero_moves": accuracy.zero_moves(data.labels, data.split.test),
        "label": labels.spec(c.label)._asdict(),
        "labels": list(market.labels),
        "coverages": c.report.coverages,
        "block": c.report.bootstrap_block,
        "bootstrap": c.report.bootstrap_samples,
        "blocks": int(market.day.max()) + 1,
    }


def by_day(market: Setting, prediction: Prediction) -> Sums:
    """What the accuracies of `judge` are made of, day by day."""
    split, blocks = market.data.split, int(market.day.max()) + 1
    sums = np.zeros((2, len(market.labels), len(market.config.report.coverages), blocks), np.int32)
    for i, judged in enumerate(market.labels.values()):
        rows = prediction.ok & (judged.y >= 0) & split.test[:, None]
        day = np.broadcast_to(market.day[:, None], rows.shape)[rows]
        sure, right = prediction.confidence[rows], (prediction.y == judged.y)[rows]
        least = accuracy.thresholds(prediction, judged, split.valid, market.config.report.coverages)
        for j, threshold in enumerate(least):
            sums[:, i, j] = [np.bincount(day, (sure >= threshold) & hit, blocks) for hit in (right, True)]
    return Sums(*sums)


def surprise_by_day(market: Setting, made: Forecast) -> dict[str, np.ndarray]:
    """What the log loss is made of, day by day."""
    rows, surprise = accuracy.surprise(made, market.data.labels, market.data.split.test)
    day, blocks = np.broadcast_to(market.day[:, None], rows.shape)[rows], int(market.day.max()) + 1
    return {"surprise": np.bincount(day, surprise, blocks), "rows": np.bincount(day, minlength=blocks)}
