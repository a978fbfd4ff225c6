"""Returns of calendar periods in UTC."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics.series import Series, Times, as_equity, growth

HOUR = 3600 * 10**9
DAY = 24 * HOUR
FIRST_MONDAY = 4 * DAY  # 1970-01-05: the epoch itself is a Thursday


def by_period(
    times_ns: Times, equity: Series, period: str
) -> tuple[Int[np.ndarray, " periods"], Float[np.ndarray, "*batch periods"]]:
    """Return starts (int64 ns) and returns of the calendar periods in UTC.

    Args:
        times_ns: opens of the bars, increasing: a bar belongs to the period in which it opens.
        equity: `[..., N]`; the first, maybe partial, period starts from 1.
        period: "day", "week" (ISO, starting on Monday) or "month". A period without a bar is left out.

    Raises:
        ConfigError: another period. DataError: times and equity differ in length or times do not increase.
    """
    times, equity = np.asarray(times_ns, np.int64), as_equity(equity)
    if times.shape != equity.shape[-1:] or (np.diff(times) <= 0).any():
        raise DataError(f"by_period: times {times.shape} must increase and have the shape of equity {equity.shape}")
    if period == "day":
        starts = times // DAY * DAY
    elif period == "week":
        starts = (times - FIRST_MONDAY) // (7 * DAY) * (7 * DAY) + FIRST_MONDAY
    elif period == "month":
        starts = times.astype("M8[ns]").astype("M8[M]").astype("M8[ns]").astype(np.int64)
    else:
        raise ConfigError(f"by_period: unknown period {period!r}; choose 'day', 'week' or 'month'")
    last = np.flatnonzero(np.append(np.diff(starts) != 0, True))[: starts.size]
    return starts[last], growth(equity[..., last])  # a period may end far from 1
