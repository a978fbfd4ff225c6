"""The job of a sweep: its config, sets and data, and the performance of single sets on its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fxtrade.backtest import grid as grids
from fxtrade.backtest.grid import Grid
from fxtrade.backtest.sweep import MakeRule, Sweep, sweep
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Forecast
from fxtrade.data.panel import Panel
from fxtrade.experiment.sweep_data import SweepData
from fxtrade.experiment.sweep_score import of_days, performance
from fxtrade.pipeline import build
from fxtrade.report.sweep_schema import HeldOut, Performance
from fxtrade.risk.toward import buy_and_hold
from fxtrade.runs.record import Period


class Job(NamedTuple):
    """A config, its sets, the function that makes the rule of one, and the data."""

    config: SweepConfig
    grid: Grid
    factory: Callable[..., Rule]
    data: SweepData


def terms_of(job: Job, panel: Panel) -> build.Terms:
    """Return the terms of trade of a stretch of the data."""
    terms = build.build_terms(job.config.trade, panel)
    first = int(np.searchsorted(job.data.panel.times, panel.times[0]))
    ended = job.data.ended[first : first + len(panel.times)]
    return terms._replace(conditions=terms.conditions._replace(ended=ended))


def run_sets(job: Job, panel: Panel, sets: Sequence[Mapping[str, float]], forecast: Forecast | None = None) -> Sweep:
    """Return the sweep of a few sets, which need not lie on the grid."""
    columns = {axis: np.array([values[axis] for values in sets]) for axis in job.grid.axes}

    def make(number):
        return job.factory(**{axis: jnp.asarray(values)[number] for axis, values in columns.items()})

    return _run(job, panel, make, len(sets), forecast)


def hold(job: Job, panel: Panel) -> Performance:
    """Return the performance of buying all assets in equal parts and holding them, on the terms of the sweep."""
    held = of_days(_run(job, panel, lambda number: buy_and_hold()), job.data.days)
    return performance(job.config.score, held.equity[0])


def test(job: Job, best: Mapping[str, float], refined: Mapping[str, float] | None = None) -> HeldOut | None:
    """Return how sets go on over the days held out, and buy and hold that begins there; None without such days."""
    panel, data, kind = job.data.panel, job.data, job.config.score
    if data.first_held_out == len(panel.times):
        return None
    chosen = run_sets(job, panel, [best] if refined is None else [best, refined], data.forecast)
    first = int(np.searchsorted(chosen.days, panel.times[data.first_held_out]))
    if not 0 < first < len(chosen.days):
        return None
    made = [performance(kind, equity) for equity in chosen.equity[:, first:] / chosen.equity[:, first - 1 : first]]
    rest = panel.rows(slice(int(np.searchsorted(panel.times, chosen.days[first])), None))
    held = _run(job, rest, lambda number: buy_and_hold()).equity[0]
    period = Period(int(rest.times[0]), int(rest.times[-1]))
    return HeldOut(period, made[0], performance(kind, held), None if refined is None else made[1])


def _run(job: Job, panel: Panel, make_rule: MakeRule, count: int = 1, forecast: Forecast | None = None) -> Sweep:
    """Return the sweep of rules by number: the program of a sweep keeps no arrays over bars, so it needs none here."""
    numbers = grids.make({"number": range(count)})
    return sweep(panel, make_rule, numbers, *terms_of(job, panel)[:4], forecast)
