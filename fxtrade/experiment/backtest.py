"""Backtests apart from training: of a finished run on other terms, and of targets or signals of a file.

Each writes a tear sheet, `equity.parquet` and `backtest.json` into a folder. That of a run is a trial, which the ledger
counts.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from fxtrade.core.config import DataConfig, RunConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.text import plural
from fxtrade.core.trade_config import TradeConfig
from fxtrade.data import targets
from fxtrade.data.files import find_files
from fxtrade.data.targets import Targets
from fxtrade.data.times import UNITS
from fxtrade.evaluate import trading
from fxtrade.experiment import scored_run, trade_sheet
from fxtrade.experiment.backtest_checks import check_files, new_folder
from fxtrade.pipeline import dataset
from fxtrade.pipeline.market import build_market
from fxtrade.pipeline.strategy import Strategy, build_rule, build_sizing, rule_names
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.ledger import Trial
from fxtrade.runs.record import RunRecord

READERS = {"weights": targets.read_weights, "signals": targets.read_signals}


def of_run(
    folder: Path, config: RunConfig, results: Path | None = None, name: str = "", console: Console | None = None
) -> Path:
    """Trade the forecasts of a finished run's test span again; return the folder of the backtest.

    The forecasts are computed again, with the weights and the config of the run. The trial is counted in its ledger.

    Args:
        config: that of the run with other keys of `trade`; `data.path` may differ, too.
        results: folder around that of the backtest; None: the run's.
        name: the folder is `backtest-<name>`, and the tear sheet has this title; without one the time, and the source.

    Raises:
        ConfigError: other keys differ, or the run is not finished or not traded.
        FxtradeError: another mistake that the user can correct; the message says how.
    """
    console, own = console or Console(), run_dir.load_config(folder)
    record = _check_run(folder, own, config)
    target_folder = new_folder(results or folder, name)
    ledger.check(folder.parent, console.say)
    scored, environment = scored_run.score(folder, console, config.data.path), provenance.environment()
    trial = Trial(
        config_hash=provenance.config_hash(config),
        data_fingerprint=scored.fingerprint,
        run=f"{folder.name}/{target_folder.name}",
        started=environment.started,
        code=environment.code,
        symbols=scored.data.panel.symbols,
        test=record.spans.test,
        simulated=scored.data.panel.simulated,
    )
    past = ledger.past_trials(folder.parent, trial).daily_sharpes
    title = f"{name}: {folder.name}, test span" if name else f"{folder.name}, test span"
    with console.task("backtest"):
        panel, _, strategy = trading.traded(scored.data, scored.forecast, config.trade, own.label.horizon)
        made = trade_sheet.trade(panel, strategy, config.trade, title, (), past)
    daily_sharpe = made.metrics["daily_sharpe"]
    ledger.append_trial(folder.parent, dataclasses.replace(trial, daily_sharpe=daily_sharpe, metrics=made.metrics))
    trade_sheet.write(target_folder, made, str(folder), scored.fingerprint, config.trade, environment, console)
    return target_folder


def of_file(
    path: Path,
    kind: Literal["weights", "signals"],
    trade: TradeConfig,
    data: DataConfig,
    results: Path | None = None,
    name: str = "",
    console: Console | None = None,
) -> Path:
    """Trade the target weights or the signals of a file; return the folder of the backtest.

    Args:
        path: see `data.targets`.
        trade: whose rules change the targets.
        data: of the bars. Without `symbols`, those of a folder that the file names are read, with `align="union"`. The
            backtest begins at the first row of the file.
        results, name: as of `of_run`; without `results` the folder is in `results`.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, target_folder = console or Console(), new_folder(results or Path("results"), name)
    check_files(path, data)
    _check_terms(trade)
    with console.task("reading bars"):
        panel = dataset.load(_only_named(path, data))
    read, fingerprint = READERS[kind](path, panel, trade.max_gross_exposure, trade.allow_short), panel.fingerprint()
    first = min(read.first, len(panel.times) - 2)  # two bars have an interval
    panel, target = panel.rows(slice(first, None)), read.weight[first:]
    strategy, notes = (
        Strategy(build_rule(trade, panel.interval), target, names=rule_names(trade)),
        _notes(path, read, first),
    )
    with console.task("backtest"):
        made = trade_sheet.trade(panel, strategy, trade, name or path.stem, notes)
    trade_sheet.write(target_folder, made, read.source, fingerprint, trade, provenance.environment(), console)
    return target_folder


def _only_named(path: Path, data: DataConfig) -> DataConfig:
    """Return the config that reads those symbols of a folder that the file names, unless it chooses symbols itself."""
    if data.path is None or data.symbols is not None:
        return data
    named = targets.read_symbols(path, tuple(find_files(Path(data.path), None)))
    return dataclasses.replace(data, symbols=named, align="union") if named else data


def _notes(path: Path, read: Targets, first: int) -> list[str]:
    """Return what was left out, and what was carried in."""
    notes = (
        (first, "bar", "before the first decision left out"),
        (read.carried, "row", f"of {path} before the bars carried in, decided at the first bar"),
        (read.outside, "row", f"of {path} outside the time of the bars left out"),
    )
    return [f"{plural(count, noun)} {what}" for count, noun, what in notes if count]


def _check_run(folder: Path, own: RunConfig, wanted: RunConfig) -> RunRecord:
    """Return the record of a run that can be traded on other terms."""
    same = dataclasses.replace(wanted, trade=own.trade, data=dataclasses.replace(wanted.data, path=own.data.path))
    if same != own:
        changed = [
            field.name for field in dataclasses.fields(own) if getattr(same, field.name) != getattr(own, field.name)
        ]
        raise ConfigError(
            f"config.{changed[0]} of {folder} cannot change: its weights depend on it; only config.trade and "
            "config.data.path may"
        )
    record = scored_run.traded_record(folder, own)
    build_sizing(wanted.trade, wanted.label.horizon)
    _check_terms(wanted.trade)
    return record


def _check_terms(trade: TradeConfig) -> None:
    """Raise ConfigError for costs and rules that do not exist, before anything is computed."""
    build_market(trade, UNITS["d"], tuple(trade.assets))
    build_rule(trade)
