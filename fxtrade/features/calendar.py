"""The phase of the day and of the week, known in advance."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Bars
from fxtrade.features.feature import Columns

Period = Literal["hour", "day", "week", "funding"]
# seconds; perpetual futures settle every 8 h
SECONDS: dict[Period, int] = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "funding": 8 * 3600}


def calendar(k: Kernels, bars: Bars, *, periods: tuple[Period, ...] = ("day", "week"), harmonics: int = 1) -> Columns:
    """sin and cos of the phase of the bar's open in each period, the same for all assets.

    With `harmonics` H also of 2, 3, .. H times the phase (`day_sin_2`, ...): a Fourier series of the pattern of a day.
    """
    columns = {}
    for period in periods:
        for harmonic in range(1, harmonics + 1):
            # whole seconds, so that the phase is exact whatever the harmonic
            seconds = harmonic * bars.second_of_week % SECONDS[period]
            angle = (2 * jnp.pi / SECONDS[period] * seconds.astype(jnp.float32))[:, None]
            suffix = f"_{harmonic}" if harmonic > 1 else ""
            for name, wave in (("sin", jnp.sin(angle)), ("cos", jnp.cos(angle))):
                columns[f"{period}_{name}{suffix}"] = jnp.where(bars.ok, wave, jnp.nan)
    return columns
