"""Types that all feature modules share, and checks of what a feature needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Literal, overload

import numpy as np
from jaxtyping import Float, Int64

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Bars, Book

Columns = dict[str, Float[Array, "T A"]]  # by name; NaN where undefined
MINUTE, DAY = 60, 86_400  # seconds
DAILY_INTERVALS = tuple(s for s in range(MINUTE, DAY, MINUTE) if DAY % s == 0)  # seconds of bars with a `daily_clock`


@dataclasses.dataclass(frozen=True)
class Feature:
    """A registry entry: a causal function of bars and what it depends on.

    Attributes:
        function: `f(k: Kernels, bars: Bars, *, options) -> Columns`, options with defaults, dimensionless columns.
        cross_asset: the columns of an asset also depend on the bars of other assets.
        recursive: the memory is exponential, not only a window: the effect of a bad tick decays but never ends.
        slow_unit: the unit is `averages.slow_mean`, or the column itself as slow a mean, which limits a bad tick only
            after a halflife of some 500 rows.
        daily_clock: the bars must be regular, of one of the `DAILY_INTERVALS`: whole minutes that divide a day.
    """

    function: Callable[..., Columns]
    cross_asset: bool = False
    recursive: bool = False
    slow_unit: bool = False
    daily_clock: bool = False


SOURCES = {  # what data need for a column of Bars, in the words of files
    "book": "an order book",
    "trades": "the column trades",
    "taker_buy": "the column taker_buy_base",
}


@overload
def require_column(bars: Bars, column: Literal["book"], feature: str) -> Book: ...
@overload
def require_column(bars: Bars, column: Literal["trades", "taker_buy"], feature: str) -> Array: ...
def require_column(bars: Bars, column: str, feature: str) -> Array | Book:
    """Return a column that a feature is computed from, or raise ConfigError if the bars lack it."""
    values = getattr(bars, column)
    if values is None:
        raise ConfigError(
            f"feature '{feature}' needs {SOURCES[column]}, which these data do not have (docs/data.md); use others or "
            "leave the feature out"
        )
    return values


def require_two_assets(bars: Bars, feature: str) -> None:
    """Raise ConfigError if there is only one asset."""
    if bars.close.shape[1] < 2:
        raise ConfigError(f"feature '{feature}' needs at least two symbols; add symbols or leave the feature out")


def require_at_least_two(values: Iterable[int], where: str) -> None:
    """Raise ConfigError for the first value below 2."""
    for value in values:
        if value < 2:
            raise ConfigError(f"{where} must be at least 2, got {value}")


def daily_clock_problem(times: Int64[np.ndarray, " N"]) -> str:
    """Return in words what a feature with a `daily_clock` needs that bars at these times (ns) lack; else "".

    The text follows the name of the feature in a message.
    """
    gaps = np.unique(np.diff(times)) / 10**9
    if len(gaps) == 1 and gaps[0] in DAILY_INTERVALS:
        return ""
    if len(gaps) > 1:
        found = f"these are {gaps[0]:g} to {gaps[-1]:g} s apart"
    else:
        found = f"these are {gaps[0]:g} s long" if len(gaps) else "there is a single one"
    return f"needs regular bars of whole minutes that divide a day, and {found}"
