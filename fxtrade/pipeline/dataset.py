"""Load and prepare the data of a config: bars, features, labels and split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fxtrade import features, labels
from fxtrade.core import registry, stream
from fxtrade.core.config import DataConfig, RunConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Features, Labels, Split
from fxtrade.data import bars, book, synth, times
from fxtrade.data.panel import Panel
from fxtrade.data.resample import resample
from fxtrade.data.times import format_interval
from fxtrade.validate import splits

FILE_KEYS = ("path", "symbols", "start", "end", "align", "resample", "synth")  # synth is left from a preset
BAR_KEYS, BOOK_KEYS = (*FILE_KEYS, "stamp", "empty_bars", "date_format"), (*FILE_KEYS, "clock")


class Dataset(NamedTuple):
    """One data set, aligned over the N rows of its panel."""

    panel: Panel
    features: Features
    labels: Labels
    split: Split


def check(config: RunConfig) -> None:
    """Raise ConfigError if a feature, the scaler, the label, the split or one of their options is unknown."""
    features.build(config.features, config.scaler)
    labels.build(config.label)
    splits.build(config.split)


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
        panel = bars.read(c.path, c.symbols, c.start, c.end, c.align, c.stamp, c.empty_bars, c.date_format)
    return panel if c.resample is None else resample(panel, c.resample)


def _refuse_unused(config: DataConfig, used: tuple[str, ...], source: str) -> None:
    """Raise ConfigError for a key that was set although this source of bars does not use it."""
    for field in dataclasses.fields(config):
        value, default = getattr(config, field.name), getattr(DataConfig(), field.name)
        if field.name not in used and value != default:
            raise ConfigError(f"data.{field.name} = {value!r} has no effect on {source}")


def simulated(options: Mapping[str, Any]) -> Panel:
    """Return the simulated market with these options of `SynthSpec`; `interval` is written like "1h"."""
    registry.check_names(options, registry.option_types(synth.SynthSpec), "config.data.synth has no option")
    options = dict(options)
    if "interval" in options:
        options["interval"] = times.parse_interval(options["interval"])
    spec = synth.SynthSpec(**options)
    market = synth.simulate(spec)
    symbols = tuple(f"SIM{i}" for i in range(spec.assets))
    source = f"simulated market ({'planted edge' if spec.edge else 'random walk'})"
    return Panel(market.bars, market.times, symbols, spec.interval, source, market.edge, simulated=True)


def prepare(config: RunConfig, panel: Panel, on_progress: Callable[[int], None] = lambda n: None) -> Dataset:
    """Return features, labels and split of a panel; `on_progress(rows)` is called after each chunk.

    Raises:
        DataError, ConfigError: something in the config does not fit the data.
    """
    transform = features.build(config.features, config.scaler)
    columns = features.names(config.features, panel.bars)
    made = stream.run(transform, panel.bars, on_progress=on_progress)
    horizons = config.auxiliary.horizons or ()
    # two classes need no training rows, and the ends of labels do not depend on the number of classes
    two_class = labels.make(panel.bars, dataclasses.replace(config.label, classes=2), horizons=horizons)
    present = np.asarray((np.asarray(made.ok) & np.isfinite(two_class.ret)).any(1))
    if not present.any():
        raise DataError(
            f"no row of these {len(present)} bars has both a label and defined features; use more data, a shorter "
            f"scaler.halflife (here {config.scaler.halflife:g} bars), shorter windows or symbols with fewer gaps"
        )
    split = splits.build(config.split)(present, two_class.end.max(1))
    final = two_class if config.label.classes == 2 else labels.make(panel.bars, config.label, split.train, horizons)
    return Dataset(panel, dataclasses.replace(made, names=columns), final, split)


def span_of(data: Dataset, name: str) -> dict[str, Any]:
    """Return the first and last time (UTC, minutes) of a span, its bars, and its labels whose features are defined.

    Rows between the two need not all belong to it.
    """
    rows = np.flatnonzero(getattr(data.split, name))
    times = data.panel.times[rows[[0, -1]]].astype("datetime64[ns]").astype("datetime64[m]")
    usable = data.features.ok[rows] & (data.labels.y[rows] >= 0)
    return {"from": str(times[0]), "to": str(times[1]), "bars": len(rows), "labels": int(usable.sum())}


def describe(data: Dataset) -> str:
    """Return a few lines of text about the data."""
    panel = data.panel
    missing, columns = 100 * (1 - panel.bars.ok.mean()), len(data.features.names)
    lines = [
        f"{panel.source}: {len(panel.times):,} bars of {format_interval(panel.interval)} x {len(panel.symbols)} symbols"
        f" ({', '.join(panel.symbols)}), {missing:.2f} % missing; {columns} features"
    ]
    for name in ("train", "valid", "test"):
        s = span_of(data, name)
        lines.append(f"  {name:5s} {s['from']} .. {s['to']}  {s['labels']:,} labels")
    return "\n".join(lines)
