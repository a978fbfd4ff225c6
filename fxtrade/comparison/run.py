"""Run a comparison of models and training recipes, cell by cell; each is stored as soon as it is evaluated."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fxtrade import models
from fxtrade.comparison import grid
from fxtrade.comparison.cell import Setting, evaluate_cell, evaluate_member, make_setting, summarize_setting
from fxtrade.comparison.cell import forecasts as cell_forecasts
from fxtrade.comparison.grid import Cell, ComparisonConfig
from fxtrade.comparison.statistics import assemble
from fxtrade.comparison.store import CELLS, PLAN, SUMS, CellStore, Plan, earlier_starts, lock
from fxtrade.core.errors import FxtradeError, Interrupted, TrainingError
from fxtrade.core.text import plural
from fxtrade.data.panel import Panel
from fxtrade.ensemble import mixture
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.evaluate.headline import headline
from fxtrade.evaluate.results import NAN
from fxtrade.pipeline import baselines, dataset, learned_baselines, training
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.report import comparison as comparison_report
from fxtrade.report.comparison_schema import CellResult, CellTraining
from fxtrade.report.formatting import duration, percent
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.ledger import Trial
from fxtrade.train.interrupt import Interrupt

REPORT = "comparison.json"
VERSION = 3  # of the stored cells: a change recomputes all of them


class Job(NamedTuple):
    """All data and cells of a comparison.

    Attributes:
        panels, fingerprints, settings: by market: bars, their fingerprint, and the hash of the setting.
        cells: by hash.
    """

    config: ComparisonConfig
    panels: dict[str, Panel]
    fingerprints: dict[str, str]
    settings: dict[str, str]
    cells: dict[str, Cell]


def run(
    config: ComparisonConfig,
    results: Path,
    name: str = "",
    console: Console | None = None,
    shard: tuple[int, int] = (1, 1),
) -> Path:
    """Train and evaluate the cells that are not yet finished, and write the report; return the comparison's folder.

    A changed config recomputes the cells that it affects. Errors in the config are raised before the first training.

    Args:
        shard: `(i, n)`, the i-th of n shards of the cells, from 1 on. Processes with different shards of the same
            number may share one folder; the last to finish reports all cells.

    Raises:
        FxtradeError: a mistake that the user can correct, or another process with the same cells; the message says
            how.
        Interrupted: SIGINT or SIGTERM came; the same call resumes.
    """
    console = console or Console()
    folder = run_dir.run_folder(results, name or config.name)
    job = prepare(config, results, console)
    with lock(folder, shard):
        report = run_shard(job, results, folder, shard, console)
        write(folder, report, console)
    return folder


def run_shard(
    job: Job, results: Path, folder: Path, shard: tuple[int, int], console: Console
) -> comparison_report.ComparisonReport:
    """Run the cells of a shard that are not yet stored, and return the report on all that are."""
    store = CellStore(folder)
    environment = provenance.environment(earlier_starts(folder))
    Plan(job.config, job.settings, tuple(job.cells), environment).write(folder / PLAN)
    mine = dict(list(job.cells.items())[shard[0] - 1 :: shard[1]])
    try:
        with Interrupt(at_once=True) as interrupt:

            def keep(result: CellResult, sums: DailySums | None, data: Dataset) -> None:
                if sums is not None:  # the test span was evaluated: count the trial before its numbers are shown
                    ledger.append_trial(results, make_trial(result, folder, job.fingerprints[result.market], data))
                store.add(result, sums)
                if interrupt.signal:  # Python drops exceptions in some places, such as garbage collector callbacks
                    raise KeyboardInterrupt

            run_cells(job, mine, store, keep, environment.code, console)
            return assemble(CellStore(folder))  # with what other processes have finished
    except KeyboardInterrupt:
        done = sum(key in store.results for key in mine)
        raise Interrupted(
            f"stopped with {done} of {plural(len(mine), 'cell')} done, which are stored in {folder}; "
            "the same command resumes",
            interrupt.signal or signal.SIGINT,
        ) from None


def table(folder: Path, console: Console | None = None) -> None:
    """Write tables and plots from the finished cells in a folder.

    Raises:
        FxtradeError: the folder holds no comparison or only its report, or a file is damaged.
    """
    if (folder / "report.md").exists() and not ((folder / PLAN).exists() or (folder / run_dir.CONFIG).exists()):
        place = shlex.join(["--results", str(folder.parent), "--run", folder.name])
        raise FxtradeError(
            f"{folder} holds only the report of a comparison, without {PLAN}, {CELLS} and {SUMS}/, which git does not "
            f"keep; scripts/comparison.py with its --config and {place} computes them again"
        )
    write(folder, assemble(CellStore(folder)), console or Console())


def write(folder: Path, report: comparison_report.ComparisonReport, console: Console) -> None:
    """Write the report and print it."""
    report.write(folder / REPORT)
    comparison_report.write(folder, report)
    comparison_report.table(console, report, folder)


def prepare(config: ComparisonConfig, results: Path, console: Console) -> Job:
    """Load the data and check all cells."""
    configs = {m: grid.market_config(config, m) for m in config.markets}
    for market in configs.values():
        dataset.check(market)
        learned_baselines.chosen(market)
    with console.task("reading bars"):
        panels = {m: dataset.load(market.data) for m, market in configs.items()}
        fingerprints = {m: panel.fingerprint() for m, panel in panels.items()}
    cells = grid.cells(config, {m: len(panel.symbols) for m, panel in panels.items()})
    for cell in cells:
        for stage in cell.stages:
            training.check(stage)
    ledger.check(results, console.say)
    settings = {m: setting_hash(config, m, fingerprints[m]) for m in config.markets}
    by_hash = {cell_hash(config, cell, settings[cell.market]): cell for cell in cells}
    return Job(config, panels, fingerprints, settings, by_hash)


def run_cells(
    job: Job,
    mine: dict[str, Cell],
    store: CellStore,
    keep: Callable[[CellResult, DailySums | None, Dataset], None],
    code: str,
    console: Console,
) -> None:
    """Run every cell that is not yet stored, and pass it to `keep`; print progress."""
    todo = {key: cell for key, cell in mine.items() if key not in store.results}
    settings = {}
    for market in job.settings:
        if lacks_baselines(job, market, store) or any(cell.market == market for cell in todo.values()):
            settings[market] = prepare_setting(job, market, store, code, console)
    for cell in todo.values():  # fail before the first training
        load_initial_params(cell.stages[0], settings[cell.market].data)
    began, model = time.monotonic(), ""
    for count, (key, cell) in enumerate(todo.items(), 1):
        if cell.model != model:
            jax.clear_caches()  # no other model uses its programs, and memory is bounded
            model = cell.model
        place = f"{len(mine) - len(todo) + count}/{len(mine)}"
        with console.task(f"{place} {cell.name}"):
            result, sums = run_cell(cell, key, code, settings[cell.market])
            keep(result, sums, settings[cell.market].data)
        left = (len(todo) - count) * (time.monotonic() - began) / count
        console.say(f"{place} {_line(result)}; {duration(left)} left")


def lacks_baselines(job: Job, market: str, store: CellStore) -> bool:
    """Return whether a baseline of a market is not stored, as those that earlier versions did not have."""
    key, wanted = job.settings[market], learned_baselines.chosen(grid.market_config(job.config, market))
    return key not in store.settings or any(f"{key}-{each.title}" not in store.results for each in wanted)


def prepare_setting(job: Job, market: str, store: CellStore, code: str, console: Console) -> Setting:
    """Return the setting of a market; evaluate and store its baselines if they are missing."""
    config, panel, key = grid.market_config(job.config, market), job.panels[market], job.settings[market]
    with console.bar(f"features of {market}", len(panel.times), "bars") as on_progress:
        setting = make_setting(key, market, config, panel, job.config.valid_rows, on_progress)
    console.say(f"{market}: {dataset.describe(setting.data)}")
    if lacks_baselines(job, market, store):
        with console.task(f"baselines of {market}"):
            rules = baselines.rules(setting.data, config.label)
            for name, forecast in itertools.chain(rules.items(), learned_baselines.fit(setting.data, config)):
                about = CellResult(f"{key}-{name}", key, market, name, "", provenance.now(), code)
                store.add(*evaluate_cell(about, setting, forecast))
            count = len(rules) + len(learned_baselines.chosen(config))
            store.add_setting(summarize_setting(setting, count))
    return setting


def run_cell(cell: Cell, key: str, code: str, setting: Setting) -> tuple[CellResult, DailySums | None]:
    """Train and evaluate a cell; return its result, and the sums by day of all seeds together.

    Training that diverges is a result too: it has an `error` and no sums.
    """
    began = time.monotonic()
    result = CellResult(key, setting.key, cell.market, cell.model, cell.recipe, provenance.now(), code)
    params = load_initial_params(cell.stages[0], setting.data)
    try:
        for stage in cell.stages:
            trained = training.train_all_stages(stage, setting.training, params)
            params = trained.fit.params
    except TrainingError as e:
        return dataclasses.replace(result, error=str(e), seconds=time.monotonic() - began), None
    made = cell_forecasts(cell.stages[-1], trained.model, params, setting.data)
    result, sums = evaluate_cell(result, setting, mixture.mixture([m.forecast for m in made]))
    summary = CellTraining(
        stages=len(cell.stages),
        steps=sum(stage.train.steps for stage in cell.stages),
        parameters=models.parameter_count(params) // cell.stages[0].train.ensemble.size,
        receptive_field=trained.model.receptive_field,
        labels_per_second=trained.fit.labels_per_second,
        best_loss=float(trained.fit.best_loss),
        best_step=trained.fit.best_step,
        members=tuple(evaluate_member(setting, m) for m in made),
    )
    return dataclasses.replace(result, training=summary, seconds=time.monotonic() - began), sums


def make_trial(result: CellResult, folder: Path, fingerprint: str, data: Dataset) -> Trial:
    """Return the cell's entry in the ledger."""
    assert result.scores is not None, "a cell that was evaluated has scores"
    return Trial(
        config_hash=result.hash,
        data_fingerprint=fingerprint,
        run=f"{folder.name}/{result.market}-{result.model}-{result.recipe}",
        started=result.started,
        code=result.code,
        daily_sharpe=result.trading.daily_sharpe if result.trading else NAN,
        metrics=headline(next(iter(result.accuracy.values())), result.scores, result.trading),
        symbols=data.panel.symbols,
        test=dataset.spans(data).test,
        simulated=data.panel.simulated,
    )


def cell_hash(config: ComparisonConfig, cell: Cell, setting: str) -> str:
    """Return a hash of everything that a cell depends on."""
    return _digest([*map(provenance.config_hash, cell.stages), setting, config.valid_rows])


def setting_hash(config: ComparisonConfig, market: str, fingerprint: str) -> str:
    """Return a hash of everything that the baselines of a market depend on, but not of their choice."""
    chosen = provenance.non_defaults(provenance.with_all_baselines(grid.market_config(config, market)))
    parts = ("seed", "features", "scaler", "label", "auxiliary", "split", "trade", "report")
    return _digest([{key: chosen[key] for key in parts if key in chosen}, fingerprint])


def _digest(values: Any) -> str:
    return hashlib.blake2b(json.dumps([VERSION, values], sort_keys=True).encode(), digest_size=8).hexdigest()


def _line(result: CellResult) -> str:
    name = f"{result.market} {result.model} {result.recipe}"
    if result.error:
        return f"{name}: {result.error}"
    table = next(iter(result.accuracy.values()))
    accuracies = ", ".join(f"{percent(r.accuracy)} at coverage {100 * r.target:g} %" for r in table)
    return f"{name}: accuracy {accuracies}; {duration(result.seconds)}"
