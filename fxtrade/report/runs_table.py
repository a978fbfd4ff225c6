"""Several runs side by side: what they reached, and what they differ in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.registry import nearest
from fxtrade.report import summary
from fxtrade.report.formatting import DASH, count, duration, fixed, gain, interval, missing, percent
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
    floats,
    new_figure,
    with_legend,
)

COLORS, STYLES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "black"), ("-", "--", ":")
RECORDS = ("run.json", "config.json", "report.json")


class Run(NamedTuple):
    """One finished run: its folder's name and its three records."""

    name: str
    facts: dict[str, Any]
    config: dict[str, Any]
    outcome: dict[str, Any]


class Column(NamedTuple):
    """A quantity of a run: heading, value to sort by, text to show, and whether more of it is better."""

    heading: str
    value: Callable[[Run], Any]
    text: Callable[[Run], str]
    descending: bool = True


def read(folder: Path) -> Run:
    """The records of a run.

    Raises:
        FxtradeError: the folder holds no run, an unfinished one, a damaged file or one of another version.
    """
    if not folder.is_dir():
        raise FxtradeError(f"{folder}: there is no such folder")
    records = []
    for name in RECORDS:
        try:
            records.append(json.loads((folder / name).read_text()))
        except FileNotFoundError as e:
            what = "the run is not finished" if name == "report.json" else "not a run"
            raise FxtradeError(f"{folder}: {what}, there is no {name}") from e
        except (json.JSONDecodeError, OSError) as e:
            raise FxtradeError(f"{folder / name} cannot be read: {e}") from e
    run = Run(folder.resolve().name, *records)
    try:
        for part in columns([run]):
            [column.text(run) for column in part.values()]
    except (KeyError, TypeError) as e:
        raise FxtradeError(f"{folder}: its records are those of another version of fxtrade ({e!r})") from e
    return run


