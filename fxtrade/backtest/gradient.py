"""The gradient of a backtest: how the score of an account changes with the parameters of its rule.

Scores are those of daily returns net of costs. The derivative is carried forward through the loop over the bars
(forward mode), so that memory does not grow with their number, and the time is that of one more account for each
parameter. It is the derivative along the path: what a comparison decides, such as whether a stop is reached, counts as
fixed. A parameter that only decides, such as a threshold, has the derivative 0, and one that does both has a derivative
without the part that the decisions have in the score.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from fxtrade.backtest import engine
from fxtrade.backtest.sweep import MakeRule, check, run_days, split_days
from fxtrade.core import compat, registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import POLICY, Conditions, ExecutionPolicy, Market
from fxtrade.core.types import Array, Forecast
from fxtrade.data.panel import Panel

YEAR = 365  # days

Parameters = dict[str, float]
Evaluate = Callable[[Parameters], tuple[float, dict[str, float]]]  # the score, and its derivative by each parameter


def sharpe(r: Float[Array, " D"]) -> Float[Array, ""]:
    """Return the annual Sharpe ratio as `metrics.returns.sharpe`."""
    mean = jnp.mean(r)
    spread, rounding = jnp.std(r, ddof=1), 16 * jnp.finfo(r.dtype).eps * (1 + jnp.abs(mean))
    return jnp.where(spread > rounding, YEAR**0.5 * mean / spread, jnp.nan)


def sortino(r: Float[Array, " D"]) -> Float[Array, ""]:
    """Return the annual Sortino ratio as `metrics.returns.sortino`."""
    loss = jnp.sqrt(jnp.mean(jnp.minimum(r, 0) ** 2))
    return jnp.where(loss > 0, YEAR**0.5 * jnp.mean(r) / loss, jnp.nan)


def calmar(r: Float[Array, " D"]) -> Float[Array, ""]:
    """Return the annual growth over the depth of the maximum drawdown, as `metrics.drawdown.calmar`."""
    kept = jnp.maximum(r, -1)

    def fall(carry, one):
        equity, peak, depth = carry
        equity = equity * (1 + one)
        peak = jnp.maximum(peak, equity)
        return (equity, peak, jnp.maximum(depth, 1 - equity / peak)), None

    start = jnp.ones((), r.dtype), jnp.ones((), r.dtype), jnp.zeros((), r.dtype)
    (_, _, depth), _ = lax.scan(fall, start, kept)  # the derivative of `cummax` takes longer to compile than all else
    return jnp.where(depth > 0, jnp.expm1(YEAR * jnp.mean(jnp.log1p(kept))) / depth, jnp.nan)


def total_return(r: Float[Array, " D"]) -> Float[Array, ""]:
    """Return the growth over all days."""
    return jnp.prod(1 + r) - 1


SCORES = {"sharpe": sharpe, "sortino": sortino, "calmar": calmar, "total_return": total_return}


def objective(
    panel: Panel,
    make_rule: MakeRule,
    market: Market,
    policy: ExecutionPolicy = POLICY,
    conditions: Conditions = engine.NO_CONDITIONS,
    capital: float = 1.0,
    forecast: Forecast | None = None,
    score: str = "sharpe",
    days: Int[np.ndarray, " days"] | None = None,
) -> Evaluate:
    """Return the function from parameters to the score of their account and its gradient, compiled, in float64.

    Args:
        make_rule: takes parameters by name, which are traced numbers, and returns the rule.
        capital: as in `engine.run_rule`.
        forecast: rows for rules that read one.
        score: a key of `SCORES`; NaN after ruin, and where it is not defined.
        days: starts of the UTC days that count; None: all. What is earned on the others is left out.

    Raises:
        ConfigError, DataError: as `backtest.sweep.sweep`; there is no such score.
    """
    registry.check_names([score], SCORES, "objective: there is no score")
    check(panel, market, policy, conditions, capital, forecast)
    every, blocks = split_days(panel.times, panel.interval)
    counted = np.flatnonzero(np.ones(len(every), bool) if days is None else np.isin(every, days))
    if not len(counted):
        raise ConfigError("objective: none of the days is one of the bars")
    latency = int(np.asarray(market.latency))

    def score_of(parameters, bars, forecast, conditions, market):
        rule = make_rule(**parameters)
        blocked, _ = run_days(bars, rule, market, policy, conditions, capital, forecast, blocks, latency)
        equity = jnp.concatenate(blocked) / capital
        before = jnp.concatenate([jnp.ones(1), equity[:-1]])
        returns = jnp.where(before > 0, equity / jnp.where(before > 0, before, 1), jnp.nan) - 1
        value = SCORES[score](returns[counted])
        return value, value

    program = jax.jit(jax.jacfwd(score_of, has_aux=True))

    def evaluate(parameters: Parameters) -> tuple[float, dict[str, float]]:
        with compat.float64() as real:
            given = {name: real(value) for name, value in parameters.items()}
            rows = jax.tree.map(jnp.asarray, (panel.bars, forecast, conditions))
            slope, value = jax.device_get(program(given, *rows, market))
        return float(value), {name: float(one) for name, one in slope.items()}

    return evaluate
