"""The phase of the day and of the week, known in advance."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.config import nearest
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars

PERIODS = {"day": 86_400, "week": 7 * 86_400, "funding": 8 * 3600}  # seconds; perpetual futures settle every 8 h


def calendar(k: Kernels, bars: Bars, *, periods: tuple[str, ...] = ("day", "week")) -> dict[str, Array]:
    """sin and cos of the phase of the bar's open in each period, the same for all assets."""
    columns = {}
    for period in periods:
        if period not in PERIODS:
            raise ConfigError(f"feature 'calendar' has no period '{period}'{nearest(period, PERIODS)}")
        seconds = bars.second_of_week % PERIODS[period]
        angle = (2 * jnp.pi / PERIODS[period] * seconds)[:, None] + jnp.zeros_like(bars.close)
        angle = jnp.where(bars.ok, angle, jnp.nan)
        columns |= {f"{period}_sin": jnp.sin(angle), f"{period}_cos": jnp.cos(angle)}
    return columns
