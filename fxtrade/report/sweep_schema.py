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
    """The best set on the days after the bars on which it was chosen, and buy and hold that begins there.

    Attributes:
        refined: the parameters of the gradient; None without them.
    """

    period: Period
    best: Performance
    hold: Performance
    refined: Performance | None = None


@dataclasses.dataclass(frozen=True)
class Refined:
    """Where gradient ascent ended.

    Attributes:
        parameters: of its best step; those that it did not move have the values of the best set.
        moved: parameters that it moved, with the distance from the best set in steps of the grid.
        flat: parameters without a gradient.
        path: `[steps + 1]` score, NaN for a step that was taken back.
        compared: on the days on which sets are compared.
        neighbours: mean score of the sets next to the best one, NaN without any.
    """

    parameters: dict[str, float]
    moved: dict[str, float]
    flat: tuple[str, ...]
    path: Float[np.ndarray, " steps_plus_1"]
    compared: Performance
    neighbours: float

    @property
    def skipped(self) -> int:
        """Number of steps that were taken back."""
        return int(np.isnan(self.path).sum())

    @property
    def is_near(self) -> bool:
        """Whether it ended at most one step of the grid away from the best set, on every axis."""
        return max(self.moved.values()) <= 1

    @property
    def is_as_good(self) -> bool:
        """Whether its score is not below the mean of the sets next to the best one."""
        return self.compared.score >= self.neighbours


@dataclasses.dataclass(frozen=True)
class SweepReport:
    """A finished sweep.

    Attributes:
        bars, period: on which the sets are compared.
        score: of each set.
        result: on the days on which sets are compared.
        null_best: the best score on each surrogate market.
        held_out: None: no bars were.
        refined: where gradient ascent ended, or why there was none; None if it was not asked for.
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
    refined: Refined | str | None = None

    @property
    def order(self) -> list[int]:
        """The sets from the best to the worst, those without a score left out."""
        ranked = np.argsort(-self.score, kind="stable")  # NaN is last
        return [int(p) for p in ranked if not np.isnan(self.score[p])]
