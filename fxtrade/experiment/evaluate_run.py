"""Evaluate a trained run: forecasts, baselines, null baselines and trading make its report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Int

from fxtrade import labels, models
from fxtrade.core.config import RunConfig
from fxtrade.core.types import Forecast
from fxtrade.data.panel import Panel
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy, auxiliary, paired, trading
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.evaluate.data import comparable_labels, summarize_data
from fxtrade.evaluate.results import NAN, CoverageTable, LearnedBaseline
from fxtrade.experiment.job import Job, identify_trial
from fxtrade.models.flops import flops_per_sample
from fxtrade.pipeline import baselines, dataset, learned_baselines, online_finetune, training
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.build import build_loss
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.training import Stage, Trained
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report.progress import Console
from fxtrade.report.rivals import NO_RANDOM_WALK
from fxtrade.report.schema import LabelTable, LossRow, RunReport, TrainingSummary
from fxtrade.runs import ledger
from fxtrade.runs.record import RunRecord
from fxtrade.train import members
from fxtrade.train.loop import FitResult
from fxtrade.validate import surrogates
from fxtrade.validate.surrogates import Surrogate


def evaluate_run(
    job: Job, trained: Trained, record: RunRecord, metrics: list[dict], folder: Path, began: float, console: Console
) -> RunReport:
    """Evaluate a trained model. `backtest.of_run` alone reads the test span of a run, too.

    Args:
        metrics: rows of metrics.jsonl.
        began: time at which the run began.
    """
    config, data = job.config, job.data
    with console.bar("scoring", len(data.panel.times) * config.train.ensemble.size, "bars") as on_progress:
        forecast, rates = forecasts(config, trained.model, trained.fit.params, data, on_progress)
    past = ledger.past_trials(folder.parent, identify_trial(job, folder.name))
    label, nulls = labels.spec(config.label), {}
    if config.report.null_baseline:
        nulls = {
            kind: null_baseline(config, panel, console, kind)
            for kind, panel in null_panels(data.panel, config, console)
        }

    options, blocks = (config.report, config.seed), accuracy.bootstrap_blocks(data, config.report)
    by_label = {
        label: accuracy.gather(forecast, made, data.split, blocks, config.report.coverages)
        for label, made in comparable_labels(config, data).items()
    }
    rows = by_label.pop(label)
    with console.task("baselines"):
        tables, learned = evaluate_baselines(config, data, blocks, accuracy.daily_sums([rows], int(blocks.max()) + 1))
    traded = None
    if label.directional:
        with console.task("backtest"):
            traded = trading.trade(data, forecast, config.trade, config.label.horizon, past.daily_sharpes)
    return RunReport(
        folder=folder.name,
        results=str(folder.parent),
        provenance=record.provenance,
        continued=record.continued,
        config=config,
        data=summarize_data(config, data),
        label=label,
        training=summarize_training(config, data, trained, rates),
        history=tuple(LossRow(r["step"], r.get("train/loss", NAN), r.get("valid/loss", NAN)) for r in metrics),
        opened_before=past.opened,
        trials_before=len(past.others),
        accuracy=accuracy.coverage_table(rows, *options),
        baselines=tables,
        null_baselines=nulls,
        other_labels=tuple(LabelTable(k, accuracy.coverage_table(other, *options)) for k, other in by_label.items()),
        scores=accuracy.scores(rows, *options),
        curve=accuracy.coverage_curve(rows),
        reliability=accuracy.reliability(rows),
        symbols=accuracy.by_symbol(rows, data.panel.symbols, *options),
        months=accuracy.by_month(rows, data.panel.times, *options),
        auxiliary=auxiliary.auxiliary(config, data, forecast, blocks),
        trading=traded,
        learned_baselines=learned,
        seconds=time.time() - began,
    )


def coverage_table(
    config: RunConfig, data: Dataset, blocks: Int[np.ndarray, " N"], forecast: Forecast | Prediction
) -> CoverageTable:
    """Return the accuracy of a forecast on the label of the config; `blocks` are those of the bootstrap."""
    rows = accuracy.gather(forecast, data.labels, data.split, blocks, config.report.coverages)
    return accuracy.coverage_table(rows, config.report, config.seed)


def evaluate_baselines(
    config: RunConfig, data: Dataset, blocks: Int[np.ndarray, " N"], own: DailySums
) -> tuple[dict[str, CoverageTable], dict[str, LearnedBaseline]]:
    """Return the accuracy of every baseline, and the log loss of the learned ones with the model's differences.

    Args:
        blocks: block of the bootstrap of each row.
        own: sums of the model's forecast.
    """
    rules = baselines.rules(data, config.label)
    tables = {name: coverage_table(config, data, blocks, rule) for name, rule in rules.items()}
    losses, rivals = {}, {}
    for name, forecast in learned_baselines.fit(data, config):  # one after the other, since each holds all rows
        rows = accuracy.gather(forecast, data.labels, data.split, blocks, config.report.coverages)
        tables[name] = accuracy.coverage_table(rows, config.report, config.seed)
        losses[name] = accuracy.log_loss(rows, config.report, config.seed)
        rivals[name] = accuracy.daily_sums([rows], len(own.correct[0, 0]))
    differences = paired.differences(own, rivals, config.report.coverages, config.seed, config.report.bootstrap_samples)
    return tables, {name: LearnedBaseline(losses[name], differences[name]) for name in rivals}


def forecasts(
    config: RunConfig,
    model: nn.Module,
    params: Any,
    data: Dataset,
    on_progress: Callable[[int], None] = lambda n: None,
) -> tuple[Forecast, list[float | None]]:
    """Return the forecast of every row, with online fine-tuning if configured, and the learning rate of each member.

    Args:
        params: of several members stacked.
    """
    each = members.unstack(params, config.train.ensemble.size)
    made = online_finetune.score(model, build_loss(config), each, data, config.adapt, on_progress)
    return mixture.mixture([m.forecast for m in made]), [m.rate for m in made]


def null_panels(panel: Panel, config: RunConfig, console: Console) -> Iterator[tuple[Surrogate, Panel]]:
    """Yield surrogate markets without anything to predict of the label, by kind; say if one is left out."""
    directional = labels.spec(config.label).directional
    kinds = surrogates.null_kinds(directional)
    if Surrogate.RANDOM_WALK not in kinds:
        console.say(f"{NO_RANDOM_WALK} It is left out.")
    for kind in kinds:
        if kind is Surrogate.RANDOM_WALK:
            yield kind, surrogates.random_walk(panel, config.seed)
        else:
            # the bars of a block that are already seen tell how volatile the rest of it is
            yield kind, surrogates.shuffled(panel, config.label.horizon if directional else 1, config.seed)


def null_baseline(config: RunConfig, panel: Panel, console: Console, kind: str) -> CoverageTable:
    """Return the accuracy of the same pipeline, trained from scratch on a surrogate market."""
    with console.bar(f"features of the {kind}", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(config, panel, on_progress)

    @contextlib.contextmanager
    def open_stage(name: str, steps: int) -> Iterator[Stage]:
        with console.training(f"null baseline: {kind}, {name}", steps) as callbacks:
            yield Stage(callbacks=callbacks)

    trained = training.train_all_stages(config, data, load_initial_params(config, data), open_stage)
    say_if_early(console, f"null baseline: {kind}, training", trained.fit)
    blocks = accuracy.bootstrap_blocks(data, config.report)
    return coverage_table(config, data, blocks, forecasts(config, trained.model, trained.fit.params, data)[0])


def say_if_early(console: Console, title: str, fit: FitResult) -> None:
    """Say that training ended before its last step, and why."""
    if fit.stopped == "early":
        console.say(
            f"{title}: stopped early at step {fit.step}; the validation loss was lowest at step {fit.best_step}"
        )


def summarize_training(
    config: RunConfig, data: Dataset, trained: Trained, rates: list[float | None]
) -> TrainingSummary:
    """Return the summary of training for the report."""
    fit = trained.fit
    return TrainingSummary(
        model=config.model.name,
        parameters=models.parameter_count(fit.params),
        flops=flops_per_sample(trained.model, *data.features.x.shape[1:]),
        receptive_field=trained.model.receptive_field,
        step=fit.step,
        best_step=fit.best_step,
        best_loss=float(fit.best_loss),
        labels_per_second=fit.labels_per_second,
        stopped=fit.stopped,
        adapted_at=tuple(rate for rate in rates if rate is not None),
    )
