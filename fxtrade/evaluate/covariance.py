"""How well covariances forecast: the likelihood of later returns, and the risk of minimum-variance portfolios.

At each date an estimator sees a window of past returns of the assets that had one in the last of its rows. Its
covariance is held over the next rows; there a missing return counts as 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Bool, Float, Int

from fxtrade.core import compat
from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid, safe_divide
from fxtrade.evaluate.results import Estimate, PairedTest
from fxtrade.metrics import bootstrap
from fxtrade.risk.pairwise import least_rows

AT_ONCE = 64  # dates whose windows are in memory
SMALLEST_PIVOT = 1e-5  # of the Cholesky factor of correlations, below which they count as singular

Estimator = Callable[[Float[Array, "T A"]], Float[Array, "A A"]]


class Forecasts(NamedTuple):
    """One estimator at D dates; NaN where its covariance is singular.

    Attributes:
        qlike: (log det S + mean over the rows of r' S^-1 r) / A: minus twice the Gaussian log likelihood of an asset's
            return, without its constant.
        weight: of the fully invested portfolio of minimum variance, S^-1 1 / (1' S^-1 1).
        variance: forecast of that portfolio.
        square: its mean squared return over the rows.
        assets: whose covariance is known.
    """

    qlike: Float[np.ndarray, " D"]
    weight: Float[np.ndarray, "D A"]
    variance: Float[np.ndarray, " D"]
    square: Float[np.ndarray, " D"]
    assets: Int[np.ndarray, " D"]

    @property
    def singular(self) -> Bool[np.ndarray, " D"]:
        return np.isnan(self.qlike)


@dataclasses.dataclass(frozen=True)
class CovarianceScore:
    """One estimator over all dates; without numbers if its covariance is singular at any of them.

    Attributes:
        singular: number of dates at which it is.
        qlike_difference, variance_difference: to the reference; the second as a share of the reference's variance.
        volatility: of the minimum-variance portfolio, annual.
        bias: the volatility that this portfolio had over the one that was forecast.
        gross: mean sum of its absolute weights.
        turnover: mean sum of the absolute changes of its weights from date to date.
    """

    name: str
    singular: int
    qlike: Estimate
    qlike_difference: PairedTest
    volatility: Estimate
    variance_difference: PairedTest
    bias: Estimate
    gross: float
    turnover: float


def date_rows(returns: Float[np.ndarray, "N A"], window: int, horizon: int) -> Int[np.ndarray, " D"]:
    """Return the first row after the window of each date, `horizon` rows apart, with `horizon` rows from it on.

    Dates with fewer than two assets that an estimator would know are left out.
    """
    dates = np.arange(window, len(returns) - horizon + 1, horizon)
    ok = np.isfinite(returns)
    values = np.vstack([np.zeros((1, ok.shape[1]), int), np.cumsum(ok, 0)])
    known = (values[dates] - values[dates - window] >= least_rows(window)) & ok[dates - 1]
    return dates[known.sum(1) >= 2]


def forecasts(
    estimator: Estimator,
    returns: Float[Array, "N A"],
    dates: Int[np.ndarray, " D"],
    window: int,
    horizon: int,
    on_progress: Callable[[int], None] = lambda n: None,
) -> Forecasts:
    """Return the forecasts of an estimator of `COVARIANCES` at the dates of `date_rows`, in float64."""
    parts = []
    with compat.float64() as real:
        x = jnp.asarray(returns, real)
        step = jax.jit(jax.vmap(lambda date: _judge(estimator, x, date, window, horizon)))
        for start in range(0, len(dates), AT_ONCE):
            chunk = np.resize(dates[start : start + AT_ONCE], min(AT_ONCE, len(dates)))  # the last one is filled up
            done = len(dates[start : start + AT_ONCE])
            parts.append(jax.tree.map(lambda a, done=done: np.asarray(a)[:done], step(jnp.asarray(chunk))))
            on_progress(done)
    return Forecasts(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True)))


def _judge(estimator: Estimator, returns: Array, date: Array, window: int, horizon: int) -> Forecasts:
    past = lax.dynamic_slice_in_dim(returns, date - window, window)
    after = lax.dynamic_slice_in_dim(returns, date, horizon)
    covariance = estimator(jnp.where(is_valid(past[-1])[None], past, jnp.nan))
    variance = jnp.diagonal(covariance)
    known = variance > 0
    scale = jnp.where(known, jnp.sqrt(jnp.where(known, variance, 1)), 1)
    identity = jnp.eye(len(known), dtype=returns.dtype)
    both = known[:, None] & known[None]
    factor = jnp.linalg.cholesky(jnp.where(both, covariance / scale[:, None] / scale[None], identity))
    pivots = jnp.diagonal(factor)
    regular = jnp.all(pivots > SMALLEST_PIVOT)
    factor = jnp.where(regular, factor, identity)
    count = jnp.sum(known)
    z = jnp.where(known[None] & is_valid(after), after, 0) / scale[None]
    log_det = 2 * jnp.sum(jnp.where(known, jnp.log(scale), 0)) + 2 * jnp.sum(jnp.log(jnp.where(regular, pivots, 1)))
    distance = jnp.mean(jnp.sum(solve_triangular(factor, z.T, lower=True) ** 2, 0))
    inverse = cho_solve((factor, True), jnp.where(known, 1 / scale, 0)) / scale
    total = jnp.sum(inverse)
    weight = safe_divide(inverse, total)
    made = (
        (log_det + distance) / jnp.maximum(count, 1).astype(returns.dtype),
        weight,
        safe_divide(jnp.ones_like(total), total),
        jnp.mean(((z * scale[None]) @ weight) ** 2),
    )
    return Forecasts(*(jnp.where(regular & (count > 0), value, jnp.nan) for value in made), count)  # pyright: ignore


def scores(
    made: Mapping[str, Forecasts],
    reference: str,
    block_id: Int[np.ndarray, " D"],
    bars_per_year: float,
    samples: int,
    seed: int,
) -> tuple[CovarianceScore, ...]:
    """Return the scores with intervals of the block bootstrap, in the order of `made`.

    Args:
        block_id: of each date, from `bootstrap.block_ids`.
    """
    group = np.unique(block_id, return_inverse=True)[1]
    ones = np.ones(len(group))

    def ratio(top: np.ndarray, bottom: np.ndarray = ones) -> Estimate:
        low, high = bootstrap.ratio_interval(top, bottom, group, samples, seed=seed)
        return Estimate(float(top.sum() / bottom.sum()), low, high)

    def root(x: Estimate, unit: float = 1.0) -> Estimate:
        value, low, high = np.sqrt(unit * np.array([x.value, x.low, x.high])).tolist()
        return Estimate(value, low, high)

    def against(ours: np.ndarray, theirs: np.ndarray, unit: float = 1.0) -> PairedTest:
        if not np.isfinite(theirs).all():
            return PairedTest(np.nan, np.nan, np.nan, np.nan)
        sums = [(np.bincount(group, x), np.bincount(group)) for x in (ours, theirs)]
        d = bootstrap.paired_difference(sums[0], sums[1], samples, seed=seed)
        return PairedTest(d.value / unit, d.low / unit, d.high / unit, d.p)

    def score(name: str, f: Forecasts) -> CovarianceScore:
        singular = int(f.singular.sum())
        if singular:
            none, untested = Estimate(np.nan), PairedTest(np.nan, np.nan, np.nan, np.nan)
            return CovarianceScore(name, singular, none, untested, none, untested, none, np.nan, np.nan)
        other = made[reference]
        return CovarianceScore(
            name,
            singular,
            ratio(f.qlike),
            against(f.qlike, other.qlike),
            root(ratio(f.square), bars_per_year),
            against(f.square, other.square, float(other.square.mean())),
            root(ratio(f.square, f.variance)),
            float(np.abs(f.weight).sum(1).mean()),
            float(np.abs(np.diff(f.weight, axis=0)).sum(1).mean()) if len(group) > 1 else np.nan,
        )

    return tuple(score(name, f) for name, f in made.items())
