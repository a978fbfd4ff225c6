"""A sweep, from its config to its report: every set on the data, and on surrogate markets without any order.

Chunks of sets are stored as they are finished, so that the same command resumes an interrupted sweep.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade.backtest import grid as grids
from fxtrade.backtest.grid import Grid
from fxtrade.backtest.sweep import Sweep, concatenate, run_chunks, sweep
from fxtrade.core import files
from fxtrade.core.errors import ConfigError, Interrupted
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Forecast
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_time, parse_interval
from fxtrade.experiment import sweep_store as store
from fxtrade.experiment.sweep_data import SweepData, load
from fxtrade.experiment.sweep_rules import Given, make_grid, rule_factory
from fxtrade.metrics import drawdown, returns
from fxtrade.metrics.series import growth
from fxtrade.pipeline import build
from fxtrade.report import sweep as sweep_report
from fxtrade.report.formatting import duration
from fxtrade.report.progress import Console
from fxtrade.report.sweep import HeldOut, SweepReport
from fxtrade.risk.toward import buy_and_hold
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.record import Period
from fxtrade.train.interrupt import Interrupt
from fxtrade.validate import surrogates

YEAR = 365  # days
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
    ledger.check(results, console.say)
    data = load(config, console)
    job = Job(config, grid, rule_factory(config, data.given), data)
    panel, _ = data.compared
    _announce(job, panel, console)
    markets = [panel, *(_surrogate(config, panel, k) for k in range(config.null_paths))]
    with store.lock(folder):
        report = _run(job, markets, folder, results, console, began)
    sweep_report.table(console, report, folder)
    return folder


def _run(job: Job, markets: list[Panel], folder: Path, results: Path, console: Console, began: float) -> SweepReport:
    """Run the sets on the markets, of which the first is the data, count them, and write the report."""
    identity, parts = store.identify(job.config, job.data.panel), folder / store.PARTS
    store.claim(folder, job.config, identity)
    if parts.exists():
        console.say(f"resuming: {plural(len(list(parts.rglob('*.npz'))), 'chunk')} finished before")
    done = []
    with console.bar("sweep", job.grid.size * len(markets), "sets") as on_progress, Interrupt() as interrupt:
        for k, market in enumerate(markets):
            done.append(_sweep(job, market, parts / str(k), on_progress, interrupt))
    with console.task("report"):
        held = [_hold(job, market) for market in markets]
        report = _report(job, folder.name, markets[0], done, held, began)
        report = dataclasses.replace(report, held_out=_test(job, report.plateau.best))
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
    console.say(
        f"{plural(job.grid.size, 'set')} x {plural(len(panel.times), 'bar')} x {plural(len(panel.symbols), 'asset')} "
        f"on {plural(markets, 'market')}, about {duration(seconds)} after compilation"
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

    terms, (_, forecast) = build.build_terms(job.config.trade, panel), job.data.compared
    chunks = run_chunks(panel, job.factory, job.grid, *terms[:4], forecast, skip)
    for chunk, (first, last) in chunks:
        stored[first] = chunk
        store.write_chunk(parts / f"{first}.npz", chunk)
        on_progress(last - first)
    return concatenate([stored[first] for first in sorted(stored)])


def _report(job: Job, name: str, panel: Panel, done: list[Sweep], held: list[float], began: float) -> SweepReport:
    score = scores(job.config.score, done[0].equity)
    return SweepReport(
        name=name,
        seconds=time.time() - began,
        config=job.config,
        source=panel.source,
        symbols=panel.symbols,
        bars=len(panel.times),
        start=format_time(panel.times[0], "m"),
        end=format_time(panel.times[-1], "m"),
        grid=job.grid,
        score=score,
        result=done[0],
        plateau=grids.plateau(job.grid, score),
        null_best=tuple(
            float(np.nanmax(scores(job.config.score, other.equity), initial=-np.inf)) for other in done[1:]
        ),
        hold=held[0],
        null_hold=tuple(held[1:]),
        environment=provenance.environment(),
    )


def _hold(job: Job, panel: Panel) -> float:
    """Return the score of buying all assets in equal parts and holding them, on the terms of the sweep."""
    return float(scores(job.config.score, _run_one(job, panel, _holds).equity)[0])


def _test(job: Job, best: int) -> HeldOut | None:
    """Return how the best set and buy and hold go on over the days held out, with what they held at their beginning."""
    panel = job.data.panel
    if job.data.first_held_out == len(panel.times):
        return None
    values = {axis: value[0].item() for axis, value in job.grid.sets(best, best + 1).items()}
    chosen = _run_one(job, panel, lambda number: job.factory(**values), job.data.forecast)
    first = int(np.searchsorted(chosen.days, panel.times[job.data.first_held_out]))
    if not 0 < first < len(chosen.days):
        return None
    held = _run_one(job, panel, _holds)
    equity, hold = (made.equity[:, first:] / made.equity[:, first - 1 : first] for made in (chosen, held))
    return HeldOut(
        period=Period(int(chosen.days[first]), int(panel.times[-1])),
        score=float(scores(job.config.score, equity)[0]),
        total_return=float(equity[0, -1] - 1),
        max_drawdown=float(drawdown.below_peak(equity).min()),
        daily_sharpe=float(returns.sharpe(growth(equity), 1)[0]),
        hold=float(scores(job.config.score, hold)[0]),
    )


def _run_one(job: Job, panel: Panel, make_rule: Callable[..., Rule], forecast: Forecast | None = None) -> Sweep:
    """Return the sweep of a single rule: the program of a sweep keeps no arrays over bars, so it needs none here."""
    terms = build.build_terms(job.config.trade, panel)
    return sweep(panel, make_rule, ALONE, *terms[:4], forecast)


def _holds(number: Array) -> Rule:
    return buy_and_hold()


def scores(name: str, equity: Float[np.ndarray, "P D"]) -> Float[np.ndarray, " P"]:
    """Return the score of each set, annual and net of costs, from daily equity; NaN where it is not defined."""
    if name == "total_return":
        return equity[:, -1] - 1
    functions = {"sharpe": returns.sharpe, "sortino": returns.sortino, "calmar": drawdown.calmar}
    daily = growth(equity)
    alive = np.asarray(np.isfinite(daily).all(axis=1))
    score = np.full(len(alive), np.nan)
    if alive.any():
        score[alive] = functions[name](daily[alive], YEAR)
    return score


def _surrogate(config: SweepConfig, panel: Panel, number: int) -> Panel:
    block = max(parse_interval(config.null_block, "null_block") // panel.interval, 1)
    if 2 * block > len(panel.times):
        raise ConfigError(
            f"config.null_block={config.null_block} is more than half of {plural(len(panel.times), 'bar')}, so nothing "
            "is shuffled; give a shorter one, or null_paths=0"
        )
    return surrogates.shuffled(panel, block, config.seed + number)


def _count(results: Path, folder: Path, job: Job, panel: Panel, report: SweepReport, identity: str) -> None:
    """Append the sweep to the ledger, which counts each of its sets as a trial, and the test of the best set as one."""
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
        sweep=f"{folder.name}/{store.RETURNS}",
    )
    ledger.append_trial(results, trial)
    if report.held_out is not None:
        tested = dataclasses.replace(
            trial,
            config_hash=f"{identity}-held-out",
            data_fingerprint=job.data.panel.fingerprint(),
            daily_sharpe=report.held_out.daily_sharpe,
            metrics={"total_return": report.held_out.total_return, "max_drawdown": report.held_out.max_drawdown},
            test=(report.held_out.period,),
            sweep="",
        )
        ledger.append_trial(results, tested)
