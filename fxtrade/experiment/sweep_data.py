"""What a sweep trades: bars, a run's forecasts of them, and the rows that are held out from the choice of a set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from fxtrade.backtest.sweep import DAY
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.text import plural
from fxtrade.core.types import Forecast
from fxtrade.data.panel import Panel
from fxtrade.experiment import scored_run
from fxtrade.experiment.sweep_rules import Given
from fxtrade.market import fills
from fxtrade.pipeline import dataset
from fxtrade.pipeline.strategy import YEAR
from fxtrade.report.progress import Console
from fxtrade.risk import sizing
from fxtrade.validate import splits


class SweepData(NamedTuple):
    """The bars of a sweep.

    Attributes:
        first_held_out: sets are compared on the rows before it, and the best one is tested from it on.
        given: what the rules depend on.
        ended: `[N, A]`, the asset had its last bar in the row before.
        forecast: of a run; rows that it was fitted to are not ok. None: rules read bars alone.
        days: starts of the UTC days on which sets are compared, those with a forecast; None: all before the rows held
            out.
        weights: a hash of the run's; "" without a run.
    """

    panel: Panel
    first_held_out: int
    given: Given
    ended: Bool[np.ndarray, "N A"]
    forecast: Forecast | None = None
    days: Int[np.ndarray, " D"] | None = None
    weights: str = ""

    @property
    def compared(self) -> tuple[Panel, Forecast | None]:
        """The rows on which sets are compared."""
        rows = slice(0, self.first_held_out)
        return self.panel.rows(rows), jax.tree.map(lambda a: a[rows], self.forecast)


def load(config: SweepConfig, console: Console) -> SweepData:
    """Return the data of a config: bars, or those of a finished run from its first validation row on.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    if config.run is not None:
        return of_run(Path(config.run), config.data.path, console)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
    rows = len(panel.times)
    first = rows - round(config.held_out * rows)
    if config.held_out:  # whole days are held out
        first = int(np.searchsorted(panel.times, panel.times[min(first, rows - 1)] // DAY * DAY))
    if first < 2:
        raise DataError(
            f"config.held_out={config.held_out:g} holds out whole days, and leaves {plural(first, 'bar')} of {rows:,}; "
            "give less, or 0"
        )
    return SweepData(panel, first, Given(len(panel.symbols), bars_per_year=YEAR / panel.interval), _ended(panel))


def of_run(folder: Path, path: str | None, console: Console) -> SweepData:
    """Return the validation and test rows of a run; the threshold of confidence is chosen on the validation rows."""
    scored = scored_run.score(folder, console, path)
    split, forecast = scored.data.split, scored.forecast
    valid, tested = np.flatnonzero(split.valid), np.flatnonzero(splits.trading_rows(split))
    if valid[-1] > tested[0]:
        raise ConfigError(f"{folder}: validation rows come after test rows, so that no sets can be chosen before these")
    forecast = dataclasses.replace(forecast, ok=np.asarray(forecast.ok) & ~np.asarray(split.train)[:, None])
    confidence = np.asarray(sizing.confidence(forecast))[valid][forecast.ok[valid]]
    panel = scored.data.panel
    given = Given(len(panel.symbols), scored.config.label.horizon, confidence, YEAR / panel.interval)
    rows = slice(int(valid[0]), int(tested[-1]) + 1)
    panel = dataclasses.replace(scored.data.panel.rows(rows), edge=None)
    forecast, first = jax.tree.map(lambda a: np.asarray(a)[rows], forecast), int(tested[0] - valid[0])
    days = np.unique(panel.times[:first][forecast.ok[:first].any(1)] // DAY * DAY)
    return SweepData(panel, first, given, _ended(panel), forecast, days, scored.weights)


def _ended(panel: Panel) -> Bool[np.ndarray, "N A"]:
    return np.asarray(fills.has_ended(jnp.asarray(panel.bars.ok)))
