"""A finished sweep as a typed value, which the report and the plots show."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from fxtrade.backtest.grid import Grid, Plateau
from fxtrade.backtest.sweep import Sweep
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.runs.provenance import Environment
from fxtrade.runs.record import Period

NAMES = {
    "sharpe": "Sharpe ratio (annual)",
    "sortino": "Sortino ratio (annual)",
    "calmar": "Calmar ratio",
    "total_return": "total return",
}


@dataclasses.dataclass(frozen=True)
class Performance:
    """An account over some days, net of costs.

    Attributes:
        low, high: of the 95 % interval of the score where that is the Sharpe ratio, else NaN.
        max_drawdown: of the equity at the end of each day.
    """

    score: float
    low: float
    high: float
    total_return: float
    max_drawdown: float
    daily_sharpe: float


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The best set on the days after the bars on which it was chosen, and buy and hold that begins there."""

    period: Period
    best: Performance
    hold: Performance


@dataclasses.dataclass(frozen=True)
class SweepReport:
    """A finished sweep.

    Attributes:
        bars, period: on which the sets are compared.
        score: of each set.
        result: on the days on which sets are compared.
        null_best: the best score on each surrogate market.
        held_out: None: no bars were.
    """

    name: str
    seconds: float
    config: SweepConfig
    source: str
    symbols: tuple[str, ...]
    bars: int
    period: Period
    grid: Grid
    score: Float[np.ndarray, " P"]
    result: Sweep
    plateau: Plateau
    best: Performance
    hold: Performance
    null_best: tuple[float, ...]
    held_out: HeldOut | None
    environment: Environment

    @property
    def order(self) -> list[int]:
        """The sets from the best to the worst, those without a score left out."""
        ranked = np.argsort(-self.score, kind="stable")  # NaN is last
        return [int(p) for p in ranked if not np.isnan(self.score[p])]
