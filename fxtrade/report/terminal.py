"""Tables of a finished run on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fxtrade.evaluate.results import TradingResult
from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.report import run_warnings, summary, tearsheet_tables
from fxtrade.report.coverage_rows import at, target_coverages
from fxtrade.report.formatting import DASH, estimate, fixed, gain, interval, missing, percent, probability
from fxtrade.report.progress import Console
from fxtrade.report.rivals import against_learned, null_baselines
from fxtrade.report.schema import RunReport


def table(console: Console, report: RunReport, folder: Path) -> None:
    """Print accuracies, trading performance, warnings and the path of the report."""
    console.rich.print(_accuracy(report), soft_wrap=False)
    if line := against_learned(report):
        console.rich.print(Text(line), soft_wrap=False)
    if report.trading:
        console.rich.print(_trading(report.trading), soft_wrap=False)
        console.say(f"The strategy {summary.survival(report.trading)}.")
    for text in run_warnings.warnings(report):
        console.rich.print(Text(text, style="bold red"), soft_wrap=False)
    console.say(f"report: {folder / 'report.md'}")


def sheet_tables(console: Console, sheet: TearSheet, folder: Path) -> None:
    """Print returns, risk, trades and costs of a tear sheet, its warnings, its notes and the path of its page."""
    for table in tearsheet_tables.tables(sheet)[:2]:
        made = plain_table(table.title)
        for column, name in enumerate(table.header):
            made.add_column(name, justify="left" if column in table.words else "right", no_wrap=True)
        for row in table.rows:
            made.add_row(*map(Text, row))
        console.rich.print(made, soft_wrap=False)
    for text in (*sheet.warnings, *sheet.notes):
        console.say(f"{text}.")
    console.say(f"tear sheet: {folder / 'tearsheet.html'}")


def coverage_columns(made: Table, targets: list[float] | tuple[float, ...]) -> Table:
    """Add a column for names, and one for each coverage."""
    made.add_column("", no_wrap=True)
    for target in targets:
        made.add_column("all bars" if target == 1 else f"{100 * target:g} %", justify="right")
    return made


def plain_table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _accuracy(report: RunReport) -> Table:
    targets = target_coverages(report)
    made = coverage_columns(plain_table("Test accuracy (%), by most confident share, and log loss"), targets)
    made.add_column("log loss", justify="right")
    own = [at(report.accuracy, t) for t in targets]
    loss, learned = report.scores.log_loss, report.learned_baselines
    made.add_row(report.training.model, *(interval(row.accuracy) for row in own), fixed(loss.value, 4), style="bold")
    made.add_row("  95 % interval, from", *(interval(row.low) for row in own), fixed(loss.low, 4))
    made.add_row("  to", *(interval(row.high) for row in own), fixed(loss.high, 4), end_section=True)
    nulls = {f"null baseline: {name}": rows for name, rows in null_baselines(report).items()}
    for name, rows in {**report.baselines, **nulls}.items():
        own_loss = fixed(learned[name].log_loss.value, 4) if name in learned else ""
        made.add_row(name, *(interval(at(rows, t).accuracy) for t in targets), own_loss)
    best = report.data.best_accuracy
    if not missing(best):
        made.add_row("best possible", *(fixed(100 * best, 1) if t == 1 else DASH for t in targets))
    return made


def _trading(trading: TradingResult) -> Table:
    made = plain_table("Trading, net of costs (weeks: share of winning weeks)")
    for name in ("", "return", "Sharpe [95 %]", "drawdown", "weeks", "DSR"):
        made.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, m in (("strategy", trading.strategy), ("buy & hold", trading.buy_and_hold)):
        cells = [gain(m.total_return), Text(estimate(m.sharpe, 1)), percent(m.max_drawdown), percent(m.win_rate_week)]
        made.add_row(name, *cells, probability(m.dsr))
    return made
