"""Kelly bets with a bound on the risk of drawdown (Busseti, Ryu & Boyd 2016, arXiv:1603.06183).

Wealth is multiplied by `r'b` in every round, r drawn from K outcomes. The bets

    maximise  E log(r'b)   subject to   E (r'b)^-lambda <= 1,   sum b = 1,   b >= 0,   lambda = log beta / log alpha

keep `P(minimal wealth < alpha) < beta`, whatever the number of rounds: `(r'b)^-lambda` is a supermartingale. The
constraint `log E (r'b)^-lambda <= 0` is convex. A primal-dual interior point method solves the problem; it is pure, for
`jit` and `vmap` over problems of one size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.scipy.special import logsumexp
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real

MAX_ITERATIONS = 80
STEPS = 0.5 ** np.arange(16)  # lengths of a step that are tried, relative to the longest


class Bets(NamedTuple):
    """The solution.

    Attributes:
        weight: shares of wealth, the sum is 1.
        growth: expected log of the factor by which wealth grows in a round.
        multiplier: of the bound of the risk; 0 where it does not bind, so that the bets are those of Kelly.
        residual: largest violation of the conditions of the optimum (KKT), 0 for bets that stay in cash.
        ok: the residual is small in the precision of the computation; otherwise the bets stay in cash.
    """

    weight: Float[Array, " A"]
    growth: Float[Array, ""]
    multiplier: Float[Array, ""]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]
    ok: Bool[Array, ""]


class _Point(NamedTuple):
    """Bets, their multipliers, the multiplier and the slack of the risk, and the multiplier of the sum."""

    bet: Float[Array, " A"]
    dual: Float[Array, " A"]
    risk_dual: Float[Array, ""]
    slack: Float[Array, ""]
    sum_dual: Float[Array, ""]


def risk_exponent(wealth: float, chance: float) -> float:
    """Return lambda of "the wealth ever falls below the share `wealth` with at most the probability `chance`".

    Raises:
        ConfigError: one of them is not in (0, 1).
    """
    for name, value in (("wealth", wealth), ("chance", chance)):
        if not 0 < value < 1:
            raise ConfigError(f"kelly_drawdown: {name}={value!r} is impossible; give a share in (0, 1)")
    return math.log(chance) / math.log(wealth)


def solve(factors: Float[Array, "K A"], probability: Float[Array, " K"], exponent: Number) -> Bets:
    """Return the bets of largest growth among those whose risk of drawdown is bounded.

    Cash must be among the assets: a column of ones, the last one. Where no bet has a positive expected gain the
    optimum is cash.

    Args:
        factors: value after the round of 1 put on each asset, >= 0.
        probability: of each outcome; the sum is 1.
        exponent: lambda > 0, see `risk_exponent`.

    Raises:
        DataError: a negative factor, no cash in the last column, or probabilities that are negative or do not sum to 1.
        ConfigError: the exponent is not positive.
    """
    factors, probability, exponent = as_real(factors), as_real(probability), as_real(exponent)
    _check(factors, probability, exponent)
    num_assets = factors.shape[1]
    cash = jnp.zeros(num_assets).at[-1].set(1)
    tolerance = 100 * num_assets * jnp.finfo(factors.dtype).eps

    def risk(bet: Array) -> Array:
        return logsumexp(-exponent * jnp.log(factors @ bet), b=probability)

    def residuals(at: _Point, barrier: Array) -> Array:
        """Return gradient of the Lagrangian, complementarity, and violation of the constraints."""
        gradient, risk_gradient = _gradients(factors, probability, exponent, at.bet)
        stationary = gradient + at.risk_dual * risk_gradient - at.dual + at.sum_dual
        gap = jnp.append(at.dual * at.bet, at.risk_dual * at.slack) - barrier
        violation = jnp.stack([risk(at.bet) + at.slack, at.bet.sum() - 1])
        return jnp.concatenate([stationary, gap, violation])

    def advance(state):
        at, best, iteration, least = state
        gap = jnp.append(at.dual * at.bet, at.risk_dual * at.slack)
        barrier = 0.1 * jnp.mean(gap)
        step = _newton(factors, probability, exponent, at, barrier, risk(at.bet))
        longest = _longest(at, step)

        def moved(length: Array) -> _Point:
            return jax.tree.map(lambda x, dx: x + length * longest * dx, at, step)

        norms = jax.vmap(lambda length: jnp.linalg.norm(residuals(moved(length), barrier)))(as_real(STEPS))
        enough = norms <= (1 - 0.01 * as_real(STEPS) * longest) * jnp.linalg.norm(residuals(at, barrier))
        norms = jnp.where(jnp.isnan(norms), jnp.inf, norms)
        chosen = jnp.where(jnp.any(enough), jnp.argmax(enough), jnp.argmin(norms))  # the best if none is enough
        at = moved(as_real(STEPS)[chosen])
        residual = jnp.max(jnp.abs(residuals(at, jnp.zeros(()))))
        # rounding ends the descent, and a step from there may lead away from the optimum
        best = jax.tree.map(lambda new, old: jnp.where(residual < least, new, old), at, best)
        return at, best, iteration + 1, jnp.fmin(residual, least)

    one = jnp.ones(())
    start = _Point(jnp.full(num_assets, 1 / num_assets), jnp.ones(num_assets), one, one, one)
    made = start, start, jnp.zeros((), jnp.int32), jnp.full((), jnp.inf)
    _, at, iterations, residual = lax.while_loop(
        lambda state: (state[2] < MAX_ITERATIONS) & ~(state[3] <= tolerance), advance, made
    )
    # with no gain to expect, cash alone is feasible, so that there is no interior
    idle = jnp.all(probability @ factors <= 1 + jnp.finfo(factors.dtype).eps)
    ok = idle | (residual <= 1e6 * tolerance)
    staying = idle | ~ok
    weight = jnp.where(staying, cash, at.bet)
    return Bets(
        weight,
        probability @ jnp.log(factors @ weight),
        jnp.where(staying, 0, at.risk_dual),
        jnp.where(idle, 0, residual),
        iterations,
        ok,
    )


def _gradients(factors: Array, probability: Array, exponent: Array, bet: Array) -> tuple[Array, Array]:
    """Return the gradients of the negative growth and of the risk."""
    wealth = factors @ bet
    tilted = jax.nn.softmax(jnp.log(probability) - exponent * jnp.log(wealth))
    return -factors.T @ (probability / wealth), -exponent * factors.T @ (tilted / wealth)


def _newton(factors: Array, probability: Array, exponent: Array, at: _Point, barrier: Array, risk: Array) -> _Point:
    """Return the step of Newton's method on the conditions of the optimum with complementarity `barrier`."""
    wealth, num_assets = factors @ at.bet, len(at.bet)
    gradient, risk_gradient = _gradients(factors, probability, exponent, at.bet)
    tilted = jax.nn.softmax(jnp.log(probability) - exponent * jnp.log(wealth))
    relative = factors / wealth[:, None]
    curvature = relative.T @ (probability[:, None] * relative)
    risk_curvature = exponent * (exponent + 1) * relative.T @ (tilted[:, None] * relative)
    risk_curvature -= risk_gradient[:, None] * risk_gradient[None]
    ratio, off = at.risk_dual / at.slack, risk + at.slack
    matrix = curvature + at.risk_dual * risk_curvature + jnp.diag(at.dual / at.bet)
    matrix += ratio * risk_gradient[:, None] * risk_gradient[None]
    stationary = gradient + at.risk_dual * risk_gradient - at.dual + at.sum_dual
    side = -stationary + barrier / at.bet - at.dual
    side -= risk_gradient * (barrier / at.slack - at.risk_dual + ratio * off)
    ones = jnp.ones((num_assets, 1))
    whole = jnp.block([[matrix, ones], [ones.T, jnp.zeros((1, 1))]])
    solved = jnp.linalg.solve(whole, jnp.append(side, 1 - at.bet.sum()))
    bet, sum_dual = solved[:-1], solved[-1]
    slack = -off - risk_gradient @ bet
    dual = barrier / at.bet - at.dual - at.dual / at.bet * bet
    return _Point(bet, dual, barrier / at.slack - at.risk_dual - ratio * slack, slack, sum_dual)


