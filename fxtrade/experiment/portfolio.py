"""A portfolio of rules, from its config to its tear sheet: sleeves, blended by risk, under the rules of the account.

It is a trial like any other look at the bars, which the ledger counts.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.portfolio_config import PortfolioConfig
from fxtrade.core.trade_config import RuleConfig
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Forecast
from fxtrade.data import names
from fxtrade.data.panel import Panel
from fxtrade.data.times import UNITS, format_time, parse_time
from fxtrade.experiment import scored_run, sweep_data, trade_sheet
from fxtrade.experiment.backtest_checks import new_folder
from fxtrade.experiment.trade_sheet import Benchmark
from fxtrade.pipeline import dataset
from fxtrade.pipeline.market import build_market
from fxtrade.pipeline.strategy import YEAR, Strategy, build_bracket, build_rules, rule_names
from fxtrade.report.progress import Console
from fxtrade.risk import GIVES_ORDERS, READS_ACCOUNT, SIZING
from fxtrade.risk.blend import blend, only
from fxtrade.risk.rule import chain, traced
from fxtrade.risk.sizing import confidence_threshold
from fxtrade.runs import ledger, provenance, run_dir
from fxtrade.runs.ledger import Trial
from fxtrade.runs.record import Period

BENCHMARK = "Benchmark: equal weights under the same rules of the account and the same costs"


class PortfolioData(NamedTuple):
    """What a portfolio trades.

    Attributes:
        first: row in which the account begins.
        forecast: of a run; None: rules read bars alone.
        threshold, horizon: of the run's forecasts: the confidence from which on they are traded, and bars of the label.
    """

    panel: Panel
    first: int
    forecast: Forecast | None = None
    threshold: float = 0.0
    horizon: int = 1


def run(config: PortfolioConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Trade a portfolio and write its tear sheet; return the folder.

    The ledger that counts the trial is that of `results`, or of the run whose forecasts are traded.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console = console or Console()
    folder = new_folder(results, name, config.name)
    counted = results if config.run is None else Path(config.run).parent
    ledger.check(counted, console.say)
    _check(config)
    data = load(config, console)
    panel, fingerprint, environment = data.panel, data.panel.fingerprint(), provenance.environment()
    trial = Trial(
        config_hash=provenance.portfolio_hash(config),
        data_fingerprint=fingerprint,
        run=folder.name,
        started=environment.started,
        code=environment.code,
        symbols=panel.symbols,
        test=(Period(int(panel.times[data.first]), int(panel.times[-1])),),
        simulated=panel.simulated,
    )
    past = ledger.past_trials(counted, trial).daily_sharpes
    benchmark = Benchmark("benchmark", BENCHMARK, Strategy(build_benchmark(config, data), forecast=data.forecast))
    after = rule_names(config.trade)
    with console.task("backtest"):
        made = trade_sheet.trade(
            panel,
            Strategy(build_portfolio(config, data), None, data.forecast, ("blend", *after) if after else ()),
            config.trade,
            name or config.name,
            [describe(config)],
            past,
            benchmark,
            data.first,
        )
    metrics = made.metrics
    counted.mkdir(parents=True, exist_ok=True)
    ledger.append_trial(counted, dataclasses.replace(trial, daily_sharpe=metrics["daily_sharpe"], metrics=metrics))
    trade_sheet.write(folder, made, config.name, fingerprint, config.trade, environment, console)
    return folder


def load(config: PortfolioConfig, console: Console) -> PortfolioData:
    """Return the bars of a config, or those of a finished run from its first validation row on.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    if config.run is not None:
        of_run = sweep_data.of_run(Path(config.run), config.data.path, console)
        sure = of_run.given.confidence
        level = float(confidence_threshold(sure, np.ones(len(sure), bool), config.trade.coverage))
        horizon = of_run.given.horizon or 1
        return PortfolioData(of_run.panel, of_run.first_held_out, of_run.forecast, level, horizon)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
    begin = parse_time(config.first, "config.first")
    first = 0 if begin is None else int(np.searchsorted(panel.times, begin))
    if first > len(panel.times) - 2:
        last = format_time(int(panel.times[-1]))
        raise DataError(f"config.first={config.first} leaves no two bars of those to {last}; give an earlier one")
    return PortfolioData(panel, first)


