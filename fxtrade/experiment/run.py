"""One run, from a config to its report: load, prepare, check, train, evaluate, record, report."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fxtrade import labels, models
from fxtrade.core import files
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import Interrupted
from fxtrade.core.types import Forecast
from fxtrade.data.panel import Panel
from fxtrade.data.times import parse_interval
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy, auxiliary, trading
from fxtrade.evaluate.data import comparable_labels, summarize_data
from fxtrade.evaluate.headline import headline
from fxtrade.evaluate.results import NAN, CoverageTable
from fxtrade.models.flops import flops_per_sample
from fxtrade.pipeline import baselines, dataset, online_finetune, training
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.build import build_loss, build_model, identity
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.training import Trained
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report import report as run_report
from fxtrade.report.markdown import document
from fxtrade.report.progress import Console
from fxtrade.report.schema import LabelTable, LossRow, RunReport, TrainingSummary
from fxtrade.runs import continuation, ledger, provenance, run_dir
from fxtrade.runs.ledger import Trial
from fxtrade.runs.provenance import Provenance
from fxtrade.train import members
from fxtrade.train.interrupt import Interrupt
from fxtrade.train.loop import FitResult
from fxtrade.train.outputs import open_outputs
from fxtrade.validate import surrogates
from fxtrade.validate.surrogates import Surrogate


class Job(NamedTuple):
    """A config with its data, and the weights to start from (None: random ones)."""

    config: RunConfig
    data: Dataset
    identity: dict[str, Any]
    provenance: Provenance
    params: Any


def run(
    config: RunConfig, results: Path, name: str = "", resume: Path | None = None, console: Console | None = None
) -> Path:
    """Train, evaluate and report; return the run's folder.

    Errors in config and data are raised before training starts. With `resume` the run in that folder continues from its
    last checkpoint, with its own config; a finished one is left as it is.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
        Interrupted: SIGINT or SIGTERM came during training or after it; the state is saved.
    """
    console, began = console or Console(), time.time()
    if resume and continuation.is_finished(resume):
        console.say(f"{resume} is already finished; its report: {resume / 'report.md'}")
        return resume
    job = prepare(config, results, console)
    folder = resume or run_dir.create(results, config, name)
    record = {
        "provenance": job.provenance,
        "identity": job.identity,
        "spans": {span: dataset.span_of(job.data, span) for span in ("train", "valid", "test")},
    }
    if earlier := continuation.continuations(folder):
        record[continuation.KEY] = earlier
    files.write_json(folder / run_dir.RECORD, record)
    console.say(f"run folder {folder}   ({shlex.join(['tensorboard', '--logdir', str(results)])})")

    saving = job.identity, config.train.max_to_keep, bool(resume)
    if config.pretrain.name != "none":
        with open_outputs(folder / "pretrain", *saving) as outputs, Interrupt() as interrupt:
            with console.training("pre-training", config.pretrain.steps) as bar:
                callbacks = bar._replace(should_stop=interrupt.should_stop)
                params, fit = training.pretrain(config, job.data, outputs, callbacks)
        stop_if_asked(interrupt, folder, fit.step)
        job = job._replace(params=params)
    with open_outputs(folder, *saving) as outputs:
        writer = outputs.metric_writer
        assert writer is not None, "open_outputs opens a metric writer"
        with Interrupt() as interrupt, console.training("training", config.train.steps) as bar:
            callbacks = bar._replace(should_stop=interrupt.should_stop)
            trained = training.train(config, job.data, job.params, outputs, callbacks)
        say_if_early(console, "training", trained.fit)
        stop_if_asked(interrupt, folder, trained.fit.step)
        with contextlib.suppress(KeyboardInterrupt), Interrupt(at_once=True) as interrupt:
            report = evaluate_run(job, trained, writer.rows, folder, began, console)
        stop_if_asked(interrupt, folder, trained.fit.step)
        with Interrupt():  # the files take seconds, and a signal waits for them
            trial, threshold = make_trial(report), report.trading and report.trading.threshold
            ledger.append_trial(results, trial)  # before the numbers are shown
            report.write(folder / run_dir.REPORT)
            for title, pixels in run_report.write(folder, report).items():
                writer.image(title, pixels, trained.fit.step)
            writer.hparams(hparams(config), trial.metrics)
            writer.text("report", document(report, ()), trained.fit.step)  # without the images, which it cannot show
            done = {"seconds": report.seconds, "metrics": trial.metrics, "threshold": threshold}
            files.write_json(folder / run_dir.RECORD, record | done)  # last: it marks the run as finished
    run_report.table(console, report, folder)
    return folder


def prepare(config: RunConfig, results: Path, console: Console) -> Job:
    """Load the data, and check everything that would otherwise fail after training."""
    dataset.check(config)
    training.check(config)
    parse_interval(config.report.bootstrap_block)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        fingerprint = panel.fingerprint()
    ledger.read(results)
    with console.bar("features", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(config, panel, on_progress)
    console.say(dataset.describe(data))
    training.plans(config, data, build_model(config).receptive_field)
    params = load_initial_params(config, data) if config.train.init_from is not None else None
    return Job(config, data, identity(config, data, fingerprint), provenance.provenance(config, fingerprint), params)


def stop_if_asked(interrupt: Interrupt, folder: Path, step: int) -> None:
    """Raise Interrupted if a signal has come; the run is saved at that step."""
    if interrupt.signal:
        resume = f"resume with: {shlex.join(['python', 'scripts/train.py', '--resume', str(folder)])}"
        raise Interrupted(f"stopped at step {step} and saved; {resume}", interrupt.signal)


def evaluate_run(
    job: Job, trained: Trained, metrics: list[dict], folder: Path, began: float, console: Console
) -> RunReport:
    """Evaluate a trained model. No other function reads the test span of a run.

    Args:
        metrics: rows of metrics.jsonl.
        began: time at which the run began.
    """
    config, data = job.config, job.data
    with console.bar("scoring", len(data.panel.times) * config.train.ensemble.size, "bars") as on_progress:
        forecast, rates = forecasts(config, trained, data, on_progress)
    others, opened = ledger.past_trials(folder.parent, job.provenance.data_fingerprint, job.provenance.config_hash)
    with console.task("baselines"):
        predictions = baselines.all_baselines(data, config.label, config.seed)
        tables = {name: coverage_table(config, data, prediction) for name, prediction in predictions.items()}
    nulls = {}
    if config.report.null_baseline:
        nulls = {kind: null_baseline(config, panel, console, kind) for kind, panel in null_panels(data.panel, config)}

    options, blocks = (config.report, config.seed), accuracy.bootstrap_blocks(data, config.report)
    by_label = {
        label: accuracy.gather(forecast, made, data.split, blocks, config.report.coverages)
        for label, made in comparable_labels(config, data).items()
    }
    label = labels.spec(config.label)
    rows = by_label.pop(label)
    traded = None
    if label.directional:
        with console.task("backtest"):
            traded = trading.trade(data, forecast, config.trade, config.label.horizon, others)
    return RunReport(
        folder=folder.name,
        provenance=job.provenance,
        config=config,
        data=summarize_data(config, data),
        label=label,
        training=summarize_training(config, data, trained, rates),
        history=tuple(LossRow(r["step"], r.get("train/loss", NAN), r.get("valid/loss", NAN)) for r in metrics),
        opened_before=opened,
        trials_before=len(others),
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
        seconds=time.time() - began,
    )


def coverage_table(config: RunConfig, data: Dataset, forecast: Forecast | Prediction) -> CoverageTable:
    """Return the accuracy of a forecast on the label of the config."""
    blocks = accuracy.bootstrap_blocks(data, config.report)
    rows = accuracy.gather(forecast, data.labels, data.split, blocks, config.report.coverages)
    return accuracy.coverage_table(rows, config.report, config.seed)


def forecasts(
    config: RunConfig, trained: Trained, data: Dataset, on_progress: Callable[[int], None] = lambda n: None
) -> tuple[Forecast, list[float | None]]:
    """Return the forecast of every row, with online fine-tuning if configured, and the learning rate of each member."""
    each = members.unstack(trained.fit.params, config.train.ensemble.size)
    made = online_finetune.score(trained.model, build_loss(config), each, data, config.adapt, on_progress)
    return mixture.mixture([m.forecast for m in made]), [m.rate for m in made]


def null_panels(panel: Panel, config: RunConfig) -> Iterator[tuple[Surrogate, Panel]]:
    """Yield surrogate markets without anything to predict, by kind."""
    yield Surrogate.RANDOM_WALK, surrogates.random_walk(panel, config.seed)
    yield Surrogate.SHUFFLED, surrogates.shuffled(panel, config.label.horizon, config.seed)


def null_baseline(config: RunConfig, panel: Panel, console: Console, kind: str) -> CoverageTable:
    """Return the accuracy of the same pipeline, trained from scratch on a surrogate market."""
    with console.bar(f"features of the {kind}", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(config, panel, on_progress)
    trained = training.train_from_scratch(
        config, data, lambda stage, steps: console.training(f"null baseline: {kind}, {stage}", steps)
    )
    say_if_early(console, f"null baseline: {kind}, training", trained.fit)
    return coverage_table(config, data, forecasts(config, trained, data)[0])


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


def hparams(config: RunConfig) -> dict[str, Any]:
    """Return what a table of runs tells them apart by: the model, and all that differs from the defaults."""
    names = {"model.name": config.model.name, "loss.name": config.loss.name, "label.name": config.label.name}
    return names | provenance.non_defaults(config) | {"features": ", ".join(sorted(config.features))}


def say_if_early(console: Console, title: str, fit: FitResult) -> None:
    """Say that training ended before its last step, and why."""
    if fit.stopped == "early":
        console.say(
            f"{title}: stopped early at step {fit.step}; the validation loss was lowest at step {fit.best_step}"
        )


def make_trial(report: RunReport) -> Trial:
    """Return the run's entry in the ledger."""
    source, net = report.provenance, report.trading and report.trading.strategy
    metrics = headline(report.accuracy, report.scores, net)
    return Trial(
        config_hash=source.config_hash,
        data_fingerprint=source.data_fingerprint,
        run=report.folder,
        started=source.environment.started,
        code=source.environment.code,
        daily_sharpe=net.daily_sharpe if net else NAN,
        metrics=metrics | {"labels_per_second": report.training.labels_per_second},
    )
