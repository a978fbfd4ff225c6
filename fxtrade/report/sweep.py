"""The report of a sweep: `report.md` with its plots, `sets.parquet`, and a table on the screen."""

from __future__ import annotations

import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fxtrade.backtest.grid import Grid, Plateau
from fxtrade.backtest.sweep import Sweep
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import write_atomic, write_text
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.data.times import format_time
from fxtrade.report.formatting import describe_costs, duration, fixed, gain, percent
from fxtrade.report.plotting import BLUE, GREY, ORANGE, decorate, new_figure, write_plots
from fxtrade.report.progress import Console
from fxtrade.report.tables import commands, facts, grid, machine
from fxtrade.runs.provenance import Environment
from fxtrade.runs.record import Period

SHOWN = 10  # best sets
LUCK = 0.05  # p-value above which the best set may be luck
PAIRS, TICKS = 3, 11  # heat maps, and their labels of an axis, at most
NAMES = {
    "sharpe": "Sharpe ratio (annual)",
    "sortino": "Sortino ratio (annual)",
    "calmar": "Calmar ratio",
    "total_return": "total return",
}
HEADER = ("total return", "max. drawdown", "trades", "winning", "exposure", "daily turnover")


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The best set on the days after the bars on which it was chosen, and the score of buy and hold there.

    Attributes:
        max_drawdown: of the equity at the end of each day.
    """

    period: Period
    score: float
    total_return: float
    max_drawdown: float
    daily_sharpe: float
    hold: float


@dataclasses.dataclass(frozen=True)
class SweepReport:
    """A finished sweep.

    Attributes:
        score: of each set.
        null_best: the best score on each surrogate market.
        hold, null_hold: the score of buy and hold on the data, and on each surrogate market.
        held_out: None: no bars were.
    """

    name: str
    seconds: float
    config: SweepConfig
    source: str
    symbols: tuple[str, ...]
    bars: int
    start: str
    end: str
    grid: Grid
    score: Float[np.ndarray, " P"]
    result: Sweep
    plateau: Plateau
    null_best: tuple[float, ...]
    hold: float
    null_hold: tuple[float, ...]
    environment: Environment
    held_out: HeldOut | None = None

    @property
    def order(self) -> list[int]:
        """The sets from the best to the worst, those without a score left out."""
        ranked = np.argsort(-self.score, kind="stable")  # NaN is last
        return [int(p) for p in ranked if not np.isnan(self.score[p])]


def write(folder: Path, report: SweepReport) -> None:
    """Write the report into the folder of the sweep. Raises FxtradeError if it cannot be written."""
    content = io.BytesIO()
    _frame(report).write_parquet(content)
    try:
        write_atomic(folder / "sets.parquet", content.getvalue())
    except OSError as e:
        raise FxtradeError(f"{folder} cannot be written: {e.strerror}; choose another place with --results") from e
    write_plots(folder, {f"heatmap_{k}": figure for k, figure in enumerate(heat_maps(report))})
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
    pictures = [f"![heat map](plots/heatmap_{k}.png)" for k in range(len(_pairs(report)))]
    config, tested = report.config, report.held_out
    held = [] if tested is None else [("held out", _span(tested))]
    held = [*held, ("forecasts", f"of {config.run}")] if config.run else held
    values = ((name, f"{len(v)} values, {min(v):g} to {max(v):g}") for name, v in report.grid.axes.items())
    described = [
        ("data", f"{report.source}: {', '.join(report.symbols)}"),
        ("bars", f"{report.bars:,}, {report.start} to {report.end}"),
        *held,
        ("rule", config.rule.name),
        *values,
        ("sets", f"{report.grid.size:,}"),
        ("surrogate markets", f"{config.null_paths}, shuffled in blocks of {config.null_block}"),
        ("costs", f"{describe_costs(config.trade.costs)} a side"),
        ("time", duration(report.seconds)),
        *machine(report.environment),
    ]
    sections = [
        f"# {report.name}",
        _verdict(report),
        "## Best sets",
        "Net of costs. The best of many sets is better than it will be: every set is a trial of the ledger.",
        grid(header, rows, words=()),
        *(["## Heat maps", *pictures] if pictures else []),
        "## What was swept",
        facts(described),
        commands(report.environment),
        "Every set with its metrics is in `sets.parquet`, its daily returns in `returns.npz`.",
    ]
    return "\n\n".join(sections) + "\n"


def heat_maps(report: SweepReport) -> list[Figure]:
    """Return the score over each pair of parameters; the best one over all others where there are more than two."""
    axes, index = report.grid.axes, report.grid.index
    figures = []
    for i, j in _pairs(report):
        (x, across), (y, down) = list(axes.items())[i], list(axes.items())[j]
        best = np.full((len(down), len(across)), -np.inf)
        np.maximum.at(best, (index[:, j], index[:, i]), np.nan_to_num(report.score, nan=-np.inf))
        best[np.isinf(best)] = np.nan
        figure = new_figure(4.6)
        plot = figure.add_subplot()
        limit = np.nanmax(np.abs(best))
        image = plot.imshow(best, origin="lower", aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
        place = index[report.plateau.best]
        plot.plot(place[i], place[j], marker="o", ms=9, mfc="none", mec="black", mew=1.6)
        figure.colorbar(image, ax=plot, label=NAMES[report.config.score])
        decorate(plot, f"{NAMES[report.config.score]} (circle: the best set)", x, y)
        _label(plot.xaxis, across)
        _label(plot.yaxis, down)
        plot.grid(False)
        figures.append(figure)
    if len(axes) == 1:
        figures.append(_curve(report))
    return figures


def _curve(report: SweepReport) -> Figure:
    """Return the score over the only parameter, with the best scores on surrogate markets."""
    ((name, values),) = report.grid.axes.items()
    figure = new_figure(3.4)
    plot = figure.add_subplot()
    plot.plot(values, report.score, color=BLUE, lw=1.4)
    plot.plot(values[report.grid.index[report.plateau.best, 0]], report.plateau.score, "o", color=ORANGE)
    if report.null_best:
        plot.axhline(max(report.null_best), color=GREY, lw=1, ls="--")
    decorate(plot, NAMES[report.config.score], name, "")
    return figure


def _pairs(report: SweepReport) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(len(report.grid.axes)), 2))[:PAIRS]


def _label(axis: Axis, values: tuple[float, ...]) -> None:
    """Label cells of equal size, whatever their values; of many values only some."""
    places = np.arange(len(values))[:: -(-len(values) // TICKS)]
    axis.set_ticks(places, [f"{values[k]:g}" for k in places])


def _verdict(report: SweepReport) -> str:
    """Return in words what the best set is worth."""
    best, name = report.plateau, NAMES[report.config.score]
    sentences = [f"The best set ({report.grid.describe(best.best)}) has a {name} of {fixed(best.score, 2)}"]
    if best.neighbours:
        near = plural(best.neighbours, "set")
        sentences[0] += (
            f"; the {near} next to it have {fixed(best.mean, 2)} on average, {fixed(best.worst, 2)} at the worst"
        )
    sentences.append(f"Buy and hold has {fixed(report.hold, 2)}")
    if (tested := report.held_out) is not None:
        sentences.append(
            f"On the days held out, {_span(tested)}, this set has {fixed(tested.score, 2)} (total return "
            f"{gain(tested.total_return)}, max. drawdown {percent(tested.max_drawdown)} at daily closes), buy and "
            f"hold {fixed(tested.hold, 2)}"
        )
    if edges := _at_the_edge(report):
        sentences.append(f"The best set lies at the edge of the grid ({', '.join(edges)}): give more values there")
    if report.null_best:
        reach = sum(null >= best.score for null in report.null_best)
        p = (1 + reach) / (1 + len(report.null_best))
        found = "the best set may be luck" if p > LUCK else "the best set is unlikely to be luck"
        middle, held = (fixed(float(np.median(scores)), 2) for scores in (report.null_best, report.null_hold))
        sentences.append(
            f"On {plural(len(report.null_best), 'surrogate market')}, whose bars are shuffled in blocks of "
            f"{report.config.null_block}, so that only their drift and what lies within a block remain, the best set "
            f"has {middle} in the median and buy and hold {held}. {reach} of them reach the best set's score: p = "
            f"{fixed(p, 2)}, {found}"
        )
    return ". ".join(sentences) + "."


def _span(tested: HeldOut) -> str:
    return f"{format_time(tested.period.first, 'm')} to {format_time(tested.period.last, 'm')}"


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