def build_portfolio(config: PortfolioConfig, data: PortfolioData) -> Rule:
    """Return the rule of a portfolio: its sleeves, their blend, and the rules of `config.trade`.

    Raises:
        ConfigError: an unknown rule, options that do not fit it, or a rule in a place where it cannot be.
    """
    sleeves = [_sleeve(config, data, name) for name in config.sleeves]
    own = config.blend
    blended = blend(
        sleeves,
        [sleeve.budget for sleeve in config.sleeves.values()],
        own.volatility * np.sqrt(data.panel.interval / YEAR),
        own.halflife,
        own.min_bars,
        own.max_scale,
    )
    return traced(blended, *_of_account(config, data))


def build_benchmark(config: PortfolioConfig, data: PortfolioData) -> Rule:
    """Return the rule of the benchmark, under the same rules of `config.trade`. Raises ConfigError as the portfolio."""
    own = _chain(config, data, config.benchmark, "config.benchmark")
    return chain(own, *_of_account(config, data))


def describe(config: PortfolioConfig) -> str:
    """Return the sleeves with their shares of the risk, and the rules after them, as a sentence."""
    total = sum(sleeve.budget for sleeve in config.sleeves.values())
    sleeves = "; ".join(
        f"{name} ({sleeve.budget / total:.0%} of the risk): {' > '.join(rule.name for rule in sleeve.rules)}"
        for name, sleeve in config.sleeves.items()
    )
    after = " > ".join(rule.name for rule in config.trade.rules or ()) or "none"
    return f"Sleeves: {sleeves}. Rules of the account: {after}"


def _sleeve(config: PortfolioConfig, data: PortfolioData, name: str) -> Rule:
    """Return the chain of one sleeve, which holds nothing but its own symbols."""
    sleeve, symbols = config.sleeves[name], data.panel.symbols
    made = _chain(config, data, sleeve.rules, f"config.sleeves.{name}.rules")
    if sleeve.symbols is None:
        return made
    own = np.zeros(len(symbols), bool)
    for pattern in sleeve.symbols:
        without = pattern.startswith("!")
        fits = np.array([fnmatch.fnmatchcase(symbol, pattern.removeprefix("!")) for symbol in symbols])
        if not fits.any():
            raise ConfigError(f"config.sleeves.{name}.symbols: no symbol is {pattern!r} (known: {', '.join(symbols)})")
        own |= ~fits if without else fits
    return chain(made, only(own))


def _chain(config: PortfolioConfig, data: PortfolioData, rules: tuple[RuleConfig, ...], where: str) -> Rule:
    """Return a chain that makes weights without an account. Raises ConfigError where a rule cannot be in it."""
    for i, rule in enumerate(rules):
        if rule.name in READS_ACCOUNT | GIVES_ORDERS:
            raise ConfigError(
                f"{where}[{i}]: '{rule.name}' needs an account, which all sleeves share; move it to config.trade.rules"
            )
        if rule.name in SIZING and data.forecast is None:
            raise ConfigError(f"{where}[{i}]: '{rule.name}' reads forecasts; name a finished run with config.run")
    given: dict[str, Any] = {"threshold": data.threshold, "horizon": data.horizon} if data.forecast is not None else {}
    carried = names.pairs(data.panel.symbols)
    if carried.spot:
        given |= carried._asdict()
    return chain(*build_rules(config.trade, rules, where, bars_per_year=YEAR / data.panel.interval, **given))


def _of_account(config: PortfolioConfig, data: PortfolioData) -> list[Rule]:
    """Return the rules of `config.trade`, which follow the sum of the sleeves."""
    return [*build_rules(config.trade, bars_per_year=YEAR / data.panel.interval), *build_bracket(config.trade)]


def _check(config: PortfolioConfig) -> None:
    """Raise ConfigError for rules, costs and a run that do not exist, before bars are read."""
    build_market(config.trade, UNITS["d"], tuple(config.trade.assets))
    build_rules(config.trade)
    if config.run is not None:
        scored_run.traded_record(Path(config.run), run_dir.load_config(Path(config.run)))
