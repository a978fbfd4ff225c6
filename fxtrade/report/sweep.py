"""The report of a sweep: `report.md` with its plots, `sets.parquet`, and a table on the screen."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fxtrade.backtest.sweep import DAY
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import write_atomic, write_text
from fxtrade.core.text import plural
from fxtrade.data.times import format_time
from fxtrade.report import sweep_gradient, sweep_plots
from fxtrade.report.formatting import duration, fixed, gain, percent
from fxtrade.report.plotting import write_plots
from fxtrade.report.progress import Console
from fxtrade.report.sweep_schema import NAMES, Refined, SweepReport
from fxtrade.report.tables import commands, facts, grid, machine
from fxtrade.report.trading_notes import describe_trade
from fxtrade.runs.record import Period

SHOWN = 10  # best sets
LUCK = 0.05  # p-value above which the best set may be luck
HEADER = ("total return", "max. drawdown", "trades", "winning", "exposure", "daily turnover")


def write(folder: Path, report: SweepReport) -> None:
    """Write the report into the folder of the sweep. Raises FxtradeError if it cannot be written."""
    content = io.BytesIO()
    _frame(report).write_parquet(content)
    try:
        write_atomic(folder / "sets.parquet", content.getvalue())
    except OSError as e:
        raise FxtradeError(f"{folder} cannot be written: {e.strerror}; choose another place with --results") from e
    plots = {f"heatmap_{k}": figure for k, figure in enumerate(sweep_plots.heat_maps(report))}
    if isinstance(report.refined, Refined):
        plots["gradient"] = sweep_plots.climb(report, report.refined)
    write_plots(folder, plots)
    write_text(folder / "report.md", markdown(report))


def table(console: Console, report: SweepReport, folder: Path) -> None:
    """Show the best sets on the screen, and where the report is."""
    title = f"{report.name}: best of {plural(report.grid.size, 'set')}"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, min_width=len(title))
    headings = [*report.grid.axes, report.config.score.replace("_", " "), *HEADER]
    rows = [_cells(report, p) for p in report.order[:SHOWN]]
    widths = [max(map(len, column)) + 3 for column in zip(headings, *rows, strict=True)]
    columns = max(int(np.searchsorted(np.cumsum(widths), console.rich.width, "right")), len(report.grid.axes) + 1)
    for heading in headings[:columns]:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(*row[:columns])
    console.rich.print(shown)
    console.say(_verdict(report))
    console.say(f"report: {folder / 'report.md'}")


def markdown(report: SweepReport) -> str:
    """Return the report as Markdown."""
    header = [*report.grid.axes, NAMES[report.config.score], *HEADER]
    rows = [_cells(report, p) for p in report.order[:SHOWN]]
    pictures = [f"![heat map](plots/heatmap_{k}.png)" for k in range(len(sweep_plots.pairs(report)))]
    sections = [
        f"# {report.name}",
        _verdict(report),
        "## The best set",
        _summary(report),
        *_explained(report),
        "## Best sets",
        "Net of costs. The best of many sets is better than it will be: every set is a trial of the ledger.",
        grid(header, rows, words=()),
        *sweep_gradient.section(report),
        *(["## Heat maps", *pictures] if pictures else []),
        "## What was swept",
        facts(_described(report)),
        commands(report.environment),
        "Every set with its metrics is in `sets.parquet`, its daily returns in `returns.npz`.",
    ]
    return "\n\n".join(sections) + "\n"


def _summary(report: SweepReport) -> str:
    """Return a table of the best set and of buy and hold, where sets are compared and where they are held out."""
    name, spans = NAMES[report.config.score], [("sets compared", report.period, report.best, report.hold)]
    if (tested := report.held_out) is not None:
        spans.append(("held out", tested.period, tested.best, tested.hold))
    header = ["", "days", "account", name, "95 % interval", "total return", "max. drawdown (daily)"]
    rows = [
        (
            *((what, _span(period)) if account == "best set" else ("", "")),
            account,
            fixed(made.score, 2),
            "" if np.isnan(made.low) else f"{fixed(made.low, 2)} to {fixed(made.high, 2)}",
            gain(made.total_return),
            percent(made.max_drawdown),
        )
        for what, period, best, hold in spans
        for account, made in (("best set", best), ("buy and hold", hold))
    ]
    return grid(header, rows, words=(0, 1, 2))


def _explained(report: SweepReport) -> list[str]:
    """Return what the parts of the summary are."""
    plateau, explained = report.plateau, []
    if plateau.neighbours:
        near = "set next to it has" if plateau.neighbours == 1 else f"{plateau.neighbours} sets next to it have"
        explained.append(
            f"The {near} {fixed(plateau.mean, 2)} on average, {fixed(plateau.worst, 2)} at the worst: a best set far "
            "above them is more likely to be luck."
        )
    if report.held_out is not None:
        explained.append(
            "The days held out come after those on which the sets are compared, and took no part in the choice. The "
            "best set continues with what it holds; buy and hold begins there. Only this part is without selection."
        )
    if days := _left_out(report):
        explained.append(days)
    if report.null_best:
        explained.append(
            f"The surrogate markets are these bars shuffled in blocks of {report.config.null_block}: their drift and "
            "what lies within a block remain, any order between blocks is gone. Their best sets have "
            f"{fixed(float(np.median(report.null_best)), 2)} in the median, {fixed(max(report.null_best), 2)} at most."
        )
    return explained


def _left_out(report: SweepReport) -> str:
    """Return on which days the sets are compared, if not on all."""
    days = report.period.last // DAY - report.period.first // DAY + 1
    if len(report.result.days) == days:
        return ""
    return (
        f"The sets are compared on {len(report.result.days):,} of these {days:,} days. The others have no forecast, "
        "for the run was fitted to them, and are left out of all scores."
    )


def _described(report: SweepReport) -> list[tuple[str, str]]:
    """Return what was swept, and how."""
    config, tested = report.config, report.held_out
    rows = [
        ("data", f"{report.source}: {', '.join(report.symbols)}"),
        ("bars", f"{report.bars:,}, {_span(report.period)}"),
        ("held out", "nothing" if tested is None else _span(tested.period)),
        ("forecasts", f"of {config.run}" if config.run else ""),
        ("rule", config.rule.name),
        *((name, f"{len(v)} values, {min(v):g} to {max(v):g}") for name, v in report.grid.axes.items()),
        ("sets", f"{report.grid.size:,}"),
        ("surrogate markets", f"{config.null_paths}, shuffled in blocks of {config.null_block}"),
        ("terms of trade", describe_trade(config.trade)),
        ("funding", config.trade.funding.path or ""),
        ("time", duration(report.seconds)),
        *machine(report.environment),
    ]
    return [(name, value) for name, value in rows if value]


def _verdict(report: SweepReport) -> str:
    """Return in a few sentences what the best set is worth."""
    best, name, tested = report.best, NAMES[report.config.score], report.held_out
    sentences = [
        f"The best set ({report.grid.describe(report.plateau.best)}) has a {name} of {fixed(best.score, 2)}, buy and "
        f"hold {fixed(report.hold.score, 2)}"
    ]
    if tested is not None:
        sentences.append(
            f"On the days held out, {_span(tested.period)}, it has {fixed(tested.best.score, 2)}, buy and hold "
            f"{fixed(tested.hold.score, 2)}"
        )
    if best.score <= 0:
        sentences.append("No set made money")
    elif nulls := len(report.null_best):
        reach = sum(null >= best.score for null in report.null_best)
        p = (1 + reach) / (1 + nulls)
        least = f", the least that {plural(nulls, 'market')} can show" if not reach else ""
        found = "it may be luck" if p > LUCK else "it is unlikely to be luck alone"
        sentences.append(
            f"{reach if reach else 'None'} of {plural(nulls, 'surrogate market')} "
            f"{'reaches' if reach == 1 else 'reach'} its score: {found} (p = {fixed(p, 2)}{least})"
        )
    if isinstance(report.refined, Refined):
        sentences.append(sweep_gradient.verdict(report, report.refined))
    if edges := _at_the_edge(report):
        sentences.append(f"It lies at the edge of the grid ({', '.join(edges)}): give more values there")
    return ". ".join(sentences) + "."


def _span(period: Period) -> str:
    return f"{format_time(period.first, 'm')} to {format_time(period.last, 'm')}"


def _at_the_edge(report: SweepReport) -> list[str]:
    """Return the parameters whose value in the best set is the first or the last of several."""
    place = zip(report.grid.axes.items(), report.grid.index[report.plateau.best], strict=True)
    return [name for (name, values), k in place if len(values) > 1 and k in (0, len(values) - 1)]


def _cells(report: SweepReport, p: int) -> list[str]:
    result, values = report.result, report.grid.sets(p, p + 1)
    return [
        *(f"{value[0]:g}" for value in values.values()),
        fixed(report.score[p], 2),
        gain(float(result.equity[p, -1] - 1)),
        percent(float(result.max_drawdown[p])),
        f"{result.trades[p]:,}",
        percent(float(result.win_rate[p])),
        percent(float(result.exposure[p])),
        fixed(float(result.turnover[p]), 2),
    ]


def _frame(report: SweepReport) -> pl.DataFrame:
    """Return every set with its metrics."""
    result = report.result
    metrics = {
        report.config.score: report.score,
        "total_return": result.equity[:, -1] - 1,
        "max_drawdown": result.max_drawdown,
        "trades": result.trades,
        "win_rate": result.win_rate,
        "exposure": result.exposure,
        "turnover": result.turnover,
    }
    return pl.DataFrame({**report.grid.sets(), **metrics})
