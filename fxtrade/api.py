"""The functions that `import fxtrade as fx` offers, from bars to features and forecasts.

They combine functions of the packages, whose documentation has the details.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxtrade import bundle, features
from fxtrade.bundle import Bundle
from fxtrade.core import stream
from fxtrade.core.config import Options, ScalerConfig
from fxtrade.core.files import expand_home
from fxtrade.core.types import Bars, Features, Forecast
from fxtrade.data import bars, book
from fxtrade.data.panel import Panel, bars_of
from fxtrade.models import build as build_model
from fxtrade.pipeline import dataset

__all__ = ["build_features", "build_model", "forecast", "load_run", "read_bars", "read_books", "simulate"]

read_bars = bars.read
read_books = book.read


def simulate(**options: Any) -> Panel:
    """Return a simulated market, such as `simulate(bars=5_000, assets=2, interval="1h")`; see `data.synth.SynthSpec`.

    Raises:
        ConfigError: an unknown option or an impossible value.
    """
    return dataset.simulated(options)


def build_features(panel: Panel | Bars, names: Mapping[str, Options], scaler: ScalerConfig | None = None) -> Features:
    """Return features of every bar, such as `build_features(panel, {"log_return": {"horizons": (1, 5)}})`.

    Args:
        names: options by name of a feature in `docs/features.md`; `{}` for the defaults.
        scaler: how columns are scaled, as `ScalerConfig()` is in a run; None: not at all.

    Returns:
        `x [N, A, F]` float32, `ok [N, A]`, and the `names` of the columns.

    Raises:
        ConfigError: an unknown feature or option, or one that the bars lack the columns for.
    """
    rows = bars_of(panel)
    made = stream.run(features.build(names, scaler), rows)
    return made.replace(names=features.names(names, rows))


def load_run(folder: str | Path) -> Bundle:
    """Return the bundle of a finished run: the config, weights and threshold that its target weights need.

    `bundle.forecast(run)` and `bundle.decide(run, history)` are its streams, for live use bar by bar.

    Raises:
        ConfigError: the folder contains no finished run, or the run cannot be used as a bundle (see `bundle.load`).
        CheckpointError: the checkpoint is damaged.
    """
    return bundle.load(expand_home(Path(folder)))


def forecast(run: Bundle, panel: Panel | Bars) -> Forecast:
    """Return the forecast of a loaded run for every bar; the symbols must be those of the run, in its order.

    Raises:
        DataError: the symbols differ.
    """
    if isinstance(panel, Panel):
        bundle.check_symbols(run, panel.symbols)
    return stream.run(bundle.forecast(run), bars_of(panel))
