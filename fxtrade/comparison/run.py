"""The comparison of all models and ways of training: cell after cell, each kept as soon as it is judged."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import jax

from fxtrade import models
from fxtrade.comparison import grid
from fxtrade.comparison.cell import Setting, Sums, evaluate_cell, evaluate_member, make_setting, setting_facts
from fxtrade.comparison.cell import forecasts as cell_forecasts
from fxtrade.comparison.grid import Cell, ComparisonConfig
from fxtrade.comparison.statistics import assemble
from fxtrade.comparison.store import PLAN, CellStore
from fxtrade.core import files
from fxtrade.core.errors import Interrupted, TrainingError
from fxtrade.core.registry import to_dict
from fxtrade.data.bars import Panel
from fxtrade.ensemble import mixture
from fxtrade.evaluate import trading
from fxtrade.pipeline import baselines, dataset, training
from fxtrade.report import comparison as report
from fxtrade.report.formatting import duration, percent
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.train.interrupt import Interrupt

FACTS = ("started", "code", "command", "python", "packages", "backend", "devices", "cores")
VERSION = 1  # of what a cell keeps: with another one all cells are done anew


def run(
    config: ComparisonConfig,
    results: Path,
    name: str = "",
    console: Console | None = None,
    shard: tuple[int, int] = (1, 1),
) -> Path:
    """Train and judge what is not yet done, and write the report; returns the comparison's folder.

    A config that has changed does those cells anew that it changes. Everything that can be wrong with the config is
    found before the first training.

    Args:
        shard: the i-th of n shards of the cells, from 1 on. Processes with different shards may work side by side, also
            in one folder; whichever ends last reports everything.

    Raises:
        FxtradeError: something the user can mend; the message says what.
        Interrupted: SIGINT or SIGTERM came; the same call goes on.
    """
    console = console or Console()
    folder = run_dir.run_folder(results, name or config.name)
    settings = {m: grid.market_config(config, m) for m in config.markets}
    for setting in settings.values():
        dataset.check(setting)
    with console.task("reading bars"):
        panels = {m: dataset.load(setting.data) for m, setting in settings.items()}
        prints = {m: panel.fingerprint() for m, panel in panels.items()}
    plan = grid.cells(config, {m: len(panel.symbols) for m, panel in panels.items()})
    for cell in plan:
        for stage in cell.stages:
            training.check(stage)
            trading.check(stage.trade)
    ledger.read(results)
    keys = {_hash(config, cell, prints[cell.market]): cell for cell in plan}
    kept = CellStore(folder)
    kept.repair()
    facts = provenance.provenance(grid.market_config(config, config.markets[0]), "")
    _write_plan(folder, config, keys, {m: _market_hash(config, m, prints[m]) for m in panels}, facts)
    try:
        with Interrupt(at_once=True) as interrupt:
            mine = dict(list(keys.items())[shard[0] - 1 :: shard[1]])
            todo = {key: cell for key, cell in mine.items() if key not in kept.entries}
            markets = {}
            for m, panel in panels.items():
                of, needed = _market_hash(config, m, prints[m]), any(cell.market == m for cell in todo.values())
                if needed or of not in kept.entries:
                    markets[m] = _prepare(config, m, panel, kept, of, console)
            began, done = time.monotonic(), len(mine) - len(todo)
            model = ""
            for count, (key, cell) in enumerate(todo.items(), 1):
                if cell.model != model:
                    jax.clear_caches()  # its programs serve no other, and memory that holds them is bounded
                    model = cell.model
                with console.task(f"{done + count}/{len(mine)} {cell.name}"):
                    entry, sums = run_cell(cell, markets[cell.market])
                    entry = {"hash": key, "kind": "cell", "started": provenance.now(), "code": facts["code"], **entry}
                    if sums is not None:  # the test span was opened: count it before anyone sees the numbers
                        ledger.append_trial(results, _trial(entry, folder, prints[cell.market]))
                    kept.add(entry, sums)
                left = (len(todo) - count) * (time.monotonic() - began) / count
                console.say(f"{done + count}/{len(mine)} {_line(entry)}; {duration(left)} left")
                if interrupt.signal:  # an exception that came where Python drops it, in a callback of the collector say
                    raise KeyboardInterrupt
            outcome = assemble(CellStore(folder))  # with what other processes have finished
    except KeyboardInterrupt:
        number = interrupt.signal or signal.SIGINT
        done = sum(key in kept.entries for key in mine)
        raise Interrupted(
            f"stopped with {done} of {len(mine)} cells done, which are kept in {folder}; the same command resumes",
            number,
        ) from None
    write(folder, outcome, console)
    return folder


def table(folder: Path, console: Console | None = None) -> None:
    """Tables and plots made anew from the finished cells in a folder.

    Raises:
        FxtradeError: the folder holds no comparison, or a file is damaged.
    """
    write(folder, assemble(CellStore(folder)), console or Console())


def write(folder: Path, outcome: dict[str, Any], console: Console) -> None:
    files.write_json(folder / "comparison.json", outcome)
    report.write(folder, outcome)
    report.table(console, outcome, folder)


def run_cell(cell: Cell, market: Setting) -> tuple[dict[str, Any], Sums | None]:
    """Train and judge a cell: its entry, and the sums by day of all seeds together.

    Training that diverges is a result too: the entry then has an `error` instead of accuracies.
    """
    began = time.monotonic()
    entry = {"market": cell.market, "model": cell.model, "recipe": cell.recipe, "stages": len(cell.stages)}
    params, count = None, cell.stages[0].train.ensemble.size
    try:
        for stage in cell.stages:
            if stage.pretrain.name != "none":
                params, _ = training.pretrain(stage, market.training)
            trained = training.train(stage, market.training, params)
            params = trained.fit.params
    except TrainingError as e:
        return entry | {"error": str(e), "seconds": time.monotonic() - began}, None
    made = cell_forecasts(cell.stages[-1], trained.model, params, market.data)
    whole, sums = evaluate_cell(market, mixture.mixture([m.forecast for m in made]))
    entry |= whole | {
        "members": [evaluate_member(market, m.forecast) | {"rate": m.rate} for m in made],
        "parameters": models.parameter_count(params) // count,
        "receptive_field": trained.model.receptive_field,
        "labels_per_second": trained.fit.labels_per_second,
        "best_loss": trained.fit.best_loss,
        "best_step": trained.fit.best_step,
        "steps": sum(stage.train.steps for stage in cell.stages),
        "seconds": time.monotonic() - began,
    }
    return entry, sums


def _prepare(config: ComparisonConfig, name: str, panel: Panel, kept: CellStore, of: str, console: Console) -> Setting:
    """The market's data; its baselines are judged and kept if they are not yet."""
    own = grid.market_config(config, name)
    with console.bar(f"features of {name}", len(panel.times), "bars") as tick:
        market = make_setting(name, own, panel, config.valid_rows, tick)
    console.say(f"{name}: {dataset.describe(market.data)}")
    if of not in kept.entries:
        with console.task(f"baselines of {name}"):
            learned = baselines.learned(market.data, own.label.classes, own.seed)
            for baseline, made in {**baselines.rules(market.data, own.label), **learned}.items():
                entry, sums = evaluate_cell(market, made)
                about = {"hash": f"{of}-{baseline}", "kind": "baseline", "of": of}
                kept.add(about | {"market": name, "model": baseline, "recipe": ""} | entry, sums)
            kept.add({"hash": of, "kind": "market", "of": of, "market": name, **setting_facts(market)}, None)
    return market


