"""The season of volatility within the day: its usual course, by which the coming bars are known in advance."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fxtrade.core.rolling import EwState, ew_init, ew_update
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.averages import FLOOR
from fxtrade.features.feature import DAILY_INTERVALS, DAY, MINUTE, Columns
from fxtrade.features.ranges import true_range

SLOTS = DAY // MINUTE
LEAST_DAYS = 7  # that a slot must have seen
CLIP = 4.0  # standard deviations at which an innovation is clipped
WEEK = 7 * DAY
IRREGULAR = -1  # interval of rows that are not equally far apart


class Season(NamedTuple):
    """Moments of log volatility in each minute of the day and of all bars, and the clock."""

    slot: EwState  # [SLOTS, A]
    level: EwState  # [A]
    second: Array  # of the week, of the last row; -1 before the first
    interval: Array  # seconds between rows; 0 before the second row


def volatility_season(
    k: Kernels, bars: Bars, *, horizons: tuple[int, ...] = (1, 4, 16), halflife: float = 20.0
) -> Columns:
    """Usual log volatility at the times of day of the next h bars, less that of all bars.

    The log volatility of a bar is the log of its true range, at least 1e-7. For each asset and each time of day, its
    mean over the days up to row t is weighted exponentially with a `halflife` in days; so is the mean of all bars. A
    column is the difference of the two, averaged over the times of day of bars t+1 .. t+h (the intraday periodicity of
    Andersen & Bollerslev 1997).

    NaN where the bar or the one before it is missing, and until each of these times has had a value on 7 days. The bars
    must be regular, of whole minutes that divide a day: `features.check_clock` refuses others, whose columns are NaN.

    Exponential memory: an innovation is clipped to 4 standard deviations, after a halflife.
    """
    decay, ahead = 2.0 ** (-1 / halflife), 1 + jnp.arange(max(horizons))
    least = 1 - decay ** (LEAST_DAYS - 0.5)

    def step(s: Season, row: tuple[Array, Array]) -> tuple[Season, Array]:
        x, second = row
        gap = (second - s.second) % WEEK
        interval = jnp.where((s.interval == 0) | (s.interval == gap), gap, IRREGULAR)
        interval = jnp.where(s.second < 0, 0, interval)
        place = second % DAY // MINUTE
        slot, _ = ew_update(jax.tree.map(lambda a: a[place], s.slot), x, decay, CLIP)
        level, _ = ew_update(s.level, x, decay ** (interval.astype(jnp.float32) / DAY), CLIP)
        slots = jax.tree.map(lambda a, new: a.at[place].set(new), s.slot, slot)
        coming = jax.tree.map(lambda a: a[(second + interval * ahead) % DAY // MINUTE], slots)
        usual = jnp.where(coming.weight >= least, coming.mean - level.mean[None], jnp.nan)
        daily = jnp.isin(interval, jnp.array(DAILY_INTERVALS))
        total = jnp.cumsum(jnp.where(daily & is_valid(x)[None], usual, jnp.nan), 0)
        return Season(slots, level, second, interval), jnp.stack([total[h - 1] / h for h in horizons])

    x = jnp.log(jnp.maximum(true_range(k, bars), FLOOR))
    assets = x.shape[1:]
    clock = jnp.int32(-1), jnp.int32(0)
    means = k.scan(step, Season(ew_init((SLOTS, *assets)), ew_init(assets), *clock), (x, bars.second_of_week))
    return {f"volatility_season_{h}": means[:, i] for i, h in enumerate(horizons)}
