"""The functions that `import fxtrade as fx` offers, from bars to features, forecasts and tear sheets.

They combine functions of the packages, whose documentation has the details.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float

from fxtrade import bundle, features
from fxtrade.backtest.trades import trades
from fxtrade.bundle import Bundle
from fxtrade.core import stream
from fxtrade.core.config import ScalerConfig
from fxtrade.core.config_base import Options
from fxtrade.core.errors import DataError
from fxtrade.core.files import expand_home
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars, Features, Forecast
from fxtrade.data import bars, book, funding
from fxtrade.data.panel import Panel, bars_of
from fxtrade.evaluate import tearsheet
from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.models import build as build_model
from fxtrade.pipeline import dataset
from fxtrade.report.trading_notes import describe_ended, describe_events

__all__ = [
    "build_features", "build_model", "forecast", "load_run", "read_bars", "read_books", "read_funding", "simulate",
    "tear_sheet",
]  # fmt: skip

read_bars = bars.read
read_books = book.read
read_funding = funding.read


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


def tear_sheet(
    panel: Panel,
    result: Result,
    folder: str | Path | None = None,
    capital: float = 1.0,
    benchmark: Float[Array, " N"] | None = None,
    title: str = "Backtest",
    rules: Sequence[str] = (),
) -> TearSheet:
    """Return the tear sheet of a backtest, and write it: the page `tearsheet.html`, Markdown with pictures, the trades.

    Args:
        panel: the bars that were traded.
        result: of `backtest(panel, ..., record=True)`.
        folder: gets the files; None writes none.
        capital: as it was given to the backtest.
        benchmark: equity of another account over the same bars, such as buy and hold.
        rules: names of the rules of a backtest of `risk.rule.traced`; then it shows when each bound.

    Raises:
        DataError: the result or the benchmark is not of these bars, or the result has no executions.
        FxtradeError: the folder cannot be written.
    """
    if result.executions is None:
        raise DataError("tear sheet: the result has no executions; make it with backtest(..., record=True)")
    made = trades(result.executions, panel.bars)
    warnings = [text for text in (describe_ended(panel, made), *describe_events(result.counts)) if text]
    sheet = tearsheet.tear_sheet(panel, result, made, capital, benchmark, title, warnings, rules=rules)
    if folder is not None:
        from fxtrade.report import tearsheet as report  # plotting takes a second to import

        report.write(expand_home(Path(folder)), sheet)
    return sheet
