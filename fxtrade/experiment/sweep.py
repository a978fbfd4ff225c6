"""A sweep, from its config to its report: every set on the data, and on surrogate markets without any order.

Chunks of sets are stored as they are finished, so that the same command resumes an interrupted sweep.
"""

from __future__ import annotations

import inspect
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade.backtest import grid as grids
from fxtrade.backtest.grid import Grid
from fxtrade.backtest.sweep import DAY, Sweep, concatenate, run_chunks
from fxtrade.core import files, registry
from fxtrade.core.errors import ConfigError, Interrupted
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_time, parse_interval
from fxtrade.experiment import sweep_store as store
from fxtrade.metrics import drawdown, returns
from fxtrade.pipeline import build, dataset
from fxtrade.report import sweep as sweep_report
from fxtrade.report.formatting import duration
from fxtrade.report.progress import Console
from fxtrade.report.sweep import SweepReport
from fxtrade.risk import RULES
from fxtrade.risk.exits import bracket
from fxtrade.risk.rule import chain, replay
from fxtrade.risk.toward import buy_and_hold
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.record import Period
from fxtrade.train.interrupt import Interrupt
from fxtrade.validate import surrogates

YEAR = 365  # days
CHECKED = 20_000  # sets, at most, that are checked one by one before a sweep starts
BRACKET = "bracket_"  # beginning of the parameters of a bracket
SET_BARS_A_SECOND = 2e7  # sets x bars x assets, a careful estimate of two cores


