"""One run from config to report."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fxtrade import labels, models
from fxtrade.core import files
from fxtrade.core.config import RunConfig
from fxtrade.core.errors import Interrupted
from fxtrade.core.files import to_jsonable
from fxtrade.core.registry import to_dict
from fxtrade.core.types import Forecast
from fxtrade.data.bars import Panel, format_interval, parse_interval
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy, auxiliary, trading
from fxtrade.models.flops import flops_per_sample
from fxtrade.pipeline import baselines, dataset, online_finetune, training
from fxtrade.pipeline.build import build_loss, build_model, identity
from fxtrade.pipeline.dataset import Dataset, span_of
from fxtrade.pipeline.training import Trained
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report import report
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.train import members
from fxtrade.train.interrupt import Interrupt
from fxtrade.train.outputs import open_outputs
from fxtrade.validate import surrogates


def _stopped(folder: Path, number: int, step: int) -> Interrupted:
    return Interrupted(
        f"stopped at step {step} and saved; resume with: python scripts/train.py --resume {folder}", number
    )


def run(
    config: RunConfig, results: Path, name: str = "", resume: Path | None = None, console: Console | None = None
) -> Path:
    """Load, train, forecast, backtest and report; returns the run's folder.

    Everything that can be wrong with config and data is found before training starts. With `resume` the run in that
    folder goes on from its last checkpoint, with its own config.

    Raises:
        FxtradeError: something the user can mend; the message says what.
        Interrupted: SIGINT or SIGTERM came during training or after it; the state is saved.
    """
    console = console or Console()
    began = time.time()
    # what would fail only after minutes fails now
    dataset.check(config)
    training.check(config)
    trading.check(config.trade)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        fingerprint = panel.fingerprint()
    parse_interval(config.report.bootstrap_block)
    ledger.read(resume.parent if resume else results)
    with console.bar("features", len(panel.times), "bars") as tick:
        data = dataset.prepare(config, panel, tick)
    console.say(dataset.describe(data))
    training.plans(config, data, build_model(config).receptive_field)
    start = load_initial_params(config, data) if config.train.init_from is not None else None
    folder = resume or run_dir.create(results, config, name)
    what = identity(config, data, fingerprint)
    spans = {span: span_of(data, span) for span in ("train", "valid", "test")}
    facts = provenance.provenance(config, fingerprint) | {"identity": what, "spans": spans}
    files.write_json(folder / run_dir.RECORD, facts)
    console.say(f"run folder {folder}   (tensorboard --logdir {results})")

    saving = (config.train.max_to_keep, bool(resume))
    if config.pretrain.name != "none":
        with open_outputs(folder / "pretrain", what, *saving) as outputs, Interrupt() as interrupt:
            with console.training("pre-training", config.pretrain.steps) as bar:
                callbacks = bar._replace(should_stop=interrupt.should_stop)
                start, before = training.pretrain(config, data, outputs, callbacks)
        if interrupt.signal:
            raise _stopped(folder, interrupt.signal, before.step)
    with open_outputs(folder, what, *saving) as outputs:
        writer = outputs.metric_writer
        with Interrupt() as interrupt, console.training("training", config.train.steps) as bar:
            callbacks = bar._replace(should_stop=interrupt.should_stop)
            trained = training.train(config, data, start, outputs, callbacks)
        if not interrupt.signal:
            with contextlib.suppress(KeyboardInterrupt), Interrupt(at_once=True) as interrupt:
                outcome = evaluate_run(config, data, trained, results, facts, console)
        if interrupt.signal:
            raise _stopped(folder, interrupt.signal, trained.fit.step)

        outcome["run"] |= {"seconds": time.time() - began, "folder": folder.name}
        outcome["history"] = writer.rows
        numbers = headline(outcome)
        trial = {k: facts[k] for k in ("started", "config_hash", "data_fingerprint", "code")}
        ledger.append_trial(results, trial | {"run": folder.name} | numbers)  # before anyone sees the numbers
        files.write_json(folder / run_dir.RECORD, facts | {"seconds": outcome["run"]["seconds"], "metrics": numbers})
        files.write_json(folder / "report.json", outcome)
        for title, pixels in report.write(folder, to_jsonable(outcome)).items():
            writer.image(title, pixels, trained.fit.step)
        writer.hparams(to_dict(config), numbers)
        writer.text("report", (folder / "report.md").read_text(), trained.fit.step)
    report.table(console, outcome, folder)
    return folder


def evaluate_run(
    config: RunConfig, data: Dataset, trained: Trained, results: Path, facts: dict, console: Console
) -> dict[str, Any]:
    """Everything that the report says, as one JSON-like dict; the test span is opened here and nowhere else."""
    panel, split = data.panel, data.split
    count = config.train.ensemble.size
    with console.bar("scoring", len(panel.times) * count, "bars") as tick:
        made, rates = forecasts(config, trained, data, tick)
    others, opened = ledger.past_trials(results, facts["data_fingerprint"], facts["config_hash"])

    def table(prediction, source: Dataset):
        split, times = source.split, source.panel.times
        return accuracy.coverage_table(
            prediction, source.labels, split.valid, split.test, times, config.report, config.seed
        )

    prediction = baselines.decide(made)
    with console.task("baselines"):
        rivals = {k: table(p, data) for k, p in baselines.all_baselines(data, config.label, config.seed).items()}
    tables = {config.model.name: table(prediction, data), **rivals}
    floors = {}
    if config.report.null_baseline:
        for kind, bars in null_panels(panel, config):
            floors[kind] = null_baseline(config, bars, console, kind, table)
    spec = labels.spec(config.label)
    other_label = {
        name: table(prediction, data._replace(labels=labels.make(panel.bars, other)))
        for name, other in labels.alternatives(config.label).items()
    }
    scores = accuracy.scores(made, data.labels, split.test)
    spread = accuracy.score_intervals(made, data.labels, split.test, panel.times, config.report, config.seed)
    parameters = models.parameter_count(trained.fit.params)
    outcome = {
        "run": {
            **facts,
            "config": to_dict(config),
            "label": spec._asdict(),
            "model": config.model.name,
            "parameters": parameters,
            "flops": flops_per_sample(trained.model, *data.features.x.shape[1:]),
            "receptive_field": trained.model.receptive_field,
            "adapted_at": rates,
            "opened_before": opened,
            "trials_before": len(others),
            **dataclasses.asdict(dataclasses.replace(trained.fit, params=None)),
        },
        "data": {
            "source": panel.source,
            "simulated": panel.simulated,
            "symbols": panel.symbols,
            "interval": format_interval(panel.interval),
            "bars": len(panel.times),
            "columns": data.features.names,
            "spans": {name: span_of(data, name) for name in ("train", "valid", "test")},
            "zero_moves": accuracy.zero_moves(data.labels, split.test),
            "best_accuracy": best_accuracy(config, data),
        },
        "accuracy": tables,
        "null": floors,
        "labels": other_label,
        "scores": {**scores, "intervals": spread},
        **auxiliary.judge(config, data, made),
        "groups": accuracy.grouped(prediction, data.labels, split.test, panel, config.report, config.seed),
    }
    if spec.directional:
        with console.task("backtest"):
            outcome["trading"] = trading.trade(data, made, config.trade, config.label.horizon, others)
    return outcome


def forecasts(
    config: RunConfig, trained: Trained, data: Dataset, tick: Callable[[int], None] = lambda n: None
) -> tuple[Forecast, list[float | None]]:
    """Of every row, by the trained weights or, if the config wants it, by weights that adapt; each member's rate."""
    each = members.unstack(trained.fit.params, config.train.ensemble.size)
    made = online_finetune.score(trained.model, build_loss(config), each, data, config.adapt, tick)
    return mixture.mixture([m.forecast for m in made]), [m.rate for m in made]


