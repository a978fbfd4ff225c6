"""The end of a run on the screen: what to know before opening the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fxtrade.report import summary
from fxtrade.report.formatting import DASH, fixed, gain, interval, missing, percent, probability
from fxtrade.report.progress import Console


def table(console: Console, outcome: dict[str, Any], folder: Path) -> None:
    """Print accuracies, earnings and warnings, and where the report is."""
    console.rich.print(_accuracy(outcome), soft_wrap=False)
    if outcome.get("trading"):
        console.rich.print(_trading(outcome["trading"]), soft_wrap=False)
        console.say(f"The strategy {summary.survival(outcome['trading'])}.")
    for text in summary.warnings(outcome):
        console.rich.print(Text(text, style="bold red"), soft_wrap=False)
    console.say(f"report: {folder / 'report.md'}")


def _accuracy(outcome: dict) -> Table:
    model, targets = outcome["run"]["model"], summary.targets(outcome)
    made = _table("Right on the test span (%), by the share that is most sure")
    made.add_column("", no_wrap=True)
    for target in targets:
        made.add_column("all bars" if target == 1 else f"{100 * target:g} %", justify="right")
    own = [summary.at(outcome["accuracy"][model], t) for t in targets]
    made.add_row(model, *(_right(row) for row in own), style="bold")
    made.add_row("  95 % interval, from", *(_right(row, "low") for row in own))
    made.add_row("  to", *(_right(row, "high") for row in own), end_section=True)
    others = summary.rivals(outcome) | {f"null floor: {name}": rows for name, rows in summary.floors(outcome).items()}
    for name, rows in others.items():
        made.add_row(name, *(_right(summary.at(rows, t)) for t in targets))
    best = outcome["data"]["best_accuracy"]
    if not missing(best):
        made.add_row("best possible", *(fixed(100 * best, 1) if t == 1 else DASH for t in targets))
    return made


def _trading(trading: dict) -> Table:
    made = _table("Traded, net of costs (weeks: share of them that wins)")
    for name in ("", "return", "Sharpe [95 %]", "drawdown", "weeks", "DSR"):
        made.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, key in (("strategy", "strategy"), ("buy & hold", "buy_and_hold")):
        m = trading[key]
        sharpe = Text(interval(m["sharpe"], m["sharpe_low"], m["sharpe_high"], 1, 1))
        cells = [gain(m["total_return"]), sharpe, percent(m["max_drawdown"]), percent(m["win_rate_week"])]
        made.add_row(name, *cells, probability(m["dsr"]))
    return made


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _right(row: dict, key: str = "accuracy") -> str:
    return DASH if missing(row[key]) else fixed(100 * row[key], 1)
