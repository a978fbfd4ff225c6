"""Table of several runs: their results, and the config keys in which they differ."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.files import to_jsonable
from fxtrade.core.registry import nearest
from fxtrade.core.text import plural
from fxtrade.report.coverage_rows import at, target_coverages
from fxtrade.report.formatting import DASH, count, duration, estimate, fixed, gain, interval, missing, percent
from fxtrade.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    accuracy_points,
    coverage_axes,
    dates,
    equity_axes,
    new_figure,
    with_legend,
)
from fxtrade.report.schema import RunReport
from fxtrade.runs import run_dir

COLORS, STYLES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "black"), ("-", "--", ":")


class Column(NamedTuple):
    """A quantity of a run: heading, value to sort by, text, and whether higher is better."""

    heading: str
    value: Callable[[RunReport], Any]
    text: Callable[[RunReport], str]
    descending: bool = True


def read(folder: Path) -> RunReport:
    """Return the report of the run in a folder, under the name that the folder has now.

    Raises:
        FxtradeError: the folder holds no run or an unfinished one, or its report is damaged or of another version.
    """
    if not folder.is_dir():
        raise FxtradeError(f"{folder}: there is no such folder")
    path = folder / run_dir.REPORT
    if not path.exists():
        what = "the run is not finished" if (folder / run_dir.CONFIG).exists() else "not a run"
        raise FxtradeError(f"{folder}: {what}, there is no {run_dir.REPORT}")
    report = RunReport.read(path)
    if not report.accuracy:
        raise FxtradeError(f"{path} has no accuracies; run it again to recreate the file")
    return dataclasses.replace(report, folder=folder.resolve().name)


def collect(folders: Iterable[Path]) -> tuple[list[RunReport], list[str]]:
    """Return all runs among the folders, and why the others are skipped; plain files are ignored.

    Raises:
        FxtradeError: there is no run at all.
    """
    runs, skipped = [], []
    for folder in folders:
        if folder.is_file():
            continue
        try:
            runs.append(read(folder))
        except FxtradeError as e:
            skipped.append(str(e) if str(folder) in str(e) else f"{folder}: {e}")
    if not runs:
        reasons = "".join(f"\n  {reason}" for reason in skipped)
        raise FxtradeError(f"there is no finished run to compare; name folders such as results/*{reasons}")
    return runs, skipped


def columns(runs: Sequence[RunReport]) -> tuple[dict[str, Column], dict[str, Column]]:
    """Return the columns on forecasts, and those on trading and effort, by the key to sort by."""
    shared = set.intersection(*(set(target_coverages(run)) for run in runs))
    tops = sorted(shared - {1.0}, reverse=True)[-3:]
    forecasts = {
        "name": Column("run", lambda r: r.folder, lambda r: r.folder, False),
        "data": _text_column("data", lambda r: r.data.source),
        "label": _text_column("label", _label),
        "model": _text_column("model", lambda r: r.training.model),
        "accuracy": _accuracy("accuracy (%)", lambda r: target_coverages(r)[0]),
        **{f"top_{100 * t:g}": _accuracy(f"top {100 * t:g} %", lambda r, t=t: t) for t in tops},
        "log_loss": _column("log loss", lambda r: r.scores.log_loss.value, partial(fixed, digits=4), False),
    }
    effort = {
        "sharpe": Column("Sharpe [95 %]", lambda r: r.trading and r.trading.strategy.sharpe.value, _sharpe_text),
        "total_return": _column("return", lambda r: r.trading and r.trading.strategy.total_return, gain),
        "max_drawdown": _column("drawdown", lambda r: r.trading and r.trading.strategy.max_drawdown, percent),
        "samples_per_second": _column("samples/s", lambda r: r.training.labels_per_second, count),
        "seconds": _column("time", lambda r: r.seconds, duration, False),
        "seed": _text_column("seed", lambda r: r.provenance.seed),
        "code": _text_column("code", lambda r: r.provenance.environment.code),
    }
    return forecasts, effort


def order(runs: Sequence[RunReport], key: str) -> list[RunReport]:
    """Return the runs, the best first; those without the value last.

    Raises:
        ConfigError: there is no such column.
    """
    known = {k: column for part in columns(runs) for k, column in part.items()}
    if key not in known:
        raise ConfigError(f"runs cannot be sorted by '{key}'{nearest(key, known)}")
    column = known[key]

    def absent(run: RunReport) -> bool:
        value = column.value(run)
        return not isinstance(value, str) and missing(value)

    have = sorted((run for run in runs if not absent(run)), key=column.value, reverse=column.descending)
    return have + [run for run in runs if absent(run)]


def show(console: Console, runs: Sequence[RunReport]) -> None:
    """Print the runs, and the config keys in which they differ; both tables number the runs alike."""
    titles = ("Forecasts on the test span", "Trading net of costs, and effort")
    for title, part in zip(titles, columns(runs), strict=True):
        for table in _fitting_tables(console, title, list(part.values()), runs):
            console.print(table)
    if len({(run.provenance.data_fingerprint, _label(run)) for run in runs}) > 1:
        console.print("The runs differ in data or label: their numbers say little about which model is better.")
    rows = differences(runs)
    if rows:
        console.print(_key_table(console, rows, len(runs)))
    elif len(runs) > 1:
        console.print("All configs are the same.")


def differences(runs: Sequence[RunReport]) -> dict[str, list[str]]:
    """Return the config keys that are not the same in all runs, with the value of each run; the name does not count."""
    flat = [dict(_flatten(to_jsonable(run.config))) for run in runs]
    keys = dict.fromkeys(k for values in flat for k in values if k != "name")
    rows = {k: [_json(values.get(k)) for values in flat] for k in keys}
    return {k: values for k, values in rows.items() if len(set(values)) > 1}


def figure(runs: Sequence[RunReport]) -> Figure:
    """Plot accuracy by coverage of all runs and, of those that were traded, equity net of costs."""
    curves = [run.trading.curve for run in runs if run.trading]
    made = new_figure((6.6 if curves else 3.8) + 0.2 * len(runs))
    upper, *lower = made.subplots(2 if curves else 1, 1, squeeze=False)[:, 0]
    coverage_axes(upper, "Accuracy by coverage, fixed thresholds, 95 % intervals")
    for place, run in enumerate(runs):
        style: dict[str, Any] = {
            "color": COLORS[place % len(COLORS)],
            "linestyle": STYLES[place // len(COLORS) % len(STYLES)],
        }
        accuracy_points(upper, run.accuracy, f"#{place + 1} {run.folder}", marker="o", **style)
        if run.trading:
            curve = run.trading.curve
            lower[0].plot(dates(curve), curve.strategy, lw=1.3, **style)
    if curves:
        if len({run.provenance.data_fingerprint for run in runs}) == 1:
            lower[0].plot(dates(curves[0]), curves[0].buy_and_hold, lw=1, color=GREY, zorder=1)
            upper.plot([], [], lw=1, color=GREY, label="buy and hold")
        equity_axes(lower[0], "Equity net of costs")
        lower[0].set_xlabel("date (UTC)", fontsize=9)
    return with_legend(made, upper)


def _column(heading: str, value: Callable, form: Callable[[Any], str], descending: bool = True) -> Column:
    return Column(heading, value, lambda r: form(value(r)), descending)


def _text_column(heading: str, value: Callable[[RunReport], Any]) -> Column:
    return _column(heading, value, str, False)


def _accuracy(heading: str, target: Callable[[RunReport], float]) -> Column:
    def text(r: RunReport) -> str:
        row = at(r.accuracy, target(r))
        if any(map(missing, (row.accuracy, row.low, row.high))):
            return interval(row.accuracy)
        return f"{100 * row.accuracy:.1f} ± {50 * (row.high - row.low):.1f}"

    return Column(heading, lambda r: at(r.accuracy, target(r)).accuracy, text)


def _label(r: RunReport) -> str:
    return f"{r.label.name} {r.label.horizon} x {r.data.interval}, {plural(r.label.classes, 'class', 'classes')}"


def _sharpe_text(r: RunReport) -> str:
    return estimate(r.trading.strategy.sharpe, 2) if r.trading else DASH


def _fitting_tables(
    console: Console, title: str, columns: Sequence[Column], runs: Sequence[RunReport]
) -> Iterable[Table]:
    """Yield tables of all columns, each with as many of them as fit the console."""

    def make(some: Sequence[Column]) -> Table:
        table = _table(title, ["#", *(c.heading for c in some)])
        for number, run in enumerate(runs, 1):
            table.add_row(str(number), *(Text(c.text(run)) for c in some))
        return table

    chosen: list[Column] = []
    for column in columns:
        if chosen and not _fits(console, make([*chosen, column])):
            yield make(chosen)
            chosen = []
        chosen.append(column)
    yield make(chosen)


def _key_table(console: Console, rows: Mapping[str, Sequence[str]], count: int) -> Table:
    """Return a table of keys by runs or, where that does not fit, of each value of a key with the runs that have it."""
    title = "Config keys that differ"
    table = _table(title, ["key", *(f"#{n}" for n in range(1, count + 1))])
    for key, values in rows.items():
        table.add_row(key, *map(Text, values))
    if _fits(console, table):
        return table
    table = _table(title, ["key", "value", "runs"])
    for key, values in rows.items():
        for i, value in enumerate(dict.fromkeys(values)):
            numbers = [n for n, other in enumerate(values, 1) if other == value]
            table.add_row("" if i else key, Text(value), _ranges(numbers))
    return table


def _ranges(numbers: Sequence[int]) -> str:
    """Format ascending numbers as "1-3, 7"."""
    groups = [list(group) for _, group in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{g[0][1]}" if len(g) == 1 else f"{g[0][1]}-{g[-1][1]}" for g in groups)


def _fits(console: Console, table: Table) -> bool:
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, min_width=len(title))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _flatten(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _json(value: Any) -> str:
    return DASH if value is None else json.dumps(value)