def _hash(config: ComparisonConfig, cell: Cell, fingerprint: str) -> str:
    """Of all that a cell depends on."""
    shared = _market_hash(config, cell.market, fingerprint)
    return _digest([*map(provenance.config_hash, cell.stages), shared, config.valid_rows])


def _market_hash(config: ComparisonConfig, market: str, fingerprint: str) -> str:
    """Of all that the baselines depend on, and every cell of the market too."""
    chosen = provenance.non_defaults(grid.market_config(config, market))
    parts = ("seed", "features", "scaler", "label", "auxiliary", "split", "trade", "report")
    return _digest([{key: chosen[key] for key in parts if key in chosen}, fingerprint])


def _digest(values: Any) -> str:
    return hashlib.blake2b(json.dumps([VERSION, values], sort_keys=True).encode(), digest_size=8).hexdigest()


def _write_plan(
    folder: Path, config: ComparisonConfig, cells: dict[str, Cell], markets: dict[str, str], facts: dict[str, Any]
) -> None:
    plan = {"config": to_dict(config), "markets": markets, "cells": list(cells)}
    files.write_json(folder / PLAN, plan | {"run": {k: facts[k] for k in FACTS}})


def _trial(entry: dict[str, Any], folder: Path, fingerprint: str) -> dict[str, Any]:
    """The cell's line in the ledger."""
    name = f"{folder.name}/{entry['market']}-{entry['model']}-{entry['recipe']}"
    trial = {"started": entry["started"], "config_hash": entry["hash"], "data_fingerprint": fingerprint}
    first = next(iter(entry["accuracy"].values()))
    numbers = {"accuracy" if r["target"] == 1 else f"accuracy_top_{100 * r['target']:g}": r["accuracy"] for r in first}
    return trial | {"code": entry["code"], "run": name} | numbers | entry["scores"] | entry.get("trading", {})


def _line(entry: dict[str, Any]) -> str:
    name = f"{entry['market']} {entry['model']} {entry['recipe']}"
    if "error" in entry:
        return f"{name}: {entry['error']}"
    first = next(iter(entry["accuracy"].values()))
    right = ", ".join(f"{percent(r['accuracy'])} of {100 * r['target']:g} %" for r in first)
    return f"{name}: right {right}; {duration(entry['seconds'])}"