def _longest(at: _Point, step: _Point) -> Array:
    """Return the longest part of a step, at most 1, that keeps bets, multipliers and slack positive."""
    value, change = (jnp.concatenate([p.bet, p.dual, jnp.stack([p.risk_dual, p.slack])]) for p in (at, step))
    reach = jnp.where(change < 0, -value / jnp.where(change < 0, change, 1), jnp.inf)
    return jnp.minimum(1, 0.995 * reach.min())


def _check(factors: Array, probability: Array, exponent: Array) -> None:
    """Check what is known; traced values are not checked."""
    if not isinstance(exponent, Tracer) and not 0 < exponent < np.inf:
        raise ConfigError(f"kelly_drawdown: exponent={float(exponent):g} bounds nothing; give a positive number")
    if not isinstance(factors, Tracer):
        values = np.asarray(factors)
        if not (np.isfinite(values) & (values >= 0)).all():
            row, asset = np.argwhere(~(np.isfinite(values) & (values >= 0)))[0]
            raise DataError(
                f"kelly_drawdown: factor {values[row, asset]:g} of outcome {row}, asset {asset} is impossible; give "
                "the value after the round of 1 put on the asset, >= 0 (1 plus the return)"
            )
        if (values[:, -1] != 1).any():
            raise DataError("kelly_drawdown: the last asset must be cash, factors of 1; append a column of ones")
    if not isinstance(probability, Tracer):
        values = np.asarray(probability)
        if (values < 0).any() or not abs(values.sum() - 1) < 1e-4:
            raise DataError(
                f"kelly_drawdown: probabilities {values.min():g} .. {values.max():g} with the sum {values.sum():g}; "
                "give shares that sum to 1"
            )
