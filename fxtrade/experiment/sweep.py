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

import numpy as np

from fxtrade.backtest import grid as grids
from fxtrade.backtest.sweep import Sweep, concatenate, run_chunks
from fxtrade.core import files
from fxtrade.core.errors import ConfigError, Interrupted
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_time, parse_interval
from fxtrade.experiment import sweep_store as store
from fxtrade.experiment.sweep_data import load
from fxtrade.experiment.sweep_job import Job, hold, terms_of, test
from fxtrade.experiment.sweep_refine import check as check_refine
from fxtrade.experiment.sweep_refine import refine
from fxtrade.experiment.sweep_rules import Given, make_grid, rule_factory
from fxtrade.experiment.sweep_score import of_days, performance, scores
from fxtrade.report import sweep as sweep_report
from fxtrade.report.formatting import duration
from fxtrade.report.progress import Console
from fxtrade.report.sweep_schema import Performance, Refined, SweepReport
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.record import Period
from fxtrade.train.interrupt import Interrupt
from fxtrade.validate import surrogates

SET_BARS_A_SECOND = 2e7  # sets x bars x assets, a careful estimate of two cores
GRADIENT_BARS_A_SECOND = 1e6  # parameters x bars x assets, the same of one account


def run(config: SweepConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Run or resume a sweep; write `report.md`, `sets.parquet`, `returns.npz` and plots; return their folder.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, began = console or Console(), time.time()
    grid = make_grid(config)
    rule_factory(config, Given(horizon=None if config.run is None else 1))  # its errors come before bars are read
    check_refine(config)
    folder = run_dir.run_folder(results, name or config.name, "--name")
    files.check_writable(folder)
    ledger.check(results if config.run is None else Path(config.run).parent, console.say)
    data = load(config, console)
    job = Job(config, grid, rule_factory(config, data.given), data)
    panel, _ = data.compared
    for part in (panel, data.panel):
        terms_of(job, part)  # its errors come before the folder is claimed
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
    refined = _refine(job, done[0], console)
    with console.task("report"):
        report = _report(job, folder.name, markets[0], done, refined, began)
        store.write_returns(folder / store.RETURNS, job.grid, done[0])
        _count(results, folder, job, markets[0], report, identity)
        sweep_report.write(folder, report)  # last: it says that the sweep is finished
    shutil.rmtree(parts, ignore_errors=True)
    return report


def _announce(job: Job, panel: Panel, console: Console) -> None:
    """Say how large the sweep is. Raises ConfigError if it may take longer than the config allows."""
    config, markets = job.config, 1 + job.config.null_paths
    rows, steps = panel.bars.ok.size, config.refine.steps
    seconds = markets * job.grid.size * rows / SET_BARS_A_SECOND
    seconds += steps * (1 + len(job.grid.axes)) * rows / GRADIENT_BARS_A_SECOND
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
        _stop_if_asked(interrupt)
        chunk = store.read_chunk(parts / f"{span[0]}.npz")
        if chunk is None or len(chunk.equity) != span[1] - span[0]:  # of another number of devices
            return False
        stored[span[0]] = chunk
        on_progress(span[1] - span[0])
        return True

    terms, (_, forecast) = terms_of(job, panel), job.data.compared
    chunks = run_chunks(panel, job.factory, job.grid, *terms[:4], forecast, skip)
    for chunk, (first, last) in chunks:
        stored[first] = chunk
        store.write_chunk(parts / f"{first}.npz", chunk)
        on_progress(last - first)
    return concatenate([stored[first] for first in sorted(stored)])


def _refine(job: Job, result: Sweep, console: Console) -> Refined | str | None:
    """Return where gradient ascent ends, or why there is none; None if it is not asked for."""
    if not (steps := job.config.refine.steps):
        return None
    plateau = grids.plateau(job.grid, scores(job.config.score, result.equity))
    with console.bar("gradient", steps, "steps") as on_progress, Interrupt() as interrupt:

        def on_step(count: int) -> None:
            _stop_if_asked(interrupt)
            on_progress(count)

        return refine(job, plateau, on_step)


def _stop_if_asked(interrupt: Interrupt) -> None:
    if interrupt.signal is not None:
        raise Interrupted("stopped; the same command resumes the sweep", interrupt.signal)


def _report(
    job: Job, name: str, panel: Panel, done: list[Sweep], refined: Refined | str | None, began: float
) -> SweepReport:
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
        hold=hold(job, panel),
        null_best=tuple(float(np.nanmax(scores(kind, other.equity), initial=-np.inf)) for other in done[1:]),
        held_out=test(job, job.grid.one(plateau.best), refined.parameters if isinstance(refined, Refined) else None),
        environment=provenance.environment(),
        refined=refined,
    )


def _surrogate(config: SweepConfig, panel: Panel, number: int) -> Panel:
    block = max(parse_interval(config.null_block, "null_block") // panel.interval, 1)
    if 2 * block > len(panel.times):
        raise ConfigError(
            f"config.null_block={config.null_block} is more than half of {plural(len(panel.times), 'bar')}, so nothing "
            "is shuffled; give a shorter one, or null_paths=0"
        )
    return surrogates.shuffled(panel, block, config.seed + number)


def _count(results: Path, folder: Path, job: Job, panel: Panel, report: SweepReport, identity: str) -> None:
    """Append the sweep to the ledger: each of its sets is a trial, where the gradient ended is one, and each test.

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

    def append(name: str, fingerprint: str, period: Period, made: Performance) -> None:
        metrics = {"total_return": made.total_return, "max_drawdown": made.max_drawdown}
        one = dataclasses.replace(
            trial,
            config_hash=f"{identity}-{name}",
            data_fingerprint=fingerprint,
            daily_sharpe=made.daily_sharpe,
            metrics=metrics,
            test=(period,),
            sweep="",
        )
        ledger.append_trial(results, one)

    if isinstance(refined := report.refined, Refined):
        append("gradient", trial.data_fingerprint, trial.test[0], refined.compared)
    if (tested := report.held_out) is not None:
        fingerprint = job.data.panel.fingerprint()
        append("held-out", fingerprint, tested.period, tested.best)
        if tested.refined is not None:
            append("gradient-held-out", fingerprint, tested.period, tested.refined)
