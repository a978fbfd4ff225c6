"""Evaluate cells of a comparison: the same rows, labels and days for every forecast of a market."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.comparison.store import SettingResult
from fxtrade.core.config import RunConfig
from fxtrade.core.types import Forecast, Labels
from fxtrade.data.panel import Panel
from fxtrade.evaluate import accuracy, trading
from fxtrade.evaluate.accuracy import DailySums, EvaluatedRows
from fxtrade.evaluate.data import comparable_labels, summarize_data
from fxtrade.labels import LabelSpec
from fxtrade.metrics import classify
from fxtrade.pipeline import dataset, online_finetune, predict
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.build import build_loss
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.online_finetune import Adapted
from fxtrade.report.comparison_schema import CellResult, MemberResult
from fxtrade.train import members

LEAD = 4  # receptive fields that a model reads before the rows of interest; recurrent models remember more than one
NO_PANEL: Any = None  # of rows that have no regular clock


class Setting(NamedTuple):
    """The data that all forecasts of a market are trained and evaluated on.

    Attributes:
        key: hash of everything that the baselines depend on.
        config: config of its data, features, label and report.
        training: the data with fewer validation rows, for the evaluations during training.
        labels: labels by their properties, that of the config first.
        blocks: block of the bootstrap of each row, from `accuracy.bootstrap_blocks`.
    """

    key: str
    market: str
    config: RunConfig
    data: Dataset
    training: Dataset
    labels: dict[LabelSpec, Labels]
    blocks: Int[np.ndarray, " N"]


def make_setting(
    key: str,
    market: str,
    config: RunConfig,
    panel: Panel,
    valid_rows: int,
    on_progress: Callable[[int], None] = lambda n: None,
) -> Setting:
    """Return features, labels and spans of a market; `on_progress` is called with the number of rows just done."""
    data = dataset.prepare(config, panel, on_progress)
    valid = dataset.thin_validation(data, config.train.segment_length, valid_rows)
    thinner = dataclasses.replace(data.split, valid=valid)
    blocks = accuracy.bootstrap_blocks(data, config.report)
    training = data._replace(split=thinner)
    return Setting(key, market, config, data, training, comparable_labels(config, data), blocks)


def forecasts(config: RunConfig, model: nn.Module, params: Any, data: Dataset) -> list[Adapted]:
    """Return the forecast of each member for the validation and test rows; elsewhere not ok.

    Only these rows and the `LEAD` receptive fields before each are read; rows in between are skipped. A model with no
    longer memory forecasts as in one pass over all rows. Weights that adapt read all rows from shortly before the first
    of these rows.
    """
    wanted = np.asarray(data.split.valid | data.split.test)
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
        whole = predict.among_all(scored, read, len(wanted))
        made.append(Adapted(dataclasses.replace(whole, ok=whole.ok & wanted[:, None]), rate))
    return made


def rows_of(data: Dataset, read: Int[np.ndarray, " M"]) -> Dataset:
    """Return the data of the rows `read`, without panel; labels that end between two of them end with the later one."""
    features, labels, split = jax.tree.map(lambda a: np.asarray(a)[read], (data.features, data.labels, data.split))
    end = np.minimum(np.searchsorted(read, labels.end), len(read) - 1)
    return Dataset(NO_PANEL, features, dataclasses.replace(labels, end=end), split)


def with_lead(wanted: Bool[np.ndarray, " N"], lead: int) -> Bool[np.ndarray, " N"]:
    """Return the rows `wanted` and the `lead` rows before each."""
    place = np.arange(len(wanted))
    following = np.append(np.flatnonzero(wanted), len(wanted) + lead)
    return following[np.searchsorted(following, place)] - place <= lead


def gather(setting: Setting, forecast: Forecast | Prediction) -> dict[str, EvaluatedRows]:
    """Return the evaluated rows of a forecast, by name of the label."""
    split, coverages = setting.data.split, setting.config.report.coverages
    return {
        label.name: accuracy.gather(forecast, labels, split, setting.blocks, coverages)
        for label, labels in setting.labels.items()
    }


def evaluate_cell(
    result: CellResult, setting: Setting, forecast: Forecast | Prediction
) -> tuple[CellResult, DailySums]:
    """Return `result` with the accuracy at every coverage on every label, and the sums by day.

    For a `Forecast` it also has scores and trading.
    """
    by_label, c = gather(setting, forecast), setting.config
    tables = {name: accuracy.coverage_table(rows, c.report, c.seed) for name, rows in by_label.items()}
    result = dataclasses.replace(result, accuracy=tables)
    if isinstance(forecast, Forecast):
        result = dataclasses.replace(result, scores=accuracy.scores(by_label[c.label.name], c.report, c.seed))
        if next(iter(setting.labels)).directional:
            traded = trading.trade_alone(setting.data, forecast, c.trade, c.label.horizon)
            result = dataclasses.replace(result, trading=traded)
    return result, accuracy.daily_sums(list(by_label.values()), int(setting.blocks.max()) + 1)


def evaluate_member(setting: Setting, member: Adapted) -> MemberResult:
    """Return accuracies and log loss of one seed."""
    by_label = gather(setting, member.forecast)
    sums = accuracy.daily_sums(list(by_label.values()), int(setting.blocks.max()) + 1)
    values = accuracies(sums).tolist()
    first = by_label[setting.config.label.name]
    return MemberResult(
        accuracy={name: tuple(row) for name, row in zip(by_label, values, strict=True)},
        log_loss=classify.log_loss(first.probabilities, first.y),
        learning_rate=member.rate,
    )


def accuracies(sums: DailySums) -> Float[np.ndarray, "labels coverages"]:
    """Return the accuracy on every label at every coverage; NaN where no forecast counts."""
    correct, count = (s.sum(-1) for s in (sums.correct, sums.count))
    return np.where(count > 0, correct, np.nan) / np.maximum(count, 1)


def summarize_setting(setting: Setting, baselines: int) -> SettingResult:
    """Return the setting as the store and the report hold it, with the number of its baselines."""
    return SettingResult(
        hash=setting.key,
        market=setting.market,
        data=summarize_data(setting.config, setting.data),
        labels=tuple(setting.labels),
        coverages=setting.config.report.coverages,
        baselines=baselines,
    )