def collect(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """All runs among the folders, and why the others are left out; plain files are passed over.

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
            skipped.append(str(e))
    if not runs:
        reasons = "".join(f"\n  {reason}" for reason in skipped)
        raise FxtradeError(f"there is no finished run to compare; name folders such as results/*{reasons}")
    return runs, skipped


def columns(runs: Sequence[Run]) -> tuple[dict[str, Column], dict[str, Column]]:
    """What can be shown and sorted by, by key: the columns about forecasts, and those about trading and effort."""
    shared = set.intersection(*(set(summary.targets(run.outcome)) for run in runs))
    tops = sorted(shared - {1.0}, reverse=True)[-3:]
    forecasts = {
        "name": Column("run", lambda r: r.name, lambda r: r.name, False),
        "data": _fact("data", lambda r: r.outcome["data"]["source"]),
        "label": _fact("label", _label),
        "model": _fact("model", lambda r: r.outcome["run"]["model"]),
        "accuracy": _accuracy("right (%)", lambda r: summary.targets(r.outcome)[0]),
        **{f"top_{100 * t:g}": _accuracy(f"top {100 * t:g} %", lambda r, t=t: t) for t in tops},
        "log_loss": Column("log loss", _score, lambda r: fixed(_score(r), 4), False),
    }
    effort = {
        "sharpe": Column("Sharpe [95 %]", _money("sharpe"), _sharpe),
        "total_return": Column("return", _money("total_return"), lambda r: gain(_money("total_return")(r))),
        "max_drawdown": Column("drawdown", _money("max_drawdown"), lambda r: percent(_money("max_drawdown")(r))),
        "samples_per_second": Column("samples/s", _speed, lambda r: count(_speed(r))),
        "seconds": Column("time", lambda r: r.facts.get("seconds"), lambda r: duration(r.facts.get("seconds")), False),
        "seed": _fact("seed", lambda r: r.facts["seed"]),
        "code": _fact("code", lambda r: r.facts["code"]),
    }
    return forecasts, effort


def order(runs: Sequence[Run], key: str) -> list[Run]:
    """The best first; runs without the value last.

    Raises:
        ConfigError: nothing of that name can be sorted by.
    """
    known = {k: column for part in columns(runs) for k, column in part.items()}
    if key not in known:
        raise ConfigError(f"runs cannot be sorted by '{key}'{nearest(key, known)}")
    value, descending = known[key].value, known[key].descending
    have = [run for run in runs if value(run) is not None]
    return sorted(have, key=value, reverse=descending) + [run for run in runs if value(run) is None]


def show(console: Console, runs: Sequence[Run]) -> None:
    """Print the runs, and the config keys in which they differ; both tables number the runs alike."""
    titles = ("Forecasts on the test span", "Trading net of costs, and effort")
    for title, part in zip(titles, columns(runs), strict=True):
        table = _table(title, ["#", *(c.heading for c in part.values())])
        for number, run in enumerate(runs, 1):
            table.add_row(str(number), *(Text(c.text(run)) for c in part.values()))
        console.print(table)
    if len({(run.facts["data_fingerprint"], _label(run)) for run in runs}) > 1:
        console.print("The runs differ in data or label: their numbers say little about which model is better.")
    rows = differences(runs)
    if rows:
        table = _table("Config keys that differ", ["key", *(f"#{n}" for n in range(1, len(runs) + 1))])
        for key, values in rows.items():
            table.add_row(key, *(Text(v) for v in values))
        console.print(table)
    elif len(runs) > 1:
        console.print("All configs are the same.")


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Config keys that are not the same in all runs, with the value of each run; the name does not count."""
    flat = [dict(_flatten(run.config)) for run in runs]
    keys = dict.fromkeys(k for values in flat for k in values if k != "name")
    rows = {k: [_text(values.get(k)) for values in flat] for k in keys}
    return {k: values for k, values in rows.items() if len(set(values)) > 1}


def figure(runs: Sequence[Run]) -> Figure:
    """Accuracy by coverage of all runs and, of those that were traded, equity net of costs."""
    traded = any(run.outcome.get("trading") for run in runs)
    made = new_figure((6.6 if traded else 3.8) + 0.2 * len(runs))
    upper, *lower = made.subplots(2 if traded else 1, 1, squeeze=False)[:, 0]
    coverage_axes(upper, "Accuracy by coverage, thresholds fixed before, 95 % intervals")
    for place, run in enumerate(runs):
        style = {"color": COLORS[place % len(COLORS)], "linestyle": STYLES[place // len(COLORS) % len(STYLES)]}
        rows = run.outcome["accuracy"][run.outcome["run"]["model"]]
        accuracy_points(upper, rows, f"#{place + 1} {run.name}", marker="o", **style)
        if run.outcome.get("trading"):
            curve = run.outcome["trading"]["curve"]
            lower[0].plot(dates(curve), floats(curve["strategy"]), lw=1.3, **style)
    if traded:
        if len({run.facts["data_fingerprint"] for run in runs}) == 1:
            curve = next(run.outcome["trading"]["curve"] for run in runs if run.outcome.get("trading"))
            lower[0].plot(dates(curve), floats(curve["buy_and_hold"]), lw=1, color=GREY, zorder=1)
            upper.plot([], [], lw=1, color=GREY, label="buy and hold")
        equity_axes(lower[0], "Equity net of costs")
        lower[0].set_xlabel("date (UTC)", fontsize=9)
    return with_legend(made, upper)


def _fact(heading: str, value: Callable[[Run], Any]) -> Column:
    return Column(heading, value, lambda r: str(value(r)), False)


def _accuracy(heading: str, target: Callable[[Run], float]) -> Column:
    def row(r: Run) -> dict:
        return summary.at(r.outcome["accuracy"][r.outcome["run"]["model"]], target(r))

    def text(r: Run) -> str:
        values = row(r)
        if any(missing(values[k]) for k in ("accuracy", "low", "high")):
            return interval(values["accuracy"], None, None)
        return f"{100 * values['accuracy']:.1f} ± {50 * (values['high'] - values['low']):.1f}"

    return Column(heading, lambda r: row(r)["accuracy"], text)


def _label(run: Run) -> str:
    label = run.config["label"]
    return f"{label['name']} {label['horizon']} x {run.outcome['data']['interval']}, {label['classes']} classes"


def _score(run: Run) -> float | None:
    return run.outcome["scores"]["log_loss"]


def _speed(run: Run) -> float | None:
    return run.outcome["run"]["labels_per_second"]


def _money(key: str) -> Callable[[Run], float | None]:
    return lambda run: run.outcome["trading"]["strategy"][key] if run.outcome.get("trading") else None


def _sharpe(run: Run) -> str:
    return interval(*(_money(k)(run) for k in ("sharpe", "sharpe_low", "sharpe_high")), 1, 2)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _flatten(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _text(value: Any) -> str:
    return DASH if value is None else json.dumps(value)
