"""The phase of the day and of the week, known in advance."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars

# seconds; perpetual futures settle every 8 h
PERIODS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "funding": 8 * 3600}


def calendar(
    k: Kernels, bars: Bars, *, periods: tuple[str, ...] = ("day", "week"), harmonics: int = 1
) -> dict[str, Array]:
    """sin and cos of the phase of the bar's open in each period, the same for all assets.

    With `harmonics` H also of 2, 3, .. H times the phase (`day_sin_2`, ...): a Fourier series of the pattern of a day.
    """
    columns = {}
    for period in periods:
        if period not in PERIODS:
            raise ConfigError(f"feature 'calendar' has no period '{period}'{nearest(period, PERIODS)}")
        for harmonic in range(1, harmonics + 1):
            # whole seconds, so that the phase is exact whatever the harmonic
            seconds = harmonic * bars.second_of_week % PERIODS[period]
            angle = (2 * jnp.pi / PERIODS[period] * seconds)[:, None]
            suffix = f"_{harmonic}" if harmonic > 1 else ""
            for name, wave in (("sin", jnp.sin(angle)), ("cos", jnp.cos(angle))):
                columns[f"{period}_{name}{suffix}"] = jnp.where(bars.ok, wave, jnp.nan)
    return columns
