"""From a config to everything that training and evaluation read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fxtrade import features, labels
from fxtrade.core import stream
from fxtrade.core.config import DataConfig, RunConfig
from fxtrade.core.errors import DataError
from fxtrade.core.options import check_options
from fxtrade.core.types import Features, Labels, Split
from fxtrade.data import bars, book, synth
from fxtrade.data.bars import Panel, format_interval
from fxtrade.data.resample import resample
from fxtrade.validate import splits


class Dataset(NamedTuple):
    """One data set, aligned over the N rows of its panel."""

    panel: Panel
    features: Features
    labels: Labels
    split: Split


def load(config: DataConfig) -> Panel:
    """Bars or order books from files, or bars of the simulated market if the config names no path.

    Raises:
        DataError, ConfigError: see `data.bars.read`, `data.book.read` and `data.synth.SynthSpec`.
    """
    c = config
    if not c.path:
        panel = simulated(c.synth)
    elif book.is_book(c.path, c.symbols):
        panel = book.read(c.path, c.symbols, c.clock, c.start, c.end, c.align)
    else:
        panel = bars.read(c.path, c.symbols, c.start, c.end, c.align)
    return resample(panel, config.resample) if config.resample else panel


def simulated(options) -> Panel:
    """The simulated market with these options of `SynthSpec`; `interval` is written like "1h"."""
    check_options([f.name for f in dataclasses.fields(synth.SynthSpec)], options, "data.synth")
    options = dict(options)
    if "interval" in options:
        options["interval"] = bars.parse_interval(options["interval"])
    spec = synth.SynthSpec(**options)
    market = synth.simulate(spec)
    symbols = tuple(f"SIM{i}" for i in range(spec.assets))
    kind = "planted edge" if spec.edge else "random walk"
    return Panel(market.bars, market.times, symbols, spec.interval, f"simulated market ({kind})", market.edge)


def prepare(config: RunConfig, panel: Panel, tick: Callable[[int], None] = lambda n: None) -> Dataset:
    """Features, labels and spans of a panel; `tick(rows)` reports progress.

    Raises:
        DataError, ConfigError: something in the config does not fit the data.
    """
    transform = features.build(config.features, config.scaler)
    columns = features.names(config.features, panel.bars)
    made = stream.run(transform, panel.bars, tick=tick)
    horizons = config.auxiliary.horizons
    looks = labels.make(panel.bars, dataclasses.replace(config.label, classes=2), horizons=horizons)
    present = (np.asarray(made.ok) & np.isfinite(looks.ret)).any(1)
    if not present.any():
        raise DataError(
            f"no row of these {len(present)} bars has both a label and defined features; use more data, a shorter "
            f"scaler.halflife (here {config.scaler.halflife:g} bars), shorter windows or symbols with fewer gaps"
        )
    split = splits.by_time(
        present, looks.end, config.split.valid_fraction, config.split.test_fraction, config.split.embargo
    )
    final = looks if config.label.classes == 2 else labels.make(panel.bars, config.label, split.train, horizons)
    return Dataset(panel, made.replace(names=columns), final, split)


def span_of(data: Dataset, name: str) -> dict[str, Any]:
    """From when to when (UTC, minutes) the span goes, its bars, and its labels whose features are defined."""
    rows = np.flatnonzero(getattr(data.split, name))
    times = data.panel.times[rows[[0, -1]]].astype("datetime64[ns]").astype("datetime64[m]")
    usable = data.features.ok[rows] & (data.labels.y[rows] >= 0)
    return {"from": str(times[0]), "to": str(times[1]), "bars": len(rows), "labels": int(usable.sum())}


def describe(data: Dataset) -> str:
    """A few lines for people about what was read."""
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
