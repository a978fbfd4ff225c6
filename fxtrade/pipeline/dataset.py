"""Load and prepare the data of a config: bars, features, labels and split."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from fxtrade import features, labels
from fxtrade.core import registry, stream
from fxtrade.core.config import DataConfig, RunConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.text import between, plural
from fxtrade.core.types import Features, Labels, Split
from fxtrade.data import bars, book, perpetuals, synth, times
from fxtrade.data.files import find_files
from fxtrade.data.panel import Panel
from fxtrade.data.resample import resample
from fxtrade.data.times import format_interval
from fxtrade.labels.weights import known_at
from fxtrade.runs.record import Period, Spans
from fxtrade.validate import splits

SPANS = ("train", "valid", "test")
FILE_KEYS = ("path", "symbols", "start", "end", "align", "resample", "synth")  # synth is left from a preset
BAR_KEYS, BOOK_KEYS = (*FILE_KEYS, "exclude", "stamp", "empty_bars", "date_format", "perpetuals"), (*FILE_KEYS, "clock")


class Dataset(NamedTuple):
    """One data set, aligned over the N rows of its panel."""

    panel: Panel
    features: Features
    labels: Labels
    split: Split


def check(config: RunConfig) -> None:
    """Raise ConfigError if a feature, the scaler, the label, the split or one of their options is unknown.

    Raises:
        DataError: an interval of the data cannot be parsed.
    """
    features.build(config.features, config.scaler)
    labels.build(config.label)
    splits.build(config.split)
    for key in ("clock", "resample"):
        if (interval := getattr(config.data, key)) is not None:
            times.parse_interval(interval, f"data.{key}")


def load(config: DataConfig) -> Panel:
    """Return bars or order books from files, or bars of the simulated market if the config names no path.

    Raises:
        DataError, ConfigError: see `data.bars.read`, `data.book.read` and `data.synth.SynthSpec`.
    """
    c = config
    if c.path is None:
        _refuse_unused(c, ("synth", "resample"), "a simulated market; name files with data.path")
        panel = simulated(c.synth)
    elif book.is_book(c.path, c.symbols):
        _refuse_unused(c, BOOK_KEYS, "order books")
        panel = book.read(c.path, c.symbols, c.clock, c.start, c.end, c.align)
    else:
        _refuse_unused(c, BAR_KEYS, "bars")
        if c.exclude is not None:
            c = dataclasses.replace(c, symbols=_without(c.path, c.symbols, c.exclude), exclude=None)
        span = c.start, c.end, c.align, c.stamp, c.empty_bars, c.date_format
        panel = bars.read(c.path, c.symbols, *span, perpetuals=c.perpetuals)
    return panel if c.resample is None else resample(panel, c.resample)


def _without(path: str, symbols: tuple[str, ...] | None, exclude: tuple[str, ...]) -> tuple[str, ...]:
    """Return the symbols that fit no pattern. Raises ConfigError for a pattern that fits none, or if none is left."""
    found = tuple(find_files(Path(path), symbols))
    for pattern in exclude:
        if not fnmatch.filter(found, pattern):
            raise ConfigError(f"data.exclude: no symbol of {path} is {pattern!r}; leave it out")
    left = tuple(s for s in found if not any(fnmatch.fnmatchcase(s, pattern) for pattern in exclude))
    if not left:
        raise ConfigError(f"data.exclude = {exclude!r} leaves no symbol of {path}")
    return left


def _refuse_unused(config: DataConfig, used: tuple[str, ...], source: str) -> None:
    """Raise ConfigError for a key that was set although this source of bars does not use it."""
    for field in dataclasses.fields(config):
        value, default = getattr(config, field.name), getattr(DataConfig(), field.name)
        if field.name not in used and value != default:
            raise ConfigError(f"data.{field.name} = {value!r} has no effect on {source}")


def simulated(options: Mapping[str, Any]) -> Panel:
    """Return the simulated market with these options of `SynthSpec`; `interval` is written like "1h"."""
    options = dict(options)
    if "interval" in options:
        options["interval"] = times.parse_interval(options["interval"], "data.synth.interval")
    spec = registry.from_mapping(synth.SynthSpec, options, "config.data.synth")
    market = synth.simulate(spec)
    symbols = tuple(f"SIM{i}" for i in range(spec.assets))
    source = f"simulated market ({'planted edge' if spec.edge else 'random walk'})"
    panel = Panel(
        market.bars,
        market.times,
        symbols,
        spec.interval,
        source,
        market.edge,
        simulated=True,
        planted_edge=spec.edge != 0,
    )
    return perpetuals.add_simulated(panel, spec.seed) if spec.perpetuals else panel


def prepare(config: RunConfig, panel: Panel, on_progress: Callable[[int], None] = lambda n: None) -> Dataset:
    """Return features, labels and split of a panel; `on_progress(rows)` is called after each chunk.

    Raises:
        DataError, ConfigError: something in the config does not fit the data.
    """
    _check_horizons(config, len(panel.times))
    transform = features.build(config.features, config.scaler)
    features.check_clock(config.features, panel.times)
    columns = features.names(config.features, panel.bars)
    made = stream.run(transform, panel.bars, on_progress=on_progress)
    horizons = config.auxiliary.horizons or ()
    # two classes need no training rows, and the ends of labels do not depend on the number of classes
    two_class = labels.make(panel.bars, dataclasses.replace(config.label, classes=2), horizons=horizons)
    present = np.asarray((np.asarray(made.ok) & np.isfinite(two_class.ret)).any(1))
    if not np.isfinite(two_class.ret).any():
        raise DataError(
            f"label.horizon = {config.label.horizon}: no row of these {plural(len(present), 'bar')} has a label, which "
            "needs the bars of its horizon; use more data, a shorter label.horizon or symbols with fewer gaps"
        )
    if not present.any():
        raise DataError(
            f"no row of these {plural(len(present), 'bar')} has both a label and defined features; use more data, "
            f"a shorter scaler.halflife (here {config.scaler.halflife:g} bars), shorter windows or symbols with fewer "
            "gaps"
        )
    split = splits.build(config.split)(present, known_at(two_class.end))
    final = two_class if config.label.classes == 2 else labels.make(panel.bars, config.label, split.train, horizons)
    return Dataset(panel, dataclasses.replace(made, names=columns), final, split)


def _check_horizons(config: RunConfig, bars: int) -> None:
    """Raise DataError for a label that looks beyond the data in every row."""
    horizons = {"label.horizon": config.label.horizon, "auxiliary.horizons": max(config.auxiliary.horizons or (0,))}
    for key, horizon in horizons.items():
        if horizon >= bars:
            raise DataError(
                f"{key}: a label of {plural(horizon, 'bar')} does not fit into {plural(bars, 'bar')} of data; give a "
                "shorter horizon or more data"
            )


def span_of(data: Dataset, name: str) -> dict[str, Any]:
    """Return the first and last time (UTC, minutes) of a span, its bars, its labels whose features are defined, blocks.

    Rows between the two need not all belong to it: the rows of other spans cut it into `blocks`.
    """
    rows = np.flatnonzero(getattr(data.split, name))
    times = data.panel.times[rows[[0, -1]]].astype("datetime64[ns]").astype("datetime64[m]")
    usable = data.features.ok[rows] & (data.labels.y[rows] >= 0)
    sizes = {"bars": len(rows), "labels": int(usable.sum()), "blocks": len(stretches(data, name))}
    return {"from": str(times[0]), "to": str(times[1]), **sizes}


def spans(data: Dataset) -> Spans:
    """Return the times of the spans and of what their labels depend on."""
    known, times, made = known_at(data.labels.end), data.panel.times, {}
    for name in SPANS:
        rows = [np.flatnonzero(stretch & getattr(data.split, name)) for stretch in stretches(data, name)]
        made[name] = tuple(Period(int(times[r[0]]), int(times[known[r].max()])) for r in rows)
    return Spans(**made)


def stretches(data: Dataset, name: str) -> list[Bool[np.ndarray, " N"]]:
    """Return the rows of each stretch of a span, from a row of it on until a row of another span follows."""
    masks = {span: np.asarray(getattr(data.split, span)) for span in SPANS}
    inside = splits.until_next(masks.pop(name), np.logical_or(*masks.values()))
    number = np.cumsum(inside & ~np.append(False, inside[:-1]))
    return [inside & (number == i + 1) for i in range(number[-1])]


def thin_validation(data: Dataset, length: int, most: int) -> Bool[np.ndarray, " N"]:
    """Return evenly spread stretches of `length` validation rows, at least one.

    They have at most `most` bars of single symbols in total.
    """
    valid = np.asarray(data.split.valid)
    usable = (np.asarray(data.features.ok) & (data.labels.y >= 0)).any(1) & valid
    stretch = (np.arange(len(valid)) - usable.argmax()) // length
    used = np.unique(stretch[usable])
    count = min(max(most // (length * data.labels.y.shape[1]), 1), len(used))
    chosen = used[np.arange(count) * len(used) // count]
    return valid & np.isin(stretch, chosen)


def describe(data: Dataset) -> str:
    """Return a few lines of text about the data."""
    panel = data.panel
    missing, columns = 100 * (1 - panel.bars.ok.mean()), len(data.features.names)
    lines = [
        f"{panel.source}: {plural(len(panel.times), 'bar')} of {format_interval(panel.interval)} x "
        f"{plural(len(panel.symbols), 'symbol')} ({', '.join(panel.symbols)}), {missing:.2f} % missing; "
        f"{plural(columns, 'feature')}"
    ]
    for name in SPANS:
        s = span_of(data, name)
        lines.append(f"  {name:5s} {s['from']} .. {s['to']}{between(s['blocks'])}  {plural(s['labels'], 'label')}")
    return "\n".join(lines)
