"""A sweep, from its config to its report: every set on the data, and on surrogate markets without any order.

Chunks of sets are stored as they are finished, so that the same command resumes an interrupted sweep.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fxtrade.backtest import grid as grids
from fxtrade.backtest.grid import Grid
from fxtrade.backtest.sweep import Sweep, concatenate, run_chunks, sweep
from fxtrade.core import files
from fxtrade.core.errors import ConfigError, Interrupted
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Forecast
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_time, parse_interval
from fxtrade.experiment import sweep_store as store
from fxtrade.experiment.sweep_data import SweepData, load
from fxtrade.experiment.sweep_rules import Given, make_grid, rule_factory
from fxtrade.experiment.sweep_score import of_days, performance, scores
from fxtrade.pipeline import build
from fxtrade.report import sweep as sweep_report
from fxtrade.report.formatting import duration
from fxtrade.report.progress import Console
from fxtrade.report.sweep_schema import HeldOut, Performance, SweepReport
from fxtrade.risk.toward import buy_and_hold
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.record import Period
from fxtrade.train.interrupt import Interrupt
from fxtrade.validate import surrogates

ALONE = grids.make({"number": (0,)})  # the sets of a single rule
SET_BARS_A_SECOND = 2e7  # sets x bars x assets, a careful estimate of two cores


def run(config: SweepConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Run or resume a sweep; write `report.md`, `sets.parquet`, `returns.npz` and plots; return their folder.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, began = console or Console(), time.time()
    grid = make_grid(config)
    rule_factory(config, Given(horizon=None if config.run is None else 1))  # its errors come before bars are read
    folder = run_dir.run_folder(results, name or config.name, "--name")
    files.check_writable(folder)
    ledger.check(results if config.run is None else Path(config.run).parent, console.say)
    data = load(config, console)
    job = Job(config, grid, rule_factory(config, data.given), data)
    panel, _ = data.compared
    for part in (panel, data.panel):
        _terms(job, part)  # its errors come before the folder is claimed
    _announce(job, panel, console)
    markets = [panel, *(_surrogate(config, panel, k) for k in range(config.null_paths))]
    with store.lock(folder):
        report = _run(job, markets, folder, results, console, began)
    sweep_report.table(console, report, folder)
    return folder


def _run(job: Job, markets: list[Panel], folder: Path, results: Path, console: Console, began: float) -> SweepReport:
    """Run the sets on the markets, of which the first is the data, count them, and write the report."""
    identity, parts = store.identify(job.config, job.data.panel, job.data.weights), folder / store.PARTS
    store.claim(folder, job.config, identity)
    if parts.exists():
        console.say(f"resuming: {plural(len(list(parts.rglob('*.npz'))), 'chunk')} finished before")
    done = []
    with console.bar("sweep", job.grid.size * len(markets), "sets") as on_progress, Interrupt() as interrupt:
        for k, market in enumerate(markets):
            done.append(of_days(_sweep(job, market, parts / str(k), on_progress, interrupt), job.data.days))
            if np.isnan(scores(job.config.score, done[0].equity)).all():
                store.withdraw(folder)
                raise ConfigError(
                    "no set has a score: nothing was traded, all accounts were ruined, or there is but one day; give "
                    "other parameters or more bars"
                )
    with console.task("report"):
        report = _report(job, folder.name, markets[0], done, began)
        store.write_returns(folder / store.RETURNS, job.grid, done[0])
        _count(results, folder, job, markets[0], report, identity)
        sweep_report.write(folder, report)  # last: it says that the sweep is finished
    shutil.rmtree(parts, ignore_errors=True)
    return report


class Job(NamedTuple):
    """A config, its sets, the function that makes the rule of one, and the data."""

    config: SweepConfig
    grid: Grid
    factory: Callable[..., Rule]
    data: SweepData


def _announce(job: Job, panel: Panel, console: Console) -> None:
    """Say how large the sweep is. Raises ConfigError if it may take longer than the config allows."""
    config, markets = job.config, 1 + job.config.null_paths
    seconds = markets * job.grid.size * panel.bars.ok.size / SET_BARS_A_SECOND
    span = f"{format_time(panel.times[0], 'D')} to {format_time(panel.times[-1], 'D')}"
    console.say(
        f"{plural(job.grid.size, 'set')} x {plural(len(panel.times), 'bar')} ({span}) x "
        f"{plural(len(panel.symbols), 'asset')} on {plural(markets, 'market')}, about {duration(seconds)} after "
        "compilation"
    )
    if seconds > 3600 * config.max_hours:
        raise ConfigError(
            f"the sweep may take {seconds / 3600:.1f} hours, more than config.max_hours = {config.max_hours:g}; give "
            "fewer values, bars or null_paths, or a larger max_hours"
        )


def _sweep(job: Job, panel: Panel, parts: Path, on_progress: Callable[[int], None], interrupt: Interrupt) -> Sweep:
    """Return the sweep of one market; chunks that were stored before are read."""
    stored: dict[int, Sweep] = {}

    def skip(span: tuple[int, int]) -> bool:
        if interrupt.signal is not None:
            raise Interrupted("stopped; the same command resumes the sweep", interrupt.signal)
        chunk = store.read_chunk(parts / f"{span[0]}.npz")
        if chunk is None or len(chunk.equity) != span[1] - span[0]:  # of another number of devices
            return False
        stored[span[0]] = chunk
        on_progress(span[1] - span[0])
        return True

    terms, (_, forecast) = _terms(job, panel), job.data.compared
    chunks = run_chunks(panel, job.factory, job.grid, *terms[:4], forecast, skip)
    for chunk, (first, last) in chunks:
        stored[first] = chunk
        store.write_chunk(parts / f"{first}.npz", chunk)
        on_progress(last - first)
    return concatenate([stored[first] for first in sorted(stored)])


def _report(job: Job, name: str, panel: Panel, done: list[Sweep], began: float) -> SweepReport:
    score, kind = scores(job.config.score, done[0].equity), job.config.score
    plateau = grids.plateau(job.grid, score)
    return SweepReport(
        name=name,
        seconds=time.time() - began,
        config=job.config,
        source=panel.source,
        symbols=panel.symbols,
        bars=len(panel.times),
        period=Period(int(panel.times[0]), int(panel.times[-1])),
        grid=job.grid,
        score=score,
        result=done[0],
        plateau=plateau,
        best=performance(kind, done[0].equity[plateau.best]),
        hold=_hold(job, panel),
        null_best=tuple(float(np.nanmax(scores(kind, other.equity), initial=-np.inf)) for other in done[1:]),
        held_out=_test(job, plateau.best),
        environment=provenance.environment(),
    )


def _hold(job: Job, panel: Panel) -> Performance:
    """Return the performance of buying all assets in equal parts and holding them, on the terms of the sweep."""
    held = of_days(_run_one(job, panel, lambda number: buy_and_hold()), job.data.days)
    return performance(job.config.score, held.equity[0])


def _test(job: Job, best: int) -> HeldOut | None:
    """Return how the best set goes on over the days held out, and buy and hold that begins there."""
    panel, data = job.data.panel, job.data
    if data.first_held_out == len(panel.times):
        return None
    values = {axis: value[0].item() for axis, value in job.grid.sets(best, best + 1).items()}
    chosen = _run_one(job, panel, lambda number: job.factory(**values), data.forecast)
    first = int(np.searchsorted(chosen.days, panel.times[data.first_held_out]))
    if not 0 < first < len(chosen.days):
        return None
    equity = chosen.equity[0, first:] / chosen.equity[0, first - 1]
    rest = panel.rows(slice(int(np.searchsorted(panel.times, chosen.days[first])), None))
    held = _run_one(job, rest, lambda number: buy_and_hold()).equity[0]
    return HeldOut(
        period=Period(int(rest.times[0]), int(rest.times[-1])),
        best=performance(job.config.score, equity),
        hold=performance(job.config.score, held),
    )


def _run_one(job: Job, panel: Panel, make_rule: Callable[..., Rule], forecast: Forecast | None = None) -> Sweep:
    """Return the sweep of a single rule: the program of a sweep keeps no arrays over bars, so it needs none here."""
    return sweep(panel, make_rule, ALONE, *_terms(job, panel)[:4], forecast)


def _terms(job: Job, panel: Panel) -> build.Terms:
    """Return the terms of trade of a stretch of the data."""
    terms = build.build_terms(job.config.trade, panel)
    first = int(np.searchsorted(job.data.panel.times, panel.times[0]))
    ended = job.data.ended[first : first + len(panel.times)]
    return terms._replace(conditions=terms.conditions._replace(ended=ended))


def _surrogate(config: SweepConfig, panel: Panel, number: int) -> Panel:
    block = max(parse_interval(config.null_block, "null_block") // panel.interval, 1)
    if 2 * block > len(panel.times):
        raise ConfigError(
            f"config.null_block={config.null_block} is more than half of {plural(len(panel.times), 'bar')}, so nothing "
            "is shuffled; give a shorter one, or null_paths=0"
        )
    return surrogates.shuffled(panel, block, config.seed + number)


def _count(results: Path, folder: Path, job: Job, panel: Panel, report: SweepReport, identity: str) -> None:
    """Append the sweep to the ledger, which counts each of its sets as a trial, and the test of the best set as one.

    That of the run whose forecasts are traded counts them, wherever the sweep lies.
    """
    if job.config.run is not None:
        results = Path(job.config.run).parent
    trial = ledger.Trial(
        config_hash=identity,
        data_fingerprint=panel.fingerprint(),
        run=folder.name,
        started=report.environment.started,
        code=report.environment.code,
        metrics={"sets": float(report.grid.size), "best": report.plateau.score},
        symbols=panel.symbols,
        test=(Period(int(panel.times[0]), int(panel.times[-1])),),
        simulated=panel.simulated,
        sweep=os.path.relpath(folder / store.RETURNS, results),
    )
    ledger.append_trial(results, trial)
    if report.held_out is not None:
        tested = report.held_out.best
        last = dataclasses.replace(
            trial,
            config_hash=f"{identity}-held-out",
            data_fingerprint=job.data.panel.fingerprint(),
            daily_sharpe=tested.daily_sharpe,
            metrics={"total_return": tested.total_return, "max_drawdown": tested.max_drawdown},
            test=(report.held_out.period,),
            sweep="",
        )
        ledger.append_trial(results, last)