def null_panels(panel: Panel, config: RunConfig):
    """The two null markets of the protocol."""
    yield "random walk", surrogates.random_walk(panel, config.seed)
    yield "shuffled", surrogates.shuffled(panel, config.label.horizon, config.seed)


def null_baseline(config: RunConfig, panel: Panel, console: Console, kind: str, table) -> list[dict[str, Any]]:
    """Accuracy of the same pipeline, trained anew, on a market without anything to find."""
    with console.bar(f"features of the {kind}", len(panel.times), "bars") as tick:
        data = dataset.prepare(config, panel, tick)
    trained = training.train_from_scratch(
        config, data, lambda stage, steps: console.training(f"null floor: {kind}, {stage}", steps)
    )
    made, _ = forecasts(config, trained, data)
    return table(baselines.decide(made), data)


def best_accuracy(config: RunConfig, data: Dataset) -> float | None:
    """Return the accuracy of the oracle on the test rows; None where it is not known (real data, other labels)."""
    spec = labels.spec(config.label)
    next_bar = spec.directional and spec.tradable and not spec.path_dependent and spec.horizon == 1
    if data.panel.edge is None or not next_bar or spec.classes != 2:
        return None
    rows = data.features.ok & (data.labels.y >= 0) & data.split.test[:, None]
    return float(((data.panel.edge > 0.5) == data.labels.y)[rows].mean())


def headline(outcome: dict[str, Any]) -> dict[str, float]:
    """The few numbers that a run is compared by."""
    own = outcome["accuracy"][outcome["run"]["model"]]
    values = {
        "accuracy": own[0]["accuracy"],
        "log_loss": outcome["scores"]["log_loss"],
        "labels_per_second": outcome["run"]["labels_per_second"],
    }
    values |= {f"accuracy_top_{100 * row['target']:g}": row["accuracy"] for row in own[1:]}
    for key in ("sharpe", "daily_sharpe", "max_drawdown", "total_return", "win_rate_week"):
        if "trading" in outcome:
            values[key] = outcome["trading"]["strategy"][key]
    return {k: v for k, v in values.items() if v is not None}
