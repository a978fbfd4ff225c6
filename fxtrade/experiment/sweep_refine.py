"""The gradient of a sweep: ascent of its real parameters on the rows on which the sets are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fxtrade.backtest.ascent import Range, ascend
from fxtrade.backtest.gradient import objective
from fxtrade.backtest.grid import Plateau
from fxtrade.core.errors import ConfigError
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.experiment.sweep_job import Job, run_sets, terms_of
from fxtrade.experiment.sweep_rules import real_parameters
from fxtrade.experiment.sweep_score import of_days, performance
from fxtrade.report.sweep_schema import Refined


def check(config: SweepConfig) -> None:
    """Raise ConfigError if gradient ascent is asked for, and no parameter of the grid can be moved."""
    if config.refine.steps and not real_parameters(config):
        raise ConfigError(
            "config.refine.steps: the grid has no parameter with several values that is a real number, as windows are "
            "not; give one, such as that of a rule that sizes, or steps=0"
        )


def refine(job: Job, plateau: Plateau, on_step: Callable[[int], None] = lambda steps: None) -> Refined | str:
    """Climb the score from the middle of the grid; windows, and parameters without a gradient, are the best set's.

    Returns:
        Where the ascent ended, or why there was none.
    """
    (panel, forecast), config = job.data.compared, job.config
    evaluate = objective(
        panel, job.factory, *terms_of(job, panel)[:4], forecast, score=config.score, days=job.data.days
    )
    best = job.grid.one(plateau.best)
    ranges = {axis: Range(job.grid.axes[axis][0], job.grid.axes[axis][-1]) for axis in real_parameters(config)}
    middle = {axis: span.at(0.5) for axis, span in ranges.items()}
    slope = evaluate(best | middle)[1]
    flat = tuple(axis for axis in ranges if slope[axis] == 0)
    ranges = {axis: span for axis, span in ranges.items() if axis not in flat}
    if not ranges:
        return (
            f"the score does not change with {' and '.join(flat)} in the middle of the grid: they only decide, as a "
            "threshold does, or are limits that are not reached"
        )
    try:
        steps, rate = config.refine.steps, config.refine.learning_rate
        ascent = ascend(lambda moved: evaluate(best | moved), ranges, None, steps, rate, on_step)
    except ConfigError as e:  # the sets are run by now, and are reported without it
        return str(e)
    parameters = best | ascent.found
    made = of_days(run_sets(job, panel, [parameters], forecast), job.data.days)
    return Refined(
        parameters=parameters,
        moved={axis: _distance(job.grid.axes[axis], best[axis], value) for axis, value in ascent.found.items()},
        flat=flat,
        path=ascent.score,
        compared=performance(config.score, made.equity[0]),
        neighbours=plateau.mean,
    )


def _distance(axis: tuple[float, ...], one: float, other: float) -> float:
    """Return the distance of two values in steps of their axis."""
    first, second = np.interp([one, other], axis, np.arange(len(axis)))
    return float(abs(second - first))