def run(config: SweepConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Run or resume a sweep; write `report.md`, `sets.parquet`, `returns.npz` and plots; return their folder.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, began = console or Console(), time.time()
    grid = make_grid(config)
    rule_factory(config)  # its errors come before bars are read
    folder = run_dir.run_folder(results, name or config.name, "--name")
    files.check_writable(folder)
    ledger.check(results, console.say)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
    job = Job(config, grid, rule_factory(config, len(panel.symbols)))
    _announce(job, panel, console)
    markets = [panel, *(_surrogate(config, panel, k) for k in range(config.null_paths))]
    with store.lock(folder):
        report = _run(job, markets, folder, results, console, began)
    sweep_report.table(console, report, folder)
    return folder


def _run(job: Job, markets: list[Panel], folder: Path, results: Path, console: Console, began: float) -> SweepReport:
    """Run the sets on the markets, of which the first is the data, count them, and write the report."""
    identity, parts = store.identify(job.config, markets[0]), folder / store.PARTS
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
        store.write_returns(folder / store.RETURNS, job.grid, done[0])
        _count(results, folder, markets[0], report, identity)
        sweep_report.write(folder, report)  # last: it says that the sweep is finished
    shutil.rmtree(parts, ignore_errors=True)
    return report


class Job(NamedTuple):
    """A config, its sets, and the function that makes the rule of one."""

    config: SweepConfig
    grid: Grid
    factory: Callable[..., Rule]


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


def make_grid(config: SweepConfig) -> Grid:
    """Return the sets of a config. Raises ConfigError as `backtest.grid.make`."""
    return grids.make(config.grid, config.increasing or ())


def rule_factory(config: SweepConfig, assets: int = 1) -> Callable[..., Rule]:
    """Return the function that makes the rule of one set from its parameters, which may be traced.

    A rule that gives each asset a weight gets 1 over their number, unless the config has another.

    Raises:
        ConfigError: a rule or a parameter that does not exist, or a set that is impossible.
    """
    name, options = config.rule.name, dict(config.rule.options)
    registry.check_names([name], RULES, "config.rule: there is no rule")
    rules, (own, exits) = build.build_rules(config.trade), _divide(config.grid)
    known = {name: RULES[name], "bracket": bracket}
    for axis in own:
        parameter = inspect.signature(RULES[name]).parameters.get(axis)
        switch = parameter is not None and isinstance(parameter.default, bool)
        if switch or axis in options or axis == "max_window":
            raise ConfigError(f"config.grid: {axis} cannot be swept; give it in config.rule.options alone")
    for rule, axes in ((name, own), ("bracket", exits)):
        parameters = inspect.signature(known[rule]).parameters
        registry.check_names(axes, parameters, f"config.grid: the rule {rule} has no parameter")
    accepted = inspect.signature(RULES[name]).parameters
    if "max_window" in accepted and "max_window" not in options and own:
        options["max_window"] = int(max(map(max, own.values())))
    if "weight" in accepted and "weight" not in {*options, *own}:
        options["weight"] = 1 / assets

    def make(**parameters: Any) -> Rule:
        own, exits = _divide(parameters)
        made = [RULES[name](**options, **own), *rules]
        return chain(*made, bracket(**exits)) if exits else chain(*made)

    sets = make_grid(config).sets()
    count = len(next(iter(sets.values())))
    for p in range(0, count, -(-count // CHECKED)):
        make(**{axis: values[p].item() for axis, values in sets.items()})
    return make


def _divide(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the rule, and those of the bracket without their prefix."""
    own = {axis: value for axis, value in parameters.items() if not axis.startswith(BRACKET)}
    exits = {axis.removeprefix(BRACKET): value for axis, value in parameters.items() if axis.startswith(BRACKET)}
    return own, exits


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

    trade = job.config.trade
    terms = build.build_terms(trade, panel)
    chunks = run_chunks(panel, job.factory, job.grid, terms.market, terms.policy, terms.conditions, terms.capital, skip)
    for chunk, (first, last) in chunks:
        stored[first] = chunk
        store.write_chunk(parts / f"{first}.npz", chunk)
        on_progress(last - first)
    return concatenate([stored[first] for first in sorted(stored)])


def _report(job: Job, name: str, panel: Panel, done: list[Sweep], held: list[float], began: float) -> SweepReport:
    score = scores(job.config.score, done[0])
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
        null_best=tuple(float(np.nanmax(scores(job.config.score, other), initial=-np.inf)) for other in done[1:]),
        hold=held[0],
        null_hold=tuple(held[1:]),
        environment=provenance.environment(),
    )


def _hold(job: Job, panel: Panel) -> float:
    """Return the score of buying all assets in equal parts and holding them, on the terms of the sweep."""
    target = np.asarray(replay(buy_and_hold(), Observation(bars=panel.bars)))
    result = build.build_terms(job.config.trade, panel).backtest(panel.bars, target)
    day = panel.times // DAY
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    zero = np.zeros(1)
    held = Sweep(day[last] * DAY, np.asarray(result.equity)[None, last], zero, zero, zero, zero.astype(int), zero)
    return float(scores(job.config.score, held)[0])


def scores(name: str, result: Sweep) -> Float[np.ndarray, " P"]:
    """Return the score of each set, annual and net of costs, from daily returns; NaN where it is not defined."""
    if name == "total_return":
        return result.equity[:, -1] - 1
    functions = {"sharpe": returns.sharpe, "sortino": returns.sortino, "calmar": drawdown.calmar}
    alive = np.asarray(np.isfinite(result.returns).all(axis=1))
    score = np.full(len(alive), np.nan)
    if alive.any():
        score[alive] = functions[name](result.returns[alive], YEAR)
    return score


def _surrogate(config: SweepConfig, panel: Panel, number: int) -> Panel:
    block = max(parse_interval(config.null_block, "null_block") // panel.interval, 1)
    if 2 * block > len(panel.times):
        raise ConfigError(
            f"config.null_block={config.null_block} is more than half of {plural(len(panel.times), 'bar')}, so nothing "
            "is shuffled; give a shorter one, or null_paths=0"
        )
    return surrogates.shuffled(panel, block, config.seed + number)


def _count(results: Path, folder: Path, panel: Panel, report: SweepReport, identity: str) -> None:
    """Append the sweep to the ledger, which counts each of its sets as a trial."""
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
