"""Trade a strategy over the bars of a panel beside a benchmark, and write its tear sheet, equity and record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import polars as pl

from fxtrade.backtest.engine import as_order
from fxtrade.backtest.trades import trades
from fxtrade.core.files import atomic_path
from fxtrade.core.trade_config import BracketConfig, TradeConfig
from fxtrade.core.trading_types import Result
from fxtrade.data.panel import Panel
from fxtrade.evaluate import trading
from fxtrade.evaluate.equity_table import equity_table
from fxtrade.evaluate.headline import trading_headline
from fxtrade.evaluate.tearsheet import TearSheet, tear_sheet
from fxtrade.pipeline.build import build_terms
from fxtrade.pipeline.strategy import Strategy, reads_account
from fxtrade.report import tearsheet
from fxtrade.report.progress import Console
from fxtrade.report.terminal import sheet_tables
from fxtrade.report.trading_notes import (
    describe_ended,
    describe_events,
    describe_first_tier,
    describe_paths,
    describe_repeats,
    describe_trade,
)
from fxtrade.runs.provenance import Environment
from fxtrade.runs.record import BacktestRecord, Period

RECORD = "backtest.json"
HELD = "Buy and hold: equal weights, the same costs and funding"


class Benchmark(NamedTuple):
    """A strategy that is traded on the same terms, for comparison; its name, and a sentence about it."""

    name: str
    description: str
    strategy: Strategy


class Traded(NamedTuple):
    """A backtest: its tear sheet, its headline numbers, and its equity bar by bar."""

    sheet: TearSheet
    metrics: dict[str, float]
    equity: pl.DataFrame


def trade(
    panel: Panel,
    strategy: Strategy,
    config: TradeConfig,
    title: str,
    notes: Sequence[str] = (),
    trials: Sequence[float] | None = None,
    benchmark: Benchmark | None = None,
    first: int = 0,
) -> Traded:
    """Return the backtest of a strategy.

    Args:
        trials: daily Sharpe ratios of what was tried before on these data; None: not known.
        benchmark: None: buy and hold.
        first: row in which the account begins; those before it only warm up the rules.
    """
    terms = build_terms(config, panel)
    if first:
        halted = np.broadcast_to(np.arange(len(panel.times))[:, None] < first, panel.bars.ok.shape)
        terms = terms._replace(conditions=terms.conditions._replace(halted=halted))
    result = terms.backtest(panel.bars, strategy, record=True)
    held = trading.hold(panel, terms) if benchmark is None else terms.backtest(panel.bars, benchmark.strategy)
    paths = trading.path_range(panel, strategy, terms, first)
    repeats = _repeats(panel, strategy, config)
    panel, result, held = panel.rows(slice(first, None)), _since(result, first), _since(held, first)
    assert result.executions is not None, "they are recorded"
    made = trades(result.executions, panel.bars)
    warnings = [describe_ended(panel, made), repeats, describe_paths(paths), *describe_events(result.counts)]
    funding = f"Funding rates: {terms.funding}" if terms.funding else ""
    notes = [HELD if benchmark is None else benchmark.description, *notes, describe_first_tier(config), funding]
    sheet = tear_sheet(
        panel,
        result,
        made,
        config.capital,
        held.equity,
        title,
        list(filter(None, warnings)),
        trials,
        describe_trade(config),
        list(filter(None, notes)),
        "buy and hold" if benchmark is None else benchmark.name,
        rules=strategy.names,
    )
    return Traded(sheet, trading_headline(sheet.strategy_metrics), equity_table(panel, result, held.equity))


def write(
    folder: Path,
    made: Traded,
    source: str,
    fingerprint: str,
    config: TradeConfig,
    environment: Environment,
    console: Console,
) -> None:
    """Write the tear sheet, the equity and the record, and show the tables."""
    panel = made.sheet.panel
    span = Period(int(panel.times[0]), int(panel.times[-1]))
    record = BacktestRecord(source, panel.source, fingerprint, panel.symbols, span, config, environment, made.metrics)
    with console.task("tear sheet"):
        tearsheet.write(folder, made.sheet)
        with atomic_path(folder / "equity.parquet") as temporary:
            made.equity.write_parquet(temporary)
        record.write(folder / RECORD)
    sheet_tables(console, made.sheet, folder)


def _repeats(panel: Panel, strategy: Strategy, config: TradeConfig) -> str:
    """Return a warning of repeated orders with exits; "" without one, and for rules that read the account."""
    if config.bracket == BracketConfig() or reads_account(config):
        return ""
    return describe_repeats(np.asarray(as_order(strategy.targets(panel.bars)).weight), config)


def _since(result: Result, first: int) -> Result:
    """Return the rows from the first one of an account on, before which it held nothing."""
    rows = jax.tree.map(lambda a: a[first:], result._replace(counts=None))
    return rows._replace(counts=result.counts)
