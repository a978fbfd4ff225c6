"""One run, from a config to its report: load, train in stages, evaluate, record, report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxtrade.core import files
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import Interrupted
from fxtrade.evaluate.headline import headline
from fxtrade.evaluate.results import NAN
from fxtrade.experiment.evaluate_run import evaluate_run, say_if_early
from fxtrade.experiment.job import Job, identify_trial, prepare
from fxtrade.pipeline import training
from fxtrade.pipeline.training import Stage
from fxtrade.report import report as run_report
from fxtrade.report.markdown import document
from fxtrade.report.progress import Console
from fxtrade.report.schema import RunReport
from fxtrade.runs import continuation, ledger, provenance, run_dir
from fxtrade.runs.ledger import Trial
from fxtrade.runs.record import RunRecord, RunResult
from fxtrade.train.interrupt import Interrupt
from fxtrade.train.outputs import TrainOutputs, open_outputs


def run(config: RunConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Train, evaluate and report; return the run's folder.

    Errors in config and data are raised before training starts.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
        Interrupted: SIGINT or SIGTERM came during training or after it; the state is saved.
    """
    console, began = console or Console(), time.time()
    run_dir.run_folder(results, name or config.name)  # checks the name before anything is read
    job = prepare(config, results, console)
    folder = run_dir.create(results, config, name)
    with run_dir.lock(folder):
        _train(job, RunRecord(job.identity, job.spans, job.provenance), folder, False, began, console)
    return folder


def resume(folder: Path, steps: int | None = None, console: Console | None = None) -> Path:
    """Continue the run in a folder from its last checkpoint with its own config; return the folder.

    A finished run is left as it is.

    Args:
        steps: train up to this step, further than planned.

    Raises:
        FxtradeError, Interrupted: as `run`, or another process is training in the folder.
    """
    console, began = console or Console(), time.time()
    continuation.planned_config(folder, steps)  # checks, before there is a file in a folder that is not a run
    with run_dir.lock(folder):
        config = run_dir.load_config(folder) if steps is None else continuation.extend(folder, steps)
        if continuation.is_finished(folder):
            console.say(f"{folder} is already finished; its report: {folder / 'report.md'}")
            return folder
        before = continuation.read_record(folder)
        job = prepare(config, folder.parent, console, before.provenance.environment.starts if before else ())
        continued = before.continued if before else ()
        record = RunRecord(job.identity, job.spans, job.provenance, continued=continued)
        _train(job, record, folder, True, began, console)
    return folder


def _train(job: Job, record: RunRecord, folder: Path, resumed: bool, began: float, console: Console) -> None:
    """Train, from the last checkpoint if the run is resumed; then evaluate and report."""
    config, results = job.config, folder.parent
    record.write(folder / run_dir.RECORD)
    console.say(f"run folder {folder}   ({shlex.join(['tensorboard', '--logdir', str(results)])})")

    with open_outputs(folder, files.to_jsonable(job.identity), config.train.max_to_keep, resumed) as outputs:
        writer = outputs.metric_writer
        assert writer is not None, "open_outputs opens a metric writer"
        opened = functools.partial(open_stage, job, folder, outputs, console)
        trained = training.train_all_stages(config, job.data, job.params, opened)
        say_if_early(console, "training", trained.fit)
        with contextlib.suppress(KeyboardInterrupt), Interrupt(at_once=True) as interrupt:
            report = evaluate_run(job, trained, record, writer.rows, folder, began, console)
        stop_if_asked(interrupt, folder, trained.fit.step)
        with Interrupt():  # the files take seconds, and a signal waits for them
            trial, threshold = make_trial(report, job), report.trading and report.trading.threshold
            ledger.append_trial(results, trial)  # before the numbers are shown
            report.write(folder / run_dir.REPORT)
            for title, pixels in run_report.write(folder, report).items():
                writer.image(title, pixels, trained.fit.step)
            writer.hparams(hparams(config), trial.metrics)
            writer.text("report", document(report, ()), trained.fit.step)  # without the images, which it cannot show
            result = RunResult(report.seconds, threshold, trial.metrics)
            # last: it marks the run as finished
            dataclasses.replace(record, result=result).write(folder / run_dir.RECORD)
    run_report.table(console, report, folder)


@contextlib.contextmanager
def open_stage(
    job: Job, folder: Path, outputs: TrainOutputs, console: Console, name: str, steps: int
) -> Iterator[Stage]:
    """Open a stage of training with its files, a progress bar, and signals that stop it.

    Args:
        outputs: of the main stage; pre-training has a folder of its own.

    Raises:
        Interrupted: a signal came during the stage.
    """
    with contextlib.ExitStack() as stack:
        if name == training.PRETRAINING:
            saving = files.to_jsonable(job.identity), job.config.train.max_to_keep, outputs.resume
            outputs = stack.enter_context(open_outputs(folder / "pretrain", *saving))
        interrupt, bar = stack.enter_context(Interrupt()), stack.enter_context(console.training(name, steps))
        yield Stage(outputs, bar._replace(should_stop=interrupt.should_stop))
        assert outputs.checkpoints is not None, "open_outputs opens checkpoints"
        stop_if_asked(interrupt, folder, outputs.checkpoints.latest() or 0)


def stop_if_asked(interrupt: Interrupt, folder: Path, step: int) -> None:
    """Raise Interrupted if a signal has come; the run is saved at that step."""
    if interrupt.signal:
        resume = f"resume with: {shlex.join(['python', 'scripts/train.py', '--resume', str(folder)])}"
        raise Interrupted(f"stopped at step {step} and saved; {resume}", interrupt.signal)


def hparams(config: RunConfig) -> dict[str, Any]:
    """Return what a table of runs tells them apart by: the model, and all that differs from the defaults."""
    names = {"model.name": config.model.name, "loss.name": config.loss.name, "label.name": config.label.name}
    return names | provenance.non_defaults(config) | {"features": ", ".join(sorted(config.features))}


def make_trial(report: RunReport, job: Job) -> Trial:
    """Return the run's entry in the ledger."""
    net = report.trading and report.trading.strategy
    metrics = headline(report.accuracy, report.scores, net)
    return dataclasses.replace(
        identify_trial(job, report.folder),
        daily_sharpe=net.daily_sharpe if net else NAN,
        metrics=metrics | {"labels_per_second": report.training.labels_per_second},
    )
