"""Fee schedules of exchanges: maker and taker rates by the value traded in the last 30 days.

`update` sums what an account trades, `trailing` is the volume that decides its tier, `rates` are those of the tier. All
are pure functions over arrays, so that many accounts are one `vmap`; amounts are float64 in `compat.float64()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import FeeSchedule, TrailingVolume
from fxtrade.core.types import Array, Number, PerAsset

DAYS = 30


def _schedule(*tiers: tuple[float, float, float]) -> FeeSchedule:
    return FeeSchedule(*np.array(tiers, np.float64).T)


# The tiers of regular users to VIP 9, by volume alone. Left out: the balance of BNB that each tier also asks for, the
# discounts for fees paid in BNB, pairs with rates of their own (such as those quoted in USDC), temporary offers, and
# programmes for market makers.
SCHEDULES: dict[str, FeeSchedule] = {
    # Spot and margin, https://www.binance.com/en/fee/trading as of 2026-07-26, from a public summary of the page.
    "binance_spot": _schedule(
        (0, 10, 10),
        (1e6, 9, 10),
        (5e6, 8, 10),
        (20e6, 4, 6),
        (75e6, 4, 5.2),
        (150e6, 2.5, 3.1),
        (400e6, 2, 2.9),
        (800e6, 1.9, 2.8),
        (2e9, 1.6, 2.5),
        (4e9, 1.1, 2.3),
    ),
    # USDT-margined futures, https://www.binance.com/en/fee/futureFee. VIP 1 to 3 by the announcement "Binance Updates
    # VIP Program Eligibility Thresholds" of 2026-03-18, in force since 2026-03-19; until then they were (15e6, 1.6, 4),
    # (50e6, 1.4, 3.5), (100e6, 1.2, 3.2).
    "binance_usdt_futures": _schedule(
        (0, 2, 5),
        (5e6, 1.8, 5),
        (10e6, 1.6, 4),
        (50e6, 1.2, 3.2),
        (600e6, 1, 3),
        (1e9, 0.8, 2.7),
        (2.5e9, 0.6, 2.5),
        (5e9, 0.4, 2.2),
        (12.5e9, 0.2, 2),
        (25e9, 0, 1.7),
    ),
}


def check_schedule(schedule: FeeSchedule, where: str = "fee schedule") -> None:
    """Raise ConfigError unless the schedule has one maker and one taker rate for every volume from 0 on.

    Args:
        where: the config key or name of the schedule, for the message.
    """
    volume, maker, taker = (np.asarray(leaf, np.float64) for leaf in schedule)
    if volume.ndim != 1 or not volume.size:
        raise ConfigError(f"{where}: volume is not a list of one or more numbers")
    sizes = f"{volume.size} volumes, {maker.size} maker_bps and {taker.size} taker_bps"
    for ok, problem in (
        (volume.shape == maker.shape == taker.shape, f"{sizes}; give one of each for every tier"),
        (all(np.isfinite(x).all() for x in (volume, maker, taker)), "a value is not a finite number"),
        ((volume >= 0).all(), f"volume {volume.min():g} is negative"),
        ((np.diff(volume) > 0).all(), f"volumes {volume.tolist()} do not increase; sort the tiers by volume"),
        (volume[0] == 0, f"there is no tier for volume 0, the first begins at {volume[0]:g}"),
    ):
        if not ok:
            raise ConfigError(f"{where}: {problem}")


def rates(schedule: FeeSchedule, trailing_volume: Number) -> tuple[PerAsset, PerAsset]:
    """Return the maker and the taker rate in basis points: those of the last tier whose lower bound is reached.

    Args:
        schedule: a checked one, or one of `per_asset`: then the rates are `[A]`.
        trailing_volume: value traded in the last 30 days, in the unit of `schedule.volume`.
    """
    volume, maker, taker = (jnp.asarray(leaf) for leaf in schedule)
    tier = jnp.greater_equal(trailing_volume, volume[1:]).sum(axis=0, dtype=jnp.int32)
    if volume.ndim == 1:
        return maker[tier], taker[tier]
    return jnp.take_along_axis(maker, tier[None], axis=0)[0], jnp.take_along_axis(taker, tier[None], axis=0)[0]


def per_asset(schedules: Sequence[FeeSchedule]) -> FeeSchedule:
    """Return one schedule for assets with a schedule each, such as a spot and a perpetual; the leaves are `[T, A]`.

    Schedules with fewer tiers than others are filled up with tiers that no volume reaches.
    """
    tiers = max(np.size(schedule.volume) for schedule in schedules)

    def filled(schedule):
        missing = tiers - np.size(schedule.volume)
        return FeeSchedule(
            np.append(schedule.volume, [np.inf] * missing),
            np.append(schedule.maker_bps, [schedule.maker_bps[-1]] * missing),
            np.append(schedule.taker_bps, [schedule.taker_bps[-1]] * missing),
        )

    columns = [filled(schedule) for schedule in schedules]
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *columns)


def init() -> TrailingVolume:
    """Return the state of an account that has not traded."""
    zero = jnp.zeros(())
    return TrailingVolume(jnp.zeros(DAYS), jnp.zeros((), jnp.int32), zero, zero)


def update(
    state: TrailingVolume, day_changed: Bool[ArrayLike, ""] | Int[ArrayLike, ""], traded_value: Number
) -> TrailingVolume:
    """Return the state after a bar and its fills, whose rates are those of the state before.

    A day counts in `trailing` from the end of the first bar of the next day on; the exchange, too, updates tiers hours
    after midnight.

    Args:
        day_changed: whether the bar is the first of another UTC day than the bar before; for bars longer than a day the
            number of days between the two.
        traded_value: value traded in the bar, not negative, in the unit of the schedule's volumes.
    """
    passed = jnp.asarray(day_changed).astype(jnp.int32)
    ended = jax.lax.cond(passed > 0, _end_days, lambda state, passed: state, state, passed)
    return ended._replace(today=ended.today + traded_value)


def trailing(state: TrailingVolume) -> Float[Array, ""]:
    """Return the value traded in the last 30 completed days."""
    return state.total


def _end_days(state: TrailingVolume, passed: Int[Array, ""]) -> TrailingVolume:
    """End the current day and `passed - 1` days without trades after it."""
    age = (jnp.arange(DAYS, dtype=jnp.int32) - state.oldest) % DAYS  # 0 for the oldest
    first = jnp.where(passed > DAYS, 0.0, state.today)
    days = jnp.where(age == 0, first, jnp.where(age < passed, 0.0, state.days))
    return TrailingVolume(days, (state.oldest + passed) % DAYS, days.sum(), jnp.zeros_like(state.today))
